//! The query of a job: it is run, and what it gives is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;
use mapring_cluster::JobResult;
use mapring_jobs::{Document, Execution};
use mapring_mapred::{Control, Failure, JobOptions, PhaseResults, Results, Started};
use mapring_types::{Error, ErrorKind};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::earlier;
use crate::error::JobsError;
use crate::failure;
use crate::formats::Pieces;
use crate::keeping::{self, Asked, Keeper, Kept};
use crate::live::Live;
use crate::runner::Runner;

/// How the query of a job ended.
pub(crate) struct Done {
    pub(crate) result: JobResult,
    pub(crate) error: Option<Value>,
    pub(crate) pieces: Vec<Pieces>,
}

/// Whether a job may go on: while this node holds its lease, and nobody has told the job to stop. Once its
/// outputs are being written, nobody but another owner does.
pub(crate) struct Permit {
    runner: Arc<Runner>,
    live: Arc<Live>,
    /// Whether it has ever said no: the lease may be held again when the query has failed of that.
    refused: AtomicBool,
}

impl Permit {
    pub(crate) fn new(runner: Arc<Runner>, live: Arc<Live>) -> Self {
        Self { runner, live, refused: AtomicBool::new(false) }
    }

    /// Whether something could not be stored since the query began.
    fn has_refused(&self) -> bool {
        !self.may_store() || self.refused.load(Ordering::Acquire)
    }
}

impl Control for Permit {
    fn may_store(&self) -> bool {
        let may = self.runner.lease.is_held() && self.live.stopping().is_none();
        match may {
            true => self.runner.goes_on(&self.live),
            false => self.refused.store(true, Ordering::Release),
        }
        may
    }

    fn may_write_outputs(&self) -> bool {
        let may = self.may_store() && self.live.begin_outputs();
        if !may {
            self.refused.store(true, Ordering::Release);
        }
        may
    }
}

/// Runs the query of a job to its end. Dropping it ends the query on all nodes.
///
/// # Errors
/// What keeps it from running now, and may pass.
pub(crate) async fn run(
    runner: &Arc<Runner>,
    live: &Arc<Live>,
    document: &Document,
) -> Result<Done, Error> {
    let query = match earlier::query(&runner.store, document).await {
        Ok(query) => query,
        Err(JobsError::Node(error)) => return Err(error),
        Err(wrong) => return Ok(refused(&wrong)),
    };
    let control = Arc::new(Permit::new(runner.clone(), live.clone()));
    let (mut kept, begun) = keeping::begin(runner, live, &query).await?;
    let resume = begun.resume.clone();
    let resumes = resume.is_some();
    let (keeper, asks) = Keeper::new(begun, live.clone());
    let Execution { timeout, rate, retries, limits, queue, slice, .. } = document.execution;
    let options = JobOptions {
        timeout,
        rate,
        retries,
        limits,
        priority: queue,
        slice,
        checkpoints: Some(keeper.clone()),
        resume,
        ..JobOptions::new(live.id.as_str(), control.clone())
    };
    let Started { results, handle } = match runner.mapred.start_job(query, options).await {
        Ok(started) => started,
        Err(rejection) => return Ok(refused(&JobsError::Query(rejection))),
    };
    live.run(handle.clone(), resumes, runner.now_ms());
    let taken = take(runner, live, results, asks, &mut kept).await;
    if taken.is_err() {
        live.give_up_outputs();
    }
    match taken {
        Ok(()) => {
            live.look(runner.now_ms());
            let pieces = kept.results.pieces().to_vec();
            Ok(Done { result: JobResult::Success, error: None, pieces })
        }
        Err(Broken::Query(failure))
            if keeper.has_lost() || (handle.begins_anew() && failure.kind.may_pass()) =>
        {
            tracing::error!(%failure, job = live.id, "a job begins anew: what it goes on with is gone");
            let why = failure.to_string();
            live.retry(&why, runner.now_ms());
            runner.may_go_on(live)?;
            keeping::drop_checkpoint(runner, live).await?;
            Err(Error::unavailable(why))
        }
        Err(Broken::Query(failure)) => failed(runner, live, &failure, &control),
        Err(Broken::Store(error)) => unstored(live, runner, error),
    }
}

/// Why not all results were taken.
enum Broken {
    /// The query failed.
    Query(Failure),
    /// They cannot be kept.
    Store(Error),
}

/// Takes what a query gives, and keeps it and what it asks for.
async fn take(
    runner: &Runner,
    live: &Live,
    mut results: Results,
    mut asks: mpsc::Receiver<Asked>,
    kept: &mut Kept,
) -> Result<(), Broken> {
    loop {
        let next = tokio::select! {
            biased;
            Some(asked) = asks.recv() => {
                kept.answer(runner, live, asked).await.map_err(Broken::Store)?;
                None
            }
            next = results.try_next() => Some(next),
        };
        match next {
            Some(Ok(Some(some))) => {
                if kept.aside.is_some() {
                    live.add_outputs(outputs(&some));
                }
                kept.results.add(some).await.map_err(Broken::Store)?;
            }
            Some(Ok(None)) => return kept.results.flush().await.map_err(Broken::Store),
            Some(Err(failure)) => return Err(Broken::Query(failure)),
            None => {}
        }
        kept.save_if_due(runner, live).await;
    }
}

/// Objects that were stored as outputs.
fn outputs(results: &PhaseResults) -> impl Iterator<Item = Value> {
    results.values.iter().filter_map(|row| serde_json::from_str(row.text()).ok())
}

fn refused(wrong: &JobsError) -> Done {
    let error = Some(failure::said("refused", wrong.to_string()));
    Done { result: JobResult::Failed, error, pieces: Vec::new() }
}

/// A failure of the query: the end of the job, unless it passes, or is only that of this node.
pub(crate) fn failed(
    runner: &Runner,
    live: &Live,
    failure: &Failure,
    permit: &Permit,
) -> Result<Done, Error> {
    if failure.kind.may_pass() || permit.has_refused() {
        let why = failure.to_string();
        live.retry(&why, runner.now_ms());
        return Err(Error::unavailable(why));
    }
    live.look(runner.now_ms());
    live.fail(failure, runner.now_ms());
    let error = Some(failure::shown(failure));
    Ok(Done { result: JobResult::Failed, error, pieces: Vec::new() })
}

/// Results that cannot be stored: for good where they are too many, else until the store takes them again.
fn unstored(live: &Live, runner: &Runner, error: Error) -> Result<Done, Error> {
    if error.kind() != ErrorKind::TooLarge {
        return Err(error);
    }
    live.look(runner.now_ms());
    let error = Some(failure::said("results", error.to_string()));
    Ok(Done { result: JobResult::Failed, error, pieces: Vec::new() })
}
