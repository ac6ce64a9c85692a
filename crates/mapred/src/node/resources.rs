//! What the lanes of a node share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mapring_cluster::Cluster;
use mapring_kv::Executor;
use mapring_net::Transport;
use mapring_script::QueryTag;
use mapring_shuffle::Store;
use mapring_workers::Workers;
use metrics::gauge;
use parking_lot::Mutex;

use tokio::time::Instant;

use super::permits::NodePermits;
use super::roots::Roots;
use crate::earlier::EarlierJobs;
use crate::limits;
use crate::objects::Objects;

/// What lanes are run with.
pub(crate) struct Node {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) workers: Arc<dyn Workers>,
    /// Units of one lane that run at once.
    pub(crate) units_at_once: usize,
    /// What all lanes may hold.
    pub(crate) permits: NodePermits,
    /// Inputs after which a page ends.
    pub(crate) page_inputs: u64,
    /// Bytes of pairs after which a page ends.
    pub(crate) page_pairs_bytes: usize,
    /// Bytes of pairs that pages hold now.
    pub(crate) pairs_held: AtomicUsize,
    /// Objects that shards read.
    pub(crate) roots: Roots,
    /// The pairs that are gathered here.
    pub(crate) pairs: Store,
    /// Queries whose pairs were forgotten lately, the last ones at the end: what still comes of them is
    /// not kept.
    pub(crate) forgotten: Mutex<VecDeque<QueryTag>>,
    /// When it began.
    pub(crate) begun: Instant,
    /// The way to other nodes.
    pub(crate) transport: Arc<dyn Transport>,
    /// Where work runs that takes long.
    pub(crate) executor: Arc<dyn Executor>,
    /// Who knows what jobs have given, where there are any.
    pub(crate) earlier: OnceLock<Arc<dyn EarlierJobs>>,
    /// Units that run here now.
    pub(crate) units: Arc<AtomicU64>,
    /// Lanes that are served now.
    pub(crate) lanes: Arc<AtomicU64>,
}

impl Node {
    /// How old it is: what the store of pairs counts by.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Forgets the pairs of a query.
    pub(crate) fn forget_pairs(&self, query: QueryTag) {
        {
            let mut forgotten = self.forgotten.lock();
            if forgotten.len() >= limits::FORGOTTEN_QUERIES {
                forgotten.pop_front();
            }
            forgotten.push_back(query);
        }
        self.pairs.remove_query(query);
        self.show_pairs();
    }

    /// Whether the pairs of a query were forgotten.
    pub(crate) fn has_forgotten(&self, query: QueryTag) -> bool {
        self.forgotten.lock().contains(&query)
    }

    /// Shows what the store of pairs has.
    pub(crate) fn show_pairs(&self) {
        let usage = self.pairs.usage();
        // Exact up to what no node has.
        #[expect(clippy::cast_precision_loss)]
        let (memory, disk) = (usage.memory_bytes as f64, usage.disk_bytes as f64);
        gauge!("mapring_mapred_shuffle_memory_bytes").set(memory);
        gauge!("mapring_mapred_shuffle_disk_bytes").set(disk);
    }
}
