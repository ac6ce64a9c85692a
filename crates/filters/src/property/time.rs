//! Times as queries write them: ISO 8601, or milliseconds since the Unix epoch.

/// The microseconds since the Unix epoch that an ISO 8601 text says: a date, `2024-05-01`, alone or
/// with a time of day, `T10:30`, `T10:30:05`, `T10:30:05.25`, and an offset, `Z` or `+02:00`.
/// Without an offset it is UTC. `None` for anything else.
pub(super) fn iso(text: &str) -> Option<i64> {
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let days = days(number(year, 4)?, number(month, 2)?, number(day, 2)?)?;
    let micros = clock.map_or(Some(0), micros_of_day)?;
    Some(days * DAY + micros)
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A time of day with its offset, as microseconds since the midnight that begins the day in UTC.
fn micros_of_day(clock: &str) -> Option<i64> {
    let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => clock.split_at(at),
        None => (clock, "Z"),
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (second, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, "0"));
            (number(second, 2)?, micros(fraction)?)
        }
    };
    let fits = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    let seconds = hour * 3_600 + minute * 60 + second;
    fits.then_some(seconds * SECOND + fraction - offset_seconds(offset)? * SECOND)
}

/// The digits behind the point of a second; what is less than a microsecond is left out.
fn micros(digits: &str) -> Option<i64> {
    let whole = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    whole.then(|| format!("{digits:0<6}").get(..6)?.parse().ok()).flatten()
}

fn offset_seconds(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'Z' | b'z' => return (text.len() == 1).then_some(0),
        b'-' => -1,
        _ => 1,
    };
    let text = text.get(1..)?;
    let (hours, minutes) = match text.split_once(':') {
        Some(parts) => parts,
        None if text.len() == 4 => text.split_at_checked(2)?,
        None => (text, "00"),
    };
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let fits = text.len() == digits && text.bytes().all(|digit| digit.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: years are counted from March on, so that
/// the day of a leap year is the last.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From the first of March, year 0, to the Unix epoch.
    const EPOCH: i64 = 719_468;
    Some(days_of_years + (153 * month + 2) / 5 + day - 1 - EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, seconds: Option<i64>) {
        assert_eq!(iso(text), seconds.map(|seconds| seconds * SECOND), "{text}");
    }

    // Expected seconds are those of GNU date.
    #[test]
    fn times_that_are() {
        check("1970-01-01", Some(0));
        check("1970-01-01T00:00:00Z", Some(0));
        check("2024-02-29T12:34:56Z", Some(1_709_210_096));
        check("2024-05-01T00:00:00+02:00", Some(1_714_514_400));
        check("2024-05-01T00:00:00-0330", Some(1_714_534_200));
        check("2024-05-01 10:30", Some(1_714_559_400));
        check("2024-05-01T10:30+01", Some(1_714_555_800));
        check("2000-02-29", Some(951_782_400));
        check("1900-03-01T00:00:00Z", Some(-2_203_891_200));
        check("1969-12-31T23:59:59Z", Some(-1));
        check("9999-12-31T23:59:59Z", Some(253_402_300_799));
        check("0001-01-01", Some(-62_135_596_800));
        assert_eq!(iso("1970-01-01T00:00:01.25Z"), Some(1_250_000));
        assert_eq!(iso("1970-01-01T00:00:00,0000019"), Some(1));
    }

    #[test]
    fn times_that_are_none() {
        for text in [
            "",
            "2024",
            "2024-05",
            "24-05-01",
            "2024-5-1",
            "2024-02-30",
            "1900-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-05-01T",
            "2024-05-01T24:00",
            "2024-05-01T10",
            "2024-05-01T10:60",
            "2024-05-01T10:30:60",
            "2024-05-01T10:30:05.",
            "2024-05-01T10:30X",
            "2024-05-01T10:30Zz",
            "2024-05-01T10:30+25:00",
            "2024-05-01-01",
            "+024-05-01",
            "é",
            "2024-05-01T10:30:05:05",
            "yesterday",
            "2024-05-01T10:30+é1",
        ] {
            check(text, None);
        }
    }
}
