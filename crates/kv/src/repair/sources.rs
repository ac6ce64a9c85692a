//! From which replicas a slice is filled so that no acknowledged write is missed.

use std::collections::BTreeSet;

use mapring_ring::{OwnershipPlan, Partition};
use mapring_types::NodeId;

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

/// Where a slice is filled from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) vnodes: Vec<(Partition, NodeId)>,
    /// For some number of replicas there is no complete one: what all others have together is taken
    /// for all there is.
    pub(crate) uncertain: bool,
}

/// The sources of the slice of `home` in the vnode `distance` steps after it, on node `me`.
///
/// An object of a bucket with `n` replicas lies in the first `n` vnodes from its home on. For each
/// `n` in use that reaches this vnode one complete replica of the others is enough, or else all
/// others are needed. That a replica is complete is known only when so many of the others answer
/// that each write acknowledged by a majority was known to one of them. `None` when too few can be
/// asked.
pub(crate) fn sources(
    plan: &OwnershipPlan,
    me: NodeId,
    home: Partition,
    distance: u16,
    n_vals: &BTreeSet<u16>,
    worth: impl Fn(Partition, NodeId) -> Worth,
) -> Option<Sources> {
    let size = plan.ring_size();
    let mut chosen = Sources::default();
    for &n in n_vals.iter().filter(|&&n| n > distance) {
        let places = (0..n.min(size.get())).filter(|&step| step != distance);
        let vnodes = places.map(|step| size.after(home, step));
        let others: Vec<(Partition, NodeId)> = vnodes
            .filter_map(|vnode| Some((vnode, plan.owner(vnode)?)))
            .filter(|(_, node)| *node != me)
            .collect();
        let answers = |(vnode, node): &&(Partition, NodeId)| worth(*vnode, *node) != Worth::None;
        let enough = others.len().min(usize::from(n - (n / 2 + 1) + 1));
        if others.iter().filter(answers).count() < enough {
            return None;
        }
        let complete =
            |(vnode, node): &&(Partition, NodeId)| worth(*vnode, *node) == Worth::Complete;
        let known = others.iter().any(|other| chosen.vnodes.contains(other) && complete(&other));
        if known {
            continue;
        }
        match others.iter().find(complete) {
            Some(one) => chosen.vnodes.push(*one),
            None if others.iter().all(|(vnode, node)| worth(*vnode, *node) == Worth::Some) => {
                chosen.uncertain = true;
                chosen.vnodes.extend(&others);
            }
            None => return None,
        }
    }
    chosen.vnodes.sort_unstable();
    chosen.vnodes.dedup();
    Some(chosen)
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

    /// The sources, as steps from home, of a slice that lies in the first vnode, of node 1, of its
    /// list; `worths` of the vnodes after it.
    #[track_caller]
    fn check(n_vals: &[u16], worths: &[Worth], expect: Option<(&[u16], bool)>) {
        let plan = plan(7);
        let size = plan.ring_size();
        let home = plan.owned_by(ME).next().unwrap();
        let worth = |vnode: Partition, _| {
            let step = (1..).find(|step| size.after(home, *step) == vnode).unwrap();
            worths[usize::from(step) - 1]
        };
        let n_vals = n_vals.iter().copied().collect();
        let found = sources(&plan, ME, home, 0, &n_vals, worth);
        let expect = expect.map(|(steps, uncertain)| {
            let vnodes = steps.iter().map(|step| size.after(home, *step));
            let mut vnodes: Vec<_> = vnodes.map(|v| (v, plan.owner(v).unwrap())).collect();
            vnodes.sort_unstable();
            Sources { vnodes, uncertain }
        });
        assert_eq!(found, expect);
    }

    #[test]
    fn one_complete_replica_or_all_others() {
        use Worth::{Complete as C, Hinted as H, None as N, Some as S};
        check(&[3], &[C, C], Some((&[1], false)));
        check(&[3], &[H, C], Some((&[2], false)));
        check(&[3], &[S, C], Some((&[2], false)));
        check(&[3], &[S, S], Some((&[1, 2], true)));
        check(&[3], &[S, H], None);
        check(&[3], &[H, H], None);
        // Who does not answer may know of a write that the other one lacks.
        check(&[3], &[N, C], None);
        check(&[3], &[N, N], None);
        // Objects with two replicas are not on the third vnode.
        check(&[2, 3], &[S, C], Some((&[1, 2], true)));
        check(&[2, 3], &[H, C], None);
        check(&[2, 3], &[C, H], Some((&[1], false)));
        check(&[3, 5], &[H, C, N, N], None);
        check(&[3, 5], &[H, C, H, N], Some((&[2], false)));
        check(&[3, 5], &[S, S, N, C], Some((&[1, 2, 4], true)));
        // Of a single replica nobody else has anything.
        check(&[1], &[], Some((&[], true)));
    }

    #[test]
    fn a_node_alone_has_nobody_to_ask() {
        let plan = plan(1);
        let n_vals = BTreeSet::from([3]);
        let found = sources(&plan, ME, Partition(5), 1, &n_vals, |_, _| Worth::None).unwrap();
        assert!(found.vnodes.is_empty() && found.uncertain);
    }
}
