//! The client commands.

use std::fs;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::{Cluster, PROGRAM};

struct Tool {
    url: String,
}

impl Tool {
    async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(PROGRAM)
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
    let table = tool.ok(&["cluster", "status"]).await;
    assert_eq!(table.lines().filter(|line| line.starts_with("valid")).count(), 2, "{table}");
    let json = tool.ok(&["cluster", "status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["members"].as_array().unwrap().len(), 2);
    tool.ok(&["ready"]).await;
    let nobody = Tool { url: "http://127.0.0.1:1".into() };
    let (status, error) = told(&nobody.run(&["ready"]).await);
    assert_eq!(status, 1);
    assert!(error.contains("cannot connect to 127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn wrong_usage_is_status_2() {
    let tool = Tool { url: "http://127.0.0.1:1".into() };
    for arguments in [&["load", "b", "f"][..], &["nonsense"], &["ready", "--url", "ftp://x"]] {
        let (status, error) = told(&tool.run(arguments).await);
        assert_eq!(status, 2, "{arguments:?}: {error}");
        assert!(!error.is_empty());
    }
}
