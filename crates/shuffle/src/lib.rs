//! Grouping by key: what happens to pairs between a map function and the reduce function that gets
//! them key by key.
//!
//! A [`key`] is a JSON value in a form whose bytes compare as the values do. [`pairs`] come from
//! script workers.
//!
//! No network and no runtime: all is plain code that blocks, and others decide where it runs.

pub mod key;
pub mod limits;
pub mod pairs;

mod varint;

pub use pairs::{Pair, Pairs};
