//! Listings: keys and buckets, gathered by coverage, a page at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, try_unfold, unfold};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mapring_types::limits::MAX_TIMEOUT;
use mapring_types::{BucketId, Error, ObjectId, Result};
use tokio::time::{Instant, timeout_at};

use crate::limits;
use crate::scan::coverage::coverage;
use crate::scan::names::{self, Buckets, Keys, Names};
use crate::scan::slices::{At, Avoided, Reader};
use crate::staleness::state::Staleness;
use crate::storage::slice::Slice;
use crate::view;

type Pages = BoxStream<'static, Result<Vec<Bytes>>>;
type Cursor = Reader<Bytes, ObjectId>;

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
pub(crate) fn bounded<T: Send + 'static>(
    pages: BoxStream<'static, Result<T>>,
    timeout: Duration,
) -> BoxStream<'static, Result<T>> {
    let ends = Instant::now() + timeout.min(MAX_TIMEOUT);
    let next = move |pages: Option<BoxStream<'static, Result<T>>>| async move {
        let mut pages = pages?;
        // What is ready at once is given even behind its deadline, unless that is looked at before; but
        // a listing that lacks nothing has not come too late.
        let next = if Instant::now() >= ends {
            pages.next().now_or_never().filter(Option::is_none)
        } else {
            timeout_at(ends, pages.next()).await.ok()
        };
        match next {
            Some(Some(Ok(page))) => Some((Ok(page), Some(pages))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => Some((Err(Error::timeout("the listing did not end in time")), None)),
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

fn slice_of(At { vnode, home, after }: At<ObjectId>) -> Slice {
    Slice { vnode, home, after }
}

fn key_pages(cursor: Cursor, bucket: BucketId) -> Pages {
    let pages = try_unfold((cursor, bucket), |(mut cursor, bucket)| async move {
        if cursor.ended {
            return Ok(None);
        }
        let fetch = |staleness: Arc<Staleness>, node, slice| {
            let request = Keys { slice: slice_of(slice), bucket: bucket.clone() };
            async move {
                let page = names::keys_at(&staleness, node, request, limits::PAGE_PATIENCE).await;
                page.map(|Names { names, next }| (names, next))
            }
        };
        cursor.fetch(fetch).await?;
        let page: Vec<Bytes> = cursor.items.drain(..).collect();
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
            while let Some(name) = self.homes.iter().filter_map(|home| home.items.front()).min() {
                let name = name.clone();
                for home in &mut self.homes {
                    if home.items.front() == Some(&name) {
                        home.items.pop_front();
                    }
                }
                page.push(name);
                // A partition that has run empty may go on with a smaller name than all others.
                if self.homes.iter().any(|home| home.items.is_empty() && !home.ended) {
                    break;
                }
            }
            let ended = self.homes.iter().all(|home| home.items.is_empty() && home.ended);
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
                while home.items.is_empty() && !home.ended {
                    home.fetch(|staleness, node, slice| {
                        let (slice, bucket_type) = (slice_of(slice), bucket_type.clone());
                        let request = Buckets { slice, bucket_type };
                        let patience = limits::PAGE_PATIENCE;
                        async move {
                            let page = names::buckets_at(&staleness, node, request, patience).await;
                            page.map(|Names { names, next }| (names, next))
                        }
                    })
                    .await?;
                }
                Ok(())
            }));
        }
        stream::iter(fills).buffered(limits::SLICES_AT_ONCE).try_collect::<()>().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages that are there at once, but for the time that somebody takes to read them.
    #[tokio::test(start_paused = true)]
    async fn a_deadline_holds_for_pages_that_are_ready() {
        let pages = stream::iter((0..4).map(Ok)).boxed();
        let mut pages = bounded(pages, Duration::from_millis(10));
        assert_eq!(pages.next().await.unwrap().unwrap(), 0);
        tokio::time::advance(Duration::from_millis(9)).await;
        assert_eq!(pages.next().await.unwrap().unwrap(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        let late = pages.next().await.unwrap().unwrap_err();
        assert_eq!(late.kind(), mapring_types::ErrorKind::Timeout, "{late}");
        assert!(pages.next().await.is_none());

        let mut whole = bounded(stream::iter([Ok(0)]).boxed(), Duration::from_millis(10));
        assert_eq!(whole.next().await.unwrap().unwrap(), 0);
        tokio::time::advance(Duration::from_millis(11)).await;
        assert!(whole.next().await.is_none(), "nothing is missing");
    }
}
