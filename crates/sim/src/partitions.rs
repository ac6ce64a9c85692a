//! What becomes of messages: links with their delays and losses, and network partitions.

use std::sync::Arc;
use std::time::Duration;

use mapring_net::simulated::{Fate, Weather};
use mapring_types::NodeId;
use parking_lot::Mutex;

use crate::node::seat;
use crate::random::Random;

/// The state of all links.
pub(crate) struct NetworkPartitions {
    random: Random,
    /// The usual delay of this cluster, in milliseconds.
    delay_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cuts: Vec<Cut>,
    storms: Vec<Storm>,
}

/// A broken link, by the seats of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) one: NodeId,
    pub(crate) other: NodeId,
    /// Whether messages vanish, or are refused.
    pub(crate) silent: bool,
    /// Whether messages still get from `one` to `other`.
    pub(crate) one_way: bool,
}

/// A time in which messages are lost and late, and overtake each other, on all links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storm {
    /// Messages lost of a thousand.
    pub(crate) lost: u64,
    /// Messages that are late, of a thousand, …
    pub(crate) late: u64,
    /// … by up to so many milliseconds.
    pub(crate) late_ms: u64,
}

impl Cut {
    fn concerns(&self, from: NodeId, to: NodeId) -> bool {
        let (from, to) = (seat(from), seat(to));
        let back = (self.other, self.one) == (from, to);
        back || (!self.one_way && (self.one, self.other) == (from, to))
    }
}

impl NetworkPartitions {
    pub(crate) fn new(random: Random, delay_ms: u64) -> Arc<Self> {
        Arc::new(Self { random, delay_ms, state: Mutex::default() })
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.state.lock().cuts.push(cut);
    }

    /// Mends a link as often as it was cut.
    pub(crate) fn mend(&self, cut: Cut) {
        take(&mut self.state.lock().cuts, &cut);
    }

    pub(crate) fn begin_storm(&self, storm: Storm) {
        self.state.lock().storms.push(storm);
    }

    pub(crate) fn end_storm(&self, storm: Storm) {
        take(&mut self.state.lock().storms, &storm);
    }

    /// Whether messages do not get from one node to another.
    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.state.lock().cuts.iter().any(|cut| cut.concerns(from, to))
    }

    /// Whether messages are lost and late.
    pub(crate) fn is_stormy(&self) -> bool {
        !self.state.lock().storms.is_empty()
    }

    fn fate(&self, from: NodeId, to: NodeId) -> Fate {
        if from == to {
            return Fate::Deliver(Duration::ZERO);
        }
        let state = self.state.lock();
        if let Some(Cut { silent, .. }) = state.cuts.iter().find(|cut| cut.concerns(from, to)) {
            return if *silent { Fate::Lose } else { Fate::Refuse };
        }
        // Now and then something is slow in the quietest of times.
        let quiet = Storm { lost: 0, late: 10, late_ms: 400 };
        let Storm { lost, late, late_ms } = state.storms.last().copied().unwrap_or(quiet);
        if self.random.per_mille(lost) {
            return Fate::Lose;
        }
        let late = if self.random.per_mille(late) { self.random.within(20..late_ms) } else { 0 };
        let delay = self.random.within(self.delay_ms..3 * self.delay_ms + 1);
        Fate::Deliver(Duration::from_millis(delay + late))
    }

    pub(crate) fn weather(self: &Arc<Self>) -> Weather {
        let partitions = self.clone();
        Box::new(move |from, to| partitions.fate(from, to))
    }
}

fn take<T: PartialEq>(all: &mut Vec<T>, one: &T) {
    if let Some(at) = all.iter().position(|known| known == one) {
        all.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_may_let_one_direction_through() {
        let partitions = NetworkPartitions::new(Random::new(1), 1);
        let (one, other) = (NodeId(1), NodeId(2));
        let cut = Cut { one, other, silent: true, one_way: true };
        partitions.cut(cut);
        assert!(!partitions.is_cut(one, other) && partitions.is_cut(other, one));
        assert_eq!(partitions.fate(other, one), Fate::Lose);
        partitions.cut(Cut { one_way: false, ..cut });
        assert!(partitions.is_cut(one, other));
        partitions.mend(cut);
        partitions.mend(Cut { one_way: false, ..cut });
        assert!(!partitions.is_cut(other, one));
    }
}
