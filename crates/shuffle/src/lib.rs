//! Grouping by key: what happens to pairs between a map function and the reduce function that gets
//! them key by key.
//!
//! A [`key`] is a JSON value in a form whose bytes compare as the values do. [`pairs`] come from
//! script workers; those of a page are a [`run`], which is sorted, combined by somebody who gets its
//! [`groups`], and written as one [`segment`] a partition. Segments lie in a [`store`], in memory and
//! in files, and a [`merge`] of all those of a partition gives its groups.
//!
//! No network and no runtime: all is plain code that blocks, and others decide where it runs.

pub mod groups;
pub mod key;
pub mod limits;
pub mod merge;
pub mod pairs;
pub mod run;
pub mod segment;
pub mod store;

mod packed;
mod varint;

pub use groups::{Group, Groups};
pub use merge::{Merge, MergeBounds};
pub use pairs::{Pair, Pairs};
pub use run::{Run, RunWriter, Sorted};
pub use store::{Keeps, SegmentId, Store, StoreConfig};
