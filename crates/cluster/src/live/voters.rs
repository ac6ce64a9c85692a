//! The leader's duty: the metadata group has the members as its nodes, and an odd number of those
//! that own partitions as its voters, spread over the zones.
//!
//! Who owns nothing has no vote: such a node has just joined, often to try something, and would be
//! missed in every majority when it goes. Two owners have one voter between them, because a
//! majority of two is both: so one of them may go, where of two voters neither may. A voter that is
//! fine keeps its vote, unless another would spread the voters over more zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mapring_types::NodeId;
use openraft::{ChangeMembers, LogIdOptionExt, Membership};
use tokio::time::Instant;

use super::cluster::{LiveCluster, raft_node};
use crate::raft::{Metrics, RaftNode};
use crate::{ClusterState, limits};

/// One change of the metadata group.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A change of the voters was left half done; go on to these.
    Finish(BTreeSet<u64>),
    /// A member is no node of the group yet.
    Add(u64, RaftNode),
    /// These are to be the voters.
    Vote(BTreeSet<u64>),
    /// These learners have left the cluster.
    Forget(BTreeSet<u64>),
}

/// What the leader knows of a node of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    /// It is up and has the newest metadata.
    Ready,
    /// It is up.
    Lags,
    /// It is down, but has not been for long.
    Down,
    /// It has been down for so long that another may take its vote.
    Lost,
}

/// Since when nodes of the group are down, as seen here.
#[derive(Default)]
struct Absences(BTreeMap<u64, Instant>);

/// Reshapes the group whenever this node leads it and it is not as it should be.
pub(super) async fn keep(cluster: Arc<LiveCluster>) {
    let mut changes = cluster.hub.changes();
    let mut metrics = cluster.raft.metrics();
    let mut absences = Absences::default();
    loop {
        let now = metrics.borrow_and_update().clone();
        let view = changes.borrow_and_update().clone();
        let group = now.membership_config.membership();
        absences.look(group.nodes().map(|(id, _)| *id), |id| view.is_up(NodeId(id)));
        match cluster.next_step(&now, &absences) {
            Some(step) => cluster.reshape(step).await,
            None => {
                let lost = absences.next(cluster.tuning.voter_down);
                let changed = tokio::select! {
                    biased;
                    changed = changes.changed() => changed.is_ok(),
                    changed = metrics.changed() => changed.is_ok(),
                    () = until(lost) => true,
                };
                if !changed {
                    return;
                }
            }
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Absences {
    fn look(&mut self, nodes: impl Iterator<Item = u64>, up: impl Fn(u64) -> bool) {
        let now = Instant::now();
        let down: BTreeSet<u64> = nodes.filter(|id| !up(*id)).collect();
        self.0.retain(|id, _| down.contains(id));
        for id in down {
            self.0.entry(id).or_insert(now);
        }
    }

    fn health(&self, id: u64, lost_after: Duration) -> Option<Health> {
        let since = self.0.get(&id)?;
        Some(if since.elapsed() < lost_after { Health::Down } else { Health::Lost })
    }

    /// When the next node will have been down for so long.
    fn next(&self, lost_after: Duration) -> Option<Instant> {
        let now = Instant::now();
        self.0.values().map(|since| *since + lost_after).filter(|at| *at > now).min()
    }
}

impl LiveCluster {
    fn next_step(&self, metrics: &Metrics, absences: &Absences) -> Option<Step> {
        if !metrics.state.is_leader() {
            return None;
        }
        let view = self.hub.view();
        let last = metrics.last_log_index.unwrap_or(0);
        let health = |id: u64| {
            if let Some(down) = absences.health(id, self.tuning.voter_down) {
                return down;
            }
            let replicated = metrics.replication.as_ref().and_then(|nodes| nodes.get(&id));
            let matched = replicated.and_then(|matched| matched.index());
            let lags = matched.is_none_or(|index| last.saturating_sub(index) > limits::VOTER_LAG);
            match view.is_up(NodeId(id)) {
                false => Health::Down,
                true if lags && id != view.me.0 => Health::Lags,
                true => Health::Ready,
            }
        };
        next_step(view.me, metrics.membership_config.membership(), &view.state, health)
    }

    async fn reshape(&self, step: Step) {
        let metrics = self.metrics();
        let text = describe(&step, metrics.membership_config.membership());
        tracing::debug!(%text, "reshaping the metadata group");
        let changing = async {
            match step {
                Step::Add(id, node) => self.raft.add_learner(id, node, false).await,
                Step::Finish(voters) | Step::Vote(voters) => {
                    self.raft.change_membership(voters, true).await
                }
                Step::Forget(ids) => {
                    self.raft.change_membership(ChangeMembers::RemoveNodes(ids), false).await
                }
            }
        };
        match tokio::time::timeout(limits::RESHAPE, changing).await {
            Ok(Ok(_)) => tracing::info!("the metadata group is reshaped: {text}"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot reshape the metadata group yet: {text}");
                tokio::time::sleep(limits::RESHAPE_PAUSE).await;
            }
            Err(_) => tracing::warn!("the metadata group is not reshaped in time: {text}"),
        }
    }
}

/// A step in words, with the names that the group knows.
fn describe(step: &Step, group: &Membership<u64, RaftNode>) -> String {
    let named = |id: &u64| match group.get_node(id) {
        Some(node) => format!("{} ({})", node.name, NodeId(*id)),
        None => NodeId(*id).to_string(),
    };
    let all = |ids: &BTreeSet<u64>| ids.iter().map(named).collect::<Vec<_>>().join(", ");
    match step {
        Step::Add(id, node) => format!("{} ({}) learns", node.name, NodeId(*id)),
        Step::Finish(ids) | Step::Vote(ids) => format!("{} vote", all(ids)),
        Step::Forget(ids) => format!("{} no longer learn", all(ids)),
    }
}

/// What is to be changed first; `None` when all is as it should be, or nothing can be done.
fn next_step(
    me: NodeId,
    group: &Membership<u64, RaftNode>,
    state: &ClusterState,
    health: impl Fn(u64) -> Health,
) -> Option<Step> {
    // A leader that is founding the cluster is not its member yet.
    state.members.get(&me)?;
    if let [_, target] = group.get_joint_config().as_slice() {
        return Some(Step::Finish(target.clone()));
    }
    let missing = state.members.iter().find(|(id, _)| group.get_node(&id.0).is_none());
    if let Some((id, member)) = missing {
        return Some(Step::Add(id.0, raft_node(&member.name, &member.cluster_address)));
    }
    let voters: BTreeSet<u64> = group.voter_ids().collect();
    let target = Choice::new(me, state, &voters, &health).voters();
    let is_up = |id: &&u64| health(**id) <= Health::Lags;
    let has_majority = |ids: &BTreeSet<u64>| ids.iter().filter(is_up).count() * 2 > ids.len();
    // Decided by majorities of both; begun without them it would stop everything else.
    if target != voters && has_majority(&voters) && has_majority(&target) {
        return Some(Step::Vote(target));
    }
    let gone = |id: &u64| !state.members.contains_key(&NodeId(*id));
    let left: BTreeSet<u64> = group.learner_ids().filter(gone).collect();
    (!left.is_empty()).then_some(Step::Forget(left))
}

/// How many of so many nodes vote.
pub(super) fn votes(nodes: usize) -> usize {
    let most = nodes.min(limits::VOTERS);
    if most.is_multiple_of(2) { most.saturating_sub(1) } else { most }
}

/// The choice of the voters.
struct Choice<'a> {
    me: u64,
    /// The members that may vote, with their zones. Those that say none are one zone together.
    owners: BTreeMap<u64, &'a str>,
    voters: &'a BTreeSet<u64>,
    health: &'a dyn Fn(u64) -> Health,
    chosen: BTreeSet<u64>,
}

impl<'a> Choice<'a> {
    fn new(
        me: NodeId,
        state: &'a ClusterState,
        voters: &'a BTreeSet<u64>,
        health: &'a dyn Fn(u64) -> Health,
    ) -> Self {
        let zone = |id: &NodeId| state.members.get(id)?.zone.as_deref();
        let owners = state.owners();
        let owners = owners.iter().map(|id| (id.0, zone(id).unwrap_or_default())).collect();
        Self { me: me.0, owners, voters, health, chosen: BTreeSet::new() }
    }

    fn voters(mut self) -> BTreeSet<u64> {
        let keeps = |id: &u64| self.owners.contains_key(id) && (self.health)(*id) != Health::Lost;
        self.chosen = self.voters.iter().copied().filter(keeps).collect();
        let ready = |id: &u64| !self.voters.contains(id) && (self.health)(*id) == Health::Ready;
        let mut candidates: BTreeSet<u64> = self.owners.keys().copied().filter(ready).collect();
        // Better a vote that nobody can give just now than an even number, or a majority of fewer.
        let mut keepers: Vec<u64> = self.voters.difference(&self.chosen).copied().collect();
        keepers.sort_by_key(|id| ((self.health)(*id), !self.owners.contains_key(id), *id));
        let known = self.chosen.len() + candidates.len() + keepers.len();
        let wanted = votes(self.owners.len().min(known));
        if wanted == 0 {
            return self.voters.clone();
        }
        while self.chosen.len() > wanted {
            let Some(worst) = self.worst() else { break };
            self.chosen.remove(&worst);
        }
        while self.chosen.len() < wanted {
            let Some(best) = self.best(&candidates) else { break };
            candidates.remove(&best);
            self.chosen.insert(best);
        }
        let missing = wanted.saturating_sub(self.chosen.len());
        self.chosen.extend(keepers.into_iter().take(missing));
        self.spread(&mut candidates);
        self.chosen
    }

    /// Gives votes of crowded zones to candidates of others, as long as that evens them out.
    fn spread(&mut self, candidates: &mut BTreeSet<u64>) {
        while let (Some(crowded), Some(best)) = (self.crowded(), self.best(candidates)) {
            if self.crowd(crowded) < self.crowd(best) + 2 {
                return;
            }
            candidates.remove(&best);
            self.chosen.remove(&crowded);
            self.chosen.insert(best);
        }
    }

    /// The candidate from the zone with the fewest chosen.
    fn best(&self, candidates: &BTreeSet<u64>) -> Option<u64> {
        candidates.iter().copied().min_by_key(|id| (self.crowd(*id), *id))
    }

    /// Whom of those chosen to do without first: one that is down, then one of a crowded zone, and
    /// this node last, because it leads.
    fn worst(&self) -> Option<u64> {
        let chosen = self.chosen.iter().copied();
        chosen.max_by_key(|id| (*id != self.me, self.is_down(*id), self.crowd(*id), *id))
    }

    /// Who is to make room for a member of another zone; it need not be this node, as a crowded
    /// zone has others.
    fn crowded(&self) -> Option<u64> {
        let chosen = self.chosen.iter().copied();
        chosen.max_by_key(|id| (self.crowd(*id), *id != self.me, self.is_down(*id), *id))
    }

    fn is_down(&self, id: u64) -> bool {
        (self.health)(id) >= Health::Down
    }

    /// How many are chosen of a node's zone.
    fn crowd(&self, id: u64) -> usize {
        let zone = self.owners.get(&id);
        self.chosen.iter().filter(|other| zone.is_some() && self.owners.get(other) == zone).count()
    }
}

#[cfg(test)]
mod tests {
    use mapring_ring::RingSize;

    use super::*;
    use crate::{Change, Member, MemberStatus, Outcome};

    fn node(id: u64) -> RaftNode {
        raft_node(&format!("n{id}"), &format!("host{id}:1"))
    }

    /// A cluster of nodes written as `1a`: the id and the zone. The first share the ring, the
    /// others came too late.
    fn cluster(owners: &str, late: &str) -> ClusterState {
        let mut state = ClusterState::new("c", RingSize::new(64).unwrap());
        let mut join = |word: &str| {
            let (id, zone) = word.split_at(word.len() - word.matches(char::is_alphabetic).count());
            let id: u64 = id.parse().unwrap();
            let member = Member {
                name: format!("n{id}"),
                cluster_address: format!("host{id}:1"),
                http_address: String::new(),
                status: MemberStatus::Valid,
                incomplete: false,
                losses: 0,
                start: 0,
                zone: (!zone.is_empty()).then(|| zone.to_owned()),
                releases: None,
            };
            Change::Join { id: NodeId(id), member, replaces: None }
        };
        let owners: Vec<Change> = owners.split_whitespace().map(&mut join).collect();
        let late: Vec<Change> = late.split_whitespace().map(join).collect();
        for change in owners.into_iter().chain([Change::Seal]).chain(late) {
            assert_eq!(state.apply(&change), Outcome::Applied);
        }
        state
    }

    /// What node 1 does as the leader. Nodes are ready but those of `ill`, written as `2-` for down,
    /// `2x` for lost and `2~` for behind.
    #[track_caller]
    fn check_group(
        state: &ClusterState,
        configs: &[&[u64]],
        nodes: &[u64],
        ill: &str,
        expected: Option<Step>,
    ) -> Option<BTreeSet<u64>> {
        let configs = configs.iter().map(|ids| ids.iter().copied().collect()).collect();
        let nodes: BTreeMap<u64, RaftNode> = nodes.iter().map(|id| (*id, node(*id))).collect();
        let group = Membership::new(configs, nodes);
        let ill: BTreeMap<u64, Health> = ill
            .split_whitespace()
            .map(|word| {
                let (id, health) = word.split_at(word.len() - 1);
                let health = match health {
                    "-" => Health::Down,
                    "x" => Health::Lost,
                    _ => Health::Lags,
                };
                (id.parse().unwrap(), health)
            })
            .collect();
        let health = |id: u64| ill.get(&id).copied().unwrap_or(Health::Ready);
        let step = next_step(NodeId(1), &group, state, health);
        assert_eq!(step, expected);
        match step {
            Some(Step::Vote(voters)) => Some(voters),
            _ => None,
        }
    }

    /// As [`check_group`] where all members are nodes of the group; and when that is done, there is
    /// nothing more to do.
    #[track_caller]
    fn check(owners: &str, late: &str, voters: &[u64], ill: &str, expected: Option<&[u64]>) {
        let state = cluster(owners, late);
        let members = state.members.keys().map(|id| id.0).chain(voters.iter().copied());
        let nodes: Vec<u64> = members.collect::<BTreeSet<_>>().into_iter().collect();
        let expected = expected.map(|ids| Step::Vote(ids.iter().copied().collect()));
        if let Some(voters) = check_group(&state, &[voters], &nodes, ill, expected) {
            let voters: Vec<u64> = voters.into_iter().collect();
            let left = nodes
                .iter()
                .copied()
                .find(|id| !voters.contains(id) && !state.members.contains_key(&NodeId(*id)));
            let then = left.map(|id| Step::Forget([id].into()));
            check_group(&state, &[&voters], &nodes, ill, then);
        }
    }

    #[test]
    fn the_group_follows_the_members() {
        let none = ClusterState::new("c", RingSize::new(64).unwrap());
        check_group(&none, &[&[1]], &[1], "", None);
        let two = cluster("1 2", "");
        check_group(&cluster("1", ""), &[&[1]], &[1], "", None);
        check_group(&two, &[&[1]], &[1], "", Some(Step::Add(2, node(2))));
        check_group(&two, &[&[1]], &[1, 2, 9], "", Some(Step::Forget([9].into())));
        let three = cluster("1 2 3", "");
        let all = [1, 2, 3];
        let half_done: &[&[u64]] = &[&[1], &[1, 2, 3]];
        check_group(&three, half_done, &all, "3-", Some(Step::Finish(all.into())));
        let late = cluster("1 2 3", "4");
        check_group(&late, &[&all], &all, "", Some(Step::Add(4, node(4))));
    }

    #[test]
    fn an_odd_number_of_owners_votes() {
        check("1 2", "", &[1], "", None);
        check("1 2 3", "", &[1], "", Some(&[1, 2, 3]));
        check("1 2 3 4", "", &[1], "", Some(&[1, 2, 3]));
        check("1 2 3 4 5", "", &[1, 2, 3], "", Some(&[1, 2, 3, 4, 5]));
        check("1 2 3 4 5 6", "", &[1], "", Some(&[1, 2, 3, 4, 5]));
        // Not before two more can vote.
        check("1 2 3", "", &[1], "3~", None);
        check("1 2 3 4 5", "", &[1, 2, 3], "5-", None);
        // Of clusters from before: who owns nothing, and the even one.
        check("1 2 3", "4", &[1, 2, 3, 4], "", Some(&[1, 2, 3]));
        check("1 2 3", "4", &[1, 2, 3, 4], "4x", Some(&[1, 2, 3]));
        check("1", "2", &[1, 2], "", Some(&[1]));
        check("1 2", "", &[1, 2], "", Some(&[1]));
        check("1 2 3 4", "", &[1, 2, 3, 4], "2-", Some(&[1, 3, 4]));
        check("2 3 4", "1", &[1, 2, 3, 4], "", Some(&[2, 3, 4]));
        check("1 2 3", "4", &[1, 2, 4], "3-", None);
        check("1 2 3", "4", &[1, 2, 4], "", Some(&[1, 2, 3]));
    }

    #[test]
    fn who_is_gone_is_followed_by_another() {
        // 3 is no member any more: 4 has its place.
        check("1 2 4", "", &[1, 2, 3], "3x", Some(&[1, 2, 4]));
        check("1 2 4", "", &[1, 2, 3], "3- 4~", None);
        check("1 2 4", "5", &[1, 2, 3, 5], "3x 5x", None);
        check("1 2 4", "", &[1, 2, 3], "2- 3x", None);
        // A member that is down for long, where another may vote.
        check("1 2 3 4", "", &[1, 2, 3], "3-", None);
        check("1 2 3 4", "", &[1, 2, 3], "3x", Some(&[1, 2, 4]));
        check("1 2 3 4", "", &[1, 2, 4], "", None);
        check("1 2 3", "4", &[1, 2, 3], "3x", None);
        check("1 2 3 4 5 6 7", "", &[1, 2, 3, 4, 5], "2x 3x 6-", Some(&[1, 2, 4, 5, 7]));
        // Neither without a majority of the present voters, nor towards one that has none.
        check("1 2 3 4", "", &[1, 2, 3], "2- 3x", None);
        check("1 2 3", "4 5", &[1, 2, 3, 4, 5], "2- 3-", None);
    }

    #[test]
    fn voters_are_spread_over_zones() {
        check("1a 2a 3b 4b 5c", "", &[1], "2-", Some(&[1, 3, 5]));
        check("1a 2a 3b 4c", "", &[1], "", Some(&[1, 3, 4]));
        check("1a 2a 3a 4b", "", &[1, 2, 3], "", Some(&[1, 2, 4]));
        check("1a 2a 3a 4b 5c", "", &[1, 2, 3], "4~ 5~", None);
        check("1a 2a 3b 4b 5c 6c", "", &[1, 2, 3, 4, 5], "", None);
        check("1a 2a 3a 4b 5c 6c", "", &[1, 2, 3, 4, 5], "", Some(&[1, 2, 4, 5, 6]));
        // As good is no reason for a change.
        check("1a 2b 3c 4c", "", &[1, 2, 3], "", None);
        check("1a 2b 3c 4c", "", &[1, 2, 3], "3x", Some(&[1, 2, 4]));
        check("1a 2b 3c 4b", "", &[1, 2, 3], "3x", Some(&[1, 2, 4]));
        // Who says no zone is in one with all who say none.
        check("1 2 3 4b", "", &[1, 2, 3], "", Some(&[1, 2, 4]));
        // Too many: from the crowded zone.
        check("1a 2b 3b 4c", "", &[1, 2, 3, 4], "", Some(&[1, 2, 4]));
    }
}
