//! Reading the members of a document: what is wrong or unknown is noted, and reading goes on.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::limits;
use crate::problem::{Problems, member};

/// An object whose members are read.
#[derive(Clone)]
pub(crate) struct Members<'d> {
    /// Its path.
    pub(crate) at: String,
    pub(crate) map: &'d Map<String, Value>,
    pub(crate) problems: &'d Problems,
}

impl<'d> Members<'d> {
    /// Notes that a value is no object, and each member that is not `known`.
    pub(crate) fn of(
        at: impl Into<String>,
        value: &'d Value,
        known: &[&str],
        problems: &'d Problems,
    ) -> Option<Self> {
        let at = at.into();
        let Some(map) = value.as_object() else {
            problems.note(at, format!("is an object, not {}", shown(value)));
            return None;
        };
        for name in map.keys().filter(|name| !known.contains(&name.as_str())) {
            problems.note(member(&at, name), unknown(known));
        }
        Some(Self { at, map, problems })
    }

    /// A member that is there; `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'d Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        member(&self.at, name)
    }

    pub(crate) fn note(&self, name: &str, message: impl Into<String>) {
        self.problems.note(self.path(name), message);
    }

    /// A member that must be there.
    pub(crate) fn required(&self, name: &str) -> Option<&'d Value> {
        let found = self.get(name);
        if found.is_none() {
            self.note(name, "is required");
        }
        found
    }

    /// What `read` makes of a member, if it is there; what it may be, where it makes nothing of it.
    pub(crate) fn read<T>(
        &self,
        name: &str,
        forms: impl FnOnce() -> String,
        read: impl FnOnce(&'d Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name)?;
        let made = read(value);
        if made.is_none() {
            self.note(name, format!("is {}, not {}", forms(), shown(value)));
        }
        made
    }

    pub(crate) fn whole(&self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let forms = || format!("a whole number from {} to {}", range.start(), range.end());
        self.read(name, forms, |value| value.as_u64().filter(|number| range.contains(number)))
    }

    pub(crate) fn count(&self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        self.whole(name, range).and_then(|number| u32::try_from(number).ok())
    }

    pub(crate) fn number(&self, name: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let forms = || format!("a number from {} to {}", range.start(), range.end());
        self.read(name, forms, |value| value.as_f64().filter(|number| range.contains(number)))
    }

    /// A time in whole milliseconds.
    pub(crate) fn millis(&self, name: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (from, to) = (millis(range.start()), millis(range.end()));
        let forms = || format!("a whole number of milliseconds from {from} to {to}");
        let number = self.read(name, forms, |value| {
            value.as_u64().filter(|number| (from..=to).contains(number))
        });
        number.map(Duration::from_millis)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.read(name, || "true or false".to_owned(), Value::as_bool)
    }

    /// A text of at least one byte.
    pub(crate) fn text(&self, name: &str, most: usize) -> Option<&'d str> {
        let forms = || format!("a text of 1 to {most} bytes");
        self.read(name, forms, |value| {
            value.as_str().filter(|text| (1..=most).contains(&text.len()))
        })
    }

    /// A text of at least one byte that can be told on a line.
    pub(crate) fn line(&self, name: &str, most: usize) -> Option<&'d str> {
        let forms = || format!("a text of 1 to {most} bytes, without control characters");
        self.read(name, forms, |value| {
            let text = value.as_str().filter(|text| (1..=most).contains(&text.len()))?;
            (!has_controls(text)).then_some(text)
        })
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let forms = || {
            let words = words.iter().map(|(word, _)| format!("\"{word}\""));
            words.collect::<Vec<_>>().join(" or ")
        };
        self.read(name, forms, |value| {
            let given = value.as_str()?;
            words.iter().find(|(word, _)| *word == given).map(|(_, means)| *means)
        })
    }

    /// An object within this one.
    pub(crate) fn object(&self, name: &str, known: &[&str]) -> Option<Members<'d>> {
        let value = self.get(name)?;
        Members::of(self.path(name), value, known, self.problems)
    }

    /// A list.
    pub(crate) fn list(&self, name: &str) -> Option<&'d Vec<Value>> {
        self.read(name, || "a list".to_owned(), Value::as_array)
    }
}

/// Whether a text cannot be told on a line.
pub(crate) fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// What is said of a member that nobody knows.
pub(crate) fn unknown(known: &[&str]) -> String {
    format!("is unknown; known are {}", known.join(", "))
}

/// A value as messages show it.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(limits::SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
