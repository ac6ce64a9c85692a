//! A stage as it is kept outside, and as it goes on from there.

use std::collections::BTreeMap;

use mapring_types::Result as KvResult;

use super::shards::ShardProgress;
use super::{LaneStage, Load, PartitionProgress, Waiting};
use crate::coordinator::router::Router;
use crate::failure::Failure;
use crate::grammar::KeyInput;
use crate::saved::{SavedInput, SavedLanes, SavedPartition, SavedUnit, next_attempt, wrong};

impl LaneStage {
    /// All that is not done: what lanes have under way counts as not begun since their last page.
    pub(in super::super) fn save(&self) -> SavedLanes {
        let partition = |(unit, partition): (&u32, &PartitionProgress)| SavedPartition {
            unit: SavedUnit {
                unit: *unit,
                after: partition.after.clone(),
                attempt: next_attempt(partition.attempt, partition.lane.is_some()),
                page: partition.page,
                results: partition.results,
                state: partition.state.clone(),
            },
            scan: u32::try_from(partition.scan).unwrap_or(u32::MAX),
            home: partition.home,
        };
        let mut inputs = Vec::new();
        for lane in self.lanes.values() {
            let Load::Batch { attempt, inputs: given, state, .. } = &lane.load else { continue };
            for (at, waiting) in given.iter().enumerate() {
                let state = state.as_ref().filter(|_| at == 0).or(waiting.state.as_ref());
                let attempt = next_attempt(*attempt, true);
                inputs.push(SavedInput { attempt, state: state.cloned(), ..waiting.save() });
            }
        }
        let resting = self.resting.iter().flat_map(|(_, inputs)| inputs);
        let queued = self.queue.values().flatten();
        inputs.extend(resting.chain(queued).chain(&self.unassigned).map(Waiting::save));
        SavedLanes {
            scans: self.scans.clone(),
            partitions: self.partitions.iter().map(partition).collect(),
            shards: self.shards.iter().map(|(unit, shard)| shard.save(*unit)).collect(),
            chains: self.chains.clone(),
            inputs,
            places: self.places,
            units: self.next_unit,
        }
    }

    /// Goes on from what was kept, as a stage that has done nothing.
    ///
    /// # Errors
    /// When it makes no sense.
    pub(in super::super) fn restore(
        &mut self,
        saved: SavedLanes,
        router: &mut Router,
    ) -> Result<(), Failure> {
        let SavedLanes { scans, partitions, shards, chains, inputs, places, units } = saved;
        let homes: Vec<_> = router.homes().collect();
        for SavedPartition { unit, scan, home } in partitions {
            let number = usize::try_from(scan).unwrap_or(usize::MAX);
            let (read, _) = scans.get(number).ok_or_else(|| wrong("names no bucket"))?;
            if !homes.contains(&home) {
                return Err(wrong("names a partition that there is not").into());
            }
            let n_val = router.n_val(&read.bucket)?;
            if let Some(watch) = &self.watch {
                watch.planned(unit.unit, format!("{} partition {home}", read.bucket));
            }
            let progress = PartitionProgress {
                scan: number,
                home,
                replica: router.replica(home, n_val),
                n_val,
                after: unit.after,
                attempt: unit.attempt,
                tries: 0,
                failures: 0,
                rests_until: None,
                page: unit.page,
                results: unit.results,
                state: unit.state,
                lane: None,
            };
            new(&mut self.partitions, unit.unit, units, progress)?;
        }
        for shard in shards {
            let unit = shard.unit.unit;
            let progress = ShardProgress::restore(shard, chains.len())?;
            if let Some(watch) = &self.watch {
                watch.planned(unit, progress.words());
            }
            new(&mut self.shards, unit, units, progress)?;
            self.idle_shards.insert(unit);
        }
        if self.partitions.keys().any(|unit| self.shards.contains_key(unit)) {
            return Err(wrong("has a unit twice").into());
        }
        (self.scans, self.chains, self.places) = (scans, chains, places);
        let left = self.partitions.len() + self.shards.len();
        (self.next_unit, self.opened) = (units, u64::from(units));
        self.ended = self.opened.saturating_sub(left as u64);
        for SavedInput { id, keydata, order, state, attempt } in inputs {
            let (home, n_val) = (router.home(&id), router.n_val(&id.bucket)?);
            let input = KeyInput { id, keydata };
            let (vnode, tries, failures) = (home, 0, 0);
            let waiting =
                Waiting { input, home, vnode, n_val, attempt, tries, failures, order, state };
            self.enqueue(waiting, router);
        }
        Ok(())
    }
}

impl Waiting {
    fn save(&self) -> SavedInput {
        SavedInput {
            id: self.input.id.clone(),
            keydata: self.input.keydata.clone(),
            order: self.order.clone(),
            state: self.state.clone(),
            attempt: self.attempt,
        }
    }
}

/// Adds a unit that is one of those that were numbered, and is not there yet.
fn new<T>(all: &mut BTreeMap<u32, T>, unit: u32, units: u32, progress: T) -> KvResult<()> {
    if unit >= units || all.insert(unit, progress).is_some() {
        return Err(wrong("has a unit that is none, or twice"));
    }
    Ok(())
}
