//! Bounds that only this crate knows, each with its reason and what happens when it is reached.

use std::time::Duration;

use mapring_types::limits::{LEASE, MESSAGE_BYTES, OBJECT_BYTES, SIBLINGS};

/// A replica that has not answered for so long is suspected: the next fallback is asked as well.
/// Well above a busy node's answer, well below what a user takes for an outage.
pub const HEDGE: Duration = Duration::from_secs(1);

/// Members other than its primaries that are asked for an object before it counts as one that does
/// not exist, where anything is amiss. Those that are known to hold something for the primaries come
/// first, then those that stand in first: a write that none of so many took in a primary's place was
/// made where none of them could be reached.
pub const ABSENCE_ASKED: usize = 8;

/// A replica that has not answered for so long counts as failed, so that a paused node delays a
/// request by less than a lease even where its answer was needed.
pub const REPLICA_PATIENCE: Duration = Duration::from_millis(2_500);

/// How long a node waits for the primary that coordinates a write on its behalf before it tries
/// another: the coordinator itself has answered by then, hedging included.
pub const FORWARD_PATIENCE: Duration = LEASE;

/// Large bodies get this much more time: the slowest network worth waiting for, in bytes a
/// millisecond (4 MB/s).
pub const SLOWEST_BYTES_PER_MS: u64 = 4_096;

/// Largest encoded object that fits one message beside its names, in bytes.
pub const RECORD_BYTES: usize = MESSAGE_BYTES - (1 << 20);

/// Largest object with all its siblings, encoded, that a client's write may make, in bytes, unless
/// the configuration says otherwise (Riak's `max_object_size`). More: refused with `TooLarge`.
pub const MAX_OBJECT_BYTES: usize = OBJECT_BYTES;

/// A write that makes a larger one is logged and counted (Riak's `warn_object_size`).
pub const WARN_OBJECT_BYTES: usize = 5 << 20;

/// Most siblings that a client's write may leave (Riak's `max_siblings`). More: refused with
/// `TooLarge`.
pub const MAX_SIBLINGS: usize = SIBLINGS;

/// A write that leaves more is logged and counted (Riak's `warn_siblings`).
pub const WARN_SIBLINGS: usize = 25;

/// The log tells of such writes so often at most.
pub const WARN_LOG: Duration = Duration::from_secs(1);

/// Objects of more bytes, encoded, go between nodes in pieces of about so many bytes: only merges
/// make them, and such an object in one message would be most of what a node holds for all of them.
pub const PIECE_BYTES: usize = 64 << 20;

/// Objects of more bytes, encoded, are not read whole (`TooLarge`): each replica's answer is held in
/// memory. Their values can be read one by one.
pub const READ_BYTES: usize = RECORD_BYTES;

/// How often the pieces of an object are sent again from the first one on, because the receiver does
/// not have those that it was sent. Then the attempt counts as failed.
pub const PIECE_ATTEMPTS: u32 = 3;

/// For how long a node leaves an object near a limit to the one that decides about it: longer than
/// that one takes to store a write and to bring it here.
pub const LEFT_FOR: Duration = Duration::from_secs(30);

/// Objects that a node leaves to others at a time. Beyond, the oldest are forgotten: then their limits
/// may be overstepped by what comes in at this very moment.
pub const LEFT_OBJECTS: usize = 16_384;

/// How long the one that decides waits for each of the others: one that does not answer is treated
/// like one that is down.
pub const SOLE_PATIENCE: Duration = Duration::from_secs(1);

/// Bodies of more bytes are stored in blocks, unless the configuration says less: what is smaller goes
/// in one message as it always did, and functions of queries get it whole.
pub const WHOLE_BODY_BYTES: usize = OBJECT_BYTES;

/// Largest body, in bytes, unless the configuration says otherwise. Larger: refused with `TooLarge`.
pub const MAX_BODY_BYTES: u64 = 1 << 30;

/// The most that the configuration may say: a number of blocks that one upload can still keep in mind.
pub const MOST_BODY_BYTES: u64 = 1 << 40;

/// Bytes of a block: large enough that its names and its messages do not count, small enough that
/// several of each upload and download are held at once.
pub const BLOCK_BYTES: u32 = 1 << 20;

/// Blocks of an upload that are written at once: their replicas' round trips overlap.
pub const BLOCKS_AT_ONCE: usize = 3;

/// For how long at most a body may be written, and be read after it was replaced, unless the
/// configuration says otherwise. Longer: `Timeout`. 1 GB at 300 kB/s takes as long. Clocks of nodes may
/// differ by about as much before a block counts as left behind whose upload goes on.
pub const BODY_TIME: Duration = Duration::from_secs(3_600);

/// The least that the configuration may say for it.
pub const LEAST_BODY_TIME: Duration = Duration::from_secs(10);

/// How often blocks that no object names are looked for, at most: reads the heads of all blocks of this
/// node. Twice in [`BODY_TIME`] where that is shorter.
pub const COLLECT_TICK: Duration = Duration::from_secs(600);

/// Blocks looked at in one piece of blocking work.
pub const COLLECT_PAGE: usize = 1_000;

/// Uploads of which a round keeps in mind whether their objects name them. Of more it is asked again.
pub const COLLECT_UPLOADS: usize = 10_000;

/// Uploads that are known to be named by no object and wait to be removed. More wait for later rounds.
pub const COLLECT_WAITING: usize = 100_000;

const _: () = assert!((BLOCK_BYTES as usize) < PIECE_BYTES && WHOLE_BODY_BYTES <= OBJECT_BYTES);
const _: () = assert!(MAX_BODY_BYTES <= MOST_BODY_BYTES);

// One value fits a piece with all that it carries, and a piece a message.
const _: () = assert!(OBJECT_BYTES < PIECE_BYTES && PIECE_BYTES < RECORD_BYTES);
// What may be written can be read, and its coordinator can give it back.
const _: () = assert!(MAX_OBJECT_BYTES <= READ_BYTES && READ_BYTES <= RECORD_BYTES);
const _: () = assert!(WARN_OBJECT_BYTES <= MAX_OBJECT_BYTES && WARN_SIBLINGS <= MAX_SIBLINGS);

/// Locks that serialise the changes of one object; two objects share one by chance.
pub const STRIPES: usize = 1_024;

/// Writes remembered by their id, so that a repeated request is not stored twice. The oldest is
/// forgotten; a repetition that late makes a sibling.
pub const RECENT_WRITES: usize = 8_192;

/// Objects of requests that go on in the background after their answer (late replicas, read
/// repair), in units of [`TAIL_UNIT_BYTES`]: 256 MB in all. At the bound a write answers only when
/// all replicas have settled, and a read does not wait for late replicas.
pub const TAIL_UNITS: usize = 16_384;

/// See [`TAIL_UNITS`]: a small request counts as one unit, for what it needs beside its object.
pub const TAIL_UNIT_BYTES: usize = 16 << 10;

/// Read repairs under way at once. More are dropped and counted: a later read repairs.
pub const REPAIRS: usize = 256;

/// How often a hint of a write that a primary missed is tried to be kept (the queue of blocking
/// work may be full for a moment). Then the miss is logged and counted, and the write counts as
/// unsettled until the hint is kept after all.
pub const HINT_ATTEMPTS: u32 = 3;

/// Tombstones that wait to be reaped. More are dropped and counted: a later read of the tombstone
/// schedules it again.
pub const REAPS: usize = 65_536;

/// Reaps tried at once.
pub const REAPS_AT_ONCE: usize = 16;

/// How often a tombstone that could not be reaped is tried again before it is left to a read.
pub const REAP_ATTEMPTS: u32 = 5;

/// Graves that a node keeps, some 100 bytes each on disk. Beyond, the oldest are removed: an older
/// copy of a replica can then bring back what was deleted before.
pub const GRAVES: usize = 1_000_000;

/// How often it is looked whether graves are too old or too many: reads all of them.
pub const GRAVES_TICK: Duration = Duration::from_secs(600);

/// How long the grave of a tombstone is kept at least, whatever is configured: requests that are under
/// way when it is reaped must find it. And the default: longer than a copy of a data directory that is
/// put back should be old.
pub const GRAVES_KEPT: (Duration, Duration) =
    (Duration::from_secs(600), Duration::from_secs(30 * 24 * 60 * 60));

/// How often due tombstones are looked for.
pub const REAP_TICK: Duration = Duration::from_secs(1);

/// How often a node looks for data that belongs to other nodes (Riak's vnode manager: 10 s), when
/// no change of the view brings it to look sooner.
pub const HANDOFF_TICK: Duration = Duration::from_secs(10);

/// How often a node asks, after its start, whether others hold data for it; and how soon it tries
/// again to hand data over to a node that seems to be up and did not take it.
pub const CATCH_UP_TICK: Duration = Duration::from_secs(1);

/// Objects read and sent back at once by hand-off.
pub const HANDOFF_OBJECTS: usize = 64;

/// Slices of a listing asked at once.
pub const SLICES_AT_ONCE: usize = 8;

/// How often a listing's slice is tried on another replica before the listing fails.
pub const SLICE_ATTEMPTS: u32 = 5;

/// How long one page of a listing may take on a replica.
pub const PAGE_PATIENCE: Duration = LEASE;

/// Keys or bucket names in one page of a listing.
pub const LIST_PAGE: usize = 1_000;

/// Heads looked at for one page of bucket names: bounds the work of a page over tombstones.
pub const LIST_PAGE_HEADS: usize = 20_000;

/// Hits in one page of an index of one partition.
pub const ENTRY_PAGE: usize = 1_000;

/// See [`ENTRY_PAGE`]: bytes of their places. With the most partitions there are 64 MB of them while all
/// are merged.
pub const ENTRY_PAGE_BYTES: usize = 64 << 10;

/// Pages of an index with so few hits are read in the caller's thread: they cost less than another thread.
pub const ENTRY_SHORT: usize = 64;

/// A page of a census ends where so many bytes are to be read of data types in several values, which have to
/// be joined to be counted as one: some tens of milliseconds of work.
pub const CENSUS_JOIN_BYTES: u64 = 4 << 20;

/// Entries looked at for one page of a fold: bounds the work of a page over keys that a test refuses.
pub const FOLD_PAGE_ENTRIES: u64 = 20_000;

/// A page of a fold whose keys are tested ends after so long. Far more than the test of any usual key
/// takes.
pub const FOLD_TEST_TIME: Duration = Duration::from_secs(1);

/// Stale index entries removed by one page of a fold. More, which only many crashes leave, stay for
/// the next one.
pub const FOLD_SWEEPS: usize = 1_000;

/// Entries looked at for the first page of a fold over a range, which may be read in the caller's
/// thread: many ranges hold no more in a partition, and they cost less than another thread.
pub const FOLD_SHORT_ENTRIES: u64 = 32;

/// Pages of names and clocks asked of one replica for one page of a fold that merges replicas: as
/// many as this node's own page may have looked at.
pub const FOLD_CLOCK_PAGES: usize = FOLD_PAGE_ENTRIES as usize / REPAIR_PAGE;

/// Objects read from their replicas at once, for one page of a fold that merges replicas, where
/// these do not agree.
pub const FOLD_READS: usize = 8;

/// How long a listing or query waits for hand-off when no replica of a partition is complete.
pub const COVERAGE_PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks meanwhile.
pub const COVERAGE_TICK: Duration = Duration::from_millis(250);

/// When a query has waited so long for a plan, the log says once for what.
pub const COVERAGE_TOLD: Duration = Duration::from_secs(1);

/// How long it waits for so many nodes to answer that no acknowledged write can be missed.
pub const MAJORITY_PATIENCE: Duration = Duration::from_millis(2_500);

/// How long a node may take to a plain question before it counts as not heard.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// How long a node that is thought to be gone may take to say otherwise, before others recover
/// what it had under way: the time of a query that meets a fault is longer by this.
pub const ALIVE_PATIENCE: Duration = Duration::from_millis(200);

/// How often a node tells the others which of its writes have settled, at most: bounds what they
/// remember, and recover should it end.
pub const STATUS_TICK: Duration = Duration::from_millis(100);

/// How often it tells them when nothing has changed.
pub const STATUS_REFRESH: Duration = Duration::from_secs(5);

/// How soon it tries again when somebody could not be told, and looks for in-doubt writes.
pub const STATUS_RETRY: Duration = Duration::from_secs(1);

/// How often a stopping node looks whether all have been told.
pub const PART_LOOK: Duration = Duration::from_millis(20);

/// Writes of others remembered until they have settled, at most: some 50 MB. More are refused with
/// `Overloaded`; the coordinator keeps hints for this node.
pub const IN_FLIGHT_WRITES: usize = 262_144;

/// Bytes of a segment of the journal: read at a start, removed as a whole.
pub const SEGMENT_BYTES: usize = 1 << 20;

/// How long writes of a node that is gone are left to be asked for by a query before they are
/// recovered unasked.
pub const RECOVER_AFTER: Duration = Duration::from_secs(2);

/// Writes remembered for so long are recovered whatever their coordinator does: no write takes as
/// long to settle.
pub const IN_FLIGHT_AGE: Duration = Duration::from_secs(20);

/// Writes recovered in one piece of blocking work.
pub const RECOVER_WRITES: usize = 256;

/// How often a node counts what it holds for others, to show it.
pub const HOLDINGS_TICK: Duration = Duration::from_secs(5);

/// Objects counted then, at most. More are told as at least so many.
pub const HOLDINGS_COUNTED: u64 = 100_000;

/// How long a stop waits for requests that go on in the background.
pub const STOP_PATIENCE: Duration = Duration::from_secs(10);

// A fallback that was asked late still answers before the forwarder gives up.
const _: () = assert!(
    HEDGE.as_millis() + REPLICA_PATIENCE.as_millis() < FORWARD_PATIENCE.as_millis(),
    "a coordinator answers before its caller gives up"
);
// The largest object can go on in the background.
const _: () = assert!(TAIL_UNITS * TAIL_UNIT_BYTES >= MESSAGE_BYTES);

/// The units of [`TAIL_UNITS`] that an object of `bytes` takes.
pub fn tail_units(bytes: usize) -> u32 {
    u32::try_from(1 + bytes / TAIL_UNIT_BYTES).unwrap_or(u32::MAX)
}

/// How often a node looks whether it stands still.
pub const PAUSE_TICK: Duration = Duration::from_millis(500);

/// A gap between two looks that means it stood still: below [`FORWARD_PATIENCE`], after which others
/// make the writes that they had passed to it, and well above what a busy machine does.
pub const PAUSE: Duration = Duration::from_secs(3);

/// For how long after it a node coordinates no writes for others: until what lay in its sockets has
/// been read.
pub const AFTER_PAUSE: Duration = Duration::from_secs(1);

/// How far the clocks of two nodes may differ without a write that is passed on being taken for old.
pub const CLOCK_GRACE: Duration = Duration::from_millis(500);

const _: () = assert!(PAUSE.as_millis() + PAUSE_TICK.as_millis() < FORWARD_PATIENCE.as_millis());

/// The time that `bytes` may take on the slowest network worth waiting for.
pub fn transfer(bytes: usize) -> Duration {
    Duration::from_millis(bytes as u64 / SLOWEST_BYTES_PER_MS)
}

/// How long after its deadline a write waits for the storage of its own node, whose own answer says
/// more than that the time is up.
pub const STORAGE_GRACE: Duration = Duration::from_millis(100);

/// Names and clocks in one page of a comparison with another replica: a page of empty objects
/// takes a few milliseconds to read.
pub const REPAIR_PAGE: usize = 1_000;

/// Objects that a repair names of those that only one replica had.
pub const KEPT_NAMED: usize = 20;

/// See [`REPAIR_PAGE`]: about so many bytes.
pub const REPAIR_PAGE_BYTES: usize = 1 << 20;

/// How often a node looks whether it lacks something, when nothing brings it to look sooner.
pub const INTEGRITY_TICK: Duration = Duration::from_secs(1);

/// How long a node waits after its start until the metadata has said whether its data directory is
/// the last one. Then it serves what it has, and writes as a new actor.
pub const CONFIRM_PATIENCE: Duration = Duration::from_secs(3);

/// How long it goes on asking the members that do not answer how far they remember its data to have
/// been: nodes that are started at the same time. Whom it has not heard then it asks later, beside its
/// work. Shorter than [`CONFIRM_PATIENCE`], so that the last question can still be answered.
pub const RECALL_PATIENCE: Duration = Duration::from_secs(1);

const _: () = assert!(
    RECALL_PATIENCE.as_millis() + PROBE_PATIENCE.as_millis() <= CONFIRM_PATIENCE.as_millis()
);

/// How often it asks meanwhile.
pub const CONFIRM_TICK: Duration = Duration::from_millis(50);

/// Numbers of starts that the metadata has not confirmed. With more the oldest unconfirmed one is
/// forgotten; was it the one that counts, the node is filled again without need.
pub const UNCONFIRMED_STARTS: usize = 16;

/// Largest record that counts as short work, in bytes: what is larger is stored in chunks.
pub const SHORT_BYTES: usize = 32 << 10;

/// Most index terms of a value whose write counts as short work: each is a write of its own.
pub const SHORT_TERMS: usize = 100;

/// Largest head of an object that comes from another replica and is short work to join, in bytes: a
/// longer one may hold many index terms.
pub const SHORT_HEAD_BYTES: usize = 8 << 10;

/// Storage work in a thread of the reactor that takes so long has met a disk that is slow or stands
/// still (a page that is in memory takes microseconds, and to be preempted costs some milliseconds):
/// for a while all work goes to the pool …
pub const LONG_INLINE: Duration = Duration::from_millis(20);

/// … namely for so many times as long as it took …
pub const GATE_FACTOR: u32 = 5;

/// … but never for longer than this.
pub const GATE_LONGEST: Duration = Duration::from_secs(5);

/// How often a thread of the reactor looks again, some microseconds in all, when as many others as
/// may be are in the storage: most of the time one of them is about to leave it, and to pass the work
/// to the pool costs more.
pub const GATE_LOOKS: u32 = 64;

/// How soon it is tried again to have the group commit led, when the queue of blocking work is full.
pub const LEAD_RETRY: Duration = Duration::from_millis(10);

/// The last minute of a figure is kept in slots of this length: what is told of it is of at most so
/// much less than a minute.
pub const MINUTE_SLOT: Duration = Duration::from_secs(5);

/// So many slots are a minute.
pub const MINUTE_SLOTS: usize = 12;

const _: () = assert!(MINUTE_SLOT.as_secs() * MINUTE_SLOTS as u64 == 60);

/// Values up to this are told apart in the last minute of a figure, larger ones count as it: a day in
/// microseconds, a large body in bytes. With [`MINUTE_DIGITS`] a slot has 4,000 counters of 4 bytes.
pub const MINUTE_HIGHEST: u64 = 1 << 37;

/// Digits to which percentiles are exact.
pub const MINUTE_DIGITS: u8 = 2;
