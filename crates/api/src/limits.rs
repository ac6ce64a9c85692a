//! Bounds of what a node does for its clients, each with its reason.

/// Functions that run after writes at once, over all of a node's buckets: who writes more waits.
pub const AFTER_AT_ONCE: usize = 64;
