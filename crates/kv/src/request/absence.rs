//! Whether an object that was not found is known not to exist.
//!
//! A write is acknowledged by a majority of the list, of which some may be stand-ins. So it may have
//! been acknowledged by those alone who were not asked, do not answer or refuse, as long as these
//! are a majority. Most of the time members have told what they hold for others, and a majority of
//! primaries settles it. When anything is amiss, the other members are asked too, and what cannot be
//! asked then counts as one that has the object. Pure: `get` drives it.

use std::collections::BTreeSet;

use mapring_ring::{OwnershipPlan, Partition, PreferenceEntry};
use mapring_types::NodeId;

use crate::limits;

/// What is known of the members beside the answers of the primaries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Around {
    /// Of how many nodes at least a write is acknowledged, as far as its quorum asks.
    pub(crate) spread: usize,
    /// Whether nothing is amiss: every member is up and has told, since it was last away, what it
    /// holds, and none holds anything for these primaries.
    pub(crate) quiet: bool,
    /// Members other than the primaries that can be asked, in the order in which that is to be done.
    pub(crate) up: Vec<NodeId>,
    /// Those that cannot.
    pub(crate) down: BTreeSet<NodeId>,
    /// Whether no majority of all members can be asked: the others may go on by themselves.
    pub(crate) cut_off: bool,
    /// Those of any of them that were last known to hold something for these primaries.
    pub(crate) holding: BTreeSet<NodeId>,
}

/// How what was asked has answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The primaries that have nothing.
    pub(crate) without: Vec<PreferenceEntry>,
    /// The primaries that have not answered yet.
    pub(crate) waiting: Vec<PreferenceEntry>,
    /// The primaries that cannot be reached, have failed or refuse.
    pub(crate) unreachable: Vec<PreferenceEntry>,
    /// Whether those that have nothing are sure that nobody holds anything for them.
    pub(crate) sure: bool,
    /// The other nodes that have nothing.
    pub(crate) others: BTreeSet<NodeId>,
    /// The other nodes that have not answered yet.
    pub(crate) awaited: BTreeSet<NodeId>,
    /// The other nodes that have failed.
    pub(crate) failed: BTreeSet<NodeId>,
    /// Whether the primaries were asked again since the others answered.
    pub(crate) again: bool,
}

/// What is known of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It does not exist.
    Known,
    /// It may; somebody has not answered yet.
    Wait,
    /// These are to be asked.
    Search(Vec<NodeId>),
    /// The primaries are to be asked again: what the others have meanwhile handed over, and no
    /// longer have, had not come to them when they were asked.
    Again,
    /// It may, and these nodes, which do not answer, would know.
    Unknown(BTreeSet<NodeId>),
}

/// Judges. A write that counts was acknowledged by at least `quorum` replicas.
pub(crate) fn judge(quorum: u32, asked: &Asked, around: &Around) -> Absence {
    let quorum = usize::try_from(quorum).unwrap_or(usize::MAX);
    // Whether some replicas can have acknowledged a write by themselves.
    let suffice = |primaries: &[&[PreferenceEntry]], others: &BTreeSet<NodeId>| {
        let entries = primaries.iter().copied().flatten();
        let nodes: BTreeSet<NodeId> = entries.clone().map(|entry| entry.node).collect();
        entries.count() + others.len() >= quorum
            && nodes.union(others).count() >= quorum.min(around.spread)
    };
    let (waiting, unreachable) = (asked.waiting.as_slice(), asked.unreachable.as_slice());
    let nobody = BTreeSet::new();
    if around.quiet && asked.sure && unreachable.is_empty() {
        return if suffice(&[waiting], &nobody) { Absence::Wait } else { Absence::Known };
    }
    let unasked = |node: &&NodeId| {
        !asked.others.contains(node)
            && !asked.awaited.contains(node)
            && !asked.failed.contains(node)
    };
    let search: Vec<NodeId> = around.up.iter().filter(unasked).copied().collect();
    let mut strangers: BTreeSet<NodeId> =
        around.up.iter().chain(&around.down).chain(&around.holding).copied().collect();
    strangers.extend(asked.others.iter().chain(&asked.awaited).chain(&asked.failed));
    if !suffice(&[waiting, unreachable], &strangers) {
        // Whatever any of them has, it is not what a quorum acknowledged.
        return Absence::Known;
    }
    if !search.is_empty() {
        return Absence::Search(search);
    }
    // Where every primary answers, only stand-ins that all of them were cut off from can have taken a
    // write, and of those it is told what they hold.
    let mut unknown: BTreeSet<NodeId> = around.holding.difference(&asked.others).copied().collect();
    if !unreachable.is_empty() || !waiting.is_empty() || around.cut_off {
        unknown.extend(around.down.difference(&asked.others).chain(&asked.failed));
    }
    unknown.extend(&asked.awaited);
    if !suffice(&[waiting, unreachable], &unknown) {
        let again = !asked.again && !asked.others.is_empty();
        return if again { Absence::Again } else { Absence::Known };
    }
    if !waiting.is_empty() || !asked.awaited.is_empty() {
        return Absence::Wait;
    }
    unknown.extend(unreachable.iter().map(|entry| entry.node));
    Absence::Unknown(unknown)
}

/// The members beside the owners of `primaries` that own vnodes, of which there are `owners` nodes in
/// all, or are known to hold something: those that are to be asked for what they hold, who holds
/// something first, then in the order in which they stand in (some of many: see
/// [`limits::ABSENCE_ASKED`]); and those that are down.
pub(crate) fn others(
    plan: &OwnershipPlan,
    owners: usize,
    primaries: &[PreferenceEntry],
    holding: &BTreeSet<NodeId>,
    up: impl Fn(NodeId) -> bool,
) -> (Vec<NodeId>, BTreeSet<NodeId>) {
    let size = plan.ring_size();
    let mut seen: BTreeSet<NodeId> = primaries.iter().map(|entry| entry.node).collect();
    let mut left = owners.saturating_sub(seen.len());
    let (mut asked, mut down) = (Vec::new(), BTreeSet::new());
    let mut take = |node: NodeId| {
        let news = seen.insert(node);
        if news && !up(node) {
            down.insert(node);
        } else if news && asked.len() < limits::ABSENCE_ASKED {
            asked.push(node);
        }
        news
    };
    for node in holding {
        take(*node);
    }
    let last = primaries.last().map_or(Partition(0), |entry| entry.vnode);
    for node in (1..=size.get()).filter_map(|step| plan.owner(size.after(last, step))) {
        if left == 0 {
            break;
        }
        left -= usize::from(take(node));
    }
    (asked, down)
}

#[cfg(test)]
mod tests {
    use mapring_ring::{RingSize, claim};

    use super::*;

    #[test]
    fn holders_are_asked_first_and_of_many_only_some() {
        let nodes: Vec<NodeId> = (1..=20).map(NodeId).collect();
        let plan = claim::claim(&OwnershipPlan::empty(RingSize::new(64).unwrap()), &nodes);
        let entry = |vnode| {
            let vnode = Partition(vnode);
            PreferenceEntry { vnode, node: plan.owner(vnode).unwrap(), primary: true }
        };
        let primaries = [entry(62), entry(63), entry(0)];
        let next = |step| plan.owner(Partition(step)).unwrap();
        let far = next(14);
        let gone = next(2);
        let (up, down) = others(&plan, 20, &primaries, &[far].into(), |node| node != gone);
        assert_eq!(up[..3], [far, next(1), next(3)]);
        assert_eq!((up.len(), down), (limits::ABSENCE_ASKED, [gone].into()));
        assert!(primaries.iter().all(|entry| !up.contains(&entry.node)));
    }
}
