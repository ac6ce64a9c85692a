//! What queries answer when nodes, vnodes, functions and clients fail.

use mapring_cluster::Cluster as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use mapring_net::simulated::Fate;
use mapring_ring::{Partition, RingSize, hash};
use mapring_script::{FailureCause, Row};
use mapring_types::{BucketId, Entropy, NodeId, ObjectId};
use tokio::time::Instant;

use super::world::{Seeded, World, gather, object};
use crate::config::MapredConfig;
use crate::failure::{FailedInput, Failure, FailureKind};

const SUM: &str = r#"[{"map":{"language":"javascript","name":"json"}},
                      {"reduce":{"language":"javascript","name":"sum"}}]"#;

fn map(name: &str) -> String {
    format!(r#"[{{"map":{{"language":"javascript","name":"{name}"}}}}]"#)
}

fn full() -> (World, BucketId) {
    let world = World::new();
    let bucket = BucketId::untyped("b");
    world.fill(&bucket, 400);
    (world, bucket)
}

/// The sum of the bodies of `k0` to `k399`.
const TOTAL: &str = "79800";

/// Calls `what` once, when so many inputs have been mapped.
fn after(world: &World, inputs: u64, what: impl Fn() + Send + Sync + 'static) {
    let done = AtomicU64::new(0);
    *world.watch.hook.lock() = Some(Box::new(move |mapped| {
        if mapped >= inputs && done.swap(1, Ordering::Relaxed) == 0 {
            what();
        }
    }));
}

#[tokio::test(start_paused = true)]
async fn a_node_dies_in_the_middle() {
    for inputs in [0, 1, 30, 100, 399] {
        for dies in [2, 3] {
            let (world, _) = full();
            let network = world.network.clone();
            after(&world, inputs, move || network.disconnect(NodeId(dies)));
            let found = world.run(0, "\"b\"", SUM).await.unwrap();
            assert_eq!(found[&1], [TOTAL], "node {dies} dies after {inputs}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_dies_under_a_chain() {
    let chain = r#"[{"map":{"language":"javascript","name":"key"}},
                    {"map":{"language":"javascript","name":"key"}},
                    {"map":{"language":"javascript","name":"json"}},
                    {"reduce":{"language":"javascript","name":"sum"}}]"#;
    for inputs in [10, 300, 500, 900, 1_100] {
        let (world, _) = full();
        let network = world.network.clone();
        after(&world, inputs, move || network.disconnect(NodeId(3)));
        let found = world.run(1, "\"b\"", chain).await.unwrap();
        assert_eq!(found[&3], [TOTAL], "after {inputs}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_node_loses_its_lease() {
    let (world, _) = full();
    let network = world.network.clone();
    after(&world, 60, move || {
        network.set_weather(Box::new(|from, _| {
            if from == NodeId(2) { Fate::Lose } else { Fate::Deliver(Duration::ZERO) }
        }));
    });
    let began = Instant::now();
    let found = world.run(0, "\"b\"", SUM).await.unwrap();
    assert_eq!(found[&1], [TOTAL]);
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_function_does_not_lose_its_lease() {
    let world = World::with(MapredConfig { units_at_once: 1, ..MapredConfig::default() });
    world.fill(&BucketId::untyped("b"), 100);
    let query = r#"[{"map":{"language":"javascript","name":"slow"}},
                    {"reduce":{"language":"javascript","name":"sum"}}]"#;
    let results = world.start(0, "\"b\"", query, r#","timeout":6000000"#);
    assert_eq!(gather(results).await.unwrap()[&1], ["4950"]);
    assert_eq!(world.watch.mapped.load(Ordering::Relaxed), 100);
}

#[tokio::test(start_paused = true)]
async fn gossip_finds_a_node_down() {
    let (world, _) = full();
    let (network, cluster) = (world.network.clone(), world.clusters[0].clone());
    after(&world, 60, move || {
        network.set_weather(Box::new(|from, _| {
            if from == NodeId(3) { Fate::Lose } else { Fate::Deliver(Duration::ZERO) }
        }));
        cluster.set_up([NodeId(1), NodeId(2)]);
    });
    let began = Instant::now();
    assert_eq!(world.run(0, "\"b\"", SUM).await.unwrap()[&1], [TOTAL]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_vnode_is_read_elsewhere() {
    let (world, _) = full();
    world.store.lock().broken = [Partition(3), Partition(4), Partition(9)].into();
    assert_eq!(world.run(0, "\"b\"", SUM).await.unwrap()[&1], [TOTAL]);
    let keys: Vec<String> = (0..400).map(|number| format!(r#"["b","k{number}"]"#)).collect();
    let inputs = format!("[{}]", keys.join(","));
    assert_eq!(world.run(1, &inputs, SUM).await.unwrap()[&1], [TOTAL]);
}

#[tokio::test(start_paused = true)]
async fn damage_everywhere_is_an_error() {
    let (world, _) = full();
    world.store.lock().broken = (0..16).map(Partition).collect();
    let failure = world.run(0, "\"b\"", SUM).await.unwrap_err();
    assert!(failure.message.contains("is damaged"), "{failure}");
    assert!(failure.message.contains("partition"), "{failure}");
    let failure = world.run(0, r#"[["b","k1"]]"#, SUM).await.unwrap_err();
    assert!(failure.message.contains("the input b/k1"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn without_a_replica_the_partitions_are_named() {
    let world = World::new();
    let bucket = BucketId::untyped("single");
    world.set_n_val(&bucket, 1).await;
    world.fill(&bucket, 100);
    assert_eq!(world.run(0, "\"single\"", SUM).await.unwrap()[&1], ["4950"]);
    world.kill(NodeId(2));
    let failure = world.run(0, "\"single\"", SUM).await.unwrap_err();
    assert!(failure.message.contains("no complete replica of partitions "), "{failure}");
    // By now the cluster knows that the node is down.
    let failure = world.run(0, "\"single\"", SUM).await.unwrap_err();
    assert!(failure.message.contains("no complete replica of partitions "), "{failure}");
    let keys: Vec<String> = (0..50).map(|number| format!(r#"["single","k{number}"]"#)).collect();
    let failure = world.run(0, &format!("[{}]", keys.join(",")), SUM).await.unwrap_err();
    assert!(failure.message.contains("no complete replica of partitions "), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_missed_writes_are_not_asked() {
    let (world, bucket) = full();
    let size = RingSize::new(16).unwrap();
    for remainder in 0..3 {
        // One or two of each three neighbours; what they hold is wrong.
        let stale: BTreeSet<Partition> =
            (0..16).filter(|number| number % 3 == remainder).map(Partition).collect();
        for number in 0..400 {
            let key = format!("k{number}");
            let home = hash::home(size, &bucket, key.as_bytes());
            let view = world.clusters[0].view();
            let replicas: Vec<Partition> = view.plan().replicas(home).first(3).collect();
            let is_stale = |replica| stale.contains(&replicas[usize::from(replica)]);
            world.put_object(&bucket, &key, &object("-1000", &[], false), is_stale);
            let right = object(&number.to_string(), &[], false);
            world.put_object(&bucket, &key, &right, |replica| !is_stale(replica));
        }
        world.store.lock().stale = stale;
        assert_eq!(world.run(0, "\"b\"", SUM).await.unwrap()[&1], [TOTAL]);
        let keys: Vec<String> = (0..400).map(|number| format!(r#"["b","k{number}"]"#)).collect();
        assert_eq!(world.run(0, &format!("[{}]", keys.join(",")), SUM).await.unwrap()[&1], [TOTAL]);
    }
}

#[tokio::test(start_paused = true)]
async fn functions_fail_with_all_that_is_known() {
    let (world, _) = full();
    for inputs in [r#"[["b","k7",5]]"#, "\"b\""] {
        let failure = world.run(0, inputs, &map("throw")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Function(FailureCause::Thrown));
        assert_eq!((failure.phase, failure.function.as_deref()), (Some(0), Some("throw")));
        assert_eq!(failure.message, "TypeError: no");
        assert_eq!(failure.stack.as_deref(), Some("at f (1:1)"));
        assert!(failure.node.as_ref().unwrap().starts_with('n'), "{failure}");
        let Some(FailedInput::Object { id, keydata }) = &failure.input else { panic!("no object") };
        assert_eq!((id.to_string().as_str(), keydata.is_some()), ("b/k7", inputs.contains('5')));
    }
    let sum_of_keys = r#"[{"reduce":{"language":"javascript","name":"sum"}}]"#;
    let failure = world.run(0, r#"[["b","k7"]]"#, sum_of_keys).await.unwrap_err();
    assert!(failure.message.starts_with("no number"), "{failure}");
    assert_eq!((failure.phase, &failure.input), (Some(0), &None));
}

#[tokio::test(start_paused = true)]
async fn results_that_are_no_inputs() {
    let (world, _) = full();
    let chain = r#"[{"map":{"language":"javascript","name":"json"}},
                    {"map":{"language":"javascript","name":"json"}}]"#;
    let failure = world.run(0, r#"[["b","k7"]]"#, chain).await.unwrap_err();
    assert_eq!((failure.kind, failure.phase), (FailureKind::BadInput, Some(0)));
    assert_eq!(failure.input, Some(FailedInput::Row(Row::value("7"))));
    let after_reduce = r#"[{"reduce":{"language":"javascript","name":"none"}},
                           {"link":{}}]"#;
    assert!(world.run(0, r#"[["b","k7"]]"#, after_reduce).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn stored_functions() {
    let (world, _) = full();
    world.put(&BucketId::untyped("code"), "sum", "sum");
    let stored = |key: &str| {
        format!(
            r#"[{{"map":{{"language":"javascript","name":"json"}}}},
                {{"reduce":{{"language":"javascript","bucket":"code","key":"{key}"}}}}]"#
        )
    };
    assert_eq!(world.run(0, "\"b\"", &stored("sum")).await.unwrap()[&1], [TOTAL]);
    let failure = world.run(0, "\"b\"", &stored("nope")).await.unwrap_err();
    assert_eq!((failure.kind, failure.phase), (FailureKind::NoFunction, Some(1)));
    let code = ObjectId::new(BucketId::untyped("code"), "nope");
    assert_eq!(failure.input, Some(FailedInput::Code(code)));
    let erlang = r#"[{"map":{"language":"erlang","source":"fun(A,_,_) -> [A] end."}}]"#;
    let failure = world.run(0, "\"b\"", erlang).await.unwrap_err();
    assert_eq!((failure.kind, failure.phase), (FailureKind::NoFunction, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn time_is_up() {
    let (world, _) = full();
    let began = Instant::now();
    let results = world.start(0, "\"b\"", &map("hang"), r#","timeout":2500"#);
    assert_eq!(gather(results).await.unwrap_err(), Failure::timeout());
    assert_eq!(began.elapsed().as_millis(), 2_500);
    quiet(&world).await;
}

/// Waits until nothing of any query is left.
async fn quiet(world: &World) {
    for _ in 0..1_000 {
        let left = |engine: &Arc<crate::query::Engine>| {
            engine.node.units.load(Ordering::Relaxed) + engine.running.load(Ordering::Relaxed)
        };
        let hanging = world.watch.hanging.load(Ordering::Relaxed);
        if hanging == 0 && world.engines.iter().map(left).sum::<u64>() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("something of the query is left");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_results_ends_everything() {
    let (world, _) = full();
    let results = world.start(1, "\"b\"", &map("hang"), "");
    while world.watch.hanging.load(Ordering::Relaxed) < 6 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    drop(results);
    quiet(&world).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_the_query_back() {
    let world = World::new();
    let bucket = BucketId::untyped("b");
    world.fill(&bucket, 1_500);
    let mut results = world.start(0, "\"b\"", &map("large"), r#","timeout":600000"#);
    assert!(results.next().await.unwrap().is_ok());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mapped = world.watch.mapped.load(Ordering::Relaxed);
    // Each result has 100 KB.
    assert!(mapped < 700, "{mapped}");
    let mut values = 0;
    while let Some(result) = results.next().await {
        values += result.unwrap().values.len();
    }
    assert!(values > 1_400, "{values}");
    assert_eq!(world.watch.mapped.load(Ordering::Relaxed), 1_500);
}

#[tokio::test(start_paused = true)]
async fn queries_take_turns() {
    let world = World::with(MapredConfig { concurrent_queries: 1, ..MapredConfig::default() });
    world.fill(&BucketId::untyped("b"), 20);
    let first = world.start(0, "\"b\"", &map("hang"), r#","timeout":5000"#);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let impatient = world.start(0, "\"b\"", SUM, r#","timeout":1000"#);
    let patient = world.start(0, "\"b\"", SUM, r#","timeout":20000"#);
    assert_eq!(gather(impatient).await.unwrap_err(), Failure::timeout());
    drop(first);
    assert_eq!(gather(patient).await.unwrap()[&1], ["190"]);
}

/// One query in bad weather: what it answered, when, and how much was mapped.
async fn stormy(seed: u64) -> (Result<BTreeMap<usize, Vec<String>>, Failure>, Duration, u64) {
    let (world, _) = full();
    let luck = Seeded(AtomicU64::new(seed));
    world.network.set_weather(Box::new(move |from, to| {
        let fate = luck.below(1_000);
        match fate {
            _ if from == to => Fate::Deliver(Duration::ZERO),
            0..5 => Fate::Lose,
            5..25 => Fate::Refuse,
            _ => Fate::Deliver(Duration::from_millis(fate % 20)),
        }
    }));
    let began = Instant::now();
    let chain = r#"[{"map":{"language":"javascript","name":"key"}},
                    {"map":{"language":"javascript","name":"json","keep":true}},
                    {"reduce":{"language":"javascript","name":"sum"}}]"#;
    let found = world.run(usize::try_from(seed % 3).unwrap(), "\"b\"", chain).await;
    quiet(&world).await;
    (found, began.elapsed(), world.watch.mapped.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn answers_are_exact_or_errors_in_bad_weather() {
    let mut exact = 0;
    for seed in 0..30 {
        if let (Ok(found), ..) = stormy(seed).await {
            assert_eq!(found[&2], [TOTAL], "seed {seed}");
            let mut values: Vec<u64> = found[&1].iter().map(|text| text.parse().unwrap()).collect();
            values.sort_unstable();
            assert_eq!(values, (0..400).collect::<Vec<_>>(), "seed {seed}");
            exact += 1;
        }
    }
    assert!(exact > 15, "only {exact} of 30 queries survived");
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_the_same_run() {
    for seed in [3, 17] {
        assert_eq!(stormy(seed).await, stormy(seed).await, "seed {seed}");
    }
}
