//! What all handlers share, and a request as they see it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{HeaderMap, Method};
use mapring_api::backend::{Objects, Queries};
use mapring_api::figures::SystemFacts;
use mapring_api::hooks::Hooks;
use mapring_api::jobs::Jobs;
use mapring_api::permission::Permissions;
use mapring_api::stats::Stats;
use mapring_kv::BodySizes;
use mapring_mapred::{Failure, FailureKind, Results};
use mapring_types::{Clock, Entropy, Error, ObjectId, limits as shared};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::body::{self, Begun, Budget, Held};
use crate::params::Params;
use crate::path::Names;
use crate::reply::{Reply, STOPPING, Stop};
use crate::{decision, limits};

/// What the interface has to know of its node besides the cluster's view.
#[derive(Clone)]
pub struct NodeFacts {
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for keys and boundaries.
    pub entropy: Arc<dyn Entropy>,
    /// Whether the node has been started wholly and is not stopping.
    pub serving: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The storage. Blocks.
    pub storage: Arc<dyn Fn() -> StorageFacts + Send + Sync>,
    /// The process and its machine. Blocks.
    pub system: Arc<dyn Fn() -> SystemFacts + Send + Sync>,
    /// The jail of the processes that run functions.
    pub sandbox: Arc<dyn Fn() -> SandboxFacts + Send + Sync>,
}

/// What `/stats` tells of the storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageFacts {
    /// The engine's name.
    pub engine: String,
    /// Bytes on disk.
    pub disk_bytes: u64,
}

/// What `/admin/workers` tells of the jail of the processes that run functions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SandboxFacts {
    /// What is asked for: `on`, `off` or `required`.
    pub mode: &'static str,
    /// Its layers.
    pub layers: Vec<LayerFacts>,
}

/// A layer of the jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerFacts {
    /// Its name.
    pub layer: &'static str,
    /// `held`, `not_needed` or `missing`.
    pub state: &'static str,
    /// Why it is missing.
    pub why: Option<String>,
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
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) queries: Arc<dyn Queries>,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) permissions: Arc<dyn Permissions>,
    pub(crate) node: NodeFacts,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) config: HttpConfig,
    pub(crate) stats: Stats,
    pub(crate) bodies: Budget,
    pub(crate) stage: watch::Receiver<Stage>,
}

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

    /// Pages as they come, with an error at their end if the node stops first.
    pub(crate) fn unless_over_stream<T: Send + 'static>(
        &self,
        pages: BoxStream<'static, mapring_types::Result<T>>,
    ) -> BoxStream<'static, mapring_types::Result<T>> {
        let state = Some((pages, self.stage.clone()));
        let pages = stream::unfold(state, |state| async move {
            let (mut pages, stage) = state?;
            tokio::select! {
                biased;
                () = reached(&stage, Stage::Over) => {
                    Some((Err(Error::unavailable(STOPPING)), None))
                }
                page = pages.next() => Some((page?, Some((pages, stage)))),
            }
        });
        pages.boxed()
    }

    /// Results as they are read, with a failure at their end if the node stops first.
    pub(crate) fn results_unless_over(&self, results: Results) -> Results {
        let state = Some((results, self.stage.clone()));
        let results = stream::unfold(state, |state| async move {
            let (mut results, stage) = state?;
            tokio::select! {
                biased;
                () = reached(&stage, Stage::Over) => {
                    Some((Err(Failure::new(FailureKind::Stopping, STOPPING)), None))
                }
                some = results.next() => Some((some?, Some((results, stage)))),
            }
        });
        results.boxed()
    }
}

/// A request as the handlers see it.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) params: Params,
    pub(crate) names: Names,
    /// Never locked: bodies alone cannot be shared between threads, and requests have to be.
    pub(crate) body: Mutex<Body>,
    /// Of its route.
    pub(crate) origin: Origin,
    /// Of its route.
    pub(crate) upload: Upload,
    /// Whether [`Request::check_origin`] was called.
    pub(crate) origin_checked: AtomicBool,
}

/// From which web pages a request may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From any: it only shows what everyone may know.
    Any,
    /// From those of this node, or from no page at all.
    Own,
    /// The same, and from none of another site that hides which it is: for what a GET changes.
    OwnSite,
}

/// What a request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    /// Nothing: what it carries is thrown away.
    Nothing,
    /// The value of an object, as it is: [`Request::begin`].
    Value,
    /// Properties, as a document.
    Properties,
    /// A query, as a document.
    Query,
    /// A query of a bucket's indexes, as a document.
    BucketQuery,
    /// An operation on a data type, as a document.
    Operation,
    /// A job, a pipeline, a named job or a schedule, as a document.
    Job,
    /// A few words, as a document or a form.
    Message,
}

impl Upload {
    /// The most bytes of it, where it is a document.
    pub(crate) fn most_bytes(self) -> usize {
        match self {
            Self::Nothing | Self::Value => 0,
            Self::Properties => limits::PROPS_BYTES,
            Self::Query => shared::QUERY_BYTES,
            Self::BucketQuery => limits::BUCKET_QUERY_BYTES,
            Self::Operation => limits::OPERATION_BYTES,
            Self::Job => limits::JOB_BYTES,
            Self::Message => limits::FORM_BYTES,
        }
    }
}

impl Request {
    /// The object that the path names.
    pub(crate) fn object(&self) -> ObjectId {
        ObjectId::new(self.names.bucket.clone(), self.names.key.clone())
    }

    /// Refuses what a foreign web page makes a browser send, where the route says so. Each handler
    /// calls it where Riak does, among the other things that may be wrong with a request.
    pub(crate) fn check_origin(&self, app: &App) -> Result<(), Stop> {
        self.origin_checked.store(true, Ordering::Relaxed);
        match self.origin {
            Origin::Any => Ok(()),
            Origin::Own => decision::same_origin(&self.headers, app.config.secure_referer_check),
            Origin::OwnSite => {
                decision::no_other_site(&self.headers, app.config.secure_referer_check)
            }
        }
    }

    /// Reads the body, a document, gzipped or not, within the bounds of its route.
    ///
    /// # Errors
    /// See [`body::read_document`].
    pub(crate) async fn read(&mut self, app: &App) -> Result<Held, Stop> {
        let most = self.upload.most_bytes();
        assert!(most > 0, "the route says that no document is read");
        body::read_document(self.body.get_mut(), &self.headers, most, &app.bodies).await
    }

    /// Begins to read the body, a value: to its end where it is to be held whole.
    ///
    /// # Errors
    /// See [`body::begin`].
    pub(crate) async fn begin(&mut self, app: &App) -> Result<Begun, Stop> {
        assert!(self.upload == Upload::Value, "the route says that no value is read");
        let BodySizes { whole_bytes, max_bytes, .. } = app.objects.body_sizes();
        body::begin(self.body.get_mut(), whole_bytes, max_bytes, &app.bodies).await
    }
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
