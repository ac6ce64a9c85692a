//! From the clock of a zone to instants.
//!
//! When a clock is set forward, some of its times do not come; when it is set back, some come twice.
//! What becomes of runs then is Vixie cron's rule, made exact:
//!
//! * A schedule with *fixed times*, neither of whose first two fields begins with `*`, runs once for each
//!   time: if it comes twice, when it comes first; if it does not come, at the instant at which the
//!   clock is set forward. Several times that fall on one instant are one run.
//! * A schedule of *intervals* runs whenever the clock shows one of its times: never for what does not
//!   come, twice for what comes twice. So what runs every half hour does so through such a night.
//!
//! All is compared as instants; nothing is taken that is not later than what came before.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::cron::Cron;
use crate::limits;

/// The first run after an instant; `None` where none comes.
///
/// Times of the clock are in the order of their instants but where it is set back. So those are looked at
/// that come shortly before the instant on the clock, and shortly after the first run that is found.
pub(super) fn next(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let from = zone.to_datetime(after).checked_sub(limits::LARGEST_SHIFT).ok()?;
    let (mut earliest, mut until): (Option<Timestamp>, Option<DateTime>) = (None, None);
    let mut day = from.date();
    for _ in 0..limits::DAYS_AHEAD {
        if cron.has_day(day.month(), day.day(), day.weekday().to_sunday_zero_offset()) {
            for (hour, minute) in cron.times() {
                let time = day.at(hour, minute, 0, 0);
                if time < from {
                    continue;
                }
                if until.is_some_and(|until| time > until) {
                    return earliest;
                }
                let [one, other] = instants(zone, time, cron.is_fixed())?;
                let later = [one, other].into_iter().flatten().filter(|instant| *instant > after);
                earliest = earliest.into_iter().chain(later).min();
                if earliest.is_some() && until.is_none() {
                    until = Some(time.checked_add(limits::LARGEST_SHIFT).ok()?);
                }
            }
        }
        day = day.tomorrow().ok()?;
        if until.is_some_and(|until| day > until.date()) {
            return earliest;
        }
    }
    earliest
}

/// The instants at which a time of the clock is a run. `None` at the end of the calendar.
fn instants(zone: &TimeZone, time: DateTime, fixed: bool) -> Option<[Option<Timestamp>; 2]> {
    let at = |offset: jiff::tz::Offset| offset.to_timestamp(time).ok();
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } => Some([Some(at(offset)?), None]),
        AmbiguousOffset::Fold { before, .. } if fixed => Some([Some(at(before)?), None]),
        AmbiguousOffset::Fold { before, after } => Some([Some(at(before)?), Some(at(after)?)]),
        AmbiguousOffset::Gap { .. } if !fixed => Some([None, None]),
        AmbiguousOffset::Gap { before, .. } => {
            // Had it not been set forward, the clock would show the time at or after that instant.
            let beyond = at(before)?.checked_add(SignedDuration::from_secs(1)).ok()?;
            let set = zone.preceding(beyond).next()?.timestamp();
            Some([Some(set), None])
        }
    }
}
