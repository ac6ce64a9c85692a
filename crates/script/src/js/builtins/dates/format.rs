//! Dates in the words and orders of en-US, as ICU writes them.

use super::fields::DAY_MS;

/// How long a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Narrow,
    Short,
    Long,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Numeric,
    Two,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Month {
    Number(Digits),
    Name(Width),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoneName {
    Short,
    Long,
    ShortOffset,
    LongOffset,
}

/// From which hour to which a clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cycle {
    H11,
    H12,
    H23,
    H24,
}

/// What is written of a date.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) weekday: Option<Width>,
    pub(super) era: Option<Width>,
    pub(super) year: Option<Digits>,
    pub(super) month: Option<Month>,
    pub(super) day: Option<Digits>,
    pub(super) period: Option<Width>,
    pub(super) hour: Option<Digits>,
    pub(super) minute: bool,
    pub(super) second: bool,
    /// Digits of the second's fraction.
    pub(super) fraction: usize,
    pub(super) zone: Option<ZoneName>,
    pub(super) cycle: Cycle,
}

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date taken apart.
struct Moment {
    /// In the era.
    year: i64,
    before_christ: bool,
    month: usize,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
    millisecond: i64,
}

impl Moment {
    fn of(time: i64) -> Self {
        let (days, within) = (time.div_euclid(DAY_MS), time.rem_euclid(DAY_MS));
        // Counted from the first of March of the year 0: each 400 years are alike.
        let (age, of_age) =
            ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
        let year = (of_age - of_age / 1_460 + of_age / 36_524 - of_age / 146_096) / 365;
        let of_year = of_age - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let year = 400 * age + year + i64::from(month >= 10);
        Self {
            year: if year > 0 { year } else { 1 - year },
            before_christ: year <= 0,
            month: usize::try_from((month + 2) % 12).unwrap_or_default(),
            day,
            weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or_default(),
            hour: within / 3_600_000,
            minute: within / 60_000 % 60,
            second: within / 1_000 % 60,
            millisecond: within % 1_000,
        }
    }
}

impl Format {
    /// With nothing in it.
    pub(super) const fn new(cycle: Cycle) -> Self {
        Self {
            weekday: None,
            era: None,
            year: None,
            month: None,
            day: None,
            period: None,
            hour: None,
            minute: false,
            second: false,
            fraction: 0,
            zone: None,
            cycle,
        }
    }

    /// The text of a date, in milliseconds since 1970. `None` when en-US has no format of just these
    /// fields, so that ICU would patch one up.
    pub(super) fn text(&self, time: i64) -> Option<String> {
        let moment = Moment::of(time);
        let date = self.date(&moment)?;
        let mut clock = self.clock(&moment)?;
        if let Some(zone) = self.zone {
            let name = match zone {
                ZoneName::Short => "UTC",
                ZoneName::Long => "Coordinated Universal Time",
                ZoneName::ShortOffset => "GMT+0",
                ZoneName::LongOffset => "GMT+00:00",
            };
            match clock.is_empty() {
                true => clock = name.to_owned(),
                // An hour alone says that it is one.
                false if self.is_24() && self.hour.is_some() && !self.minute => {
                    clock = format!("{clock}h {name}");
                }
                false => clock = format!("{clock} {name}"),
            }
        }
        let glue = match self.month {
            _ if date.is_empty() || clock.is_empty() => "",
            Some(Month::Name(Width::Long)) => " at ",
            _ if self.is_weekday_and_time() => " ",
            _ => ", ",
        };
        Some(format!("{date}{glue}{clock}"))
    }

    fn is_24(&self) -> bool {
        matches!(self.cycle, Cycle::H23 | Cycle::H24)
    }

    fn is_weekday_and_time(&self) -> bool {
        let alone = self.year.is_none() && self.month.is_none() && self.day.is_none();
        let time = self.hour.is_some() && (self.minute || !self.is_24());
        alone && self.era.is_none() && time && self.fraction == 0 && self.zone.is_none()
    }

    /// Empty when nothing of the day is asked for.
    fn date(&self, moment: &Moment) -> Option<String> {
        let weekday = self.weekday.map(|width| name(WEEKDAYS[moment.weekday], width));
        let year = self.year.map(|digits| match digits {
            Digits::Numeric => moment.year.to_string(),
            Digits::Two => format!("{:02}", moment.year % 100),
        });
        let day = self.day.map(|digits| number(moment.day, digits));
        let number = match self.month {
            Some(Month::Number(digits)) => {
                let month = i64::try_from(moment.month).unwrap_or_default() + 1;
                Some(number(month, digits))
            }
            _ => None,
        };
        let named = match self.month {
            Some(Month::Name(width)) => Some(name(MONTHS[moment.month], width)),
            _ => None,
        };
        let plain = match (number, named, &day, &year) {
            (Some(month), _, Some(day), Some(year)) => format!("{month}/{day}/{year}"),
            (Some(month), _, Some(day), None) => format!("{month}/{day}"),
            (Some(month), _, None, Some(year)) => format!("{month}/{year}"),
            (Some(month), _, None, None) => month,
            (_, Some(month), Some(day), Some(year)) => format!("{month} {day}, {year}"),
            (_, Some(month), Some(day), None) => format!("{month} {day}"),
            (_, Some(month), None, Some(year)) => format!("{month} {year}"),
            (_, Some(month), None, None) => month.to_owned(),
            (None, None, Some(_), Some(_)) => return None,
            (None, None, Some(day), None) => day.clone(),
            (None, None, None, Some(year)) => year.clone(),
            (None, None, None, None) => String::new(),
        };
        let (has_month, has_day) = (self.month.is_some(), day.is_some());
        let mut text = match weekday {
            None => plain,
            Some(weekday) if has_month && has_day => format!("{weekday}, {plain}"),
            Some(_) if has_month && year.is_none() => return None,
            // Their order hangs on how each is written.
            Some(_) if !has_day && self.year == Some(Digits::Two) && !has_month => return None,
            Some(_) if !has_day && year.is_none() && self.era.is_some() => return None,
            // It comes last, behind the era.
            Some(weekday) => return self.with_era(plain, moment, has_day, Some(weekday)),
        };
        if self.era.is_some() {
            // A day alone, or a month, has no era.
            if has_month != has_day && year.is_none() {
                return None;
            }
            text = self.with_era(text, moment, false, None)?;
        }
        Some(text)
    }

    /// Adds the era, and a weekday: behind the day it belongs to (`5 Thu AD`), otherwise last.
    fn with_era(
        &self,
        plain: String,
        moment: &Moment,
        has_day: bool,
        weekday: Option<&str>,
    ) -> Option<String> {
        let era = self.era.map(|width| match (width, moment.before_christ) {
            (Width::Narrow, false) => "A",
            (Width::Narrow, true) => "B",
            (Width::Short, false) => "AD",
            (Width::Short, true) => "BC",
            (Width::Long, false) => "Anno Domini",
            (Width::Long, true) => "Before Christ",
        });
        let (near, far) = if has_day { (weekday, era) } else { (era, weekday) };
        let parts = [Some(plain.as_str()).filter(|plain| !plain.is_empty()), near, far];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }

    /// Empty when nothing of the time is asked for.
    fn clock(&self, moment: &Moment) -> Option<String> {
        let (second, two) = (moment.second, |value: i64| format!("{value:02}"));
        let fraction = format!("{:03}", moment.millisecond);
        let fraction = fraction.get(..self.fraction).unwrap_or(&fraction);
        // A fraction stands behind a second.
        let has_second = self.second || (self.fraction > 0 && self.minute);
        let point = if self.fraction > 0 { "." } else { "" };
        let Some(digits) = self.hour else {
            // Parts of a time that are none have no format with a zone or a part of the day.
            let has_time = has_second || self.minute || self.fraction > 0;
            let is_time = self.minute && has_second && self.period.is_none();
            let more = usize::from(self.period.is_some()) + usize::from(self.zone.is_some());
            if !is_time && more + usize::from(has_time) > 1 {
                return None;
            }
            return Some(match (self.minute, has_second) {
                (true, true) => format!("{}:{}{point}{fraction}", two(moment.minute), two(second)),
                (true, false) => moment.minute.to_string(),
                (false, true) => format!("{second}{point}{fraction}"),
                (false, false) if self.fraction == 0 => {
                    self.period(moment).unwrap_or_default().to_owned()
                }
                (false, false) => fraction.to_owned(),
            });
        };
        if !self.minute && (has_second || self.fraction > 0) {
            return None;
        }
        let hour = match self.cycle {
            Cycle::H11 => number(moment.hour % 12, digits),
            Cycle::H12 => number((moment.hour + 11) % 12 + 1, digits),
            Cycle::H23 => two(moment.hour),
            Cycle::H24 => two((moment.hour + 23) % 24 + 1),
        };
        let mut text = hour;
        if self.minute {
            text.push(':');
            text.push_str(&two(moment.minute));
        }
        if has_second {
            text = format!("{text}:{}{point}{fraction}", two(second));
        }
        if !self.is_24() {
            match self.period(moment) {
                Some(period) => text = format!("{text} {period}"),
                // V8 makes a plain space of the narrow one that ICU has here.
                None => text.push_str(if moment.hour < 12 { " AM" } else { " PM" }),
            }
        }
        Some(text)
    }

    /// The part of the day, where it is asked for.
    fn period(&self, moment: &Moment) -> Option<&'static str> {
        let width = self.period?;
        let second = self.second || self.fraction > 0;
        let past = (self.minute && moment.minute > 0) || (second && moment.second > 0);
        Some(match moment.hour {
            12 if !past && width == Width::Narrow => "n",
            12 if !past => "noon",
            0..12 => "in the morning",
            12..18 => "in the afternoon",
            18..21 => "in the evening",
            _ => "at night",
        })
    }
}

fn number(value: i64, digits: Digits) -> String {
    match digits {
        Digits::Numeric => value.to_string(),
        Digits::Two => format!("{value:02}"),
    }
}

fn name(name: &'static str, width: Width) -> &'static str {
    match width {
        Width::Narrow => name.get(..1).unwrap_or(name),
        Width::Short => name.get(..3).unwrap_or(name),
        Width::Long => name,
    }
}
