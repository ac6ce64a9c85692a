//! Who seems to be up: what gossip heard, what calls found, and what follows from both.

pub(crate) mod board;
mod detector;
#[cfg(test)]
mod detector_tests;
mod former;
pub mod gossip;
mod seal;
mod sealed;
mod shared;
mod window;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use mapring_types::{NodeId, Release, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::state::ClusterState;

/// What a node tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// All that was heard of other nodes: members, and where none is known whoever has the secret.
pub type Rumours = Arc<BTreeMap<NodeId, Heard>>;

/// Who may be heard, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// The members as the metadata has them; none before this node knows it.
    pub members: BTreeSet<NodeId>,
    /// Whether a member is of a program that does not seal what it says, or has not said otherwise.
    pub plain: bool,
}

impl Roster {
    /// As the metadata has it.
    pub(crate) fn of(state: &ClusterState) -> Self {
        let members: BTreeSet<NodeId> = state.members.keys().copied().collect();
        let plain = !members.is_empty() && state.release() < Release::SEALED_GOSSIP;
        Self { members, plain }
    }
}

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

    /// Takes who the members are: nobody else is heard from now on.
    fn know(&self, roster: Roster);

    /// Tells other facts from now on.
    async fn tell(&self, facts: Facts);

    /// Addresses (`host:port`, resolved again and again) at which others may be.
    fn seed(&self, addresses: Vec<String>);

    /// Falls silent.
    async fn stop(&self);
}
