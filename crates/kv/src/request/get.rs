//! Reads: all replicas are asked at once, the answer leaves at `r`/`pr`, stale primaries are
//! repaired after it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mapring_cluster::View;
use mapring_datatypes::object as datatypes;
use mapring_engine::StoreKey;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{Error, ErrorKind, NodeId, Object, ObjectId, Record, Result};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use crate::limits;
use crate::peer::wire::{Had, Slim};
use crate::request::absence::Absence;
use crate::request::options::{GetOptions, ObjectPart, deadline};
use crate::request::pending::Pending;
use crate::request::quorum::read::ReadCore;
use crate::request::quorum::{ReadNeed, Verdict};
use crate::request::requests::Requests;
use crate::resolution::Resolution;
use crate::view::{self, home};

type Reply = Result<Option<Object>>;

/// What a replica answers.
type Answer = Result<Had>;

/// One read under way.
struct Reader {
    requests: Arc<Requests>,
    place: StoreKey,
    part: ObjectPart,
    need: ReadNeed,
    resolution: Resolution,
    core: ReadCore,
    /// Nodes that failed or are suspected: the list is made as if they were down.
    excluded: BTreeSet<NodeId>,
    /// By what the list was made last: the view, and how many nodes were excluded.
    listed: Option<(Arc<View>, usize)>,
    /// Answers of this node's own vnodes that were had at once.
    ready: Vec<(usize, Answer)>,
    pending: Pending<(usize, Answer)>,
    /// The last object that was answered, with the replica that did: most answers are the same.
    last: Option<(usize, Record)>,
    /// When nodes that have not answered are suspected; `None` once they are.
    hedge: Option<Instant>,
    deadline: Instant,
    reply: Option<Reply>,
    replied: bool,
    /// After the reply: the leave to wait for late replicas.
    tail: Option<OwnedSemaphorePermit>,
}

enum Event {
    Answer(usize, Answer),
    Hedge,
    Deadline,
    /// No replica is left to wait for.
    Done,
}

/// Reads an object: see [`crate::Kv::get`]. Dropped, it asks no further.
pub(crate) async fn get(requests: &Arc<Requests>, id: &ObjectId, options: &GetOptions) -> Reply {
    match get_part(requests, id, options, ObjectPart::Whole).await {
        Err(error)
            if error.kind() == ErrorKind::TooLarge
                && !requests.node.resolution(&id.bucket).keeps_all() =>
        {
            // Boxed: it is seldom, and would make every read's state larger.
            Box::pin(get_newest(requests, id, options, error)).await
        }
        reply => reply,
    }
}

/// The newest value of an object that is too large to be read whole, with the clock of all.
async fn get_newest(
    requests: &Arc<Requests>,
    id: &ObjectId,
    options: &GetOptions,
    error: Error,
) -> Reply {
    for _ in 0..limits::PIECE_ATTEMPTS {
        let heads = get_part(requests, id, options, ObjectPart::Heads).await?;
        let newest = heads.as_ref().and_then(Object::newest).filter(|newest| !newest.deleted);
        let Some(tag) = newest.map(mapring_types::Sibling::vtag) else { return Ok(heads) };
        let part = ObjectPart::Value(tag.clone());
        let Some(object) = get_part(requests, id, options, part).await? else { return Ok(None) };
        if object.newest().is_some_and(|newest| newest.vtag() == tag) {
            return Ok(Some(object));
        }
    }
    Err(error)
}

/// As [`get`], of a part of the object. Replicas are not repaired with less than the whole.
pub(crate) async fn get_part(
    requests: &Arc<Requests>,
    id: &ObjectId,
    options: &GetOptions,
    part: ObjectPart,
) -> Reply {
    let view = requests.node.view();
    let props = view::props(&view, &id.bucket)?;
    let need = ReadNeed::new(&props, options)?;
    let resolution = Resolution::of(&props);
    let now = Instant::now();
    let mut reader = Reader {
        requests: requests.clone(),
        place: StoreKey { home: home(&view, id).0, id: id.clone() },
        part,
        need,
        resolution,
        core: ReadCore::new(need, resolution),
        excluded: BTreeSet::new(),
        listed: None,
        ready: Vec::new(),
        pending: Pending::new(),
        last: None,
        hedge: Some(now + limits::HEDGE),
        deadline: deadline(options.timeout),
        reply: None,
        replied: false,
        tail: None,
    };
    reader.widen();
    reader.decide();
    loop {
        if let Some(reply) = reader.reply.take() {
            if reader.has_more_to_do() {
                // Its own task: the replicas that answer after the reply are repaired.
                mapring_net::task::spawn(reader.finish());
            }
            return reply;
        }
        let event = reader.select().await;
        reader.apply(event);
    }
}

impl Reader {
    /// What there is to do after the reply.
    async fn finish(mut self) {
        while self.tail.is_some() && !self.pending.is_empty() && Instant::now() < self.deadline {
            let event = self.select().await;
            self.apply(event);
        }
        self.repair().await;
    }

    fn has_more_to_do(&self) -> bool {
        (self.tail.is_some() && !self.pending.is_empty()) || self.is_to_repair()
    }

    fn is_to_repair(&self) -> bool {
        let stale = self.part == ObjectPart::Whole && self.core.stale().next().is_some();
        stale || self.resolution.is_tombstone(&self.core.merged)
    }

    async fn select(&mut self) -> Event {
        let wake = self.hedge.map_or(self.deadline, |hedge| hedge.min(self.deadline));
        tokio::select! {
            biased;
            answer = self.pending.next() => match answer {
                Some((index, answer)) => Event::Answer(index, answer),
                None => Event::Done,
            },
            () = sleep_until(wake) => {
                if self.hedge == Some(wake) { Event::Hedge } else { Event::Deadline }
            }
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Answer(index, answer) => {
                self.take(index, answer);
                self.widen();
            }
            Event::Hedge => {
                self.hedge = None;
                let unanswered: Vec<NodeId> = self.core.unanswered().collect();
                self.excluded.extend(unanswered);
                self.widen();
            }
            Event::Deadline => {
                let message = format!("{}: the read was not answered in time", self.place.id);
                self.answer(Err(Error::timeout(message)));
            }
            Event::Done => self.answer(Err(Error::internal("a read ran out of replicas"))),
        }
        self.decide();
    }

    fn take(&mut self, index: usize, answer: Answer) {
        let Had { record, sure } = match answer {
            Ok(had) => had,
            // Whatever the others have: the object is larger still.
            Err(error) if error.kind() == ErrorKind::TooLarge => return self.answer(Err(error)),
            Err(error) => return self.fail(index, error),
        };
        if !sure {
            self.core.unsure(index);
        }
        let Some(record) = record else { return self.core.apply(index, None) };
        match &self.last {
            Some((other, last)) if *last == record => self.core.apply_same(index, *other),
            _ => match record.decode() {
                Ok(object) => {
                    self.core.apply(index, Some(object));
                    self.last = Some((index, record));
                }
                Err(error) => self.fail(index, error),
            },
        }
    }

    fn fail(&mut self, index: usize, error: Error) {
        let (id, node) = (&self.place.id, self.core.node(index));
        tracing::debug!(%id, ?node, %error, "a replica failed a read");
        self.excluded.extend(node);
        self.core.fail(index);
    }

    /// Asks the replicas that the list names by now and that have not been asked. Once the reply
    /// has left, nobody more is asked.
    fn widen(&mut self) {
        while !self.replied {
            let view = self.requests.node.view();
            let same = |(last, excluded): &(Arc<View>, usize)| {
                Arc::ptr_eq(last, &view) && *excluded == self.excluded.len()
            };
            if self.listed.as_ref().is_some_and(same) {
                return;
            }
            let home = Partition(self.place.home);
            let list = view::list(&view, home, self.need.n, &self.excluded);
            self.listed = Some((view, self.excluded.len()));
            self.core.set_primaries(list.primaries);
            for entry in list.entries {
                if let Some(index) = self.core.add(entry) {
                    self.ask(index, entry);
                }
            }
            // Some may have failed, so that the list is another one now.
            for (index, answer) in std::mem::take(&mut self.ready) {
                self.take(index, answer);
            }
        }
    }

    fn ask(&mut self, index: usize, entry: PreferenceEntry) {
        if self.part != ObjectPart::Whole {
            self.ask_part(index, entry);
            return;
        }
        if let Some(answer) = self.requests.read_at_once(entry, &self.place) {
            self.ready.push((index, answer));
            return;
        }
        self.send(index, entry, limits::REPLICA_PATIENCE);
    }

    fn send(&mut self, index: usize, entry: PreferenceEntry, patience: Duration) {
        let (requests, id) = (self.requests.clone(), self.place.id.clone());
        self.pending.push(async move {
            (index, requests.had_at(entry, id, Class::Foreground, patience).await)
        });
    }

    fn ask_part(&mut self, index: usize, entry: PreferenceEntry) {
        let (requests, id) = (self.requests.clone(), self.place.id.clone());
        let vtag = match &self.part {
            ObjectPart::Value(vtag) => Some(vtag.clone()),
            ObjectPart::Whole | ObjectPart::Heads => None,
        };
        let patience = limits::REPLICA_PATIENCE + limits::transfer(limits::PIECE_BYTES);
        self.pending.push(async move {
            let read = requests.read_slim_at(entry, id, vtag, Class::Foreground, patience).await;
            // That it lacks the object says nothing here: who asks knows that there is one.
            let had = |slim: Option<Slim>| Had {
                sure: slim.is_some(),
                record: slim.map(|slim| slim.record),
            };
            (index, read.map(had))
        });
    }

    fn decide(&mut self) {
        if self.replied {
            return;
        }
        match self.core.verdict() {
            Verdict::Wait => {}
            Verdict::Fail(error) => self.answer(Err(error.context(&self.place.id))),
            Verdict::Enough if self.core.is_there() => self.give(),
            Verdict::Enough => self.check_absence(),
        }
    }

    fn give(&mut self) {
        let last = self.pending.is_empty() && !self.is_to_repair();
        let merged = &mut self.core.merged;
        let mut object = if last { std::mem::take(merged) } else { merged.clone() };
        self.resolution.resolve(&mut object);
        self.answer(Ok((!object.siblings.is_empty()).then_some(object)));
    }

    /// So many say that there is nothing: answers so only where that is known.
    fn check_absence(&mut self) {
        let around = self.requests.around(self.core.primaries());
        match self.core.absence(&around) {
            Absence::Known => self.give(),
            Absence::Wait => {}
            Absence::Search(nodes) => {
                for node in nodes {
                    if let Some((index, entry)) = self.core.add_beside(node) {
                        self.send(index, entry, limits::HEDGE);
                    }
                }
            }
            Absence::Again => {
                // That one is waited for again.
                self.last = None;
                for (index, entry) in self.core.again() {
                    self.send(index, entry, limits::HEDGE);
                }
            }
            Absence::Unknown(nodes) => {
                let error = self.core.unknown(&nodes);
                self.answer(Err(error.context(&self.place.id)));
            }
        }
    }

    fn answer(&mut self, reply: Reply) {
        if self.replied {
            return;
        }
        self.replied = true;
        if let Ok(Some(object)) = &reply {
            self.requests.node.stats.count_siblings(object.siblings.len());
        }
        self.reply = Some(reply);
        if !self.pending.is_empty() {
            self.tail = self.requests.tail(self.core.merged.body_bytes());
        }
    }

    /// Brings the primaries that answered with less up to all answers together.
    async fn repair(&mut self) {
        let whole = self.part == ObjectPart::Whole;
        let stale: Vec<PreferenceEntry> = self.core.stale().filter(|_| whole).collect();
        if self.resolution.is_tombstone(&self.core.merged) {
            let now = self.requests.node.parts.clock.now_micros();
            self.requests.reaper.met(&self.place.id, self.core.merged.last_modified(), now);
        }
        if stale.is_empty() {
            return;
        }
        let requests = self.requests.clone();
        let Ok(_permit) = requests.staleness.read_repairs.try_acquire() else {
            requests.node.stats.count_skipped_read_repair();
            return;
        };
        let record = Record::encode_for(&self.core.merged, self.requests.node.vnodes.release());
        let patience = limits::REPLICA_PATIENCE + limits::transfer(record.len());
        requests.node.stats.count_read_repair(datatypes::kind(&self.core.merged));
        let (requests, id) = (&requests, &self.place.id.clone());
        let core = &self.core;
        let repairs = stale.into_iter().map(|entry| {
            let (record, missing) = (record.clone(), core.is_missing(entry));
            async move {
                let class = Class::Background;
                match requests.peers.merge_at(entry, id.clone(), record, None, class, patience).await {
                    Ok(()) => requests.node.stats.count_repaired(missing),
                    Err(error) => {
                        tracing::debug!(%id, node = %entry.node, %error, "a replica is not repaired");
                    }
                }
            }
        });
        join_all(repairs).await;
    }
}
