//! Notes for which vnodes of other nodes something lies here.

use std::sync::Arc;

use mapring_cluster::Cluster;
use mapring_ring::Partition;
use mapring_types::Object;

use crate::storage::held::Held;
use crate::storage::observe::{Batch, Cause, Change, Observer};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Foreign {
    cluster: Arc<dyn Cluster>,
    held: Arc<Held>,
}

impl Foreign {
    pub(crate) fn new(cluster: Arc<dyn Cluster>, held: Held) -> Self {
        Self { cluster, held: Arc::new(held) }
    }

    /// What was noted.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// Notes that something lies here for a vnode, where that is another node's; `stale` as in
    /// [`Held::note`].
    pub(crate) fn note(&self, vnode: Partition, stale: bool) {
        let view = self.cluster.view();
        if view.plan().owner(vnode) != Some(view.me) {
            self.held.note(vnode, stale);
        }
    }
}

impl Observer for Foreign {
    type Before = ();

    fn before(&self, _: &Object) {}

    fn write(&self, (): (), _: &Change<'_>, _: &mut Batch) {}

    /// After the change: hand-off, which looks first and forgets then, cannot miss it.
    fn done(&self, change: &Change<'_>) {
        match change.cause {
            Cause::Own => self.note(change.vnode, true),
            Cause::Replica => self.note(change.vnode, false),
            // What is left of it was noted when it came.
            Cause::Removal => {}
        }
    }
}
