//! Five fields of cron: minute, hour, day of the month, month, day of the week.
//!
//! A field is `*`, a number, a range `a-b`, or a list of these with commas; `*` and ranges may have a
//! step, `/n`. Months and days of the week have English names of three letters too, and Sunday is 0 as well
//! as 7. As in every cron, a day is meant that matches either of the two fields of days where neither
//! begins with `*`, and else one that matches both.
//!
//! What some crons take and others read otherwise is refused: `a/n`, ranges that turn round, steps as
//! long as the field, which would do nothing (`*/90`).

use std::ops::RangeInclusive;

/// When a schedule runs, on the clock and the calendar of its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The numbers that a field has, as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Whether the field begins with `*`.
    star: bool,
}

impl Field {
    fn has(&self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.bits >> number & 1 == 1)
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Words for five fields.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The names of a field's numbers, and the number of the first.
type Names = (&'static [&'static str], u32);

impl Cron {
    /// Reads five fields.
    ///
    /// # Errors
    /// The field that is none, and why.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let word = WORDS.iter().find(|(word, _)| *word == text.trim());
        let text = word.map_or(text, |(_, fields)| fields);
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            let count = fields.len();
            return Err(format!(
                "has five fields (minute, hour, day of month, month, day of week), not {count}; \
                 lists have no blanks"
            ));
        };
        let mut weekdays = field("day of week", weekdays, 0..=7, (&WEEKDAYS, 0))?;
        // Sunday is one day.
        weekdays.bits = (weekdays.bits | weekdays.bits >> 7) & 0x7f;
        let cron = Self {
            minutes: field("minute", minutes, 0..=59, (&[], 0))?,
            hours: field("hour", hours, 0..=23, (&[], 0))?,
            days: field("day of month", days, 1..=31, (&[], 0))?,
            months: field("month", months, 1..=12, (&MONTHS, 1))?,
            weekdays,
        };
        if cron.has_days() { Ok(cron) } else { Err("names no day that any year has".to_owned()) }
    }

    /// Whether it says when on the clock, rather than how often.
    pub(super) fn is_fixed(&self) -> bool {
        !self.minutes.star && !self.hours.star
    }

    /// Whether it runs on a day; `weekday` is 0 for Sunday.
    pub(super) fn has_day(&self, month: i8, day: i8, weekday: i8) -> bool {
        let (by_day, by_weekday) = (self.days.has(day), self.weekdays.has(weekday));
        let days = match self.days.star || self.weekdays.star {
            true => by_day && by_weekday,
            false => by_day || by_weekday,
        };
        days && self.months.has(month)
    }

    /// The times of a day at which it runs, in order: hours and minutes.
    pub(super) fn times(&self) -> impl Iterator<Item = (i8, i8)> {
        let hours = (0..24).filter(move |hour| self.hours.has(*hour));
        hours
            .flat_map(|hour| (0..60).map(move |minute| (hour, minute)))
            .filter(move |(_, minute)| self.minutes.has(*minute))
    }

    /// Whether there is any such day: not on the 31st of February.
    fn has_days(&self) -> bool {
        const LONGEST: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        // Each day of the week falls on each day of the year in some year.
        let lengths = (1..).zip(LONGEST);
        lengths
            .flat_map(|(month, last)| (1..=last).map(move |day| (month, day)))
            .any(|(month, day)| (0..7).any(|weekday| self.has_day(month, day, weekday)))
    }
}

/// Reads a field.
fn field(
    what: &str,
    text: &str,
    range: RangeInclusive<u32>,
    names: Names,
) -> Result<Field, String> {
    let mut bits = 0;
    for item in text.split(',') {
        let wrong = |why: String| format!("{what} \"{}\" {why}", mapring_types::quote(item));
        let (numbers, step) = match item.split_once('/') {
            None => (item, None),
            Some((numbers, step)) => (numbers, Some(step)),
        };
        let (first, last) = bounds(numbers, &range, names).map_err(&wrong)?;
        let step = match step {
            None => 1,
            Some(_) if numbers != "*" && !numbers.contains('-') => {
                let last = range.end();
                return Err(wrong(format!("has a step without a range: write {numbers}-{last}/…")));
            }
            Some(step) => {
                let most = last - first;
                let number = number(step).filter(|step| (1..=most).contains(step));
                number.ok_or_else(|| wrong(format!("has a step that is not from 1 to {most}")))?
            }
        };
        bits = (first..=last)
            .filter(|number| (number - first).is_multiple_of(step))
            .fold(bits, |bits, number| bits | 1 << number);
    }
    Ok(Field { bits, star: text.starts_with('*') })
}

fn bounds(text: &str, range: &RangeInclusive<u32>, names: Names) -> Result<(u32, u32), String> {
    if text == "*" {
        return Ok((*range.start(), *range.end()));
    }
    let one = |text: &str| {
        let (list, first) = names;
        let named = list.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + first);
        named.or_else(|| number(text)).filter(|number| range.contains(number)).ok_or_else(|| {
            format!("is not *, a number from {} to {}, or a range", range.start(), range.end())
        })
    };
    match text.split_once('-') {
        None => one(text).map(|number| (number, number)),
        Some((first, last)) => {
            let (first, last) = (one(first)?, one(last)?);
            if first <= last {
                Ok((first, last))
            } else {
                Err(format!("turns round: write {first}-{},{}-{last}", range.end(), range.start()))
            }
        }
    }
}

/// A number of one or two digits.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wrong(text: &str, said: &str) {
        let why = Cron::parse(text).expect_err(text);
        assert!(why.contains(said), "{text}: {why}");
    }

    #[test]
    fn fields_are_read() {
        let cron = Cron::parse(" 5,10-12,*/30  0-6/3 1 JAN,mar-apr sun,5-7").unwrap();
        let times: Vec<_> = cron.times().collect();
        let minutes = [0, 5, 10, 11, 12, 30];
        let expect: Vec<_> =
            [0, 3, 6].iter().flat_map(|hour| minutes.map(|minute| (*hour, minute))).collect();
        assert_eq!(times, expect);
        assert!(cron.has_day(1, 1, 3) && cron.has_day(4, 9, 0) && cron.has_day(3, 9, 5));
        assert!(!cron.has_day(2, 1, 0) && !cron.has_day(1, 2, 4));
        assert_eq!(Cron::parse("@weekly"), Cron::parse("0 0 * * SUN"));
        assert!(Cron::parse("30 2,14 * * *").unwrap().is_fixed());
        assert!(!Cron::parse("*/5 2 * * *").unwrap().is_fixed());
        assert!(!Cron::parse("5 */2 * * *").unwrap().is_fixed());
        // Both fields of days: either; one that begins with a star: both.
        let either = Cron::parse("0 0 13 * 5").unwrap();
        assert!(either.has_day(1, 13, 1) && either.has_day(1, 12, 5) && !either.has_day(1, 12, 4));
        let both = Cron::parse("0 0 */2 * 5").unwrap();
        assert!(both.has_day(1, 13, 5) && !both.has_day(1, 12, 5) && !both.has_day(1, 13, 4));
    }

    #[test]
    fn fields_that_are_none_are_named() {
        wrong("", "five fields");
        wrong("* * * *", "not 4");
        wrong("0 0 * * * *", "not 6");
        wrong("0 2, 14 * * *", "not 6");
        wrong("60 * * * *", "minute \"60\"");
        wrong("* 24 * * *", "hour \"24\"");
        wrong("* * 0 * *", "day of month \"0\"");
        wrong("* * * 13 *", "month \"13\"");
        wrong("* * * * 8", "day of week \"8\"");
        wrong("*/90 * * * *", "step");
        wrong("*/60 * * * *", "step");
        wrong("*/0 * * * *", "step");
        wrong("*/ * * * *", "step");
        wrong("1-5/5 * * * *", "step that is not from 1 to 4");
        wrong("5/10 * * * *", "write 5-59/");
        wrong("50-10 * * * *", "write 50-59,0-10");
        wrong("1,,2 * * * *", "minute \"\"");
        wrong("-1 * * * *", "minute \"-1\"");
        wrong("+1 * * * *", "minute \"+1\"");
        wrong("001 * * * *", "minute");
        wrong("* * L * *", "day of month \"L\"");
        wrong("* * * * 5#2", "day of week");
        wrong("* * ? * *", "day of month");
        wrong("jan * * * *", "minute");
        wrong("@reboot", "five fields");
        wrong("0 0 30 2 *", "no day");
        wrong("0 0 31 2,4,6 *", "no day");
        assert!(Cron::parse("0 0 29 2 *").is_ok() && Cron::parse("0 0 31 2 1").is_ok());
    }
}
