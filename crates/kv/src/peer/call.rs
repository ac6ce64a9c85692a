//! Asking other nodes, and what is found of them by it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::View;
use mapring_net::{Call, Class};
use mapring_ring::PreferenceEntry;
use mapring_types::{Error, ErrorKind, NodeId, Result};

use crate::limits;
use crate::peer::extent::Extents;
use crate::peer::pause::PauseDetector;
use crate::peer::reports::Reports;
use crate::peer::suspicion::Suspicion;
use crate::peer::wire::{self, Replica, Sender};
use crate::storage::node::Node;

/// The other nodes.
pub(crate) struct Peers {
    pub(crate) node: Arc<Node>,
    pub(crate) suspicion: Suspicion,
    /// How far their data was.
    pub(crate) extents: Extents,
    /// Who has told what it holds for others.
    pub(crate) reports: Arc<Reports>,
    /// Whether it is this node that stood still.
    pub(crate) pauses: Arc<PauseDetector>,
}

/// What became of a call to a peer.
pub(crate) enum Asked<T> {
    /// The peer has answered, perhaps with a refusal of its own.
    Answered(Result<T>),
    /// The peer could not be reached, or did not answer in time: it may or may not have acted.
    Unreached(Error),
}

impl<T> Asked<T> {
    /// Both kinds of failure alike.
    pub(crate) fn flat(self) -> Result<T> {
        match self {
            Self::Answered(outcome) => outcome,
            Self::Unreached(error) => Err(error),
        }
    }
}

impl Peers {
    /// What this node's messages say of it.
    pub(crate) fn sender(&self) -> Sender {
        Sender {
            plan: self.node.parts.cluster.view().plan().version(),
            incarnation: self.node.vnodes.in_flight().incarnation(),
            position: self.node.parts.engine.position(),
        }
    }

    /// Asks another node, and reports to the cluster what was found of it.
    pub(crate) async fn ask<C: Call>(
        &self,
        node: NodeId,
        class: Class,
        call: &C,
        patience: Duration,
    ) -> Asked<C::Answer> {
        let view = self.node.view();
        let Some(peer) = view.peer(node) else {
            return Asked::Unreached(Error::unavailable(format!("node {node} is not a member")));
        };
        let version = wire::version_at(self.node.vnodes.release());
        let body = match wire::encode(version, self.sender(), call) {
            Ok(body) => body,
            Err(error) => return Asked::Answered(Err(error)),
        };
        let asked = self.node.parts.transport.call(&peer, class, C::method(), body, patience);
        match asked.await {
            Ok(answer) => {
                self.suspicion.trust(node);
                if !view.is_up(node) {
                    self.node.parts.cluster.report(node, true);
                }
                Asked::Answered(wire::decode_answer::<C>(&answer).and_then(|(sender, outcome)| {
                    self.extents.hear(node, sender.incarnation, sender.position);
                    outcome
                }))
            }
            Err(error) => {
                self.reports.away(node);
                match error.kind() {
                    ErrorKind::Unavailable => self.node.parts.cluster.report(node, false),
                    ErrorKind::Timeout if patience >= limits::HEDGE => {
                        self.suspicion.suspect(&[node].into());
                    }
                    _ => {}
                }
                Asked::Unreached(error)
            }
        }
    }

    /// Refuses a request that took this node for the owner of a vnode when a newer plan says
    /// otherwise.
    ///
    /// # Errors
    /// `WrongPlan`.
    pub(crate) fn admit(&self, view: &View, plan: u64, replica: Replica) -> Result<()> {
        let owner = view.plan().owner(replica.vnode) == Some(self.node.me);
        if replica.primary && !owner && view.plan().version() > plan {
            let message = format!("vnode {} is no longer on node {}", replica.vnode, self.node.me);
            return Err(Error::new(ErrorKind::WrongPlan, message));
        }
        Ok(())
    }
}

pub(crate) fn replica(entry: PreferenceEntry) -> Replica {
    Replica { vnode: entry.vnode, primary: entry.primary }
}

pub(crate) async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| Err(Error::timeout("the storage of this node did not answer")))
}
