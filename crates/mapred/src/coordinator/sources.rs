//! A query's inputs that come of a source.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::Coordinator;
use super::numbering::{Listing, Numbering};
use super::shared::Shared;
use super::splitting::{Divided, Given, Splitting};
use super::stage::StageKind;
use crate::failure::Failure;
use crate::grammar::{PackedKeys, Query};
use crate::handle::PageStats;
use crate::limits;
use crate::results::PhaseResults;
use crate::saved::SavedList;
use crate::unit::Tally;

/// What has not been given to the first stage.
#[derive(Default)]
pub(super) struct Sources {
    /// Until it is known what there is.
    pub(super) splitting: Option<Splitting>,
    /// Listed objects.
    listed: VecDeque<Listed>,
}

struct Listed {
    keys: Arc<PackedKeys>,
    /// Where to go on.
    at: usize,
    /// What the order of its inputs follows, …
    listing: Listing,
    /// … and the place of the next within the list.
    place: u64,
}

impl Sources {
    pub(super) fn are_over(&self) -> bool {
        self.splitting.is_none() && self.listed.is_empty()
    }

    /// What has not been given to the first stage, as it is kept; `None` where that is too much.
    pub(super) fn save(&self) -> Option<Vec<SavedList>> {
        let bytes = self.listed.iter().map(|listed| listed.keys.bytes_from(listed.at));
        if bytes.sum::<usize>() > limits::CHECKPOINT_BYTES {
            return None;
        }
        let list = |listed: &Listed| {
            let (buckets, entries) = listed.keys.rest(listed.at);
            SavedList { buckets, entries, listing: listed.listing.save(), place: listed.place }
        };
        Some(self.listed.iter().map(list).collect())
    }

    /// Goes on from what was kept.
    pub(super) fn restore(&mut self, lists: Vec<SavedList>) {
        let list = |SavedList { buckets, entries, listing, place }: SavedList| {
            let keys = Arc::new(PackedKeys::of_rest(buckets, &entries));
            Listed { keys, at: 0, listing: Listing::restore(listing), place }
        };
        self.listed = lists.into_iter().map(list).collect();
    }

    /// Waits until the source is divided, if it is being divided.
    pub(super) async fn divided(&mut self) -> Result<Divided, Failure> {
        match &mut self.splitting {
            Some(splitting) => splitting.await,
            None => std::future::pending().await,
        }
    }
}

/// Runs a query that another one needs.
pub(super) fn run(
    shared: Shared,
    query: Query,
    results: mpsc::Sender<Result<PhaseResults, Failure>>,
) -> BoxFuture<'static, Result<(), Failure>> {
    async move {
        let running = Coordinator::new(shared, query, &[], None, results)?.run();
        running.await.map(drop)
    }
    .boxed()
}

impl Coordinator {
    /// Gives the first stage what a source was divided into.
    pub(super) fn take_divided(&mut self, divided: Divided) -> Result<(), Failure> {
        self.sources.splitting = None;
        let Divided { given, missing } = divided;
        let entry = self.graph.entry();
        let StageKind::Lanes(lanes) = &mut self.stages.get_mut(entry).kind else { return Ok(()) };
        let mut partitions = 0;
        for given in given {
            let (first, numbering) = (lanes.next_unit(), self.numbering.as_mut());
            let numbering = numbering.and_then(Numbering::of_inputs);
            match given {
                Given::Scan(scan) => {
                    partitions += lanes.cover(&scan, &mut self.router)?;
                    if let Some(numbering) = numbering {
                        numbering.scan(first, self.router.homes().count() as u64);
                    }
                }
                Given::Keys(keys) => {
                    let stretches = numbering.as_ref().map_or(1, |of| of.stretches(keys.len()));
                    for _ in 0..stretches {
                        lanes.reserve();
                    }
                    let listing = match numbering {
                        Some(numbering) => numbering.list(first, keys.len()),
                        None => Listing::whole(first),
                    };
                    self.sources.listed.push_back(Listed { keys, at: 0, listing, place: 0 });
                }
                Given::Shards(shards, most) => {
                    let added = lanes.add_shards(shards, most);
                    if let Some(numbering) = numbering {
                        numbering.divided(first, added);
                    }
                    partitions += added;
                }
            }
        }
        self.shared.handle.set_partitions(entry, partitions);
        if missing > 0 {
            let tally = Tally { missing, ..Tally::default() };
            self.shared.handle.record(
                entry,
                &self.me,
                &PageStats { tally, ..PageStats::default() },
            );
        }
        Ok(())
    }

    /// Gives the first stage listed objects while it has room.
    pub(super) fn refill_listed(&mut self) -> Result<(), Failure> {
        while self.first_has_room() && !self.has_enough() {
            let Some(listed) = self.sources.listed.front_mut() else { break };
            let Some((input, next)) = listed.keys.read(listed.at) else {
                self.sources.listed.pop_front();
                continue;
            };
            let order = listed.listing.order(listed.place);
            (listed.at, listed.place) = (next, listed.place + 1);
            if let StageKind::Lanes(lanes) = &mut self.stages.get_mut(self.graph.entry()).kind {
                lanes.push(input, Some(order), &mut self.router)?;
            }
        }
        Ok(())
    }
}
