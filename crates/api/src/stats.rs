//! What this node has answered: totals since the start, and distributions over the last minute.

use mapring_types::Object;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

/// A minute is kept in slots of this length, …
const SLOT: Duration = Duration::from_secs(10);

/// … so many of them.
const SLOTS: usize = 6;

/// Four buckets for each power of two, up to 2^40.
const BUCKETS: usize = 4 * 40;

/// The answered requests for objects.
pub struct Stats {
    started: Instant,
    get_time: Series,
    put_time: Series,
    siblings: Series,
    objsize: Series,
}

impl Default for Stats {
    /// Begins to count now.
    fn default() -> Self {
        let started = Instant::now();
        let series = || Series::new(started);
        Self {
            started,
            get_time: series(),
            put_time: series(),
            siblings: series(),
            objsize: series(),
        }
    }
}

impl Stats {
    /// Begins the measurement of one request.
    pub fn start(&self) -> Instant {
        Instant::now()
    }

    /// A read has been answered.
    pub fn got(&self, started: Instant, object: Option<&Object>) {
        let now = Instant::now();
        let slot = self.get_time.slot(now);
        self.get_time.add_at(slot, micros(now - started));
        if let Some(object) = object {
            self.siblings.add_at(slot, object.siblings.len() as u64);
            self.objsize.add_at(slot, object.body_bytes() as u64);
        }
    }

    /// A write or a deletion has been answered.
    pub fn put(&self, started: Instant, success: bool) {
        if success {
            let now = Instant::now();
            self.put_time.add_at(self.put_time.slot(now), micros(now - started));
        }
    }

    /// How long this node has counted.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Riak's names with their values.
    pub fn report(&self) -> Vec<(String, serde_json::Value)> {
        let mut out = Vec::new();
        for (name, series) in [("node_gets", &self.get_time), ("node_puts", &self.put_time)] {
            let (total, minute) = series.summary();
            out.push((name.to_owned(), minute.count.into()));
            out.push((format!("{name}_total"), total.into()));
        }
        for (name, series) in [
            ("node_get_fsm_time", &self.get_time),
            ("node_put_fsm_time", &self.put_time),
            ("node_get_fsm_siblings", &self.siblings),
            ("node_get_fsm_objsize", &self.objsize),
        ] {
            let (_, minute) = series.summary();
            assert!(minute.mean() <= minute.highest, "{name}: the mean is above all values");
            out.push((format!("{name}_mean"), minute.mean().into()));
            for (word, share) in [("median", 0.5), ("95", 0.95), ("99", 0.99), ("100", 1.0)] {
                out.push((format!("{name}_{word}"), minute.percentile(share).into()));
            }
        }
        out
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A number that is measured again and again.
struct Series {
    origin: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    total: u64,
    slots: [Slot; SLOTS],
}

/// What was measured in one stretch of time, or in several together.
#[derive(Clone)]
struct Slot {
    /// Which stretch, counted from the start.
    number: u64,
    count: u64,
    sum: u64,
    highest: u64,
    buckets: [u32; BUCKETS],
}

impl Slot {
    fn empty(number: u64) -> Self {
        Self { number, count: 0, sum: 0, highest: 0, buckets: [0; BUCKETS] }
    }

    fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// The upper end of the bucket in which the share of all values is reached: at most a fifth
    /// too high.
    fn percentile(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted && seen > 0 {
                return upper(at).min(self.highest);
            }
        }
        self.highest
    }
}

impl Series {
    fn new(origin: Instant) -> Self {
        let slots = std::array::from_fn(|_| Slot::empty(0));
        Self { origin, inner: Mutex::new(Inner { total: 0, slots }) }
    }

    /// The stretch of time that `now` lies in.
    fn slot(&self, now: Instant) -> u64 {
        now.duration_since(self.origin).as_secs() / SLOT.as_secs()
    }

    fn add_at(&self, number: u64, value: u64) {
        let mut inner = self.inner.lock();
        inner.total += 1;
        let at = usize::try_from(number % SLOTS as u64).unwrap_or(0);
        let Some(slot) = inner.slots.get_mut(at) else { return };
        if slot.number != number {
            *slot = Slot::empty(number);
        }
        slot.count += 1;
        slot.sum = slot.sum.saturating_add(value);
        slot.highest = slot.highest.max(value);
        if let Some(bucket) = slot.buckets.get_mut(bucket(value)) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// The number of values since the start, and the last minute.
    fn summary(&self) -> (u64, Slot) {
        self.summary_at(self.slot(Instant::now()))
    }

    fn summary_at(&self, now: u64) -> (u64, Slot) {
        let inner = self.inner.lock();
        let mut minute = Slot::empty(now);
        for slot in inner.slots.iter().filter(|slot| slot.number + (SLOTS as u64) > now) {
            minute.count += slot.count;
            minute.sum = minute.sum.saturating_add(slot.sum);
            minute.highest = minute.highest.max(slot.highest);
            for (all, one) in minute.buckets.iter_mut().zip(&slot.buckets) {
                *all = all.saturating_add(*one);
            }
        }
        (inner.total, minute)
    }
}

/// Which bucket a value belongs to: the first whose upper end is not below it.
fn bucket(value: u64) -> usize {
    let octave = usize::try_from(value.max(1).ilog2()).unwrap_or(0);
    let first = 4 * octave;
    (first..first + 4).find(|&at| upper(at) >= value).unwrap_or(first + 4).min(BUCKETS - 1)
}

/// The upper end of a bucket.
fn upper(at: usize) -> u64 {
    let (octave, quarter) = (at / 4, at % 4);
    let low = 1u64 << octave.min(62);
    low + (low * quarter as u64) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_values() {
        for value in [0, 1, 2, 3, 5, 100, 1_000, 1_234_567, 1 << 38, u64::MAX] {
            let at = bucket(value);
            assert!(at == BUCKETS - 1 || upper(at) >= value, "{value}");
            assert!(at == 0 || upper(at - 1) < value, "{value}");
        }
    }

    #[test]
    fn the_last_minute_is_summed_up() {
        let series = Series::new(Instant::now());
        for value in 1..=100 {
            series.add_at(0, value);
        }
        let (total, minute) = series.summary_at(0);
        assert_eq!((total, minute.count, minute.mean(), minute.highest), (100, 100, 50, 100));
        assert_eq!(minute.percentile(1.0), 100);
        assert!((50..=60).contains(&minute.percentile(0.5)), "{}", minute.percentile(0.5));
        assert!((95..=100).contains(&minute.percentile(0.95)));
        series.add_at(5, 7);
        assert_eq!(series.summary_at(5).1.count, 101);
        let (total, minute) = series.summary_at(6);
        assert_eq!((total, minute.count, minute.percentile(0.5)), (101, 1, 7));
        assert_eq!(series.summary_at(60).1.count, 0);
        assert_eq!(series.summary_at(60).1.percentile(0.5), 0);
    }
}
