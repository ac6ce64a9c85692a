//! Bounds of jobs, each with its reason.

use std::time::Duration;

/// Jobs that a list gives where nothing is said.
pub const LIST_JOBS: usize = 50;

/// Most jobs of one list: a page that is read by people, or by a program in many steps.
pub const MOST_LISTED: usize = 1_000;

/// Most things that a node lists at once for another: a page of jobs, and one to know whether there
/// are more.
pub const MOST_LISTED_AT_ONCE: usize = 2_000;

/// Fewest things of a partition that are read at once for a list.
pub const LEAST_LISTED: usize = 4;

/// Bytes of the entries of a page, where these are whole documents: so much is held for each list. A larger
/// entry is a page by itself.
pub const PAGE_BYTES: usize = 4 << 20;

/// Whole documents that are read ahead for a page: each may have megabytes.
pub const READ_AHEAD: usize = 4;

/// How long a node may take to list what is asked of it.
pub const LIST_PATIENCE: Duration = Duration::from_secs(10);

/// How many nodes may fail a list before it fails.
pub const LIST_TRIES: usize = 3;

/// How long a node may take to tell of a job that it runs: it is in its memory.
pub const SHOW_PATIENCE: Duration = Duration::from_secs(2);

/// How long a node waits for an event of a job before it says that there was none.
pub const EVENTS_WAIT: Duration = Duration::from_secs(5);

/// Longest id of a job: it stands in paths and names of objects.
pub const ID_BYTES: usize = 128;

/// Jobs that run at once on a node where the configuration does not say. Each may keep all workers
/// busy: few, so that each gets on.
pub const CONCURRENT: usize = 4;

/// The largest document that is kept in memory while its job waits: ten thousand may wait on a node.
pub const HELD_DOCUMENT_BYTES: usize = 16 << 10;

/// Events of a job that are kept: a reader that was away for a while goes on with them.
pub const EVENTS: usize = 256;

/// Bytes of the last of them that are kept with a job that has ended: they lie in its record, which is read
/// whenever it is shown.
pub const KEPT_EVENTS_BYTES: usize = 64 << 10;

/// Errors of a job that are kept, the newest.
pub const ERRORS: usize = 1_000;

/// Bytes of all errors of a job that are kept: they are one object.
pub const ERRORS_BYTES: usize = 4 << 20;

/// Bytes of results that are put in one object: few objects for many results, and little memory for
/// each job that runs.
pub const PIECE_BYTES: usize = 2 << 20;

/// Pieces of a job's results: more, and it fails. A terabyte is an output, which lies in objects of
/// the user's.
pub const PIECES: u64 = 1 << 16;

/// Pieces of results that a job with an output puts aside, to go on from: 16 GB. With more it goes on without
/// checkpoints: to read them again would take as long as to make them.
pub const PIECES_ASIDE: u64 = 1 << 13;

/// Outputs of a job that are shown with it. All of them are its results.
pub const OUTPUTS: usize = 1_000;

/// Pieces of results that are removed at once.
pub const REMOVED_AT_ONCE: usize = 16;

/// Most bytes of results that become inputs of another job: they lie in its query. More are to be
/// stored as objects.
pub const EARLIER_BYTES: usize = 16 << 20;

/// How often a node that owns jobs tells the others that it is there.
pub const RENEW: Duration = Duration::from_secs(1);

/// How long a node may work on its jobs after a majority was last told that it is there.
pub const LEASE: Duration = Duration::from_secs(3);

/// How long nobody may have heard of the owner of a job before another takes it over.
pub const SILENCE: Duration = Duration::from_secs(4);

/// How much longer the next node waits to take a job over, should the one before it not do so.
pub const RANK_WAIT: Duration = Duration::from_millis(1_500);

/// How often a node looks whether jobs of others are without an owner.
pub const WATCH: Duration = Duration::from_millis(500);

/// How long a node that was away may take to learn of the end of a job that is stored.
pub(crate) const LEARN_PATIENCE: Duration = Duration::from_secs(2);

/// The pause before something is tried again that nodes could not do, doubled with each time …
pub const RETRY: Duration = Duration::from_millis(200);

/// … up to this.
pub const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// How long a job that is to be removed may take to end.
pub const ABORT_PATIENCE: Duration = Duration::from_secs(10);

/// How long of that those are waited for who hear of its end: a receiver that is there has answered by then.
pub const TELL_PATIENCE: Duration = Duration::from_secs(3);

/// How long a shard may go without anything that is accepted before the job counts as stalled, beside
/// the time of a slice: a tenth of it, as App Engine had.
pub const STALL_TENTHS: u32 = 11;

/// How often rates are taken, and it is looked whether a job stalls.
pub const PROGRESS: Duration = Duration::from_secs(1);

/// How often jobs that were kept long enough are looked for.
pub const CLEAN_UP: Duration = Duration::from_secs(30);

/// Jobs that are removed in one round of the clean-up, and documents among which it looks for those without a
/// job: the next round goes on behind them, so that all are seen.
pub const CLEANED_AT_ONCE: usize = 200;

/// How long a document may lie without its job, should the node that took it have died at that moment; and
/// what a job has written, without its record.
pub const ORPHAN: Duration = Duration::from_secs(24 * 3_600);

/// How often it is looked for what jobs have left behind that there are no more …
pub const SWEEP: Duration = Duration::from_secs(30);

/// … in so many pages at most, each of [`CLEANED_AT_ONCE`] things: one may have those of a single job.
pub const SWEEP_PAGES: usize = 10;

/// How often the file of named jobs is looked at.
pub const FILE_WATCH: Duration = Duration::from_secs(2);

/// Most named jobs that are stored.
pub const CONFIGS: usize = 1_000;

// Whoever takes a job over knows that its owner has stopped.
const _: () = assert!(LEASE.as_millis() + RENEW.as_millis() <= SILENCE.as_millis());
const _: () = assert!(RENEW.as_millis() * 2 < LEASE.as_millis());
// It is asked about and decided while what the others have promised holds.
const _: () = assert!(SHOW_PATIENCE.as_millis() * 2 <= SILENCE.as_millis());
const _: () = assert!(MOST_LISTED < MOST_LISTED_AT_ONCE);
const _: () = assert!(TELL_PATIENCE.as_millis() * 2 < ABORT_PATIENCE.as_millis());

/// How long a function may look at the parameters of a named job: somebody waits for it.
pub const VALIDATOR_TIME: Duration = Duration::from_secs(10);

/// Nodes that wait for each other to take a job over, at most: the rest try at once.
pub const MOST_RANKS: u32 = 4;

/// How often a callback is sent before it counts as lost: the pauses alone take about two minutes, longer
/// than a receiver takes to be started again; with a receiver that takes each attempt and answers none it
/// is six.
pub const CALLBACK_ATTEMPTS: u32 = 8;

/// The pause before the second attempt at a callback, doubled with each time …
pub const CALLBACK_PAUSE: Duration = Duration::from_secs(1);

/// … up to this.
pub const LONGEST_CALLBACK_PAUSE: Duration = Duration::from_secs(60);

/// How long a receiver may take to answer a callback, the connection included.
pub const CALLBACK: Duration = Duration::from_secs(30);

/// How long it may take to connect to one address of a receiver.
pub const CALLBACK_CONNECT: Duration = Duration::from_secs(5);

/// Addresses of a name that are tried in one attempt at a callback.
pub const CALLBACK_ADDRESSES: usize = 16;

/// Callbacks of ends that a node has under way at once: each is a connection.
pub const CALLBACKS_AT_ONCE: usize = 64;

/// As [`CALLBACKS_AT_ONCE`], of what is told in passing: jobs that end do not wait for it.
pub const PASSING_AT_ONCE: usize = 16;

/// Calls of hooks that nobody waits for and that have not ended: more are left out.
pub const CALLBACK_QUEUE: usize = 1_000;

/// How long a hook that is a function may take.
pub const HOOK_TIME: Duration = Duration::from_secs(30);

/// How long the function of a step may take: it only looks at what other steps gave.
pub const STEP_FUNCTION: Duration = Duration::from_secs(60);

/// Most bytes of the document of a pipeline: it is stored with each change of a step.
pub const PIPELINE_BYTES: usize = 1 << 20;

/// Most bytes of that document and of all steps that were decided under way: they are stored together with
/// each change.
pub const PLAN_BYTES: usize = 4 << 20;

/// Steps of a pipeline that run at once; each may be a job of a cluster.
pub const STEPS_AT_ONCE: usize = 100;

/// Most bytes, as JSON, that a step gives to others: more is to be written as objects.
pub const STEP_OUTPUT_BYTES: usize = 1 << 20;

/// Most bytes that all steps of a pipeline give: they are stored together with each change.
pub const OUTPUTS_BYTES: usize = 4 << 20;

/// Most characters of what a function says of its step.
pub const STEP_MESSAGE_CHARS: usize = 1_000;

/// Most characters of why a step or a pipeline failed: a page of a list shows it of each.
pub const FAILURE_CHARS: usize = 2_000;

/// Most bytes of the links that a function gives its step.
pub const STEP_LINKS_BYTES: usize = 16 << 10;

/// How deep steps that were decided under way may lie in each other: a function that returns itself
/// ends.
pub const PIPELINE_DEPTH: usize = 8;

/// How often it is looked whether somebody has consented to a step.
pub const APPROVAL_WATCH: Duration = Duration::from_secs(1);

/// How often it is looked whether a run of a schedule is due.
pub const CLOCK: Duration = Duration::from_millis(500);

/// How long after its time a run of a schedule counts as missed: as [`mapring_jobs::Schedule::due`] has it.
pub const MISSED: Duration = Duration::from_secs(60);

/// How long a schedule that was read counts without being read again.
pub const SCHEDULE_READ: Duration = Duration::from_secs(30);

/// The longest name of a schedule: the ids of its jobs begin with it.
pub const SCHEDULE_NAME_BYTES: usize = 100;

/// Runs of a schedule that are shown ahead.
pub const NEXT_RUNS: usize = 10;

// A name, a full stop, and a time in milliseconds are an id.
const _: () = assert!(SCHEDULE_NAME_BYTES + 1 + 20 <= ID_BYTES);
const _: () = assert!(STEP_OUTPUT_BYTES <= OUTPUTS_BYTES);
const _: () = assert!(PIPELINE_BYTES < PLAN_BYTES);
