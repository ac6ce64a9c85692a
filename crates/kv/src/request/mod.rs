//! Requests of single objects.
//!
//! `quorum` decides, `pending` is waited for. `get` reads; `put` chooses who coordinates a write and
//! `coordinate` does, on the `terms` that the bucket's properties make; `delete` is both. `pieces` are of
//! objects too large for one message, `sole` is who decides near a bound; `absence` knows whether what
//! was not found does not exist, `other_primaries` looks for what a replica lacks; `reap` removes what
//! was deleted.

pub(crate) mod absence;
pub(crate) mod coordinate;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod other_primaries;
pub(crate) mod pending;
pub(crate) mod pieces;
pub(crate) mod put;
pub(crate) mod quorum;
pub(crate) mod reap;
pub(crate) mod sole;
pub(crate) mod terms;
