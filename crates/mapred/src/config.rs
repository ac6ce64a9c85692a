//! Settings of MapReduce.

use std::path::PathBuf;

use mapring_shuffle::{Keeps, StoreConfig};

use crate::limits;

/// See the module.
#[derive(Debug, Clone)]
pub struct MapredConfig {
    /// A plain answer is kept in memory up to so many bytes, …
    pub answer_memory_bytes: u64,
    /// … then in an unlinked temporary file. All such files together may have so many bytes; a
    /// query that needs more fails.
    pub answer_disk_bytes: u64,
    /// Where that file is made.
    pub spill_dir: PathBuf,
    /// Most queries that this node coordinates at once; more wait their turn until their timeout.
    pub concurrent_queries: usize,
    /// Units of work that one phase of one query runs on this node at once: about as many as there
    /// are workers.
    pub units_at_once: usize,
    /// A unit sends its results at the latest after so many inputs (at least 1): what a lost node
    /// costs to be run again.
    pub page_inputs: usize,
    /// Pairs that are to be grouped are kept in so many bytes of memory, for all queries together, …
    pub shuffle_memory_bytes: u64,
    /// … then in files. A query that would need more than this fails.
    pub shuffle_disk_bytes: u64,
    /// Where these files are, and those with which jobs go on after all nodes were lost, which no other
    /// node may have; `None` for unlinked temporary files in `spill_dir`, and nothing to go on with.
    pub pairs_dir: Option<PathBuf>,
    /// Whether the pairs with which jobs go on are fsynced.
    pub sync_pairs: bool,
    /// A unit stores its pairs at the latest when they are so many bytes.
    pub page_pairs_bytes: usize,
}

impl Default for MapredConfig {
    fn default() -> Self {
        Self {
            answer_memory_bytes: 8 << 20,
            answer_disk_bytes: 16 << 30,
            spill_dir: std::env::temp_dir(),
            concurrent_queries: 256,
            units_at_once: 4,
            page_inputs: limits::PAGE_INPUTS,
            shuffle_memory_bytes: 128 << 20,
            shuffle_disk_bytes: 64 << 30,
            pairs_dir: None,
            sync_pairs: false,
            page_pairs_bytes: limits::PAIRS_BYTES,
        }
    }
}

impl MapredConfig {
    /// Of the store of pairs.
    pub(crate) fn pairs(&self) -> StoreConfig {
        let keeps = match (&self.pairs_dir, self.sync_pairs) {
            (None, _) => Keeps::Nothing,
            (Some(_), false) => Keeps::Written,
            (Some(_), true) => Keeps::Synced,
        };
        StoreConfig {
            memory_bytes: self.shuffle_memory_bytes,
            disk_bytes: self.shuffle_disk_bytes,
            directory: self.pairs_dir.clone().unwrap_or_else(|| self.spill_dir.clone()),
            keeps,
        }
    }
}
