//! Preference lists: the vnodes that hold an object, with fallbacks for the unreachable.

use mapring_types::NodeId;

use crate::hash::Partition;
use crate::limits;
use crate::plan::OwnershipPlan;

/// One replica's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreferenceEntry {
    /// The vnode, by its partition.
    pub vnode: Partition,
    /// The node that is to serve it.
    pub node: NodeId,
    /// Whether that node owns the vnode (else it stands in for the owner).
    pub primary: bool,
}

/// The places of all replicas of one home partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferenceList {
    /// Up primaries in the order of [`OwnershipPlan::replicas`], then fallbacks; at most `n_val`
    /// entries.
    pub entries: Vec<PreferenceEntry>,
    /// Primaries, reachable or not, in the same order.
    pub primaries: Vec<PreferenceEntry>,
}

impl PreferenceList {
    /// The list of `home` for `n_val` replicas under `plan`. Each vnode whose owner is not `up` is
    /// taken by the next up node further round the ring that does not serve another entry yet;
    /// where there is none, the vnode is left out, as is a vnode that nobody owns.
    pub fn new(
        plan: &OwnershipPlan,
        home: Partition,
        n_val: u32,
        up: impl Fn(NodeId) -> bool,
    ) -> Self {
        let owned = |vnode| Some((vnode, plan.owner(vnode)?));
        let primaries: Vec<PreferenceEntry> = plan
            .replicas(home)
            .first(n_val)
            .filter_map(owned)
            .map(|(vnode, node)| PreferenceEntry { vnode, node, primary: true })
            .collect();
        let (mut entries, down): (Vec<_>, Vec<_>) =
            primaries.iter().copied().partition(|entry| up(entry.node));
        if down.is_empty() {
            let list = Self { entries, primaries };
            list.check(plan);
            return list;
        }
        // The first vnode of each node comes before all seconds: behind those nobody new is found.
        let further = plan.replicas(home).take(plan.node_count()).skip(primaries.len());
        let mut further = further.filter_map(|vnode| plan.owner(vnode)).filter(|&node| up(node));
        for entry in down {
            let Some(node) = further.next() else { break };
            entries.push(PreferenceEntry { node, primary: false, ..entry });
        }
        let list = Self { entries, primaries };
        list.check(plan);
        list
    }

    /// No vnode is there twice, the primaries are on as many nodes as there can be, and nobody stands
    /// in who serves already. To compare all pairs is quicker than a set, as long as there are few: a
    /// longer list is not looked through.
    fn check(&self, plan: &OwnershipPlan) {
        let Self { entries, primaries } = self;
        assert!(entries.len() <= primaries.len(), "more serve than there are replicas: {self:?}");
        if primaries.len() > limits::CHECKED_REPLICAS {
            return;
        }
        let new_node = |(at, entry): &(usize, &PreferenceEntry)| {
            !primaries[..*at].iter().any(|earlier| earlier.node == entry.node)
        };
        let nodes = primaries.iter().enumerate().filter(new_node).count();
        let most = primaries.len().min(plan.node_count());
        assert_eq!(nodes, most, "replicas share a node without need: {self:?}");
        for list in [entries, primaries] {
            for (at, entry) in list.iter().enumerate() {
                let others = &list[..at];
                let twice = others.iter().any(|other| other.vnode == entry.vnode);
                assert!(!twice, "vnode {} is there twice: {self:?}", entry.vnode);
                let serves = others.iter().any(|other| other.node == entry.node);
                assert!(entry.primary || !serves, "{} serves twice: {self:?}", entry.node);
            }
        }
    }
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

    /// Checks entries written as `vnode:node`, with `*` for a fallback, on a ring of stripes.
    #[track_caller]
    fn check(nodes: u64, home: u16, n_val: u32, down: &[u64], expect: &str) {
        let size = RingSize::new(8).unwrap();
        let stripes: Vec<NodeId> =
            size.partitions().map(|p| NodeId(u64::from(p.0) % nodes)).collect();
        let plan = OwnershipPlan::empty(size).next(stripes);
        let list =
            PreferenceList::new(&plan, Partition(home), n_val, |node| !down.contains(&node.0));
        let text: Vec<String> = list
            .entries
            .iter()
            .map(|e| format!("{}:{}{}", e.vnode, e.node.0, if e.primary { "" } else { "*" }))
            .collect();
        assert_eq!(text.join(" "), expect);
        assert!(list.primaries.iter().all(|entry| entry.primary));
        assert_eq!(list.primaries.len(), n_val.min(8) as usize);
    }

    #[test]
    fn fallbacks_stand_in_for_the_unreachable() {
        check(4, 0, 3, &[], "0:0 1:1 2:2");
        check(4, 6, 3, &[], "6:2 7:3 0:0");
        check(4, 0, 3, &[1], "0:0 2:2 1:3*");
        check(4, 0, 3, &[0, 1], "2:2 0:3*");
        check(4, 0, 3, &[0, 1, 2, 3], "");
        check(4, 0, 1, &[0], "0:1*");
        // A fallback may be an up owner from any place further round.
        check(8, 5, 3, &[6, 7, 0], "5:5 6:1* 7:2*");
        check(3, 0, 3, &[2], "0:0 1:1");
        check(2, 0, 3, &[1], "0:0 2:0");
        check(1, 3, 3, &[], "3:0 4:0 5:0");
        // More replicas than partitions: every partition once.
        check(4, 0, 64, &[], "0:0 1:1 2:2 3:3 4:0 5:1 6:2 7:3");
    }

    #[test]
    fn a_ring_without_owners_gives_an_empty_list() {
        let plan = OwnershipPlan::empty(RingSize::new(8).unwrap());
        let list = PreferenceList::new(&plan, Partition(3), 3, |_| true);
        assert_eq!(list, PreferenceList { entries: vec![], primaries: vec![] });
    }

    proptest! {
        #[test]
        fn lists_hold_what_they_promise(
            (size, nodes) in (prop::sample::select(&[8_u16, 16, 64][..]), 1..=9_u64),
            home in 0..64_u16,
            n_val in 1..=5_u32,
            down in prop::collection::btree_set(1..=9_u64, 0..=9),
        ) {
            let plan = ring(size, nodes);
            let home = Partition(home % size);
            let up = |node: NodeId| !down.contains(&node.0);
            let list = PreferenceList::new(&plan, home, n_val, up);
            let up_primaries = list.primaries.iter().filter(|entry| up(entry.node)).count();
            let (primary, fallback) = list.entries.split_at(up_primaries);
            prop_assert!(primary.iter().all(|entry| entry.primary && up(entry.node)));
            prop_assert!(fallback.iter().all(|entry| !entry.primary && up(entry.node)));
            for entry in &list.primaries {
                prop_assert_eq!(plan.owner(entry.vnode), Some(entry.node));
            }
            for (at, entry) in fallback.iter().enumerate() {
                let others = primary.iter().chain(&fallback[..at]);
                prop_assert!(others.clone().all(|other| other.node != entry.node));
                prop_assert!(others.clone().all(|other| other.vnode != entry.vnode));
                prop_assert!(plan.owner(entry.vnode).is_some_and(|owner| !up(owner)));
            }
            // A vnode is left out only when every up node serves.
            if list.entries.len() < list.primaries.len() {
                for node in (1..=nodes).map(NodeId).filter(|&node| up(node)) {
                    let owns = plan.owned_by(node).count() > 0;
                    prop_assert!(!owns || list.entries.iter().any(|entry| entry.node == node));
                }
            }
        }
    }
}
