//! Stores that are damaged while their node is down: nothing wrong is served, and the node is filled
//! again from the others.

mod command;
mod copied;
mod emptied;
mod flipped;
mod full_disk;
mod record_file;
mod torn;
mod unopenable;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures::future::{join_all, try_join_all};
use mapring_client::{Client, NewObject, Place};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use mapring_tests::harness::{Cluster, Node, eventually, holds};

const BUCKET: &str = "damage";

/// What every key has.
type Model = BTreeMap<String, String>;

/// Writers at once.
const WRITERS: usize = 16;

fn body(number: usize, round: usize) -> String {
    let size = match number {
        // So large that they lie in files.
        _ if number.is_multiple_of(500) => 300_000,
        // In chunks.
        _ if number.is_multiple_of(100) => 60_000,
        _ => 500 + number % 700,
    };
    format!("{number}:{round}:{}", "x".repeat(size))
}

/// Writes `keys` through all nodes that run, and notes what was acknowledged.
async fn store(cluster: &Cluster, keys: std::ops::Range<usize>, round: usize, model: &mut Model) {
    let clients = cluster.clients();
    let numbers: Vec<usize> = keys.collect();
    let writers = numbers.chunks(numbers.len().div_ceil(WRITERS)).enumerate().map(|(at, share)| {
        let client = &clients[at % clients.len()];
        async move {
            for &number in share {
                let object = NewObject {
                    body: body(number, round).into(),
                    content_type: "text/plain".into(),
                    ..NewObject::default()
                };
                client.put(&Place::new(BUCKET, format!("{number:05}")), object).await?;
            }
            Ok::<_, mapring_client::Error>(())
        }
    });
    try_join_all(writers).await.unwrap();
    model.extend(numbers.into_iter().map(|n| (format!("{n:05}"), body(n, round))));
}

async fn delete(client: &Client, keys: std::ops::Range<usize>, model: &mut Model) {
    for number in keys {
        let key = format!("{number:05}");
        client.delete(&Place::new(BUCKET, key.clone())).await.unwrap();
        model.remove(&key);
    }
}

/// Whether an answer may be an error instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    Allowed,
    Forbidden,
}

/// Puts the same questions to a node and compares the answers with the model.
async fn check(node: &Node, model: &Model, errors: Errors) {
    let name = &node.settings.name;
    let failed = |what: &str, error: mapring_client::Error| {
        println!("{name}: {what}: {error}");
        assert!(errors == Errors::Allowed, "{name}: {what}: {error}");
    };
    match keys(&node.client).await {
        Ok(keys) => assert!(keys.iter().eq(model.keys()), "{name} lists {} keys", keys.len()),
        Err(error) => failed("the listing", error),
    }
    // Tombstones are passed to functions as well.
    let source = "function(v) {
        var value = v.values[0];
        return value.metadata['X-Riak-Deleted'] ? [] : [v.key + ' ' + value.data];
    }";
    let query = json!({
        "inputs": BUCKET,
        "query": [{"map": {"language": "javascript", "source": source}}],
    });
    match node.client.mapred(query.to_string()).await {
        Ok(answer) => {
            let mut values: Vec<String> = serde_json::from_slice(&answer).unwrap();
            values.sort();
            let expect = model.iter().map(|(key, value)| format!("{key} {value}"));
            assert!(values.into_iter().eq(expect), "{name}: the query's answer is wrong");
        }
        Err(error) => failed("the query", error),
    }
    let all: Vec<(&String, &String)> = model.iter().collect();
    let readers = all.chunks(all.len().div_ceil(WRITERS)).map(|share| async move {
        for (key, value) in share {
            match node.client.get(&Place::new(BUCKET, key.as_str())).await {
                Ok(found) => assert!(found.body == value.as_bytes(), "{name}: {key}"),
                Err(error) => failed(key, error),
            }
        }
    });
    join_all(readers).await;
}

async fn keys(client: &Client) -> mapring_client::Result<Vec<String>> {
    let mut pages = client.keys(&Place::new(BUCKET, "")).await?;
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await? {
        keys.extend(page);
    }
    keys.sort();
    Ok(keys)
}

/// Waits until a node says of itself and the cluster says of it that nothing is missing.
async fn wait_complete(cluster: &Cluster, number: usize) {
    let name = cluster.nodes[number].settings.name.clone();
    for client in cluster.clients() {
        eventually(&format!("{name} to be filled"), || async {
            holds(client.repair(&name).await.ok()?.complete)
        })
        .await;
        let status = client.cluster().await.unwrap();
        let member = status.members.into_iter().find(|member| member.name == name).unwrap();
        assert!(!member.incomplete);
    }
}

/// Waits until every node says that nobody holds anything for another: what a node that ends holds
/// makes others stale.
async fn wait_handed_over(cluster: &Cluster) {
    for client in cluster.clients() {
        eventually("everything to be handed over", || async {
            let status = client.cluster().await.ok()?;
            holds(status.hints.is_empty() && status.stale.is_empty())
        })
        .await;
    }
}

/// Three nodes with data that was written, overwritten and deleted.
async fn cluster(environment: &[(&str, &str)]) -> (Cluster, Model) {
    let cluster = Cluster::start_with(3, environment).await;
    cluster.wait_formats().await;
    let mut model = Model::new();
    store(&cluster, 0..1_500, 1, &mut model).await;
    store(&cluster, 300..700, 2, &mut model).await;
    delete(cluster.client(0), 600..640, &mut model).await;
    (cluster, model)
}

/// The whole of it, on the second of three nodes, which is down while `damage` is done to its store.
async fn survives(
    environment: &[(&str, &str)],
    clean: bool,
    damage: impl FnOnce(&Path),
) -> Cluster {
    let (mut cluster, mut model) = cluster(environment).await;
    if clean {
        assert!(cluster.nodes[1].stop().await.success());
    } else {
        cluster.nodes[1].kill().await;
    }
    store(&cluster, 1_400..1_600, 3, &mut model).await;
    damage(&cluster.nodes[1].data_dir().join("store"));
    cluster.nodes[1].spawn();
    cluster.nodes[1].wait_ready().await;
    for node in &cluster.nodes {
        check(node, &model, Errors::Allowed).await;
    }
    wait_complete(&cluster, 1).await;
    cluster.wait_shared().await;
    wait_handed_over(&cluster).await;
    // The repaired node and another one: of most objects all that is left are their replicas.
    check_without_first(&mut cluster, &model).await;
    cluster
}

/// Kills the first node; the others must have everything.
async fn check_without_first(cluster: &mut Cluster, model: &Model) {
    cluster.nodes[0].kill().await;
    let what = "an answer without the first node";
    eventually(what, || async { keys(cluster.client(1)).await.ok() }).await;
    for node in &cluster.nodes[1..] {
        check(node, model, Errors::Forbidden).await;
    }
}

fn log(store: &Path) -> PathBuf {
    store.join("sled/db")
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// A generator whose seed is printed; `MAPRING_TEST_SEED` gives it back.
fn random() -> StdRng {
    let given = std::env::var("MAPRING_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("MAPRING_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A random place among the bytes that are not zero.
fn place(bytes: &[u8], random: &mut StdRng) -> usize {
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    random.random_range(0..used)
}
