//! Who owns which partition.

use mapring_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::hash::{Partition, RingSize};

/// A versioned assignment of every partition to one node, or to none while no node has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnershipPlan {
    version: u64,
    owners: Vec<Option<NodeId>>,
}

impl OwnershipPlan {
    /// The plan of a ring that nobody owns yet: version 0.
    pub fn empty(size: RingSize) -> Self {
        Self { version: 0, owners: vec![None; usize::from(size.get())] }
    }

    /// The next version of this plan with other owners, one for each partition.
    ///
    /// # Panics
    /// When `owners` has not one entry a partition: a defect of the caller.
    #[must_use]
    pub fn next(&self, owners: Vec<NodeId>) -> Self {
        assert_eq!(owners.len(), self.owners.len(), "a plan covers every partition");
        Self { version: self.version + 1, owners: owners.into_iter().map(Some).collect() }
    }

    /// The plan's version; grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of partitions.
    pub fn ring_size(&self) -> RingSize {
        let count = u16::try_from(self.owners.len()).unwrap_or(0);
        RingSize::new(count).unwrap_or_else(|| unreachable!("plans are made with a ring size"))
    }

    /// Who owns `partition`.
    pub fn owner(&self, partition: Partition) -> Option<NodeId> {
        self.owners.get(usize::from(partition.0)).copied().flatten()
    }

    /// All owners in ring order.
    pub fn owners(&self) -> &[Option<NodeId>] {
        &self.owners
    }

    /// The partitions of `node`, in ring order.
    pub fn owned_by(&self, node: NodeId) -> impl Iterator<Item = Partition> + '_ {
        self.ring_size().partitions().filter(move |&p| self.owner(p) == Some(node))
    }

    /// The share of the ring that `node` owns, 0 to 1.
    pub fn share(&self, node: NodeId) -> f64 {
        self.owned_by(node).count() as f64 / self.owners.len() as f64
    }
}
