//! The playground starts, tells of a killed node, and leaves no process behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use mapring_tests::harness::{PATIENCE, Ports, eventually, holds, program};

struct Playground {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it printed until it was ready.
    printed: Vec<String>,
    directory: TempDir,
    ports: Ports,
}

impl Playground {
    async fn start() -> Self {
        Self::start_by(&[]).await
    }

    /// As [`Playground::start`], by way of a program that runs it.
    async fn start_by(wrapper: &[&str]) -> Self {
        let (ports, directory) = (Ports::take(), tempfile::tempdir().unwrap());
        let words = [wrapper, &[program(), "playground", "--nodes", "3", "--data-dir"]].concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .arg(directory.path())
            .args(["--http-port", &ports.port(0).to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut playground = Self { child, lines, printed: Vec::new(), directory, ports };
        loop {
            let line = playground.line().await.expect("the playground ended before it was ready");
            if line == "ready" {
                return playground;
            }
            playground.printed.push(line);
        }
    }

    async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.next_line()).await.expect("no line").unwrap()
    }

    /// The processes that belong to it: nodes and their workers, by their open directory.
    fn processes(&self) -> BTreeSet<i32> {
        processes_of(self.directory.path())
    }

    fn node_pids(&self) -> Vec<i32> {
        let pids = self.printed.iter().filter_map(|line| line.rsplit_once("pid ")?.1.parse().ok());
        pids.collect()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }
}

/// Processes whose command line names `directory`, and their descendants.
fn processes_of(directory: &Path) -> BTreeSet<i32> {
    let mut named = BTreeSet::new();
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        if command.contains("server") && command.contains(directory.to_str().unwrap()) {
            named.insert(pid);
        }
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may hold anything; state and parent follow it.
        let mut after = stat.rsplit_once(") ").unwrap_or_default().1.split(' ');
        let zombie = after.next() == Some("Z");
        let parent = after.next().and_then(|parent| parent.parse::<i32>().ok());
        if let (false, Some(parent)) = (zombie, parent) {
            parents.push((pid, parent));
        }
    }
    let workers: Vec<i32> =
        parents.iter().filter(|(_, parent)| named.contains(parent)).map(|(pid, _)| *pid).collect();
    named.extend(workers);
    named
}

/// Waits until none of these processes exists, as itself.
async fn gone(what: &str, pids: &BTreeSet<i32>) {
    eventually(what, || async {
        holds(pids.iter().all(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            !String::from_utf8_lossy(&command).contains("mapring-under-test")
                && !String::from_utf8_lossy(&command).contains("script-worker")
        }))
    })
    .await;
}

#[tokio::test]
async fn interrupted_it_stops_everything() {
    let mut playground = Playground::start().await;
    assert_eq!(playground.printed.iter().filter(|line| line.contains("http://")).count(), 3);
    assert_eq!(playground.node_pids().len(), 3);
    let pids = playground.processes();
    assert!(pids.len() >= 6, "nodes and workers: {pids:?}");
    kill_process(playground.pid(), Signal::INT).unwrap();
    let status = timeout(PATIENCE, playground.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    gone("every process to end", &pids).await;
    assert!(playground.processes().is_empty());
}

#[tokio::test]
async fn it_stops_with_its_terminal_unless_it_was_started_to_outlive_it() {
    for (wrapper, outlives) in [(&[] as &[&str], false), (&["nohup"], true)] {
        let mut playground = Playground::start_by(wrapper).await;
        let pids = playground.processes();
        kill_process(playground.pid(), Signal::HUP).unwrap();
        if outlives {
            // It would have been answered by the end of the nodes, which is told.
            kill_process(Pid::from_raw(playground.node_pids()[0]).unwrap(), Signal::KILL).unwrap();
            assert!(playground.line().await.unwrap().contains("n1"));
            assert!(playground.child.try_wait().unwrap().is_none());
            kill_process(playground.pid(), Signal::TERM).unwrap();
        }
        let status = timeout(PATIENCE, playground.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        gone("every process to end", &pids).await;
    }
}

#[tokio::test]
async fn killed_it_takes_its_nodes_along() {
    let mut playground = Playground::start().await;
    let pids = playground.processes();
    playground.child.kill().await.unwrap();
    gone("nodes and workers to end with the killed playground", &pids).await;
}

#[tokio::test]
async fn killed_nodes_are_reported_and_the_others_go_on() {
    let mut playground = Playground::start().await;
    let victim = playground.node_pids()[1];
    kill_process(Pid::from_raw(victim).unwrap(), Signal::KILL).unwrap();
    let line = playground.line().await.unwrap();
    assert!(line.contains("n2") && line.contains(&victim.to_string()), "{line}");
    let url = format!("http://127.0.0.1:{}", playground.ports.port(0));
    let client = mapring_client::Client::new(&url).unwrap();
    assert!(client.is_ready().await.unwrap());
    let pids = playground.processes();
    kill_process(playground.pid(), Signal::TERM).unwrap();
    let status = timeout(PATIENCE, playground.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    gone("every process to end", &pids).await;
}

/// A second one would be answered by the nodes of the first.
#[tokio::test]
async fn taken_ports_are_told_of_before_anything_starts() {
    let playground = Playground::start().await;
    let taken = playground.ports.port(0);
    // Those for clients; and those of the cluster, one below.
    for first in [taken, taken + 1] {
        let second = Command::new(program())
            .args(["playground", "--nodes", "2", "--http-port", &first.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, second).await.expect("it does not end").unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && !out.contains("ready"), "{out}{err}");
        assert!(
            err.contains("another playground") && err.contains("--http-port"),
            "{first}: {err}"
        );
    }
}

#[tokio::test]
async fn logs_of_nodes_that_die_outlive_a_temporary_directory() {
    let ports = Ports::take();
    let mut child = Command::new(program())
        .args(["playground", "--nodes", "2", "--http-port", &ports.port(0).to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || timeout(PATIENCE, lines.next_line()).await.expect("no line").unwrap();
    let mut victim = None;
    while let Some(line) = next().await {
        match line.rsplit_once("pid ") {
            Some((_, pid)) if line.starts_with("n2") => victim = pid.parse().ok(),
            _ if line == "ready" => break,
            _ => {}
        }
    }
    kill_process(Pid::from_raw(victim.unwrap()).unwrap(), Signal::KILL).unwrap();
    let line = next().await.unwrap();
    let log = line.rsplit_once("log: ").unwrap_or_else(|| panic!("{line}")).1.to_owned();
    let log = Path::new(&log);
    kill_process(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap(), Signal::TERM)
        .unwrap();
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(status.success() && next().await.unwrap().contains("are kept"), "{status}");
    assert!(fs::read_to_string(log).unwrap().contains("n2"));
    let left: Vec<_> = fs::read_dir(log.parent().unwrap()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    fs::remove_dir_all(log.parent().unwrap()).unwrap();
}
