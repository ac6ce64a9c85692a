//! Queries while they run: results on their way, clients that leave, nodes that die.

use std::time::{Duration, Instant};

use mapring_client::{Client, Error, NewObject, Place};
use serde_json::{Value, json};

use mapring_tests::harness::{Cluster, eventually, holds, worker_ticks};

async fn store(client: &Client, bucket: &str, count: usize) {
    for number in 0..count {
        let object = NewObject {
            body: number.to_string().into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        client.put(&Place::new(bucket, format!("{number:04}")), object).await.unwrap();
    }
}

fn map_query(bucket: &str, source: &str, timeout: u64) -> String {
    json!({
        "inputs": bucket,
        "query": [{"map": {"language": "javascript", "source": source}}],
        "timeout": timeout,
    })
    .to_string()
}

#[tokio::test]
async fn parts_arrive_while_the_query_runs() {
    let cluster = Cluster::start(3).await;
    store(cluster.client(0), "numbers", 60).await;
    // One object takes two seconds; the others do not wait for it.
    let source = "function(v) {
        if (v.values[0].data === '7') { var end = Date.now() + 2000; while (Date.now() < end); }
        return [Number(v.values[0].data)];
    }";
    let mut parts =
        cluster.client(1).mapred_chunked(map_query("numbers", source, 60_000)).await.unwrap();
    let (mut first, mut slow) = (None, None);
    let mut numbers: Vec<u64> = Vec::new();
    while let Some(part) = parts.next().await.unwrap() {
        first.get_or_insert_with(Instant::now);
        let values = part.data.iter().map(|value| value.get().parse::<f64>().unwrap() as u64);
        numbers.extend(values);
        if numbers.contains(&7) {
            slow.get_or_insert_with(Instant::now);
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
    let ahead = slow.unwrap() - first.unwrap();
    assert!(ahead > Duration::from_millis(1_000), "the first part was only {ahead:?} ahead");
}

#[tokio::test]
async fn clients_that_leave_end_their_query() {
    let cluster = Cluster::start(3).await;
    store(cluster.client(0), "work", 120).await;
    let pids: Vec<i32> = cluster.nodes.iter().map(|node| node.pid()).collect();
    let total = || pids.iter().map(|pid| worker_ticks(*pid)).sum::<u64>();
    // Two seconds an object: minutes of work for all workers together.
    let source = "function(v) {
        var end = Date.now() + 2000; while (Date.now() < end);
        return [1];
    }";
    let parts = cluster.client(1).mapred_chunked(map_query("work", source, 600_000)).await.unwrap();
    for node in &cluster.nodes {
        node.wait_busy().await;
    }
    drop(parts);
    eventually("workers to be idle", || async {
        let then = total();
        tokio::time::sleep(Duration::from_secs(1)).await;
        holds(total() <= then + 5)
    })
    .await;
}

#[tokio::test]
async fn failures_name_the_object_and_cost_no_node() {
    let cluster = Cluster::start(3).await;
    store(cluster.client(0), "errors", 30).await;
    for (source, expect) in [
        ("function(v) { if (v.key === '0011') throw new Error('no good'); return []; }", "no good"),
        ("function(v) { if (v.key === '0011') while (true); return []; }", ""),
        ("function(v) { if (v.key === '0011') 'x'.repeat(1073741824); return []; }", ""),
    ] {
        for chunked in [false, true] {
            let query = map_query("errors", source, 60_000);
            let failure = match run(cluster.client(2), query, chunked).await {
                Err(Error::Query(failure)) => failure,
                other => panic!("{source}: {other:?}"),
            };
            assert_eq!(failure.phase, Some(0), "{source}: {failure:?}");
            assert_eq!(failure.key.as_deref(), Some("0011"), "{source}: {failure:?}");
            let text = failure.error.as_str().unwrap_or_default();
            assert!(text.contains(expect), "{source}: {failure:?}");
        }
    }
    let query = map_query("errors", "function(v) { return [1]; }", 60_000);
    assert_eq!(run(cluster.client(0), query, false).await.unwrap().len(), 30);
}

/// The same failure as at a first input, but for its name.
#[tokio::test]
async fn functions_are_made_also_where_no_input_comes() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client(0);
    client.put(&Place::new("stored", "bad"), text("function(v) {\n  return [;\n}")).await.unwrap();
    client.put(&Place::new("stored", "good"), text("function(v) { return [1]; }")).await.unwrap();
    store(client, "full", 1).await;
    let javascript = |what: Value| {
        let mut phase = json!({"language": "javascript"});
        phase.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        phase
    };
    let one = json!({"source": "function(v) { return [[\"none\", \"none\"]]; }"});
    for (what, words) in [
        (json!({"source": "function(v) {\n  return [;\n}"}), "at line 2, col 11"),
        (json!({"source": "7"}), "not a function but a number"),
        (json!({"source": "nowhere()"}), "nowhere is not defined"),
        (json!({"name": "Riak.noSuch"}), "Riak.noSuch is not defined"),
        (json!({"bucket": "stored", "key": "bad"}), "at line 2, col 11"),
    ] {
        let map = json!({"map": javascript(what.clone())});
        let reduce = json!({"reduce": javascript(what.clone())});
        let nothing = json!({"map": javascript(json!({"source": "function(v) { return []; }"}))});
        for (phase, inputs, phases) in [
            (0, json!("empty"), json!([map])),
            (
                0,
                json!({"bucket": "full", "index": "$key", "start": "a", "end": "b"}),
                json!([map, {"reduce": javascript(json!({"name": "Riak.reduceSum"}))}]),
            ),
            (0, json!("full"), json!([map])),
            (1, json!("full"), json!([nothing, map])),
            (1, json!("empty"), json!([{"map": javascript(one.clone())}, reduce])),
        ] {
            let query = json!({"inputs": inputs, "query": phases, "timeout": 60_000}).to_string();
            for chunked in [false, true] {
                let failure = match run(client, query.clone(), chunked).await {
                    Err(Error::Query(failure)) => failure,
                    other => panic!("{query}: {other:?}"),
                };
                let message = failure.error.as_str().unwrap_or_default();
                assert!(message.contains(words), "{query}: {failure:?}");
                assert_eq!(failure.phase, Some(phase), "{query}: {failure:?}");
            }
        }
        // While an earlier phase has only begun: it would take longer than the query may.
        let endless =
            "function(v) { var end = Date.now() + 1500; while (Date.now() < end); return []; }";
        let slow = json!({"map": javascript(json!({"source": endless}))});
        let keys = vec![json!(["full", "0000"]); 80];
        for later in [json!([slow, map]), json!([slow, reduce])] {
            let query = json!({"inputs": keys, "query": later, "timeout": 20_000}).to_string();
            let found = run(client, query.clone(), false).await;
            let Err(Error::Query(failure)) = found else { panic!("{query}: {found:?}") };
            assert_eq!(failure.phase, Some(1), "{query}: {failure:?}");
        }
    }
    // What is one is none the worse for it.
    for what in [
        json!({"source": "function(v) { return [1]; }"}),
        json!({"source": "function(v) { for each (x in v) ; return []; }"}),
        json!({"name": "Riak.mapValuesJson"}),
        json!({"bucket": "stored", "key": "good"}),
    ] {
        let query = json!({"inputs": "empty", "query": [{"map": javascript(what)}]}).to_string();
        assert_eq!(run(client, query.clone(), false).await.unwrap(), [0; 0], "{query}");
    }
}

/// Inputs are left out for which a map fails. That a reduce fails, also beside the data, is no fault of
/// an input.
#[tokio::test]
async fn a_reduce_that_fails_is_never_left_out() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    store(client, "numbers", 12).await;
    let map = "function(v) { var all = []; for (var i = 0; i < 200; i++) all.push(1); \
               if (v.key == '0007') { all[5] = 'bad'; } return all; }";
    let reduce = "function(list) { return [list.reduce(function(a, b) { \
                  if (b == 'bad') { throw 'the reduce'; } return a + b; }, 0)]; }";
    for batch in [json!(null), json!({"reduce_phase_batch_size": 20})] {
        let query = json!({"inputs": "numbers", "on_error": {"mode": "skip"}, "query": [
            {"map": {"language": "javascript", "source": map}},
            {"reduce": {"language": "javascript", "source": reduce, "arg": batch}}
        ]});
        let found = run(client, query.to_string(), false).await;
        let Err(Error::Query(failure)) = found else { panic!("{query}: {found:?}") };
        assert_eq!(failure.phase, Some(1), "{failure:?}");
        assert!(failure.error.as_str().unwrap_or_default().contains("the reduce"), "{failure:?}");
    }
}

fn text(body: &str) -> NewObject {
    let body = body.to_owned().into();
    NewObject { body, content_type: "text/plain".into(), ..NewObject::default() }
}

async fn run(client: &Client, query: String, chunked: bool) -> Result<Vec<Value>, Error> {
    let mut results = Vec::new();
    if chunked {
        let mut parts = client.mapred_chunked(query).await?;
        while let Some(part) = parts.next().await? {
            results.extend(part.data.iter().map(|v| serde_json::from_str(v.get()).unwrap()));
        }
    } else {
        results = serde_json::from_slice(&client.mapred(query).await?).unwrap();
    }
    Ok(results)
}

#[tokio::test]
async fn answers_are_exact_while_a_node_is_killed() {
    let mut cluster = Cluster::start(3).await;
    store(cluster.client(0), "exact", 300).await;
    // Slow enough that the kill comes in its midst.
    let source = "function(v) {
        var end = Date.now() + 20; while (Date.now() < end);
        return [Number(v.values[0].data)];
    }";
    let query = map_query("exact", source, 120_000);
    let client = cluster.client(0).clone();
    let mut parts = client.mapred_chunked(query).await.unwrap();
    let mut numbers: Vec<u64> = Vec::new();
    let mut killed = false;
    while let Some(part) = parts.next().await.unwrap() {
        numbers.extend(part.data.iter().map(|v| v.get().parse::<f64>().unwrap() as u64));
        if !killed {
            cluster.nodes[2].kill().await;
            killed = true;
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}
