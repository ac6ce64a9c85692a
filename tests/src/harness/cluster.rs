//! Several nodes that share a ring.

use mapring_client::Client;
use tempfile::TempDir;

use super::{Node, NodeSettings, Ports, eventually, holds, metrics};

/// The release of the present formats.
const PRESENT: f64 = 6.0;

/// A cluster whose nodes end, and whose data goes, with it. Shows the nodes' logs when its test
/// fails.
pub struct Cluster {
    /// The nodes in the order in which they were added, also those that do not run.
    pub nodes: Vec<Node>,
    environment: Vec<(String, String)>,
    ports: Ports,
    directory: TempDir,
}

impl Cluster {
    /// Starts `nodes` nodes and waits until they share the ring.
    pub async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, &[]).await
    }

    /// As [`Cluster::start`], with settings by environment variable.
    pub async fn start_with(nodes: usize, environment: &[(&str, &str)]) -> Self {
        let mut cluster = Self::empty(environment);
        for _ in 0..nodes {
            cluster.add();
        }
        cluster.wait_shared().await;
        cluster
    }

    /// A cluster without nodes.
    pub fn empty(environment: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            nodes: Vec::new(),
            environment: environment.iter().map(own).collect(),
            ports: Ports::take(),
            directory: tempfile::Builder::new().prefix("mapring-test-").tempdir().unwrap(),
        }
    }

    /// Starts one more node, without waiting for it.
    pub fn add(&mut self) -> &mut Node {
        self.add_with(|_| {})
    }

    /// As [`Cluster::add`], with other settings.
    pub fn add_with(&mut self, change: impl FnOnce(&mut NodeSettings)) -> &mut Node {
        let number = u16::try_from(self.nodes.len()).unwrap();
        let mut settings = NodeSettings {
            name: format!("n{}", number + 1),
            http: self.ports.address(2 * number),
            cluster: self.ports.address(2 * number + 1),
            join: self.nodes.iter().take(1).map(|first| first.settings.cluster.clone()).collect(),
            environment: self.environment.clone(),
            wrapper: Vec::new(),
        };
        change(&mut settings);
        let mut node = Node::new(settings, self.directory.path());
        node.spawn();
        self.nodes.push(node);
        self.nodes.last_mut().unwrap()
    }

    /// Waits until every running node sees all running nodes as up and owning partitions.
    pub async fn wait_shared(&self) {
        let running: Vec<&Node> = self.nodes.iter().filter(|node| node.is_running()).collect();
        for node in &running {
            node.wait_ready().await;
            let what =
                format!("{} to see {} nodes share the ring", node.settings.name, running.len());
            eventually(&what, || async {
                let status = node.client.cluster().await.ok()?;
                holds(status.shared_by() >= running.len())
            })
            .await;
        }
    }

    /// Waits until every running node writes the present formats: it takes a moment until all members
    /// have told that they read them.
    pub async fn wait_formats(&self) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            let what = format!("{} to write release {PRESENT}", node.settings.name);
            eventually(&what, || async {
                holds(metrics(node).await.get("mapring_kv_written_release") == Some(&PRESENT))
            })
            .await;
        }
    }

    /// Waits until a function keeps a worker of any node busy.
    pub async fn wait_any_busy(&self) {
        let waits = self.nodes.iter().map(|node| Box::pin(node.wait_busy()));
        futures::future::select_all(waits).await;
    }

    /// Starts a node that was stopped or killed, and waits until it takes part.
    pub async fn restart(&mut self, number: usize) {
        self.nodes[number].spawn();
        self.wait_shared().await;
    }

    /// Where the nodes' data directories lie, by their names.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// A client of one node.
    pub fn client(&self, number: usize) -> &Client {
        &self.nodes[number].client
    }

    /// Clients of the nodes that run.
    pub fn clients(&self) -> Vec<Client> {
        let running = self.nodes.iter().filter(|node| node.is_running());
        running.map(|node| node.client.clone()).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- the log of {} ends with\n{}", node.settings.name, node.tail());
            }
        }
    }
}
