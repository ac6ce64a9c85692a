//! Who owns which partition, and which vnodes hold the replicas of a partition's objects.

use std::collections::BTreeSet;
use std::iter::FusedIterator;

use mapring_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::hash::{Partition, RingSize};
use crate::limits;

/// A versioned assignment of every partition to one node, or to none while no node has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct OwnershipPlan {
    version: u64,
    owners: Vec<Option<NodeId>>,
    /// How many distinct values `owners` has: known beforehand, so that no walk looks for more.
    #[serde(skip_serializing)]
    distinct: usize,
}

/// A plan as it is stored and sent.
#[derive(Deserialize)]
#[serde(rename = "OwnershipPlan")]
struct Stored {
    version: u64,
    owners: Vec<Option<NodeId>>,
}

impl TryFrom<Stored> for OwnershipPlan {
    type Error = String;

    fn try_from(Stored { version, owners }: Stored) -> Result<Self, String> {
        let count = u16::try_from(owners.len()).unwrap_or(u16::MAX);
        if RingSize::new(count).is_none() {
            return Err(format!("a plan of {} partitions", owners.len()));
        }
        let owned = owners.iter().flatten().count();
        if owned != 0 && owned != owners.len() {
            return Err(format!("a plan in which {owned} of {count} partitions have owners"));
        }
        // Each change makes it one higher, and it must never come to its end.
        if version > limits::PLAN_VERSIONS {
            return Err(format!("a plan of version {version}"));
        }
        Ok(Self::of(version, owners))
    }
}

impl OwnershipPlan {
    fn of(version: u64, owners: Vec<Option<NodeId>>) -> Self {
        let distinct = owners.iter().collect::<BTreeSet<_>>().len();
        Self { version, owners, distinct }
    }

    /// The plan of a ring that nobody owns yet: version 0.
    pub fn empty(size: RingSize) -> Self {
        Self::of(0, vec![None; usize::from(size.get())])
    }

    /// The next version of this plan with other owners, one for each partition.
    ///
    /// # Panics
    /// When `owners` has not one entry a partition: a defect of the caller.
    #[must_use]
    pub fn next(&self, owners: Vec<NodeId>) -> Self {
        assert_eq!(owners.len(), self.owners.len(), "a plan covers every partition");
        let owners = owners.into_iter().map(Some).collect();
        Self::of(self.version + 1, owners)
    }

    /// The plan's version; grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of partitions.
    pub fn ring_size(&self) -> RingSize {
        let count = u16::try_from(self.owners.len()).unwrap_or(0);
        RingSize::new(count).unwrap_or_else(|| unreachable!("plans are made with a ring size"))
    }

    /// Who owns `partition`.
    pub fn owner(&self, partition: Partition) -> Option<NodeId> {
        self.owners.get(usize::from(partition.0)).copied().flatten()
    }

    /// All owners in ring order.
    pub fn owners(&self) -> &[Option<NodeId>] {
        &self.owners
    }

    /// The partitions of `node`, in ring order.
    pub fn owned_by(&self, node: NodeId) -> impl Iterator<Item = Partition> + '_ {
        self.ring_size().partitions().filter(move |&p| self.owner(p) == Some(node))
    }

    /// The share of the ring that `node` owns, 0 to 1.
    pub fn share(&self, node: NodeId) -> f64 {
        self.owned_by(node).count() as f64 / self.owners.len() as f64
    }

    /// How many nodes own anything.
    pub fn node_count(&self) -> usize {
        // A plan has owners for all partitions or for none.
        if self.owners.first().is_some_and(Option::is_some) { self.distinct } else { 0 }
    }

    /// The vnodes that may hold replicas of the objects of `home`: those of an object with `n_val`
    /// replicas are the first `n_val` of them. So lists of different lengths begin alike.
    ///
    /// It is the walk round the ring from `home` on that passes a vnode over whose owner has been met
    /// already, as long as there is another owner. When all have been met those passed over follow,
    /// and then the rest, in ring order. The first `n` vnodes thus are on `n` nodes where there are so
    /// many. Where `n` successive partitions have distinct owners they are the first `n`, as in Riak;
    /// where they do not, it is as in Riak 3 with locations.
    pub fn replicas(&self, home: Partition) -> Replicas<'_> {
        Replicas { plan: self, home, step: 0, met: 0 }
    }

    /// The inverse of [`OwnershipPlan::replicas`]: the home partitions of whose first `n_val` vnodes
    /// `vnode` is one, with its place among them, from 0. The nearest before `vnode` come first.
    pub fn homes(
        &self,
        vnode: Partition,
        n_val: u32,
    ) -> impl Iterator<Item = (Partition, u16)> + '_ {
        let size = self.ring_size();
        size.partitions().filter_map(move |steps| {
            let home = size.before(vnode, steps.0);
            let mut places = (0..size.get()).zip(self.replicas(home).first(n_val));
            places.find(|(_, replica)| *replica == vnode).map(|(place, _)| (home, place))
        })
    }
}

/// See [`OwnershipPlan::replicas`].
#[derive(Debug, Clone)]
pub struct Replicas<'a> {
    plan: &'a OwnershipPlan,
    home: Partition,
    /// How far the walk has come.
    step: usize,
    /// How many owners were met; when it was all of them, the walk has begun again for those passed
    /// over.
    met: usize,
}

impl<'a> Replicas<'a> {
    /// The first `n_val`, or all where there are no more.
    pub fn first(self, n_val: u32) -> std::iter::Take<Self> {
        self.take(usize::try_from(n_val).unwrap_or(usize::MAX))
    }

    /// Where in the ring's owners the walk is after some steps: a ring size is a power of two.
    fn at(&self, step: usize) -> usize {
        (usize::from(self.home.0) + step) & (self.plan.owners.len() - 1)
    }

    /// Whether the walk meets the owner of that place there first.
    fn is_first(&self, step: usize) -> bool {
        let owners = &self.plan.owners;
        let owner = owners[self.at(step)];
        !(0..step).any(|earlier| owners[self.at(earlier)] == owner)
    }
}

impl Iterator for Replicas<'_> {
    type Item = Partition;

    fn next(&mut self) -> Option<Partition> {
        while self.step < self.plan.owners.len() {
            let step = self.step;
            self.step += 1;
            let all_met = self.met == self.plan.distinct;
            if self.is_first(step) == all_met {
                continue;
            }
            if !all_met {
                self.met += 1;
                if self.met == self.plan.distinct {
                    self.step = 0;
                }
            }
            return u16::try_from(self.at(step)).ok().map(Partition);
        }
        None
    }
}

impl FusedIterator for Replicas<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::claim;

    /// Plans of the claim and plans without any order.
    fn plans() -> impl Strategy<Value = OwnershipPlan> {
        let size = prop::sample::select(&[8_u16, 16, 64][..]);
        let claimed = (size.clone(), 1..=9_u64).prop_map(|(size, count)| {
            let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
            claim(&OwnershipPlan::empty(RingSize::new(size).unwrap()), &nodes)
        });
        let wild = size.prop_flat_map(|size| {
            prop::collection::vec(1..=5_u64, usize::from(size)).prop_map(move |owners| {
                let plan = OwnershipPlan::empty(RingSize::new(size).unwrap());
                plan.next(owners.into_iter().map(NodeId).collect())
            })
        });
        prop_oneof![claimed, wild]
    }

    fn owners(plan: &OwnershipPlan, vnodes: &[Partition]) -> BTreeSet<NodeId> {
        vnodes.iter().map(|&vnode| plan.owner(vnode).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn replicas_are_on_distinct_nodes(
            plan in plans(),
            home in 0..64_u16,
            n_val in 1..=8_u32,
        ) {
            let size = plan.ring_size();
            let home = Partition(home % size.get());
            let all: Vec<Partition> = plan.replicas(home).collect();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, size.partitions().collect::<Vec<_>>());

            let list: Vec<Partition> = plan.replicas(home).first(n_val).collect();
            prop_assert_eq!(&list[..], &all[..list.len()]);
            let n = list.len();
            prop_assert_eq!(n, (n_val as usize).min(usize::from(size.get())));
            prop_assert_eq!(owners(&plan, &list).len(), n.min(plan.node_count()));
            let walk: Vec<Partition> = (0..n as u16).map(|step| size.after(home, step)).collect();
            if owners(&plan, &walk).len() == n {
                prop_assert_eq!(list, walk);
            }
        }

        /// What the text says, word by word.
        #[test]
        fn those_passed_over_follow_in_ring_order(plan in plans(), home in 0..64_u16) {
            let size = plan.ring_size();
            let home = Partition(home % size.get());
            let (mut expect, mut passed_over) = (Vec::new(), Vec::new());
            for vnode in (0..size.get()).map(|step| size.after(home, step)) {
                let met = owners(&plan, &expect);
                if met.contains(&plan.owner(vnode).unwrap()) && met.len() < plan.node_count() {
                    passed_over.push(vnode);
                } else {
                    if met.len() == plan.node_count() {
                        expect.append(&mut passed_over);
                    }
                    expect.push(vnode);
                }
            }
            expect.append(&mut passed_over);
            prop_assert_eq!(plan.replicas(home).collect::<Vec<_>>(), expect);
        }

        #[test]
        fn homes_is_the_inverse(plan in plans(), vnode in 0..64_u16, n_val in 1..=6_u32) {
            let size = plan.ring_size();
            let vnode = Partition(vnode % size.get());
            let mut found: Vec<(Partition, u16)> = plan.homes(vnode, n_val).collect();
            found.sort_unstable();
            let places = size.partitions().filter_map(|home| {
                let place = plan.replicas(home).first(n_val).position(|replica| replica == vnode);
                Some((home, place? as u16))
            });
            prop_assert_eq!(found, places.collect::<Vec<_>>());
        }
    }

    #[test]
    fn three_nodes_hold_every_object_on_rings_of_all_sizes() {
        for size in [8_u16, 16, 32, 64, 128, 256, 512, 1024] {
            let nodes = [1, 2, 3].map(NodeId);
            let size = RingSize::new(size).unwrap();
            let plan = claim(&OwnershipPlan::empty(size), &nodes);
            let repeats = |list: Vec<Partition>| owners(&plan, &list).len() < 3;
            let walk = |home| (0..3).map(|step| size.after(home, step)).collect();
            let before = size.partitions().filter(|home| repeats(walk(*home))).count();
            let list = |home| plan.replicas(home).first(3).collect();
            let after = size.partitions().filter(|home| repeats(list(*home))).count();
            // No ring of a power of two has less.
            assert_eq!((before, after), (2, 0), "{size:?}");
        }
    }

    #[test]
    fn the_stored_form_is_what_it_was() {
        let size = RingSize::new(8).unwrap();
        let plan = OwnershipPlan::empty(size).next((0..8).map(|p| NodeId(p % 3)).collect());
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(text, r#"{"version":1,"owners":[0,1,2,0,1,2,0,1]}"#);
        assert_eq!(serde_json::from_str::<OwnershipPlan>(&text).unwrap(), plan);
        assert_eq!((plan.node_count(), OwnershipPlan::empty(size).node_count()), (3, 0));
    }

    #[test]
    fn what_is_no_plan_is_not_read() {
        #[track_caller]
        fn check(text: &str, why: &str) {
            let error = serde_json::from_str::<OwnershipPlan>(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        check(r#"{"version":1,"owners":[]}"#, "of 0 partitions");
        check(r#"{"version":1,"owners":[1,2,3,1,2,3]}"#, "of 6 partitions");
        check(r#"{"version":1,"owners":[1,2,3,1,2,3,null,1]}"#, "7 of 8");
        check(r#"{"version":18446744073709551615,"owners":[1,2,1,2,1,2,1,2]}"#, "of version");
    }
}
