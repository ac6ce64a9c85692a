//! Listings: keys and buckets, gathered by coverage, a page at a time.
//!
//! Each home partition is read from one replica, so nothing is doubled; when a replica fails, its
//! slice goes on from the last cursor on another.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, try_unfold, unfold};
use futures::{StreamExt, TryStreamExt, stream};
use mapring_ring::CoverageEntry;
use mapring_types::limits::MAX_TIMEOUT;
use mapring_types::{BucketId, Error, ErrorKind, NodeId, ObjectId, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use crate::limits;
use crate::scan::coverage::coverage;
use crate::scan::names::{self, Buckets, Keys, Names};
use crate::staleness::state::Staleness;
use crate::storage::slice::Slice;
use crate::view;

type Pages = BoxStream<'static, Result<Vec<Bytes>>>;

/// All keys of a bucket: see [`crate::Kv::list_keys`].
pub(crate) fn keys(staleness: Arc<Staleness>, bucket: BucketId, timeout: Duration) -> Pages {
    let slices = async move {
        let view = staleness.node.view();
        let n_val = view::props(&view, &bucket)?.n_val;
        let n_val = view.least_n_val(&bucket).unwrap_or(n_val);
        let plan = coverage(&staleness, n_val, &BTreeSet::new()).await?;
        let avoided = Avoided::default();
        let slices = stream::iter(plan.entries).map(move |entry| {
            let cursor = Cursor::new(staleness.clone(), n_val, entry, avoided.clone());
            key_pages(cursor, bucket.clone())
        });
        Ok::<_, Error>(slices.flatten_unordered(limits::SLICES_AT_ONCE))
    };
    bounded(stream::once(slices).try_flatten().boxed(), timeout)
}

/// All buckets of a type: see [`crate::Kv::list_buckets`].
pub(crate) fn buckets(staleness: Arc<Staleness>, bucket_type: Bytes, timeout: Duration) -> Pages {
    let merged = async move {
        let n_val = smallest_n_val(&staleness, &bucket_type)?;
        let plan = coverage(&staleness, n_val, &BTreeSet::new()).await?;
        let avoided = Avoided::default();
        let cursor = |entry| Cursor::new(staleness.clone(), n_val, entry, avoided.clone());
        let homes = plan.entries.into_iter().map(cursor).collect();
        let merge = Merge { bucket_type, homes };
        Ok::<_, Error>(try_unfold(merge, |mut merge| async move {
            let page = merge.next_page().await?;
            Ok((!page.is_empty()).then_some((page, merge)))
        }))
    };
    bounded(stream::once(merged).try_flatten().boxed(), timeout)
}

/// Ends a stream at its first error, and with an error at its deadline.
fn bounded(pages: Pages, timeout: Duration) -> Pages {
    let ends = Instant::now() + timeout.min(MAX_TIMEOUT);
    let next = move |pages: Option<Pages>| async move {
        let mut pages = pages?;
        match timeout_at(ends, pages.next()).await {
            Ok(Some(Ok(page))) => Some((Ok(page), Some(pages))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(Error::timeout("the listing did not end in time")), None)),
        }
    };
    unfold(Some(pages), next).boxed()
}

/// The replicas of a bucket whose own `n_val` is smaller than its type's lie on fewer vnodes, and a
/// walk over all buckets must meet them too.
fn smallest_n_val(staleness: &Staleness, bucket_type: &Bytes) -> Result<u32> {
    let view = staleness.node.view();
    let any = BucketId::typed(bucket_type.clone(), Bytes::new());
    let state = &view.state;
    let own = state.buckets.keys().chain(state.least_n_vals.keys());
    let own = own.filter(|bucket| bucket.bucket_type == *bucket_type);
    let least = own.filter_map(|bucket| view.least_n_val(bucket));
    let of_type = view::props(&view, &any)?.n_val;
    Ok(least.chain(view.least_n_val(&any)).fold(of_type, u32::min))
}

/// Nodes that failed any cursor of a listing: one that does not answer is waited for once, and
/// not once a partition.
type Avoided = Arc<Mutex<BTreeSet<NodeId>>>;

/// Where the walk over one home partition stands.
struct Cursor {
    staleness: Arc<Staleness>,
    n_val: u32,
    entry: CoverageEntry,
    after: Option<ObjectId>,
    ended: bool,
    /// Names fetched and not yet given out.
    names: VecDeque<Bytes>,
    failed: BTreeSet<NodeId>,
    avoided: Avoided,
    /// Whether it has turned from an avoided node: tried once.
    has_left: bool,
    attempts: u32,
}

impl Cursor {
    fn new(staleness: Arc<Staleness>, n_val: u32, entry: CoverageEntry, avoided: Avoided) -> Self {
        Self {
            staleness,
            n_val,
            entry,
            after: None,
            ended: false,
            names: VecDeque::new(),
            failed: BTreeSet::new(),
            avoided,
            has_left: false,
            attempts: 0,
        }
    }

    fn slice(&self) -> Slice {
        Slice { vnode: self.entry.vnode, home: self.entry.home, after: self.after.clone() }
    }

    /// Fetches the next page with `fetch`, on another replica where one fails.
    async fn fetch<F, Fut>(&mut self, fetch: F) -> Result<()>
    where
        F: Fn(Arc<Staleness>, NodeId, Slice) -> Fut,
        Fut: Future<Output = Result<Names>>,
    {
        loop {
            if !self.has_left && self.avoided.lock().contains(&self.entry.node) {
                self.has_left = true;
                self.leave().await;
            }
            match fetch(self.staleness.clone(), self.entry.node, self.slice()).await {
                Ok(Names { names, next }) => {
                    self.names.extend(names);
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
        // Others may have failed other cursors for a moment only.
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

fn key_pages(cursor: Cursor, bucket: BucketId) -> Pages {
    let pages = try_unfold((cursor, bucket), |(mut cursor, bucket)| async move {
        if cursor.ended {
            return Ok(None);
        }
        let fetch = |staleness: Arc<Staleness>, node, slice| {
            let request = Keys { slice, bucket: bucket.clone() };
            async move { names::keys_at(&staleness, node, request, limits::PAGE_PATIENCE).await }
        };
        cursor.fetch(fetch).await?;
        let page: Vec<Bytes> = cursor.names.drain(..).collect();
        Ok(Some((page, (cursor, bucket))))
    });
    pages.try_filter(|page| futures::future::ready(!page.is_empty())).boxed()
}

/// All home partitions side by side, each in order: their names merge into one ordered list without
/// doubles, with one page a partition in memory.
struct Merge {
    bucket_type: Bytes,
    homes: Vec<Cursor>,
}

impl Merge {
    /// The next names; none at the end.
    async fn next_page(&mut self) -> Result<Vec<Bytes>> {
        let mut page: Vec<Bytes> = Vec::new();
        loop {
            self.refill().await?;
            while let Some(name) = self.homes.iter().filter_map(|home| home.names.front()).min() {
                let name = name.clone();
                for home in &mut self.homes {
                    if home.names.front() == Some(&name) {
                        home.names.pop_front();
                    }
                }
                page.push(name);
                // A partition that has run empty may go on with a smaller name than all others.
                if self.homes.iter().any(|home| home.names.is_empty() && !home.ended) {
                    break;
                }
            }
            let ended = self.homes.iter().all(|home| home.names.is_empty() && home.ended);
            if ended || page.len() >= limits::LIST_PAGE {
                return Ok(page);
            }
        }
    }

    /// Fetches for each partition that has run empty until it has a name or has ended.
    async fn refill(&mut self) -> Result<()> {
        let mut fills: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
        for home in &mut self.homes {
            let bucket_type = &self.bucket_type;
            fills.push(Box::pin(async move {
                while home.names.is_empty() && !home.ended {
                    home.fetch(|staleness, node, slice| {
                        let request = Buckets { slice, bucket_type: bucket_type.clone() };
                        let patience = limits::PAGE_PATIENCE;
                        async move { names::buckets_at(&staleness, node, request, patience).await }
                    })
                    .await?;
                }
                Ok(())
            }));
        }
        stream::iter(fills).buffered(limits::SLICES_AT_ONCE).try_collect::<()>().await
    }
}
