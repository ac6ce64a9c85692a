//! A grouped reduce as it is kept with a checkpoint, and gone on with from one.

use std::sync::Arc;

use mapring_script::QueryTag;
use mapring_types::Result;

use super::merge::Merge;
use super::{GroupStage, Lane, PartitionProgress};
use crate::coordinator::gather::{Gathered, runs};
use crate::coordinator::router::Router;
use crate::holders::reassign;
use crate::limits;
use crate::saved::{SavedGroups, SavedGroupsOf, next_attempt, wrong};
use crate::unit::Shuffle;

impl GroupStage {
    /// How far it is, of a job that is this query now; `Some(None)` before it has begun, `None` where it
    /// holds too much.
    pub(in super::super) fn save(&self, query: QueryTag) -> Option<Option<SavedGroups>> {
        let Some(gathered) = &self.gathered else { return Some(None) };
        if self.merge.bytes() > limits::CHECKPOINT_BYTES {
            return None;
        }
        let (held, last) = self.merge.parts();
        let of = |(partition, (last, waiting)): (&PartitionProgress, _)| SavedGroupsOf {
            over: matches!(partition.lane, Lane::Over),
            after: partition.after.clone(),
            attempt: next_attempt(partition.attempt, matches!(partition.lane, Lane::Busy { .. })),
            page: partition.page,
            last,
            waiting,
        };
        Some(Some(SavedGroups {
            runs: runs::save(self.runs(), query),
            holders: gathered.holders.clone(),
            partitions: self.partitions.iter().zip(held).map(of).collect(),
            last,
        }))
    }

    /// Goes on from what was kept, of pairs that were gathered so.
    ///
    /// # Errors
    /// When it makes no sense.
    pub(in super::super) fn restore(
        &mut self,
        saved: SavedGroups,
        shuffle: &Arc<Shuffle>,
        router: &Router,
    ) -> Result<()> {
        let SavedGroups { runs, mut holders, partitions, last } = saved;
        if holders.len() != shuffle.holders.len() || partitions.len() != holders.len() {
            return Err(wrong("has other partitions"));
        }
        let runs = runs::restore(runs, shuffle)?;
        reassign(&mut holders, &router.up_nodes());
        let mut held = Vec::with_capacity(partitions.len());
        let mut ended = Vec::new();
        for (number, saved) in partitions.into_iter().enumerate() {
            let SavedGroupsOf { over, after, attempt, page, last, waiting } = saved;
            held.push((last, waiting));
            if over {
                ended.push(number);
            } else if let (Some(watch), Ok(unit)) = (&self.watch, u32::try_from(number)) {
                watch.planned(unit, format!("groups of partition {unit}"));
            }
            self.partitions.push(PartitionProgress {
                lane: if over { Lane::Over } else { Lane::Idle },
                after,
                attempt,
                tries: 0,
                failures: 0,
                rests_until: None,
                page,
            });
        }
        self.merge = Merge::of_parts(held, last);
        ended.into_iter().for_each(|number| self.merge.end(number));
        self.gathered = Some(Gathered { stage: shuffle.stage, runs, holders });
        Ok(())
    }
}
