//! Reading all home partitions of a bucket, page by page, each from one complete replica.
//!
//! Nothing is doubled that way; when a replica fails, its slice goes on from the last place on another.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;

use mapring_ring::{CoverageEntry, Partition};
use mapring_types::{Error, ErrorKind, NodeId, Result};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::limits;
use crate::scan::coverage::coverage;
use crate::staleness::state::Staleness;

/// Nodes that failed any reader of a walk: one that does not answer is waited for once, and
/// not once a partition.
pub(crate) type Avoided = Arc<Mutex<BTreeSet<NodeId>>>;

/// A place in the slice of a replica.
#[derive(Debug, Clone)]
pub(crate) struct At<P> {
    pub(crate) vnode: Partition,
    pub(crate) home: Partition,
    /// Strictly after this; `None` from the beginning.
    pub(crate) after: Option<P>,
}

/// What one page of a slice holds, and where to go on; `None` at the end.
pub(crate) type Fetched<T, P> = (Vec<T>, Option<P>);

/// Where the walk over one home partition stands: pages of `T`, between places `P`.
pub(crate) struct Reader<T, P> {
    staleness: Arc<Staleness>,
    n_val: u32,
    entry: CoverageEntry,
    after: Option<P>,
    pub(crate) ended: bool,
    /// What was fetched and not yet given out.
    pub(crate) items: VecDeque<T>,
    failed: BTreeSet<NodeId>,
    avoided: Avoided,
    /// Whether it has turned from an avoided node: tried once.
    has_left: bool,
    attempts: u32,
}

impl<T, P: Clone> Reader<T, P> {
    pub(crate) fn new(
        staleness: Arc<Staleness>,
        n_val: u32,
        entry: CoverageEntry,
        avoided: Avoided,
    ) -> Self {
        Self {
            staleness,
            n_val,
            entry,
            after: None,
            ended: false,
            items: VecDeque::new(),
            failed: BTreeSet::new(),
            avoided,
            has_left: false,
            attempts: 0,
        }
    }

    /// Begins strictly after a place.
    pub(crate) fn after(self, after: Option<P>) -> Self {
        Self { after, ..self }
    }

    fn at(&self) -> At<P> {
        At { vnode: self.entry.vnode, home: self.entry.home, after: self.after.clone() }
    }

    /// Fetches the next page with `fetch`, on another replica where one fails.
    pub(crate) async fn fetch<F, Fut>(&mut self, fetch: F) -> Result<()>
    where
        F: Fn(Arc<Staleness>, NodeId, At<P>) -> Fut,
        Fut: Future<Output = Result<Fetched<T, P>>>,
    {
        loop {
            if !self.has_left && self.avoided.lock().contains(&self.entry.node) {
                self.has_left = true;
                self.leave().await;
            }
            match fetch(self.staleness.clone(), self.entry.node, self.at()).await {
                Ok((items, next)) => {
                    self.items.extend(items);
                    self.ended = next.is_none();
                    self.after = next;
                    return Ok(());
                }
                Err(error) => self.turn_from(error).await?,
            }
        }
    }

    /// Chooses another replica after a failure, unless it was the last of too many.
    async fn turn_from(&mut self, error: Error) -> Result<()> {
        tracing::debug!(home = %self.entry.home, node = %self.entry.node, %error, "slice failed");
        self.attempts += 1;
        let lasting = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound);
        if lasting || self.attempts >= limits::SLICE_ATTEMPTS {
            return Err(error.context(format!("partition {}", self.entry.home)));
        }
        metrics::counter!("mapring_kv_listing_retries_total").increment(1);
        if error.kind() == ErrorKind::Overloaded {
            sleep(limits::COVERAGE_TICK * self.attempts).await;
            return Ok(());
        }
        self.failed.insert(self.entry.node);
        self.avoided.lock().insert(self.entry.node);
        if self.leave().await {
            return Ok(());
        }
        // Others may have failed other readers for a moment only.
        self.entry = self.another(&self.failed).await?.ok_or(error)?;
        Ok(())
    }

    /// Turns to a replica on a node that is not avoided; returns whether there is one.
    async fn leave(&mut self) -> bool {
        let avoided = self.avoided.lock().clone();
        match self.another(&avoided).await {
            Ok(Some(entry)) => self.entry = entry,
            Ok(None) | Err(_) => return false,
        }
        true
    }

    /// A complete replica on other nodes than those in `without`.
    async fn another(&self, without: &BTreeSet<NodeId>) -> Result<Option<CoverageEntry>> {
        let plan = coverage(&self.staleness, self.n_val, without).await?;
        Ok(plan.entries.into_iter().find(|entry| entry.home == self.entry.home))
    }
}
