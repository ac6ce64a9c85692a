//! From the planned stages of a query to those that run.

use mapring_script::PhaseFunction;

use super::lanes::{LaneStage, Task};
use super::reduce::ReduceStage;
use super::resolve::Resolved;
use super::stage::{Stage, StageKind};
use crate::failure::Failure;
use crate::grammar::{OnError, Options};
use crate::graph::{ByStage, Role, StageGraph, StageSpec};
use crate::unit::{Prereduce, UnitOptions, Work};

/// The stages of a query, none of which has begun.
pub(super) fn stages(
    graph: &StageGraph,
    phases: &[Resolved],
    options: Options,
) -> Result<ByStage<Stage>, Failure> {
    ByStage::try_new(graph, |_, spec| {
        let phase = spec.phase;
        let work = match (spec.role, phases.get(phase)) {
            (Role::Echo, _) => return Ok(Stage::new(StageKind::Echo)),
            (Role::Reduce(timing), _) => {
                let function = function(phases, phase)?;
                let reduce = ReduceStage::new(phase, function, timing);
                return Ok(Stage::new(StageKind::Reduce(reduce)));
            }
            (Role::Keys { pairs }, _) => Work::Keys { pairs },
            (Role::Link, Some(Resolved::Link(spec))) => Work::Link(spec.clone()),
            (Role::Map | Role::Link, _) => Work::Map(function(phases, phase)?),
        };
        let task = Task {
            phase,
            work,
            prereduce: prereduce(spec, phases)?,
            results: spec.wants_results(options.limit.is_some()),
            options: unit_options(options, spec.is_final()),
        };
        Ok(Stage::new(StageKind::Lanes(Box::new(LaneStage::new(task)))))
    })
}

fn function(phases: &[Resolved], phase: usize) -> Result<PhaseFunction, Failure> {
    match phases.get(phase) {
        Some(Resolved::Function(function)) => Ok(function.clone()),
        Some(Resolved::Link(_)) | None => {
            Err(Failure::broken_off("it has no function").in_phase(phase))
        }
    }
}

/// The copy of the reduce that a stage feeds, if one runs beside the data.
fn prereduce(spec: &StageSpec, phases: &[Resolved]) -> Result<Option<Prereduce>, Failure> {
    let Some(copy) = spec.prereduce else { return Ok(None) };
    let phase = u32::try_from(copy.phase).unwrap_or(u32::MAX);
    let function = function(phases, copy.phase)?;
    Ok(Some(Prereduce { phase, function, timing: copy.timing }))
}

/// What the query's options come to on the nodes.
fn unit_options(options: Options, is_final: bool) -> UnitOptions {
    UnitOptions {
        tombstones: options.tombstones,
        consistency: options.consistency,
        skip: matches!(options.on_error, OnError::Skip(_)),
        most_results: options.limit.filter(|_| is_final),
    }
}
