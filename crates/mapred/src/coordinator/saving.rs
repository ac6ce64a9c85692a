//! When the checkpoints of a job are made, and where they go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use mapring_script::QueryTag;
use mapring_types::Result as KvResult;
use tokio::time::Instant;

use super::naming::Naming;
use crate::job::{Checkpoint, Checkpoints};
use crate::saved::NamedPairs;

/// See the module.
pub(super) struct Saving {
    sink: Arc<dyn Checkpoints>,
    naming: Arc<Naming>,
    /// The time from one to the next, at least.
    pub(super) slice: Duration,
    pub(super) next: Instant,
    /// How many pages had been accepted at the last one.
    pub(super) pages: u64,
    pub(super) under_way: Option<BoxFuture<'static, KvResult<()>>>,
}

impl Saving {
    pub(super) fn new(sink: Arc<dyn Checkpoints>, naming: Naming, slice: Duration) -> Self {
        let (naming, next) = (Arc::new(naming), Instant::now() + slice);
        Self { sink, naming, slice, next, pages: 0, under_way: None }
    }

    /// When the next one may be due.
    pub(super) fn wake(&self) -> Option<Instant> {
        Some(self.next).filter(|_| self.under_way.is_none())
    }

    /// Begins to keep a checkpoint that names these pairs: they are saved before.
    pub(super) fn begin(&mut self, checkpoint: Checkpoint, named: BTreeMap<QueryTag, NamedPairs>) {
        let (sink, naming) = (self.sink.clone(), self.naming.clone());
        self.under_way = Some(Box::pin(async move {
            naming.save(named).await;
            sink.save(checkpoint).await
        }));
    }

    /// Waits until the one under way is kept.
    pub(super) async fn saved(saving: &mut Option<Self>) -> KvResult<()> {
        match saving.as_mut().and_then(|saving| saving.under_way.as_mut()) {
            Some(under_way) => under_way.await,
            None => std::future::pending().await,
        }
    }
}
