//! The replicated state and its changes: a pure state machine.

use std::collections::BTreeMap;

use mapring_ring::{OwnershipPlan, RingSize, claim};
use mapring_types::props::PropChanges;
use mapring_types::{BucketId, BucketProps, Error, NodeId, Result};
use serde::{Deserialize, Serialize};

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberStatus {
    /// Takes part and owns partitions.
    Valid,
    /// Has joined after data arrived; owns nothing until a planned change is committed.
    Joining,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The name given by the operator; unique.
    pub name: String,
    /// `host:port` of the cluster listener as other nodes reach it.
    pub cluster_address: String,
    /// `host:port` of the public HTTP listener.
    pub http_address: String,
    /// Where the member stands.
    pub status: MemberStatus,
}

/// The metadata of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    /// The cluster's name.
    pub name: String,
    /// All members.
    pub members: BTreeMap<NodeId, Member>,
    /// Who owns what.
    pub plan: OwnershipPlan,
    /// Whether data may have arrived: from then on, joining nodes own nothing by themselves.
    pub sealed: bool,
    /// Created bucket types with their properties.
    pub bucket_types: BTreeMap<String, PropChanges>,
    /// Properties set on buckets.
    #[serde(with = "bucket_list")]
    pub buckets: BTreeMap<BucketId, PropChanges>,
}

/// One decision about the metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A node asks to be a member, or tells its present addresses.
    Join {
        /// The node.
        id: NodeId,
        /// Its name and addresses; the status is decided here.
        member: Member,
    },
    /// The first write is about to be taken.
    Seal,
    /// Properties of a bucket are changed.
    SetBucket {
        /// The bucket.
        bucket: BucketId,
        /// The checked changes.
        changes: PropChanges,
    },
    /// A bucket's own properties are dropped.
    ResetBucket {
        /// The bucket.
        bucket: BucketId,
    },
    /// A bucket type is created, or its properties changed.
    SetBucketType {
        /// The type.
        name: String,
        /// The checked changes.
        changes: PropChanges,
    },
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done, or was so already.
    Applied,
    /// It is refused, with the reason; nothing has changed.
    Refused(String),
}

impl ClusterState {
    /// The state of a cluster before its first member.
    pub fn new(name: impl Into<String>, ring_size: RingSize) -> Self {
        Self {
            name: name.into(),
            members: BTreeMap::new(),
            plan: OwnershipPlan::empty(ring_size),
            sealed: false,
            bucket_types: BTreeMap::new(),
            buckets: BTreeMap::new(),
        }
    }

    /// The properties of a bucket, `None` when its type does not exist.
    pub fn props(&self, bucket: &BucketId) -> Option<BucketProps> {
        let base = if bucket.is_untyped() {
            BucketProps::default()
        } else {
            let name = std::str::from_utf8(&bucket.bucket_type).ok()?;
            BucketProps::typed().with(self.bucket_types.get(name)?)
        };
        Some(match self.buckets.get(bucket) {
            Some(changes) => base.with(changes),
            None => base,
        })
    }

    /// Applies a change. Deterministic: every node gets the same state and outcome.
    pub fn apply(&mut self, change: &Change) -> Outcome {
        match self.try_apply(change) {
            Ok(()) => Outcome::Applied,
            Err(refusal) => Outcome::Refused(refusal.to_string()),
        }
    }

    fn try_apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Join { id, member } => self.join(*id, member),
            Change::Seal => {
                self.sealed = true;
                Ok(())
            }
            Change::SetBucket { bucket, changes } => {
                let known = self.buckets.entry(bucket.clone()).or_default();
                known.0.extend(changes.0.clone());
                Ok(())
            }
            Change::ResetBucket { bucket } => {
                self.buckets.remove(bucket);
                Ok(())
            }
            Change::SetBucketType { name, changes } => {
                let known = self.bucket_types.entry(name.clone()).or_default();
                known.0.extend(changes.0.clone());
                Ok(())
            }
        }
    }

    fn join(&mut self, id: NodeId, member: &Member) -> Result<()> {
        let namesake = self.members.iter().find(|(_, known)| known.name == member.name);
        if let Some((other, _)) = namesake.filter(|(other, _)| **other != id) {
            return Err(Error::invalid(format!(
                "the name {} belongs to node {other} already",
                member.name
            )));
        }
        if let Some(known) = self.members.get_mut(&id) {
            let status = known.status;
            *known = Member { status, ..member.clone() };
            return Ok(());
        }
        let status = if self.sealed { MemberStatus::Joining } else { MemberStatus::Valid };
        self.members.insert(id, Member { status, ..member.clone() });
        if status == MemberStatus::Valid {
            let valid: Vec<NodeId> = self
                .members
                .iter()
                .filter(|(_, member)| member.status == MemberStatus::Valid)
                .map(|(id, _)| *id)
                .collect();
            self.plan = claim::claim(&self.plan, &valid);
        }
        Ok(())
    }
}

/// JSON has only text as keys, and bucket names are bytes: a list of pairs instead.
mod bucket_list {
    use std::collections::BTreeMap;

    use mapring_types::BucketId;
    use mapring_types::props::PropChanges;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<BucketId, PropChanges>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<BucketId, PropChanges>, D::Error> {
        Ok(Vec::<(BucketId, PropChanges)>::deserialize(deserializer)?.into_iter().collect())
    }
}
