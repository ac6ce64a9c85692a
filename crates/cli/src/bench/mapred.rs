//! `mapring bench mapred`: one query, again and again.

use std::path::PathBuf;

use clap::Args;
use mapring_client::{Client, Error};
use serde_json::json;
use tokio::time::Instant;

use super::drive::{Plan, Requester, drive};
use super::load::Load;
use super::report::Answered;
use crate::failure::Outcome;
use crate::mapred::read;

/// Runs a query again and again, each connection one after another, and reads the whole answer each
/// time. Errors are counted, by kind; the exit status is 1 when no query succeeded.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file with the query; - is standard input
    #[arg(value_name = "QUERY.json", required_unless_present = "text")]
    query: Option<PathBuf>,

    /// The query itself, instead of a file
    #[arg(long, value_name = "JSON", conflicts_with = "query")]
    text: Option<String>,

    /// Have results sent as they are found, and measure when the first ones come
    #[arg(long)]
    chunked: bool,

    /// How many objects a query works on: what it costs is then told for each, too
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    objects: Option<u64>,

    /// Connections, each with one query under way
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,

    #[command(flatten)]
    load: Load,
}

struct Worker {
    client: Client,
    query: bytes::Bytes,
    chunked: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Outcome {
    let clients = arguments.load.clients()?;
    let query: bytes::Bytes = match (&arguments.text, &arguments.query) {
        (Some(text), _) => text.clone().into(),
        (None, Some(file)) => read(file)?.into(),
        (None, None) => bytes::Bytes::new(),
    };
    let in_turn = clients.iter().cycle().take(arguments.connections.into());
    let worker = |client: &Client| Worker {
        client: client.clone(),
        query: query.clone(),
        chunked: arguments.chunked,
    };
    let workers = in_turn.map(worker).collect();
    let measured = drive(Plan::from(&arguments.load), &clients, workers).await?;
    let title = format!("query, {} connections", arguments.connections);
    let what = json!({
        "kind": "mapred",
        "urls": arguments.load.urls,
        "query": String::from_utf8_lossy(&query),
        "chunked": arguments.chunked,
        "objects": arguments.objects,
        "connections": arguments.connections,
    });
    measured.print(arguments.load.json, &title, what, arguments.objects)
}

impl Requester for Worker {
    async fn request(&mut self) -> Result<Answered, String> {
        let outcome = if self.chunked { self.in_parts().await } else { self.whole().await };
        outcome.map_err(|error| kind(&error))
    }
}

impl Worker {
    async fn whole(&self) -> mapring_client::Result<Answered> {
        let answer = self.client.mapred(self.query.clone()).await?;
        Ok(Answered { bytes: answer.len() as u64, first: None })
    }

    async fn in_parts(&self) -> mapring_client::Result<Answered> {
        let began = Instant::now();
        let mut parts = self.client.mapred_chunked(self.query.clone()).await?;
        let mut answered = Answered::default();
        while let Some(part) = parts.next().await? {
            answered.first.get_or_insert_with(|| began.elapsed());
            answered.bytes += part.data.iter().map(|value| value.get().len() as u64).sum::<u64>();
        }
        Ok(answered)
    }
}

/// Words that are the same for the same kind of error.
fn kind(error: &Error) -> String {
    match error {
        Error::Query(failure) => {
            let place = failure.phase.map_or(String::new(), |phase| format!(" in phase {phase}"));
            format!("query failed{place}: {}", failure.error)
        }
        other => other.to_string(),
    }
}
