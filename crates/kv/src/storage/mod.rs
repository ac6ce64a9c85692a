//! What lies on this node.
//!
//! `vnode` is every access to stored objects; `objects` holds them and makes their changes, to which
//! `stamp` (writes that are coordinated here), `join` (what replicas know) and `graves` (what was
//! deleted) lead. `observe` is told of each, first of all `indexes` and `foreign` (what lies here for
//! others, as `held` knows). Beneath: `actor` (who stamps dots), `commit` (shared syncs), `inflight`
//! (writes that may not have reached all replicas), `recent`, `release` (in which
//! formats are written). `slice` reads pages; `placement` puts
//! old data to its place, `apart` numbers what is no vnode. `node` is all of it, with what this node
//! is made of.

pub(crate) mod actor;
pub(crate) mod apart;
pub(crate) mod commit;
pub(crate) mod foreign;
pub(crate) mod graves;
pub(crate) mod held;
pub(crate) mod indexes;
pub(crate) mod inflight;
pub(crate) mod join;
pub(crate) mod node;
pub(crate) mod objects;
pub(crate) mod observe;
pub(crate) mod placement;
pub(crate) mod recent;
pub(crate) mod release;
pub(crate) mod slice;
pub(crate) mod stamp;
pub(crate) mod vnode;
