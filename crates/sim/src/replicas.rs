//! What lies on the disks: looked at from outside, by nobody who could be wrong.

use std::ops::ControlFlow;

use mapring_cluster::Cluster;
use mapring_engine::{Engine, ScanDepth, ScanRange, StoreKey, TermRange};
use mapring_ring::{Partition, hash};
use mapring_types::{BucketId, ErrorKind, NodeId, Object, ObjectId, Result};

use crate::buckets::{self, DATATYPES, NUMBERS, SHARED};
use crate::history::Span;
use crate::limits;
use crate::node::Host;
use crate::siblings;
use crate::world::World;

/// An object as a vnode has it on the disk of a host. One that is damaged is a violation.
pub(crate) fn stored(
    world: &World,
    host: &Host,
    vnode: Partition,
    id: &ObjectId,
) -> Result<Option<Object>> {
    let ring = host.cluster.view().plan().ring_size();
    let place = StoreKey { home: hash::home(ring, &id.bucket, &id.key).0, id: id.clone() };
    match host.disk.look().get(vnode.0, &place) {
        Ok(record) => record.map(|record| record.decode()).transpose(),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            world.trace.violation(format!("on disk at {}, vnode {vnode}: {error}", host.name()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Who has a value of an object, whether or not it is a primary, as `node:vnode`; a primary is
/// marked.
pub(crate) fn holders(world: &World, id: &ObjectId, n_val: u32) -> Result<Vec<Holder>> {
    let mut holders = Vec::new();
    for (vnode, owner) in world.primaries(id, n_val) {
        for host in world.hosts() {
            let object = stored(world, host, vnode, id)?;
            if object.as_ref().and_then(Object::newest).is_some_and(|newest| !newest.deleted) {
                holders.push(Holder { node: host.id, primary: host.id == owner });
            }
        }
    }
    Ok(holders)
}

/// See [`holders`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) node: NodeId,
    pub(crate) primary: bool,
}

/// After everything: every replica has every acknowledged write, and no node has anything left of
/// another's (I1).
pub(crate) fn check(world: &World) -> Result<()> {
    let now = world.trace.now();
    let span = Span { from: now, to: now };
    let keys: Vec<String> = world.look_back(|history| history.keys().cloned().collect());
    for key in keys {
        let id = buckets::number(&key);
        check_object(world, &id, world.shape.n_val, |object| {
            let newest = object.and_then(Object::newest).filter(|newest| !newest.deleted);
            let text = newest.map(|newest| String::from_utf8_lossy(&newest.body).into_owned());
            let seen = text.map(|text| text.parse().unwrap_or(u64::MAX));
            world.look_back(|h| h.check_read(&key, seen, span).into_iter().collect())
        })?;
    }
    let keys: Vec<String> = world.with_shared(|shared| shared.keys().cloned().collect());
    for key in keys {
        check_object(world, &buckets::shared(&key), limits::SHARED_N_VAL, |object| {
            world.with_shared(|shared| shared.check(&key, &siblings::found(object), span))
        })?;
    }
    for host in world.hosts() {
        let without_file = host.disk.without_file();
        if without_file > 0 {
            let node = host.name();
            let what = format!("crashes of {node} have left {without_file} records without files");
            world.trace.violation(what);
        }
        let buckets = [NUMBERS, SHARED, DATATYPES].map(|name| BucketId::untyped(name.to_owned()));
        for (vnode, id) in strangers(host, &buckets)? {
            let node = host.name();
            world.trace.violation(format!("{node} still has {id} for vnode {vnode} of another"));
        }
    }
    Ok(())
}

fn check_object(
    world: &World,
    id: &ObjectId,
    n_val: u32,
    check: impl Fn(Option<&Object>) -> Vec<String>,
) -> Result<()> {
    for (vnode, node) in world.primaries(id, n_val) {
        let object = stored(world, world.host(node)?, vnode, id)?;
        let lacking =
            object.as_ref().map(|object| entries_lacking(world.host(node)?, vnode, id, object));
        let faults = check(object.as_ref()).into_iter();
        for fault in faults.chain(lacking.transpose()?.unwrap_or_default()) {
            world.trace.violation(format!("on disk at n{}, vnode {vnode}: {fault}", node.0));
        }
    }
    Ok(())
}

/// The terms of an object that have no entry beside it on a host's disk.
fn entries_lacking(
    host: &Host,
    vnode: Partition,
    id: &ObjectId,
    object: &Object,
) -> Result<Vec<String>> {
    let home = hash::home(host.cluster.view().plan().ring_size(), &id.bucket, &id.key).0;
    let mut lacking = Vec::new();
    for (field, term) in object.index_entries() {
        let range = TermRange {
            home,
            bucket: id.bucket.clone(),
            field: field.clone(),
            from: term.clone(),
            to: term.clone(),
            after: None,
        };
        let mut found = false;
        host.disk.look().scan_terms(vnode.0, &range, &mut |place| {
            found = place.key == id.key;
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if !found {
            lacking.push(format!("{id} has no entry for {field} {term:?}"));
        }
    }
    Ok(lacking)
}

/// Objects of some buckets that a host keeps for vnodes of others.
pub(crate) fn strangers(host: &Host, buckets: &[BucketId]) -> Result<Vec<(Partition, ObjectId)>> {
    let view = host.cluster.view();
    let mut found = Vec::new();
    let ring_size = view.plan().ring_size();
    // Beside the vnodes' lies what belongs to the node itself.
    let vnodes = host.disk.look().vnodes().into_iter().filter(|vnode| *vnode < ring_size.get());
    for vnode in vnodes.map(Partition) {
        if view.plan().owner(vnode) == Some(host.id) {
            continue;
        }
        for home in view.plan().ring_size().partitions() {
            for bucket in buckets {
                let bucket = Some(bucket.clone());
                let range = ScanRange { bucket, ..ScanRange::home(home.0) };
                host.disk.look().scan(vnode.0, &range, ScanDepth::Heads, &mut |place, _| {
                    found.push((vnode, place.id));
                    ControlFlow::Continue(())
                })?;
            }
        }
    }
    Ok(found)
}
