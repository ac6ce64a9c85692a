//! Clients that start pipelines: each asks any node for its own until it has ended, consents where that is
//! waited for, and ends some.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mapring_runner::{JobsError, Naming, StartRequest};
use mapring_types::{Error, Result};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::history::Moment;
use crate::job_checks;
use crate::job_clients::JobClient;
use crate::ledger::Ledger;
use crate::limits;
use crate::orders::{COPIES, copy_key};
use crate::pipeline_orders::{CONSENT, JOBS, PipelineOrder, SECOND};
use crate::random::Random;
use crate::world::World;

/// All of them.
pub(crate) struct PipelineClients {
    client: JobClient,
    book: Arc<Book>,
    tasks: JoinSet<()>,
}

/// The pipelines that were accepted, by their ids.
#[derive(Default)]
struct Book(Mutex<BTreeMap<String, Entry>>);

#[derive(Clone)]
struct Entry {
    order: PipelineOrder,
    accepted: Moment,
    /// Whether somebody has asked for its end.
    aborted: bool,
    /// Whether its end was seen.
    ended: bool,
}

/// One of them.
struct PipelineClient {
    world: Arc<World>,
    client: JobClient,
    random: Random,
    book: Arc<Book>,
    id: String,
}

impl Book {
    fn change(&self, id: &str, how: impl FnOnce(&mut Entry)) {
        self.0.lock().get_mut(id).map(how);
    }

    fn all(&self) -> BTreeMap<String, Entry> {
        self.0.lock().clone()
    }
}

impl PipelineClients {
    /// Lets the clients begin, where there are jobs.
    pub(crate) fn begin(world: &Arc<World>, random: &Random) -> Self {
        let client = |random: &Random| JobClient::new(world.clone(), Arc::default(), random.fork());
        let (book, mut tasks) = (Arc::<Book>::default(), JoinSet::new());
        let number = if world.shape.jobs.is_some() { limits::PIPELINES } else { 0 };
        for number in 0..number {
            let one = PipelineClient {
                world: world.clone(),
                client: client(random),
                random: random.fork(),
                book: book.clone(),
                id: format!("pipe{number}"),
            };
            tasks.spawn(async move { one.live().await });
        }
        Self { client: client(random), book, tasks }
    }

    /// Waits until all have seen the end of their pipelines, soon after the last fault.
    pub(crate) async fn end(&mut self, world: &World) -> Result<()> {
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.map_err(|error| {
                    Error::internal("a client of pipelines panicked").with_source(error)
                })?;
            }
            Ok(())
        };
        if let Ok(ended) = timeout(limits::JOBS_END, all).await {
            return ended;
        }
        for (id, _) in self.book.all().into_iter().filter(|(_, entry)| !entry.ended) {
            let after = limits::JOBS_END;
            world
                .trace
                .violation(format!("the end of {id} is not seen {after:?} after the faults"));
        }
        self.tasks.abort_all();
        Ok(())
    }

    /// Checks all of them when everything has come to rest.
    pub(crate) async fn check(&self, world: &World) -> Result<()> {
        let Some(ledger) = &world.ledger else { return Ok(()) };
        let copies = job_checks::living(world, &job_checks::bucket(COPIES))?;
        let entries = self.book.all();
        world.count(|figures| figures.pipelines = entries.len() as u64);
        for (id, entry) in entries.into_iter().filter(|(id, _)| !ledger.known(id).is_active) {
            let owned = id.clone();
            let shown = self.client.ask(|jobs| async move { jobs.pipeline(&owned).await }).await;
            let tree = match shown {
                Ok(tree) => tree,
                Err(error) => {
                    self.client.faults(&id, [format!("it is not shown in peace: {error}")]);
                    continue;
                }
            };
            let Entry { order, accepted, aborted, .. } = entry;
            self.client.faults(&id, order.check(&tree, aborted));
            for step in JOBS {
                self.client.faults(&id, check_jobs(ledger, &id, step, &tree["steps"][step]));
            }
            let second = tree["steps"][SECOND]["job_id"].as_str().unwrap_or_default();
            if tree["steps"][SECOND]["status"] == "done" {
                let texts = order.texts().into_iter();
                let is_lacking = |text: &String| {
                    let copy = copies.get(&copy_key(second, text));
                    copy.is_none_or(|body| body[..] != *text.as_bytes())
                };
                let lacking = texts.filter(is_lacking);
                let lacking = lacking.map(|text| format!("its second step has not put {text}"));
                self.client.faults(&id, lacking);
            }
            // Who asks for an end that is decided has the telling given up.
            if let Some(receiver) = world.receiver.as_ref().filter(|_| !aborted) {
                let disturbed = world.any_fault_since(accepted);
                self.client.faults(&id, receiver.check(&id, disturbed));
            }
        }
        Ok(())
    }

    /// Has all of them removed, with their jobs, in peace.
    pub(crate) async fn remove(&self) {
        for id in self.book.all().keys() {
            let removed = async {
                loop {
                    let owned = id.clone();
                    let removed = self
                        .client
                        .ask(|jobs| async move { jobs.remove_pipeline(&owned, false).await });
                    match removed.await {
                        Ok(()) | Err(JobsError::NotFound(..)) => return,
                        Err(_) => self.client.wait(limits::ASKING_MS).await,
                    }
                }
            };
            if timeout(limits::CLIENT_PATIENCE, removed).await.is_err() {
                self.client.faults(id, ["it cannot be removed in peace".to_owned()]);
            }
        }
    }
}

/// Each attempt at a step has started one job, once.
fn check_jobs(ledger: &Ledger, id: &str, step: &str, node: &Value) -> Option<String> {
    let attempts = node["current_attempt"].as_u64().unwrap_or(0);
    let prefix = format!("{id}.{step}.");
    let all = ledger.all();
    let of_step = all.range(prefix.clone()..).take_while(|(job, _)| job.starts_with(&prefix));
    let started: u64 = of_step.map(|(_, known)| known.starts).sum();
    let is_right = if node["status"] == "done" { started == attempts } else { started <= attempts };
    (!is_right)
        .then(|| format!("{started} jobs were started for {attempts} attempts at its step {step}"))
}

impl PipelineClient {
    async fn live(self) {
        self.client.wait(limits::ORDER_MS).await;
        let order = PipelineOrder::any(&self.id, &self.random);
        if self.start(&order).await {
            self.follow(&order).await;
        }
    }

    /// Starts the pipeline; returns whether there is one.
    async fn start(&self, order: &PipelineOrder) -> bool {
        loop {
            let body = order.document.to_string().into();
            let request = StartRequest { body, name: Naming::Id(self.id.clone()) };
            let accepted = self.world.trace.now();
            let started =
                self.client.ask(|jobs| async move { jobs.start_pipeline(request).await }).await;
            match started {
                Ok(_) => {
                    self.world.trace.note(format!("accepted {}: {}", self.id, order.document));
                    let order = order.clone();
                    let entry = Entry { order, accepted, aborted: false, ended: false };
                    self.book.0.lock().insert(self.id.clone(), entry);
                    return true;
                }
                Err(JobsError::Node(error)) => {
                    self.world.trace.note(format!("{} may be started: {error}", self.id));
                    self.client.wait(limits::ASKING_MS).await;
                }
                Err(error) => {
                    self.client.faults(&self.id, [format!("it is refused: {error}")]);
                    return false;
                }
            }
        }
    }

    /// Asks for the pipeline until it has ended.
    async fn follow(&self, order: &PipelineOrder) {
        let id = || self.id.clone();
        let mut aborts = self.random.per_mille(limits::ABORTED_JOBS);
        let aborts_at = Instant::now() + Duration::from_millis(self.random.within(0..8_000));
        let mut aborted = false;
        loop {
            self.client.wait(limits::ASKING_MS).await;
            if aborts && Instant::now() >= aborts_at {
                aborted = true;
                self.book.change(&self.id, |entry| entry.aborted = true);
                self.world.trace.note(format!("abort {}", self.id));
                let owned = id();
                let ask =
                    self.client.ask(|jobs| async move { jobs.abort_pipeline(&owned, None).await });
                // Who does not know it yet is asked again.
                aborts = matches!(ask.await, Err(JobsError::Node(_) | JobsError::NotFound(..)));
            }
            let owned = id();
            match self.client.ask(|jobs| async move { jobs.pipeline(&owned).await }).await {
                Ok(tree) if tree["active"] == false => {
                    let status = &tree["result_status"];
                    self.world.trace.note(format!("{} has ended: {status}", self.id));
                    self.client.faults(&self.id, order.check(&tree, aborted));
                    return self.book.change(&self.id, |entry| entry.ended = true);
                }
                Ok(tree) if tree["steps"][CONSENT]["status"] == "run" => {
                    let owned = id();
                    let consent = self
                        .client
                        .ask(|jobs| async move { jobs.approve_step(&owned, CONSENT).await });
                    // Whether it has come is seen in the tree.
                    let _ = consent.await;
                }
                Err(JobsError::NotFound(..)) if self.is_lost() => {
                    return self.book.change(&self.id, |entry| entry.ended = true);
                }
                _ => {}
            }
        }
    }

    /// Whether a pipeline that was accepted need not be there any more.
    fn is_lost(&self) -> bool {
        let ledger = self.world.ledger.as_ref();
        let is_active = ledger.is_some_and(|ledger| ledger.known(&self.id).is_active);
        !is_active && self.world.is_forgiven()
    }
}
