//! Writes, at the node that is asked: a coordinator is chosen, and another one where that fails (what
//! it does: see `coordinate`).
//!
//! Every write has an id. A node that is not a primary forwards the write; should the connection
//! break while the answer is awaited, it asks the same coordinator again, which knows the id and
//! does not store twice. Only when that fails too does it turn to the next primary. That primary
//! cannot know whether the first one stored the write: with `allow_mult` an ambiguous failure can
//! then leave the same value twice as siblings, which a reader resolves like any others. So an update
//! of a data type is brought to one coordinator only, as in Riak, unless that is known not to have made it:
//! what came of it is the client's to find out (fact R209).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mapring_datatypes::Update;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{
    Error, ErrorKind, NodeId, Object, ObjectId, Record, Release, Result, VersionVector,
};
use tokio::time::Instant;

use crate::limits;
use crate::peer::call::Asked as Reached;
use crate::peer::wire::{
    CoordinateAlone, CoordinateAsked, CoordinateIf, CoordinateInBlocks, UpdateDatatype,
};
use crate::request::options::{PutOptions, deadline};
use crate::request::requests::Requests;
use crate::request::terms::Terms;
use crate::request::{coordinate, sole};
use crate::write::{Asked, NewValue, Write};

/// Writes an object: see [`crate::Kv::put`].
pub(crate) async fn put(
    requests: &Arc<Requests>,
    id: &ObjectId,
    context: Option<VersionVector>,
    value: NewValue,
    options: &PutOptions,
) -> Result<Object> {
    let write = Write { context, ..write(requests, id, value, options) };
    let terms = Terms::of(requests, &write).await?;
    bring(requests, write, terms, deadline(options.timeout)).await
}

/// Updates a data type: see [`crate::Kv::update`].
pub(crate) async fn update(
    requests: &Arc<Requests>,
    id: &ObjectId,
    update: &Update,
    options: &PutOptions,
) -> Result<Object> {
    if !requests.node.vnodes.all_read(Release::DATATYPES).await? {
        let message =
            format!("{id}: a member runs an earlier release of mapring, without data types");
        return Err(Error::unavailable(message));
    }
    let value = NewValue { body: update.encode(), ..NewValue::default() };
    let write = Write { updates: true, ..write(requests, id, value, options) };
    let terms = Terms::of(requests, &write).await?;
    bring(requests, write, terms, deadline(options.timeout)).await
}

fn write(requests: &Arc<Requests>, id: &ObjectId, value: NewValue, options: &PutOptions) -> Write {
    Write {
        vnode: Partition(0),
        id: id.clone(),
        write_id: requests.node.parts.entropy.next_u64(),
        asked_at: requests.node.parts.clock.now_micros(),
        sent_at: 0,
        context: None,
        value,
        quorums: options.quorums(),
        timeout_ms: 0,
        unchanged: options.unchanged.clone(),
        // One node decides about all writes with a condition, so that its lock decides.
        alone: options.unchanged.is_some(),
        updates: false,
        asked: options.asked(),
    }
}

/// Brings a write to one coordinator after another, until one has made or refused it.
async fn bring(
    requests: &Arc<Requests>,
    mut write: Write,
    terms: Terms,
    ends: Instant,
) -> Result<Object> {
    let mut excluded = BTreeSet::new();
    let (mut last, mut unknown) = (None, false);
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = format!("{}: the write was not answered in time", write.id);
            return Err(Error::timeout(message));
        }
        let entries = requests.node.entries(&write.id, terms.need.n, &excluded);
        let (stale, suspects) =
            (requests.staleness.stale_vnodes(), requests.peers.suspicion.suspects());
        let chosen = if write.alone {
            sole::coordinator(&entries, &stale)
        } else {
            coordinator(&entries, requests.node.me, &stale, &suspects)
        };
        let Some(entry) = chosen else {
            let nobody = || Error::unavailable(format!("{}: no node can take the write", write.id));
            return Err(last.unwrap_or_else(nobody));
        };
        write.vnode = entry.vnode;
        write.sent_at = requests.node.parts.clock.now_micros();
        write.timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        match attempt(requests, entry.node, &write, terms, left).await {
            Ok(object) => return Ok(coordinate::shown(requests, object)),
            // What has changed the object may be this very write.
            Err((error, Final::Yes)) if unknown && error.kind() == ErrorKind::Precondition => {
                return Err(Error::unavailable(format!(
                    "{}: the node that was to make the write does not answer: it may have made it",
                    write.id
                )));
            }
            Err((error, Final::Yes)) => return Err(error),
            // Once: whoever is chosen to be the only one does not refuse for this.
            Err((error, Final::No))
                if error.kind() == ErrorKind::OtherCoordinator && !write.alone =>
            {
                write.alone = true;
                last = Some(error);
            }
            // Made twice it would count twice. Whoever asked has to decide.
            Err((error, Final::Unknown))
                if write.updates && !mapring_types::failpoint!(UpdateRepeated) =>
            {
                return Err(error.context(format!("{}: it may have been made", write.id)));
            }
            Err((error, last_word)) => {
                unknown |= matches!(last_word, Final::Unknown);
                let (id, node) = (&write.id, entry.node);
                tracing::debug!(%id, %node, %error, "another node is to coordinate");
                excluded.insert(entry.node);
                last = Some(error);
            }
        }
    }
}

/// Who coordinates: this node if it is a primary, else the first primary, else a fallback. Replicas
/// that lack writes only where there are no others: they would write beside what they do not know.
/// Nodes that have just kept somebody waiting come after their equals.
fn coordinator(
    entries: &[PreferenceEntry],
    me: NodeId,
    stale: &BTreeSet<Partition>,
    suspects: &BTreeSet<NodeId>,
) -> Option<PreferenceEntry> {
    let rank = |entry: &&PreferenceEntry| {
        let stale = entry.primary && stale.contains(&entry.vnode);
        (!entry.primary, stale, suspects.contains(&entry.node), entry.node != me)
    };
    // The first of equals, in the order of the list.
    entries.iter().min_by_key(rank).copied()
}

/// Whether another coordinator could do better.
enum Final {
    Yes,
    No,
    /// It could, and this one may have made the write all the same.
    Unknown,
}

async fn attempt(
    requests: &Arc<Requests>,
    node: NodeId,
    write: &Write,
    terms: Terms,
    left: Duration,
) -> Result<Object, (Error, Final)> {
    if node == requests.node.me {
        // The writer keeps to the deadline by itself, but not while the storage is stuck.
        let patience = left + limits::STORAGE_GRACE;
        let coordinated = coordinate::coordinate(requests, write.clone(), terms);
        let outcome = tokio::time::timeout(patience, coordinated).await;
        let stuck = || Error::timeout(format!("{}: the storage did not answer", write.id));
        return outcome.unwrap_or_else(|_| Err(stuck())).map_err(|error| {
            let kind = finality(write, &error);
            (error, kind)
        });
    }
    requests.node.stats.count_forward();
    // Near a limit it is the object that takes its time: as a rule many values like this one.
    let sizes = &requests.node.parts.config.sizes;
    let values = if write.alone { sizes.max_siblings } else { 1 };
    let body = write.value.body.len();
    let bytes = body.saturating_mul(values).min(sizes.max_bytes.max(body));
    let patience = limits::FORWARD_PATIENCE + limits::transfer(bytes);
    let patience = patience.min(left);
    let mut asked = ask(requests, node, write, patience).await;
    if !write.updates
        && let Reached::Unreached(error) = &asked
        && error.kind() == ErrorKind::Unavailable
    {
        asked = ask(requests, node, write, patience).await;
    }
    match asked {
        Reached::Answered(Ok(record)) => record.decode().map_err(|error| (error, Final::Yes)),
        Reached::Answered(Err(error)) => {
            let kind = finality(write, &error);
            Err((error, kind))
        }
        Reached::Unreached(error) => Err((error, Final::Unknown)),
    }
}

async fn ask(
    requests: &Arc<Requests>,
    node: NodeId,
    write: &Write,
    patience: Duration,
) -> Reached<Record> {
    let class = Class::Foreground;
    if write.asked != Asked::default() {
        let call = CoordinateAsked::of(write);
        return requests.peers.ask(node, class, &call, patience).await;
    }
    if let Some(blocks) = write.value.metadata.blocks.as_deref().copied() {
        let (alone, unchanged) = (write.alone, write.unchanged.clone());
        let call = CoordinateInBlocks { write: write.clone(), blocks, alone, unchanged };
        return requests.peers.ask(node, class, &call, patience).await;
    }
    if write.updates {
        let call = UpdateDatatype { write: write.clone(), alone: write.alone };
        return requests.peers.ask(node, class, &call, patience).await;
    }
    if let Some(unchanged) = &write.unchanged {
        let call = CoordinateIf(write.clone(), unchanged.clone());
        return requests.peers.ask(node, class, &call, patience).await;
    }
    if write.alone {
        return requests.peers.ask(node, class, &CoordinateAlone(write.clone()), patience).await;
    }
    requests.peers.ask(node, class, write, patience).await
}

fn finality(write: &Write, error: &Error) -> Final {
    match error.kind() {
        // It may lie there all the same: of an update twice would be once too often.
        ErrorKind::Storage | ErrorKind::Corrupt if write.updates => Final::Yes,
        ErrorKind::Unavailable
        | ErrorKind::Overloaded
        | ErrorKind::WrongPlan
        | ErrorKind::OtherCoordinator
        | ErrorKind::Storage
        | ErrorKind::Corrupt => Final::No,
        _ => Final::Yes,
    }
}
