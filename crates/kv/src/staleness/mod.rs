//! Which replicas lack writes.
//!
//! `settle` counts the writes that this node coordinates, `status` is what members say of theirs,
//! and `integrity` whether this node has what it once had; `state` is what this node knows of all.
//! `tell` spreads it, `recover` brings in-doubt writes on, `survey` asks all; `handoff` acts on it,
//! `losses` declares what is lost, `holdings` shows; `progress` is how far the filling of a node
//! is.

pub(crate) mod handoff;
pub(crate) mod holdings;
pub(crate) mod integrity;
pub(crate) mod losses;
pub(crate) mod progress;
pub(crate) mod recover;
pub(crate) mod settle;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod survey;
pub(crate) mod tell;
