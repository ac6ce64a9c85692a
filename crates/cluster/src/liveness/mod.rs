//! Who seems to be up: what gossip heard, what calls found, and what follows from both.

pub(crate) mod board;
pub mod gossip;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mapring_types::{NodeId, Result};
use tokio::sync::watch;

/// What a node tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `host:port` of its cluster listener.
    pub cluster_address: String,
    /// `host:port` of its HTTP listener.
    pub http_address: String,
    /// The identity of the cluster that it belongs to; 0 before it does.
    pub cluster_id: u64,
    /// The version of its ownership plan.
    pub plan_version: u64,
    /// How busy it is: requests under way, as its owner counts them.
    pub load: u64,
    /// Whether it is about to stop.
    pub leaving: bool,
}

/// What is known of another node's present life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Whether its heartbeats keep coming.
    pub alive: bool,
    /// Its newest heartbeat; grows while it lives.
    pub heartbeat: u64,
    /// When this life began, in microseconds.
    pub started: u64,
    /// What it tells.
    pub facts: Facts,
}

/// All that was heard of other nodes, members or not.
pub type Rumours = Arc<BTreeMap<NodeId, Heard>>;

/// A way to hear of other nodes and to be heard.
#[async_trait]
pub trait Liveness: Send + Sync + 'static {
    /// Begins to speak and to listen.
    ///
    /// # Errors
    /// `Unavailable` when that may be possible later (a name cannot be resolved now), `Invalid`
    /// when it is not (the port is taken).
    async fn start(&self, facts: Facts) -> Result<()>;

    /// What is heard; changes with every heartbeat.
    fn rumours(&self) -> watch::Receiver<Rumours>;

    /// Tells other facts from now on.
    async fn tell(&self, facts: Facts);

    /// Addresses (`host:port`, resolved again and again) at which others may be.
    fn seed(&self, addresses: Vec<String>);

    /// Falls silent.
    async fn stop(&self);
}
