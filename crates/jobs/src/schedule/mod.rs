//! Schedules: jobs that are started by the clock.
//!
//! `{"cron":"0 3 * * *","time_zone":"Europe/Berlin","overlap":"skip","missed":"once","job":{…}}`.
//! The five fields of cron are read in [`cron`], the rules for clocks that are set in [`times`].

mod cron;
#[cfg(test)]
mod tests;
mod times;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::Value;

use crate::members::Members;
use crate::problem::{Invalid, Problems};
use crate::start::Start;
use crate::{json, limits};
use cron::Cron;

/// A schedule that has been checked.
#[derive(Debug, Clone)]
pub struct Schedule {
    value: Value,
    cron: Cron,
    zone: TimeZone,
    /// What becomes of a run while the one before is active.
    pub overlap: Overlap,
    /// What becomes of runs whose time went by while nobody could start them.
    pub missed: Missed,
    /// The job that it starts.
    pub start: Start,
}

/// What becomes of a run while the one before is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It begins when that one has ended. One waits at most; more are left out.
    Queue,
    /// That one is aborted, and it begins.
    Replace,
    /// It begins beside that one.
    Allow,
}

/// What becomes of runs whose time went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// They are left out.
    Skip,
    /// The last of them is made up for.
    #[default]
    Once,
    /// All are made up for, the oldest first, so many at once as are looked ahead.
    All,
}

const MEMBERS: [&str; 5] = ["cron", "time_zone", "overlap", "missed", "job"];
const MINUTE_MS: u64 = 60_000;

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let value = json::read(body)?;
        let problems = Problems::default();
        let schedule = Self::read(&value, &problems);
        problems.unless(|| schedule)
    }

    fn read(value: &Value, problems: &Problems) -> Option<Self> {
        let given = Members::of("", value, &MEMBERS, problems)?;
        given.required("cron");
        let cron = given.text("cron", limits::NAME_BYTES).map(Cron::parse);
        if let Some(Err(why)) = &cron {
            given.note("cron", why);
        }
        let forms = || "a time zone such as \"UTC\" or \"Europe/Berlin\"".to_owned();
        let zone = match given.get("time_zone") {
            None => Some(TimeZone::UTC),
            Some(_) => given.read("time_zone", forms, |value| {
                TimeZoneDatabase::bundled().get(value.as_str()?).ok()
            }),
        };
        let overlaps = [
            ("skip", Overlap::Skip),
            ("queue", Overlap::Queue),
            ("replace", Overlap::Replace),
            ("allow", Overlap::Allow),
        ];
        let overlap = given.word("overlap", &overlaps).unwrap_or_default();
        let words = [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All)];
        let missed = given.word("missed", &words).unwrap_or_default();
        let start = match Start::of(given.required("job")?) {
            Ok(start) => start,
            Err(invalid) => {
                problems.inside("job", invalid);
                return None;
            }
        };
        let value = value.clone();
        Some(Self { value, cron: cron?.ok()?, zone: zone?, overlap, missed, start })
    }

    /// The schedule as it was given.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The first `count` runs after a time, in order, at most [`limits::RUNS_AHEAD`]. All times are
    /// milliseconds since 1970 began.
    pub fn next_runs(&self, after: u64, count: usize) -> Vec<u64> {
        self.runs(after).take(count.min(limits::RUNS_AHEAD)).collect()
    }

    /// The runs to start now, in order, when all up to `last` have been dealt with. What is due since
    /// less than a minute is not missed. Once these are started, `last` is the latest of them, or
    /// now where there is none.
    pub fn due(&self, last: u64, now: u64) -> Vec<u64> {
        let recent = self.latest(last, now);
        match self.missed {
            Missed::Once => recent.into_iter().collect(),
            Missed::Skip => recent.filter(|run| now - run < MINUTE_MS).into_iter().collect(),
            Missed::All => {
                self.runs(last).take_while(|run| *run <= now).take(limits::RUNS_AHEAD).collect()
            }
        }
    }

    /// The last run after `last` and not after `now`, found from its end.
    fn latest(&self, last: u64, now: u64) -> Option<u64> {
        let mut window = 60 * MINUTE_MS;
        loop {
            let from = last.max(now.saturating_sub(window));
            if let Some(run) = self.runs(from).take_while(|run| *run <= now).last() {
                return Some(run);
            }
            if from <= last {
                return None;
            }
            window = window.saturating_mul(32);
        }
    }

    fn runs(&self, after: u64) -> impl Iterator<Item = u64> {
        let after = i64::try_from(after).ok();
        let mut at = after.and_then(|after| Timestamp::from_millisecond(after).ok());
        std::iter::from_fn(move || {
            let run = times::next(&self.cron, &self.zone, at?)?;
            at = Some(run);
            u64::try_from(run.as_millisecond()).ok()
        })
    }
}
