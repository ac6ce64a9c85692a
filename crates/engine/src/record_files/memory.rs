//! Files in memory, of which a crash takes those that were not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mapring_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use super::Medium;

/// Cheap to clone: the same files.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    files: Arc<Mutex<BTreeMap<u64, Written>>>,
}

#[derive(Clone)]
struct Written {
    bytes: Arc<[u8]>,
    synced: bool,
}

impl Memory {
    /// The same files once more, apart from these.
    pub(crate) fn copy(&self) -> Self {
        Self { files: Arc::new(Mutex::new(self.files.lock().clone())) }
    }

    /// What a loss of power leaves.
    pub(crate) fn lose_unsynced(&self) {
        self.files.lock().retain(|_, file| file.synced);
    }
}

impl Medium for Memory {
    fn write(&self, number: u64, parts: [&[u8]; 3]) -> Result<()> {
        let file = Written { bytes: parts.concat().into(), synced: false };
        match self.files.lock().insert(number, file) {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Storage, format!("there is a file {number}"))),
        }
    }

    fn sync(&self, number: u64) -> Result<()> {
        if let Some(file) = self.files.lock().get_mut(&number) {
            file.synced = true;
        }
        Ok(())
    }

    fn read(&self, number: u64, most: usize) -> Result<Option<(Vec<u8>, u64)>> {
        let file = self.files.lock().get(&number).map(|file| file.bytes.clone());
        Ok(file.map(|bytes| (bytes[..most.min(bytes.len())].to_vec(), bytes.len() as u64)))
    }

    fn remove(&self, number: u64) -> Result<()> {
        self.files.lock().remove(&number);
        Ok(())
    }

    fn numbers(&self) -> Result<BTreeSet<u64>> {
        Ok(self.files.lock().keys().copied().collect())
    }

    fn place(&self, number: u64) -> String {
        format!("file {number}")
    }
}
