//! What all handlers share, and a request as they see it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method};
use mapring_api::backend::{Objects, Queries};
use mapring_api::stats::Stats;
use mapring_types::{Clock, Entropy, Error};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::body::Budget;
use crate::gzip::Compressors;
use crate::limits;
use crate::listing::Names;
use crate::params::Params;
use crate::reply::{Reply, STOPPING, Stop};

/// What the interface has to know of its node besides the cluster's view.
#[derive(Clone)]
pub struct NodeFacts {
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for keys and boundaries.
    pub entropy: Arc<dyn Entropy>,
    /// Whether the node has been started wholly and is not stopping.
    pub serving: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The storage.
    pub storage: Arc<dyn Fn() -> StorageFacts + Send + Sync>,
}

/// What `/stats` tells of the storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageFacts {
    /// The engine's name.
    pub engine: String,
    /// Bytes on disk.
    pub disk_bytes: u64,
}

/// Settings of the public interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpConfig {
    /// Most connections at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// How long a connection may be idle, or take to send the head of a request.
    pub idle: Duration,
    /// Request bodies held in memory at once, in bytes, over all connections.
    pub body_memory_bytes: u64,
    /// Whether requests are refused whose `Referer` is another site (Riak's
    /// `secure_referer_check`).
    pub secure_referer_check: bool,
    /// Whether answers are compressed for clients that accept it.
    pub gzip: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            idle: limits::IDLE,
            body_memory_bytes: limits::BODY_MEMORY_BYTES,
            secure_referer_check: true,
            gzip: true,
        }
    }
}

/// What all handlers share.
pub(crate) struct App {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) queries: Arc<dyn Queries>,
    pub(crate) node: NodeFacts,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) config: HttpConfig,
    pub(crate) stats: Stats,
    pub(crate) bodies: Budget,
    pub(crate) compressors: Compressors,
    /// By status class. Looked up once: requests are too many to look them up each time.
    pub(crate) answers: [metrics::Counter; CLASSES.len()],
    pub(crate) stage: watch::Receiver<Stage>,
}

/// The classes of status codes, from 1xx on.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl App {
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stage.borrow() > Stage::Open
    }

    /// Does what a request asks for, unless the node stops first.
    pub(crate) async fn unless_over<T>(
        &self,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        tokio::select! {
            // What is done at once, as most is, never looks at the stage.
            biased;
            done = work => done,
            () = reached(&self.stage, Stage::Over) => Err(Reply::stopping().into()),
        }
    }

    /// Names as they come, with an error at their end if the node stops first.
    pub(crate) fn names_unless_over(&self, names: Names) -> Names {
        let state = Some((names, self.stage.clone()));
        let names = stream::unfold(state, |state| async move {
            let (mut names, stage) = state?;
            tokio::select! {
                biased;
                () = reached(&stage, Stage::Over) => {
                    Some((Err(Error::unavailable(STOPPING)), None))
                }
                page = names.next() => Some((page?, Some((names, stage)))),
            }
        });
        names.boxed()
    }
}

/// A request as the resources see it.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) params: Params,
    /// Never locked: bodies alone cannot be shared between threads, and requests have to be.
    pub(crate) body: Mutex<Body>,
}

/// How far a server has got with its stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It does not stop.
    Open,
    /// What is under way is finished.
    Finishing,
    /// What is under way is answered that the node stops.
    Over,
}

/// Returns when the server has got so far, also because nobody holds it any more.
pub(crate) async fn reached(stage: &watch::Receiver<Stage>, wanted: Stage) {
    let _ = stage.clone().wait_for(|stage| *stage >= wanted).await;
}
