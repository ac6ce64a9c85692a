//! Bounds that only MapReduce knows, with their reasons. Those that hold across crates stand in
//! [`mapring_types::limits`].

use std::time::Duration;

use mapring_types::limits;

/// Deepest nesting of arrays and objects in a query. Deeper: refused with 400. serde_json refuses
/// to look into values nested deeper than 127, and no function needs a tenth of it.
pub const NESTING: usize = 100;

/// Most phases of a query. More: refused with 400. Each phase costs the coordinator a queue.
pub const PHASES: usize = 64;

/// The `timeout` of a query that does not say (Riak's default).
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest `name` of a query, in bytes: it becomes a part of names of objects and is shown in lists.
pub const QUERY_NAME_BYTES: usize = 256;

/// Longest `content_type` of objects that a query writes.
pub const CONTENT_TYPE_BYTES: usize = 256;

/// Most index terms, and most user metadata, that a query gives the objects that it writes.
pub const OUTPUT_TERMS: usize = 100;

/// Least `max_bytes` of the objects that a query writes: of smaller ones there would be too many.
pub const SEGMENT_BYTES: u64 = 1 << 10;

/// Writes of functions that are applied together when a query does not say: their number and bytes.
pub const WRITE_BATCH: (usize, usize) = (100, 1 << 20);

/// The most that a query can say of [`WRITE_BATCH`].
pub const LARGEST_WRITE_BATCH: (usize, usize) = (1_000, 4 << 20);

/// Writes of a query that are made at once, of a batch of functions' writes or of its outputs.
pub const WRITES_AT_ONCE: usize = 16;

/// Objects of an output that are put together before they are written …
pub const OBJECTS_AT_ONCE: usize = 256;

/// … unless they have so many bytes sooner; one may be larger.
pub const OBJECTS_BYTES: usize = 4 << 20;

/// How long the first try of a write of a query may take. Each further one may take twice as long.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is tried again.
pub const WRITE_RETRIES: u32 = 3;

/// How long the first further try is waited with, so that a node that is lost is known to be; each
/// further one twice as long.
pub const WRITE_PAUSE: Duration = Duration::from_millis(500);

/// Batches of functions' writes that a query has under way at once.
pub const WRITE_BATCHES: usize = 4;

/// While so many bytes of functions' writes wait, a query accepts no further pages.
pub const WRITES_AHEAD_BYTES: usize = 8 << 20;

/// See [`WRITES_AHEAD_BYTES`]: their number.
pub const WRITES_AHEAD: usize = 10_000;

/// Most names that a query counts. More: it fails, since names made of data would fill the memory.
pub const COUNTERS: usize = 1_000;

/// Lines of `log` that a query may write to the node's log; of more only their number is.
pub const QUERY_LOG_LINES: u64 = 1_000;

/// Inputs that a query with `on_error` leaves out when it does not say: more, and it fails.
pub const SKIPPED: u64 = 1_000;

/// Reports of left-out inputs that a query keeps until its client has taken them; of more only the
/// number is known.
pub const SKIPPED_KEPT: usize = 1_000;

/// See [`SKIPPED_KEPT`]: bytes.
pub const SKIPPED_KEPT_BYTES: usize = 1 << 20;

/// How long another node may take to tell its queries, or to end one.
pub const TELL_PATIENCE: Duration = Duration::from_secs(2);

/// Most queries that a node tells another of, so that the answer stays one message.
pub const TOLD_QUERIES: usize = 100;

/// Most queries that wait for their turn to be coordinated. More: they fail at once.
pub const WAITING_QUERIES: usize = 4_096;

/// Batches of kept results that wait for the client; when either bound is reached, the phases that
/// make them are held back.
pub const RESULTS_AHEAD: usize = 4;

/// See [`RESULTS_AHEAD`]: bytes.
pub const RESULTS_AHEAD_BYTES: usize = 2 << 20;

/// A batch of kept results ends at so many bytes; one value may be larger.
pub const RESULTS_BYTES: usize = 1 << 20;

/// A phase's waiting inputs at the coordinator; when either bound is passed, the phase before it is
/// held back until it is no longer.
pub const QUEUE_INPUTS: usize = 8_192;

/// See [`QUEUE_INPUTS`]: bytes of inputs.
pub const QUEUE_BYTES: usize = 4 << 20;

/// Most inputs of a batch sent to one node: what a lost node costs to be run again.
pub const BATCH_INPUTS: usize = 500;

/// See [`BATCH_INPUTS`]: bytes of names and key data, so that a request stays one message.
pub const BATCH_BYTES: usize = limits::UNARY_BYTES / 2;

/// Most shards that a query may ask for. More: refused with 400. Each of a grouped query gives at least
/// one of [`RUNS`].
pub const SHARDS: u64 = 4_096;

/// Shards, or partitions of groups, of which each gives an object, where the query does not say: as many
/// as in App Engine, and the same for any number of nodes.
pub const OUTPUT_SHARDS: u32 = 8;

/// Shards of inputs that are made or lie within objects, a node, where the query does not say: enough to
/// keep its lanes busy when some take longer than others.
pub const SHARDS_PER_NODE: u64 = 8;

/// What a shard is worth at the least, where the query does not say how many there are: so many generated
/// items, …
pub const SHARD_ITEMS: u64 = 250;

/// … so many objects of which some are taken apart, …
pub const SHARD_OBJECTS: u64 = 8;

/// … or so many bytes of one.
pub const SHARD_BYTES: u64 = 1 << 20;

/// What a shard is worth at the most, in bytes of an object that can be divided, where the query does not
/// say: what a lost node costs to be read again from the last page on.
pub const LARGEST_SHARD_BYTES: u64 = 32 << 20;

/// Most parts of a list of inputs (`concat`). More: refused with 400. Each is planned by itself.
pub const SOURCE_PARTS: usize = 1_000;

/// Bytes of the names of objects whose contents are taken apart, or of buckets. More: the query fails,
/// and says so. The coordinator holds them.
pub const LISTED_BYTES: usize = 64 << 20;

/// Objects that are opened at once to learn how long they are.
pub const OPENED_AT_ONCE: usize = 16;

/// Objects that a node has open at once for shards. Others wait: one whose bytes are not in blocks is held
/// whole.
pub const OPEN_ROOTS: usize = 8;

/// What a reader is fed at once, in bytes.
pub const FEED_BYTES: usize = 256 << 10;

/// Length of random texts, where the query does not say.
pub const RANDOM_LENGTH: u64 = 10;

/// Most objects that a query's own writer gives text for: their names go to it and back with each call.
pub const WRITER_NAMES: usize = 1_000;

/// Keys whose partitions a query's own function chooses in one call.
pub const SPREAD_KEYS: usize = 2_000;

/// Largest state of a reader, and of a writer, in characters of JSON: a reader's travels with every page.
pub const STATE_CHARACTERS: usize = 16 << 10;

/// What a reader gives in one call takes so many milliseconds at the most, unless one item alone takes
/// longer.
pub const READ_MS: u64 = 100;

/// Readers under way that a worker keeps, each where its last call stood: as many as shards that one
/// phase has on a node at once, and some that were given up.
pub const READERS_KEPT: usize = 2 * LANES_PER_NODE;

/// Items of a shard of a reader that are told apart by samples.
pub const READER_ITEMS_BITS: u32 = 40;

/// Streams that one phase of one query keeps open to one node at once.
pub const LANES_PER_NODE: usize = 4;

/// Streams that a node serves at once for all queries. More: refused as overloaded, tried again.
pub const LANES: usize = 4_096;

/// Values pushed into a reduce at once.
pub const REDUCE_INPUTS: usize = 1_000;

/// See [`REDUCE_INPUTS`]: bytes of values.
pub const REDUCE_BYTES: usize = 1 << 20;

/// Up to so many values a page is not reduced without being asked for: it would spare little, and
/// small queries make the very calls that Riak makes.
pub const FEW_VALUES: usize = mapring_script::limits::COMBINED_VALUES;

/// How often in a row a pre-reduce that was not worth it is not even tried, at most.
pub const PREREDUCE_PASSES: u32 = 1_024;

/// Finished pages that wait in a node for the coordinator to take them, a stream.
pub const FRAMES_AHEAD: usize = 1;

/// Permits of units that all streams of a node share, beside the one that each has of its own. More
/// units wait.
pub const UNIT_PERMITS: usize = 256;

/// While a permit holds more bytes of objects or results than this, its stream takes no others.
pub const PERMIT_BYTES: usize = 4 << 20;

/// Reads of objects for units that a node makes at once. More wait: the queue of blocking work is
/// not theirs alone.
pub const READS: usize = 64;

/// A batch of named objects is read until it has so many bytes; one object may be larger.
pub const READ_BYTES: usize = limits::PAGE_BYTES;

/// Objects read from the store at once in a scan, in fewer than [`READ_BYTES`].
pub const READ_INPUTS: usize = 1_000;

/// Objects that a unit looks for on other nodes at once, since its own lacks them: few, for they may
/// be large; several, so that a node that has fallen silent does not delay each by itself.
pub const READS_OF_OTHERS: usize = 4;

/// A page ends at so many inputs, …
pub const PAGE_INPUTS: usize = limits::PAGE_INPUTS;

/// … or when its results have reached so many bytes, …
pub const PAGE_RESULT_BYTES: usize = 1 << 20;

/// … or after so long, so that results of slow functions reach the client while the query runs,
/// and a lost node costs little.
pub const PAGE_TIME: Duration = Duration::from_millis(250);

/// What a result takes in memory beside its text: small ones are mostly this, here and where their page
/// waits for its turn.
pub const RESULT_PLACE_BYTES: usize = 64;

/// What a group takes beside its key and its results.
pub const GROUP_PLACE_BYTES: usize = 128;

/// A unit that waits for its permit holds results of less than this.
pub const PAGE_KEPT_BYTES: usize = 64 << 10;

/// Most inputs of one call to the workers: in batches of this size crossing into a worker or to
/// another thread, some 20 µs, costs a tenth of the cheapest function.
pub const CALL_INPUTS: usize = 250;

/// Inputs of the first call of a stream: few, since nothing is known yet of how slow the function is,
/// and others wait for the worker meanwhile.
pub const FIRST_CALL_INPUTS: usize = 8;

/// See [`CALL_INPUTS`]: bytes of objects, unless one alone is larger.
pub const CALL_BYTES: usize = 1 << 20;

/// Calls are made smaller when one took longer than this, and larger when it took much less: a slow
/// function must not hold back its page.
pub const CALL_TIME: Duration = Duration::from_millis(100);

/// A node says so often that it still works on a stream, when it has nothing else to say.
pub const RENEW: Duration = Duration::from_secs(1);

/// Most partitions of a grouped reduce. More: refused with 400. Each costs its owner the merge of a
/// segment a page.
pub const PARTITIONS: u32 = 1_024;

/// Fewest partitions of a grouped reduce that does not say: a partition is what one worker reduces at
/// once.
pub const FEW_PARTITIONS: u32 = 8;

/// Most runs of pairs of a grouped reduce, each the pairs of a page: more, and it fails. A partition's
/// owner is told of all of them in one message.
pub const RUNS: usize = 16_384;

/// A run of pairs that come by the coordinator is made of so many bytes.
pub const LOCAL_RUN_BYTES: usize = 8 << 20;

/// Values that are taken at once from sorted pairs, to be combined or reduced in one call.
pub const GROUP_VALUES: usize = 2_000;

/// See [`GROUP_VALUES`]: bytes of keys and values.
pub const GROUP_BYTES: usize = 1 << 20;

/// A page of pairs ends at so many bytes of memory.
pub const PAIRS_BYTES: usize = 8 << 20;

/// Bytes of pairs that the pages of a node hold together, after which each ends with a little of its own.
pub const PAIRS_HELD_BYTES: usize = 48 << 20;

/// … or after so long: what a lost node costs, and how often progress shows.
pub const PAIRS_TIME: Duration = Duration::from_secs(2);

/// A page of groups has so many more of them than other pages have inputs.
pub const PAGE_GROUPS: u64 = 20;

/// A combiner that the reduce is by itself runs on a page whose keys have at least so many values each:
/// fewer are sent sooner than combined.
pub const VALUES_OF_A_KEY: usize = 2;

/// Largest state of a function that is an object, as JSON: it goes with each page, and the coordinator
/// keeps one for each unit.
pub const STATE_BYTES: usize = 256 << 10;

/// Segments that a node fetches from others at once for one partition.
pub const FETCHES: usize = 4;

/// Largest group, in bytes of its values, that a function gets as a list.
pub const WHOLE_GROUP_BYTES: usize = 64 << 20;

/// How often the nodes that have pairs of a query are told that it still runs.
pub const KEEP_PAIRS: Duration = Duration::from_secs(10);

/// Pairs of a query of which nothing was heard for so long are forgotten.
pub const PAIRS_IDLE: Duration = Duration::from_secs(60);

/// Saved pairs that a node finds at its start are kept for so much longer: when all nodes were lost, somebody
/// has to start them, one after another, before any can say that a job still wants its pairs.
pub const FOUND_PAIRS_WAIT: Duration = Duration::from_secs(10 * 60);

/// A job that goes on waits for nodes with its pairs that do not answer, in case they are just starting: so
/// long, counted from the last pairs that were found, …
pub const SEEK_PAIRS: Duration = Duration::from_secs(10);

/// … and asks them again this often.
pub const SEEK_AGAIN: Duration = Duration::from_millis(250);

/// Runs that a node is asked for at once whether it has them: it may read through their pairs first.
pub const SOUGHT_RUNS: usize = 32;

/// Queries of which a node remembers that it has forgotten their pairs: a piece on its way comes within
/// seconds.
pub const FORGOTTEN_QUERIES: usize = 1_000;

/// In a job pages of pairs take longer and longer, by [`PAIRS_TIME`] with each so many of a unit, …
pub const LONGER_PAGES: u32 = 8;

/// … up to so long: it runs for hours, and has no more runs than others.
pub const LONGEST_PAIRS_TIME: Duration = Duration::from_secs(15);

/// What the merge of a partition may take of memory for what it reads: several run at once.
pub const GROUP_MERGE_BYTES: u64 = 8 << 20;

/// How long a node may take to store the segments of a run, beside the time for their way.
pub const STORE_PATIENCE: Duration = limits::LEASE;

/// New values that a combiner gets at once when the query does not say.
pub const COMBINE_BATCH: u32 = 1_000;

/// How often a unit is tried without any progress in between before the query fails.
pub const TRIES: u32 = 8;

/// How long a node that just failed is left alone, doubled with each further failure in a row …
pub const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// … up to this.
pub const LONGEST_RETRY_BACKOFF: Duration = Duration::from_secs(2);

/// Bucket properties that a query keeps at hand.
pub const KNOWN_BUCKETS: usize = 1_000;

/// Results smaller than this are rewritten on the spot; larger ones off the reactor.
pub const INLINE_BYTES: usize = 16 << 10;

/// An answer that has outgrown the memory is written to its file when so much more has come.
pub const SPILL_BYTES: u64 = 1 << 20;

/// Results that are to be sorted by key are kept in memory up to so many bytes of a query, …
pub const SPOOL_BYTES: u64 = 8 << 20;

/// … and when they are read back from sorted runs in a file, all runs together hold about so many …
pub const MERGE_BYTES: usize = 8 << 20;

/// … and each at least, and at most, so many.
pub const MERGE_WINDOW: (usize, usize) = (4 << 10, 256 << 10);

/// Chunks in which a plain answer is written to its file and read back.
pub const ANSWER_CHUNK: usize = 256 << 10;

// A node that renews in time must never lose its lease to one late frame.
const _: () = assert!(RENEW.as_millis() * 3 <= limits::LEASE.as_millis());
// A node may fail for as long as a lease without exhausting the tries of a unit.
const _: () = assert!(TRIES >= 5);
const _: () = assert!(BATCH_BYTES < limits::UNARY_BYTES);
// What is usual leaves the streams their permits.
const _: () = assert!(PERMIT_BYTES > limits::PAGE_BYTES && PERMIT_BYTES > 2 * PAGE_RESULT_BYTES);
const _: () = assert!(BATCH_BYTES > 2 * limits::KEY_BYTES - 4_096);

/// The longest that a job may take which does not say: ten years, as long as a job can be kept.
pub const LONGEST_JOB: Duration = Duration::from_secs(3_653 * 24 * 3_600);

/// Largest checkpoint of a job, in bytes: it is one object. While there is more, none is made.
pub const CHECKPOINT_BYTES: usize = 16 << 20;

/// The longest pause before work of a job is tried again, where it does not begin with a longer one.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The least that a worker may grow by in a job: a context with a page of inputs takes some of it.
pub const LEAST_MEMORY_BYTES: u64 = 16 << 20;

/// Fewest inputs a second of a job with a rate: one in a year. Fewer are as many.
pub const LEAST_RATE: f64 = 1.0 / (366.0 * 24.0 * 3_600.0);

/// The inputs of a job with a rate are given out for so much of it at a time …
pub const RATE_QUANTUM: Duration = Duration::from_millis(100);

/// … where each time leaves a run of pairs for more and more of it: for this part of the time since the
/// job began, …
pub const RATE_PART: u32 = 40;

/// … up to so much …
pub const LONGEST_RATE_QUANTUM: Duration = Duration::from_secs(15);

/// … and what could not be given out is made up for up to so much.
pub const RATE_CREDIT: Duration = Duration::from_secs(1);

/// Calls of a job are made smaller when one took longer than this: queries that somebody waits for wait
/// for it.
pub const JOB_CALL_TIME: Duration = Duration::from_millis(20);

/// Reads of objects for units of jobs that a node makes at once, of [`READS`].
pub const JOB_READS: usize = READS / 2;

/// Permits of units that the streams of jobs share, beside those of [`UNIT_PERMITS`] for all others.
pub const JOB_PERMITS: usize = UNIT_PERMITS / 4;

/// Most shards of a job of which it is known what becomes of them one by one.
pub const SHARDS_WATCHED: usize = 5_000;

/// Most of them that are shown at once: a page of them is one message.
pub const SHARDS_SHOWN: usize = 1_000;

/// Lines of `log` that a job keeps until whoever runs it has taken them; of more the last.
pub const LOG_LINES_KEPT: usize = 1_000;

/// What a job counts is noted so often, …
pub const RATE_SAMPLE: Duration = Duration::from_secs(1);

/// … and how fast it counts is said of so long a time.
pub const RATE_WINDOW: Duration = Duration::from_secs(10);

// All shards that a query may ask for can be watched.
const _: () = assert!(SHARDS_WATCHED as u64 > SHARDS && SHARDS_SHOWN <= SHARDS_WATCHED);

/// Slices of the lease in which a lane is listened to: as many of them in a row without a frame, and its
/// node has fallen silent.
pub const LEASE_SLICES: u32 = 4;

// One word that is lost does not cost a query its pairs.
const _: () = assert!(PAIRS_IDLE.as_secs() >= 3 * KEEP_PAIRS.as_secs());

/// How much longer something may take that carries so many bytes: a megabyte a second is slow.
pub(crate) fn transfer(bytes: usize) -> Duration {
    Duration::from_micros(bytes as u64)
}
