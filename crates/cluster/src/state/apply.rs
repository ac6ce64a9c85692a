//! How a change becomes part of the metadata, and what is true of it afterwards.

use mapring_types::{Error, Result};

use super::change::{Change, Outcome};
use super::job::{JobRecord, JobState};
use super::jobs::JobsEssence;
use super::member::MemberStatus;
use super::metadata::ClusterState;
use crate::limits;

impl ClusterState {
    /// Applies a change. Deterministic: every node gets the same state and outcome.
    ///
    /// # Panics
    /// When the state is not sound afterwards: a defect of a change, which no other node would survive
    /// either.
    pub fn apply(&mut self, change: &Change) -> Outcome {
        let before = Essence::of(self, change);
        let outcome = match self.try_apply(change) {
            Ok(()) => Outcome::Applied,
            Err(refusal) => Outcome::Refused(refusal.to_string()),
        };
        before.check_successor(&Essence::of(self, change), &outcome);
        let sound = self.check_sound();
        assert!(sound.is_ok(), "the metadata are not sound after {change:?}: {sound:?}");
        outcome
    }

    fn try_apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Found { id } => {
                if self.id == 0 {
                    self.id = *id;
                }
                Ok(())
            }
            Change::Seal => {
                self.sealed = true;
                Ok(())
            }
            Change::BeginChain => Ok(()),
            Change::Join { id, member, replaces } => self.join(*id, member, *replaces),
            Change::Forget { id } => self.forget(*id),
            Change::Start { id, known, next } => self.start(*id, known, *next),
            Change::Lost { id } => self.lose(*id),
            Change::WentBack { id, run } => self.go_back(*id, *run),
            Change::Filled { id, losses } => self.fill(*id, *losses),
            Change::SetBucket { bucket, changes } => self.set_bucket(bucket, changes),
            Change::ResetBucket { bucket } => {
                self.reset_bucket(bucket);
                Ok(())
            }
            Change::SetBucketType { name, changes } => self.set_bucket_type(name, changes),
            Change::StartJob { id, kind, owner, digest, now_ms, run, after_epoch } => {
                let (kind, owner, digest, since_ms) = (*kind, *owner, *digest, *now_ms);
                let state = JobState::Active;
                let new = JobRecord { kind, owner, epoch: 1, digest, since_ms, state };
                self.start_job(id, &new, run.as_ref(), *after_epoch)
            }
            Change::SkipRun { run } => self.skip_run(run),
            Change::ForgetRuns { schedule } => {
                self.schedule_runs.remove(schedule);
                Ok(())
            }
            Change::TakeJob { id, epoch, owner, trusts } => {
                self.take_job(id, *epoch, *owner, *trusts)
            }
            Change::TrustOwners => {
                self.job_trusts = self.job_trusts.saturating_add(1);
                Ok(())
            }
            Change::AbortJob { id, message } => self.abort_job(id, message),
            Change::DecideJob { id, epoch, result } => self.decide_job(id, *epoch, *result),
            Change::ForgetJob { id, epoch } => self.forget_job(id, *epoch),
        }
    }

    /// Whether the metadata hang together. Whoever reads them from a file or a peer must ask first;
    /// what is sound stays so.
    ///
    /// # Errors
    /// `Corrupt`, with what is wrong.
    pub fn check_sound(&self) -> Result<()> {
        let unsound = |what: String| Err(Error::corrupt(what));
        if let Some(stranger) =
            self.plan.owners().iter().flatten().find(|owner| !self.members.contains_key(owner))
        {
            return unsound(format!("node {stranger} owns partitions and is no member"));
        }
        for (id, member) in &self.members {
            let joining = member.status == MemberStatus::Joining;
            if joining && !self.sealed {
                return unsound(format!("node {id} is joining before there is data"));
            }
            if member.incomplete && (joining || !self.sealed) {
                return unsound(format!("node {id} lacks data that it never had"));
            }
        }
        if let Some(id) = self.went_back.keys().find(|id| !self.members.contains_key(id)) {
            return unsound(format!("node {id} went back and is no member"));
        }
        if self.members.len() > limits::MEMBERS {
            return unsound(format!("there are {} members", self.members.len()));
        }
        self.check_jobs()
    }
}

/// What of the metadata goes one way only.
#[derive(Debug, PartialEq, Eq)]
struct Essence {
    id: u64,
    sealed: bool,
    plan: u64,
    members: usize,
    losses: u64,
    jobs: JobsEssence,
}

impl Essence {
    fn of(state: &ClusterState, change: &Change) -> Self {
        Self {
            id: state.id,
            sealed: state.sealed,
            plan: state.plan.version(),
            members: state.members.len(),
            losses: state.members.values().fold(0, |sum, member| sum.saturating_add(member.losses)),
            jobs: JobsEssence::of(state, change.job(), change.schedule()),
        }
    }

    fn check_successor(&self, next: &Self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Refused(_)) {
            assert_eq!(self, next, "what is refused changes nothing");
        }
        assert!(self.id == 0 || self.id == next.id, "a cluster keeps its identity");
        assert!(next.sealed || !self.sealed, "what is sealed stays so");
        assert!(
            (self.plan..=self.plan.saturating_add(1)).contains(&next.plan),
            "plans follow each other"
        );
        assert!(self.members.abs_diff(next.members) <= 1, "members come and go one by one");
        self.jobs.check_successor(&next.jobs);
    }
}
