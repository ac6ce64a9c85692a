//! Whether this node knows what the other members hold for the vnodes of others: each has said so
//! since it was last away.
//!
//! A member that was away may have taken writes in place of others that nobody else knows of. Then
//! what a replica lacks is looked for on other nodes: see `absence`.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use mapring_background::{Context, Next, Worker};
use mapring_cluster::View;
use mapring_types::{NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::storage::node::Node;
use crate::view::{changed, owners};

/// See the module.
#[derive(Default)]
pub(crate) struct Reports {
    /// Members that have told what they hold since they were last away.
    told: Mutex<BTreeSet<NodeId>>,
    /// The nodes that own vnodes, by the version of the plan.
    owners: Mutex<Option<(u64, Arc<BTreeSet<NodeId>>)>>,
}

impl Reports {
    /// A member has told what it holds.
    pub(crate) fn heard(&self, node: NodeId) {
        self.told.lock().insert(node);
    }

    /// A member is away, or did not answer.
    pub(crate) fn away(&self, node: NodeId) {
        self.told.lock().remove(&node);
    }

    /// Whether each of these has told what it holds since it was last away.
    pub(crate) fn are_from_all<'a>(&self, mut nodes: impl Iterator<Item = &'a NodeId>) -> bool {
        let told = self.told.lock();
        nodes.all(|node| told.contains(node))
    }

    /// The nodes that own vnodes.
    pub(crate) fn owners(&self, view: &View) -> Arc<BTreeSet<NodeId>> {
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

/// Notices who is away.
pub(crate) struct ReportsWorker {
    node: Weak<Node>,
    reports: Arc<Reports>,
    changes: watch::Receiver<Arc<View>>,
}

impl ReportsWorker {
    pub(crate) fn new(node: &Arc<Node>, reports: Arc<Reports>) -> Self {
        Self { node: Arc::downgrade(node), reports, changes: node.parts.cluster.changes() }
    }
}

#[async_trait]
impl Worker for ReportsWorker {
    fn name(&self) -> &'static str {
        "member-reports"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(node) = self.node.upgrade() else { return Ok(Next::End) };
        self.changes.borrow_and_update();
        let view = node.view();
        let told = {
            let mut told = self.reports.told.lock();
            told.retain(|node| view.is_up(*node));
            told.len()
        };
        context.say(format!("{told} members have said what they hold for others"));
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        changed(&mut self.changes).await;
    }
}
