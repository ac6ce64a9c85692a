//! Which replica gets a unit: the view of the cluster, and what this query has seen of each node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::View;
use mapring_net::Peer;
use mapring_ring::{Coverage, CoverageEntry, Partition, hash};
use mapring_types::{BucketId, NodeId, ObjectId};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::limits;

/// Chooses replicas for one query.
pub(super) struct Router {
    view: Arc<View>,
    health: BTreeMap<NodeId, Health>,
    n_vals: BTreeMap<BucketId, u32>,
}

/// What the query has seen of a node since it last did something for it.
#[derive(Debug, Clone, Copy)]
struct Health {
    /// Failures in a row.
    strikes: u32,
    /// The node is left alone until then.
    rests_until: Instant,
}

/// A replica of a home partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) vnode: Partition,
    pub(super) node: NodeId,
}

impl Router {
    pub(super) fn new(view: Arc<View>) -> Self {
        Self { view, health: BTreeMap::new(), n_vals: BTreeMap::new() }
    }

    pub(super) fn set_view(&mut self, view: Arc<View>) {
        self.view = view;
        // Properties may have changed with it.
        self.n_vals.clear();
    }

    pub(super) fn plan_version(&self) -> u64 {
        self.view.plan().version()
    }

    pub(super) fn peer(&self, node: NodeId) -> Option<Peer> {
        self.view.peer(node)
    }

    pub(super) fn is_up(&self, node: NodeId) -> bool {
        node == self.view.me || self.view.is_up(node)
    }

    /// A node's name for humans.
    pub(super) fn name(&self, node: NodeId) -> String {
        let member = self.view.state.members.get(&node);
        member.map_or_else(|| node.to_string(), |member| member.name.clone())
    }

    /// How many replicas the objects of a bucket have.
    pub(super) fn n_val(&mut self, bucket: &BucketId) -> Result<u32, Failure> {
        if let Some(&n_val) = self.n_vals.get(bucket) {
            return Ok(n_val);
        }
        let Some(props) = self.view.props(bucket) else {
            let name = bucket.bucket_type.escape_ascii();
            return Err(Failure::query(format_args!("the bucket type {name} does not exist")));
        };
        if self.n_vals.len() >= limits::KNOWN_BUCKETS {
            self.n_vals.clear();
        }
        self.n_vals.insert(bucket.clone(), props.n_val);
        Ok(props.n_val)
    }

    pub(super) fn home(&self, id: &ObjectId) -> Partition {
        hash::home(self.view.plan().ring_size(), &id.bucket, &id.key)
    }

    /// A fit replica for every home partition.
    pub(super) fn coverage(&self, n_val: u32, offset: u64) -> Result<Vec<CoverageEntry>, Failure> {
        Coverage::new(self.view.plan(), n_val, offset, |entry| self.is_up(entry.node))
            .map(|coverage| coverage.entries)
            .map_err(|missing| no_replica(&missing))
    }

    /// The best replica of a home partition at present: not where the unit just failed, if there is
    /// a choice; then on the node with the fewest failures; then the first in the ring. `None` when
    /// no node that holds one seems to be up.
    pub(super) fn place(
        &self,
        home: Partition,
        n_val: u32,
        just_failed: Option<NodeId>,
    ) -> Option<Place> {
        let size = self.view.plan().ring_size();
        let replicas = u16::try_from(n_val).unwrap_or(u16::MAX).min(size.get());
        let places = (0..replicas).filter_map(|step| {
            let vnode = size.after(home, step);
            let node = self.view.plan().owner(vnode)?;
            self.is_up(node).then_some(Place { vnode, node })
        });
        places.min_by_key(|place| {
            let strikes = self.health.get(&place.node).map_or(0, |health| health.strikes);
            (Some(place.node) == just_failed, strikes)
        })
    }

    /// A node failed this query.
    pub(super) fn failed(&mut self, node: NodeId) {
        let now = Instant::now();
        let health = self.health.entry(node).or_insert(Health { strikes: 0, rests_until: now });
        health.rests_until = now + rest(health.strikes);
        health.strikes = health.strikes.saturating_add(1);
    }

    /// A node did something for this query.
    pub(super) fn worked(&mut self, node: NodeId) {
        self.health.remove(&node);
    }

    /// Until when a node is to be left alone, if it is.
    pub(super) fn resting(&self, node: NodeId) -> Option<Instant> {
        let until = self.health.get(&node)?.rests_until;
        (until > Instant::now()).then_some(until)
    }
}

fn rest(strikes: u32) -> Duration {
    limits::REST.saturating_mul(1 << strikes.min(10)).min(limits::LONGEST_REST)
}

/// The failure of a query that cannot reach all data.
pub(super) fn no_replica(homes: &[Partition]) -> Failure {
    let names: Vec<String> = homes.iter().map(Partition::to_string).collect();
    Failure::query(format_args!("no replica of the partitions {} can be reached", names.join(", ")))
}
