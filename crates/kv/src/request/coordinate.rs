//! Writes, at their coordinator: it stores the write, the other replicas join what it stored, the
//! answer leaves at `w`/`dw`/`pw`; the rest goes on behind it until every primary has the write or a
//! hint of it lies on some other node.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::View;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::error::QuorumKind;
use mapring_types::{Error, ErrorKind, NodeId, Object, ObjectId, Record, Result, SyncOnWrite};
use tokio::sync::{OwnedSemaphorePermit, SetOnce};
use tokio::time::{Instant, sleep_until};

use crate::blocks;
use crate::limits;
use crate::request::options::deadline;
use crate::request::pending::Pending;
use crate::request::quorum::write::{WriteCore, spread};
use crate::request::quorum::{Verdict, missed};
use crate::request::requests::Requests;
use crate::request::sole;
use crate::request::terms::Terms;
use crate::staleness::settle::Unsettling;
use crate::storage::stamp::{Stamped, Stamping};
use crate::view::{self, home};
use crate::write::Write;

/// Coordinates a write that another node was asked for.
///
/// # Errors
/// As [`coordinate`].
pub(crate) async fn forwarded(requests: &Arc<Requests>, write: Write) -> Result<Object> {
    let terms = Terms::of(requests, &write).await?;
    coordinate(requests, write, terms).await
}

/// Coordinates a write at a vnode of this node.
///
/// # Errors
/// As [`crate::Kv::put`], and `OtherCoordinator` where the object is near a limit and another node
/// decides.
pub(crate) async fn coordinate(
    requests: &Arc<Requests>,
    write: Write,
    terms: Terms,
) -> Result<Object> {
    let view = requests.node.view();
    let home = home(&view, &write.id);
    let list = view::list(&view, home, terms.need.n, &BTreeSet::new());
    let Some(place) = list.primaries.iter().find(|entry| entry.vnode == write.vnode) else {
        let message = format!("{}: vnode {} holds no replica", write.id, write.vnode);
        return Err(Error::new(ErrorKind::WrongPlan, message));
    };
    // Who asks may know better which primaries are down: then this node stands in for one.
    let own = PreferenceEntry {
        node: requests.node.me,
        primary: place.node == requests.node.me,
        ..*place
    };
    if own.primary {
        // Right after the start a little is waited for what is known of the data here.
        let _ =
            tokio::time::timeout(limits::CONFIRM_PATIENCE, requests.staleness.integrity.tried())
                .await;
        requests.staleness.integrity.admit(own.vnode, home)?;
    }
    let fresh_core = || WriteCore::new(terms.need, spread(&view, &list.primaries));
    let mut core = fresh_core();
    core.add(own);
    list.entries.iter().for_each(|&entry| {
        core.add(entry);
    });
    // What is certain to fail is refused before anything is stored.
    if let Verdict::Fail(error) = core.verdict() {
        return Err(error.context(&write.id));
    }
    // An upload goes as fast as all replicas take its blocks: else those of the slowest would gather
    // here.
    let in_turn = blocks::is_block(&write.id);
    let writer = Writer {
        tail: if in_turn { None } else { requests.tail(write.value.body.len()) },
        unsettled: requests.staleness.unsettled.begin(),
        requests: requests.clone(),
        id: write.id.clone(),
        home,
        core: fresh_core(),
        terms,
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
    mapring_net::task::to_the_end(writer.run(own, write)).await
}

/// Stamps a write to an object near a limit, if this node is the one that does.
async fn stamp_alone(
    requests: Arc<Requests>,
    own: PreferenceEntry,
    n: u32,
    write: Write,
    stamping: Stamping,
) -> Result<Stamped> {
    let entries = requests.node.entries(&write.id, n, &BTreeSet::new());
    let first = sole::coordinator(&entries, &requests.staleness.stale_vnodes());
    if !write.alone && first.is_none_or(|first| first.vnode != own.vnode) {
        return Ok(Stamped::Near(Box::new(write)));
    }
    sole::take(requests.clone(), write.id.clone(), own, entries).await;
    requests.node.vnodes.stamp(write, Stamping { coordinators: 1, ..stamping }).await
}

/// What is answered of a written object: of one that is not read whole the newest value alone.
pub(crate) fn shown(requests: &Requests, mut object: Object) -> Object {
    if object.body_bytes() > requests.node.parts.config.sizes.read_bytes {
        object.resolve_to_newest();
    }
    object
}

/// What the coordinator has stored.
#[derive(Default)]
struct Stored {
    object: Object,
    record: Record,
}

/// One write under way at its coordinator.
struct Writer {
    requests: Arc<Requests>,
    id: ObjectId,
    home: Partition,
    terms: Terms,
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
    async fn run(mut self, own: PreferenceEntry, write: Write) -> Result<Object> {
        let Terms { need, resolution, sync } = self.terms;
        let coordinators = usize::try_from(need.n).unwrap_or(usize::MAX);
        let stamping = Stamping { number: self.unsettled.number(), resolution, coordinators };
        let stamped = match self.requests.node.vnodes.stamp(write, stamping).await? {
            Stamped::Near(write) => {
                // Boxed: it is seldom, and would make every write's state larger.
                let requests = self.requests.clone();
                Box::pin(stamp_alone(requests, own, need.n, *write, stamping)).await?
            }
            stamped => stamped,
        };
        match stamped {
            Stamped::Stored(object, record) => self.stored = Stored { object, record },
            Stamped::Near(_) => return Err(sole::turned_away(&self.id)),
        }
        let synced = match sync {
            SyncOnWrite::Backend => Ok(()),
            SyncOnWrite::One | SyncOnWrite::All => self.requests.node.vnodes.sync_disk().await,
        };
        self.hedge = Some(Instant::now() + limits::HEDGE + self.transfer());
        if let Some(index) = self.core.add(own) {
            self.core.apply(index, true);
        }
        self.widen();
        if let Err(error) = synced {
            // It is stored, and goes on to the others. No other coordinator is to make it once more.
            let unsatisfied = missed(QuorumKind::Dw, 0, need.dw.max(1));
            self.answer(Err(unsatisfied.context(&self.id).with_source(error)));
        }
        self.decide();
        while !self.replied && !self.pending.is_empty() {
            let event = self.select().await;
            self.apply(event);
            self.decide();
        }
        if let Some(reply) = self.reply.take() {
            if self.is_everywhere() {
                self.requests.node.stats.count_fallback_writes(self.core.fallbacks());
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
        let covered =
            |entry: &PreferenceEntry| self.core.covers(entry.vnode, self.requests.node.me);
        self.pending.is_empty() && self.primaries().iter().all(covered)
    }

    /// The primaries as they are now.
    fn primaries(&self) -> Cow<'_, [PreferenceEntry]> {
        let view = self.requests.node.view();
        match &self.listed {
            Some((last, _, primaries)) if Arc::ptr_eq(last, &view) => Cow::Borrowed(primaries),
            _ => {
                let list = view::list(&view, self.home, self.terms.need.n, &BTreeSet::new());
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
        let view = self.requests.node.view();
        let same = |(last, excluded, _): &(Arc<View>, usize, _)| {
            Arc::ptr_eq(last, &view) && *excluded == self.excluded.len()
        };
        if self.listed.as_ref().is_some_and(same) {
            return;
        }
        let list = view::list(&view, self.home, self.terms.need.n, &self.excluded);
        for entry in list.entries {
            if let Some(index) = self.core.add(entry) {
                self.send(index, entry);
            }
        }
        self.listed = Some((view, self.excluded.len(), list.primaries));
    }

    fn send(&mut self, index: usize, entry: PreferenceEntry) {
        let (requests, id) = (self.requests.clone(), self.id.clone());
        let record = self.stored.record.clone();
        let mark = Some(requests.node.vnodes.in_flight().own(self.unsettled.number()));
        let patience = limits::REPLICA_PATIENCE + self.transfer();
        let given_up = requests.peers.suspicion.given_up(entry.node);
        let answered = self.answered.clone();
        let on_disk = self.terms.sync == SyncOnWrite::All;
        // Whoever still waits for the answer need not share the suspicion of others.
        let given_up = async move {
            given_up.await;
            answered.wait().await;
        };
        self.pending.push(async move {
            let class = Class::Foreground;
            let merged = async {
                requests.peers.merge_at(entry, id, record, mark, class, patience).await?;
                if on_disk {
                    requests.peers.sync_disk_at(entry.node, patience).await
                } else {
                    Ok(())
                }
            };
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
        assert!(!self.replied, "{}: a write is answered twice", self.id);
        self.replied = true;
        self.reply = Some(reply);
        let _ = self.answered.set(());
    }

    /// Keeps here what a primary has missed, to be handed to it, also where another node stood in:
    /// until that one has told of it, nobody else would know.
    async fn hint(&mut self) {
        self.requests.node.stats.count_fallback_writes(self.core.fallbacks());
        for primary in self.primaries().into_owned() {
            if self.core.covers(primary.vnode, self.requests.node.me)
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
                    self.requests.node.stats.count_hint();
                    // The primary may be up and have been slow: it need not wait for the next tick.
                    self.requests.staleness.wake.notify_one();
                }
                Err(error) => {
                    metrics::counter!("mapring_kv_hint_failures_total").increment(1);
                    let node = self.requests.node.view().state.named(primary.node);
                    tracing::warn!(id = %self.id, %node, %error, "no hint kept yet");
                    // Until there is one, this write is among those that have not settled.
                    self.requests.node.vnodes.in_flight().keep(self.unsettled.number(), &self.id);
                    return;
                }
            }
        }
    }

    async fn keep_hint(&mut self, vnode: Partition) -> Result<()> {
        let (id, record) = (self.id.clone(), self.stored.record.clone());
        self.requests.node.vnodes.merge(vnode, id, record, None).await
    }
}
