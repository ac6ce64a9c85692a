//! The parts of a node, put together in order and stopped in the opposite one.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mapring_api::hooks::WorkerHooks;
use mapring_api::permission::AllowAll;
use mapring_cluster::Cluster;
use mapring_cluster::live::{LiveCluster, LiveConfig};
use mapring_engine::sled::{SledConfig, SledEngine};
use mapring_engine::{Durability, Engine};
use mapring_http::{HttpParts, HttpServer, LayerFacts, NodeFacts, SandboxFacts, StorageFacts};
use mapring_kv::executor::{self, InlineGate, ThreadPool};
use mapring_kv::{Executor, Kv, KvConfig, KvParts};
use mapring_mapred::{MapReduce, MapredConfig, Parts};
use mapring_net::tcp::{TcpConfig, TcpTransport};
use mapring_net::{Services, Transport};
use mapring_runner::{CallbackConfig, Jobs, RunnerConfig};
use mapring_script::sandbox::LayerReport;
use mapring_types::env::{SystemClock, SystemEntropy};
use mapring_types::{Clock, Entropy, Error, ErrorKind, NodeId, Result, Secrets};
use mapring_workers::{ProcessConfig, ProcessWorkers, SandboxStatus};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::limits;
use crate::machine;
use crate::telemetry::Metrics;
use crate::{system, usage};

/// A running node.
pub struct Node {
    addresses: Addresses,
    grace: Duration,
    serving: Arc<AtomicBool>,
    http: HttpServer,
    inner: Inner,
    upkeep: JoinHandle<()>,
}

/// The parts that exist before the node is a member, and end in the opposite order.
struct Inner {
    cluster: Arc<LiveCluster>,
    transport: Arc<TcpTransport>,
    workers: Arc<ProcessWorkers>,
    kv: Kv,
    jobs: Jobs,
    engine: Arc<dyn Engine>,
    /// Last, because its lock must outlast every use of the directory.
    data: DataDir,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The public interface.
    pub http: SocketAddr,
    /// The cluster's.
    pub cluster: SocketAddr,
}

/// Where plain answers go that are too large for memory, in files that have no name.
const SPILL: &str = "spill";
/// Pairs with which jobs go on.
const PAIRS: &str = "pairs";

impl Node {
    /// Starts a node: engine, transport, cluster, key-value store, workers, MapReduce; then it
    /// joins its cluster, however long that takes, and opens the public interface last.
    ///
    /// # Errors
    /// The first part that cannot be started; what was started before is stopped.
    pub async fn start(config: Config) -> Result<Self> {
        let metrics = Metrics::install()?;
        machine::check_open_files()?;
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let secrets = config.secrets()?;
        let data = DataDir::open(&config.node.data_dir)?;
        let me = data.node_id(&*entropy)?;
        // Taken now, so that an address in use is found before the cluster knows of this node;
        // connections are refused until it listens.
        let http_socket = bind(config.http.listen)?;
        let http_address = http_socket
            .local_addr()
            .map_err(|error| Error::unavailable("http.listen").with_source(error))?;
        let transport = TcpTransport::bind(TcpConfig {
            listen: config.cluster.listen,
            me,
            cluster_name: config.cluster.name.clone(),
            ring_size: config.cluster.ring_size,
            secrets: secrets.clone(),
        })
        .await?;
        let addresses = Addresses { http: http_address, cluster: transport.local_addr() };
        tracing::info!(
            node = %config.node.name, id = %me, cluster = %addresses.cluster,
            data = %data.path().display(), version = env!("CARGO_PKG_VERSION"), "node starts"
        );
        let build = Build { config: &config, me, addresses, secrets, clock, entropy };
        let (inner, mapred) = build.inner(transport, data).await?;
        let member = inner.cluster.run().await;
        let http = match member.and_then(|()| listen(http_socket, http_address)) {
            Ok(listener) => listener,
            Err(error) => {
                inner.stop().await;
                return Err(error);
            }
        };
        // Before it is known whether the data is all there, reads would be refused.
        if tokio::time::timeout(limits::PROOF, inner.kv.proven()).await.is_err() {
            tracing::warn!("whether the data is all there is not known yet");
        }
        let serving = Arc::new(AtomicBool::new(true));
        let parts = build.http(&inner, mapred, metrics.clone(), serving.clone());
        let http = HttpServer::start(parts, http);
        tracing::info!(http = %addresses.http, "node is ready");
        let upkeep = tokio::spawn(async move { metrics.upkeep().await });
        Ok(Self { addresses, grace: config.node.grace, serving, http, inner, upkeep })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Stops: not ready, no new connections, requests under way finished within the grace period
    /// (or until `hurry` resolves), those left and their queries answered with an error, out of
    /// gossip, workers ended, data synced.
    pub async fn stop(self, hurry: impl Future<Output = ()>) {
        tracing::info!(grace = ?self.grace, "node stops");
        self.serving.store(false, Ordering::Relaxed);
        self.http.shutdown(self.grace, hurry).await;
        self.inner.stop().await;
        self.upkeep.abort();
        tracing::info!("node has stopped");
    }
}

impl Inner {
    async fn stop(self) {
        // Others take over what is left of them.
        self.jobs.shutdown();
        step("leave the cluster", self.cluster.shutdown()).await;
        step("end workers", self.workers.shutdown()).await;
        // Needs the transport: writes under way settle first.
        let store = async {
            if let Err(error) = self.kv.shutdown().await {
                tracing::error!(%error, "the store did not stop cleanly");
            }
        };
        step("stop the store", store).await;
        step("close connections", self.transport.shutdown()).await;
    }
}

/// One step of a stop, given up after a while.
async fn step(what: &str, work: impl Future<Output = ()>) {
    if tokio::time::timeout(limits::STOP_STEP, work).await.is_err() {
        tracing::warn!(what, after = ?limits::STOP_STEP, "a step of the stop was given up");
    }
}

/// What the parts of a node have in common.
struct Build<'a> {
    config: &'a Config,
    me: NodeId,
    addresses: Addresses,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Build<'_> {
    async fn inner(
        &self,
        transport: Arc<TcpTransport>,
        data: DataDir,
    ) -> Result<(Inner, MapReduce)> {
        let config = self.config;
        let pool = ThreadPool::start("storage", config.storage.threads, config.storage.queue)?;
        // A disk that stands still leaves one of the reactor's threads.
        let reactor = tokio::runtime::Handle::current().metrics().num_workers();
        let pool = pool.with_inline_gate(InlineGate::new(reactor.saturating_sub(1)));
        let executor: Arc<dyn Executor> = Arc::new(pool);
        let engine = self.engine(&*executor, &data).await?;
        let cluster = self.cluster(transport.clone(), &data).await?;
        let background = mapring_background::Workers::default();
        let kv = Kv::open(KvParts {
            workers: background.clone(),
            cluster: cluster.clone() as Arc<dyn Cluster>,
            engine: engine.clone(),
            transport: transport.clone() as Arc<dyn Transport>,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            executor: executor.clone(),
            config: KvConfig {
                reap_after: config.storage.reap_after,
                graves_kept: config.storage.graves_kept,
                sizes: config.object_sizes(),
                bodies: config.body_sizes(),
            },
        })
        .await?;
        let workers = ProcessWorkers::start(ProcessConfig {
            workers: config.script.workers,
            limits: config.script_limits(),
            sandbox: config.script.sandbox,
            queue: config.script.queue,
            js_source_dir: config.script.js_source_dir.clone(),
            ..ProcessConfig::default()
        })
        .await?;
        let mapred = MapReduce::new(Parts {
            kv: kv.clone(),
            transport: transport.clone(),
            workers: workers.clone(),
            executor: executor.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            config: MapredConfig {
                answer_memory_bytes: config.mapred.answer_memory,
                answer_disk_bytes: config.mapred.answer_disk,
                shuffle_memory_bytes: config.mapred.shuffle_memory,
                shuffle_disk_bytes: config.mapred.shuffle_disk,
                spill_dir: data.subdirectory(SPILL)?,
                pairs_dir: Some(data.subdirectory(PAIRS)?),
                sync_pairs: config.storage.durability == Durability::Disk,
                concurrent_queries: config.mapred.concurrent_queries,
                // One more than there are workers: its objects are read while they compute.
                units_at_once: config.script.workers.saturating_add(1),
                ..MapredConfig::default()
            },
        });
        mapred.work_in_background(&background);
        let jobs = Jobs::new(mapring_runner::Parts {
            kv: kv.clone(),
            mapred: mapred.clone(),
            transport: transport.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            callbacks: CallbackConfig {
                allowed: config.jobs.callback_allow.clone(),
                secret: config.jobs.callback_secret.clone().map(Into::into),
                ..CallbackConfig::default()
            },
            file: config.jobs.file.clone(),
            config: RunnerConfig { concurrent: config.jobs.concurrent },
            witness: None,
        });
        transport.serve(Services::new([
            (mapring_cluster::SERVICE, cluster.service()),
            (mapring_kv::SERVICE, kv.service()),
            (mapring_mapred::SERVICE, mapred.service()),
            (mapring_runner::SERVICE, jobs.service()),
        ]));
        // Without a member's place there are none yet.
        jobs.run(&background);
        Ok((Inner { cluster, transport, workers, kv, jobs, engine, data }, mapred))
    }

    /// Opens the engine off the reactor: a recovery reads the whole log.
    async fn engine(&self, executor: &dyn Executor, data: &DataDir) -> Result<Arc<dyn Engine>> {
        let directory = data.subdirectory("store")?;
        let settings = SledConfig {
            durability: self.config.storage.durability,
            cache_bytes: self.config.storage.cache,
            set_aside: self.config.storage.set_aside,
            read_whole: false,
        };
        let engine =
            executor::run(executor, move || SledEngine::open(&directory, settings)).await?;
        Ok(Arc::new(engine))
    }

    async fn cluster(
        &self,
        transport: Arc<TcpTransport>,
        data: &DataDir,
    ) -> Result<Arc<LiveCluster>> {
        let Addresses { http, cluster } = self.addresses;
        let settings = LiveConfig {
            me: self.me,
            node_name: self.config.node.name.clone(),
            cluster_name: self.config.cluster.name.clone(),
            secrets: self.secrets.clone(),
            ring_size: self.config.ring_size()?,
            cluster_address: self.config.cluster_address(cluster),
            http_address: self.config.http_address(cluster, http),
            zone: self.config.node.zone.clone(),
            gossip_listen: cluster,
            join: self.config.cluster.join.clone(),
            data_dir: data.path().to_path_buf(),
        };
        LiveCluster::start(settings, transport, self.clock.clone(), self.entropy.clone()).await
    }

    fn http(
        &self,
        inner: &Inner,
        mapred: MapReduce,
        metrics: Metrics,
        serving: Arc<AtomicBool>,
    ) -> HttpParts {
        let engine = inner.engine.clone();
        let (workers, queries) = (inner.workers.clone(), mapred.clone());
        let storage = move || {
            let stats = engine.stats();
            StorageFacts { engine: stats.name.to_owned(), disk_bytes: stats.disk_bytes }
        };
        let (processes, data) = (inner.workers.clone(), inner.data.path().to_path_buf());
        let system =
            move || system::facts(&processes.processes(), processes.calls_waiting(), &data);
        let jailed = inner.workers.clone();
        HttpParts {
            objects: Arc::new(inner.kv.clone()),
            hooks: Arc::new(WorkerHooks::new(
                inner.kv.clone(),
                inner.workers.clone(),
                self.clock.clone(),
            )),
            queries: Arc::new(mapred),
            jobs: Arc::new(inner.jobs.clone()),
            permissions: Arc::new(AllowAll),
            node: NodeFacts {
                clock: self.clock.clone(),
                entropy: self.entropy.clone(),
                serving: Arc::new(move || serving.load(Ordering::Relaxed)),
                storage: Arc::new(storage),
                system: Arc::new(system),
                sandbox: Arc::new(move || sandbox_facts(jailed.sandbox())),
            },
            metrics: Arc::new(move || {
                metrics::gauge!("mapring_mapred_oldest_query_seconds")
                    .set(queries.oldest_query().as_secs_f64());
                metrics.render() + &usage::text(&workers.processes())
            }),
            config: mapring_http::HttpConfig {
                secure_referer_check: self.config.http.secure_referer_check,
                gzip: self.config.http.gzip,
                ..mapring_http::HttpConfig::default()
            },
        }
    }
}

/// The jail of the workers, in the words of the public interface.
fn sandbox_facts(status: SandboxStatus) -> SandboxFacts {
    let facts = |report: LayerReport| LayerFacts {
        layer: report.layer.name(),
        state: report.state.name(),
        why: report.missing().map(str::to_owned),
    };
    SandboxFacts {
        mode: status.sandbox.name(),
        layers: status.layers.into_iter().map(facts).collect(),
    }
}

/// Takes the address without listening yet.
fn bind(address: SocketAddr) -> Result<TcpSocket> {
    let bind = || -> std::io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restarted node must not wait for the old connections to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bind().map_err(|error| cannot_listen(address, error))
}

fn listen(socket: TcpSocket, address: SocketAddr) -> Result<tokio::net::TcpListener> {
    socket.listen(limits::BACKLOG).map_err(|error| cannot_listen(address, error))
}

fn cannot_listen(address: SocketAddr, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot listen on http://{address}"))
        .with_source(error)
}
