//! The server: connections, their limits, and the way of a request to its resource.

mod guard;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, HeaderValue, SERVER};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use mapring_api::backend::{Objects, Queries};
use mapring_api::stats::Stats;
use mapring_kv::Kv;
use mapring_mapred::MapReduce;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::app::{App, CLASSES, HttpConfig, NodeFacts, Request, Stage, reached};
use crate::body::{self, Budget};
use crate::gzip::Compressors;
use crate::params::Params;
use crate::reply::{Reply, Stop};
use crate::route::{Route, is_link_step, route};
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

/// A running server.
pub struct HttpServer {
    address: SocketAddr,
    app: Arc<App>,
    stage: watch::Sender<Stage>,
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
        let (sender, stage) = watch::channel(Stage::Open);
        let app = Arc::new(App {
            objects,
            queries,
            node,
            metrics,
            config,
            stats: Stats::default(),
            answers: CLASSES
                .map(|c| metrics::counter!("mapring_http_requests_total", "status" => c)),
            bodies: Budget::new(config.body_memory_bytes),
            compressors: Compressors::new(if config.gzip { limits::COMPRESSORS } else { 0 }),
            stage,
        });
        let accepting = tokio::spawn(accept(app.clone(), listener));
        Self { address, app, stage: sender, accepting }
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, and queries that have not begun are refused; requests under way
    /// are finished within `grace`, or until `hurry` resolves. Then queries that still run, and all
    /// other requests, are answered that the node stops. Who has not taken its answer after
    /// [`limits::LAST_ANSWERS`] is broken off.
    pub async fn shutdown(self, grace: Duration, hurry: impl Future<Output = ()>) {
        // An error means that nothing is left to be told.
        let _ = self.stage.send(Stage::Finishing);
        self.app.queries.finish();
        let Ok(mut connections) = self.accepting.await else { return };
        let finished = tokio::select! {
            biased;
            () = all_ended(&mut connections) => true,
            () = hurry => false,
            () = tokio::time::sleep(grace) => false,
        };
        // Units of other nodes' queries end here too, so that they go on elsewhere.
        let queries = self.app.queries.end_all();
        if finished {
            return;
        }
        tracing::info!(queries, connections = connections.len(), "requests are ended");
        let _ = self.stage.send(Stage::Over);
        let answered = all_ended(&mut connections);
        if tokio::time::timeout(limits::LAST_ANSWERS, answered).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections broken off");
            connections.shutdown().await;
        }
    }
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

fn describe_metrics() {
    metrics::describe_counter!("mapring_http_requests_total", "requests answered, by status class");
    metrics::describe_gauge!("mapring_http_connections", "open client connections");
}

/// Takes connections until told to stop; gives back those that are left.
async fn accept(app: Arc<App>, listener: TcpListener) -> JoinSet<()> {
    let room = Arc::new(Semaphore::new(app.config.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut stopped = pin!(reached(&app.stage, Stage::Finishing));
    loop {
        let next = async {
            // Never closed, so this cannot fail.
            let permit = room.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = &mut stopped => return connections,
            Some(_) = connections.join_next() => {}
            (permit, taken) = next => match taken {
                Ok((stream, _)) => {
                    connections.spawn(serve(app.clone(), stream, permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Serves one connection.
fn serve(
    app: Arc<App>,
    stream: TcpStream,
    permit: Option<OwnedSemaphorePermit>,
) -> impl Future<Output = ()> + Send + 'static {
    let (idle, stage) = (app.config.idle, app.stage.clone());
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
            () = reached(&stage, Stage::Finishing) => {
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
    let route = route(head.uri.path());
    // A query answers in its own words when the node stops.
    let is_query = matches!(route, Route::Mapred);
    let handled = handle(&app, &mut request, route);
    let handled = if is_query { handled.await } else { app.unless_over(handled).await };
    let reply = handled.unwrap_or_else(Reply::from);
    body::discard(request.body.into_inner(), &request.headers);
    Ok(finish(&app, &request.method, &request.headers, reply))
}

async fn handle(app: &App, request: &mut Request, route: Route) -> Result<Reply, Stop> {
    match route {
        Route::Root => admin::root(request),
        Route::Ping => admin::ping(request),
        Route::Stats => admin::stats(app, request).await,
        Route::Metrics => admin::metrics(app, request),
        Route::AdminCluster => admin::cluster(app, request).await,
        Route::AdminChoose(node) => admin::choose(app, request, &node).await,
        Route::AdminReady => admin::ready(app, request),
        Route::AdminLive => admin::live(app, request),
        Route::AdminMember(node) => admin::member(app, request, &node).await,
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

/// What most who come to a walk have to know.
const SLASH: &str = "A slash that belongs to the key is written as %2F.\n";

/// Walks are not served; what is no walk at all is told so as Riak does.
fn link_walk(steps: &[bytes::Bytes]) -> Reply {
    if steps.iter().all(|step| is_link_step(step)) {
        let text = "link walking is not served here; use link phases of /mapred";
        return Reply::text(StatusCode::NOT_FOUND, format!("{text}\n{SLASH}"));
    }
    Reply::bad_request(format!(
        "Invalid link walk query submitted. Valid link walk query format is: \
         /riak/some_bucket/some_key/<bucket>,<riaktag>,0|1/...\n{SLASH}"
    ))
}

fn finish(app: &App, method: &Method, asked: &HeaderMap, reply: Reply) -> Response<Body> {
    let mut response = app.compressors.encode(asked, reply.into_response());
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
