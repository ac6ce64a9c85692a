//! `toLocaleString`, `toLocaleDateString` and `toLocaleTimeString` of dates, in en-US and UTC.

use boa_engine::object::builtins::JsDate;
use boa_engine::{
    Context, JsArgs, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
};

use super::format::{Cycle, Digits, Format, Month, Width, ZoneName};
use crate::js::builtins::options::{Options, check_locales, range};
use crate::js::method::put_method;

/// Which fields a method is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Date,
    Time,
}

/// Puts the methods into `Date.prototype`.
pub(super) fn install(prototype: &JsObject, context: &Context) {
    let methods = [
        ("toLocaleString", Kind::All),
        ("toLocaleDateString", Kind::Date),
        ("toLocaleTimeString", Kind::Time),
    ];
    for (name, kind) in methods {
        let function = NativeFunction::from_copy_closure(move |this, arguments, context| {
            text(this, arguments, kind, context)
        });
        put_method(prototype, JsString::from(name).into(), (name, 0), function, context);
    }
}

fn text(
    this: &JsValue,
    arguments: &[JsValue],
    kind: Kind,
    context: &mut Context,
) -> JsResult<JsValue> {
    let date = this.as_object().and_then(|object| JsDate::from_object(object).ok());
    let Some(date) = date else {
        return Err(JsNativeError::typ().with_message("'this' is not a Date").into());
    };
    let time = date.value_of(context)?.to_number(context)?;
    if time.is_nan() {
        return Ok(JsString::from("Invalid Date").into());
    }
    check_locales(arguments.get_or_undefined(0), context)?;
    let options = Options::new(arguments.get_or_undefined(1), context)?;
    let format = format_of(&options, kind, context)?;
    // Dates are whole, and far from the ends of the type.
    match format.text(time as i64) {
        Some(text) => Ok(JsString::from(text).into()),
        None => Err(range(
            "these fields of a date have no format of their own in en-US: ask for more, or for each \
             alone",
        )),
    }
}

const WIDTHS: [(&str, Width); 3] =
    [("narrow", Width::Narrow), ("short", Width::Short), ("long", Width::Long)];

const DIGITS: [(&str, Digits); 2] = [("numeric", Digits::Numeric), ("2-digit", Digits::Two)];

const MONTHS: [(&str, Month); 5] = [
    ("numeric", Month::Number(Digits::Numeric)),
    ("2-digit", Month::Number(Digits::Two)),
    ("narrow", Month::Name(Width::Narrow)),
    ("short", Month::Name(Width::Short)),
    ("long", Month::Name(Width::Long)),
];

const ZONES: [(&str, ZoneName); 6] = [
    ("short", ZoneName::Short),
    ("long", ZoneName::Long),
    ("shortOffset", ZoneName::ShortOffset),
    ("longOffset", ZoneName::LongOffset),
    ("shortGeneric", ZoneName::ShortOffset),
    ("longGeneric", ZoneName::LongOffset),
];

const CYCLES: [(&str, Cycle); 4] =
    [("h11", Cycle::H11), ("h12", Cycle::H12), ("h23", Cycle::H23), ("h24", Cycle::H24)];

/// `dateStyle` and `timeStyle`, from the longest.
const STYLES: [(&str, u8); 4] = [("full", 0), ("long", 1), ("medium", 2), ("short", 3)];

/// All names of UTC.
const UTC: [&str; 13] = [
    "UTC",
    "GMT",
    "Etc/UTC",
    "Etc/GMT",
    "UCT",
    "Etc/UCT",
    "Zulu",
    "Etc/Zulu",
    "Universal",
    "Etc/Universal",
    "GMT0",
    "GMT+0",
    "GMT-0",
];

/// Reads the options, each once, and fills in what the method writes without any.
fn format_of(options: &Options, kind: Kind, context: &mut Context) -> JsResult<Format> {
    options.choice("localeMatcher", &[("lookup", ()), ("best fit", ())], context)?;
    options.only("calendar", "gregory", context)?;
    options.only("numberingSystem", "latn", context)?;
    let hour12 = options.flag("hour12", context)?;
    let cycle = options.choice("hourCycle", &CYCLES, context)?;
    if let Some(zone) = options.text("timeZone", context)?
        && !UTC.iter().any(|utc| utc.eq_ignore_ascii_case(&zone))
    {
        let zone: String = zone.chars().take(100).collect();
        return Err(range(format!("time zone '{zone}' is not known here: only UTC is")));
    }
    // A clock of not twelve hours ends with 24, as in V8.
    let cycle = match hour12 {
        Some(true) => Cycle::H12,
        Some(false) => Cycle::H24,
        None => cycle.unwrap_or(Cycle::H12),
    };
    let mut format = Format::new(cycle);
    format.weekday = options.choice("weekday", &WIDTHS, context)?;
    format.era = options.choice("era", &WIDTHS, context)?;
    format.year = options.choice("year", &DIGITS, context)?;
    format.month = options.choice("month", &MONTHS, context)?;
    format.day = options.choice("day", &DIGITS, context)?;
    format.period = options.choice("dayPeriod", &WIDTHS, context)?;
    format.hour = options.choice("hour", &DIGITS, context)?;
    format.minute = options.choice("minute", &DIGITS, context)?.is_some();
    format.second = options.choice("second", &DIGITS, context)?.is_some();
    format.fraction = options.whole("fractionalSecondDigits", 1, 3, context)?.unwrap_or(0);
    format.zone = options.choice("timeZoneName", &ZONES, context)?;
    options.choice("formatMatcher", &[("basic", ()), ("best fit", ())], context)?;
    let date = options.choice("dateStyle", &STYLES, context)?;
    let time = options.choice("timeStyle", &STYLES, context)?;
    if date.is_some() || time.is_some() {
        styled(&mut format, kind, date, time)?;
    } else {
        fill(&mut format, kind);
    }
    Ok(format)
}

fn styled(format: &mut Format, kind: Kind, date: Option<u8>, time: Option<u8>) -> JsResult<()> {
    let wrong = |message| Err(JsNativeError::typ().with_message(message).into());
    let has_fields =
        has_date(format) || has_time(format) || format.era.is_some() || format.zone.is_some();
    if has_fields {
        return wrong("dateStyle and timeStyle go with no single fields");
    }
    if kind == Kind::Date && time.is_some() {
        return wrong("toLocaleDateString takes no timeStyle");
    }
    if kind == Kind::Time && date.is_some() {
        return wrong("toLocaleTimeString takes no dateStyle");
    }
    if let Some(style) = date {
        format.weekday = (style == 0).then_some(Width::Long);
        format.year = Some(if style == 3 { Digits::Two } else { Digits::Numeric });
        format.month = Some(match style {
            0 | 1 => Month::Name(Width::Long),
            2 => Month::Name(Width::Short),
            _ => Month::Number(Digits::Numeric),
        });
        format.day = Some(Digits::Numeric);
    }
    if let Some(style) = time {
        (format.hour, format.minute) = (Some(Digits::Numeric), true);
        format.second = style < 3;
        format.zone = [ZoneName::Long, ZoneName::Short].get(usize::from(style)).copied();
    }
    Ok(())
}

fn has_date(format: &Format) -> bool {
    format.weekday.is_some()
        || format.year.is_some()
        || format.month.is_some()
        || format.day.is_some()
}

fn has_time(format: &Format) -> bool {
    format.period.is_some()
        || format.hour.is_some()
        || format.minute
        || format.second
        || format.fraction > 0
}

/// Without a field that the method is about it writes them all.
fn fill(format: &mut Format, kind: Kind) {
    let given =
        (kind != Kind::Time && has_date(format)) || (kind != Kind::Date && has_time(format));
    if given {
        return;
    }
    if kind != Kind::Time {
        format.year = Some(Digits::Numeric);
        format.month = Some(Month::Number(Digits::Numeric));
        format.day = Some(Digits::Numeric);
    }
    if kind != Kind::Date {
        (format.hour, format.minute, format.second) = (Some(Digits::Numeric), true, true);
    }
}
