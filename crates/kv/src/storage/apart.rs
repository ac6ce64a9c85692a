//! Trees of a node's storage that hold no vnode's objects, beside those that do.
//!
//! The engine keeps one ordered map for each number. Those below [`FIRST`] are the ring's vnodes; the
//! others belong to the node itself, are met by no scan of objects and handed to nobody.

use mapring_ring::Partition;
use mapring_types::limits::RING_SIZE;

/// The numbers from here on are no vnodes.
const FIRST: u16 = 0x8000;

const _: () = assert!(*RING_SIZE.end() < FIRST);

/// What remains of the reaped tombstones of a vnode.
pub(crate) fn graves(vnode: Partition) -> u16 {
    FIRST | vnode.0
}

/// How far the data of the other members was.
pub(crate) const EXTENTS: u16 = u16::MAX;

/// Whether the map of a number holds the objects of a vnode.
pub(crate) fn is_vnode(number: u16) -> bool {
    number < FIRST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_means_two_things() {
        let vnodes = (0..*RING_SIZE.end()).map(Partition);
        assert!(vnodes.clone().all(|vnode| is_vnode(vnode.0)));
        assert!(vnodes.map(graves).all(|number| !is_vnode(number) && number != EXTENTS));
        assert!(!is_vnode(EXTENTS));
    }
}
