//! Which replicas lack writes.
//!
//! `settle`, `status` and `survey` know it, `handoff` acts on it, `holdings` tells; `integrity`
//! knows whether this node has what it had.

pub(crate) mod handoff;
pub(crate) mod holdings;
pub(crate) mod integrity;
pub(crate) mod settle;
pub(crate) mod status;
pub(crate) mod survey;
