//! Who keeps the partitions of pairs that are gathered.

use std::collections::BTreeSet;

use mapring_types::NodeId;

use crate::unit::Holders;

/// Gives so many partitions to nodes in turn, each with the next node as its backup.
pub(crate) fn assign(nodes: &BTreeSet<NodeId>, partitions: u32) -> Vec<Holders> {
    assert!(!nodes.is_empty(), "a cluster of no nodes");
    let mut owners = nodes.iter().copied().cycle().peekable();
    let holders = (0..partitions).filter_map(|_| {
        let owner = owners.next()?;
        let backup = owners.peek().copied().filter(|backup| *backup != owner);
        Some(Holders { owner, backup })
    });
    holders.collect()
}

/// Gives what nodes had that are no longer `up` to others: the backup of a partition, which has a
/// copy of what its owner made, becomes its owner. Returns whether anything changed.
pub(crate) fn reassign(holders: &mut [Holders], up: &BTreeSet<NodeId>) -> bool {
    let mut changed = false;
    for (number, held) in holders.iter_mut().enumerate() {
        let other = |than: NodeId| {
            let others: Vec<NodeId> = up.iter().copied().filter(|node| *node != than).collect();
            (!others.is_empty()).then(|| others[number % others.len()])
        };
        let before = *held;
        if !up.contains(&held.owner) {
            let backup = held.backup.filter(|backup| up.contains(backup));
            held.owner = backup.or_else(|| other(held.owner)).unwrap_or(held.owner);
        }
        let lacks = held.backup.is_none_or(|backup| backup == held.owner || !up.contains(&backup));
        if lacks {
            held.backup = other(held.owner);
        }
        changed |= *held != before;
    }
    changed
}

/// The node beside the one that made a run that has its segment for a partition.
pub(crate) fn second_copy(held: Holders, made_by: NodeId) -> Option<NodeId> {
    if held.owner == made_by { held.backup } else { Some(held.owner) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(numbers: &[u64]) -> BTreeSet<NodeId> {
        numbers.iter().copied().map(NodeId).collect()
    }

    fn shown(holders: &[Holders]) -> Vec<(u64, Option<u64>)> {
        holders.iter().map(|held| (held.owner.0, held.backup.map(|node| node.0))).collect()
    }

    #[test]
    fn partitions_are_spread_and_go_to_their_backups() {
        let alone = assign(&nodes(&[7]), 2);
        assert_eq!(shown(&alone), [(7, None), (7, None)]);
        let mut held = assign(&nodes(&[1, 2, 3]), 4);
        assert_eq!(shown(&held), [(1, Some(2)), (2, Some(3)), (3, Some(1)), (1, Some(2))]);
        assert!(!reassign(&mut held, &nodes(&[1, 2, 3, 4])));
        assert!(reassign(&mut held, &nodes(&[2, 3])));
        assert_eq!(shown(&held), [(2, Some(3)), (2, Some(3)), (3, Some(2)), (2, Some(3))]);
        assert!(reassign(&mut held, &nodes(&[3])));
        assert_eq!(shown(&held), [(3, None), (3, None), (3, None), (3, None)]);
        // Nobody is up: who knows whether that is so.
        assert!(!reassign(&mut held, &nodes(&[])));
        assert!(reassign(&mut held, &nodes(&[1, 3])));
        assert_eq!(shown(&held)[0], (3, Some(1)));
    }

    #[test]
    fn every_segment_lies_on_two_nodes() {
        for held in assign(&nodes(&[1, 2, 3]), 7) {
            for made_by in [1, 2, 3].map(NodeId) {
                let second = second_copy(held, made_by).unwrap();
                assert_ne!(second, made_by);
                assert!(second == held.owner || made_by == held.owner);
            }
        }
    }
}
