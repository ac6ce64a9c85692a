//! The life of a pipeline on the node that owns it, from its start until the metadata forget it.

use std::sync::Arc;

use mapring_cluster::{Change, JobResult, JobState};
use mapring_jobs::Pipeline;
use mapring_types::Result;

use super::advance::Running;
use super::drive::{Hands, drive, save};
use super::hands::NodeHands;
use super::progress::Progress;
use super::stored;
use crate::callbacks::Notice;
use crate::configs::Configs;
use crate::life::{again, refused_is_final};
use crate::live::{Live, Stop};
use crate::report::result_word;
use crate::runner::Runner;
use crate::{document, hearers};

/// Lives the life of a pipeline until it is forgotten, or until another node has it.
pub(crate) async fn live(runner: Arc<Runner>, configs: Configs, live: Arc<Live>) {
    tokio::select! {
        biased;
        () = live.fenced() => {
            tracing::info!(pipeline = live.id, "a pipeline is not worked on here any more");
        }
        () = to_the_end(&runner, configs, &live) => {}
    }
}

async fn to_the_end(runner: &Arc<Runner>, configs: Configs, live: &Arc<Live>) {
    let hands: Arc<dyn Hands> =
        Arc::new(NodeHands { runner: runner.clone(), configs, live: live.clone() });
    let Some(progress) = again(|| progress(runner, live)).await else {
        tracing::warn!(pipeline = live.id, "the document of a pipeline is gone");
        decide(runner, live, JobResult::Failed).await;
        return forget(runner, live).await;
    };
    let mut running = Running::new(progress);
    let result = match live.record.state {
        JobState::Decided { result } => {
            running.decided(result, runner.now_ms());
            result
        }
        JobState::Active | JobState::Aborting { .. } => {
            drive(&mut running, &hands, aborted(live)).await;
            let result = running.result();
            decide(runner, live, result).await;
            result
        }
    };
    running.end(runner.now_ms());
    save(&mut running, &hands).await;
    tracing::info!(pipeline = live.id, result = result_word(result), "a pipeline has ended");
    if let Some(callback) = running.finally() {
        // What went wrong has been told: a receiver that is gone does not keep a pipeline.
        let mut said = running.notice();
        said["delivery"] = hearers::delivery(live, "callback").into();
        let notice = Notice::new(&live.id, &said);
        if live.tell(runner.callbacks.deliver(callback, &notice)).await.is_none() {
            tracing::warn!(pipeline = live.id, "the callback of a pipeline is given up");
        }
    }
    forget(runner, live).await;
}

/// How far the pipeline is: as it was stored, or at its beginning. `None` where there is nothing of it.
async fn progress(runner: &Runner, live: &Live) -> Result<Option<Progress>> {
    let stored = stored::get(&*runner.store, &live.id).await?;
    let record = &live.record;
    let same =
        |stored: &Progress| (stored.digest, stored.started_ms) == (record.digest, record.since_ms);
    if let Some(stored) = stored.filter(same) {
        return Ok(Some(Progress { epoch: record.epoch, ..stored }));
    }
    let Some(stored) = document::get(&runner.store, &live.id, record).await? else {
        return Ok(None);
    };
    let pipeline = Pipeline::parse(stored.document.to_string().as_bytes());
    Ok(pipeline.ok().map(|pipeline| {
        let new = Progress::new(&live.id, &pipeline, record.digest, record.since_ms);
        Progress { epoch: record.epoch, ..new }
    }))
}

/// The words of somebody who ends the pipeline.
async fn aborted(live: &Live) -> String {
    if let JobState::Aborting { message } = &live.record.state {
        live.stop(Stop::Abort(message.clone()));
    }
    match live.stopped().await {
        Stop::Abort(message) if !message.is_empty() => message,
        Stop::Abort(_) => "the pipeline was aborted".to_owned(),
        // It is dropped at once.
        Stop::Fenced => std::future::pending().await,
    }
}

async fn decide(runner: &Runner, live: &Live, result: JobResult) {
    let change = || Change::DecideJob { id: live.id.clone(), epoch: live.record.epoch, result };
    again(|| async {
        runner.may_go_on(live)?;
        refused_is_final(live, runner.decide(change()).await).await
    })
    .await;
}

async fn forget(runner: &Runner, live: &Live) {
    let store = &*runner.store;
    again(|| document::remove(store, &live.id, live.record.digest)).await;
    let change = || Change::ForgetJob { id: live.id.clone(), epoch: live.record.epoch };
    again(|| async { refused_is_final(live, runner.decide(change()).await).await }).await;
}
