//! What is told of jobs: of those that have not ended by the nodes that own them, of the others by what is
//! stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::{self, BoxStream};
use mapring_cluster::{JobRecord, JobState};
use mapring_net::Call;
use mapring_types::{Error, NodeId, Result};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::error::JobsError;
use crate::formats::{StoredErrors, StoredRecord};
use crate::live::{ABORTING, DONE, FINALIZING, WAITING};
use crate::report::{
    EventId, JobDetail, JobErrors, JobEvent, JobSummary, Unreachable, elapsed, result_word,
};
use crate::runner::Runner;
use crate::service::{self, Errors, Events, Show, Summaries};
use crate::store::{self, Shelf};
use crate::{document, limits, record};

/// All that is shown of a job.
///
/// # Errors
/// `NotFound`; those of the store.
pub(crate) async fn detail(runner: &Arc<Runner>, id: &str) -> Result<JobDetail, JobsError> {
    let Some(job) = runner.job(id) else { return ended(runner, id).await };
    let here = || service::show(runner, id);
    match ask(runner, &job, &Show(id.to_owned()), here).await {
        Ok(Some(told)) => {
            let mut detail: JobDetail = read(&told)?;
            // As long as it has not ended.
            if let Some(stored) = document::get(&runner.store, id, &job).await? {
                detail.spec = stored.document;
            }
            Ok(detail)
        }
        // Its owner has not taken it up yet, or has just ended it.
        Ok(None) => known(runner, id, None).await,
        Err(error) => known(runner, id, Some(&error)).await,
    }
}

/// What is known of a job of which its owner tells nothing. Where its end is stored, that it is over may have
/// been decided although this node does not know it yet, and others say it: that is waited for.
async fn known(runner: &Runner, id: &str, error: Option<&Error>) -> Result<JobDetail, JobsError> {
    let Some(job) = runner.job(id) else { return ended(runner, id).await };
    let detail = as_known(runner, id, &job, error).await?;
    if detail.state != FINALIZING {
        return Ok(detail);
    }
    let over = async {
        while runner.job(id).is_some() {
            sleep(limits::RETRY).await;
        }
    };
    match timeout(limits::LEARN_PATIENCE, over).await {
        Ok(()) => ended(runner, id).await,
        Err(_) => Ok(detail),
    }
}

/// What is stored of a job that has ended.
async fn ended(runner: &Runner, id: &str) -> Result<JobDetail, JobsError> {
    let record = record::get(&*runner.store, id).await?;
    // One without an end was never decided to be a job, or lost its last word.
    let record = record.filter(|record| record.end.is_some());
    record.map(|record| record.detail).ok_or_else(|| JobsError::no_job(id))
}

/// What is known of a job without its owner.
async fn as_known(
    runner: &Runner,
    id: &str,
    job: &JobRecord,
    error: Option<&Error>,
) -> Result<JobDetail> {
    let now = runner.now_ms();
    let stored = record::get(&*runner.store, id).await?;
    let stored = stored.filter(|stored| stored.digest == job.digest);
    let stored_ms = stored.as_ref().map_or(job.since_ms, |stored| stored.stored_ms);
    let mut detail = match stored {
        Some(stored) => stored.detail,
        None => JobDetail { state: WAITING.to_owned(), ..JobDetail::default() },
    };
    if let Some(document) = document::get(&runner.store, id, job).await? {
        let name = document.document.get("name").and_then(serde_json::Value::as_str);
        detail.name = name.map(str::to_owned);
        detail.spec = document.document;
    }
    detail.id = id.to_owned();
    detail.start_timestamp_ms = job.since_ms;
    detail.epoch = job.epoch;
    detail.active = true;
    detail.result_status = None;
    match &job.state {
        JobState::Active if detail.state == DONE => detail.state = FINALIZING.to_owned(),
        JobState::Active => {}
        JobState::Aborting { .. } => detail.state = ABORTING.to_owned(),
        JobState::Decided { result } => {
            detail.state = FINALIZING.to_owned();
            detail.result_status = Some(result_word(*result).to_owned());
        }
    }
    detail.updated_timestamp_ms = stored_ms;
    detail.elapsed = elapsed(now.saturating_sub(job.since_ms));
    let node = runner.peers.name(job.owner);
    detail.unreachable = error.map(|error| Unreachable {
        node: node.clone(),
        age_ms: now.saturating_sub(stored_ms),
        error: error.to_string(),
    });
    detail.node = Some(node);
    Ok(detail)
}

/// What lists show of jobs that have not ended, in the same order.
pub(crate) async fn summaries(
    runner: &Arc<Runner>,
    jobs: &[(String, JobRecord)],
) -> Vec<JobSummary> {
    let mut owners: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
    for (id, job) in jobs {
        owners.entry(job.owner).or_default().push(id.clone());
    }
    let me = runner.me();
    let asked = owners.into_iter().map(|(owner, ids)| async move {
        let told = match owner == me {
            true => service::summaries(runner, &ids),
            false => runner.peers.ask(owner, &Summaries(ids), limits::SHOW_PATIENCE).await,
        };
        told.and_then(|told| read::<Vec<JobSummary>>(&told)).unwrap_or_else(|error| {
            tracing::debug!(%error, %owner, "a node does not tell of its jobs");
            Vec::new()
        })
    });
    let told = join_all(asked).await.into_iter().flatten();
    let mut told: BTreeMap<String, JobSummary> =
        told.map(|summary| (summary.id.clone(), summary)).collect();
    let mut shown = Vec::with_capacity(jobs.len());
    for (id, job) in jobs {
        let summary = match told.remove(id) {
            Some(summary) => summary,
            None => match as_known(runner, id, job, None).await {
                Ok(detail) => detail.summary(),
                Err(_) => bare(runner, id, job),
            },
        };
        shown.push(summary);
    }
    shown
}

/// What the metadata say of a job.
fn bare(runner: &Runner, id: &str, job: &JobRecord) -> JobSummary {
    JobSummary {
        id: id.to_owned(),
        active: true,
        state: WAITING.to_owned(),
        start_timestamp_ms: job.since_ms,
        updated_timestamp_ms: job.since_ms,
        elapsed: elapsed(runner.now_ms().saturating_sub(job.since_ms)),
        ..JobSummary::default()
    }
}

/// The errors of a job.
///
/// # Errors
/// As [`detail`].
pub(crate) async fn errors(runner: &Arc<Runner>, id: &str) -> Result<JobErrors, JobsError> {
    if let Some(job) = runner.job(id) {
        let here = || service::errors(runner, id);
        if let Ok(Some(told)) = ask(runner, &job, &Errors(id.to_owned()), here).await {
            return Ok(read(&told)?);
        }
    } else {
        ended(runner, id).await?;
    }
    let stored: Option<StoredErrors> = store::read(&*runner.store, Shelf::Errors, id).await?;
    Ok(stored.map(|stored| stored.errors).unwrap_or_default())
}

/// What happens to a job, from after an event on: what is remembered, and then what comes. Ends with the
/// job.
///
/// # Errors
/// As [`detail`].
pub(crate) async fn events(
    runner: &Arc<Runner>,
    id: &str,
    after: Option<EventId>,
) -> Result<BoxStream<'static, JobEvent>, JobsError> {
    // Whether there is such a job is told at once.
    detail(runner, id).await?;
    let state = Some((runner.clone(), id.to_owned(), after.unwrap_or_default()));
    let pages = stream::unfold(state, |state| async move {
        let (runner, id, after) = state?;
        let Some(job) = runner.job(&id) else {
            return Some((last_events(&runner, &id, after).await, None));
        };
        let found = next_events(&runner, &id, &job, after).await;
        let after = found.last().map_or(after, |last| last.id);
        Some((found, Some((runner, id, after))))
    });
    Ok(pages.map(stream::iter).flatten().boxed())
}

/// The next events of a job that has not ended; none where none has come in time.
async fn next_events(
    runner: &Arc<Runner>,
    id: &str,
    job: &JobRecord,
    after: EventId,
) -> Vec<JobEvent> {
    let told = match job.owner == runner.me() {
        true => service::events(runner, id, after).await,
        false => {
            let patience = limits::EVENTS_WAIT + limits::SHOW_PATIENCE;
            runner.peers.ask(job.owner, &Events(id.to_owned(), after), patience).await
        }
    };
    let found = told.and_then(|told| told.map(|told| read(&told)).transpose());
    match found {
        Ok(Some(found)) => found,
        // It changes hands, or ends.
        Ok(None) | Err(_) => {
            tokio::time::sleep(limits::WATCH).await;
            Vec::new()
        }
    }
}

/// What is kept of what happened to a job that has ended, and its end, as far as that was not told before.
async fn last_events(runner: &Runner, id: &str, after: EventId) -> Vec<JobEvent> {
    let record = record::get(&*runner.store, id).await.ok().flatten();
    let Some(StoredRecord { events, detail, end: Some(_), .. }) = record else { return Vec::new() };
    let ended = JobEvent {
        id: EventId { epoch: detail.epoch, number: u64::MAX },
        time_ms: detail.updated_timestamp_ms,
        kind: "ended".to_owned(),
        data: serde_json::json!({
            "result_status": detail.result_status, "error": detail.error,
        }),
    };
    events.into_iter().chain([ended]).filter(|event| event.id > after).collect()
}

/// Asks the owner of a job.
async fn ask<C: Call<Answer = Option<Bytes>>>(
    runner: &Runner,
    job: &JobRecord,
    call: &C,
    here: impl FnOnce() -> Result<Option<Bytes>>,
) -> Result<Option<Bytes>> {
    match job.owner == runner.me() {
        true => here(),
        false => runner.peers.ask(job.owner, call, limits::SHOW_PATIENCE).await,
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|error| Error::corrupt("what is told of a job is damaged").with_source(error))
}
