//! Pipelines that clients order: what their steps are to do, and what must come of each.

use std::collections::BTreeMap;

use mapring_types::Entropy;
use serde_json::{Value, json};

use crate::orders::{COPY, COUNT, PAIR, SEEN, pair};
use crate::random::Random;
use crate::{limits, receiver, storage};

/// Counts the numbers, and gives them.
const FIRST: &str = "first";
/// Copies what the first one gave.
pub(crate) const SECOND: &str = "second";
/// Counts from 0 on, as many as the first one has counted.
const COUNTED: &str = "counted";
/// Adds up groups of what the second one gave, last of all.
const LAST: &str = "last";
/// Waits for a moment, beside the others.
const PAUSE: &str = "pause";
/// Waits for somebody's consent.
pub(crate) const CONSENT: &str = "consent";

/// The steps that are jobs.
pub(crate) const JOBS: [&str; 4] = [FIRST, SECOND, COUNTED, LAST];

/// A pipeline that is to be started.
#[derive(Debug, Clone)]
pub(crate) struct PipelineOrder {
    pub(crate) document: Value,
    numbers: Vec<u64>,
}

impl PipelineOrder {
    /// Some pipeline.
    pub(crate) fn any(name: &str, random: &Random) -> Self {
        let count = random.within(limits::PIPELINE_INPUTS);
        // The same more than once.
        let numbers: Vec<u64> = (0..count).map(|_| random.below(1_000)).collect();
        let counting = json!([map(COUNT)]);
        let adding = json!([
            map(PAIR),
            {"reduce": {"language": "javascript", "name": "Job.sum", "group": true}}
        ]);
        let mut steps = json!({
            FIRST: job(json!({"items": numbers}), &counting, random),
            SECOND: job(json!({"items": {"$from": FIRST}}), &json!([map(COPY)]), random),
            COUNTED: job(
                json!({"range": {"start": 0, "end": {"$from": format!("{FIRST}.counters.{SEEN}")}}}),
                &counting,
                random
            ),
            PAUSE: {"delay_ms": random.within(limits::DELAY_MS), "after": [FIRST]},
            LAST: job(json!({"items": {"$from": SECOND}}), &adding, random),
        });
        let mut after = vec![COUNTED, PAUSE];
        if random.per_mille(500) {
            steps[CONSENT] = json!({"approve": {"message": "go on?"}, "after": [FIRST]});
            after.push(CONSENT);
        }
        steps[LAST]["after"] = json!(after);
        let retries = json!({"max_attempts": 3, "backoff_ms": 1_000, "backoff_factor": 2});
        let finally = json!({"callback": {"url": receiver::URL}});
        let document =
            json!({"name": name, "steps": steps, "retries": retries, "finally": finally});
        Self { document, numbers }
    }

    /// The numbers as texts.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        texts.sort();
        texts
    }

    /// What a step that is a job must give, sorted.
    fn rows(&self, step: &str) -> Vec<String> {
        let mut rows: Vec<String> = match step {
            COUNTED => (0..self.numbers.len()).map(|number| number.to_string()).collect(),
            LAST => {
                let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
                for number in &self.numbers {
                    *sums.entry(number % limits::GROUPS).or_default() += number;
                }
                sums.into_iter().map(|(key, sum)| pair(key, sum)).collect()
            }
            _ => self.texts(),
        };
        rows.sort();
        rows
    }

    /// What is wrong with the status tree of a pipeline that has ended; `aborted` where somebody has asked
    /// for its end.
    pub(crate) fn check(&self, tree: &Value, aborted: bool) -> Vec<String> {
        let mut faults = Vec::new();
        let status = tree["result_status"].as_str().unwrap_or("no end");
        let message = tree["abort_message"].as_str().unwrap_or_default();
        match status {
            "success" => {}
            "aborted" if aborted => {}
            // That is final, and may be of a single node.
            "failed" if message.contains(storage::UNREADABLE) => {}
            _ => faults.push(format!("it has ended with {status}: {message}")),
        }
        let written = self.document["steps"].as_object().into_iter().flatten();
        for (name, _) in written {
            let step = &tree["steps"][name.as_str()];
            let stands = step["status"].as_str().unwrap_or_default();
            match stands {
                "done" => faults.extend(self.check_step(name, step)),
                "aborted" if status != "success" => {}
                _ => faults.push(format!("its step {name} is {stands} in the end")),
            }
        }
        faults
    }

    /// What is wrong with what a step gave that is done.
    fn check_step(&self, name: &str, step: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let outputs = &step["outputs"];
        if step["end_time_ms"].is_null() || outputs["default"]["status"] != "filled" {
            faults.push(format!("its step {name} is done without an end or an output"));
        }
        if !JOBS.contains(&name) {
            return faults;
        }
        let given = outputs["default"]["value"].as_array().into_iter().flatten();
        let mut given: Vec<String> = given.map(Value::to_string).collect();
        given.sort();
        let rows = self.rows(name);
        if given != rows {
            faults.push(format!("its step {name} gave {given:?}, not {rows:?}"));
        }
        let seen = outputs["counters"]["value"][SEEN].as_u64();
        if name != LAST && seen != Some(rows.len() as u64) {
            faults.push(format!("its step {name} has counted {seen:?}, not {}", rows.len()));
        }
        faults
    }
}

fn map(name: &str) -> Value {
    json!({"map": {"language": "javascript", "name": name}})
}

/// A step that is a job; most last for so long that faults meet them.
fn job(inputs: Value, query: &Value, random: &Random) -> Value {
    let slice = random.choose(&limits::SLICES_MS).copied().unwrap_or(1_000);
    let mut job = json!({"inputs": inputs, "query": query, "slice_ms": slice});
    if let Some(rate) = random.choose(&limits::RATES).filter(|rate| **rate > 0) {
        job["rate"] = (*rate).into();
    }
    json!({"job": job})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> PipelineOrder {
        PipelineOrder { numbers: vec![1, 5, 6, 5], ..PipelineOrder::any("p", &Random::new(1)) }
    }

    /// The tree of a pipeline that has succeeded.
    fn tree(order: &PipelineOrder) -> Value {
        let steps = order.document["steps"].as_object().unwrap();
        let node = |name: &String| {
            let rows = order.rows(name);
            let value: Vec<Value> =
                rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            let filled = |value: Value| json!({"status": "filled", "value": value});
            let counters = json!({"seen": rows.len()});
            json!({
                "status": "done", "end_time_ms": 5,
                "outputs": {"default": filled(value.into()), "counters": filled(counters)}
            })
        };
        let nodes: serde_json::Map<String, Value> =
            steps.keys().map(|name| (name.clone(), node(name))).collect();
        json!({"result_status": "success", "steps": nodes})
    }

    #[test]
    fn what_steps_must_give_follows_from_the_numbers() {
        let order = order();
        assert_eq!(order.rows(SECOND), ["1", "5", "5", "6"]);
        assert_eq!(order.rows(COUNTED), ["0", "1", "2", "3"]);
        assert_eq!(order.rows(LAST), ["[\"1\",11]", "[\"2\",6]"]);
        assert_eq!(order.check(&tree(&order), false), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let order = order();
        let check = |change: fn(&mut Value), aborted, fault: &str| {
            let mut tree = tree(&order);
            change(&mut tree);
            let faults = order.check(&tree, aborted);
            assert_eq!(faults.is_empty(), fault.is_empty(), "{faults:?}");
            assert!(faults.iter().all(|found| found.contains(fault)), "{faults:?}");
        };
        let given = |tree: &mut Value| {
            tree["steps"]["second"]["outputs"]["default"]["value"] = json!([1, 5, 5, 5]);
        };
        check(given, false, "its step second gave");
        check(|tree| tree["steps"]["pause"]["status"] = "run".into(), false, "pause is run");
        let ends = |tree: &mut Value| {
            tree["result_status"] = "aborted".into();
            tree["steps"]["last"]["status"] = "aborted".into();
        };
        check(ends, true, "");
        check(ends, false, "it has ended with aborted");
    }

    #[test]
    fn orders_are_pipelines() {
        for seed in 0..50 {
            let order = PipelineOrder::any("p", &Random::new(seed));
            let read = mapring_jobs::Pipeline::parse(order.document.to_string().as_bytes());
            assert!(read.is_ok(), "{:?}", read.err());
        }
    }
}
