//! `mapring bucket-type create` and `list`.

use clap::{Args, Subcommand};

use crate::Target;
use crate::failure::{Outcome, print};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a bucket type, in use at once.
    Create(CreateArguments),
    /// Print the names of all bucket types.
    List(ListArguments),
}

#[derive(Args)]
pub(crate) struct CreateArguments {
    /// The name of the new type
    name: String,

    /// Its properties as JSON, such as '{"props":{"n_val":5}}'
    #[arg(default_value = "")]
    props: String,

    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(command: &Command) -> Outcome {
    match command {
        Command::Create(arguments) => {
            let CreateArguments { name, props, target } = arguments;
            let client = target.client()?;
            let warning = client.create_bucket_type(name, props.clone().into_bytes()).await?;
            if let Some(warning) = warning {
                eprintln!("warning: {warning}");
            }
            print(format!("{name} created\n").as_bytes())
        }
        Command::List(arguments) => {
            let names = arguments.target.client()?.bucket_types().await?;
            print((names.join("\n") + "\n").as_bytes())
        }
    }
}
