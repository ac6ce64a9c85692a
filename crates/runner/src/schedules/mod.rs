//! Schedules: jobs that are started by the clock.
//!
//! A schedule is an object; that there is one, and which of its runs have been dealt with, is in the
//! metadata. One node looks after them (`worker`), by rules that wait for nothing (`turn`). A run is
//! started under an id that follows from the schedule and the planned time, in one decision with the run
//! itself: so it starts once.

mod turn;
mod worker;

use std::sync::Arc;

use mapring_cluster::{Change, JobKind, ScheduleRun, View};
use mapring_jobs::{Schedule, Start};
use mapring_types::versioned::Nothing;
use mapring_types::{ErrorKind, Release, Result, Versioned};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::configs::Configs;
use crate::error::JobsError;
use crate::formats::first_version;
use crate::pages::Page;
use crate::request::{ListRequest, ScheduleList};
use crate::runner::Runner;
use crate::store::{self, Entry, Shelf, Store};
use crate::{check, ids, limits};

pub(crate) use worker::ScheduleWorker;

/// A schedule as it is stored: its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    text: String,
}

/// Why a run could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    planned_ms: u64,
    error: String,
}

first_version!(
    Stored = "a schedule" by store::from_json,
    Note = "the last error of a schedule" by store::from_json,
);

/// A page of schedules, by their names, with their next runs; of a request its count and its cursor count.
///
/// # Errors
/// `Invalid` for a count that is none; those of the store.
pub(crate) async fn list(
    runner: &Runner,
    request: &ListRequest,
) -> Result<ScheduleList, JobsError> {
    let view = runner.view();
    let mut page = Page::of(request.count)?;
    let after = request.cursor.as_ref();
    let names = view.state.schedule_runs.keys();
    for name in names.filter(|name| after.is_none_or(|after| *name > after)) {
        let shown = match show(runner, name).await {
            Ok(shown) => shown,
            Err(JobsError::NotFound(..)) => continue,
            Err(error) => return Err(error),
        };
        if !page.add(name, shown) {
            break;
        }
    }
    let (schedules, cursor) = page.end();
    Ok(ScheduleList { schedules, cursor })
}

/// A schedule, with its next runs.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn show(runner: &Runner, name: &str) -> Result<Value, JobsError> {
    let view = runner.view();
    let last = view.state.schedule_runs.get(name).ok_or_else(|| no_schedule(name))?;
    let stored = get(&*runner.store, name).await?.ok_or_else(|| no_schedule(name))?;
    let schedule = Schedule::parse(stored.text.as_bytes())?;
    let note: Option<Note> = store::read(&*runner.store, Shelf::Schedules, &note_key(name)).await?;
    let mut shown = schedule.value().clone();
    if let Some(members) = shown.as_object_mut() {
        let next = schedule.next_runs(runner.now_ms().max(*last), limits::NEXT_RUNS);
        let error = note.map(|note| json!({"planned_ms": note.planned_ms, "error": note.error}));
        members.insert("name".to_owned(), name.into());
        members.insert("next_runs_ms".to_owned(), next.into());
        members.insert("dealt_with_until_ms".to_owned(), (*last).into());
        members.insert("active_jobs".to_owned(), active_jobs(&view, name).into());
        members.insert("last_error".to_owned(), error.unwrap_or_default());
    }
    Ok(shown)
}

/// Stores a schedule; returns whether it is new. Its runs from now on are started.
///
/// # Errors
/// `Invalid` with all that is wrong with it; `NotFound` for a named job that there is not; `Full`.
pub(crate) async fn put(
    runner: &Arc<Runner>,
    configs: &Configs,
    name: &str,
    body: &[u8],
) -> Result<bool, JobsError> {
    ids::check(name)?;
    if name.len() > limits::SCHEDULE_NAME_BYTES {
        let most = limits::SCHEDULE_NAME_BYTES;
        return Err(JobsError::invalid("name", format!("has at most {most} bytes")));
    }
    let schedule = Schedule::parse(body)?;
    check_job(runner, configs, &schedule).await?;
    let text = std::str::from_utf8(body)
        .map_err(|error| JobsError::invalid("", format!("the schedule is no text: {error}")))?;
    let planned_ms = runner.now_ms();
    let change = Change::SkipRun { run: ScheduleRun { schedule: name.to_owned(), planned_ms } };
    let view = runner.view();
    view.check_read(&change)?;
    let is_new = !view.state.schedule_runs.contains_key(name);
    if is_new && view.state.schedule_runs.len() >= mapring_cluster::limits::SCHEDULES {
        let most = mapring_cluster::limits::SCHEDULES;
        return Err(JobsError::Full(format!("there are {most} schedules already")));
    }
    let bytes = store::to_json(&Stored { text: text.to_owned() })?;
    runner.store.put(Shelf::Schedules, name, bytes, Entry::default()).await?;
    // Of what lies there the metadata know last: so whoever finds a schedule there can read it.
    match runner.decide(change).await {
        Ok(()) => Ok(is_new),
        Err(error) if error.kind() == ErrorKind::Invalid => {
            Err(JobsError::Full(error.message().to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the job of a schedule could start now.
///
/// # Errors
/// `Invalid` with what is wrong with it; `NotFound` for a named job that there is not.
async fn check_job(
    runner: &Runner,
    configs: &Configs,
    schedule: &Schedule,
) -> Result<(), JobsError> {
    const JOB: &str = "job";
    let problems = match &schedule.start {
        Start::Document(document) => check::within(runner, JOB, document),
        Start::Config { name, params, over } => {
            let config = configs.get(name).await?;
            let values = config.resolve(params).map_err(|invalid| invalid.within(JOB))?;
            // What a function makes of them is known when the job starts.
            if config.validator.is_some() {
                return Ok(());
            }
            let document = config.fill(&values, over).map_err(|invalid| invalid.within(JOB))?;
            check::within(runner, JOB, &document)
        }
    };
    check::refuse(problems)
}

/// Removes a schedule: no run of it is started any more. Jobs that it has started go on.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn remove(runner: &Runner, name: &str) -> Result<(), JobsError> {
    if !runner.view().state.schedule_runs.contains_key(name) {
        return Err(no_schedule(name));
    }
    runner.decide(Change::ForgetRuns { schedule: name.to_owned() }).await?;
    runner.store.remove(Shelf::Schedules, name).await?;
    runner.store.remove(Shelf::Schedules, &note_key(name)).await?;
    Ok(())
}

async fn get(store: &dyn Store, name: &str) -> Result<Option<Stored>> {
    store::read(store, Shelf::Schedules, name).await
}

async fn put_note(store: &dyn Store, name: &str, note: &Note) -> Result<()> {
    store.put(Shelf::Schedules, &note_key(name), store::to_json(note)?, Entry::default()).await
}

fn note_key(name: &str) -> String {
    format!("{name}/error")
}

/// The id of the job that a run is.
fn job_id(schedule: &str, planned_ms: u64) -> String {
    format!("{schedule}.{planned_ms}")
}

/// The ids of the jobs of a schedule that have not ended. Where an end is decided, only others have still to
/// hear of it: that holds up no run.
fn active_jobs(view: &View, schedule: &str) -> Vec<String> {
    let prefix = format!("{schedule}.");
    let jobs = view.state.jobs.range(prefix.clone()..);
    let of = jobs.take_while(|(id, _)| id.starts_with(&prefix)).filter(|(id, job)| {
        let run = id.get(prefix.len()..).unwrap_or_default();
        let is_run = run.bytes().all(|byte| byte.is_ascii_digit()) && !run.is_empty();
        job.kind == JobKind::Job && is_run && !job.is_decided()
    });
    of.map(|(id, _)| id.clone()).collect()
}

fn no_schedule(name: &str) -> JobsError {
    JobsError::NotFound("schedule", name.to_owned())
}
