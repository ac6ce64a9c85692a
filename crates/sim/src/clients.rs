//! What clients do: write, delete, read, list, ask; and how their findings are judged.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use mapring_kv::{DeleteOptions, GetOptions, NewValue, PutOptions};
use mapring_types::{BucketId, Entropy, Error, Metadata, Object, ObjectId, Quorum, Result};
use tokio::time::{Instant, sleep, timeout};

use crate::history::Span;
use crate::limits;
use crate::node::Life;
use crate::random::Random;
use crate::world::World;

/// Where everything is kept.
const BUCKET: &str = "numbers";

fn bucket() -> BucketId {
    BucketId::untyped(BUCKET)
}

/// A client with keys of its own.
pub(crate) struct Writer {
    number: u64,
    random: Random,
    keys: Vec<String>,
    made: u64,
}

impl Writer {
    pub(crate) fn new(number: u64, random: Random) -> Self {
        Self { number, random, keys: Vec::new(), made: 0 }
    }

    /// Stores the objects that everything begins with.
    pub(crate) async fn load(&mut self, world: &World) {
        for _ in 0..self.random.within(limits::OBJECTS) {
            self.create(world).await;
        }
    }

    /// Works until the end.
    pub(crate) async fn work(mut self, world: &World, end: Instant) {
        while Instant::now() < end {
            sleep(Duration::from_millis(self.random.within(limits::THINKING_MS))).await;
            let chosen = self.random.below(self.keys.len() as u64);
            let Some(key) = usize::try_from(chosen).ok().and_then(|at| self.keys.get(at)).cloned()
            else {
                self.create(world).await;
                continue;
            };
            match self.random.below(100) {
                0..50 => self.put(world, &key).await,
                50..65 if world.deletes => self.delete(world, &key).await,
                65..90 => read(world, &self.random, &key).await,
                _ => self.create(world).await,
            }
        }
    }

    async fn create(&mut self, world: &World) {
        self.made += 1;
        // Those of even number are written and read strictly.
        let key = format!("w{}-{}", self.number, self.made);
        self.keys.push(key.clone());
        self.put(world, &key).await;
    }

    async fn put(&mut self, world: &World, key: &str) {
        let Some((node, life)) = world.somebody(&self.random) else { return };
        let value = world.next_value(&self.random);
        world.begin(key, Some(value), &node);
        let new = NewValue {
            metadata: Metadata { content_type: "application/json".into(), ..Metadata::default() },
            body: Bytes::from(value.to_string()),
            deleted: false,
        };
        let (id, options) = (id(key), put_options(key));
        let put = async { life.kv.put(&id, None, new, &options).await.map(|_| ()) };
        let done = patiently(world, "put", life.serve(put)).await;
        self.ended(world, key, done);
    }

    async fn delete(&mut self, world: &World, key: &str) {
        let Some((node, life)) = world.somebody(&self.random) else { return };
        world.begin(key, None, &node);
        let PutOptions { pw, timeout, .. } = put_options(key);
        let pr = pw;
        let options = DeleteOptions { pr, pw, timeout, ..DeleteOptions::default() };
        let id = id(key);
        let delete = async { life.kv.delete(&id, None, &options).await.map(|_| ()) };
        let done = patiently(world, "delete", life.serve(delete)).await;
        self.ended(world, key, done);
    }

    /// A key whose state is unknown is left alone from now on.
    fn ended(&mut self, world: &World, key: &str, done: Result<()>) {
        if done.is_err() {
            self.keys.retain(|known| known != key);
        }
        world.ended(key, done);
    }
}

fn id(key: &str) -> ObjectId {
    ObjectId::new(bucket(), key.to_owned())
}

/// Whether a key is written with `pw=quorum` and read with `pr=quorum`, so that reads of it can be
/// judged by I1.
fn strict(key: &str) -> bool {
    key.bytes().last().is_some_and(|digit| digit % 2 == 0)
}

fn put_options(key: &str) -> PutOptions {
    let pw = if strict(key) { Quorum::Majority } else { Quorum::Default };
    PutOptions { pw, timeout: Some(limits::CLIENT_PATIENCE), ..PutOptions::default() }
}

async fn read(world: &World, random: &Random, key: &str) {
    let Some((node, life)) = world.somebody(random) else { return };
    let from = world.trace.now();
    let pr = if strict(key) { Quorum::Majority } else { Quorum::Default };
    let timeout = Some(limits::CLIENT_PATIENCE);
    let options = GetOptions { pr, timeout, ..GetOptions::default() };
    let id = id(key);
    let got = patiently(world, "get", life.serve(life.kv.get(&id, &options))).await;
    let span = Span { from, to: world.trace.now() };
    let seen = got.and_then(|object| number(object.as_ref()));
    world.trace.note(format!("read {key} at {node}: {seen:?}"));
    world.count(|figures| match &seen {
        Ok(_) => figures.reads += 1,
        Err(_) => figures.failed_reads += 1,
    });
    if let Ok(seen) = seen
        && strict(key)
    {
        world.judge(|history| history.judge_read(key, seen, span).into_iter().collect());
    }
}

/// After everything: reads an object from all replicas.
pub(crate) async fn read_all(world: &World, life: &Life, key: &str) {
    let span = Span { from: world.trace.now(), to: u64::MAX };
    let timeout = Some(limits::CLIENT_PATIENCE);
    let options = GetOptions { r: Quorum::All, timeout, ..GetOptions::default() };
    let got = patiently(world, "get", life.kv.get(&id(key), &options)).await;
    match got.and_then(|object| number(object.as_ref())) {
        Ok(seen) => {
            world.judge(|history| history.judge_read(key, seen, span).into_iter().collect())
        }
        Err(error) => world.trace.violation(format!("{key} cannot be read in peace: {error}")),
    }
}

/// The number that an object is; `None` for none, or one that is deleted.
fn number(object: Option<&Object>) -> Result<Option<u64>> {
    let newest = object.and_then(Object::newest).filter(|sibling| !sibling.deleted);
    newest
        .map(|sibling| {
            let text = std::str::from_utf8(&sibling.body).ok().and_then(|text| text.parse().ok());
            text.ok_or_else(|| Error::corrupt("the body is no number"))
        })
        .transpose()
}

/// An operation that overstays its own timeout by far is a fault too.
async fn patiently<T>(
    world: &World,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let most = limits::CLIENT_PATIENCE + Duration::from_secs(5);
    timeout(most, work).await.unwrap_or_else(|_| {
        world.trace.violation(format!("a {what} went on for longer than {most:?}"));
        Err(Error::timeout("the client has lost its patience"))
    })
}

/// What can be asked of the whole bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Values,
    Count,
    Sum,
    Keys,
}

impl Question {
    const ALL: [Self; 4] = [Self::Values, Self::Count, Self::Keys, Self::Sum];

    /// Those that have an answer in this world: where there are tombstones there is no sum.
    pub(crate) fn all(world: &World) -> &'static [Self] {
        if world.deletes {
            Self::ALL.split_last().map_or(&[], |(_, rest)| rest)
        } else {
            &Self::ALL
        }
    }
}

/// A client that asks until the end.
pub(crate) async fn query(world: &World, random: Random, end: Instant) {
    while Instant::now() < end {
        sleep(Duration::from_millis(random.within(limits::THINKING_MS))).await;
        let question = random.choose(Question::all(world)).copied().unwrap_or(Question::Values);
        if let Some((node, life)) = world.somebody(&random) {
            let _ = ask(world, &node, &life, question).await;
        }
    }
}

/// Asks a question and judges the answer.
pub(crate) async fn ask(world: &World, node: &str, life: &Life, question: Question) -> Result<()> {
    let from = world.trace.now();
    let most = Duration::from_millis(limits::QUERY_MS) + Duration::from_secs(5);
    let answer = timeout(most, life.serve(answer(life, question))).await;
    let answer = answer.unwrap_or_else(|_| {
        world.trace.violation(format!("{question:?} went on for longer than {most:?}"));
        Err(Error::timeout("the client has lost its patience"))
    });
    let span = world.span_since(from);
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
    world.judge(|history| {
        let faults = match question {
            Question::Values => history.judge_values(&numbers(&answer), span),
            Question::Keys => history.judge_keys(&answer, span),
            Question::Count => history.judge_count(total(&answer), span).into_iter().collect(),
            Question::Sum => history.judge_sum(total(&answer), span).into_iter().collect(),
        };
        faults
            .into_iter()
            .map(|fault| format!("{question:?} at {node} since {from}: {fault}"))
            .collect()
    });
    Ok(())
}

fn numbers(answer: &[String]) -> Vec<u64> {
    // What is no number becomes one that nobody wrote.
    answer.iter().map(|text| text.parse().unwrap_or(u64::MAX)).collect()
}

fn total(answer: &[String]) -> u64 {
    numbers(answer).into_iter().fold(0, u64::saturating_add)
}

async fn answer(life: &Life, question: Question) -> Result<Vec<String>> {
    // Unlike Riak.mapValuesJson it bears tombstones, which queries see as empty values.
    const TEXT: &str = r#"{"map":{"language":"javascript","name":"Riak.mapValues"}}"#;
    const MAP: &str = r#"{"map":{"language":"javascript","name":"Riak.mapValuesJson"}}"#;
    const SUM: &str = r#"{"reduce":{"language":"javascript","name":"Riak.reduceSum"}}"#;
    const COUNT: &str = r#"{"reduce":{"language":"erlang","module":"riak_kv_mapreduce","function":"reduce_count_inputs"}}"#;
    match question {
        Question::Values => {
            let texts = mapred(life, TEXT).await?;
            let texts = texts.iter().map(|text| text.trim_matches('"').to_owned());
            Ok(texts.filter(|text| !text.is_empty()).collect())
        }
        Question::Count => mapred(life, &format!("{TEXT},{COUNT}")).await,
        Question::Sum => mapred(life, &format!("{MAP},{SUM}")).await,
        Question::Keys => {
            let mut pages = life.kv.list_keys(bucket(), Duration::from_millis(limits::QUERY_MS));
            let mut keys = Vec::new();
            while let Some(page) = pages.next().await {
                keys.extend(page?.iter().map(|key| String::from_utf8_lossy(key).into_owned()));
            }
            Ok(keys)
        }
    }
}

async fn mapred(life: &Life, phases: &str) -> Result<Vec<String>> {
    let body =
        format!(r#"{{"inputs":"{BUCKET}","query":[{phases}],"timeout":{}}}"#, limits::QUERY_MS);
    let refused = |refusal: mapring_mapred::Rejection| Error::invalid(refusal.body);
    let query = life.mapred.parse(body.as_bytes()).map_err(refused)?;
    let mut results = life.mapred.start(query).await.map_err(refused)?;
    let mut values = Vec::new();
    while let Some(part) = results.next().await {
        let part = part.map_err(|failure| Error::unavailable(failure.body))?;
        values.extend(part.values.into_iter().map(|value| value.0));
    }
    Ok(values)
}
