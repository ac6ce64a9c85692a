//! How much of a node's memory the units of work have at once.
//!
//! A unit takes a permit for the objects that it reads and the results that it makes of them, and
//! gives it up when the coordinator has taken those. A coordinator takes nothing while its client
//! takes nothing, so permits may be held for long. Each lane has one of its own: whatever others hold,
//! it goes on. More come from a store that all lanes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_types::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits;

/// What all lanes of a node share.
pub(crate) struct NodePermits {
    permits: Arc<Semaphore>,
    reads: Semaphore,
}

impl Default for NodePermits {
    fn default() -> Self {
        let permits = Arc::new(Semaphore::new(limits::UNIT_PERMITS));
        Self { permits, reads: Semaphore::new(limits::READS) }
    }
}

impl NodePermits {
    /// Waits until the store may be read.
    pub(super) async fn read(&self) -> Result<SemaphorePermit<'_>> {
        self.reads.acquire().await.map_err(|_| closed())
    }
}

/// The permits of one lane.
pub(super) struct LanePermits {
    own: Arc<Semaphore>,
    shared: Arc<Semaphore>,
    /// Whether objects or results are so large that one unit is enough at a time.
    large: AtomicBool,
}

impl LanePermits {
    pub(super) fn new(node: &NodePermits) -> Self {
        let (own, shared) = (Arc::new(Semaphore::new(1)), node.permits.clone());
        Self { own, shared, large: AtomicBool::new(false) }
    }

    /// Waits for a permit. It ends when it is dropped.
    pub(super) async fn acquire(&self) -> Result<OwnedSemaphorePermit> {
        let own = self.own.clone().acquire_owned();
        let permit = if self.large.load(Ordering::Relaxed) {
            own.await
        } else {
            tokio::select! {
                biased;
                permit = own => permit,
                permit = self.shared.clone().acquire_owned() => permit,
            }
        };
        permit.map_err(|_| closed())
    }

    /// Takes note of what a permit has in memory.
    pub(super) fn holds(&self, bytes: usize) {
        self.large.store(bytes > limits::PERMIT_BYTES, Ordering::Relaxed);
    }
}

fn closed() -> Error {
    Error::internal("the semaphore of permits is closed")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn every_lane_has_a_turn_whatever_others_hold() {
        let node = NodePermits::default();
        let greedy = LanePermits::new(&node);
        let mut held = Vec::new();
        while let Some(permit) = greedy.acquire().now_or_never() {
            held.push(permit.unwrap());
        }
        assert_eq!(held.len(), limits::UNIT_PERMITS + 1);
        let other = LanePermits::new(&node);
        let own = other.acquire().now_or_never();
        assert!(own.is_some() && other.acquire().now_or_never().is_none());
        drop(held);
        assert!(other.acquire().now_or_never().is_some());
    }

    #[test]
    fn large_objects_come_one_at_a_time() {
        let node = NodePermits::default();
        let permits = LanePermits::new(&node);
        permits.holds(limits::PERMIT_BYTES + 1);
        let first = permits.acquire().now_or_never();
        assert!(first.is_some() && permits.acquire().now_or_never().is_none());
        permits.holds(1);
        assert!(permits.acquire().now_or_never().is_some());
    }
}
