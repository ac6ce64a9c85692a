//! Queries take turns: at most so many are coordinated at once, the others wait in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;
use crate::limits;
use crate::metered::Counted;

/// Lets queries in.
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicU64>,
}

impl Admission {
    /// For at most `places` queries at once, at least one.
    pub(crate) fn new(places: usize) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), waiting: Arc::default() }
    }

    /// How many wait for a place.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a place, first come, first served.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if self.waiting.load(Ordering::Relaxed) >= limits::WAITING_QUERIES as u64 {
            return Err(Failure::query("this node has too many queries waiting"));
        }
        let _counted = Counted::new(&self.waiting, "mapring_queries_waiting");
        let place = self.places.clone().acquire_owned().await;
        place.map_err(|_| Failure::query("this node is stopping"))
    }
}
