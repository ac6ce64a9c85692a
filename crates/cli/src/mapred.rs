//! `mapring mapred`: a query from the command line.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use mapring_types::limits;

use crate::Target;
use crate::failure::{Failure, Outcome, print};

/// Each result is printed as one line of JSON as soon as it comes. A failure goes to standard
/// error, and the exit status is then 1: what was printed before is not the whole answer.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file with the query; - is standard input
    #[arg(value_name = "QUERY.json")]
    query: PathBuf,

    /// Print the phase's number and a tab before each result
    #[arg(long)]
    phases: bool,

    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let query = read(&arguments.query)?;
    let mut parts = client.mapred_chunked(query).await?;
    while let Some(part) = parts.next().await? {
        let mut lines = String::new();
        for value in &part.data {
            if arguments.phases {
                lines.push_str(&format!("{}\t", part.phase));
            }
            lines.push_str(value.get());
            lines.push('\n');
        }
        print(lines.as_bytes())?;
    }
    Ok(())
}

/// Reads a query.
pub(crate) fn read(file: &PathBuf) -> Outcome<Vec<u8>> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("cannot read {}: {error}", file.display()));
    let source: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let mut query = Vec::new();
    source.take(limits::QUERY_BYTES as u64 + 1).read_to_end(&mut query).map_err(failed)?;
    if query.len() > limits::QUERY_BYTES {
        let most = limits::QUERY_BYTES;
        return Err(Failure::failed(format!("the query is larger than {most} bytes")));
    }
    Ok(query)
}
