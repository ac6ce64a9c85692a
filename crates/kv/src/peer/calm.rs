//! Whether this node knows what the other members hold for the vnodes of others: each has said so
//! since it was last away.
//!
//! A member that was away may have taken writes in place of others that nobody else knows of. Then
//! what a replica lacks is looked for on other nodes: see `absence`.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use mapring_cluster::View;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::NodeId;
use parking_lot::Mutex;

use crate::Shared;
use crate::request::absence::{self, Around};
use crate::request::quorum::write::spread;
use crate::scan::coverage::owners;

/// See the module.
#[derive(Default)]
pub(crate) struct Calm {
    /// Members that have told what they hold since they were last away.
    told: Mutex<BTreeSet<NodeId>>,
    /// The nodes that own vnodes, by the version of the plan.
    owners: Mutex<Option<(u64, Arc<BTreeSet<NodeId>>)>>,
}

impl Calm {
    /// A member has told what it holds.
    pub(crate) fn heard(&self, node: NodeId) {
        self.told.lock().insert(node);
    }

    /// A member is away, or did not answer.
    pub(crate) fn away(&self, node: NodeId) {
        self.told.lock().remove(&node);
    }

    fn owners(&self, view: &View) -> Arc<BTreeSet<NodeId>> {
        let version = view.plan().version();
        let mut cached = self.owners.lock();
        match &*cached {
            Some((last, owners)) if *last == version => owners.clone(),
            _ => {
                let owners = Arc::new(owners(view.plan()));
                *cached = Some((version, owners.clone()));
                owners
            }
        }
    }
}

/// The background task: notices who is away.
pub(crate) async fn run(shared: Weak<Shared>) {
    let Some(mut changes) = shared.upgrade().map(|shared| shared.parts.cluster.changes()) else {
        return;
    };
    loop {
        {
            let Some(shared) = shared.upgrade() else { return };
            if shared.stopping() {
                return;
            }
            changes.borrow_and_update();
            let view = shared.parts.cluster.view();
            let mut told = shared.calm.told.lock();
            told.retain(|node| view.is_up(*node));
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl Shared {
    /// Whether every member is up and has told what it holds since it was last away, and since this
    /// node's start.
    fn all_told(&self, view: &View) -> bool {
        if !self.suspicion.suspects().is_empty() {
            return false;
        }
        let owners = self.calm.owners(view);
        let (told, heard) = (self.calm.told.lock(), self.heard.lock());
        let mut others = owners.iter().filter(|node| **node != self.me);
        others.all(|node| view.is_up(*node) && told.contains(node) && heard.contains(node))
    }

    /// Whether nobody can hold anything for a vnode of this node, as far as it can know.
    pub(crate) fn is_sure(&self, vnode: Partition) -> bool {
        let view = self.parts.cluster.view();
        self.all_told(&view) && self.statuses.holders(|held| *held == vnode).is_empty()
    }

    /// What is known of the members beside the answers of some primaries.
    pub(crate) fn around(&self, primaries: &[PreferenceEntry]) -> Around {
        let view = self.parts.cluster.view();
        let of_these = |vnode: &Partition| primaries.iter().any(|entry| entry.vnode == *vnode);
        let mut holding = self.statuses.holders(of_these);
        if self.vnodes.held().vnodes().iter().any(of_these) {
            holding.insert(self.me);
        }
        let quiet = holding.is_empty() && self.all_told(&view);
        // What a primary holds for another it has itself.
        holding.retain(|node| !primaries.iter().any(|entry| entry.node == *node));
        let up = |node| view.is_up(node);
        let owners = self.calm.owners(&view);
        let cut_off = 2 * owners.iter().filter(|node| up(**node)).count() <= owners.len();
        let (up, down) = absence::others(view.plan(), owners.len(), primaries, &holding, up);
        Around { spread: spread(&view, primaries), quiet, up, down, cut_off, holding }
    }
}
