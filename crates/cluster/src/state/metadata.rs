//! The metadata of a cluster, and what is read of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mapring_ring::{OwnershipPlan, RingSize};
use mapring_types::props::PropChanges;
use mapring_types::{BucketId, Error, NodeId, Result};
use serde::{Deserialize, Serialize};

use super::job::{EndedJob, JobRecord};
use super::member::Member;

/// The metadata of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    /// The cluster's identity, a random number; 0 before it is founded. Tells two clusters of one
    /// name apart.
    #[serde(default)]
    pub id: u64,
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
    /// The lowest `n_val` of each bucket whose `n_val` was ever changed.
    #[serde(with = "bucket_list", default)]
    pub least_n_vals: BTreeMap<BucketId, u32>,
    /// The lowest `n_val` of each bucket type whose `n_val` was ever changed.
    #[serde(default)]
    pub least_type_n_vals: BTreeMap<String, u32>,
    /// The last run of each member that was found to have begun with an older state of its data.
    #[serde(default)]
    pub went_back: BTreeMap<NodeId, u64>,
    /// The jobs and pipelines that are unfinished, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, JobRecord>,
    /// How often jobs were taken over: who knows of fewer does not know yet whose they are.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub job_takes: u64,
    /// How often a member has begun to go by what owners of jobs say after it had given one up, or after its
    /// start: what it said before of having heard nothing counts no more.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub job_trusts: u64,
    /// The jobs that were finished last, in that order.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub ended_jobs: VecDeque<EndedJob>,
    /// The planned time of the last run of each schedule that was started or skipped, in milliseconds
    /// since 1970.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schedule_runs: BTreeMap<String, u64>,
}

impl ClusterState {
    /// The state of a cluster before its first member.
    pub fn new(name: impl Into<String>, ring_size: RingSize) -> Self {
        Self {
            id: 0,
            name: name.into(),
            members: BTreeMap::new(),
            plan: OwnershipPlan::empty(ring_size),
            sealed: false,
            bucket_types: BTreeMap::new(),
            buckets: BTreeMap::new(),
            least_n_vals: BTreeMap::new(),
            least_type_n_vals: BTreeMap::new(),
            went_back: BTreeMap::new(),
            jobs: BTreeMap::new(),
            job_takes: 0,
            job_trusts: 0,
            ended_jobs: VecDeque::new(),
            schedule_runs: BTreeMap::new(),
        }
    }

    /// A member as logs and messages call it: its name, and its identity behind it.
    pub fn named(&self, id: NodeId) -> String {
        match self.members.get(&id) {
            Some(member) => format!("{} ({id})", member.name),
            None => id.to_string(),
        }
    }

    /// The members that own partitions.
    pub fn owners(&self) -> BTreeSet<NodeId> {
        let owners = self.plan.owners().iter().flatten().copied();
        owners.filter(|owner| self.members.contains_key(owner)).collect()
    }

    /// The member called `name`.
    pub fn holder(&self, name: &str) -> Option<NodeId> {
        self.members.iter().find(|(_, member)| member.name == name).map(|(id, _)| *id)
    }
}

/// What former releases do not know is not written before there is any of it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none_yet(count: &u64) -> bool {
    *count == 0
}

/// Refuses a new entry where there are enough.
pub(super) fn room(new: bool, count: usize, most: usize, what: &str) -> Result<()> {
    if new && count >= most {
        return Err(Error::invalid(format!("there are {most} {what} already")));
    }
    Ok(())
}

/// JSON has only text as keys, and bucket names are bytes: a list of pairs instead.
mod bucket_list {
    use std::collections::BTreeMap;

    use mapring_types::BucketId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<BucketId, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<BucketId, V>, D::Error> {
        Ok(Vec::<(BucketId, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
