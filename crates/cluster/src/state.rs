//! The replicated state and its changes: a pure state machine.

use std::collections::{BTreeMap, BTreeSet};

use mapring_ring::{OwnershipPlan, RingSize, claim};
use mapring_types::props::PropChanges;
use mapring_types::{BucketId, BucketProps, Error, NodeId, Result};
use serde::{Deserialize, Serialize};

use crate::limits;

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
    /// Whether its vnodes lack writes that they once had: it has lost data, or took the place of a
    /// node whose data it does not have. Decided here, like the status.
    #[serde(default)]
    pub incomplete: bool,
    /// How often it was found to have lost data. Decided here.
    #[serde(default)]
    pub losses: u64,
    /// The number that its data directory was given at its last start. Decided here.
    #[serde(default)]
    pub start: u64,
    /// What it may fail together with, as the operator says (a rack, a hall): voters of the
    /// metadata are spread over zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

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
}

/// One decision about the metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The cluster comes into being.
    Found {
        /// Its identity, not 0.
        id: u64,
    },
    /// A node asks to be a member, or tells its present addresses.
    Join {
        /// The node.
        id: NodeId,
        /// Its name and addresses; the other fields are decided here.
        member: Member,
        /// The holder of the name so far, whose place the node takes: one that is gone for good.
        replaces: Option<NodeId>,
    },
    /// The first write is about to be taken.
    Seal,
    /// A node has lost data, or is to be filled again for another reason.
    Lost {
        /// The node.
        id: NodeId,
    },
    /// A node has begun a run with an older state of its data than it had acknowledged before, as it
    /// or another member found. Said by several, it counts once.
    WentBack {
        /// The node.
        id: NodeId,
        /// Its run: later ones are higher.
        run: u64,
    },
    /// A node has been filled again from the others.
    Filled {
        /// The node.
        id: NodeId,
        /// Its losses when the filling began: it may have lost something since.
        losses: u64,
    },
    /// A node has started on a data directory.
    Start {
        /// The node.
        id: NodeId,
        /// The numbers that the directory may have been given last: another one belongs to a copy
        /// of an earlier time.
        known: Vec<u64>,
        /// The number that it is given now.
        next: u64,
    },
    /// The chain of hashes over the metadata begins anew, on all nodes at the same entry and over
    /// what they have then.
    BeginChain,
    /// A member without partitions has gone for good.
    Forget {
        /// The node.
        id: NodeId,
    },
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

    /// How many replicas every object of a bucket has at least, however old it is: raising `n_val`
    /// does not copy what is there. `None` when the bucket type does not exist.
    pub fn least_n_val(&self, bucket: &BucketId) -> Option<u32> {
        let own = self.least_n_vals.get(bucket).copied();
        let name = std::str::from_utf8(&bucket.bucket_type).ok();
        let of_type = name.and_then(|name| self.least_type_n_vals.get(name)).copied();
        [own, of_type]
            .into_iter()
            .flatten()
            .chain(self.n_val(bucket))
            .min()
            .filter(|_| self.n_val(bucket).is_some())
    }

    fn n_val(&self, bucket: &BucketId) -> Option<u32> {
        self.props(bucket).map(|props| props.n_val)
    }

    /// Keeps the lowest `n_val` of a bucket, once a change has made it another than `before`.
    fn remember_n_val(&mut self, bucket: &BucketId, before: Option<u32>) {
        let (Some(before), Some(after)) = (before, self.n_val(bucket)) else { return };
        if before != after {
            let least = self.least_n_vals.entry(bucket.clone()).or_insert(before);
            *least = after.min(before).min(*least);
        }
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
            Change::Found { id } => {
                if self.id == 0 {
                    self.id = *id;
                }
                Ok(())
            }
            Change::Join { id, member, replaces } => self.join(*id, member, *replaces),
            Change::Seal => {
                self.sealed = true;
                Ok(())
            }
            Change::BeginChain => Ok(()),
            Change::Lost { id } => self.lose(*id),
            Change::WentBack { id, run } => {
                if self.went_back.get(id).is_some_and(|known| known >= run) {
                    return Ok(());
                }
                // Who acknowledged something had data, whatever this metadata has forgotten.
                self.member_mut(*id)?;
                self.sealed = true;
                self.lose(*id)?;
                self.went_back.insert(*id, *run);
                Ok(())
            }
            Change::Filled { id, losses } => {
                let member = self.member_mut(*id)?;
                if member.losses != *losses {
                    return Err(Error::invalid(format!("node {id} has lost data since")));
                }
                member.incomplete = false;
                Ok(())
            }
            Change::Start { id, known, next } => {
                let member = self.member_mut(*id)?;
                if member.start != *next && !known.contains(&member.start) {
                    return Err(Error::invalid(format!(
                        "node {id} was started on a later state of its data directory before"
                    )));
                }
                member.start = *next;
                Ok(())
            }
            Change::Forget { id } => {
                self.check_forget(*id)?;
                self.members.remove(id);
                self.went_back.remove(id);
                Ok(())
            }
            Change::SetBucket { bucket, changes } => {
                let new = !self.buckets.contains_key(bucket);
                room(new, self.buckets.len(), limits::BUCKETS, "buckets with own properties")?;
                let before = self.n_val(bucket);
                let known = self.buckets.entry(bucket.clone()).or_default();
                known.0.extend(changes.0.clone());
                self.remember_n_val(bucket, before);
                Ok(())
            }
            Change::ResetBucket { bucket } => {
                let before = self.n_val(bucket);
                self.buckets.remove(bucket);
                self.remember_n_val(bucket, before);
                Ok(())
            }
            Change::SetBucketType { name, changes } => {
                let new = !self.bucket_types.contains_key(name);
                room(new, self.bucket_types.len(), limits::BUCKET_TYPES, "bucket types")?;
                let n_val = |changes: &PropChanges| BucketProps::typed().with(changes).n_val;
                let before = self.bucket_types.get(name).map(n_val);
                let known = self.bucket_types.entry(name.clone()).or_default();
                known.0.extend(changes.0.clone());
                let after = n_val(known);
                if let Some(before) = before.filter(|before| *before != after) {
                    let least = self.least_type_n_vals.entry(name.clone()).or_insert(before);
                    *least = after.min(*least);
                }
                Ok(())
            }
        }
    }

    fn join(&mut self, id: NodeId, member: &Member, replaces: Option<NodeId>) -> Result<()> {
        match self.holder(&member.name).filter(|holder| *holder != id) {
            Some(holder) if replaces == Some(holder) && !self.members.contains_key(&id) => {
                self.replace(holder, id, member);
                return Ok(());
            }
            Some(holder) => {
                let name = &member.name;
                let message = format!("the name {name} belongs to node {holder} already");
                return Err(Error::invalid(message));
            }
            None => {}
        }
        if let Some(known) = self.members.get_mut(&id) {
            let Member { status, incomplete, losses, start, .. } = *known;
            *known = Member { status, incomplete, losses, start, ..member.clone() };
            return Ok(());
        }
        room(true, self.members.len(), limits::MEMBERS, "members")?;
        let status = if self.sealed { MemberStatus::Joining } else { MemberStatus::Valid };
        let own = Member { status, incomplete: false, losses: 0, start: 0, ..member.clone() };
        self.members.insert(id, own);
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

    /// A member lacks some of its data. Before there is data nothing is lost.
    fn lose(&mut self, id: NodeId) -> Result<()> {
        let sealed = self.sealed;
        let member = self.member_mut(id)?;
        member.losses += 1;
        member.incomplete = sealed && member.status == MemberStatus::Valid;
        Ok(())
    }

    fn member_mut(&mut self, id: NodeId) -> Result<&mut Member> {
        let unknown = || Error::invalid(format!("node {id} is no member"));
        self.members.get_mut(&id).ok_or_else(unknown)
    }

    /// Whether a member may be removed: only one that owns nothing may, since replicas would be gone
    /// with another.
    ///
    /// # Errors
    /// `Invalid`, with the reason.
    pub fn check_forget(&self, id: NodeId) -> Result<()> {
        let Some(member) = self.members.get(&id) else {
            return Err(Error::invalid(format!("node {id} is no member")));
        };
        let owned = self.plan.owned_by(id).count();
        if owned > 0 {
            return Err(Error::invalid(format!(
                "{} owns {owned} partitions: start a node of the name {} with an empty data \
                 directory, which takes its place",
                self.named(id),
                member.name
            )));
        }
        Ok(())
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

    /// Gives the place and the partitions of `old` to `id`.
    fn replace(&mut self, old: NodeId, id: NodeId, member: &Member) {
        let Some(former) = self.members.remove(&old) else { return };
        self.went_back.remove(&old);
        let incomplete = self.sealed && former.status == MemberStatus::Valid;
        let (status, losses) = (former.status, u64::from(incomplete));
        self.members.insert(id, Member { status, incomplete, losses, start: 0, ..member.clone() });
        let owned = self.plan.owners().contains(&Some(old));
        let owners = self.plan.owners().iter().map(|owner| match owner {
            Some(owner) if *owner == old => Some(id),
            other => *other,
        });
        if let (true, Some(owners)) = (owned, owners.collect()) {
            self.plan = self.plan.next(owners);
        }
    }
}

/// Refuses a new entry where there are enough.
fn room(new: bool, count: usize, most: usize, what: &str) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, address: &str) -> Member {
        Member {
            name: name.to_owned(),
            cluster_address: address.to_owned(),
            http_address: format!("{address}0"),
            status: MemberStatus::Valid,
            incomplete: false,
            losses: 0,
            start: 0,
            zone: None,
        }
    }

    fn join(id: u64, name: &str, replaces: Option<u64>) -> Change {
        let member = member(name, &format!("host{id}:1"));
        Change::Join { id: NodeId(id), member, replaces: replaces.map(NodeId) }
    }

    fn cluster(changes: impl IntoIterator<Item = Change>) -> ClusterState {
        let mut state = ClusterState::new("c", RingSize::new(64).unwrap());
        for change in changes {
            assert_eq!(state.apply(&change), Outcome::Applied, "{change:?}");
        }
        state
    }

    fn three() -> ClusterState {
        cluster((1..=3).map(|id| join(id, &format!("n{id}"), None)))
    }

    fn owned(state: &ClusterState, id: u64) -> usize {
        state.plan.owned_by(NodeId(id)).count()
    }

    #[track_caller]
    fn check_refused(state: &mut ClusterState, change: &Change) {
        let before = state.clone();
        let outcome = state.apply(change);
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        assert_eq!(*state, before);
    }

    #[test]
    fn nodes_that_join_before_data_share_the_ring() {
        let state = three();
        for id in 1..=3 {
            assert!((21..=22).contains(&owned(&state, id)), "{}", owned(&state, id));
        }
    }

    #[test]
    fn a_node_that_joins_after_data_owns_nothing() {
        let mut state = three();
        let plan = state.plan.clone();
        state.apply(&Change::Seal);
        assert_eq!(state.apply(&join(4, "n4", None)), Outcome::Applied);
        assert_eq!(state.members[&NodeId(4)].status, MemberStatus::Joining);
        assert_eq!(state.plan, plan);
    }

    #[test]
    fn a_second_join_updates_addresses_only() {
        let mut state = three();
        state.apply(&Change::Seal);
        let plan = state.plan.clone();
        let moved = Member { incomplete: true, ..member("n2", "elsewhere:9") };
        let change = Change::Join { id: NodeId(2), member: moved, replaces: None };
        assert_eq!(state.apply(&change), Outcome::Applied);
        assert_eq!(state.members[&NodeId(2)], member("n2", "elsewhere:9"));
        assert_eq!(state.plan, plan);
    }

    #[test]
    fn a_name_is_given_once() {
        let mut state = three();
        check_refused(&mut state, &join(4, "n2", None));
        check_refused(&mut state, &join(4, "n2", Some(3)));
        check_refused(&mut state, &join(3, "n2", None));
        check_refused(&mut state, &join(3, "n2", Some(2)));
    }

    #[test]
    fn a_replacement_takes_place_and_partitions() {
        for sealed in [false, true] {
            let mut state = three();
            if sealed {
                state.apply(&Change::Seal);
            }
            let (before, version) = (owned(&state, 2), state.plan.version());
            assert_eq!(state.apply(&join(9, "n2", Some(2))), Outcome::Applied);
            assert_eq!((owned(&state, 2), owned(&state, 9)), (0, before));
            assert_eq!(state.plan.version(), version + 1);
            assert!(!state.members.contains_key(&NodeId(2)));
            let new = &state.members[&NodeId(9)];
            assert_eq!((new.status, new.incomplete), (MemberStatus::Valid, sealed));
            // Told again, it changes nothing.
            let after = state.clone();
            assert_eq!(state.apply(&join(9, "n2", Some(2))), Outcome::Applied);
            assert_eq!(state, after);
        }
    }

    #[test]
    fn a_replaced_joining_node_leaves_no_trace() {
        let mut state = three();
        state.apply(&Change::Seal);
        state.apply(&join(4, "n4", None));
        let plan = state.plan.clone();
        state.apply(&join(5, "n4", Some(4)));
        let new = &state.members[&NodeId(5)];
        assert_eq!((new.status, new.incomplete), (MemberStatus::Joining, false));
        assert_eq!(state.plan, plan);
    }

    #[test]
    fn a_node_that_lost_data_is_incomplete_until_that_loss_is_filled() {
        let lost = Change::Lost { id: NodeId(2) };
        let filled = |losses| Change::Filled { id: NodeId(2), losses };
        let mut state = three();
        state.apply(&lost);
        assert!(!state.members[&NodeId(2)].incomplete, "before there is data nothing is lost");
        state.apply(&Change::Seal);
        state.apply(&lost);
        assert!(state.members[&NodeId(2)].incomplete);
        state.apply(&lost);
        check_refused(&mut state, &filled(2));
        assert_eq!(state.apply(&filled(3)), Outcome::Applied);
        assert!(!state.members[&NodeId(2)].incomplete);
        state.apply(&join(4, "n4", None));
        state.apply(&Change::Lost { id: NodeId(4) });
        assert!(!state.members[&NodeId(4)].incomplete, "who owns nothing lacks nothing");
        check_refused(&mut state, &Change::Lost { id: NodeId(9) });
        // Joining again, as at every start, changes nothing of it.
        state.apply(&lost);
        state.apply(&join(2, "n2", None));
        assert!(state.members[&NodeId(2)].incomplete && state.members[&NodeId(2)].losses == 4);
    }

    #[test]
    fn a_run_with_older_data_is_a_loss_whoever_says_so_first() {
        let went_back = |run| Change::WentBack { id: NodeId(2), run };
        let mut state = three();
        state.apply(&Change::Seal);
        for (run, losses) in [(7, 1), (7, 1), (6, 1), (9, 2)] {
            assert_eq!(state.apply(&went_back(run)), Outcome::Applied);
            let member = &state.members[&NodeId(2)];
            assert_eq!((member.incomplete, member.losses), (true, losses), "run {run}");
        }
        state.apply(&Change::Filled { id: NodeId(2), losses: 2 });
        state.apply(&went_back(9));
        assert!(!state.members[&NodeId(2)].incomplete);
        check_refused(&mut state, &Change::WentBack { id: NodeId(9), run: 1 });
        state.apply(&join(9, "n2", Some(2)));
        assert!(state.went_back.is_empty());
    }

    #[test]
    fn a_copy_of_a_data_directory_is_known_by_its_number() {
        let start =
            |known: &[u64], next| Change::Start { id: NodeId(1), known: known.to_vec(), next };
        let mut state = three();
        assert_eq!(state.apply(&start(&[0], 7)), Outcome::Applied);
        // The answer may not have arrived.
        assert_eq!(state.apply(&start(&[0], 7)), Outcome::Applied);
        assert_eq!(state.apply(&start(&[0, 7], 8)), Outcome::Applied);
        check_refused(&mut state, &start(&[0, 7], 9));
        check_refused(&mut state, &start(&[0], 9));
        assert_eq!(state.members[&NodeId(1)].start, 8);
    }

    #[test]
    fn the_metadata_stays_small() {
        let mut state = three();
        let set = |number: usize| Change::SetBucket {
            bucket: BucketId::untyped(number.to_string()),
            changes: PropChanges::default(),
        };
        for number in 0..limits::BUCKETS {
            assert_eq!(state.apply(&set(number)), Outcome::Applied);
        }
        check_refused(&mut state, &set(limits::BUCKETS));
        assert_eq!(state.apply(&set(7)), Outcome::Applied);
    }

    #[test]
    fn the_first_identity_stays() {
        let mut state = three();
        state.apply(&Change::Found { id: 5 });
        state.apply(&Change::Found { id: 6 });
        assert_eq!(state.id, 5);
    }

    #[test]
    fn only_a_member_without_partitions_can_be_forgotten() {
        let mut state = three();
        state.apply(&Change::Seal);
        state.apply(&join(4, "n4", None));
        let plan = state.plan.clone();
        for id in [3, 9] {
            check_refused(&mut state, &Change::Forget { id: NodeId(id) });
        }
        assert_eq!(state.apply(&Change::Forget { id: NodeId(4) }), Outcome::Applied);
        assert!(!state.members.contains_key(&NodeId(4)));
        assert_eq!(state.plan, plan);
        // Its name is free again.
        assert_eq!(state.apply(&join(5, "n4", None)), Outcome::Applied);
    }

    #[test]
    fn a_member_written_before_there_were_zones_is_read_and_written_the_same() {
        let text = r#"{"name":"n1","cluster_address":"a:1","http_address":"a:2","status":"valid",
            "incomplete":false,"losses":1,"start":7}"#;
        let old: Member = serde_json::from_str(text).unwrap();
        assert_eq!((old.zone.as_deref(), old.start), (None, 7));
        let again = serde_json::to_string(&old).unwrap();
        assert_eq!(again, text.split_whitespace().collect::<String>());
        let mut state = three();
        let moved = Member { zone: Some("hall 1".into()), ..member("n2", "host2:1") };
        state.apply(&Change::Join { id: NodeId(2), member: moved, replaces: None });
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<ClusterState>(&text).unwrap(), state);
    }

    #[test]
    fn json_round_trip() {
        let mut state = three();
        let bucket = BucketId::untyped(&b"\xff\x00bucket"[..]);
        let changes = PropChanges(serde_json::Map::from_iter([("n_val".to_owned(), 2.into())]));
        state.apply(&Change::SetBucket { bucket, changes });
        state.apply(&join(u64::MAX, "last", None));
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<ClusterState>(&text).unwrap(), state);
    }

    #[test]
    fn a_raised_n_val_is_not_believed_of_older_objects() {
        let mut state = ClusterState::new("c", RingSize::new(64).unwrap());
        let bucket = BucketId::untyped("b");
        let set = |n_val: u32| {
            let props = serde_json::json!({ "n_val": n_val });
            let changes = PropChanges(props.as_object().cloned().unwrap());
            Change::SetBucket { bucket: bucket.clone(), changes }
        };
        assert_eq!(state.least_n_val(&bucket), Some(3));
        for (n_val, least) in [(5, 3), (2, 2), (3, 2), (1, 1), (4, 1)] {
            state.apply(&set(n_val));
            assert_eq!(state.least_n_val(&bucket), Some(least), "{n_val}");
        }
        assert_eq!(state.least_n_val(&BucketId::typed("no", "b")), None);
    }
}
