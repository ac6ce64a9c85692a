//! What comes of that which happens to a query.

use mapring_types::ErrorKind;

use super::Coordinator;
use super::event::Event;
use super::groups::Reduced as GroupsReduced;
use super::lane::Step;
use super::lanes::Accepted;
use super::stage::StageKind;
use crate::failure::Failure;
use crate::graph::StageId;

impl Coordinator {
    pub(super) fn apply(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Deadline => Err(Failure::timeout()),
            Event::Stopping => Err(Failure::stopping(&self.me)),
            Event::Sent | Event::Gone | Event::Wake => Ok(()),
            Event::Lane(id, lane, step) => {
                if let Step::Unreachable(error) = &step {
                    self.report(id, lane, error.kind());
                }
                let StageKind::Lanes(lanes) = &mut self.stages.get_mut(id).kind else {
                    return Ok(());
                };
                let accepted = lanes.apply(lane, step, &mut self.router)?;
                self.deliver(id, accepted)
            }
            Event::Reduce(id, step) => {
                let StageKind::Reduce(reduce) = &mut self.stages.get_mut(id).kind else {
                    return Ok(());
                };
                let (results, effects, mut stats) = reduce.apply(step, &self.me)?;
                stats.results = results.len() as u64;
                stats.result_bytes = results.iter().map(|row| row.bytes() as u64).sum();
                self.shared.handle.record(id, &self.me, &stats);
                self.deliver(id, Accepted { results, effects, ..Accepted::default() })
            }
            Event::Written(written) => written,
            Event::Saved(kept) => {
                self.checkpointed(kept);
                Ok(())
            }
            Event::Gathered(id, made) => {
                let StageKind::Gather(gather) = &mut self.stages.get_mut(id).kind else {
                    return Ok(());
                };
                let (stats, effects) = gather.made(made, &self.shared, &mut self.router)?;
                self.shared.handle.record(id, &self.me, &stats);
                self.take_effects(id, effects)
            }
            Event::Groups(id, number, step) => self.apply_groups(id, number, step),
            Event::Checked(id, found) => {
                let phase = self.graph.get(id).phase;
                found.map_err(|error| Failure::function(&error).in_phase(phase).on(&self.me))
            }
            Event::Divided(divided) => self.take_divided(divided?),
            Event::Planned(request, coverage) => {
                self.planning = None;
                self.router.planned(&request, coverage?);
                for stage in self.stages.iter_mut() {
                    if let StageKind::Lanes(lanes) = &mut stage.kind {
                        lanes.assign(&mut self.router);
                    }
                }
                Ok(())
            }
            Event::View => {
                let view = self.changes.borrow_and_update().clone();
                self.router.set_view(view);
                let mut moved = false;
                for stage in self.stages.iter_mut() {
                    match &mut stage.kind {
                        StageKind::Lanes(lanes) => lanes.view_changed(&mut self.router)?,
                        StageKind::Groups(groups) => {
                            let changed = groups.view_changed(&mut self.router);
                            if groups.gave_up() {
                                self.shared.handle.set_begins_anew();
                            }
                            changed?;
                        }
                        StageKind::Gather(gather) => moved |= gather.view_changed(&self.router),
                        _ => {}
                    }
                }
                if moved {
                    self.share_holders();
                }
                Ok(())
            }
        }
    }

    /// Takes what a partition of groups gave.
    fn apply_groups(&mut self, id: StageId, number: usize, step: Step) -> Result<(), Failure> {
        let StageKind::Groups(groups) = &mut self.stages.get_mut(id).kind else { return Ok(()) };
        if let (Step::Unreachable(error), Some(node)) = (&step, groups.node(number))
            && error.kind() == ErrorKind::Unavailable
            && node != self.shared.cluster.view().me
        {
            self.shared.cluster.report(node, false);
        }
        let applied = groups.apply(number, step, &mut self.router);
        if groups.gave_up() {
            self.shared.handle.set_begins_anew();
        }
        let GroupsReduced { results, partitions, stats, run, effects, lost_holder } = applied?;
        self.deliver(
            id,
            Accepted {
                results,
                partitions,
                stats,
                run,
                effects,
                lost_holder,
                ..Accepted::default()
            },
        )
    }

    /// Tells the cluster of a node that refuses connections.
    fn report(&self, id: StageId, lane: u64, kind: ErrorKind) {
        let StageKind::Lanes(lanes) = &self.stages.get(id).kind else { return };
        if let Some(node) = lanes.node(lane).filter(|_| kind == ErrorKind::Unavailable)
            && node != self.shared.cluster.view().me
        {
            self.shared.cluster.report(node, false);
        }
    }
}
