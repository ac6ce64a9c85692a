//! The examples of `docs/examples/jobs` do what is said of them, started with the program's own commands.

use std::collections::BTreeSet;
use std::process::Output;

use mapring_client::{Client, NewObject, Place};
use serde_json::{Value, json};
use tokio::process::Command;

use mapring_tests::harness::{Cluster, program, root};

const JSON: &str = "application/json";

/// Runs a command of the program against all nodes.
async fn run(cluster: &Cluster, arguments: &[&str]) -> Output {
    let urls: Vec<String> = cluster.nodes.iter().map(|node| node.url()).collect();
    let mut command = Command::new(program());
    command.args(arguments).env("MAPRING_URL", urls.join(",")).current_dir(root());
    command.output().await.unwrap()
}

/// What it prints, where it succeeds.
async fn ok(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = run(cluster, arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

async fn put(client: &Client, bucket: &str, key: &str, content_type: &str, value: String) {
    let object =
        NewObject { body: value.into(), content_type: content_type.into(), ..NewObject::default() };
    client.put(&Place::new(bucket, key), object).await.unwrap();
}

async fn text(client: &Client, bucket: &str, key: &str) -> String {
    let stored = client.get(&Place::new(bucket, key)).await.unwrap();
    String::from_utf8(stored.body.to_vec()).unwrap()
}

async fn object(client: &Client, bucket: &str, key: &str) -> Value {
    serde_json::from_str(&text(client, bucket, key).await).unwrap()
}

#[tokio::test]
async fn random_strings_are_deduplicated_and_turned_round() {
    let cluster = Cluster::start(3).await;
    cluster.wait_formats().await;
    let file = "docs/examples/jobs/random-strings.json";
    assert_eq!(ok(&cluster, &["pipeline", "start", file, "--id", "r", "--wait"]).await, "r\n");
    let client = cluster.client(1);
    let numbered = text(client, "letters", "by-number").await;
    let pair = |line: &str| {
        let (number, letter) = line.split_once(" - ").unwrap();
        let number: u32 = number.parse().unwrap();
        assert!((1..=10).contains(&number), "{line}");
        assert!(
            letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase()),
            "{line}"
        );
        (number, letter.to_owned())
    };
    let pairs: Vec<_> = numbered.lines().map(pair).collect();
    let distinct: BTreeSet<_> = pairs.iter().cloned().collect();
    assert!(distinct.len() == pairs.len() && pairs.len() <= 260, "{numbered}");
    let lettered = text(client, "letters", "by-letter").await;
    let turned: BTreeSet<_> = lettered
        .lines()
        .flat_map(|line| {
            let (letter, numbers) = line.split_once(" - ").unwrap();
            let numbers = numbers.split(',').map(|number| number.parse().unwrap());
            numbers.map(|number: u32| (number, letter.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(turned, distinct);
    let shown: Value =
        serde_json::from_str(&ok(&cluster, &["pipeline", "show", "r", "--json"]).await).unwrap();
    assert_eq!(
        (&shown["status"], &shown["steps"]["index"]["after"]),
        (&json!("done"), &json!(["dedupe"]))
    );
    let jobs = ["dedupe", "index"].map(|step| shown["steps"][step]["job_id"].as_str().unwrap());
    for job in jobs {
        ok(&cluster, &["job", "show", job]).await;
    }
    ok(&cluster, &["pipeline", "rm", "r"]).await;
    for job in jobs {
        let gone = run(&cluster, &["job", "show", job]).await;
        assert_eq!(gone.status.code(), Some(1), "{job} is still there");
    }
    assert_eq!(text(client, "letters", "by-letter").await, lettered);
}

#[tokio::test]
async fn posts_become_lower_case_and_one_reader_walks_several_buckets() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    for (key, said) in [("1", "HELLO"), ("2", "World"), ("3", "quiet")] {
        put(client, "posts", key, JSON, json!({ "text": said, "by": key }).to_string()).await;
    }
    let file = "docs/examples/jobs/lower-case-posts.json";
    let started = ok(&cluster, &["job", "start", file, "--wait", "--json"]).await;
    let shown: Value = serde_json::from_str(&started).unwrap();
    assert_eq!(
        (&shown["counters"]["lowered"], &shown["counters"]["writes"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(object(client, "posts", "1").await, json!({"text": "hello", "by": "1"}));
    assert_eq!(object(client, "posts", "3").await, json!({"text": "quiet", "by": "3"}));

    for (bucket, key, value) in [
        ("topics", "1", "Add"),
        ("topics", "2", "Carry"),
        ("videos", "1", "How to add"),
        ("videos", "2", "How to carry"),
        ("videos", "3", "Why"),
    ] {
        put(client, bucket, key, "text/plain", value.to_owned()).await;
    }
    let file = "docs/examples/jobs/several-buckets.json";
    let rows = ok(&cluster, &["job", "start", file, "--wait", "--results"]).await;
    assert_eq!(rows, "[\"by-value\",\"even\"]\n[\"by-value\",\"odd\"]\n");
    let odd = "# odd\n1 topics/Add videos/How to add\n3 videos/Why\n";
    assert_eq!(text(client, "by-value", "odd").await, odd);
    assert_eq!(
        text(client, "by-value", "even").await,
        "# even\n2 topics/Carry videos/How to carry\n"
    );
}

#[tokio::test]
async fn a_backfill_is_started_by_name() {
    let file = root().join("docs/examples/jobs/jobs.yaml");
    let settings = [("MAPRING__JOBS__FILE", file.to_str().unwrap())];
    let cluster = Cluster::start_with(1, &settings).await;
    let client = cluster.client(0);
    put(client, "users", "a", JSON, json!({"name": "Ann"}).to_string()).await;
    put(client, "users", "b", JSON, json!({"name": "Bob", "points": 7, "badges": []}).to_string())
        .await;
    let configs = ok(&cluster, &["job", "configs"]).await;
    assert!(
        configs.contains("backfill") && configs.contains("bucket: string, required"),
        "{configs}"
    );
    let start = ["job", "start", "backfill", "--param", "bucket=users", "--wait", "--json"];
    let shown: Value = serde_json::from_str(&ok(&cluster, &start).await).unwrap();
    assert_eq!((&shown["name"], &shown["counters"]["filled"]), (&json!("backfill"), &json!(1)));
    let ann = json!({"name": "Ann", "points": 0, "badges": []});
    assert_eq!(object(client, "users", "a").await, ann);
    assert_eq!(object(client, "users", "b").await["points"], 7);
    let wrong = run(&cluster, &["job", "start", "backfill", "--param", "defaults=7"]).await;
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.status.code() == Some(1) && said.contains("2 things are wrong"), "{said}");
    assert!(said.contains("params.bucket: is required"), "{said}");
    let schedule = "docs/examples/jobs/backfill-nightly.json";
    ok(&cluster, &["job", "schedules", "put", "nightly", schedule]).await;
    let listed = ok(&cluster, &["job", "schedules"]).await;
    assert!(listed.starts_with("nightly  0 3 * * * UTC  next 20"), "{listed}");
    ok(&cluster, &["job", "schedules", "rm", "nightly"]).await;
}

#[tokio::test]
async fn exit_codes_tell_how_a_job_ended() {
    let cluster = Cluster::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, source: &str| {
        let path = folder.path().join(name);
        let job = json!({
            "inputs": {"range": {"start": 0, "end": 100_000}},
            "query": [{"map": {"language": "javascript", "source": source}}],
            "retries": {"shard": 1, "slice": 1},
        });
        std::fs::write(&path, job.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let fails = file("fails.json", "function(v) { fail('no good'); }");
    let failed = run(&cluster, &["job", "start", &fails, "--wait"]).await;
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(failed.status.code() == Some(3) && said.contains("no good"), "{said}");
    let slow = file("slow.json", "function(v) { var n = 0; while (n < 1e6) n++; return [n]; }");
    let id = ok(&cluster, &["job", "start", &slow, "--id", "slow"]).await;
    assert_eq!(id, "slow\n");
    assert!(ok(&cluster, &["job", "list", "--state", "active"]).await.contains("slow"));
    let refused = run(&cluster, &["job", "rm", "slow"]).await;
    assert_eq!(refused.status.code(), Some(1));
    ok(&cluster, &["job", "abort", "slow", "-m", "enough"]).await;
    let aborted = run(&cluster, &["job", "wait", "slow"]).await;
    let said = String::from_utf8_lossy(&aborted.stderr);
    assert!(aborted.status.code() == Some(4) && said.contains("enough"), "{said}");
    let events = ok(&cluster, &["job", "events", "slow"]).await;
    assert!(events.lines().last().is_some_and(|last| last.contains("aborted")), "{events}");
    ok(&cluster, &["job", "rm", "slow"]).await;
    assert_eq!(run(&cluster, &["job", "wait", "slow"]).await.status.code(), Some(1));
}
