//! The side of MapReduce that holds the data: lanes, run beside the objects that they read.

mod call_size;
mod combine;
mod groups;
mod lane;
mod living;
mod outcome;
mod page;
mod pairs;
mod permits;
mod prereduce;
mod read;
mod refine;
mod resources;
mod serve;
mod units;
mod work;

pub(crate) use pairs::{PairsError, StoredRun, fetch, keep, run_of_rows};
pub(crate) use permits::NodePermits;
pub(crate) use resources::Node;
pub(crate) use serve::{EndOnDrop, serve};
