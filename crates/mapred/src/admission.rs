//! Admission of queries: at most so many are coordinated at once, the others wait in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Failure, FailureKind};
use crate::limits;
use crate::metered::Counted;

/// Lets queries in, each with a permit.
pub(crate) struct Admission {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicU64>,
}

impl Admission {
    /// For at most `permits` queries at once, at least one.
    pub(crate) fn new(permits: usize) -> Self {
        let permits = permits.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), waiting: Arc::default() }
    }

    /// How many wait for a permit.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a permit, first come, first served.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if self.waiting.load(Ordering::Relaxed) >= limits::WAITING_QUERIES as u64 {
            return Err(Failure::new(
                FailureKind::Node(ErrorKind::Overloaded),
                "this node has too many queries waiting",
            ));
        }
        let _counted = Counted::new(&self.waiting, "mapring_mapred_queries_waiting");
        let permit = self.permits.clone().acquire_owned().await;
        permit.map_err(|_| Failure::broken_off("this node is stopping"))
    }
}
