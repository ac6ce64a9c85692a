//! What lies on this node.
//!
//! `vnode` is every access to stored objects, with `actor` (who stamps dots), `commit` (shared syncs),
//! `graves` (what was deleted), `recent`, `indexes` and `inflight` (writes that may not have
//! reached all replicas) beneath it; `placement` puts old data to its place, `apart` numbers what
//! is no vnode.

pub(crate) mod actor;
pub(crate) mod apart;
pub(crate) mod commit;
pub(crate) mod graves;
pub(crate) mod indexes;
pub(crate) mod inflight;
pub(crate) mod placement;
pub(crate) mod recent;
pub(crate) mod vnode;
