//! Clients that ask: queries and listings, and how the answers are checked.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use mapring_mapred::{FailedInput, Failure, Query, Rejection, Row, Started};
use mapring_types::{BucketId, Error, Result};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::buckets::{DATATYPES, NUMBERS, POINTERS, SHARED};
use crate::history::{Span, Whole, check_total};
use crate::limits;
use crate::node::Life;
use crate::orders::{COPIES, FLOCK, OUT};
use crate::questions::{Chain, Options, Question};
use crate::random::Random;
use crate::selections::{Selected, is_odd};
use crate::siblings::Found;
use crate::world::World;

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
            let _ = timeout(soon, life.serve(answer(world, &life, question))).await;
            continue;
        }
        let _ = ask(world, &life, question).await;
    }
}

/// Asks a question and checks the answer.
pub(crate) async fn ask(world: &World, life: &Life, question: &Question) -> Result<()> {
    let (from, began, pauses) = (world.trace.now(), Instant::now(), life.pauses());
    let most = Duration::from_millis(limits::QUERY_MS) + limits::GRACE;
    let answer = timeout(most, life.serve(answer(world, life, question))).await;
    let stood_still = life.pauses() > pauses || life.is_paused();
    let answer = answer.unwrap_or_else(|_| {
        if !stood_still {
            world.trace.violation(format!("{question:?} went on for longer than {most:?}"));
        }
        Err(Error::timeout("the client has lost its patience"))
    });
    let took = began.elapsed();
    let node = life.name();
    // Functions take no time, and there are other replicas to turn to: a majority needs more of them.
    let others = if question.options().quorum { 2 } else { 1 };
    let quick = world.shape.slowest_ms == 0 && world.shape.n_val > others;
    if !stood_still && quick && world.others_alone(life.node, from) {
        world.count(|figures| figures.slowest_query = figures.slowest_query.max(took));
        if took > limits::DELAY + limits::QUERY_ALLOWANCE {
            world.trace.violation(format!("{question:?} at {node} was delayed: it took {took:?}"));
        }
    }
    let faulty = world.any_fault_since(from);
    world.count(|figures| match (&answer, faulty) {
        (Ok(_), false) => figures.queries += 1,
        (Ok(_), true) => {
            figures.queries += 1;
            figures.queries_during_faults += 1;
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
    let Answer { values, skipped } = &answer;
    let ends =
        if skipped.is_empty() { String::new() } else { format!(" and {} left out", skipped.len()) };
    let given = values.len();
    world.trace.note(format!("{question:?} asked at {node} since {from}: {given}{ends}"));
    let faults = check(world, question, &answer, Span { from, to: world.trace.now() });
    for fault in faults {
        world.trace.violation(format!("{question:?} at {node} since {from}: {fault}"));
    }
    Ok(())
}

fn check(world: &World, question: &Question, answer: &Answer, span: Span) -> Vec<String> {
    let Answer { values, skipped } = answer;
    let mut faults = match question {
        Question::Numbers(selected, chain, options) => {
            return check_numbers(world, (selected, *chain, *options), answer, span);
        }
        Question::Pointed(pointers, ..) => {
            let keys = world.pointed(|number| pointers.has(number));
            let times = |key: &str| usize::from(keys.contains(key));
            let seen = numbers(values.iter().filter(|text| !is_not_found(text)));
            world.look_back(|history| history.check_values(&seen, &times, Whole::All, span))
        }
        Question::Objects { .. } => check_objects(world, values, span),
        Question::Merged(fold) => fold.check(world, &numbers(values.iter()), span),
        Question::Sequence(most) | Question::Made(most) => {
            let (sum, expect) = (total(values), most * (most + 1) / 2);
            if sum == expect { Vec::new() } else { vec![format!("{sum}, not {expect}")] }
        }
        Question::Keys => world.look_back(|history| history.check_keys(values, &|_| 1, span)),
        Question::Buckets => {
            let mut known =
                BTreeSet::from([NUMBERS, POINTERS, SHARED, DATATYPES, FLOCK, COPIES, OUT]);
            let strange = values.iter().filter(|name| !known.remove(name.as_str()));
            let strange = strange.map(|name| format!("I5: a bucket {name} is listed")).collect();
            if known.contains(POINTERS) {
                vec!["I5: a bucket is not listed".into()]
            } else {
                strange
            }
        }
    };
    faults.extend(skipped.iter().map(|key| format!("I5: {key} was left out")));
    faults
}

fn check_numbers(
    world: &World,
    (selected, chain, options): (&Selected, Chain, Options),
    Answer { values, skipped }: &Answer,
    span: Span,
) -> Vec<String> {
    let named = |text: &String| {
        let name: Value = serde_json::from_str(text).unwrap_or_default();
        name[1].as_str().unwrap_or(text).to_owned()
    };
    let names = || -> Vec<String> { values.iter().map(named).collect() };
    let times = |key: &str| selected.times(key);
    let plain = |key: &str| if is_odd(key) { 0 } else { times(key) };
    let odd = |key: &str| if is_odd(key) { times(key) } else { 0 };
    let list = selected.list();
    // Of a list everything gives one result, of a bucket what is there.
    let there = values.iter().filter(|text| list.is_none() || !is_not_found(text));
    let tombstones = there.clone().filter(|text| options.tombstones && is_tombstone(text)).count();
    let seen = numbers(there.filter(|text| !options.tombstones || !is_tombstone(text)));
    let whole = if options.limit.is_some() { Whole::Part } else { Whole::All };
    let some = |fault: Option<String>| fault.into_iter();
    let mut faults = world.look_back(|history| match (selected, chain, &list) {
        (Selected::Values(one, other), Chain::Names, _) => {
            history.check_term_keys(&names(), *one.min(other)..=*one.max(other), span)
        }
        (Selected::Values(one, other), ..) => {
            history.check_terms(&seen, &times, *one.min(other)..=*one.max(other), span)
        }
        (_, Chain::Values, _) => history.check_values(&seen, &times, whole, span),
        (_, Chain::Json, _) => history.check_values(&seen, &plain, Whole::All, span),
        (_, Chain::Grouped, _) => {
            let grouped: Vec<String> = values.iter().map(|pair| second(pair)).collect();
            history.check_values(&numbers(grouped.iter()), &times, Whole::All, span)
        }
        (_, Chain::Sum, _) => some(history.check_sum(total(values), &plain, span)).collect(),
        (_, Chain::Count | Chain::CountEarly, Some(list)) => {
            some(check_total("counted", total(values), exactly(list.len()))).collect()
        }
        (_, Chain::Count | Chain::CountEarly, None) => {
            let bounds = history.bounds(&times, options.tombstones, span);
            some(check_total("counted", total(values), bounds)).collect()
        }
        (_, Chain::Names, Some(list)) => {
            let mut names = names();
            names.sort();
            if names == *list { Vec::new() } else { vec![format!("I5: {names:?}, not {list:?}")] }
        }
        (_, Chain::Names, None) => history.check_keys(&names(), &times, span),
    });
    if chain == Chain::Values && !matches!(selected, Selected::Values(..)) {
        let (from, to) = match &list {
            Some(list) => exactly(list.len()),
            None => world.look_back(|h| h.bounds(&times, options.tombstones, span)),
        };
        let most = options.limit.unwrap_or(u64::MAX);
        faults.extend(check_total("gave", values.len() as u64, (from.min(most), to.min(most))));
    }
    if tombstones > 0 {
        let most = world.look_back(|history| history.tombstones(&times, span));
        faults.extend(check_total("gave tombstones:", tombstones as u64, (0, most)));
    }
    match chain {
        Chain::Json | Chain::Sum => {
            faults.extend(world.look_back(|history| history.check_keys(skipped, &odd, span)));
        }
        _ => faults.extend(skipped.iter().map(|key| format!("I5: {key} was left out"))),
    }
    faults
}

/// The value of a pair.
fn second(pair: &str) -> String {
    let pair: Value = serde_json::from_str(pair).unwrap_or_default();
    pair[1].to_string()
}

fn exactly(count: usize) -> (u64, u64) {
    (count as u64, count as u64)
}

/// Each object once, with the siblings that it must have.
fn check_objects(world: &World, answer: &[String], span: Span) -> Vec<String> {
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
        faults.extend(world.with_shared(|shared| shared.check(&key, &found, span)));
        if !keys.insert(key.clone()) {
            faults.push(format!("I5: {key} is there more than once"));
        }
    }
    let missing: Vec<String> = world
        .with_shared(|shared| shared.keys().filter(|key| !keys.contains(*key)).cloned().collect());
    for key in missing {
        faults.extend(world.with_shared(|shared| shared.check(&key, &Found::new(), span)));
    }
    faults
}

/// The mark of an object that is not there.
fn is_not_found(text: &str) -> bool {
    text.starts_with("{\"not_found\"")
}

/// A deleted object, as functions see it that want to see such: an empty value.
fn is_tombstone(text: &str) -> bool {
    text == "\"\""
}

/// The numbers in an answer. What is no number becomes one that nobody wrote.
fn numbers<'a>(answer: impl Iterator<Item = &'a String>) -> Vec<u64> {
    answer.map(|text| text.trim_matches('"').parse().unwrap_or(u64::MAX)).collect()
}

fn total(answer: &[String]) -> u64 {
    numbers(answer.iter()).into_iter().fold(0, u64::saturating_add)
}

/// What a question was answered with.
#[derive(Debug, Default)]
struct Answer {
    values: Vec<String>,
    /// The keys of inputs that were left out because a function failed for them.
    skipped: Vec<String>,
}

async fn answer(world: &World, life: &Life, question: &Question) -> Result<Answer> {
    if let Some(query) = question.text() {
        return mapred(life, &query).await;
    }
    if let Question::Merged(fold) = question {
        return Ok(Answer { values: fold.answer(world, life).await?, skipped: Vec::new() });
    }
    let patience = Duration::from_millis(limits::QUERY_MS);
    let numbers = BucketId::untyped(NUMBERS);
    let mut pages = match question {
        Question::Keys => life.kv.list_keys(numbers, patience),
        _ => life.kv.list_buckets(numbers.bucket_type, patience),
    };
    let mut values = Vec::new();
    while let Some(page) = pages.next().await {
        values.extend(page?.iter().map(|name| String::from_utf8_lossy(name).into_owned()));
    }
    Ok(Answer { values, skipped: Vec::new() })
}

async fn mapred(life: &Life, query: &str) -> Result<Answer> {
    let refused = |rejection: Rejection| Error::invalid(rejection.to_string());
    let query = Query::parse(query.as_bytes()).map_err(refused)?;
    let Started { mut results, handle } = life.mapred.start(query).await.map_err(refused)?;
    let mut answer = Answer::default();
    while let Some(part) = results.next().await {
        let part = part.map_err(|failure| Error::unavailable(failure.to_string()))?;
        answer.values.extend(part.values.into_iter().map(Row::into_text));
    }
    let key = |failure: Failure| match &failure.input {
        Some(FailedInput::Object { id, .. }) => String::from_utf8_lossy(&id.key).into_owned(),
        _ => "nobody knows what".to_owned(),
    };
    answer.skipped = handle.take_skipped().into_iter().map(key).collect();
    Ok(answer)
}
