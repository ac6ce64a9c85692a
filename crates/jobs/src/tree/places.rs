//! Values with their places in a file, and what may be wrong there.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use crate::limits;
use crate::problem::{Problem, element, member};

/// One thing that is wrong with a file, or to be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where in the file.
    pub place: Place,
    /// The path of the member in question; empty for the file as a whole.
    pub field: String,
    /// What there is to say.
    pub message: String,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The character in it, from 1.
    pub column: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{line}:{column}: ")?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a file, in its order; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub(crate) Vec<Mistake>);

impl Mistakes {
    /// All of them.
    pub fn all(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if at > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// A file that has been read.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) value: Value,
    pub(super) places: Places,
}

/// Where the values of a file lie, by their paths.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<String, Place>);

/// The path of a value, as long as it is short enough to be kept.
pub(super) type Path = Option<String>;

impl Places {
    pub(super) fn set(&mut self, path: &Path, place: Place) {
        if let Some(path) = path {
            self.0.insert(path.clone(), place);
        }
    }
}

pub(super) fn below_member(path: &Path, name: &str) -> Path {
    path.as_ref().map(|path| member(path, name)).filter(|path| path.len() <= limits::PATH_BYTES)
}

pub(super) fn below_element(path: &Path, at: usize) -> Path {
    path.as_ref().map(|path| element(path, at)).filter(|path| path.len() <= limits::PATH_BYTES)
}

impl Tree {
    /// Where a member lies, or where it should.
    pub(crate) fn place(&self, field: &str) -> Place {
        let mut path = field;
        loop {
            match self.places.0.get(path) {
                Some(place) => return *place,
                None if path.is_empty() => return START,
                None => path = path.get(..path.rfind(['.', '[']).unwrap_or(0)).unwrap_or_default(),
            }
        }
    }

    /// Problems with their places, in the order of the file.
    pub(crate) fn located(&self, problems: Vec<Problem>) -> Vec<Mistake> {
        let located = problems.into_iter().map(|Problem { field, message }| Mistake {
            place: self.place(&field),
            field,
            message,
        });
        let mut mistakes: Vec<_> = located.collect();
        mistakes.sort_by_key(|mistake| mistake.place);
        mistakes
    }
}

const START: Place = Place { line: 1, column: 1 };

pub(super) fn whole(message: String) -> Mistake {
    Mistake { place: START, field: String::new(), message }
}

/// What a file has used of its bounds.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Budget {
    pub(super) values: usize,
    pub(super) bytes: usize,
}

impl Budget {
    /// Counts values and bytes of text, and says whether they are within the bounds.
    pub(super) fn take(&mut self, values: usize, bytes: usize) -> Result<(), String> {
        self.values = self.values.saturating_add(values);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.values > limits::CONFIG_VALUES {
            return Err(format!("there are more than {} values", limits::CONFIG_VALUES));
        }
        if self.bytes > limits::CONFIG_TEXT_BYTES {
            return Err(format!("texts have more than {} bytes", limits::CONFIG_TEXT_BYTES));
        }
        Ok(())
    }
}

/// A number as JSON has them.
pub(super) fn number(number: f64) -> Result<Value, String> {
    serde_json::Number::from_f64(number)
        .map(Value::Number)
        .ok_or_else(|| format!("{number} is no number that JSON has"))
}

/// That a value lies too deep.
pub(super) fn too_deep() -> String {
    format!("lists and objects are nested deeper than {}", limits::NESTING)
}
