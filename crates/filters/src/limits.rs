//! Bounds that only filters know, with their reasons. Those that hold across crates stand in
//! [`mapring_types::limits`].

use mapring_types::limits;

/// Longest text of `key_filters` or `filters`, in bytes: it travels to the nodes in one message, and may grow a
/// little on the way.
pub const FILTERS_BYTES: usize = limits::UNARY_BYTES / 2;

/// Most filters of a query, those inside of others too.
pub const FILTERS: usize = 1_000;

/// Most names of a path in a property filter: as deep a document is followed, and no deeper.
pub const PATH_NAMES: usize = 32;

/// Deepest nesting of filters in `and`, `or` and `not`.
pub const FILTER_NESTING: usize = 32;

/// Longest expression of the filter `matches`, in bytes.
pub const EXPRESSION_BYTES: usize = 4_096;

/// Deepest nesting of groups in an expression. The engine refuses what is nested deeper than 64,
/// and repetitions count there too.
pub const EXPRESSION_NESTING: usize = 50;

/// For how many characters all expressions of a query may stand, with repetitions written out. A
/// character takes the engine some 200 bytes.
pub const EXPRESSIONS_CHARS: usize = 5_000;

/// Most memory of each of the tables of a compiled expression, in bytes.
pub const EXPRESSION_COMPILED_BYTES: usize = 4 << 20;

/// How often a search may go back and try another way before it is given up, in texts of up to so
/// many bytes: (bytes, steps). Each step may look along the whole text, some 2 ns a byte, so that no
/// search takes much longer than a second. A search that begins anew at each place of a text of
/// 8 KiB can still be finished.
pub const EXPRESSION_STEPS_BACK: [(usize, usize); 3] =
    [(1_024, 250_000), (8_192, 50_000), (usize::MAX, 10_000)];

/// Longest evaluation or condition of an index query, in bytes.
pub const EVALUATION_BYTES: usize = 16 << 10;

/// Deepest nesting of conditions, or of combinations of sets.
pub const CONDITION_NESTING: usize = 64;

/// Most conditions, or sets, in a row between the same words.
pub const CONDITIONS: usize = 1_000;

/// Most pairs of a text that become attributes of an index entry.
pub const ATTRIBUTES: usize = 1_000;

/// Longest text of the filter `similar_to`, in bytes: comparing it with the longest key takes some
/// milliseconds.
pub const SIMILAR_BYTES: usize = 4_096;

// A search that tries each place of the text once, and goes back from it, must come to its end.
const _: () = assert!(EXPRESSION_STEPS_BACK[1].1 > 2 * EXPRESSION_STEPS_BACK[1].0);
