//! The bounds of this crate, with their reasons.

use std::ops::Range;
use std::time::Duration;

use mapring_types::Release;

/// Records up to this size, in bytes, are stored in one piece; larger ones as chunks of at most
/// this size beside a small head record. sled rewrites a whole leaf of up to 16 items at a time.
pub const CHUNK_BYTES: usize = 28 << 10;

/// A chunked record's head stays in its head record up to this size, in bytes; a longer one leads
/// its chunks.
pub const INLINE_HEAD_BYTES: usize = 8 << 10;

/// Records up to this size, in bytes, lie in the tree; larger ones have a file of their own. sled's
/// cache keeps 256 leaves of chunks whatever its size is, and a file of less is not worth its making:
/// so much is written as ten chunks.
pub const WITHOUT_FILE_BYTES: usize = 256 << 10;

/// The release of the formats that reads records in files.
pub const FILES_SINCE: Release = Release::JOBS;

/// So many files with consecutive numbers share a directory, and there are so many directories: in
/// one of a million files each look would be slow, and all in one are synced together.
pub const FILES_IN_A_ROW: u64 = 1 << 10;
/// See [`FILES_IN_A_ROW`].
pub const FILE_DIRECTORIES: u64 = 1 << 8;

/// Where nobody waits for a flush: with so many files to be removed the tree is flushed for them.
pub const UNNAMED_FILES: usize = 64;

/// Bytes of a segment of sled's log. Pages above a quarter of it become files of their own, which
/// sled never fsyncs; a leaf of 16 chunks must stay below that. The larger the segments, the more
/// of the disk is waiting to be cleaned.
pub const SEGMENT_BYTES: usize = 2 << 20;

/// How often a read starts again because the object was replaced meanwhile. Then it fails: somebody
/// replaces it without pause.
pub const READ_ATTEMPTS: usize = 16;

/// Records that the memory engine copies out under its lock at a time.
pub const MEMORY_PAGE_RECORDS: usize = 256;

/// Interval of sled's own flusher. Writers flush for themselves; the flusher cleans segments and
/// fsyncs every time.
pub const FLUSHER_INTERVAL: Duration = Duration::from_secs(5);

/// How long a flush may take before its waiters fail: a medium that takes longer is broken.
pub const FLUSH_PATIENCE: Duration = Duration::from_secs(120);

/// How often waiters look whether sled failed: it does not wake a flush for every write error.
pub const FLUSH_LOOK: Duration = Duration::from_millis(100);

/// How long an open waits for whoever holds the store: long enough for a process that is just
/// ending, too short to look like a start that hangs.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How long an open waits for threads of an earlier engine of this process to let go of the files.
pub const REOPEN_PATIENCE: Duration = Duration::from_secs(10);

/// Longest entry of the journal, in bytes: above an object's three names of at most 64 KB each.
pub const JOURNAL_ENTRY_BYTES: usize = 256 << 10;

/// Entries of the journal wait in memory for the next sync up to so many bytes; then they are
/// written at once.
pub const JOURNAL_BUFFER_BYTES: usize = 256 << 10;

/// The share of a disk that is kept free: below it writes are refused, because sled does not survive
/// a failed write, and the metadata lies on the same disk.
pub const SPACE_KEPT_SHARE: u64 = 20;

/// The least and the most bytes kept free: what all writers can write between two looks, and what is
/// enough on a large disk.
pub const SPACE_KEPT_BYTES: Range<u64> = (8 << 20)..(1 << 30);

/// After so many bytes of records it is looked how much is free. sled writes about as much again.
pub const SPACE_LOOK_BYTES: u64 = 1 << 20;

/// How often it is looked, while writes are refused, whether there is room again.
pub const SPACE_LOOK: Duration = Duration::from_millis(100);

/// Bytes of the file that is given up to open the store again on a full disk: a state of all pages
/// and the end of a segment.
pub const SPACE_RESERVE_BYTES: usize = 4 << 20;

/// Damaged databases that may lie set aside in a store. With more, the medium itself is broken, and
/// the node does not begin yet another one.
pub const SET_ASIDE: u32 = 4;

/// Longest file name of a meta value, in bytes.
pub const META_NAME_BYTES: usize = 200;

/// Characters of an object's name shown in an error.
pub const SHOWN_NAME_CHARS: usize = 200;

// A leaf splits above 16 items: with 17 chunks and their keys it must be no file of its own.
const _: () = assert!(18 * CHUNK_BYTES < SEGMENT_BYTES / 4);
const _: () = assert!(INLINE_HEAD_BYTES < CHUNK_BYTES);
const _: () = assert!(CHUNK_BYTES < WITHOUT_FILE_BYTES);

/// The smallest cache that sled works with, in bytes.
pub const LEAST_CACHE_BYTES: u64 = 1 << 20;
