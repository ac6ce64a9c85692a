//! Units at which a function failed, and those that go on when more inputs may be given out.

use mapring_script::ScriptError;
use tokio::time::Instant;

use super::{LaneStage, Load, broken_function};
use crate::coordinator::router::Router;
use crate::failure::Failure;
use crate::metered::count;
use crate::unit::Broken;

impl LaneStage {
    /// A function has failed in a unit of a lane, on a node: it is tried again after a pause from where it
    /// stood, unless it was tried often enough.
    ///
    /// # Errors
    /// So it was.
    pub(super) fn failed(
        &mut self,
        id: u64,
        (unit, attempt): (u32, u32),
        broken: &Broken,
        node: &str,
    ) -> Result<(), Failure> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        let (cause, retries) = (broken.error.cause, self.retries);
        let watch = self.watch.as_ref();
        let verdict = |failures: u32| {
            let pause = retries.and_then(|retries| retries.pause(failures, cause));
            if let Some(watch) = watch {
                watch.failed(unit, said(&broken.error), pause.is_none());
            }
            match pause {
                Some(pause) => Ok(Instant::now() + pause),
                None => Err(broken_function(broken.clone(), node).in_shard(unit, attempt)),
            }
        };
        match &mut lane.load {
            Load::Partitions(units) => {
                let partition = self.partitions.get_mut(&unit);
                let Some(partition) = partition
                    .filter(|partition| partition.lane == Some(id) && partition.attempt == attempt)
                else {
                    return Ok(());
                };
                partition.failures += 1;
                partition.rests_until = Some(verdict(partition.failures)?);
                partition.lane = None;
                partition.attempt = partition.attempt.saturating_add(1);
                units.remove(&unit);
            }
            Load::Shard(own) => {
                let own = *own;
                if let Some(shard) = self.shards.get_mut(&own) {
                    shard.failures += 1;
                    shard.rests_until = Some(verdict(shard.failures)?);
                    shard.give_up_lane();
                    self.idle_shards.insert(own);
                }
                self.remove(id);
            }
            Load::Batch { inputs, .. } => {
                let failures = inputs.front().map_or(0, |first| first.failures) + 1;
                let until = verdict(failures)?;
                let Some(lane) = self.remove(id) else { return Ok(()) };
                let Load::Batch { mut inputs, attempt, state, .. } = lane.load else {
                    return Ok(());
                };
                inputs.iter_mut().take(1).for_each(|next| next.state.clone_from(&state));
                for waiting in &mut inputs {
                    (waiting.failures, waiting.tries) = (failures, 0);
                    waiting.attempt = attempt.saturating_add(1);
                }
                self.resting.push((until, inputs));
                self.end_unit();
                if let Some(watch) = &self.watch {
                    watch.ended(unit);
                }
            }
        }
        count("mapring_mapred_units_retried_total", 1);
        Ok(())
    }

    /// Queues inputs whose pause is over.
    pub(in super::super) fn resume(&mut self, router: &mut Router) {
        let now = Instant::now();
        let (due, resting) =
            std::mem::take(&mut self.resting).into_iter().partition(|(until, _)| *until <= now);
        self.resting = resting;
        let due: Vec<(Instant, _)> = due;
        for waiting in due.into_iter().flat_map(|(_, inputs)| inputs) {
            self.enqueue(waiting, router);
        }
    }

    /// When the first of what rests may go on.
    pub(super) fn rested(&self) -> Option<Instant> {
        let inputs = self.resting.iter().map(|(until, _)| *until);
        let waits = self.partitions.values().filter(|partition| partition.lane.is_none());
        let partitions = waits.filter_map(|partition| partition.rests_until);
        let now = Instant::now();
        inputs.chain(partitions.filter(|until| *until > now)).min()
    }

    /// A lane has used up what it was given out: its units go on in another.
    pub(super) fn spend(&mut self, id: u64) {
        let Some(lane) = self.remove(id) else { return };
        match lane.load {
            Load::Partitions(units) => {
                for unit in units {
                    if let Some(partition) = self.partitions.get_mut(&unit) {
                        partition.lane = None;
                    }
                }
            }
            Load::Shard(unit) => {
                if let Some(shard) = self.shards.get_mut(&unit) {
                    shard.lane = None;
                    self.idle_shards.insert(unit);
                }
            }
            // They are given out in batches that are small enough.
            Load::Batch { .. } => {}
        }
    }

    /// Whether anything of it is worked on.
    pub(in super::super) fn works(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// When inputs may be given out again, where only its pace keeps it from that.
    pub(in super::super) fn paced_until(&mut self) -> Option<Instant> {
        let waits = self.resting.is_empty() && !self.works();
        self.available().err().filter(|_| waits)
    }

    /// How many inputs may be given out now; `None` for all, or else when some may be.
    pub(super) fn available(&mut self) -> Result<Option<u64>, Instant> {
        let Some(pace) = &mut self.pace else { return Ok(None) };
        match pace.available() {
            0 => Err(pace.next()),
            inputs => Ok(Some(inputs)),
        }
    }
}

/// What is shown of a failure.
pub(in super::super) fn said(error: &ScriptError) -> String {
    match &error.stack {
        Some(stack) => format!("{}\n{stack}", error.message),
        None => error.message.clone(),
    }
}
