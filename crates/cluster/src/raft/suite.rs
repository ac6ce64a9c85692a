//! openraft's own tests of a storage.

use std::sync::Arc;

use mapring_ring::RingSize;
use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::log::LogStore;
use super::machine::{Machine, Observer};
use super::{StorageError, TypeConfig};
use crate::ClusterState;

struct Nobody;

impl Observer for Nobody {
    fn applied(&self, _state: &Arc<ClusterState>, _index: u64) {}
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError> {
        let directory = tempfile::tempdir().unwrap();
        let log = LogStore::open(directory.path()).unwrap();
        let state = ClusterState::new("suite", RingSize::new(8).unwrap());
        let machine = Machine::open(directory.path(), state, Arc::new(Nobody)).unwrap();
        Ok((directory, log, machine))
    }
}

#[test]
fn openrafts_suite_passes() {
    Suite::test_all(Builder).unwrap();
}
