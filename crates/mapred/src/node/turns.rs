//! How much of a node's memory the units of work have at once.
//!
//! A unit takes a turn for the objects that it reads and the results that it makes of them, and
//! gives it up when the coordinator has taken those. A coordinator takes nothing while its client
//! takes nothing, so turns may be held for long. Each lane has one of its own: whatever others hold,
//! it goes on. More come from a store that all lanes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_types::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits;

/// What all lanes of a node share.
pub(crate) struct NodeTurns {
    turns: Arc<Semaphore>,
    reads: Semaphore,
}

impl Default for NodeTurns {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(limits::TURNS));
        Self { turns, reads: Semaphore::new(limits::READS) }
    }
}

impl NodeTurns {
    /// Waits until the store may be read.
    pub(super) async fn read(&self) -> Result<SemaphorePermit<'_>> {
        self.reads.acquire().await.map_err(|_| closed())
    }
}

/// The turns of one lane.
pub(super) struct LaneTurns {
    own: Arc<Semaphore>,
    shared: Arc<Semaphore>,
    /// Whether objects or results are so large that one unit is enough at a time.
    large: AtomicBool,
}

impl LaneTurns {
    pub(super) fn new(node: &NodeTurns) -> Self {
        let (own, shared) = (Arc::new(Semaphore::new(1)), node.turns.clone());
        Self { own, shared, large: AtomicBool::new(false) }
    }

    /// Waits for a turn. It ends when it is dropped.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit> {
        let own = self.own.clone().acquire_owned();
        let turn = if self.large.load(Ordering::Relaxed) {
            own.await
        } else {
            tokio::select! {
                biased;
                turn = own => turn,
                turn = self.shared.clone().acquire_owned() => turn,
            }
        };
        turn.map_err(|_| closed())
    }

    /// Takes note of what a turn has in memory.
    pub(super) fn holds(&self, bytes: usize) {
        self.large.store(bytes > limits::TURN_BYTES, Ordering::Relaxed);
    }
}

fn closed() -> Error {
    Error::internal("the semaphore of turns is closed")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn every_lane_has_a_turn_whatever_others_hold() {
        let node = NodeTurns::default();
        let greedy = LaneTurns::new(&node);
        let mut held = Vec::new();
        while let Some(turn) = greedy.take().now_or_never() {
            held.push(turn.unwrap());
        }
        assert_eq!(held.len(), limits::TURNS + 1);
        let other = LaneTurns::new(&node);
        let own = other.take().now_or_never();
        assert!(own.is_some() && other.take().now_or_never().is_none());
        drop(held);
        assert!(other.take().now_or_never().is_some());
    }

    #[test]
    fn large_objects_come_one_at_a_time() {
        let node = NodeTurns::default();
        let turns = LaneTurns::new(&node);
        turns.holds(limits::TURN_BYTES + 1);
        let first = turns.take().now_or_never();
        assert!(first.is_some() && turns.take().now_or_never().is_none());
        turns.holds(1);
        assert!(turns.take().now_or_never().is_some());
    }
}
