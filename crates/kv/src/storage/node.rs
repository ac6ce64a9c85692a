//! This node: what it is made of, what it stores, and its figures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_cluster::View;
use mapring_ring::PreferenceEntry;
use mapring_types::{BucketId, Error, NodeId, ObjectId, Result};

use crate::parts::KvParts;
use crate::resolution::Resolution;
use crate::stats::Stats;
use crate::storage::vnode::Vnodes;
use crate::view;

/// See the module.
pub(crate) struct Node {
    pub(crate) me: NodeId,
    pub(crate) parts: KvParts,
    pub(crate) vnodes: Vnodes,
    pub(crate) stats: Stats,
    stopping: AtomicBool,
}

impl Node {
    pub(crate) fn new(me: NodeId, parts: KvParts, vnodes: Vnodes) -> Self {
        let (stats, stopping) = (Stats::default(), AtomicBool::new(false));
        Self { me, parts, vnodes, stats, stopping }
    }

    /// The cluster as it is seen now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.parts.cluster.view()
    }

    /// How concurrent values of a bucket's objects are resolved.
    pub(crate) fn resolution(&self, bucket: &BucketId) -> Resolution {
        view::resolution(&self.view(), bucket)
    }

    /// The replicas of an object as if the nodes in `excluded` were down as well.
    pub(crate) fn entries(
        &self,
        id: &ObjectId,
        n_val: u32,
        excluded: &BTreeSet<NodeId>,
    ) -> Vec<PreferenceEntry> {
        let view = self.view();
        view::list(&view, view::home(&view, id), n_val, excluded).entries
    }

    /// The name of a member, for the log.
    pub(crate) fn name(&self, node: NodeId) -> String {
        view::name(&self.view(), node)
    }

    /// Takes no more requests.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the store is being shut down.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// # Errors
    /// `Unavailable` once the store is being shut down.
    pub(crate) fn running(&self) -> Result<()> {
        if self.stopping() { Err(stopped()) } else { Ok(()) }
    }
}

/// What is answered while the store is being shut down.
pub(crate) fn stopped() -> Error {
    Error::unavailable("this node is stopping")
}
