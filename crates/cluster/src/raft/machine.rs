//! The state machine: the cluster's metadata in memory, and its snapshot in a file.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapring_types::{Error, Result};
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::files::{self, Mark};
use super::log::to_json;
use super::{
    Entry, LogId, Snapshot, SnapshotMeta, StorageError, StorageIoError, StoredMembership,
    TypeConfig, blocking,
};
use crate::{ClusterState, Outcome};

const SNAPSHOT_MARK: Mark = *b"mrsn";

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
    snapshot: Option<Stored>,
    observer: Arc<dyn Observer>,
}

/// The snapshot file's content.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    meta: SnapshotMeta,
    /// The state as JSON text, as it is sent.
    state: String,
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
        let mut inner = Inner {
            path,
            applied: None,
            membership: StoredMembership::default(),
            state: Arc::new(initial),
            snapshot: None,
            observer,
        };
        if let Some(content) = files::read(&inner.path, SNAPSHOT_MARK)? {
            let damaged = || format!("the file {} is damaged", inner.path.display());
            let stored: Stored = serde_json::from_slice(&content)
                .map_err(|error| Error::corrupt(damaged()).with_source(error))?;
            let state = decode_state(stored.state.as_bytes())?;
            inner.install(stored, state);
        }
        let stored = Arc::new(Mutex::new(inner.applied));
        Ok(Self { inner: Arc::new(Mutex::new(inner)), stored })
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

impl Inner {
    fn install(&mut self, stored: Stored, state: ClusterState) {
        self.applied = stored.meta.last_log_id;
        self.membership = stored.meta.last_membership.clone();
        self.state = Arc::new(state);
        self.snapshot = Some(stored);
        self.tell();
    }

    fn apply(&mut self, entries: impl Iterator<Item = Entry>) -> Vec<Outcome> {
        let mut state = ClusterState::clone(&self.state);
        let mut outcomes = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            outcomes.push(match entry.payload {
                EntryPayload::Blank => Outcome::Applied,
                EntryPayload::Normal(change) => state.apply(&change),
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Outcome::Applied
                }
            });
        }
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

fn decode_state(content: &[u8]) -> Result<ClusterState> {
    serde_json::from_slice(content)
        .map_err(|error| Error::corrupt("a snapshot is damaged").with_source(error))
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
        Ok(self.inner.lock().apply(entries.into_iter()))
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
        let state =
            decode_state(text.as_bytes()).map_err(|error| unreadable(AnyError::new(&error)))?;
        let stored = self.store(Stored { meta: meta.clone(), state: text }).await?;
        self.inner.lock().install(stored, state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.inner.lock().snapshot.clone().map(snapshot_of))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let (applied, membership, state) = {
            let inner = self.inner.lock();
            (inner.applied, inner.membership.clone(), inner.state.clone())
        };
        let meta = SnapshotMeta {
            last_log_id: applied,
            last_membership: membership,
            snapshot_id: applied.map_or_else(|| "empty".to_owned(), |id| id.to_string()),
        };
        let text = serde_json::to_string(&*state).map_err(|error| {
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
