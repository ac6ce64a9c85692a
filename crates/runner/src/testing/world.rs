//! A few nodes with a store in memory, which can be killed, held up and started again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use mapring_cluster::fixed::{FixedCluster, FixedGroup, Spread};
use mapring_cluster::{Change, Cluster, ClusterState};
use mapring_engine::memory::MemoryEngine;
use mapring_jobs::callback::Allowed;
use mapring_kv::executor::Inline;
use mapring_kv::{GetOptions, Kv, KvConfig, KvParts, NewValue, PutOptions};
use mapring_mapred::{MapReduce, MapredConfig};
use mapring_net::Services;
use mapring_net::simulated::{Fate, Network};
use mapring_net::task::Gate;
use mapring_ring::RingSize;
use mapring_script::{
    CallContext, FailureCause, Function, MapInput, Mapped, PhaseFunction, QueryTag, ReduceTiming,
    Row, ScriptError, ScriptLimits, WriteOp,
};
use mapring_types::{BucketId, Clock, Entropy, Metadata, NodeId, ObjectId, Quorum};
use mapring_workers::{Reduce, Workers};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::peers::Peers;
use crate::store::objects::ObjectStore;
use crate::store::{ListQuery, Shelf, Store as _};
use crate::{
    CallbackConfig, JobDetail, Jobs, JobsError, Naming, Parts, RunnerConfig, StartRequest,
};

/// A small cluster.
pub(super) struct World {
    pub(super) network: Arc<Network>,
    pub(super) nodes: Vec<Node>,
    pub(super) calls: Arc<Calls>,
    clock: Arc<TestClock>,
    cut_off: Arc<Mutex<BTreeSet<NodeId>>>,
    /// Who learns nothing by itself of what others decide.
    pub(super) behind: Arc<Mutex<BTreeSet<NodeId>>>,
}

pub(super) struct Node {
    pub(super) cluster: Arc<FixedCluster>,
    engine: Arc<MemoryEngine>,
    /// Where it saves pairs.
    pairs: TempDir,
    pub(super) running: Option<Running>,
}

pub(super) struct Running {
    pub(super) kv: Kv,
    pub(super) jobs: Jobs,
    pub(super) gate: Arc<Gate>,
}

/// Called with the number of inputs that all nodes have mapped so far.
type Hook = Box<dyn Fn(u64) + Send + Sync>;

/// What the workers of all nodes have in common.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) mapped: AtomicU64,
    pub(super) hook: Mutex<Option<Hook>>,
}

pub(super) struct TestClock(Instant);

impl Clock for TestClock {
    fn now_micros(&self) -> u64 {
        1_700_000_000_000_000 + u64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

/// A generator that gives the same numbers in every run (splitmix64).
struct Seeded(AtomicU64);

impl Entropy for Seeded {
    fn next_u64(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl World {
    pub(super) async fn start(nodes: u64) -> Self {
        Self::with(nodes, RunnerConfig::default()).await
    }

    pub(super) async fn with(nodes: u64, config: RunnerConfig) -> Self {
        // Who is cut off decides nothing, and learns nothing of what others decide.
        let cut_off: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
        let is_cut_off = cut_off.clone();
        let decides = move |node: NodeId, _: &ClusterState| !is_cut_off.lock().contains(&node);
        let spread = Spread::Lagging(Box::new(decides));
        let handles = FixedGroup::start_with(nodes, RingSize::new(16).unwrap(), spread);
        let network = Network::new();
        let is_cut_off = cut_off.clone();
        network.set_weather(Box::new(move |from, to| {
            let cut_off = is_cut_off.lock();
            match cut_off.contains(&from) == cut_off.contains(&to) {
                true => Fate::Deliver(Duration::from_micros(100)),
                false => Fate::Lose,
            }
        }));
        let (learning, is_cut_off) = (handles.clone(), cut_off.clone());
        let behind: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
        let is_behind = behind.clone();
        tokio::spawn(async move {
            loop {
                let learns = |cluster: &&Arc<FixedCluster>| {
                    let me = cluster.view().me;
                    !is_cut_off.lock().contains(&me) && !is_behind.lock().contains(&me)
                };
                learning.iter().filter(learns).for_each(|cluster| cluster.learn());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        handles[0].propose(Change::Seal).await.unwrap();
        handles.iter().for_each(|handle| handle.learn());
        let nodes = handles.into_iter().map(|cluster| {
            let engine = Arc::new(MemoryEngine::new());
            let pairs = TempDir::new().unwrap();
            Node { cluster, engine, pairs, running: None }
        });
        let (nodes, clock) = (nodes.collect(), Arc::new(TestClock(Instant::now())));
        let mut world = Self { network, nodes, calls: Arc::default(), clock, cut_off, behind };
        for at in 0..world.nodes.len() {
            world.open(at, config.clone()).await;
        }
        world
    }

    async fn open(&mut self, at: usize, config: RunnerConfig) {
        let node = &mut self.nodes[at];
        let me = node.cluster.view().me;
        let entropy = Arc::new(Seeded(AtomicU64::new(self.clock.now_micros() ^ me.0)));
        let transport = self.network.transport(me);
        let gate = Gate::new();
        let (clock, calls) = (self.clock.clone(), self.calls.clone());
        let (cluster, engine) = (node.cluster.clone(), node.engine.clone());
        let pairs_dir = Some(node.pairs.path().to_owned());
        let opened = gate.run(async move {
            let workers = mapring_background::Workers::default();
            let kv = Kv::open(KvParts {
                workers: workers.clone(),
                cluster,
                engine,
                transport: transport.clone(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                executor: Arc::new(Inline),
                config: KvConfig { reap_after: None, ..KvConfig::default() },
            });
            let kv = kv.await.unwrap();
            let mapred = MapReduce::new(mapring_mapred::Parts {
                kv: kv.clone(),
                transport: transport.clone(),
                workers: Arc::new(TestWorkers(calls)),
                executor: Arc::new(Inline),
                clock: clock.clone(),
                entropy: entropy.clone(),
                config: MapredConfig { page_inputs: 7, pairs_dir, ..MapredConfig::default() },
            });
            let parts = Parts {
                kv: kv.clone(),
                mapred: mapred.clone(),
                transport,
                clock,
                entropy,
                callbacks: CallbackConfig {
                    allowed: Allowed::parse(&["127.0.0.1"]).unwrap(),
                    pause: Duration::from_millis(1),
                    ..CallbackConfig::default()
                },
                file: None,
                config,
                witness: None,
            };
            let jobs = Jobs::new(parts);
            jobs.run(&workers);
            (kv, mapred, jobs)
        });
        let (kv, mapred, jobs) = opened.await;
        let services = Services::new([
            (mapring_kv::SERVICE, kv.service()),
            (mapring_mapred::SERVICE, mapred.service()),
            (crate::SERVICE, jobs.service()),
        ]);
        self.network.connect_through(me, services, gate.clone());
        node.running = Some(Running { kv, jobs, gate });
    }

    pub(super) fn jobs(&self, at: usize) -> &Jobs {
        &self.nodes[at].running.as_ref().unwrap().jobs
    }

    pub(super) fn kv(&self, at: usize) -> &Kv {
        &self.nodes[at].running.as_ref().unwrap().kv
    }

    /// Ends a node as a crash does: nothing of it runs any more.
    pub(super) fn kill(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let me = node.cluster.view().me;
        if let Some(running) = node.running.take() {
            running.gate.close();
            // What it has spawned is never dropped, as that of a process that is gone is not.
            std::mem::forget(running);
        }
        self.network.crash(me);
        for other in &self.nodes {
            if other.running.is_some() {
                other.cluster.report(me, false);
            }
        }
    }

    /// Starts a killed node again, on what it had stored.
    pub(super) async fn restart(&mut self, at: usize) {
        self.open(at, RunnerConfig::default()).await;
        let running: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|node| node.running.is_some())
            .map(|node| node.cluster.view().me)
            .collect();
        for node in &self.nodes {
            node.cluster.set_up(running.clone());
        }
    }

    /// Ends all nodes at once.
    pub(super) fn kill_all(&mut self) {
        (0..self.nodes.len()).for_each(|at| self.kill(at));
    }

    /// Starts all nodes again, one after another, some time later.
    pub(super) async fn restart_all_after(&mut self, down: Duration) {
        tokio::time::sleep(down).await;
        for at in 0..self.nodes.len() {
            self.restart(at).await;
        }
    }

    /// Removes what a node that was killed has saved of pairs.
    pub(super) fn lose_pairs(&self, at: usize) {
        for entry in std::fs::read_dir(self.nodes[at].pairs.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    /// The names of the files in which nodes have pairs.
    pub(super) fn files_of_pairs(&self) -> Vec<String> {
        let all = self.nodes.iter().flat_map(|node| std::fs::read_dir(node.pairs.path()).unwrap());
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Cuts a node off from the others, or lets it back.
    pub(super) fn cut(&self, at: usize, is_cut: bool) {
        let me = self.nodes[at].cluster.view().me;
        {
            let mut cut_off = self.cut_off.lock();
            if is_cut {
                cut_off.insert(me)
            } else {
                cut_off.remove(&me)
            };
        }
        for (other, node) in self.nodes.iter().enumerate() {
            let all = (1..).map(NodeId).take(self.nodes.len());
            let sees = |node: &NodeId| !is_cut || (other == at) == (*node == me);
            node.cluster.set_up(all.filter(sees));
        }
    }

    /// Holds a node up, as SIGSTOP does, or lets it go on.
    pub(super) fn hold(&self, at: usize, held: bool) {
        let gate = &self.nodes[at].running.as_ref().unwrap().gate;
        if held { gate.close() } else { gate.open() }
    }

    /// Stores an object, as soon as nodes know what they are to keep.
    pub(super) async fn put(&self, bucket: &str, key: &str, body: &str) {
        let value = NewValue {
            metadata: Metadata { content_type: "application/json".into(), ..Metadata::default() },
            body: body.to_owned().into(),
            deleted: false,
        };
        let id = ObjectId::new(BucketId::untyped(bucket.to_owned()), key.to_owned());
        let options = PutOptions::default();
        for _ in 0..200 {
            if self.kv(0).put(&id, None, value.clone(), &options).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{id} cannot be stored");
    }

    pub(super) async fn fill(&self, bucket: &str, count: usize) {
        for number in 0..count {
            self.put(bucket, &format!("k{number:03}"), &number.to_string()).await;
        }
    }

    pub(super) async fn get(&self, at: usize, bucket: &str, key: &str) -> Option<String> {
        let id = ObjectId::new(BucketId::untyped(bucket.to_owned()), key.to_owned());
        let found = self.kv(at).get(&id, &GetOptions::default()).await.unwrap()?;
        found.newest().map(|value| String::from_utf8(value.body.to_vec()).unwrap())
    }

    pub(super) async fn start_job(&self, at: usize, body: &str) -> String {
        self.try_start(at, body, Naming::New).await.unwrap()
    }

    pub(super) async fn try_start(
        &self,
        at: usize,
        body: &str,
        name: Naming,
    ) -> Result<String, JobsError> {
        let request = StartRequest { body: body.to_owned().into(), name };
        let started = self.jobs(at).start(request).await?;
        // Until all have learned of it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(started.id)
    }

    /// Waits until a job has ended.
    pub(super) async fn ended(&self, at: usize, id: &str) -> JobDetail {
        self.until(at, id, |detail| !detail.active).await
    }

    /// Waits until something is so of a job.
    pub(super) async fn until(
        &self,
        at: usize,
        id: &str,
        mut is_so: impl FnMut(&JobDetail) -> bool,
    ) -> JobDetail {
        let mut last = None;
        for _ in 0..10_000 {
            match self.jobs(at).show(id).await {
                Ok(detail) if is_so(&detail) => return detail,
                found => last = Some(found),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{id} is still {last:?}")
    }

    /// The rows that a job has given, in order.
    pub(super) async fn rows(&self, at: usize, id: &str) -> Vec<String> {
        let results = self.jobs(at).results(id).await.unwrap().results;
        let all: Vec<_> = results.try_collect().await.unwrap();
        all.into_iter().flat_map(|some| some.values).map(Row::into_text).collect()
    }

    /// Where a node keeps what the program keeps for itself.
    pub(super) fn store(&self, at: usize) -> ObjectStore {
        let kv = self.kv(at).clone();
        let transport = self.network.transport(kv.cluster().view().me);
        let peers = Peers::new(kv.cluster().clone(), transport);
        ObjectStore::new(kv, peers)
    }

    /// The keys of what the program keeps for itself.
    pub(super) async fn kept(&self, shelf: Shelf) -> Vec<String> {
        let at = self.nodes.iter().position(|node| node.running.is_some()).unwrap();
        let query = ListQuery {
            shelf,
            field: None,
            from: String::new(),
            to: char::MAX.to_string(),
            after: None,
            most: 1_000,
            brief: true,
        };
        let found = self.store(at).list(&query).await.unwrap();
        found.into_iter().map(|listed| listed.key).collect()
    }
}

/// The workers of one node. Functions are called by name: `json` gives the value of an object, `slow` too
/// but takes 20 ms, `pair` gives the pair of its remainder by 4 and itself, `copy` stores it elsewhere,
/// `throw` fails for the value 7, `hang` never ends. What has a source gives its first argument.
struct TestWorkers(Arc<Calls>);

#[async_trait]
impl Workers for TestWorkers {
    async fn map(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        _context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        let name = match &function.function {
            Function::Named(name) => name.clone(),
            other => format!("{other:?}"),
        };
        let mut mapped = Mapped::default();
        for (at, input) in inputs.iter().enumerate() {
            if let Some(hook) = self.0.hook.lock().as_ref() {
                hook(self.0.mapped.load(Ordering::Relaxed));
            }
            let body = input.record.as_ref().and_then(|record| record.decode().ok());
            let body = body.and_then(|object| object.newest().map(|value| value.body.clone()));
            let text = String::from_utf8(body.unwrap_or_default().to_vec()).unwrap_or_default();
            match name.as_str() {
                "slow" | "pair" => tokio::time::sleep(Duration::from_millis(20)).await,
                "hang" => std::future::pending().await,
                "throw" if text == "7" => {
                    return Err(ScriptError::new(FailureCause::Thrown, "Error: boom on 7").at(at));
                }
                _ => {}
            }
            if matches!(&function.function, Function::Source(_)) {
                let given: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                let row = serde_json::json!({ "value": given["args"][0], "status": {} });
                mapped.results.push(vec![Row::value(row.to_string())]);
                continue;
            }
            let row = match (name.as_str(), text.parse::<u64>()) {
                ("pair", Ok(number)) => format!("[\"{}\",{number}]", number % 4),
                _ => text.clone(),
            };
            if name == "copy" {
                mapped.effects.writes.push(WriteOp::Put {
                    id: ObjectId::new(BucketId::untyped("copies"), input.id.key.clone()),
                    metadata: Metadata::default(),
                    body: text.into(),
                    w: Quorum::Default,
                });
            }
            mapped.results.push(vec![Row::value(row)]);
            self.0.mapped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(mapped)
    }

    async fn reduce(
        &self,
        _query: QueryTag,
        _phase: usize,
        _function: &Arc<PhaseFunction>,
        _context: &Arc<CallContext>,
        _timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        Err(ScriptError::new(FailureCause::Undefined, "there is no reduce here but of groups"))
    }

    fn limits(&self) -> ScriptLimits {
        ScriptLimits::default()
    }
}

/// A query that maps a bucket.
pub(super) fn map(name: &str, bucket: &str, more: &str) -> String {
    format!(
        r#"{{"name":"{name} {bucket}","inputs":"{bucket}","query":[{{"map":{{"language":"javascript","name":"{name}"}}}}]{more}}}"#
    )
}

/// A query that groups a bucket by the remainder by 4, and adds up.
pub(super) fn sums(bucket: &str, more: &str) -> String {
    format!(
        r#"{{"name":"sums","inputs":"{bucket}","query":[
            {{"map":{{"language":"javascript","name":"pair"}}}},
            {{"reduce":{{"language":"javascript","name":"Job.sum","group":true}}}}]{more}}}"#
    )
}
