//! The in-flight write log: writes that this node has stored and that may not have reached all
//! replicas.
//!
//! A coordinator answers its client at a quorum and goes on until every primary has the write or a
//! hint of it is kept. Should it end before that, nobody else would know that a replica lacks the
//! write. So every node that stores a write remembers it until the coordinator's replication status
//! says that it has settled; when the coordinator is gone, the write is *in doubt*, and the node
//! *recovers* it: it keeps hints for all other primaries. What is remembered is also in the
//! engine's journal, which is read after an unclean stop.

use std::collections::{BTreeMap, HashMap, VecDeque, btree_map};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_engine::Engine;
use mapring_types::{Error, ErrorKind, NodeId, ObjectId, Result, Versioned, versioned};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::limits;

/// One incarnation of a node, from a start to the next, as a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
}

/// Names a write under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteMark {
    pub(crate) source: Source,
    pub(crate) number: u64,
}

/// See the module.
pub(crate) struct InFlightLog {
    engine: Arc<dyn Engine>,
    /// This node, and its incarnation.
    node: NodeId,
    incarnation: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Writes by number. Of this incarnation itself: those whose hints could not be kept.
    open: BTreeMap<Source, BTreeMap<u64, Open>>,
    count: usize,
    /// How many of them each object has.
    objects: HashMap<ObjectId, u32>,
    /// Writes of lower numbers have settled.
    settled: BTreeMap<Source, u64>,
    /// The journal's, oldest first; the last is written to.
    segments: VecDeque<Segment>,
}

struct Open {
    id: ObjectId,
    since: Instant,
}

struct Segment {
    number: u64,
    bytes: usize,
    /// The highest number of each source in it.
    last: BTreeMap<Source, u64>,
}

/// An entry of the journal, behind a byte for its version.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    Write {
        mark: WriteMark,
        id: ObjectId,
    },
    /// Writes of lower numbers have settled.
    Settled {
        source: Source,
        watermark: u64,
    },
}

mapring_types::first_version!(Entry, 1, "an entry of the journal");

impl InFlightLog {
    /// Reads the journal: what it holds was under way when the node stopped. Blocks.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn open(engine: Arc<dyn Engine>, own: Source) -> Result<Self> {
        let mut state = State::default();
        for (number, entries) in engine.journal()? {
            state.segments.push_back(Segment { number, bytes: 0, last: BTreeMap::new() });
            for entry in entries {
                match Entry::decode(&entry) {
                    Ok(Entry::Write { mark, id }) => {
                        state.refer(mark);
                        state.insert(mark, id);
                    }
                    Ok(Entry::Settled { source, watermark }) => {
                        state.settle(source, watermark);
                    }
                    Err(error) => tracing::warn!(%error, "an entry of the journal is not read"),
                }
            }
        }
        // A source that still runs may make writes of lower numbers than it was heard of.
        state.settled.clear();
        if state.count > 0 {
            tracing::info!(writes = state.count, "writes were under way when this node stopped");
        }
        let Source { node, incarnation } = own;
        Ok(Self {
            engine,
            node,
            incarnation: AtomicU64::new(incarnation),
            state: Mutex::new(state),
        })
    }

    /// The name of this node's own write `number`.
    pub(crate) fn own(&self, number: u64) -> WriteMark {
        WriteMark { source: self.source(), number }
    }

    /// This incarnation.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// The others remember a later incarnation of this node: its data was put back from a copy, and
    /// its clock is behind. They would take what it writes for settled.
    pub(crate) fn raise_incarnation(&self, above: u64) {
        self.incarnation.fetch_max(above.saturating_add(1), Ordering::AcqRel);
    }

    fn source(&self) -> Source {
        Source { node: self.node, incarnation: self.incarnation() }
    }

    /// Notes a write that is about to be stored here. Returns whether it is to be: one that comes
    /// so late that it has settled, or whose coordinator has been started anew, is not. Nobody
    /// waits for it, this node has it or a hint of it is kept, and what replaced it may be reaped.
    /// Blocks.
    ///
    /// # Errors
    /// `Overloaded` at [`limits::IN_FLIGHT_WRITES`], `Storage`.
    pub(crate) fn note(&self, mark: WriteMark, id: &ObjectId) -> Result<bool> {
        let entry = versioned::to_postcard(&Entry::Write { mark, id: id.clone() })?;
        let mut state = self.state.lock();
        if state.is_over(mark) {
            return Ok(false);
        }
        if state.count >= limits::IN_FLIGHT_WRITES {
            let message = "too many writes of others have not settled";
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        let segment = state.segment(entry.len());
        self.engine.append(segment, &entry)?;
        state.refer(mark);
        if mark.source != self.source() {
            state.insert(mark, id.clone());
        }
        Ok(true)
    }

    /// Whether a write of an object is remembered.
    pub(crate) fn is_open(&self, id: &ObjectId) -> bool {
        let state = self.state.lock();
        !state.objects.is_empty() && state.objects.contains_key(id)
    }

    /// Remembers an own write of which no hint could be kept: it is recovered later.
    pub(crate) fn keep(&self, number: u64, id: &ObjectId) {
        self.state.lock().insert(self.own(number), id.clone());
    }

    /// The lowest own write that is remembered.
    pub(crate) fn first_own(&self) -> Option<u64> {
        self.state.lock().first(self.source())
    }

    /// Notes that writes of a source below a number have settled. Blocks.
    pub(crate) fn settle(&self, source: Source, watermark: u64) {
        let mut state = self.state.lock();
        // What an earlier incarnation of the node left open is not settled by this one.
        state.settled.retain(|other, _| {
            other.node != source.node || other.incarnation >= source.incarnation
        });
        let settled = state.settle(source, watermark);
        let referred = state.segments.iter().any(|segment| segment.last.contains_key(&source));
        if settled && referred {
            self.say_settled(&mut state, source, watermark);
        }
    }

    fn say_settled(&self, state: &mut State, source: Source, watermark: u64) {
        let said =
            versioned::to_postcard(&Entry::Settled { source, watermark }).and_then(|entry| {
                let segment = state.segment(entry.len());
                self.engine.append(segment, &entry)
            });
        if let Err(error) = said {
            // After a restart these writes are recovered once more: needless, not wrong.
            tracing::debug!(%error, "the journal does not say what has settled");
        }
    }

    /// Removes the segments of the journal of which nothing is open. Blocks.
    pub(crate) fn prune(&self) {
        while let Some(segment) = self.take_closed() {
            self.remove_segment(segment);
        }
    }

    fn take_closed(&self) -> Option<u64> {
        let this_run = self.source();
        let mut state = self.state.lock();
        let segment = state.segments.front().filter(|_| state.segments.len() > 1)?;
        let closed = |(source, last): (&Source, &u64)| {
            let low = state.settled.get(source).copied().unwrap_or_default();
            let own = *source != this_run || low > *last;
            own && state.first(*source).is_none_or(|first| first > *last)
        };
        let closed = segment.last.iter().all(closed);
        closed.then(|| state.segments.pop_front()).flatten().map(|segment| segment.number)
    }

    fn remove_segment(&self, number: u64) {
        if let Err(error) = self.engine.remove_segment(number) {
            // At worst the next start recovers what is in it: needless, not wrong.
            tracing::warn!(%error, "a segment of the journal is not removed");
        }
    }

    /// After everything has settled: leaves nothing to be recovered at the next start. Blocks.
    pub(crate) fn close(&self) {
        let segments = {
            let mut state = self.state.lock();
            if state.count > 0 {
                return;
            }
            std::mem::take(&mut state.segments)
        };
        segments.into_iter().for_each(|segment| self.remove_segment(segment.number));
    }

    /// How many writes are remembered.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().count
    }

    /// The sources of the writes that are remembered.
    pub(crate) fn sources(&self) -> Vec<Source> {
        self.state.lock().open.keys().copied().collect()
    }

    /// The sources with a write remembered for so long.
    pub(crate) fn sources_older_than(&self, age: Duration) -> Vec<Source> {
        let state = self.state.lock();
        let old = |open: &BTreeMap<u64, Open>| {
            open.values().next().is_some_and(|oldest| oldest.since.elapsed() >= age)
        };
        state.open.iter().filter(|(_, open)| old(open)).map(|(source, _)| *source).collect()
    }

    /// The last write remembered of each of these sources that has one.
    pub(crate) fn last_of(&self, sources: &[Source]) -> BTreeMap<Source, u64> {
        let state = self.state.lock();
        let last = |source: &Source| {
            let (&number, _) = state.open.get(source)?.last_key_value()?;
            Some((*source, number))
        };
        sources.iter().filter_map(last).collect()
    }

    /// At most so many objects, with their writes of some sources above `after` and up to a number
    /// each.
    pub(crate) fn some_upto(
        &self,
        upto: &BTreeMap<Source, u64>,
        after: Option<WriteMark>,
        most: usize,
    ) -> Vec<(WriteMark, ObjectId)> {
        let state = self.state.lock();
        let after = after.map(|mark| (mark.source, mark.number));
        let of = |(&source, &last): (&Source, &u64)| {
            let writes = state.open.get(&source).into_iter().flat_map(move |o| o.range(..=last));
            writes.map(move |(&number, open)| (WriteMark { source, number }, open.id.clone()))
        };
        let later = |(mark, _): &(WriteMark, ObjectId)| Some((mark.source, mark.number)) > after;
        upto.iter().flat_map(of).filter(later).take(most).collect()
    }

    /// Forgets writes that were recovered. Blocks.
    pub(crate) fn recovered(&self, marks: &[WriteMark]) {
        let this_run = self.source();
        let mut state = self.state.lock();
        for mark in marks {
            state.remove(*mark);
        }
        for source in marks.iter().map(|mark| mark.source).filter(|source| *source != this_run) {
            let last = state.segments.iter().filter_map(|s| s.last.get(&source)).max().copied();
            if let Some(last) = last
                && !state.open.contains_key(&source)
                && state.settled.get(&source).is_none_or(|&watermark| watermark <= last)
            {
                // For a reader of the journal alone: the source may still make writes.
                self.say_settled(&mut state, source, last + 1);
            }
        }
    }
}

impl State {
    /// The segment to write an entry of so many bytes to.
    fn segment(&mut self, bytes: usize) -> u64 {
        let next = self.segments.back().map_or(0, |last| last.number + 1);
        match self.segments.back_mut() {
            // A segment from before the start has no size of its own and is not gone on with: its
            // end may be torn.
            Some(last) if (1..limits::SEGMENT_BYTES).contains(&last.bytes) => {
                last.bytes += bytes;
                last.number
            }
            _ => {
                self.segments.push_back(Segment { number: next, bytes, last: BTreeMap::new() });
                next
            }
        }
    }

    /// Notes that the last segment holds a write.
    fn refer(&mut self, mark: WriteMark) {
        if let Some(segment) = self.segments.back_mut() {
            let last = segment.last.entry(mark.source).or_default();
            *last = mark.number.max(*last);
        }
    }

    /// Whether a write has settled, or its coordinator has been started anew.
    fn is_over(&self, WriteMark { source, number }: WriteMark) -> bool {
        let later = Source { incarnation: source.incarnation.saturating_add(1), ..source };
        let last = Source { incarnation: u64::MAX, ..source };
        self.settled.get(&source).is_some_and(|&watermark| number < watermark)
            || self.settled.range(later..=last).next().is_some()
    }

    fn insert(&mut self, mark: WriteMark, id: ObjectId) {
        let since = Instant::now();
        match self.open.entry(mark.source).or_default().entry(mark.number) {
            // A second replica of the same write: the same object.
            btree_map::Entry::Occupied(mut known) => known.get_mut().since = since,
            btree_map::Entry::Vacant(place) => {
                place.insert(Open { id: id.clone(), since });
                self.count += 1;
                *self.objects.entry(id).or_default() += 1;
            }
        }
        self.assert_counted();
    }

    fn remove(&mut self, mark: WriteMark) {
        if let Some(open) = self.open.get_mut(&mark.source)
            && let Some(Open { id, .. }) = open.remove(&mark.number)
        {
            if open.is_empty() {
                self.open.remove(&mark.source);
            }
            self.count -= 1;
            let count = self.objects.get_mut(&id);
            assert!(count.is_some(), "{id}: a write in flight that is not counted");
            if let Some(count) = count {
                *count -= 1;
                if *count == 0 {
                    self.objects.remove(&id);
                }
            }
        }
        self.assert_counted();
    }

    /// What is counted is what there is: hand-off keeps objects with writes in flight, and the bound
    /// on them is held against the count.
    fn assert_counted(&self) {
        let Self { open, count, objects, .. } = self;
        let none = *count == 0;
        assert!(open.is_empty() == none && objects.is_empty() == none, "{count} in flight");
        assert!(objects.len() <= *count && open.len() <= *count, "{count} in flight");
    }

    fn first(&self, source: Source) -> Option<u64> {
        self.open.get(&source).and_then(|open| open.keys().next().copied())
    }

    /// Returns whether that is news.
    fn settle(&mut self, source: Source, watermark: u64) -> bool {
        let known = self.settled.entry(source).or_default();
        if *known >= watermark {
            return false;
        }
        *known = watermark;
        while let Some(number) = self.first(source).filter(|number| *number < watermark) {
            self.remove(WriteMark { source, number });
        }
        let open = self.first(source);
        assert!(open.is_none_or(|open| open >= watermark), "{source:?}: open below {watermark}");
        true
    }
}

#[cfg(test)]
mod tests {
    use mapring_engine::memory::MemoryEngine;
    use mapring_types::BucketId;

    use super::*;

    const A: Source = Source { node: NodeId(1), incarnation: 10 };
    const B: Source = Source { node: NodeId(2), incarnation: 20 };
    const OWN: Source = Source { node: NodeId(3), incarnation: 30 };

    fn id(key: &str) -> ObjectId {
        ObjectId::new(BucketId::untyped("b"), key.to_owned())
    }

    fn mark(source: Source, number: u64) -> WriteMark {
        WriteMark { source, number }
    }

    fn open(engine: &Arc<MemoryEngine>, own: Source) -> InFlightLog {
        InFlightLog::open(engine.clone(), own).unwrap()
    }

    fn all(in_flight: &InFlightLog) -> Vec<WriteMark> {
        let upto = in_flight.last_of(&in_flight.sources());
        in_flight.some_upto(&upto, None, 99).into_iter().map(|(mark, _)| mark).collect()
    }

    #[test]
    fn writes_are_remembered_until_they_have_settled_or_are_recovered() {
        let engine = Arc::new(MemoryEngine::new());
        let in_flight = open(&engine, OWN);
        for number in 0..3 {
            in_flight.note(mark(A, number), &id("a")).unwrap();
            in_flight.note(mark(B, number), &id("b")).unwrap();
            in_flight.note(mark(OWN, number), &id("own")).unwrap();
        }
        assert_eq!(in_flight.count(), 6, "own writes are remembered by those who make them");
        in_flight.settle(A, 2);
        assert_eq!(all(&in_flight), [mark(A, 2), mark(B, 0), mark(B, 1), mark(B, 2)]);
        assert!(!in_flight.note(mark(A, 1), &id("late")).unwrap());
        assert!(in_flight.is_open(&id("a")) && !in_flight.is_open(&id("late")));
        in_flight.recovered(&[mark(B, 0), mark(B, 2)]);
        assert_eq!(all(&in_flight), [mark(A, 2), mark(B, 1)]);
        in_flight.settle(A, 1);
        in_flight.settle(A, 3);
        in_flight.recovered(&[mark(B, 1)]);
        assert_eq!((in_flight.count(), in_flight.sources()), (0, vec![]));
        assert!(!in_flight.is_open(&id("a")));
        // Of an earlier incarnation than the last that was heard of.
        in_flight.settle(Source { incarnation: 11, ..A }, 0);
        assert!(!in_flight.note(mark(A, 9), &id("late")).unwrap());
        assert!(in_flight.note(mark(Source { incarnation: 11, ..A }, 0), &id("a")).unwrap());
    }

    #[test]
    fn a_restart_finds_what_had_not_settled() {
        let engine = Arc::new(MemoryEngine::new());
        let in_flight = open(&engine, OWN);
        for number in 0..3 {
            in_flight.note(mark(A, number), &id("a")).unwrap();
            in_flight.note(mark(B, number), &id("b")).unwrap();
            in_flight.note(mark(OWN, number), &id("own")).unwrap();
        }
        in_flight.settle(A, 2);
        in_flight.settle(OWN, 1);
        in_flight.recovered(&[mark(B, 0), mark(B, 1), mark(B, 2)]);
        let next = Source { incarnation: 31, ..OWN };
        let in_flight = open(&engine, next);
        assert_eq!(all(&in_flight), [mark(A, 2), mark(OWN, 1), mark(OWN, 2)]);
        in_flight.note(mark(B, 3), &id("b")).unwrap();
        in_flight.recovered(&all(&in_flight));
        in_flight.prune();
        assert_eq!(engine.journal().unwrap().len(), 1, "the old segment is gone");
        assert!(all(&open(&engine, Source { incarnation: 32, ..OWN })).is_empty());
        in_flight.close();
        assert!(engine.journal().unwrap().is_empty());
    }

    #[test]
    fn segments_go_once_nothing_in_them_is_open() {
        let engine = Arc::new(MemoryEngine::new());
        let in_flight = open(&engine, OWN);
        let long = id(&"k".repeat(60_000));
        let enough = limits::SEGMENT_BYTES as u64 / 60_000 + 2;
        in_flight.note(mark(OWN, 0), &long).unwrap();
        for number in 0..2 * enough {
            in_flight.note(mark(A, number), &long).unwrap();
        }
        let segments = engine.journal().unwrap().len();
        assert!(segments > 2, "{segments}");
        in_flight.settle(A, 2 * enough);
        in_flight.prune();
        assert_eq!(engine.journal().unwrap().len(), segments, "an own write is open");
        in_flight.settle(OWN, 1);
        in_flight.prune();
        assert_eq!(engine.journal().unwrap().len(), 1);
    }

    #[test]
    fn an_own_write_without_a_hint_is_remembered() {
        let engine = Arc::new(MemoryEngine::new());
        let in_flight = open(&engine, OWN);
        in_flight.note(mark(OWN, 4), &id("own")).unwrap();
        in_flight.keep(4, &id("own"));
        assert_eq!((in_flight.first_own(), in_flight.sources()), (Some(4), vec![OWN]));
        in_flight.recovered(&[mark(OWN, 4)]);
        assert_eq!(in_flight.first_own(), None);
    }
}
