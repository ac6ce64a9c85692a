//! What is decided about jobs, on its way and back, and who acts as their owner.
//!
//! A decision takes a while to be made, and its answer may be lost. Each is noted with what it has
//! changed: so it is known who owned which epoch of a job from when on, whatever nodes know of it. Who
//! stores something as an owner is held against that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_cluster::{Change, ClusterState, JobResult, JobState};
use mapring_types::{Error, NodeId, Result};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::history::Moment;
use crate::limits;
use crate::random::Random;
use crate::trace::Trace;

/// See the module.
pub(crate) struct Ledger {
    trace: Arc<Trace>,
    random: Random,
    /// Answers that are lost, of a thousand.
    lost_answers: u64,
    state: Mutex<BTreeMap<String, Known>>,
    /// Queries of which nodes had pairs when they were started.
    found_pairs: AtomicU64,
}

/// What was decided about an id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// How often a job was started under it.
    pub(crate) starts: u64,
    /// Whether there is a job that has not ended.
    pub(crate) is_active: bool,
    /// How the last one ended.
    pub(crate) result: Option<JobResult>,
    epochs: BTreeMap<u64, Epoch>,
}

/// An epoch of a job.
#[derive(Debug, Clone)]
struct Epoch {
    owner: NodeId,
    /// When another one began.
    over: Option<Moment>,
    /// Who has acted as its owner.
    acted: BTreeSet<NodeId>,
}

impl Ledger {
    pub(crate) fn new(trace: Arc<Trace>, random: Random, lost_answers: u64) -> Self {
        let (state, found_pairs) = Default::default();
        Self { trace, random, lost_answers, state, found_pairs }
    }

    /// A decision is asked for: it takes a while until it is made.
    pub(crate) async fn on_its_way(&self) {
        sleep(Duration::from_millis(self.random.within(limits::DECISION_MS))).await;
    }

    /// Its answer takes as long.
    ///
    /// # Errors
    /// `Timeout` where it is lost.
    pub(crate) async fn on_its_way_back(&self) -> Result<()> {
        if self.random.per_mille(self.lost_answers) {
            sleep(Duration::from_millis(self.random.within(limits::LOST_DECISION_MS))).await;
            return Err(Error::timeout("the answer to a decision was lost"));
        }
        self.on_its_way().await;
        Ok(())
    }

    /// Something was decided about a job, or refused; of other things nothing is noted.
    pub(crate) fn decided(&self, id: &str, before: &ClusterState, after: &ClusterState) {
        let (was, is) = (before.jobs.get(id), after.jobs.get(id));
        if was == is {
            return;
        }
        let mut faults = Vec::new();
        let mut state = self.state.lock();
        let known = state.entry(id.to_owned()).or_default();
        let Some(is) = is else {
            known.is_active = false;
            self.trace.note(format!("job {id} is forgotten"));
            return;
        };
        let now = self.trace.now();
        known.starts += u64::from(was.is_none());
        known.is_active = true;
        if was.is_some_and(|was| was.epoch > is.epoch) {
            faults.push(format!("the epoch of {id} falls to {}", is.epoch));
        }
        if let JobState::Decided { result } = is.state {
            known.result = Some(result);
        }
        let owner = is.owner;
        let new = || Epoch { owner, over: None, acted: BTreeSet::new() };
        let epoch = known.epochs.entry(is.epoch).or_insert_with(new);
        if epoch.owner != owner {
            let before = epoch.owner.0;
            faults.push(format!("n{before} and n{} own epoch {} of {id}", owner.0, is.epoch));
        }
        for (_, epoch) in known.epochs.range_mut(..is.epoch) {
            epoch.over.get_or_insert(now);
        }
        drop(state);
        self.trace.note(format!("job {id} is of n{}, epoch {}: {:?}", owner.0, is.epoch, is.state));
        faults.into_iter().for_each(|fault| self.trace.violation(format!("one owner: {fault}")));
    }

    /// A node is about to store something as the owner of a job.
    pub(crate) fn acts(&self, node: NodeId, id: &str, epoch: u64) {
        let mut state = self.state.lock();
        let fault = match state.get_mut(id).and_then(|known| known.epochs.get_mut(&epoch)) {
            None => Some("which there is not".to_owned()),
            Some(Epoch { owner, .. }) if *owner != node => Some(format!("which is n{}'s", owner.0)),
            Some(Epoch { over: Some(over), .. }) => Some(format!("which was over at {over}")),
            Some(Epoch { acted, .. }) => {
                if acted.insert(node) {
                    self.trace.note(format!("n{} acts in epoch {epoch} of {id}", node.0));
                }
                None
            }
        };
        drop(state);
        if let Some(fault) = fault {
            let what = format!("n{} stores in epoch {epoch} of {id}, {fault}", node.0);
            self.trace.violation(format!("one owner: {what}"));
        }
    }

    /// A node is started with the pairs of so many queries.
    pub(crate) fn found_pairs(&self, node: NodeId, queries: usize) {
        if queries > 0 {
            self.trace.note(format!("n{} has pairs of {queries} queries", node.0));
            self.found_pairs.fetch_add(queries as u64, Ordering::Relaxed);
        }
    }

    /// How often a node was started with the pairs of a query.
    pub(crate) fn pairs_found(&self) -> u64 {
        self.found_pairs.load(Ordering::Relaxed)
    }

    /// What is known of an id.
    pub(crate) fn known(&self, id: &str) -> Known {
        self.state.lock().get(id).cloned().unwrap_or_default()
    }

    /// All ids under which jobs were started.
    pub(crate) fn all(&self) -> BTreeMap<String, Known> {
        self.state.lock().clone()
    }

    /// The owners of the jobs that have not ended.
    pub(crate) fn owners(&self) -> Vec<NodeId> {
        let state = self.state.lock();
        let active = state.values().filter(|known| known.is_active);
        active.filter_map(|known| Some(known.epochs.last_key_value()?.1.owner)).collect()
    }

    /// The jobs that have not ended.
    pub(crate) fn active(&self) -> Vec<String> {
        let state = self.state.lock();
        let active = state.iter().filter(|(_, known)| known.is_active);
        active.map(|(id, _)| id.clone()).collect()
    }
}

impl Known {
    /// How often it was taken over.
    pub(crate) fn takes(&self) -> u64 {
        (self.epochs.len() as u64).saturating_sub(self.starts)
    }
}

#[cfg(test)]
impl Known {
    /// Of an id under which jobs were started so often.
    pub(crate) fn started(starts: u64) -> Self {
        Self { starts, ..Self::default() }
    }
}

/// The job or the schedule that a change is about, where it is about one.
pub(crate) fn subject(change: &Change) -> Option<&str> {
    match change {
        Change::StartJob { id, .. }
        | Change::TakeJob { id, .. }
        | Change::AbortJob { id, .. }
        | Change::DecideJob { id, .. }
        | Change::ForgetJob { id, .. } => Some(id),
        Change::SkipRun { run } => Some(&run.schedule),
        Change::ForgetRuns { schedule } => Some(schedule),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mapring_cluster::{JobKind, JobRecord};
    use mapring_ring::RingSize;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_acts_in_an_epoch_of_another_or_that_is_over_is_told() {
        let trace = Arc::new(Trace::new(false));
        let ledger = Ledger::new(trace.clone(), Random::new(1), 0);
        let state = |epoch: u64, owner: u64| {
            let mut state = ClusterState::new("c", RingSize::new(8).unwrap());
            let record = JobRecord {
                kind: JobKind::Job,
                owner: NodeId(owner),
                epoch,
                digest: 1,
                since_ms: 1,
                state: JobState::Active,
            };
            state.jobs.insert("j".to_owned(), record);
            state
        };
        let none = ClusterState::new("c", RingSize::new(8).unwrap());
        ledger.decided("j", &none, &state(1, 1));
        ledger.acts(NodeId(1), "j", 1);
        ledger.decided("j", &state(1, 1), &state(2, 3));
        ledger.acts(NodeId(3), "j", 2);
        assert!(trace.outcome().violations.is_empty());
        ledger.acts(NodeId(1), "j", 1);
        ledger.acts(NodeId(1), "j", 2);
        ledger.acts(NodeId(1), "i", 1);
        ledger.decided("j", &state(2, 3), &state(2, 1));
        ledger.decided("j", &state(2, 1), &state(1, 1));
        assert_eq!(trace.outcome().violations.len(), 5);
        let known = ledger.known("j");
        assert_eq!((known.starts, known.takes(), known.is_active), (1, 1, true));
        ledger.decided("j", &state(2, 1), &none);
        assert!(ledger.active().is_empty() && ledger.all().len() == 1);
    }
}
