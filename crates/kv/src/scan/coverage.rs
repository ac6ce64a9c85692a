//! Coverage: one complete replica for every home partition.
//!
//! A replica is left out while it is known to lack acknowledged writes: some node holds hints for
//! it, or did when it was last heard, or its node has lost its data. Writes under way are waited
//! for. A replica on a node that has started and not yet heard from every member is taken only where
//! there is no other.
//!
//! Of every partition so many replicas must be heard that each write acknowledged by a quorum of
//! them is known to one: a node that is cut off cannot answer alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::View;
use mapring_net::Class;
use mapring_ring::{Coverage, CoverageEntry, OwnershipPlan, Partition};
use mapring_types::{Error, NodeId, Result};
use tokio::time::{Instant, sleep};

use crate::limits;
use crate::staleness::state::Staleness;
use crate::staleness::survey::Survey;
use crate::view::owners;

/// Plans coverage for `n_val` replicas without the nodes in `without`. Waits for hand-off where the
/// reachable replicas of a partition are all incomplete.
///
/// # Errors
/// `Unavailable`, naming partitions without a complete reachable replica.
pub(crate) async fn coverage(
    staleness: &Arc<Staleness>,
    n_val: u32,
    without: &BTreeSet<NodeId>,
) -> Result<Coverage> {
    let began = Instant::now();
    let offset = staleness.node.parts.entropy.next_u64();
    let (mut widened, mut told) = (false, false);
    loop {
        let view = staleness.node.view();
        // A node may be taken for down that is up again; it is asked where it matters.
        let nodes = if widened { owners(view.plan()) } else { (*view.up).clone() };
        let nodes: Vec<NodeId> = nodes.difference(without).copied().collect();
        let known = staleness.survey(&nodes, Class::Foreground, without).await;
        let (waited, nodes) = (began.elapsed(), &nodes);
        let look =
            Look { view: &view, n_val, offset, without, nodes, known: &known, waited, widened };
        let why = match look.plan() {
            Outcome::Planned(coverage) => return Ok(coverage),
            Outcome::Failed(error) => return Err(error),
            Outcome::Unsettled(why) => why,
            Outcome::TooFew => {
                widened = true;
                "too few replicas answer".to_owned()
            }
            Outcome::Incomplete(why) => {
                staleness.wake.notify_one();
                why
            }
        };
        if !told && began.elapsed() >= limits::COVERAGE_TOLD {
            told = true;
            tracing::info!(since = ?began.elapsed(), why, "no plan for a query yet");
        }
        sleep(limits::COVERAGE_TICK).await;
    }
}

/// What a look at the replicas has come to.
enum Outcome {
    Planned(Coverage),
    Failed(Error),
    /// Writes are under way, as is said; which replicas miss them is not known yet.
    Unsettled(String),
    /// So few nodes answer that further ones are to be asked.
    TooFew,
    /// Until hand-off has brought what is missing, as is said.
    Incomplete(String),
}

/// What is known of the replicas when a plan is to be made.
struct Look<'a> {
    view: &'a View,
    n_val: u32,
    offset: u64,
    /// Nodes that have failed the caller.
    without: &'a BTreeSet<NodeId>,
    /// Those that were asked, and what they know.
    nodes: &'a [NodeId],
    known: &'a Survey,
    /// How long the caller has waited.
    waited: Duration,
    /// Whether nodes that count as down were asked too.
    widened: bool,
}

impl Look<'_> {
    fn plan(&self) -> Outcome {
        let is_late = self.waited >= limits::COVERAGE_PATIENCE;
        if let Some(node) = self.known.unsettled.iter().find(|node| self.nodes.contains(node)) {
            let why = format!("writes under way at node {node} do not settle");
            return if is_late {
                Outcome::Failed(Error::unavailable(why))
            } else {
                Outcome::Unsettled(why)
            };
        }
        if let Some(outcome) = self.too_few() {
            return outcome;
        }
        let complete = |entry: &CoverageEntry| self.is_complete(entry);
        let settled = |entry: &CoverageEntry| self.is_settled(entry);
        let uncertain = match self.of(&|entry| complete(entry) && settled(entry)) {
            Ok(coverage) => return Outcome::Planned(coverage),
            Err(partitions) => partitions,
        };
        let second = self.of(&|e| complete(e) && (settled(e) || uncertain.contains(&e.home)));
        let incomplete = match second {
            Ok(coverage) => return Outcome::Planned(coverage),
            Err(partitions) => partitions,
        };
        let why = reasons(self.view, self.n_val, self.known, &incomplete);
        let reachable = self.of(&|entry| self.is_usable(entry.node));
        if reachable.is_err() || is_late {
            let incomplete = named(&incomplete);
            return Outcome::Failed(Error::unavailable(format!(
                "no complete replica can be reached of partitions {incomplete}: {why}"
            )));
        }
        Outcome::Incomplete(why)
    }

    /// What there is to do where too few nodes were heard to know what every write was stored by.
    fn too_few(&self) -> Option<Outcome> {
        let too_few =
            |heard: &dyn Fn(&NodeId) -> bool| too_few(self.view.plan(), self.n_val, heard);
        let unknown = too_few(&|node| self.known.heard.contains_key(node));
        if unknown.is_empty() {
            return None;
        }
        // Where the caller knows that too many have failed, waiting does not help.
        let hopeless = !too_few(&|node| !self.without.contains(node)).is_empty();
        if hopeless || (self.widened && self.waited >= limits::MAJORITY_PATIENCE) {
            return Some(Outcome::Failed(Error::unavailable(format!(
                "too few replicas answer to know which is complete, of partitions {}",
                named(&unknown)
            ))));
        }
        Some(Outcome::TooFew)
    }

    /// A plan of such replicas; else the partitions that have none.
    fn of(&self, fit: &dyn Fn(&CoverageEntry) -> bool) -> Result<Coverage, Vec<Partition>> {
        Coverage::new(self.view.plan(), self.n_val, self.offset, |entry| fit(&entry))
    }

    /// Who was heard beside those that were asked does not count as up for the caller either.
    fn is_usable(&self, node: NodeId) -> bool {
        self.known.heard.contains_key(&node) && self.nodes.contains(&node)
    }

    /// Whether a replica can be asked, and is not known to lack anything.
    fn is_complete(&self, entry: &CoverageEntry) -> bool {
        let members = &self.view.state.members;
        let has_lost_data = members.get(&entry.node).is_some_and(|member| member.incomplete);
        self.is_usable(entry.node)
            && (!self.known.hinted.contains_key(&entry.vnode)
                || mapring_types::failpoint!(StaleReplicaTrusted))
            && !has_lost_data
    }

    /// Whether the node of a replica has heard from all others since its start.
    fn is_settled(&self, entry: &CoverageEntry) -> bool {
        self.known.heard.get(&entry.node).is_some_and(|report| !report.catching_up)
    }
}

/// The partitions of which so few replicas were heard that a write, acknowledged by a majority,
/// may be known to none that was: its nodes are all among those that were not.
fn too_few(plan: &OwnershipPlan, n_val: u32, heard: impl Fn(&NodeId) -> bool) -> Vec<Partition> {
    let size = plan.ring_size();
    let replicas = plan.replicas(Partition(0)).first(n_val).count();
    let majority = replicas / 2 + 1;
    let owners = owners(plan);
    let unheard = owners.iter().filter(|node| !heard(node)).count();
    // Acknowledgements are of as many nodes as there are: see `quorum`.
    if unheard < owners.len().min(majority) {
        return Vec::new();
    }
    let answers = |home: Partition| {
        let vnodes = plan.replicas(home).first(n_val);
        vnodes.filter(|vnode| plan.owner(*vnode).is_some_and(|node| heard(&node))).count()
    };
    let enough = replicas - majority + 1;
    size.partitions().filter(|home| answers(*home) < enough).collect()
}

/// Why the replicas of the first of some partitions cannot be taken.
fn reasons(view: &View, n_val: u32, known: &Survey, incomplete: &[Partition]) -> String {
    let Some(&home) = incomplete.first() else { return String::new() };
    let (plan, members) = (view.plan(), &view.state.members);
    let name = |node: &NodeId| members.get(node).map_or("a former member", |m| m.name.as_str());
    let unheard = |node: &NodeId| !known.heard.contains_key(node);
    let holders = |nodes: &BTreeSet<NodeId>| {
        let told = |node| {
            let unheard = if unheard(node) { ", which does not answer," } else { "" };
            format!("{}{unheard}", name(node))
        };
        nodes.iter().map(told).collect::<Vec<_>>().join(" and ")
    };
    let why = |vnode: Partition| {
        let Some(node) = plan.owner(vnode) else { return format!("vnode {vnode} has no owner") };
        let of = format!("vnode {vnode} of {}", name(&node));
        match known.hinted.get(&vnode) {
            _ if unheard(&node) => format!("{of} does not answer"),
            Some(nodes) if nodes.contains(&node) => {
                format!("{of} still waits for objects that have moved to it")
            }
            Some(nodes) => format!("{of} lacks writes that {} still holds", holders(nodes)),
            None => format!("{of} has lost data"),
        }
    };
    plan.replicas(home).first(n_val).map(why).collect::<Vec<_>>().join("; ")
}

fn named(partitions: &[Partition]) -> String {
    partitions.iter().map(Partition::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use mapring_ring::{RingSize, claim};

    use super::*;

    #[track_caller]
    fn check(nodes: u64, n_val: u32, heard: &[u64], known: bool) {
        let all: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
        let size = RingSize::new(64).unwrap();
        let plan = claim::claim(&OwnershipPlan::empty(size), &all);
        let unknown = too_few(&plan, n_val, |node| heard.contains(&node.0));
        assert_eq!(unknown.is_empty(), known, "{unknown:?}");
    }

    #[test]
    fn an_acknowledged_write_is_known_to_somebody_who_is_heard() {
        check(1, 3, &[1], true);
        check(2, 3, &[1, 2], true);
        check(2, 3, &[2], true);
        check(3, 3, &[1, 2], true);
        check(3, 3, &[2, 3], true);
        check(3, 3, &[3], false);
        check(3, 1, &[1, 2], false);
        check(3, 2, &[1, 3], true);
        check(5, 3, &[1, 2, 3, 4], true);
        check(5, 3, &[1, 2, 3], false);
        check(5, 5, &[1, 2, 3], true);
        check(5, 5, &[1, 2], false);
        check(5, 3, &[], false);
    }
}
