//! Which node does something, without any word between them: each reckons a number for each of them, and
//! the highest has it. When one goes, only what it had goes to others.

use std::collections::BTreeSet;

use mapring_types::NodeId;
use sha2::{Digest, Sha256};

/// The node that has something.
pub(crate) fn first(name: &str, nodes: &BTreeSet<NodeId>) -> Option<NodeId> {
    nodes.iter().copied().max_by_key(|node| weight(name, *node))
}

/// How many nodes have something before one of them does.
pub(crate) fn rank(name: &str, nodes: &BTreeSet<NodeId>, node: NodeId) -> u32 {
    let own = weight(name, node);
    let before = nodes.iter().filter(|other| weight(name, **other) > own).count();
    u32::try_from(before).unwrap_or(u32::MAX)
}

fn weight(name: &str, node: NodeId) -> (u64, NodeId) {
    let hash = Sha256::new().chain_update(node.0.to_be_bytes()).chain_update(name).finalize();
    (u64::from_be_bytes(hash.first_chunk().copied().unwrap_or_default()), node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_spread_and_move_only_from_who_goes() {
        let all: BTreeSet<NodeId> = (1..=5).map(NodeId).collect();
        let mut without = all.clone();
        without.remove(&NodeId(3));
        let mut had = [0; 6];
        for number in 0..1_000 {
            let name = format!("job {number}");
            let owner = first(&name, &all).unwrap();
            had[usize::try_from(owner.0).unwrap()] += 1;
            let next = first(&name, &without).unwrap();
            assert!(owner == next || owner == NodeId(3), "{name}");
            let mut ranks: Vec<u32> = all.iter().map(|node| rank(&name, &all, *node)).collect();
            assert_eq!(rank(&name, &all, owner), 0);
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2, 3, 4]);
        }
        assert!(had[1..].iter().all(|count| (130..270).contains(count)), "{had:?}");
        assert_eq!(first("x", &BTreeSet::new()), None);
    }
}
