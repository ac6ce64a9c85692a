//! Writes: a primary coordinates, the other replicas join what it stored, the answer leaves at
//! `w`/`dw`/`pw`; the rest goes on behind it until every primary has the write or a hint of it lies
//! on some other node.
//!
//! Every write has an id. A node that is not a primary forwards the write; should the connection
//! break while the answer is awaited, it asks the same coordinator again, which knows the id and
//! does not store twice. Only when that fails too does it turn to the next primary. That primary
//! cannot know whether the first one stored the write: with `allow_mult` an ambiguous failure can
//! then leave the same value twice as siblings, which a reader resolves like any others.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::{Change, Outcome, View};
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::{KEY_BYTES, OBJECT_BYTES};
use mapring_types::{Error, ErrorKind, NodeId, Object, ObjectId, Record, Result, VersionVector};
use tokio::sync::{OwnedSemaphorePermit, SetOnce};
use tokio::time::{Instant, sleep_until};

use crate::peer::replica::Asked;
use crate::peer::wire::{self, Coordinate, Operation};
use crate::request::pending::Pending;
use crate::request::quorum::{Verdict, WriteCore, WriteNeed, keeps_siblings};
use crate::request::sole;
use crate::staleness::settle::Unsettling;
use crate::storage::vnode::{Stamped, Stamping};
use crate::{NewValue, PutOptions, Shared, deadline, home, limits};

/// Writes an object: see [`crate::Kv::put`].
pub(crate) async fn put(
    shared: &Arc<Shared>,
    id: &ObjectId,
    context: Option<VersionVector>,
    value: NewValue,
    options: &PutOptions,
) -> Result<Object> {
    check_size(id, &value)?;
    let view = shared.parts.cluster.view();
    let need = WriteNeed::new(&shared.props(&view, &id.bucket)?, options)?;
    seal(shared).await?;
    let ends = deadline(options.timeout);
    let mut write = Coordinate {
        vnode: Partition(0),
        id: id.clone(),
        write_id: shared.parts.entropy.next_u64(),
        asked_at: shared.parts.clock.now_micros(),
        sent_at: 0,
        context,
        metadata: value.metadata,
        body: value.body,
        deleted: value.deleted,
        w: options.w,
        dw: options.dw,
        pw: options.pw,
        timeout_ms: 0,
    };
    let unchanged = options.unchanged.as_ref();
    let mut excluded = BTreeSet::new();
    // One node decides about all writes with a condition, so that its lock decides.
    let (mut last, mut alone) = (None, unchanged.is_some());
    let mut unknown = false;
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::timeout(format!("{id}: the write was not answered in time")));
        }
        let entries = shared.entries(id, need.n, &excluded);
        let (stale, suspects) = (shared.stale_vnodes(), shared.suspicion.suspects());
        let chosen = if alone {
            sole::coordinator(&entries, &stale)
        } else {
            coordinator(&entries, shared.me, &stale, &suspects)
        };
        let Some(entry) = chosen else {
            let nobody = || Error::unavailable(format!("{id}: no node can take the write"));
            return Err(last.unwrap_or_else(nobody));
        };
        write.vnode = entry.vnode;
        write.sent_at = shared.parts.clock.now_micros();
        write.timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        match attempt(shared, entry.node, &write, unchanged, alone, left).await {
            Ok(object) => return Ok(shown(shared, object)),
            // What has changed the object may be this very write.
            Err((error, Final::Yes)) if unknown && error.kind() == ErrorKind::Precondition => {
                return Err(Error::unavailable(format!(
                    "{id}: the node that was to make the write does not answer: it may have made it"
                )));
            }
            Err((error, Final::Yes)) => return Err(error),
            // Once: whoever is chosen to be the only one does not refuse for this.
            Err((error, Final::No)) if error.kind() == ErrorKind::OtherCoordinator && !alone => {
                alone = true;
                last = Some(error);
            }
            Err((error, last_word)) => {
                unknown |= matches!(last_word, Final::Unknown);
                tracing::debug!(%id, node = %entry.node, %error, "another node is to coordinate");
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
    shared: &Arc<Shared>,
    node: NodeId,
    write: &Coordinate,
    unchanged: Option<&VersionVector>,
    alone: bool,
    left: Duration,
) -> Result<Object, (Error, Final)> {
    if node == shared.me {
        // The writer keeps to the deadline by itself, but not while the storage is stuck.
        let patience = left + limits::STORAGE_GRACE;
        let coordinated = coordinate(shared, write.clone(), unchanged.cloned(), alone);
        let outcome = tokio::time::timeout(patience, coordinated).await;
        let stuck = || Error::timeout(format!("{}: the storage did not answer", write.id));
        return outcome.unwrap_or_else(|_| Err(stuck())).map_err(|error| {
            let kind = finality(&error);
            (error, kind)
        });
    }
    shared.stats.count_forward();
    // Near a limit it is the object that takes its time: as a rule many values like this one.
    let sizes = &shared.parts.config.sizes;
    let values = if alone { sizes.max_siblings } else { 1 };
    let bytes = write.body.len().saturating_mul(values).min(sizes.max_bytes.max(write.body.len()));
    let patience = limits::FORWARD_PATIENCE + limits::transfer(bytes);
    let patience = patience.min(left);
    let mut asked = ask(shared, node, write, unchanged, alone, patience).await;
    if let Asked::Unreached(error) = &asked
        && error.kind() == ErrorKind::Unavailable
    {
        asked = ask(shared, node, write, unchanged, alone, patience).await;
    }
    match asked {
        Asked::Answered(Ok(record)) => record.decode().map_err(|error| (error, Final::Yes)),
        Asked::Answered(Err(error)) => {
            let kind = finality(&error);
            Err((error, kind))
        }
        Asked::Unreached(error) => Err((error, Final::Unknown)),
    }
}

async fn ask(
    shared: &Arc<Shared>,
    node: NodeId,
    write: &Coordinate,
    unchanged: Option<&VersionVector>,
    alone: bool,
    patience: Duration,
) -> Asked<Record> {
    let class = Class::Foreground;
    if let Some(unchanged) = unchanged {
        let (write, unchanged) = (write.clone(), unchanged.clone());
        let message = wire::CoordinateIf { write, unchanged };
        return shared.ask(node, class, Operation::CoordinateIf, &message, patience).await;
    }
    let operation = if alone { Operation::CoordinateAlone } else { Operation::Coordinate };
    shared.ask(node, class, operation, write, patience).await
}

/// What is answered of a written object: of one that is not read whole the newest value alone.
pub(crate) fn shown(shared: &Shared, mut object: Object) -> Object {
    if object.body_bytes() > shared.parts.config.sizes.read_bytes {
        object.resolve_to_newest();
    }
    object
}

fn finality(error: &Error) -> Final {
    match error.kind() {
        ErrorKind::Unavailable
        | ErrorKind::Overloaded
        | ErrorKind::WrongPlan
        | ErrorKind::OtherCoordinator
        | ErrorKind::Storage
        | ErrorKind::Corrupt => Final::No,
        _ => Final::Yes,
    }
}

fn check_size(id: &ObjectId, value: &NewValue) -> Result<()> {
    let named = |bytes: &[u8]| (1..=KEY_BYTES).contains(&bytes.len());
    if ![&id.key, &id.bucket.name, &id.bucket.bucket_type].into_iter().all(|name| named(name)) {
        return Err(Error::invalid(format!(
            "bucket type, bucket and key have 1 to {KEY_BYTES} bytes each"
        )));
    }
    let bytes = value.body.len();
    if bytes > OBJECT_BYTES {
        let message = format!("{id}: a value of {bytes} bytes is larger than {OBJECT_BYTES}");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

/// Has the cluster know, before anything is stored, that data has arrived.
async fn seal(shared: &Shared) -> Result<()> {
    if shared.parts.cluster.view().state.sealed {
        return Ok(());
    }
    match shared.parts.cluster.propose(Change::Seal).await? {
        Outcome::Applied => Ok(()),
        Outcome::Refused(why) => Err(Error::unavailable(format!("cannot take data yet: {why}"))),
    }
}

/// Coordinates a write at a vnode of this node; `alone` as in [`Operation::CoordinateAlone`].
///
/// # Errors
/// As [`put`], and `OtherCoordinator` where the object is near a limit and another node decides.
pub(crate) async fn coordinate(
    shared: &Arc<Shared>,
    write: Coordinate,
    unchanged: Option<VersionVector>,
    alone: bool,
) -> Result<Object> {
    seal(shared).await?;
    let view = shared.parts.cluster.view();
    let props = shared.props(&view, &write.id.bucket)?;
    let options = PutOptions { w: write.w, dw: write.dw, pw: write.pw, ..PutOptions::default() };
    let need = WriteNeed::new(&props, &options)?;
    let value = NewValue { metadata: write.metadata, body: write.body, deleted: write.deleted };
    check_size(&write.id, &value)?;
    let home = home(&view, &write.id);
    let list = shared.list(&view, home, need.n, &BTreeSet::new());
    let Some(place) = list.primaries.iter().find(|entry| entry.vnode == write.vnode) else {
        let message = format!("{}: vnode {} holds no replica", write.id, write.vnode);
        return Err(Error::new(ErrorKind::WrongPlan, message));
    };
    // Who asks may know better which primaries are down: then this node stands in for one.
    let own = PreferenceEntry { node: shared.me, primary: place.node == shared.me, ..*place };
    if own.primary {
        // Right after the start a little is waited for what is known of the data here.
        let _ = tokio::time::timeout(limits::CONFIRM_PATIENCE, shared.integrity.tried()).await;
        shared.integrity.admit(own.vnode, home)?;
    }
    let fresh_core = || WriteCore::new(need, spread(&view, &list.primaries));
    let mut core = fresh_core();
    core.add(own);
    list.entries.iter().for_each(|&entry| {
        core.add(entry);
    });
    // What is certain to fail is refused before anything is stored.
    if let Verdict::Fail(error) = core.verdict() {
        return Err(error.context(&write.id));
    }
    let unsettled = shared.unsettled.begin();
    let stamping = Stamping {
        id: write.id.clone(),
        write_id: write.write_id,
        number: unsettled.number(),
        asked_at: write.asked_at,
        context: write.context.unwrap_or_default(),
        value,
        siblings: keeps_siblings(&props),
        sharers: usize::try_from(need.n).unwrap_or(usize::MAX),
        unchanged,
    };
    let writer = Writer {
        tail: shared.tail(stamping.value.body.len()),
        unsettled,
        shared: shared.clone(),
        id: write.id,
        home,
        core: fresh_core(),
        need,
        alone,
        excluded: BTreeSet::new(),
        listed: None,
        pending: Pending::new(),
        stored: Stored::default(),
        hedge: None,
        deadline: deadline(Some(Duration::from_millis(write.timeout_ms))),
        reply: None,
        replied: false,
        answered: Arc::default(),
    };
    // A write that has begun reaches all replicas, whoever still waits for it.
    mapring_net::task::to_the_end(writer.run(own, stamping)).await
}

/// Stamps a write to an object near a limit, if this node is the one that does.
async fn stamp_alone(
    shared: Arc<Shared>,
    own: PreferenceEntry,
    need: WriteNeed,
    alone: bool,
    stamping: Stamping,
) -> Result<Stamped> {
    let entries = shared.entries(&stamping.id, need.n, &BTreeSet::new());
    let first = sole::coordinator(&entries, &shared.stale_vnodes());
    if !alone && first.is_none_or(|first| first.vnode != own.vnode) {
        return Ok(Stamped::Near(Box::new(stamping)));
    }
    sole::take(shared.clone(), stamping.id.clone(), own, entries).await;
    shared.vnodes.stamp(own.vnode, Stamping { sharers: 1, ..stamping }).await
}

/// Of how many nodes at least a write is to be acknowledged, as far as its quorum asks: of as many as
/// its primaries are on. Of two nodes one may be away: what the other stored under both names counts.
pub(crate) fn spread(view: &View, primaries: &[PreferenceEntry]) -> usize {
    match view.plan().node_count() {
        0..=2 => 1,
        nodes => nodes.min(primaries.len()),
    }
}

/// What the coordinator has stored.
#[derive(Default)]
struct Stored {
    object: Object,
    record: Record,
}

/// One write under way at its coordinator.
struct Writer {
    shared: Arc<Shared>,
    id: ObjectId,
    home: Partition,
    need: WriteNeed,
    /// Whether this node was chosen to coordinate alone, should the object be near a limit.
    alone: bool,
    core: WriteCore,
    /// Nodes that failed or are suspected: the list is made as if they were down.
    excluded: BTreeSet<NodeId>,
    /// The primaries of the last list, and by what that was made: the view, and how many nodes were
    /// excluded.
    listed: Option<(Arc<View>, usize, Vec<PreferenceEntry>)>,
    pending: Pending<(usize, Result<()>)>,
    stored: Stored,
    /// When nodes that have not answered are suspected; `None` once they are.
    hedge: Option<Instant>,
    deadline: Instant,
    /// The answer, until it leaves.
    reply: Option<Result<Object>>,
    replied: bool,
    /// Set when the answer has left: nobody waits for the rest.
    answered: Arc<SetOnce<()>>,
    /// The leave to go on in the background; without it the answer waits for all replicas.
    tail: Option<OwnedSemaphorePermit>,
    unsettled: Unsettling,
}

enum Event {
    Answer(usize, Result<()>),
    Hedge,
    Deadline,
}

impl Writer {
    /// Stores the write, here and elsewhere; gives the answer when there is one. What is left to do
    /// then is done by a task of its own.
    async fn run(mut self, own: PreferenceEntry, stamping: Stamping) -> Result<Object> {
        let stamped = match self.shared.vnodes.stamp(own.vnode, stamping).await? {
            Stamped::Near(stamping) => {
                // Boxed: it is seldom, and would make every write's state larger.
                let (shared, need, alone) = (self.shared.clone(), self.need, self.alone);
                Box::pin(stamp_alone(shared, own, need, alone, *stamping)).await?
            }
            stamped => stamped,
        };
        match stamped {
            Stamped::Stored(object, record) => self.stored = Stored { object, record },
            Stamped::Near(_) => return Err(sole::turned_away(&self.id)),
        }
        self.hedge = Some(Instant::now() + limits::HEDGE + self.transfer());
        if let Some(index) = self.core.add(own) {
            self.core.apply(index, true);
        }
        self.widen();
        self.decide();
        while !self.replied && !self.pending.is_empty() {
            let event = self.select().await;
            self.apply(event);
            self.decide();
        }
        if let Some(reply) = self.reply.take() {
            if self.is_everywhere() {
                self.shared.stats.count_fallback_writes(self.core.fallbacks());
            } else {
                mapring_net::task::spawn(self.finish());
            }
            return reply;
        }
        // Without the leave to go on in the background.
        self.hint().await;
        match self.core.verdict() {
            Verdict::Enough => Ok(std::mem::take(&mut self.stored.object)),
            Verdict::Fail(error) => Err(error.context(&self.id)),
            Verdict::Wait => Err(Error::internal("a write ran out of replicas")),
        }
    }

    /// What there is to do after the answer.
    async fn finish(mut self) {
        while !self.pending.is_empty() {
            let event = self.select().await;
            self.apply(event);
        }
        self.hint().await;
        drop(self.unsettled);
    }

    /// Whether every primary is known to have the write.
    fn is_everywhere(&self) -> bool {
        let covered = |entry: &PreferenceEntry| self.core.covers(entry.vnode, self.shared.me);
        self.pending.is_empty() && self.primaries().iter().all(covered)
    }

    /// The primaries as they are now.
    fn primaries(&self) -> Cow<'_, [PreferenceEntry]> {
        let view = self.shared.parts.cluster.view();
        match &self.listed {
            Some((last, _, primaries)) if Arc::ptr_eq(last, &view) => Cow::Borrowed(primaries),
            _ => {
                let list = self.shared.list(&view, self.home, self.need.n, &BTreeSet::new());
                Cow::Owned(list.primaries)
            }
        }
    }

    async fn select(&mut self) -> Event {
        let hedge = async {
            match self.hedge {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let deadline = async {
            if self.replied {
                std::future::pending().await
            } else {
                sleep_until(self.deadline).await;
            }
        };
        tokio::select! {
            biased;
            Some((index, answer)) = self.pending.next() => Event::Answer(index, answer),
            () = hedge => Event::Hedge,
            () = deadline => Event::Deadline,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Answer(index, answer) => {
                if let Err(error) = &answer {
                    let node = self.core.node(index);
                    tracing::debug!(id = %self.id, ?node, %error, "a replica failed a write");
                    metrics::counter!("mapring_kv_replica_write_failures_total").increment(1);
                    self.excluded.extend(node);
                }
                self.core.apply(index, answer.is_ok());
                self.widen();
            }
            Event::Hedge => {
                self.hedge = None;
                let unanswered: Vec<NodeId> = self.core.unanswered().collect();
                self.excluded.extend(unanswered);
                self.widen();
            }
            Event::Deadline => {
                let message = format!("{}: the write was not answered in time", self.id);
                self.answer(Err(Error::timeout(message)));
            }
        }
    }

    /// Sends the write to the replicas that the list names by now and that have not got it.
    fn widen(&mut self) {
        let view = self.shared.parts.cluster.view();
        let same = |(last, excluded, _): &(Arc<View>, usize, _)| {
            Arc::ptr_eq(last, &view) && *excluded == self.excluded.len()
        };
        if self.listed.as_ref().is_some_and(same) {
            return;
        }
        let list = self.shared.list(&view, self.home, self.need.n, &self.excluded);
        for entry in list.entries {
            if let Some(index) = self.core.add(entry) {
                self.send(index, entry);
            }
        }
        self.listed = Some((view, self.excluded.len(), list.primaries));
    }

    fn send(&mut self, index: usize, entry: PreferenceEntry) {
        let (shared, id) = (self.shared.clone(), self.id.clone());
        let record = self.stored.record.clone();
        let mark = Some(shared.vnodes.in_flight().own(self.unsettled.number()));
        let patience = limits::REPLICA_PATIENCE + self.transfer();
        let given_up = shared.suspicion.given_up(entry.node);
        let answered = self.answered.clone();
        // Whoever still waits for the answer need not share the suspicion of others.
        let given_up = async move {
            given_up.await;
            answered.wait().await;
        };
        self.pending.push(async move {
            let class = Class::Foreground;
            let merged = shared.merge_at(entry, id, record, mark, class, patience);
            tokio::select! {
                biased;
                merged = merged => (index, merged),
                () = given_up => (index, Err(Error::unavailable("the node was given up"))),
            }
        });
    }

    fn transfer(&self) -> Duration {
        limits::transfer(self.stored.record.len())
    }

    fn decide(&mut self) {
        if self.replied {
            return;
        }
        match self.core.verdict() {
            Verdict::Wait => {}
            // Without the leave to go on in the background, `run` answers at its end.
            Verdict::Enough if self.tail.is_none() => {}
            Verdict::Enough => {
                let object = std::mem::take(&mut self.stored.object);
                self.answer(Ok(object));
            }
            Verdict::Fail(error) => self.answer(Err(error.context(&self.id))),
        }
    }

    fn answer(&mut self, reply: Result<Object>) {
        if !self.replied {
            self.replied = true;
            self.reply = Some(reply);
            let _ = self.answered.set(());
        }
    }

    /// Keeps here what a primary has missed, to be handed to it, also where another node stood in:
    /// until that one has told of it, nobody else would know.
    async fn hint(&mut self) {
        self.shared.stats.count_fallback_writes(self.core.fallbacks());
        for primary in self.primaries().into_owned() {
            if self.core.covers(primary.vnode, self.shared.me)
                || mapring_types::failpoint!(LostHint)
            {
                continue;
            }
            let mut outcome = self.keep_hint(primary.vnode).await;
            for _ in 1..limits::HINT_ATTEMPTS {
                if outcome.is_ok() {
                    break;
                }
                sleep_until(Instant::now() + limits::HEDGE).await;
                outcome = self.keep_hint(primary.vnode).await;
            }
            match outcome {
                Ok(()) => {
                    self.shared.stats.count_hint();
                    // The primary may be up and have been slow: it need not wait for the next tick.
                    self.shared.wake.notify_one();
                }
                Err(error) => {
                    metrics::counter!("mapring_kv_hint_failures_total").increment(1);
                    let node = self.shared.parts.cluster.view().state.named(primary.node);
                    tracing::warn!(id = %self.id, %node, %error, "no hint kept yet");
                    // Until there is one, this write is among those that have not settled.
                    self.shared.vnodes.in_flight().keep(self.unsettled.number(), &self.id);
                    return;
                }
            }
        }
    }

    async fn keep_hint(&mut self, vnode: Partition) -> Result<()> {
        let (id, record) = (self.id.clone(), self.stored.record.clone());
        self.shared.vnodes.merge(vnode, id, record, None).await
    }
}
