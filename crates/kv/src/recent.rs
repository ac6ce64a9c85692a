//! What a node did lately: writes, so that a repeated request is not stored twice, and tombstones that
//! it reaped, so that nothing brings back what they had replaced.

use std::collections::{HashMap, VecDeque};

use mapring_ring::Partition;
use mapring_types::{Dot, ObjectId, VersionVector};
use tokio::time::Instant;

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

/// The clocks of the latest tombstones reaped here.
#[derive(Default)]
pub(crate) struct Reaped {
    clocks: HashMap<(Partition, ObjectId), (VersionVector, Instant)>,
    order: VecDeque<((Partition, ObjectId), Instant)>,
}

impl Reaped {
    pub(crate) fn remember(&mut self, object: (Partition, ObjectId), clock: VersionVector) {
        let now = Instant::now();
        let old = |at: &Instant| now.duration_since(*at) > limits::REAPED_AGE;
        while self.order.len() >= limits::REAPED
            || self.order.front().is_some_and(|(_, at)| old(at))
        {
            let Some((object, at)) = self.order.pop_front() else { break };
            if self.clocks.get(&object).is_some_and(|(_, last)| *last == at) {
                self.clocks.remove(&object);
            }
        }
        self.order.push_back((object.clone(), now));
        self.clocks.insert(object, (clock, now));
    }

    /// The clock of an object's tombstone that was reaped.
    pub(crate) fn clock(&self, vnode: Partition, id: &ObjectId) -> Option<VersionVector> {
        if self.clocks.is_empty() {
            return None;
        }
        self.clocks.get(&(vnode, id.clone())).map(|(clock, _)| clock.clone())
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::{ActorId, BucketId};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_reaped_tombstone_replaced_is_remembered_for_a_while() {
        let id = |key: &'static str| ObjectId::new(BucketId::untyped("b"), key);
        let clock = |counter| {
            let mut clock = VersionVector::new();
            clock.add(Dot { actor: ActorId(1), counter });
            clock
        };
        let mut reaped = Reaped::default();
        reaped.remember((Partition(1), id("k")), clock(5));
        assert_eq!(reaped.clock(Partition(1), &id("k")), Some(clock(5)));
        assert_eq!(reaped.clock(Partition(2), &id("k")), None);
        // Reaped once more, so that the first time does not end the memory of the second.
        tokio::time::advance(limits::REAPED_AGE).await;
        reaped.remember((Partition(1), id("k")), clock(9));
        tokio::time::advance(limits::REAPED_AGE / 2).await;
        reaped.remember((Partition(1), id("other")), clock(1));
        assert_eq!(reaped.clock(Partition(1), &id("k")), Some(clock(9)));
        tokio::time::advance(limits::REAPED_AGE).await;
        reaped.remember((Partition(1), id("third")), clock(1));
        assert_eq!(reaped.clock(Partition(1), &id("k")), None, "too long ago");
        assert_eq!((reaped.clocks.len(), reaped.order.len()), (2, 2));
    }
}
