//! `mapring bucket-type`: bucket types are created, activated, updated, reset, listed and shown.

use clap::{Args, Subcommand};

use crate::Target;
use crate::failure::{Outcome, print};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a bucket type, in use at once unless its properties say "active":false.
    Create(PropsArguments),
    /// Have a bucket type be in use that was created with "active":false.
    Activate(NameArguments),
    /// Change properties of a bucket type.
    Update(PropsArguments),
    /// Give a bucket type the properties of a new one, but for those that cannot change.
    Reset(NameArguments),
    /// Show whether a bucket type is in use, and its properties.
    Status(NameArguments),
    /// List all bucket types.
    List(ListArguments),
}

#[derive(Args)]
pub(crate) struct PropsArguments {
    /// The name of the type
    name: String,

    /// Its properties as JSON, such as '{"props":{"n_val":5}}'
    #[arg(default_value = "")]
    props: String,

    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct NameArguments {
    /// The name of the type
    name: String,

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
        Command::Create(PropsArguments { name, props, target }) => {
            let warning =
                target.client()?.create_bucket_type(name, props.clone().into_bytes()).await?;
            warn(warning);
            print(format!("{name} created\n").as_bytes())
        }
        Command::Activate(NameArguments { name, target }) => {
            target.client()?.activate_bucket_type(name).await?;
            print(format!("{name} has been activated\n").as_bytes())
        }
        Command::Update(PropsArguments { name, props, target }) => {
            let warning =
                target.client()?.update_bucket_type(name, props.clone().into_bytes()).await?;
            warn(warning);
            print(format!("{name} updated\n").as_bytes())
        }
        Command::Reset(NameArguments { name, target }) => {
            target.client()?.reset_bucket_type(name).await?;
            print(format!("{name} reset\n").as_bytes())
        }
        Command::Status(NameArguments { name, target }) => {
            let found = target.client()?.bucket_type(name).await?;
            let said = match found.status.as_str() {
                "active" => "is active",
                _ => "has been created and may be activated",
            };
            let props = found.props.iter().map(|(prop, value)| format!("{prop}: {value}\n"));
            let props: String = props.collect();
            print(format!("{} {said}\n\n{props}", found.name).as_bytes())
        }
        Command::List(ListArguments { target }) => {
            let list = target.client()?.bucket_type_list().await?;
            let line = |name: &String| {
                let state = if list.inactive.contains(name) { "not active" } else { "active" };
                format!("{name} ({state})\n")
            };
            print(list.bucket_types.iter().map(line).collect::<String>().as_bytes())
        }
    }
}

fn warn(warning: Option<String>) {
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
}
