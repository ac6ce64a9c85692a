//! Hits of an index: the entries of a range in their order, over the whole bucket.
//!
//! The home partitions are read side by side, each from one complete replica and each in order, and
//! merged: so hits come by (term, key), or by key, each once. Of each partition about as much is read at a
//! time as its share of what is wanted, so that a page of a large index costs about as much as it holds.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, try_unfold};
use futures::{StreamExt, TryStreamExt, stream};
use mapring_engine::ScanDepth;
use mapring_filters::{CompiledEntryTest, EntryTest};
use mapring_net::{Class, calls};
use mapring_types::{BucketId, Error, IndexValue, NodeId, Record, Release, Result};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::limits;
use crate::peer::call::within;
use crate::peer::wire::SERVICE;
use crate::request::requests::Requests;
use crate::reserved;
use crate::resolution::Resolution;
use crate::scan::coverage::coverage;
use crate::scan::fold::{Cursor, Selection};
use crate::scan::list::bounded;
use crate::scan::select::{Met, Part};
use crate::scan::slices::{At, Avoided, Fetched, Reader};
use crate::storage::node::stopped;
use crate::storage::objects::Core;
use crate::view;

/// What is read of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexScan {
    /// The bucket.
    pub bucket: BucketId,
    /// Which entries of it.
    pub selection: Selection,
    /// Strictly after this place.
    pub after: Option<Cursor>,
    /// What the entries are held against beside the data.
    pub test: Option<EntryTest>,
    /// The most hits; `None` for all.
    pub most: Option<u64>,
    /// How long it may take.
    pub timeout: Duration,
}

/// An entry of an index that a live object has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where to go on after it.
    pub cursor: Cursor,
    /// The term, unless the selection is by keys.
    pub term: Option<IndexValue>,
    /// The key of the object.
    pub key: Bytes,
    /// What the test gives of it.
    pub given: Option<Bytes>,
}

calls!(SERVICE; AskEntries = 27 => Entries);

/// Asks for a page of hits of a slice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskEntries {
    pub(crate) part: Part,
    pub(crate) test: Option<EntryTest>,
    /// Hits in it at most.
    pub(crate) most: u64,
}

/// Places of hits in order, with what the test gives of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entries {
    pub(crate) items: Vec<(Cursor, Option<Bytes>)>,
    /// Where to go on; `None` when nothing is left.
    pub(crate) next: Option<Cursor>,
}

/// See [`crate::Kv::index`].
pub(crate) fn hits(
    requests: Arc<Requests>,
    scan: IndexScan,
) -> BoxStream<'static, Result<Vec<Hit>>> {
    let timeout = scan.timeout;
    let merged = async move {
        let merge = Merge::new(requests, scan).await?;
        Ok::<_, Error>(try_unfold(merge, |mut merge| async move {
            let page = merge.next_page().await?;
            Ok((!page.is_empty()).then_some((page, merge)))
        }))
    };
    bounded(stream::once(merged).try_flatten().boxed(), timeout)
}

/// A page of hits of a vnode of this node.
pub(crate) async fn entries_here(requests: &Arc<Requests>, call: AskEntries) -> Result<Entries> {
    let AskEntries { part, test, most } = call;
    requests.staleness.integrity.admit(part.vnode, part.home)?;
    requests.node.stats.index_reads.add(1);
    let test = test.map(|test| test.compile()).transpose();
    let test = test.map_err(|error| Error::invalid(error.to_string()))?;
    let (vnodes, resolution) = (&requests.node.vnodes, requests.node.resolution(&part.bucket));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if test.is_none() && most <= limits::ENTRY_SHORT {
        let short = |core: &Core| page(core, &part, None, most, resolution);
        let bytes = |page: &Entries| page.items.iter().map(|(at, _)| at.place().len()).sum();
        if let Some(page) = vnodes.run_at_once(short, bytes) {
            return page;
        }
    }
    let _permit = match test.is_some() {
        true => Some(requests.tests.acquire().await.map_err(|_| stopped())?),
        false => None,
    };
    vnodes.run(move |core| page(core, &part, test.as_ref(), most, resolution)).await
}

/// A page of hits of a part, of at most `most`: of live objects, as readers of their bucket see them, that
/// the test takes.
fn page(
    core: &Core,
    part: &Part,
    test: Option<&CompiledEntryTest>,
    most: usize,
    resolution: Resolution,
) -> Result<Entries> {
    let mut page = Entries::default();
    let (mut bytes, began) = (0, Instant::now());
    let most = most.clamp(1, limits::ENTRY_PAGE);
    let end = part.walk(core, None, ScanDepth::Heads, limits::FOLD_PAGE_ENTRIES, &mut |met| {
        let late = test.is_some() && began.elapsed() >= limits::FOLD_TEST_TIME;
        let Met { cursor, id, term, alone, record } = met;
        let given = match test {
            None => None,
            Some(test) => {
                match test.run(term.as_ref().map_or(&id.key, |t| t.as_bytes()), &id.key) {
                    Ok(Some(given)) => given,
                    Ok(None) => return Ok(late),
                    Err(why) => return Err(Error::invalid(why).context(&id)),
                }
            }
        };
        let live = match &term {
            Some(_) if alone => true,
            Some(_) => part.shown(record, term.as_ref(), resolution, ScanDepth::Heads)?.is_some(),
            None => {
                let object = Record::decode_without_bodies(&record.head);
                !resolution.is_tombstone(&object.map_err(|error| error.context(&id))?)
            }
        };
        if live {
            bytes += cursor.place().len() + given.as_ref().map_or(0, Bytes::len) + 8;
            page.items.push((cursor, given));
        }
        Ok(late || page.items.len() >= most || bytes >= limits::ENTRY_PAGE_BYTES)
    })?;
    Ok(Entries { next: end.next, ..page })
}

/// A page of hits from a node.
async fn entries_at(requests: &Arc<Requests>, node: NodeId, call: AskEntries) -> Result<Entries> {
    let patience = limits::PAGE_PATIENCE;
    if node == requests.node.me {
        return within(patience, entries_here(requests, call)).await;
    }
    requests.peers.ask(node, Class::Foreground, &call, patience).await.flat()
}

/// All home partitions side by side, with one page of each in memory.
struct Merge {
    requests: Arc<Requests>,
    scan: IndexScan,
    homes: Vec<Reader<(Cursor, Option<Bytes>), Cursor>>,
    /// The first place of each partition that has one at hand.
    first: BinaryHeap<First>,
    /// Hits that are still wanted; `None` for all.
    left: Option<u64>,
}

impl Merge {
    async fn new(requests: Arc<Requests>, scan: IndexScan) -> Result<Self> {
        requests.node.running()?;
        reserved::refuse(&scan.bucket)?;
        if !requests.node.vnodes.all_read(Release::JOBS).await? {
            let why =
                "a member runs an earlier release of mapring, which reads no index for others";
            return Err(Error::unavailable(why));
        }
        let view = requests.node.view();
        let n_val = view::props(&view, &scan.bucket)?.n_val;
        let n_val = view.least_n_val(&scan.bucket).unwrap_or(n_val);
        let plan = coverage(&requests.staleness, n_val, &BTreeSet::new()).await?;
        let avoided = Avoided::default();
        let reader = |entry| {
            let reader = Reader::new(requests.staleness.clone(), n_val, entry, avoided.clone());
            reader.after(scan.after.clone())
        };
        let homes = plan.entries.into_iter().map(reader).collect();
        let left = scan.most;
        Ok(Self { requests, scan, homes, first: BinaryHeap::new(), left })
    }

    /// The next hits; none at the end.
    async fn next_page(&mut self) -> Result<Vec<Hit>> {
        let mut page = Vec::new();
        while page.len() < limits::LIST_PAGE && self.left != Some(0) {
            if self.must_fill() {
                self.fill().await?;
            }
            let Some(Reverse((_, home))) = self.first.pop() else { break };
            let reader = &mut self.homes[home];
            let Some((cursor, given)) = reader.items.pop_front() else { continue };
            page.push(self.hit(cursor, given)?);
            self.left = self.left.map(|left| left - 1);
            if let Some((next, _)) = self.homes[home].items.front() {
                self.first.push(Reverse((next.clone(), home)));
            }
        }
        Ok(page)
    }

    fn hit(&self, cursor: Cursor, given: Option<Bytes>) -> Result<Hit> {
        let (key, term) = self.scan.selection.at(&cursor)?;
        Ok(Hit { cursor, term, key, given })
    }

    /// Whether a partition has nothing at hand that may go on before all others.
    fn must_fill(&self) -> bool {
        self.homes.iter().any(|home| home.items.is_empty() && !home.ended)
    }

    /// About how many hits of a partition are its share of those that are wanted: with so many more that
    /// it seldom has to be asked again.
    fn share(&self) -> u64 {
        let Some(left) = self.left else { return limits::ENTRY_PAGE as u64 };
        let share = left / self.homes.len().max(1) as u64;
        (share + 3 * share.isqrt() + 4).min(left).min(limits::ENTRY_PAGE as u64)
    }

    /// Fetches for each partition that has run empty until it has something or has ended, and for those
    /// that soon will.
    async fn fill(&mut self) -> Result<()> {
        let most = self.share();
        let low = usize::try_from(most / 4).unwrap_or(0);
        let (requests, scan) = (&self.requests, &self.scan);
        let mut fills: Vec<BoxFuture<'_, Result<Option<First>>>> = Vec::new();
        for (at, home) in self.homes.iter_mut().enumerate() {
            if home.ended || home.items.len() > low {
                continue;
            }
            let was_empty = home.items.is_empty();
            fills.push(Box::pin(async move {
                loop {
                    home.fetch(|_, node, at| page_of(requests.clone(), scan, most, node, at))
                        .await?;
                    if !home.items.is_empty() || home.ended {
                        break;
                    }
                }
                let first = home.items.front().filter(|_| was_empty);
                Ok(first.map(|(cursor, _)| Reverse((cursor.clone(), at))))
            }));
        }
        let filled = stream::iter(fills).buffered(limits::SLICES_AT_ONCE);
        let filled: Vec<_> = filled.try_collect().await?;
        self.first.extend(filled.into_iter().flatten());
        Ok(())
    }
}

/// The first entry of a partition, and which partition: the lowest comes first.
type First = Reverse<(Cursor, usize)>;

/// Entries of a page, and where the next one begins.
type EntryPage = Fetched<(Cursor, Option<Bytes>), Cursor>;

fn page_of(
    requests: Arc<Requests>,
    scan: &IndexScan,
    most: u64,
    node: NodeId,
    at: At<Cursor>,
) -> BoxFuture<'static, Result<EntryPage>> {
    let At { vnode, home, after } = at;
    let (bucket, selection) = (scan.bucket.clone(), scan.selection.clone());
    let part = Part { vnode, home, bucket, selection, after, upto: None };
    let call = AskEntries { part, test: scan.test.clone(), most };
    Box::pin(async move {
        let Entries { items, next } = entries_at(&requests, node, call).await?;
        Ok((items, next))
    })
}
