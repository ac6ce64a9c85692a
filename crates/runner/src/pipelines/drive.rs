//! A pipeline on the node that owns it: what its steps are to do is done, and what becomes of them is
//! stored before anything follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use mapring_cluster::JobResult;
use mapring_types::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::sync::RwLock;
use tokio::time::sleep;

use super::advance::{Happened, Running, Work};
use super::progress::Progress;
use crate::error::JobsError;
use crate::functions::{CallFailure, Called};
use crate::life::{again, again_unless_final};
use crate::limits;

/// What is done for steps, by whoever can.
#[async_trait]
pub(super) trait Hands: Send + Sync + 'static {
    /// Starts a job. The same again is no other.
    async fn start_job(&self, id: &str, document: &Value) -> Result<(), JobsError>;

    /// Waits until a job has ended; `None` where there is no such job.
    async fn end_of_job(&self, id: &str) -> Result<Option<JobEnd>>;

    /// Has a job ended, where there is one that has not.
    async fn abort_job(&self, id: &str, message: &str) -> Result<()>;

    /// Calls a function with what the steps gave that it follows.
    async fn call(&self, code: &Value, given: &Value) -> Result<Called, CallFailure>;

    /// Whether somebody has consented to a step.
    async fn is_approved(&self, pipeline: &str, step: &str) -> Result<bool>;

    /// Stores how far the pipeline is.
    async fn save(&self, progress: &Progress) -> Result<()>;

    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobEnd {
    pub(super) result: JobResult,
    /// What it gave; in words, why that cannot be had.
    pub(super) given: Result<Value, String>,
    pub(super) counters: Value,
    /// Why it has not succeeded.
    pub(super) error: String,
}

type Doing = BoxFuture<'static, (String, Happened)>;

/// Brings a pipeline to where nothing is left to be done for its steps. `aborted` gives the words of
/// somebody who ends it. May be dropped at any time, and be done again by another node.
pub(super) async fn drive(
    running: &mut Running,
    hands: &Arc<dyn Hands>,
    aborted: impl Future<Output = String>,
) {
    let mut doing: FuturesUnordered<Doing> = FuturesUnordered::new();
    // Held by those who start jobs: what is about to start must be known before all are ended.
    let starting = Arc::new(RwLock::new(()));
    let mut busy: BTreeSet<String> = BTreeSet::new();
    let mut aborted = std::pin::pin!(aborted);
    loop {
        running.begin(hands.now_ms());
        save(running, hands).await;
        if running.is_over() {
            break;
        }
        for (step, work) in running.work() {
            if busy.insert(step.clone()) {
                let doer = Doer {
                    hands: hands.clone(),
                    pipeline: running.progress.id.clone(),
                    starting: starting.clone(),
                };
                doing.push(Box::pin(async move {
                    let happened = doer.done(&step, work).await;
                    (step, happened)
                }));
            }
        }
        tokio::select! {
            biased;
            message = &mut aborted => running.abort(message, false, hands.now_ms()),
            Some((step, happened)) = doing.next() => {
                busy.remove(&step);
                running.happened(&step, happened, hands.now_ms());
            }
        }
    }
    drop(doing);
    drop(starting.write().await);
    end_jobs(running, hands).await;
}

/// Stores how far a pipeline is. What is too large to be stored ends it.
pub(super) async fn save(running: &mut Running, hands: &Arc<dyn Hands>) {
    let Err(error) = saved(&running.progress, &**hands).await else { return };
    let id = running.progress.id.clone();
    tracing::warn!(%error, pipeline = id, "a pipeline is too large to be stored");
    running.lighten(error.message(), hands.now_ms());
    if let Err(error) = saved(&running.progress, &**hands).await {
        // It ends all the same; what is shown of it is what was stored before.
        tracing::error!(%error, pipeline = id, "the end of a pipeline is not stored");
    }
}

/// Stores how far a pipeline is, as soon as that can be done.
///
/// # Errors
/// `TooLarge`.
async fn saved(progress: &Progress, hands: &dyn Hands) -> Result<()> {
    again(|| async {
        match hands.save(progress).await {
            Err(error) if error.kind() == ErrorKind::TooLarge => Ok(Err(error)),
            saved => saved.map(Ok),
        }
    })
    .await
}

/// Ends the jobs of a pipeline that is aborted, and waits until they have ended.
async fn end_jobs(running: &Running, hands: &Arc<dyn Hands>) {
    let message = format!("the pipeline {} is aborted", running.progress.id);
    let ends = running.jobs_to_abort().into_iter().map(|job| {
        let message = message.clone();
        async move {
            let aborted = async {
                again_unless_final(|| hands.abort_job(&job, &message)).await?;
                again_unless_final(|| hands.end_of_job(&job)).await
            };
            if let Err(error) = aborted.await {
                tracing::warn!(%error, job, "what is kept of a job of a pipeline cannot be read");
            }
        }
    });
    futures::stream::iter(ends).buffer_unordered(limits::STEPS_AT_ONCE).collect::<Vec<_>>().await;
}

/// Does what is to be done for a step.
struct Doer {
    hands: Arc<dyn Hands>,
    pipeline: String,
    starting: Arc<RwLock<()>>,
}

impl Doer {
    async fn done(&self, step: &str, work: Result<Work, String>) -> Happened {
        let hands = &*self.hands;
        match work {
            Err(why) => Happened::FailedForGood(why),
            Ok(Work::Job { id, document }) => self.job(&id, document).await,
            Ok(Work::Call { code, given }) => call(hands, &code, &given).await,
            Ok(Work::Pause { until_ms }) => {
                // The clock may be set meanwhile.
                while let Some(left) = until_ms.checked_sub(hands.now_ms()).filter(|left| *left > 0)
                {
                    sleep(Duration::from_millis(left).min(limits::LONGEST_RETRY)).await;
                }
                Happened::PauseOver
            }
            Ok(Work::Approval) => {
                while !again(|| hands.is_approved(&self.pipeline, step)).await {
                    sleep(limits::APPROVAL_WATCH).await;
                }
                Happened::Approved
            }
        }
    }

    async fn job(&self, id: &str, document: Value) -> Happened {
        let mut pause = limits::RETRY;
        let document = Arc::new(document);
        loop {
            match self.start(id, document.clone()).await {
                Ok(()) => break,
                // There may be room, or nodes, later.
                Err(error) if error.may_pass() => {
                    tracing::debug!(%error, job = id, "the job of a step is started again");
                }
                Err(wrong) => {
                    return Happened::FailedForGood(format!("no job is started: {wrong}"));
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(limits::LONGEST_RETRY);
        }
        let end = match again_unless_final(|| self.hands.end_of_job(id)).await {
            Ok(Some(end)) => end,
            Ok(None) => return Happened::Failed(format!("the job {id} is gone")),
            Err(error) => {
                let why = format!("what is kept of the job {id} cannot be read: {error}");
                return Happened::FailedForGood(why);
            }
        };
        match (end.result, end.given) {
            (JobResult::Success, Ok(default)) => {
                Happened::JobDone { default, counters: end.counters }
            }
            (JobResult::Success, Err(why)) => Happened::FailedForGood(why),
            (JobResult::Failed, _) => {
                Happened::Failed(format!("the job {id} failed: {}", end.error))
            }
            (JobResult::Aborted, _) => {
                Happened::FailedForGood(format!("the job {id} was aborted: {}", end.error))
            }
        }
    }

    /// Starts a job. A start goes on when nobody waits for it any more: half of it can be decided.
    async fn start(&self, id: &str, document: Arc<Value>) -> Result<(), JobsError> {
        let permit = self.starting.clone().read_owned().await;
        let (hands, id) = (self.hands.clone(), id.to_owned());
        let start = async move {
            let started = hands.start_job(&id, &document).await;
            drop(permit);
            started
        };
        match mapring_net::task::spawn(start).await {
            Ok(started) => started,
            Err(error) => {
                let error = Error::internal("the start of a job has panicked").with_source(error);
                Err(JobsError::Node(error))
            }
        }
    }
}

async fn call(hands: &dyn Hands, code: &Value, given: &Value) -> Happened {
    let mut pause = limits::RETRY;
    loop {
        match hands.call(code, given).await {
            Ok(Called { value, status }) => {
                let message = status.get("message").and_then(Value::as_str).map(cut);
                let links = status.get("links").filter(|links| {
                    !links.is_null() && links.to_string().len() <= limits::STEP_LINKS_BYTES
                });
                return Happened::Returned { value, message, links: links.cloned() };
            }
            Err(CallFailure::Function(why)) => return Happened::Failed(why),
            Err(CallFailure::Node(error)) => {
                tracing::debug!(%error, "the function of a step is called again");
                sleep(pause).await;
                pause = (pause * 2).min(limits::LONGEST_RETRY);
            }
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(limits::STEP_MESSAGE_CHARS).collect()
}
