//! A network for each node: a namespace of its own, with one link to the other nodes, which can be
//! cut, and another one to the clients.
//!
//! The nodes' links meet in a bridge in one more namespace, so that nothing of the machine's own
//! network (such as rules of a container engine for bridges) comes between. Names and addresses
//! belong to a slot that is locked while the network is in use; what a killed run has left behind
//! is removed by the next one that takes the slot.

use std::fs::File;
use std::process::Command;

use mapring_tests::harness::NodeSettings;

/// Networks at once on one machine.
const SLOTS: u8 = 60;

/// Nodes of a network.
const MOST: u8 = 5;

const HTTP: u16 = 8098;
const CLUSTER: u16 = 8099;
const SECRET: &str = "of the nodes of one network";

/// A network of namespaces, which goes when it is dropped.
pub(super) struct Network {
    slot: u8,
    nodes: u8,
    _lock: File,
}

/// How a link is cut. Either way nobody is told: what is sent is lost.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// The link is taken out of the bridge.
    Port,
    /// The far end of the link is down.
    Link,
}

impl Network {
    /// A network for so many nodes; or why there is none: this needs root and iproute2.
    pub(super) fn make(nodes: usize) -> Result<Self, String> {
        let directory = std::env::temp_dir().join("mapring-test-networks");
        std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let take = |slot: &u8| {
            let path = directory.join(slot.to_string());
            let lock = File::options().create(true).truncate(false).write(true).open(path).ok()?;
            lock.try_lock().ok()?;
            Some((*slot, lock))
        };
        let found = (1..=SLOTS).find_map(|slot| take(&slot));
        let (slot, lock) = found.ok_or("all slots for networks are taken")?;
        let nodes = u8::try_from(nodes).unwrap();
        assert!(nodes <= MOST);
        let network = Self { slot, nodes, _lock: lock };
        network.remove();
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> Result<(), String> {
        let hub = self.hub();
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add bridge type bridge"))?;
        ip(&format!("-n {hub} link set bridge up"))?;
        for node in 0..self.nodes {
            let (name, port, client) = (self.namespace(node), port(node), self.client_link(node));
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("link add cluster netns {name} type veth peer name {port} netns {hub}"))?;
            ip(&format!("-n {hub} link set {port} master bridge up"))?;
            ip(&format!("-n {name} address add {}/24 dev cluster", cluster_host(node)))?;
            ip(&format!("-n {name} link set cluster up"))?;
            ip(&format!("link add {client} type veth peer name client netns {name}"))?;
            ip(&format!("address add {}/30 dev {client}", self.client_host(node, 1)))?;
            ip(&format!("link set {client} up"))?;
            ip(&format!("-n {name} address add {}/30 dev client", self.client_host(node, 2)))?;
            ip(&format!("-n {name} link set client up"))?;
        }
        Ok(())
    }

    /// Removes what there is of this network.
    fn remove(&self) {
        for node in 0..MOST {
            // Links go with their namespaces, but not at once.
            let _ = ip(&format!("link delete {}", self.client_link(node)));
            let _ = ip(&format!("netns delete {}", self.namespace(node)));
        }
        let _ = ip(&format!("netns delete {}", self.hub()));
    }

    /// Settings of a node in this network.
    pub(super) fn place(&self, node: usize, settings: &mut NodeSettings) {
        let node = u8::try_from(node).unwrap();
        settings.wrapper = ["ip", "netns", "exec", &self.namespace(node)].map(String::from).into();
        settings.http = format!("{}:{HTTP}", self.client_host(node, 2));
        settings.cluster = format!("{}:{CLUSTER}", cluster_host(node));
        // Off loopback no node listens without one.
        let secret = ["MAPRING__CLUSTER__SECRET", SECRET].map(String::from);
        settings.environment.push(secret.into());
    }

    /// Cuts a node off from the other nodes, but not from clients.
    pub(super) fn cut(&self, node: usize, how: Cut) {
        let change = match how {
            Cut::Port => "nomaster",
            Cut::Link => "down",
        };
        self.set(node, change);
    }

    pub(super) fn heal(&self, node: usize, how: Cut) {
        let change = match how {
            Cut::Port => "master bridge",
            Cut::Link => "up",
        };
        self.set(node, change);
    }

    fn set(&self, node: usize, change: &str) {
        let port = port(u8::try_from(node).unwrap());
        ip(&format!("-n {} link set dev {port} {change}", self.hub())).unwrap();
    }

    fn hub(&self) -> String {
        format!("mapring-{}-hub", self.slot)
    }

    fn namespace(&self, node: u8) -> String {
        format!("mapring-{}-{node}", self.slot)
    }

    /// The end of a node's link to the clients that is theirs. Names have at most 15 bytes.
    fn client_link(&self, node: u8) -> String {
        format!("mapring{}-{node}", self.slot)
    }

    /// An address of a node's link to the clients: 1 is theirs, 2 the node's.
    fn client_host(&self, node: u8, end: u8) -> String {
        format!("10.213.{}.{}", self.slot, 4 * node + end)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

fn port(node: u8) -> String {
    format!("port{node}")
}

/// The address of a node among the nodes; those of other networks are apart.
fn cluster_host(node: u8) -> String {
    format!("10.214.0.{}", node + 1)
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.map_err(|error| format!("ip cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {}", said.trim())) }
}
