//! Requests of single objects.
//!
//! `options` is what they ask for, `terms` what a write is made on. `quorum` decides, `pending` is
//! waited for, `read` and `pieces` read a replica; `get`, `put`, `coordinate` and `delete` do the work,
//! with `sole`, who decides near a bound. `absence` knows whether what was not found does not exist,
//! from what is known `around`; `other_primaries` looks for what a replica lacks; `reap` removes the
//! deleted objects that `reaper` has noted. Large bodies are written by `upload`, read by `download`, and
//! `collect` removes what of them no object names. `own` is for what the program keeps for itself.
//! `requests` is what all of them stand on.

pub(crate) mod absence;
pub(crate) mod around;
pub(crate) mod collect;
pub(crate) mod coordinate;
pub(crate) mod delete;
pub(crate) mod download;
pub(crate) mod get;
pub(crate) mod options;
pub(crate) mod other_primaries;
pub(crate) mod own;
pub(crate) mod pending;
pub(crate) mod pieces;
pub(crate) mod put;
pub(crate) mod quorum;
pub(crate) mod read;
pub(crate) mod reap;
pub(crate) mod reaper;
pub(crate) mod requests;
pub(crate) mod sole;
pub(crate) mod terms;
pub(crate) mod upload;
