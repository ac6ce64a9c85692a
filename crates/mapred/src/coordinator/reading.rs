//! Inputs that a query's own code reads: its `split` says what the shards are.

use std::sync::Arc;

use mapring_script::{CallContext, JsonText, Part, PhaseFunction, Row};

use super::resolve;
use super::shared::Shared;
use crate::failure::Failure;
use crate::grammar::ReaderSpec;
use crate::limits;
use crate::parts::Caller;

/// The reader, and the states from which it reads: each is a shard. As many are wanted as said, and come
/// as it likes.
///
/// # Errors
/// There is no such code, or it fails.
pub(super) async fn states(
    shared: &Shared,
    spec: &ReaderSpec,
    wanted: u64,
) -> Result<(PhaseFunction, Vec<JsonText>), Failure> {
    let function = resolve::part(0, Part::Reader, &spec.code, shared.objects.as_ref()).await?;
    let params = spec.params.as_ref().map_or("{}", |params| params.0.as_str());
    let (most, state_most) = (limits::SHARDS, limits::STATE_CHARACTERS);
    let asked = format!(
        "{{\"split\":true,\"params\":{params},\"shards\":{wanted},\"most\":{most},\
         \"state_most\":{state_most}}}"
    );
    let context = Arc::new(CallContext { phase: 0, ..shared.context.clone() });
    let workers = shared.workers.as_ref();
    let caller = Caller { workers, query: shared.query, phase: 0, context: &context };
    let called = Arc::new(function);
    let rows = caller.ask(&called, "the reader's split", asked).await;
    let rows = rows.map_err(|error| Failure::function(&error).in_phase(0))?;
    let states = rows.into_iter().map(|row| JsonText(Row::into_text(row)));
    Ok((PhaseFunction::clone(&called), states.collect()))
}
