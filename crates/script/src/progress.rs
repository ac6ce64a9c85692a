//! Which call a worker is in, for the thread that tells its parent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared between the interpreter's thread and the one that watches it.
#[derive(Debug)]
pub(crate) struct Progress {
    origin: Instant,
    /// Microseconds from `origin` to the start of the call, plus one; 0 outside of calls.
    since: AtomicU64,
    /// The input's number plus one; 0 for none.
    input: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::new(0), input: AtomicU64::new(0) }
    }
}

/// A call under way: ends when dropped.
pub(crate) struct Call<'a>(&'a Progress);

impl Progress {
    /// Begins a call, for the given input of a batch.
    pub(crate) fn call(&self, input: Option<usize>) -> Call<'_> {
        let input = input.map_or(0, |input| (input as u64).saturating_add(1));
        self.input.store(input, Ordering::Relaxed);
        let since = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.since.store(since + 1, Ordering::Release);
        Call(self)
    }

    /// The input of the call under way, and for how long it has run.
    pub(crate) fn current(&self) -> Option<(Option<u32>, Duration)> {
        let since = self.since.load(Ordering::Acquire).checked_sub(1)?;
        let input = self.input.load(Ordering::Relaxed).checked_sub(1);
        let elapsed = self.origin.elapsed().saturating_sub(Duration::from_micros(since));
        Some((input.and_then(|input| u32::try_from(input).ok()), elapsed))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Release);
    }
}
