//! Grouping by key: what happens to pairs between a map function and the reduce function that gets
//! them key by key.
//!
//! A [`key`] is a JSON value in a form whose bytes compare as the values do. [`pairs`] come from
//! script workers; those of a page are a [`run`], which is sorted, combined by somebody who gets its
//! [`groups`], and written as one [`segment`] a partition.
//!
//! No network and no runtime: all is plain code that blocks, and others decide where it runs.

pub mod groups;
pub mod key;
pub mod limits;
pub mod pairs;
pub mod run;
pub mod segment;

mod varint;

pub use groups::{Group, Groups};
pub use pairs::{Pair, Pairs};
pub use run::{Run, RunWriter, Sorted};
