//! Bounds of the public interface, each with its reason and what happens when it is reached.

use std::time::Duration;

/// Most headers of a request (Riak's limit). More: 431.
pub const HEADERS: usize = 1_000;

/// Largest head of a request, in bytes: an 8 KB link header has to fit several times, and a vclock
/// of [`mapring_types::limits::VCLOCK_HEADER_BYTES`] besides. Larger: 431.
pub const HEAD_BYTES: usize = 512 << 10;

/// Most connections at once, unless configured. More wait in the kernel's backlog.
pub const CONNECTIONS: usize = 4_096;

/// How long a connection may be idle, or take to send the head of a request: as long as clients'
/// pools usually hold connections. Longer: closed.
pub const IDLE: Duration = Duration::from_secs(75);

/// How long a client may let the server wait for the next bytes of a body. Longer: 408.
pub const BODY_IDLE: Duration = Duration::from_secs(30);

/// How long a client may take none of the bytes that are ready for it. Longer: the connection is
/// closed, and the work behind the answer ends.
pub const WRITE_IDLE: Duration = Duration::from_secs(60);

/// How long a node that stops waits, after its time of grace, for clients to take the answers that
/// tell them so. They are short: a client that takes anything has them in a moment. Longer: the
/// connections are closed.
pub const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Request bodies held in memory at once by all connections together, unless configured. More: 503.
pub const BODY_MEMORY_BYTES: u64 = 1 << 30;

/// Request bodies are accounted for in steps of so many bytes.
pub const BODY_STEP_BYTES: usize = 64 << 10;

/// Blocks of a body that are held while it goes through the node as a stream: on their way to or from
/// their replicas, and the one that is being filled or sent.
pub const STREAM_BLOCKS: usize = 6;

/// Blocks of a body that are read ahead while their client takes those before.
pub const BLOCKS_AHEAD: usize = 2;

/// A body whose request is refused is read and thrown away up to this size, so that the client can
/// read the answer before the connection is reset. More: closed.
pub const DRAIN_BYTES: usize = 128 << 20;

/// See [`DRAIN_BYTES`]: for how long at most.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Largest document of bucket properties, in bytes. Larger: 413.
pub const PROPS_BYTES: usize = 1 << 20;

/// Largest operation on a data type, in bytes: half a million elements of some length. Larger: 413.
pub const OPERATION_BYTES: usize = 16 << 20;

/// Largest document of a job, a pipeline, a named job or a schedule, in bytes: what it may be when its
/// parameters are filled in. Larger: 413.
pub const JOB_BYTES: usize = mapring_jobs::limits::DOCUMENT_BYTES;

/// Largest form, or document of a few words, in bytes. Larger: 413.
pub const FORM_BYTES: usize = 64 << 10;

/// The longest message with which something is aborted, in bytes: it is shown in one line. Longer: 400.
pub const MESSAGE_BYTES: usize = 4 << 10;

/// When a client may ask again that was told that there are as many jobs as may be: some end meanwhile.
pub const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What the results of a job that are read take of the memory of bodies, in bytes: the part that is
/// under way, and the one that is read ahead.
pub const KEPT_BYTES: usize = 8 << 20;

/// How long a client that follows a job waits for the head of the answer when there is nothing to tell yet:
/// that there is nothing more to tell is an answer of its own. Longer: the head leaves alone.
pub const FIRST_EVENT: Duration = Duration::from_secs(1);

/// How long a client that follows a job hears nothing. Longer: an empty event, so that it and what lies
/// between know that the connection is alive, and the node that the client is.
pub const EVENTS_SILENCE: Duration = Duration::from_secs(15);

/// A listing that is not streamed is kept back until it is complete, so that a failure can still
/// be answered with a status, up to so many bytes; then it is sent as it comes, and a failure
/// breaks the connection.
pub const LISTING_BYTES: usize = 8 << 20;

/// A part of a chunked MapReduce answer is closed at this size; one value may be larger.
pub const PART_BYTES: usize = 256 << 10;

/// How long the status of the cluster waits for a node to say how far it is with filling itself.
pub const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// For how long an answer to a walk along links may be taken for true (Riak's default).
pub const WALK_FRESH: Duration = Duration::from_secs(600);

/// Objects that a walk reads at once.
pub const WALK_READS: usize = 16;

/// Most links of the objects of a step of a walk, of all their values. More: 500.
pub const WALK_LINKS: usize = 100_000;

/// Most bytes that one answer holds in memory: of the objects of a walk, but for bodies in blocks, which
/// are read as they are sent, or of the results of a query of a bucket. More: 500.
pub const HELD_BYTES: usize = 256 << 20;

/// How long a fold over a bucket may take when it does not say (Riak's default).
pub const FOLD_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Objects that a fold changes or repairs at once.
pub const FOLD_CHANGES: usize = 16;

/// How long a fold waits where as many tombstones wait to be reaped as may.
pub const REAP_PAUSE: Duration = Duration::from_millis(100);

/// Most queries in the list of a query of a bucket. More: 400.
pub const QUERY_PARTS: usize = 100;

/// Largest document of a query of a bucket, in bytes. Larger: 413.
pub const BUCKET_QUERY_BYTES: usize = 1 << 20;

/// Most index terms of an object. More: 400.
pub use mapring_types::limits::INDEX_TERMS;

/// How often a followed query tells its progress.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The header of a plain answer that lists the inputs that were left out has at most so many bytes;
/// of more only the number is told. Many clients take no more than 8 KB of headers.
pub const SKIPPED_HEADER_BYTES: usize = 4 << 10;

/// A warning names properties in about so many bytes; of more only the number is told.
pub const WARNING_BYTES: usize = 512;

/// Results that are ready at the same time leave in one piece up to this size.
pub const FLUSH_BYTES: usize = 1 << 20;

/// Answers of fewer bytes are not compressed: the headers would outweigh what is saved.
pub const GZIP_BYTES: u64 = 1 << 10;

/// How hard answers are compressed, of 9: JSON with words of 40 MB becomes 18 MB, at a second of a core
/// for 100 MB. The level below takes half the time and gives 26 MB.
pub const GZIP_LEVEL: u32 = 2;

/// So much of an answer is compressed, or of a request's body inflated, before others on the thread
/// come: less than a millisecond.
pub const GZIP_STEP_BYTES: usize = 64 << 10;

/// Answers that are compressed at once: each takes about 300 kB. More are sent as they are.
pub const COMPRESSORS: usize = 256;

/// A query document longer than this is parsed off the reactor, and so is an operation on a data type; a data
/// type of more bytes is written as JSON there too.
pub const PARSE_INLINE_BYTES: usize = 64 << 10;

/// How long to wait when the system refuses new connections, for example for want of files.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

// A vclock that the interface gives out must be accepted when it comes back.
const _: () = assert!(HEAD_BYTES > 2 * mapring_types::limits::VCLOCK_HEADER_BYTES);
// One body of the largest size must fit into what all may take together.
const _: () = assert!(BODY_MEMORY_BYTES > 2 * mapring_types::limits::QUERY_BYTES as u64);
const _: () = assert!(DRAIN_BYTES > mapring_types::limits::OBJECT_BYTES);
// No client is given more time while the node stops than at any other time.
const _: () = assert!(LAST_ANSWERS.as_secs() < WRITE_IDLE.as_secs());

/// Most names in a list of the sentence about the cluster; then their number.
pub const STATUS_NAMES: usize = 5;

/// Beyond so much text an answer names no more index terms that are wrong.
pub const WRONG_TERMS_BYTES: usize = 16 << 10;

/// What an entry of an index takes in memory beside its bytes, about.
pub const ENTRY_BYTES: usize = 64;
