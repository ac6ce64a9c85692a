//! From the planned stages of a query to those that run.

use mapring_script::{CombineMode, Combiner, Grouping, PhaseFunction, native};

use super::gather::GatherStage;
use super::groups::GroupStage;
use super::lanes::{LaneStage, Task};
use super::reduce::ReduceStage;
use super::resolve::Resolved;
use super::router::Router;
use super::stage::{Stage, StageKind};
use crate::failure::Failure;
use crate::grammar::{CombineSpec, GroupSpec, OnError, Options, PhaseKind, Query};
use crate::graph::{ByStage, Role, StageGraph, StageSpec};
use crate::limits;
use crate::unit::{GroupWork, Prereduce, UnitOptions, Work};

/// The stages of a query, none of which has begun.
pub(super) fn stages(
    graph: &StageGraph,
    query: &Query,
    phases: &[Resolved],
    router: &Router,
) -> Result<ByStage<Stage>, Failure> {
    let options = query.spec().options;
    let group = |phase: usize| match query.spec().phases.get(phase).map(|phase| &phase.kind) {
        Some(PhaseKind::Group(group)) => Ok(group),
        _ => Err(Failure::broken_off("it groups nothing").in_phase(phase)),
    };
    let mut gathers = 0;
    ByStage::try_new(graph, |id, spec| {
        let phase = spec.phase;
        let work = match (spec.role, phases.get(phase)) {
            (Role::Echo, _) => return Ok(Stage::new(StageKind::Echo)),
            (Role::Reduce(timing), _) => {
                let function = function(phases, phase)?;
                let reduce = ReduceStage::new(phase, function, timing);
                return Ok(Stage::new(StageKind::Reduce(Box::new(reduce))));
            }
            (Role::Gather { partitions }, _) => {
                gathers += 1;
                let combine = combine(group(phase)?, phases, phase)?;
                let string_keys = group(phase)?.string_keys;
                let grouping = Grouping { string_keys, combine };
                let partition_by = match phases.get(phase) {
                    Some(Resolved::Group { partition_by, .. }) => partition_by.clone(),
                    _ => None,
                };
                let grouping = (grouping, partition_by);
                let tells = graph.sharded().is_some_and(|told| spec.feeds.contains(&told));
                let partitions = partitions.or(tells.then_some(limits::OUTPUT_SHARDS));
                let gather = GatherStage::new(gathers, phase, partitions, grouping, router);
                return Ok(Stage::new(StageKind::Gather(gather)));
            }
            (Role::Groups, _) => {
                let work = group_work(group(phase)?, phases, phase)?;
                // Results that are grouped again do not come here, unless they are kept.
                let grouped_again = graph.gather(id).is_some();
                let results = spec.keep || !grouped_again;
                let options = unit_options(options, false);
                let tells = graph.sharded() == Some(id);
                let groups = GroupStage::new(phase, work, results, tells, options);
                return Ok(Stage::new(StageKind::Groups(Box::new(groups))));
            }
            (Role::Keys { pairs }, _) => Work::Keys { pairs },
            (Role::Link, Some(Resolved::Link(spec))) => Work::Link(spec.clone()),
            (Role::Map | Role::Link, _) => Work::Map(function(phases, phase)?),
        };
        let task = Task {
            phase,
            work,
            prereduce: prereduce(spec, phases)?,
            results: match graph.gather(id) {
                Some(_) => spec.keep,
                None => spec.wants_results(options.limit.is_some()),
            },
            options: unit_options(options, spec.is_final()),
        };
        let mut lanes = LaneStage::new(task);
        if graph.is_ordered(id) {
            lanes.keep_order(graph.gather(id).is_none());
        }
        Ok(Stage::new(StageKind::Lanes(Box::new(lanes))))
    })
}

fn function(phases: &[Resolved], phase: usize) -> Result<PhaseFunction, Failure> {
    match phases.get(phase) {
        Some(Resolved::Function(function)) => Ok(function.clone()),
        Some(Resolved::Link(_) | Resolved::Group { .. }) | None => {
            Err(Failure::broken_off("it has no function").in_phase(phase))
        }
    }
}

fn group_work(group: &GroupSpec, phases: &[Resolved], phase: usize) -> Result<GroupWork, Failure> {
    let Some(Resolved::Group { function, .. }) = phases.get(phase) else {
        return Err(Failure::broken_off("it has no function").in_phase(phase));
    };
    let combine = combine(group, phases, phase)?;
    let GroupSpec { descending, stream, .. } = *group;
    let descending = descending.filter(|_| !native::is_order_free(function));
    Ok(GroupWork { function: function.clone(), combine, descending, stream })
}

/// What makes fewer of the values of a group, if something does: what the query says, or the reduce
/// itself where nobody can tell.
fn combine(
    group: &GroupSpec,
    phases: &[Resolved],
    phase: usize,
) -> Result<Option<Combiner>, Failure> {
    let (reduce, function) = match (&group.combine, phases.get(phase)) {
        (None, Some(Resolved::Group { function, combine: None, .. })) => (function, None),
        (Some(_), Some(Resolved::Group { function, combine: Some(own), .. })) => {
            (function, Some(own))
        }
        _ => return Err(Failure::broken_off("it has no combiner").in_phase(phase)),
    };
    let (Some(CombineSpec { append, batch, .. }), Some(function)) = (&group.combine, function)
    else {
        return Ok(native::implied_combiner(reduce));
    };
    let mode = if *append { CombineMode::Append } else { CombineMode::Replace };
    Ok(Some(Combiner { function: function.clone(), mode, batch: *batch, lenient: false }))
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
