//! How many inputs a job with a rate may give out.
//!
//! Inputs are taken from a store that fills at the rate, and what was taken for a lane that ended before it
//! used it up is given back: so no more inputs are accepted than the rate allows, whatever fails meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// See the module.
pub(super) struct Pace {
    per_second: f64,
    /// Inputs that may be given out now, as of `filled`.
    store: f64,
    filled: Instant,
    began: Instant,
    /// Whether each lane leaves a run of pairs, of which there are not to be too many.
    makes_runs: bool,
}

impl Pace {
    /// For so many inputs a second, more than none, whose pairs are grouped or not. It begins with those of
    /// a moment.
    pub(super) fn new(per_second: f64, makes_runs: bool) -> Self {
        let per_second = per_second.max(limits::LEAST_RATE);
        let now = Instant::now();
        let mut pace = Self { per_second, store: 0.0, filled: now, began: now, makes_runs };
        pace.store = pace.quantum();
        pace
    }

    /// What is given out at a time, at least. Where that makes runs it grows, as a small part of what was
    /// given out before: so it is no more than that part that comes too soon.
    fn quantum(&self) -> f64 {
        let least = limits::RATE_QUANTUM;
        let time = match self.makes_runs {
            true => {
                let part = self.filled.duration_since(self.began) / limits::RATE_PART;
                part.clamp(least, limits::LONGEST_RATE_QUANTUM)
            }
            false => least,
        };
        (self.per_second * time.as_secs_f64()).max(1.0)
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let came = self.per_second * now.duration_since(self.filled).as_secs_f64();
        self.filled = now;
        // What is given out at a time is that of now: else a store that is full would never be enough.
        let most = (self.per_second * limits::RATE_CREDIT.as_secs_f64()).max(self.quantum());
        self.store = (self.store + came).min(most.max(self.store));
    }

    /// How many may be given out now; 0 while it is too few to be worth it.
    pub(super) fn available(&mut self) -> u64 {
        self.fill();
        // What is missing for an input by no more than rounding is there.
        let store = self.store + 1e-6;
        if store < self.quantum() {
            return 0;
        }
        // Positive, and far below what an integer holds.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = store as u64;
        whole
    }

    /// So many are given out.
    pub(super) fn take(&mut self, inputs: u64) {
        self.store -= amount(inputs);
    }

    /// So many that were given out were not used.
    pub(super) fn give_back(&mut self, inputs: u64) {
        self.store += amount(inputs);
    }

    /// When there will be some to give out.
    pub(super) fn next(&self) -> Instant {
        let missing = (self.quantum() - self.store).max(0.0);
        let longest = limits::LONGEST_JOB.as_secs_f64();
        // What is missing grows a little meanwhile, and so does what is asked for then.
        let wait = Duration::from_secs_f64((missing / self.per_second).min(longest));
        // A clock of milliseconds must not come before it.
        self.filled + wait.max(Duration::from_millis(1))
    }
}

fn amount(inputs: u64) -> f64 {
    // Exact for every number of inputs that a job can have.
    #[expect(clippy::cast_precision_loss)]
    let amount = inputs as f64;
    amount
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what it can, `most` at a time, for so long; gives how many.
    async fn taken(rate: f64, makes_runs: bool, most: u64, time: Duration) -> (u64, u64) {
        let (began, mut pace, mut all) = (Instant::now(), Pace::new(rate, makes_runs), 0);
        let mut lanes = 0;
        while began.elapsed() < time {
            match pace.available().min(most) {
                0 => tokio::time::sleep_until(pace.next()).await,
                inputs => {
                    // Of every other lane half is lost on the way.
                    let used = if lanes % 2 == 0 { inputs } else { inputs.div_ceil(2) };
                    pace.take(inputs);
                    pace.give_back(inputs - used);
                    all += used;
                    lanes += 1;
                }
            }
        }
        (all, lanes)
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_given_out() {
        for (rate, seconds) in [(0.2, 100), (0.9, 100), (3.0, 60), (1_000.0, 20), (250_000.0, 20)] {
            for most in [1_000_000, 3] {
                if most == 3 && rate > 1_000.0 {
                    continue;
                }
                let (found, _) = taken(rate, false, most, Duration::from_secs(seconds)).await;
                let expect = rate * amount(seconds);
                let off = (amount(found) - expect).abs();
                assert!(
                    off <= 1.0 + expect * 0.03,
                    "{found} of {expect} at {rate}, {most} at once"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_runs_are_made_there_are_few() {
        for rate in [0.5, 20.0, 5_000.0] {
            let hours = Duration::from_secs(10 * 3_600);
            let (found, lanes) = taken(rate, true, u64::MAX, hours).await;
            let off = amount(found) / (rate * hours.as_secs_f64()) - 1.0;
            assert!(off.abs() < 0.02 && lanes < 6_000, "{off} of {rate} in {lanes} lanes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_wanted_is_made_up_for_a_little() {
        let mut pace = Pace::new(10.0, false);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(pace.available(), 10);
        pace.take(10);
        assert_eq!(pace.available(), 0);
        pace.give_back(4);
        assert_eq!(pace.available(), 4);
    }
}
