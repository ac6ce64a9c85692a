//! Clusters of real processes on this machine.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mapring_client::Client;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::outcome::{Failure, Outcome};
use crate::tool::Tool;

/// Nodes that know each other. They end with this.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    directory: TempDir,
    /// How long the first one took to start, which begins the cluster.
    pub(crate) began: Duration,
}

pub(crate) struct Node {
    name: String,
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    /// `host:port`.
    http: String,
    cluster: String,
    join: Option<String>,
    /// Settings by environment variable, from its next start on.
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) client: Client,
    running: Option<(Child, Option<ChildStdin>)>,
}

/// How long a node may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often is asked whether it has.
const ASK_EVERY: Duration = Duration::from_millis(2);

impl Nodes {
    /// Starts so many nodes that share the ring.
    pub(crate) async fn start(tool: &Tool, count: usize) -> Outcome<Self> {
        Self::start_with(tool, count, &[]).await
    }

    /// As [`Nodes::start`], with settings by environment variable.
    pub(crate) async fn start_with(
        tool: &Tool,
        count: usize,
        settings: &[(&'static str, &str)],
    ) -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("mapring-bench-").tempdir()?;
        let (mut nodes, mut began) = (Vec::<Node>::new(), None);
        for number in 1..=count {
            let join = nodes.first().map(|first| first.cluster.clone());
            let mut node = Node::new(tool, directory.path(), number, join)?;
            node.settings = settings.iter().map(|(name, value)| (*name, (*value).into())).collect();
            let took = node.start().await?;
            began.get_or_insert(took);
            nodes.push(node);
        }
        let all = Self { nodes, directory, began: began.unwrap_or_default() };
        all.wait_shared().await?;
        Ok(all)
    }

    /// Waits until all nodes see each other share the ring.
    pub(crate) async fn wait_shared(&self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        for node in &self.nodes {
            while node.client.cluster().await?.shared_by() < self.nodes.len() {
                if Instant::now() > deadline {
                    return Err(node.failure("does not share the ring"));
                }
                sleep(ASK_EVERY).await;
            }
        }
        Ok(())
    }

    /// The first node, which is there.
    pub(crate) fn first(&mut self) -> Outcome<&mut Node> {
        self.nodes.first_mut().ok_or_else(|| "there is no node".into())
    }

    /// A node by its number, from 0.
    pub(crate) fn get(&mut self, number: usize) -> Outcome<&mut Node> {
        self.nodes.get_mut(number).ok_or_else(|| format!("there is no node {number}").into())
    }

    /// A client of the first node.
    pub(crate) fn client(&self) -> Outcome<&Client> {
        let first = self.nodes.first().ok_or("there is no node")?;
        Ok(&first.client)
    }

    /// The URLs of all nodes, separated by commas.
    pub(crate) fn urls(&self) -> String {
        let urls = self.nodes.iter().map(Node::url);
        urls.collect::<Vec<_>>().join(",")
    }

    /// A client of each node.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.nodes.iter().map(|node| &node.client)
    }

    /// The process of each node that runs.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let of_node = |node: &Node| node.running.as_ref().and_then(|(child, _)| child.id());
        self.nodes.iter().filter_map(of_node).collect()
    }

    /// Where files may lie that go with the nodes.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops all nodes in order.
    pub(crate) async fn stop(mut self) -> Outcome {
        for node in &mut self.nodes {
            node.stop().await?;
        }
        Ok(())
    }
}

impl Node {
    fn new(tool: &Tool, directory: &Path, number: usize, join: Option<String>) -> Outcome<Self> {
        let name = format!("n{number}");
        let http = free_address()?;
        Ok(Self {
            program: tool.program.clone(),
            data: directory.join(&name),
            log: directory.join(format!("{name}.log")),
            client: Client::new(&format!("http://{http}"))?,
            cluster: free_address()?,
            http,
            name,
            join,
            settings: Vec::new(),
            running: None,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Where the engine keeps its files.
    pub(crate) fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// Starts it, and gives how long it took until it served.
    pub(crate) async fn start(&mut self) -> Outcome<Duration> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MAPRING_") {
                command.env_remove(name);
            }
        }
        command
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .args(["server", "--stop-at-end-of-input", "--node-name", &self.name, "--data-dir"])
            .arg(&self.data)
            .args(["--http", &self.http, "--cluster", &self.cluster])
            .args(self.join.iter().flat_map(|member| ["--join", member]))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let began = Instant::now();
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        self.running = Some((child, input));
        while !self.client.is_live().await.unwrap_or(false) {
            let ended = match &mut self.running {
                Some((child, _)) => child.try_wait()?.is_some(),
                None => true,
            };
            if ended || began.elapsed() > PATIENCE {
                return Err(self.failure("does not start"));
            }
            sleep(ASK_EVERY).await;
        }
        Ok(began.elapsed())
    }

    /// Stops it in order, so that its data is all there.
    pub(crate) async fn stop(&mut self) -> Outcome {
        let Some((mut child, input)) = self.running.take() else { return Ok(()) };
        drop(input);
        match timeout(PATIENCE, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => Err(self.failure("does not stop in order")),
        }
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(&mut self) -> Outcome {
        let Some((mut child, _)) = self.running.take() else { return Ok(()) };
        Ok(child.kill().await?)
    }

    fn failure(&self, what: &str) -> Failure {
        const LINES: usize = 10;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n");
        format!("{} {what}\n{tail}", self.name).into()
    }
}

/// An address of this machine that is free for TCP and UDP, most likely also in a moment.
fn free_address() -> Outcome<String> {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address.to_string());
        }
    }
    Err("no free ports".into())
}
