//! Jobs that clients order: what they are to do, and what must come of it. Their inputs never change, so
//! that it is known whatever happens.

use std::collections::BTreeMap;

use mapring_types::{BucketId, Entropy, ObjectId};
use serde_json::{Value, json};

use crate::random::Random;
use crate::{limits, receiver};

/// The bucket of the objects that are inputs: `f0`, `f1`, …, each with its number as its value.
pub(crate) const FLOCK: &str = "flock";
/// Where functions put what they make: under the job's id and the number of the input.
pub(crate) const COPIES: &str = "copies";
/// Where outputs go: under the job's id.
pub(crate) const OUT: &str = "out";

/// The function that counts and gives the number of an input.
pub(crate) const COUNT: &str = "Sim.count";
/// The function that puts a copy of it besides.
pub(crate) const COPY: &str = "Sim.copy";
/// The function that gives the pair of its group, a remainder, and itself.
pub(crate) const PAIR: &str = "Sim.pair";

/// What users' counters are called: how many inputs there were, and the sum of their numbers.
pub(crate) const SEEN: &str = "seen";
pub(crate) const TOTAL: &str = "total";

/// A job that is to be started.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The numbers of its inputs.
    numbers: Vec<u64>,
    work: Work,
    pub(crate) document: Value,
    /// Whether it is removed soon after its end.
    pub(crate) is_brief: bool,
    /// Whether somebody is told of its end.
    pub(crate) is_told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Results and counts.
    Count,
    /// An object for each input besides.
    Copy,
    /// The sums of groups.
    Sum,
    /// One object that has all results.
    Output,
}

/// What must come of a job that succeeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expected {
    /// Its results, sorted.
    pub(crate) rows: Vec<String>,
    /// Its counters, as far as they are known.
    pub(crate) counters: BTreeMap<String, i64>,
    /// The keys of the copies with their values.
    pub(crate) copies: BTreeMap<String, String>,
    /// The lines of its output, sorted.
    pub(crate) output: Option<Vec<String>>,
}

impl Order {
    /// Some job.
    pub(crate) fn any(name: &str, flock: u64, random: &Random) -> Self {
        let (inputs, numbers) = inputs(flock, random);
        let works = [Work::Count, Work::Copy, Work::Copy, Work::Sum, Work::Sum, Work::Output];
        let work = random.choose(&works).copied().unwrap_or(Work::Count);
        let map = |name: &str| json!({"map": {"language": "javascript", "name": name}});
        let sum = json!({"reduce": {"language": "javascript", "name": "Job.sum", "group": true}});
        let query = match work {
            Work::Count | Work::Output => json!([map(COUNT)]),
            Work::Copy => json!([map(COPY)]),
            Work::Sum => json!([map(PAIR), sum]),
        };
        let slice = random.choose(&limits::SLICES_MS).copied().unwrap_or(1_000);
        let mut document =
            json!({"name": name, "inputs": inputs, "query": query, "slice_ms": slice});
        if work == Work::Output {
            document["output"] =
                json!({"bucket": OUT, "layout": "single", "name": "$id", "format": "ndjson"});
        }
        // Most last for so long that faults meet them.
        if let Some(rate) = random.choose(&limits::RATES).filter(|rate| **rate > 0) {
            document["rate"] = (*rate).into();
        }
        let is_brief = random.per_mille(limits::BRIEF_JOBS);
        if is_brief {
            document["keep_ms"] = 1.into();
        }
        let is_told = random.per_mille(limits::TOLD_JOBS);
        if is_told {
            document["callback"] = json!({"url": receiver::URL});
        }
        Self { numbers, work, document, is_brief, is_told }
    }

    /// The job of a schedule, which is short.
    pub(crate) fn of_schedule(name: &str) -> Self {
        let end = limits::SCHEDULED_INPUTS;
        let map = json!({"map": {"language": "javascript", "name": COPY}});
        let inputs = json!({"range": {"start": 0, "end": end}});
        let document = json!({"name": name, "inputs": inputs, "query": [map], "slice_ms": 200});
        let (numbers, work) = ((0..end).collect(), Work::Copy);
        Self { numbers, work, document, is_brief: false, is_told: false }
    }

    /// What must come of it, under its id.
    pub(crate) fn expected(&self, id: &str) -> Expected {
        let (count, sum) = (self.numbers.len(), self.numbers.iter().sum::<u64>());
        let mut counters: BTreeMap<String, i64> =
            [("mapper-calls".to_owned(), signed(count as u64))].into();
        let mut texts: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        texts.sort();
        let mut expected = Expected { rows: texts.clone(), ..Expected::default() };
        if self.work != Work::Sum {
            counters.insert(SEEN.to_owned(), signed(count as u64));
            counters.insert(TOTAL.to_owned(), signed(sum));
        }
        match self.work {
            Work::Count => {}
            Work::Copy => {
                counters.insert("writes".to_owned(), signed(count as u64));
                let copies = texts.iter().map(|text| (copy_key(id, text), text.clone()));
                expected.copies = copies.collect();
            }
            Work::Sum => {
                let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
                for number in &self.numbers {
                    *sums.entry(number % limits::GROUPS).or_default() += number;
                }
                expected.rows = sums.into_iter().map(|(key, sum)| pair(key, sum)).collect();
            }
            Work::Output => {
                expected.rows = vec![format!("[\"{OUT}\",\"{id}\"]")];
                expected.output = Some(texts);
            }
        }
        Expected { counters, ..expected }
    }
}

/// Some inputs, and their numbers.
fn inputs(flock: u64, random: &Random) -> (Value, Vec<u64>) {
    let most = random.within(limits::JOB_INPUTS);
    match random.below(4) {
        0 => (FLOCK.into(), (0..flock).collect()),
        1 => {
            let numbers: Vec<u64> = (0..flock).filter(|_| random.per_mille(500)).collect();
            let numbers = if numbers.is_empty() { vec![0] } else { numbers };
            let names = numbers.iter().map(|number| json!([FLOCK, format!("f{number}")]));
            (names.collect(), numbers)
        }
        2 => (json!({"range": {"start": 0, "end": most}}), (0..most).collect()),
        _ => {
            // The same more than once.
            let numbers: Vec<u64> = (0..most).map(|_| random.below(1_000)).collect();
            (json!({"items": numbers}), numbers)
        }
    }
}

/// A pair as a result.
pub(crate) fn pair(key: u64, value: u64) -> String {
    format!("[\"{key}\",{value}]")
}

/// The key of the copy of an input.
pub(crate) fn copy_key(job: &str, text: &str) -> String {
    format!("{job}/{text}")
}

/// An object of one of the buckets here.
pub(crate) fn object(bucket: &str, key: impl Into<String>) -> ObjectId {
    ObjectId::new(BucketId::untyped(bucket.to_owned()), key.into())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_come_follows_from_the_inputs() {
        let order = |work| Order {
            numbers: vec![1, 5, 6, 5],
            work,
            document: Value::Null,
            is_brief: false,
            is_told: false,
        };
        let sums = order(Work::Sum).expected("j");
        assert_eq!(sums.rows, ["[\"1\",11]", "[\"2\",6]"]);
        let copies = order(Work::Copy).expected("j");
        assert_eq!(copies.rows, ["1", "5", "5", "6"]);
        let keys: Vec<_> = copies.copies.keys().cloned().collect();
        assert_eq!(keys, ["j/1", "j/5", "j/6"]);
        assert_eq!((copies.counters["seen"], copies.counters["total"]), (4, 17));
        let output = order(Work::Output).expected("j");
        assert_eq!((output.rows.len(), output.output.map(|lines| lines.len())), (1, Some(4)));
    }

    #[test]
    fn orders_are_jobs() {
        for seed in 0..200 {
            let order = Order::any("o", 30, &Random::new(seed));
            assert!(!order.numbers.is_empty() && order.document["query"].is_array());
        }
    }
}
