//! Inputs that are the results of an earlier job: `{"job":"ID"}`, wherever inputs may stand.

use serde_json::{Map, Value};

use crate::limits;
use crate::problem::{Problems, element, member};

/// The member that names the job.
const JOB: &str = "job";
/// What wraps other inputs; `concat` has a list of them.
const WRAPPERS: [&str; 9] =
    ["lines", "gzip", "zip", "base64", "csv", "records", "fields", "sample", CONCAT];
const CONCAT: &str = "concat";

/// The ids of the jobs whose results are inputs, each with its path; notes those that are no ids.
pub(crate) fn earlier_jobs<'v>(
    inputs: &'v Value,
    at: &str,
    problems: &Problems,
) -> Vec<(String, &'v str)> {
    let mut found = Vec::new();
    walk(inputs, at, problems, &mut found);
    found
}

fn walk<'v>(inputs: &'v Value, at: &str, problems: &Problems, found: &mut Vec<(String, &'v str)>) {
    let Some(members) = inputs.as_object() else { return };
    if let Some(given) = job_of(members) {
        let at = member(at, JOB);
        match given.as_str().filter(|id| (1..=limits::NAME_BYTES).contains(&id.len())) {
            Some(id) => found.push((at, id)),
            None => problems.note(at, "is the id of a job"),
        }
        return;
    }
    for name in WRAPPERS {
        let Some(inner) = members.get(name) else { continue };
        let at = member(at, name);
        match inner.as_array().filter(|_| name == CONCAT) {
            None => walk(inner, &at, problems, found),
            Some(list) => {
                for (number, inner) in list.iter().enumerate() {
                    walk(inner, &element(&at, number), problems, found);
                }
            }
        }
    }
}

/// Notes what queries pass over and jobs do not: names that are empty, and members beside those of Riak's
/// forms. What is wrong in any query is the query's to say.
pub(crate) fn check(inputs: &Value, at: &str, problems: &Problems) {
    match inputs {
        Value::String(_) => check_bucket(inputs, at, problems),
        Value::Array(list) if list.len() == 2 && list.iter().all(Value::is_string) => {
            check_bucket(inputs, at, problems);
        }
        Value::Array(list) => {
            for (number, key) in list.iter().enumerate() {
                // The third is key data, which is any JSON.
                for part in [0, 1, 3] {
                    if key.get(part).is_some_and(is_empty) {
                        problems.note(element(&element(at, number), part), EMPTY);
                    }
                }
            }
        }
        Value::Object(members) => {
            if let Some(bucket) = members.get(BUCKET) {
                check_bucket(bucket, &member(at, BUCKET), problems);
            }
            check_members(members, at, problems);
            for (name, inner) in members {
                let at = member(at, name);
                match inner {
                    Value::Array(list) if name == CONCAT => {
                        for (number, inner) in list.iter().enumerate() {
                            check(inner, &element(&at, number), problems);
                        }
                    }
                    _ if WRAPPERS.contains(&name.as_str()) => check(inner, &at, problems),
                    _ => {}
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

const BUCKET: &str = "bucket";
const EMPTY: &str = "is empty, and names nothing";

fn is_empty(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty)
}

/// A bucket, perhaps with its type.
fn check_bucket(bucket: &Value, at: &str, problems: &Problems) {
    if is_empty(bucket) {
        problems.note(at, EMPTY);
    }
    for (number, part) in bucket.as_array().into_iter().flatten().enumerate() {
        if is_empty(part) {
            problems.note(element(at, number), EMPTY);
        }
    }
}

/// Riak's forms, in the order in which they count where several are mixed.
fn check_members(members: &Map<String, Value>, at: &str, problems: &Problems) {
    let has = |name: &str| members.contains_key(name);
    let known: &[&str] = if has("module") && has("function") {
        &["module", "function", "arg"]
    } else if has(BUCKET) && has("index") && has("key") {
        &[BUCKET, "index", "key"]
    } else if has(BUCKET) && has("index") {
        &[BUCKET, "index", "start", "end"]
    } else if has(BUCKET) && has("key_filters") {
        &[BUCKET, "key_filters"]
    } else {
        return;
    };
    for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
        let message = format!("says nothing here, beside {}", known.join(", "));
        problems.note(member(at, name), message);
    }
}

/// The same inputs, with what `results` gives in place of jobs.
pub(crate) fn with_results(inputs: &Value, results: &mut dyn FnMut(&str) -> Value) -> Value {
    let Some(members) = inputs.as_object() else { return inputs.clone() };
    if let Some(id) = job_of(members).and_then(Value::as_str) {
        return results(id);
    }
    let replaced = members.iter().map(|(name, inner)| {
        let inner = match inner {
            Value::Array(list) if name == CONCAT => {
                list.iter().map(|inner| with_results(inner, results)).collect()
            }
            _ if WRAPPERS.contains(&name.as_str()) => with_results(inner, results),
            _ => inner.clone(),
        };
        (name.clone(), inner)
    });
    Value::Object(replaced.collect())
}

/// An object of just this member: everything else that has one is something else.
fn job_of(members: &Map<String, Value>) -> Option<&Value> {
    members.get(JOB).filter(|_| members.len() == 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_stand_where_inputs_may() {
        let inputs = json!({"concat": [
            {"job": "a"}, {"lines": {"zip": {"job": "b"}}, "keep_cr": true}, "bucket",
            {"items": [{"job": "no input"}]}
        ]});
        let problems = Problems::default();
        let jobs = earlier_jobs(&inputs, "inputs", &problems);
        let expect = [
            ("inputs.concat[0].job".to_owned(), "a"),
            ("inputs.concat[1].lines.zip.job".to_owned(), "b"),
        ];
        assert_eq!(jobs, expect);
        let filled = with_results(&inputs, &mut |id| json!([["out", id]]));
        let expect = json!({"concat": [
            [["out", "a"]], {"lines": {"zip": [["out", "b"]]}, "keep_cr": true}, "bucket",
            {"items": [{"job": "no input"}]}
        ]});
        assert_eq!(filled, expect);
        earlier_jobs(&json!({"lines": {"job": 7}}), "inputs", &problems);
        let problems = problems.all();
        assert_eq!((problems.len(), problems[0].field.as_str()), (1, "inputs.lines.job"));
    }

    #[track_caller]
    fn notes(inputs: &Value, expect: &[&str]) {
        let problems = Problems::default();
        check(inputs, "inputs", &problems);
        let found = problems.all();
        let fields: Vec<_> = found.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, expect, "{inputs}");
    }

    #[test]
    fn what_a_query_passes_over_is_noted() {
        notes(&json!("b"), &[]);
        notes(&json!(""), &["inputs"]);
        notes(&json!(["", "b"]), &["inputs[0]"]);
        notes(&json!({"bucket": ["t", ""]}), &["inputs.bucket[1]"]);
        notes(&json!([["b", "k", ""], ["b", ""]]), &["inputs[1][1]"]);
        notes(&json!([["b", "k", null, ""]]), &["inputs[0][3]"]);
        notes(
            &json!({"concat": ["", {"lines": {"bucket": ""}}]}),
            &["inputs.concat[0]", "inputs.concat[1].lines.bucket"],
        );
        notes(&json!({"items": ["", {"bucket": ""}]}), &[]);
        notes(&json!({"bucket": "b", "index": "a_int", "start": 1, "end": 2}), &[]);
        notes(&json!({"bucket": "b", "index": "a_int", "key": 1, "end": 2}), &["inputs.end"]);
        let filters = json!([["age", "=", 1]]);
        notes(
            &json!({"bucket": "b", "key_filters": [["eq", "a"]], "filters": filters}),
            &["inputs.filters"],
        );
        notes(
            &json!({"module": "mapring", "function": "list", "arg": [], "bucket": "b"}),
            &["inputs.bucket"],
        );
    }
}
