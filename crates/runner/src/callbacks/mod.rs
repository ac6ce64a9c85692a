//! Telling others how jobs and pipelines fare: callbacks and hooks that are requests.
//!
//! A request goes only where the operator allows it (`mapring_jobs::callback`), to exactly the address
//! that was looked at, without following redirects. It is repeated with growing pauses until it is
//! answered with a status of 2xx, or the attempts are over: a receiver gets it at least once, and knows
//! by the id whose end it has heard of already.

mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_jobs::callback::{Allowed, Callback};
use mapring_jobs::{Hearers, Hook, Invalid, Problem};
use mapring_types::Clock;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::limits;

/// Who brings requests to their receivers in place of the network; for tests that have none.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Brings a request to whom a URL names; `id` says of which job or pipeline it tells. Returns once it is
    /// answered well.
    ///
    /// # Errors
    /// Why it is not, in words.
    async fn bring(&self, url: &str, id: &str, body: &Bytes) -> Result<(), String>;
}

/// How a node sends callbacks.
#[derive(Clone)]
pub struct CallbackConfig {
    /// Whom they may reach (`jobs.callback_allow`).
    pub allowed: Allowed,
    /// What they are signed with (`jobs.callback_secret`); `None`: they are not signed.
    pub secret: Option<Bytes>,
    /// How often one is sent before it counts as lost, at least once.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles with each further one, up to
    /// [`limits::LONGEST_CALLBACK_PAUSE`].
    pub pause: Duration,
    /// Who brings them; `None`: they are sent.
    pub courier: Option<Arc<dyn Courier>>,
}

impl Default for CallbackConfig {
    fn default() -> Self {
        Self {
            allowed: Allowed::default(),
            secret: None,
            attempts: limits::CALLBACK_ATTEMPTS,
            pause: limits::CALLBACK_PAUSE,
            courier: None,
        }
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Whose callback it is: a job's or a pipeline's id.
    pub(crate) id: String,
    /// What is said, as JSON.
    pub(crate) body: Bytes,
}

impl Notice {
    pub(crate) fn new(id: &str, body: &Value) -> Self {
        Self { id: id.to_owned(), body: body.to_string().into() }
    }
}

/// Sends the callbacks of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Callbacks(Arc<Sender>);

struct Sender {
    config: CallbackConfig,
    clock: Arc<dyn Clock>,
    /// Requests that tell of ends and may be under way at once, …
    ends: Semaphore,
    /// … and those that tell of something in passing: however many wait, no end waits behind them.
    passing: Semaphore,
    /// Places for those whom nobody waits for.
    queue: Arc<Semaphore>,
}

impl Callbacks {
    pub(crate) fn new(config: CallbackConfig, clock: Arc<dyn Clock>) -> Self {
        metrics::describe_counter!(
            "mapring_jobs_callbacks_total",
            "Callbacks of jobs and pipelines by outcome: sent, lost after all attempts, dropped."
        );
        let ends = Semaphore::new(limits::CALLBACKS_AT_ONCE);
        let passing = Semaphore::new(limits::PASSING_AT_ONCE);
        let queue = Arc::new(Semaphore::new(limits::CALLBACK_QUEUE));
        Self(Arc::new(Sender { config, clock, ends, passing, queue }))
    }

    /// Whether all requests that a job asks for may be made.
    ///
    /// # Errors
    /// Each that may not, with its member.
    pub(crate) fn check(&self, hearers: &Hearers) -> Result<(), Invalid> {
        let hooks = [
            ("hooks.started", &hearers.started),
            ("hooks.shard_done", &hearers.shard_done),
            ("hooks.done", &hearers.done),
        ];
        let hooks = hooks.into_iter().filter_map(|(at, hook)| match hook {
            Some(Hook::Request(callback)) => Some((at, callback)),
            Some(Hook::Function(_)) | None => None,
        });
        let callback = hearers.callback.iter().map(|callback| ("callback", callback));
        self.check_all(callback.chain(hooks))
    }

    /// As [`Callbacks::check`], of callbacks with the path of each.
    ///
    /// # Errors
    /// Each that may not be sent.
    pub(crate) fn check_all<'c>(
        &self,
        callbacks: impl IntoIterator<Item = (&'c str, &'c Callback)>,
    ) -> Result<(), Invalid> {
        let problems = callbacks.into_iter().filter_map(|(at, callback)| {
            let message = self.refusal(callback)?;
            Some(Problem { field: format!("{at}.url"), message })
        });
        Invalid::of(problems.collect()).map_or(Ok(()), Err)
    }

    /// Why a callback is not sent to anybody.
    fn refusal(&self, callback: &Callback) -> Option<String> {
        if callback.target.is_https() {
            return Some("begins with http://: callbacks are signed, and not encrypted".to_owned());
        }
        self.0.config.allowed.check(&callback.target).err().map(|refusal| refusal.to_string())
    }

    /// Sends a callback that somebody waits for until it has arrived.
    ///
    /// # Errors
    /// Why the last attempt did not arrive, in words.
    pub(crate) async fn deliver(&self, callback: &Callback, notice: &Notice) -> Result<(), String> {
        self.send(callback, notice, &self.0.ends).await
    }

    /// As [`Callbacks::deliver`], where nobody waits for it.
    ///
    /// # Errors
    /// Why the last attempt did not arrive, in words.
    pub(crate) async fn deliver_in_passing(
        &self,
        callback: &Callback,
        notice: &Notice,
    ) -> Result<(), String> {
        self.send(callback, notice, &self.0.passing).await
    }

    async fn send(
        &self,
        callback: &Callback,
        notice: &Notice,
        at_once: &Semaphore,
    ) -> Result<(), String> {
        let Sender { config, .. } = &*self.0;
        let mut pause = config.pause;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(callback, notice, at_once).await {
                Ok(()) => {
                    count("sent");
                    return Ok(());
                }
                Err(failure) => failure,
            };
            let (id, url) = (&notice.id, callback.target.url());
            if attempt >= config.attempts || mapring_types::failpoint!(CallbackGivenUp) {
                count("lost");
                tracing::warn!(id, url, attempt, failure, "a callback has not arrived");
                return Err(failure);
            }
            tracing::debug!(id, url, attempt, failure, "a callback is to be sent again");
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(limits::LONGEST_CALLBACK_PAUSE);
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        callback: &Callback,
        notice: &Notice,
        at_once: &Semaphore,
    ) -> Result<(), String> {
        // The configuration may be another one than when the document was taken.
        if let Some(refusal) = self.refusal(callback) {
            return Err(refusal);
        }
        let Sender { config, clock, .. } = &*self.0;
        let Ok(_permit) = at_once.acquire().await else { return Err("the node stops".to_owned()) };
        let unanswered = || format!("is not answered within {:?}", limits::CALLBACK);
        if let Some(courier) = &config.courier {
            let brought = courier.bring(callback.target.url(), &notice.id, &notice.body);
            let brought = tokio::time::timeout(limits::CALLBACK, brought).await;
            return brought.unwrap_or_else(|_| Err(unanswered()));
        }
        let seconds = clock.now_micros() / 1_000_000;
        let secret = config.secret.as_deref();
        let request = request::build(callback, notice, secret.map(|secret| (secret, seconds)))?;
        let sent = request::send(&callback.target, &config.allowed, request);
        let status = match tokio::time::timeout(limits::CALLBACK, sent).await {
            Ok(status) => status?,
            Err(_) => return Err(unanswered()),
        };
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("is answered with {status}")),
        }
    }

    /// A place among those whom nobody waits for: callbacks and functions that tell of something under
    /// way. `None` where there are too many.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.0.queue.clone().try_acquire_owned().ok();
        if place.is_none() {
            count("dropped");
        }
        place
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("mapring_jobs_callbacks_total", "outcome" => outcome).increment(1);
}
