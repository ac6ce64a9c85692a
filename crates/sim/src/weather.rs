//! What becomes of messages: links with their delays, losses and cuts.

use std::sync::Arc;
use std::time::Duration;

use mapring_net::simulated::{Fate, Weather};
use mapring_types::NodeId;
use parking_lot::Mutex;

use crate::random::Random;

/// The state of all links.
pub(crate) struct Sky {
    random: Random,
    /// Messages lost of a thousand.
    loss: u64,
    /// The usual delay of this cluster, in milliseconds.
    delay_ms: u64,
    cuts: Mutex<Vec<Cut>>,
}

/// A broken link, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) one: NodeId,
    pub(crate) other: NodeId,
    /// Whether messages vanish, or are refused.
    pub(crate) silent: bool,
}

impl Cut {
    fn concerns(&self, from: NodeId, to: NodeId) -> bool {
        (self.one, self.other) == (from, to) || (self.one, self.other) == (to, from)
    }
}

impl Sky {
    pub(crate) fn new(random: Random) -> Arc<Self> {
        let loss = if random.per_mille(500) { 0 } else { random.within(1..8) };
        let delay_ms = random.within(1..6);
        Arc::new(Self { random, loss, delay_ms, cuts: Mutex::default() })
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.cuts.lock().push(cut);
    }

    /// Mends a link as often as it was cut.
    pub(crate) fn mend(&self, cut: Cut) {
        let mut cuts = self.cuts.lock();
        if let Some(at) = cuts.iter().position(|known| *known == cut) {
            cuts.remove(at);
        }
    }

    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cuts.lock().iter().any(|cut| cut.concerns(from, to))
    }

    /// Whether all links are whole.
    pub(crate) fn is_clear(&self) -> bool {
        self.cuts.lock().is_empty()
    }

    fn fate(&self, from: NodeId, to: NodeId) -> Fate {
        if from == to {
            return Fate::Deliver(Duration::ZERO);
        }
        let cut = self.cuts.lock().iter().find(|cut| cut.concerns(from, to)).copied();
        if let Some(Cut { silent, .. }) = cut {
            return if silent { Fate::Lose } else { Fate::Refuse };
        }
        if self.random.per_mille(self.loss) {
            return Fate::Lose;
        }
        // Now and then something is very slow.
        let slow = if self.random.per_mille(10) { self.random.within(20..400) } else { 0 };
        let delay = self.random.within(self.delay_ms..3 * self.delay_ms + 1);
        Fate::Deliver(Duration::from_millis(delay + slow))
    }

    pub(crate) fn weather(self: &Arc<Self>) -> Weather {
        let sky = self.clone();
        Box::new(move |from, to| sky.fate(from, to))
    }
}
