//! The clock: of all nodes that are up one looks after the schedules. Two that both take themselves for
//! that one do no harm, since a run starts by one decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mapring_background::{Context, Next, Worker};
use mapring_cluster::{Change, ScheduleRun};
use mapring_jobs::Schedule;
use mapring_types::Result;
use tokio::time::{Instant, sleep};

use super::turn::{Turn, turn};
use super::{Note, active_jobs, job_id};
use crate::configs::Configs;
use crate::error::JobsError;
use crate::runner::Runner;
use crate::start::{self, NewJob};
use crate::{limits, remove};

/// See the module.
pub(crate) struct ScheduleWorker {
    runner: Arc<Runner>,
    configs: Configs,
    known: BTreeMap<String, Known>,
}

/// A schedule as this node has read it.
struct Known {
    schedule: Schedule,
    read: Instant,
    /// The last run that was dealt with when it was read: a schedule that is put anew has another.
    last: u64,
    /// Up to which run this node has dealt with them since, …
    dealt: u64,
    /// … and the one after that.
    next: Option<u64>,
    waiting: Option<u64>,
}

impl ScheduleWorker {
    pub(crate) fn new(runner: Arc<Runner>, configs: Configs) -> Self {
        metrics::describe_counter!(
            "mapring_jobs_schedule_runs_total",
            "Runs of schedules by what became of them: started, skipped, failed to start."
        );
        Self { runner, configs, known: BTreeMap::new() }
    }

    /// Does what is to be done about a schedule now.
    async fn look(&mut self, name: &str, last: u64) -> Result<()> {
        let now = self.runner.now_ms();
        if !self.read(name, last).await? {
            // It was removed while a run of it was started.
            let schedule = name.to_owned();
            return self.runner.decide(Change::ForgetRuns { schedule }).await;
        }
        for _ in 0..mapring_jobs::limits::RUNS_AHEAD {
            let Some(known) = self.known.get_mut(name) else { return Ok(()) };
            if known.next.is_none_or(|next| next > now) && known.waiting.is_none() {
                return Ok(());
            }
            let active = active_jobs(&self.runner.view(), name);
            let is_active = !active.is_empty();
            match turn(&known.schedule, known.dealt, now, is_active, &mut known.waiting) {
                Turn::Nothing => return Ok(()),
                Turn::Skip(planned_ms) => self.skip(name, planned_ms).await?,
                Turn::Replace => return self.replace(name, &active).await,
                Turn::Start(planned_ms) => {
                    if !self.start(name, planned_ms).await? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a schedule, where it may have changed; false where there is none.
    async fn read(&mut self, name: &str, last: u64) -> Result<bool> {
        let fresh = self.known.get(name).is_some_and(|known| {
            (last == known.last || last == known.dealt)
                && known.read.elapsed() < limits::SCHEDULE_READ
        });
        if fresh {
            return Ok(true);
        }
        let waiting = self.known.remove(name).and_then(|known| known.waiting);
        let Some(stored) = super::get(&*self.runner.store, name).await? else { return Ok(false) };
        let schedule = match Schedule::parse(stored.text.as_bytes()) {
            Ok(schedule) => schedule,
            Err(invalid) => {
                tracing::debug!(schedule = name, %invalid, "a schedule is not understood any more");
                return Ok(true);
            }
        };
        let next = schedule.next_runs(last, 1).first().copied();
        let known = Known { schedule, read: Instant::now(), last, dealt: last, next, waiting };
        self.known.insert(name.to_owned(), known);
        Ok(true)
    }

    fn is_dealt_with(&self, name: &str, planned_ms: u64) -> bool {
        let view = self.runner.view();
        view.state.schedule_runs.get(name).is_some_and(|last| *last >= planned_ms)
    }

    fn dealt(&mut self, name: &str, planned_ms: u64) {
        if let Some(known) = self.known.get_mut(name) {
            known.dealt = known.dealt.max(planned_ms);
            known.next = known.schedule.next_runs(known.dealt, 1).first().copied();
        }
    }

    async fn leave_out(&self, name: &str, planned_ms: u64) -> Result<()> {
        let run = ScheduleRun { schedule: name.to_owned(), planned_ms };
        self.runner.decide(Change::SkipRun { run }).await
    }

    async fn skip(&mut self, name: &str, planned_ms: u64) -> Result<()> {
        self.leave_out(name, planned_ms).await?;
        metrics::counter!("mapring_jobs_schedule_runs_total", "outcome" => "skipped").increment(1);
        tracing::info!(schedule = name, planned_ms, "a run of a schedule is left out");
        self.dealt(name, planned_ms);
        Ok(())
    }

    async fn replace(&self, name: &str, active: &[String]) -> Result<()> {
        for job in active {
            let message = format!("the next run of the schedule {name} takes its place");
            // One that is none any more is what is wanted.
            if let Err(JobsError::Node(error)) = remove::abort(&self.runner, job, &message).await {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Starts a run; false where that may do later. One that can never be started is left out.
    async fn start(&mut self, name: &str, planned_ms: u64) -> Result<bool> {
        let Some(known) = self.known.get(name) else { return Ok(false) };
        let value = known.schedule.value().get("job").cloned().unwrap_or_default();
        let run = ScheduleRun { schedule: name.to_owned(), planned_ms };
        let mut new = NewJob { value, id: job_id(name, planned_ms), run: Some(run) };
        let runner = self.runner.clone();
        if mapring_types::failpoint!(RunUndecided) {
            // By each node that takes itself for the one that looks after it.
            new = NewJob { id: format!("{}-{}", new.id, runner.me()), run: None, ..new };
        }
        let outcome = match start::start_somewhere(&runner, &self.configs, new).await {
            Ok(_) => "started",
            Err(JobsError::Node(error)) => return Err(error),
            Err(JobsError::Full(why)) => {
                tracing::warn!(schedule = name, planned_ms, why, "a run of a schedule has to wait");
                return Ok(false);
            }
            // Another node took itself for the one that looks after it.
            Err(_) if self.is_dealt_with(name, planned_ms) => {
                self.dealt(name, planned_ms);
                return Ok(true);
            }
            Err(error) => {
                let message = error.to_string();
                tracing::warn!(schedule = name, planned_ms, message, "a run of a schedule fails");
                let note = Note { planned_ms, error: message };
                super::put_note(&*runner.store, name, &note).await?;
                self.leave_out(name, planned_ms).await?;
                "failed"
            }
        };
        metrics::counter!("mapring_jobs_schedule_runs_total", "outcome" => outcome).increment(1);
        self.dealt(name, planned_ms);
        Ok(true)
    }
}

#[async_trait]
impl Worker for ScheduleWorker {
    fn name(&self) -> &'static str {
        "schedules"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let view = self.runner.view();
        let members = view.up.iter().find(|node| view.state.members.contains_key(node));
        if members != Some(&view.me) {
            self.known.clear();
            context.say("another node does it");
            return Ok(Next::Wait);
        }
        self.known.retain(|name, _| view.state.schedule_runs.contains_key(name));
        let mut failed = None;
        for (name, last) in &view.state.schedule_runs {
            // What is wrong with one keeps no other from its runs.
            if let Err(error) = self.look(name, *last).await {
                failed = Some(error.context(format!("the schedule {name}")));
            }
        }
        context.say(format!("{} schedules", view.state.schedule_runs.len()));
        failed.map_or(Ok(Next::Wait), Err)
    }

    async fn wait(&mut self) {
        sleep(limits::CLOCK).await;
    }
}
