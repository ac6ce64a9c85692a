//! Shards: which are under way, on which nodes, and how far they have come.

use mapring_kv::Cursor;
use mapring_script::JsonText;
use mapring_types::{Error, NodeId, Result as KvResult};
use tokio::time::Instant;

use super::{LaneStage, Load};
use crate::coordinator::router::Router;
use crate::coordinator::shared::Shared;
use crate::failure::Failure;
use crate::limits;
use crate::metered::count;
use crate::saved::{SavedShard, SavedUnit, next_attempt, wrong};
use crate::shard::{Shard, ShardUnit};
use crate::unit::{Page, Progress, Units};
use crate::watched::Done;

/// A shard that is worked through, and how far.
pub(super) struct ShardProgress {
    shard: Shard,
    after: Option<Cursor>,
    attempt: u32,
    /// Nodes that could not work on it in a row, …
    pub(super) tries: u32,
    /// … and how often a function failed.
    pub(super) failures: u32,
    /// Nobody is to work on it before.
    pub(super) rests_until: Option<Instant>,
    /// How many pages were accepted, …
    page: u32,
    /// … and how many results came with them.
    results: u64,
    /// The state that its function has left with the last page.
    state: Option<JsonText>,
    pub(super) lane: Option<u64>,
    /// The chain that it belongs to.
    chain: Option<usize>,
}

impl ShardProgress {
    /// As it is kept outside.
    pub(super) fn save(&self, unit: u32) -> SavedShard {
        SavedShard {
            unit: SavedUnit {
                unit,
                after: self.after.clone(),
                attempt: next_attempt(self.attempt, self.lane.is_some()),
                page: self.page,
                results: self.results,
                state: self.state.clone(),
            },
            shard: self.shard.clone(),
            chain: self.chain.and_then(|chain| u32::try_from(chain).ok()),
        }
    }

    /// As it goes on, where there are so many chains.
    ///
    /// # Errors
    /// When it makes no sense.
    pub(super) fn restore(saved: SavedShard, chains: usize) -> KvResult<Self> {
        let SavedShard { unit, shard, chain } = saved;
        let chain = chain.map(|chain| usize::try_from(chain).unwrap_or(usize::MAX));
        if shard.roots() == 0 || chain.is_some_and(|chain| chain >= chains) {
            return Err(wrong("has a shard of nothing"));
        }
        let SavedUnit { unit: _, after, attempt, page, results, state } = unit;
        let (tries, failures, rests_until, lane) = (0, 0, None, None);
        Ok(Self {
            shard,
            after,
            attempt,
            tries,
            failures,
            rests_until,
            page,
            results,
            state,
            lane,
            chain,
        })
    }

    /// What it is, for whoever looks at it.
    pub(super) fn words(&self) -> String {
        self.shard.words()
    }

    /// Its next attempt is another one.
    pub(super) fn give_up_lane(&mut self) {
        self.lane = None;
        let before = self.attempt;
        self.attempt = before.saturating_add(1);
        assert!(self.attempt > before, "attempts of a shard are no longer told apart");
    }
}

impl LaneStage {
    /// A number between those of units, for what comes before those that are added next.
    pub(in super::super) fn reserve(&mut self) {
        self.number_unit();
        self.end_unit();
    }

    /// The number that the next unit gets.
    pub(in super::super) fn next_unit(&self) -> u32 {
        self.next_unit
    }

    /// Adds shards, of all of which together no more than `most` inputs are wanted. Returns how many there
    /// are.
    pub(in super::super) fn add_shards(&mut self, shards: Vec<Shard>, most: Option<u64>) -> u64 {
        let added = shards.len() as u64;
        let chain = most.map(|most| {
            self.chains.push(most);
            self.chains.len() - 1
        });
        for shard in shards {
            assert!(shard.roots() > 0, "a shard of nothing");
            let progress = ShardProgress {
                shard,
                after: None,
                attempt: 1,
                tries: 0,
                failures: 0,
                rests_until: None,
                page: 0,
                results: 0,
                state: None,
                lane: None,
                chain,
            };
            let unit = self.number_unit();
            if let Some(watch) = &self.watch {
                watch.planned(unit, progress.shard.words());
            }
            self.shards.insert(unit, progress);
            self.idle_shards.insert(unit);
        }
        added
    }

    /// Opens lanes for shards that wait. Returns when a node may be asked again, where all that are up are
    /// left alone.
    pub(super) fn dispatch_shards(&mut self, shared: &Shared, router: &Router) -> Option<Instant> {
        if self.idle_shards.is_empty() {
            return None;
        }
        let up = router.up_nodes();
        let (mut waits, mut wake, mut rested) = (Vec::new(), None::<Instant>, None);
        for unit in self.idle_shards.clone() {
            let Some(progress) = self.shards.get(&unit) else { continue };
            if progress.chain.is_some_and(|chain| self.is_behind(chain, unit)) {
                continue;
            }
            if let Some(until) = progress.rests_until.filter(|until| *until > Instant::now()) {
                rested = Some(rested.map_or(until, |earlier: Instant| earlier.min(until)));
                continue;
            }
            if let Err(until) = self.available() {
                rested = Some(rested.map_or(until, |earlier| earlier.min(until)));
                break;
            }
            let mut free: Vec<(u32, usize, NodeId)> = Vec::new();
            for &node in &up {
                if let Some(until) = router.retry_at(node) {
                    waits.push(until);
                } else if self.busy(node) < limits::LANES_PER_NODE {
                    free.push((router.failures(node), self.busy(node), node));
                }
            }
            let Some((.., node)) = free.into_iter().min() else {
                wake = waits.iter().min().copied();
                break;
            };
            self.open_shard(unit, node, shared, router);
        }
        [wake, rested].into_iter().flatten().min()
    }

    /// Whether a shard before this one has to end first, since it is not known how many inputs are left.
    fn is_behind(&self, chain: usize, unit: u32) -> bool {
        self.shards.range(..unit).any(|(_, before)| before.chain == Some(chain))
    }

    fn open_shard(&mut self, unit: u32, node: NodeId, shared: &Shared, router: &Router) {
        let lane = self.next_lane;
        let Some(progress) = self.shards.get_mut(&unit) else { return };
        progress.lane = Some(lane);
        let request = ShardUnit {
            unit,
            attempt: progress.attempt,
            shard: progress.shard.clone(),
            after: progress.after.clone(),
            page: progress.page,
            state: progress.state.clone(),
            most: progress.chain.and_then(|chain| self.chains.get(chain).copied()),
        };
        self.idle_shards.remove(&unit);
        if let Some(watch) = &self.watch {
            watch.given(unit, router.name(node), request.attempt);
        }
        self.open(node, Load::Shard(unit), Units::Shard(Box::new(request)), shared, router);
    }

    /// A shard goes on elsewhere, from where it stood.
    pub(super) fn rerun_shard(&mut self, unit: u32, error: &Error) -> Result<(), Failure> {
        let Some(progress) = self.shards.get_mut(&unit) else { return Ok(()) };
        count("mapring_mapred_units_retried_total", 1);
        progress.give_up_lane();
        progress.tries += 1;
        let (tries, words) = (progress.tries, progress.shard.words());
        self.idle_shards.insert(unit);
        if let Some(watch) = &self.watch {
            watch.failed(unit, error.to_string(), false);
        }
        if tries >= limits::TRIES {
            return Err(self.given_up(&words, error));
        }
        Ok(())
    }

    /// Takes note of a page of a shard; gives whether the shard has ended with it, and how many results came
    /// before it, or `None` where the page is of an older attempt.
    ///
    /// # Errors
    /// When the page does not go on from where the shard stood.
    pub(super) fn accept_shard(&mut self, lane: u64, page: &Page) -> KvResult<Option<(bool, u64)>> {
        let progress = self.shards.get_mut(&page.unit);
        let Some(progress) =
            progress.filter(|known| known.lane == Some(lane) && known.attempt == page.attempt)
        else {
            return Ok(None);
        };
        let left = progress.chain.and_then(|chain| self.chains.get_mut(chain));
        if left.as_ref().is_some_and(|left| page.inputs > **left) {
            return Err(Error::corrupt(format!("unit {} takes more than it may", page.unit)));
        }
        match &page.progress {
            Progress::Done => {}
            Progress::After(reached)
                if progress.after.as_ref().is_none_or(|before| reached > before) =>
            {
                progress.after = Some(reached.clone());
                (progress.tries, progress.failures) = (0, 0);
            }
            Progress::After(_) | Progress::Taken(_) => {
                return Err(Error::corrupt(format!("unit {} does not go forward", page.unit)));
            }
        }
        if let Some(watch) = &self.watch {
            let last_input =
                progress.after.as_ref().and_then(|after| progress.shard.input_at(after));
            watch.accepted(
                page.unit,
                Done {
                    inputs: page.inputs,
                    results: page.made,
                    last_input,
                    ended: page.progress == Progress::Done,
                },
            );
        }
        progress.page = progress.page.saturating_add(1);
        progress.state.clone_from(&page.state);
        let before = progress.results;
        progress.results += page.results.len() as u64;
        let full = left.is_some_and(|left| {
            *left -= page.inputs;
            *left == 0
        });
        if page.progress != Progress::Done {
            return Ok(Some((false, before)));
        }
        let chain = progress.chain;
        self.shards.remove(&page.unit);
        if full {
            self.drop_chain(chain);
        }
        Ok(Some((true, before)))
    }

    /// Nothing more is wanted of the shards of a chain.
    fn drop_chain(&mut self, chain: Option<usize>) {
        let of_chain =
            |(unit, progress): (&u32, &ShardProgress)| (progress.chain == chain).then_some(*unit);
        let units: Vec<u32> = self.shards.iter().filter_map(of_chain).collect();
        for unit in units {
            self.shards.remove(&unit);
            self.idle_shards.remove(&unit);
            if let Some(watch) = &self.watch {
                watch.ended(unit);
            }
            self.end_unit();
        }
    }
}
