//! What a node wrote lately, so that a repeated request is not stored twice.

use std::collections::{HashMap, VecDeque};

use mapring_ring::Partition;
use mapring_types::Dot;

use crate::limits;

/// The dots of the latest writes by request.
#[derive(Default)]
pub(crate) struct Recent {
    dots: HashMap<(Partition, u64), Dot>,
    order: VecDeque<(Partition, u64)>,
}

impl Recent {
    /// The dot of a write, if it is remembered.
    pub(crate) fn dot(&self, write: (Partition, u64)) -> Option<Dot> {
        self.dots.get(&write).copied()
    }

    pub(crate) fn remember(&mut self, write: (Partition, u64), dot: Dot) {
        if self.order.len() >= limits::RECENT_WRITES
            && let Some(oldest) = self.order.pop_front()
        {
            self.dots.remove(&oldest);
        }
        if self.dots.insert(write, dot).is_none() {
            self.order.push_back(write);
        }
    }
}
