//! When the checkpoints of a job are made, and where they go.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use mapring_types::Result as KvResult;
use tokio::time::Instant;

use crate::job::{Checkpoint, Checkpoints};

/// See the module.
pub(super) struct Saving {
    sink: Arc<dyn Checkpoints>,
    /// The time from one to the next, at least.
    pub(super) slice: Duration,
    pub(super) next: Instant,
    /// How many pages had been accepted at the last one.
    pub(super) pages: u64,
    pub(super) under_way: Option<BoxFuture<'static, KvResult<()>>>,
}

impl Saving {
    pub(super) fn new(sink: Arc<dyn Checkpoints>, slice: Duration) -> Self {
        Self { sink, slice, next: Instant::now() + slice, pages: 0, under_way: None }
    }

    /// When the next one may be due.
    pub(super) fn wake(&self) -> Option<Instant> {
        Some(self.next).filter(|_| self.under_way.is_none())
    }

    pub(super) fn begin(&mut self, checkpoint: Checkpoint) {
        let sink = self.sink.clone();
        self.under_way = Some(Box::pin(async move { sink.save(checkpoint).await }));
    }

    /// Waits until the one under way is kept.
    pub(super) async fn saved(saving: &mut Option<Self>) -> KvResult<()> {
        match saving.as_mut().and_then(|saving| saving.under_way.as_mut()) {
            Some(under_way) => under_way.await,
            None => std::future::pending().await,
        }
    }
}
