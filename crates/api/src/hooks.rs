//! Functions that a bucket has called before and after its writes: see [`Hook`] (fact R279).
//!
//! They run where functions of queries do, in worker processes, and get what map functions get: the object
//! as it is to be written, or was. So a function that does not end costs its writer a refusal, and nobody
//! else anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use mapring_kv::{GetOptions, Kv, NewValue};
use mapring_script::{
    Binary, CallContext, Function, JsonText, MapInput, PhaseFunction, ScriptError,
};
use mapring_types::props::{Hook, HookCode};
use mapring_types::{
    ActorId, BucketId, Clock, Dot, Error, Object, ObjectId, Record, Release, Result, Sibling,
    VersionVector,
};
use mapring_workers::Workers;
use sha1::{Digest as _, Sha1};
use tokio::sync::Semaphore;

use crate::{hooked, limits};

/// Why a write is not made.
#[derive(Debug)]
pub enum HookFailure {
    /// A function refuses it without a word, or fails.
    Aborted,
    /// A function refuses it with these words.
    Refused(String),
    /// It cannot be asked, or what it gave is no object: for this reason.
    Broken(Error),
}

impl From<Error> for HookFailure {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// How often functions have failed since the start of the node, or have refused what they were asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookFigures {
    /// Those that are called before a write: it is not made.
    pub failed_before: u64,
    /// Those that are called after a write.
    pub failed_after: u64,
}

/// Who calls hooks.
#[async_trait]
pub trait Hooks: Send + Sync + 'static {
    /// Calls the functions, one after another, each with what the one before it gave, and gives what is
    /// to be written. `context` is what the writer has seen.
    ///
    /// # Errors
    /// Why nothing is to be written.
    async fn before(
        &self,
        hooks: &[Hook],
        id: &ObjectId,
        context: Option<&VersionVector>,
        value: NewValue,
    ) -> std::result::Result<NewValue, HookFailure>;

    /// Has the functions called with what was written, one after another. Nobody waits for them, but for
    /// a place where many run; what they give does not matter.
    async fn after(&self, hooks: Vec<Hook>, id: ObjectId, written: Object);

    /// What there is to tell of them.
    fn figures(&self) -> HookFigures;
}

/// Failures of functions that are called before or after writes.
#[derive(Default)]
struct Failures {
    before: AtomicU64,
    after: AtomicU64,
}

impl Failures {
    fn count_before(&self) {
        self.before.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mapring_hook_failures_total", "when" => "before").increment(1);
    }

    fn count_after(&self) {
        self.after.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mapring_hook_failures_total", "when" => "after").increment(1);
    }
}

/// Hooks in the worker processes of this node. Cheap to clone.
#[derive(Clone)]
pub struct WorkerHooks {
    kv: Kv,
    workers: Arc<dyn Workers>,
    clock: Arc<dyn Clock>,
    running: Arc<Semaphore>,
    failures: Arc<Failures>,
}

impl WorkerHooks {
    /// Calls functions through `workers`, and reads those that are stored from `kv`.
    pub fn new(kv: Kv, workers: Arc<dyn Workers>, clock: Arc<dyn Clock>) -> Self {
        describe_metrics();
        let running = Arc::new(Semaphore::new(limits::AFTER_AT_ONCE));
        Self { kv, workers, clock, running, failures: Arc::default() }
    }

    /// Calls a function with an object; gives what it returned as JSON.
    async fn call(
        &self,
        hook: &Hook,
        when: &'static str,
        id: &ObjectId,
        object: &Object,
    ) -> Result<std::result::Result<Option<String>, ScriptError>> {
        metrics::counter!("mapring_hook_calls_total", "when" => when).increment(1);
        let source = wrapped(&self.code(hook).await?, hook.arg.is_some());
        let query = tag(&source);
        let function = Arc::new(PhaseFunction {
            function: Function::Source(source),
            arg: hook.arg.clone().map(JsonText),
            binary: Binary::Base64,
        });
        let record = Record::encode_for(object, Release::current());
        let input = MapInput { id: id.clone(), keydata: None, record: Some(record) };
        let context = Arc::<CallContext>::default();
        let called = self.workers.map(query, 0, &function, &context, vec![input]).await;
        Ok(called.map(|mapped| {
            let row = mapped.results.into_iter().flatten().next();
            row.map(mapring_script::Row::into_text)
        }))
    }

    /// The JavaScript of a hook.
    async fn code(&self, hook: &Hook) -> Result<String> {
        let (bucket, key) = match &hook.code {
            HookCode::Named(code) | HookCode::Source(code) => return Ok(code.clone()),
            HookCode::Stored { bucket, key } => (bucket, key),
        };
        let id = ObjectId::new(BucketId::untyped(bucket.clone()), key.clone());
        let found = self.kv.get(&id, &GetOptions::default()).await?;
        let found = found.filter(|object| !object.is_tombstone());
        let value = found.and_then(|object| object.siblings.into_iter().find(|one| !one.deleted));
        let missing = || Error::internal(format!("the function {bucket}/{key} is not there"));
        let body = value.ok_or_else(missing)?.body;
        String::from_utf8(body.into())
            .map_err(|_| Error::internal(format!("the function {bucket}/{key} is not UTF-8")))
    }

    /// An object with one value, as it is to be written.
    fn object(&self, context: Option<&VersionVector>, value: NewValue) -> Object {
        let mut clock = context.cloned().unwrap_or_default();
        // Of no vnode: the value gets its own dot when it is written.
        let dot = Dot { actor: ActorId(u64::MAX), counter: 1 };
        clock.add(dot);
        let NewValue { metadata, body, deleted } = value;
        let last_modified = self.clock.now_micros();
        Object { clock, siblings: vec![Sibling { dot, last_modified, deleted, metadata, body }] }
    }
}

#[async_trait]
impl Hooks for WorkerHooks {
    async fn before(
        &self,
        hooks: &[Hook],
        id: &ObjectId,
        context: Option<&VersionVector>,
        mut value: NewValue,
    ) -> std::result::Result<NewValue, HookFailure> {
        for hook in hooks {
            let deleted = value.deleted;
            let object = self.object(context, value);
            let outcome = match self.call(hook, "before", id, &object).await {
                Ok(Ok(answer)) => hooked::decide(answer.as_deref(), &hook.title()),
                Ok(Err(error)) => {
                    let name = hook.title();
                    tracing::warn!(%id, name, %error, "a hook before a write failed");
                    Err(HookFailure::Aborted)
                }
                Err(error) => Err(error.into()),
            };
            let next = outcome.inspect_err(|_| self.failures.count_before())?;
            // Whether something is deleted is for its client to say.
            value = NewValue { deleted, ..next };
            if deleted {
                value.body = Bytes::new();
            }
        }
        Ok(value)
    }

    async fn after(&self, hooks: Vec<Hook>, id: ObjectId, written: Object) {
        let Ok(place) = self.running.clone().acquire_owned().await else { return };
        let this = self.clone();
        tokio::spawn(async move {
            let _place = place;
            for hook in &hooks {
                let error = match this.call(hook, "after", &id, &written).await {
                    Ok(Ok(answer)) => match hooked::complaint(answer.as_deref()) {
                        Some(complaint) => complaint,
                        None => continue,
                    },
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                };
                this.failures.count_after();
                let name = hook.title();
                tracing::warn!(%id, name, error, "a hook after a write failed");
            }
        });
    }

    fn figures(&self) -> HookFigures {
        HookFigures {
            failed_before: self.failures.before.load(Ordering::Relaxed),
            failed_after: self.failures.after.load(Ordering::Relaxed),
        }
    }
}

fn describe_metrics() {
    metrics::describe_counter!(
        "mapring_hook_calls_total",
        "functions called before and after writes, by when"
    );
    metrics::describe_counter!(
        "mapring_hook_failures_total",
        "of these, those that failed or refused the write"
    );
}

/// A map function that calls a hook with an object, and gives what it gives.
fn wrapped(code: &str, has_arg: bool) -> String {
    let arguments = if has_arg { "object, arg" } else { "object" };
    format!(
        "(function () {{ var hook = ({code}\n); return function (object, keyData, arg) {{ \
         var given = hook({arguments}); return [given === undefined ? null : given]; }}; }})()"
    )
}

/// What workers know the calls of a function by: always the same, so that it is made once and not for
/// each write. Above the numbers that queries have by chance.
fn tag(source: &str) -> u64 {
    let hash = Sha1::digest(source.as_bytes());
    let number = hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
    number | 1 << 63
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_apart() {
        assert_eq!(tag("x"), tag("x"));
        assert!(tag("x") != tag("y") && tag("x") >> 63 == 1);
        assert!(wrapped("f // a comment", false).contains("(f // a comment\n)"));
        assert!(wrapped("f", true).contains("hook(object, arg)"));
    }
}
