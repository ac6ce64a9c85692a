//! The requests for objects that this node answers: how many since the start, and how they went over
//! the last minute (fact R240). Those for data types count apart, by their kinds (fact R350).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_datatypes::Kind;
use mapring_kv::by_kind::ByKind;
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
    /// Those that were done, but for data types.
    pub objects: DoneFigures,
    /// Those that were done for data types of a kind.
    pub kinds: ByKind<DoneFigures>,
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

/// What is told of requests that were done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DoneFigures {
    /// Reads that were answered; writes that succeeded.
    pub count: Counted,
    /// How long they took, in microseconds.
    pub time: Summary,
    /// Values in the objects that were found.
    pub siblings: Summary,
    /// Bytes of these values.
    pub bytes: Summary,
}

/// Reads or writes.
#[derive(Debug, Default)]
struct Requests {
    under_way: AtomicU64,
    /// Those done, but for data types.
    done: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    minute: Minute<Slot>,
    /// Of kinds that are in use: a minute of measurements takes some memory.
    kinds: ByKind<OnceLock<DoneOfKind>>,
}

/// Requests done for data types of one kind.
#[derive(Debug, Default)]
struct DoneOfKind {
    count: AtomicU64,
    minute: Minute<Measured>,
}

impl DoneOfKind {
    fn told(&self, now: Instant) -> DoneFigures {
        self.minute.sum(now).told(self.count.load(Ordering::Relaxed))
    }
}

/// What is measured of requests that are done.
#[derive(Debug, Default)]
struct Measured {
    time: Values,
    siblings: Values,
    bytes: Values,
}

impl Measured {
    /// A request took so many microseconds, and found so many values with so many bytes.
    fn note(&mut self, time: u64, sizes: Option<(u64, u64)>) {
        self.time.note(time);
        if let Some((siblings, bytes)) = sizes {
            self.siblings.note(siblings);
            self.bytes.note(bytes);
        }
    }

    fn told(&self, total: u64) -> DoneFigures {
        DoneFigures {
            count: Counted { total, minute: self.time.count() },
            time: self.time.summary(),
            siblings: self.siblings.summary(),
            bytes: self.bytes.summary(),
        }
    }
}

impl Sum for Measured {
    fn clear(&mut self) {
        for values in [&mut self.time, &mut self.siblings, &mut self.bytes] {
            values.clear();
        }
    }

    fn add(&mut self, other: &Self) {
        self.time.add(&other.time);
        self.siblings.add(&other.siblings);
        self.bytes.add(&other.bytes);
    }
}

/// What happened in one stretch of time.
#[derive(Debug, Default)]
struct Slot {
    begun: u64,
    failed: u64,
    rejected: u64,
    /// Those done for data types that are measured by their kinds.
    of_kinds: u64,
    objects: Measured,
}

impl Sum for Slot {
    fn clear(&mut self) {
        (self.begun, self.failed, self.rejected, self.of_kinds) = (0, 0, 0, 0);
        self.objects.clear();
    }

    fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.of_kinds += other.of_kinds;
        self.objects.add(&other.objects);
    }
}

impl Requests {
    fn begin(&self) -> Pending<'_> {
        let began = Instant::now();
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.minute.record(began, |slot| slot.begun += 1);
        Pending { requests: self, began, kind: None }
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
            objects: minute.objects.told(self.done.load(Ordering::Relaxed)),
            kinds: self.kinds.map(|kind| kind.get().map(|kind| kind.told(now)).unwrap_or_default()),
            under_way: self.under_way.load(Ordering::Relaxed),
            begun: minute.begun,
            rates: [last.begun, last.objects.time.count() + last.of_kinds].map(rate),
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
    kind: Option<Kind>,
}

impl Pending<'_> {
    /// It is made for a data type.
    pub fn of(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// A read has been answered: failures are answers too.
    pub fn got(self, found: &Result<Option<Object>>) {
        let failure = found.as_ref().err().map(|error| error.kind());
        let object = found.as_ref().ok().and_then(Option::as_ref);
        let sizes = object.map(|it| (it.siblings.len() as u64, it.body_bytes() as u64));
        self.end(failure, true, sizes);
    }

    /// A write or a deletion has ended: only those that succeed count.
    pub fn put<T>(self, done: &Result<T>) {
        let failure = done.as_ref().err().map(|error| error.kind());
        self.end(failure, failure.is_none(), None);
    }

    fn end(&self, failure: Option<ErrorKind>, done: bool, sizes: Option<(u64, u64)>) {
        let rejected = failure == Some(ErrorKind::Overloaded);
        let now = Instant::now();
        let time = micros(now.duration_since(self.began));
        // Grow-only sets count as objects: Riak's statistics have nothing of them.
        let of_kind = self.kind.and_then(|kind| self.requests.kinds.of(kind));
        self.requests.minute.record(now, |slot| {
            match of_kind {
                Some(_) => slot.of_kinds += u64::from(done),
                None if done => slot.objects.note(time, sizes),
                None => {}
            }
            slot.failed += u64::from(failure.is_some());
            slot.rejected += u64::from(rejected);
        });
        match of_kind {
            Some(kind) if done => {
                let kind = kind.get_or_init(DoneOfKind::default);
                kind.count.fetch_add(1, Ordering::Relaxed);
                kind.minute.record(now, |slot| slot.note(time, sizes));
            }
            None if done => {
                self.requests.done.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
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
            (gets.objects.count, gets.begun, gets.under_way),
            (Counted { total: 3, minute: 3 }, 4, 0)
        );
        assert_eq!((gets.failed, gets.rejected, gets.objects.time.highest), (one, one, 2_000));
        assert_eq!(gets.rates, [0, 0], "the slot is not over");
        advance(MINUTE_SLOT).await;
        assert_eq!((stats.gets().rates, stats.gets().rejected_rate), ([1, 1], 0));
        advance(Duration::from_secs(60)).await;
        let (gets, done) = (stats.gets(), Counted { total: 3, minute: 0 });
        let objects = gets.objects;
        assert_eq!((objects.count, objects.time, gets.begun), (done, Summary::default(), 0));
        assert_eq!(gets.failed, Counted { total: 1, minute: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn writes_count_when_they_succeed() {
        let stats = Stats::default();
        stats.begin_put().put(&Ok(()));
        stats.begin_put().put::<()>(&Err(Error::timeout("late")));
        let puts = stats.puts();
        let one = Counted { total: 1, minute: 1 };
        assert_eq!((puts.objects.count, puts.failed, puts.begun), (one, one, 2));
        assert_eq!((puts.rejected, stats.gets().begun), (Counted::default(), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn data_types_count_by_their_kinds() {
        let stats = Stats::default();
        let found = Ok(Some(Object::default()));
        for kind in [Kind::Counter, Kind::Map, Kind::Counter, Kind::GSet] {
            stats.begin_get().of(kind).got(&found);
        }
        stats.begin_put().of(Kind::Set).put(&Ok(()));
        stats.begin_put().of(Kind::Set).put::<()>(&Err(Error::timeout("late")));
        let (gets, puts) = (stats.gets(), stats.puts());
        let count = |of: &RequestFigures, kind| of.kinds.of(kind).unwrap().count;
        let counted = |count| Counted { total: count, minute: count };
        assert_eq!(count(&gets, Kind::Counter), counted(2));
        assert_eq!((count(&gets, Kind::Map), count(&gets, Kind::Hll)), (counted(1), counted(0)));
        assert_eq!(gets.objects.count, counted(1), "the grow-only set");
        assert_eq!((count(&puts, Kind::Set), puts.failed), (counted(1), counted(1)));
        assert_eq!((puts.objects.count, puts.begun), (counted(0), 2));
        advance(MINUTE_SLOT).await;
        // Of four in five seconds.
        assert_eq!((stats.gets().rates, stats.puts().rates), ([1, 1], [0, 0]));
        advance(Duration::from_secs(60)).await;
        assert_eq!(count(&stats.gets(), Kind::Counter), Counted { total: 2, minute: 0 });
    }
}
