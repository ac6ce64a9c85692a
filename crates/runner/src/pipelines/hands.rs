//! How a node does what the steps of its pipelines ask for.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use mapring_cluster::JobResult;
use mapring_types::{Error, Result};
use serde_json::Value;
use tokio::time::timeout;

use super::drive::{Hands, JobEnd};
use super::progress::Progress;
use super::stored;
use crate::configs::Configs;
use crate::error::JobsError;
use crate::formats::StoredRecord;
use crate::functions::{self, CallFailure, Called};
use crate::live::Live;
use crate::runner::Runner;
use crate::start::{self, NewJob};
use crate::store::Shelf;
use crate::{limits, record, remove, results};

/// The hands of a node that owns a pipeline.
pub(super) struct NodeHands {
    pub(super) runner: Arc<Runner>,
    pub(super) configs: Configs,
    pub(super) live: Arc<Live>,
}

#[async_trait]
impl Hands for NodeHands {
    async fn start_job(&self, id: &str, document: &Value) -> Result<(), JobsError> {
        self.runner.may_go_on(&self.live)?;
        let new = NewJob { value: document.clone(), id: id.to_owned(), run: None };
        start::start_somewhere(&self.runner, &self.configs, new).await.map(drop)
    }

    async fn end_of_job(&self, id: &str) -> Result<Option<JobEnd>> {
        let runner = &self.runner;
        let mut changes = runner.peers.cluster.changes();
        loop {
            changes.borrow_and_update();
            let job = runner.job(id);
            // An end is stored before it is decided.
            if job.as_ref().is_none_or(|job| job.is_decided()) {
                let record = record::get(&*runner.store, id).await?;
                match record.filter(|record| record.end.is_some()) {
                    Some(record) => return self.end(id, record).await.map(Some),
                    None if job.is_none() => return Ok(None),
                    None => {}
                }
            }
            // Without its sender the node is gone.
            let _ = timeout(limits::LONGEST_RETRY, changes.changed()).await;
        }
    }

    async fn abort_job(&self, id: &str, message: &str) -> Result<()> {
        match remove::abort(&self.runner, id, message).await {
            Err(JobsError::Node(error)) => Err(error),
            // There is none, or it has ended.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn call(&self, code: &Value, given: &Value) -> Result<Called, CallFailure> {
        let arg = code.get("arg").cloned().unwrap_or_default();
        let Runner { kv, mapred, .. } = &*self.runner;
        functions::call((kv, mapred), code, &[given.clone(), arg], limits::STEP_FUNCTION).await
    }

    async fn is_approved(&self, pipeline: &str, step: &str) -> Result<bool> {
        let key = stored::approval_key(pipeline, step);
        Ok(self.runner.store.get(Shelf::Pipelines, &key).await?.is_some())
    }

    async fn save(&self, progress: &Progress) -> Result<()> {
        self.runner.may_go_on(&self.live)?;
        stored::put(&*self.runner.store, progress, || self.runner.may_go_on(&self.live)).await
    }

    fn now_ms(&self) -> u64 {
        self.runner.now_ms()
    }
}

impl NodeHands {
    async fn end(&self, id: &str, record: StoredRecord) -> Result<JobEnd> {
        let detail = &record.detail;
        let result = record.end.map_or(JobResult::Failed, |end| end.result);
        let error = detail.error.as_ref().map_or_else(String::new, |error| {
            let said = error.get("error").and_then(Value::as_str);
            said.map_or_else(|| error.to_string(), str::to_owned)
        });
        let counters = serde_json::to_value(&detail.counters).unwrap_or_default();
        // Of a job with an output the rows are the names of all its objects; what is shown of it are the first.
        let given = match result {
            JobResult::Success => self.answer(id, &record).await?,
            JobResult::Failed | JobResult::Aborted => Ok(Value::Null),
        };
        Ok(JobEnd { result, given, counters, error })
    }

    /// What a job has given as one value; in words, why it cannot be.
    async fn answer(&self, id: &str, record: &StoredRecord) -> Result<Result<Value, String>> {
        let results = match results::of(&self.runner, id, record) {
            Ok(results) => results,
            Err(other) => return Ok(Err(other.to_string())),
        };
        let answer = match results::collect(&self.runner, results).await {
            Ok(answer) => answer,
            Err(JobsError::Node(error)) => return Err(error),
            Err(other) => return Ok(Err(format!("of the job {id}: {other}"))),
        };
        if answer.length > limits::STEP_OUTPUT_BYTES as u64 {
            return Ok(Err(format!(
                "the job {id} gave {} bytes, and a step passes at most {} on: have it write an output, \
                 whose objects can be inputs of any length",
                answer.length,
                limits::STEP_OUTPUT_BYTES
            )));
        }
        let unread = |error| Error::unavailable(format!("the results of the job {id}: {error}"));
        let body: Vec<Bytes> = answer.body.try_collect().await.map_err(unread)?;
        let body = body.concat();
        let value = match answer.is_lines {
            true => serde_json::Deserializer::from_slice(&body).into_iter::<Value>().collect(),
            false => serde_json::from_slice(&body),
        };
        Ok(value.map_err(|error| format!("the results of the job {id} are no JSON: {error}")))
    }
}
