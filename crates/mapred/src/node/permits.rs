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
    /// The same, of jobs.
    job_permits: Arc<Semaphore>,
    reads: Semaphore,
    /// Of jobs, which need one of each: others always find some.
    job_reads: Semaphore,
}

/// A permit to read the store. It ends when it is dropped.
pub(super) struct ReadPermit<'p> {
    _job: Option<SemaphorePermit<'p>>,
    _read: SemaphorePermit<'p>,
}

impl Default for NodePermits {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits::UNIT_PERMITS)),
            job_permits: Arc::new(Semaphore::new(limits::JOB_PERMITS)),
            reads: Semaphore::new(limits::READS),
            job_reads: Semaphore::new(limits::JOB_READS),
        }
    }
}

impl NodePermits {
    /// Waits until the store may be read, for a job or not.
    pub(super) async fn read(&self, for_job: bool) -> Result<ReadPermit<'_>> {
        let _job = match for_job {
            true => Some(self.job_reads.acquire().await.map_err(|_| closed())?),
            false => None,
        };
        let _read = self.reads.acquire().await.map_err(|_| closed())?;
        Ok(ReadPermit { _job, _read })
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
    /// Of a lane, perhaps one of a job.
    pub(super) fn new(node: &NodePermits, of_job: bool) -> Self {
        let shared = if of_job { &node.job_permits } else { &node.permits };
        let (own, shared) = (Arc::new(Semaphore::new(1)), shared.clone());
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
        let greedy = LanePermits::new(&node, false);
        let mut held = Vec::new();
        while let Some(permit) = greedy.acquire().now_or_never() {
            held.push(permit.unwrap());
        }
        assert_eq!(held.len(), limits::UNIT_PERMITS + 1);
        let other = LanePermits::new(&node, false);
        let own = other.acquire().now_or_never();
        assert!(own.is_some() && other.acquire().now_or_never().is_none());
        drop(held);
        assert!(other.acquire().now_or_never().is_some());
    }

    #[test]
    fn jobs_leave_others_their_permits() {
        let node = NodePermits::default();
        let job = LanePermits::new(&node, true);
        let mut held = Vec::new();
        while let Some(permit) = job.acquire().now_or_never() {
            held.push(permit.unwrap());
        }
        assert_eq!(held.len(), limits::JOB_PERMITS + 1);
        let mut reads = Vec::new();
        while let Some(read) = node.read(true).now_or_never() {
            reads.push(read.unwrap());
        }
        assert_eq!(reads.len(), limits::JOB_READS);
        assert!(node.read(false).now_or_never().is_some());
        let other = LanePermits::new(&node, false);
        let both = (other.acquire().now_or_never(), other.acquire().now_or_never());
        assert!(both.0.is_some() && both.1.is_some());
    }

    #[test]
    fn large_objects_come_one_at_a_time() {
        let node = NodePermits::default();
        let permits = LanePermits::new(&node, false);
        permits.holds(limits::PERMIT_BYTES + 1);
        let first = permits.acquire().now_or_never();
        assert!(first.is_some() && permits.acquire().now_or_never().is_none());
        permits.holds(1);
        assert!(permits.acquire().now_or_never().is_some());
    }
}
