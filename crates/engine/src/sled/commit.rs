//! Group commit: one thread flushes, and all who wait when it begins share the flush.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use ::sled as db;
use mapring_types::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};

use crate::journal::Journal;
use crate::limits;
use crate::record_files::RecordFiles;

use super::files::Files;
use super::health::Health;
use super::log_end::LogEnd;

/// The flushing thread and those who wait for it.
pub(super) struct GroupCommit {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    db: db::Db,
    journal: Arc<Journal>,
    health: Arc<Health>,
    end: LogEnd,
    records: Arc<RecordFiles>,
    tickets: Mutex<Tickets>,
    /// Somebody wants a flush.
    wanted: Condvar,
    /// A flush is over.
    over: Condvar,
}

/// Every wait takes the next ticket; a flush serves all tickets taken before it began.
#[derive(Default)]
struct Tickets {
    taken: u64,
    served: u64,
    stop: bool,
    stopped: bool,
}

impl GroupCommit {
    /// Starts the thread; with `files`, each flush fsyncs them and the journal.
    pub(super) fn start(
        db: &db::Db,
        journal: &Arc<Journal>,
        files: Option<Files>,
        health: &Arc<Health>,
        end: &LogEnd,
        records: &Arc<RecordFiles>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            db: db.clone(),
            journal: Arc::clone(journal),
            health: Arc::clone(health),
            end: end.clone(),
            records: Arc::clone(records),
            tickets: Mutex::default(),
            wanted: Condvar::new(),
            over: Condvar::new(),
        });
        let flusher = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("storage-flush".into())
            .spawn(move || flusher.run(files))
            .map_err(|error| {
                Error::new(ErrorKind::Storage, "cannot start the flushing thread")
                    .with_source(error)
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Returns when everything written before the call is flushed.
    pub(super) fn wait(&self) -> Result<()> {
        metrics::counter!("mapring_engine_syncs_total").increment(1);
        let shared = &*self.shared;
        let begun = Instant::now();
        let mut tickets = shared.tickets.lock();
        tickets.taken += 1;
        let own = tickets.taken;
        shared.wanted.notify_one();
        while tickets.served < own {
            shared.health.check_writes()?;
            let timed_out = shared.over.wait_for(&mut tickets, limits::FLUSH_LOOK).timed_out();
            if timed_out && tickets.served < own {
                shared.look(begun)?;
            }
        }
        Ok(())
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        let mut tickets = self.shared.tickets.lock();
        tickets.stop = true;
        self.shared.wanted.notify_all();
        let begun = Instant::now();
        while !tickets.stopped {
            let timed_out = self.shared.over.wait_for(&mut tickets, limits::FLUSH_LOOK).timed_out();
            if timed_out && self.shared.look(begun).is_err() {
                break;
            }
        }
        // A thread that a broken disk holds is left behind.
        if tickets.stopped
            && let Some(thread) = self.thread.take()
        {
            drop(tickets);
            // It ended by itself; a panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Looks, on behalf of one who waits long, whether sled failed or takes too long.
    fn look(&self, begun: Instant) -> Result<()> {
        if let Err(error) = self.db.context.global_error() {
            self.health.fail_writes(&error.to_string());
            // sled does not wake its own flush after every kind of failed write; a flush that
            // finds the error does.
            let _ = self.health.call("flush", || self.db.flush());
        }
        if begun.elapsed() > limits::FLUSH_PATIENCE {
            self.health.fail_writes("a flush does not end");
        }
        self.health.check_writes()
    }

    fn run(&self, mut files: Option<Files>) {
        loop {
            let mut tickets = self.tickets.lock();
            while tickets.taken == tickets.served && !tickets.stop {
                let idle = self.wanted.wait_for(&mut tickets, limits::FLUSHER_INTERVAL);
                // sled may have shortened its file meanwhile.
                if idle.timed_out()
                    && let Err(error) = self.end.advance(self.end.now())
                {
                    tracing::warn!(%error, "the mark does not follow the log");
                }
            }
            if tickets.stop {
                tickets.stopped = true;
                self.over.notify_all();
                return;
            }
            let serves = tickets.taken;
            drop(tickets);

            let begun = Instant::now();
            let left = self.records.take_left();
            // The journal first: it says of the writes that follow it what is not certain of them.
            let flushed = self
                .journal
                .write_out(files.is_some())
                .and_then(|()| self.health.call("flush", || self.db.flush()))
                .and_then(|_| {
                    let end = self.end.now();
                    files.as_mut().map_or(Ok(()), Files::sync)?;
                    self.end.advance(end)
                });
            metrics::counter!("mapring_engine_flushes_total").increment(1);
            metrics::histogram!("mapring_engine_flush_duration_seconds").record(begun.elapsed());

            let mut tickets = self.tickets.lock();
            let durable = flushed.is_ok();
            match flushed {
                Ok(()) => {
                    let Tickets { taken, served, .. } = *tickets;
                    assert!(
                        served < serves && serves <= taken,
                        "a flush for ticket {serves} after {served} of {taken}"
                    );
                    tickets.served = serves;
                }
                Err(error) => {
                    self.health.fail_writes(&error.to_string());
                    // Nobody is served any more; do not try again.
                    tickets.stop = true;
                }
            }
            self.over.notify_all();
            drop(tickets);
            if durable {
                self.records.remove(&left);
            }
        }
    }
}
