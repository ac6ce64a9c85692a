//! `mapring playground`: a cluster of child processes on this machine.
//!
//! The children are ordinary nodes with their own data directories and logs, so that anyone can
//! kill one and see what happens. They end with the playground, however that ends: each watches the
//! pipe that is its standard input. When the terminal goes it stops them in order, unless it was
//! started with `nohup`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};

use clap::Args;
use futures::future::{join_all, select_all};
use mapring_client::Client;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::cluster::READY_TIMEOUTS;
use crate::failure::{Failure, Outcome, print_line};
use crate::limits;

/// Starts nodes n1, n2, … as processes of their own, prints their URLs and `ready` once they share
/// the ring, and stops them at Ctrl-C. Kill one of them if you like: the others go on. Start the
/// playground again with the same --data-dir to go on with the same data.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,

    /// The HTTP port of the first node; the others follow in steps of 10, and each node's cluster
    /// port is the next one
    #[arg(long, value_name = "PORT", default_value_t = 8098)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=65_000))]
    http_port: u16,

    /// Where to keep the data and the logs; without it, both are removed at the end
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
}

/// What a node takes as its cache here unless the environment says so: several share the machine.
const CACHE: (&str, &str) = ("MAPRING__STORAGE__CACHE", "256 MB");

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    // Before the first child: a signal must find somebody who stops it.
    let mut signals = Signals::listen()?;
    check_ports(arguments)?;
    let mut place = Place::new(arguments.data_dir.as_deref())?;
    let mut nodes = Vec::new();
    let outcome = tokio::select! {
        biased;
        () = signals.next() => Ok(()),
        outcome = play(arguments, &mut place, &mut nodes) => outcome,
    };
    stop_all(&mut nodes, &mut signals).await;
    place.clear()?;
    outcome
}

/// Refuses ports that something else listens at: a node would end there, and whoever asks it would be
/// answered by that other program, which may well be a node.
fn check_ports(arguments: &Arguments) -> Outcome {
    for number in 0..arguments.nodes {
        let [http, cluster] = ports(arguments, number);
        let tcp = |port| std::net::TcpListener::bind(("127.0.0.1", port)).map(drop);
        let udp = |port| std::net::UdpSocket::bind(("127.0.0.1", port)).map(drop);
        let free = tcp(http).map_err(|error| (http, error)).and_then(|()| {
            tcp(cluster).and_then(|()| udp(cluster)).map_err(|error| (cluster, error))
        });
        free.map_err(|(port, error)| {
            Failure::failed(format!(
                "n{} cannot listen at port {port}: {error}; is another playground running? \
                 --http-port takes other ports",
                number + 1
            ))
        })?;
    }
    Ok(())
}

/// The ports of a node: for clients, and for the cluster.
fn ports(arguments: &Arguments, number: u16) -> [u16; 2] {
    let port = arguments.http_port + 10 * number;
    [port, port + 1]
}

async fn play(arguments: &Arguments, place: &mut Place, nodes: &mut Vec<Node>) -> Outcome {
    for number in 0..arguments.nodes {
        nodes.push(Node::start(arguments, number, place.path())?);
    }
    if let Err(failure) = wait_until_shared(nodes).await {
        nodes.iter().for_each(|node| place.keep(&node.log));
        return Err(failure);
    }
    for node in nodes.iter() {
        print_line(&format!("{}  {}  pid {}", node.name, node.url, node.pid()))?;
    }
    if arguments.data_dir.is_some() {
        print_line(&format!("data and logs in {}", place.path().display()))?;
    }
    print_line("ready")?;
    loop {
        let (at, status) = next_end(nodes).await;
        let node = nodes.remove(at);
        place.keep(&node.log);
        let log = node.log.display();
        print_line(&format!("{} (pid {}) has ended: {status}; log: {log}", node.name, node.id))?;
        if nodes.is_empty() {
            return Err(Failure::failed("no node is left"));
        }
    }
}

/// The directory of the data, which may be a temporary one.
enum Place {
    Given(PathBuf),
    Temporary {
        directory: TempDir,
        /// Logs that outlive it: whoever finds a node ended wants to know why.
        kept: Vec<PathBuf>,
    },
}

impl Place {
    fn new(given: Option<&Path>) -> Outcome<Self> {
        match given {
            Some(path) => {
                let made = fs::create_dir_all(path).and_then(|()| path.canonicalize());
                made.map(Self::Given).map_err(|error| {
                    Failure::failed(format!("cannot make {}: {error}", path.display()))
                })
            }
            None => tempfile::Builder::new()
                .prefix("mapring-playground-")
                .tempdir()
                .map(|directory| Self::Temporary { directory, kept: Vec::new() })
                .map_err(|error| Failure::failed(format!("cannot make a directory: {error}"))),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary { directory, .. } => directory.path(),
        }
    }

    fn keep(&mut self, log: &Path) {
        if let Self::Temporary { kept, .. } = self {
            kept.push(log.to_owned());
        }
    }

    /// Removes what is not to be kept.
    fn clear(self) -> Outcome {
        let Self::Temporary { directory, kept } = self else { return Ok(()) };
        if kept.is_empty() {
            return Ok(());
        }
        let path = directory.keep();
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let entry = entry.path();
            if !kept.contains(&entry) {
                // What cannot be removed stays: it is in the system's directory for such things.
                let _ = if entry.is_dir() {
                    fs::remove_dir_all(&entry)
                } else {
                    fs::remove_file(&entry)
                };
            }
        }
        print_line(&format!("logs of nodes that have ended are kept in {}", path.display()))
    }
}

/// One child.
struct Node {
    name: String,
    url: String,
    log: PathBuf,
    child: Child,
    id: u32,
    /// Its end tells the node to stop. Taken from the child, because waiting for that closes it.
    _input: Option<ChildStdin>,
}

impl Node {
    fn start(arguments: &Arguments, number: u16, place: &Path) -> Outcome<Self> {
        let [port, cluster] = ports(arguments, number);
        let name = format!("n{}", number + 1);
        let failed =
            |error: std::io::Error| Failure::failed(format!("cannot start {name}: {error}"));
        let log = place.join(format!("{name}.log"));
        let lines = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .args(["server", "--stop-at-end-of-input", "--node-name", &name])
            .arg("--data-dir")
            .arg(place.join(&name))
            .args(["--http", &format!("127.0.0.1:{port}")])
            .args(["--cluster", &format!("127.0.0.1:{cluster}")])
            .stdin(Stdio::piped())
            .stdout(lines.try_clone().map_err(failed)?)
            .stderr(lines)
            // Ctrl-C is for the playground, which then stops its nodes in order.
            .process_group(0)
            .kill_on_drop(true);
        if number > 0 {
            let [_, first] = ports(arguments, 0);
            command.args(["--join", &format!("127.0.0.1:{first}")]);
        }
        if std::env::var_os(CACHE.0).is_none() {
            command.env(CACHE.0, CACHE.1);
        }
        let mut child = command.spawn().map_err(failed)?;
        let id = child.id().unwrap_or_default();
        let _input = child.stdin.take();
        Ok(Self { name, url: format!("http://127.0.0.1:{port}"), log, child, id, _input })
    }

    fn pid(&self) -> u32 {
        self.id
    }

    fn terminate(&self) {
        // Only while the child has not been waited for is the id still its own.
        let running = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = running {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Ends the child, and asks it again whenever this process is asked again; kills it when it does
    /// not end in time.
    async fn stop(&mut self, mut again: watch::Receiver<()>) {
        self.terminate();
        let mut late = pin!(sleep(limits::PLAYGROUND_STOP));
        loop {
            tokio::select! {
                biased;
                _ = self.child.wait() => return,
                () = &mut late => {
                    let _ = self.child.kill().await;
                    return;
                }
                Ok(()) = again.changed() => self.terminate(),
            }
        }
    }

    /// Whether this node serves, and knows `nodes` members that all own a part of the ring.
    async fn shares_ring(&self, nodes: usize) -> bool {
        let Ok(client) = Client::with_timeouts(&self.url, READY_TIMEOUTS) else { return false };
        if !client.is_ready().await.unwrap_or(false) {
            return false;
        }
        client.cluster().await.is_ok_and(|status| status.shared_by() >= nodes)
    }

    /// Why this node has ended by itself, with the end of its log.
    fn ended(&self, status: ExitStatus) -> Failure {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(limits::PLAYGROUND_LOG_LINES)..)
            .unwrap_or_default();
        Failure::failed(format!("{} did not start: {status}\n{}", self.name, tail.join("\n")))
    }
}

/// Waits until every node knows every other as an owner of partitions.
async fn wait_until_shared(nodes: &mut [Node]) -> Outcome {
    let deadline = Instant::now() + limits::PLAYGROUND_START;
    loop {
        let count = nodes.len();
        let shared = join_all(nodes.iter().map(|node| node.shares_ring(count))).await;
        // After they were asked: who answers for a node that has ended is another one.
        for node in nodes.iter_mut() {
            if let Ok(Some(status)) = node.child.try_wait() {
                return Err(node.ended(status));
            }
        }
        if shared.iter().all(|shared| *shared) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let late = nodes.iter().zip(shared).filter(|(_, shared)| !shared);
            let late: Vec<_> = late.map(|(node, _)| node.name.as_str()).collect();
            return Err(Failure::failed(format!(
                "{} not ready after {:?}",
                late.join(", "),
                limits::PLAYGROUND_START
            )));
        }
        sleep(limits::PLAYGROUND_ASK_EVERY).await;
    }
}

/// The next node that ends by itself, and how.
async fn next_end(nodes: &mut [Node]) -> (usize, String) {
    let waits = nodes.iter_mut().map(|node| Box::pin(node.child.wait()));
    let (status, at, _) = select_all(waits).await;
    (at, status.map_or_else(|error| error.to_string(), |status| status.to_string()))
}

/// The signals that ask to stop.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// The terminal has gone. `None` when whoever started this wants it to go on then (`nohup`).
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    fn listen() -> Outcome<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
        };
        // Asked for before anything listens to it, which ends the ignoring.
        let hangup = if ignores_hangup() { None } else { Some(listen(SignalKind::hangup())?) };
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: listen(SignalKind::terminate())?, hangup })
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether this process was started with SIGHUP ignored.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (Signal::HUP.as_raw() - 1)) != 0)
}

/// Stops every node that still runs. Further signals are passed on: a second one ends the nodes' time
/// of grace.
async fn stop_all(nodes: &mut [Node], signals: &mut Signals) {
    let (again, asked) = watch::channel(());
    let mut ends = pin!(join_all(nodes.iter_mut().map(|node| node.stop(asked.clone()))));
    loop {
        tokio::select! {
            biased;
            _ = &mut ends => return,
            () = signals.next() => {
                again.send_replace(());
            }
        }
    }
}
