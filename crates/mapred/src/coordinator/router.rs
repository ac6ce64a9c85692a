//! Which replica gets a unit: the view of the cluster, and what this query has seen of each node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::View;
use mapring_net::Peer;
use mapring_ring::{Coverage, CoverageEntry, Partition, hash};
use mapring_types::{BucketId, NodeId, ObjectId, Release};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::grammar::{Consistency, Scan};
use crate::limits;

/// Chooses replicas for one query.
pub(super) struct Router {
    view: Arc<View>,
    health: BTreeMap<NodeId, Health>,
    n_vals: BTreeMap<BucketId, u32>,
    /// A complete replica of each home partition, by number of replicas. Taken away as soon as a
    /// node in it fails.
    plans: BTreeMap<u32, BTreeMap<Partition, Replica>>,
    /// Numbers of replicas that somebody waits for a plan of.
    wanted: BTreeSet<u32>,
    /// Whether the last plan could not be used.
    refused: bool,
}

/// What the query has seen of a node since it last did something for it.
#[derive(Debug, Clone, Copy)]
struct Health {
    /// Failures in a row.
    failures: u32,
    /// The node is left alone until then.
    retry_at: Instant,
}

/// A replica of a home partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) vnode: Partition,
    pub(super) node: NodeId,
}

/// A plan to be made.
#[derive(Debug, Clone)]
pub(super) struct PlanRequest {
    pub(super) n_val: u32,
    /// The failures of each node so far: those that have any are to be avoided.
    pub(super) failures: BTreeMap<NodeId, u32>,
    /// Whether the last plan could not be used: then this one can wait a little.
    pub(super) again: bool,
}

impl Router {
    pub(super) fn new(view: Arc<View>) -> Self {
        let (health, n_vals, plans) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { view, health, n_vals, plans, wanted: BTreeSet::new(), refused: false }
    }

    pub(super) fn set_view(&mut self, view: Arc<View>) {
        // Properties may have changed with it, and replicas with the ownership plan.
        self.n_vals.clear();
        let same_ring = view.plan().version() == self.view.plan().version();
        self.view = view;
        let (view, me) = (self.view.clone(), self.view.me);
        let up = |replica: &Replica| replica.node == me || view.is_up(replica.node);
        self.plans.retain(|_, plan| same_ring && plan.values().all(up));
    }

    pub(super) fn plan_version(&self) -> u64 {
        self.view.plan().version()
    }

    /// The release of the formats that all nodes read.
    pub(super) fn release(&self) -> Release {
        self.view.state.release()
    }

    pub(super) fn peer(&self, node: NodeId) -> Option<Peer> {
        self.view.peer(node)
    }

    pub(super) fn is_up(&self, node: NodeId) -> bool {
        node == self.view.me || self.view.is_up(node)
    }

    /// The members that are up, this node among them.
    pub(super) fn up_nodes(&self) -> BTreeSet<NodeId> {
        let members = self.view.state.members.keys().copied();
        members.filter(|node| self.is_up(*node)).chain([self.view.me]).collect()
    }

    /// The nodes that can keep pairs: those that are up and have not failed this query, if there are
    /// such.
    pub(super) fn keepers(&self) -> BTreeSet<NodeId> {
        let up = self.up_nodes();
        let good: BTreeSet<NodeId> =
            up.iter().copied().filter(|node| self.failures(*node) == 0).collect();
        if good.is_empty() { up } else { good }
    }

    /// A node's name for humans.
    pub(super) fn name(&self, node: NodeId) -> String {
        let member = self.view.state.members.get(&node);
        member.map_or_else(|| node.to_string(), |member| member.name.clone())
    }

    /// How many replicas the objects of a bucket have at least.
    pub(super) fn n_val(&mut self, bucket: &BucketId) -> Result<u32, Failure> {
        if let Some(&n_val) = self.n_vals.get(bucket) {
            return Ok(n_val);
        }
        let Some(n_val) = self.view.least_n_val(bucket) else {
            return Err(Failure::no_bucket_type(bucket));
        };
        if self.n_vals.len() >= limits::KNOWN_BUCKETS {
            self.n_vals.clear();
        }
        self.n_vals.insert(bucket.clone(), n_val);
        Ok(n_val)
    }

    /// How many of the replicas that the objects of a bucket have now are to be merged.
    pub(super) fn replicas(&self, bucket: &BucketId, consistency: Consistency) -> u32 {
        let n_val = self.view.props(bucket).map_or(1, |props| props.n_val);
        match consistency {
            Consistency::One => 1,
            Consistency::Quorum => n_val / 2 + 1,
            Consistency::All => n_val,
        }
    }

    /// The scans of single buckets that one stands for.
    pub(super) fn scans(&self, scan: &Scan) -> Vec<Scan> {
        scan.of_each_type(self.view.state.bucket_types.keys().map(String::as_str))
    }

    pub(super) fn home(&self, id: &ObjectId) -> Partition {
        hash::home(self.view.plan().ring_size(), &id.bucket, &id.key)
    }

    /// All home partitions.
    pub(super) fn homes(&self) -> impl Iterator<Item = Partition> + use<> {
        self.view.plan().ring_size().partitions()
    }

    /// The replica that is to do the work of a home partition; `None` while that is not known, which
    /// is then found out.
    pub(super) fn replica(&mut self, home: Partition, n_val: u32) -> Option<Replica> {
        let replica = self.plans.get(&n_val).and_then(|plan| plan.get(&home)).copied();
        if replica.is_none() {
            self.wanted.insert(n_val);
        }
        replica
    }

    /// A plan that somebody waits for.
    pub(super) fn request(&mut self) -> Option<PlanRequest> {
        let n_val = self.wanted.pop_first()?;
        let failures = self.health.iter().map(|(&node, health)| (node, health.failures)).collect();
        Some(PlanRequest { n_val, failures, again: self.refused })
    }

    /// Takes a plan that was asked for. If one of its nodes has failed in the meantime, another is
    /// asked for.
    pub(super) fn planned(&mut self, request: &PlanRequest, coverage: Coverage) {
        let failed_since = |node: &NodeId| {
            let before = request.failures.get(node).copied().unwrap_or(0);
            self.failures(*node) > before || !self.is_up(*node)
        };
        self.refused = coverage.entries.iter().any(|entry| failed_since(&entry.node));
        if self.refused {
            self.wanted.insert(request.n_val);
            return;
        }
        let replica =
            |entry: &CoverageEntry| (entry.home, Replica { vnode: entry.vnode, node: entry.node });
        let plan: BTreeMap<Partition, Replica> = coverage.entries.iter().map(replica).collect();
        assert_eq!(plan.len(), coverage.entries.len(), "a plan covers each home once (I4)");
        self.plans.insert(request.n_val, plan);
        self.wanted.remove(&request.n_val);
    }

    /// A node failed this query.
    pub(super) fn failed(&mut self, node: NodeId) {
        let now = Instant::now();
        let health = self.health.entry(node).or_insert(Health { failures: 0, retry_at: now });
        health.retry_at = now + backoff(health.failures);
        health.failures = health.failures.saturating_add(1);
        self.plans.retain(|_, plan| plan.values().all(|replica| replica.node != node));
    }

    /// How often a node has failed since it last did something.
    pub(super) fn failures(&self, node: NodeId) -> u32 {
        self.health.get(&node).map_or(0, |health| health.failures)
    }

    /// A node did something for this query.
    pub(super) fn worked(&mut self, node: NodeId) {
        self.health.remove(&node);
    }

    /// Until when a node is to be left alone, if it is.
    pub(super) fn retry_at(&self, node: NodeId) -> Option<Instant> {
        let until = self.health.get(&node)?.retry_at;
        (until > Instant::now()).then_some(until)
    }
}

fn backoff(failures: u32) -> Duration {
    limits::RETRY_BACKOFF.saturating_mul(1 << failures.min(10)).min(limits::LONGEST_RETRY_BACKOFF)
}
