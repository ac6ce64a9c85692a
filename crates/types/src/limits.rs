//! Every bound that holds across crates, with its reason and what happens when it is reached.
//!
//! Bounds that only one crate knows stand in that crate's own `limits` module.

use std::time::Duration;

/// Longest bucket type, bucket or key, in bytes (Riak's limit for keys). Longer: refused with 400.
pub const KEY_BYTES: usize = 65_536;

/// Largest object body over HTTP, in bytes (Riak's `object.size.maximum`). Larger: refused with
/// 413, nothing stored.
pub const OBJECT_BYTES: usize = 50 << 20;

/// Most siblings of one object unless the configuration says otherwise (Riak's
/// `object.siblings.maximum`). A write that would make more is refused.
pub const SIBLINGS: usize = 100;

/// Longest `X-Riak-Vclock` header, in bytes. Longer: refused with 400.
pub const VCLOCK_HEADER_BYTES: usize = 64 << 10;

/// Largest body of a `POST /mapred`, in bytes. Larger: refused with 413.
pub const QUERY_BYTES: usize = 64 << 20;

/// Largest message of a unary node-to-node call, in bytes; larger bodies travel as streams.
pub const UNARY_BYTES: usize = 256 << 10;

/// Largest message of any kind between nodes, in bytes: any one value must fit, and no peer may make
/// a node buffer more. Larger: the call fails.
pub const MESSAGE_BYTES: usize = 256 << 20;

/// A page of a scan, a listing or a unit of work ends at the first of these bounds.
pub const PAGE_INPUTS: usize = 1_000;

/// See [`PAGE_INPUTS`]: bytes of objects read into one page.
pub const PAGE_BYTES: usize = 1 << 20;

/// How long a request may take when it does not say (Riak's default).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a listing of buckets may take when the request does not say (Riak's default).
pub const LIST_BUCKETS_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest `timeout` that a request can ask for; a longer one is cut to this.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long a node may be silent before its work is given to another: the bound on what a paused
/// or cut-off node can delay.
pub const LEASE: Duration = Duration::from_secs(4);

/// How much of somebody's text an error message repeats, in characters (Riak: 500).
pub const QUOTED_CHARS: usize = 500;

/// Lowest and highest `n_val`.
pub const N_VAL: std::ops::RangeInclusive<u32> = 1..=64;

/// Lowest and highest precision of a HyperLogLog, as in Riak.
pub const HLL_PRECISION: std::ops::RangeInclusive<u8> = 4..=16;

/// Most index terms of an object that a client or a hook gives: each is a write of its own, made under the
/// object's lock.
pub const INDEX_TERMS: usize = 1_000;

/// Most functions that a bucket has called before its writes, and as many after them.
pub const HOOKS: usize = 16;

/// Lowest and highest number of partitions; always a power of two.
pub const RING_SIZE: std::ops::RangeInclusive<u16> = 8..=1024;

// A key-value pair must fit into one unary message with room for its names.
const _: () = assert!(UNARY_BYTES > 3 * KEY_BYTES);
const _: () = assert!(MESSAGE_BYTES > OBJECT_BYTES);
const _: () = assert!(PAGE_BYTES < MESSAGE_BYTES);
