//! What this node knows of replicas that lack writes, its own among them.

use std::collections::BTreeSet;
use std::sync::Arc;

use mapring_cluster::View;
use mapring_ring::Partition;
use mapring_types::{NodeId, ObjectId, Result};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::limits;
use crate::peer::call::Peers;
use crate::peer::extent::Extent;
use crate::staleness::integrity::Integrity;
use crate::staleness::settle::Unsettled;
use crate::staleness::status::{ReplicationStatus, Statuses};
use crate::storage::node::Node;
use crate::view::{self, owners};

/// See the module.
pub(crate) struct Staleness {
    pub(crate) node: Arc<Node>,
    pub(crate) peers: Arc<Peers>,
    /// Writes that this node coordinates and that have not settled.
    pub(crate) unsettled: Arc<Unsettled>,
    /// Members that have said since the start that they hold nothing for this node.
    pub(crate) heard: Mutex<BTreeSet<NodeId>>,
    /// What the other members have said of themselves.
    pub(crate) statuses: Statuses,
    /// Whether this node has what it once stored.
    pub(crate) integrity: Arc<Integrity>,
    /// Held while in-doubt writes are recovered.
    pub(crate) recovering: tokio::sync::Mutex<()>,
    /// Brings the next round of hand-off forward.
    pub(crate) wake: Arc<Notify>,
    /// Replicas that may be brought up to date after reads at a time.
    pub(crate) read_repairs: Semaphore,
}

impl Staleness {
    pub(crate) fn new(
        peers: Arc<Peers>,
        unsettled: Arc<Unsettled>,
        statuses: Statuses,
        integrity: Integrity,
    ) -> Self {
        Self {
            node: peers.node.clone(),
            peers,
            unsettled,
            heard: Mutex::default(),
            statuses,
            integrity: Arc::new(integrity),
            recovering: tokio::sync::Mutex::default(),
            wake: Arc::default(),
            read_repairs: Semaphore::new(limits::REPAIRS),
        }
    }

    /// This node's status now.
    pub(crate) fn status(&self) -> ReplicationStatus {
        let mut said = self.statuses.said();
        // First what has settled: a hint is kept before its write counts as settled.
        let watermark = self.unsettled.watermark();
        let first = self.node.vnodes.in_flight().first_own();
        let watermark = first.map_or(watermark, |first| first.min(watermark));
        let sequence = said.next(watermark);
        let view = self.node.view();
        let others = |vnode: &Partition| view.plan().owner(*vnode) != Some(self.node.me);
        let (mut hinted, mut held) =
            (self.node.vnodes.held().stale(), self.node.vnodes.held().vnodes());
        hinted.retain(others);
        held.retain(others);
        let Extent { store, position, .. } = self.peers.extents.opened();
        let incarnation = self.node.vnodes.in_flight().incarnation();
        let opened = Extent { incarnation, store, position };
        let extent = Extent { position: self.node.parts.engine.position(), ..opened };
        hinted.extend(self.integrity.awaited.vnodes());
        hinted.sort_unstable();
        ReplicationStatus { incarnation, sequence, watermark, hinted, held, opened, extent }
    }

    /// The vnodes for which any other member is known to hold data, and own ones that wait for
    /// some.
    pub(crate) fn stale_vnodes(&self) -> BTreeSet<Partition> {
        let mut stale = self.statuses.hinted();
        stale.extend(self.integrity.awaited.vnodes());
        stale
    }

    /// The other members that have not said since this node's start that they hold nothing for it.
    pub(crate) fn unheard(&self) -> Vec<NodeId> {
        let view = self.node.view();
        let heard = self.heard.lock();
        // Who owns no vnode is nobody's fallback.
        let owners = owners(view.plan());
        let others = owners.into_iter().filter(|&node| node != self.node.me);
        others.filter(|node| !heard.contains(node)).collect()
    }

    /// Whether this node's own vnodes may lack writes that others hold for it.
    pub(crate) fn catching_up(&self) -> bool {
        !self.unheard().is_empty()
    }

    /// Whether every member is up and has told what it holds since it was last away, and since this
    /// node's start.
    pub(crate) fn all_told(&self, view: &View) -> bool {
        if !self.peers.suspicion.suspects().is_empty() {
            return false;
        }
        let owners = self.peers.reports.owners(view);
        let others = || owners.iter().filter(|node| **node != self.node.me);
        let heard = self.heard.lock();
        self.peers.reports.are_from_all(others())
            && others().all(|node| view.is_up(*node) && heard.contains(node))
    }

    /// Whether nobody can hold anything for a vnode of this node, as far as it can know.
    pub(crate) fn is_sure(&self, vnode: Partition) -> bool {
        let view = self.node.view();
        self.all_told(&view) && self.statuses.holders(|held| *held == vnode).is_empty()
    }

    /// Refuses to answer for an object whose slice here may lack something.
    pub(crate) fn admit_slice(&self, vnode: Partition, id: &ObjectId) -> Result<()> {
        let integrity = &self.integrity;
        if integrity.is_tried() && !integrity.is_incomplete() && !integrity.awaited.any() {
            return Ok(());
        }
        self.integrity.admit(vnode, view::home(&self.node.view(), id))
    }
}
