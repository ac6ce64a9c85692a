//! From which replicas a slice is filled so that no acknowledged write is missed.

use std::collections::BTreeSet;

use mapring_ring::{OwnershipPlan, Partition};
use mapring_types::{NodeId, ObjectId};

use crate::storage::slice;

/// A part of a vnode of this node: the objects of one home partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slice {
    pub(crate) vnode: Partition,
    pub(crate) home: Partition,
    /// The vnode's place in the list of the home partition's replicas.
    pub(crate) place: u16,
}

impl Slice {
    /// The same slice at a vnode, from some place on.
    pub(crate) fn at(&self, vnode: Partition, after: Option<ObjectId>) -> slice::Slice {
        slice::Slice { vnode, home: self.home, after }
    }
}

/// What a replica is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It has all acknowledged writes.
    Complete,
    /// It answers, and no hints for it are outstanding; but it may lack something.
    Some,
    /// It answers, and lacks what hints hold for it.
    Hinted,
    /// It does not answer.
    None,
}

/// Another replica of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    /// Its place in the list of replicas.
    pub(crate) place: u16,
    pub(crate) vnode: Partition,
    pub(crate) node: NodeId,
}

/// Where a slice is filled from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// All other replicas that answer, complete ones first.
    pub(crate) all: Vec<Source>,
    /// Whether they have all acknowledged writes together, as far as can be known.
    pub(crate) whole: bool,
    /// The nodes that this holds for because they are complete.
    pub(crate) relied_on: BTreeSet<NodeId>,
    /// For some number of replicas there is no complete one: what all others have together is taken
    /// for all there is.
    pub(crate) uncertain: bool,
}

impl Sources {
    /// The replicas: each a vnode and its node.
    pub(crate) fn replicas(&self) -> Vec<(Partition, NodeId)> {
        self.all.iter().map(|source| (source.vnode, source.node)).collect()
    }
}

/// The sources of the slice of `home` at a place of its list, on node `me`.
///
/// An object of a bucket with `n` replicas lies at the first `n` places. For each `n` in use that
/// reaches this place one complete replica of the others is enough, or else all others are needed. That
/// a replica is complete is known only when so many of the others answer that each write acknowledged
/// by a majority was known to one of them.
pub(crate) fn sources(
    plan: &OwnershipPlan,
    me: NodeId,
    home: Partition,
    place: u16,
    n_vals: &BTreeSet<u16>,
    worth: impl Fn(Partition, NodeId) -> Worth,
) -> Sources {
    let worth = |source: &Source| worth(source.vnode, source.node);
    let others = |n: u16| -> Vec<Source> {
        let places = (0..n).zip(plan.replicas(home)).filter(|(other, _)| *other != place);
        let at = |(place, vnode)| Some(Source { place, vnode, node: plan.owner(vnode)? });
        places.filter_map(at).filter(|source| source.node != me).collect()
    };
    let mut found = Sources { whole: true, ..Sources::default() };
    for &n in n_vals.iter().filter(|&&n| n > place) {
        let others = others(n);
        let answering = others.iter().filter(|source| worth(source) != Worth::None);
        let enough = others.len().min(usize::from(n - (n / 2 + 1) + 1));
        if answering.clone().count() < enough {
            found.whole = false;
        } else if let Some(one) = others.iter().find(|s| worth(s) == Worth::Complete) {
            found.relied_on.insert(one.node);
        } else if others.iter().all(|source| worth(source) == Worth::Some) {
            found.uncertain = true;
        } else {
            found.whole = false;
        }
        found.all.extend(answering);
    }
    found.all.sort_unstable_by_key(|source| (worth(source) != Worth::Complete, *source));
    found.all.dedup();
    found
}

#[cfg(test)]
mod tests {
    use mapring_ring::{RingSize, claim};

    use super::*;

    const ME: NodeId = NodeId(1);

    fn plan(nodes: u64) -> OwnershipPlan {
        let all: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
        claim::claim(&OwnershipPlan::empty(RingSize::new(64).unwrap()), &all)
    }

    /// The sources, as places in order, of a slice that lies at the first place, of node 1, of its
    /// list, and how far they are enough; `worths` of the places after it.
    #[track_caller]
    fn check(n_vals: &[u16], worths: &[Worth], places: &[u16], enough: &str) {
        let plan = plan(7);
        let home = plan.owned_by(ME).next().unwrap();
        let worth = |vnode: Partition, _| {
            let place = plan.replicas(home).position(|replica| replica == vnode).unwrap();
            worths[place - 1]
        };
        let n_vals = n_vals.iter().copied().collect();
        let found = sources(&plan, ME, home, 0, &n_vals, worth);
        let words = match (found.whole, found.uncertain) {
            (false, _) => "no",
            (true, true) => "uncertain",
            (true, false) => "yes",
        };
        let found: Vec<u16> = found.all.iter().map(|source| source.place).collect();
        assert_eq!((&found[..], words), (places, enough));
    }

    #[test]
    fn one_complete_replica_or_all_others() {
        use Worth::{Complete as C, Hinted as H, None as N, Some as S};
        check(&[3], &[C, C], &[1, 2], "yes");
        check(&[3], &[H, C], &[2, 1], "yes");
        check(&[3], &[S, C], &[2, 1], "yes");
        check(&[3], &[S, S], &[1, 2], "uncertain");
        check(&[3], &[S, H], &[1, 2], "no");
        check(&[3], &[H, H], &[1, 2], "no");
        // Who does not answer may know of a write that the other one lacks.
        check(&[3], &[N, C], &[2], "no");
        check(&[3], &[N, N], &[], "no");
        // Objects with two replicas are not at the third place.
        check(&[2, 3], &[S, C], &[2, 1], "uncertain");
        check(&[2, 3], &[H, C], &[2, 1], "no");
        check(&[2, 3], &[C, H], &[1, 2], "yes");
        check(&[3, 5], &[H, C, N, N], &[2, 1], "no");
        check(&[3, 5], &[H, C, H, N], &[2, 1, 3], "yes");
        check(&[3, 5], &[S, S, N, C], &[4, 1, 2], "uncertain");
        // Of a single replica nobody else has anything.
        check(&[1], &[], &[], "uncertain");
    }

    #[test]
    fn a_node_alone_has_nobody_to_ask() {
        let n_vals = BTreeSet::from([3]);
        let found = sources(&plan(1), ME, Partition(5), 1, &n_vals, |_, _| Worth::None);
        assert!(found.all.is_empty() && found.whole && found.uncertain);
    }
}
