//! Which call a worker is in, for the thread that tells its parent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared between the interpreter's thread and the one that watches it.
pub(crate) struct Progress {
    origin: Instant,
    /// Microseconds from `origin` to the start of the call, plus one; 0 outside of calls.
    since: AtomicU64,
    /// The input's number plus one; 0 for none.
    input: AtomicU64,
    /// Whether the parent may have been told of the call under way.
    announced: AtomicBool,
    /// Tells the parent that the call it was told of is over.
    over: Box<dyn Fn() + Send + Sync>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::telling(|| {})
    }
}

/// A call under way: ends when dropped.
pub(crate) struct Call<'a>(&'a Progress);

impl Progress {
    /// Calls `over` whenever a call ends that was announced: should the process end in a later
    /// one, that is not taken for the one announced.
    pub(crate) fn telling(over: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            origin: Instant::now(),
            since: AtomicU64::new(0),
            input: AtomicU64::new(0),
            announced: AtomicBool::new(false),
            over: Box::new(over),
        }
    }

    /// Begins a call, for the given input of a batch.
    pub(crate) fn call(&self, input: Option<usize>) -> Call<'_> {
        let input = input.map_or(0, |input| (input as u64).saturating_add(1));
        self.input.store(input, Ordering::Relaxed);
        let since = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.since.store(since + 1, Ordering::Release);
        Call(self)
    }

    /// Waits in the midst of a call: it does not count as one meanwhile, and its time begins anew.
    pub(crate) fn wait<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.end();
        let waited = wait();
        let since = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.since.store(since + 1, Ordering::Release);
        waited
    }

    fn end(&self) {
        self.since.store(0, Ordering::SeqCst);
        if self.announced.swap(false, Ordering::SeqCst) {
            (self.over)();
        }
    }

    /// The input of the call under way, and for how long it has run, to be told to the parent. What
    /// `over` tells must come after that.
    pub(crate) fn announce(&self) -> Option<(Option<u32>, Duration)> {
        // Before looking: a call that ends in between then tells once too often, not once too few.
        self.announced.store(true, Ordering::SeqCst);
        let Some(since) = self.since.load(Ordering::SeqCst).checked_sub(1) else {
            self.announced.store(false, Ordering::SeqCst);
            return None;
        };
        let elapsed = self.origin.elapsed().saturating_sub(Duration::from_micros(since));
        Some((self.last_input(), elapsed))
    }

    /// The input of the call under way, or of the last one.
    pub(crate) fn last_input(&self) -> Option<u32> {
        let input = self.input.load(Ordering::Relaxed).checked_sub(1);
        input.and_then(|input| u32::try_from(input).ok())
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_end_of_a_call_is_told_when_its_course_was() {
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let progress = Progress::telling(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        drop(progress.call(Some(1)));
        assert_eq!(told.load(Ordering::SeqCst), 0);
        let call = progress.call(Some(2));
        assert_eq!(progress.announce().map(|(input, _)| input), Some(Some(2)));
        drop(call);
        let waiting = progress.call(Some(3));
        assert_eq!(progress.wait(|| progress.announce()), None);
        assert!(progress.announce().is_some());
        assert_eq!(progress.wait(|| told.load(Ordering::SeqCst)), 2);
        told.store(1, Ordering::SeqCst);
        drop(waiting);
        assert_eq!(told.load(Ordering::SeqCst), 1);
        assert_eq!(progress.announce(), None);
        assert_eq!(progress.last_input(), Some(3));
    }
}
