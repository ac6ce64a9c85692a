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

/// Longest segment, in bytes: a page of a run makes much shorter ones, and a merge of all that a
/// partition has is as long as its disk.
pub const SEGMENT_BYTES: u64 = 1 << 40;

/// Pieces of a segment are put together in memory up to so many bytes, so that files get few and
/// long writes.
pub const PART_BYTES: usize = 1 << 20;

/// What a segment needs of memory beside its bytes, about: its name, its place in the list, its
/// parts.
pub const SEGMENT_MEMORY: u64 = 256;

/// When memory is used up, at the least so many bytes of it are written to a file.
pub const SPILL_BYTES: u64 = 8 << 20;

/// Largest index of a saved query, in bytes: of some millions of segments. It is read at once.
pub const INDEX_BYTES: u64 = 128 << 20;

/// Memory of a node for the segments of all queries unless the configuration says otherwise, in
/// bytes.
pub const STORE_MEMORY_BYTES: u64 = 256 << 20;

/// Disk of a node for the segments of all queries unless the configuration says otherwise, in bytes.
pub const STORE_DISK_BYTES: u64 = 64 << 30;

/// Most segments that a merge reads at once: a block of each is in memory, and each record costs a
/// comparison for every doubling.
pub const MERGE_SEGMENTS: usize = 256;

/// Memory of a merge for reading its segments, in bytes: as many blocks of the usual size as it may
/// read segments, twice, and room for some that are longer.
pub const MERGE_BYTES: u64 = 32 << 20;

const _: () = assert!(MERGE_BYTES > 2 * (MERGE_SEGMENTS * BLOCK_BYTES) as u64);
