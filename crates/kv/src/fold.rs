//! Pages of a vnode's slices: whole objects, keys, bucket names.

use std::ops::ControlFlow;

use bytes::Bytes;
use mapring_engine::{ScanDepth, ScanRange};
use mapring_ring::Partition;
use mapring_types::limits::{PAGE_BYTES, PAGE_INPUTS};
use mapring_types::{BucketId, ObjectId, Record, Result};
use serde::{Deserialize, Serialize};

use crate::quorum::is_tombstone;
use crate::vnode::Core;
use crate::{Page, limits};

/// A slice of a vnode and where in it to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) vnode: Partition,
    pub(crate) home: Partition,
    pub(crate) after: Option<ObjectId>,
}

/// Names in order, and where to go on; `None` at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) names: Vec<Bytes>,
    pub(crate) next: Option<ObjectId>,
}

/// A page of records, tombstones included.
pub(crate) fn records(
    core: &Core,
    slice: Slice,
    bucket: Option<BucketId>,
    depth: ScanDepth,
    most: usize,
) -> Result<Page> {
    let range = ScanRange { home: slice.home.0, bucket, after: slice.after };
    let most = most.clamp(1, PAGE_INPUTS);
    let mut page = Page::default();
    let mut bytes = 0;
    let mut full = false;
    core.engine.scan(slice.vnode.0, &range, depth, &mut |place, record| {
        bytes += record.len();
        page.items.push((place.id, record));
        full = page.items.len() >= most || bytes >= PAGE_BYTES;
        if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    page.next = page.items.last().filter(|_| full).map(|(id, _)| id.clone());
    Ok(page)
}

/// A page of the keys of live objects. With `siblings` an object lives while any value does, else
/// while its newest does.
pub(crate) fn keys(core: &Core, slice: Slice, bucket: BucketId, siblings: bool) -> Result<Names> {
    let range = ScanRange { home: slice.home.0, bucket: Some(bucket), after: slice.after };
    let mut out = Names::default();
    let mut looked_at = 0;
    scan_heads(core, slice.vnode, &range, |id, head| {
        looked_at += 1;
        if live(head, siblings)? {
            out.names.push(id.key.clone());
        }
        let full = out.names.len() >= limits::LIST_PAGE || looked_at >= limits::LIST_PAGE_HEADS;
        out.next = full.then_some(id);
        Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(out)
}

/// A page of the names of buckets of a type that hold a live key. Reads each bucket only up to its
/// first live key, then skips to the next bucket.
pub(crate) fn buckets(
    core: &Core,
    slice: Slice,
    bucket_type: &Bytes,
    siblings: &dyn Fn(&BucketId) -> bool,
) -> Result<Names> {
    let first = ObjectId::new(BucketId::typed(bucket_type.clone(), Bytes::new()), Bytes::new());
    let mut out = Names::default();
    let mut looked_at = 0;
    let mut after = slice.after.unwrap_or(first);
    loop {
        let range = ScanRange { home: slice.home.0, bucket: None, after: Some(after.clone()) };
        let mut found = None;
        let mut full = false;
        scan_heads(core, slice.vnode, &range, |id, head| {
            if id.bucket.bucket_type != *bucket_type {
                return Ok(ControlFlow::Break(()));
            }
            looked_at += 1;
            if live(head, siblings(&id.bucket))? {
                found = Some(id.bucket.name);
                return Ok(ControlFlow::Break(()));
            }
            full = looked_at >= limits::LIST_PAGE_HEADS;
            after = id;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        match found {
            Some(name) => {
                after = past(bucket_type.clone(), &name);
                out.names.push(name);
                full = out.names.len() >= limits::LIST_PAGE;
            }
            None if !full => return Ok(out),
            None => {}
        }
        if full {
            out.next = Some(after);
            return Ok(out);
        }
    }
}

/// A name after all keys of a bucket and before all others: the next possible bucket name, with the
/// empty key that no object has.
fn past(bucket_type: Bytes, name: &[u8]) -> ObjectId {
    let next: Bytes = [name, &[0]].concat().into();
    ObjectId::new(BucketId::typed(bucket_type, next), Bytes::new())
}

fn scan_heads(
    core: &Core,
    vnode: Partition,
    range: &ScanRange,
    mut visit: impl FnMut(ObjectId, &[u8]) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut failure = None;
    core.engine.scan(vnode.0, range, ScanDepth::Heads, &mut |place, record| {
        visit(place.id, &record.head).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failure.map_or(Ok(()), Err)
}

fn live(head: &[u8], siblings: bool) -> Result<bool> {
    Ok(!is_tombstone(&Record::decode_without_bodies(head)?, siblings))
}

/// The record as a reader of a bucket without siblings is to see it: with its newest value alone.
pub(crate) fn newest_alone(record: Record, depth: ScanDepth) -> Result<Record> {
    let mut object = Record::decode_without_bodies(&record.head)?;
    if object.siblings.len() < 2 {
        return Ok(record);
    }
    if depth == ScanDepth::Records {
        object = record.decode()?;
    }
    object.resolve_to_newest();
    Ok(Record::encode(&object))
}
