//! Pipelines: started, looked at, ended.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{JobFilter, Once, StartedJob, read, whole};
use crate::connection::Client;
use crate::error::Result;
use crate::object::escape;

/// Some pipelines, the newest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PipelineList {
    /// The pipelines.
    pub pipelines: Vec<PipelineSummary>,
    /// Where the list goes on; `None` at its end.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A pipeline in a list.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct PipelineSummary {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Where it stands, such as `run`, `done`, `aborted`.
    pub status: String,
    /// When it was started, in milliseconds since 1970 began.
    pub start_time_ms: u64,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct PipelineShown {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Where it stands, such as `run`, `done`, `aborted`.
    pub status: String,
    /// Why it was aborted.
    pub abort_message: Option<String>,
    /// Its steps, by name.
    pub steps: BTreeMap<String, StepShown>,
}

/// A step of a pipeline.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct StepShown {
    /// Where it stands, such as `waiting`, `run`, `done`.
    pub status: String,
    /// The job that it has started.
    pub job_id: Option<String>,
    /// The steps that it waits for.
    pub after: Vec<String>,
    /// The steps that it has added.
    pub children: Vec<String>,
    /// Which attempt it is, from 1.
    pub current_attempt: u64,
    /// How many there may be.
    pub max_attempts: u64,
    /// When it began, in milliseconds since 1970 began.
    pub start_time_ms: Option<u64>,
    /// When it ended, likewise.
    pub end_time_ms: Option<u64>,
    /// Why it was tried again.
    pub last_retry_message: Option<String>,
    /// What it says of itself, such as what is to be approved.
    pub message: Option<String>,
    /// What it gave, by name.
    pub outputs: BTreeMap<String, Value>,
}

impl PipelineShown {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "done" | "aborted")
    }
}

impl Client {
    /// Starts a pipeline.
    ///
    /// # Errors
    /// As [`Client::start_job`].
    pub async fn start_pipeline(
        &self,
        document: impl Into<Bytes>,
        once: &Once,
    ) -> Result<StartedJob> {
        self.start("/pipelines", document.into(), once).await
    }

    /// The pipelines, the newest first.
    ///
    /// # Errors
    /// As for any request.
    pub async fn pipelines(&self, filter: &JobFilter) -> Result<PipelineList> {
        read(&self.pipelines_json(filter).await?)
    }

    /// As [`Client::pipelines`], as the node writes it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn pipelines_json(&self, filter: &JobFilter) -> Result<Bytes> {
        self.get_json(&format!("/pipelines{}", filter.query())).await
    }

    /// One pipeline.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) 404 where there is none.
    pub async fn pipeline(&self, id: &str) -> Result<PipelineShown> {
        read(&self.pipeline_json(id).await?)
    }

    /// As [`Client::pipeline`], as the node writes it.
    ///
    /// # Errors
    /// As [`Client::pipeline`].
    pub async fn pipeline_json(&self, id: &str) -> Result<Bytes> {
        self.get_json(&path(id, "")).await
    }

    /// Has a pipeline end, with all its jobs.
    ///
    /// # Errors
    /// As [`Client::pipeline`].
    pub async fn abort_pipeline(&self, id: &str, message: Option<&str>) -> Result<()> {
        self.abort(&path(id, "/abort"), message).await
    }

    /// Consents to a step that waits for it.
    ///
    /// # Errors
    /// As [`Client::pipeline`]; [`Error::Refused`](crate::Error::Refused) 409 for a step that does not
    /// wait.
    pub async fn approve_step(&self, id: &str, step: &str) -> Result<()> {
        let path = path(id, &format!("/steps/{}/approve", escape(step)));
        let answer = self.send(Method::POST, &path, HeaderMap::new(), Bytes::new()).await?;
        whole(answer, &[StatusCode::ACCEPTED]).await.map(drop)
    }

    /// Removes a pipeline with its jobs and all that is kept of them but their outputs; one that is
    /// active only where it is to be aborted first.
    ///
    /// # Errors
    /// As [`Client::pipeline`]; [`Error::Refused`](crate::Error::Refused) 409 for one that is active.
    pub async fn remove_pipeline(&self, id: &str, abort: bool) -> Result<()> {
        self.remove(&path(id, if abort { "?abort=true" } else { "" })).await
    }
}

fn path(id: &str, below: &str) -> String {
    format!("/pipelines/{}{below}", escape(id))
}
