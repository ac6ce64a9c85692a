//! `mapring mapred`: a query from the command line.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use mapring_client::Client;
use mapring_types::limits;
use serde_json::{Map, Value};

use crate::Target;
use crate::failure::{Failure, Outcome, print, print_json};
use crate::progress::Progress;

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

    /// Print the query's plan instead of running it
    #[arg(long)]
    explain: bool,

    /// Print to standard error what each phase cost on each node
    #[arg(long)]
    profile: bool,

    /// Show progress on standard error also where that is no terminal, a line whenever it has changed
    #[arg(long)]
    progress: bool,

    /// Show no progress on a terminal
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,

    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let mut query = read(&arguments.query)?;
    if arguments.explain {
        query = with(&query, "explain")?;
    }
    if arguments.profile {
        query = with(&query, "profile")?;
    }
    if is_true(&query, "explain") {
        let plan = client.mapred(query).await?;
        return print_json(&plan);
    }
    let mut progress = Progress::new(arguments.quiet, arguments.progress);
    let outcome = results(arguments, &client, query, &mut progress).await;
    progress.finish();
    outcome
}

async fn results(
    arguments: &Arguments,
    client: &Client,
    query: Vec<u8>,
    progress: &mut Progress,
) -> Outcome {
    let mut parts = client.mapred_chunked(query).await?;
    let id = parts.id().map(str::to_owned);
    while let Some(part) = progress.during(client, id.as_deref(), parts.next()).await? {
        let mut lines = String::new();
        for value in &part.data {
            if arguments.phases {
                lines.push_str(&format!("{}\t", part.phase));
            }
            lines.push_str(value.get());
            lines.push('\n');
        }
        progress.suspend(|| {
            print(lines.as_bytes())?;
            for skipped in &part.skipped {
                eprintln!("left out: {}", skipped.get());
            }
            if let Some(profile) = &part.profile {
                eprintln!("{}", profile.get());
            }
            Ok::<(), Failure>(())
        })?;
    }
    Ok(())
}

/// The query with a member that is true. Its text is otherwise left as it is.
fn with(query: &[u8], name: &str) -> Outcome<Vec<u8>> {
    let Some(at) = query.iter().position(|byte| *byte == b'{') else {
        return Err(Failure::failed("the query is no JSON object"));
    };
    let (before, members) = query.split_at(at + 1);
    let comma = if members.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    Ok([before, format!("\"{name}\":true{comma}").as_bytes(), members].concat())
}

fn is_true(query: &[u8], name: &str) -> bool {
    let members: Option<Map<String, Value>> = serde_json::from_slice(query).ok();
    members.is_some_and(|members| members.get(name) == Some(&Value::Bool(true)))
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
