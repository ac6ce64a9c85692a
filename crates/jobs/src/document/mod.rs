//! The job document: the whole of what a job is to do, and how.
//!
//! It is a query with more members ([`Document`]): how it is cut into shards and slices, what becomes
//! of failures, who hears of its end, when it begins, how long it is kept. Unlike a query, it may
//! have no members that are unknown: a rate that is written wrong would be none.

mod query;
#[cfg(test)]
mod tests;

use std::time::Duration;

use mapring_mapred::{CallLimits, Priority, Query, Retries};
use serde_json::Value;

use crate::callback::Callback;
use crate::members::{Members, has_controls};
use crate::problem::{Invalid, Problem, Problems, overlap};
use crate::{code, inputs, json, limits};

pub(crate) use query::QUERY_MEMBERS;

/// A job document that has been checked.
#[derive(Debug, Clone)]
pub struct Document {
    value: Value,
    earlier: Vec<String>,
    /// How the job is carried out.
    pub execution: Execution,
    /// Who is told of it.
    pub hearers: Hearers,
    /// When it begins.
    pub begin: Begin,
    /// How long it is kept after its end.
    pub keep: Duration,
    /// Whether its groups are kept with it, to be looked at.
    pub keep_groups: bool,
}

/// How a job is carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// The longest that it may take; `None` where it may take as long as it does.
    pub timeout: Option<Duration>,
    /// How many shards it asks for; `None` for what suits its inputs.
    pub shards: Option<u32>,
    /// How long a shard works between two checkpoints.
    pub slice: Duration,
    /// Inputs a second, all shards together; `None` for as many as can be.
    pub rate: Option<f64>,
    /// How often work is tried.
    pub retries: Retries,
    /// What a single call may take.
    pub limits: CallLimits,
    /// Before whom it has its turn.
    pub queue: Priority,
}

/// Who is told of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hearers {
    /// Who hears of its end, whatever that is.
    pub callback: Option<Callback>,
    /// What is done when it has started.
    pub started: Option<Hook>,
    /// What is done when a shard is done.
    pub shard_done: Option<Hook>,
    /// What is done when it is done.
    pub done: Option<Hook>,
}

/// What is done at some point of a job's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// A request.
    Request(Callback),
    /// A function, as a phase has one.
    Function(Value),
}

/// When a job begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begin {
    /// At once.
    #[default]
    Now,
    /// So long after it was taken.
    After(Duration),
    /// At a time, in milliseconds since 1970 began.
    At(u64),
}

/// The members that are not the query's own.
const MEMBERS: [&str; 13] = [
    "partitions",
    "slice_ms",
    "rate",
    "retries",
    "limits",
    "callback",
    "hooks",
    "delay_ms",
    "run_at",
    "keep_ms",
    "keep_groups",
    "queue",
    TIMEOUT,
];

const TIMEOUT: &str = "timeout";
/// Bytes of a megabyte as documents count.
const MB: u64 = 1 << 20;

/// All members that a job document may have.
pub(crate) fn members() -> Vec<&'static str> {
    QUERY_MEMBERS.iter().chain(&MEMBERS).copied().collect()
}

impl Document {
    /// Reads a job document.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        Self::of(&json::read(body)?)
    }

    /// Checks a job document.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it.
    pub fn of(value: &Value) -> Result<Self, Invalid> {
        let problems = Problems::default();
        let read = read(value, &problems);
        problems.unless(|| read)
    }

    /// The document as it was given.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What the job is called.
    pub fn name(&self) -> Option<&str> {
        self.value.get("name").and_then(Value::as_str)
    }

    /// The ids of the jobs whose results are inputs of this one, each once.
    pub fn earlier_jobs(&self) -> &[String] {
        &self.earlier
    }

    /// The query that the job runs. `results` gives, for each of [`Document::earlier_jobs`], the inputs
    /// that its results are: a list of `[bucket,key]`, or `{"items":[…]}`.
    ///
    /// # Errors
    /// What makes it no query, which only what `results` gave can.
    pub fn query(&self, mut results: impl FnMut(&str) -> Value) -> Result<Query, Invalid> {
        let body = query::body(&self.value, &mut results);
        Query::parse(body.to_string().as_bytes()).map_err(|rejection| {
            let problems = Problems::default();
            problems.rejected("", &rejection);
            problems.unless(|| None::<Query>).err().unwrap_or_else(|| Invalid::one("", ""))
        })
    }
}

/// What is wrong with a document in which values are still to be put at `holes`: all that is so
/// whatever they will be.
pub(crate) fn check_with_holes(value: &Value, holes: &[String]) -> Vec<Problem> {
    let problems = Problems::default();
    read(value, &problems);
    let mut problems = problems.all();
    problems.retain(|problem| !holes.iter().any(|hole| overlap(hole, &problem.field)));
    problems
}

fn read(value: &Value, problems: &Problems) -> Option<Document> {
    let given = Members::of("", value, &members(), problems)?;
    let (inputs, query) = (given.required("inputs"), given.required("query"));
    let earlier = inputs.map(|inputs| inputs::earlier_jobs(inputs, "inputs", problems));
    if let Some(inputs) = inputs {
        inputs::check(inputs, "inputs", problems);
    }
    if inputs.is_some() && query.is_some() {
        query::check(value, problems);
    }
    // The rest of what these may be is the query's to say.
    if given.get("name").and_then(Value::as_str).is_some_and(has_controls) {
        given.note("name", "has no control characters: lists show it on a line");
    }
    given.read("params", || "an object".to_owned(), Value::as_object);
    let execution = execution(&given);
    let hearers = hearers(&given);
    let begin = begin(&given);
    let keep = given.millis("keep_ms", Duration::ZERO..=limits::LONGEST).unwrap_or(limits::KEEP);
    let keep_groups = given.flag("keep_groups").unwrap_or(false);
    let mut earlier: Vec<_> =
        earlier.unwrap_or_default().into_iter().map(|(_, id)| id.to_owned()).collect();
    earlier.sort_unstable();
    earlier.dedup();
    let value = value.clone();
    Some(Document { value, earlier, execution, hearers, begin, keep, keep_groups })
}

fn execution(given: &Members<'_>) -> Execution {
    given.count("partitions", 1..=mapring_mapred::limits::PARTITIONS);
    let slices = limits::SHORTEST_SLICE..=limits::LONGEST_SLICE;
    let longest = mapring_types::limits::MAX_TIMEOUT;
    let rate = given.number("rate", 0.0..=limits::MOST_RATE).filter(|rate| *rate > 0.0);
    let queues = [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)];
    Execution {
        timeout: given.millis(TIMEOUT, Duration::from_millis(1)..=longest),
        shards: given.get("shards").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()),
        slice: given.millis("slice_ms", slices).unwrap_or(limits::SLICE),
        rate,
        retries: retries(given),
        limits: call_limits(given),
        queue: given.word("queue", &queues).unwrap_or_default(),
    }
}

fn retries(given: &Members<'_>) -> Retries {
    let given = given.object("retries", &["shard", "slice", "backoff_ms"]);
    let attempts = |name, usual| {
        let most = limits::MOST_ATTEMPTS;
        given.as_ref().and_then(|given| given.count(name, 1..=most)).unwrap_or(usual)
    };
    let pauses = Duration::ZERO..=limits::LONGEST_BACKOFF;
    let backoff = given.as_ref().and_then(|given| given.millis("backoff_ms", pauses));
    Retries {
        shard: attempts("shard", limits::SHARD_ATTEMPTS),
        slice: attempts("slice", limits::SLICE_ATTEMPTS),
        backoff: backoff.unwrap_or(limits::BACKOFF),
    }
}

fn call_limits(given: &Members<'_>) -> CallLimits {
    let given = given.object("limits", &["call_ms", "memory_mb", "group_mb"]);
    let bytes = |name, usual| {
        let most = limits::MOST_MB;
        given.as_ref().and_then(|given| given.whole(name, 1..=most)).unwrap_or(usual) * MB
    };
    let calls = Duration::from_millis(1)..=limits::LONGEST_CALL;
    let call = given.as_ref().and_then(|given| given.millis("call_ms", calls));
    CallLimits {
        call: call.unwrap_or(limits::CALL),
        memory_bytes: bytes("memory_mb", limits::MEMORY_MB),
        group_bytes: bytes("group_mb", limits::GROUP_MB),
    }
}

fn hearers(given: &Members<'_>) -> Hearers {
    let callback = given.get("callback");
    let callback =
        callback.and_then(|value| Callback::read(&given.path("callback"), value, given.problems));
    let hooks = given.object("hooks", &["started", "shard_done", "done"]);
    let hook = |name| {
        let hooks = hooks.as_ref()?;
        hook(&hooks.path(name), hooks.get(name)?, hooks.problems)
    };
    Hearers {
        callback,
        started: hook("started"),
        shard_done: hook("shard_done"),
        done: hook("done"),
    }
}

/// A request, where there is a `url`; else a function.
fn hook(at: &str, value: &Value, problems: &Problems) -> Option<Hook> {
    if value.get("url").is_some() {
        return Callback::read(at, value, problems).map(Hook::Request);
    }
    code::check(at, value, problems).then(|| Hook::Function(value.clone()))
}

fn begin(given: &Members<'_>) -> Begin {
    let delay = given.millis("delay_ms", Duration::ZERO..=limits::LONGEST);
    let forms = || "a time such as \"2024-06-01T03:00:00Z\"".to_owned();
    let at = given.read("run_at", forms, |value| {
        let time: jiff::Timestamp = value.as_str()?.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok()
    });
    if given.get("delay_ms").is_some() && given.get("run_at").is_some() {
        given.note("run_at", "and delay_ms exclude each other");
    }
    match (delay, at) {
        (_, Some(at)) => Begin::At(at),
        (Some(delay), None) if !delay.is_zero() => Begin::After(delay),
        _ => Begin::Now,
    }
}
