//! Functions outside of queries: validators, hooks, steps of pipelines. They are written as the
//! functions of phases are.

use serde_json::{Value, json};

use mapring_mapred::Query;

use crate::members::Members;
use crate::problem::{Problems, words};

/// What says where a function comes from.
const MEMBERS: [&str; 8] =
    ["language", "source", "name", "bucket", "key", "module", "function", "arg"];

/// Where the function lies in the query that it is checked in.
const PLACE: &str = "query[0].map";

/// Notes what is wrong with a function. Returns whether it is one.
pub(crate) fn check(at: &str, value: &Value, problems: &Problems) -> bool {
    if Members::of(at, value, &MEMBERS, problems).is_none() {
        return false;
    }
    let query = json!({ "inputs": [["bucket", "key"]], "query": [{ "map": value }] });
    match Query::parse(query.to_string().as_bytes()) {
        Ok(_) => true,
        Err(rejection) => {
            let place = rejection.place.strip_prefix(PLACE).unwrap_or_default();
            problems.note(format!("{at}{place}"), words(&rejection));
            false
        }
    }
}
