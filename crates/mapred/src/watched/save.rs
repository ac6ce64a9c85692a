//! The shards of a job as they are kept with a checkpoint, and gone on with from one.

use tokio::time::Instant;

use super::{DONE, Shard, ShardKey, ShardKind, Watched};
use crate::graph::{StageGraph, StageId};
use crate::limits;
use crate::saved::{SavedShards, WatchedShard};

impl Watched {
    /// The shards that have done something: those that are under way and, of very many the last, those that
    /// are done.
    pub(crate) fn save(&self) -> SavedShards {
        let shards = self.shards.lock();
        let begun = |(key, shard): (&ShardKey, &Shard)| shard.is_begun().then_some(*key);
        let begun: Vec<ShardKey> =
            shards.known.iter().filter_map(begun).take(limits::SHARDS_SHOWN).collect();
        let room = limits::SHARDS_SHOWN - begun.len();
        let skipped = shards.done.len().saturating_sub(room);
        let of = |key: &ShardKey| {
            let shard = shards.known.get(key)?;
            Some(WatchedShard {
                stage: u32::try_from(key.0.number()).ok()?,
                unit: key.1,
                description: shard.description.clone(),
                node: shard.node.clone(),
                attempt: shard.attempt,
                slice: shard.slice,
                inputs: shard.inputs,
                results: shard.results,
                last_input: shard.last_input.clone(),
            })
        };
        let told = shards.done.iter().skip(skipped).chain(&begun).filter_map(of).collect();
        let given_up = |shard: &&Shard| shard.kind == ShardKind::Batch && shard.is_begun();
        let given_up = shards.known.values().filter(given_up).count() as u64;
        SavedShards { ended: shards.all.saturating_sub(shards.active) + given_up, told }
    }

    /// Goes on with them, as one that knows of none, in a query of these stages. All of them are done, but for
    /// those that are planned afterwards.
    pub(crate) fn restore(&self, saved: SavedShards, graph: &StageGraph) {
        let SavedShards { ended, told } = saved;
        let stages: Vec<StageId> = graph.stages().map(|(id, _)| id).collect();
        let mut shards = self.shards.lock();
        shards.all = ended;
        for told in told.into_iter().take(limits::SHARDS_SHOWN) {
            let stage = usize::try_from(told.stage).ok().and_then(|at| stages.get(at));
            let Some(key) = stage.map(|stage| (*stage, told.unit)) else { continue };
            let shard = Shard {
                kind: ShardKind::Lasting,
                description: told.description,
                node: told.node,
                state: DONE,
                attempt: told.attempt,
                slice: told.slice,
                inputs: told.inputs,
                results: told.results,
                last_input: told.last_input,
                last_error: None,
                moved: Instant::now(),
            };
            if shards.known.insert(key, shard).is_none() {
                shards.done.push_back(key);
            }
        }
    }
}

impl Shard {
    /// Whether something of it was accepted, and not all.
    fn is_begun(&self) -> bool {
        self.state != DONE && self.slice > 0
    }
}
