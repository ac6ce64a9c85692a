//! Bounds of work in the background.

use std::time::Duration;

/// The largest throttle: a worker then rests a hundred times as long as it works.
pub const MOST_THROTTLE: u32 = 100;

/// The longest rest after a piece of work, so that a throttled worker still goes on, and looks whether
/// it is to stop.
pub const LONGEST_REST: Duration = Duration::from_secs(60);

/// The most bytes of a status line or an error that are kept.
pub const STATUS_BYTES: usize = 512;
