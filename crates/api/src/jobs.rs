//! Jobs as a protocol sees them, and what is said when something that concerns them is not done.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_jobs::{Config, Invalid};
use mapring_runner::{
    ConfigList, DryRun, EventId, JobDetail, JobErrors, JobEvent, JobList, JobResults, JobsError,
    ListRequest, PipelineList, ScheduleList, StartRequest, StartedJob,
};
use mapring_types::Error;
use serde_json::{Value, json};

use crate::meaning::{self, Class};

/// The jobs of a cluster. Each method is the one of [`mapring_runner::Jobs`] with the same name.
#[async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// See [`mapring_runner::Jobs::start`].
    async fn start(&self, request: StartRequest) -> Result<StartedJob, JobsError>;

    /// See [`mapring_runner::Jobs::dry_run`].
    async fn dry_run(&self, body: Bytes) -> Result<DryRun, JobsError>;

    /// See [`mapring_runner::Jobs::list`].
    async fn list(&self, request: ListRequest) -> Result<JobList, JobsError>;

    /// See [`mapring_runner::Jobs::show`].
    async fn show(&self, id: &str) -> Result<JobDetail, JobsError>;

    /// See [`mapring_runner::Jobs::results`].
    async fn results(&self, id: &str) -> Result<JobResults, JobsError>;

    /// See [`mapring_runner::Jobs::errors`].
    async fn errors(&self, id: &str) -> Result<JobErrors, JobsError>;

    /// See [`mapring_runner::Jobs::events`].
    async fn events(
        &self,
        id: &str,
        after: Option<EventId>,
    ) -> Result<BoxStream<'static, JobEvent>, JobsError>;

    /// See [`mapring_runner::Jobs::abort`].
    async fn abort(&self, id: &str, message: Option<String>) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::remove`].
    async fn remove(&self, id: &str, abort: bool) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::configs`].
    async fn configs(&self, request: ListRequest) -> Result<ConfigList, JobsError>;

    /// See [`mapring_runner::Jobs::config`].
    async fn config(&self, name: &str) -> Result<Config, JobsError>;

    /// See [`mapring_runner::Jobs::put_config`].
    async fn put_config(&self, name: &str, body: Bytes) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::remove_config`].
    async fn remove_config(&self, name: &str) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::schedules`].
    async fn schedules(&self, request: ListRequest) -> Result<ScheduleList, JobsError>;

    /// See [`mapring_runner::Jobs::schedule`].
    async fn schedule(&self, name: &str) -> Result<Value, JobsError>;

    /// See [`mapring_runner::Jobs::put_schedule`].
    async fn put_schedule(&self, name: &str, body: Bytes) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::remove_schedule`].
    async fn remove_schedule(&self, name: &str) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::start_pipeline`].
    async fn start_pipeline(&self, request: StartRequest) -> Result<StartedJob, JobsError>;

    /// See [`mapring_runner::Jobs::pipelines`].
    async fn pipelines(&self, request: ListRequest) -> Result<PipelineList, JobsError>;

    /// See [`mapring_runner::Jobs::pipeline`].
    async fn pipeline(&self, id: &str) -> Result<Value, JobsError>;

    /// See [`mapring_runner::Jobs::abort_pipeline`].
    async fn abort_pipeline(&self, id: &str, message: Option<String>) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::approve_step`].
    async fn approve_step(&self, id: &str, step: &str) -> Result<(), JobsError>;

    /// See [`mapring_runner::Jobs::remove_pipeline`].
    async fn remove_pipeline(&self, id: &str, abort: bool) -> Result<(), JobsError>;
}

#[async_trait]
impl Jobs for mapring_runner::Jobs {
    async fn start(&self, request: StartRequest) -> Result<StartedJob, JobsError> {
        self.start(request).await
    }

    async fn dry_run(&self, body: Bytes) -> Result<DryRun, JobsError> {
        self.dry_run(body).await
    }

    async fn list(&self, request: ListRequest) -> Result<JobList, JobsError> {
        self.list(request).await
    }

    async fn show(&self, id: &str) -> Result<JobDetail, JobsError> {
        self.show(id).await
    }

    async fn results(&self, id: &str) -> Result<JobResults, JobsError> {
        self.results(id).await
    }

    async fn errors(&self, id: &str) -> Result<JobErrors, JobsError> {
        self.errors(id).await
    }

    async fn events(
        &self,
        id: &str,
        after: Option<EventId>,
    ) -> Result<BoxStream<'static, JobEvent>, JobsError> {
        self.events(id, after).await
    }

    async fn abort(&self, id: &str, message: Option<String>) -> Result<(), JobsError> {
        self.abort(id, message).await
    }

    async fn remove(&self, id: &str, abort: bool) -> Result<(), JobsError> {
        self.remove(id, abort).await
    }

    async fn configs(&self, request: ListRequest) -> Result<ConfigList, JobsError> {
        self.configs(request).await
    }

    async fn config(&self, name: &str) -> Result<Config, JobsError> {
        self.config(name).await
    }

    async fn put_config(&self, name: &str, body: Bytes) -> Result<(), JobsError> {
        self.put_config(name, &body).await.map(drop)
    }

    async fn remove_config(&self, name: &str) -> Result<(), JobsError> {
        self.remove_config(name).await
    }

    async fn schedules(&self, request: ListRequest) -> Result<ScheduleList, JobsError> {
        self.schedules(request).await
    }

    async fn schedule(&self, name: &str) -> Result<Value, JobsError> {
        self.schedule(name).await
    }

    async fn put_schedule(&self, name: &str, body: Bytes) -> Result<(), JobsError> {
        self.put_schedule(name, &body).await.map(drop)
    }

    async fn remove_schedule(&self, name: &str) -> Result<(), JobsError> {
        self.remove_schedule(name).await
    }

    async fn start_pipeline(&self, request: StartRequest) -> Result<StartedJob, JobsError> {
        self.start_pipeline(request).await
    }

    async fn pipelines(&self, request: ListRequest) -> Result<PipelineList, JobsError> {
        self.pipelines(request).await
    }

    async fn pipeline(&self, id: &str) -> Result<Value, JobsError> {
        self.pipeline(id).await
    }

    async fn abort_pipeline(&self, id: &str, message: Option<String>) -> Result<(), JobsError> {
        self.abort_pipeline(id, message).await
    }

    async fn approve_step(&self, id: &str, step: &str) -> Result<(), JobsError> {
        self.approve_step(id, step).await
    }

    async fn remove_pipeline(&self, id: &str, abort: bool) -> Result<(), JobsError> {
        self.remove_pipeline(id, abort).await
    }
}

/// What is answered when something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of answer it is.
    pub class: Class,
    /// JSON: `error`, a word for the kind, and `message`; `field` where a member of a document is wrong,
    /// and `problems` where several are.
    pub body: String,
}

/// What is answered to what is not done.
pub fn refusal(error: &JobsError) -> Refusal {
    match error {
        JobsError::Invalid(invalid) => invalid_document(invalid),
        JobsError::Query(rejection) => invalid_document(&Invalid::rejected(rejection)),
        JobsError::NotFound(..) => told(Class::NotFound, &error.to_string()),
        JobsError::Conflict(why) => told(Class::Conflict, why),
        JobsError::Full(why) => told(Class::Full, why),
        JobsError::Node(error) => of_node(error),
    }
}

fn invalid_document(invalid: &Invalid) -> Refusal {
    Refusal { class: Class::Invalid, body: ascii(&invalid.json()) }
}

fn of_node(error: &Error) -> Refusal {
    let class = match meaning::class(error.kind()) {
        // There are no conditions here but those that others have changed.
        Class::Precondition => Class::Conflict,
        class => class,
    };
    told(class, &meaning::words(error))
}

/// A refusal in these words.
pub fn told(class: Class, message: &str) -> Refusal {
    let word = match class {
        Class::Invalid => "bad_request",
        Class::NotFound => "not_found",
        Class::Forbidden => "forbidden",
        Class::Precondition | Class::Conflict => "conflict",
        Class::Full => "too_many",
        Class::Unavailable => "unavailable",
        Class::Failed => "internal",
    };
    Refusal { class, body: ascii(&json!({ "error": word, "message": message })) }
}

fn ascii(document: &Value) -> String {
    mapring_mapred::json::encode(&document.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use mapring_mapred::Query;
    use mapring_types::ErrorKind;

    use super::*;

    #[track_caller]
    fn check(error: JobsError, class: Class, body: &str) {
        assert_eq!(refusal(&error), Refusal { class, body: body.to_owned() });
    }

    #[test]
    fn what_is_not_done_is_told_in_json() {
        check(
            JobsError::Invalid(Invalid::one("inputs.random.count", "is required")),
            Class::Invalid,
            r#"{"error":"bad_request","field":"inputs.random.count","message":"is required"}"#,
        );
        check(
            JobsError::no_job("é\n"),
            Class::NotFound,
            r#"{"error":"not_found","message":"there is no job \"\u00e9\n\""}"#,
        );
        check(
            JobsError::Conflict("j is active".into()),
            Class::Conflict,
            r#"{"error":"conflict","message":"j is active"}"#,
        );
        check(
            JobsError::Full("10000 jobs".into()),
            Class::Full,
            r#"{"error":"too_many","message":"10000 jobs"}"#,
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let wrong = br#"{"inputs":"b","query":[],"rate":"x","slice_ms":0,"nothing":1}"#;
        let invalid = mapring_jobs::Document::parse(wrong).unwrap_err();
        let Refusal { class, body } = refusal(&JobsError::Invalid(invalid));
        let body: Value = serde_json::from_str(&body).unwrap();
        let fields: Vec<_> =
            body["problems"].as_array().unwrap().iter().map(|p| &p["field"]).collect();
        assert_eq!((class, fields.len()), (Class::Invalid, 3), "{body}");
        assert!(fields.contains(&&json!("rate")) && fields.contains(&&json!("slice_ms")));
        assert_eq!(body["field"], *fields[0]);
    }

    #[test]
    fn a_query_that_is_refused_is_told_with_its_place() {
        let query = br#"{"inputs":"b","query":[{"map":{"language":"ruby"}}]}"#;
        let rejection = Query::parse(query).unwrap_err();
        let Refusal { class, body } = refusal(&JobsError::Query(rejection));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((class, &body["field"]), (Class::Invalid, &json!("query[0].map.language")));
        assert!(body["message"].as_str().unwrap().contains("ruby"), "{body}");
    }

    #[test]
    fn errors_of_nodes_are_told_by_their_kind() {
        for (kind, class, word) in [
            (ErrorKind::Unavailable, Class::Unavailable, "unavailable"),
            (ErrorKind::Timeout, Class::Unavailable, "unavailable"),
            (ErrorKind::Precondition, Class::Conflict, "conflict"),
            (ErrorKind::Forbidden, Class::Forbidden, "forbidden"),
            (ErrorKind::Internal, Class::Failed, "internal"),
        ] {
            let refusal = refusal(&JobsError::Node(Error::new(kind, "why")));
            let body: Value = serde_json::from_str(&refusal.body).unwrap();
            assert_eq!((refusal.class, &body["error"]), (class, &json!(word)), "{kind:?}");
        }
    }
}
