//! Jobs that answer what the test says, and tell what they were asked.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use mapring_api::jobs::Jobs;
use mapring_jobs::Config;
use mapring_mapred::{PhaseResults, Query, Row};
use mapring_runner::{
    ConfigList, DryRun, EventId, JobDetail, JobErrors, JobEvent, JobList, JobResults, JobSummary,
    JobsError, ListRequest, Naming, PipelineList, PlannedShard, ScheduleList, StartRequest,
    StartedJob,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// See the module.
#[derive(Default)]
pub(crate) struct PlayedJobs {
    /// The next call fails so.
    pub(crate) failure: Mutex<Option<JobsError>>,
    asked: Mutex<Vec<String>>,
    /// Whether jobs have more events than the two that there are, which never come.
    pub(crate) goes_on: Mutex<bool>,
}

impl PlayedJobs {
    /// What was asked since this was called last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }

    fn ask(&self, what: String) -> Result<(), JobsError> {
        self.asked.lock().push(what);
        self.failure.lock().take().map_or(Ok(()), Err)
    }
}

fn summary() -> JobSummary {
    JobSummary { id: "j".into(), name: Some("é".into()), ..JobSummary::default() }
}

fn config(name: &str) -> Config {
    let body = br#"{"params":[{"name":"than","type":"integer","default":3}],
        "job":{"inputs":"b","query":[]}}"#;
    Config::parse(name, body).unwrap()
}

#[async_trait]
impl Jobs for PlayedJobs {
    async fn start(&self, request: StartRequest) -> Result<StartedJob, JobsError> {
        let StartRequest { body, name } = request;
        let body = String::from_utf8_lossy(&body).into_owned();
        self.ask(format!("start {name:?} {body}"))?;
        let id = match name {
            Naming::New => "new".to_owned(),
            Naming::Id(id) => id,
            Naming::Key(key) => format!("of-{key}"),
        };
        Ok(StartedJob { id, is_new: true })
    }

    async fn dry_run(&self, body: Bytes) -> Result<DryRun, JobsError> {
        self.ask(format!("dry_run {}", String::from_utf8_lossy(&body)))?;
        let shard =
            PlannedShard { shard_number: 0, shard_description: "files/q bytes (0,11]".into() };
        Ok(DryRun { valid: true, shards: vec![shard] })
    }

    async fn list(&self, request: ListRequest) -> Result<JobList, JobsError> {
        let ListRequest { count, cursor, state, name } = request;
        self.ask(format!("list {count:?} {cursor:?} {state:?} {name:?}"))?;
        Ok(JobList { jobs: vec![summary()], cursor: Some("c".into()) })
    }

    async fn show(&self, id: &str) -> Result<JobDetail, JobsError> {
        self.ask(format!("show {id}"))?;
        Ok(JobDetail { id: id.to_owned(), spec: json!({"inputs": "é"}), ..JobDetail::default() })
    }

    async fn results(&self, id: &str) -> Result<JobResults, JobsError> {
        self.ask(format!("results {id}"))?;
        let query = Query::parse(br#"{"inputs":"b","query":[]}"#)?;
        let rows = |rows: &[&str]| {
            let values = rows.iter().map(|&row| Row::value(row)).collect();
            Ok(PhaseResults::new(1, values))
        };
        let results = stream::iter([rows(&["1", "2"]), rows(&["3"])]).boxed();
        Ok(JobResults { query, results })
    }

    async fn errors(&self, id: &str) -> Result<JobErrors, JobsError> {
        self.ask(format!("errors {id}"))?;
        Ok(JobErrors::default())
    }

    async fn events(
        &self,
        id: &str,
        after: Option<EventId>,
    ) -> Result<BoxStream<'static, JobEvent>, JobsError> {
        self.ask(format!("events {id} {after:?}"))?;
        let event = |number, state: &str| JobEvent {
            id: EventId { epoch: 1, number },
            time_ms: 7,
            kind: "state".into(),
            data: json!({ "state": state }),
        };
        let events = [event(1, "running"), event(2, "é")];
        let events: Vec<_> =
            events.into_iter().filter(|event| after.is_none_or(|after| event.id > after)).collect();
        // As the stream of a node, it may not be asked again after its end.
        let events = stream::unfold(events.into_iter(), |mut events| async move {
            Some((events.next()?, events))
        });
        Ok(match *self.goes_on.lock() {
            true => events.chain(stream::pending()).boxed(),
            false => events.boxed(),
        })
    }

    async fn abort(&self, id: &str, message: Option<String>) -> Result<(), JobsError> {
        self.ask(format!("abort {id} {message:?}"))
    }

    async fn remove(&self, id: &str, abort: bool) -> Result<(), JobsError> {
        self.ask(format!("remove {id} {abort}"))
    }

    async fn configs(&self, request: ListRequest) -> Result<ConfigList, JobsError> {
        self.ask(format!("configs {:?} {:?}", request.count, request.cursor))?;
        Ok(ConfigList { configs: vec![config("count").json()], ..ConfigList::default() })
    }

    async fn config(&self, name: &str) -> Result<Config, JobsError> {
        self.ask(format!("config {name}"))?;
        Ok(config(name))
    }

    async fn put_config(&self, name: &str, body: Bytes) -> Result<(), JobsError> {
        self.ask(format!("put_config {name} {}", String::from_utf8_lossy(&body)))
    }

    async fn remove_config(&self, name: &str) -> Result<(), JobsError> {
        self.ask(format!("remove_config {name}"))
    }

    async fn schedules(&self, request: ListRequest) -> Result<ScheduleList, JobsError> {
        self.ask(format!("schedules {:?} {:?}", request.count, request.cursor))?;
        Ok(ScheduleList { schedules: vec![json!({"name": "nightly"})], cursor: None })
    }

    async fn schedule(&self, name: &str) -> Result<Value, JobsError> {
        self.ask(format!("schedule {name}"))?;
        Ok(json!({ "name": name }))
    }

    async fn put_schedule(&self, name: &str, body: Bytes) -> Result<(), JobsError> {
        self.ask(format!("put_schedule {name} {}", String::from_utf8_lossy(&body)))
    }

    async fn remove_schedule(&self, name: &str) -> Result<(), JobsError> {
        self.ask(format!("remove_schedule {name}"))
    }

    async fn start_pipeline(&self, request: StartRequest) -> Result<StartedJob, JobsError> {
        self.ask(format!("start_pipeline {:?}", request.name))?;
        let id = match request.name {
            Naming::Id(id) | Naming::Key(id) => id,
            Naming::New => "new".to_owned(),
        };
        Ok(StartedJob { id, is_new: true })
    }

    async fn pipelines(&self, request: ListRequest) -> Result<PipelineList, JobsError> {
        self.ask(format!("pipelines {:?} {:?}", request.count, request.name))?;
        Ok(PipelineList { pipelines: vec![json!({"id": "p"})], cursor: None })
    }

    async fn pipeline(&self, id: &str) -> Result<Value, JobsError> {
        self.ask(format!("pipeline {id}"))?;
        Ok(json!({ "id": id }))
    }

    async fn abort_pipeline(&self, id: &str, message: Option<String>) -> Result<(), JobsError> {
        self.ask(format!("abort_pipeline {id} {message:?}"))
    }

    async fn approve_step(&self, id: &str, step: &str) -> Result<(), JobsError> {
        self.ask(format!("approve_step {id} {step}"))
    }

    async fn remove_pipeline(&self, id: &str, abort: bool) -> Result<(), JobsError> {
        self.ask(format!("remove_pipeline {id} {abort}"))
    }
}
