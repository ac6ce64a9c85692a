//! When what breaks: a schedule from the seed, with at least one crash and one partition.

use std::time::Duration;

use mapring_types::{Entropy, NodeId};
use tokio::time::{Instant, sleep_until};

use crate::limits;
use crate::random::Random;
use crate::weather::Cut;
use crate::world::World;

/// One change for the worse or the better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Crash(NodeId),
    Restart(NodeId),
    Cut(Vec<Cut>),
    Mend(Vec<Cut>),
}

/// What happens when, after the clients have begun; all is mended before they end.
pub(crate) fn schedule(random: &Random, nodes: &[NodeId]) -> Vec<(Duration, Event)> {
    let mut crash = random.per_mille(500);
    // Mostly one thing after the other; sometimes whatever comes.
    let overlapping = random.per_mille(250);
    let latest = u64::try_from(limits::WORK.as_millis()).unwrap_or(0).saturating_sub(2_000);
    let mut events = Vec::new();
    let mut free = 2_000;
    for number in 0..2 + random.below(3) {
        let from = if overlapping {
            random.within(2_000..latest)
        } else {
            free + random.within(200..4_000)
        };
        // The first two have room in any case.
        let longest = if number < 2 { latest / 2 - 4_000 } else { latest };
        let length = random.within(limits::FAULT_MS).min(longest);
        let to = (from + length).min(latest);
        free = to;
        if number >= 2 && from >= to {
            break;
        }
        let (begin, end) = if crash { crash_of(random, nodes) } else { cut_of(random, nodes) };
        events.push((Duration::from_millis(from), begin));
        events.push((Duration::from_millis(to), end));
        crash = if number == 0 { !crash } else { random.per_mille(500) };
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

fn crash_of(random: &Random, nodes: &[NodeId]) -> (Event, Event) {
    let node = random.choose(nodes).copied().unwrap_or_default();
    (Event::Crash(node), Event::Restart(node))
}

/// A node is cut off from all others, or from one.
fn cut_of(random: &Random, nodes: &[NodeId]) -> (Event, Event) {
    let one = random.choose(nodes).copied().unwrap_or_default();
    let silent = random.per_mille(500);
    let others = nodes.iter().filter(|other| **other != one);
    let mut cuts: Vec<Cut> = others.map(|&other| Cut { one, other, silent }).collect();
    if random.per_mille(250) {
        cuts.truncate(1);
    }
    (Event::Cut(cuts.clone()), Event::Mend(cuts))
}

/// Lets the schedule happen, and then mends what is left.
pub(crate) async fn run(
    world: &World,
    schedule: Vec<(Duration, Event)>,
) -> mapring_types::Result<()> {
    let start = Instant::now();
    for (after, event) in schedule {
        sleep_until(start + after).await;
        world.suffer(event).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_has_a_crash_and_a_partition_and_an_end() {
        let nodes = [1, 2, 3].map(NodeId);
        for seed in 0..500 {
            let events = schedule(&Random::new(seed), &nodes);
            let count = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(&e.1)).count();
            let crashes = count(|event| matches!(event, Event::Crash(_)));
            let cuts = count(|event| matches!(event, Event::Cut(_)));
            assert!(crashes > 0 && cuts > 0, "seed {seed}: {events:?}");
            assert_eq!(count(|event| matches!(event, Event::Restart(_))), crashes);
            assert_eq!(count(|event| matches!(event, Event::Mend(_))), cuts);
            assert!(events.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            assert!(events.iter().all(|(at, _)| *at < limits::WORK), "seed {seed}: {events:?}");
        }
    }
}
