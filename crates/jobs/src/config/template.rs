//! Job documents with places for parameters.
//!
//! `"${x}"` as a whole text stands for the value of `x`, whatever its type; within a text it is put in as
//! text. `$${` stands for `${`. What is between the braces and no name of a parameter could be, such
//! as `${v.key + 1}` in a function, is left as it is.

use serde_json::{Map, Value};

use super::param::is_name;
use crate::limits;
use crate::problem::{Problems, element, member};

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Param(&'t str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = rest.get(from..).and_then(|rest| rest.find("${")).map(|at| at + from) {
        let (before, after) = rest.split_at(at);
        if before.ends_with('$') {
            // "$${": one of the two was only to say that the other is meant.
            pieces.push(Piece::Text(before));
            (rest, from) = (after.get(1..).unwrap_or_default(), 0);
            continue;
        }
        let name = after.get(2..).and_then(|after| after.split_once('}'));
        match name.filter(|(name, _)| is_name(name)) {
            Some((name, after)) => {
                pieces.push(Piece::Text(before));
                pieces.push(Piece::Param(name));
                (rest, from) = (after, 0);
            }
            None => from = at + 2,
        }
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// Calls `each` with the path and the name of every parameter that a template has a place for.
pub(super) fn references(template: &Value, at: &str, each: &mut dyn FnMut(&str, &str)) {
    match template {
        Value::String(text) if text.contains("${") => {
            for piece in pieces(text) {
                if let Piece::Param(name) = piece {
                    each(at, name);
                }
            }
        }
        Value::Array(list) => {
            for (number, inner) in list.iter().enumerate() {
                references(inner, &element(at, number), each);
            }
        }
        Value::Object(members) => {
            for (name, inner) in members {
                references(inner, &member(at, name), each);
            }
        }
        _ => {}
    }
}

/// Puts values into a template. A member that is a whole reference to a parameter without a value is
/// left out; an element is null; within a text nothing is put in.
pub(super) struct Filler<'v> {
    pub(super) values: &'v Map<String, Value>,
    /// Bytes that may still be put in.
    left: usize,
}

impl<'v> Filler<'v> {
    pub(super) fn new(values: &'v Map<String, Value>) -> Self {
        Self { values, left: limits::DOCUMENT_BYTES }
    }

    /// The document; notes where it would be too large.
    pub(super) fn fill(&mut self, template: &Value, at: &str, problems: &Problems) -> Value {
        match template {
            Value::String(text) if text.contains("${") => self.text(text, at, problems),
            Value::Array(list) => {
                let filled = list.iter().enumerate();
                filled.map(|(n, inner)| self.fill(inner, &element(at, n), problems)).collect()
            }
            Value::Object(members) => {
                let filled = members.iter().filter_map(|(name, inner)| {
                    let made = self.fill(inner, &member(at, name), problems);
                    let absent = made.is_null() && !inner.is_null();
                    (!absent).then(|| (name.clone(), made))
                });
                Value::Object(filled.collect())
            }
            _ => template.clone(),
        }
    }

    fn text(&mut self, text: &str, at: &str, problems: &Problems) -> Value {
        let pieces = pieces(text);
        if let [Piece::Param(name)] = pieces.as_slice() {
            let Some(value) = self.values.get(*name) else { return Value::Null };
            return if self.take(&value.to_string(), at, problems) {
                value.clone()
            } else {
                Value::Null
            };
        }
        let mut made = String::new();
        for piece in pieces {
            let put = match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Param(name) => match self.values.get(name) {
                    None => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                },
            };
            if !self.take(&put, at, problems) {
                return Value::Null;
            }
            made.push_str(&put);
        }
        Value::String(made)
    }

    fn take(&mut self, put: &str, at: &str, problems: &Problems) -> bool {
        match self.left.checked_sub(put.len()) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                // Said once.
                if self.left > 0 {
                    let most = limits::DOCUMENT_BYTES;
                    problems.note(at, format!("makes the job larger than {most} bytes"));
                }
                self.left = 0;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(template: Value, expect: Value) {
        let values = json!({"s": "text", "n": 7, "l": [1, {"a": null}], "t": true, "a.b": "dot"});
        let problems = Problems::default();
        let filled = Filler::new(values.as_object().unwrap()).fill(&template, "", &problems);
        assert_eq!(filled, expect, "{template}");
        assert_eq!(problems.all(), []);
    }

    #[test]
    fn values_keep_their_types_alone_and_are_texts_within_texts() {
        check(json!("${n}"), json!(7));
        check(json!(["${l}", "${t}", "${s}"]), json!([[1, {"a": null}], true, "text"]));
        check(json!("n=${n}, l=${l}, s=${s}"), json!("n=7, l=[1,{\"a\":null}], s=text"));
        check(json!("${s}${s}"), json!("texttext"));
        check(json!({"a": {"b": ["x${a.b}y"]}}), json!({"a": {"b": ["xdoty"]}}));
        check(json!("$${n} $$${n}"), json!("${n} $${n}"));
        check(json!("`${v.key + 1} ${} $n $ {n} ${n"), json!("`${v.key + 1} ${} $n $ {n} ${n"));
        check(json!({"a": "${none}", "b": null}), json!({"b": null}));
        check(json!(["${none}", "x${none}y"]), json!([null, "xy"]));
        check(json!({"${n}": 1}), json!({"${n}": 1}));
    }

    #[test]
    fn a_document_does_not_grow_without_bound() {
        let values = json!({"x": "y".repeat(1 << 20)});
        let problems = Problems::default();
        let template = json!(vec!["${x}"; 100]);
        let filled = Filler::new(values.as_object().unwrap()).fill(&template, "", &problems);
        assert!(filled.to_string().len() < limits::DOCUMENT_BYTES + 1_000);
        let problems = problems.all();
        assert_eq!((problems.len(), problems[0].field.as_str()), (1, "[7]"));
    }
}
