//! What a store is made of, and its settings.

use std::sync::Arc;
use std::time::Duration;

use mapring_background::Workers;
use mapring_cluster::Cluster;
use mapring_engine::Engine;
use mapring_net::Transport;
use mapring_types::{Clock, Entropy};

use crate::executor::Executor;
use crate::limits;
use crate::sizes::{BodySizes, ObjectSizes};

/// What a [`crate::Kv`] is made of.
#[derive(Clone)]
pub struct KvParts {
    /// Membership, plan, properties.
    pub cluster: Arc<dyn Cluster>,
    /// The storage.
    pub engine: Arc<dyn Engine>,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where storage calls run.
    pub executor: Arc<dyn Executor>,
    /// Who does the work in the background; told to stop when the store is shut down.
    pub workers: Workers,
    /// Settings.
    pub config: KvConfig,
}

/// Settings of the key-value store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KvConfig {
    /// How long a tombstone stays before it may be reaped; `None` keeps it for ever (Riak's
    /// `delete_mode`).
    pub reap_after: Option<Duration>,
    /// How long it is kept that an object was deleted, after its tombstone was reaped; at least
    /// [`limits::GRAVES_KEPT`]`.0`.
    pub graves_kept: Duration,
    /// How large objects may become.
    pub sizes: ObjectSizes,
    /// How large bodies may be that lie beside their objects.
    pub bodies: BodySizes,
}

impl Default for KvConfig {
    fn default() -> Self {
        Self {
            reap_after: Some(Duration::from_secs(3)),
            graves_kept: limits::GRAVES_KEPT.1,
            sizes: ObjectSizes::default(),
            bodies: BodySizes::default(),
        }
    }
}
