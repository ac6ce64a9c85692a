//! Figures of the last minute (fact R240): how often something happened, and how a number was
//! distributed.
//!
//! A minute is a ring of slots. What is recorded goes into the slot of its time, under a lock that is
//! held for some nanoseconds; a slot is emptied when its place in the ring comes again, so nothing
//! runs in the background and memory does not grow. Distributions are `hdrhistogram`s: to note a value is
//! some arithmetic and an addition, and percentiles are exact to [`limits::MINUTE_DIGITS`] digits. What
//! is told of the last minute is of sixty seconds, or of up to [`limits::MINUTE_SLOT`] less.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits;

/// What is recorded of a stretch of time, and can be added up over several.
pub trait Sum: Default + Send {
    /// Becomes as it is by default, without giving its memory back.
    fn clear(&mut self);

    /// Adds what was recorded in another stretch.
    fn add(&mut self, other: &Self);
}

impl Sum for u64 {
    fn clear(&mut self) {
        *self = 0;
    }

    fn add(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
}

/// The last minute of something.
#[derive(Debug)]
pub struct Minute<T> {
    origin: Instant,
    /// With their numbers, counted from `origin`. One of number `n` lies at `n` modulo their count.
    slots: Mutex<Vec<(u64, T)>>,
}

impl<T: Sum> Default for Minute<T> {
    /// Begins now.
    fn default() -> Self {
        Self::since(Instant::now())
    }
}

impl<T: Sum> Minute<T> {
    fn since(origin: Instant) -> Self {
        let slots = (0..limits::MINUTE_SLOTS).map(|_| (0, T::default())).collect();
        Self { origin, slots: Mutex::new(slots) }
    }

    fn number(&self, at: Instant) -> u64 {
        at.duration_since(self.origin).as_secs() / limits::MINUTE_SLOT.as_secs()
    }

    /// Has `change` note what happens now.
    pub fn record(&self, now: Instant, change: impl FnOnce(&mut T)) {
        let number = self.number(now);
        let mut slots = self.slots.lock();
        let place = usize::try_from(number).unwrap_or(0) % slots.len();
        let (held, slot) = &mut slots[place];
        // A thread that was held up notes it a slot late.
        if *held < number {
            *held = number;
            slot.clear();
        }
        change(slot);
    }

    /// All of the last minute.
    pub fn sum(&self, now: Instant) -> T {
        let first = (self.number(now) + 1).saturating_sub(limits::MINUTE_SLOTS as u64);
        self.of(|number| number >= first)
    }

    /// The last slot that is over: [`limits::MINUTE_SLOT`] long.
    pub fn last_slot(&self, now: Instant) -> T {
        let last = self.number(now).checked_sub(1);
        self.of(|number| Some(number) == last)
    }

    fn of(&self, wanted: impl Fn(u64) -> bool) -> T {
        let mut sum = T::default();
        for (number, slot) in self.slots.lock().iter() {
            if wanted(*number) {
                sum.add(slot);
            }
        }
        sum
    }
}

/// How often something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Since the start.
    pub total: u64,
    /// In the last minute.
    pub minute: u64,
}

/// Counts something that happens now and then.
#[derive(Debug, Default)]
pub struct Tally {
    total: AtomicU64,
    minute: Minute<u64>,
}

impl Tally {
    /// It happened so often just now.
    pub fn add(&self, count: u64) {
        if count > 0 {
            self.total.fetch_add(count, Ordering::Relaxed);
            self.minute.record(Instant::now(), |slot| slot.add(&count));
        }
    }

    /// How often it happened since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How often it happened.
    pub fn counted(&self) -> Counted {
        Counted { total: self.total(), minute: self.minute.sum(Instant::now()) }
    }
}

/// How a number was distributed, in whole units: means and percentiles of Riak's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The mean, rounded down.
    pub mean: u64,
    /// Half of all values are not above.
    pub median: u64,
    /// 95 of a hundred are not above.
    pub p95: u64,
    /// 99 of a hundred are not above.
    pub p99: u64,
    /// The highest.
    pub highest: u64,
}

/// A number that was measured many times: mean and highest are exact, percentiles to a hundredth.
#[derive(Debug)]
pub struct Values {
    sum: u64,
    highest: u64,
    histogram: Histogram<u32>,
}

impl Default for Values {
    fn default() -> Self {
        let (low, high) = (1, limits::MINUTE_HIGHEST);
        let Ok(histogram) = Histogram::new_with_bounds(low, high, limits::MINUTE_DIGITS) else {
            unreachable!("the bounds are constants, and in order");
        };
        Self { sum: 0, highest: 0, histogram }
    }
}

impl Sum for Values {
    fn clear(&mut self) {
        self.histogram.reset();
        (self.sum, self.highest) = (0, 0);
    }

    fn add(&mut self, other: &Self) {
        let added = self.histogram.add(&other.histogram);
        assert!(added.is_ok(), "all histograms have the same bounds");
        self.sum = self.sum.saturating_add(other.sum);
        self.highest = self.highest.max(other.highest);
    }
}

impl Values {
    /// It was measured once more.
    pub fn note(&mut self, value: u64) {
        // Beyond the bounds it counts as the highest that can be told apart.
        self.histogram.saturating_record(value);
        self.sum = self.sum.saturating_add(value);
        self.highest = self.highest.max(value);
    }

    /// How often it was measured.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// How it was distributed; all 0 where it was never measured.
    pub fn summary(&self) -> Summary {
        let share = |share| self.histogram.value_at_quantile(share).min(self.highest);
        let mean = self.sum.checked_div(self.count()).unwrap_or(0);
        assert!(mean <= self.highest, "a mean of {mean} is above all values");
        Summary {
            mean,
            median: share(0.5),
            p95: share(0.95),
            p99: share(0.99),
            highest: self.highest,
        }
    }
}

/// Counts what takes time, and how long it took in microseconds.
#[derive(Debug, Default)]
pub struct Timed {
    total: AtomicU64,
    minute: Minute<Values>,
}

impl Timed {
    /// It happened once more.
    pub fn note(&self, began: Instant, ended: Instant) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.minute.record(ended, |slot| slot.note(micros(ended.duration_since(began))));
    }

    /// It happened once more, and has just ended.
    pub fn since(&self, began: Instant) {
        self.note(began, Instant::now());
    }

    /// How often it happened, and how long it took.
    pub fn told(&self) -> (Counted, Summary) {
        let minute = self.minute.sum(Instant::now());
        let total = self.total.load(Ordering::Relaxed);
        (Counted { total, minute: minute.count() }, minute.summary())
    }
}

/// A time as Riak tells it.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_is_summed_up() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let minute = Minute::<Values>::since(begun);
        for value in 1..=100 {
            minute.record(at(0), |slot| slot.note(value));
        }
        let all = minute.sum(at(4));
        assert_eq!((all.count(), all.summary().mean, all.summary().highest), (100, 50, 100));
        let Summary { median, p95, p99, .. } = all.summary();
        assert_eq!((median, p95, p99), (50, 95, 99));
        minute.record(at(59), |slot| slot.note(7));
        for (second, count) in [(59, 101), (60, 1), (114, 1), (115, 0), (600, 0)] {
            assert_eq!(minute.sum(at(second)).count(), count, "after {second} s");
        }
        assert_eq!(minute.sum(at(600)).summary(), Summary::default());
        assert_eq!(minute.last_slot(at(59)).count(), 0);
        assert_eq!(minute.last_slot(at(64)).count(), 1);
        // Its place in the ring is taken by a later slot.
        minute.record(at(119), |slot| slot.note(9));
        assert_eq!(minute.sum(at(119)).summary().highest, 9);
    }

    #[test]
    fn what_comes_late_counts_in_the_slot_of_now() {
        let begun = Instant::now();
        let minute = Minute::<u64>::since(begun);
        for second in [60, 58, 60] {
            minute.record(begun + Duration::from_secs(second), |slot| slot.add(&1));
        }
        assert_eq!(minute.sum(begun + Duration::from_secs(60)), 3);
    }

    #[test]
    fn percentiles_are_near_and_never_above_the_highest() {
        for value in [0, 1, 2, 3, 255, 256, 1_000, 1_234_567, 1 << 35, 1 << 60, u64::MAX] {
            let mut values = Values::default();
            values.note(value);
            let Summary { mean, median, p95, p99, highest } = values.summary();
            assert_eq!((values.count(), mean, highest), (1, value, value));
            assert!(median <= value && (median, median) == (p95, p99), "{value}: {median}");
            let near = value.min(limits::MINUTE_HIGHEST);
            assert!(near - near / 100 <= median, "{value}: {median}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_are_exact_and_leave_the_minute() {
        let (tally, timed) = (Tally::default(), Timed::default());
        tally.add(0);
        tally.add(2);
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(3)).await;
        timed.since(began);
        assert_eq!(tally.counted(), Counted { total: 2, minute: 2 });
        let (counted, times) = timed.told();
        assert_eq!((counted, times.mean), (Counted { total: 1, minute: 1 }, 3_000));
        assert_eq!((times.median, times.highest), (3_000, 3_000));
        tokio::time::advance(Duration::from_secs(60)).await;
        tally.add(1);
        assert_eq!(tally.counted(), Counted { total: 3, minute: 1 });
        assert_eq!(timed.told(), (Counted { total: 1, minute: 0 }, Summary::default()));
    }
}
