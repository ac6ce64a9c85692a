//! What is to be done about a schedule now: no waiting here, no clock.

use std::time::Duration;

use mapring_jobs::{Missed, Overlap, Schedule};

use crate::limits;

/// What is to be done next. After it, it is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing now.
    Nothing,
    /// The run of this time starts.
    Start(u64),
    /// The run of this time, and each before it, is left out.
    Skip(u64),
    /// The run before is ended, so that the next can start.
    Replace,
}

/// What is to be done about a schedule of which all runs up to `last` have been dealt with, and whose
/// jobs are active or not. `waiting` is the run that waits for the end of the one before: it does not
/// become a missed one by that.
pub(super) fn turn(
    schedule: &Schedule,
    last: u64,
    now: u64,
    active: bool,
    waiting: &mut Option<u64>,
) -> Turn {
    *waiting = waiting.filter(|run| *run > last);
    let due = schedule.due(last, now);
    let Some(run) = due.first().copied().or(*waiting) else {
        // What came by and is due no more has been missed.
        let missed = schedule.next_runs(last, 1).first().is_some_and(|next| *next <= now);
        return if missed { Turn::Skip(now) } else { Turn::Nothing };
    };
    if !active || schedule.overlap == Overlap::Allow {
        return Turn::Start(run);
    }
    match schedule.overlap {
        // Runs that are made up for come one after the other; they would be left out for each other.
        Overlap::Skip if schedule.missed == Missed::All && is_missed(run, now) => Turn::Nothing,
        Overlap::Skip | Overlap::Allow => Turn::Skip(run),
        // One waits at most: the last.
        Overlap::Queue | Overlap::Replace if due.len() > 1 => Turn::Skip(run),
        Overlap::Queue => {
            *waiting = Some(run);
            Turn::Nothing
        }
        Overlap::Replace => {
            *waiting = Some(run);
            Turn::Replace
        }
    }
}

fn is_missed(run: u64, now: u64) -> bool {
    Duration::from_millis(now.saturating_sub(run)) >= limits::MISSED
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const MINUTE: u64 = 60_000;

    fn schedule(overlap: &str, missed: &str) -> Schedule {
        let body = format!(
            r#"{{"cron":"0 * * * *","overlap":"{overlap}","missed":"{missed}",
                "job":{{"inputs":"b","query":[]}}}}"#
        );
        Schedule::parse(body.as_bytes()).unwrap()
    }

    /// What is done at some times, each with whether a job is active then, from `last` on; what is
    /// started counts as dealt with.
    #[track_caller]
    fn check(policies: (&str, &str), mut last: u64, times: &[(u64, bool)], expect: &[Turn]) {
        let schedule = schedule(policies.0, policies.1);
        let (mut waiting, mut done) = (None, Vec::new());
        for (now, active) in times.iter().copied() {
            let mut active = active;
            loop {
                let turn = turn(&schedule, last, now, active, &mut waiting);
                if turn == Turn::Nothing {
                    break;
                }
                done.push(turn);
                match turn {
                    Turn::Start(run) => (last, active) = (run, true),
                    Turn::Skip(run) => last = run,
                    Turn::Replace | Turn::Nothing => break,
                }
            }
        }
        assert_eq!(done, expect, "{policies:?}");
    }

    #[test]
    fn runs_start_when_they_are_due() {
        let (one, two) = (HOUR, 2 * HOUR);
        let times = [(one - 1, false), (one, false), (one + 5, true), (two + 900, false)];
        for overlap in ["skip", "queue", "replace", "allow"] {
            for missed in ["skip", "once", "all"] {
                check((overlap, missed), 5, &times, &[Turn::Start(one), Turn::Start(two)]);
            }
        }
    }

    #[test]
    fn a_run_before_that_is_active_decides_by_policy() {
        let (one, two, three) = (HOUR, 2 * HOUR, 3 * HOUR);
        // The first is active until after the third is due.
        let times = [
            (one, false),
            (two, true),
            (two + 90 * MINUTE / 60, true),
            (two + 5 * MINUTE, true),
            (three, true),
            (three + 2 * MINUTE, true),
            (three + 5 * MINUTE, false),
        ];
        use Turn::{Replace, Skip, Start};
        for missed in ["skip", "once", "all"] {
            check(("skip", missed), 5, &times, &[Start(one), Skip(two), Skip(three)]);
            let started = [Start(one), Start(two), Start(three)];
            check(("allow", missed), 5, &times, &started);
        }
        for missed in ["skip", "once"] {
            check(("queue", missed), 5, &times, &[Start(one), Start(three)]);
        }
        check(("queue", "all"), 5, &times, &[Start(one), Skip(two), Start(three)]);
        let times = [(one, false), (two, true), (two + 500, true), (two + 1_000, false)];
        let replaced = [Start(one), Replace, Replace, Start(two)];
        check(("replace", "once"), 5, &times, &replaced);
    }

    #[test]
    fn runs_that_nobody_started_are_missed_by_policy() {
        let (now, times) = (4 * HOUR + 30 * MINUTE, [1, 2, 3, 4].map(|n| n * HOUR));
        use Turn::{Skip, Start};
        check(("skip", "skip"), 5, &[(now, false)], &[Skip(now)]);
        check(("skip", "once"), 5, &[(now, false)], &[Start(times[3])]);
        check(("allow", "all"), 5, &[(now, false)], &times.map(Start));
        // One after the other.
        let asked: Vec<_> = (0..8).map(|n| (now + n * 1_000, n % 2 == 1)).collect();
        check(("skip", "all"), 5, &asked, &times.map(Start));
        // What waits for the one before is not missed.
        let times = [(HOUR, false), (2 * HOUR, true), (2 * HOUR + 5 * MINUTE, false)];
        check(("queue", "skip"), 5, &times, &[Start(HOUR), Start(2 * HOUR)]);
    }
}
