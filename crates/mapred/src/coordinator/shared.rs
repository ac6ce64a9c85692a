//! What every part of a query's coordination uses.

use std::sync::Arc;

use mapring_cluster::Cluster;
use mapring_net::Transport;
use mapring_script::{CallContext, QueryTag};
use mapring_workers::Workers;
use tokio::time::Instant;

use crate::handle::QueryHandle;
use crate::node::Node;
use crate::objects::Objects;

/// See the module.
pub(crate) struct Shared {
    pub(crate) query: QueryTag,
    pub(crate) deadline: Instant,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) objects: Arc<dyn Objects>,
    /// What functions are told of the query.
    pub(crate) context: CallContext,
    /// This node's own side of the work.
    pub(crate) node: Arc<Node>,
    /// Where the query's progress is shown.
    pub(crate) handle: Arc<QueryHandle>,
}

impl Shared {
    /// How long the query may still take, in milliseconds.
    pub(crate) fn time_left_ms(&self) -> u64 {
        let left = self.deadline.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    }
}
