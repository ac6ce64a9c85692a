//! A hostile function, and what may come of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{BUCKET, KEY, PATIENT};

/// What may come of a function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// An error of this type, whose message contains the words.
    Error(&'static str, &'static str),
    /// An exception: words of its message, and the line of the body that its stack names.
    Thrown(&'static str, usize),
    /// Results, as JSON text.
    Answer(&'static str),
}

pub(super) const TIME: Outcome = Outcome::Error("timeout", "the call took longer than");
pub(super) const MEMORY: Outcome = Outcome::Error("memory", "memory");
pub(super) const STACK: Outcome = Outcome::Error("stack", "nested too deeply");
pub(super) const SIZE: Outcome = Outcome::Error("result_size", "the result is larger than");
pub(super) const NO_LIST: Outcome = Outcome::Error("non_list_result", "");

/// A row of a table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: &'static str,
    source: Source,
    pub(super) outcomes: &'static [Outcome],
}

#[derive(Debug, Clone)]
enum Source {
    Body(&'static str),
    Whole(String),
}

/// A function with this body.
pub(super) fn row(name: &'static str, body: &'static str, outcomes: &'static [Outcome]) -> Row {
    Row { name, source: Source::Body(body), outcomes }
}

/// A source as it is.
pub(super) fn whole(name: &'static str, source: String, outcomes: &'static [Outcome]) -> Row {
    Row { name, source: Source::Whole(source), outcomes }
}

/// In which phase a function runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Map,
    Reduce,
}

/// Lines of a source before the body.
const LINES_BEFORE: usize = 1;

impl Row {
    /// A query that runs the function once, on one object or on two.
    pub(super) fn query(&self, kind: Kind) -> String {
        let source = match &self.source {
            Source::Body(body) => format!("function(values) {{\n{body}\n}}"),
            Source::Whole(source) => source.clone(),
        };
        let function = json!({"language": "javascript", "source": source});
        let query = match kind {
            Kind::Map => {
                let inputs = json!([[BUCKET, KEY]]);
                json!({"inputs": inputs, "query": [{"map": function}], "timeout": PATIENT})
            }
            Kind::Reduce => {
                let values = json!({"language": "javascript", "name": "Riak.mapValuesJson"});
                let inputs = json!([[BUCKET, KEY], [BUCKET, "k1"]]);
                let query = json!([{"map": values}, {"reduce": function}]);
                json!({"inputs": inputs, "query": query, "timeout": PATIENT})
            }
        };
        query.to_string()
    }

    /// Whether the answer is one of those allowed, or else what is wrong with it.
    pub(super) fn check(&self, kind: Kind, status: u16, body: &str) -> Result<(), String> {
        let short: String = body.chars().take(600).collect();
        let wrong = |what: &str| Err(format!("{kind:?} {}: {what}: {status} {short}", self.name));
        if status == 200 {
            let right =
                |outcome: &Outcome| matches!(outcome, Outcome::Answer(text) if *text == body);
            return if self.outcomes.iter().any(right) { Ok(()) } else { wrong("not right") };
        }
        let Ok(answer) = serde_json::from_str::<Value>(body) else { return wrong("no JSON") };
        if status != 500 {
            return wrong("the status");
        }
        if let Some(what) = misshapen(kind, &answer) {
            return wrong(&what);
        }
        if !self.outcomes.iter().any(|outcome| outcome.allows(&answer)) {
            return wrong("another cause");
        }
        Ok(())
    }
}

/// What is wrong with an error, whatever its cause.
fn misshapen(kind: Kind, error: &Value) -> Option<String> {
    let text = |name: &str| error[name].as_str();
    let message = text("error").unwrap_or_default();
    if message.is_empty() || message.len() > 5_000 {
        return Some(format!("a message of {} bytes", message.len()));
    }
    for name in ["input", "type", "stack"] {
        if error.get(name).is_none() {
            return Some(format!("no {name}"));
        }
    }
    let expected = match kind {
        Kind::Map => {
            [json!(0), json!(BUCKET), json!(KEY), json!(format!("[\"{BUCKET}\",\"{KEY}\"]"))]
        }
        Kind::Reduce => [json!(1), Value::Null, Value::Null, Value::Null],
    };
    let found = ["phase", "bucket", "key", "input"].map(|name| error[name].clone());
    (found != expected).then(|| "another input".to_owned())
}

impl Outcome {
    fn allows(&self, error: &Value) -> bool {
        let (kind, message) = (error["type"].as_str(), error["error"].as_str().unwrap_or_default());
        match self {
            Self::Error(name, words) => kind == Some(name) && message.contains(words),
            Self::Thrown(words, line) => {
                let place = format!("(source:{}:", line + LINES_BEFORE);
                let stack = error["stack"].as_str().unwrap_or_default();
                kind == Some("exception") && message.contains(words) && stack.contains(&place)
            }
            Self::Answer(_) => false,
        }
    }
}

/// How long an answer may take.
pub(super) fn bound(limit: Duration) -> Duration {
    limit + Duration::from_secs(2)
}
