//! How much waits and is under way: never more than its bound, and nothing in the end (I6).

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::limits;
use crate::node::{Host, Life};
use crate::replicas::strangers;
use crate::sharers::SHARED;
use crate::world::World;
use crate::writers::{NUMBERS, POINTERS};

/// Looks until the end.
pub(crate) async fn look(world: &World, end: Instant) {
    while Instant::now() < end {
        sleep(limits::SIZE_TICK).await;
        for life in lives(world) {
            let running = life.mapred.queries_running();
            let most = world.shape.concurrent_queries as u64;
            if running > most {
                let node = life.name();
                let fault = format!("I6: {running} queries run at {node}, more than {most}");
                world.trace.violation(fault);
            }
        }
    }
}

/// Waits until nothing is under way any more and no node keeps anything for another.
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
    for host in &world.hosts {
        let kept = strangers(host, &[NUMBERS, SHARED, POINTERS]).unwrap_or_default();
        if !kept.is_empty() {
            left.push(format!("{} keeps {} objects for others", host.name(), kept.len()));
        }
    }
    for life in lives(world) {
        for (what, number) in [
            ("queries run", life.mapred.queries_running()),
            ("units are in flight", life.mapred.units_in_flight()),
        ] {
            if number > 0 {
                left.push(format!("{number} {what} at {}", life.name()));
            }
        }
    }
    left
}

fn lives(world: &World) -> impl Iterator<Item = Arc<Life>> + '_ {
    world.hosts.iter().filter_map(Host::life)
}
