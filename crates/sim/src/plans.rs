//! Checks coverage plans (invariant I4).

use std::collections::BTreeSet;

use mapring_ring::{Coverage, OwnershipPlan, Partition};
use mapring_types::{Entropy, NodeId};

use crate::random::Random;

/// What is wrong with a plan that was made for `n_val` replicas.
pub(crate) fn check(ring: &OwnershipPlan, n_val: u32, coverage: &Coverage) -> Vec<String> {
    let size = ring.ring_size();
    let mut faults = Vec::new();
    let mut homes: Vec<Partition> = coverage.entries.iter().map(|entry| entry.home).collect();
    homes.sort_unstable();
    if homes != size.partitions().collect::<Vec<_>>() {
        faults.push(format!("I4: a plan covers {homes:?}"));
    }
    for entry in &coverage.entries {
        let holds = ring.replicas(entry.home).first(n_val).any(|vnode| vnode == entry.vnode);
        if !holds || ring.owner(entry.vnode) != Some(entry.node) {
            faults.push(format!("I4: a plan asks the wrong replica: {entry:?}"));
        }
    }
    faults
}

/// Makes a plan for a random set of fit nodes and checks it: also whether it fails exactly where it
/// must.
pub(crate) fn try_one(ring: &OwnershipPlan, random: &Random) -> Vec<String> {
    let nodes: BTreeSet<NodeId> = ring.owners().iter().flatten().copied().collect();
    let up: BTreeSet<NodeId> = nodes.into_iter().filter(|_| random.per_mille(600)).collect();
    let n_val = u32::try_from(random.within(1..6)).unwrap_or(1);
    let made = Coverage::new(ring, n_val, random.next_u64(), |entry| up.contains(&entry.node));
    let size = ring.ring_size();
    let coverable = |home: &Partition| {
        let mut vnodes = ring.replicas(*home).first(n_val);
        vnodes.any(|vnode| ring.owner(vnode).is_some_and(|owner| up.contains(&owner)))
    };
    match made {
        Ok(coverage) => {
            let mut faults = check(ring, n_val, &coverage);
            let down = coverage.entries.iter().find(|entry| !up.contains(&entry.node));
            faults.extend(down.map(|entry| format!("I4: {entry:?} is not fit, only {up:?} are")));
            faults
        }
        Err(uncovered) => {
            let expected: Vec<Partition> =
                size.partitions().filter(|home| !coverable(home)).collect();
            if uncovered == expected && !expected.is_empty() {
                return Vec::new();
            }
            vec![format!("I4: with {up:?} up, {expected:?} have no replica, not {uncovered:?}")]
        }
    }
}

#[cfg(test)]
mod tests {
    use mapring_ring::{RingSize, claim};

    use super::*;

    #[test]
    fn wrong_plans_are_found() {
        let nodes = [1, 2, 3].map(NodeId);
        let ring = claim::claim(&OwnershipPlan::empty(RingSize::new(8).unwrap()), &nodes);
        let good = Coverage::new(&ring, 3, 0, |_| true).unwrap();
        assert_eq!(check(&ring, 3, &good), Vec::<String>::new());
        let mut twice = good.clone();
        twice.entries.push(twice.entries[0]);
        let mut missing = good.clone();
        missing.entries.pop();
        let mut strange = good.clone();
        strange.entries[0].vnode = Partition(4);
        let mut stranger = good;
        stranger.entries[0].node = NodeId(9);
        for bad in [twice, missing, strange, stranger] {
            assert_eq!(check(&ring, 3, &bad).len(), 1, "{bad:?}");
        }
    }
}
