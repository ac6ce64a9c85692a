//! Not found, or not known: nodes that are down or refuse never make an object vanish. See the table
//! in `docs/http.md`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds};

fn path(key: &str) -> String {
    format!("/buckets/absent/keys/{key}")
}

fn text(key: usize) -> String {
    format!("{key} {}", "x".repeat(400))
}

/// Stores so many objects under numbers, and waits until every replica has them.
async fn fill(cluster: &Cluster, keys: usize) {
    const WRITERS: usize = 8;
    let writers = (0..WRITERS).map(|writer| async move {
        for key in (writer..keys).step_by(WRITERS) {
            let node = &cluster.nodes[key % cluster.nodes.len()];
            let headers = ["Content-Type: text/plain"];
            let path = path(&key.to_string());
            let put = Exchange::with_headers(node, "PUT", &path, &headers, &text(key)).await;
            assert_eq!(put.answer().await.0, 204);
        }
    });
    join_all(writers).await;
    for client in cluster.clients() {
        eventually("every replica to have everything", || async {
            let status = client.cluster().await.ok()?;
            holds(status.hints.is_empty() && status.stale.is_empty())
        })
        .await;
    }
}

async fn get(node: &Node, key: &str, parameters: &str) -> (u16, String) {
    Exchange::get(node, &format!("{}{parameters}", path(key))).await.answer().await
}

/// How often each status came for some keys, asked for in turn at all nodes that run.
async fn statuses(
    cluster: &Cluster,
    keys: impl Iterator<Item = String>,
    parameters: &str,
) -> BTreeMap<u16, usize> {
    let running: Vec<&Node> = cluster.nodes.iter().filter(|node| node.is_running()).collect();
    let mut statuses = BTreeMap::new();
    for (at, key) in keys.enumerate() {
        let (status, text) = get(running[at % running.len()], &key, parameters).await;
        if status == 503 {
            let told = text.contains("-value unsatisfied: ") || text.contains("is not known");
            assert!(told, "{key}{parameters}: {text}");
        }
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

fn existing() -> impl Iterator<Item = String> {
    (0..100).map(|key| key.to_string())
}

fn others() -> impl Iterator<Item = String> {
    (0..100).map(|key| format!("none-{key}"))
}

/// What there is, and what there is not.
async fn check(cluster: &Cluster, parameters: &str, there: u16, not_there: u16) {
    let all = |status| BTreeMap::from([(status, 100)]);
    assert_eq!(statuses(cluster, existing(), parameters).await, all(there), "{parameters}");
    assert_eq!(statuses(cluster, others(), parameters).await, all(not_there), "{parameters}");
}

/// Where some keys have all replicas that are left on one node, these are answered.
async fn check_most(cluster: &Cluster, parameters: &str, right: u16, keys: Vec<String>) {
    let found = statuses(cluster, keys.into_iter(), parameters).await;
    let unknown = found.get(&503).copied().unwrap_or_default();
    let known = found.get(&right).copied().unwrap_or_default();
    assert!(unknown >= 85 && unknown + known == 100, "{parameters}: {found:?}");
}

/// Waits until the nodes that run take the others for down.
async fn wait_seen(cluster: &Cluster) {
    let running = cluster.clients().len();
    for client in cluster.clients() {
        eventually("the nodes that are gone to be missed", || async {
            let status = client.cluster().await.ok()?;
            holds(status.members.iter().filter(|member| member.up).count() == running)
        })
        .await;
    }
}

/// A conditional write does not take for absent what may exist, nor does a delete.
async fn check_conditional(node: &Node, key: &str, expect: u16) {
    let headers = ["Content-Type: text/plain", "If-None-Match: *"];
    let put = Exchange::with_headers(node, "PUT", &path(key), &headers, "new").await;
    assert_eq!(put.answer().await.0, expect, "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_nodes_one_may_be_down_for_an_answer_and_two_not() {
    let mut cluster = Cluster::start(3).await;
    fill(&cluster, 100).await;
    check(&cluster, "", 200, 404).await;
    check(&cluster, "?r=1", 200, 404).await;
    cluster.nodes[2].kill().await;
    check(&cluster, "", 200, 404).await;
    wait_seen(&cluster).await;
    check(&cluster, "", 200, 404).await;
    check_conditional(&cluster.nodes[0], "none-0", 204).await;
    cluster.nodes[1].kill().await;
    wait_seen(&cluster).await;
    check_most(&cluster, "", 200, existing().collect()).await;
    let others: Vec<String> = (1..101).map(|key| format!("none-{key}")).collect();
    check_most(&cluster, "", 404, others.clone()).await;
    check_most(&cluster, "?r=1", 404, others.clone()).await;
    check_most(&cluster, "?notfound_ok=false", 404, others).await;
    // Of most keys two replicas are away.
    let node = &cluster.nodes[0];
    let unknown = join_all((1..6).map(|key| async move {
        let key = format!("none-{key}");
        (get(node, &key, "").await.0 == 503).then_some(key)
    }));
    for key in unknown.await.into_iter().flatten() {
        check_conditional(node, &key, 503).await;
        let delete = Exchange::with_headers(node, "DELETE", &path(&key), &[""; 0], "").await;
        assert_eq!(delete.answer().await.0, 503, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_nodes_three_down_leave_nothing_known_to_be_absent() {
    let mut cluster = Cluster::start(5).await;
    fill(&cluster, 100).await;
    cluster.nodes[4].kill().await;
    wait_seen(&cluster).await;
    check(&cluster, "", 200, 404).await;
    check(&cluster, "?notfound_ok=false", 200, 404).await;
    cluster.nodes[3].kill().await;
    wait_seen(&cluster).await;
    for parameters in ["", "?r=1", "?notfound_ok=false"] {
        // With two of three replicas, or with all, a key may be known.
        let there = statuses(&cluster, existing(), parameters).await;
        assert!(there.keys().all(|status| [200, 503].contains(status)), "{parameters}: {there:?}");
        let not_there = statuses(&cluster, others(), parameters).await;
        let right = not_there.keys().all(|status| [404, 503].contains(status));
        assert!(right && not_there.contains_key(&503), "{parameters}: {not_there:?}");
    }
    cluster.nodes[2].kill().await;
    wait_seen(&cluster).await;
    for parameters in ["", "?r=1", "?notfound_ok=false"] {
        let there = statuses(&cluster, existing(), parameters).await;
        assert!(there.keys().all(|status| [200, 503].contains(status)), "{parameters}: {there:?}");
        // Of all keys one replica at least is away, and two nodes more.
        let not_there = statuses(&cluster, others(), parameters).await;
        assert_eq!(not_there, BTreeMap::from([(503, 100)]), "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_nodes_are_repaired_at_once_no_object_vanishes() {
    const KEYS: usize = 1_200;
    const ROUNDS: usize = 4;
    let cluster = Cluster::start(3).await;
    fill(&cluster, KEYS).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let done = AtomicBool::new(false);
    let reader = |number: usize| {
        let (cluster, done) = (&cluster, &done);
        async move {
            let mut random = StdRng::seed_from_u64(seed + number as u64);
            let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
            while !done.load(Ordering::Relaxed) {
                let key = random.random_range(0..KEYS);
                let (status, body) = get(&cluster.nodes[number % 3], &key.to_string(), "").await;
                assert!(status == 503 || (status == 200 && body == text(key)), "{key}: {status}");
                *seen.entry(status).or_default() += 1;
            }
            seen
        }
    };
    let repairs = async {
        for _ in 0..ROUNDS {
            for node in &cluster.nodes {
                cluster.client(0).start_repair(&node.settings.name).await.unwrap();
            }
            for node in &cluster.nodes {
                eventually("a node to be filled", || async {
                    holds(node.client.repair(&node.settings.name).await.ok()?.complete)
                })
                .await;
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let (seen, ()) = futures::join!(join_all((0..12).map(reader)), repairs);
    let count = |status| seen.iter().filter_map(|seen| seen.get(&status)).sum::<usize>();
    println!("{} answers with an object, {} without", count(200), count(503));
    assert!(count(200) > 0);
    let all = (0..KEYS).map(|key| key.to_string());
    assert_eq!(statuses(&cluster, all, "").await, BTreeMap::from([(200, KEYS)]));
}
