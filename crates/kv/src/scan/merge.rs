//! Folds that merge several replicas: `"consistency":"quorum"`.
//!
//! The replicas' ordered streams of (place, clock) are merged. Where all agree on an object the
//! record of this node's vnode is given; where they do not, the object is read from each of them and
//! joined, and then held against the selection again. So a fold over `r` replicas meets every write
//! that `w` of `n` primaries have acknowledged, where `r + w > n`, whatever any one of them lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{BoxFuture, try_join_all};
use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::{PAGE_BYTES, PAGE_INPUTS};
use mapring_types::{Error, NodeId, Object, ObjectId, Record, Result, VersionVector};

use crate::limits;
use crate::peer::call::within;
use crate::request::requests::Requests;
use crate::scan::fold::{Cursor, FoldRequest, Item, Page, Selection};
use crate::scan::select::{self, AskClocks, Bounds, Clocks, End, Met, Part};
use crate::staleness::state::Staleness;
use crate::storage::objects::Core;
use crate::view;

/// A page of a fold over [`FoldRequest::replicas`] replicas: see [`crate::Kv::fold_page`]. Where a
/// replica fails another primary is taken in its place.
pub(crate) async fn page(requests: &Arc<Requests>, request: FoldRequest) -> Result<Page> {
    let mut failed = BTreeSet::new();
    let mut failure = None;
    loop {
        let others = match others(requests, &request, &failed) {
            Ok(others) => others,
            Err(too_few) => return Err(failure.unwrap_or(too_few)),
        };
        let merge = Merge { requests: requests.clone(), request: request.clone(), others };
        match merge.page().await {
            Ok(page) => return Ok(page),
            Err((Some(vnode), error)) => {
                tracing::debug!(home = %request.home, %vnode, %error, "a replica failed a fold");
                let error = error.context(format!("partition {}, vnode {vnode}", request.home));
                failed.insert(vnode);
                failure = Some(error);
            }
            Err((None, error)) => return Err(error),
        }
    }
}

/// The other primaries to be read: those that are up first, and on further nodes first. Where they
/// are away, fewer than asked for if this node's vnode is complete and all of them suffice.
///
/// # Errors
/// `NotFound` for an unknown bucket type; `Invalid` when more replicas are asked for than there are;
/// `Unavailable` when too many have failed.
fn others(
    requests: &Requests,
    request: &FoldRequest,
    failed: &BTreeSet<Partition>,
) -> Result<Vec<PreferenceEntry>> {
    let view = requests.node.view();
    let n_val = view::props(&view, &request.bucket)?.n_val;
    let (home, wanted) = (request.home, request.replicas);
    if wanted > n_val {
        return Err(Error::invalid(format!("{wanted} replicas of {n_val} cannot be merged")));
    }
    let list = view::list(&view, home, n_val, &BTreeSet::new()).primaries;
    let suspects = requests.peers.suspicion.suspects();
    let away = |entry: &PreferenceEntry| {
        let node = entry.node;
        node != requests.node.me && (!view.is_up(node) || suspects.contains(&node))
    };
    let mut left: Vec<PreferenceEntry> = list
        .iter()
        .copied()
        .filter(|entry| entry.vnode != request.vnode && !failed.contains(&entry.vnode))
        .collect();
    let mut chosen: Vec<PreferenceEntry> = Vec::new();
    while chosen.len() + 1 < usize::try_from(wanted).unwrap_or(usize::MAX) {
        let rank = |entry: &PreferenceEntry| {
            let node = entry.node;
            let known: bool =
                node == requests.node.me || chosen.iter().any(|other| other.node == node);
            (away(entry), known)
        };
        let best = left.iter().enumerate().min_by_key(|(_, entry)| rank(entry)).map(|(at, _)| at);
        let at_hand = best.and_then(|at| left.get(at)).is_some_and(|entry| !away(entry));
        let read = |vnode| vnode == request.vnode || chosen.iter().any(|c| c.vnode == vnode);
        if !at_hand && request.complete && suffice(&list, wanted, read) {
            break;
        }
        let Some(best) = best else {
            let message = format!(
                "only {} of {wanted} replicas of partition {home} can be read",
                chosen.len() + 1
            );
            return Err(Error::unavailable(message));
        };
        chosen.push(left.remove(best));
    }
    Ok(chosen)
}

/// Whether some of a partition's replicas are as many nodes as `wanted` of them would be on nodes of
/// their own, as far as there are so many. Of two nodes one holds two of three replicas, and that of
/// the other is all that is left without it. That is no majority: while the other was away the two may
/// have acknowledged a write by themselves. So it is enough only where the vnode that is read is known
/// to be complete.
fn suffice(primaries: &[PreferenceEntry], wanted: u32, read: impl Fn(Partition) -> bool) -> bool {
    let nodes: BTreeSet<NodeId> = primaries.iter().map(|entry| entry.node).collect();
    let whole = |node: &&NodeId| {
        primaries.iter().filter(|entry| entry.node == **node).all(|entry| read(entry.vnode))
    };
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let acknowledged = (primaries.len() + 1).saturating_sub(wanted).min(nodes.len());
    nodes.iter().filter(whole).count() + acknowledged > nodes.len()
}

/// A failure, with the vnode of the replica whose it is.
type Failure = (Option<Partition>, Error);

/// One attempt at a page.
struct Merge {
    requests: Arc<Requests>,
    request: FoldRequest,
    others: Vec<PreferenceEntry>,
}

/// What the replicas have at a place.
#[derive(Default)]
struct Place {
    /// This node's vnode.
    own: Option<(VersionVector, Record)>,
    /// The others' clocks, as far as they have the object there.
    others: Vec<VersionVector>,
}

/// A place with what is needed to give its object.
struct Wanted {
    cursor: Cursor,
    /// The record that all agree on; `None` where they do not.
    agreed: Option<Record>,
}

/// An object being read, with its place.
type Reading<'a> = BoxFuture<'a, Result<(Cursor, Option<Item>), Failure>>;

impl Merge {
    async fn page(self) -> Result<Page, Failure> {
        let (own, end) = self.own().await.map_err(|error| (None, error))?;
        let streams = self.others.iter().map(|entry| self.stream(*entry, end.next.clone()));
        let streams = try_join_all(streams).await?;
        let mut upto = end.next;
        let mut places: BTreeMap<Cursor, Place> = BTreeMap::new();
        for (cursor, clock, record) in own {
            places.entry(cursor).or_default().own = Some((clock, record));
        }
        let mut looked_at = end.looked_at;
        for Clocks { items, next } in streams {
            // Nothing is known of what lies behind the first that has not come further.
            upto = [upto, next].into_iter().flatten().min();
            for (cursor, clock) in items {
                places.entry(cursor).or_default().others.push(clock);
            }
        }
        let mut wanted = Vec::new();
        for (cursor, place) in places {
            if upto.as_ref().is_some_and(|upto| cursor > *upto) {
                break;
            }
            looked_at += u64::from(place.own.is_none());
            let agreed = place.own.and_then(|(clock, record)| {
                let same = place.others.iter().filter(|other| **other == clock).count();
                let agree = same == self.others.len();
                (agree || mapring_types::failpoint!(MergeTakesLocal)).then_some(record)
            });
            wanted.push(Wanted { cursor, agreed });
        }
        self.give(wanted, upto, looked_at).await
    }

    /// What this node's vnode has, as much as makes a page.
    async fn own(&self) -> Result<(Vec<(Cursor, VersionVector, Record)>, End)> {
        let request = self.request.clone();
        let work = move |core: &Core| {
            let mut own = Vec::new();
            let end =
                select::objects(core, &Part::of(&request), &request, Bounds::PAGE, &mut |met| {
                    let Met { cursor, id, record, .. } = met;
                    let object = Record::decode_without_bodies(&record.head);
                    let clock = object.map_err(|error| error.context(&id))?.clock;
                    own.push((cursor, clock, record));
                    Ok(())
                })?;
            Ok((own, end))
        };
        self.requests.node.vnodes.run(work).await
    }

    /// Names and clocks of another replica up to a place, or as many as make a page.
    async fn stream(
        &self,
        entry: PreferenceEntry,
        upto: Option<Cursor>,
    ) -> Result<Clocks, Failure> {
        let mut part = Part { vnode: entry.vnode, upto, ..Part::of(&self.request) };
        let most = self.request.most.clamp(1, PAGE_INPUTS);
        let mut all = Clocks::default();
        for _ in 0..limits::FOLD_CLOCK_PAGES {
            let asked = AskClocks { part: part.clone(), most: most as u64 };
            let page = clocks_at(&self.requests, entry.node, asked).await;
            let Clocks { items, next } = page.map_err(|error| (Some(entry.vnode), error))?;
            all.items.extend(self.kept(&part, items).await.map_err(|error| (None, error))?);
            all.next = next.clone();
            part.after = next;
            if part.after.is_none() || all.items.len() >= most {
                break;
            }
        }
        Ok(all)
    }

    /// The names that are wanted.
    async fn kept(
        &self,
        part: &Part,
        mut items: Vec<(Cursor, VersionVector)>,
    ) -> Result<Vec<(Cursor, VersionVector)>> {
        let Some(keep) = self.request.keep.clone() else { return Ok(items) };
        let part = part.clone();
        // A test of keys may take its time.
        let test = move |_: &Core| {
            let mut tested = Ok(());
            items.retain(|(cursor, _)| {
                if tested.is_err() {
                    return false;
                }
                let kept = part.at(cursor).and_then(|(id, _)| keep(&id.key));
                kept.unwrap_or_else(|error| {
                    tested = Err(error);
                    false
                })
            });
            tested.map(|()| items)
        };
        self.requests.node.vnodes.run(test).await
    }

    /// Makes a page of the objects at the wanted places.
    async fn give(
        &self,
        wanted: Vec<Wanted>,
        upto: Option<Cursor>,
        looked_at: u64,
    ) -> Result<Page, Failure> {
        let most = self.request.most.clamp(1, PAGE_INPUTS);
        let count = wanted.len();
        // Nothing is read before its turn.
        let reads: Vec<Reading<'_>> = wanted
            .into_iter()
            .map(|wanted| -> Reading<'_> { Box::pin(self.item(wanted)) })
            .collect();
        let mut reads = futures::stream::iter(reads).buffered(limits::FOLD_READS);
        let mut page = Page { looked_at, ..Page::default() };
        let (mut bytes, mut read, mut next) = (0, 0, upto);
        while let Some(item) = reads.next().await {
            let (cursor, item) = item?;
            read += 1;
            if let Some(item) = item {
                bytes += item.record.len();
                page.items.push(item);
            }
            if read < count && (page.items.len() >= most || bytes >= PAGE_BYTES) {
                next = Some(cursor);
                break;
            }
        }
        self.refined(Page { next, read_bytes: bytes as u64, ..page }).await
    }

    /// Leaves of a page what [`FoldRequest::refine`] leaves.
    async fn refined(&self, mut page: Page) -> Result<Page, Failure> {
        let Some(refine) = self.request.refine.clone() else { return Ok(page) };
        let part = Part::of(&self.request);
        let work = move |_: &Core| {
            for Item { cursor, id, record } in std::mem::take(&mut page.items) {
                let (_, term) = part.at(&cursor)?;
                if let Some(record) = refine(&id, term.as_ref(), record)? {
                    page.items.push(Item { cursor, id, record });
                }
            }
            Ok(page)
        };
        self.requests.node.vnodes.run(work).await.map_err(|error| (None, error))
    }

    /// The object at a place; `None` where it is not of the selection after all.
    async fn item(&self, wanted: Wanted) -> Result<(Cursor, Option<Item>), Failure> {
        let Wanted { cursor, agreed } = wanted;
        let own = |error| (None, error);
        let (part, depth) = (Part::of(&self.request), self.request.depth);
        let (id, term) = part.at(&cursor).map_err(own)?;
        let resolution = self.requests.node.resolution(&self.request.bucket);
        if let Some(record) = agreed {
            let shown = part.shown(record, term.as_ref(), resolution, depth).map_err(own)?;
            let item = shown.map(|record| Item { cursor: cursor.clone(), id, record });
            return Ok((cursor, item));
        }
        let mut object = self.joined(&id).await?;
        if object.siblings.is_empty() {
            return Ok((cursor, None));
        }
        resolution.resolve(&mut object);
        if let (Selection::Terms { field, .. }, Some(term)) = (&part.selection, &term)
            && !object.has_term(field, term)
        {
            return Ok((cursor, None));
        }
        let mut record = Record::encode(&object);
        if depth == ScanDepth::Heads {
            record.body = Bytes::new();
        }
        Ok((cursor.clone(), Some(Item { cursor, id, record })))
    }

    /// What all the replicas together have of an object.
    async fn joined(&self, id: &ObjectId) -> Result<Object, Failure> {
        let patience = limits::REPLICA_PATIENCE;
        let reads = self.others.iter().map(|entry| {
            let read = self.requests.read_at(*entry, id.clone(), Class::Foreground, patience);
            async move { read.await.map_err(|error| (Some(entry.vnode), error)) }
        });
        let own = async {
            let own = self.requests.node.vnodes.read(self.request.vnode, id.clone()).await;
            let own = own.and_then(|own| own.map(|record| record.decode()).transpose());
            own.map_err(|error| (None, error))
        };
        let (own, others) = futures::future::try_join(own, try_join_all(reads)).await?;
        let mut joined = Object::default();
        others.into_iter().chain([own]).flatten().for_each(|object| joined.join(object));
        Ok(joined)
    }
}

/// A page of names and clocks from a node.
async fn clocks_at(requests: &Requests, node: NodeId, request: AskClocks) -> Result<Clocks> {
    let patience = limits::REPLICA_PATIENCE;
    if node == requests.node.me {
        return within(patience, clocks_here(&requests.staleness, request)).await;
    }
    requests.peers.ask(node, Class::Foreground, &request, patience).await.flat()
}

/// A page of names and clocks of a vnode of this node.
///
/// # Errors
/// `Unavailable` when this node lacks some itself, `Storage`, `Corrupt`, `Overloaded`.
pub(crate) async fn clocks_here(staleness: &Staleness, request: AskClocks) -> Result<Clocks> {
    let AskClocks { part, most } = request;
    staleness.integrity.admit(part.vnode, part.home)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    staleness.node.vnodes.run(move |core| select::clocks(core, &part, most)).await
}
