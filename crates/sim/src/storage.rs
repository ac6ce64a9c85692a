//! A disk that survives a crash of its node, without the writes that were not yet synced, and may be
//! slow.

use std::sync::Arc;
use std::time::Duration;

use mapring_engine::intercept::{Call, Intercept, Intercepted};
use mapring_engine::memory::{MemoryEngine, Stored};
use mapring_engine::{Engine, IndexChange, StoreKey};
use mapring_kv::Executor;
use mapring_kv::executor::{Inline, InlinePermit, Job};
use mapring_types::{Entropy, Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits;
use crate::random::Random;

/// What a disk says that refuses to be read.
pub(crate) const UNREADABLE: &str = "the disk cannot be read";

/// What outlives a node.
pub(crate) struct Disk {
    engine: Mutex<Arc<MemoryEngine>>,
    /// A copy that was made of it, to be put back.
    copy: Mutex<Option<MemoryEngine>>,
    state: Mutex<State>,
    /// Told when the disk has failed in a write, as it was asked to.
    pub(crate) failed: Notify,
}

#[derive(Default)]
struct State {
    /// Goes up with each crash: engines of earlier lives are dead.
    life: u64,
    /// What to put back for each write since the last sync, oldest first.
    unsynced: Vec<Undo>,
    /// The segments of the journal's entries since the last sync, oldest first.
    unsynced_entries: Vec<u64>,
    /// Whether the next write is the last of this life.
    failing: bool,
    /// See [`Engine::position`].
    acknowledged: u64,
    /// How many faults at present keep objects from being read.
    unreadable: u32,
    /// How many records crashes have left without their files.
    without_file: usize,
}

/// One step of a write: index entries that come, the record, index entries that go. A crash may
/// lie between any two.
struct Undo {
    vnode: u16,
    key: StoreKey,
    step: Step,
}

/// What to do to take a step back.
enum Step {
    Record(Option<Stored>),
    Index(IndexChange),
}

impl Disk {
    pub(crate) fn new() -> Arc<Self> {
        let engine = Mutex::new(Arc::new(MemoryEngine::with_files(limits::WITHOUT_FILE_BYTES)));
        Arc::new(Self {
            engine,
            copy: Mutex::default(),
            state: Mutex::default(),
            failed: Notify::new(),
        })
    }

    /// The engine of a node's next life.
    pub(crate) fn open(self: &Arc<Self>) -> Arc<dyn Engine> {
        let engine = self.look();
        let mut state = self.state.lock();
        state.acknowledged = engine.position();
        let life = DiskLife { disk: self.clone(), engine: engine.clone(), life: state.life };
        Arc::new(Intercepted::new(engine, life))
    }

    /// What lies on the disk, whether its node runs or not.
    pub(crate) fn look(&self) -> Arc<MemoryEngine> {
        self.engine.lock().clone()
    }

    /// Makes a copy of all that lies on the disk, in place of an earlier one, whether its node runs or
    /// not.
    ///
    /// # Errors
    /// As [`MemoryEngine::copy`].
    pub(crate) fn make_copy(&self) -> Result<()> {
        *self.copy.lock() = Some(self.look().copy()?);
        Ok(())
    }

    /// Puts the copy in place of what lies on the disk, whose node must have crashed. Returns
    /// whether there was one.
    pub(crate) fn put_back(&self) -> bool {
        let Some(copy) = self.copy.lock().take() else { return false };
        *self.engine.lock() = Arc::new(copy);
        true
    }

    /// How many records crashes have left without the files that they lie in: none.
    pub(crate) fn without_file(&self) -> usize {
        self.state.lock().without_file
    }

    /// Makes the next write the last one: it is written, but nothing is synced any more. To be
    /// followed by a crash.
    pub(crate) fn fail_at_next_write(&self) {
        self.state.lock().failing = true;
    }

    /// Has every read of an object fail from now on, until [`Disk::heal`].
    pub(crate) fn refuse(&self) {
        self.state.lock().unreadable += 1;
    }

    /// Takes one [`Disk::refuse`] back.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock();
        state.unreadable = state.unreadable.saturating_sub(1);
    }

    /// Ends the life of all engines: the log ends somewhere behind the last sync, as after `kill -9`, and
    /// files of records that were not synced are gone, as after a loss of power. Returns how many writes are lost.
    pub(crate) fn crash(&self, random: &Random) -> Result<usize> {
        let engine = self.look();
        let mut state = self.state.lock();
        state.life += 1;
        state.failing = false;
        let mut unsynced = std::mem::take(&mut state.unsynced);
        let kept = usize::try_from(random.below(unsynced.len() as u64 + 1)).unwrap_or(0);
        let lost = unsynced.split_off(kept);
        for Undo { vnode, key, step } in lost.iter().rev() {
            match step {
                Step::Record(before) => engine.restore(*vnode, key, before.clone()),
                Step::Index(change) => engine.change_index(*vnode, key, change)?,
            }
        }
        state.without_file += engine.recover()?;
        // The journal is another file: how much of it survives does not hang together with the rest.
        let mut entries = std::mem::take(&mut state.unsynced_entries);
        let kept = usize::try_from(random.below(entries.len() as u64 + 1)).unwrap_or(0);
        self.cut_journal(&entries.split_off(kept))?;
        Ok(lost.len())
    }

    /// Takes one entry for each of `segments` from that segment's end.
    fn cut_journal(&self, segments: &[u64]) -> Result<()> {
        let engine = self.look();
        for (segment, entries) in engine.journal()? {
            let lost = segments.iter().filter(|lost| **lost == segment).count();
            if lost > 0 {
                engine.remove_segment(segment)?;
                let kept = entries.len().saturating_sub(lost);
                entries[..kept].iter().try_for_each(|e| engine.append(segment, e))?;
            }
        }
        Ok(())
    }
}

/// The disk as one life of its node sees it.
struct DiskLife {
    disk: Arc<Disk>,
    engine: Arc<MemoryEngine>,
    life: u64,
}

impl DiskLife {
    /// Whether this life lasts.
    ///
    /// # Errors
    /// `Storage` when it does not.
    fn alive(&self) -> Result<()> {
        if self.disk.state.lock().life == self.life {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Storage, "the node has crashed"))
        }
    }

    /// Notes the steps of a write of `record`, or of its removal.
    fn remember(&self, vnode: u16, key: &StoreKey, change: &IndexChange) -> Result<()> {
        self.alive()?;
        let before = self.engine.stored(vnode, key);
        let mut state = self.disk.state.lock();
        let mut step = |step| state.unsynced.push(Undo { vnode, key: key.clone(), step });
        if !change.add.is_empty() {
            let remove = change.add.clone();
            step(Step::Index(IndexChange { remove, ..IndexChange::NONE }));
        }
        step(Step::Record(before));
        if !change.remove.is_empty() {
            let add = change.remove.clone();
            step(Step::Index(IndexChange { add, ..IndexChange::NONE }));
        }
        Ok(())
    }

    /// The end of this life, if the write that was just made was to be its last.
    fn survive(&self) -> Result<()> {
        let mut state = self.disk.state.lock();
        if !std::mem::take(&mut state.failing) {
            return Ok(());
        }
        state.life += 1;
        self.disk.failed.notify_one();
        Err(Error::new(ErrorKind::Storage, "the node crashes"))
    }
}

impl Intercept for DiskLife {
    fn before(&self, call: Call<'_>) -> Result<()> {
        match call {
            Call::Read if self.disk.state.lock().unreadable > 0 => {
                return Err(Error::new(ErrorKind::Storage, UNREADABLE));
            }
            Call::Put { vnode, key, change } => self.remember(vnode, key, change)?,
            Call::Delete { vnode, key, entries } => {
                let change = IndexChange { remove: entries.to_vec(), ..IndexChange::NONE };
                self.remember(vnode, key, &change)?;
            }
            _ => {}
        }
        self.alive()
    }

    fn after(&self, call: Call<'_>) -> Result<()> {
        let state = || self.disk.state.lock();
        match call {
            Call::Put { .. } => return self.survive(),
            Call::ChangeIndex { vnode, key, change } if !change.remove.is_empty() => {
                let add = change.remove.clone();
                let step = Step::Index(IndexChange { add, ..IndexChange::NONE });
                state().unsynced.push(Undo { vnode, key: key.clone(), step });
            }
            Call::Sync | Call::SyncDisk => {
                let mut state = state();
                state.acknowledged = self.engine.position();
                state.unsynced.clear();
                state.unsynced_entries.clear();
            }
            Call::Append { segment } => state().unsynced_entries.push(segment),
            Call::RemoveSegment { segment } => {
                state().unsynced_entries.retain(|other| *other != segment);
            }
            _ => {}
        }
        Ok(())
    }

    fn position(&self) -> Option<u64> {
        Some(self.disk.state.lock().acknowledged)
    }
}

/// Where storage work runs: at once, or a little later each, in any order.
pub(crate) struct SlowDisk {
    random: Random,
    slow: bool,
}

impl SlowDisk {
    pub(crate) fn new(random: Random, slow: bool) -> Self {
        Self { random, slow }
    }
}

impl Executor for SlowDisk {
    fn submit(&self, job: Job) -> Result<()> {
        if !self.slow {
            return Inline.submit(job);
        }
        let hiccup = if self.random.per_mille(5) { self.random.within(0..300) } else { 0 };
        let after = Duration::from_millis(self.random.within(0..4) + hiccup);
        mapring_net::task::spawn(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            job();
        });
        Ok(())
    }

    fn inline_permit(&self) -> Option<InlinePermit<'_>> {
        if self.slow { None } else { Inline.inline_permit() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mapring_types::{BucketId, ObjectId, Record};

    use super::*;

    fn key(name: &'static str) -> StoreKey {
        StoreKey { home: 0, id: ObjectId::new(BucketId::untyped("b"), name) }
    }

    fn record(text: &'static str) -> Record {
        Record { body: Bytes::from_static(text.as_bytes()), ..Record::default() }
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_beginning_of_the_rest() {
        for seed in 0..20 {
            let disk = Disk::new();
            let engine = disk.open();
            engine.put(1, &key("a"), &record("old"), &IndexChange::NONE).unwrap();
            engine.sync().unwrap();
            engine.put(1, &key("a"), &record("new"), &IndexChange::NONE).unwrap();
            engine.put(1, &key("b"), &record("new"), &IndexChange::NONE).unwrap();
            engine.delete(1, &key("a"), &[]).unwrap();
            let lost = disk.crash(&Random::new(seed)).unwrap();
            assert!(
                engine.get(1, &key("a")).is_err()
                    && engine.put(1, &key("a"), &record("x"), &IndexChange::NONE).is_err()
            );
            let engine = disk.open();
            let a = engine.get(1, &key("a")).unwrap().map(|record| record.body);
            let b = engine.get(1, &key("b")).unwrap().is_some();
            let expected = match lost {
                0 => (None, true),
                1 => (Some("new"), true),
                2 => (Some("new"), false),
                _ => (Some("old"), false),
            };
            assert_eq!((a.as_deref(), b), (expected.0.map(str::as_bytes), expected.1));
        }
    }

    /// Whatever a crash takes, what is left of large records is whole, and so are their files.
    #[test]
    fn a_crash_keeps_the_files_that_records_need_and_no_others() {
        let large = |fill: u8| {
            let body = Bytes::from(vec![fill; limits::WITHOUT_FILE_BYTES + 1]);
            Record { body, ..Record::default() }
        };
        for seed in 0..40 {
            let (disk, random) = (Disk::new(), Random::new(seed));
            for life in 0..4_u8 {
                let engine = disk.open();
                for write in 0..8 {
                    let name = ["a", "b", "c"][usize::try_from(random.below(3)).unwrap()];
                    match random.below(5) {
                        0 => engine.delete(1, &key(name), &[]).unwrap(),
                        1 => engine.put(1, &key(name), &record("x"), &IndexChange::NONE).unwrap(),
                        2 => engine.sync().unwrap(),
                        _ => {
                            let large = large(8 * life + write);
                            engine.put(1, &key(name), &large, &IndexChange::NONE).unwrap();
                        }
                    }
                }
                disk.crash(&random).unwrap();
                let there = disk.look();
                let read = ["a", "b", "c"].map(|name| there.get(1, &key(name)).unwrap());
                let large = |record: &&Record| record.body.len() > limits::WITHOUT_FILE_BYTES;
                assert_eq!(disk.without_file(), 0);
                assert_eq!(there.files().unwrap(), read.iter().flatten().filter(large).count());
            }
        }
    }
}
