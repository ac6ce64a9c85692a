//! Bounds of data types, each with its reason and what happens when it is reached.
//!
//! What is read from disk or from a peer is bounded by its bytes, which the size of objects bounds: each
//! entry takes some. Merges are never refused.

/// Maps within maps. Deeper: 400. Reading them takes the stack of a thread.
pub const DEPTH: usize = 32;

/// Elements, fields, dots and deferred removals of one data type, counted together: each operation reads
/// and writes all of them. An operation that would leave more, and more than before, is refused.
pub const ENTRIES: usize = 500_000;

/// Longest name of a field, in bytes, as that of a key. Longer: 400.
pub const NAME_BYTES: usize = mapring_types::limits::KEY_BYTES;

/// Lowest and highest precision of a HyperLogLog (Riak's): it has two to the power of it registers, of a
/// byte each.
pub use mapring_types::limits::HLL_PRECISION as PRECISION;

// An operation names fields as deep as they may lie, and the parser of JSON goes no deeper.
const _: () = assert!(2 * DEPTH < 127);
