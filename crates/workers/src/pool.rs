//! The worker processes: who has which, who waits, which are started anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mapring_script::protocol::{Request, Response};
use mapring_script::{CallBounds, FailureCause, QueryTag, ScriptError, ScriptLimits};
use mapring_types::{Error, Result};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::config::ProcessConfig;
use crate::failure::{CallFailure, unexpected};
use crate::jail::{Jail, SandboxStatus};
use crate::library::{self, Libraries};
use crate::limits;
use crate::processes::Processes;
use crate::queue::{FairQueue, QueueKey};
use crate::terms::CallTerms;
use crate::worker::{Exit, StopCause, Worker};

/// The processes of a node.
pub(crate) struct Pool {
    config: ProcessConfig,
    runtime: Handle,
    state: Mutex<PoolState>,
    stopping: watch::Sender<bool>,
    alive: watch::Sender<usize>,
    processes: Arc<Processes>,
    jail: Jail,
    libraries: Arc<Libraries>,
}

#[derive(Default)]
struct PoolState {
    idle: Vec<Worker>,
    waiting: FairQueue<Waiter>,
    /// Queries that are held to terms of their own, and how often.
    terms: BTreeMap<QueryTag, (CallTerms, usize)>,
    /// Reduces that hold a worker and do not need it now.
    parked: BTreeMap<u64, Arc<dyn Parked>>,
    next_parked: u64,
    /// Processes, also those starting or being ended.
    processes: usize,
    busy: usize,
    failed_starts: u32,
    last_failure: String,
}

/// A reduce that holds a worker between its calls, and does not need it then.
#[async_trait]
pub(crate) trait Parked: Send + Sync {
    /// Gives up the worker.
    async fn put_aside(&self);

    /// Ends the reduce, and with it the use of a worker.
    async fn end(&self, error: ScriptError);
}

/// Whoever waits for a worker.
struct Waiter {
    query: QueryTag,
    sender: oneshot::Sender<Lease>,
}

impl Pool {
    /// Starts all processes and waits for the first.
    pub(crate) async fn start(config: ProcessConfig) -> Result<Arc<Self>> {
        let pool = Arc::new(Self {
            runtime: Handle::current(),
            state: Mutex::default(),
            stopping: watch::Sender::new(false),
            alive: watch::Sender::new(0),
            processes: Arc::default(),
            jail: Jail::new(config.sandbox),
            libraries: Arc::default(),
            config,
        });
        if let Some(directory) = pool.config.js_source_dir.clone() {
            let state = pool.libraries.read(&directory).await;
            pool.follow(directory, state);
        }
        for _ in 0..pool.config.workers.max(1) {
            pool.start_one();
        }
        match pool.acquire(0, 0).await {
            Ok(_lease) => Ok(pool),
            Err(error) => {
                pool.shutdown().await;
                Err(Error::internal(error.message))
            }
        }
    }

    /// Takes up changes of the files of functions, and tries them at once, so that the log tells of
    /// mistakes before a query does.
    fn follow(self: &Arc<Self>, directory: PathBuf, mut state: Option<library::DirectoryState>) {
        let (libraries, pool) = (Arc::clone(&self.libraries), Arc::downgrade(self));
        let mut stopping = self.stopping.subscribe();
        let follow = async move {
            loop {
                state = libraries.change(&directory, state).await;
                let Some(pool) = pool.upgrade() else { return };
                drop(pool.acquire(0, 0).await);
            }
        };
        self.runtime.spawn(async move {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => {}
                () = follow => {}
            }
        });
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        self.processes.ids()
    }

    pub(crate) fn sandbox(&self) -> SandboxStatus {
        self.jail.status()
    }

    pub(crate) fn calls_waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    pub(crate) fn limits(&self) -> ScriptLimits {
        self.config.limits
    }

    /// Holds a query to terms once more.
    pub(crate) fn hold(&self, query: QueryTag, terms: CallTerms) {
        let mut state = self.state.lock();
        let held = state.terms.entry(query).or_insert((terms, 0));
        *held = (terms, held.1 + 1);
        state.waiting.set_share(query, terms.share());
    }

    /// Holds it to terms once less.
    pub(crate) fn release_terms(&self, query: QueryTag) {
        let mut state = self.state.lock();
        let Some((_, times)) = state.terms.get_mut(&query) else { return };
        *times -= 1;
        if *times == 0 {
            state.terms.remove(&query);
            state.waiting.set_share(query, limits::WHOLE_SHARE);
        }
    }

    /// What the calls of a query are held to beside the limits of all.
    fn bounds(&self, query: QueryTag) -> Option<CallBounds> {
        self.state.lock().terms.get(&query).map(|(terms, _)| terms.bounds)
    }

    /// Waits for a worker, and sees to it that it has the present files of functions.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        query: QueryTag,
        phase: usize,
    ) -> Result<Lease, ScriptError> {
        loop {
            let mut lease = self.wait_for_one(query, phase).await?;
            if self.load_library(&mut lease).await? {
                return Ok(lease);
            }
        }
    }

    /// Sees to it that a worker has the present files. False when the worker did not survive that, and
    /// another must be asked for.
    async fn load_library(&self, lease: &mut Lease) -> Result<bool, ScriptError> {
        let edition = self.libraries.current();
        if lease.edition() == edition.number {
            return Ok(true);
        }
        match lease.call(&Request::Library(edition.library.clone())).await {
            Ok(Response::Library(complaints)) => {
                lease.set_edition(edition.number);
                edition.tell(&complaints);
                Ok(true)
            }
            Ok(_) => Err(unexpected()),
            Err(CallFailure::Failed(error)) => Err(error),
            Err(CallFailure::Ended(error) | CallFailure::Lost(error)) => {
                self.libraries.blame(&edition, &error);
                Ok(false)
            }
        }
    }

    async fn wait_for_one(
        self: &Arc<Self>,
        query: QueryTag,
        phase: usize,
    ) -> Result<Lease, ScriptError> {
        let (ticket, receiver) = match self.try_acquire(query, phase)? {
            Acquired::Now(lease) => return Ok(lease),
            Acquired::Later(ticket, receiver) => (ticket, receiver),
        };
        let _ticket = ticket;
        let began = Instant::now();
        let lease = receiver.await.map_err(|_| self.no_worker());
        waited(began.elapsed());
        lease
    }

    fn try_acquire(
        self: &Arc<Self>,
        query: QueryTag,
        phase: usize,
    ) -> Result<Acquired, ScriptError> {
        let mut state = self.state.lock();
        if *self.stopping.borrow() {
            return Err(stopping());
        }
        // A worker that has the query's context already saves making one.
        let known = state.idle.iter().position(|worker| worker.knows(query));
        let at = known.or_else(|| state.idle.len().checked_sub(1));
        if let Some(at) = at {
            let worker = state.idle.swap_remove(at);
            state.busy += 1;
            self.report(&state);
            waited(Duration::ZERO);
            return Ok(Acquired::Now(Lease::new(self, worker, query)));
        }
        if state.failed_starts >= limits::FAILED_STARTS {
            return Err(cannot_start(&state.last_failure));
        }
        if state.waiting.len() >= self.config.queue.max(1) {
            let message = format!("{} calls wait for a script worker already", state.waiting.len());
            return Err(ScriptError::new(FailureCause::Worker, message));
        }
        let (sender, receiver) = oneshot::channel();
        let key = state.waiting.push(query, phase, Waiter { query, sender });
        self.report(&state);
        if let Some((_, reduce)) = state.parked.pop_first() {
            self.runtime.spawn(async move { reduce.put_aside().await });
        }
        Ok(Acquired::Later(Ticket { pool: Arc::clone(self), key }, receiver))
    }

    /// Remembers a reduce that does not need its worker now. Gives it up at once when somebody
    /// waits.
    pub(crate) fn park(self: &Arc<Self>, reduce: Arc<dyn Parked>) -> u64 {
        let mut state = self.state.lock();
        let number = state.next_parked;
        state.next_parked += 1;
        if state.waiting.is_empty() {
            state.parked.insert(number, reduce);
        } else {
            self.runtime.spawn(async move { reduce.put_aside().await });
        }
        number
    }

    /// Forgets a parked reduce.
    pub(crate) fn unpark(&self, number: u64) {
        let reduce = self.state.lock().parked.remove(&number);
        drop(reduce);
    }

    /// Ends all calls and processes.
    pub(crate) async fn shutdown(self: &Arc<Self>) {
        self.stopping.send_replace(true);
        let (idle, waiting, parked) = {
            let mut state = self.state.lock();
            let state = &mut *state;
            (
                std::mem::take(&mut state.idle),
                state.waiting.drain(),
                std::mem::take(&mut state.parked),
            )
        };
        drop(waiting);
        for (_, reduce) in parked {
            self.runtime.spawn(async move { reduce.end(stopping()).await });
        }
        idle.into_iter().for_each(|worker| self.dismiss(worker));
        let mut alive = self.alive.subscribe();
        let gone = alive.wait_for(|alive| *alive == 0);
        if timeout(limits::SHUTDOWN_PATIENCE, gone).await.is_err() {
            tracing::warn!("script workers are still busy: they are killed with their calls");
        }
    }

    /// Takes a worker back, or to whoever waits.
    fn release(self: &Arc<Self>, worker: Worker) {
        let mut state = self.state.lock();
        state.no_longer_busy();
        if *self.stopping.borrow() {
            drop(state);
            return self.dismiss(worker);
        }
        if worker.large {
            drop(state);
            return self.replace(worker);
        }
        let refused = self.hand_over(&mut state, worker);
        state.idle.extend(refused);
        self.report(&state);
    }

    /// Gives a worker to whoever waits first; gives it back when nobody does.
    fn hand_over(self: &Arc<Self>, state: &mut PoolState, worker: Worker) -> Option<Worker> {
        let last = worker.last_query();
        let mut worker = Some(worker);
        while let Some(waiter) = state.waiting.pop(last) {
            let lease = Lease::new(self, worker.take()?, waiter.query);
            match waiter.sender.send(lease) {
                Ok(()) => {
                    state.busy += 1;
                    return None;
                }
                Err(mut back) => worker = back.worker.take().map(|worker| *worker),
            }
        }
        worker
    }

    fn dismiss(self: &Arc<Self>, worker: Worker) {
        let pool = Arc::clone(self);
        self.runtime.spawn(async move {
            worker.dismiss().await;
            pool.count(-1);
        });
    }

    /// Ends a worker that has grown large, and starts another.
    fn replace(self: &Arc<Self>, worker: Worker) {
        metrics::counter!("mapring_script_worker_kills_total", "cause" => "large").increment(1);
        let pool = Arc::clone(self);
        self.runtime.spawn(async move {
            worker.dismiss().await;
            pool.count(-1);
            pool.start_one();
        });
    }

    /// Ends a worker in the midst of a call that nobody wants any more, and replaces it.
    fn cancel(self: &Arc<Self>, worker: Worker) {
        let pool = Arc::clone(self);
        self.runtime.spawn(async move {
            worker.terminate(StopCause::Time { input: None }).await;
            pool.terminated("cancelled");
        });
    }

    /// Ends a worker for a cause, and replaces it.
    async fn terminate(self: &Arc<Self>, worker: Worker, cause: StopCause) -> CallFailure {
        // The caller may go at any time; the process must not stay.
        let pool = Arc::clone(self);
        let ended = self.runtime.spawn(async move {
            let exit = worker.terminate(cause).await;
            pool.terminated(name(exit.error.cause));
            exit
        });
        match ended.await {
            Ok(Exit { error, known: true }) => CallFailure::Ended(error),
            Ok(Exit { error, known: false }) => CallFailure::Lost(error),
            Err(_) => CallFailure::Ended(self.no_worker()),
        }
    }

    fn terminated(self: &Arc<Self>, cause: &'static str) {
        metrics::counter!("mapring_script_worker_kills_total", "cause" => cause).increment(1);
        tracing::info!(cause, "a script worker was ended");
        {
            let mut state = self.state.lock();
            state.no_longer_busy();
        }
        self.count(-1);
        self.start_one();
    }

    /// Starts a process in the background, again and again until it works.
    fn start_one(self: &Arc<Self>) {
        if *self.stopping.borrow() {
            return;
        }
        let pool = Arc::clone(self);
        pool.count(1);
        self.runtime.spawn(async move {
            let mut stopping = pool.stopping.subscribe();
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => pool.count(-1),
                worker = pool.start_until_it_works() => pool.started(worker),
            }
        });
    }

    async fn start_until_it_works(self: &Arc<Self>) -> Worker {
        loop {
            match Worker::start(&self.config, &self.processes).await {
                Ok(worker) => return worker,
                Err(error) => sleep(self.start_failed(error)).await,
            }
        }
    }

    fn started(self: &Arc<Self>, worker: Worker) {
        metrics::counter!("mapring_script_worker_starts_total").increment(1);
        self.jail.note(&worker.layers);
        {
            let mut state = self.state.lock();
            state.failed_starts = 0;
            state.busy += 1;
        }
        self.release(worker);
    }

    fn start_failed(&self, error: String) -> Duration {
        tracing::warn!(error, "a script worker cannot be started");
        let mut state = self.state.lock();
        state.failed_starts += 1;
        state.last_failure = error;
        let hopeless = state.failed_starts >= limits::FAILED_STARTS;
        let _hopeless = if hopeless { state.waiting.drain() } else { Vec::new() };
        (limits::FIRST_RESTART_DELAY * 2u32.saturating_pow((state.failed_starts - 1).min(16)))
            .min(limits::LONGEST_RESTART_DELAY)
    }

    fn count(&self, change: isize) {
        let mut state = self.state.lock();
        let processes = state.processes.checked_add_signed(change);
        assert!(processes.is_some(), "a process ended that was never counted");
        state.processes = processes.unwrap_or_default();
        self.alive.send_replace(state.processes);
        self.report(&state);
    }

    /// Shows what the pool does; a good moment to look whether it adds up.
    #[allow(clippy::cast_precision_loss)] // Small counts.
    fn report(&self, state: &PoolState) {
        let (idle, waiting) = (state.idle.len(), state.waiting.len());
        let PoolState { busy, processes, .. } = *state;
        assert!(idle + busy <= processes, "{idle} idle, {busy} busy of {processes} processes");
        assert!(idle == 0 || waiting == 0, "{idle} workers are idle while {waiting} calls wait");
        metrics::gauge!("mapring_script_workers").set(state.processes as f64);
        metrics::gauge!("mapring_script_workers_busy").set(state.busy as f64);
        metrics::gauge!("mapring_script_calls_waiting").set(state.waiting.len() as f64);
    }

    fn no_worker(&self) -> ScriptError {
        if *self.stopping.borrow() {
            return stopping();
        }
        cannot_start(&self.state.lock().last_failure)
    }
}

impl PoolState {
    /// A worker is given back, or has ended.
    fn no_longer_busy(&mut self) {
        assert!(self.busy > 0, "a worker came back that nobody had");
        self.busy -= 1;
    }
}

enum Acquired {
    Now(Lease),
    Later(Ticket, oneshot::Receiver<Lease>),
}

/// A place in the queue: given up when dropped.
struct Ticket {
    pool: Arc<Pool>,
    key: QueueKey,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        let left = state.waiting.remove(self.key);
        self.pool.report(&state);
        drop(state);
        drop(left);
    }
}

/// A worker in somebody's hands. Dropped, it goes back; in the midst of a call it is ended.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    worker: Option<Box<Worker>>,
    query: QueryTag,
    /// Since when a call is under way.
    calling: Option<Instant>,
}

impl Lease {
    fn new(pool: &Arc<Pool>, worker: Worker, query: QueryTag) -> Self {
        let (pool, worker) = (Arc::clone(pool), Some(Box::new(worker)));
        Self { pool, worker, query, calling: None }
    }

    /// Sends a request and waits for its answer. After a call that was dropped midway, or whose
    /// worker has ended, there is no other.
    pub(crate) async fn call(&mut self, request: &Request) -> Result<Response, CallFailure> {
        let gone = || ScriptError::new(FailureCause::Worker, "the script worker has ended");
        if self.calling.is_some() {
            return Err(CallFailure::Ended(gone()));
        }
        let Some(worker) = self.worker.as_mut() else { return Err(CallFailure::Ended(gone())) };
        metrics::counter!("mapring_script_calls_total", "where" => "worker").increment(1);
        let bounds = self.pool.bounds(self.query);
        self.calling = Some(Instant::now());
        let mut stop = self.pool.stopping.subscribe();
        let answer = tokio::select! {
            biased;
            _ = stop.wait_for(|stopping| *stopping) => {
                // The worker is ended with this lease.
                return Err(CallFailure::Ended(stopping()));
            }
            answer = worker.call(request, bounds) => answer,
        };
        self.charge();
        match answer {
            Ok(answer) => match answer {
                Response::Failed(error) => Err(CallFailure::Failed(error)),
                answer => Ok(answer),
            },
            Err(cause) => match self.worker.take() {
                Some(worker) => Err(self.pool.terminate(*worker, cause).await),
                None => Err(CallFailure::Ended(gone())),
            },
        }
    }
}

impl Lease {
    /// Which edition of the files of functions the worker has.
    pub(crate) fn edition(&self) -> u64 {
        self.worker.as_ref().map_or(0, |worker| worker.edition)
    }

    /// The worker has got an edition.
    pub(crate) fn set_edition(&mut self, edition: u64) {
        if let Some(worker) = &mut self.worker {
            worker.edition = edition;
        }
    }

    /// Ends the worker, which is in the midst of something.
    pub(crate) fn end(mut self) {
        self.charge();
        if let Some(worker) = self.worker.take() {
            self.pool.cancel(*worker);
        }
    }

    /// The call under way is over, or is given up: the query has had its time. False when there was
    /// none.
    fn charge(&mut self) -> bool {
        let Some(began) = self.calling.take() else { return false };
        self.pool.state.lock().waiting.charge(self.query, began.elapsed());
        true
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.worker.take() {
            Some(worker) if self.charge() => self.pool.cancel(*worker),
            Some(worker) => self.pool.release(*worker),
            None => {}
        }
    }
}

/// For how long a call waited for its worker.
fn waited(time: Duration) {
    metrics::histogram!("mapring_script_wait_seconds", "where" => "worker").record(time);
}

fn stopping() -> ScriptError {
    ScriptError::new(FailureCause::Worker, "the node is stopping")
}

fn cannot_start(why: &str) -> ScriptError {
    ScriptError::new(FailureCause::Worker, format!("no script worker can be started: {why}"))
}

fn name(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::Time => "time",
        FailureCause::Memory => "memory",
        FailureCause::Stack => "stack",
        FailureCause::Thrown => "broken",
        _ => "ended",
    }
}
