//! `mapring workers`: what a node does in the background, and how fast.

use clap::{Args, Subcommand};
use mapring_client::Worker;

use crate::Target;
use crate::failure::{Outcome, print, print_json, print_line};

/// Without a command: the background workers of the node that is asked.
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
    /// Slow a worker down, until the node ends
    Throttle {
        /// The worker's name, as listed
        name: String,
        /// How many times as long as it has worked it rests, up to 100; 0: not at all
        #[arg(value_name = "TIMES", value_parser = clap::value_parser!(u32).range(..=100))]
        throttle: u32,
    },
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    if let Some(Command::Throttle { name, throttle }) = &arguments.command {
        return print_line(&line(&client.throttle_worker(name, *throttle).await?));
    }
    if arguments.json {
        return print_json(&client.workers_json().await?);
    }
    let listed = client.workers().await?;
    let lines: String = listed
        .workers
        .iter()
        .map(|worker| format!("{}  {}\n", listed.node, line(worker)))
        .collect();
    print(lines.as_bytes())
}

/// A worker in a line.
fn line(worker: &Worker) -> String {
    let Worker { name, state, status, rounds, errors, last_round_seconds, .. } = worker;
    let mut text =
        format!("{name:<20} {state:<9} {rounds} rounds, the last {last_round_seconds:.3} s");
    if *errors > 0 {
        text.push_str(&format!(", {errors} failed"));
    }
    if worker.throttle > 0 {
        text.push_str(&format!(", rests {} times as long as it works", worker.throttle));
    }
    if !status.is_empty() {
        text.push_str(&format!("; {status}"));
    }
    if let Some(error) = &worker.last_error {
        text.push_str(&format!("; {error}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_a_line() {
        let mut worker = Worker {
            name: "hand-off".into(),
            state: "idle".into(),
            status: String::new(),
            rounds: 12,
            errors: 0,
            last_error: None,
            last_round_seconds: 0.0126,
            throttle: 0,
        };
        assert_eq!(line(&worker), "hand-off             idle      12 rounds, the last 0.013 s");
        worker.errors = 2;
        worker.throttle = 3;
        worker.status = "to n2".into();
        worker.last_error = Some("n2: nobody answers".into());
        assert_eq!(
            line(&worker),
            "hand-off             idle      12 rounds, the last 0.013 s, 2 failed, rests 3 times as \
             long as it works; to n2; n2: nobody answers"
        );
    }
}
