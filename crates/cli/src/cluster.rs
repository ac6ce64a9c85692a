//! `mapring cluster status` and `mapring ready`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mapring_client::{Client, ClusterStatus, Timeouts};
use tokio::time::Instant;

use crate::Target;
use crate::failure::{Failure, Outcome, print};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the members as a node sees them.
    Status(StatusArguments),
}

#[derive(Args)]
pub(crate) struct StatusArguments {
    /// Print what the node says as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct ReadyArguments {
    /// Ask again for so many seconds before giving up
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,

    #[command(flatten)]
    target: Target,
}

/// How often a node is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long a node may take to say that it is ready.
pub(crate) const READY_TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(2), answer: Duration::from_secs(5) };

pub(crate) async fn run(command: &Command) -> Outcome {
    let Command::Status(arguments) = command;
    let client = arguments.target.client()?;
    if arguments.json {
        let json = client.cluster_json().await?;
        print(&json)?;
        return if json.ends_with(b"\n") { Ok(()) } else { print(b"\n") };
    }
    let mut status = client.cluster().await?;
    status.members.sort_by(|left, right| left.name.cmp(&right.name));
    print(table(&status).as_bytes())
}

/// Riak's columns: status, share of the ring, name; then where each member is reached.
fn table(status: &ClusterStatus) -> String {
    let ClusterStatus { cluster, ring_size, plan_version, members, .. } = status;
    let mut text = format!(
        "cluster {cluster}: {} members, {ring_size} partitions, plan {plan_version}\n\n",
        members.len()
    );
    let width = members.iter().map(|member| member.name.len()).max().unwrap_or(0).max(4);
    text.push_str(&format!("status   up      ring  partitions  {:width$}  http\n", "node"));
    for member in members {
        let up = if member.up { "up" } else { "down" };
        let incomplete = if member.incomplete { "  incomplete" } else { "" };
        text.push_str(&format!(
            "{:<7}  {up:<4}  {:>5.1}%  {:>10}  {:width$}  {}{incomplete}\n",
            member.status,
            member.share * 100.0,
            member.partitions,
            member.name,
            member.http_address
        ));
    }
    text
}

pub(crate) async fn ready(arguments: &ReadyArguments) -> Outcome {
    let client = Client::with_timeouts(&arguments.target.url, READY_TIMEOUTS)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let deadline = Instant::now() + Duration::from_secs(arguments.wait);
    loop {
        let why = match client.is_ready().await {
            Ok(true) => return Ok(()),
            Ok(false) => format!("{} is not ready", client.address()),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(Failure::failed(why));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
