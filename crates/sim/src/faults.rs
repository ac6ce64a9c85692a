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

/// What happens when, after the clients have begun; all is mended before they end. A calm schedule
/// has one crash and one partition, with time to get over the first before the second; a harsh one
/// has up to four faults, one upon the other or even at once.
pub(crate) fn schedule(random: &Random, nodes: &[NodeId], harsh: bool) -> Vec<(Duration, Event)> {
    let crash_first = random.per_mille(500);
    let spans = if harsh { harsh_spans(random) } else { calm_spans(random) };
    let mut events = Vec::new();
    for (number, (from, to)) in spans.into_iter().enumerate() {
        let crash = if number < 2 { crash_first == (number == 0) } else { random.per_mille(500) };
        let (begin, end) = if crash { crash_of(random, nodes) } else { cut_of(random, nodes) };
        events.push((Duration::from_millis(from), begin));
        events.push((Duration::from_millis(to), end));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// From when to when, in milliseconds.
fn calm_spans(random: &Random) -> Vec<(u64, u64)> {
    let mut free = 3_000;
    let span = |_| {
        let from = free + random.within(0..2_000);
        let to = from + random.within(limits::FAULT_MS);
        free = to + limits::RECOVERY_MS;
        (from, to)
    };
    (0..2).map(span).collect()
}

fn harsh_spans(random: &Random) -> Vec<(u64, u64)> {
    let overlapping = random.per_mille(400);
    let latest = u64::try_from(limits::WORK.as_millis()).unwrap_or(0) - 1_000;
    let mut free = 1_000;
    let span = |_| {
        let from = if overlapping {
            random.within(1_000..latest / 2)
        } else {
            free + random.within(200..2_000)
        };
        let to = from + random.within(limits::FAULT_MS);
        free = to;
        (from, to)
    };
    let spans = (0..2 + random.below(3)).map(span);
    spans.filter(|(_, to)| *to < latest).collect()
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
            let events = schedule(&Random::new(seed), &nodes, seed % 2 == 0);
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
