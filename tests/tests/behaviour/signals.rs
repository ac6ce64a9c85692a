//! Signals that end other programs, and terminals that go away, do not end a node.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use mapring_client::{Client, NewObject, Place};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use mapring_tests::harness::{Cluster, PATIENCE, Ports, eventually, holds, program, workers};

/// Signals whose default is to end the process.
const HARMLESS: [Signal; 4] = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::PIPE];

/// Stores an object and runs a function on it: in a worker.
async fn serves(client: &Client, key: &str) {
    let object =
        NewObject { body: "1".into(), content_type: "text/plain".into(), ..NewObject::default() };
    client.put(&Place::new("b", key), object).await.unwrap();
    let phase =
        json!({"map": {"language": "javascript", "source": "function(v) { return [v.key]; }"}});
    let query = json!({"inputs": [["b", key]], "query": [phase]}).to_string();
    assert_eq!(client.mapred(query).await.unwrap(), format!("[\"{key}\"]"));
}

fn send(process: i32, signal: Signal) {
    kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn a_node_and_its_workers_live_on() {
    let mut cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    serves(&node.client, "before").await;
    let before = workers(node.pid());
    for signal in HARMLESS {
        node.signal(signal);
        // Those that a service manager, or a shell, sends to all processes that it started.
        for &worker in &before {
            send(worker, signal);
        }
        serves(&node.client, &format!("signal {}", signal.as_raw())).await;
    }
    before.iter().for_each(|&worker| send(worker, Signal::TERM));
    serves(&node.client, "after").await;
    assert_eq!(workers(node.pid()), before, "the same processes");
    eventually("the log to tell", || async {
        let log = node.log();
        holds(["SIGHUP", "SIGUSR1", "SIGUSR2"].iter().all(|name| log.contains(name)))
    })
    .await;
    assert!(cluster.nodes[0].stop().await.success());
}

/// A process that is no child of the test. Ended with it.
struct Stray(i32);

impl Stray {
    fn is_alive(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        if self.is_alive() {
            send(self.0, Signal::KILL);
        }
    }
}

/// A node that somebody starts by hand: its words, and who speaks to it.
fn by_hand(ports: &Ports, directory: &Path) -> (Vec<String>, Client) {
    let directory = directory.to_str().unwrap();
    let (http, cluster) = (ports.address(0), ports.address(1));
    let words = [program(), "server", "--node-name", "n1", "--data-dir", directory];
    let words = words.into_iter().chain(["--http", &http, "--cluster", &cluster]);
    let client = Client::new(&format!("http://{http}")).unwrap();
    (words.map(String::from).collect(), client)
}

fn start(words: &[String], stderr: Stdio) -> Child {
    Command::new(&words[0])
        .args(&words[1..])
        .env("MAPRING__STORAGE__CACHE", "32 MB")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn ready(client: &Client) {
    eventually("the node to be ready", || async {
        holds(client.is_ready().await.unwrap_or(false))
    })
    .await;
}

#[tokio::test]
async fn a_node_lives_on_when_nobody_reads_its_log() {
    let (ports, directory) = (Ports::take(), tempfile::tempdir().unwrap());
    let (words, client) = by_hand(&ports, directory.path());
    let mut node = start(&words, Stdio::piped());
    ready(&client).await;
    drop(node.stderr.take());
    let id = i32::try_from(node.id().unwrap()).unwrap();
    for number in 0..5 {
        // It logs this, in vain.
        send(id, Signal::HUP);
        serves(&client, &format!("{number}")).await;
    }
    send(id, Signal::TERM);
    let status = timeout(PATIENCE, node.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_node_lives_on_when_its_terminal_goes() {
    let (ports, directory) = (Ports::take(), tempfile::tempdir().unwrap());
    let (words, client) = by_hand(&ports, directory.path());
    // It holds the other end of the terminal, in which the node is the first process.
    let terminal = ["script", "-qec", &format!("exec {}", words.join(" ")), "/dev/null"];
    let mut terminal = start(&terminal.map(String::from), Stdio::null());
    ready(&client).await;
    let process = i32::try_from(terminal.id().unwrap()).unwrap();
    let children = workers(process);
    let [node] = children.as_slice() else { panic!("not one process: {children:?}") };
    let (node, of_node) = (Stray(*node), workers(*node));
    serves(&client, "before").await;
    terminal.kill().await.unwrap();
    let status = fs::read_to_string(format!("/proc/{}/stat", node.0)).unwrap();
    let terminal = status.rsplit_once(") ").unwrap().1.split(' ').nth(4).unwrap();
    assert_eq!(terminal, "0", "it has no terminal any more");
    for number in 0..5 {
        send(node.0, Signal::HUP);
        serves(&client, &format!("{number}")).await;
    }
    assert_eq!(workers(node.0), of_node);
    send(node.0, Signal::TERM);
    eventually("the node to stop", || async { holds(!node.is_alive()) }).await;
}
