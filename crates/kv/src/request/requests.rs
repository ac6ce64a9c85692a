//! What requests of single objects stand on, and how much of them goes on after their answers.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;
use crate::peer::call::Peers;
use crate::request::reaper::Reaper;
use crate::staleness::state::Staleness;
use crate::storage::node::Node;

/// What waits in a node or goes on in its background, each with a bound in [`limits`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// What requests hold that go on after their answer ([`limits::TAIL_UNITS`]).
    pub tail_units: usize,
    /// Read repairs under way ([`limits::REPAIRS`]).
    pub repairs: usize,
    /// Tombstones that wait to be reaped ([`limits::REAPS`]).
    pub reaps: usize,
}

/// See the module.
pub(crate) struct Requests {
    pub(crate) node: Arc<Node>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) staleness: Arc<Staleness>,
    /// Tombstones to be reaped.
    pub(crate) reaper: Reaper,
    /// Folds that test keys or objects: fewer at once than there are threads for storage, which writes need.
    pub(crate) tests: Semaphore,
    tails: Arc<Semaphore>,
}

impl Requests {
    pub(crate) fn new(staleness: Arc<Staleness>) -> Self {
        let (node, peers) = (staleness.node.clone(), staleness.peers.clone());
        let reaper = Reaper::new(node.parts.config.reap_after);
        let tails = Arc::new(Semaphore::new(limits::TAIL_UNITS));
        let tests = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { node, peers, staleness, reaper, tests: Semaphore::new(tests), tails }
    }

    /// The leave of a request with an object of `bytes` to go on after its answer; `None` at the
    /// bound.
    pub(crate) fn tail(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.tails.clone().try_acquire_many_owned(limits::tail_units(bytes)).ok()
    }

    /// What waits or goes on in the background.
    pub(crate) fn backlog(&self) -> Backlog {
        let repairs = self.staleness.read_repairs.available_permits();
        Backlog {
            tail_units: limits::TAIL_UNITS.saturating_sub(self.tails.available_permits()),
            repairs: limits::REPAIRS.saturating_sub(repairs),
            reaps: self.reaper.waiting(),
        }
    }
}
