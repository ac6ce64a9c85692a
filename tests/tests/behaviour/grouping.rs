//! Queries that group by key: the same bytes however they are spread, and nothing that is left of
//! them.

use std::time::{Duration, SystemTime};

use mapring_client::{Client, NewObject, Place};
use serde_json::{Value, json};

use mapring_tests::harness::{Cluster, Exchange, eventually, holds, metrics};

/// Objects of the bucket `numbers`.
const OBJECTS: u64 = 400;

/// What the pairs of queries have in memory and in files, by metric.
const KEPT: [&str; 2] =
    ["mapring_mapred_shuffle_memory_bytes", "mapring_mapred_shuffle_disk_bytes"];

/// Three pairs of each number; values that tell where they come from.
const MAP: &str = "function(v) {
    var n = Number(v.values[0].data);
    for (var j = 0; j < 3; j++) emit((n * 7 + j) % 60, n * 10 + j);
}";

/// Gives all values as they come.
const LIST: &str = "function(k, vs) { return [[k, vs]]; }";

fn text(body: String) -> NewObject {
    NewObject { body: body.into(), content_type: "text/plain".into(), ..NewObject::default() }
}

async fn store(client: &Client, count: u64) {
    let keys = (0..count).map(|number| async move {
        client.put(&Place::new("numbers", format!("{number:03}")), text(number.to_string())).await
    });
    futures::future::try_join_all(keys).await.unwrap();
}

fn grouped(inputs: &Value, map: &str, reduce: &str, members: &Value) -> Value {
    let mut phase = json!({"language": "javascript", "source": reduce, "group": true});
    for (name, value) in members.as_object().into_iter().flatten() {
        phase[name] = value.clone();
    }
    let map = json!({"language": "javascript", "source": map});
    json!({"inputs": inputs, "query": [{"map": map}, {"reduce": phase}], "timeout": 60_000})
}

/// The numbers by name, not in their order.
fn named() -> Vec<u64> {
    (0..OBJECTS).map(|at| at * 37 % OBJECTS).collect()
}

/// Every form of the same grouping, and whether its combiner adds up.
fn spreads() -> Vec<Value> {
    let add = "function(k, fresh, old) { return old.concat(fresh); }";
    let mut all = vec![json!({})];
    for partitions in [1, 3, 16] {
        all.push(json!({"partitions": partitions}));
        let combine = json!({"language": "javascript", "source": add, "batch": partitions});
        all.push(json!({"partitions": partitions, "combine": combine}));
    }
    all
}

#[tokio::test]
async fn bytes_are_the_same_however_it_is_spread() {
    let mut seen: Vec<Option<String>> = vec![None; 2];
    for nodes in [1, 3] {
        let cluster = Cluster::start(nodes).await;
        store(cluster.client(0), OBJECTS).await;
        let list: Vec<Value> =
            named().iter().map(|number| json!(["numbers", format!("{number:03}")])).collect();
        for (first, inputs) in seen.iter_mut().zip([json!("numbers"), json!(list)]) {
            for members in spreads() {
                for client in cluster.clients() {
                    let query = grouped(&inputs, MAP, LIST, &members).to_string();
                    let answer = client.mapred(query).await.unwrap();
                    let answer = String::from_utf8(answer.to_vec()).unwrap();
                    let first = first.get_or_insert_with(|| answer.clone());
                    assert_eq!(*first, answer, "nodes: {nodes}, {members}");
                }
            }
        }
    }
    // Of named inputs it is known what comes where.
    let mut groups = vec![Vec::new(); 60];
    for number in named() {
        for pair in 0..3 {
            groups[usize::try_from((number * 7 + pair) % 60).unwrap()].push(number * 10 + pair);
        }
    }
    let expect: Vec<Value> =
        groups.iter().enumerate().map(|(key, values)| json!([key, values])).collect();
    let given: Value = serde_json::from_str(seen[1].as_deref().unwrap()).unwrap();
    assert_eq!(given, json!(expect));
    // Of a bucket, which values there are.
    let mut given: Vec<(u64, Vec<u64>)> =
        serde_json::from_str(seen[0].as_deref().unwrap()).unwrap();
    given.iter_mut().for_each(|(_, values)| values.sort_unstable());
    groups.iter_mut().for_each(|values| values.sort_unstable());
    let expect: Vec<(u64, Vec<u64>)> = (0..).zip(groups).collect();
    assert_eq!(given, expect);
}

async fn wait_empty(cluster: &Cluster, after: &str) {
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        eventually(&format!("nothing to be left after {after}"), || async {
            let metrics = metrics(node).await;
            holds(KEPT.iter().all(|name| metrics[*name] == 0.0))
        })
        .await;
    }
}

async fn wait_kept(cluster: &Cluster) {
    eventually("pairs to be kept", || async {
        let mut kept = 0.0;
        for node in &cluster.nodes {
            let metrics = metrics(node).await;
            kept += KEPT.iter().map(|name| metrics[*name]).sum::<f64>();
        }
        holds(kept > 0.0)
    })
    .await;
}

/// A reduce that is busy for a while with each group.
const SLOW: &str = "function(k, vs) {
    var end = Date.now() + 300; while (Date.now() < end);
    return vs.length;
}";

#[tokio::test]
async fn nothing_is_left_of_a_query_whatever_ends_it() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client(0);
    store(client, OBJECTS).await;
    let inputs = json!("numbers");
    let buckets = buckets(&cluster).await;

    let done = grouped(&inputs, MAP, LIST, &json!({})).to_string();
    client.mapred(done).await.unwrap();
    wait_empty(&cluster, "success").await;

    let throws = "function(k, vs) { if (k === 59) throw new Error('no'); return 1; }";
    let failing = grouped(&inputs, MAP, throws, &json!({})).to_string();
    client.mapred(failing).await.unwrap_err();
    wait_empty(&cluster, "an error of a reduce").await;

    let throws = "function(v) { emit(v.key, 1); if (v.key === '399') throw new Error('no'); }";
    let failing = grouped(&inputs, throws, LIST, &json!({})).to_string();
    client.mapred(failing).await.unwrap_err();
    wait_empty(&cluster, "an error of a map").await;

    let slow = grouped(&inputs, MAP, SLOW, &json!({}));
    let exchange = Exchange::query(&cluster.nodes[0], false, &slow.to_string()).await;
    wait_kept(&cluster).await;
    drop(exchange);
    wait_empty(&cluster, "a client that went").await;

    let exchange = Exchange::query(&cluster.nodes[1], false, &slow.to_string()).await;
    wait_kept(&cluster).await;
    let running = client.queries().await.unwrap();
    assert!(client.end_query(&running.queries[0].id).await.unwrap());
    assert_eq!(exchange.answer().await.0, 500);
    wait_empty(&cluster, "an operator's word").await;

    let mut late = slow.clone();
    late["timeout"] = json!(2_000);
    let (status, text) =
        Exchange::query(&cluster.nodes[2], false, &late.to_string()).await.answer().await;
    assert!(status == 500 && text.contains("timeout"), "{status} {text}");
    wait_empty(&cluster, "a time that passed").await;

    let limited = json!({"limit": 3});
    let mut few = grouped(&inputs, MAP, LIST, &json!({}));
    few["limit"] = limited["limit"].clone();
    let answer: Vec<Value> =
        serde_json::from_slice(&client.mapred(few.to_string()).await.unwrap()).unwrap();
    assert_eq!(answer.iter().map(|pair| &pair[0]).collect::<Vec<_>>(), [0, 1, 2]);
    wait_empty(&cluster, "a limit").await;

    assert_eq!(self::buckets(&cluster).await, buckets, "a query has made a bucket");
}

async fn buckets(cluster: &Cluster) -> Value {
    let text = Exchange::get(&cluster.nodes[0], "/buckets?buckets=true").await.text().await;
    let mut listed: Value = serde_json::from_str(&text).unwrap();
    listed["buckets"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    listed
}

/// Nobody says that the query is over: what is kept for it expires, within a minute or so.
#[tokio::test]
async fn nothing_is_left_of_a_query_whose_node_is_killed() {
    let mut cluster = Cluster::start(3).await;
    store(cluster.client(0), OBJECTS).await;
    let slow = grouped(&json!("numbers"), MAP, SLOW, &json!({})).to_string();
    let _exchange = Exchange::query(&cluster.nodes[0], false, &slow).await;
    for node in &cluster.nodes[1..] {
        eventually("pairs to be kept", || async {
            let metrics = metrics(node).await;
            holds(KEPT.iter().any(|name| metrics[*name] > 0.0))
        })
        .await;
    }
    cluster.nodes[0].kill().await;
    let killed = SystemTime::now();
    while killed.elapsed().unwrap() < EXPIRY {
        // What is kept may go earlier.
        let mut kept = 0.0;
        for node in &cluster.nodes[1..] {
            let metrics = metrics(node).await;
            kept += KEPT.iter().map(|name| metrics[*name]).sum::<f64>();
        }
        if kept == 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    wait_empty(&cluster, "the death of its node").await;
}

/// After which nothing has been heard of a query, its pairs go.
const EXPIRY: Duration = Duration::from_secs(60);

/// Objects by the time at which they were changed.
#[tokio::test]
async fn objects_are_chosen_by_their_time() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client(0);
    let put = |key: &'static str| async move {
        client.put(&Place::new("posts", key), text("x".into())).await.unwrap();
    };
    put("a").await;
    let from = next_moment().await;
    put("b").await;
    let to = next_moment().await;
    put("c").await;
    for (bounds, expect) in [
        (json!({"from": from, "to": to}), json!(["b"])),
        (json!({"from": from}), json!(["b", "c"])),
        (json!({"to": to}), json!(["a", "b"])),
    ] {
        let query = json!({
            "inputs": {"bucket": "posts", "modified": bounds},
            "query": [
                {"map": {"language": "javascript", "source": "function(v) { return [v.key]; }"}},
                {"reduce": {"language": "javascript", "name": "Riak.reduceSort"}},
            ],
        });
        for client in cluster.clients() {
            let answer = client.mapred(query.to_string()).await.unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer, expect, "{bounds}");
        }
    }
}

/// A time after everything that has happened, and before everything that is to happen, to the second.
async fn next_moment() -> String {
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let began = now();
    eventually("the next second", || async { holds(now() > began) }).await;
    let moment = now();
    eventually("the second after it", || async { holds(now() > moment) }).await;
    let (days, second) = (moment / 86_400, moment % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the day of this number after the first of 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[test]
fn dates() {
    assert_eq!(date(0), (1970, 1, 1));
    assert_eq!(date(11_016), (2000, 2, 29));
    assert_eq!(date(11_017), (2000, 3, 1));
    assert_eq!(date(20_453), (2025, 12, 31));
}

/// Writes that are read in every query after them, also while a node is down.
#[tokio::test]
async fn what_was_written_is_counted() {
    const WRITES: u64 = 1_000;
    let mut cluster = Cluster::start(3).await;
    let query = json!({
        "inputs": {"bucket": "counted", "consistency": "quorum"},
        "query": [{"reduce": {"language": "erlang", "module": "riak_kv_mapreduce",
                              "function": "reduce_count_inputs"}}],
    })
    .to_string();
    for number in 1..=WRITES {
        if number == WRITES / 2 {
            cluster.nodes[2].kill().await;
        }
        let client = cluster.client(usize::try_from(number % 2).unwrap());
        let place = Place::new("counted", number.to_string());
        eventually(&format!("{number} to be stored"), || async {
            client.put(&place, text("x".into())).await.ok()
        })
        .await;
        let other = cluster.client(usize::try_from((number + 1) % 2).unwrap());
        let counted = eventually("an answer", || async { other.mapred(query.clone()).await.ok() });
        let counted: Vec<u64> = serde_json::from_slice(&counted.await).unwrap();
        assert_eq!(counted, [number]);
    }
}
