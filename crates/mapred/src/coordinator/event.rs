//! What happens to a query.

use std::task::{Context, Poll};

use mapring_ring::Coverage;
use mapring_script::ScriptError;
use mapring_types::Result as KvResult;

use super::lane::Step;
use super::reduce::Reduced;
use super::router::PlanRequest;
use super::splitting::Divided;
use super::stage::{Stage, StageKind};
use crate::failure::Failure;
use crate::graph::{ByStage, StageGraph, StageId};
use crate::node::{PairsError, StoredRun};

/// What a coordinator waits for.
pub(super) enum Event {
    Deadline,
    /// The client takes the oldest results.
    Sent,
    /// The client has gone.
    Gone,
    Lane(StageId, u64, Step),
    Reduce(StageId, Result<Reduced, ScriptError>),
    /// A batch of writes was made.
    Written(Result<(), Failure>),
    /// A checkpoint was kept.
    Saved(KvResult<()>),
    /// A run of pairs was made here.
    Gathered(StageId, Result<StoredRun, PairsError>),
    /// A partition of groups has gone on.
    Groups(StageId, usize, Step),
    /// Whether a stage's function is one.
    Checked(StageId, Result<(), ScriptError>),
    Planned(PlanRequest, KvResult<Coverage>),
    /// A source was divided.
    Divided(Result<Divided, Failure>),
    View,
    /// The node leaves its cluster.
    Stopping,
    Wake,
}

/// Asks the stages for something that happened, the last one first. A stage whose results have
/// nowhere to go is not asked.
pub(super) fn poll_stages(
    graph: &StageGraph,
    stages: &mut ByStage<Stage>,
    (client_has_room, accepts, due): (bool, bool, bool),
    context: &mut Context<'_>,
) -> Poll<Event> {
    for (id, _) in graph.stages().rev() {
        let has_room = |fed| stages.get(fed).has_room();
        let held_back = graph.is_held_back(id, client_has_room, has_room);
        let stage = stages.get_mut(id);
        if let Poll::Ready(found) = stage.check.poll(context) {
            return Poll::Ready(Event::Checked(id, found));
        }
        // A reduce is waited for before a checkpoint, while what it feeds takes nothing.
        let waited_for = due && matches!(stage.kind, StageKind::Reduce(_));
        if !waited_for && (held_back || !accepts) {
            continue;
        }
        match &mut stage.kind {
            StageKind::Lanes(lanes) => {
                if let Poll::Ready((lane, step)) = lanes.poll_step(context) {
                    return Poll::Ready(Event::Lane(id, lane, step));
                }
            }
            StageKind::Reduce(reduce) => {
                if let Poll::Ready(step) = reduce.poll_step(context) {
                    return Poll::Ready(Event::Reduce(id, step));
                }
            }
            StageKind::Gather(gather) => {
                if let Poll::Ready(made) = gather.poll(context) {
                    return Poll::Ready(Event::Gathered(id, made));
                }
            }
            StageKind::Groups(groups) => {
                if let Poll::Ready((number, step)) = groups.poll_step(context) {
                    return Poll::Ready(Event::Groups(id, number, step));
                }
            }
            StageKind::Echo | StageKind::Dropped => {}
        }
    }
    Poll::Pending
}
