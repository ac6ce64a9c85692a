//! One node: a process, its directory, its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use mapring_client::{Client, ClusterStatus, Timeouts};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

use super::{PATIENCE, eventually, holds, program};

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub struct NodeSettings {
    /// Its name in the cluster, and that of its directory and log.
    pub name: String,
    /// `HOST:PORT` of the public listener.
    pub http: String,
    /// As `http`, the listener for other nodes.
    pub cluster: String,
    /// Where to join, as `HOST:PORT`.
    pub join: Vec<String>,
    /// Settings by environment variable.
    pub environment: Vec<(String, String)>,
    /// A program with arguments that runs the node, such as strace.
    pub wrapper: Vec<String>,
}

/// A node that may run.
pub struct Node {
    /// What it is started with next.
    pub settings: NodeSettings,
    /// Asks this node.
    pub client: Client,
    directory: PathBuf,
    child: Option<Child>,
    /// Its end stops the node. Taken from the child, because waiting for that closes it.
    input: Option<ChildStdin>,
}

/// What every node of a test gets: little memory, few workers, a short stop.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("MAPRING__STORAGE__CACHE", "32 MB"),
    ("MAPRING__SCRIPT__WORKERS", "2"),
    ("MAPRING__NODE__GRACE", "5s"),
];

/// What counts as busy, in clock ticks of which there are 100 a second.
const BUSY_TICKS: u64 = 20;

/// Lines of a log that are shown when a test fails.
const LOG_LINES: usize = 40;

impl Node {
    /// A node that does not run yet, with its data and log below `directory`.
    pub fn new(settings: NodeSettings, directory: &Path) -> Self {
        let timeouts =
            Timeouts { connect: Duration::from_secs(5), answer: Duration::from_secs(90) };
        let url = format!("http://{}", settings.http);
        let client = Client::with_timeouts(&url, timeouts).unwrap();
        Self { settings, client, directory: directory.to_path_buf(), child: None, input: None }
    }

    /// The base of its URLs.
    pub fn url(&self) -> String {
        format!("http://{}", self.settings.http)
    }

    /// Where its data lie.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.join(&self.settings.name)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.settings.name))
    }

    /// All that it has logged, over all its runs.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// The process id; that of the wrapper where there is one.
    pub fn pid(&self) -> i32 {
        let id = self.child.as_ref().and_then(Child::id).expect("the node does not run");
        i32::try_from(id).unwrap()
    }

    /// Starts the process, without waiting for it.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.settings.name);
        let settings = &self.settings;
        let mut words = settings.wrapper.clone();
        words.extend([program(), "server", "--stop-at-end-of-input"].map(String::from));
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = Command::new(&words[0]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MAPRING_") {
                command.env_remove(name);
            }
        }
        command
            .args(&words[1..])
            .args(["--node-name", &settings.name])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--http", &settings.http, "--cluster", &settings.cluster])
            .args(settings.join.iter().flat_map(|member| ["--join", member]))
            .envs(ENVIRONMENT)
            .envs(settings.environment.iter().cloned())
            // The node ends with the test, however that ends.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        self.input = child.stdin.take();
        self.child = Some(child);
    }

    /// Whether it was started and has not been waited for since.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Waits until the node serves, whatever the others do.
    pub async fn wait_ready(&self) {
        let what = format!("{} to be ready", self.settings.name);
        eventually(&what, || async { holds(self.client.is_live().await.unwrap_or(false)) }).await;
    }

    /// Waits until a function keeps a worker busy; starting workers takes a tenth of that time.
    pub async fn wait_busy(&self) {
        let what = format!("workers of {} to be busy", self.settings.name);
        let mut before = None;
        eventually(&what, || {
            let ticks = worker_ticks(self.pid());
            let busy = ticks > *before.get_or_insert(ticks) + BUSY_TICKS;
            async move { holds(busy) }
        })
        .await;
    }

    /// What it says of the cluster.
    pub async fn status(&self) -> ClusterStatus {
        self.client.cluster().await.unwrap()
    }

    /// Ends the process as a crash would.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the node does not run");
        child.kill().await.unwrap();
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Waits until the process ends by itself.
    pub async fn wait_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the node does not run");
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} does not end", self.settings.name)).unwrap()
    }

    /// Stops the node as an operator would.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_end().await
    }

    /// The end of the log, for people who look at a failed test.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

/// Processor time that the workers of a node have used, in clock ticks.
pub fn worker_ticks(node: i32) -> u64 {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap_or_default().1.split(' ').collect();
        // After the name: state, parent, …; the times in user and system mode are 12th and 13th.
        if fields.get(1).and_then(|parent| parent.parse().ok()) == Some(node) {
            let time = |at: usize| fields.get(at).and_then(|t| t.parse().ok()).unwrap_or(0_u64);
            ticks += time(11) + time(12);
        }
    }
    ticks
}
