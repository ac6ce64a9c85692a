//! Reading many objects: `fold` and `select` read pages of one replica, `merge` those of several;
//! `coverage` chooses complete replicas, `list` walks the ring.

pub(crate) mod coverage;
pub(crate) mod fold;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod select;
