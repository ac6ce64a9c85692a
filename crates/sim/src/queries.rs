//! Clients that ask: queries and listings, and how the answers are judged.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use mapring_types::{BucketId, Error, Result};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::history::Span;
use crate::limits;
use crate::node::Life;
use crate::random::Random;
use crate::sharers::SHARED;
use crate::siblings::Found;
use crate::world::World;
use crate::writers::{NUMBERS, POINTERS};

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// All values of a bucket.
    Values,
    /// The same, by an index that has all objects.
    Indexed,
    /// The same, by a range of keys that has all.
    Ranged,
    /// The same, from a majority of the replicas merged.
    Merged,
    /// The same by the index.
    IndexedMerged,
    /// The values of some keys.
    ValuesOf(BTreeSet<String>),
    /// The values that objects point to by their values: a map, and another.
    Pointed,
    /// The values that objects point to by their links.
    Linked,
    /// How many objects there are.
    Count,
    /// The same, counted beside the data first.
    CountEarly,
    Sum,
    Keys,
    Buckets,
    /// Whole objects with all their siblings.
    Objects,
}

impl Question {
    /// All kinds; some keys are chosen for those that need them.
    pub(crate) fn all(world: &World, random: &Random) -> Vec<Self> {
        let mut all = vec![
            Self::Values,
            Self::Indexed,
            Self::Ranged,
            Self::Merged,
            Self::IndexedMerged,
            Self::ValuesOf(world.some_keys(random)),
            Self::Pointed,
            Self::Linked,
            Self::Count,
            Self::CountEarly,
            Self::Keys,
            Self::Buckets,
            Self::Objects,
        ];
        // Where there are tombstones there is no sum.
        if !world.shape.deletes {
            all.push(Self::Sum);
        }
        all
    }

    /// The query, unless it is a listing.
    fn text(&self) -> String {
        const VALUES: &str = r#"{"map":{"language":"javascript","name":"Riak.mapValues"}}"#;
        const JSON: &str = r#"{"map":{"language":"javascript","name":"Riak.mapValuesJson"}}"#;
        const SUM: &str = r#"{"reduce":{"language":"javascript","name":"Riak.reduceSum"}}"#;
        const EARLY: &str = r#"{"map":{"language":"javascript","name":"Riak.mapValues","arg":{"do_prereduce":true}}}"#;
        const COUNT: &str = r#"{"reduce":{"language":"erlang","module":"riak_kv_mapreduce","function":"reduce_count_inputs"}}"#;
        const OBJECTS: &str = r#"{"map":{"language":"erlang","module":"riak_kv_mapreduce","function":"map_identity"}}"#;
        let bucket = |name: &str| format!("\"{name}\"");
        let (inputs, phases) = match self {
            Self::Values | Self::Merged | Self::Keys | Self::Buckets => {
                (bucket(NUMBERS), VALUES.to_owned())
            }
            Self::Indexed | Self::IndexedMerged => {
                let inputs = format!(r#"{{"bucket":"{NUMBERS}","index":"all_bin","key":"x"}}"#);
                (inputs, VALUES.to_owned())
            }
            Self::Ranged => {
                let range = r#""index":"$key","start":"","end":"~""#;
                (format!(r#"{{"bucket":"{NUMBERS}",{range}}}"#), VALUES.to_owned())
            }
            Self::ValuesOf(keys) => {
                let pairs: Vec<String> =
                    keys.iter().map(|key| format!("[\"{NUMBERS}\",\"{key}\"]")).collect();
                (format!("[{}]", pairs.join(",")), VALUES.to_owned())
            }
            Self::Pointed => (bucket(POINTERS), format!("{JSON},{VALUES}")),
            Self::Linked => {
                let link = format!(r#"{{"link":{{"bucket":"{NUMBERS}"}}}}"#);
                (bucket(POINTERS), format!("{link},{VALUES}"))
            }
            Self::Count => (bucket(NUMBERS), format!("{VALUES},{COUNT}")),
            Self::CountEarly => (bucket(NUMBERS), format!("{EARLY},{COUNT}")),
            Self::Sum => (bucket(NUMBERS), format!("{JSON},{SUM}")),
            Self::Objects => (bucket(SHARED), OBJECTS.to_owned()),
        };
        let manner = match self {
            Self::Merged | Self::IndexedMerged => r#","consistency":"quorum""#,
            _ => "",
        };
        let timeout = limits::QUERY_MS;
        format!(r#"{{"inputs":{inputs},"query":[{phases}],"timeout":{timeout}{manner}}}"#)
    }
}

/// Asks until the end.
pub(crate) async fn work(world: &World, random: Random, end: Instant) {
    while Instant::now() < end {
        sleep(Duration::from_millis(random.within(limits::THINKING_MS))).await;
        let questions = Question::all(world, &random);
        let Some(question) = random.choose(&questions) else { continue };
        let Some(life) = world.somebody(&random) else { continue };
        if random.per_mille(50) {
            // A client that goes away. What it began must end with it.
            let soon = Duration::from_millis(random.within(0..1_000));
            let _ = timeout(soon, life.serve(answer(&life, question))).await;
            continue;
        }
        let _ = ask(world, &life, question).await;
    }
}

/// Asks a question and judges the answer.
pub(crate) async fn ask(world: &World, life: &Life, question: &Question) -> Result<()> {
    let (from, began, pauses) = (world.trace.now(), Instant::now(), life.pauses());
    let most = Duration::from_millis(limits::QUERY_MS) + limits::GRACE;
    let answer = timeout(most, life.serve(answer(life, question))).await;
    let stood_still = life.pauses() > pauses || life.is_paused();
    let answer = answer.unwrap_or_else(|_| {
        if !stood_still {
            world.trace.violation(format!("{question:?} went on for longer than {most:?}"));
        }
        Err(Error::timeout("the client has lost its patience"))
    });
    let took = began.elapsed();
    let node = life.name();
    // Functions take no time, and there are other replicas to turn to.
    let quick = world.shape.slowest_ms == 0 && world.shape.n_val > 1;
    if !stood_still && quick && world.others_alone(life.node, from) {
        world.count(|figures| figures.slowest_query = figures.slowest_query.max(took));
        if took > limits::DELAY + limits::QUERY_ALLOWANCE {
            world.trace.violation(format!("{question:?} at {node} was delayed: it took {took:?}"));
        }
    }
    let trouble = world.trouble_since(from);
    world.count(|figures| match (&answer, trouble) {
        (Ok(_), false) => figures.queries += 1,
        (Ok(_), true) => {
            figures.queries += 1;
            figures.queries_in_trouble += 1;
        }
        (Err(_), _) => figures.failed_queries += 1,
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            world.trace.note(format!("{question:?} asked at {node} since {from}: {error}"));
            return Err(error);
        }
    };
    world.trace.note(format!("{question:?} asked at {node} since {from}: {}", answer.len()));
    let faults = judge(world, question, &answer, Span { from, to: world.trace.now() });
    for fault in faults {
        world.trace.violation(format!("{question:?} at {node} since {from}: {fault}"));
    }
    Ok(())
}

fn judge(world: &World, question: &Question, answer: &[String], span: Span) -> Vec<String> {
    let one = |fault: Option<String>| fault.into_iter().collect();
    match question {
        Question::Objects => judge_objects(world, answer, span),
        Question::Buckets => {
            let mut known = BTreeSet::from([NUMBERS, POINTERS, SHARED]);
            let strange = answer.iter().filter(|name| !known.remove(name.as_str()));
            let strange = strange.map(|name| format!("I5: a bucket {name} is listed")).collect();
            if known.contains(POINTERS) {
                vec!["I5: a bucket is not listed".into()]
            } else {
                strange
            }
        }
        _ => world.look_back(|history| match question {
            Question::Values
            | Question::Indexed
            | Question::Ranged
            | Question::Merged
            | Question::IndexedMerged => history.judge_values(&numbers(answer), None, span),
            Question::ValuesOf(keys) => history.judge_values(&numbers(answer), Some(keys), span),
            Question::Pointed | Question::Linked => {
                let keys = world.pointed();
                history.judge_values(&numbers(answer), Some(&keys), span)
            }
            Question::Keys => history.judge_keys(answer, span),
            Question::Count | Question::CountEarly => one(history.judge_count(total(answer), span)),
            _ => one(history.judge_sum(total(answer), span)),
        }),
    }
}

/// Each object once, with the siblings that it must have.
fn judge_objects(world: &World, answer: &[String], span: Span) -> Vec<String> {
    let mut faults = Vec::new();
    let mut keys = BTreeSet::new();
    for text in answer {
        let object: Value = serde_json::from_str(text).unwrap_or_default();
        let key = object["key"].as_str().unwrap_or_default().to_owned();
        let values = object["values"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let siblings = values
            .iter()
            .map(|value| (text(&value["data"]), text(&value["metadata"]["X-Riak-VTag"])));
        let found: Found = siblings
            .filter(|(data, _)| !data.is_empty())
            .map(|(data, tag)| (data.parse().unwrap_or(u64::MAX), tag))
            .collect();
        faults.extend(world.with_shared(|shared| shared.judge(&key, &found, span)));
        if !keys.insert(key.clone()) {
            faults.push(format!("I5: {key} is there more than once"));
        }
    }
    let missing: Vec<String> = world
        .with_shared(|shared| shared.keys().filter(|key| !keys.contains(*key)).cloned().collect());
    for key in missing {
        faults.extend(world.with_shared(|shared| shared.judge(&key, &Found::new(), span)));
    }
    faults
}

/// The numbers in an answer. Tombstones, which queries see as empty values, and marks of objects
/// that are not there are left out; what else is no number becomes one that nobody wrote.
fn numbers(answer: &[String]) -> Vec<u64> {
    let texts = answer.iter().map(|text| text.trim_matches('"'));
    let values = texts.filter(|text| !text.is_empty() && !text.starts_with("{\"not_found\""));
    values.map(|text| text.parse().unwrap_or(u64::MAX)).collect()
}

fn total(answer: &[String]) -> u64 {
    numbers(answer).into_iter().fold(0, u64::saturating_add)
}

async fn answer(life: &Life, question: &Question) -> Result<Vec<String>> {
    let patience = Duration::from_millis(limits::QUERY_MS);
    let numbers = BucketId::untyped(NUMBERS);
    let mut pages = match question {
        Question::Keys => life.kv.list_keys(numbers, patience),
        Question::Buckets => life.kv.list_buckets(numbers.bucket_type, patience),
        _ => return mapred(life, &question.text()).await,
    };
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        names.extend(page?.iter().map(|name| String::from_utf8_lossy(name).into_owned()));
    }
    Ok(names)
}

async fn mapred(life: &Life, query: &str) -> Result<Vec<String>> {
    let refused = |refusal: mapring_mapred::Rejection| Error::invalid(refusal.body);
    let query = life.mapred.parse(query.as_bytes()).map_err(refused)?;
    let mut results = life.mapred.start(query).await.map_err(refused)?.results;
    let mut values = Vec::new();
    while let Some(part) = results.next().await {
        let part = part.map_err(|failure| Error::unavailable(failure.body))?;
        values.extend(part.values.into_iter().map(|value| value.0));
    }
    Ok(values)
}
