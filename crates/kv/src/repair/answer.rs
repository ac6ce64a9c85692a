//! What a node gives to one that fills itself, and takes from it.
//!
//! All that it has is given, also where it lacks something itself: who asks joins it into what it has.

use std::ops::ControlFlow;
use std::sync::Arc;

use mapring_cluster::Change;
use mapring_engine::{ScanDepth, ScanRange};
use mapring_net::{Class, calls};
use mapring_types::limits::{LEASE, PAGE_BYTES};
use mapring_types::{Error, ErrorKind, NodeId, ObjectId, Record, Result, VersionVector};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::peer::wire::{AskGraves, AskKnown, Bury, Fetch, SERVICE};
use crate::staleness::losses::{propose, seal};
use crate::staleness::progress::Progress;
use crate::staleness::state::Staleness;
use crate::storage::graves;
use crate::storage::objects::Core;
use crate::storage::slice::Slice;

calls!(SERVICE; AskHeads = 20 => Heads, AskRepair = 22 => Progress);

/// Asks for a page of names and clocks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskHeads {
    pub(crate) slice: Slice,
}

/// Asks for how far the node's filling is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AskRepair;

/// A page of names and clocks of a slice, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heads {
    pub(crate) items: Vec<(ObjectId, VersionVector)>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<ObjectId>,
}

/// A page of names and clocks of a slice here.
///
/// # Errors
/// `Storage`, `Corrupt`, `Overloaded`.
pub(crate) async fn heads_here(staleness: &Staleness, request: AskHeads) -> Result<Heads> {
    let Slice { vnode, home, after } = request.slice;
    let work = move |core: &Core| {
        let range = ScanRange::home(home.0).after(after);
        let mut page = Heads::default();
        let (mut bytes, mut full, mut failure) = (0, false, None);
        core.engine.scan(vnode.0, &range, ScanDepth::Heads, &mut |place, record| {
            match Record::decode_without_bodies(&record.head) {
                Ok(object) => {
                    bytes += place.id.key.len() + 16 * object.clock.len() + 64;
                    page.items.push((place.id, object.clock));
                }
                Err(error) => {
                    failure = Some(error.context(&place.id));
                    return ControlFlow::Break(());
                }
            }
            full = page.items.len() >= limits::REPAIR_PAGE || bytes >= limits::REPAIR_PAGE_BYTES;
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failure.map_or(Ok(()), Err)?;
        page.next = page.items.last().filter(|_| full).map(|(id, _)| id.clone());
        Ok(page)
    };
    staleness.node.vnodes.run(work).await
}

/// A page of the graves of a slice here.
///
/// # Errors
/// As [`heads_here`].
pub(crate) async fn graves_here(staleness: &Staleness, request: AskGraves) -> Result<graves::Page> {
    let Slice { vnode, home, after } = request.slice;
    staleness.node.vnodes.run(move |core| core.graves_page(vnode, home, after)).await
}

/// The first of some objects of a vnode here, as many as make a page.
///
/// # Errors
/// As [`heads_here`]; `TooLarge` when the first of them goes in pieces.
pub(crate) async fn fetch_here(
    staleness: &Staleness,
    request: Fetch,
) -> Result<Vec<Option<Record>>> {
    let Fetch { vnode, ids } = request;
    let most = staleness.node.parts.config.sizes.piece_bytes;
    let work = move |core: &Core| {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let record = core.engine.get(vnode.0, &core.place(id))?;
            let length = record.as_ref().map_or(0, Record::len);
            if length > most {
                // The next request begins with it.
                let in_pieces = "the object is fetched in pieces";
                let refused = Error::new(ErrorKind::TooLarge, in_pieces);
                return if records.is_empty() { Err(refused) } else { Ok(records) };
            }
            bytes += length;
            records.push(record);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(records)
    };
    staleness.node.vnodes.run(work).await
}

/// Of which of some objects there is anything here: a value, a tombstone or a grave.
///
/// # Errors
/// As [`heads_here`]; `Invalid` for more than a page.
pub(crate) async fn known_here(staleness: &Staleness, request: AskKnown) -> Result<Vec<bool>> {
    let AskKnown { vnode, ids } = request;
    if ids.len() > limits::REPAIR_PAGE {
        return Err(Error::invalid(format!("{} objects are more than a page", ids.len())));
    }
    let work = move |core: &Core| {
        let known = |id| {
            let place = core.place(id);
            let stored = core.engine.read(vnode.0, &place, ScanDepth::Heads)?.is_some();
            Ok(stored || core.grave(vnode, &place)?.is_some())
        };
        ids.into_iter().map(known).collect()
    };
    staleness.node.vnodes.run(work).await
}

/// Takes proofs in that objects were deleted.
///
/// # Errors
/// As [`heads_here`].
pub(crate) async fn bury_here(staleness: &Staleness, request: Bury) -> Result<()> {
    staleness.node.vnodes.bury_all(request.vnode, request.graves).await.map(|_| ())
}

/// How far the filling of a node is.
///
/// # Errors
/// `NotFound` for who is no member; `Unavailable`, `Timeout`.
pub(crate) async fn repair_status(staleness: &Arc<Staleness>, node: NodeId) -> Result<Progress> {
    let asked = if node == staleness.node.me {
        Ok(repair_here(staleness))
    } else {
        let class = Class::Foreground;
        staleness.peers.ask(node, class, &AskRepair, LEASE).await.flat()
    };
    // A node that has not seen yet that it is incomplete is not finished.
    let view = staleness.node.view();
    let incomplete = view.state.members.get(&node).is_some_and(|member| member.incomplete);
    let mut progress: Progress = asked?;
    if progress.complete && incomplete {
        progress = Progress::default();
    }
    Ok(progress)
}

/// How far the filling of this node is.
pub(crate) fn repair_here(staleness: &Staleness) -> Progress {
    let complete = !staleness.integrity.is_incomplete();
    Progress { complete, ..staleness.integrity.progress() }
}

/// Has a node filled again.
///
/// # Errors
/// As [`mapring_cluster::Cluster::propose`].
pub(crate) async fn repair(staleness: &Staleness, node: NodeId) -> Result<()> {
    let view = staleness.node.view();
    match view.state.members.get(&node) {
        None => Err(Error::new(ErrorKind::NotFound, format!("node {node} is not a member"))),
        Some(member) if member.incomplete => Ok(()),
        Some(_) => {
            seal(staleness).await?;
            propose(staleness, Change::Lost { id: node }).await
        }
    }
}
