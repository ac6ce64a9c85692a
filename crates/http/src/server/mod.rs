//! The server: connections, their limits, and the way of a request to its resource.

mod guard;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, HeaderValue, SERVER};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use mapring_kv::Kv;
use mapring_mapred::MapReduce;
use mapring_types::{Clock, Entropy};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::backend::{Objects, Queries};
use crate::body::{self, Budget};
use crate::params::Params;
use crate::reply::{Reply, Stop};
use crate::route::{Route, is_link_step, route};
use crate::stats::Stats;
use crate::{admin, buckets, limits, mapred, objects, queries};

/// What a server is made of.
pub struct HttpParts {
    /// The key-value store of this node.
    pub kv: Kv,
    /// MapReduce on this node.
    pub mapred: MapReduce,
    /// What else there is to know of the node.
    pub node: NodeFacts,
    /// Writes the metrics in Prometheus' text form.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Settings.
    pub config: HttpConfig,
}

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
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            idle: limits::IDLE,
            body_memory_bytes: limits::BODY_MEMORY_BYTES,
            secure_referer_check: true,
        }
    }
}

/// A running server.
pub struct HttpServer {
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<JoinSet<()>>,
}

impl HttpServer {
    /// Serves `listener` until [`HttpServer::shutdown`].
    pub fn start(parts: HttpParts, listener: TcpListener) -> Self {
        let HttpParts { kv, mapred, node, metrics, config } = parts;
        Self::start_with(Arc::new(kv), Arc::new(mapred), node, metrics, config, listener)
    }

    /// As [`HttpServer::start`], over anything that answers like a node.
    pub fn start_with(
        objects: Arc<dyn Objects>,
        queries: Arc<dyn Queries>,
        node: NodeFacts,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
        config: HttpConfig,
        listener: TcpListener,
    ) -> Self {
        describe_metrics();
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let address = listener.local_addr().unwrap_or(unknown);
        let app = Arc::new(App {
            objects,
            queries,
            node,
            metrics,
            config,
            stats: Stats::new(),
            answers: CLASSES
                .map(|c| metrics::counter!("mapring_http_requests_total", "status" => c)),
            bodies: Budget::new(config.body_memory_bytes),
            stopping: AtomicBool::new(false),
        });
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(app.clone(), listener, stopped));
        Self { address, app, stop, accepting }
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, requests under way are finished within `grace`, then the rest is
    /// broken off.
    pub async fn shutdown(self, grace: Duration) {
        self.app.stopping.store(true, Ordering::Relaxed);
        let _ = self.stop.send(true);
        let Ok(mut connections) = self.accepting.await else { return };
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::info!(connections = connections.len(), "connections broken off");
            connections.shutdown().await;
        }
    }
}

fn describe_metrics() {
    metrics::describe_counter!("mapring_http_requests_total", "requests answered, by status class");
    metrics::describe_gauge!("mapring_http_connections", "open client connections");
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
    /// By status class. Looked up once: requests are too many to look them up each time.
    answers: [metrics::Counter; CLASSES.len()],
    stopping: AtomicBool,
}

/// The classes of status codes, from 1xx on.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl App {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Takes connections until told to stop; gives back those that are left.
async fn accept(
    app: Arc<App>,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
) -> JoinSet<()> {
    let room = Arc::new(Semaphore::new(app.config.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let for_connections = stopped.clone();
    loop {
        let next = async {
            // Never closed, so this cannot fail.
            let permit = room.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = told(&mut stopped) => return connections,
            Some(_) = connections.join_next() => {}
            (permit, taken) = next => match taken {
                Ok((stream, _)) => {
                    let stopped = for_connections.clone();
                    connections.spawn(serve(app.clone(), stream, permit, stopped));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Returns when the server is to stop, also because nobody holds it any more.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Serves one connection.
fn serve(
    app: Arc<App>,
    stream: TcpStream,
    permit: Option<OwnedSemaphorePermit>,
    mut stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let idle = app.config.idle;
    let service = hyper::service::service_fn(move |request| dispatch(app.clone(), request));
    // `half_close` stays off: a client that ends its side is taken to have gone, so that the work
    // for it ends.
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_headers(limits::HEADERS)
        .max_buf_size(limits::HEAD_BYTES)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(guard::Guarded::new(stream)), service);
    async move {
        let _permit = permit;
        let open = metrics::gauge!("mapring_http_connections");
        open.increment(1);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = told(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection ended");
        }
        open.decrement(1);
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

async fn dispatch(
    app: Arc<App>,
    request: http::Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    // Most requests have none: nothing is made for it then.
    let body = if body.is_end_stream() { Body::empty() } else { Body::new(body) };
    let mut request = Request {
        method: head.method,
        headers: head.headers,
        params: Params::parse(head.uri.query()),
        body: Mutex::new(body),
    };
    let reply = match handle(&app, &mut request, route(head.uri.path())).await {
        Ok(reply) => reply,
        Err(stop) => stop.into(),
    };
    body::discard(request.body.into_inner(), &request.headers);
    Ok(finish(&app, &request.method, reply))
}

async fn handle(app: &App, request: &mut Request, route: Route) -> Result<Reply, Stop> {
    match route {
        Route::Root => admin::root(request),
        Route::Ping => admin::ping(request),
        Route::Stats => admin::stats(app, request).await,
        Route::Metrics => admin::metrics(app, request),
        Route::AdminCluster => admin::cluster(app, request).await,
        Route::AdminReady => admin::ready(app, request),
        Route::AdminRepair(node) => admin::repair(app, request, &node).await,
        Route::AdminBucketTypes => buckets::list_types(app, request),
        Route::AdminBucketType(name) => buckets::create_type(app, request, &name).await,
        Route::AdminQueries => queries::list(app, request).await,
        Route::AdminQuery(id) => queries::one(app, request, &id).await,
        Route::Mapred => mapred::mapred(app, request).await,
        Route::TypeProps(name) => buckets::type_props(app, request, name).await,
        Route::Buckets(bucket_type) => buckets::list(app, request, bucket_type).await,
        Route::OldBucket(bucket) => buckets::old_bucket(app, request, bucket).await,
        Route::Props(bucket) => buckets::props(app, request, bucket).await,
        Route::Keys(bucket, style) => buckets::keys(app, request, bucket, style).await,
        Route::Object(id, style) => objects::object(app, request, id, style).await,
        Route::PreferenceList(id) => buckets::preference_list(app, request, &id),
        Route::LinkWalk(steps) => Err(link_walk(&steps).into()),
        Route::Unknown => Err(Reply::page(StatusCode::NOT_FOUND).into()),
    }
}

/// Walks are not served; what is no walk at all is told so as Riak does.
fn link_walk(steps: &[bytes::Bytes]) -> Reply {
    if steps.iter().all(|step| is_link_step(step)) {
        let text = "link walking is not served here; use link phases of /mapred\n";
        return Reply::text(StatusCode::NOT_FOUND, text);
    }
    Reply::bad_request(
        "Invalid link walk query submitted. Valid link walk query format is: \
         /riak/some_bucket/some_key/<bucket>,<riaktag>,0|1/...",
    )
}

fn finish(app: &App, method: &Method, reply: Reply) -> Response<Body> {
    let mut response = reply.into_response();
    let status = response.status();
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static(SOFTWARE));
    if bodiless {
        headers.remove(CONTENT_LENGTH);
    } else if let Some(length) = length
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if bodiless || method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len());
    app.answers[class - 1].increment(1);
    response
}

const SOFTWARE: &str = concat!("mapring/", env!("CARGO_PKG_VERSION"));
