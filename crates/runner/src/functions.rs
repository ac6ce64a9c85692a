//! Functions outside of queries: they are called once, with values, on a worker of this node.
//!
//! They run as queries over one input do, within the limits of those. Beside its arguments a function
//! gets an object of which what it puts there is read: see [`Called::status`].

use std::time::Duration;

use futures::TryStreamExt;
use mapring_kv::{GetOptions, Kv};
use mapring_mapred::{FailureKind, MapReduce, Query};
use mapring_types::{BucketId, Error, Object, ObjectId};
use serde_json::{Value, json};

use crate::error::JobsError;

/// What a function has given.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Called {
    /// What it returned; null where that is nothing.
    pub(crate) value: Value,
    /// What it put in its last argument.
    pub(crate) status: Value,
}

/// Why a function has given nothing.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// It is no function, or has failed: in words.
    Function(String),
    /// It cannot be called now.
    Node(Error),
}

impl std::fmt::Display for CallFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Function(why) => f.write_str(why),
            Self::Node(error) => write!(f, "it cannot be called: {error}"),
        }
    }
}

/// Calls a function with some arguments, and an empty object behind them.
///
/// # Errors
/// See [`CallFailure`].
pub(crate) async fn call(
    (kv, mapred): (&Kv, &MapReduce),
    code: &Value,
    args: &[Value],
    longest: Duration,
) -> Result<Called, CallFailure> {
    let source = wrapped(&source(kv, code).await?);
    let query = json!({
        "inputs": { "items": [{ "args": args }] },
        "query": [{ "map": { "language": "javascript", "source": source } }],
        "timeout": u64::try_from(longest.as_millis()).unwrap_or(u64::MAX),
    });
    let refused = |rejection: mapring_mapred::Rejection| {
        CallFailure::Function(JobsError::Query(rejection).to_string())
    };
    let query = Query::parse(query.to_string().as_bytes()).map_err(refused)?;
    let mut results = mapred.start(query).await.map_err(refused)?.results;
    let mut given = None;
    while let Some(some) = results.try_next().await.map_err(failed)? {
        given = some.values.last().map(|row| row.text().to_owned()).or(given);
    }
    let given: Value = given
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| CallFailure::Function(format!("what it returned is no JSON: {error}")))?
        .unwrap_or_default();
    Ok(Called { value: given["value"].clone(), status: given["status"].clone() })
}

fn failed(failure: mapring_mapred::Failure) -> CallFailure {
    match failure.kind {
        FailureKind::Node(kind) => CallFailure::Node(Error::new(kind, failure.to_string())),
        FailureKind::Stopping => CallFailure::Node(Error::unavailable(failure.to_string())),
        _ => CallFailure::Function(failure.message.clone()),
    }
}

/// The text of a function: its source, the name of one that workers know, or what lies in an object.
async fn source(kv: &Kv, code: &Value) -> Result<String, CallFailure> {
    let text = |name: &str| code.get(name).and_then(Value::as_str);
    if let Some(source) = text("source").or_else(|| text("name")) {
        return Ok(source.to_owned());
    }
    let (Some(bucket), Some(key)) = (text("bucket"), text("key")) else {
        let forms = "a function has its source, or the bucket and key of an object that has it";
        return Err(CallFailure::Function(forms.to_owned()));
    };
    let id = ObjectId::new(BucketId::untyped(bucket.to_owned()), key.to_owned());
    let object = kv.get(&id, &GetOptions::default()).await.map_err(CallFailure::Node)?;
    let value = object.as_ref().and_then(Object::newest).filter(|value| !value.deleted);
    let source = value.and_then(|value| std::str::from_utf8(&value.body).ok());
    let none = || CallFailure::Function(format!("there is no function in {id}"));
    source.map(str::to_owned).ok_or_else(none)
}

/// A function of some arguments as one of an input that has them.
fn wrapped(source: &str) -> String {
    let source = source.trim_end().trim_end_matches(';');
    format!(
        "function(input) {{ var status = {{}}; var value = ({source}\n).apply(undefined, \
         JSON.parse(input.values[0].data).args.concat([status])); \
         return [{{value: value === undefined ? null : value, status: status}}]; }}"
    )
}
