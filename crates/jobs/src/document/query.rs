//! The query within a job document: the members that `mapred` reads.

use std::borrow::Cow;

use mapring_mapred::{Query, Rejection, unread_members};
use serde_json::{Map, Value, json};

use crate::inputs;
use crate::problem::Problems;

/// The members that go into the query as they are.
pub(crate) const QUERY_MEMBERS: [&str; 12] = [
    INPUTS,
    QUERY,
    "name",
    OUTPUT,
    "shards",
    "on_error",
    "params",
    "limit",
    "consistency",
    "tombstones",
    "binary",
    "write_batch",
];

const INPUTS: &str = "inputs";
const QUERY: &str = "query";
const OUTPUT: &str = "output";
const PARTITIONS: &str = "partitions";

/// The body of the query of a document, with what `results` gives in place of earlier jobs.
pub(super) fn body(document: &Value, results: &mut dyn FnMut(&str) -> Value) -> Value {
    let members = QUERY_MEMBERS.iter().filter_map(|name| {
        let given = document.get(*name).filter(|given| !given.is_null())?;
        let value = match *name {
            INPUTS => inputs::with_results(given, results),
            QUERY => with_partitions(given, document.get(PARTITIONS)).into_owned(),
            _ => given.clone(),
        };
        Some(((*name).to_owned(), value))
    });
    let mut body: Map<String, Value> = members.collect();
    if let Some(timeout) = document.get("timeout").filter(|timeout| !timeout.is_null()) {
        body.insert("timeout".to_owned(), timeout.clone());
    }
    Value::Object(body)
}

/// Phases in which each grouped reduce that does not say otherwise has the partitions of the job.
fn with_partitions<'v>(phases: &'v Value, partitions: Option<&Value>) -> Cow<'v, Value> {
    let partitions = partitions.filter(|partitions| !partitions.is_null());
    let (Some(partitions), Some(list)) = (partitions, phases.as_array()) else {
        return Cow::Borrowed(phases);
    };
    let mut list = list.clone();
    for reduce in list.iter_mut().filter_map(|phase| phase.get_mut("reduce")?.as_object_mut()) {
        if reduce.get("group") == Some(&Value::Bool(true)) && !reduce.contains_key(PARTITIONS) {
            reduce.insert(PARTITIONS.to_owned(), partitions.clone());
        }
    }
    Cow::Owned(Value::Array(list))
}

/// Notes what is wrong with the query of a document. A query is refused for one thing; so what was
/// refused is left out, and the rest looked at again.
pub(super) fn check(document: &Value, problems: &Problems) {
    let mut body = body(document, &mut |_| some_inputs());
    // These are read beside the query, in other words.
    for name in [PARTITIONS, "timeout"] {
        remove(&mut body, name);
    }
    if let Some(phases) = document.get(QUERY).filter(|phases| !phases.is_null()) {
        set(&mut body, QUERY, phases.clone());
        // A query that is no job passes over them, as Riak does.
        for place in unread_members(json!({ QUERY: phases }).to_string().as_bytes()) {
            problems.note(place, "is unknown");
        }
    }
    // Each turn takes away or replaces one member that was refused.
    for _ in 0..QUERY_MEMBERS.len() {
        let Err(rejection) = Query::parse(body.to_string().as_bytes()) else { return };
        problems.rejected("", &rejection);
        match refused_member(&rejection) {
            Some(INPUTS) => set(&mut body, INPUTS, some_inputs()),
            Some(QUERY) => {
                set(&mut body, QUERY, json!([]));
                // What output there may be depends on the phases.
                remove(&mut body, OUTPUT);
            }
            Some(name) => remove(&mut body, name),
            None => return,
        }
    }
}

/// Inputs that are right wherever inputs may stand.
fn some_inputs() -> Value {
    json!([["bucket", "key"]])
}

fn set(body: &mut Value, name: &str, value: Value) {
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn remove(body: &mut Value, name: &str) {
    if let Some(members) = body.as_object_mut() {
        members.shift_remove(name);
    }
}

/// The member of the query that was refused.
fn refused_member(rejection: &Rejection) -> Option<&'static str> {
    let place = rejection.place.as_str();
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
    QUERY_MEMBERS.into_iter().find(|name| place.strip_prefix(name).is_some_and(ends))
}
