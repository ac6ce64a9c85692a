//! How much is tried, unless the environment says otherwise.

use std::time::Duration;

/// Random inputs of a target in an ordinary run of the tests.
pub const INPUTS: usize = 500;

/// How long they may take together: most targets are through long before.
pub const TIME: Duration = Duration::from_secs(1);

/// How long one input may take. Nothing that is as small takes more than milliseconds.
pub const ONE_INPUT: Duration = Duration::from_secs(20);

/// How often somebody looks whether one takes longer.
pub const LOOK: Duration = Duration::from_secs(1);

/// The longest input: damage repeats parts, and the kept ones are far below.
pub const INPUT_BYTES: usize = 16 << 10;

/// The most that is done to one input.
pub const STEPS: usize = 6;

/// The longest part that is removed or repeated at once.
pub const PART_BYTES: usize = 64;
