//! `mapring workers`: what a node does in the background, and how fast.

use clap::{Args, Subcommand};
use mapring_client::{Sandbox, Worker};

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
    let mut lines: String = listed
        .workers
        .iter()
        .map(|worker| format!("{}  {}\n", listed.node, line(worker)))
        .collect();
    lines.push_str(&format!("{}  {}\n", listed.node, jail(&listed.sandbox)));
    print(lines.as_bytes())
}

/// The jail of the processes that run functions in a line.
fn jail(sandbox: &Sandbox) -> String {
    let Sandbox { mode, layers } = sandbox;
    let of = |state: &str| {
        let layers = layers.iter().filter(|layer| layer.state == state);
        layers.map(|layer| layer.layer.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("{:<20} {mode:<9} {}", "script-sandbox", of("held"));
    for layer in layers.iter().filter(|layer| layer.state == "missing") {
        let why = layer.why.as_deref().unwrap_or("unknown");
        text.push_str(&format!("; no {}: {why}", layer.layer));
    }
    text.truncate(text.trim_end().len());
    text
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
    use mapring_client::SandboxLayer;

    use super::*;

    #[test]
    fn a_jail_is_a_line() {
        let layer = |layer: &str, state: &str, why: Option<&str>| SandboxLayer {
            layer: layer.into(),
            state: state.into(),
            why: why.map(str::to_owned),
        };
        let layers = vec![
            layer("namespaces", "missing", Some("not permitted")),
            layer("user", "not_needed", None),
            layer("landlock", "held", None),
            layer("seccomp", "held", None),
        ];
        let sandbox = Sandbox { mode: "on".into(), layers };
        assert_eq!(
            jail(&sandbox),
            "script-sandbox       on        landlock, seccomp; no namespaces: not permitted"
        );
        let off = Sandbox { mode: "off".into(), layers: Vec::new() };
        assert_eq!(jail(&off), "script-sandbox       off");
    }

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
