//! What a node did lately: writes, so that a repeated request is not stored twice, and objects that it
//! left to others.

use std::collections::{HashMap, VecDeque};

use mapring_ring::Partition;
use mapring_types::{Dot, ObjectId};
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
        assert_eq!(self.dots.len(), self.order.len(), "writes that are never forgotten");
    }
}

/// The objects to which another node alone adds at present.
#[derive(Default)]
pub(crate) struct Left {
    since: HashMap<ObjectId, Instant>,
    order: VecDeque<(ObjectId, Instant)>,
}

impl Left {
    pub(crate) fn leave(&mut self, id: ObjectId) {
        let now = Instant::now();
        let over = |at: &Instant| now.duration_since(*at) >= limits::LEFT_FOR;
        while self.order.len() >= limits::LEFT_OBJECTS
            || self.order.front().is_some_and(|(_, at)| over(at))
        {
            let Some((id, at)) = self.order.pop_front() else { break };
            if self.since.get(&id).is_some_and(|last| *last == at) {
                self.since.remove(&id);
            }
        }
        self.order.push_back((id.clone(), now));
        self.since.insert(id, now);
        assert!(self.since.len() <= self.order.len(), "objects that are left for ever");
    }

    /// Whether an object is left to another node.
    pub(crate) fn is_left(&self, id: &ObjectId) -> bool {
        if self.since.is_empty() {
            return false;
        }
        self.since.get(id).is_some_and(|at| at.elapsed() < limits::LEFT_FOR)
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::BucketId;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn objects_are_left_to_others_for_a_while() {
        let id = |n: usize| ObjectId::new(BucketId::untyped("b"), format!("k{n}"));
        let mut left = Left::default();
        left.leave(id(1));
        assert!(left.is_left(&id(1)) && !left.is_left(&id(2)));
        tokio::time::advance(limits::LEFT_FOR / 2).await;
        left.leave(id(1));
        tokio::time::advance(limits::LEFT_FOR / 2).await;
        left.leave(id(2));
        assert!(left.is_left(&id(1)), "left again since");
        tokio::time::advance(limits::LEFT_FOR / 2).await;
        assert!(!left.is_left(&id(1)));
        (0..limits::LEFT_OBJECTS + 5).for_each(|n| left.leave(id(n)));
        assert_eq!(
            (left.since.len(), left.order.len()),
            (limits::LEFT_OBJECTS, limits::LEFT_OBJECTS)
        );
    }
}
