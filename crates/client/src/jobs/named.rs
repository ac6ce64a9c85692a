//! Named jobs and schedules.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{json_headers, read, whole};
use crate::connection::Client;
use crate::error::Result;
use crate::object::escape;

/// The named jobs of a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobConfigs {
    /// The named jobs, in the order of their names.
    pub configs: Vec<JobConfig>,
    /// Where the list goes on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A named job.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct JobConfig {
    /// What it is called.
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// What can be given when it is started.
    pub params: Vec<JobParam>,
}

/// A parameter of a named job.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct JobParam {
    /// What it is called.
    pub name: String,
    /// What values it has, such as `integer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it is where it is not given.
    pub default: Option<Value>,
    /// What it says of itself.
    pub description: Option<String>,
}

/// The schedules of a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Schedules {
    /// The schedules, in the order of their names.
    pub schedules: Vec<ScheduleShown>,
    /// Where the list goes on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct ScheduleShown {
    /// What it is called.
    pub name: String,
    /// When it starts its job, in the five fields of cron.
    pub cron: String,
    /// In which time zone; UTC where nothing is said.
    pub time_zone: Option<String>,
    /// Its next runs, in milliseconds since 1970 began.
    pub next_runs_ms: Vec<u64>,
    /// Why its last run was not started.
    pub last_error: Option<Value>,
}

impl Client {
    /// The named jobs, all of them, however many pages there are.
    ///
    /// # Errors
    /// As for any request.
    pub async fn job_configs(&self) -> Result<JobConfigs> {
        let mut all: JobConfigs = read(&self.job_configs_json().await?)?;
        while let Some(cursor) = all.cursor.take() {
            let path = format!("/job-configs?cursor={}", escape(&cursor));
            let page: JobConfigs = read(&self.get_json(&path).await?)?;
            all.configs.extend(page.configs);
            all.cursor = page.cursor;
        }
        Ok(all)
    }

    /// The first page of [`Client::job_configs`], as the node writes it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn job_configs_json(&self) -> Result<Bytes> {
        self.get_json("/job-configs").await
    }

    /// A named job as the node writes it.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) 404 where there is none.
    pub async fn job_config_json(&self, name: &str) -> Result<Bytes> {
        self.get_json(&format!("/job-configs/{}", escape(name))).await
    }

    /// Stores a named job, in place of one of that name.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) 400 with everything that is wrong with it.
    pub async fn put_job_config(&self, name: &str, config: impl Into<Bytes>) -> Result<()> {
        self.put_named("/job-configs", name, config.into()).await
    }

    /// Removes a named job.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused): 404 where there is none, 409 for one of a file.
    pub async fn remove_job_config(&self, name: &str) -> Result<()> {
        self.remove(&format!("/job-configs/{}", escape(name))).await
    }

    /// The schedules, all of them, however many pages there are.
    ///
    /// # Errors
    /// As for any request.
    pub async fn schedules(&self) -> Result<Schedules> {
        let mut all: Schedules = read(&self.schedules_json().await?)?;
        while let Some(cursor) = all.cursor.take() {
            let path = format!("/schedules?cursor={}", escape(&cursor));
            let page: Schedules = read(&self.get_json(&path).await?)?;
            all.schedules.extend(page.schedules);
            all.cursor = page.cursor;
        }
        Ok(all)
    }

    /// The first page of [`Client::schedules`], as the node writes it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn schedules_json(&self) -> Result<Bytes> {
        self.get_json("/schedules").await
    }

    /// A schedule as the node writes it.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) 404 where there is none.
    pub async fn schedule_json(&self, name: &str) -> Result<Bytes> {
        self.get_json(&format!("/schedules/{}", escape(name))).await
    }

    /// Stores a schedule, in place of one of that name.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) 400 with everything that is wrong with it.
    pub async fn put_schedule(&self, name: &str, schedule: impl Into<Bytes>) -> Result<()> {
        self.put_named("/schedules", name, schedule.into()).await
    }

    /// Removes a schedule. The jobs that it started go on.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) 404 where there is none.
    pub async fn remove_schedule(&self, name: &str) -> Result<()> {
        self.remove(&format!("/schedules/{}", escape(name))).await
    }

    async fn put_named(&self, at: &str, name: &str, document: Bytes) -> Result<()> {
        let path = format!("{at}/{}", escape(name));
        let answer = self.send(Method::PUT, &path, json_headers(), document).await?;
        whole(answer, &[StatusCode::NO_CONTENT]).await.map(drop)
    }
}
