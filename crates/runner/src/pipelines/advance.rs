//! What happens to a pipeline: no waiting here, no clock.
//!
//! [`Running::begin`] makes steps begin that can, [`Running::happened`] takes what became of one. What is to
//! be done for the steps that run follows from [`Progress`] alone ([`Running::work`]): so whoever takes
//! a pipeline over does what its former owner did.

use std::collections::BTreeMap;

use mapring_cluster::JobResult;
use mapring_jobs::callback::Callback;
use mapring_jobs::{Status, Step, StepKind};
use serde_json::{Map, Value, json};

use super::plan::Plan;
use super::progress::{Abort, Progress, full_name, job_id};
use crate::limits;

/// A pipeline on its way, with what its steps are to do.
pub(super) struct Running {
    pub(super) progress: Progress,
    plan: Plan,
}

/// What is done for a step that runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Work {
    /// A job is started, or found started, and its end is waited for.
    Job { id: String, document: Value },
    /// A function is called.
    Call { code: Value, given: Value },
    /// Nothing, until a time in milliseconds since 1970.
    Pause { until_ms: u64 },
    /// Somebody is to consent.
    Approval,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Happened {
    /// Its job has succeeded.
    JobDone { default: Value, counters: Value },
    /// Its function has returned.
    Returned { value: Value, message: Option<String>, links: Option<Value> },
    /// Its pause is over, be it the one before an attempt.
    PauseOver,
    /// Somebody has consented.
    Approved,
    /// The attempt failed; another may do better.
    Failed(String),
    /// No attempt would do better.
    FailedForGood(String),
}

impl Running {
    /// Goes on with a pipeline as it was stored. One that this program does not take is aborted.
    pub(super) fn new(progress: Progress) -> Self {
        match Plan::of(&progress) {
            Ok(plan) => Self { progress, plan },
            Err(invalid) => {
                let now_ms = progress.updated_ms;
                let mut running = Self { progress, plan: Plan::default() };
                running.abort(format!("it is not understood any more: {invalid}"), true, now_ms);
                running
            }
        }
    }

    /// Makes the steps begin that can, as far as there is room. Returns whether anything has changed.
    pub(super) fn begin(&mut self, now_ms: u64) -> bool {
        if self.progress.abort.is_some() {
            return false;
        }
        let running = self.progress.steps.iter().filter(|step| step.status == Status::Run).count();
        let mut room = limits::STEPS_AT_ONCE.saturating_sub(running);
        let mut changed = false;
        for name in self.ready() {
            if room == 0 || self.progress.abort.is_some() {
                break;
            }
            self.begin_step(&name, now_ms);
            changed = true;
            room -= 1;
        }
        if changed {
            self.progress.updated_ms = now_ms;
        }
        changed
    }

    /// The full names of the steps that can begin.
    fn ready(&self) -> Vec<String> {
        let steps = self.progress.steps.iter();
        let known: BTreeMap<_, _> = steps.map(|s| (s.scope_and_name(), s.status)).collect();
        let mut ready = Vec::new();
        for (scope, pipeline) in self.plan.scopes() {
            let status = |name: &str| known.get(&(scope, name)).copied().unwrap_or_default();
            let steps = pipeline.ready(status).into_iter();
            ready.extend(steps.map(|step| full_name(scope, &step.name)));
        }
        ready
    }

    fn begin_step(&mut self, name: &str, now_ms: u64) {
        let outputs = self.outputs(name);
        let Some(step) = self.plan.step(name) else { return };
        match step.aborts(&outputs) {
            Ok(false) => {}
            Ok(true) => return self.abort(format!("step {name}: abort_if holds"), false, now_ms),
            Err(invalid) => return self.abort(format!("step {name}: {invalid}"), true, now_ms),
        }
        let resolved = step.resolve(&outputs);
        let (kind, id) = (step.kind, job_id(&self.progress.id, name, 1));
        let work = match resolved {
            Ok(work) => work,
            Err(invalid) => return self.abort(format!("step {name}: {invalid}"), true, now_ms),
        };
        let Some(step) = self.progress.step_mut(name) else { return };
        (step.status, step.attempt, step.started_ms) = (Status::Run, 1, Some(now_ms));
        match kind {
            StepKind::Job => step.job = Some(id),
            StepKind::Delay => {
                step.due_ms = Some(now_ms.saturating_add(work.as_u64().unwrap_or(0)));
            }
            StepKind::Script | StepKind::Approve => {}
        }
    }

    /// What the steps gave that a step may refer to: those beside it, by their own names.
    fn outputs(&self, name: &str) -> BTreeMap<String, Value> {
        let Some(of) = self.progress.step(name) else { return BTreeMap::new() };
        let beside = self.progress.within(of.scope_and_name().0);
        let given = beside.filter_map(|step| {
            let outputs = step.outputs.clone().filter(|_| step.status == Status::Done)?;
            Some((step.scope_and_name().1.to_owned(), Value::Object(outputs)))
        });
        given.collect()
    }

    /// What is to be done for each step that runs or waits for its next attempt, by its full name.
    pub(super) fn work(&self) -> Vec<(String, Result<Work, String>)> {
        if self.progress.abort.is_some() {
            return Vec::new();
        }
        let active = self.progress.steps.iter().filter_map(|step| {
            let written = self.plan.step(&step.name)?;
            let work = match (step.status, step.due_ms) {
                (Status::Retry, Some(until_ms)) => Ok(Work::Pause { until_ms }),
                (Status::Run, Some(until_ms)) if written.kind == StepKind::Delay => {
                    Ok(Work::Pause { until_ms })
                }
                (Status::Run, _) => self.work_of(&step.name, written),
                _ => return None,
            };
            Some((step.name.clone(), work))
        });
        active.collect()
    }

    fn work_of(&self, name: &str, step: &Step) -> Result<Work, String> {
        let outputs = self.outputs(name);
        let work = step.resolve(&outputs).map_err(|invalid| invalid.to_string())?;
        Ok(match step.kind {
            StepKind::Job => {
                let attempt = self.progress.step(name).map_or(1, |step| step.attempt);
                let mut id = job_id(&self.progress.id, name, attempt);
                if self.progress.epoch > 1 && mapring_types::failpoint!(StepBegunAnew) {
                    id = format!("{id}.{}", self.progress.epoch);
                }
                Work::Job { id, document: work }
            }
            StepKind::Script => {
                let given = step.after.iter().filter_map(|after| {
                    Some((after.clone(), outputs.get(after)?.get("default")?.clone()))
                });
                Work::Call { code: work, given: Value::Object(given.collect()) }
            }
            StepKind::Delay => Work::Pause { until_ms: 0 },
            StepKind::Approve => Work::Approval,
        })
    }

    /// Takes what became of a step that [`Running::work`] named.
    pub(super) fn happened(&mut self, name: &str, happened: Happened, now_ms: u64) {
        self.progress.updated_ms = now_ms;
        if self.progress.abort.is_some() {
            return;
        }
        match happened {
            Happened::JobDone { default, counters } => {
                let job = self.progress.step(name).and_then(|step| step.job.clone());
                let outputs = json!({
                    "default": default, "result_status": "success", "counters": counters,
                    "job_id": job
                });
                self.done(name, outputs, now_ms);
            }
            Happened::Returned { value, message, links } => {
                self.returned(name, value, message, links, now_ms);
            }
            Happened::PauseOver => self.pause_over(name, now_ms),
            Happened::Approved => {
                self.done(name, json!({"default": true, "result_status": "success"}), now_ms);
            }
            Happened::Failed(message) => self.failed(name, message, true, now_ms),
            Happened::FailedForGood(message) => self.failed(name, message, false, now_ms),
        }
    }

    fn returned(
        &mut self,
        name: &str,
        value: Value,
        message: Option<String>,
        links: Option<Value>,
        now_ms: u64,
    ) {
        if let Some(step) = self.progress.step_mut(name) {
            (step.message, step.links) = (message, links);
        }
        if !value.get("steps").is_some_and(Value::is_object) {
            let outputs = json!({"default": value, "result_status": "success"});
            return self.done(name, outputs, now_ms);
        }
        let present = self.progress.steps.len();
        match self.plan.children(name, value, present) {
            Ok(pipeline) => {
                if let Some(step) = self.progress.step_mut(name) {
                    step.status = Status::Finalizing;
                    step.children = Some(pipeline.value().clone());
                }
                self.progress.add_children(name, &pipeline);
                self.plan.add(name, pipeline);
            }
            Err(why) => self.failed(name, why, true, now_ms),
        }
    }

    fn pause_over(&mut self, name: &str, now_ms: u64) {
        let id = self.progress.id.clone();
        let Some(step) = self.progress.step_mut(name) else { return };
        step.due_ms = None;
        if step.status != Status::Retry {
            return self.done(name, json!({"default": null, "result_status": "success"}), now_ms);
        }
        step.status = Status::Run;
        if step.job.is_some() {
            step.job = Some(job_id(&id, name, step.attempt));
        }
    }

    fn done(&mut self, name: &str, outputs: Value, now_ms: u64) {
        let size = outputs.to_string().len();
        let all: usize = self.progress.steps.iter().map(|step| step.output_bytes).sum();
        if size > limits::STEP_OUTPUT_BYTES || size + all > limits::OUTPUTS_BYTES {
            let message = format!(
                "gave {size} bytes, beside {all} of others: at most {} of a step and {} of all are \
                 kept; have the job write an output, and pass its name on",
                limits::STEP_OUTPUT_BYTES,
                limits::OUTPUTS_BYTES
            );
            return self.failed(name, message, false, now_ms);
        }
        let Some(step) = self.progress.step_mut(name) else { return };
        (step.status, step.ended_ms) = (Status::Done, Some(now_ms));
        step.outputs = Some(outputs.as_object().cloned().unwrap_or_default());
        step.output_bytes = size;
        let parent = step.scope_and_name().0.to_owned();
        let is_done = self.progress.within(&parent).all(|child| child.status == Status::Done);
        if parent.is_empty() || !is_done {
            return;
        }
        // What the last one gave is what the parent gave.
        let last = self.progress.within(&parent).next_back();
        let default = last.and_then(|child| child.outputs.as_ref()?.get("default").cloned());
        let outputs = json!({"default": default, "result_status": "success"});
        self.done(&parent, outputs, now_ms);
    }

    fn failed(&mut self, name: &str, message: String, again: bool, now_ms: u64) {
        let Some(retries) = self.plan.step(name).map(|step| step.retries) else { return };
        let message = cut(message);
        let Some(step) = self.progress.step_mut(name) else { return };
        if !again || step.attempt >= retries.max_attempts {
            step.last_retry_message = Some(message.clone());
            return self.abort(format!("step {name}: {message}"), true, now_ms);
        }
        let pause = u64::try_from(retries.pause(step.attempt).as_millis()).unwrap_or(u64::MAX);
        step.status = Status::Retry;
        step.due_ms = Some(now_ms.saturating_add(pause));
        step.attempt += 1;
        step.last_retry_message = Some(message);
    }

    /// The pipeline is to be ended, up to its root: no step begins any more, and what runs is ended.
    pub(super) fn abort(&mut self, message: String, failed: bool, now_ms: u64) {
        if self.progress.abort.is_some() {
            return;
        }
        let message = cut(message);
        self.progress.abort = Some(Abort { message, failed });
        (self.progress.status, self.progress.updated_ms) = (Status::Finalizing, now_ms);
    }

    /// It is more than can be stored: where it has not ended it fails, and it goes on without what its steps
    /// gave and said.
    pub(super) fn lighten(&mut self, why: &str, now_ms: u64) {
        if self.progress.ended_ms.is_none() {
            self.abort(format!("it is too large to be stored: {why}"), true, now_ms);
        }
        for step in &mut self.progress.steps {
            (step.outputs, step.output_bytes, step.children) = (None, 0, None);
            (step.message, step.links, step.last_retry_message) = (None, None, None);
        }
    }

    /// The jobs that are to be ended before an aborted pipeline has ended.
    pub(super) fn jobs_to_abort(&self) -> Vec<String> {
        let running = self.progress.steps.iter().filter(|step| step.status == Status::Run);
        running.filter_map(|step| step.job.clone()).collect()
    }

    /// Whether there is nothing more to do but to end.
    pub(super) fn is_over(&self) -> bool {
        self.progress.abort.is_some()
            || self.progress.steps.iter().all(|step| step.status == Status::Done)
    }

    /// How it ends.
    pub(super) fn result(&self) -> JobResult {
        match &self.progress.abort {
            None => JobResult::Success,
            Some(Abort { failed: true, .. }) => JobResult::Failed,
            Some(Abort { failed: false, .. }) => JobResult::Aborted,
        }
    }

    /// How it ended was decided by a former owner.
    pub(super) fn decided(&mut self, result: JobResult, now_ms: u64) {
        let failed = result == JobResult::Failed;
        if result != JobResult::Success {
            self.abort("why it ended is not known".to_owned(), failed, now_ms);
        }
    }

    /// Who hears of its end.
    pub(super) fn finally(&self) -> Option<&Callback> {
        self.plan.document().and_then(|pipeline| pipeline.finally.as_ref())
    }

    /// The pipeline has ended.
    pub(super) fn end(&mut self, now_ms: u64) {
        let aborted = self.progress.abort.is_some();
        self.progress.status = if aborted { Status::Aborted } else { Status::Done };
        self.progress.ended_ms = self.progress.ended_ms.or(Some(now_ms));
        self.progress.updated_ms = now_ms;
        for step in self.progress.steps.iter_mut().filter(|step| step.status != Status::Done) {
            (step.status, step.due_ms) = (Status::Aborted, None);
            step.ended_ms = step.started_ms.and(Some(now_ms));
        }
    }

    /// What a callback says of its end.
    pub(super) fn notice(&self) -> Value {
        let mut notice = Map::new();
        let tree = self.progress.summary();
        for name in ["id", "name", "status", "result_status", "abort_message"] {
            notice.insert(name.to_owned(), tree[name].clone());
        }
        Value::Object(notice)
    }
}

/// Why a step or a pipeline failed, as far as lists and trees show it.
fn cut(message: String) -> String {
    match message.char_indices().nth(limits::FAILURE_CHARS) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message,
    }
}
