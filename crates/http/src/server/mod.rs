//! The server: connections, their limits, and its stop.

mod guard;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use mapring_api::backend::{Objects, Queries};
use mapring_api::hooks::Hooks;
use mapring_api::jobs::Jobs;
use mapring_api::permission::{Caller, Permissions};
use mapring_api::stats::Stats;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceBuilder;

use crate::app::{App, HttpConfig, NodeFacts, Stage, reached};
use crate::body::Budget;
use crate::layers::Layers;
use crate::limits;

/// What a server is made of.
pub struct HttpParts {
    /// The key-value store of this node.
    pub objects: Arc<dyn Objects>,
    /// Functions that are called before and after writes.
    pub hooks: Arc<dyn Hooks>,
    /// MapReduce on this node.
    pub queries: Arc<dyn Queries>,
    /// The jobs of the cluster.
    pub jobs: Arc<dyn Jobs>,
    /// Who may do what.
    pub permissions: Arc<dyn Permissions>,
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
        let HttpParts { objects, hooks, queries, jobs, permissions, node, metrics, config } = parts;
        describe_metrics();
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let address = listener.local_addr().unwrap_or(unknown);
        let (sender, stage) = watch::channel(Stage::Open);
        let app = Arc::new(App {
            objects,
            hooks,
            queries,
            jobs,
            permissions,
            node,
            metrics,
            config,
            stats: Stats::default(),
            bodies: Budget::new(config.body_memory_bytes),
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
    let layers = Layers::new(app.clone());
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
                Ok((stream, address)) => {
                    let caller = Caller { address };
                    connections.spawn(serve(app.clone(), layers.clone(), stream, caller, permit));
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
    layers: Layers,
    stream: TcpStream,
    caller: Caller,
    permit: Option<OwnedSemaphorePermit>,
) -> impl Future<Output = ()> + Send + 'static {
    let (idle, stage) = (app.config.idle, app.stage.clone());
    let service = ServiceBuilder::new().map_request(received).service(layers.stack(caller));
    // `half_close` stays off: a client that ends its side is taken to have gone, so that the work
    // for it ends.
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_headers(limits::HEADERS)
        .max_buf_size(limits::HEAD_BYTES)
        .title_case_headers(true)
        .serve_connection(
            TokioIo::new(guard::Guarded::new(stream)),
            TowerToHyperService::new(service),
        );
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

/// A request as it is handled: with no body where there is none, as is usual.
fn received(request: Request<Incoming>) -> Request<Body> {
    request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) })
}
