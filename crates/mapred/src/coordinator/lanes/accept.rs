//! Taking what lanes give: a page whole or not at all, and only once (I4, I5).

use std::sync::Arc;

use mapring_net::FrameStream;
use mapring_types::{Error, ErrorKind, NodeId, Result as KvResult};

use super::{Accepted, LaneStage, Load, broken_function, order};
use crate::coordinator::gather::{GatheredRun, run_stats};
use crate::coordinator::lane::{self, Step};
use crate::coordinator::router::Router;
use crate::failure::{Failure, FailureKind};
use crate::handle::PageStats;
use crate::metered::count;
use crate::unit::{Frame, Page, Progress, Run, RunId, Shuffle};
use crate::watched::Done;

impl LaneStage {
    /// Takes a step of a lane. Returns the results of an accepted page.
    pub(in super::super) fn apply(
        &mut self,
        id: u64,
        step: Step,
        router: &mut Router,
    ) -> Result<Accepted, Failure> {
        let Some(node) = self.lanes.get(&id).map(|lane| lane.node) else {
            return Ok(Accepted::default());
        };
        let (frame, frames) = match step {
            Step::Frame(frame, frames) => (frame, frames),
            Step::Refused(error) => return Err(Failure::from(error).in_phase(self.task.phase)),
            Step::Unreachable(error) | Step::Lost(error) => {
                self.lose(id, &error, router)?;
                return Ok(Accepted::default());
            }
        };
        match frame {
            Frame::Renew => {}
            Frame::Page(page) => match self.accept(id, *page) {
                Ok(accepted) => {
                    router.worked(node);
                    self.go_on(id, frames);
                    return Ok(accepted);
                }
                Err(error) => {
                    self.lose(id, &error, router)?;
                    return Ok(Accepted::default());
                }
            },
            Frame::Unable { unit, attempt, error, asked } => {
                let asked = asked.map(|asked| broken_function(*asked, &router.name(node)));
                self.asked = asked.map(|asked| asked.in_shard(unit, attempt));
                self.unable(id, (unit, attempt), &Error::from(error), router)?;
                self.asked = None;
            }
            Frame::HolderLost { unit, attempt, holder, error } => {
                self.again(id, (unit, attempt), &Error::from(error), router)?;
                self.go_on(id, frames);
                return Ok(Accepted { lost_holder: Some(holder), ..Accepted::default() });
            }
            Frame::Failed(broken) => {
                return Err(broken_function(broken, &router.name(node)));
            }
            Frame::Again { unit, attempt, broken } => {
                self.failed(id, (unit, attempt), &broken, &router.name(node))?;
            }
            Frame::Spent => {
                self.spend(id);
                return Ok(Accepted::default());
            }
        }
        self.go_on(id, frames);
        Ok(Accepted::default())
    }

    /// Waits for more of a lane, unless it is through.
    fn go_on(&mut self, id: u64, frames: FrameStream) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let through = match &lane.load {
            Load::Partitions(units) => units.is_empty(),
            Load::Batch { inputs, .. } => inputs.is_empty(),
            Load::Shard(unit) => !self.shards.contains_key(unit),
        };
        if through {
            self.remove(id);
        } else {
            lane.next = lane::next(frames);
        }
    }

    /// Accepts a page whole, or not at all. A page of an older attempt is dropped.
    ///
    /// # Errors
    /// When the page does not go on from where its unit stood.
    pub(super) fn accept(&mut self, id: u64, page: Page) -> KvResult<Accepted> {
        let accepted = self.accept_page(id, page)?;
        let inputs = accepted.stats.as_ref().map_or(0, |(_, stats)| stats.inputs);
        if let Some(left) = self.lanes.get_mut(&id).and_then(|lane| lane.inputs.as_mut()) {
            *left = left.saturating_sub(inputs);
        }
        Ok(accepted)
    }

    fn accept_page(&mut self, id: u64, page: Page) -> KvResult<Accepted> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(stale()) };
        let (node, mut finished, mut ended) = (lane.node, 0, false);
        let (mut orders, mut last_input) = (Vec::new(), None);
        let shuffle = lane.shuffle.clone();
        if let Load::Shard(unit) = lane.load {
            if unit != page.unit {
                return Ok(stale());
            }
            let Some((is_over, before)) = self.accept_shard(id, &page)? else {
                return Ok(stale());
            };
            let orders = match self.tells_inputs {
                true => order::of_unit(page.unit, before, page.results.len()),
                false => Vec::new(),
            };
            if is_over {
                self.end_unit();
            }
            count("mapring_mapred_pages_accepted_total", 1);
            let accepted = accepted(page, node, u64::from(is_over), shuffle.as_ref());
            return Ok(Accepted { orders, ..accepted });
        }
        let went_back = || Error::corrupt(format!("unit {} does not go forward", page.unit));
        match &mut lane.load {
            Load::Partitions(units) => {
                let partition = self.partitions.get_mut(&page.unit);
                let Some(partition) = partition.filter(|partition| {
                    partition.lane == Some(id) && partition.attempt == page.attempt
                }) else {
                    if mapring_types::failpoint!(OldFrameAccepted) {
                        return Ok(accepted(page, node, 0, None));
                    }
                    return Ok(stale());
                };
                if self.tells_inputs {
                    orders = order::of_unit(page.unit, partition.results, page.results.len());
                }
                if let (Some(_), Progress::After(reached)) = (&self.watch, &page.progress) {
                    last_input = Some(reached.place().escape_ascii().to_string());
                }
                match page.progress {
                    Progress::Done => {
                        let given = units.remove(&page.unit);
                        assert!(given, "unit {} ends in a lane that does not have it", page.unit);
                        self.partitions.remove(&page.unit);
                        (finished, ended) = (1, true);
                    }
                    Progress::After(ref reached)
                        if partition.after.as_ref().is_none_or(|before| reached > before) =>
                    {
                        partition.after = Some(reached.clone());
                        partition.page = partition.page.saturating_add(1);
                        partition.results += page.results.len() as u64;
                        partition.state.clone_from(&page.state);
                        (partition.tries, partition.failures) = (0, 0);
                    }
                    Progress::After(_) | Progress::Taken(_) => return Err(went_back()),
                }
            }
            Load::Batch { unit, attempt, inputs, taken, state } => {
                if *unit != page.unit || page.attempt != *attempt {
                    return Ok(stale());
                }
                let left = inputs.len() as u64;
                let now = match page.progress {
                    Progress::Done => left,
                    Progress::Taken(reached) => reached.saturating_sub(*taken),
                    Progress::After(_) => 0,
                };
                // A batch always has inputs left: without any, its lane has been closed.
                if now == 0 || now > left {
                    return Err(went_back());
                }
                let done = usize::try_from(now).unwrap_or(0);
                if self.tells_inputs {
                    let of = inputs.range(..done).map(|input| &input.order);
                    orders = order::of_inputs(of, &page.gave, page.results.len())?;
                }
                if self.watch.is_some() {
                    let last = inputs.get(done.saturating_sub(1));
                    last_input = last.map(|last| last.input.id.to_string());
                }
                *taken += now;
                state.clone_from(&page.state);
                inputs.drain(..done);
                inputs.iter_mut().for_each(|input| input.failures = 0);
                ended = inputs.is_empty();
            }
            Load::Shard(_) => {}
        }
        if let Some(watch) = &self.watch {
            let (inputs, results) = (page.inputs, page.made);
            watch.accepted(page.unit, Done { inputs, results, last_input, ended });
        }
        if ended {
            self.end_unit();
        }
        count("mapring_mapred_pages_accepted_total", 1);
        let accepted = accepted(page, node, finished, shuffle.as_ref());
        Ok(Accepted { orders, ..accepted })
    }

    /// A unit cannot be run where it was.
    fn unable(
        &mut self,
        id: u64,
        (unit, attempt): (u32, u32),
        error: &Error,
        router: &mut Router,
    ) -> Result<(), Failure> {
        if error.kind() == ErrorKind::Invalid {
            let failure = Failure::new(FailureKind::Node(error.kind()), error);
            return Err(failure.in_phase(self.task.phase));
        }
        if let Some(node) = self.node(id) {
            router.failed(node);
        }
        self.again(id, (unit, attempt), error, router)
    }

    /// A unit of a lane is to be begun again from where it stood.
    fn again(
        &mut self,
        id: u64,
        (unit, attempt): (u32, u32),
        error: &Error,
        router: &mut Router,
    ) -> Result<(), Failure> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        match &mut lane.load {
            Load::Partitions(units) => {
                let known = self.partitions.get(&unit);
                let current = known.is_some_and(|partition| {
                    partition.lane == Some(id) && partition.attempt == attempt
                });
                if !current {
                    return Ok(());
                }
                units.remove(&unit);
                self.rerun(unit, error, router)
            }
            Load::Batch { .. } | Load::Shard(_) => self.close(id, error, router),
        }
    }
}

fn stale() -> Accepted {
    count("mapring_mapred_pages_stale_total", 1);
    Accepted::default()
}

/// A run that a node has told of with a page, and what is shown of it.
pub(in super::super) fn run_of(
    node: NodeId,
    page: &Page,
    run: &Run,
    shuffle: Option<&Arc<Shuffle>>,
) -> Option<(GatheredRun, PageStats)> {
    let id = RunId { unit: page.unit, attempt: page.attempt, page: run.page };
    let (shuffle, partitions) = (Arc::clone(shuffle?), run.partitions.clone());
    Some((GatheredRun { id, query: None, made_by: node, shuffle, partitions }, run_stats(run)))
}

fn accepted(page: Page, node: NodeId, partitions: u64, shuffle: Option<&Arc<Shuffle>>) -> Accepted {
    let shard = (page.unit, page.attempt);
    let run = page.run.as_ref().and_then(|run| run_of(node, &page, run, shuffle));
    let Page { results, reduced, inputs, made, made_bytes, skipped, cost, tally, effects, .. } =
        page;
    let stats = PageStats {
        inputs,
        results: made,
        result_bytes: made_bytes,
        skipped: skipped.len() as u64,
        partitions,
        cost,
        tally,
    };
    Accepted {
        results,
        partitions: Vec::new(),
        orders: Vec::new(),
        reduced,
        skipped,
        shard,
        stats: Some((node, stats)),
        run,
        effects,
        lost_holder: None,
    }
}
