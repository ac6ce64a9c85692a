//! `mapring cluster status` and `mapring ready`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mapring_client::{Client, ClusterStatus, Hints, Repairs, Timeouts, Unfit};
use tokio::time::Instant;

use crate::failure::{Failure, Outcome, print};
use crate::{Target, choose};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the members as a node sees them.
    Status(StatusArguments),

    /// Make the metadata as one node has it that of all, when nobody may lead
    ///
    /// Only needed after data directories of earlier times were put back, when decisions that were
    /// acknowledged are held by no node any more: `mapring cluster status` says so. Decisions that
    /// other nodes have beyond it are dropped, and named.
    Choose(choose::Arguments),
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
    let arguments = match command {
        Command::Status(arguments) => arguments,
        Command::Choose(arguments) => return choose::run(arguments).await,
    };
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
    text.push('\n');
    text.push_str(&choose::history(&status.metadata));
    text.push_str(&replicas(status));
    text
}

/// Which replicas lack something, and what becomes of it.
fn replicas(status: &ClusterStatus) -> String {
    let ClusterStatus { hints, unfit, repairs, .. } = status;
    let mut text = String::new();
    for Hints { holder, owner, vnodes, objects, at_least, state } in hints {
        let owner = owner.as_deref().unwrap_or("nobody");
        let many = match (objects, at_least) {
            (Some(objects), false) => format!("{objects} objects"),
            (Some(objects), true) => format!("at least {objects} objects"),
            (None, _) => "objects".to_owned(),
        };
        let state = if state == "waiting" { "waiting for both to be up" } else { "handing over" };
        text.push_str(&format!(
            "hints    {holder} holds {many} for {owner} (vnodes {}): {state}\n",
            ranges(vnodes)
        ));
    }
    for Unfit { node, vnodes, why, nodes } in unfit {
        let node = node.as_deref().unwrap_or("nobody");
        let others = nodes.join(", ");
        let why = match why.as_str() {
            "hints" => format!("they lack what {others} holds for them"),
            "moving" => "objects have moved to them and have not all arrived".to_owned(),
            "lost_data" => "the node came back without its data".to_owned(),
            _ => format!("{others} may hold something for them, and has not been asked yet"),
        };
        text.push_str(&format!("unfit    {node}, vnodes {}: {why}\n", ranges(vnodes)));
    }
    let Repairs { unsettled_writes, witnessed_writes, read_repairs, filling } = repairs;
    if unsettled_writes + witnessed_writes + read_repairs > 0 {
        text.push_str(&format!(
            "repairs  {unsettled_writes} own writes and {witnessed_writes} of others on their way, \
             {read_repairs} read repairs\n"
        ));
    }
    for repair in filling {
        text.push_str(&format!("filling  {}\n", crate::repair::text(repair)));
    }
    if hints.is_empty() && unfit.is_empty() {
        text.push_str("all replicas are complete, as far as this node knows\n");
    }
    text
}

/// `1-3, 7`.
fn ranges(numbers: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let written = ranges.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    written.collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_short() {
        for (numbers, written) in [
            (&[][..], ""),
            (&[7], "7"),
            (&[1, 2, 3, 7, 9, 10], "1-3, 7, 9-10"),
            (&[3, 1, 65_535], "3, 1, 65535"),
        ] {
            assert_eq!(ranges(numbers), written);
        }
    }

    #[test]
    fn what_lacks_is_told() {
        let json = r#"{"cluster":"c","ring_size":8,"plan_version":2,"sealed":true,"members":[],
            "hints":[{"holder":"n1","for":"n3","vnodes":[2,5],"objects":7,"at_least":false,
                "state":"waiting"}],
            "unfit":[{"node":"n3","vnodes":[2,5],"why":"hints","nodes":["n1"]},
                {"node":"n2","vnodes":[1],"why":"lost_data"}],
            "repairs":{"unsettled_writes":1,"witnessed_writes":0,"read_repairs":0,
                "filling":[{"node":"n2","complete":false,"lost":"sled/db is gone","slices":66,
                    "filled":5,"compared":9,"fetched":8,"waits_for":null}]}}"#;
        let text = replicas(&serde_json::from_str(json).unwrap());
        let expected = "\
            hints    n1 holds 7 objects for n3 (vnodes 2, 5): waiting for both to be up\n\
            unfit    n3, vnodes 2, 5: they lack what n1 holds for them\n\
            unfit    n2, vnodes 1: the node came back without its data\n\
            repairs  1 own writes and 0 of others on their way, 0 read repairs\n\
            filling  n2: 5 of 66 parts filled, 9 objects compared, 8 fetched; lost: sled/db is gone\n";
        assert_eq!(text, expected);
    }
}
