//! Clients that have jobs done: each starts one, by way of any node, asks any node for it until it has
//! ended, and takes what it has given. Some end theirs, or have them removed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use mapring_kv::{NewValue, PutOptions};
use mapring_mapred::{Failure, Row};
use mapring_runner::{Jobs, JobsError, Naming, StartRequest};
use mapring_types::{Entropy, Error, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::job_book::Book;
use crate::limits;
use crate::orders::{self, Order};
use crate::random::Random;
use crate::world::World;

/// All of them.
pub(crate) struct JobClients {
    pub(crate) book: Arc<Book>,
    tasks: JoinSet<()>,
}

impl JobClients {
    /// Stores the inputs of jobs, and lets the clients begin, where there are any.
    pub(crate) async fn begin(world: &Arc<World>, random: &Random) -> Result<Self> {
        let mut clients = Self { book: Arc::default(), tasks: JoinSet::new() };
        let Some(shape) = world.shape.jobs else { return Ok(clients) };
        for number in 0..shape.flock {
            let id = orders::object(orders::FLOCK, format!("f{number}"));
            let body = number.to_string().into();
            let value = NewValue { body, ..NewValue::default() };
            let life = world.somebody(random);
            let life = life.ok_or_else(|| Error::internal("a node is gone in peace"))?;
            life.serve(life.kv.put(&id, None, value, &PutOptions::default())).await?;
        }
        for number in 0..limits::ORDERS {
            let client = JobClient::new(world.clone(), clients.book.clone(), random.fork());
            clients.tasks.spawn(async move { client.live(number).await });
        }
        Ok(clients)
    }

    /// Waits until all have seen the end of their jobs, soon after the last fault.
    pub(crate) async fn end(&mut self, world: &World) -> Result<()> {
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.map_err(|error| {
                    Error::internal("a client of jobs panicked").with_source(error)
                })?;
            }
            Ok(())
        };
        if let Ok(ended) = timeout(limits::JOBS_END, all).await {
            return ended;
        }
        for (id, _) in self.book.all().into_iter().filter(|(_, entry)| entry.status.is_none()) {
            let what =
                format!("the end of {id} is not seen {:?} after the faults", limits::JOBS_END);
            world.trace.violation(what);
        }
        self.tasks.abort_all();
        Ok(())
    }
}

/// Waits until every job has ended that was started, whoever knows of it.
pub(crate) async fn all_ended(world: &World) {
    let Some(ledger) = &world.ledger else { return };
    let none = async {
        while !ledger.active().is_empty() {
            sleep(limits::REST_TICK).await;
        }
    };
    if timeout(limits::JOBS_END, none).await.is_err() {
        for id in ledger.active() {
            let what =
                format!("the job {id} has not ended {:?} after the faults", limits::JOBS_END);
            world.trace.violation(what);
        }
    }
}

/// One that asks for a job.
pub(crate) struct JobClient {
    world: Arc<World>,
    book: Arc<Book>,
    random: Random,
}

impl JobClient {
    pub(crate) fn new(world: Arc<World>, book: Arc<Book>, random: Random) -> Self {
        Self { world, book, random }
    }

    async fn live(self, number: u64) {
        self.wait(limits::ORDER_MS).await;
        let flock = self.world.shape.jobs.map_or(1, |shape| shape.flock);
        let order = Order::any(&format!("order {number}"), flock, &self.random);
        let name = match self.random.below(3) {
            0 => Naming::New,
            1 => Naming::Id(format!("job{number}")),
            _ => Naming::Key(format!("order {number}")),
        };
        let since = self.world.trace.now();
        let Some(id) = self.start(&order, &name).await else { return };
        if !self.follow(&id, &order, &name).await {
            return;
        }
        let disturbed = self.world.any_fault_since(since);
        self.book.change(&id, |entry| entry.disturbed = disturbed);
        self.collect(&id).await;
        if !order.is_brief && self.random.per_mille(limits::REMOVED_JOBS) {
            self.remove(&id).await;
        }
    }

    pub(crate) async fn wait(&self, millis: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.random.within(millis))).await;
    }

    /// Asks some node, which may be gone before it has answered.
    pub(crate) async fn ask<T, W>(&self, work: impl FnOnce(Jobs) -> W) -> Result<T, JobsError>
    where
        W: Future<Output = Result<T, JobsError>>,
    {
        let gone = || JobsError::from(Error::unavailable("there is nobody to be asked"));
        let life = self.world.somebody(&self.random).ok_or_else(gone)?;
        let jobs = life.jobs.clone().ok_or_else(gone)?;
        let answer = timeout(limits::CLIENT_PATIENCE, life.serve(work(jobs))).await;
        answer.unwrap_or_else(|_| Err(Error::timeout("the client has lost its patience").into()))
    }

    /// Starts a job; `None` where it is not known whether there is one.
    async fn start(&self, order: &Order, name: &Naming) -> Option<String> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.ask_to_start(order, name).await {
                Ok(id) => {
                    self.world.trace.note(format!("accepted {id}: {}", order.document));
                    self.book.accept(&id, order, attempts);
                    return Some(id);
                }
                Err(JobsError::Node(error)) => {
                    self.world.trace.note(format!("{name:?} may be started: {error}"));
                    if *name == Naming::New {
                        return None;
                    }
                    self.wait(limits::ASKING_MS).await;
                }
                Err(error) => {
                    self.violation(&format!("{name:?}"), &format!("it is refused: {error}"));
                    return None;
                }
            }
        }
    }

    async fn ask_to_start(&self, order: &Order, name: &Naming) -> Result<String, JobsError> {
        let (body, name) = (order.document.to_string().into(), name.clone());
        let request = StartRequest { body, name };
        let started = self.ask(|jobs| async move { jobs.start(request).await }).await?;
        Ok(started.id)
    }

    /// Asks for a job until it has ended; false where it was removed before that was seen.
    async fn follow(&self, id: &str, order: &Order, name: &Naming) -> bool {
        let mut aborts = self.random.per_mille(limits::ABORTED_JOBS);
        let aborts_at = Instant::now() + Duration::from_millis(self.random.within(0..8_000));
        let again = *name != Naming::New && !order.is_brief;
        let mut again = again && self.random.per_mille(limits::STARTED_AGAIN);
        loop {
            self.wait(limits::ASKING_MS).await;
            if again && self.random.per_mille(300) {
                again = false;
                self.start_again(id, order, name).await;
            }
            if aborts && Instant::now() >= aborts_at {
                self.book.change(id, |entry| entry.aborted = true);
                self.world.trace.note(format!("abort {id}"));
                let owned = id.to_owned();
                let done = self.ask(|jobs| async move { jobs.abort(&owned, None).await }).await;
                // Who does not know it yet is asked again.
                aborts = matches!(done, Err(JobsError::Node(_) | JobsError::NotFound(..)));
            }
            let owned = id.to_owned();
            match self.ask(|jobs| async move { jobs.show(&owned).await }).await {
                Ok(detail) if !detail.active => {
                    let status = detail.result_status.clone();
                    self.world.trace.note(format!("{id} has ended: {status:?}"));
                    if let Some(entry) = self.book.get(id) {
                        self.faults(id, entry.check_end(&detail));
                    }
                    self.book.change(id, |entry| entry.status = status);
                    return true;
                }
                Err(JobsError::NotFound(..)) if self.may_be_gone(id, order) => {
                    self.book.change(id, |entry| entry.status = Some("removed".to_owned()));
                    return false;
                }
                _ => {}
            }
        }
    }

    /// Starts it as one does who has not heard that it was: it is the same one.
    async fn start_again(&self, id: &str, order: &Order, name: &Naming) {
        self.book.change(id, |entry| entry.attempts += 1);
        match self.ask_to_start(order, name).await {
            Ok(again) if again == id => {}
            Ok(again) => self.violation(id, &format!("started again it is {again}")),
            Err(JobsError::Node(_)) => {}
            Err(error) => self.violation(id, &format!("it cannot be started again: {error}")),
        }
    }

    /// Takes what a job has given.
    async fn collect(&self, id: &str) {
        loop {
            let Some(entry) = self.book.get(id) else { return };
            match self.rows(id).await {
                Ok(rows) => {
                    self.faults(id, entry.check_rows(id, rows));
                    return;
                }
                Err(JobsError::Conflict(_)) if entry.status.as_deref() != Some("success") => return,
                Err(JobsError::NotFound(..)) if self.may_be_gone(id, &entry.order) => return,
                Err(_) => self.wait(limits::ASKING_MS).await,
            }
        }
    }

    /// The rows that a job has given.
    pub(crate) async fn rows(&self, id: &str) -> Result<Vec<String>, JobsError> {
        let owned = id.to_owned();
        let parts = self.ask(|jobs| async move {
            let results = jobs.results(&owned).await?.results;
            let failed = |failure: Failure| Error::unavailable(failure.to_string());
            Ok(results.map_err(failed).try_collect::<Vec<_>>().await?)
        });
        let values = parts.await?.into_iter().flat_map(|part| part.values);
        Ok(values.map(Row::into_text).collect())
    }

    /// Has a job removed.
    pub(crate) async fn remove(&self, id: &str) {
        self.book.change(id, |entry| entry.removed = true);
        self.world.trace.note(format!("remove {id}"));
        loop {
            let owned = id.to_owned();
            match self.ask(|jobs| async move { jobs.remove(&owned, false).await }).await {
                Ok(()) | Err(JobsError::NotFound(..)) => return,
                Err(_) => self.wait(limits::ASKING_MS).await,
            }
        }
    }

    /// Whether a job that was accepted need not be there any more.
    fn may_be_gone(&self, id: &str, order: &Order) -> bool {
        let ledger = self.world.ledger.as_ref();
        let is_active = ledger.is_some_and(|ledger| ledger.known(id).is_active);
        !is_active && (order.is_brief || self.world.is_forgiven())
    }

    /// What is wrong with a job, unless some of it may be lost.
    pub(crate) fn faults(&self, id: &str, faults: impl IntoIterator<Item = String>) {
        for fault in faults {
            self.violation(id, &fault);
        }
    }

    fn violation(&self, id: &str, fault: &str) {
        let fault = format!("job {id}: {fault}");
        match self.world.is_forgiven() {
            true => self.world.trace.note(format!("forgiven: {fault}")),
            false => self.world.trace.violation(fault),
        }
    }
}
