//! `mapring queries`: what runs, and ending it.

use clap::{Args, Subcommand};
use mapring_client::RunningQuery;

use crate::Target;
use crate::failure::{Failure, Outcome, print, print_json, print_line};

/// Without a command: the queries that the members of the cluster coordinate, the oldest first.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Print what the node says as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

#[derive(Subcommand)]
enum Command {
    /// End a query; its client gets an error that says so
    End {
        /// The query's id, as listed and as in the header X-Query-Id
        id: String,
    },
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    if let Some(Command::End { id }) = &arguments.command {
        return match client.end_query(id).await? {
            true => print_line(&format!("ended {id}")),
            false => Err(Failure::failed(format!("no query {id} is under way"))),
        };
    }
    if arguments.json {
        return print_json(&client.queries_json().await?);
    }
    let listed = client.queries().await?;
    let mut text: String = listed.queries.iter().map(line).collect();
    if listed.queries.is_empty() {
        text.push_str("no query is under way\n");
    }
    if listed.left_out > 0 {
        text.push_str(&format!("and {} more\n", listed.left_out));
    }
    if !listed.unreachable.is_empty() {
        text.push_str(&format!("did not answer: {}\n", listed.unreachable.join(", ")));
    }
    print(text.as_bytes())
}

/// A query in two lines: how far it is, and what it asks.
fn line(query: &RunningQuery) -> String {
    let seconds = query.age_ms / 1_000;
    let tenths = query.age_ms % 1_000 / 100;
    let mut text = format!(
        "{}  {}  {} for {seconds}.{tenths} s, {} inputs done",
        query.id, query.node, query.state, query.inputs_done
    );
    for phase in &query.phases {
        let function = if phase.function.is_empty() { "" } else { " " };
        text.push_str(&format!(
            "; {} {}{function}{}: {} in, {} out",
            phase.phase, phase.kind, phase.function, phase.inputs, phase.results
        ));
        if phase.partitions > 0 {
            text.push_str(&format!(
                ", {} of {} partitions",
                phase.partitions_done, phase.partitions
            ));
        }
    }
    let asked: String =
        query.query.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(100).collect();
    format!("{text}\n    {asked}\n")
}

#[cfg(test)]
mod tests {
    use mapring_client::RunningPhase;

    use super::*;

    #[test]
    fn a_query_is_two_lines() {
        let phase = RunningPhase {
            phase: 0,
            kind: "map".into(),
            function: "Riak.mapValues".into(),
            inputs: 120,
            results: 119,
            partitions_done: 3,
            partitions: 64,
        };
        let query = RunningQuery {
            id: "1-00000000000000ff".into(),
            node: "n1".into(),
            state: "running".into(),
            age_ms: 61_250,
            inputs_done: 120,
            phases: vec![phase],
            counters: Default::default(),
            query: "{\n  \"inputs\": \"b\"}".into(),
        };
        let expect = "1-00000000000000ff  n1  running for 61.2 s, 120 inputs done; \
                      0 map Riak.mapValues: 120 in, 119 out, 3 of 64 partitions\n    \
                      { \"inputs\": \"b\"}\n";
        assert_eq!(line(&query), expect);
    }
}
