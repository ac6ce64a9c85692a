//! Jobs: started, looked at, followed, ended.

mod events;
mod named;
mod pipelines;
mod shown;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::connection::{Answer, Client};
use crate::error::{Error, Refusal, Result};
use crate::limits;
use crate::object::escape;
use crate::query::Parts;

pub use events::{JobEvent, JobEvents};
pub use named::{JobConfig, JobConfigs, JobParam, ScheduleShown, Schedules};
pub use pipelines::{PipelineList, PipelineShown, PipelineSummary, StepShown};
pub use shown::{Job, JobList, JobPhase, JobShard, JobSummary, Rate};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What makes that a job is started once, however often that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Once {
    /// Nothing.
    #[default]
    No,
    /// The id that it is to have.
    Id(String),
    /// A text that no other start has (`Idempotency-Key`).
    Key(String),
}

/// A job or a pipeline that has been started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StartedJob {
    /// Its id.
    pub id: String,
    /// Where it is seen.
    pub href: String,
}

/// Which jobs are to be listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFilter {
    /// How many; what is usual on the node where nothing is said.
    pub count: Option<u32>,
    /// Where to go on: the cursor of the list before.
    pub cursor: Option<String>,
    /// Those of one state alone, such as `active`.
    pub state: Option<String>,
    /// Those of one name alone.
    pub name: Option<String>,
}

impl JobFilter {
    fn query(&self) -> String {
        let count = self.count.map(|count| count.to_string());
        let given = [
            ("count", count.as_ref()),
            ("cursor", self.cursor.as_ref()),
            ("state", self.state.as_ref()),
            ("name", self.name.as_ref()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let given: Vec<_> =
            given.map(|(name, value)| format!("{name}={}", escape(value))).collect();
        if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
    }
}

impl Client {
    /// Starts a job: its document, or `{"config":…,"params":{…}}`.
    ///
    /// # Errors
    /// [`Error::Refused`]: 400 with everything that is wrong with it, 404 for an unknown named job, 409
    /// for another job of that id or key.
    pub async fn start_job(&self, document: impl Into<Bytes>, once: &Once) -> Result<StartedJob> {
        self.start("/jobs", document.into(), once).await
    }

    /// What a job would be divided into, as the node writes it; nothing is started.
    ///
    /// # Errors
    /// As [`Client::start_job`].
    pub async fn dry_run_job(&self, document: impl Into<Bytes>) -> Result<Bytes> {
        let document = document.into();
        let answer =
            self.send(Method::POST, "/jobs?dry_run=true", json_headers(), document).await?;
        whole(answer, &[StatusCode::OK]).await
    }

    /// The jobs, the newest first.
    ///
    /// # Errors
    /// As for any request.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<JobList> {
        read(&self.jobs_json(filter).await?)
    }

    /// As [`Client::jobs`], as the node writes it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn jobs_json(&self, filter: &JobFilter) -> Result<Bytes> {
        self.get_json(&format!("/jobs{}", filter.query())).await
    }

    /// One job.
    ///
    /// # Errors
    /// [`Error::Refused`] 404 where there is none.
    pub async fn job(&self, id: &str) -> Result<Job> {
        read(&self.job_json(id).await?)
    }

    /// As [`Client::job`], as the node writes it.
    ///
    /// # Errors
    /// As [`Client::job`].
    pub async fn job_json(&self, id: &str) -> Result<Bytes> {
        self.get_json(&path(id, "")).await
    }

    /// The results of a job that has succeeded, as they are read.
    ///
    /// # Errors
    /// [`Error::Refused`]: 404 where there is no such job, 409 where it has no results.
    pub async fn job_results(&self, id: &str) -> Result<Parts> {
        let path = path(id, "/results?chunked=true");
        let answer = self.send(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
        Parts::of(good(answer, &[StatusCode::OK]).await?)
    }

    /// The inputs that a job left out or failed at, as the node writes them.
    ///
    /// # Errors
    /// As [`Client::job`].
    pub async fn job_errors_json(&self, id: &str) -> Result<Bytes> {
        self.get_json(&path(id, "/errors")).await
    }

    /// What happens in a job, from the event after `after` on.
    ///
    /// # Errors
    /// As [`Client::job`].
    pub async fn job_events(&self, id: &str, after: Option<&str>) -> Result<JobEvents> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        if let Some(after) = after {
            let after = HeaderValue::from_str(after).map_err(Error::form)?;
            headers.insert(HeaderName::from_static("last-event-id"), after);
        }
        let answer = self.send(Method::GET, &path(id, "/events"), headers, Bytes::new()).await?;
        let answer = good(answer, &[StatusCode::OK, StatusCode::NO_CONTENT]).await?;
        Ok(JobEvents::new(answer.body))
    }

    /// Has a job end, with a message that is kept with it.
    ///
    /// # Errors
    /// As [`Client::job`].
    pub async fn abort_job(&self, id: &str, message: Option<&str>) -> Result<()> {
        self.abort(&path(id, "/abort"), message).await
    }

    /// Removes a job and all that is kept of it but its outputs; one that is active only where it is to
    /// be aborted first.
    ///
    /// # Errors
    /// As [`Client::job`]; [`Error::Refused`] 409 for one that is active.
    pub async fn remove_job(&self, id: &str, abort: bool) -> Result<()> {
        self.remove(&path(id, if abort { "?abort=true" } else { "" })).await
    }

    pub(crate) async fn start(&self, at: &str, body: Bytes, once: &Once) -> Result<StartedJob> {
        let mut headers = json_headers();
        let (method, path) = match once {
            Once::Id(id) => (Method::PUT, format!("{at}/{}", escape(id))),
            Once::No => (Method::POST, at.to_owned()),
            Once::Key(key) => {
                let key = HeaderValue::from_str(key).map_err(Error::form)?;
                headers.insert(HeaderName::from_static("idempotency-key"), key);
                (Method::POST, at.to_owned())
            }
        };
        let answer = self.send(method, &path, headers, body).await?;
        read(&whole(answer, &[StatusCode::ACCEPTED, StatusCode::OK]).await?)
    }

    pub(crate) async fn get_json(&self, path: &str) -> Result<Bytes> {
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        whole(answer, &[StatusCode::OK]).await
    }

    pub(crate) async fn abort(&self, path: &str, message: Option<&str>) -> Result<()> {
        let body = message.map(|message| serde_json::json!({ "message": message }).to_string());
        let headers = if body.is_some() { json_headers() } else { HeaderMap::new() };
        let body = Bytes::from(body.unwrap_or_default());
        let answer = self.send(Method::POST, path, headers, body).await?;
        whole(answer, &[StatusCode::ACCEPTED]).await.map(drop)
    }

    pub(crate) async fn remove(&self, path: &str) -> Result<()> {
        let answer = self.send(Method::DELETE, path, HeaderMap::new(), Bytes::new()).await?;
        whole(answer, &[StatusCode::NO_CONTENT]).await.map(drop)
    }
}

/// The path of a job, or of something of it.
fn path(id: &str, below: &str) -> String {
    format!("/jobs/{}{below}", escape(id))
}

pub(crate) fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, JSON)])
}

pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(Error::form)
}

/// The answer, if it has one of `statuses`; else what it is refused with.
pub(crate) async fn good(answer: Answer, statuses: &[StatusCode]) -> Result<Answer> {
    match answer.expect(statuses).await {
        Err(Error::Status { status, text }) => Err(match Refusal::read(status, &text) {
            Some(refusal) => Error::Refused(Box::new(refusal)),
            None => Error::Status { status, text },
        }),
        other => other,
    }
}

pub(crate) async fn whole(answer: Answer, statuses: &[StatusCode]) -> Result<Bytes> {
    good(answer, statuses).await?.body.collect(limits::ANSWER_BYTES).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parameters() {
        assert_eq!(JobFilter::default().query(), "");
        let filter = JobFilter {
            count: Some(7),
            cursor: Some("a&b".into()),
            state: Some("active".into()),
            name: None,
        };
        assert_eq!(filter.query(), "?count=7&cursor=a%26b&state=active");
    }
}
