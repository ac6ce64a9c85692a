//! Bounds of what users write, each with its reason.

use std::time::Duration;

use jiff::SignedDuration;

/// Most problems that are told of one document. More come to light when these are mended.
pub const PROBLEMS: usize = 100;

/// The longest text that is a name: of a job, a parameter, a step, a schedule. Lists show it.
pub const NAME_BYTES: usize = 256;

/// Deepest nesting of arrays and objects: that of queries, which lie within job documents.
pub const NESTING: usize = mapring_mapred::limits::NESTING;

/// Most bytes of a file of named jobs. Queries are texts that people write.
pub const CONFIG_BYTES: usize = 4 << 20;

/// Most values in a file of named jobs, with each alias counted as often as it is used: so no file of
/// a few lines becomes a tree that fills memory.
pub const CONFIG_VALUES: usize = 200_000;

/// Most bytes of texts in a file of named jobs, counted likewise.
pub const CONFIG_TEXT_BYTES: usize = 16 << 20;

/// The longest path of a value whose place in a file is kept: of what lies deeper, the place of what it
/// lies in is told.
pub const PATH_BYTES: usize = 300;

/// Most named jobs in a file: all are shown in one list.
pub const CONFIGS: usize = 10_000;

/// The longest name of a parameter: it stands between other words.
pub const PARAM_NAME_BYTES: usize = 64;

/// Most parameters of a named job: they are the fields of a form.
pub const PARAMS: usize = 100;

/// Most bytes of a job document when its parameters have been put in. What a query may be by HTTP is
/// bounded by the server.
pub const DOCUMENT_BYTES: usize = 8 << 20;

/// How often a shard is begun before the job fails, where the job does not say.
pub const SHARD_ATTEMPTS: u32 = 4;

/// How often a slice is begun before its shard is begun anew, where the job does not say.
pub const SLICE_ATTEMPTS: u32 = 3;

/// Most attempts that a job may ask for. App Engine had 11 for slices; what failed a hundred times
/// fails.
pub const MOST_ATTEMPTS: u32 = 100;

/// The pause before a second attempt, where the job does not say; it doubles with each.
pub const BACKOFF: Duration = Duration::from_secs(1);

/// The longest pause that may be asked for before a second attempt.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(3_600);

/// How long a shard works between two checkpoints, where the job does not say. App Engine's slice.
pub const SLICE: Duration = Duration::from_secs(15);

/// The shortest slice: a checkpoint is written to several nodes.
pub const SHORTEST_SLICE: Duration = Duration::from_millis(100);

/// The longest slice: so much work is done again when a node is lost.
pub const LONGEST_SLICE: Duration = Duration::from_secs(600);

/// Most inputs a second that a job may ask for; App Engine's form had this as "no limit".
pub const MOST_RATE: f64 = 1_000_000.0;

/// How long one call of a function may take in a job, where the job does not say.
pub const CALL: Duration = Duration::from_secs(30);

/// The longest call that may be asked for: it holds a worker.
pub const LONGEST_CALL: Duration = Duration::from_secs(3_600);

/// Memory of a worker for a job in megabytes, where the job does not say.
pub const MEMORY_MB: u64 = 64;

/// Megabytes of values of one group that a reduce gets whole, where the job does not say.
pub const GROUP_MB: u64 = 256;

/// Most megabytes that a job may ask for. What a node gives is its configuration's.
pub const MOST_MB: u64 = 65_536;

/// How long a job is kept after its end, where it does not say: a week.
pub const KEEP: Duration = Duration::from_secs(7 * DAY);

/// The longest that a job may be kept, or waited for: ten years. Longer is meant to be for ever, for
/// which outputs are.
pub const LONGEST: Duration = Duration::from_secs(3_653 * DAY);

/// Seconds of a day.
const DAY: u64 = 24 * 3_600;

/// Most bytes of a URL: what servers take.
pub const URL_BYTES: usize = 4_096;

/// Most entries of the list of whom callbacks may reach.
pub const ALLOWED: usize = 1_000;

/// Characters of what was given that a message shows.
pub const SHOWN_CHARS: usize = 100;

/// Most runs that are told ahead, or made up for at once.
pub const RUNS_AHEAD: usize = 100;

/// How far ahead a run is looked for, in days: 29 February comes after eight years at the latest, on
/// a given day of the week after forty.
pub const DAYS_AHEAD: u32 = 41 * 366;

/// The most that a clock has been set back by at once since 1970, and some more: by three hours, at
/// Casey in Antarctica.
pub const LARGEST_SHIFT: SignedDuration = SignedDuration::from_hours(5);

/// Most steps of a pipeline: each is a record that is read whole with the others.
pub const STEPS: usize = 1_000;

/// The pause before a second attempt at a step, where the pipeline does not say. App Engine's.
pub const STEP_BACKOFF: Duration = Duration::from_secs(15);

/// How often a step is begun, where the pipeline does not say. App Engine's.
pub const STEP_ATTEMPTS: u32 = 3;

/// What pauses between attempts at a step grow by, where the pipeline does not say. App Engine's.
pub const STEP_BACKOFF_FACTOR: f64 = 2.0;

/// The most that pauses may grow by.
pub const MOST_BACKOFF_FACTOR: f64 = 10.0;

// A document that a file holds can be made of it.
const _: () = assert!(CONFIG_BYTES <= DOCUMENT_BYTES);
const _: () = assert!(DOCUMENT_BYTES <= CONFIG_TEXT_BYTES);
