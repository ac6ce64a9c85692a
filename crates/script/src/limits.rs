//! Bounds that only this crate knows.

use std::time::Duration;

/// Deepest nesting of a JSON value that is read or written. Deeper: the call fails (the interpreter
/// itself would overflow its stack much later).
pub const JSON_DEPTH: usize = 1_000;

/// Contexts that a runtime keeps: one a query. The least recently used goes first; a query that
/// comes back gets a fresh one, so functions must not rely on globals.
pub const CONTEXTS: usize = 16;

/// What a context takes, in bytes, with a function and some data.
pub const CONTEXT_BYTES: usize = 1 << 20;

/// A context that has not been come back to for so long goes when a new one is made, in
/// milliseconds: with a hundred queries at once each has its turn sooner.
pub const STALE_MS: u64 = 1_000;

/// A worker that has had nothing to do for so long forgets its contexts, in milliseconds.
pub const REST_MS: u64 = 5_000;

/// Objects with more names than this have a table of their own for them when they are read: as a
/// dictionary has.
pub const SHARED_NAMES: usize = 16;

/// So many names of an object are compared with each other when it is read, which takes no memory; more are
/// sorted.
pub const FEW_NAMES: usize = 12;

/// Sequences of names that are remembered so that objects with the same ones may share a table.
pub const SEEN_NAMES: usize = 1 << 10;

/// Compiled functions that a context keeps: more than any query has phases.
pub const COMPILED: usize = 128;

/// Most bytes of users' own files of functions (`js_source_dir`) together; files beyond are left
/// out. They are evaluated in each new context.
pub const LIBRARY_BYTES: u64 = 1 << 20;

/// Most such files.
pub const LIBRARY_FILES: usize = 1_000;

/// Longest name of a stored function in a stack, in characters.
pub const STORED_NAME: usize = 100;

/// Longest regular expression that this crate compiles itself, in bytes. Longer ones: the engine.
pub const PATTERN_BYTES: usize = 1_000;

/// Compiled regular expressions that a worker keeps.
pub const PATTERNS: usize = 32;

/// Texts that `exec` and `test` have searched lately of which a worker keeps what its matcher takes: two
/// expressions may go through two texts in turn. With [`SEARCHED_LONG`] they take 24 MB at most.
pub const SEARCHED: usize = 4;

/// Texts shorter than this, in characters, are left to the engine: to copy one is cheap, and the long
/// ones stay.
pub const SEARCHED_SHORT: usize = 1_000;

/// Nor are longer ones than this, in characters: they are copied for each search.
pub const SEARCHED_LONG: usize = 2 << 20;

/// Longest text that `replace` makes with parts of the text in the place of each match, in
/// characters: it may grow with the square of the text. Longer: a `RangeError`.
pub const REPLACED_UNITS: usize = 64 << 20;

/// Most items that `sort` and `toSorted` take: the list and what it is merged into take 128 MB then,
/// half of a worker's memory. More: a `RangeError`.
pub const SORT_ITEMS: usize = 8 << 20;

/// After so many bytes of input the garbage collector runs: strings do not count for its own
/// threshold, so that it would come far too late.
pub const COLLECT_BYTES: u64 = 64 << 20;

/// Where a query is held to less memory, garbage is collected when there may be this part of it.
pub const GARBAGE_SHARE: u64 = 4;

/// While the values of a group come to a call, garbage is collected after so many bytes of them: the
/// call may take hours, and nothing else looks meanwhile.
pub const STREAM_COLLECT_BYTES: usize = 16 << 20;

/// A collection comes after so many bytes of lists and texts that methods of arrays and texts made,
/// or later, up to [`COLLECT_BYTES`], where one takes long.
pub const MADE_BYTES: usize = 4 << 20;

/// Bytes of such lists that are worth a microsecond of collecting: about as long as it takes to make
/// them.
pub const MADE_BYTES_PER_US: usize = 500;

/// Largest frame between a node and a worker, in bytes. Larger: the call fails.
pub const FRAME_BYTES: usize = mapring_types::limits::MESSAGE_BYTES;

/// Longest message and longest stack of an error, in bytes; the rest is cut.
pub const ERROR_BYTES: usize = 4_096;

/// Native stack that one JavaScript call is taken to need at most, in bytes: gives the recursion
/// limit.
pub const STACK_BYTES_PER_CALL: u64 = 16 << 10;

/// Calls that are left when a function is told that it is too deep: enough for what catches it, and
/// for built-ins between. At most a quarter of all.
pub const CALLS_LEFT: usize = 200;

/// Functions of one text that are looked at for calling themselves: the ways from one to another may
/// be a square of their number. Later ones go on to the engine's own limit.
pub const WATCHED: usize = 300;

/// Most values on the interpreter's own stack.
pub const STACK_VALUES: usize = 2 << 20;

/// Most frames named in an error's stack.
pub const STACK_FRAMES: usize = 20;

/// Fewest new inputs of a call under the adaptive timing: what Riak gives to each.
pub const ADAPTIVE_INPUTS: usize = 20;

/// A reduce beside the data that nobody asked for is not called for fewer values than this, so that
/// small queries make the very calls that Riak makes, and since it would spare little.
pub const COMBINED_VALUES: usize = 100;

/// Under the adaptive timing a call gets inputs of no more than so many bytes, however large the
/// accumulator is: they wait in the worker's memory.
pub const ADAPTIVE_BYTES: u64 = 4 << 20;

/// Under the adaptive timing a call gets no more inputs than it is likely to get through in this part
/// of its limit: a function may slow down with its inputs more than their size tells.
pub const ADAPTIVE_SHARE: u64 = 4;

/// Most bytes that a native reduce holds in the node's memory. More: the reduce fails.
pub const NATIVE_REDUCE_BYTES: u64 = 64 << 20;

/// Memory of a worker beside what its limit gives to user code, in bytes: code, threads, frames.
pub const WORKER_BASE_BYTES: u64 = 96 << 20;

/// A batch of map calls is broken off when its results have reached so many bytes; the caller asks
/// again for the inputs that are left. One call's result may be larger.
pub const BATCH_RESULT_BYTES: usize = 1 << 20;

/// A fold of pairs by key lets go of its keys at so many bytes: a call that gives very many different
/// ones takes not much more memory than without.
pub const FOLDED_BYTES: usize = 8 << 20;

/// A fold that nobody asked for is given up when so many pairs have more than half as many keys.
pub const FOLDED_TRIED: usize = 1_024;

/// Files that a worker may open: its socket, its standard streams and little else.
pub const WORKER_FILES: u64 = 32;

/// Where a node is root, the user of a worker is this one or one of the [`USERS`] that follow: of the range
/// that services keep for users who come and go and own nothing, so that nobody else is likely to be it.
pub const FIRST_USER: u32 = 61_184;

/// How many users workers are spread over, by the ids of their processes: few are the same one, so that
/// what a user may do to another process of theirs is of no use.
pub const USERS: u32 = 4_000;

/// How often a busy worker says what it is doing, in milliseconds.
pub const HEARTBEAT_MS: u64 = 100;

/// Longest line that `ejsLog` writes, in bytes; the rest is cut.
pub const LOG_LINE_BYTES: usize = 1_024;

/// Most lines of `log` that one batch of calls keeps; more are counted only.
pub const LOG_LINES: usize = 100;

/// Longest name that `count` takes, in bytes. Longer: the call throws.
pub const COUNT_NAME_BYTES: usize = 200;

/// Most names that the calls of one batch may count: names made of data would fill the memory of
/// whoever adds them up. More: the call throws.
pub const COUNT_NAMES: usize = 1_000;

/// Most links, or terms of one index, that `put` takes.
pub const LISTED: u64 = 1_000;

/// How many values `Job.top` keeps of a key when nobody says.
pub const TOP: usize = 10;

/// Most values that `Job.top` can be asked to keep: each key of a call holds so many.
pub const TOP_MOST: usize = 10_000;

// A frame must have room for the largest object, and a result for the largest string.
const _: () = assert!(FRAME_BYTES > mapring_types::limits::OBJECT_BYTES);

/// Longest text of an expression in a message, in characters.
pub const BLAME_CHARS: usize = 80;

/// Longest text in which names are looked for, in tokens: it is gone through several times.
pub const BLAME_TOKENS: usize = 20_000;

/// Most things that are named as what may be wrong.
pub const BLAME_NAMES: usize = 3;

/// So many items to be put into or removed from the middle of a list are worth a new list.
pub const SPLICED_ITEMS: usize = 64;

/// Items that a sort puts in order one by one, before it merges runs.
pub const SORT_RUN: usize = 4;

/// Digits of a number of a date that count for its value, beside zeros at its start.
pub const DATE_DIGITS: usize = 9;

/// What a part of a text takes, which is a place in the whole one, with its place in a list, in bytes.
pub const TEXT_PART_BYTES: usize = 64;

/// How much of the end of an error's text is looked through for its stack, in bytes: a thrown value
/// may be of any length.
pub const STACK_TEXT_BYTES: usize = 64 << 10;

/// A call shorter than this cannot have made much garbage: asking the system would cost more.
pub const GARBAGE_CALL: Duration = Duration::from_millis(1);

/// In how many places of a function without `return` its last statement is looked for.
pub const BODY_TRIES: usize = 8;
