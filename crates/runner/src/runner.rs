//! What the parts of a node's runner have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use mapring_cluster::{Change, JobKind, JobRecord, Outcome, View};
use mapring_kv::Kv;
use mapring_mapred::MapReduce;
use mapring_types::{Clock, Entropy, Error, ErrorKind, NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::callbacks::Callbacks;
use crate::lease::{Heard, Lease};
use crate::limits;
use crate::live::{Live, Stop};
use crate::peers::Peers;
use crate::slots::Slots;
use crate::store::Store;

/// Settings of a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerConfig {
    /// Jobs that run at once on this node.
    pub concurrent: usize,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self { concurrent: limits::CONCURRENT }
    }
}

/// Hears of a job, by its id and the epoch in which this node owns it.
pub type Witness = Arc<dyn Fn(&str, u64) + Send + Sync>;

/// See the module.
pub(crate) struct Runner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) peers: Peers,
    pub(crate) callbacks: Callbacks,
    pub(crate) kv: Kv,
    pub(crate) mapred: MapReduce,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) lease: Lease,
    pub(crate) heard: Heard,
    pub(crate) slots: Slots,
    /// The jobs that this node works on, by their ids.
    pub(crate) live: Mutex<BTreeMap<String, Arc<Live>>>,
    /// Told when this node may go on with its jobs.
    pub(crate) wake: Notify,
    /// Told when a job has left this node.
    pub(crate) left: Notify,
    /// Whether this node is to take no work any more.
    pub(crate) stop: watch::Sender<bool>,
    /// See [`crate::Parts::witness`].
    pub(crate) witness: Option<Witness>,
}

impl Runner {
    pub(crate) fn view(&self) -> Arc<View> {
        self.peers.view()
    }

    pub(crate) fn me(&self) -> NodeId {
        self.view().me
    }

    /// Milliseconds since 1970 began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_micros() / 1_000
    }

    /// An unfinished job, as the metadata have it.
    pub(crate) fn job(&self, id: &str) -> Option<JobRecord> {
        let view = self.view();
        view.state.jobs.get(id).filter(|job| job.kind == JobKind::Job).cloned()
    }

    /// A job that this node works on.
    pub(crate) fn live(&self, id: &str) -> Option<Arc<Live>> {
        self.live.lock().get(id).cloned()
    }

    /// Has a change of the metadata decided.
    ///
    /// # Errors
    /// `Invalid` with the reason, where it is refused; `Unavailable` or `Timeout` where it is not known
    /// to be decided.
    pub(crate) async fn decide(&self, change: Change) -> Result<()> {
        match self.peers.cluster.propose(change).await? {
            Outcome::Applied => Ok(()),
            Outcome::Refused(why) => Err(Error::new(ErrorKind::Invalid, why)),
        }
    }

    /// Whether this node may go on with a job: asked before anything of it is stored.
    ///
    /// # Errors
    /// `Unavailable` while it may not.
    pub(crate) fn may_go_on(&self, job: &Live) -> Result<()> {
        let fenced = job.stopping() == Some(Stop::Fenced);
        match self.lease.is_held() && !fenced {
            true => {
                self.goes_on(job);
                Ok(())
            }
            false => Err(Error::unavailable("too few nodes have heard of this one lately")),
        }
    }

    /// This node is about to store something as the owner of a job.
    pub(crate) fn goes_on(&self, job: &Live) {
        if let Some(witness) = &self.witness {
            witness(&job.id, job.record.epoch);
        }
    }
}
