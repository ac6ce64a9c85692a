//! Coverage plans: one fit replica for every home partition.

use std::collections::BTreeMap;

use mapring_types::NodeId;

use crate::hash::Partition;
use crate::limits;
use crate::plan::OwnershipPlan;

/// The replica that answers for one home partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoverageEntry {
    /// The home partition.
    pub home: Partition,
    /// The vnode that holds it.
    pub vnode: Partition,
    /// The node of that vnode.
    pub node: NodeId,
}

/// A plan that covers every home partition exactly once (invariant I4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// One entry for each home partition, in ring order.
    pub entries: Vec<CoverageEntry>,
}

impl Coverage {
    /// Chooses, for every partition, a primary replica that `fit` accepts, spreading the work
    /// evenly over the nodes. `offset` turns which replica is preferred among equally loaded
    /// nodes, so that successive plans differ. The replicas are the first `n_val` of
    /// [`OwnershipPlan::replicas`]; `fit` is asked once about each.
    ///
    /// # Errors
    /// The home partitions that have no fit replica.
    pub fn new(
        plan: &OwnershipPlan,
        n_val: u32,
        offset: u64,
        fit: impl Fn(CoverageEntry) -> bool,
    ) -> Result<Self, Vec<Partition>> {
        let size = plan.ring_size();
        let replicas = n_val.min(u32::from(size.get()));
        let turn = usize::try_from(offset % u64::from(replicas.max(1))).unwrap_or(0);
        let choices: Vec<Vec<CoverageEntry>> = size
            .partitions()
            .map(|home| {
                let list = plan.replicas(home).first(replicas);
                let places = list.clone().skip(turn).chain(list.take(turn));
                let entry = |vnode| Some(CoverageEntry { home, vnode, node: plan.owner(vnode)? });
                places.filter_map(entry).filter(|&entry| fit(entry)).collect()
            })
            .collect();
        let uncovered: Vec<Partition> =
            size.partitions().filter(|home| choices[usize::from(home.0)].is_empty()).collect();
        if !uncovered.is_empty() {
            return Err(uncovered);
        }
        let coverage = Self { entries: balance(&choices) };
        coverage.check(plan, n_val);
        Ok(coverage)
    }

    /// Each home partition exactly once (invariant I4), by a vnode that holds it and that vnode's
    /// owner.
    fn check(&self, plan: &OwnershipPlan, n_val: u32) {
        let homes = self.entries.iter().map(|entry| entry.home);
        assert!(homes.eq(plan.ring_size().partitions()), "I4: not each home once: {self:?}");
        for entry in &self.entries {
            let holds = plan.replicas(entry.home).first(n_val).any(|vnode| vnode == entry.vnode);
            assert!(holds, "I4: {entry:?} is no replica");
            assert_eq!(plan.owner(entry.vnode), Some(entry.node), "I4: {entry:?}");
        }
    }
}

/// One of each home's choices, none of which is empty: the least loaded node, earlier choices
/// before later ones; then homes that could go to a node with two homes less do.
fn balance(choices: &[Vec<CoverageEntry>]) -> Vec<CoverageEntry> {
    let mut loads: BTreeMap<NodeId, usize> = BTreeMap::new();
    let load = |loads: &BTreeMap<NodeId, usize>, node| loads.get(&node).copied().unwrap_or(0);
    let mut chosen: Vec<CoverageEntry> = Vec::with_capacity(choices.len());
    for home in choices {
        if let Some(&entry) = home.iter().min_by_key(|entry| load(&loads, entry.node)) {
            *loads.entry(entry.node).or_default() += 1;
            chosen.push(entry);
        }
    }
    for _ in 0..limits::COVERAGE_ROUNDS {
        let mut better = false;
        for (current, home) in chosen.iter_mut().zip(choices) {
            let Some(&entry) = home.iter().min_by_key(|entry| load(&loads, entry.node)) else {
                continue;
            };
            let (from, to) = (load(&loads, current.node), load(&loads, entry.node));
            if to + 1 < from {
                loads.insert(current.node, from - 1);
                loads.insert(entry.node, to + 1);
                *current = entry;
                better = true;
            }
        }
        if !better {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::claim;
    use crate::hash::RingSize;

    fn ring(size: u16, nodes: u64) -> OwnershipPlan {
        let nodes: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
        claim(&OwnershipPlan::empty(RingSize::new(size).unwrap()), &nodes)
    }

    fn loads(coverage: &Coverage) -> Vec<usize> {
        let mut loads: BTreeMap<NodeId, usize> = BTreeMap::new();
        coverage.entries.iter().for_each(|entry| *loads.entry(entry.node).or_default() += 1);
        loads.into_values().collect()
    }

    #[test]
    fn work_is_spread_and_successive_plans_differ() {
        let plan = ring(64, 3);
        let first = Coverage::new(&plan, 3, 0, |_| true).unwrap();
        let second = Coverage::new(&plan, 3, 1, |_| true).unwrap();
        assert_ne!(first, second);
        assert_eq!(Coverage::new(&plan, 3, 3, |_| true).unwrap(), first);
        for coverage in [first, second] {
            let loads = loads(&coverage);
            assert_eq!(loads.len(), 3);
            assert!(loads.iter().all(|load| (21..=22).contains(load)), "{loads:?}");
        }
    }

    #[test]
    fn stale_replicas_are_passed_over_and_named_when_all_are() {
        let plan = ring(8, 4);
        let fit = |entry: CoverageEntry| entry.home != Partition(5) || entry.vnode == Partition(7);
        let coverage = Coverage::new(&plan, 3, 0, fit).unwrap();
        assert_eq!(coverage.entries[5].vnode, Partition(7));
        let stale = |entry: CoverageEntry| ![2, 5].contains(&entry.home.0);
        assert_eq!(Coverage::new(&plan, 3, 9, stale), Err(vec![Partition(2), Partition(5)]));
        let nobody = OwnershipPlan::empty(RingSize::new(8).unwrap());
        assert_eq!(Coverage::new(&nobody, 3, 0, |_| true).unwrap_err().len(), 8);
        assert_eq!(Coverage::new(&plan, 0, 5, |_| true).unwrap_err().len(), 8);
    }

    proptest! {
        /// I4: each home exactly once, from a fit primary.
        #[test]
        fn every_home_is_covered_once(
            (size, nodes) in (prop::sample::select(&[8_u16, 16, 64, 256][..]), 1..=9_u64),
            (n_val, offset) in (1..=5_u32, any::<u64>()),
            down in prop::collection::btree_set(1..=9_u64, 0..=3),
            stale in prop::collection::btree_set((0..256_u16, 0..256_u16), 0..40),
        ) {
            let plan = ring(size, nodes);
            let fit = |entry: CoverageEntry| {
                !down.contains(&entry.node.0) && !stale.contains(&(entry.home.0, entry.vnode.0))
            };
            let replicas = |home: Partition| {
                let plan = &plan;
                plan.replicas(home).first(n_val).map(move |vnode| {
                    CoverageEntry { home, vnode, node: plan.owner(vnode).unwrap() }
                })
            };
            let coverable = |home: &Partition| replicas(*home).any(fit);
            match Coverage::new(&plan, n_val, offset, fit) {
                Ok(coverage) => {
                    let homes: Vec<Partition> = coverage.entries.iter().map(|e| e.home).collect();
                    prop_assert_eq!(homes, plan.ring_size().partitions().collect::<Vec<_>>());
                    for entry in coverage.entries {
                        prop_assert!(fit(entry) && replicas(entry.home).any(|r| r == entry));
                    }
                }
                Err(uncovered) => {
                    let expect: Vec<Partition> =
                        plan.ring_size().partitions().filter(|home| !coverable(home)).collect();
                    prop_assert_eq!(uncovered, expect);
                }
            }
        }

        #[test]
        fn loads_are_balanced(
            (size, nodes) in (prop::sample::select(&[16_u16, 64, 256][..]), 3..=9_u64),
            offset in 0..6_u64,
            down in prop::option::of(1..=9_u64),
        ) {
            let plan = ring(size, nodes);
            let up = |entry: CoverageEntry| Some(entry.node.0) != down;
            let loads = loads(&Coverage::new(&plan, 3, offset, up).unwrap());
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            let bound = if down.is_none_or(|node| node > nodes) { 1 } else { 4 };
            prop_assert!(most - least <= bound, "{:?}", loads);
        }
    }
}
