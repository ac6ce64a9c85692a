//! What runs functions is jailed: nothing that a function could make its process try succeeds, and the
//! node goes on.
//!
//! The workers of the program under test have a function more, which tries what is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;

use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds, metrics, skip, workers};
use serde_json::{Value, json};

/// Descriptors that are closed when something else is executed, as `/proc/…/fdinfo` has it.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

async fn node_with(sandbox: &str) -> Cluster {
    let cluster = Cluster::start_with(1, &[("MAPRING__SCRIPT__SANDBOX", sandbox)]).await;
    let node = &cluster.nodes[0];
    let stored = Exchange::json(node, "PUT", "/buckets/jail/keys/one", "{}").await.answer().await;
    assert_eq!(stored.0, 204, "{stored:?}");
    cluster
}

/// What comes of each, in one call of a function.
async fn tried(node: &Node, attempts: &[(&str, String)]) -> Vec<String> {
    let source = "function (value, keyData, attempts) {
        return attempts.map(function (row) { return __attempt(row[0], row[1]); });
    }";
    let map = json!({ "language": "javascript", "source": source, "arg": attempts });
    let query = json!({ "inputs": [["jail", "one"]], "query": [{ "map": map }] });
    let answer = Exchange::query(node, false, &query.to_string()).await.answer().await;
    assert_eq!(answer.0, 200, "{answer:?}");
    serde_json::from_str(&answer.1).unwrap()
}

/// Whether a program that is executed gets a descriptor; not one that is gone: they come and go.
fn is_inherited(information: &str) -> bool {
    let Ok(text) = fs::read_to_string(information) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & CLOSE_ON_EXEC == 0
}

/// Mode and layers, as the node tells them.
async fn told(node: &Node) -> (String, BTreeMap<String, String>) {
    let (status, text) = Exchange::get(node, "/admin/workers").await.answer().await;
    assert_eq!(status, 200, "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    let sandbox = &document["sandbox"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let layers = sandbox["layers"].as_array().unwrap().iter();
    let layers = layers.map(|layer| (text(&layer["layer"]), text(&layer["state"]))).collect();
    (text(&sandbox["mode"]), layers)
}

/// What forbids most. Without it nothing can be tried here.
fn is_jailed(layers: &BTreeMap<String, String>) -> bool {
    ["landlock", "seccomp"].iter().all(|layer| layers[*layer] == "held")
}

#[tokio::test]
async fn every_attempt_is_refused_and_the_node_goes_on() {
    let cluster = node_with("on").await;
    let node = &cluster.nodes[0];
    let (mode, layers) = told(node).await;
    assert_eq!(mode, "on");
    assert_eq!(layers.len(), 6, "{layers:?}");
    if !is_jailed(&layers) {
        return skip(&format!("this kernel has not all that workers are jailed with: {layers:?}"));
    }
    let outside = tempfile::tempdir().unwrap();
    let path = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("there"), "still").unwrap();
    let _listener = UnixListener::bind(path("socket")).unwrap();
    let data = node.data_dir();
    let data = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let own = format!("/proc/{}/cmdline", node.pid());
    let none = String::new;
    let attempts = [
        ("open", "/etc/passwd".to_owned()),
        ("open", "/dev/zero".to_owned()),
        ("open", "/proc/self/status".to_owned()),
        ("open", "/proc/self/environ".to_owned()),
        ("open", "/proc/1/cmdline".to_owned()),
        ("open", own),
        ("open", data("node-id")),
        ("open", path("there")),
        ("create", path("new")),
        ("create", data("new")),
        ("remove", path("there")),
        ("list", "/".to_owned()),
        ("list", "/proc".to_owned()),
        ("list", data("")),
        ("tcp", node.settings.http.clone()),
        ("tcp", node.settings.cluster.clone()),
        ("listen", none()),
        ("udp", none()),
        ("unix", path("socket")),
        ("abstract", "mapring-jail".to_owned()),
        ("datagram", none()),
        ("signal", none()),
        ("pidfd", none()),
        ("limit", none()),
        ("ptrace", none()),
        ("execute", none()),
        ("start", none()),
        ("namespace", none()),
        ("root", "/".to_owned()),
        ("thread", none()),
        ("environment", none()),
    ];
    let before = node.pid();
    let outcomes = tried(node, &attempts).await;
    assert_eq!(outcomes.len(), attempts.len());
    for (attempt, outcome) in attempts.iter().zip(&outcomes) {
        assert!(outcome.starts_with("refused: "), "{attempt:?}: {outcome}");
    }
    assert_eq!(fs::read_to_string(path("there")).unwrap(), "still");
    assert!(!outside.path().join("new").exists() && !node.data_dir().join("new").exists());
    // The worker has lived through all of it, and so has the node.
    let kills = metrics(node).await;
    let kills = kills.iter().filter(|(name, _)| name.contains("worker_kills_total"));
    assert_eq!(kills.map(|(_, count)| count).sum::<f64>(), 0.0);
    assert_eq!(node.pid(), before);
    assert!(node.client.is_live().await.unwrap());
}

#[tokio::test]
async fn without_a_jail_the_same_attempts_succeed() {
    let cluster = node_with("off").await;
    let node = &cluster.nodes[0];
    assert_eq!(told(node).await, ("off".to_owned(), BTreeMap::new()));
    let attempts = [
        ("open", "/proc/self/status".to_owned()),
        ("list", "/".to_owned()),
        ("tcp", node.settings.http.clone()),
        ("udp", String::new()),
        ("datagram", String::new()),
        ("signal", String::new()),
        ("start", String::new()),
        ("thread", String::new()),
    ];
    for (attempt, outcome) in attempts.iter().zip(tried(node, &attempts).await) {
        assert_eq!(outcome, "done", "{attempt:?}");
    }
    assert!(node.log().contains("script workers are not jailed"), "{}", node.tail());
}

#[tokio::test]
async fn a_node_that_requires_a_jail_has_it_or_does_not_start() {
    let (_, layers) = told(&node_with("on").await.nodes[0]).await;
    if layers.iter().any(|(layer, state)| layer != "namespaces" && state == "missing") {
        return skip(&format!("this machine has not all layers: {layers:?}"));
    }
    let cluster = node_with("required").await;
    assert_eq!(told(&cluster.nodes[0]).await, ("required".to_owned(), layers));
}

/// The kernel is made one without Landlock.
#[tokio::test]
async fn a_node_does_not_start_without_what_it_requires() {
    let strace = std::process::Command::new("strace").arg("-V").output();
    if !strace.is_ok_and(|output| output.status.success()) {
        return skip("there is no strace");
    }
    let required = ("MAPRING__SCRIPT__SANDBOX".to_owned(), "required".to_owned());
    let mut cluster = Cluster::empty(&[]);
    let node = cluster.add_with(|settings| {
        let refused = "inject=landlock_create_ruleset:error=EOPNOTSUPP";
        let only = "trace=landlock_create_ruleset";
        let words = ["strace", "-f", "-q", "-o", "/dev/null", "-e", only, "-e", refused];
        settings.wrapper = words.map(str::to_owned).to_vec();
        settings.environment.push(required);
    });
    let status = node.wait_end().await;
    assert!(!status.success());
    let log = node.log();
    let why = "script.sandbox is \"required\", and a worker lacks landlock";
    assert!(log.contains(why), "{log}");
}

#[tokio::test]
async fn workers_have_no_descriptors_of_others() {
    let mut cluster = Cluster::empty(&[]);
    cluster.add_with(|settings| {
        let words = ["sh", "-c", "exec \"$@\" 7</etc/passwd", "sh"];
        settings.wrapper = words.map(str::to_owned).to_vec();
    });
    cluster.wait_shared().await;
    let node = &cluster.nodes[0];
    let own = format!("/proc/{}/fdinfo", node.pid());
    assert!(fs::exists(format!("{own}/7")).unwrap(), "the node does not have what it was given");
    for entry in fs::read_dir(&own).unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        // What this test was itself started with, it hands on.
        let given =
            number <= 2 || number == 7 || is_inherited(&format!("/proc/self/fdinfo/{number}"));
        let kept = is_inherited(entry.path().to_str().unwrap());
        assert!(given || !kept, "descriptor {number} is inherited");
    }
    let worker = eventually("a worker", || async { workers(node.pid()).first().copied() }).await;
    let list = || fs::read_dir(format!("/proc/{worker}/fd"));
    if list().is_err() {
        return skip("only root sees the descriptors of a worker");
    }
    // Once it is ready: what it was started with is gone by then.
    eventually("a worker that is ready", || async {
        holds(told(node).await.1.values().any(|state| state == "held"))
    })
    .await;
    for entry in list().unwrap() {
        let Ok(target) = fs::read_link(entry.unwrap().path()) else { continue };
        let target = target.to_str().unwrap();
        let own = ["socket:", "pipe:", "anon_inode:", "/dev/null", "/proc/"];
        assert!(own.iter().any(|own| target.starts_with(own)), "{target}");
    }
}
