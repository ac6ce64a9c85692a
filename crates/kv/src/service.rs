//! What peers ask of this node.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::{Call, FrameStream, Service, distinct};
use mapring_types::{Error, NodeId, Record, Result};

use crate::peer::wire::{
    self, AskClocks, AskGraves, AskKnown, AskStaleness, Buckets, Bury, CoordinateAlone,
    CoordinateIf, Fetch, Keys, Leave, Merge, MergePiece, Read, ReadPiece, ReadSlim, Received,
    Remove, Replica, StalenessReport,
};
use crate::repair::{AskHeads, AskRepair};
use crate::request::coordinate;
use crate::staleness::holdings::AskHoldings;
use crate::staleness::status::ReplicationStatus;
use crate::write::Write;
use crate::{Shared, limits};

/// The numbers of all calls.
const NUMBERS: [u8; 22] = [
    Read::OPERATION,
    Merge::OPERATION,
    MergePiece::OPERATION,
    ReadPiece::OPERATION,
    ReadSlim::OPERATION,
    Leave::OPERATION,
    Write::OPERATION,
    CoordinateAlone::OPERATION,
    CoordinateIf::OPERATION,
    Remove::OPERATION,
    Keys::OPERATION,
    Buckets::OPERATION,
    AskClocks::OPERATION,
    AskHeads::OPERATION,
    Fetch::OPERATION,
    AskGraves::OPERATION,
    Bury::OPERATION,
    AskKnown::OPERATION,
    AskStaleness::OPERATION,
    AskRepair::OPERATION,
    ReplicationStatus::OPERATION,
    AskHoldings::OPERATION,
];

const _: () = assert!(distinct(&NUMBERS), "two calls of one number");

/// The service [`crate::SERVICE`]. Holds the store weakly: the transport, which the
/// store holds, holds its services.
pub(crate) struct KvService {
    pub(crate) shared: Weak<Shared>,
}

#[async_trait]
impl Service for KvService {
    async fn call(&self, from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        let Some(shared) = self.shared.upgrade().filter(|shared| !shared.stopping()) else {
            return Err(Error::unavailable("objects are not served at present"));
        };
        let sender = wire::sender(&body)?;
        shared.extents.hear(from, sender.incarnation, sender.position);
        about_objects(&shared, from, operation, &body).await
    }

    async fn open(&self, _from: NodeId, operation: u8, _body: Bytes) -> Result<FrameStream> {
        Err(Error::invalid(format!("operation {operation} on objects gives no stream")))
    }
}

/// What reads and changes single objects.
async fn about_objects(
    shared: &Arc<Shared>,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Result<Bytes> {
    match operation {
        Read::OPERATION => {
            let read = async |Read { replica, id }| {
                let had = shared.read_here(replica, id).await;
                had.and_then(|had| shared.in_one_message(had))
            };
            at_replica(shared, body, |call: &Read| call.replica, read).await
        }
        Merge::OPERATION => {
            let merge = async |Merge { replica, id, record, mark }| {
                shared.vnodes.merge(replica.vnode, id, record, mark).await
            };
            at_replica(shared, body, |call: &Merge| call.replica, merge).await
        }
        MergePiece::OPERATION => {
            let merge = async |MergePiece { replica, id, piece, mark }| match piece.decode() {
                Ok(piece) => shared.vnodes.merge_piece(replica.vnode, id, piece, mark).await,
                Err(error) => Err(error.context(&id)),
            };
            at_replica(shared, body, |call: &MergePiece| call.replica, merge).await
        }
        ReadPiece::OPERATION => {
            let read = async |call: ReadPiece, plan| shared.give_piece(plan, call).await;
            answer(shared, body, read).await
        }
        ReadSlim::OPERATION => {
            let read = async |ReadSlim { replica, id, vtag }| {
                shared.read_slim_here(replica, id, vtag.as_deref()).await
            };
            at_replica(shared, body, |call: &ReadSlim| call.replica, read).await
        }
        Leave::OPERATION => {
            let leave = async |call: Leave| shared.leave_here(call).await;
            at_replica(shared, body, |call: &Leave| call.replica, leave).await
        }
        Write::OPERATION => {
            answer(shared, body, async |write: Write, _| coordinate(shared, write).await).await
        }
        CoordinateAlone::OPERATION => {
            answer(shared, body, async |CoordinateAlone(write), _| {
                coordinate(shared, Write { alone: true, ..write }).await
            })
            .await
        }
        CoordinateIf::OPERATION => {
            answer(shared, body, async |CoordinateIf(write, unchanged), _| {
                let write = Write { unchanged: Some(unchanged), alone: true, ..write };
                coordinate(shared, write).await
            })
            .await
        }
        Remove::OPERATION => {
            let remove = async |Remove { replica, id, clock }| {
                shared.vnodes.reap(replica.vnode, id, clock).await
            };
            at_replica(shared, body, |call: &Remove| call.replica, remove).await
        }
        _ => about_slices(shared, from, operation, body).await,
    }
}

/// What reads many objects, and brings replicas together.
async fn about_slices(
    shared: &Arc<Shared>,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Result<Bytes> {
    match operation {
        Keys::OPERATION => {
            answer(shared, body, async |call: Keys, _| shared.keys_here(call).await).await
        }
        Buckets::OPERATION => {
            answer(shared, body, async |call: Buckets, _| shared.buckets_here(call).await).await
        }
        AskClocks::OPERATION => {
            let replica = |call: &AskClocks| Replica { vnode: call.part.vnode, primary: true };
            let clocks = async |call: AskClocks| shared.clocks_here(call).await;
            at_replica(shared, body, replica, clocks).await
        }
        AskHeads::OPERATION => {
            answer(shared, body, async |call: AskHeads, _| shared.heads_here(call).await).await
        }
        Fetch::OPERATION => {
            answer(shared, body, async |call: Fetch, _| shared.fetch_here(call).await).await
        }
        AskGraves::OPERATION => {
            answer(shared, body, async |call: AskGraves, _| shared.graves_here(call).await).await
        }
        Bury::OPERATION => {
            answer(shared, body, async |call: Bury, _| shared.bury_here(call).await).await
        }
        AskKnown::OPERATION => {
            answer(shared, body, async |call: AskKnown, _| shared.known_here(call).await).await
        }
        _ => about_nodes(shared, from, operation, body).await,
    }
}

/// What nodes know of each other.
async fn about_nodes(
    shared: &Arc<Shared>,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Result<Bytes> {
    match operation {
        AskStaleness::OPERATION => {
            answer(shared, body, async |call: AskStaleness, _| {
                let behind = shared.staleness_here(call).await?;
                Ok(StalenessReport { yours: shared.extents.of(from), ..behind })
            })
            .await
        }
        AskRepair::OPERATION => {
            answer(shared, body, async |_: AskRepair, _| Ok(shared.repair_here())).await
        }
        ReplicationStatus::OPERATION => {
            answer(shared, body, async |status: ReplicationStatus, _| {
                shared.hear(from, &status).await?;
                shared.calm.heard(from);
                Ok(())
            })
            .await
        }
        AskHoldings::OPERATION => {
            answer(shared, body, async |_: AskHoldings, _| shared.holdings_here().await).await
        }
        _ => Err(Error::invalid(format!("unknown operation {operation} on objects"))),
    }
}

/// Does what is asked by a node with a plan of a version, and encodes what became of it: in the version
/// of the question, which its sender knows.
async fn answer<C: Call>(
    shared: &Shared,
    body: &[u8],
    work: impl AsyncFnOnce(C, u64) -> Result<C::Answer>,
) -> Result<Bytes> {
    let Received { version, sender, call } = wire::decode(body)?;
    let outcome = work(call, sender.plan).await;
    wire::encode_answer::<C>(version, shared.sender(), outcome)
}

/// As [`answer`], unless the call is for a replica that has moved elsewhere.
async fn at_replica<C: Call>(
    shared: &Shared,
    body: &[u8],
    replica: impl Fn(&C) -> Replica,
    work: impl AsyncFnOnce(C) -> Result<C::Answer>,
) -> Result<Bytes> {
    answer(shared, body, async |call: C, plan| {
        shared.admit(&shared.parts.cluster.view(), plan, replica(&call))?;
        work(call).await
    })
    .await
}

async fn coordinate(shared: &Arc<Shared>, write: Write) -> Result<Record> {
    if shared.pauses.was_paused() || is_old(shared, &write) {
        return Err(Error::unavailable("the write was on its way for too long"));
    }
    let written = coordinate::forwarded(shared, write).await?;
    Ok(Record::encode_for(&coordinate::shown(shared, written), shared.vnodes.release()))
}

/// Whether a write lay on its way for so long that its sender has turned to another node, and
/// others may have been made over it. Where the clocks of two nodes differ by more than this, the
/// sender turns to another node in vain at worst, and coordinates by itself.
fn is_old(shared: &Shared, write: &Write) -> bool {
    let age = shared.parts.clock.now_micros().saturating_sub(write.sent_at);
    let patience = limits::FORWARD_PATIENCE + limits::transfer(write.value.body.len());
    Duration::from_micros(age) >= patience + limits::CLOCK_GRACE
}
