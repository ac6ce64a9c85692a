//! What an answer must be.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::wire::Response;

/// One thing that an answer must have.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Status(u16),
    /// A header has this value.
    Header(&'static str, String),
    /// A header begins so.
    HeaderStarts(&'static str, String),
    /// A header has this text in it.
    HeaderText(&'static str, String),
    /// A header is a list of these, in any order.
    List(&'static str, Vec<String>),
    NoHeader(&'static str),
    /// A header whose name is spelled exactly so.
    Spelled(&'static str),
    /// The body, byte for byte.
    Body(String),
    /// The body is one of these, byte for byte.
    BodyIn(Vec<String>),
    /// The body is this JSON.
    Json(Value),
    /// The body is an array with these elements in any order.
    AnyOrder(Vec<Value>),
    /// The body is an array of arrays, each with its elements in any order.
    EachAnyOrder(Vec<Vec<Value>>),
    /// The body is an array of so many elements.
    Length(usize),
    /// The body has this text in it.
    Text(String),
    /// The body has not this text in it.
    NoText(String),
    /// The body has this text in it so many times.
    Times(String, usize),
    /// The body is a JSON object with an `error` in which these words are, and this `phase`.
    Failure {
        phase: Option<u64>,
        words: Vec<String>,
    },
    /// The body is a JSON object that has these members, maybe among others.
    Members(Value),
    /// The body is JSON that has this value at a JSON pointer (RFC 6901); `null` where it has none.
    At(&'static str, Value),
    /// The body is JSON with a text at a pointer, and these words in it.
    WordsAt(&'static str, String),
    /// The body is an answer with a profile that has these counters, maybe among others.
    Counters(Vec<(String, i64)>),
    /// The body is multipart, framed exactly as Riak does it; the `data` of all parts together, by
    /// phase, in any order.
    Parts(BTreeMap<u64, Vec<Value>>),
    /// The body is multipart of one part with this `data`, which is no array.
    OddPart {
        phase: u64,
        data: Value,
    },
    /// As for `Parts`, but broken off by a bare failure.
    PartsThenFailure {
        phase: Option<u64>,
        words: Vec<String>,
        most: usize,
    },
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Header(name, value) => write!(f, "{name}: {value}"),
            Self::HeaderStarts(name, value) => write!(f, "{name}: {value}…"),
            Self::HeaderText(name, text) => write!(f, "{name}: …{text}…"),
            Self::List(name, items) => write!(f, "{name}: {items:?} in any order"),
            Self::NoHeader(name) => write!(f, "no {name}"),
            Self::Spelled(name) => write!(f, "a header that is spelled {name}"),
            Self::Body(body) => write!(f, "the body {body:?}"),
            Self::BodyIn(bodies) => write!(f, "one of the bodies {bodies:?}"),
            Self::Json(value) => write!(f, "{value}"),
            Self::AnyOrder(values) => write!(f, "in any order {}", Value::from(values.clone())),
            Self::EachAnyOrder(lists) => write!(f, "each in any order {lists:?}"),
            Self::Length(length) => write!(f, "an array of {length} elements"),
            Self::Text(text) => write!(f, "text with {text:?}"),
            Self::NoText(text) => write!(f, "text without {text:?}"),
            Self::Times(text, times) => write!(f, "text with {text:?} {times} times"),
            Self::Failure { phase, words } => write!(f, "a failure, phase {phase:?}, {words:?}"),
            Self::Members(value) => write!(f, "an object with {value}"),
            Self::At(pointer, value) => write!(f, "{value} at {pointer}"),
            Self::WordsAt(pointer, words) => write!(f, "text with {words:?} at {pointer}"),
            Self::Counters(counters) => write!(f, "the counters {counters:?}"),
            Self::Parts(parts) => write!(f, "parts with {parts:?}"),
            Self::OddPart { phase, data } => write!(f, "a part {phase} with {data}"),
            Self::PartsThenFailure { phase, words, .. } => {
                write!(f, "perhaps parts, then a bare failure, phase {phase:?}, {words:?}")
            }
        }
    }
}

impl Check {
    /// # Errors
    /// Why the answer is not as it must be.
    pub(crate) fn verdict(&self, found: &Response) -> Result<(), String> {
        let holds = |holds: bool| if holds { Ok(()) } else { Err(String::new()) };
        match self {
            Self::Status(status) => holds(found.status == *status),
            Self::Header(name, value) => match found.header(name) {
                Some(given) if given == value => Ok(()),
                given => Err(format!("{name} is {given:?}")),
            },
            Self::HeaderStarts(name, value) => match found.header(name) {
                Some(given) if given.starts_with(value) => Ok(()),
                given => Err(format!("{name} is {given:?}")),
            },
            Self::HeaderText(name, text) => match found.header(name) {
                Some(given) if given.contains(text) => Ok(()),
                given => Err(format!("{name} is {given:?}")),
            },
            Self::List(name, items) => {
                let given = found.header(name).unwrap_or_default();
                let mut given: Vec<&str> = given.split(',').map(str::trim).collect();
                let mut items: Vec<&str> = items.iter().map(String::as_str).collect();
                given.sort_unstable();
                items.sort_unstable();
                if given == items { Ok(()) } else { Err(format!("{name} is {given:?}")) }
            }
            Self::NoHeader(name) => holds(found.header(name).is_none()),
            Self::Spelled(name) => holds(found.headers.iter().any(|(given, _)| given == name)),
            Self::Body(body) => holds(found.body == body.as_bytes()),
            Self::BodyIn(bodies) => holds(bodies.iter().any(|body| found.body == body.as_bytes())),
            Self::Json(value) => holds(json(&found.body)? == *value),
            Self::AnyOrder(values) => holds(sorted(array(&json(&found.body)?)?) == sorted(values)),
            Self::EachAnyOrder(lists) => {
                let given = json(&found.body)?;
                let each: Result<Vec<_>, _> = array(&given)?.iter().map(array).collect();
                let each: Vec<_> = each?.into_iter().map(|list| sorted(list)).collect();
                holds(each == lists.iter().map(|list| sorted(list)).collect::<Vec<_>>())
            }
            Self::Length(length) => holds(array(&json(&found.body)?)?.len() == *length),
            Self::Text(text) => holds(found.text().contains(text)),
            Self::NoText(text) => holds(!found.text().contains(text)),
            Self::Times(text, times) => {
                holds(found.text().matches(text.as_str()).count() == *times)
            }
            Self::Failure { phase, words } => failure(&json(&found.body)?, *phase, words),
            Self::Members(members) => {
                let given = json(&found.body)?;
                let members = members.as_object().ok_or("no members to look for")?;
                holds(members.iter().all(|(name, value)| given.get(name) == Some(value)))
            }
            Self::At(pointer, value) => {
                let given = json(&found.body)?;
                let there = given.pointer(pointer).unwrap_or(&Value::Null);
                if there == value { Ok(()) } else { Err(format!("{there} at {pointer}")) }
            }
            Self::WordsAt(pointer, words) => {
                let given = json(&found.body)?;
                let there = given.pointer(pointer).unwrap_or(&Value::Null);
                let text = there.as_str().map_or_else(|| there.to_string(), str::to_owned);
                if text.contains(words) { Ok(()) } else { Err(format!("{there} at {pointer}")) }
            }
            Self::Counters(counters) => {
                let given = json(&found.body)?;
                let given = &given["profile"]["counters"];
                holds(counters.iter().all(|(name, count)| given[name.as_str()] == *count))
            }
            Self::Parts(parts) => {
                let multipart = Multipart::read(found)?;
                if let Some(rest) = multipart.rest {
                    return Err(format!("ended by {rest:?}"));
                }
                let mut given: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
                for (phase, data) in &multipart.parts {
                    let data = array(data)?;
                    if data.is_empty() {
                        return Err("a part without results".into());
                    }
                    given.entry(*phase).or_default().extend(data.iter().cloned());
                }
                let by_phase = |parts: &BTreeMap<u64, Vec<Value>>| -> Vec<_> {
                    parts.iter().map(|(phase, data)| (*phase, sorted(data))).collect()
                };
                holds(by_phase(&given) == by_phase(parts))
            }
            Self::OddPart { phase, data } => {
                let multipart = Multipart::read(found)?;
                let whole = multipart.rest.is_none();
                holds(whole && multipart.parts == [(*phase, data.clone())])
            }
            Self::PartsThenFailure { phase, words, most } => {
                let multipart = Multipart::read(found)?;
                if multipart.parts.len() > *most {
                    return Err(format!("{} parts before the failure", multipart.parts.len()));
                }
                let rest = multipart.rest.ok_or("no failure at the end")?;
                failure(&json(rest.as_bytes())?, *phase, words)
            }
        }
    }
}

fn failure(given: &Value, phase: Option<u64>, words: &[String]) -> Result<(), String> {
    if given.get("phase").and_then(Value::as_u64) != phase {
        return Err("another phase".into());
    }
    let error = given.get("error").ok_or("no member \"error\"")?;
    let error = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
    match words.iter().find(|words| !error.contains(*words)) {
        Some(missing) => Err(format!("the error has no {missing:?}")),
        None => Ok(()),
    }
}

/// A chunked answer, read as strictly as possible: Riak writes nothing that is not looked for.
struct Multipart {
    parts: Vec<(u64, Value)>,
    /// What stands where the closing boundary should.
    rest: Option<String>,
}

impl Multipart {
    fn read(found: &Response) -> Result<Self, String> {
        let kind = found.header("Content-Type").unwrap_or_default();
        let boundary = kind.strip_prefix("multipart/mixed;boundary=");
        let boundary = boundary.ok_or_else(|| format!("the content type is {kind:?}"))?;
        let text = found.text();
        let mut at = text.as_str();
        let mut parts = Vec::new();
        loop {
            if at == format!("\r\n--{boundary}--\r\n") {
                return Ok(Self { parts, rest: None });
            }
            let open = format!("\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n");
            let Some(rest) = at.strip_prefix(open.as_str()) else {
                return Ok(Self { parts, rest: Some(at.to_owned()) });
            };
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let part = values.next().ok_or("a part without JSON")?;
            let part = part.map_err(|error| format!("a part of no JSON: {error}"))?;
            let length = values.byte_offset();
            if !rest.starts_with("{\"phase\":") || !rest[..length].contains(",\"data\":") {
                return Err(format!("a part of another form: {:?}", &rest[..length]));
            }
            let phase = part.get("phase").and_then(Value::as_u64).ok_or("a part without phase")?;
            let data = part.get("data").cloned().ok_or("a part without data")?;
            parts.push((phase, data));
            at = &rest[length..];
        }
    }
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("no JSON: {error}"))
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("no array: {value}"))
}

fn sorted(values: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(kind: &str, body: &str) -> Response {
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Response { status: 200, headers, body: body.as_bytes().to_vec() }
    }

    #[track_caller]
    fn plain(check: &Check, body: &str, holds: bool) {
        let verdict = check.verdict(&response("application/json", body));
        assert_eq!(verdict.is_ok(), holds, "{check} of {body}: {verdict:?}");
    }

    #[test]
    fn json_is_compared_strictly() {
        let check = Check::Json(json!([1, "a", {"b": 2}]));
        plain(&check, r#"[1,"a",{"b":2}]"#, true);
        for other in [r#"[1.0,"a",{"b":2}]"#, r#"["a",1,{"b":2}]"#, r#"[1,"a",{"b":2}] "x""#, ""] {
            plain(&check, other, false);
        }
        let check = Check::AnyOrder(vec![json!(1), json!(1), json!("a")]);
        plain(&check, r#"["a",1,1]"#, true);
        for other in [r#"["a",1]"#, r#"["a",1,1,1]"#, r#"["a","a",1]"#, r#"{"a":1}"#] {
            plain(&check, other, false);
        }
        let check = Check::EachAnyOrder(vec![vec![json!(1), json!(2)], vec![json!(3)]]);
        plain(&check, "[[2,1],[3]]", true);
        for other in ["[[3],[1,2]]", "[[1,2,3]]", "[[1,2]]", "[1,2,[3]]"] {
            plain(&check, other, false);
        }
        let check = Check::At("/a/1", json!(7));
        plain(&check, r#"{"a":[1,7]}"#, true);
        plain(&check, r#"{"a":[1,"7"]}"#, false);
        plain(&Check::At("/a", Value::Null), r#"{"b":1}"#, true);
        let check = Check::WordsAt("/a", "boom".into());
        plain(&check, r#"{"a":"a boom"}"#, true);
        plain(&check, r#"{"a":{"error":"boom"}}"#, true);
        plain(&check, r#"{"b":"boom"}"#, false);
        let words = vec!["no".to_owned(), "good".to_owned()];
        let check = Check::Failure { phase: Some(1), words };
        plain(&check, r#"{"phase":1,"error":"good or no"}"#, true);
        plain(&check, r#"{"phase":0,"error":"no good"}"#, false);
        plain(&check, r#"{"error":"no good"}"#, false);
        plain(&check, r#"{"phase":1,"error":"no"}"#, false);
    }

    fn part(json: &str) -> String {
        format!("\r\n--X\r\nContent-Type: application/json\r\n\r\n{json}")
    }

    #[track_caller]
    fn multipart(check: &Check, body: &str, holds: bool) {
        let verdict = check.verdict(&response("multipart/mixed;boundary=X", body));
        assert_eq!(verdict.is_ok(), holds, "{check} of {body:?}: {verdict:?}");
    }

    #[test]
    fn parts_are_read_strictly() {
        let (one, two) = (part(r#"{"phase":0,"data":[1]}"#), part(r#"{"phase":0,"data":[2]}"#));
        let end = "\r\n--X--\r\n";
        let check = Check::Parts([(0, vec![json!(1), json!(2)])].into());
        multipart(&check, &format!("{two}{one}{end}"), true);
        multipart(&check, &format!("{}{end}", part(r#"{"phase":0,"data":[2,1]}"#)), true);
        for other in [
            format!("{one}{end}"),
            format!("{one}{two}"),
            format!("{one}{two}\r\n--X--"),
            format!("{one}{two}{end}\r\n"),
            format!("{one}\r\n{two}{end}"),
            format!("{one}{two}{}{end}", part(r#"{"phase":1,"data":[]}"#)),
            format!("{one}{}{end}", part(r#"{"phase":1,"data":[2]}"#)),
            format!("{one}{two}{{\"error\":\"x\"}}"),
            format!("{one}{two}{end}").replace("application/json\r\n", "application/json \r\n"),
        ] {
            multipart(&check, &other, false);
        }
        let verdict = check.verdict(&response("multipart/mixed; boundary=X", ""));
        assert!(verdict.is_err(), "the space");
        let failure = Check::PartsThenFailure { phase: Some(1), words: vec!["x".into()], most: 1 };
        let bare = r#"{"phase":1,"error":"x"}"#;
        multipart(&failure, bare, true);
        multipart(&failure, &format!("{one}{bare}"), true);
        multipart(&failure, &format!("{one}{two}{bare}"), false);
        multipart(&failure, &format!("{one}{bare}{end}"), false);
        multipart(&failure, &format!("{one}{end}"), false);
    }
}
