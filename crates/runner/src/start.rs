//! Starting jobs: what is asked is read and checked, stored, and then decided, once for an id.

use std::sync::Arc;

use mapring_cluster::{Change, JobKind, JobRecord, JobState, ScheduleRun};
use mapring_jobs::{Document, Start};
use mapring_types::{ErrorKind, NodeId};
use serde_json::Value;

use crate::configs::Configs;
use crate::error::JobsError;
use crate::formats::StoredDocument;
use crate::request::{Naming, StartRequest, StartedJob};
use crate::runner::Runner;
use crate::{check, document, earlier, ids, record, rendezvous};

/// A job to be started by the program itself: as a step of a pipeline, or by a schedule.
pub(crate) struct NewJob {
    /// What is to be done: a document, or the name of a job with its parameters.
    pub(crate) value: Value,
    pub(crate) id: String,
    /// The run of a schedule that it is.
    pub(crate) run: Option<ScheduleRun>,
}

/// Starts what a client asks for, on this node.
///
/// # Errors
/// What is wrong with it, or that it cannot be started now.
pub(crate) async fn start(
    runner: &Arc<Runner>,
    configs: &Configs,
    request: StartRequest,
) -> Result<StartedJob, JobsError> {
    let start = Start::parse(&request.body)?;
    let id = match request.name {
        Naming::New => ids::new_id(runner.now_ms(), &*runner.entropy),
        Naming::Id(id) => id,
        Naming::Key(key) => ids::id_of_key(&key),
    };
    let me = runner.me();
    begin(runner, configs, (id, start, None), |_| me).await
}

/// Starts a job of the program itself, on any node that is up: of many the jobs are spread.
///
/// # Errors
/// As [`start`].
pub(crate) async fn start_somewhere(
    runner: &Arc<Runner>,
    configs: &Configs,
    new: NewJob,
) -> Result<StartedJob, JobsError> {
    let view = runner.view();
    let owner = move |id: &str| rendezvous::first(id, &view.up).unwrap_or(view.me);
    let NewJob { value, id, run } = new;
    begin(runner, configs, (id, Start::of(&value)?, run), owner).await
}

/// What is asked for as JSON.
fn value_of(start: &Start) -> Value {
    match start {
        Start::Document(document) => document.value().clone(),
        Start::Config { name, params, over } => {
            let mut members = over.clone();
            members.insert("config".to_owned(), Value::from(name.as_str()));
            members.insert("params".to_owned(), Value::Object(params.clone()));
            Value::Object(members)
        }
    }
}

/// The document of what is asked for.
///
/// # Errors
/// All that is wrong with it.
pub(crate) async fn document_of(
    runner: &Arc<Runner>,
    configs: &Configs,
    start: Start,
) -> Result<Document, JobsError> {
    let document = match start {
        Start::Document(document) => *document,
        Start::Config { name, params, over } => configs.fill(runner, &name, &params, &over).await?,
    };
    check::document(runner, &document)?;
    Ok(document)
}

async fn begin(
    runner: &Arc<Runner>,
    configs: &Configs,
    (id, start, run): (String, Start, Option<ScheduleRun>),
    owner: impl FnOnce(&str) -> NodeId,
) -> Result<StartedJob, JobsError> {
    ids::check(&id)?;
    let digest = ids::digest(&value_of(&start));
    // Before it is looked for: one of the same id that starts and ends meanwhile is found by that.
    let after_epoch = Some(runner.view().state.ended_epoch(&id));
    if let Some(known) = known(runner, &id, digest).await? {
        return Ok(known);
    }
    let document = document_of(runner, configs, start).await?;
    earlier::check(runner, &document).await?;
    let (owner, since_ms) = (owner(&id), runner.now_ms());
    let change = Change::StartJob {
        id: id.clone(),
        kind: JobKind::Job,
        owner,
        digest,
        now_ms: since_ms,
        run,
        after_epoch,
    };
    // Before anything is stored.
    runner.view().check_read(&change)?;
    let stored = StoredDocument { document: document.value().clone(), digest, since_ms };
    document::put(&*runner.store, &id, &stored).await?;
    match runner.decide(change).await {
        Ok(()) => Ok(decided(runner, id, (owner, since_ms))),
        Err(error) if error.kind() == ErrorKind::Invalid => {
            if let Some(known) = known(runner, &id, digest).await? {
                return Ok(known);
            }
            // Nobody reads it: what cannot be removed now goes with time.
            if let Err(error) = document::remove(&*runner.store, &id, digest).await {
                tracing::debug!(%error, job = id, "the document of a job that is none stays");
            }
            Err(refused(runner, error.message()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The job of an id, where there is one of this document.
///
/// # Errors
/// `Conflict` where it is of another document.
async fn known(
    runner: &Arc<Runner>,
    id: &str,
    digest: u64,
) -> Result<Option<StartedJob>, JobsError> {
    let found = match runner.view().state.jobs.get(id) {
        Some(JobRecord { kind: JobKind::Job, digest, .. }) => Some(*digest),
        Some(_) => {
            return Err(JobsError::Conflict(format!("{id} is the id of a pipeline")));
        }
        None => {
            let record = record::get(&*runner.store, id).await?;
            record.filter(|record| record.end.is_some()).map(|record| record.digest)
        }
    };
    match found {
        None => Ok(None),
        Some(found) if found == digest => Ok(Some(StartedJob { id: id.to_owned(), is_new: false })),
        Some(_) => {
            let message = format!("there is a job \"{id}\" already, of another document");
            Err(JobsError::Conflict(message))
        }
    }
}

/// What is told of a start that was decided: another of the same document may have come before it, at a
/// node that this one had not heard of yet.
pub(crate) fn decided(runner: &Runner, id: String, begun: (NodeId, u64)) -> StartedJob {
    let view = runner.view();
    // One that has ended meanwhile was not there before.
    let is_new = view.state.jobs.get(&id).is_none_or(|job| (job.owner, job.since_ms) == begun);
    StartedJob { id, is_new }
}

/// Why a start is refused.
pub(crate) fn refused(runner: &Runner, why: &str) -> JobsError {
    if runner.view().state.jobs.len() >= mapring_cluster::limits::JOBS {
        return JobsError::Full(why.to_owned());
    }
    JobsError::Conflict(why.to_owned())
}

/// Whether a job is to be ended.
pub(crate) fn is_aborting(record: &JobRecord) -> Option<&str> {
    match &record.state {
        JobState::Aborting { message } => Some(message),
        JobState::Active | JobState::Decided { .. } => None,
    }
}
