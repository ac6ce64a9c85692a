//! References to what other steps gave: `{"$from":"step"}`, at any depth of any member.

use serde_json::{Value, json};

use crate::problem::{Problems, element, member};

/// The one member of a reference.
const FROM: &str = "$from";

/// What a step gives besides; the first is meant where a reference names nothing but the step.
pub(super) const OUTPUTS: [&str; 4] = [DEFAULT, "result_status", "counters", "job_id"];
const DEFAULT: &str = "default";

/// A reference, taken apart: `step.output.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    /// As it was written.
    pub(super) text: &'t str,
    pub(super) step: &'t str,
    pub(super) output: &'t str,
    path: &'t str,
}

impl<'t> Reference<'t> {
    fn parse(text: &'t str) -> Self {
        let (step, rest) = text.split_once('.').unwrap_or((text, DEFAULT));
        let (output, path) = rest.split_once('.').unwrap_or((rest, ""));
        Self { text, step, output, path }
    }

    /// A value of the type that it will come to, where that is known before.
    pub(super) fn like(&self) -> Option<Value> {
        match (self.output, self.path) {
            ("result_status", "") => Some("success".into()),
            ("job_id", "") => Some("id".into()),
            ("counters", "") => Some(json!({})),
            ("counters", _) => Some(0.into()),
            _ => None,
        }
    }

    /// What it refers to within what its step gave.
    fn find<'v>(&self, given: &'v Value) -> Option<&'v Value> {
        let names = self.path.split('.').filter(|_| !self.path.is_empty());
        names.fold(given.get(self.output), |value, name| match value? {
            Value::Array(list) => list.get(name.parse::<usize>().ok()?),
            value => value.get(name),
        })
    }
}

/// The reference that a value is, if it is one.
pub(super) fn of(value: &Value) -> Option<Reference<'_>> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.get(FROM)?.as_str().map(Reference::parse)
}

/// Calls `each` with the path of every reference in a value; notes those that are none.
pub(super) fn references<'v>(
    value: &'v Value,
    at: &str,
    problems: &Problems,
    each: &mut dyn FnMut(String, Reference<'v>),
) {
    if let Some(reference) = of(value) {
        return each(at.to_owned(), reference);
    }
    match value {
        Value::Array(list) => {
            for (number, inner) in list.iter().enumerate() {
                references(inner, &element(at, number), problems, each);
            }
        }
        Value::Object(members) => {
            if members.contains_key(FROM) {
                let message = "is a text that names a step, and the only member of its object";
                problems.note(member(at, FROM), message);
            }
            for (name, inner) in members {
                references(inner, &member(at, name), problems, each);
            }
        }
        _ => {}
    }
}

/// The same value, with what `find` gives in place of references.
pub(super) fn replaced(
    value: &Value,
    at: &str,
    find: &mut dyn FnMut(&str, &Reference<'_>) -> Value,
) -> Value {
    if let Some(reference) = of(value) {
        return find(at, &reference);
    }
    match value {
        Value::Array(list) => {
            let list = list.iter().enumerate();
            list.map(|(number, inner)| replaced(inner, &element(at, number), find)).collect()
        }
        Value::Object(members) => {
            let members = members.iter();
            let filled = members
                .map(|(name, inner)| (name.clone(), replaced(inner, &member(at, name), find)));
            Value::Object(filled.collect())
        }
        _ => value.clone(),
    }
}

/// Puts what steps gave into a value; notes what they did not give.
pub(super) fn resolve<'o>(
    value: &Value,
    at: &str,
    outputs: &dyn Fn(&str) -> Option<&'o Value>,
    problems: &Problems,
) -> Value {
    replaced(value, at, &mut |at, reference| {
        let found = outputs(reference.step).and_then(|given| reference.find(given));
        found.cloned().unwrap_or_else(|| {
            problems.note(at, format!("{} was not given", reference.text));
            Value::Null
        })
    })
}
