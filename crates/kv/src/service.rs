//! What peers ask of this node.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::{Call, FrameStream, Service, distinct};
use mapring_types::{Error, NodeId, Record, Result};

use crate::limits;
use crate::peer::wire::{
    self, AskGraves, AskKnown, Bury, CoordinateAlone, CoordinateAsked, CoordinateIf,
    CoordinateInBlocks, Fetch, Leave, Merge, MergePiece, Read, ReadPiece, ReadSlim, Received,
    Remove, Replica, SyncDisk, UpdateDatatype,
};
use crate::repair;
use crate::repair::answer::{AskHeads, AskRepair};
use crate::request::coordinate;
use crate::request::requests::Requests;
use crate::scan::census::AskCensus;
use crate::scan::entries::AskEntries;
use crate::scan::names::{Buckets, Keys};
use crate::scan::select::AskClocks;
use crate::scan::{census, entries, merge, names};
use crate::staleness::holdings::AskHoldings;
use crate::staleness::status::ReplicationStatus;
use crate::staleness::survey::{AskStaleness, StalenessReport};
use crate::write::Write;

/// The numbers of all calls.
const NUMBERS: [u8; 28] = [
    Read::OPERATION,
    Merge::OPERATION,
    MergePiece::OPERATION,
    ReadPiece::OPERATION,
    ReadSlim::OPERATION,
    Leave::OPERATION,
    Write::OPERATION,
    CoordinateAlone::OPERATION,
    CoordinateIf::OPERATION,
    CoordinateInBlocks::OPERATION,
    UpdateDatatype::OPERATION,
    CoordinateAsked::OPERATION,
    SyncDisk::OPERATION,
    Remove::OPERATION,
    Keys::OPERATION,
    Buckets::OPERATION,
    AskClocks::OPERATION,
    AskEntries::OPERATION,
    AskCensus::OPERATION,
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
    pub(crate) requests: Weak<Requests>,
}

#[async_trait]
impl Service for KvService {
    async fn call(&self, from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        let Some(requests) = self.requests.upgrade().filter(|requests| !requests.node.stopping())
        else {
            return Err(Error::unavailable("objects are not served at present"));
        };
        let sender = wire::sender(&body)?;
        requests.peers.extents.hear(from, sender.incarnation, sender.position);
        about_objects(&requests, from, operation, &body).await
    }

    async fn open(&self, _from: NodeId, operation: u8, _body: Bytes) -> Result<FrameStream> {
        Err(Error::invalid(format!("operation {operation} on objects gives no stream")))
    }
}

/// What reads and changes single objects.
async fn about_objects(
    requests: &Arc<Requests>,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Result<Bytes> {
    match operation {
        Read::OPERATION => {
            let read = async |Read { replica, id }| {
                let had = requests.read_here(replica, id).await;
                had.and_then(|had| requests.in_one_message(had))
            };
            at_replica(requests, body, |call: &Read| call.replica, read).await
        }
        Merge::OPERATION => {
            let merge = async |Merge { replica, id, record, mark }| {
                requests.node.vnodes.merge(replica.vnode, id, record, mark).await
            };
            at_replica(requests, body, |call: &Merge| call.replica, merge).await
        }
        MergePiece::OPERATION => {
            let merge = async |MergePiece { replica, id, piece, mark }| match piece.decode() {
                Ok(piece) => requests.node.vnodes.merge_piece(replica.vnode, id, piece, mark).await,
                Err(error) => Err(error.context(&id)),
            };
            at_replica(requests, body, |call: &MergePiece| call.replica, merge).await
        }
        ReadPiece::OPERATION => {
            let read = async |call: ReadPiece, plan| requests.give_piece(plan, call).await;
            answer(requests, body, read).await
        }
        ReadSlim::OPERATION => {
            let read = async |ReadSlim { replica, id, vtag }| {
                requests.read_slim_here(replica, id, vtag.as_deref()).await
            };
            at_replica(requests, body, |call: &ReadSlim| call.replica, read).await
        }
        Leave::OPERATION => {
            let leave = async |call: Leave| requests.leave_here(call).await;
            at_replica(requests, body, |call: &Leave| call.replica, leave).await
        }
        Remove::OPERATION => {
            let remove = async |Remove { replica, id, clock }| {
                requests.node.vnodes.reap(replica.vnode, id, clock).await
            };
            at_replica(requests, body, |call: &Remove| call.replica, remove).await
        }
        SyncDisk::OPERATION => {
            answer(requests, body, async |_: SyncDisk, _| requests.node.vnodes.sync_disk().await)
                .await
        }
        _ => about_writes(requests, from, operation, body).await,
    }
}

/// What has this node coordinate writes.
async fn about_writes(
    requests: &Arc<Requests>,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Result<Bytes> {
    match operation {
        Write::OPERATION => coordinated(requests, body, |write: Write| write).await,
        CoordinateAsked::OPERATION => {
            coordinated(requests, body, CoordinateAsked::into_write).await
        }
        CoordinateAlone::OPERATION => {
            let write = |CoordinateAlone(write)| Write { alone: true, ..write };
            coordinated(requests, body, write).await
        }
        CoordinateIf::OPERATION => {
            let write = |CoordinateIf(write, unchanged)| Write {
                unchanged: Some(unchanged),
                alone: true,
                ..write
            };
            coordinated(requests, body, write).await
        }
        CoordinateInBlocks::OPERATION => {
            let write = |call: CoordinateInBlocks| {
                let CoordinateInBlocks { mut write, blocks, alone, unchanged } = call;
                write.value.metadata.blocks = Some(Box::new(blocks));
                Write { alone, unchanged, ..write }
            };
            coordinated(requests, body, write).await
        }
        UpdateDatatype::OPERATION => {
            let write = |UpdateDatatype { write, alone }| Write { alone, updates: true, ..write };
            coordinated(requests, body, write).await
        }
        _ => about_slices(requests, from, operation, body).await,
    }
}

/// What reads many objects, and brings replicas together.
async fn about_slices(
    requests: &Arc<Requests>,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Result<Bytes> {
    match operation {
        Keys::OPERATION => {
            answer(requests, body, async |call: Keys, _| {
                names::keys_here(&requests.staleness, call).await
            })
            .await
        }
        Buckets::OPERATION => {
            answer(requests, body, async |call: Buckets, _| {
                names::buckets_here(&requests.staleness, call).await
            })
            .await
        }
        AskClocks::OPERATION => {
            let replica = |call: &AskClocks| Replica { vnode: call.part.vnode, primary: true };
            let clocks =
                async |call: AskClocks| merge::clocks_here(&requests.staleness, call).await;
            at_replica(requests, body, replica, clocks).await
        }
        AskEntries::OPERATION => {
            let replica = |call: &AskEntries| Replica { vnode: call.part.vnode, primary: true };
            let entries = async |call: AskEntries| entries::entries_here(requests, call).await;
            at_replica(requests, body, replica, entries).await
        }
        AskCensus::OPERATION => {
            let replica = |call: &AskCensus| Replica { vnode: call.part.vnode, primary: true };
            let counted = async |call: AskCensus| census::census_here(requests, call).await;
            at_replica(requests, body, replica, counted).await
        }
        AskHeads::OPERATION => {
            answer(requests, body, async |call: AskHeads, _| {
                repair::answer::heads_here(&requests.staleness, call).await
            })
            .await
        }
        Fetch::OPERATION => {
            answer(requests, body, async |call: Fetch, _| {
                repair::answer::fetch_here(&requests.staleness, call).await
            })
            .await
        }
        AskGraves::OPERATION => {
            answer(requests, body, async |call: AskGraves, _| {
                repair::answer::graves_here(&requests.staleness, call).await
            })
            .await
        }
        Bury::OPERATION => {
            answer(requests, body, async |call: Bury, _| {
                repair::answer::bury_here(&requests.staleness, call).await
            })
            .await
        }
        AskKnown::OPERATION => {
            answer(requests, body, async |call: AskKnown, _| {
                repair::answer::known_here(&requests.staleness, call).await
            })
            .await
        }
        _ => about_nodes(requests, from, operation, body).await,
    }
}

/// What nodes know of each other.
async fn about_nodes(
    requests: &Arc<Requests>,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Result<Bytes> {
    match operation {
        AskStaleness::OPERATION => {
            answer(requests, body, async |call: AskStaleness, _| {
                let behind = requests.staleness.staleness_here(call).await?;
                Ok(StalenessReport { yours: requests.peers.extents.of(from), ..behind })
            })
            .await
        }
        AskRepair::OPERATION => {
            answer(requests, body, async |_: AskRepair, _| {
                Ok(repair::answer::repair_here(&requests.staleness))
            })
            .await
        }
        ReplicationStatus::OPERATION => {
            answer(requests, body, async |status: ReplicationStatus, _| {
                requests.staleness.hear(from, &status).await?;
                requests.peers.reports.heard(from);
                Ok(())
            })
            .await
        }
        AskHoldings::OPERATION => {
            answer(requests, body, async |_: AskHoldings, _| {
                requests.staleness.holdings_here().await
            })
            .await
        }
        _ => Err(Error::invalid(format!("unknown operation {operation} on objects"))),
    }
}

/// Does what is asked by a node with a plan of a version, and encodes what became of it: in the version
/// of the question, which its sender knows.
async fn answer<C: Call>(
    requests: &Requests,
    body: &[u8],
    work: impl AsyncFnOnce(C, u64) -> Result<C::Answer>,
) -> Result<Bytes> {
    let Received { version, sender, call } = wire::decode(body)?;
    let outcome = work(call, sender.plan).await;
    wire::encode_answer::<C>(version, requests.peers.sender(), outcome)
}

/// As [`answer`], unless the call is for a replica that has moved elsewhere.
async fn at_replica<C: Call>(
    requests: &Requests,
    body: &[u8],
    replica: impl Fn(&C) -> Replica,
    work: impl AsyncFnOnce(C) -> Result<C::Answer>,
) -> Result<Bytes> {
    answer(requests, body, async |call: C, plan| {
        requests.peers.admit(&requests.node.view(), plan, replica(&call))?;
        work(call).await
    })
    .await
}

/// Coordinates the write that a call says, with all that it says beside it.
async fn coordinated<C: Call<Answer = Record>>(
    requests: &Arc<Requests>,
    body: &[u8],
    write: impl FnOnce(C) -> Write,
) -> Result<Bytes> {
    answer(requests, body, async |call: C, _| coordinate(requests, write(call)).await).await
}

async fn coordinate(requests: &Arc<Requests>, write: Write) -> Result<Record> {
    if requests.peers.pauses.was_paused() || is_old(requests, &write) {
        return Err(Error::unavailable("the write was on its way for too long"));
    }
    let written = coordinate::forwarded(requests, write).await?;
    Ok(Record::encode_for(&coordinate::shown(requests, written), requests.node.vnodes.release()))
}

/// Whether a write lay on its way for so long that its sender has turned to another node, and
/// others may have been made over it. Where the clocks of two nodes differ by more than this, the
/// sender turns to another node in vain at worst, and coordinates by itself.
fn is_old(requests: &Requests, write: &Write) -> bool {
    let age = requests.node.parts.clock.now_micros().saturating_sub(write.sent_at);
    let patience = limits::FORWARD_PATIENCE + limits::transfer(write.value.body.len());
    Duration::from_micros(age) >= patience + limits::CLOCK_GRACE
}
