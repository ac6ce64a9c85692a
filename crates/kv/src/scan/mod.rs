//! Reading many objects: `fold` is what is asked and given, `select` and `names` read pages of one
//! replica, `merge` those of several, `page` chooses; `coverage` finds complete replicas, `slices` reads
//! one of each; `list` walks the ring for names, `entries` for the hits of an index in their order,
//! `census` for what objects are like; `watched` counts these.

pub(crate) mod census;
pub(crate) mod coverage;
pub(crate) mod entries;
pub(crate) mod fold;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod names;
pub(crate) mod page;
pub(crate) mod select;
pub(crate) mod slices;
pub(crate) mod watched;
