//! What nodes hold for vnodes of others, counted: for those who look after a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use futures::future::join_all;
use mapring_background::{Context, Next, Worker};
use mapring_engine::{ScanDepth, ScanRange};
use mapring_net::{Class, calls};
use mapring_ring::Partition;
use mapring_types::{NodeId, Result};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::limits;
use crate::peer::wire::SERVICE;
use crate::staleness::state::Staleness;
use crate::storage::objects::Core;

/// What a node knows of replicas that lack writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaleReplicas {
    /// For each member that holds data for vnodes of others, as it last said: these vnodes. They
    /// lack it, and are left out of queries until they have it.
    pub held: BTreeMap<NodeId, Vec<Partition>>,
    /// For each member whose vnodes wait for objects that have moved to them from vnodes of others,
    /// as it last said: these vnodes. They are left out of queries too.
    pub awaiting: BTreeMap<NodeId, Vec<Partition>>,
    /// Writes that this node coordinates and that have not yet reached all their replicas, nor are
    /// kept as hints.
    pub unsettled: usize,
    /// Writes of other coordinators that are stored here and not known to have settled.
    pub in_flight: usize,
    /// Members that have not said since this node's start that they hold nothing for it.
    pub unheard: Vec<NodeId>,
    /// Replicas that this node brings up to date after reads just now.
    pub read_repairs: usize,
}

/// Objects that a node holds for vnodes of others: copies of writes that these lack, or lacked until
/// a moment ago.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// How many, by vnode.
    pub objects: BTreeMap<Partition, u64>,
    /// Whether these are at least so many, because counting was broken off.
    pub at_least: bool,
}

calls!(SERVICE; AskHoldings = 9 => Holdings);

/// Asks what a node holds for vnodes of others.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AskHoldings;

/// Asks every member that is known to hold something; those that do not answer are left out.
pub(crate) async fn ask(
    staleness: &Arc<Staleness>,
    stale: &StaleReplicas,
) -> BTreeMap<NodeId, Holdings> {
    let asked = stale.held.keys().map(|&node| async move {
        let held = if node == staleness.node.me {
            staleness.holdings_here().await
        } else if staleness.node.view().is_up(node) {
            let patience = limits::PROBE_PATIENCE;
            staleness.peers.ask(node, Class::Background, &AskHoldings, patience).await.flat()
        } else {
            return None;
        };
        Some((node, held.ok()?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Counts what `mapring_kv_hinted_objects` and its neighbours show.
pub(crate) struct HoldingsWorker {
    staleness: Weak<Staleness>,
    /// By owner.
    shown: BTreeMap<String, u64>,
}

impl HoldingsWorker {
    pub(crate) fn new(staleness: &Arc<Staleness>) -> Self {
        Self { staleness: Arc::downgrade(staleness), shown: BTreeMap::new() }
    }
}

#[async_trait]
impl Worker for HoldingsWorker {
    fn name(&self) -> &'static str {
        "holdings"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(staleness) = self.staleness.upgrade() else { return Ok(Next::End) };
        let stale = staleness.stale_replicas();
        let view = staleness.node.view();
        let lost = view.state.members.iter().filter(|(_, member)| member.incomplete);
        let mut vnodes: BTreeSet<Partition> =
            lost.flat_map(|(&id, _)| view.plan().owned_by(id)).collect();
        vnodes.extend(stale.held.values().chain(stale.awaiting.values()).flatten());
        let vnodes = vnodes.len();
        metrics::gauge!("mapring_kv_stale_vnodes").set(vnodes as f64);
        metrics::gauge!("mapring_kv_unsurveyed_members").set(stale.unheard.len() as f64);
        metrics::gauge!("mapring_kv_read_repairs_in_flight").set(stale.read_repairs as f64);
        let held = staleness.holdings_here().await?;
        self.shown.values_mut().for_each(|objects| *objects = 0);
        for (vnode, objects) in held.objects {
            let owner = view.plan().owner(vnode).and_then(|owner| view.state.members.get(&owner));
            let owner = owner.map_or_else(|| "nobody".to_owned(), |member| member.name.clone());
            *self.shown.entry(owner).or_default() += objects;
        }
        for (owner, &objects) in &self.shown {
            metrics::gauge!("mapring_kv_hinted_objects", "owner" => owner.clone())
                .set(objects as f64);
        }
        // Owners that need nothing are shown as such once.
        self.shown.retain(|_, objects| *objects > 0);
        let objects: u64 = self.shown.values().sum();
        context.say(format!("{objects} objects lie here for others, {vnodes} vnodes are stale"));
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        sleep(limits::HOLDINGS_TICK).await;
    }
}

impl Staleness {
    /// What this node holds.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`, `Overloaded`.
    pub(crate) async fn holdings_here(&self) -> Result<Holdings> {
        let ring = self.node.view().plan().ring_size();
        let vnodes = self.status().held;
        if vnodes.is_empty() {
            return Ok(Holdings::default());
        }
        let count = move |core: &Core| {
            let mut held = Holdings::default();
            let mut left = limits::HOLDINGS_COUNTED;
            for vnode in vnodes {
                let mut objects = 0;
                for home in ring.partitions() {
                    let range = ScanRange::home(home.0);
                    core.engine.scan(vnode.0, &range, ScanDepth::Heads, &mut |_, _| {
                        objects += 1;
                        left -= 1;
                        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    })?;
                    if left == 0 {
                        held.at_least = true;
                        break;
                    }
                }
                held.objects.insert(vnode, objects);
                if held.at_least {
                    break;
                }
            }
            Ok(held)
        };
        self.node.vnodes.run(count).await
    }

    /// What this node knows of replicas that lack writes.
    pub(crate) fn stale_replicas(&self) -> StaleReplicas {
        let own = (self.node.me, self.status());
        let view = self.node.view();
        let (mut held, mut awaiting) = (BTreeMap::new(), BTreeMap::new());
        for (node, status) in self.statuses.all().into_iter().chain([own]) {
            let own = |vnode: &Partition| view.plan().owner(*vnode) == Some(node);
            let (own, others): (Vec<_>, Vec<_>) = status.hinted.into_iter().partition(own);
            let said = [(&mut awaiting, own), (&mut held, others)];
            for (map, vnodes) in said.into_iter().filter(|(_, vnodes)| !vnodes.is_empty()) {
                map.insert(node, vnodes);
            }
        }
        StaleReplicas {
            held,
            awaiting,
            unsettled: self.unsettled.count(),
            in_flight: self.node.vnodes.in_flight().count(),
            unheard: self.unheard(),
            read_repairs: limits::REPAIRS - self.read_repairs.available_permits(),
        }
    }
}
