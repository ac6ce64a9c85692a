//! The interface over the real store and real queries of three nodes in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mapring_api::figures::SystemFacts;
use mapring_api::hooks::WorkerHooks;
use mapring_api::permission::AllowAll;
use mapring_cluster::fixed::{FixedCluster, FixedGroup};
use mapring_cluster::{Change, Cluster, Outcome, View};
use mapring_engine::memory::MemoryEngine;
use mapring_kv::executor::ThreadPool;
use mapring_kv::{Kv, KvConfig, KvParts};
use mapring_mapred::{MapReduce, MapredConfig, Parts};
use mapring_net::Services;
use mapring_net::simulated::{Fate, Network};
use mapring_ring::RingSize;
use mapring_script::{
    CallContext, FailureCause, MapInput, Mapped, PhaseFunction, QueryTag, ReduceTiming,
    ScriptError, ScriptLimits,
};
use mapring_types::env::{SystemClock, SystemEntropy};
use mapring_types::{NodeId, Result};
use mapring_workers::{Reduce, Workers};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::wire::Client;
use crate::{HttpConfig, HttpParts, HttpServer, NodeFacts, SandboxFacts, StorageFacts};

const TEXT: &[&str] = &["Content-Type: text/plain"];
const JSON: &[&str] = &["Content-Type: application/json"];

/// Functions are not what is tested here.
struct NoWorkers;

fn none<T>() -> Result<T, ScriptError> {
    let message = "there are no workers".into();
    Err(ScriptError { cause: FailureCause::Thrown, message, stack: None, input: Some(0) })
}

#[async_trait]
impl Workers for NoWorkers {
    async fn map(
        &self,
        _: QueryTag,
        _: usize,
        _: &Arc<PhaseFunction>,
        _: &Arc<CallContext>,
        _: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        none()
    }

    async fn reduce(
        &self,
        _: QueryTag,
        _: usize,
        _: &Arc<PhaseFunction>,
        _: &Arc<CallContext>,
        _: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        none()
    }

    fn limits(&self) -> ScriptLimits {
        ScriptLimits::default()
    }
}

/// A cluster whose nodes are all up, whatever was found of them: the first looks for the others
/// before these are there, and nothing here would teach it better.
struct AllUp(Arc<FixedCluster>);

#[async_trait]
impl Cluster for AllUp {
    fn view(&self) -> Arc<View> {
        self.0.view()
    }

    fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.0.changes()
    }

    async fn propose(&self, change: Change) -> Result<Outcome> {
        self.0.propose(change).await
    }

    fn report(&self, _: NodeId, _: bool) {}
}

async fn start() -> Vec<HttpServer> {
    let network = Network::new();
    network.set_weather(Box::new(|_, _| Fate::Deliver(Duration::from_micros(10))));
    let executor = Arc::new(ThreadPool::start("storage", 2, 1_000).unwrap());
    let mut servers = Vec::new();
    let handles = FixedGroup::start(3, RingSize::new(64).unwrap());
    for cluster in &handles {
        let me = cluster.view().me;
        let kv = Kv::open(KvParts {
            workers: mapring_background::Workers::default(),
            cluster: Arc::new(AllUp(cluster.clone())),
            engine: Arc::new(MemoryEngine::new()),
            transport: network.transport(me),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            executor: executor.clone(),
            config: KvConfig { reap_after: None, ..KvConfig::default() },
        })
        .await
        .unwrap();
        let mapred = MapReduce::new(Parts {
            kv: kv.clone(),
            transport: network.transport(me),
            workers: Arc::new(NoWorkers),
            executor: executor.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            config: MapredConfig::default(),
        });
        network.connect(
            me,
            Services::new([
                (mapring_kv::SERVICE, kv.service()),
                (mapring_mapred::SERVICE, mapred.service()),
            ]),
        );
        let parts = HttpParts {
            hooks: Arc::new(WorkerHooks::new(
                kv.clone(),
                Arc::new(NoWorkers),
                Arc::new(SystemClock),
            )),
            objects: Arc::new(kv),
            queries: Arc::new(mapred),
            jobs: Arc::new(super::fake_jobs::PlayedJobs::default()),
            permissions: Arc::new(AllowAll),
            node: NodeFacts {
                clock: Arc::new(SystemClock),
                entropy: Arc::new(SystemEntropy),
                serving: Arc::new(|| true),
                storage: Arc::new(StorageFacts::default),
                system: Arc::new(SystemFacts::default),
                sandbox: Arc::new(SandboxFacts::default),
            },
            metrics: Arc::new(String::new),
            config: HttpConfig::default(),
        };
        servers.push(HttpServer::start(parts, TcpListener::bind("127.0.0.1:0").await.unwrap()));
    }
    handles[0].propose(Change::Seal).await.unwrap();
    servers
}

#[tokio::test]
async fn every_node_answers_for_all() {
    let servers = start().await;
    let mut clients = Vec::new();
    for server in &servers {
        clients.push(Client::connect(server.local_addr()).await);
    }
    let props = b"{\"props\":{\"allow_mult\":true}}";
    let set = clients[2].request("PUT", "/buckets/b/props", JSON, props).await;
    assert_eq!(set.status, 204);
    for (at, client) in clients.iter_mut().enumerate() {
        let path = format!("/buckets/b/keys/{at}");
        let put = client.request("PUT", &path, TEXT, format!("value {at}").as_bytes()).await;
        assert_eq!(put.status, 204, "{}", put.text());
    }
    for client in &mut clients {
        for at in 0..3 {
            let got = client.get(&format!("/riak/b/{at}")).await;
            assert_eq!((got.status, got.text()), (200, format!("value {at}")));
        }
        let keys = client.get("/buckets/b/keys?keys=true").await;
        let mut keys: serde_json::Value = serde_json::from_slice(&keys.body).unwrap();
        keys["keys"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        assert_eq!(keys, serde_json::json!({"keys": ["0", "1", "2"]}));
        let query = br#"{"inputs":[["b","0"],["b","1"]],"query":[]}"#;
        let answer = client.request("POST", "/mapred", JSON, query).await;
        assert_eq!((answer.status, answer.text()), (200, r#"[["b","0"],["b","1"]]"#.into()));
        let parts = client.request("POST", "/mapred?chunked=true", JSON, query).await;
        assert_eq!(parts.text().matches(r#"["b","0"]"#).count(), 1, "{}", parts.text());
        let wrong = br#"{"inputs":[],"query":[]}"#;
        let refused = client.request("POST", "/mapred", JSON, wrong).await;
        assert_eq!((refused.status, refused.header("content-type")), (400, Some("text/plain")));
    }
    // Written on one node without knowledge of the other's value, deleted on a third.
    let second = clients[1].request("PUT", "/riak/b/0?returnbody=true", TEXT, b"other").await;
    assert_eq!(second.status, 300);
    let deleted = clients[2].request("DELETE", "/riak/b/0?rw=all", &[], b"").await;
    assert_eq!(deleted.status, 204);
    let gone = clients[0].get("/riak/b/0?r=all").await;
    assert_eq!(
        (gone.status, gone.header("x-riak-deleted")),
        (404, Some("true")),
        "{}",
        gone.text()
    );
}
