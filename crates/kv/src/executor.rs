//! Where blocking work runs: a bounded pool of threads, or the caller's own in simulation.
//!
//! Most calls of the storage take microseconds and meet no disk, and to pass one to another thread
//! costs more than the call itself. So short work may run at once in the caller's thread, which is
//! the reactor's; [`InlineGate`] sees to it that a disk that is slow, or answers no more, never
//! holds more than a part of the reactor's threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mapring_types::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limits;

/// A unit of blocking work.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Runs blocking work off the async reactor. Bounded: refuses work rather than queue without end.
pub trait Executor: Send + Sync + 'static {
    /// Takes a job.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full.
    fn submit(&self, job: Job) -> Result<()>;

    /// The leave to do short work in the caller's thread; `None` when it is to be submitted.
    fn inline_permit(&self) -> Option<InlinePermit<'_>> {
        None
    }

    /// Jobs that were taken and wait for a thread.
    fn waiting(&self) -> usize {
        0
    }

    /// Jobs that were refused since the start.
    fn refused(&self) -> u64 {
        0
    }
}

/// The leave to do one piece of short work in the caller's thread; over when it is dropped.
pub struct InlinePermit<'a> {
    gate: Option<&'a InlineGate>,
    begun: Instant,
    /// Once it is known.
    ended: Option<Instant>,
    /// Whether the time that it took says something about the disk.
    telling: bool,
}

impl InlinePermit<'_> {
    /// A permit that nobody limits.
    pub fn free() -> Self {
        InlinePermit { gate: None, begun: Instant::now(), ended: None, telling: false }
    }

    /// The work is done: from when to when. The clock is not read once more for the gate.
    pub(crate) fn end(&mut self) -> (Instant, Instant) {
        (self.begun, *self.ended.insert(Instant::now()))
    }

    /// The work turned out to be large: that it took long is no sign of a slow disk.
    pub(crate) fn was_large(&mut self) {
        self.telling = false;
    }
}

impl Drop for InlinePermit<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.gate {
            let ended = || self.ended.unwrap_or_else(Instant::now);
            gate.leave(if self.telling { ended() - self.begun } else { Duration::ZERO });
        }
    }
}

/// Limits how much short work runs in the reactor's threads: so much at once, and none for a while
/// after a piece that took long.
pub struct InlineGate {
    most: usize,
    running: AtomicUsize,
    origin: Instant,
    /// Microseconds from `origin`: before that, nothing runs.
    resumes: AtomicU64,
}

impl InlineGate {
    /// Lets at most `most` pieces run at once.
    pub fn new(most: usize) -> Self {
        let (running, resumes) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { most, running, origin: Instant::now(), resumes }
    }

    fn inline_permit(&self) -> Option<InlinePermit<'_>> {
        let begun = Instant::now();
        if self.most == 0 || micros(begun - self.origin) < self.resumes.load(Ordering::Relaxed) {
            return None;
        }
        for _ in 0..limits::GATE_LOOKS {
            let room = |running: usize| (running < self.most).then_some(running + 1);
            if self.running.fetch_update(Ordering::AcqRel, Ordering::Relaxed, room).is_ok() {
                return Some(InlinePermit { gate: Some(self), begun, ended: None, telling: true });
            }
            std::hint::spin_loop();
        }
        None
    }

    fn leave(&self, took: Duration) {
        if took >= limits::LONG_INLINE {
            let pause = (took * limits::GATE_FACTOR).min(limits::GATE_LONGEST);
            self.resumes.fetch_max(micros(self.origin.elapsed() + pause), Ordering::Relaxed);
            metrics::counter!("mapring_kv_inline_gate_closings_total").increment(1);
        }
        self.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Runs `work` on `executor` and waits for what it gives. Work whose caller has gone before it
/// starts is never started.
///
/// # Errors
/// What the work gives, `Overloaded` when it was not taken, `Internal` when it panicked.
pub async fn run<T, F>(executor: &dyn Executor, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    executor.submit(Box::new(move || {
        if !sender.is_closed() {
            let _ = sender.send(work());
        }
    }))?;
    receiver.await.unwrap_or_else(|_| Err(Error::internal("blocking work ended without a result")))
}

/// Does short work in the caller's thread, which a panic must not end.
///
/// # Errors
/// What the work gives, `Internal` when it panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::internal("storage work panicked; see the node's log")))
}

/// Runs every job at once in the caller's thread: for simulation, where nothing may run beside.
#[derive(Debug, Default, Clone, Copy)]
pub struct Inline;

impl Executor for Inline {
    fn submit(&self, job: Job) -> Result<()> {
        job();
        Ok(())
    }

    fn inline_permit(&self) -> Option<InlinePermit<'_>> {
        Some(InlinePermit::free())
    }
}

/// A fixed number of threads behind one bounded queue.
pub struct ThreadPool {
    queue: Arc<Queue>,
    refusals: metrics::Counter,
    refused: AtomicU64,
    gate: InlineGate,
}

struct Queue {
    /// With the times at which they were taken; `None` when no more will come.
    jobs: Mutex<Option<VecDeque<(Job, Instant)>>>,
    most: usize,
    /// There is a job, or there will be none.
    changed: Condvar,
}

impl Queue {
    fn next(&self) -> Option<(Job, Instant)> {
        let mut jobs = self.jobs.lock();
        loop {
            match jobs.as_mut()?.pop_front() {
                Some(job) => return Some(job),
                None => self.changed.wait(&mut jobs),
            }
        }
    }
}

impl ThreadPool {
    /// Starts `threads` threads (at least one) named after `name`; at most `queue` jobs wait.
    ///
    /// # Errors
    /// `Internal` when a thread cannot be started.
    pub fn start(name: &str, threads: usize, queue: usize) -> Result<Self> {
        let jobs = Mutex::new(Some(VecDeque::new()));
        let queue = Arc::new(Queue { jobs, most: queue, changed: Condvar::new() });
        let refusals = metrics::counter!("mapring_kv_executor_rejected_total");
        // Ends its threads if not all can be started.
        let pool = Self { queue, refusals, refused: AtomicU64::new(0), gate: InlineGate::new(0) };
        let waited = metrics::histogram!("mapring_kv_executor_wait_seconds");
        for number in 0..threads.max(1) {
            let (queue, waited) = (pool.queue.clone(), waited.clone());
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || {
                    while let Some((job, taken)) = queue.next() {
                        waited.record(taken.elapsed());
                        // A panic in one job is a defect, but it must not cost the node a thread.
                        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                    }
                })
                .map_err(|error| Error::internal("cannot start a thread").with_source(error))?;
        }
        Ok(pool)
    }

    /// Has short work run in the callers' threads, as far as `gate` lets it.
    #[must_use]
    pub fn with_inline_gate(mut self, gate: InlineGate) -> Self {
        self.gate = gate;
        self
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.queue.jobs.lock().take();
        self.queue.changed.notify_all();
    }
}

impl Executor for ThreadPool {
    fn submit(&self, job: Job) -> Result<()> {
        let taken = self.queue.jobs.lock().as_mut().is_some_and(|jobs| {
            let room = jobs.len() < self.queue.most;
            if room {
                jobs.push_back((job, Instant::now()));
            }
            room
        });
        if !taken {
            self.refusals.increment(1);
            self.refused.fetch_add(1, Ordering::Relaxed);
            let message = "the queue of blocking work is full";
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        self.queue.changed.notify_one();
        Ok(())
    }

    fn inline_permit(&self) -> Option<InlinePermit<'_>> {
        self.gate.inline_permit()
    }

    fn waiting(&self) -> usize {
        self.queue.jobs.lock().as_ref().map_or(0, VecDeque::len)
    }

    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_permits_are_given_at_once() {
        let pool = ThreadPool::start("test", 1, 1).unwrap();
        assert!(pool.inline_permit().is_none(), "by default none");
        let pool = pool.with_inline_gate(InlineGate::new(2));
        let first = pool.inline_permit().unwrap();
        let second = pool.inline_permit().unwrap();
        assert!(pool.inline_permit().is_none());
        drop(first);
        let third = pool.inline_permit();
        assert!(third.is_some() && pool.inline_permit().is_none());
        drop((second, third));
        assert_eq!(pool.gate.running.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn after_long_inline_work_there_is_none_for_a_while() {
        let gate = InlineGate::new(1);
        drop(gate.inline_permit());
        let mut permit = gate.inline_permit().unwrap();
        permit.begun -= limits::LONG_INLINE;
        drop(permit);
        assert!(gate.inline_permit().is_none());
        gate.resumes.store(0, Ordering::Relaxed);
        assert!(gate.inline_permit().is_some());
        // A node that was stopped for an hour does not wait for a day.
        gate.leave(Duration::from_secs(3_600));
        let latest = micros(gate.origin.elapsed() + limits::GATE_LONGEST);
        assert!(gate.resumes.load(Ordering::Relaxed) <= latest);
    }
}
