//! Pages of a vnode's slices: whole objects, keys, bucket names.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use mapring_engine::{ScanDepth, ScanRange};
use mapring_ring::Partition;
use mapring_types::limits::{PAGE_BYTES, PAGE_INPUTS};
use mapring_types::{BucketId, IndexValue, ObjectId, Record, Result};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::resolution::Resolution;
use crate::storage::objects::Core;

/// Which objects of a bucket a fold gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// All of them.
    All,
    /// Those whose keys lie within bounds, inclusive, bytewise: Riak's index `$key`.
    Keys {
        /// The first key.
        from: Bytes,
        /// The last key.
        to: Bytes,
    },
    /// Those with a term of a secondary index within bounds, inclusive: an object once for each such
    /// term, in the order of terms and then keys.
    Terms {
        /// The field, with its suffix.
        field: String,
        /// The first term.
        from: IndexValue,
        /// The last term, of the same kind.
        to: IndexValue,
    },
}

/// Where a fold goes on: opaque, and ordered as the fold goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cursor(Bytes);

impl Cursor {
    /// A place, as the fold of its selection reads it: the key, where the selection is by keys.
    pub fn new(place: impl Into<Bytes>) -> Self {
        Self(place.into())
    }

    pub(crate) fn place(&self) -> &Bytes {
        &self.0
    }
}

/// Whether the object with a key is wanted. An error ends the fold.
pub type KeyTest = Arc<dyn Fn(&[u8]) -> Result<bool> + Send + Sync>;

/// A page to be read of a slice of a bucket.
#[derive(Clone)]
pub struct FoldRequest {
    /// A vnode of this node.
    pub vnode: Partition,
    /// The home partition.
    pub home: Partition,
    /// The bucket.
    pub bucket: BucketId,
    /// Which of its objects.
    pub selection: Selection,
    /// Start strictly after this place.
    pub after: Option<Cursor>,
    /// How much of each object.
    pub depth: ScanDepth,
    /// Most objects; at least one is given where there is one.
    pub most: usize,
    /// Objects whose keys it refuses are not read.
    pub keep: Option<KeyTest>,
    /// How many replicas are read and merged: 1 reads this vnode alone.
    pub replicas: u32,
    /// Whether the vnode is known to have every acknowledged write, as a coverage plan says of those
    /// that it names. Then a merge needs no more nodes than there are: see [`crate::Kv::fold_page`].
    pub complete: bool,
}

/// An object that a fold met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where to go on after it.
    pub cursor: Cursor,
    /// Its name.
    pub id: ObjectId,
    /// The object. With [`ScanDepth::Heads`] its body is empty.
    pub record: Record,
}

/// A page of a fold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects in the order of the selection.
    pub items: Vec<Item>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
    /// How many entries were looked at, wanted or not.
    pub looked_at: u64,
}

/// Whole objects in order, and where to go on; `None` at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    pub(crate) items: Vec<(ObjectId, Record)>,
    pub(crate) next: Option<ObjectId>,
}

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
) -> Result<Records> {
    let range = ScanRange { bucket, ..ScanRange::home(slice.home.0).after(slice.after) };
    let most = most.clamp(1, PAGE_INPUTS);
    let mut page = Records::default();
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

/// A page of the keys of live objects.
pub(crate) fn keys(
    core: &Core,
    slice: Slice,
    bucket: BucketId,
    resolution: Resolution,
) -> Result<Names> {
    let range = ScanRange::bucket(slice.home.0, bucket).after(slice.after);
    let mut out = Names::default();
    let mut looked_at = 0;
    scan_heads(core, slice.vnode, &range, |id, head| {
        looked_at += 1;
        if live(head, resolution)? {
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
    resolution: &dyn Fn(&BucketId) -> Resolution,
) -> Result<Names> {
    let first = ObjectId::new(BucketId::typed(bucket_type.clone(), Bytes::new()), Bytes::new());
    let mut out = Names::default();
    let mut looked_at = 0;
    let mut after = slice.after.unwrap_or(first);
    loop {
        let range = ScanRange::home(slice.home.0).after(Some(after.clone()));
        let mut found = None;
        let mut full = false;
        scan_heads(core, slice.vnode, &range, |id, head| {
            if id.bucket.bucket_type != *bucket_type {
                return Ok(ControlFlow::Break(()));
            }
            looked_at += 1;
            if live(head, resolution(&id.bucket))? {
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

fn live(head: &[u8], resolution: Resolution) -> Result<bool> {
    Ok(!resolution.is_tombstone(&Record::decode_without_bodies(head)?))
}
