//! Pipelines: jobs and other steps that follow each other.
//!
//! A pipeline is decided to be there as a job is, and has an owner, who drives it (`drive`): what its
//! steps are to do follows from how far it is (`progress`) and what was written (`plan`), by rules that
//! wait for nothing (`advance`). How far it is is stored at each change, under its id; so what is shown of
//! it is what is stored, and whoever takes it over goes on from there. Its jobs have ids that follow from
//! the pipeline, the step and the attempt: started again they are the same.

mod advance;
mod drive;
mod hands;
mod life;
mod named;
mod plan;
mod progress;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use mapring_background::{Context, Next, Worker};
use mapring_cluster::{Change, JobKind, JobRecord};
use mapring_jobs::{Pipeline, Status, StepKind};
use mapring_types::{ErrorKind, Result, quote};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::configs::Configs;
use crate::error::JobsError;
use crate::formats::StoredDocument;
use crate::request::{ListRequest, Naming, PipelineList, StartedJob};
use crate::runner::Runner;
use crate::store::{Entry, ListQuery, Shelf};
use crate::{check, document, ids, limits, record, remove};

pub(crate) use life::live;
use plan::Plan;
use progress::Progress;
use stored::{approval_key, get, of_state};

/// Starts a pipeline. The same again under one id is no other.
///
/// # Errors
/// All that is wrong with it; `Conflict` where there is another of its id.
pub(crate) async fn start(
    runner: &Arc<Runner>,
    configs: &Configs,
    body: &[u8],
    name: Naming,
) -> Result<StartedJob, JobsError> {
    if body.len() > limits::PIPELINE_BYTES {
        let most = limits::PIPELINE_BYTES;
        return Err(JobsError::invalid("", format!("a pipeline has at most {most} bytes")));
    }
    let pipeline = Pipeline::parse(body)?;
    let finally = pipeline.finally.iter().map(|callback| ("finally.callback", callback));
    runner.callbacks.check_all(finally)?;
    let jobs = pipeline.steps().iter().filter_map(|step| Some((&step.name, step.document()?)));
    let problems =
        jobs.flat_map(|(name, job)| check::within(runner, &format!("steps.{name}.job"), &job));
    let mut problems: Vec<_> = problems.collect();
    let id = match name {
        Naming::New => ids::new_id(runner.now_ms(), &*runner.entropy),
        Naming::Id(id) => id,
        Naming::Key(key) => ids::id_of_key(&key),
    };
    ids::check(&id)?;
    let digest = ids::digest(pipeline.value());
    // Before it is looked for, as of a job.
    let after_epoch = Some(runner.view().state.ended_epoch(&id));
    if let Some(known) = known(runner, &id, digest).await? {
        return Ok(known);
    }
    // Of one that is there already these may have changed.
    problems.extend(named::check_all(runner, configs, &pipeline).await?);
    check::refuse(problems)?;
    let (owner, since_ms) = (runner.me(), runner.now_ms());
    let change = Change::StartJob {
        id: id.clone(),
        kind: JobKind::Pipeline,
        owner,
        digest,
        now_ms: since_ms,
        run: None,
        after_epoch,
    };
    // Before anything is stored.
    runner.view().check_read(&change)?;
    let stored = StoredDocument { document: pipeline.value().clone(), digest, since_ms };
    document::put(&*runner.store, &id, &stored).await?;
    match runner.decide(change).await {
        Ok(()) => Ok(crate::start::decided(runner, id, (owner, since_ms))),
        Err(error) if error.kind() == ErrorKind::Invalid => {
            match known(runner, &id, digest).await? {
                Some(known) => Ok(known),
                None => Err(crate::start::refused(runner, error.message())),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// The pipeline of an id, where there is one of this document.
async fn known(runner: &Runner, id: &str, digest: u64) -> Result<Option<StartedJob>, JobsError> {
    let found = match runner.view().state.jobs.get(id) {
        Some(JobRecord { kind: JobKind::Pipeline, digest, .. }) => Some(*digest),
        Some(_) => return Err(JobsError::Conflict(format!("{id} is the id of a job"))),
        None => get(&*runner.store, id).await?.map(|stored| stored.digest),
    };
    match found {
        None => Ok(None),
        Some(found) if found == digest => Ok(Some(StartedJob { id: id.to_owned(), is_new: false })),
        Some(_) => {
            let message = format!("there is a pipeline \"{id}\" already, of another document");
            Err(JobsError::Conflict(message))
        }
    }
}

/// An unfinished pipeline, as the metadata have it.
fn unfinished(runner: &Runner, id: &str) -> Option<JobRecord> {
    let view = runner.view();
    view.state.jobs.get(id).filter(|job| job.kind == JobKind::Pipeline).cloned()
}

/// How far a pipeline is.
///
/// # Errors
/// `NotFound`.
async fn find(runner: &Arc<Runner>, id: &str) -> Result<Progress, JobsError> {
    if let Some(stored) = get(&*runner.store, id).await? {
        return Ok(stored);
    }
    // Its owner has not taken it up yet.
    let record = unfinished(runner, id).ok_or_else(|| no_pipeline(id))?;
    let document = document::get(&runner.store, id, &record).await?;
    let document = document.ok_or_else(|| no_pipeline(id))?.document;
    let pipeline = Pipeline::parse(document.to_string().as_bytes())?;
    Ok(Progress::new(id, &pipeline, record.digest, record.since_ms))
}

/// The status tree of a pipeline.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn show(runner: &Arc<Runner>, id: &str) -> Result<Value, JobsError> {
    let progress = find(runner, id).await?;
    let plan = Plan::of(&progress)?;
    Ok(progress.tree(&plan))
}

/// Pipelines, the newest first.
///
/// # Errors
/// `Invalid` for a state or a cursor that is none; those of the store.
pub(crate) async fn list(runner: &Runner, request: ListRequest) -> Result<PipelineList, JobsError> {
    let most = crate::list::page(request.count)?;
    let state = request.state.as_deref().filter(|state| !state.is_empty());
    if let Some(state) = state.filter(|state| Status::of(state).is_none()) {
        let message = format!("{} is none of the words for where a pipeline stands", quote(state));
        return Err(JobsError::invalid("state", message));
    }
    let (field, prefix) = match (&request.name, state) {
        (Some(name), _) => (record::NAME, record::of_name(name, "")),
        (None, Some(state)) => (record::STATE, of_state(state, "")),
        (None, None) => (record::AT, String::new()),
    };
    let term = |at: &str| format!("{prefix}{at}");
    let after = request.cursor.as_deref().map(crate::list::read_cursor).transpose()?;
    let query = ListQuery {
        shelf: Shelf::Pipelines,
        field: Some(field),
        from: term(""),
        // Behind all times.
        to: term("g"),
        after: after.map(|(at, id)| (term(&at), id)),
        // One more tells whether the list goes on.
        most: most + 1,
        brief: true,
    };
    let mut found = runner.store.list(&query).await?;
    let goes_on = found.len() > most;
    found.truncate(most);
    let cursor = found.last().filter(|_| goes_on).map(|last| {
        let at = last.term.rsplit(['\0', '/']).next().unwrap_or_default();
        format!("{at}.{}", last.key)
    });
    let pipelines = found.iter().map(|listed| {
        serde_json::from_slice(&listed.value).map_err(|error| {
            let what = format!("the summary of pipeline {} is damaged", listed.key);
            mapring_types::Error::corrupt(what).with_source(error)
        })
    });
    let mut pipelines = pipelines.collect::<Result<Vec<Value>>>()?;
    // Of one name they are few.
    pipelines.retain(|pipeline| state.is_none_or(|state| pipeline["status"] == state));
    Ok(PipelineList { pipelines, cursor })
}

/// Has a pipeline ended, with the jobs that it runs.
///
/// # Errors
/// `NotFound`; `Conflict` for one that has ended.
pub(crate) async fn abort(runner: &Arc<Runner>, id: &str, message: &str) -> Result<(), JobsError> {
    let ended = || JobsError::Conflict(format!("the pipeline \"{id}\" has ended already"));
    let Some(pipeline) = unfinished(runner, id) else {
        return Err(match get(&*runner.store, id).await? {
            Some(_) => ended(),
            None => no_pipeline(id),
        });
    };
    // Of one whose end is decided there is this left to end.
    if pipeline.is_decided() && remove::give_up_telling(runner, id, &pipeline).await {
        return Ok(());
    }
    let message = remove::cut_message(message);
    match runner.decide(Change::AbortJob { id: id.to_owned(), message }).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Invalid => Err(ended()),
        Err(error) => Err(error.into()),
    }
}

/// Consents to a step that waits for that.
///
/// # Errors
/// `NotFound`; `Conflict` for one that does not wait for it.
pub(crate) async fn approve(runner: &Arc<Runner>, id: &str, step: &str) -> Result<(), JobsError> {
    let progress = find(runner, id).await?;
    let plan = Plan::of(&progress)?;
    let missing = || JobsError::NotFound("step", format!("{id}/{step}"));
    let written = plan.step(step).ok_or_else(missing)?;
    let known = progress.step(step).ok_or_else(missing)?;
    match (written.kind, known.status) {
        (StepKind::Approve, Status::Done) => Ok(()),
        (StepKind::Approve, Status::Run) if progress.abort.is_none() => {
            let value = bytes::Bytes::from(runner.now_ms().to_string());
            let key = approval_key(id, step);
            Ok(runner.store.put(Shelf::Pipelines, &key, value, Entry::default()).await?)
        }
        (StepKind::Approve, status) => {
            let message = format!("the step \"{step}\" is {}, and waits for nobody", status.word());
            Err(JobsError::Conflict(message))
        }
        _ => Err(JobsError::Conflict(format!("the step \"{step}\" needs nobody's consent"))),
    }
}

/// Removes a pipeline that has ended, its jobs, and all that was kept of them but their outputs; one that
/// has not is ended first where `aborts` says so.
///
/// # Errors
/// `NotFound`; `Conflict` for one that has not ended.
pub(crate) async fn remove(runner: &Arc<Runner>, id: &str, aborts: bool) -> Result<(), JobsError> {
    if let Some(job) = unfinished(runner, id) {
        // Of one whose end is decided only a moment is left.
        if !aborts && !job.is_decided() {
            let message = format!("the pipeline \"{id}\" is active: abort it first");
            return Err(JobsError::Conflict(message));
        }
        if !job.is_decided() {
            match abort(runner, id, "the pipeline was removed").await {
                Ok(()) | Err(JobsError::Conflict(_)) => {}
                // It has just ended.
                Err(JobsError::NotFound(..)) => {}
                Err(error) => return Err(error),
            }
        }
        let forgotten = remove::forgotten(runner, id, || unfinished(runner, id));
        if timeout(limits::ABORT_PATIENCE, forgotten).await.is_err() {
            let message = format!("the pipeline \"{id}\" has not ended yet: ask again");
            return Err(JobsError::Conflict(message));
        }
    }
    let progress = get(&*runner.store, id).await?.ok_or_else(|| no_pipeline(id))?;
    purge(runner, &progress).await
}

/// Removes what is kept of a pipeline. It goes last itself, so that it can be done again.
async fn purge(runner: &Arc<Runner>, progress: &Progress) -> Result<(), JobsError> {
    for job in progress.jobs() {
        match remove::remove(runner, &job, true).await {
            // It may have been removed by itself.
            Ok(()) | Err(JobsError::NotFound(..)) => {}
            Err(error) => return Err(error),
        }
    }
    for step in &progress.steps {
        let key = approval_key(&progress.id, &step.name);
        runner.store.remove(Shelf::Pipelines, &key).await?;
    }
    runner.store.remove(Shelf::Pipelines, &progress.id).await?;
    Ok(())
}

/// Removes pipelines that were kept for a week.
pub(crate) struct CleanUpPipelines(pub(crate) Arc<Runner>);

#[async_trait]
impl Worker for CleanUpPipelines {
    fn name(&self) -> &'static str {
        "clean-up-pipelines"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let cleaned = async { Ok(format!("{} pipelines", clean_up(&self.0).await?)) };
        remove::round(&self.0, context, "clean-up-pipelines", cleaned).await
    }

    async fn wait(&mut self) {
        sleep(limits::CLEAN_UP).await;
    }
}

/// Removes the pipelines that were kept long enough; returns how many.
async fn clean_up(runner: &Arc<Runner>) -> Result<usize> {
    let mut removed = 0;
    // One at a time: each may have megabytes.
    for id in stored::over(&*runner.store, runner.now_ms()).await? {
        let stored = get(&*runner.store, &id).await?;
        // Another one of its id may have begun meanwhile.
        let Some(progress) = stored.filter(|stored| stored.ended_ms.is_some()) else { continue };
        match purge(runner, &progress).await {
            Ok(()) => removed += 1,
            Err(JobsError::Node(error)) => return Err(error),
            Err(error) => tracing::debug!(%error, id = progress.id, "a pipeline is not removed"),
        }
    }
    Ok(removed)
}

fn no_pipeline(id: &str) -> JobsError {
    JobsError::NotFound("pipeline", id.to_owned())
}
