//! Parameters of named jobs: what may be given for each.

use serde_json::Value;

use crate::limits;
use crate::members::{Members, shown};
use crate::problem::Problems;

/// A parameter of a named job.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// What it is called.
    pub name: String,
    /// What it says of itself, for a form.
    pub description: Option<String>,
    /// What values it has.
    pub kind: ParamType,
    /// Whether it must be given.
    pub required: bool,
    /// What it is where it is not given.
    pub default: Option<Value>,
    /// The least that it may be: of numbers the value, of texts the characters, of lists the elements.
    pub min: Option<f64>,
    /// The most that it may be, counted likewise.
    pub max: Option<f64>,
    /// The values that it may have, where those are counted.
    pub one_of: Option<Vec<Value>>,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParamType {
    /// A text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list of whatever.
    List,
    /// An object.
    Object,
    /// Any JSON but null.
    Any,
}

const TYPES: [(&str, ParamType); 7] = [
    ("string", ParamType::String),
    ("integer", ParamType::Integer),
    ("number", ParamType::Number),
    ("boolean", ParamType::Boolean),
    ("list", ParamType::List),
    ("object", ParamType::Object),
    ("any", ParamType::Any),
];

impl ParamType {
    /// The word for it in files and answers.
    pub fn word(self) -> &'static str {
        TYPES.iter().find(|(_, kind)| *kind == self).map_or("any", |(word, _)| word)
    }

    fn has(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
            Self::Any => !value.is_null(),
        }
    }
}

const MEMBERS: [&str; 8] =
    ["name", "type", "required", "default", "min", "max", "one_of", "description"];

impl Param {
    /// Reads what is said of a parameter.
    pub(super) fn read(at: &str, value: &Value, problems: &Problems) -> Option<Self> {
        let given = Members::of(at, value, &MEMBERS, problems)?;
        given.required("name")?;
        let forms = || "a name of letters, digits, \"_\", \".\" and \"-\"".to_owned();
        let name = given.read("name", forms, |value| value.as_str().filter(|name| is_name(name)));
        let number = |name| given.read(name, || "a number".to_owned(), Value::as_f64);
        let param = Self {
            name: name?.to_owned(),
            description: given.text("description", limits::URL_BYTES).map(str::to_owned),
            kind: given.word("type", &TYPES).unwrap_or_default(),
            required: given.flag("required").unwrap_or(false),
            default: given.get("default").cloned(),
            min: number("min"),
            max: number("max"),
            one_of: given.list("one_of").cloned(),
        };
        param.check_itself(&given);
        Some(param)
    }

    /// Notes what does not fit together.
    fn check_itself(&self, given: &Members<'_>) {
        let bounded = !matches!(self.kind, ParamType::Boolean | ParamType::Object | ParamType::Any);
        for name in ["min", "max"].into_iter().filter(|name| given.get(name).is_some()) {
            if !bounded {
                given.note(name, format!("says nothing of the type {}", self.kind.word()));
            }
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            given.note("min", format!("is above max ({max})"));
        }
        if self.one_of.as_ref().is_some_and(|words| !words.iter().all(|word| self.kind.has(word))) {
            given.note("one_of", format!("has values that are no {}", self.kind.word()));
        }
        match &self.default {
            Some(_) if self.required => {
                given.note("default", "is never used where the parameter is required");
            }
            Some(default) => {
                if let Err(why) = self.check(default) {
                    given.note("default", why);
                }
            }
            None => {}
        }
    }

    /// Whether the parameter may have values that are like this one.
    ///
    /// # Errors
    /// Of what type it is.
    pub(super) fn check_type(&self, like: &Value) -> Result<(), String> {
        match self.kind.has(like) {
            true => Ok(()),
            false => Err(format!("is of type {}, not {}", self.kind.word(), shown(like))),
        }
    }

    /// Whether the parameter may have a value.
    ///
    /// # Errors
    /// What it may be.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        self.check_type(value)?;
        if let Some(words) = self.one_of.as_ref().filter(|words| !words.contains(value)) {
            let words = words.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
            return Err(format!("is one of {words}, not {}", shown(value)));
        }
        let (size, of) = size(value);
        match (self.min, self.max) {
            (Some(min), _) if size < min => Err(format!("has{of} at least {min}, not {size}")),
            (_, Some(max)) if size > max => Err(format!("has{of} at most {max}, not {size}")),
            _ => Ok(()),
        }
    }
}

/// Whether a text can be the name of a parameter: App Engine's rule, with a bound, and `-`.
pub(super) fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=limits::PARAM_NAME_BYTES).contains(&text.len()) && text.bytes().all(letter)
}

/// What `min` and `max` are compared with, and what that counts.
fn size(value: &Value) -> (f64, &'static str) {
    // Counts are far below 2^53.
    #[expect(clippy::cast_precision_loss)]
    let count = |count: usize| count as f64;
    match value {
        Value::String(text) => (count(text.chars().count()), " characters:"),
        Value::Array(list) => (count(list.len()), " elements:"),
        other => (other.as_f64().unwrap_or(0.0), ""),
    }
}
