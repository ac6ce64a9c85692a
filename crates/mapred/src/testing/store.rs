//! Whole queries over the real key-value store on memory engines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_cluster::fixed::{FixedCluster, FixedGroup};
use mapring_cluster::{Change, Cluster};
use mapring_engine::memory::MemoryEngine;
use mapring_kv::executor::Inline;
use mapring_kv::{
    BodySizes, DeleteOptions, GetOptions, Kv, KvConfig, KvParts, NewValue, PutOptions,
};
use mapring_net::Services;
use mapring_net::simulated::{Fate, Network};
use mapring_ring::RingSize;
use mapring_types::{BucketId, Clock, IndexValue, Link, Metadata, NodeId, ObjectId};
use tokio::time::Instant;

use super::workers::{TestWorkers, Watch};
use super::world::{Seeded, gather};
use crate::failure::Failure;
use crate::{MapReduce, MapredConfig, Parts, Query};

struct TestClock(Instant);

impl Clock for TestClock {
    fn now_micros(&self) -> u64 {
        1_700_000_000_000_000 + u64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

/// Large bodies are small here.
const BODIES: BodySizes = BodySizes {
    whole_bytes: 2_000,
    max_bytes: 100_000,
    block_bytes: 1_000,
    time: Duration::from_secs(1_000),
};

struct Node {
    cluster: Arc<FixedCluster>,
    engine: Arc<MemoryEngine>,
    running: Option<(Kv, MapReduce)>,
}

struct Ring {
    network: Arc<Network>,
    nodes: Vec<Node>,
    watch: Arc<Watch>,
    clock: Arc<TestClock>,
}

impl Ring {
    async fn start() -> Self {
        let network = Network::new();
        network.set_weather(Box::new(|_, _| Fate::Deliver(Duration::from_micros(100))));
        let handles = FixedGroup::start(3, RingSize::new(16).unwrap());
        handles[0].propose(Change::Seal).await.unwrap();
        let nodes = handles.into_iter().map(|cluster| {
            let engine = Arc::new(MemoryEngine::new());
            Node { cluster, engine, running: None }
        });
        let (nodes, clock) = (nodes.collect(), Arc::new(TestClock(Instant::now())));
        let mut ring = Self { network, nodes, watch: Arc::default(), clock };
        for at in 0..3 {
            ring.open(at).await;
        }
        ring
    }

    async fn open(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let me = node.cluster.view().me;
        let entropy = Arc::new(Seeded(AtomicU64::new(self.clock.now_micros() ^ me.0)));
        let transport = self.network.transport(me);
        let kv = Kv::open(KvParts {
            workers: mapring_background::Workers::default(),
            cluster: node.cluster.clone(),
            engine: node.engine.clone(),
            transport: transport.clone(),
            clock: self.clock.clone(),
            entropy: entropy.clone(),
            executor: Arc::new(Inline),
            config: KvConfig { reap_after: None, bodies: BODIES, ..KvConfig::default() },
        });
        let kv = kv.await.unwrap();
        let mapred = MapReduce::new(Parts {
            kv: kv.clone(),
            transport,
            workers: Arc::new(TestWorkers(self.watch.clone())),
            executor: Arc::new(Inline),
            clock: self.clock.clone(),
            entropy,
            config: MapredConfig { page_inputs: 7, ..MapredConfig::default() },
        });
        let services = [(mapring_kv::SERVICE, kv.service()), (crate::SERVICE, mapred.service())];
        self.network.connect(me, Services::new(services));
        node.running = Some((kv, mapred));
    }

    fn kv(&self, at: usize) -> &Kv {
        &self.nodes[at].running.as_ref().unwrap().0
    }

    fn kill(&mut self, at: usize) {
        self.network.disconnect(self.nodes[at].cluster.view().me);
        self.nodes[at].running = None;
    }

    async fn restart(&mut self, at: usize) {
        self.open(at).await;
        for node in &self.nodes {
            node.cluster.set_up((1..=3).map(NodeId));
        }
    }

    async fn put(&self, at: usize, key: &str, body: &str, links: &[(&str, &str)]) {
        let link = |(key, tag): &(&str, &str)| Link {
            bucket: "b".into(),
            key: (*key).to_owned().into(),
            tag: (*tag).to_owned().into(),
        };
        let metadata = Metadata {
            content_type: "text/plain".into(),
            links: links.iter().map(link).collect(),
            ..Metadata::default()
        };
        let value = NewValue { metadata, body: body.to_owned().into(), deleted: false };
        let id = ObjectId::new(BucketId::untyped("b"), key.to_owned());
        self.kv(at).put(&id, None, value, &PutOptions::default()).await.unwrap();
    }

    async fn run(&self, at: usize, body: &str) -> Result<BTreeMap<usize, Vec<String>>, Failure> {
        let mapred = &self.nodes[at].running.as_ref().unwrap().1;
        let query = Query::parse(body.as_bytes()).unwrap();
        gather(mapred.start(query).await.unwrap().results).await
    }

    async fn sum(&self, at: usize) -> String {
        let found = self.run(at, SUM).await.unwrap();
        found[&1].concat()
    }
}

const SUM: &str = r#"{"inputs":"b","query":[{"map":{"language":"javascript","name":"json"}},
                      {"reduce":{"language":"javascript","name":"sum"}}]}"#;

#[tokio::test(start_paused = true)]
async fn buckets_keys_and_links() {
    let ring = Ring::start().await;
    for number in 0..200 {
        ring.put(number % 3, &format!("k{number}"), &number.to_string(), &[]).await;
    }
    for at in 0..3 {
        assert_eq!(ring.sum(at).await, "19900");
    }
    let keys = ring.run(1, r#"{"inputs":"b","query":[]}"#).await.unwrap();
    assert_eq!(keys[&0].len(), 200);
    ring.put(0, "hub", "0", &[("k7", "a"), ("k9", "b"), ("nope", "c")]).await;
    let walk = r#"{"inputs":[["b","hub"]],"query":[{"link":{"keep":true}},
                   {"map":{"language":"javascript","name":"json"}}]}"#;
    let found = ring.run(2, walk).await.unwrap();
    assert_eq!(found[&0], [r#"["b","k7","a"]"#, r#"["b","k9","b"]"#, r#"["b","nope","c"]"#]);
    let mut values = found[&1].clone();
    values.sort();
    assert_eq!(values, ["7", "9", r#"{"not_found":{"bucket":"b","key":"nope"}}"#]);
}

#[tokio::test(start_paused = true)]
async fn conditions_select_by_index_and_test_the_rest() {
    let ring = Ring::start().await;
    for number in 0..60_i64 {
        let terms =
            [number % 10, number % 10 + 1, -5].map(|term| IndexValue::Int(term.to_string()));
        let mut indexes: Vec<(String, IndexValue)> =
            terms.into_iter().map(|term| ("n_int".to_owned(), term)).collect();
        indexes.push(("t_bin".to_owned(), IndexValue::Bin(format!("t{}", number / 10).into())));
        indexes.sort();
        let metadata = Metadata { indexes, ..Metadata::default() };
        let body = format!(r#"{{"n":{number},"even":{}}}"#, number % 2 == 0);
        let value = NewValue { metadata, body: body.into(), deleted: false };
        let id = ObjectId::new(BucketId::untyped("b"), format!("k{number:02}"));
        ring.kv(0).put(&id, None, value, &PutOptions::default()).await.unwrap();
    }
    for (filters, expect, form) in [
        // Each object once, whatever number of its terms lie in the range.
        (r#"["@index.n_int",">=",3],["@index.n_int","<=",4]"#, 18, "secondary index"),
        (r#"["@index.n_int","=",-5]"#, 60, "secondary index"),
        (r#"["@index.n_int",">=",-9]"#, 60, "secondary index"),
        (r#"["@index.n_int",">",9]"#, 6, "secondary index"),
        (r#"["@index.n_int","<",0]"#, 60, "bucket"),
        (r#"["@index.n_int","in",[0,10]]"#, 12, "secondary index"),
        (r#"["@index.n_int",">",4],["@index.n_int","<",4]"#, 0, "secondary index"),
        (r#"["@index.n_int","=",4],["even","=",true]"#, 6, "secondary index"),
        (r#"["@index.n_int","=",4],["@key","<","k10"]"#, 2, "secondary index"),
        (r#"["@index.t_bin","prefix","t"],["n","<",25]"#, 25, "secondary index"),
        (r#"["@index.t_bin",">=","t3"]"#, 30, "secondary index"),
        (r#"["@index.t_bin","!=","t3"]"#, 50, "bucket"),
        (r#"["n",">=",50],["even","=",false]"#, 5, "bucket"),
        (r#"["@key","prefix","k1"]"#, 10, "keys of a bucket"),
        (r#"["@key",">","k57"]"#, 2, "keys of a bucket"),
        (r#"["@key","in",["k07","k09","none"]]"#, 2, "keys of a bucket"),
    ] {
        for (more, at) in [("", 0), (r#","keys_only":true"#, 1), (r#","batch_size":2"#, 2)] {
            for consistency in ["one", "quorum", "all"] {
                let inputs = format!(
                    r#"{{"bucket":"b","filters":[{filters}],"consistency":"{consistency}"{more}}}"#
                );
                let found = ring.run(at, &format!(r#"{{"inputs":{inputs},"query":[]}}"#)).await;
                let mut found = found.unwrap().remove(&0).unwrap_or_default();
                let all = found.len();
                found.sort();
                found.dedup();
                assert_eq!((found.len(), all), (expect, expect), "{inputs}");
            }
        }
        let body = format!(
            r#"{{"inputs":{{"bucket":"b","filters":[{filters}]}},"query":[],"explain":true}}"#
        );
        let mapred = &ring.nodes[0].running.as_ref().unwrap().1;
        let plan = mapred.explain(&Query::parse(body.as_bytes()).unwrap()).await.unwrap();
        let plan: serde_json::Value = serde_json::from_str(&plan.unwrap()).unwrap();
        assert_eq!(plan["explain"]["inputs"]["form"], form, "{filters}");
    }
}

#[tokio::test(start_paused = true)]
async fn times_of_writing_bound_what_is_read() {
    let ring = Ring::start().await;
    let millis = || ring.clock.now_micros() / 1_000;
    let mut times = Vec::new();
    for key in ["a", "b", "c"] {
        times.push(millis());
        ring.put(0, key, "1", &[]).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    for (from, to, expect) in [
        (times[1], times[2], r#"["b","b"]"#),
        (times[0], times[1], r#"["b","a"]"#),
        (times[2], millis(), r#"["b","c"]"#),
        (millis(), millis() + 1, ""),
    ] {
        let inputs = format!(r#"{{"bucket":"b","modified":{{"from":{from},"to":{to}}}}}"#);
        let found = ring.run(1, &format!(r#"{{"inputs":{inputs},"query":[]}}"#)).await.unwrap();
        assert_eq!(found.get(&0).map_or(String::new(), |rows| rows.join(" ")), expect, "{inputs}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_replicas_are_needed_where_all_are_asked_for() {
    let mut ring = Ring::start().await;
    for number in 0..50 {
        ring.put(number % 3, &format!("k{number}"), "1", &[]).await;
    }
    let count = |consistency: &str| {
        format!(
            r#"{{"inputs":{{"bucket":"b","consistency":"{consistency}"}},"query":[],"timeout":20000}}"#
        )
    };
    for consistency in ["one", "quorum", "all"] {
        assert_eq!(ring.run(0, &count(consistency)).await.unwrap()[&0].len(), 50);
    }
    ring.kill(2);
    for number in 50..80 {
        ring.put(number % 2, &format!("k{number}"), "1", &[]).await;
        let found = ring.run(0, &count("quorum")).await.unwrap();
        assert_eq!(found[&0].len(), number + 1);
    }
    assert!(ring.run(0, &count("all")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_large_output_lies_in_blocks_and_is_seen_when_all_is_done() {
    let ring = Ring::start().await;
    let id = |key: &str| ObjectId::new(BucketId::untyped("out"), key.to_owned());
    for number in 0..300 {
        ring.put(number % 3, &format!("k{number}"), &format!("\"{number:090}\""), &[]).await;
    }
    let ask = |query: &str, more: &str| {
        format!(
            r#"{{"inputs":"b","query":[{{"map":{{"language":"javascript","name":"{query}"}}}},
                {{"reduce":{{"language":"javascript","name":"sort"}}}}],
                "output":{{"bucket":"out","layout":"single","name":"o","format":"lines"{more}}}}}"#
        )
    };
    assert!(ring.run(0, &ask("throw", "")).await.is_err());
    assert!(ring.kv(1).get(&id("o"), &GetOptions::default()).await.unwrap().is_none());
    let expect: String = (0..300).map(|number| format!("{number:090}\n")).collect();
    for more in ["", r#","if_exists":"fail""#] {
        let found = ring.run(0, &ask("json", more)).await;
        if !more.is_empty() {
            assert_eq!(found.unwrap_err().kind, crate::failure::FailureKind::Exists);
            break;
        }
        assert_eq!(found.unwrap()[&1], [r#"["out","o"]"#]);
        let open = ring.kv(2).open_body(&id("o"), &GetOptions::default()).await.unwrap().unwrap();
        let value = open.newest().unwrap();
        assert!(value.sibling.metadata.blocks.is_some());
        assert_eq!(value.sibling.metadata.content_type, "text/plain");
        assert_eq!(value.body.read_at(0, 1 << 20).await.unwrap(), expect);
    }
    // Half of it, in objects that are large too.
    let pieces = ask("json", r#","max_bytes":13700"#);
    let found = ring.run(1, &pieces).await.unwrap();
    assert_eq!(found[&1].len(), 2);
    let mut all = String::new();
    for name in ["o-00000", "o-00001"] {
        let open = ring.kv(2).open_body(&id(name), &GetOptions::default()).await.unwrap().unwrap();
        let body = open.newest().unwrap().body.read_at(0, 1 << 20).await.unwrap();
        assert!(body.len() <= 13_700);
        all.push_str(std::str::from_utf8(&body).unwrap());
    }
    assert_eq!(all, expect);
    // Beyond what an object may have.
    for number in 300..1_400 {
        ring.put(number % 3, &format!("k{number}"), &format!("\"{number:090}\""), &[]).await;
    }
    let failure = ring.run(0, &ask("json", "")).await.unwrap_err();
    assert!(failure.message.contains("more than 100000 bytes"), "{failure}");
    let open = ring.kv(2).open_body(&id("o"), &GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(open.newest().unwrap().body.len(), expect.len() as u64, "it is as it was");
}

#[tokio::test(start_paused = true)]
async fn deleted_objects_are_not_listed() {
    let ring = Ring::start().await;
    for number in 0..20 {
        ring.put(0, &format!("k{number}"), "1", &[]).await;
    }
    let id = ObjectId::new(BucketId::untyped("b"), "k3");
    ring.kv(1).delete(&id, None, &DeleteOptions::default()).await.unwrap();
    let keys = ring.run(1, r#"{"inputs":"b","query":[]}"#).await.unwrap();
    assert_eq!(keys[&0].len(), 19);
}

#[tokio::test(start_paused = true)]
async fn a_node_dies_in_the_middle() {
    for dies in [1, 2] {
        let ring = Ring::start().await;
        for number in 0..600 {
            ring.put(0, &format!("k{number}"), &number.to_string(), &[]).await;
        }
        let (network, done) = (ring.network.clone(), AtomicU64::new(0));
        *ring.watch.hook.lock() = Some(Box::new(move |mapped| {
            if mapped >= 100 && done.swap(1, Ordering::Relaxed) == 0 {
                network.disconnect(NodeId(dies + 1));
            }
        }));
        assert_eq!(ring.sum(0).await, "179700");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_missed_writes_is_not_asked() {
    let mut ring = Ring::start().await;
    for number in 0..100 {
        ring.put(0, &format!("k{number}"), "1", &[]).await;
    }
    for dies in [1, 2, 1] {
        ring.kill(dies);
        assert_eq!(ring.sum(0).await.len(), 3);
        for number in 0..100 {
            ring.put(0, &format!("k{number}"), "2", &[]).await;
        }
        assert_eq!(ring.sum(0).await, "200");
        ring.restart(dies).await;
        for at in 0..3 {
            assert_eq!(ring.sum(at).await, "200", "asked node {at} after {dies} came back");
        }
        let explicit: Vec<String> =
            (0..100).map(|number| format!(r#"["b","k{number}"]"#)).collect();
        let explicit = SUM.replace("\"b\"", &format!("[{}]", explicit.join(",")));
        assert_eq!(ring.run(dies, &explicit).await.unwrap()[&1], ["200"]);
    }
}
