//! Where blocking work runs: a bounded pool of threads, or the caller's own in simulation.

use std::time::Instant;

use mapring_types::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// A unit of blocking work.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Runs blocking work off the async reactor. Bounded: refuses work rather than queue without end.
pub trait Executor: Send + Sync + 'static {
    /// Takes a job.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full.
    fn submit(&self, job: Job) -> Result<()>;
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

/// Runs every job at once in the caller's thread: for simulation, where nothing may run beside.
#[derive(Debug, Default, Clone, Copy)]
pub struct Inline;

impl Executor for Inline {
    fn submit(&self, job: Job) -> Result<()> {
        job();
        Ok(())
    }
}

/// A fixed number of threads behind one bounded queue.
pub struct ThreadPool {
    queue: std::sync::mpsc::SyncSender<Job>,
}

impl ThreadPool {
    /// Starts `threads` threads (at least one) named after `name`; at most `queue` jobs wait.
    ///
    /// # Errors
    /// `Internal` when a thread cannot be started.
    pub fn start(name: &str, threads: usize, queue: usize) -> Result<Self> {
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Job>(queue);
        let receiver = std::sync::Arc::new(parking_lot::Mutex::new(receiver));
        for number in 0..threads.max(1) {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || {
                    loop {
                        let job = receiver.lock().recv();
                        let Ok(job) = job else { return };
                        // A panic in one job is a defect, but it must not cost the node a thread.
                        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                    }
                })
                .map_err(|error| Error::internal("cannot start a thread").with_source(error))?;
        }
        Ok(Self { queue: sender })
    }
}

impl Executor for ThreadPool {
    fn submit(&self, job: Job) -> Result<()> {
        let taken = Instant::now();
        let job: Job = Box::new(move || {
            metrics::histogram!("mapring_executor_wait_seconds")
                .record(taken.elapsed().as_secs_f64());
            job();
        });
        self.queue.try_send(job).map_err(|_| {
            metrics::counter!("mapring_executor_refusals_total").increment(1);
            Error::new(ErrorKind::Overloaded, "the queue of blocking work is full")
        })
    }
}
