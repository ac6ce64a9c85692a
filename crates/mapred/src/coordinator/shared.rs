//! What every part of a query's coordination uses.

use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::Cluster;
use mapring_net::Transport;
use mapring_script::{CallContext, QueryTag};
use mapring_workers::Workers;
use tokio::time::Instant;

use crate::handle::QueryHandle;
use crate::node::Node;
use crate::objects::Objects;
use crate::unit::LaneTerms;

/// See the module.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) query: QueryTag,
    pub(crate) deadline: Instant,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) objects: Arc<dyn Objects>,
    /// What functions are told of the query.
    pub(crate) context: CallContext,
    /// What lanes are held to, when it is a job.
    pub(crate) terms: Option<LaneTerms>,
    /// This node's own side of the work.
    pub(crate) node: Arc<Node>,
    /// Where the query's progress is shown.
    pub(crate) handle: Arc<QueryHandle>,
}

impl Shared {
    /// How long the query may still take, in milliseconds.
    pub(crate) fn time_left_ms(&self) -> u64 {
        u64::try_from(self.time_left().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long the query may still take.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
