//! Bounds that only grouping knows, with their reasons. Those that hold across crates stand in
//! [`mapring_types::limits`].

use mapring_types::limits;

/// Longest key of a group, in bytes of its canonical form: as long as a key of an object may be,
/// since groups are often stored under their keys. Every segment that is merged holds one or two.
pub const KEY_BYTES: usize = limits::KEY_BYTES;

/// Deepest nesting of arrays and objects in a key: what most readers of JSON read.
pub const KEY_NESTING: usize = 128;

/// Largest exponent of ten of a number in a key, up or down. No text of a key has more digits.
pub const NUMBER_EXPONENT: i64 = 1_000_000_000;

/// Longest value of a pair, in bytes of its JSON: an object of the largest size that needs few
/// escapes.
pub const VALUE_BYTES: usize = 64 << 20;

const _: () = assert!(VALUE_BYTES > limits::OBJECT_BYTES);
const _: () = assert!(VALUE_BYTES + KEY_BYTES < limits::MESSAGE_BYTES);
// An exponent, moved by the place of the point, is still one that four bytes hold.
const _: () = assert!(NUMBER_EXPONENT + 2 * (KEY_BYTES as i64) < i32::MAX as i64);

/// Longest order of a record, and longest prefix of a segment, in bytes: some numbers, not a text.
pub const ORDER_BYTES: usize = 1_024;

/// A block of a segment is full with so many bytes of records: long enough to compress well, short
/// enough for hundreds of them to be in memory when they are merged.
pub const BLOCK_BYTES: usize = 32 << 10;

const _: () = assert!(ORDER_BYTES < u16::MAX as usize);
const _: () = assert!(2 * (VALUE_BYTES + KEY_BYTES + BLOCK_BYTES) < u32::MAX as usize);
