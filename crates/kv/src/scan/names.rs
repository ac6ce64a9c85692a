//! Pages of the names in a slice: keys, and buckets.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use mapring_engine::{ScanDepth, ScanRange};
use mapring_net::{Class, calls};
use mapring_ring::Partition;
use mapring_types::{BucketId, NodeId, ObjectId, Record, Result};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::peer::call::within;
use crate::peer::wire::SERVICE;
use crate::resolution::Resolution;
use crate::staleness::state::Staleness;
use crate::storage::objects::Core;
use crate::storage::slice::Slice;
use crate::view;

/// Names in order, and where to go on; `None` at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) names: Vec<Bytes>,
    pub(crate) next: Option<ObjectId>,
}

calls!(SERVICE; Keys = 5 => Names, Buckets = 6 => Names);

/// A page of live keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) slice: Slice,
    pub(crate) bucket: BucketId,
}

/// A page of bucket names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Buckets {
    pub(crate) slice: Slice,
    pub(crate) bucket_type: Bytes,
}

/// A page of live keys from a node.
pub(crate) async fn keys_at(
    staleness: &Staleness,
    node: NodeId,
    request: Keys,
    patience: Duration,
) -> Result<Names> {
    if node == staleness.node.me {
        return within(patience, keys_here(staleness, request)).await;
    }
    staleness.peers.ask(node, Class::Foreground, &request, patience).await.flat()
}

/// A page of live keys of a vnode of this node.
pub(crate) async fn keys_here(staleness: &Staleness, request: Keys) -> Result<Names> {
    let view = staleness.node.view();
    let resolution = view::resolution(&view, &request.bucket);
    let Keys { slice, bucket } = request;
    staleness.integrity.admit(slice.vnode, slice.home)?;
    staleness.node.vnodes.run(move |core| keys(core, slice, bucket, resolution)).await
}

/// A page of bucket names from a node.
pub(crate) async fn buckets_at(
    staleness: &Staleness,
    node: NodeId,
    request: Buckets,
    patience: Duration,
) -> Result<Names> {
    if node == staleness.node.me {
        return within(patience, buckets_here(staleness, request)).await;
    }
    staleness.peers.ask(node, Class::Foreground, &request, patience).await.flat()
}

/// A page of bucket names of a vnode of this node.
pub(crate) async fn buckets_here(staleness: &Staleness, request: Buckets) -> Result<Names> {
    let view = staleness.node.view();
    let resolution = move |bucket: &BucketId| view::resolution(&view, bucket);
    let Buckets { slice, bucket_type } = request;
    staleness.integrity.admit(slice.vnode, slice.home)?;
    staleness.node.vnodes.run(move |core| buckets(core, slice, &bucket_type, &resolution)).await
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
