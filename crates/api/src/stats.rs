//! The requests for objects that this node answers: how many since the start, and how they went over
//! the last minute (fact R240).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_kv::limits::MINUTE_SLOT;
use mapring_kv::window::{Counted, Minute, Sum, Summary, Values, micros};
use mapring_types::{ErrorKind, Object, Result};
use tokio::time::Instant;

/// The requests for objects that clients make of this node.
#[derive(Debug)]
pub struct Stats {
    started: Instant,
    gets: Requests,
    puts: Requests,
}

impl Default for Stats {
    /// Begins to count now.
    fn default() -> Self {
        Self { started: Instant::now(), gets: Requests::default(), puts: Requests::default() }
    }
}

impl Stats {
    /// A read begins.
    pub fn begin_get(&self) -> Pending<'_> {
        self.gets.begin()
    }

    /// A write or a deletion begins.
    pub fn begin_put(&self) -> Pending<'_> {
        self.puts.begin()
    }

    /// How long this node has counted.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// What there is to tell of reads.
    pub fn gets(&self) -> RequestFigures {
        self.gets.told()
    }

    /// What there is to tell of writes, deletions among them.
    pub fn puts(&self) -> RequestFigures {
        self.puts.told()
    }
}

/// What Riak's statistics tell of one kind of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestFigures {
    /// Reads that were answered; writes that succeeded.
    pub done: Counted,
    /// How long they took, in microseconds.
    pub time: Summary,
    /// Values in the objects that were found.
    pub siblings: Summary,
    /// Bytes of these values.
    pub bytes: Summary,
    /// Requests that are not answered yet.
    pub under_way: u64,
    /// Requests that began in the last minute.
    pub begun: u64,
    /// Requests that began in a second, and that were done, on average over the last
    /// [`MINUTE_SLOT`], rounded.
    pub rates: [u64; 2],
    /// Requests that failed.
    pub failed: Counted,
    /// Those of them that this node had no room for.
    pub rejected: Counted,
    /// Requests that it had no room for in a second, as above.
    pub rejected_rate: u64,
}

/// Requests of one kind.
#[derive(Debug, Default)]
struct Requests {
    under_way: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    minute: Minute<Slot>,
}

/// What happened in one stretch of time.
#[derive(Debug, Default)]
struct Slot {
    begun: u64,
    failed: u64,
    rejected: u64,
    time: Values,
    siblings: Values,
    bytes: Values,
}

impl Sum for Slot {
    fn clear(&mut self) {
        (self.begun, self.failed, self.rejected) = (0, 0, 0);
        for values in [&mut self.time, &mut self.siblings, &mut self.bytes] {
            values.clear();
        }
    }

    fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.time.add(&other.time);
        self.siblings.add(&other.siblings);
        self.bytes.add(&other.bytes);
    }
}

impl Requests {
    fn begin(&self) -> Pending<'_> {
        let began = Instant::now();
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.minute.record(began, |slot| slot.begun += 1);
        Pending { requests: self, began }
    }

    fn told(&self) -> RequestFigures {
        let now = Instant::now();
        let (minute, last) = (self.minute.sum(now), self.minute.last_slot(now));
        let rate = |count: u64| {
            let seconds = MINUTE_SLOT.as_secs();
            (count + seconds / 2) / seconds
        };
        let counted = |total: &AtomicU64, minute| {
            let total = total.load(Ordering::Relaxed);
            Counted { total, minute }
        };
        RequestFigures {
            done: counted(&self.done, minute.time.count()),
            time: minute.time.summary(),
            siblings: minute.siblings.summary(),
            bytes: minute.bytes.summary(),
            under_way: self.under_way.load(Ordering::Relaxed),
            begun: minute.begun,
            rates: [last.begun, last.time.count()].map(rate),
            failed: counted(&self.failed, minute.failed),
            rejected: counted(&self.rejected, minute.rejected),
            rejected_rate: rate(last.rejected),
        }
    }
}

/// A request that is under way, until it is dropped. Without an outcome it is one that nobody waited
/// for to its end.
#[derive(Debug)]
pub struct Pending<'a> {
    requests: &'a Requests,
    began: Instant,
}

impl Pending<'_> {
    /// A read has been answered: failures are answers too.
    pub fn got(self, found: &Result<Option<Object>>) {
        let failure = found.as_ref().err().map(|error| error.kind());
        let object = found.as_ref().ok().and_then(Option::as_ref);
        let sizes = object.map(|it| (it.siblings.len() as u64, it.body_bytes() as u64));
        self.end(failure, |slot, time| {
            slot.time.note(time);
            if let Some((siblings, bytes)) = sizes {
                slot.siblings.note(siblings);
                slot.bytes.note(bytes);
            }
        });
        self.requests.done.fetch_add(1, Ordering::Relaxed);
    }

    /// A write or a deletion has ended: only those that succeed count.
    pub fn put<T>(self, done: &Result<T>) {
        let failure = done.as_ref().err().map(|error| error.kind());
        self.end(failure, |slot, time| {
            if failure.is_none() {
                slot.time.note(time);
            }
        });
        if failure.is_none() {
            self.requests.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn end(&self, failure: Option<ErrorKind>, note: impl FnOnce(&mut Slot, u64)) {
        let rejected = failure == Some(ErrorKind::Overloaded);
        let now = Instant::now();
        self.requests.minute.record(now, |slot| {
            note(slot, micros(now.duration_since(self.began)));
            slot.failed += u64::from(failure.is_some());
            slot.rejected += u64::from(rejected);
        });
        if failure.is_some() {
            self.requests.failed.fetch_add(1, Ordering::Relaxed);
            self.requests.rejected.fetch_add(u64::from(rejected), Ordering::Relaxed);
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let before = self.requests.under_way.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "more requests have ended than have begun");
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::Error;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_counted_and_timed() {
        let stats = Stats::default();
        let pending = stats.begin_get();
        advance(Duration::from_millis(2)).await;
        assert_eq!(stats.gets().under_way, 1);
        pending.got(&Ok(None));
        stats.begin_get().got(&Ok(Some(Object::default())));
        stats.begin_get().got(&Err(Error::new(ErrorKind::Overloaded, "full")));
        // Its client has gone.
        drop(stats.begin_get());
        let gets = stats.gets();
        let one = Counted { total: 1, minute: 1 };
        assert_eq!(
            (gets.done, gets.begun, gets.under_way),
            (Counted { total: 3, minute: 3 }, 4, 0)
        );
        assert_eq!((gets.failed, gets.rejected, gets.time.highest), (one, one, 2_000));
        assert_eq!(gets.rates, [0, 0], "the slot is not over");
        advance(MINUTE_SLOT).await;
        assert_eq!((stats.gets().rates, stats.gets().rejected_rate), ([1, 1], 0));
        advance(Duration::from_secs(60)).await;
        let (gets, done) = (stats.gets(), Counted { total: 3, minute: 0 });
        assert_eq!((gets.done, gets.time, gets.begun), (done, Summary::default(), 0));
        assert_eq!(gets.failed, Counted { total: 1, minute: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn writes_count_when_they_succeed() {
        let stats = Stats::default();
        stats.begin_put().put(&Ok(()));
        stats.begin_put().put::<()>(&Err(Error::timeout("late")));
        let puts = stats.puts();
        let one = Counted { total: 1, minute: 1 };
        assert_eq!((puts.done, puts.failed, puts.begun), (one, one, 2));
        assert_eq!((puts.rejected, stats.gets().begun), (Counted::default(), 0));
    }
}
