//! Reading many objects: `fold` is what is asked and given, `select` and `names` read pages of one
//! replica, `merge` those of several, `page` chooses; `coverage` finds complete replicas, `list`
//! walks the ring.

pub(crate) mod coverage;
pub(crate) mod fold;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod names;
pub(crate) mod page;
pub(crate) mod select;
