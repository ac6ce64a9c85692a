//! Parts of queries that are no phases, in Rust, by name.

use std::sync::atomic::Ordering;

use mapring_script::{FailureCause, Part, Row, ScriptError};
use serde_json::{Value, json};

use super::workers::Watch;

/// What a part gives when it is asked.
pub(super) fn answer(
    part: Part,
    name: &str,
    asked: &str,
    watch: &Watch,
) -> Result<Vec<Row>, ScriptError> {
    let asked: Value = serde_json::from_str(asked).unwrap();
    let before = watch.asked.fetch_add(1, Ordering::Relaxed);
    let given = match part {
        Part::Reader if asked["split"] == json!(true) => split(name, &asked),
        Part::Reader => read(name, &asked),
        Part::Partition => partition(name, &asked, before),
        Part::Writer => write(name, &asked),
    };
    let given = given.map_err(|message| ScriptError::new(FailureCause::Thrown, message))?;
    Ok(given.into_iter().map(|value| Row::value(value.to_string())).collect())
}

fn split(name: &str, asked: &Value) -> Result<Vec<Value>, String> {
    let (to, shards) = (number(&asked["params"]["to"]), number(&asked["shards"]));
    match name {
        "none" => Ok(Vec::new()),
        "broken" => Err("no idea".to_owned()),
        "one" => Ok(vec![json!({"at": 0, "to": to})]),
        _ => Ok((0..shards)
            .map(|shard| json!({"at": to * shard / shards, "to": to * (shard + 1) / shards}))
            .collect()),
    }
}

fn read(name: &str, asked: &Value) -> Result<Vec<Value>, String> {
    let state: Value = serde_json::from_str(asked["state"].as_str().unwrap()).unwrap();
    let (skip, items) = (number(&asked["skip"]), number(&asked["items"]));
    // Few at once, so that there are many places.
    let from = number(&state["at"]) + skip;
    let all = if name == "endless" { u64::MAX } else { number(&state["to"]) };
    let to = all.min(from + items.min(7));
    let mut given: Vec<Value> = (from..to).map(|at| item(name, at)).collect();
    if name == "fails" && (from..to).contains(&13) {
        return Err("boom".to_owned());
    }
    let head = match (to == all, name) {
        (true, _) => json!({"done": true}),
        (false, "still") => json!({"done": false, "state": state, "skip": skip + (to - from)}),
        (false, _) => {
            json!({"done": false, "state": {"at": to, "to": state["to"]}, "skip": 0})
        }
    };
    given.insert(0, head);
    Ok(given)
}

fn item(name: &str, at: u64) -> Value {
    match name {
        "objects" => json!({"object": ["b", format!("k{at}"), at]}),
        "keyed" => json!({"key": format!("key {at}"), "value": at}),
        "texts" => json!(format!("{}\n{}\n", 2 * at, 2 * at + 1)),
        "unnamed" => json!({"object": ["b"]}),
        _ => json!(at),
    }
}

fn partition(name: &str, asked: &Value, before: u64) -> Result<Vec<Value>, String> {
    let partitions = number(&asked["partitions"]);
    let choose = |key: &Value| match name {
        "wrong" => Err(format!("partition_by gives -1 for the key {key}")),
        "torn" => Ok(json!(before % partitions)),
        _ => Ok(json!(number(key) * number(key) % partitions)),
    };
    asked["keys"].as_array().unwrap().iter().map(choose).collect()
}

/// Even numbers into one object, odd ones into another.
fn write(kind: &str, asked: &Value) -> Result<Vec<Value>, String> {
    let mut names: Vec<Value> = asked["names"].as_array().unwrap().clone();
    let mut parts = Vec::new();
    let count = number(&asked["state"]);
    match kind {
        "breaks" => return Err("no more".to_owned()),
        "unnamed" => {
            return Ok(vec![json!({"state": 0, "names": [""]}), json!(["", "text"])]);
        }
        _ => {}
    }
    let records = asked["records"].as_array();
    for record in records.into_iter().flatten() {
        let name = if number(record).is_multiple_of(2) { "even" } else { "odd" };
        if !names.contains(&json!(name)) {
            names.push(json!(name));
            parts.push(json!([name, format!("{name}:\n")]));
        }
        parts.push(json!([name, format!("{record}\n")]));
    }
    if records.is_none() {
        parts.extend(names.iter().map(|name| json!([name, format!("end, {count}\n")])));
    }
    let count = count + records.map_or(0, |records| records.len() as u64);
    parts.insert(0, json!({"state": count, "names": names}));
    Ok(parts)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
