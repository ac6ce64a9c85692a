//! What is known of a date while its text is read.

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// Most milliseconds that a date may be from 1970, either way.
pub(super) const MOST_MS: i64 = 100_000_000 * DAY_MS;

/// Years beyond these, either way, cannot be brought back within [`MOST_MS`] by any zone.
const MOST_YEARS: i32 = 1_000_000;

/// Numbers in the order they came, at most `N`.
#[derive(Debug)]
struct Parts<const N: usize> {
    parts: [i32; N],
    count: usize,
}

impl<const N: usize> Parts<N> {
    /// With what the parts are that do not come.
    const fn new(missing: i32) -> Self {
        Self { parts: [missing; N], count: 0 }
    }

    fn add(&mut self, part: i32) -> Option<()> {
        *self.parts.get_mut(self.count)? = part;
        self.count += 1;
        Some(())
    }
}

/// The numbers of the day, and its month where that has a name.
#[derive(Debug)]
pub(super) struct Day {
    parts: Parts<3>,
    pub(super) month: Option<i32>,
    /// Whether the order is year, month, day, and the year is as it is written.
    pub(super) iso: bool,
}

impl Day {
    pub(super) const fn new() -> Self {
        Self { parts: Parts::new(1), month: None, iso: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.count == 0
    }

    /// `None` when there are three already.
    pub(super) fn add(&mut self, part: i32) -> Option<()> {
        self.parts.add(part)
    }

    /// Days since 1970.
    fn days(&self) -> Option<i64> {
        let is_day = |part: i32| (1..=31).contains(&part);
        let [first, second, third] = self.parts.parts;
        let (year, month, day) = match self.month {
            _ if self.is_empty() => return None,
            Some(month) if is_day(first) => (second, month, first),
            Some(month) => (first, month, second),
            None if self.iso || !is_day(first) => (first, second, third),
            None => (third, first, second),
        };
        let year = match year {
            0..=49 if !self.iso => year + 2_000,
            50..=99 if !self.iso => year + 1_900,
            _ => year,
        };
        let known =
            (-MOST_YEARS..=MOST_YEARS).contains(&year) && (1..=12).contains(&month) && is_day(day);
        known.then(|| days_of(year.into(), month.into()) + i64::from(day) - 1)
    }
}

/// Days from 1970 to the first of a month, in the calendar of today.
fn days_of(year: i64, month: i64) -> i64 {
    // Years that begin in March have their odd day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before + (153 * month + 2) / 5 - 719_468
}

/// Hour, minute, second and millisecond.
#[derive(Debug)]
pub(super) struct Clock {
    parts: Parts<4>,
    /// What `AM` or `PM` adds to the hour.
    pub(super) half: Option<i32>,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self { parts: Parts::new(0), half: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.count == 0
    }

    /// `None` when there are four already.
    pub(super) fn add(&mut self, part: i32) -> Option<()> {
        self.parts.add(part)
    }

    /// The parts that have not come do not come any more.
    pub(super) fn end(&mut self) {
        self.parts.count = self.parts.parts.len();
    }

    /// Whether a number can be the next part after the hour.
    pub(super) fn expects(&self, part: i32) -> bool {
        let end = [0, 60, 60, 1_000].get(self.parts.count);
        end.is_some_and(|&end| part < end)
    }

    fn milliseconds(&self) -> Option<i64> {
        let [mut hour, minute, second, millisecond] = self.parts.parts;
        if let Some(half) = self.half {
            if hour > 12 {
                return None;
            }
            hour = hour % 12 + half;
        }
        let is_time = hour < 24 && minute < 60 && second < 60 && millisecond < 1_000;
        if !is_time && (hour, minute, second, millisecond) != (24, 0, 0, 0) {
            return None;
        }
        Some(i64::from(((hour * 60 + minute) * 60 + second) * 1_000 + millisecond))
    }
}

/// The distance from UTC.
#[derive(Debug)]
pub(super) struct Zone {
    /// -1 or 1. A zone without a sign is none.
    pub(super) sign: Option<i32>,
    pub(super) hours: Option<i32>,
    pub(super) minutes: Option<i32>,
}

impl Zone {
    pub(super) const fn new() -> Self {
        Self { sign: None, hours: None, minutes: None }
    }

    pub(super) fn set(&mut self, hours: i32) {
        self.sign = Some(if hours < 0 { -1 } else { 1 });
        self.hours = Some(hours.abs());
        self.minutes = Some(0);
    }

    pub(super) fn is_utc(&self) -> bool {
        self.hours == Some(0) && self.minutes == Some(0)
    }

    /// Whether a number can be its minutes.
    pub(super) fn expects(&self, part: i32) -> bool {
        self.hours.is_some() && self.minutes.is_none() && part < 60
    }

    /// Local time is UTC.
    fn milliseconds(&self) -> Option<i64> {
        let Some(sign) = self.sign else { return Some(0) };
        let [hours, minutes] =
            [self.hours, self.minutes].map(|part| part.unwrap_or(0).unsigned_abs());
        // V8 counts seconds in 32 bits, round and round; what does not fit 31 bits is refused.
        let seconds = hours.wrapping_mul(3_600).wrapping_add(minutes.wrapping_mul(60));
        i32::try_from(seconds).ok().map(|seconds| i64::from(sign) * i64::from(seconds) * 1_000)
    }
}

/// Milliseconds since 1970; `None` when one of the three is none, or the date is out of bounds.
pub(super) fn milliseconds(day: &Day, clock: &Clock, zone: &Zone) -> Option<i64> {
    let time = day.days()? * DAY_MS + clock.milliseconds()? - zone.milliseconds()?;
    (-MOST_MS..=MOST_MS).contains(&time).then_some(time)
}
