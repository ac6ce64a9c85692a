//! How long a job is without a node that runs it when that is killed.

use mapring_client::Client;
use tokio::time::Instant;

use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Tool, median};

use super::run::{GROUP, endless, running, start, until};

/// What was aimed at, in seconds.
const AIM: f64 = 6.0;

/// Nodes of the cluster.
const NODES: usize = 3;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut nodes = Nodes::start(tool, NODES).await?;
    let mut took = Vec::new();
    for number in 0..plan.jobs.kills {
        let victim = usize::try_from(number)? % NODES;
        took.push(kill(&mut nodes, victim).await?);
        nodes.get(victim)?.start().await?;
        nodes.wait_shared().await?;
    }
    nodes.stop().await?;
    let longest = took.iter().copied().fold(0.0, f64::max);
    let what = "from kill -9 of the node that runs a job until another one runs it, 3 nodes";
    Ok(vec![
        Row::new(GROUP, what, median(took.iter().copied()), "s")
            .target(format!("< {} s", digits(AIM)), longest < AIM)
            .clock(format!("{} s at most of {}", digits(longest), took.len())),
    ])
}

/// Kills a node while it runs a job; how long it took until another one ran it.
async fn kill(nodes: &mut Nodes, victim: usize) -> Outcome<f64> {
    let owner = nodes.get(victim)?.client.clone();
    let other = nodes.get((victim + 1) % NODES)?.client.clone();
    let id = start(&owner, &endless(r#""rate":1000,"#)).await?;
    running(&owner, &id).await?;
    let began = Instant::now();
    nodes.get(victim)?.kill().await?;
    let took = taken(&other, &id, began).await?;
    other.remove_job(&id, true).await?;
    Ok(took)
}

async fn taken(client: &Client, id: &str, began: Instant) -> Outcome<f64> {
    until(client, id, |job| job["epoch"].as_u64() > Some(1)).await?;
    // What is shown right after may be what was stored before: its events are its own.
    let mut events = client.job_events(id, Some("2-0")).await?;
    while let Some(event) = events.next().await? {
        if event.data["state"] == "running" {
            return Ok(began.elapsed().as_secs_f64());
        }
    }
    Err("a job ends that goes on for ever".into())
}
