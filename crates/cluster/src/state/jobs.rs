//! Jobs that start, change hands, and end.
//!
//! A job is here from its start until everything that its end brings about is done. One node owns it;
//! when it is gone another takes the job over under a higher epoch, and by that number everybody knows
//! what still counts. That a run of a schedule starts is one decision with the start of its job, and so
//! it starts once.

use std::collections::BTreeMap;

use mapring_types::{Error, NodeId, Result};

use super::job::{EndedJob, JobRecord, JobResult, JobState, ScheduleRun};
use super::metadata::{ClusterState, room};
use crate::limits;

impl ClusterState {
    /// A job starts. Asked for again it is the same job, be it finished meanwhile or not.
    pub(super) fn start_job(
        &mut self,
        id: &str,
        new: &JobRecord,
        run: Option<&ScheduleRun>,
        after_epoch: Option<u64>,
    ) -> Result<()> {
        check_name(id, "the id of a job")?;
        let conflict =
            || Error::invalid(format!("job {id}: there is one of this id with another document"));
        if let Some(known) = self.jobs.get(id) {
            let same = known.digest == new.digest && known.kind == new.kind;
            return if same { Ok(()) } else { Err(conflict()) };
        }
        let mut former = self.ended_jobs.iter().filter(|ended| ended.id == id);
        if former.any(|ended| (ended.digest, ended.since_ms) == (new.digest, new.since_ms)) {
            return Ok(());
        }
        let ended = self.ended_epoch(id);
        if after_epoch.is_some_and(|known| known < ended) {
            return Err(Error::invalid(format!("job {id}: one of this id has ended meanwhile")));
        }
        let epoch = ended.saturating_add(1);
        self.check_member(new.owner)?;
        room(true, self.jobs.len(), limits::JOBS, "unfinished jobs")?;
        if let Some(ScheduleRun { schedule, planned_ms }) = run {
            if self.is_dealt_with(schedule, *planned_ms) {
                return Err(Error::invalid(format!(
                    "job {id}: the run of schedule {schedule} at {planned_ms} has been started or \
                     skipped already"
                )));
            }
            self.note_run(schedule, *planned_ms)?;
        }
        self.jobs
            .insert(id.to_owned(), JobRecord { epoch, state: JobState::Active, ..new.clone() });
        Ok(())
    }

    /// The epoch under which the last job of an id ended, as far as that is remembered; 0 for none.
    pub fn ended_epoch(&self, id: &str) -> u64 {
        let last = self.ended_jobs.iter().rev().find(|ended| ended.id == id);
        last.map_or(0, |ended| ended.epoch)
    }

    /// A run of a schedule, and each before it, is not to be started.
    pub(super) fn skip_run(&mut self, run: &ScheduleRun) -> Result<()> {
        if self.is_dealt_with(&run.schedule, run.planned_ms) {
            return Ok(());
        }
        self.note_run(&run.schedule, run.planned_ms)
    }

    fn is_dealt_with(&self, schedule: &str, planned_ms: u64) -> bool {
        self.schedule_runs.get(schedule).is_some_and(|last| *last >= planned_ms)
    }

    fn note_run(&mut self, schedule: &str, planned_ms: u64) -> Result<()> {
        check_name(schedule, "the name of a schedule")?;
        let new = !self.schedule_runs.contains_key(schedule);
        room(new, self.schedule_runs.len(), limits::SCHEDULES, "schedules")?;
        self.schedule_runs.insert(schedule.to_owned(), planned_ms);
        Ok(())
    }

    /// A job has a new owner, in place of the one of `epoch`, of whom the members had heard nothing when
    /// owners had been trusted again so often.
    pub(super) fn take_job(
        &mut self,
        id: &str,
        epoch: u64,
        owner: NodeId,
        trusts: Option<u64>,
    ) -> Result<()> {
        self.check_member(owner)?;
        let kept = mapring_types::failpoint!(EpochKept);
        let next = epoch.saturating_add(u64::from(!kept));
        let known_trusts = self.job_trusts;
        let job = self.job_mut(id)?;
        if job.epoch == next && job.owner == owner {
            return Ok(());
        }
        check_epoch(id, job, epoch)?;
        if trusts.is_some_and(|known| known != known_trusts) {
            let message = "members go by what its owner says again, since they were asked";
            return Err(Error::invalid(format!("job {id}: {message}")));
        }
        (job.epoch, job.owner) = (next, owner);
        self.job_takes = self.job_takes.saturating_add(1);
        Ok(())
    }

    /// A job is to be ended. What was said first is kept.
    pub(super) fn abort_job(&mut self, id: &str, message: &str) -> Result<()> {
        if message.len() > limits::ABORT_BYTES {
            let most = limits::ABORT_BYTES;
            return Err(Error::invalid(format!("job {id}: the message exceeds {most} bytes")));
        }
        let job = self.job_mut(id)?;
        match job.state {
            JobState::Active => {
                job.state = JobState::Aborting { message: message.to_owned() };
                Ok(())
            }
            JobState::Aborting { .. } | JobState::Decided { result: JobResult::Aborted } => Ok(()),
            JobState::Decided { .. } => {
                Err(Error::invalid(format!("job {id} has come to its end already")))
            }
        }
    }

    /// How a job ended is final.
    pub(super) fn decide_job(&mut self, id: &str, epoch: u64, result: JobResult) -> Result<()> {
        let job = self.job_mut(id)?;
        check_epoch(id, job, epoch)?;
        match job.state {
            JobState::Decided { result: known } if known == result => Ok(()),
            JobState::Decided { .. } => {
                Err(Error::invalid(format!("job {id} has come to another end already")))
            }
            JobState::Active | JobState::Aborting { .. } => {
                job.state = JobState::Decided { result };
                Ok(())
            }
        }
    }

    /// All that the end of a job brings about is done.
    pub(super) fn forget_job(&mut self, id: &str, epoch: u64) -> Result<()> {
        let Some(job) = self.jobs.get(id) else { return Ok(()) };
        check_epoch(id, job, epoch)?;
        if !job.is_decided() {
            return Err(Error::invalid(format!("job {id} has not come to its end")));
        }
        let JobRecord { epoch, digest, since_ms, .. } = *job;
        self.jobs.remove(id);
        if self.ended_jobs.len() >= limits::ENDED_JOBS {
            self.ended_jobs.pop_front();
        }
        self.ended_jobs.push_back(EndedJob { id: id.to_owned(), epoch, digest, since_ms });
        Ok(())
    }

    fn job_mut(&mut self, id: &str) -> Result<&mut JobRecord> {
        let unknown = || Error::invalid(format!("job {id} is not among the unfinished ones"));
        self.jobs.get_mut(id).ok_or_else(unknown)
    }

    fn check_member(&self, id: NodeId) -> Result<()> {
        match self.members.contains_key(&id) {
            true => Ok(()),
            false => Err(Error::invalid(format!("node {id} is no member"))),
        }
    }

    /// Whether what is known of jobs keeps to its bounds.
    ///
    /// # Errors
    /// `Corrupt`, with what is wrong.
    pub(super) fn check_jobs(&self) -> Result<()> {
        let counts = [
            (self.jobs.len(), limits::JOBS, "unfinished jobs"),
            (self.ended_jobs.len(), limits::ENDED_JOBS, "remembered jobs"),
            (self.schedule_runs.len(), limits::SCHEDULES, "schedules"),
        ];
        if let Some((count, _, what)) = counts.into_iter().find(|(count, most, _)| count > most) {
            return Err(Error::corrupt(format!("there are {count} {what}")));
        }
        for (id, job) in &self.jobs {
            if job.epoch == 0 {
                return Err(Error::corrupt(format!("job {id} has no epoch")));
            }
            let message = match &job.state {
                JobState::Aborting { message } => message.len(),
                JobState::Active | JobState::Decided { .. } => 0,
            };
            if id.len() > limits::JOB_ID_BYTES || message > limits::ABORT_BYTES {
                return Err(Error::corrupt(format!("job {id} has longer texts than any may have")));
            }
        }
        Ok(())
    }
}

fn check_name(name: &str, what: &str) -> Result<()> {
    if (1..=limits::JOB_ID_BYTES).contains(&name.len()) {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} is a text of 1 to {} bytes", limits::JOB_ID_BYTES)))
}

fn check_epoch(id: &str, job: &JobRecord, epoch: u64) -> Result<()> {
    if job.epoch == epoch {
        return Ok(());
    }
    let JobRecord { owner, epoch: present, .. } = job;
    Err(Error::invalid(format!("job {id} is of node {owner} in epoch {present}, not {epoch}")))
}

/// What of the jobs goes one way only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JobsEssence {
    /// How many are unfinished.
    count: usize,
    /// The one that the change is about.
    job: Option<JobRecord>,
    /// Its epoch when it was finished the last time.
    ended: u64,
    /// The last run of the schedule that the change is about.
    run: Option<u64>,
}

impl JobsEssence {
    pub(super) fn of(state: &ClusterState, job: Option<&str>, schedule: Option<&str>) -> Self {
        let find = |runs: &BTreeMap<String, u64>, name: &str| runs.get(name).copied();
        Self {
            count: state.jobs.len(),
            job: job.and_then(|id| state.jobs.get(id)).cloned(),
            ended: job.map_or(0, |id| state.ended_epoch(id)),
            run: schedule.and_then(|name| find(&state.schedule_runs, name)),
        }
    }

    pub(super) fn check_successor(&self, next: &Self) {
        assert!(self.count.abs_diff(next.count) <= 1, "jobs come and go one by one");
        match (&self.job, &next.job) {
            (Some(before), Some(after)) => {
                let epochs = before.epoch..=before.epoch.saturating_add(1);
                assert!(epochs.contains(&after.epoch), "epochs follow each other");
                let same = before.epoch == after.epoch && !mapring_types::failpoint!(EpochKept);
                assert!(!same || before.owner == after.owner, "one owner an epoch");
                assert!(!before.is_decided() || before.state == after.state, "the end is final");
                let reopened = after.state == JobState::Active && before.state != JobState::Active;
                assert!(!reopened, "who is to be ended is not begun again");
            }
            (None, Some(after)) => {
                assert!(after.epoch > self.ended, "epochs go on when an id is used again");
            }
            (Some(before), None) => {
                assert!(before.is_decided(), "only what has come to its end is forgotten");
                assert!(next.ended == before.epoch, "what has ended is remembered");
            }
            (None, None) => {}
        }
        // Where a schedule is gone its runs are too.
        assert!(next.run.is_none() || self.run <= next.run, "runs of a schedule go forward");
    }
}
