//! What every part of a query's coordination uses.

use std::sync::Arc;

use mapring_cluster::Cluster;
use mapring_net::Transport;
use mapring_script::QueryTag;
use mapring_workers::Workers;
use tokio::time::Instant;

use crate::handle::QueryHandle;
use crate::objects::Objects;

/// See the module.
pub(crate) struct Shared {
    pub(crate) query: QueryTag,
    pub(crate) deadline: Instant,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) objects: Arc<dyn Objects>,
    /// Where the query's progress is shown.
    pub(crate) handle: Arc<QueryHandle>,
}
