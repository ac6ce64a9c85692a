//! What peers ask of this node.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::{FrameStream, Service};
use mapring_types::{Error, NodeId, Record, Result, VersionVector};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::peer::wire::{self, Operation, Sender, Signed, StalenessReport};
use crate::request::coordinate;
use crate::staleness::status::ReplicationStatus;
use crate::write::Write;
use crate::{Shared, limits};

/// The service [`crate::SERVICE`]. Holds the store weakly: the transport, which the
/// store holds, holds its services.
pub(crate) struct KvService {
    pub(crate) shared: Weak<Shared>,
}

#[async_trait]
impl Service for KvService {
    async fn call(&self, from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        let operation = Operation::from_number(operation)?;
        let Some(shared) = self.shared.upgrade().filter(|shared| !shared.stopping()) else {
            return Err(Error::unavailable("objects are not served at present"));
        };
        let sender = wire::sender(&body)?;
        shared.extents.hear(from, sender.incarnation, sender.position);
        match operation {
            Operation::Read => read(&shared, &body).await,
            Operation::Merge => merge(&shared, &body).await,
            Operation::MergePiece => merge_piece(&shared, &body).await,
            Operation::ReadPiece => {
                let Signed { sender: Sender { plan, .. }, body } =
                    unpack::<wire::ReadPiece>(&body)?;
                pack(&shared, shared.give_piece(plan, body).await)
            }
            Operation::ReadSlim => read_slim(&shared, &body).await,
            Operation::Leave => {
                let Signed { sender: Sender { plan, .. }, body } = unpack::<wire::Leave>(&body)?;
                match shared.admit(&shared.parts.cluster.view(), plan, body.replica) {
                    Ok(()) => pack(&shared, shared.leave_here(body).await),
                    Err(error) => pack::<()>(&shared, Err(error)),
                }
            }
            Operation::Coordinate => coordinate(&shared, unpack(&body)?.body).await,
            Operation::CoordinateAlone => {
                let write = unpack::<Write>(&body)?.body;
                coordinate(&shared, Write { alone: true, ..write }).await
            }
            Operation::CoordinateIf => {
                let (write, unchanged) = unpack::<(Write, VersionVector)>(&body)?.body;
                let write = Write { unchanged: Some(unchanged), alone: true, ..write };
                coordinate(&shared, write).await
            }
            Operation::Remove => remove(&shared, &body).await,
            Operation::Keys => {
                let request = unpack::<wire::Keys>(&body)?.body;
                pack(&shared, shared.keys_here(request).await)
            }
            Operation::Buckets => {
                let request = unpack::<wire::Buckets>(&body)?.body;
                pack(&shared, shared.buckets_here(request).await)
            }
            Operation::Staleness => {
                let request = unpack::<wire::AskStaleness>(&body)?.body;
                let report = shared.staleness_here(request).await;
                let yours = shared.extents.of(from);
                pack(&shared, report.map(|report| StalenessReport { yours, ..report }))
            }
            Operation::Heads => {
                let request = unpack::<wire::AskHeads>(&body)?.body;
                pack(&shared, shared.heads_here(request).await)
            }
            Operation::Fetch => {
                let request = unpack::<wire::Fetch>(&body)?.body;
                pack(&shared, shared.fetch_here(request).await)
            }
            Operation::Clocks => {
                let Signed { sender: Sender { plan, .. }, body } =
                    unpack::<wire::AskClocks>(&body)?;
                let replica = wire::Replica { vnode: body.part.vnode, primary: true };
                match shared.admit(&shared.parts.cluster.view(), plan, replica) {
                    Ok(()) => pack(&shared, shared.clocks_here(body).await),
                    Err(error) => pack::<()>(&shared, Err(error)),
                }
            }
            Operation::Graves => {
                let request = unpack::<wire::AskGraves>(&body)?.body;
                pack(&shared, shared.graves_here(request).await)
            }
            Operation::Bury => {
                let request = unpack::<wire::Bury>(&body)?.body;
                pack(&shared, shared.bury_here(request).await)
            }
            Operation::Known => {
                let request = unpack::<wire::AskKnown>(&body)?.body;
                pack(&shared, shared.known_here(request).await)
            }
            Operation::Repair => pack(&shared, Ok(shared.repair_here())),
            Operation::Status => {
                let status = unpack::<ReplicationStatus>(&body)?.body;
                let heard = shared.hear(from, &status).await;
                if heard.is_ok() {
                    shared.calm.heard(from);
                }
                pack(&shared, heard)
            }
            Operation::Holdings => pack(&shared, shared.holdings_here().await),
        }
    }

    async fn open(&self, _from: NodeId, operation: u8, _body: Bytes) -> Result<FrameStream> {
        Err(Error::invalid(format!("operation {operation} on objects gives no stream")))
    }
}

async fn read(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes> {
    let Signed { sender: Sender { plan, .. }, body: wire::Read { replica, id } } = unpack(body)?;
    if let Err(error) = shared.admit(&shared.parts.cluster.view(), plan, replica) {
        return pack::<()>(shared, Err(error));
    }
    let read = shared.read_here(replica, id).await;
    pack(shared, read.and_then(|record| shared.in_one_message(record)))
}

async fn read_slim(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes> {
    let Signed { sender, body: wire::ReadSlim { replica, id, vtag } } = unpack(body)?;
    let plan = sender.plan;
    if let Err(error) = shared.admit(&shared.parts.cluster.view(), plan, replica) {
        return pack::<()>(shared, Err(error));
    }
    pack(shared, shared.read_slim_here(replica, id, vtag.as_deref()).await)
}

async fn merge_piece(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes> {
    let Signed { sender, body: wire::MergePiece { replica, id, piece, mark } } = unpack(body)?;
    let plan = sender.plan;
    if let Err(error) = shared.admit(&shared.parts.cluster.view(), plan, replica) {
        return pack::<()>(shared, Err(error));
    }
    let merged = match piece.decode() {
        Ok(piece) => shared.vnodes.merge_piece(replica.vnode, id, piece, mark).await,
        Err(error) => Err(error.context(&id)),
    };
    pack(shared, merged)
}

async fn merge(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes> {
    let Signed { sender, body: wire::Merge { replica, id, record, mark } } = unpack(body)?;
    let plan = sender.plan;
    if let Err(error) = shared.admit(&shared.parts.cluster.view(), plan, replica) {
        return pack::<()>(shared, Err(error));
    }
    pack(shared, shared.vnodes.merge(replica.vnode, id, record, mark).await)
}

async fn coordinate(shared: &Arc<Shared>, write: Write) -> Result<Bytes> {
    if shared.pauses.was_paused() || is_old(shared, &write) {
        let error = Error::unavailable("the write was on its way for too long");
        return pack::<Record>(shared, Err(error));
    }
    let written = coordinate::forwarded(shared, write).await;
    pack(shared, written.map(|object| Record::encode(&coordinate::shown(shared, object))))
}

async fn remove(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes> {
    let Signed { sender, body: wire::Remove { replica, id, clock } } = unpack(body)?;
    let plan = sender.plan;
    if let Err(error) = shared.admit(&shared.parts.cluster.view(), plan, replica) {
        return pack::<()>(shared, Err(error));
    }
    pack(shared, shared.vnodes.reap(replica.vnode, id, clock).await)
}

/// Whether a write lay on its way for so long that its sender has turned to another node, and
/// others may have been made over it. Where the clocks of two nodes differ by more than this, the
/// sender turns to another node in vain at worst, and coordinates by itself.
fn is_old(shared: &Shared, write: &Write) -> bool {
    let age = shared.parts.clock.now_micros().saturating_sub(write.sent_at);
    let patience = limits::FORWARD_PATIENCE + limits::transfer(write.value.body.len());
    Duration::from_micros(age) >= patience + limits::CLOCK_GRACE
}

fn unpack<T: DeserializeOwned>(body: &[u8]) -> Result<Signed<T>> {
    wire::decode(body)
}

fn pack<T: Serialize>(shared: &Shared, outcome: Result<T>) -> Result<Bytes> {
    wire::encode_answer(shared.sender(), outcome)
}
