//! Settings of MapReduce.

use std::path::PathBuf;

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
    /// … then in unlinked temporary files. A query that would need more than this fails.
    pub shuffle_disk_bytes: u64,
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
            page_pairs_bytes: limits::PAIRS_BYTES,
        }
    }
}
