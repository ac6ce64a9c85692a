//! The jobs of a cluster, in one piece.

use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::BoxStream;
use mapring_background::Workers;
use mapring_jobs::Config;
use mapring_kv::Kv;
use mapring_mapred::{Answer, MapReduce};
use mapring_net::{Service, Transport};
use mapring_types::{Clock, Entropy};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::callbacks::{CallbackConfig, Callbacks};
use crate::configs::{ConfigList, Configs, FileWorker};
use crate::earlier::Earlier;
use crate::error::JobsError;
use crate::lease::{Heard, Lease};
use crate::peers::Peers;
use crate::pipelines::CleanUpPipelines;
use crate::remove::CleanUp;
use crate::report::{EventId, JobDetail, JobErrors, JobEvent};
use crate::request::{
    DryRun, JobList, JobResults, ListRequest, PipelineList, ScheduleList, StartRequest, StartedJob,
};
use crate::runner::{Runner, RunnerConfig, Witness};
use crate::schedules::ScheduleWorker;
use crate::service::RunnerService;
use crate::slots::Slots;
use crate::store::Store;
use crate::store::objects::ObjectStore;
use crate::sweep::Sweep;
use crate::{configs, dry_run, list, pipelines, remove, results, schedules, show, start};

/// What a [`Jobs`] is made of.
#[derive(Clone)]
pub struct Parts {
    /// The key-value store of this node, in which jobs are kept.
    pub kv: Kv,
    /// Where their queries run.
    pub mapred: MapReduce,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Whom callbacks may reach, and how they are signed.
    pub callbacks: CallbackConfig,
    /// The file of named jobs, where there is one.
    pub file: Option<PathBuf>,
    /// Settings.
    pub config: RunnerConfig,
    /// Who is told whenever this node may store something as the owner of a job; for tests of who does.
    pub witness: Option<Witness>,
}

/// The jobs of a cluster, as a node sees them. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    runner: Arc<Runner>,
    configs: Configs,
    objects: ObjectStore,
}

impl Jobs {
    /// Assembles it; starts nothing.
    pub fn new(parts: Parts) -> Self {
        describe_metrics();
        let peers = Peers::new(parts.kv.cluster().clone(), parts.transport.clone());
        let objects = ObjectStore::new(parts.kv.clone(), peers.clone());
        let store: Arc<dyn Store> = Arc::new(objects.clone());
        let Parts { kv, mapred, clock, entropy, callbacks, file, config, witness, .. } = parts;
        let configs = Configs::new(store.clone(), file);
        let callbacks = Callbacks::new(callbacks, clock.clone());
        let runner = Runner {
            store: store.clone(),
            peers,
            callbacks,
            kv,
            mapred,
            clock,
            entropy,
            lease: Lease::default(),
            heard: Heard::new(),
            slots: Slots::new(config.concurrent),
            live: Mutex::default(),
            wake: Notify::new(),
            left: Notify::new(),
            stop: watch::Sender::new(false),
            witness,
        };
        let runner = Arc::new(runner);
        runner.mapred.know_jobs(Arc::new(Earlier(Arc::downgrade(&runner))));
        Self { runner, configs, objects }
    }

    /// Takes up this node's jobs, and those of nodes that are gone, from now on until
    /// [`Jobs::shutdown`]; has done in the background what is to be done there.
    pub fn run(&self, workers: &Workers) {
        mapring_net::task::spawn(crate::watch::watch(self.runner.clone(), self.configs.clone()));
        workers.spawn(CleanUp::new(self.runner.clone()));
        workers.spawn(CleanUpPipelines(self.runner.clone()));
        workers.spawn(Sweep::new(self.runner.clone()));
        workers.spawn(ScheduleWorker::new(self.runner.clone(), self.configs.clone()));
        if let Some(file) = FileWorker::new(self.configs.clone()) {
            workers.spawn(file);
        }
    }

    /// Gives up the work of this node: its jobs are taken over by others, or go on when it is started
    /// again.
    pub fn shutdown(&self) {
        self.runner.stop.send_replace(true);
    }

    /// What peers call.
    pub fn service(&self) -> Arc<dyn Service> {
        Arc::new(RunnerService { runner: self.runner.clone(), store: self.objects.clone() })
    }

    /// Starts a job: it goes on whoever is still there. Asked for again under the same id, it is the same.
    ///
    /// # Errors
    /// `Invalid` and `Query` with what is wrong with it; `NotFound` for a named job that there is not;
    /// `Conflict` where there is another of its id; `Full`; `Node` where it is not known whether it was
    /// started.
    pub async fn start(&self, request: StartRequest) -> Result<StartedJob, JobsError> {
        start::start(&self.runner, &self.configs, request).await
    }

    /// What a job would do, without starting it.
    ///
    /// # Errors
    /// As [`Jobs::start`].
    pub async fn dry_run(&self, body: bytes::Bytes) -> Result<DryRun, JobsError> {
        dry_run::dry_run(&self.runner, &self.configs, &body).await
    }

    /// Jobs, the newest first.
    ///
    /// # Errors
    /// `Invalid` for a state or cursor that is none.
    pub async fn list(&self, request: ListRequest) -> Result<JobList, JobsError> {
        list::list(&self.runner, request).await
    }

    /// All that is shown of a job.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn show(&self, id: &str) -> Result<JobDetail, JobsError> {
        show::detail(&self.runner, id).await
    }

    /// What a job has given: there is nothing before it has succeeded.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where it has not ended, or not well.
    pub async fn results(&self, id: &str) -> Result<JobResults, JobsError> {
        results::find(&self.runner, id).await
    }

    /// What a job has given, as the plain answer of its query.
    ///
    /// # Errors
    /// As [`Jobs::results`].
    pub async fn answer(&self, id: &str) -> Result<Answer, JobsError> {
        let results = results::find(&self.runner, id).await?;
        results::collect(&self.runner, results).await
    }

    /// Inputs of a job that failed or were left out.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn errors(&self, id: &str) -> Result<JobErrors, JobsError> {
        show::errors(&self.runner, id).await
    }

    /// What happens to a job, from after an event on: what is remembered, and then what comes. Ends with
    /// the job.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn events(
        &self,
        id: &str,
        after: Option<EventId>,
    ) -> Result<BoxStream<'static, JobEvent>, JobsError> {
        show::events(&self.runner, id, after).await
    }

    /// Has a job ended: it does so soon after.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one that has ended.
    pub async fn abort(&self, id: &str, message: Option<String>) -> Result<(), JobsError> {
        remove::abort(&self.runner, id, message.as_deref().unwrap_or_default()).await
    }

    /// Removes a job that has ended, and all that was kept of it but its outputs; one that has not is ended
    /// first where `abort` says so.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one that has not ended.
    pub async fn remove(&self, id: &str, abort: bool) -> Result<(), JobsError> {
        remove::remove(&self.runner, id, abort).await
    }

    /// Starts a pipeline. Asked for again under the same id, it is the same.
    ///
    /// # Errors
    /// As [`Jobs::start`].
    pub async fn start_pipeline(&self, request: StartRequest) -> Result<StartedJob, JobsError> {
        pipelines::start(&self.runner, &self.configs, &request.body, request.name).await
    }

    /// Pipelines, the newest first; of a request its count, cursor and name count.
    ///
    /// # Errors
    /// `Invalid` for a cursor that is none.
    pub async fn pipelines(&self, request: ListRequest) -> Result<PipelineList, JobsError> {
        pipelines::list(&self.runner, request).await
    }

    /// The status tree of a pipeline.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn pipeline(&self, id: &str) -> Result<Value, JobsError> {
        pipelines::show(&self.runner, id).await
    }

    /// Has a pipeline ended, with the jobs that it runs: it does so soon after.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one that has ended.
    pub async fn abort_pipeline(&self, id: &str, message: Option<String>) -> Result<(), JobsError> {
        pipelines::abort(&self.runner, id, message.as_deref().unwrap_or_default()).await
    }

    /// Consents to a step of a pipeline that waits for that.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one that does not wait for it.
    pub async fn approve_step(&self, id: &str, step: &str) -> Result<(), JobsError> {
        pipelines::approve(&self.runner, id, step).await
    }

    /// Removes a pipeline that has ended, with its jobs and all that was kept of them but their outputs; one
    /// that has not is ended first where `abort` says so.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one that has not ended.
    pub async fn remove_pipeline(&self, id: &str, abort: bool) -> Result<(), JobsError> {
        pipelines::remove(&self.runner, id, abort).await
    }

    /// A page of schedules, by their names; of a request its count and its cursor count.
    ///
    /// # Errors
    /// `Invalid` for a count that is none; those of the store.
    pub async fn schedules(&self, request: ListRequest) -> Result<ScheduleList, JobsError> {
        schedules::list(&self.runner, &request).await
    }

    /// A schedule as it was given, with `name`, `next_runs_ms`, `dealt_with_until_ms`, `active_jobs` and
    /// `last_error` beside.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn schedule(&self, name: &str) -> Result<Value, JobsError> {
        schedules::show(&self.runner, name).await
    }

    /// Stores a schedule; returns whether it is new. Its runs from now on are started, each once.
    ///
    /// # Errors
    /// `Invalid` with all that is wrong with it; `NotFound` for a named job that there is not; `Full`.
    pub async fn put_schedule(&self, name: &str, body: &[u8]) -> Result<bool, JobsError> {
        schedules::put(&self.runner, &self.configs, name, body).await
    }

    /// Removes a schedule. Jobs that it has started go on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove_schedule(&self, name: &str) -> Result<(), JobsError> {
        schedules::remove(&self.runner, name).await
    }

    /// A page of named jobs, by their names; of a request its count and its cursor count.
    ///
    /// # Errors
    /// `Invalid` for a count that is none; those of the store.
    pub async fn configs(&self, request: ListRequest) -> Result<ConfigList, JobsError> {
        self.configs.list(&request).await
    }

    /// A named job.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn config(&self, name: &str) -> Result<Config, JobsError> {
        self.configs.get(name).await
    }

    /// Stores a named job; returns whether it is new.
    ///
    /// # Errors
    /// `Invalid` with what is wrong with it; `Conflict` for one of the operator's file; `Full`.
    pub async fn put_config(&self, name: &str, body: &[u8]) -> Result<bool, JobsError> {
        configs::put(&self.runner, &self.configs, name, body).await
    }

    /// Removes a named job that was stored.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one of the operator's file.
    pub async fn remove_config(&self, name: &str) -> Result<(), JobsError> {
        self.configs.remove(name).await
    }
}

#[cfg(test)]
impl Jobs {
    /// Whether this node works on a job.
    pub(crate) fn runs(&self, id: &str) -> bool {
        self.runner.live(id).is_some()
    }

    pub(crate) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }
}

fn describe_metrics() {
    metrics::describe_gauge!("mapring_jobs_owned", "Jobs that this node works on or is about to");
    metrics::describe_gauge!(
        "mapring_jobs_waiting",
        "Jobs of this node that wait until another has ended"
    );
    metrics::describe_counter!("mapring_jobs_ended_total", "Jobs that have ended on this node");
    metrics::describe_counter!(
        "mapring_jobs_taken_total",
        "Jobs that this node has taken over from others"
    );
    metrics::describe_counter!(
        "mapring_jobs_orphans_removed_total",
        "Things of jobs that are gone which this node has removed, by kind"
    );
}
