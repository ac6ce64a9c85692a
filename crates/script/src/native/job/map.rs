//! `Job` functions as a map: pairs of a key and a value, each the object's own or a part of its JSON.

use mapring_types::Object;

use super::Job;
use crate::groups::{no_pair, split};
use crate::json::{Value, parse, parse_members, quoted};
use crate::native::kind::bad_argument;
use crate::{Binary, JsonText, MapInput, PhaseFunction, Row, ScriptError, object};

/// A `Job` function as a map, with what its argument says: `{"key":PATH,"value":PATH}`, a path being the
/// names of members from the outside in, as a list or with dots between.
#[derive(Debug)]
pub(crate) struct MapJob {
    job: Job,
    /// The object's key when absent.
    key: Option<Vec<String>>,
    /// The whole value when absent.
    value: Option<Vec<String>>,
    binary: Binary,
}

impl MapJob {
    /// The map that a function is; `None` for another function.
    ///
    /// # Errors
    /// The argument says something else than a map takes.
    pub(crate) fn find(function: &PhaseFunction) -> Result<Option<Self>, ScriptError> {
        let Some(job) = Job::find(function) else { return Ok(None) };
        let mut map = Self { job, key: None, value: None, binary: function.binary };
        let wrong = || {
            let name = job.name();
            bad_argument(format!(
                "the argument of {name} as a map is {{\"key\":PATH,\"value\":PATH}}"
            ))
        };
        let members = match function.arg.as_ref().map(|JsonText(arg)| parse(arg)) {
            None | Some(Ok(Value::Null)) => return Ok(Some(map)),
            Some(Ok(Value::Object(members))) => members,
            Some(_) => return Err(wrong()),
        };
        for (name, value) in &members {
            let path = path(value).ok_or_else(wrong)?;
            match name.as_str() {
                "key" => map.key = Some(path),
                "value" => map.value = Some(path),
                _ => return Err(wrong()),
            }
        }
        Ok(Some(map))
    }

    /// The results where nothing is grouped.
    pub(crate) fn rows(&self, input: &MapInput) -> Result<Vec<Row>, ScriptError> {
        let Some(stored) = object::object(input)? else {
            return Ok(vec![object::not_found(input)?]);
        };
        if self.job == Job::Count {
            return Ok(vec![Row::value("1")]);
        }
        let (key, value) = self.parts(input, &stored)?;
        Ok(vec![Row::value(match self.job {
            Job::Keys => key,
            Job::Values => value,
            _ => format!("[{key},{value}]"),
        })])
    }

    /// The key and the value where results are grouped. A missing object has none. A value of
    /// `Job.values` is such a pair itself.
    pub(crate) fn pair(&self, input: &MapInput) -> Result<Option<(String, String)>, ScriptError> {
        let Some(stored) = object::object(input)? else { return Ok(None) };
        let (key, value) = self.parts(input, &stored)?;
        Ok(Some(match self.job {
            // What is counted: the part that is named, else the value.
            Job::Count if self.key.is_some() => (key, "1".to_owned()),
            Job::Count => (value, "1".to_owned()),
            Job::Keys => (key, "null".to_owned()),
            Job::Values => {
                let (key, value) = split(&value).ok_or_else(|| no_pair(&value))?;
                (key.to_owned(), value.to_owned())
            }
            _ => (key, value),
        }))
    }

    /// The JSON of key and value. A part that is not there is null, as it would be in JavaScript.
    fn parts(&self, input: &MapInput, stored: &Object) -> Result<(String, String), ScriptError> {
        let names = object::names(&input.id)?;
        let first = stored.siblings.first();
        let text = first.map(|sibling| object::data(sibling, self.binary)).transpose()?;
        let text = text.unwrap_or_default();
        let wants_parts = self.key.is_some() || self.value.is_some();
        // Paths have a name at least.
        let read = match (&self.key, &self.value) {
            (Some(key), Some(value)) => parse_members(&text, &[&key[0], &value[0]]),
            _ => parse(&text),
        };
        let parsed = match read {
            Ok(value) => Some(value),
            Err(error) if wants_parts => return Err(bad_argument(error.to_string())),
            Err(_) => None,
        };
        let part = |path: &Vec<String>| {
            let mut at = parsed.as_ref();
            for name in path {
                at = at.and_then(|value| value.get(name));
            }
            at.map_or_else(|| "null".to_owned(), Value::to_js)
        };
        let key = self.key.as_ref().map_or_else(|| quoted(names.key), part);
        let value = match (&self.value, &parsed) {
            (Some(path), _) => part(path),
            (None, Some(value)) => value.to_js(),
            // What is no JSON is a text.
            (None, None) => quoted(&text),
        };
        Ok((key, value))
    }
}

/// The names on a path.
fn path(value: &Value) -> Option<Vec<String>> {
    let names: Vec<String> = match value {
        Value::String(text) => text.split('.').map(str::to_owned).collect(),
        Value::Array(items) => {
            let name = |item: &Value| match item {
                Value::String(name) => Some(name.clone()),
                _ => None,
            };
            items.iter().map(name).collect::<Option<_>>()?
        }
        _ => return None,
    };
    (!names.is_empty()).then_some(names)
}
