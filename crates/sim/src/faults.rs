//! When what breaks: a schedule from the seed.

use std::time::Duration;

use mapring_types::{Entropy, NodeId};

use crate::limits;
use crate::partitions::{Cut, Storm};
use crate::random::Random;

/// One change for the worse or the better. Nodes are named by their seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Crash(NodeId),
    /// In the midst of its next write.
    CrashWriting(NodeId),
    Restart(NodeId),
    /// It stands still.
    Pause(NodeId),
    Resume(NodeId),
    Cut(Vec<Cut>),
    Mend(Vec<Cut>),
    StormBegins(Storm),
    StormEnds(Storm),
    /// What its disk holds is copied.
    Copy(NodeId),
    /// It crashes, and the copy is put in place of what its disk holds.
    PutBack(NodeId),
    /// Its disk cannot be read any more.
    Refuse(NodeId),
    Read(NodeId),
    /// Some nodes at once are told to fill themselves again: until then they refuse to be read.
    Repair(Vec<NodeId>),
    /// By then they have, most of the time.
    Repaired(Vec<NodeId>),
    /// Its clock is set: so many microseconds are added.
    Clock(NodeId, i64),
}

impl Event {
    /// Whether something breaks.
    pub(crate) fn is_a_fault(&self) -> bool {
        match self {
            Self::Crash(_) | Self::CrashWriting(_) | Self::PutBack(_) | Self::Pause(_) => true,
            Self::Cut(_) | Self::StormBegins(_) | Self::Refuse(_) | Self::Repair(_) => true,
            Self::Restart(_) | Self::Resume(_) | Self::Mend(_) | Self::StormEnds(_) => false,
            Self::Read(_) | Self::Repaired(_) | Self::Copy(_) | Self::Clock(..) => false,
        }
    }
}

/// What happens when, after the clients have begun.
pub(crate) type Schedule = Vec<(Duration, Event)>;

/// How faults follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spacing {
    /// With time to get over each.
    OneByOne,
    /// Each shortly after the one before.
    InRow,
    /// At any time.
    Overlapping,
    /// All nodes crash at once, beside something else.
    AllAtOnce,
}

/// A schedule: all is mended before the clients end.
pub(crate) fn schedule(random: &Random, nodes: &[NodeId], bad_clocks: bool) -> Schedule {
    use Spacing::{AllAtOnce, InRow, OneByOne, Overlapping};
    let spacings =
        [OneByOne, OneByOne, OneByOne, InRow, InRow, Overlapping, Overlapping, AllAtOnce];
    let spacing = random.choose(&spacings).copied().unwrap_or(OneByOne);
    let mut events = Schedule::new();
    let mut add = |at: u64, event| events.push((Duration::from_millis(at), event));
    for (from, to) in spans(random, spacing) {
        let (begin, end) = fault(random, nodes);
        if let Event::PutBack(node) = begin {
            add(random.within(0..from), Event::Copy(node));
        }
        add(from, begin);
        add(to, end);
    }
    if spacing == AllAtOnce {
        let at = random.within(2_000..latest() / 2);
        let copies = random.per_mille(500);
        for &node in nodes {
            // Of some, or of all, an older copy is put back.
            if copies && random.per_mille(700) {
                add(random.within(0..at), Event::Copy(node));
                add(at, Event::PutBack(node));
            } else {
                add(at, Event::Crash(node));
            }
            add(at + random.within(limits::FAULT_MS), Event::Restart(node));
        }
    }
    for _ in 0..random.below(3) {
        let from = random.within(1_000..latest() - limits::FAULT_MS.end);
        let (begin, end) = refusal(random, nodes);
        add(from, begin);
        add(from + random.within(limits::FAULT_MS), end);
    }
    for _ in 0..if bad_clocks { random.within(1..5) } else { 0 } {
        let node = random.choose(nodes).copied().unwrap_or_default();
        let most = i64::try_from(limits::WIDE_SKEW_MICROS).unwrap_or(0);
        let by = i64::try_from(random.below(2 * limits::WIDE_SKEW_MICROS)).unwrap_or(0) - most;
        add(random.within(0..latest()), Event::Clock(node, by));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// When the last fault has ended, in milliseconds.
fn latest() -> u64 {
    u64::try_from(limits::WORK.as_millis()).unwrap_or(0) - limits::LAST_WORDS_MS
}

/// From when to when faults last, in milliseconds.
fn spans(random: &Random, spacing: Spacing) -> Vec<(u64, u64)> {
    let number = match spacing {
        Spacing::OneByOne => 2,
        Spacing::InRow | Spacing::Overlapping => 2 + random.below(3),
        Spacing::AllAtOnce => random.below(2),
    };
    let mut free = 1_000;
    let span = |_| {
        let from = match spacing {
            Spacing::Overlapping | Spacing::AllAtOnce => random.within(1_000..latest() / 2),
            Spacing::OneByOne | Spacing::InRow => free + random.within(200..2_000),
        };
        let to = from + random.within(limits::FAULT_MS);
        free = to + if spacing == Spacing::OneByOne { limits::RECOVERY_MS } else { 0 };
        (from, to)
    };
    let spans: Vec<(u64, u64)> = (0..number).map(span).collect();
    spans.into_iter().filter(|(_, to)| *to < latest()).collect()
}

/// How a fault begins and ends.
fn fault(random: &Random, nodes: &[NodeId]) -> (Event, Event) {
    let node = random.choose(nodes).copied().unwrap_or_default();
    match random.below(100) {
        0..15 => (Event::Crash(node), Event::Restart(node)),
        15..25 => (Event::PutBack(node), Event::Restart(node)),
        25..35 => (Event::CrashWriting(node), Event::Restart(node)),
        35..65 => (Event::Pause(node), Event::Resume(node)),
        65..90 => cut_of(random, node, nodes),
        _ => {
            let (lost, late) = (random.below(30), random.below(300));
            let storm = Storm { lost, late, late_ms: random.within(100..3_000) };
            (Event::StormBegins(storm), Event::StormEnds(storm))
        }
    }
}

/// How it begins and ends that nodes refuse to be read.
fn refusal(random: &Random, nodes: &[NodeId]) -> (Event, Event) {
    let node = random.choose(nodes).copied().unwrap_or_default();
    match random.below(3) {
        0 => (Event::Refuse(node), Event::Read(node)),
        1 => (Event::Repair(vec![node]), Event::Repaired(vec![node])),
        _ => (Event::Repair(nodes.to_vec()), Event::Repaired(nodes.to_vec())),
    }
}

/// A node is cut off from all others, or from one.
fn cut_of(random: &Random, one: NodeId, nodes: &[NodeId]) -> (Event, Event) {
    let (silent, one_way) = (random.per_mille(500), random.per_mille(150));
    let others = nodes.iter().filter(|other| **other != one);
    let mut cuts: Vec<Cut> = others.map(|&other| Cut { one, other, silent, one_way }).collect();
    if random.per_mille(250) {
        cuts.truncate(1);
    }
    (Event::Cut(cuts.clone()), Event::Mend(cuts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_an_end_and_every_kind_happens() {
        let nodes = [1, 2, 3].map(NodeId);
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let events = schedule(&Random::new(seed), &nodes, seed % 2 == 0);
            let count = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(&e.1)).count();
            let pairs = [
                (
                    count(|e| {
                        matches!(e, Event::Crash(_) | Event::CrashWriting(_) | Event::PutBack(_))
                    }),
                    count(|e| matches!(e, Event::Restart(_))),
                ),
                (count(|e| matches!(e, Event::Copy(_))), count(|e| matches!(e, Event::PutBack(_)))),
                (count(|e| matches!(e, Event::Pause(_))), count(|e| matches!(e, Event::Resume(_)))),
                (count(|e| matches!(e, Event::Cut(_))), count(|e| matches!(e, Event::Mend(_)))),
                (count(|e| matches!(e, Event::Refuse(_))), count(|e| matches!(e, Event::Read(_)))),
                (
                    count(|e| matches!(e, Event::Repair(_))),
                    count(|e| matches!(e, Event::Repaired(_))),
                ),
                (
                    count(|e| matches!(e, Event::StormBegins(_))),
                    count(|e| matches!(e, Event::StormEnds(_))),
                ),
            ];
            assert!(pairs.iter().all(|(begun, ended)| begun == ended), "seed {seed}: {events:?}");
            assert!(events.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            assert!(events.iter().all(|(at, _)| *at < limits::WORK), "seed {seed}: {events:?}");
            kinds.extend(
                events
                    .iter()
                    .map(|(_, event)| std::mem::discriminant(event))
                    .map(|kind| format!("{kind:?}")),
            );
        }
        assert_eq!(kinds.len(), 16);
    }
}
