//! How much waits and is under way: never more than its bound, and nothing in the end (I6).

use std::sync::Arc;

use mapring_kv::{Backlog, limits as kv_limits};
use mapring_mapred::limits as mapred_limits;
use mapring_types::BucketId;
use tokio::time::{Instant, sleep};

use crate::buckets::{DATATYPES, NUMBERS, POINTERS, SHARED};
use crate::node::{Host, Life};
use crate::replicas::strangers;
use crate::world::World;
use crate::{job_checks, limits};

/// Something that can be counted at a node: its name, how much there is, and how much there may be.
type Size = (&'static str, u64, u64);

/// Looks until the end.
pub(crate) async fn look(world: &World, end: Instant) {
    while Instant::now() < end {
        sleep(limits::SIZE_TICK).await;
        for life in lives(world) {
            for (what, size, most) in sizes(world, &life) {
                if size > most {
                    let node = life.name();
                    world.trace.violation(format!("I6: {size} {what} at {node}, above {most}"));
                }
            }
        }
    }
}

fn sizes(world: &World, life: &Life) -> Vec<Size> {
    let (mapred, kv) = (&life.mapred, &life.kv);
    let Backlog { tail_units, repairs, reaps } = kv.backlog();
    let stale = kv.stale_replicas();
    let units_at_once = world.shape.units_at_once as u64;
    let jobs = world.shape.jobs.map_or(0, |jobs| jobs.concurrent);
    let queries = (world.shape.concurrent_queries + jobs) as u64;
    vec![
        ("queries run", mapred.queries_running(), queries),
        ("queries wait", mapred.queries_waiting(), mapred_limits::WAITING_QUERIES as u64),
        ("lanes are open", mapred.lanes(), mapred_limits::LANES as u64),
        ("units are in flight", mapred.units_in_flight(), mapred.lanes() * units_at_once),
        ("units of requests after their answers", tail_units as u64, kv_limits::TAIL_UNITS as u64),
        ("writes have not settled", stale.unsettled as u64, kv_limits::TAIL_UNITS as u64),
        (
            "writes of others are in flight",
            stale.in_flight as u64,
            kv_limits::IN_FLIGHT_WRITES as u64,
        ),
        ("read repairs are under way", repairs as u64, kv_limits::REPAIRS as u64),
        ("tombstones wait", reaps as u64, kv_limits::REAPS as u64),
    ]
}

/// Waits until nothing is under way any more, no node keeps anything for another, and all know so.
pub(crate) async fn come_to_rest(world: &World) {
    let ends = Instant::now() + limits::REST;
    loop {
        sleep(limits::REST_TICK).await;
        let left = left_over(world);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= ends {
            for what in left {
                world.trace.violation(format!("no rest after {:?}: {what}", limits::REST));
            }
            return;
        }
    }
}

/// What is not at rest.
fn left_over(world: &World) -> Vec<String> {
    let mut left = Vec::new();
    for host in world.hosts() {
        if host.cluster.is_behind() {
            left.push(format!("{} does not know all that is decided", host.name()));
        }
        let buckets = [NUMBERS, SHARED, POINTERS, DATATYPES];
        let buckets = buckets.map(|name| BucketId::untyped(name.to_owned()));
        let buckets: Vec<_> = buckets.into_iter().chain(job_checks::buckets(world)).collect();
        let kept = strangers(host, &buckets).unwrap_or_default();
        if !kept.is_empty() {
            left.push(format!("{} keeps {} objects for others", host.name(), kept.len()));
        }
    }
    for life in lives(world) {
        let (node, stale) = (life.name(), life.kv.stale_replicas());
        if !stale.held.is_empty() || !stale.unheard.is_empty() {
            left.push(format!("{node} takes replicas for stale: {stale:?}"));
        }
        let view = life.kv.cluster().view();
        if view.state.members.get(&life.node).is_some_and(|member| member.incomplete) {
            left.push(format!("{node} has not filled itself again"));
        }
        for (what, size, _) in sizes(world, &life) {
            if size > 0 {
                left.push(format!("{size} {what} at {node}"));
            }
        }
    }
    left
}

fn lives(world: &World) -> impl Iterator<Item = Arc<Life>> + '_ {
    world.hosts().filter_map(Host::life)
}
