//! `mapring cluster`, `mapring ready` and `mapring live`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mapring_client::{
    Client, ClusterStatus, Hints, MemberStatus, Repairs, Stale, Timeouts, Voting,
};
use tokio::time::Instant;

use crate::failure::{Failure, Outcome, confirm, print, print_line};
use crate::limits;
use crate::{Target, choose};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the members as a node sees them; the exit status tells the state.
    ///
    /// 0: ok; 3: filling; 4: degraded; 5: unavailable; 6: alarm; 1: the node cannot be asked.
    Status(StatusArguments),

    /// Make the metadata as one node has it that of all, when nobody may lead
    ///
    /// Only needed after data directories of earlier times were put back, when decisions that were
    /// acknowledged are held by no node any more: `mapring cluster status` says so. Decisions that
    /// other nodes have beyond it are dropped, and named.
    Choose(choose::Arguments),

    /// Remove a member that is down for good and owns no partitions.
    Forget(ForgetArguments),
}

#[derive(Args)]
pub(crate) struct ForgetArguments {
    /// The name or the identity of the member
    node: String,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    target: Target,
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

/// How long a node may take to say that it is ready.
pub(crate) const READY_TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(2), answer: Duration::from_secs(5) };

pub(crate) async fn run(command: &Command) -> Outcome {
    match command {
        Command::Status(arguments) => status(arguments).await,
        Command::Choose(arguments) => choose::run(arguments).await,
        Command::Forget(arguments) => forget(arguments).await,
    }
}

async fn status(arguments: &StatusArguments) -> Outcome {
    let client = arguments.target.client()?;
    let json = client.cluster_json().await?;
    let mut status: ClusterStatus = serde_json::from_slice(&json)
        .map_err(|error| Failure::failed(format!("the node's answer makes no sense: {error}")))?;
    if arguments.json {
        print(&json)?;
        if !json.ends_with(b"\n") {
            print(b"\n")?;
        }
    } else {
        status.members.sort_by(|left, right| left.name.cmp(&right.name));
        print(table(&status).as_bytes())?;
    }
    match exit_status(&status.state) {
        0 => Ok(()),
        other => Err(Failure::silent(other)),
    }
}

/// The exit status of a state. A word that is not known yet is no good news.
fn exit_status(state: &str) -> u8 {
    match state {
        "ok" => 0,
        "filling" => 3,
        "unavailable" => 5,
        "alarm" => 6,
        _ => 4,
    }
}

async fn forget(arguments: &ForgetArguments) -> Outcome {
    let client = arguments.target.client()?;
    let node = arguments.node.as_str();
    if !arguments.yes {
        let question = format!(
            "Remove {node} from the cluster for good? It can come back only as a new member."
        );
        if !confirm(&question, "--yes")? {
            return Err(Failure::failed("nothing was done"));
        }
    }
    client.forget(node).await?;
    print_line(&format!("{node} is removed from the cluster"))
}

/// Riak's columns: status, share of the ring, name; then where each member is reached.
fn table(status: &ClusterStatus) -> String {
    let ClusterStatus { summary, cluster, ring_size, plan_version, members, .. } = status;
    let mut text = format!(
        "{summary}\n\ncluster {cluster}: {} members, {ring_size} partitions, plan {plan_version}\n",
        members.len()
    );
    text.push_str(&voting(&status.voting));
    let widest = |width: usize, text: &dyn Fn(&MemberStatus) -> usize| {
        members.iter().map(text).max().unwrap_or(0).max(width)
    };
    let width = widest(4, &|member| member.name.len());
    let zone = |member: &MemberStatus| member.zone.clone().unwrap_or_default();
    let has_zones = members.iter().any(|member| member.zone.is_some());
    let zones = widest(4, &|member| zone(member).len());
    let column = |text: &str| if has_zones { format!("  {text:zones$}") } else { String::new() };
    text.push_str(&format!(
        "\nstatus   up    vote   ring  partitions  {:width$}{}  http\n",
        "node",
        column("zone")
    ));
    for member in members {
        let up = if member.up { "up" } else { "down" };
        let votes = if member.votes { "yes" } else { "-" };
        let incomplete = if member.incomplete { "  incomplete" } else { "" };
        text.push_str(&format!(
            "{:<7}  {up:<4}  {votes:<4} {:>5.1}%  {:>10}  {:width$}{}  {}{incomplete}\n",
            member.status,
            member.share * 100.0,
            member.partitions,
            member.name,
            column(&zone(member)),
            member.http_address
        ));
    }
    text.push('\n');
    text.push_str(&choose::history(&status.metadata));
    text.push_str(&replicas(status));
    text
}

/// Who decides about members, bucket properties and bucket types.
fn voting(voting: &Voting) -> String {
    let Voting { decides, leader, voters, changing } = voting;
    let leader = leader.as_deref().unwrap_or("nobody");
    let state = match (decides, changing) {
        (false, _) => "cannot decide now",
        (true, true) => "the voters are being changed",
        (true, false) => "a majority is up",
    };
    let (count, noun) = (voters.len(), if voters.len() == 1 { "voter" } else { "voters" });
    format!("{count} {noun} ({}), led by {leader}: {state}\n", voters.join(", "))
}

/// Which replicas lack something, and what becomes of it.
fn replicas(status: &ClusterStatus) -> String {
    let ClusterStatus { hints, stale, repairs, .. } = status;
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
    for Stale { node, vnodes, why, nodes } in stale {
        let node = node.as_deref().unwrap_or("nobody");
        let others = nodes.join(", ");
        let why = match why.as_str() {
            "hints" => format!("they lack what {others} holds for them"),
            "moving" => "objects have moved to them and have not all arrived".to_owned(),
            "lost_data" => "the node came back without its data".to_owned(),
            _ => format!("{others} may hold something for them, and has not been asked yet"),
        };
        text.push_str(&format!("stale    {node}, vnodes {}: {why}\n", ranges(vnodes)));
    }
    let Repairs { unsettled_writes, in_flight_writes, read_repairs, filling } = repairs;
    if unsettled_writes + in_flight_writes + read_repairs > 0 {
        text.push_str(&format!(
            "repairs  {unsettled_writes} own writes and {in_flight_writes} of others on their way, \
             {read_repairs} read repairs\n"
        ));
    }
    for repair in filling {
        text.push_str(&format!("filling  {}\n", crate::repair::text(repair)));
    }
    if hints.is_empty() && stale.is_empty() {
        let all_up = status.members.iter().all(|member| member.up);
        text.push_str(if all_up {
            "all replicas are complete, as far as this node knows\n"
        } else {
            "no replica is known to lack anything, but who is down cannot be asked\n"
        });
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
    until(arguments, async |client: &Client| {
        let why = client.why_not_ready().await?;
        Ok(why.map(|why| format!("{} is not ready: {why}", client.address())))
    })
    .await
}

pub(crate) async fn live(arguments: &ReadyArguments) -> Outcome {
    until(arguments, async |client: &Client| {
        let is_live = client.is_live().await?;
        Ok((!is_live).then(|| format!("{} does not serve", client.address())))
    })
    .await
}

/// Asks until nothing is said against it.
async fn until(
    arguments: &ReadyArguments,
    why_not: impl AsyncFn(&Client) -> mapring_client::Result<Option<String>>,
) -> Outcome {
    let client = Client::with_timeouts(&arguments.target.url, READY_TIMEOUTS)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let deadline = Instant::now() + Duration::from_secs(arguments.wait);
    loop {
        let why = match why_not(&client).await {
            Ok(None) => return Ok(()),
            Ok(Some(why)) => why,
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(Failure::failed(why));
        }
        tokio::time::sleep(limits::READY_ASK_EVERY).await;
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
            "stale":[{"node":"n3","vnodes":[2,5],"why":"hints","nodes":["n1"]},
                {"node":"n2","vnodes":[1],"why":"lost_data"}],
            "repairs":{"unsettled_writes":1,"in_flight_writes":0,"read_repairs":0,
                "filling":[{"node":"n2","complete":false,"lost":"sled/db is gone","slices":66,
                    "filled":5,"compared":9,"fetched":8,"waits_for":null}]}}"#;
        let text = replicas(&serde_json::from_str(json).unwrap());
        let expected = "\
            hints    n1 holds 7 objects for n3 (vnodes 2, 5): waiting for both to be up\n\
            stale    n3, vnodes 2, 5: they lack what n1 holds for them\n\
            stale    n2, vnodes 1: the node came back without its data\n\
            repairs  1 own writes and 0 of others on their way, 0 read repairs\n\
            filling  n2: 5 of 66 parts filled, 9 objects compared, 8 fetched; lost: sled/db is gone\n";
        assert_eq!(text, expected);
    }

    fn shown(members: &str, voting: &str) -> String {
        let json = format!(
            r#"{{"state":"degraded","summary":"degraded: n2 is down","cluster":"c","ring_size":8,
                "plan_version":2,"sealed":true,"members":[{members}],"voting":{voting},
                "metadata":{{"has_leader":true,"leader":"n1","needs_choice":false,"term":2,
                    "index":9,"hash":"00112233aabb","members":[]}}}}"#
        );
        table(&serde_json::from_str(&json).unwrap())
    }

    fn member(name: &str, more: &str) -> String {
        format!(
            r#"{{"id":"1","name":"{name}","status":"valid","cluster_address":"a:1",
                "http_address":"a:2","partitions":4,"share":0.5,{more}}}"#
        )
    }

    #[test]
    fn the_table_shows_who_votes_and_where() {
        let members = [
            member("n1", r#""up":true,"votes":true"#),
            member("n2", r#""up":false,"votes":false"#),
        ];
        let voting = r#"{"decides":true,"leader":"n1","voters":["n1"],"changing":false}"#;
        let expected = "\
            degraded: n2 is down\n\n\
            cluster c: 2 members, 8 partitions, plan 2\n\
            1 voter (n1), led by n1: a majority is up\n\n\
            status   up    vote   ring  partitions  node  http\n\
            valid    up    yes   50.0%           4  n1    a:2\n\
            valid    down  -     50.0%           4  n2    a:2\n\n\
            metadata has the leader n1; entry 9 of term 2, hash 00112233\n\
            no replica is known to lack anything, but who is down cannot be asked\n";
        assert_eq!(shown(&members.join(","), voting), expected);

        let members = [
            member("n1", r#""up":true,"votes":true,"zone":"hall-1""#),
            member("n2", r#""up":true,"votes":false"#),
        ];
        let voting = r#"{"decides":false,"leader":null,"voters":["n1","n3","n4"],"changing":true}"#;
        let text = shown(&members.join(","), voting);
        for line in [
            "3 voters (n1, n3, n4), led by nobody: cannot decide now",
            "status   up    vote   ring  partitions  node  zone    http",
            "valid    up    yes   50.0%           4  n1    hall-1  a:2",
            "valid    up    -     50.0%           4  n2            a:2",
            "all replicas are complete, as far as this node knows",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn every_state_has_its_exit_status() {
        for (state, status) in
            [("ok", 0), ("filling", 3), ("degraded", 4), ("unavailable", 5), ("alarm", 6), ("", 4)]
        {
            assert_eq!(exit_status(state), status, "{state}");
        }
    }
}
