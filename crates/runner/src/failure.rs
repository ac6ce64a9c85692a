//! What is shown of a failure of a job's query.

use mapring_mapred::{FailedInput, Failure, FailureKind, QueryDetail, key_form};
use serde_json::{Map, Value};

use crate::report::JobErrorEntry;

/// Why a job failed: Riak's members, as the answer of a query has them.
pub(crate) fn shown(failure: &Failure) -> Value {
    let mut shown = Map::new();
    if let Some(phase) = failure.phase {
        shown.insert("phase".into(), phase.into());
    }
    shown.insert("error".into(), words(failure).into());
    shown.insert("input".into(), input(failure).into());
    shown.insert("type".into(), kind(failure).into());
    shown.insert("stack".into(), failure.stack.clone().into());
    if let Some(node) = &failure.node {
        shown.insert("node".into(), node.clone().into());
    }
    Value::Object(shown)
}

/// A failure that is no query's.
pub(crate) fn said(kind: &str, message: impl Into<String>) -> Value {
    let mut shown = Map::new();
    shown.insert("error".into(), message.into().into());
    shown.insert("type".into(), kind.into());
    Value::Object(shown)
}

/// A failure as an entry of the list of errors, where the query tells so much of its shards.
pub(crate) fn entry(failure: &Failure, told: &QueryDetail, now_ms: u64) -> JobErrorEntry {
    // As the details of the job number them; of very many some are not shown.
    let shown = |number: u32| {
        let mut shards = told.shards.iter();
        let at =
            shards.position(|shard| shard.number == number && failure.phase == Some(shard.phase));
        at.or_else(|| usize::try_from(number).ok())
    };
    JobErrorEntry {
        phase: failure.phase,
        shard: failure.shard.and_then(|(number, _)| shown(number)),
        attempt: failure.shard.map(|(_, attempt)| attempt),
        input: input(failure),
        kind: kind(failure).map(str::to_owned),
        error: words(failure),
        stack: failure.stack.clone(),
        time_ms: now_ms,
    }
}

fn kind(failure: &Failure) -> Option<&'static str> {
    failure.kind.word().or(match failure.kind {
        FailureKind::Timeout => Some("timeout"),
        FailureKind::NoFunction => Some("no_function"),
        FailureKind::Exists => Some("exists"),
        FailureKind::Node(_) => Some("node"),
        _ => None,
    })
}

fn words(failure: &Failure) -> String {
    failure.message.clone()
}

fn input(failure: &Failure) -> Option<String> {
    let input = match failure.input.as_ref()? {
        FailedInput::Object { id, keydata } => key_form(id, keydata.as_ref()),
        FailedInput::Row(row) => row.text().to_owned(),
        FailedInput::Code(id) => id.to_string(),
    };
    Some(mapring_types::quote(&input))
}
