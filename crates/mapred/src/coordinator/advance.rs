//! Starting all that can be started: stages, writes, a checkpoint.

use std::sync::Arc;

use tokio::time::Instant;

use super::Coordinator;
use super::gather::GatherStage;
use super::inputs::next_input;
use super::planning::plan;
use super::saving::Saving;
use super::sources::Sources;
use super::stage::{Stage, StageKind};
use crate::failure::Failure;
use crate::graph::StageId;

impl Coordinator {
    /// Starts everything that can be started now. Returns whether there is anything to wait for.
    pub(super) fn advance(&mut self) -> Result<bool, Failure> {
        self.wake = None;
        if self.has_enough() {
            // Dropping the lanes ends their work.
            self.stages.iter_mut().for_each(Stage::abandon);
            (self.planning, self.sources) = (None, Sources::default());
            self.writes.advance(true);
            return Ok(!self.out.is_empty() || !self.writes.is_idle());
        }
        self.refill()?;
        self.refill_listed()?;
        let graph = Arc::clone(&self.graph);
        let own_ended = self.next_input_at.is_none() && self.sources.are_over();
        let due = self.checkpoint_is_due();
        let kept = !due || self.reduces_are_kept();
        let mut all_over = true;
        for (id, spec) in graph.stages() {
            let is_over = |feeder| self.stages.get(feeder).over;
            let inputs_ended = graph.inputs_ended(id, own_ended, is_over);
            // The first stage finds out by its first input, if there is one.
            let is_fed = id != graph.entry();
            let stage = self.stages.get_mut(id);
            match &mut stage.kind {
                StageKind::Lanes(lanes) => {
                    lanes.resume(&mut self.router);
                    let wake = lanes.dispatch(&self.shared, &self.router);
                    self.wake = [self.wake, wake].into_iter().flatten().min();
                    let idle = inputs_ended && lanes.is_idle();
                    if idle || is_fed {
                        match lanes.function() {
                            Some(function) => {
                                stage.check.begin(&self.shared, spec.phase, &function);
                            }
                            None => stage.check.spare(),
                        }
                    }
                    stage.over = idle && stage.check.is_over();
                }
                StageKind::Reduce(reduce) => {
                    if is_fed {
                        stage.check.begin(&self.shared, spec.phase, &reduce.function());
                    }
                    if !due {
                        reduce.advance(&self.shared, inputs_ended);
                    }
                    stage.over = reduce.is_over();
                }
                StageKind::Gather(gather) => {
                    stage.over = gather.advance(&self.shared, inputs_ended);
                }
                StageKind::Groups(_) => self.advance_groups(id, inputs_ended),
                StageKind::Echo => stage.over = inputs_ended,
                StageKind::Dropped => {}
            }
            let over = self.stages.get(id).over;
            if over {
                self.shared.handle.set_over(id);
            }
            all_over &= over;
        }
        self.note_pace();
        if self.planning.is_none() {
            let request = self.router.request();
            self.planning = request.map(|request| plan(self.shared.objects.clone(), request));
        }
        self.writes.advance(all_over || due);
        if due && kept && self.writes.is_idle() && !all_over {
            self.checkpoint()?;
            // What has waited for it goes on.
            return self.advance();
        }
        let next = self.saving.as_ref().and_then(Saving::wake);
        self.wake =
            [self.wake, next.filter(|next| *next > Instant::now())].into_iter().flatten().min();
        Ok(!all_over || !self.out.is_empty() || !self.writes.is_idle())
    }

    /// Notes until when nothing but its pace keeps a job from going on.
    fn note_pace(&mut self) {
        let Some(watched) = self.shared.handle.watched() else { return };
        let (mut works, mut until) = (!self.writes.is_idle(), None);
        for stage in self.stages.iter_mut().filter(|stage| !stage.over) {
            if let StageKind::Lanes(lanes) = &mut stage.kind {
                works |= lanes.works();
                until = until.or(lanes.paced_until());
            }
        }
        if let Some(until) = until.filter(|_| !works) {
            watched.paced(until);
        }
    }

    /// Begins a grouped reduce when its pairs are gathered, and goes on with it.
    fn advance_groups(&mut self, id: StageId, inputs_ended: bool) {
        let phase = self.graph.get(id).phase;
        let feeder = self.graph.feeders(id).next();
        let gathered = match feeder.map(|feeder| &mut self.stages.get_mut(feeder).kind) {
            Some(StageKind::Gather(gather)) if inputs_ended => Some(gather),
            _ => None,
        };
        let gathered = gathered.filter(|gather| !gather.is_taken()).map(GatherStage::take);
        let stage = self.stages.get_mut(id);
        let StageKind::Groups(groups) = &mut stage.kind else { return };
        stage.check.begin_both(&self.shared, phase, &groups.function(), groups.combiner());
        if let Some(gathered) = gathered {
            self.shared.handle.set_partitions(id, gathered.holders.len() as u64);
            groups.begin(gathered);
        }
        let wake = groups.dispatch(&self.shared, &self.router);
        self.wake = [self.wake, wake].into_iter().flatten().min();
        stage.over = groups.is_over() && stage.check.is_over();
    }

    /// Takes inputs from the query's own list while the first stage has room.
    fn refill(&mut self) -> Result<(), Failure> {
        let query = self.query.clone();
        while let Some(at) =
            self.next_input_at.filter(|_| self.first_has_room() && !self.has_enough())
        {
            if let Some(pace) = &mut self.pace {
                if pace.available() == 0 {
                    let next = pace.next();
                    self.wake = Some(self.wake.map_or(next, |wake| wake.min(next)));
                    if let Some(watched) = self.shared.handle.watched() {
                        watched.paced(next);
                    }
                    break;
                }
                pace.take(1);
            }
            let Some((input, next)) = next_input(&query.spec().inputs, at) else {
                self.next_input_at = None;
                break;
            };
            self.next_input_at = Some(next);
            let order = self.listing.map(|listing| listing.order(self.inputs_taken));
            self.inputs_taken += 1;
            match &mut self.stages.get_mut(self.graph.entry()).kind {
                StageKind::Lanes(lanes) => {
                    lanes.push(input.into_key()?, order, &mut self.router)?
                }
                StageKind::Reduce(reduce) => {
                    let terms = reduce.takes_terms();
                    reduce.push([input.into_value(terms)?]);
                }
                StageKind::Gather(gather) => gather.push(vec![input.into_value(false)?]),
                StageKind::Echo => self.echo(input, order)?,
                StageKind::Groups(_) | StageKind::Dropped => {}
            }
        }
        Ok(())
    }

    pub(super) fn first_has_room(&self) -> bool {
        let first = self.stages.get(self.graph.entry());
        match first.kind {
            StageKind::Echo => self.out.has_room(),
            _ => first.has_room(),
        }
    }
}
