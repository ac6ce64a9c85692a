//! The filter of a fold: JSON in base64 (facts R330, R331).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use mapring_kv::Selection;
use serde_json::{Map, Value};

use crate::app::Request;
use crate::reply::{Reply, Stop};

/// What a fold is bounded to.
#[derive(Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) selection: Selection,
    /// Seconds, both included.
    pub(super) modified: Option<(u64, u64)>,
    /// Whether anything is changed, and not only counted.
    pub(super) changes: bool,
}

impl Filter {
    /// Reads the parameter `filter` of a request.
    ///
    /// # Errors
    /// 400; 501 for segments of trees, which are not here.
    pub(super) fn read(request: &Request) -> Result<Self, Stop> {
        Self::parse(request.params.get("filter"))
    }

    fn parse(given: Option<&str>) -> Result<Self, Stop> {
        let Some(text) = given.filter(|text| !text.is_empty()) else {
            return Ok(Self { selection: Selection::All, modified: None, changes: false });
        };
        let wrong = |what: &str| invalid(what);
        // In a URL a `+` that nobody has escaped is a space.
        let bytes = STANDARD.decode(text.replace(' ', "+")).map_err(|_| wrong(text))?;
        let given: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| wrong(text))?;
        let segments = given.get("segment_filter").filter(|value| !is_all(value));
        if segments.is_some() {
            let text = "the segments of trees are not offered here\n";
            return Err(Reply::text(StatusCode::NOT_IMPLEMENTED, text).into());
        }
        let selection = match given.get("key_range").filter(|value| !is_all(value)) {
            None => Selection::All,
            Some(range) => {
                let key =
                    |name| Some(Bytes::copy_from_slice(range.get(name)?.as_str()?.as_bytes()));
                let both = key("start").zip(key("end"));
                let (from, to) = both.ok_or_else(|| wrong("key_range"))?;
                Selection::Keys { from, to }
            }
        };
        let modified = match given.get("date_range").filter(|value| !is_all(value)) {
            None => None,
            Some(range) => {
                let second = |name| range.get(name)?.as_u64();
                Some(second("start").zip(second("end")).ok_or_else(|| wrong("date_range"))?)
            }
        };
        let changes = match given.get("change_method").filter(|value| !value.is_null()) {
            None => false,
            Some(Value::String(word)) if word == "count" => false,
            Some(Value::String(word)) if word == "local" => true,
            Some(job) => {
                let id = job.get("job_id").and_then(Value::as_u64);
                id.filter(|id| *id > 0).ok_or_else(|| wrong("change_method"))?;
                true
            }
        };
        Ok(Self { selection, modified, changes })
    }
}

fn is_all(value: &Value) -> bool {
    value.is_null() || value == "all"
}

fn invalid(what: &str) -> Stop {
    Reply::bad_request(format!("Invalid range filter {what:?}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is selected, by keys and by times, and whether something is to change; or the status.
    type Read = Result<(Selection, Option<(u64, u64)>, bool), u16>;

    #[track_caller]
    fn check(json: &str, expect: Read) {
        let found = Filter::parse(Some(&STANDARD.encode(json)));
        let found = found.map(|filter| (filter.selection, filter.modified, filter.changes));
        assert_eq!(found.map_err(|stop| stop.status()), expect, "{json}");
    }

    #[test]
    fn filters_are_read() {
        let keys = Selection::Keys { from: "a".into(), to: "b".into() };
        check("{}", Ok((Selection::All, None, false)));
        check(r#"{"key_range":{"start":"a","end":"b"}}"#, Ok((keys, None, false)));
        let range = r#"{"date_range":{"start":1,"end":2},"key_range":"all"}"#;
        check(range, Ok((Selection::All, Some((1, 2)), false)));
        for (method, changes) in [(r#""count""#, false), (r#""local""#, true)] {
            let json = format!("{{\"change_method\":{method},\"hash_iv\":5}}");
            check(&json, Ok((Selection::All, None, changes)));
        }
        check(r#"{"change_method":{"job_id":7}}"#, Ok((Selection::All, None, true)));
        for wrong in [
            "[]",
            "x",
            r#"{"key_range":5}"#,
            r#"{"key_range":{"start":"a"}}"#,
            r#"{"date_range":{"start":-1,"end":2}}"#,
            r#"{"change_method":{"job_id":0}}"#,
            r#"{"change_method":"all"}"#,
        ] {
            check(wrong, Err(400));
        }
        check(r#"{"segment_filter":{"segments":[1],"tree_size":"small"}}"#, Err(501));
        check(r#"{"segment_filter":"all"}"#, Ok((Selection::All, None, false)));
        assert_eq!(Filter::parse(Some("%")).unwrap_err().status(), 400);
    }
}
