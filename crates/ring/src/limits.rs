//! Bounds of the ring, with their reasons.

/// Rounds of exchanges at most; each goes once over the ring. They end by themselves, much
/// earlier, when a round finds nothing better.
pub const POLISH_ROUNDS: usize = 32;

/// Turns of the pattern of a claim that are tried against the current plan: more find little better.
pub const PATTERN_TURNS: usize = 32;

/// Rounds at most in which a coverage plan gives homes over to less loaded nodes; they end by
/// themselves when a round changes nothing.
pub const COVERAGE_ROUNDS: usize = 16;

/// Highest version of a plan that is taken from elsewhere.
pub const PLAN_VERSIONS: u64 = u64::MAX / 2;

/// Preference lists of no more replicas are checked pair by pair: a longer one, which a bucket's
/// `n_val` may ask for, would take too long.
pub const CHECKED_REPLICAS: usize = 16;
