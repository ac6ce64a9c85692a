//! The state machine: the cluster's metadata in memory, and its snapshot in a file.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapring_types::{Error, Result};
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::files::{self, Mark};
use super::log::to_json;
use super::{
    Entry, LogId, Snapshot, SnapshotMeta, StorageError, StorageIoError, StoredMembership,
    TypeConfig, blocking,
};
use crate::{Change, ClusterState, Outcome};

const SNAPSHOT_MARK: Mark = *b"mrsn";

/// What a snapshot begins with that has a chain of hashes; then the hash, a line end, the state.
const CHAIN: &str = "chain ";

/// Is told of each state when it is applied, before anybody is told that it is.
pub(crate) trait Observer: Send + Sync + 'static {
    /// `state` is applied up to the log's entry `index`.
    fn applied(&self, state: &Arc<ClusterState>, index: u64);
}

/// The state machine of one node; clones share it.
#[derive(Clone)]
pub(crate) struct Machine {
    inner: Arc<Mutex<Inner>>,
    /// What the snapshot in the file covers; held while the file is written, since a snapshot may
    /// be built here while a newer one arrives from the leader.
    stored: Arc<Mutex<Option<LogId>>>,
}

struct Inner {
    path: PathBuf,
    applied: Option<LogId>,
    membership: StoredMembership,
    state: Arc<ClusterState>,
    chain: Chain,
    snapshot: Option<Stored>,
    observer: Arc<dyn Observer>,
}

/// The snapshot file's content.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    meta: SnapshotMeta,
    /// The last hash of the chain, where there is one, and the state as JSON text; as it is sent.
    state: String,
}

/// What a snapshot's text says.
struct Content {
    state: ClusterState,
    hash: Option<String>,
}

/// How far a node has applied the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) id: Option<LogId>,
    /// The hash over all of it, once something is applied and the chain has begun.
    pub(crate) hash: Option<String>,
}

impl Machine {
    /// Opens the snapshot in `directory`, or begins with `initial`. Every node of a cluster must
    /// begin with the same state.
    ///
    /// # Errors
    /// `Corrupt`, naming the file.
    pub(crate) fn open(
        directory: &Path,
        initial: ClusterState,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let path = directory.join("snapshot");
        let mut chain = Chain::default();
        chain.begin(0, &(&initial.name, initial.plan.ring_size().get()));
        let mut inner = Inner {
            path,
            applied: None,
            membership: StoredMembership::default(),
            state: Arc::new(initial),
            chain,
            snapshot: None,
            observer,
        };
        if let Some(content) = files::read(&inner.path, SNAPSHOT_MARK)? {
            let damaged = || format!("the file {} is damaged", inner.path.display());
            let stored: Stored = serde_json::from_slice(&content)
                .map_err(|error| Error::corrupt(damaged()).with_source(error))?;
            let content = decode_content(&stored.state)?;
            inner.install(stored, content);
        }
        let stored = Arc::new(Mutex::new(inner.applied));
        Ok(Self { inner: Arc::new(Mutex::new(inner)), stored })
    }

    /// How far this node has applied the log.
    pub(crate) fn applied(&self) -> Applied {
        let inner = self.inner.lock();
        let hash = inner.applied.and(inner.chain.last());
        Applied { id: inner.applied, hash: hash.map(str::to_owned) }
    }

    /// Whether another node has applied the same up to the entry `index`, by its hash; `None` when
    /// that is not known here.
    pub(crate) fn agrees(&self, index: u64, hash: &str) -> Option<bool> {
        self.inner.lock().chain.agrees(index, hash)
    }

    /// The nodes of the group as of the last entry applied, and of `entries` after it.
    pub(crate) fn membership(&self, entries: &[Entry]) -> StoredMembership {
        let last = entries.iter().rev().find_map(membership_of);
        last.unwrap_or_else(|| self.inner.lock().membership.clone())
    }

    /// A snapshot of what is applied here and of the entries after it, in the place `id` that
    /// outranks all that any node has: whoever installs it goes on from this node's history.
    pub(crate) fn forged(&self, entries: Vec<Entry>, id: LogId) -> Result<Snapshot> {
        let mut progress = {
            let inner = self.inner.lock();
            Progress {
                applied: inner.applied,
                membership: inner.membership.clone(),
                state: ClusterState::clone(&inner.state),
                chain: Chain::default(),
            }
        };
        for entry in entries {
            progress.apply(entry);
        }
        let Progress { membership, state, mut chain, .. } = progress;
        chain.begin(id.index, &state);
        let meta = SnapshotMeta {
            last_log_id: Some(id),
            last_membership: membership,
            snapshot_id: id.to_string(),
        };
        let text = encode_content(&state, chain.last())?;
        Ok(snapshot_of(Stored { meta, state: text }))
    }

    /// Writes the snapshot to the file, unless a newer one is there.
    async fn store(&self, stored: Stored) -> Result<Stored, StorageError> {
        let path = self.inner.lock().path.clone();
        let signature = stored.meta.signature();
        let known = self.stored.clone();
        blocking(move || {
            let mut known = known.lock();
            if *known <= stored.meta.last_log_id {
                files::replace(&path, SNAPSHOT_MARK, &to_json(&stored)?)?;
                *known = stored.meta.last_log_id;
            }
            Ok(stored)
        })
        .await
        .map_err(|error| {
            StorageIoError::write_snapshot(Some(signature), AnyError::new(&error)).into()
        })
    }
}

/// What entries change when they are applied.
struct Progress {
    applied: Option<LogId>,
    membership: StoredMembership,
    state: ClusterState,
    chain: Chain,
}

impl Progress {
    fn apply(&mut self, entry: Entry) -> Outcome {
        let id = entry.log_id;
        self.applied = Some(id);
        if let Some(membership) = membership_of(&entry) {
            self.membership = membership;
        }
        self.chain.extend(id, &entry.payload);
        let EntryPayload::Normal(change) = entry.payload else { return Outcome::Applied };
        let outcome = self.state.apply(&change);
        if change == Change::BeginChain {
            self.chain.begin(id.index, &self.state);
        }
        outcome
    }
}

/// Refuses entries that have been applied: as of a directory in which the snapshot is of another time
/// than the log. What lacks some is found by the chain.
fn check_order(applied: Option<LogId>, entries: &[Entry]) -> Result<()> {
    let mut last = applied.map(|applied| applied.index);
    for entry in entries {
        let index = entry.log_id.index;
        if let Some(last) = last.filter(|last| *last >= index) {
            return Err(Error::corrupt(format!("entry {index} is to be applied after {last}")));
        }
        last = Some(index);
    }
    Ok(())
}

fn membership_of(entry: &Entry) -> Option<StoredMembership> {
    match &entry.payload {
        EntryPayload::Membership(membership) => {
            Some(StoredMembership::new(Some(entry.log_id), membership.clone()))
        }
        _ => None,
    }
}

impl Inner {
    fn install(&mut self, stored: Stored, content: Content) {
        assert!(content.state.check_sound().is_ok(), "a snapshot is checked when it is read");
        self.applied = stored.meta.last_log_id;
        self.membership = stored.meta.last_membership.clone();
        self.state = Arc::new(content.state);
        let index = self.applied.map_or(0, |applied| applied.index);
        self.chain = Chain::resumed(content.hash, index);
        self.snapshot = Some(stored);
        self.tell();
    }

    fn apply(&mut self, entries: impl Iterator<Item = Entry>) -> Vec<Outcome> {
        let mut progress = Progress {
            applied: self.applied,
            membership: self.membership.clone(),
            state: ClusterState::clone(&self.state),
            chain: std::mem::take(&mut self.chain),
        };
        let outcomes = entries.map(|entry| progress.apply(entry)).collect();
        let Progress { applied, membership, state, chain } = progress;
        (self.applied, self.membership, self.chain) = (applied, membership, chain);
        if state != *self.state {
            self.state = Arc::new(state);
        }
        self.tell();
        outcomes
    }

    fn tell(&self) {
        self.observer.applied(&self.state, self.applied.map_or(0, |applied| applied.index));
    }
}

fn decode_content(text: &str) -> Result<Content> {
    let damaged = || Error::corrupt("a snapshot is damaged");
    // Snapshots of earlier versions are the state alone.
    let (hash, state) = match text.strip_prefix(CHAIN) {
        Some(rest) => {
            let (hash, state) = rest.split_once('\n').ok_or_else(damaged)?;
            (Some(hash.to_owned()), state)
        }
        None => (None, text),
    };
    let state: ClusterState =
        serde_json::from_str(state).map_err(|error| damaged().with_source(error))?;
    state.check_sound().map_err(|error| error.context("a snapshot is damaged"))?;
    Ok(Content { state, hash })
}

fn encode_content(state: &ClusterState, hash: Option<&str>) -> Result<String> {
    let state = serde_json::to_string(state)
        .map_err(|error| Error::internal("cannot encode the metadata").with_source(error))?;
    Ok(hash.map_or_else(|| state.clone(), |hash| format!("{CHAIN}{hash}\n{state}")))
}

fn snapshot_of(stored: Stored) -> Snapshot {
    Snapshot { meta: stored.meta, snapshot: Box::new(Cursor::new(stored.state.into_bytes())) }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let inner = self.inner.lock();
        Ok((inner.applied, inner.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut inner = self.inner.lock();
        check_order(inner.applied, &entries).map_err(|error| {
            let last = inner.applied.unwrap_or_default();
            StorageError::from(StorageIoError::apply(last, AnyError::new(&error)))
        })?;
        Ok(inner.apply(entries.into_iter()))
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let unreadable = |error: AnyError| {
            StorageError::from(StorageIoError::read_snapshot(Some(meta.signature()), error))
        };
        let text = String::from_utf8(snapshot.into_inner())
            .map_err(|error| unreadable(AnyError::new(&error)))?;
        let content = decode_content(&text).map_err(|error| unreadable(AnyError::new(&error)))?;
        let stored = self.store(Stored { meta: meta.clone(), state: text }).await?;
        self.inner.lock().install(stored, content);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.inner.lock().snapshot.clone().map(snapshot_of))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let (applied, membership, state, hash) = {
            let inner = self.inner.lock();
            let hash = inner.chain.last().map(str::to_owned);
            (inner.applied, inner.membership.clone(), inner.state.clone(), hash)
        };
        let meta = SnapshotMeta {
            last_log_id: applied,
            last_membership: membership,
            snapshot_id: applied.map_or_else(|| "empty".to_owned(), |id| id.to_string()),
        };
        let text = encode_content(&state, hash.as_deref()).map_err(|error| {
            StorageError::from(StorageIoError::write_snapshot(
                Some(meta.signature()),
                AnyError::new(&error),
            ))
        })?;
        let stored = self.store(Stored { meta, state: text }).await?;
        let mut inner = self.inner.lock();
        let known = inner.snapshot.as_ref().and_then(|snapshot| snapshot.meta.last_log_id);
        if known <= stored.meta.last_log_id {
            inner.snapshot = Some(stored.clone());
        }
        Ok(snapshot_of(stored))
    }
}

#[cfg(test)]
mod tests {
    use mapring_ring::RingSize;
    use openraft::CommittedLeaderId;

    use super::*;

    struct Nobody;

    impl Observer for Nobody {
        fn applied(&self, _state: &Arc<ClusterState>, _index: u64) {}
    }

    fn open(directory: &Path) -> Machine {
        let initial = ClusterState::new("c", RingSize::new(8).unwrap());
        Machine::open(directory, initial, Arc::new(Nobody)).unwrap()
    }

    fn id(index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(1, 1), index)
    }

    fn entry(index: u64, change: Change) -> Entry {
        Entry { log_id: id(index), payload: EntryPayload::Normal(change) }
    }

    async fn apply(machine: &mut Machine, index: u64, change: Change) {
        machine.apply([entry(index, change)]).await.unwrap();
    }

    /// The snapshot file of an earlier version: the state alone.
    fn write_old_snapshot(directory: &Path, state: &ClusterState) {
        let meta = SnapshotMeta { last_log_id: Some(id(7)), ..SnapshotMeta::default() };
        let state = serde_json::to_string(state).unwrap();
        let content = serde_json::json!({"meta": meta, "state": state}).to_string();
        files::replace(&directory.join("snapshot"), SNAPSHOT_MARK, content.as_bytes()).unwrap();
    }

    /// What former releases have stored is read, and the same entries still come to the same state
    /// and the same hash: else nodes of two releases would differ.
    #[tokio::test]
    async fn the_snapshot_of_former_releases_is_read() {
        let kept = |name: &str| format!("{}/fixtures/raft-1-{name}", env!("CARGO_MANIFEST_DIR"));
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::copy(kept("snapshot"), old.path().join("snapshot")).unwrap();
        let (read, mut fresh) = (open(old.path()), open(new.path()));
        for (index, change) in (0..).zip(crate::formats::changes()) {
            let id = LogId::new(CommittedLeaderId::new(3, 7), index);
            let entry = Entry { log_id: id, payload: EntryPayload::Normal(change) };
            fresh.apply([entry]).await.unwrap();
        }
        assert_eq!(read.applied(), fresh.applied());
        assert_eq!(read.applied().hash, std::fs::read_to_string(kept("hash.txt")).ok());
        assert_eq!(read.inner.lock().state, fresh.inner.lock().state);
    }

    #[tokio::test]
    async fn a_snapshot_without_a_chain_is_read_and_the_chain_begins_for_all_alike() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut fresh = open(new.path());
        apply(&mut fresh, 7, Change::Found { id: 5 }).await;
        let state = fresh.inner.lock().state.clone();
        write_old_snapshot(old.path(), &state);
        let mut machine = open(old.path());
        assert_eq!(machine.applied(), Applied { id: Some(id(7)), hash: None });
        apply(&mut machine, 8, Change::Seal).await;
        apply(&mut fresh, 8, Change::Seal).await;
        assert_eq!(machine.applied().hash, None);
        for machine in [&mut machine, &mut fresh] {
            apply(machine, 9, Change::BeginChain).await;
            apply(machine, 10, Change::Found { id: 6 }).await;
        }
        assert!(machine.applied().hash.is_some());
        assert_eq!(machine.applied(), fresh.applied());
        assert_eq!(fresh.agrees(8, "x"), None, "what was before is not compared");
    }

    #[tokio::test]
    async fn the_chain_survives_snapshots() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut machine = open(one.path());
        apply(&mut machine, 1, Change::Seal).await;
        let snapshot = machine.build_snapshot().await.unwrap();
        assert_eq!(open(one.path()).applied(), machine.applied());
        let mut receiver = open(other.path());
        receiver.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
        assert_eq!(receiver.applied(), machine.applied());
        for machine in [&mut receiver, &mut machine] {
            apply(machine, 2, Change::Found { id: 6 }).await;
        }
        assert_eq!(receiver.applied(), machine.applied());
    }

    #[tokio::test]
    async fn a_forged_snapshot_has_the_tail_of_the_log_too() {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = open(directory.path());
        apply(&mut machine, 1, Change::Seal).await;
        let before = machine.applied();
        let tail = vec![entry(2, Change::Found { id: 9 })];
        let snapshot = machine.forged(tail, id(1_000)).unwrap();
        assert_eq!(machine.applied(), before, "nothing is done yet");
        machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
        assert_eq!(machine.applied().id, Some(id(1_000)));
        let state = machine.inner.lock().state.clone();
        assert_eq!((state.id, state.sealed), (9, true));
    }
}
