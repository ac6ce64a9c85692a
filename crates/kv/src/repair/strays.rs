//! Objects that only a node has that went back to an earlier state.
//!
//! They may have been deleted since, and their tombstones reaped everywhere: kept, they would rise
//! again. So one that all other primaries lack is removed here, under the conditions under which a
//! tombstone is reaped: every member answers, no hints for these primaries are outstanding, and the
//! object is no part of a write under way. In this order, so that a write of the meantime is seen:
//! the object here, the hints, the other primaries, the object here once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::{NodeId, ObjectId, Result, VersionVector};

use crate::{Shared, limits};

/// Removes those of some objects of a vnode here that nobody else has.
///
/// # Errors
/// `Storage`; what keeps another primary from saying whether it has one of them. All is kept where
/// some member cannot be asked at all.
pub(super) async fn drop_all(
    shared: &Arc<Shared>,
    vnode: Partition,
    strays: Vec<(ObjectId, VersionVector)>,
) -> Result<()> {
    if strays.is_empty() {
        return Ok(());
    }
    let view = shared.parts.cluster.view();
    let members: Vec<NodeId> = view.state.members.keys().copied().collect();
    let known = shared.knowledge(&members, Class::Background, &BTreeSet::new()).await;
    if !members.iter().all(|member| known.heard.contains_key(member)) {
        tracing::info!(%vnode, objects = strays.len(), "objects that only this node has are kept");
        return Ok(());
    }
    let (mut dropped, all) = (0_usize, strays.len());
    for (id, clock) in strays {
        // Of an unknown type nothing is thrown away.
        let Ok(props) = shared.props(&view, &id.bucket) else { continue };
        let n_val = props.n_val;
        let primaries = shared.primaries(&id, n_val);
        let others = primaries.iter().filter(|entry| entry.node != shared.me);
        let mut alone = !primaries.iter().any(|entry| known.held.contains(&entry.vnode));
        let mut asked = 0;
        for &entry in others {
            if !alone {
                break;
            }
            let patience = limits::REPLICA_PATIENCE;
            let read = shared.read_record_at(entry, id.clone(), Class::Background, patience);
            alone = read.await.map_err(|error| error.context(&id))?.is_none();
            asked += 1;
        }
        if alone && asked > 0 && shared.vnodes.let_go(vnode, id, clock).await? {
            dropped += 1;
        }
    }
    tracing::info!(%vnode, dropped, kept = all - dropped, "objects that only this node had");
    Ok(())
}
