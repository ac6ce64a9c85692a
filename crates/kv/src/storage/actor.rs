//! Who stamps dots: an actor and a counter for each vnode of this node.
//!
//! A dot must never be given twice, and a vector entry `(actor, n)` claims that all earlier dots of
//! that actor on the object have been seen. Both hold only while the vnode still has what it once
//! stored. So an actor lives no longer than that is certain: it is carried over a clean stop (its
//! counter and a seal are kept both in the engine's fsynced meta value and inside the vnode's data,
//! and must agree at the next start), and every other start takes a new actor: after `kill -9` or
//! power loss, which may have cost the last writes, after data was emptied, restored or copied. In
//! use the actor is also given up when a clock shows a later dot of it than was ever given here
//! (restored data), and when hand-off takes objects away.
//!
//! A directory that was copied after a clean stop and put back later looks like the one that was
//! stopped. So no actor is carried over before the cluster's metadata has confirmed that this is the
//! directory's last state (see `integrity`); and when it says otherwise, or the engine has gone back
//! to an earlier state, all actors are given up.
//!
//! The price is one vector entry for each unclean start, on objects written after it. No write ever
//! waits for a lease of counters.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mapring_engine::{Engine, IndexChange, StoreKey};
use mapring_ring::{Partition, RingSize};
use mapring_types::versioned::{self, Nothing};
use mapring_types::{
    ActorId, BucketId, Dot, Entropy, Error, ObjectId, Record, Result, VersionVector, Versioned,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The actors of a node. All calls block: make them in an executor's job.
pub(crate) struct Actors {
    engine: Arc<dyn Engine>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the data is known to be what the last stop left.
    confirmed: bool,
    /// The engine's generation that the actors belong to.
    generation: u64,
    /// `None`: whatever is stored is given up; the next dot begins a new actor.
    actors: BTreeMap<Partition, Option<Actor>>,
    stopped: bool,
}

#[derive(Clone, Copy)]
struct Actor {
    id: ActorId,
    counter: u64,
}

/// The meta value of a vnode.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) actor: ActorId,
    pub(crate) counter: u64,
    /// Present after a clean stop: what the record inside the data must say.
    pub(crate) seal: Option<u64>,
}

mapring_types::first_version!(Stored, 1, "an actor");

/// The record inside the data.
#[derive(PartialEq, Eq)]
struct Seal(u64);

impl Versioned for Seal {
    const WHAT: &'static str = "the seal of an actor";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        let number = body.try_into().map_err(versioned::damaged::<Self>)?;
        Ok(Self(u64::from_be_bytes(number)))
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl Actors {
    pub(crate) fn new(engine: Arc<dyn Engine>, entropy: Arc<dyn Entropy>) -> Self {
        let state = State { generation: engine.generation(), ..State::default() };
        Self { engine, entropy, state: Mutex::new(state) }
    }

    /// The data is what the last stop left: its actors may go on.
    pub(crate) fn confirm(&self) {
        self.state.lock().confirmed = true;
    }

    /// Gives all actors up, those of later starts as well: the data is of an earlier time.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn retire_all(&self, ring_size: RingSize) -> Result<()> {
        let mut state = self.state.lock();
        state.confirmed = false;
        for vnode in ring_size.partitions() {
            state.actors.insert(vnode, None);
            if self.engine.meta(&name(vnode))?.is_some() {
                self.note(vnode, &Stored { actor: ActorId(0), counter: 0, seal: None })?;
            }
        }
        Ok(())
    }

    /// Whether `vnode` has an actor already, as far as can be said without waiting.
    pub(crate) fn is_known(&self, vnode: Partition) -> bool {
        let Some(state) = self.state.try_lock() else { return false };
        state.generation == self.engine.generation()
            && matches!(state.actors.get(&vnode), Some(Some(_)))
    }

    /// The next dot of `vnode` for an object whose stored clock and writer's context are `seen`.
    ///
    /// # Errors
    /// `Storage` when a new actor cannot be noted, `Unavailable` after [`Actors::stop`].
    pub(crate) fn stamp(&self, vnode: Partition, seen: [&VersionVector; 2]) -> Result<Dot> {
        let mut state = self.state.lock();
        if state.stopped {
            return Err(Error::unavailable("this node is stopping"));
        }
        let generation = self.engine.generation();
        if state.generation != generation {
            // What these actors stamped may be gone.
            state.generation = generation;
            state.confirmed = false;
            state.actors.values_mut().for_each(|actor| *actor = None);
        }
        let known = match state.actors.get(&vnode) {
            Some(known) => *known,
            None if state.confirmed => self.resume(vnode)?,
            None => None,
        };
        let regressed =
            |actor: &Actor| seen.iter().any(|clock| clock.get(actor.id) > actor.counter);
        let regressed = |actor: &Actor| regressed(actor) && !mapring_types::failpoint!(ReusedDot);
        let mut actor = match known.filter(|actor| actor.counter < u64::MAX && !regressed(actor)) {
            Some(actor) => actor,
            None => self.fresh(vnode, seen)?,
        };
        actor.counter += 1;
        state.actors.insert(vnode, Some(actor));
        let dot = Dot { actor: actor.id, counter: actor.counter };
        let new = seen.iter().all(|clock| !clock.covers(dot));
        assert!(new || mapring_types::failpoint!(ReusedDot), "{dot:?} was given before");
        Ok(dot)
    }

    /// Gives the actor of `vnode` up: objects that it stamped are about to be taken away.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn retire(&self, vnode: Partition) -> Result<()> {
        let mut state = self.state.lock();
        if !state.actors.contains_key(&vnode) && self.engine.meta(&name(vnode))?.is_some() {
            self.note(vnode, &Stored { actor: ActorId(0), counter: 0, seal: None })?;
        }
        state.actors.insert(vnode, None);
        Ok(())
    }

    /// Carries the actors in use over a clean stop; no dot is given any more.
    ///
    /// # Errors
    /// `Storage`: those not yet sealed begin anew at the next start.
    pub(crate) fn stop(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.stopped = true;
        let used: Vec<(Partition, Actor)> = std::mem::take(&mut state.actors)
            .into_iter()
            .filter_map(|(vnode, actor)| Some((vnode, actor?)))
            .collect();
        let mut seals = Vec::new();
        for (vnode, actor) in used {
            let seal = self.entropy.next_u64();
            let mut head = vec![Seal::VERSION];
            head.extend_from_slice(&seal.to_be_bytes());
            let record = Record { head: head.into(), body: Bytes::new() };
            self.engine.put(vnode.0, &marker(), &record, &IndexChange::NONE)?;
            seals.push((
                vnode,
                Stored { actor: actor.id, counter: actor.counter, seal: Some(seal) },
            ));
        }
        self.engine.sync()?;
        seals.iter().try_for_each(|(vnode, stored)| self.note(*vnode, stored))
    }

    /// The actor of the last clean stop, from now on marked as in use.
    fn resume(&self, vnode: Partition) -> Result<Option<Actor>> {
        let Some(value) = self.engine.meta(&name(vnode))? else { return Ok(None) };
        let stored = Stored::decode(&value).ok();
        if mapring_types::failpoint!(ReusedDot) {
            return Ok(stored.map(|stored| Actor { id: stored.actor, counter: stored.counter }));
        }
        let Some(Stored { actor, counter, seal: Some(seal) }) = stored else { return Ok(None) };
        let inside = self.engine.get(vnode.0, &marker())?;
        let inside = inside.and_then(|record| Seal::decode(&record.head).ok());
        if inside != Some(Seal(seal)) {
            tracing::warn!(%vnode, "the data of a vnode is not that of the last stop: new actor");
            return Ok(None);
        }
        self.note(vnode, &Stored { actor, counter, seal: None })?;
        Ok(Some(Actor { id: actor, counter }))
    }

    fn fresh(&self, vnode: Partition, seen: [&VersionVector; 2]) -> Result<Actor> {
        let id = loop {
            let id = ActorId(self.entropy.next_u64());
            if seen.iter().all(|clock| clock.get(id) == 0) {
                break id;
            }
        };
        self.note(vnode, &Stored { actor: id, counter: 0, seal: None })?;
        tracing::debug!(%vnode, actor = ?id, "new actor");
        Ok(Actor { id, counter: 0 })
    }

    fn note(&self, vnode: Partition, stored: &Stored) -> Result<()> {
        self.engine.set_meta(&name(vnode), &versioned::to_postcard(stored)?)
    }
}

fn name(vnode: Partition) -> String {
    format!("kv-actor-{vnode}")
}

/// A place in a vnode's data that no object can have: no ring has so many partitions.
fn marker() -> StoreKey {
    let bucket = BucketId::typed(&b"mapring"[..], &b"vnode"[..]);
    StoreKey { home: u16::MAX, id: ObjectId::new(bucket, &b"actor"[..]) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use mapring_engine::memory::MemoryEngine;

    use super::*;

    /// Counts up: all actors differ.
    #[derive(Default)]
    struct Numbers(AtomicU64);

    impl Entropy for Numbers {
        fn next_u64(&self) -> u64 {
            self.0.fetch_add(1, Ordering::Relaxed) + 1
        }
    }

    struct Vnode {
        engine: Arc<MemoryEngine>,
        entropy: Arc<Numbers>,
    }

    impl Vnode {
        fn new() -> Self {
            Self { engine: Arc::new(MemoryEngine::new()), entropy: Arc::default() }
        }

        fn start_unconfirmed(&self) -> Actors {
            Actors::new(self.engine.clone(), self.entropy.clone())
        }

        fn start(&self) -> Actors {
            let actors = self.start_unconfirmed();
            actors.confirm();
            actors
        }
    }

    fn stamp(actors: &Actors) -> Dot {
        stamp_over(actors, &VersionVector::new())
    }

    fn stamp_over(actors: &Actors, clock: &VersionVector) -> Dot {
        actors.stamp(Partition(5), [clock, &VersionVector::new()]).unwrap()
    }

    fn next(dot: Dot) -> Dot {
        Dot { counter: dot.counter + 1, ..dot }
    }

    #[test]
    fn counts_up_and_over_a_clean_stop() {
        let vnode = Vnode::new();
        let actors = vnode.start();
        let first = stamp(&actors);
        assert_eq!(first.counter, 1);
        assert_eq!(stamp(&actors), next(first));
        actors.stop().unwrap();
        assert!(actors.stamp(Partition(5), [&VersionVector::new(); 2]).is_err());
        let actors = vnode.start();
        assert_eq!(stamp(&actors), next(next(first)));
        actors.stop().unwrap();
        // A stop without a write in between changes nothing.
        vnode.start().stop().unwrap();
        assert_eq!(stamp(&vnode.start()), next(next(next(first))));
    }

    #[test]
    fn a_start_after_a_crash_takes_a_new_actor() {
        let vnode = Vnode::new();
        let first = stamp(&vnode.start());
        let second = stamp(&vnode.start());
        assert_ne!(second.actor, first.actor);
        assert_eq!(second.counter, 1);
    }

    #[test]
    fn data_that_is_not_that_of_the_last_stop_takes_a_new_actor() {
        let vnode = Vnode::new();
        let actors = vnode.start();
        let first = stamp(&actors);
        actors.stop().unwrap();
        let older = vnode.engine.get(5, &marker()).unwrap().unwrap();
        // Emptied, with the meta value kept.
        vnode.engine.delete(5, &marker(), &[]).unwrap();
        let actors = vnode.start();
        let second = stamp(&actors);
        assert_ne!(second.actor, first.actor);
        actors.stop().unwrap();
        // Put back to an older state.
        vnode.engine.put(5, &marker(), &older, &IndexChange::NONE).unwrap();
        let third = stamp(&vnode.start());
        assert!(third.actor != first.actor && third.actor != second.actor);
    }

    #[test]
    fn nothing_goes_on_before_it_is_confirmed_or_after_it_was_refused() {
        let vnode = Vnode::new();
        let actors = vnode.start();
        let first = stamp(&actors);
        actors.stop().unwrap();
        let actors = vnode.start_unconfirmed();
        let second = stamp(&actors);
        assert_ne!(second.actor, first.actor);
        actors.stop().unwrap();
        vnode.start_unconfirmed().retire_all(RingSize::new(8).unwrap()).unwrap();
        // Refused once, it is refused for ever, whatever a later start is told.
        let third = stamp(&vnode.start());
        assert!(third.actor != first.actor && third.actor != second.actor);
    }

    #[test]
    fn a_clock_from_its_own_future_takes_a_new_actor() {
        let vnode = Vnode::new();
        let actors = vnode.start();
        let first = stamp(&actors);
        let mut clock = VersionVector::new();
        clock.add(first);
        assert_eq!(stamp_over(&actors, &clock), next(first), "its own past is no reason");
        clock.add(Dot { counter: 9, ..first });
        let second = stamp_over(&actors, &clock);
        assert_ne!(second.actor, first.actor);
        clock.add(Dot { counter: u64::MAX, ..second });
        assert_ne!(stamp_over(&actors, &clock).actor, second.actor);
    }

    #[test]
    fn a_retired_actor_stays_retired() {
        let vnode = Vnode::new();
        let actors = vnode.start();
        let first = stamp(&actors);
        actors.retire(Partition(5)).unwrap();
        let second = stamp(&actors);
        assert_ne!(second.actor, first.actor);
        actors.stop().unwrap();
        // Also when it was not in use since the start.
        vnode.start().retire(Partition(5)).unwrap();
        assert_ne!(stamp(&vnode.start()).actor, second.actor);
    }
}
