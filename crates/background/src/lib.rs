//! Work that a node does in the background: hand-off, repair, reaping, and whatever must be looked
//! after again and again.
//!
//! Each kind is a [`Worker`]: it waits until there may be something to do, and does a round of it.
//! [`Workers`] runs them, knows what each does and how it went, throttles and stops them.

pub mod limits;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use mapring_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// One kind of work in the background.
#[async_trait]
pub trait Worker: Send + 'static {
    /// What operators know it by: unique within a node, in lower case with hyphens.
    fn name(&self) -> &'static str;

    /// Does what there is to do now. A round that takes long says in `context` how far it is, and rests
    /// there between its pieces.
    ///
    /// # Errors
    /// What kept it from its work: shown, counted, and tried again after the next wait.
    async fn round(&mut self, context: &Context) -> Result<Next>;

    /// Waits until there may be something to do. Dropped when the worker is to stop.
    async fn wait(&mut self);
}

/// What comes after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another round once [`Worker::wait`] is over.
    Wait,
    /// Nothing any more: what it worked for has gone.
    End,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A round is under way.
    Busy,
    /// A round, or a piece of it, is over, and it rests as its throttle says.
    Throttled,
    /// It waits for something to do.
    Idle,
    /// It has ended, by itself or because the node stops.
    Ended,
    /// It has panicked, and does nothing any more.
    Broken,
}

/// What is known of a worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub state: State,
    /// What it says of itself, in a line; empty when it has said nothing.
    pub status: String,
    /// Rounds that are over.
    pub rounds: u64,
    /// Rounds that ended with an error.
    pub errors: u64,
    /// The last error, unless a later round succeeded.
    pub last_error: Option<String>,
    /// How long the last round took, in seconds.
    pub last_round_seconds: f64,
    /// How many times as long as it has worked it rests; 0: not at all.
    pub throttle: u32,
}

/// The workers of a node. Cheap to clone.
#[derive(Clone)]
pub struct Workers(Arc<Registry>);

struct Registry {
    contexts: Mutex<BTreeMap<&'static str, Context>>,
    stop: watch::Sender<bool>,
}

/// Where a worker says what it does, and rests. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Shared>);

struct Shared {
    status: Mutex<Status>,
    stop: watch::Receiver<bool>,
}

impl Default for Workers {
    fn default() -> Self {
        describe_metrics();
        let stop = watch::Sender::new(false);
        Self(Arc::new(Registry { contexts: Mutex::default(), stop }))
    }
}

impl Workers {
    /// Starts a worker: with a round, at once. It ends with its node, and when it says so.
    ///
    /// # Panics
    /// When there is a worker of that name.
    pub fn spawn(&self, worker: impl Worker) {
        let name = worker.name();
        let context = Context::new(name, self.0.stop.subscribe());
        let former = self.0.contexts.lock().insert(name, context.clone());
        assert!(former.is_none(), "there are two workers {name}");
        mapring_net::task::spawn(context.run(worker));
    }

    /// What is known of each, by name.
    pub fn list(&self) -> Vec<Status> {
        self.0.contexts.lock().values().map(Context::status).collect()
    }

    /// Sets how many times as long as it has worked a worker rests. Takes effect with its next rest.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name, `Invalid` beyond [`limits::MOST_THROTTLE`].
    pub fn throttle(&self, name: &str, throttle: u32) -> Result<Status> {
        if throttle > limits::MOST_THROTTLE {
            let most = limits::MOST_THROTTLE;
            return Err(Error::invalid(format!("a throttle is at most {most}, not {throttle}")));
        }
        let contexts = self.0.contexts.lock();
        let Some(context) = contexts.get(name) else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no worker {name}")));
        };
        context.0.status.lock().throttle = throttle;
        Ok(context.status())
    }

    /// Has all end: those that wait or rest at once, the others after their round.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }
}

impl Context {
    fn new(name: &'static str, stop: watch::Receiver<bool>) -> Self {
        let status = Status {
            name,
            state: State::Idle,
            status: String::new(),
            rounds: 0,
            errors: 0,
            last_error: None,
            last_round_seconds: 0.0,
            throttle: 0,
        };
        Self(Arc::new(Shared { status: Mutex::new(status), stop }))
    }

    /// Says what is being done, or was done last, in one line.
    pub fn say(&self, line: impl Into<String>) {
        self.0.status.lock().status = cut(line.into());
    }

    /// Whether the work is to end, at the next place where it can.
    pub fn is_stopping(&self) -> bool {
        *self.0.stop.borrow()
    }

    /// Returns when the work is to end.
    pub async fn stopped(&self) {
        let mut stop = self.0.stop.clone();
        // Without its sender the node is gone.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Rests after a piece of work that took so long, as the throttle says.
    pub async fn rest(&self, took: Duration) {
        let throttle = self.0.status.lock().throttle;
        let rest = took.saturating_mul(throttle).min(limits::LONGEST_REST);
        if rest.is_zero() {
            return;
        }
        self.enter(State::Throttled);
        self.unless_stopped(sleep(rest)).await;
        self.enter(State::Busy);
    }

    fn status(&self) -> Status {
        self.0.status.lock().clone()
    }

    fn enter(&self, state: State) {
        self.0.status.lock().state = state;
    }

    /// Waits for something; returns whether it came before the stop.
    async fn unless_stopped(&self, what: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.stopped() => false,
            () = what => true,
        }
    }

    async fn run(self, worker: impl Worker) {
        let name = worker.name();
        // A worker that has panicked is dropped with what it knew; the node goes on.
        let outcome = AssertUnwindSafe(self.rounds(worker)).catch_unwind().await;
        self.enter(if outcome.is_ok() { State::Ended } else { State::Broken });
        if outcome.is_err() {
            metrics::gauge!("mapring_background_broken_workers").increment(1.0);
            tracing::error!(worker = name, "a worker has panicked: its work is not done any more");
        }
    }

    async fn rounds(&self, mut worker: impl Worker) {
        while !self.is_stopping() {
            self.enter(State::Busy);
            let began = Instant::now();
            let outcome = worker.round(self).await;
            let took = began.elapsed();
            if self.note(&outcome, took) == Next::End {
                return;
            }
            self.rest(took).await;
            self.enter(State::Idle);
            if !self.unless_stopped(worker.wait()).await {
                return;
            }
        }
    }

    /// Keeps how a round went.
    fn note(&self, outcome: &Result<Next>, took: Duration) -> Next {
        let mut status = self.0.status.lock();
        status.rounds += 1;
        status.last_round_seconds = took.as_secs_f64();
        let name = status.name;
        metrics::histogram!("mapring_background_round_duration_seconds", "worker" => name)
            .record(took);
        match outcome {
            Ok(next) => {
                status.last_error = None;
                *next
            }
            Err(error) => {
                let text = cut(error.to_string());
                if status.last_error.as_ref() != Some(&text) {
                    tracing::warn!(worker = name, %error, "a round in the background failed");
                }
                status.errors += 1;
                status.last_error = Some(text);
                metrics::counter!("mapring_background_errors_total", "worker" => name).increment(1);
                assert!(status.errors <= status.rounds);
                Next::Wait
            }
        }
    }
}

/// A line of bounded length.
fn cut(line: String) -> String {
    let end =
        (0..=limits::STATUS_BYTES.min(line.len())).rev().find(|at| line.is_char_boundary(*at));
    line[..end.unwrap_or(0)].replace('\n', " ")
}

fn describe_metrics() {
    metrics::describe_histogram!(
        "mapring_background_round_duration_seconds",
        metrics::Unit::Seconds,
        "Time of a round of a background worker"
    );
    metrics::describe_counter!(
        "mapring_background_errors_total",
        "Rounds of background workers that ended with an error"
    );
    metrics::describe_gauge!(
        "mapring_background_broken_workers",
        "Background workers that have panicked and do nothing any more"
    );
}

#[cfg(test)]
mod tests;
