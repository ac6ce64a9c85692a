//! What the lanes of a node share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mapring_cluster::Cluster;
use mapring_workers::Workers;

use super::permits::NodePermits;
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
    /// Units that run here now.
    pub(crate) units: Arc<AtomicU64>,
    /// Lanes that are served now.
    pub(crate) lanes: Arc<AtomicU64>,
}
