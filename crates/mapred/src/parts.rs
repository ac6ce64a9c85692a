//! Calling the code of a query that is no phase's function: it is called like a map function, whose key
//! data says what is wanted of it.

use std::sync::Arc;

use bytes::Bytes;
use mapring_script::{
    CallContext, FailureCause, JsonText, MapInput, Mapped, PhaseFunction, QueryTag, Row,
    ScriptError,
};
use mapring_types::clock::{ActorId, Dot};
use mapring_types::{BucketId, Metadata, Object, ObjectId, Record, Sibling, VersionVector};
use mapring_workers::Workers;

/// Who calls.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'c> {
    pub(crate) workers: &'c dyn Workers,
    pub(crate) query: QueryTag,
    pub(crate) phase: usize,
    pub(crate) context: &'c Arc<CallContext>,
}

impl Caller<'_> {
    /// Calls a part; gives what it gave. Failures begin with what it is.
    ///
    /// # Errors
    /// What it failed with. Parts give results and nothing beside them.
    pub(crate) async fn ask(
        &self,
        function: &Arc<PhaseFunction>,
        what: &str,
        asked: String,
    ) -> Result<Vec<Row>, ScriptError> {
        let inputs = vec![input(asked)];
        let Self { workers, query, phase, context } = *self;
        let named = |error: ScriptError| ScriptError {
            message: format!("{what}: {}", error.message),
            input: None,
            ..error
        };
        let mapped = workers.map(query, phase, function, context, inputs).await.map_err(named)?;
        let Mapped { results, effects, .. } = mapped;
        if !effects.is_empty() {
            let why = "put, del, count and log are for the functions of phases";
            return Err(named(ScriptError::new(FailureCause::Thrown, why)));
        }
        Ok(results.into_iter().next().unwrap_or_default())
    }
}

/// What a part gave is not as it always is: a file of functions has changed what calls it.
pub(crate) fn strange(what: &str) -> ScriptError {
    let message = format!("{what}: what was given cannot be read");
    ScriptError::new(FailureCause::NotJson, message)
}

fn input(asked: String) -> MapInput {
    let mut object = Object::default();
    let sibling = Sibling {
        dot: Dot { actor: ActorId(0), counter: 1 },
        last_modified: 0,
        deleted: false,
        metadata: Metadata { content_type: "text/plain".into(), ..Metadata::default() },
        body: Bytes::new(),
    };
    object.update(&VersionVector::new(), sibling);
    let id = ObjectId::new(BucketId::untyped("part"), "part");
    MapInput { id, keydata: Some(JsonText(asked)), record: Some(Record::encode(&object)) }
}
