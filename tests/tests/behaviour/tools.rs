//! The client commands.

use std::fs;
use std::process::{Output, Stdio};

use mapring_client::Place;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use mapring_tests::harness::{Cluster, eventually, holds, program};

struct Tool {
    url: String,
}

impl Tool {
    async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(program())
            .args(arguments)
            .env("MAPRING_URL", &self.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    /// Runs what must succeed and gives what it printed.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            let output = self.run(arguments).await;
            assert!(
                output.status.success(),
                "{place}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        }
    }
}

/// Exit status and standard error.
fn told(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[tokio::test]
async fn workers() {
    let cluster = Cluster::start(1).await;
    let tool = Tool { url: cluster.nodes[0].url() };
    let listed = tool.ok(&["workers"]).await;
    let names: Vec<&str> =
        listed.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(
        names,
        [
            "clean-up-jobs",
            "clean-up-pipelines",
            "collect-blocks",
            "forget-pairs",
            "hand-off",
            "holdings",
            "member-reports",
            "pause-detector",
            "reap",
            "repair",
            "replication-status",
            "schedules",
            "sweep-jobs",
            // No worker, but what they run in.
            "script-sandbox"
        ]
    );
    let throttled = tool.ok(&["workers", "throttle", "reap", "3"]).await;
    assert!(throttled.contains("rests 3 times as long as it works"), "{throttled}");
    let reap = names.iter().position(|name| *name == "reap").unwrap();
    let as_json: Value = serde_json::from_str(&tool.ok(&["workers", "--json"]).await).unwrap();
    assert_eq!(as_json["workers"][reap]["throttle"], 3);
    eventually("work goes on", || async {
        let listed: Value = serde_json::from_str(&tool.ok(&["workers", "--json"]).await).unwrap();
        let rounds = |listed: &Value| listed["workers"][reap]["rounds"].as_u64();
        holds(rounds(&listed) > rounds(&as_json))
    })
    .await;
    let (status, words) = told(&tool.run(&["workers", "throttle", "nobody", "3"]).await);
    assert_eq!(status, 1);
    assert!(words.contains("there is no worker nobody"), "{words}");
}

#[tokio::test]
async fn objects() {
    let cluster = Cluster::start(1).await;
    let tool = Tool { url: cluster.nodes[0].url() };
    let output = tool.run_with(&["put", "b", "a/b c", "-t", "text/plain"], "from stdin").await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(tool.ok(&["get", "b", "a/b c"]).await, "from stdin");
    tool.ok(&["put", "b", "k", "--data", "text"]).await;
    let shown = tool.ok(&["get", "-i", "b", "k"]).await;
    assert!(shown.starts_with("content-type: text/plain"), "{shown}");
    assert!(shown.ends_with("\n\ntext"), "{shown}");
    tool.ok(&["del", "b", "k"]).await;
    for command in ["get", "del"] {
        let output = tool.run(&[command, "b", "k"]).await;
        assert_eq!(told(&output), (1, "mapring: b/k: not found\n".to_owned()));
    }
}

#[tokio::test]
async fn load_and_mapred() {
    let cluster = Cluster::start(1).await;
    let tool = Tool { url: cluster.nodes[0].url() };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (text, records) = (path("a.txt"), path("r.ndjson"));
    fs::write(&text, "one two\n\nthree\n").unwrap();
    fs::write(&records, "{\"id\":\"x\",\"n\":1}\n{\"id\":\"y\",\"n\":2}\n").unwrap();

    let said = tool.ok(&["load", "lines", "--lines", &text]).await;
    assert!(said.starts_with("2 objects"), "{said}");
    assert_eq!(tool.ok(&["get", "lines", &format!("{text}:00000003")]).await, "three");
    tool.ok(&["load", "records", "--ndjson", "--key", "id", &records]).await;
    assert_eq!(tool.ok(&["get", "records", "y"]).await, "{\"id\":\"y\",\"n\":2}");
    tool.ok(&["load", "files", "--files", &text]).await;
    assert_eq!(tool.ok(&["get", "files", &text]).await, "one two\n\nthree\n");

    let query = path("query.json");
    let sum = r#"{"inputs":"records","query":[
        {"map":{"language":"javascript","name":"Riak.mapValuesJson","keep":true}},
        {"map":{"language":"javascript","source":"function(v) { return [v.n]; }"}}]}"#;
    fs::write(
        &query,
        r#"{"inputs":"records","query":[
        {"map":{"language":"javascript","name":"Riak.mapValuesJson"}}]}"#,
    )
    .unwrap();
    let printed = tool.ok(&["mapred", &query]).await;
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["{\"id\":\"x\",\"n\":1}", "{\"id\":\"y\",\"n\":2}"]);
    // A map phase cannot take the first one's results as inputs.
    let output = tool.run_with(&["mapred", "-"], sum).await;
    let (status, error) = told(&output);
    assert_eq!(status, 1);
    assert!(error.starts_with("mapring: the query failed"), "{error}");
}

#[tokio::test]
async fn loads_say_where_they_stopped() {
    let cluster = Cluster::start(1).await;
    let tool = Tool { url: cluster.nodes[0].url() };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.ndjson");
    let path = path.to_str().unwrap();
    fs::write(path, "{\"n\":1}\n{\"n\":2}\n{\"n\":\n{\"n\":4}\n").unwrap();
    let (status, error) = told(&tool.run(&["load", "b", "--ndjson", path]).await);
    assert_eq!(status, 1);
    assert!(
        error.contains("everything up to") && error.contains("bad.ndjson:2 is stored"),
        "{error}"
    );
    assert!(error.contains("bad.ndjson:3: not JSON"), "{error}");
    assert_eq!(tool.ok(&["get", "b", &format!("{path}:00000002")]).await, "{\"n\":2}");
}

#[tokio::test]
async fn cluster_status_and_ready() {
    let cluster = Cluster::start(2).await;
    let tool = Tool { url: cluster.nodes[1].url() };
    // Nodes that have just started may have to hear from each other first.
    let table = eventually("the cluster to be well", || async {
        let output = tool.run(&["cluster", "status"]).await;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    })
    .await;
    assert!(table.starts_with("ok: "), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("valid")).count(), 2, "{table}");
    let json = tool.ok(&["cluster", "status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["members"].as_array().unwrap().len(), 2);
    tool.ok(&["ready"]).await;
    tool.ok(&["live"]).await;
    let nobody = Tool { url: "http://127.0.0.1:1".into() };
    let (status, error) = told(&nobody.run(&["ready"]).await);
    assert_eq!(status, 1);
    assert!(error.contains("cannot connect to 127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn bench_tells_what_load_costs() {
    let cluster = Cluster::start(2).await;
    let tool = Tool { url: format!("{},{}", cluster.nodes[0].url(), cluster.nodes[1].url()) };
    let times = ["--warm-up", "0.1", "--duration", "0.5", "--json"];
    for (op, n_val) in [("get", 1), ("put", 2), ("mix", 2)] {
        let n = n_val.to_string();
        let load = ["bench", "kv", "--op", op, "--n-val", &n, "--keys", "50", "--connections", "4"];
        let found = tool.ok(&[&load[..], &times].concat()).await;
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!((&found["op"], &found["n_val"]), (&op.into(), &n_val.into()), "{found}");
        assert_eq!((&found["errors"], &found["interrupted"]), (&0.into(), &false.into()));
        let number = |path: &str| found.pointer(path).unwrap().as_f64().unwrap();
        assert!(number("/answered") > 0.0 && number("/per_second") > 0.0, "{found}");
        let [p50, p999, max] = ["p50", "p99.9", "max"].map(|q| number(&format!("/latency_us/{q}")));
        assert!(0.0 < p50 && p50 <= p999 && p999 <= max, "{found}");
        for server in 0..2 {
            assert!(number(&format!("/servers/{server}/node_cpu_seconds")) > 0.0, "{found}");
        }
        assert!(number("/server_cpu_us_per_request") > 0.0, "{found}");
    }

    let query = r#"{"inputs":"bench","query":[
        {"map":{"language":"javascript","source":"function(v) { return [v.key]; }"}}]}"#;
    let load = ["bench", "mapred", "--text", query, "--count", "3", "--objects", "50"];
    let found = tool.ok(&[&load[..], &["--chunked", "--warm-up", "0", "--json"]].concat()).await;
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["answered"], &found["errors"]), (&3.into(), &0.into()), "{found}");
    // Fifty keys of nine digits, in quotes.
    assert_eq!(found["answer_bytes"], 3 * 50 * 11);
    assert!(found["first_part_us"]["p50"].is_number(), "{found}");
    assert!(found["server_cpu_us_per_object"].is_number(), "{found}");

    let text = tool.ok(&["bench", "kv", "--op", "fill", "--keys", "7", "--bucket", "c"]).await;
    assert!(text.contains("(7 in ") && text.contains("errors: none"), "{text}");
}

#[tokio::test]
async fn bench_hides_no_errors_and_can_be_interrupted() {
    let cluster = Cluster::start(1).await;
    let tool = Tool { url: cluster.nodes[0].url() };
    let load = ["bench", "kv", "--no-fill", "--duration", "0.2", "--warm-up", "0"];
    let output = tool.run(&load).await;
    let (status, error) = told(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(status == 1 && error.contains("every request failed"), "{error}");
    assert!(said.contains("× status 404"), "{said}");
    let broken = r#"{"inputs":[["b","k"]],"query":[{"reduce":{"language":"javascript",
        "source":"function() { throw 'no'; }"}}]}"#;
    let (status, error) =
        told(&tool.run(&["bench", "mapred", "--text", broken, "--count", "2"]).await);
    assert!(status == 1 && error.contains("query failed"), "{error}");

    let child = Command::new(program())
        .args(["bench", "kv", "--op", "put", "--duration", "3600", "--json", "--url", &tool.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    // Until it writes, it may not be listening for the signal yet.
    let place = Place::new("bench", "000000000");
    let client = &cluster.nodes[0].client;
    let keys =
        || async { holds(client.keys(&place).await.unwrap().next().await.unwrap().is_some()) };
    eventually("a write", keys).await;
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().await.unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["interrupted"], true);
}

#[tokio::test]
async fn wrong_usage_is_status_2() {
    let tool = Tool { url: "http://127.0.0.1:1".into() };
    for arguments in [
        &["load", "b", "f"][..],
        &["nonsense"],
        &["ready", "--url", "ftp://x"],
        &["bench", "mapred"],
        &["bench", "kv", "--duration", "x"],
        &["bench", "kv", "--keys", "0"],
    ] {
        let (status, error) = told(&tool.run(arguments).await);
        assert_eq!(status, 2, "{arguments:?}: {error}");
        assert!(!error.is_empty());
    }
}
