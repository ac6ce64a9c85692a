//! Looking up what the phases of a query call.

use mapring_script::{Binary, Function, Part, PhaseFunction};
use mapring_types::ObjectId;

use crate::failure::{FailedInput, Failure, FailureKind};
use crate::grammar::{Callee, Code, LinkSpec, PhaseKind, Query};
use crate::objects::Objects;

/// What a phase does with its inputs, at hand.
pub(crate) enum Resolved {
    Function(PhaseFunction),
    /// A grouped reduce.
    Group {
        function: PhaseFunction,
        combine: Option<PhaseFunction>,
        /// What chooses the partition of a key.
        partition_by: Option<PhaseFunction>,
    },
    Link(LinkSpec),
}

/// Fetches the functions that the phases name: stored ones are read once, here.
///
/// # Errors
/// A [`FailureKind::NoFunction`].
pub(crate) async fn resolve(
    query: &Query,
    objects: &dyn Objects,
) -> Result<Vec<Resolved>, Failure> {
    let mut resolved = Vec::new();
    let binary = query.spec().options.binary;
    for (number, phase) in query.spec().phases.iter().enumerate() {
        resolved.push(match &phase.kind {
            PhaseKind::Link(spec) => Resolved::Link(spec.clone()),
            PhaseKind::Map(code) | PhaseKind::Reduce(code) => {
                Resolved::Function(function(number, code, binary, objects).await?)
            }
            PhaseKind::Group(group) => {
                let called = function(number, &group.code, binary, objects).await?;
                let combine = match &group.combine {
                    Some(combine) => Some(function(number, &combine.code, binary, objects).await?),
                    None => None,
                };
                let partition_by = match &group.partition_by {
                    Some(code) => Some(part(number, Part::Partition, code, objects).await?),
                    None => None,
                };
                Resolved::Group { function: called, combine, partition_by }
            }
        });
    }
    Ok(resolved)
}

/// Fetches code that is no phase's function; failures name the phase.
///
/// # Errors
/// As [`resolve`].
pub(crate) async fn part(
    phase: usize,
    part: Part,
    code: &Code,
    objects: &dyn Objects,
) -> Result<PhaseFunction, Failure> {
    let PhaseFunction { function, arg, binary } =
        function(phase, code, Binary::default(), objects).await?;
    Ok(PhaseFunction { function: Function::Part(part, Box::new(function)), arg, binary })
}

async fn function(
    phase: usize,
    code: &Code,
    binary: Binary,
    objects: &dyn Objects,
) -> Result<PhaseFunction, Failure> {
    let function = match &code.callee {
        Callee::Given(function) => function.clone(),
        Callee::Stored(id) => stored(phase, id, objects).await?,
        Callee::ErlangSource => {
            let message = "functions as Erlang text cannot be run";
            return Err(Failure::new(FailureKind::NoFunction, message).in_phase(phase));
        }
    };
    Ok(PhaseFunction { function, arg: code.arg.clone(), binary })
}

async fn stored(phase: usize, id: &ObjectId, objects: &dyn Objects) -> Result<Function, Failure> {
    let failed = |why: &str| {
        let message = format!("the stored function {id} {why}");
        let failure = Failure::new(FailureKind::NoFunction, message).in_phase(phase);
        failure.of(FailedInput::Code(id.clone()))
    };
    let object = objects
        .read_quorum(id)
        .await
        .map_err(|error| failed(&format!("cannot be read: {error}")))?;
    let live = object.iter().flat_map(|object| &object.siblings).filter(|value| !value.deleted);
    let Some(newest) = live.max_by_key(|value| (value.last_modified, value.dot)) else {
        return Err(failed("does not exist"));
    };
    match std::str::from_utf8(&newest.body) {
        Ok(source) => {
            let (object, source) = (id.to_string(), source.to_owned());
            Ok(Function::Stored { object, source })
        }
        Err(_) => Err(failed("is not UTF-8")),
    }
}
