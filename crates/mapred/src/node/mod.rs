//! The side of MapReduce that holds the data: lanes, run beside the objects that they read.

mod budget;
mod call_size;
mod combine;
mod groups;
mod handler;
mod lane;
mod living;
mod outcome;
mod page;
mod pairs;
mod permits;
mod prereduce;
mod read;
mod reading;
mod refine;
mod resources;
mod roots;
mod serve;
mod shards;
mod spread;
mod units;
mod work;

pub(crate) use combine::Beside;
pub(crate) use outcome::PairsError;
pub(crate) use pairs::{StoredRun, fetch, keep, lacks, run_of_rows, save};
pub(crate) use permits::NodePermits;
pub(crate) use resources::Node;
pub(crate) use roots::Roots;
pub(crate) use serve::{EndOnDrop, serve};
