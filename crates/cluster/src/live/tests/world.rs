//! A network, gossip and data directories for whole clusters in one process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chitchat::transport::ChannelTransport;
use mapring_net::simulated::{Fate, Network};
use mapring_net::{Class, FrameStream, Method, Peer, Services, Transport};
use mapring_ring::RingSize;
use mapring_types::env::SystemEntropy;
use mapring_types::{Error, NodeId, Releases, Result, Secrets};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::live::{LiveCluster, LiveConfig, Tuning};
use crate::liveness::Liveness;
use crate::liveness::gossip::{Gossip, GossipConfig};
use crate::liveness::wire::{Socket, Wire};
use crate::raft::Pace;

/// Who listens at which address.
type Names = Arc<Mutex<BTreeMap<String, NodeId>>>;

pub(super) struct World {
    network: Arc<Network>,
    names: Names,
    gossip: Arc<Air>,
    former_gossip: ChannelTransport,
    data: TempDir,
    nodes: BTreeMap<u64, Arc<LiveCluster>>,
    lives: u64,
    copies: u64,
    /// Times of the nodes started from now on. Long where nothing waits for their end: the machine
    /// may be slow.
    pub(super) tuning: Tuning,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            network: Network::new(),
            names: Names::default(),
            gossip: Arc::default(),
            former_gossip: ChannelTransport::with_mtu(65_507),
            data: tempfile::tempdir().unwrap(),
            nodes: BTreeMap::new(),
            lives: 0,
            copies: 0,
            tuning: Tuning {
                pace: Pace { heartbeat: 100, election: (500, 1_000) },
                found_listen: Duration::from_millis(500),
                propose: Duration::from_secs(30),
                voter_down: Duration::from_secs(600),
            },
        }
    }

    pub(super) fn config(&self, id: u64, name: &str, port: u16, join: &[u16]) -> LiveConfig {
        LiveConfig {
            me: NodeId(id),
            node_name: name.to_owned(),
            cluster_name: "test".to_owned(),
            secrets: Secrets::new("secret", Vec::new()),
            ring_size: RingSize::new(64).unwrap(),
            cluster_address: address(port),
            http_address: address(port + 1_000),
            zone: None,
            gossip_listen: address(port).parse().unwrap(),
            join: join.iter().map(|port| address(*port)).collect(),
            data_dir: self.data.path().join(id.to_string()),
        }
    }

    /// Starts a node, in the directory of its last life if it had one, and connects it.
    pub(super) async fn node(
        &mut self,
        id: u64,
        name: &str,
        port: u16,
        join: &[u16],
    ) -> Arc<LiveCluster> {
        let config = self.config(id, name, port, join);
        self.start(config).await.unwrap()
    }

    pub(super) async fn start(&mut self, config: LiveConfig) -> Result<Arc<LiveCluster>> {
        self.lives += 1;
        let me = config.me;
        let gossip = GossipConfig {
            me,
            cluster_name: config.cluster_name.clone(),
            secrets: config.secrets.clone(),
            listen: config.gossip_listen,
            advertise: config.cluster_address.clone(),
            started: self.lives,
        };
        let (air, former) = (self.gossip.clone(), Box::new(self.former_gossip.clone()));
        let liveness: Arc<dyn Liveness> = Arc::new(Gossip::over(gossip, air, former));
        let transport =
            Arc::new(Named { network: self.network.transport(me), names: self.names.clone() });
        let address = config.cluster_address.clone();
        let (entropy, lives, tuning) = (Arc::new(SystemEntropy), self.lives, self.tuning);
        let cluster =
            LiveCluster::start_with(config, transport, entropy, liveness, lives, tuning).await?;
        let services = Services::new([(crate::SERVICE, cluster.service())]);
        self.network.connect(me, services);
        self.names.lock().insert(address, me);
        self.nodes.insert(me.0, cluster.clone());
        Ok(cluster)
    }

    /// Has a node be of another program, from its next start on.
    pub(super) fn set_releases(&self, id: u64, releases: Releases) {
        self.network.set_releases(NodeId(id), releases);
    }

    /// Ends a node as `kill -9` would: nobody is told.
    pub(super) async fn kill(&mut self, id: u64) {
        let cluster = self.nodes.remove(&id).unwrap();
        self.network.disconnect(NodeId(id));
        self.names.lock().retain(|_, node| node.0 != id);
        cluster.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *cluster.tasks.lock());
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        cluster.liveness.stop().await;
        cluster.raft.shutdown().await.unwrap();
    }

    /// Copies the directory of a node, as an operator does.
    pub(super) fn copy(&mut self, id: u64) -> PathBuf {
        self.copies += 1;
        let copy = self.data.path().join(format!("{id}-copy-{}", self.copies));
        copy_directory(&self.data.path().join(id.to_string()), &copy);
        copy
    }

    /// Where a node keeps the metadata.
    pub(super) fn raft_directory(&self, id: u64) -> PathBuf {
        self.data.path().join(id.to_string()).join("raft")
    }

    /// Puts a copy in the place of a node's directory; the node must not run.
    pub(super) fn put_back(&mut self, id: u64, copy: &Path) {
        assert!(!self.nodes.contains_key(&id));
        self.copies += 1;
        let place = self.data.path().join(id.to_string());
        let aside = self.data.path().join(format!("{id}-aside-{}", self.copies));
        fs::rename(&place, aside).unwrap();
        fs::rename(copy, place).unwrap();
    }

    /// Loses all messages from and to a node; gossip goes on.
    pub(super) fn cut_off(&self, node: NodeId) {
        self.network.set_weather(Box::new(move |from, to| {
            if from == node || to == node { Fate::Lose } else { Fate::Deliver(Duration::ZERO) }
        }));
    }

    /// Ends what [`World::cut_off`] began.
    pub(super) fn heal(&self) {
        self.network.set_weather(Box::new(|_, _| Fate::Deliver(Duration::ZERO)));
    }

    /// Ends all nodes.
    pub(super) async fn stop(mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        futures::future::join_all(nodes.values().map(|node| node.shutdown())).await;
    }
}

/// Waits for a condition.
#[track_caller]
pub(super) fn until(what: &'static str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let waiting = async move {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    async move {
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(waited.is_ok(), "waited in vain until {what}");
    }
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Datagrams that wait at an address.
type Waiting = mpsc::Sender<(SocketAddr, Vec<u8>)>;

/// What carries gossip to whoever listens at an address.
#[derive(Default)]
struct Air {
    sockets: Arc<Mutex<BTreeMap<SocketAddr, Waiting>>>,
}

struct AirSocket {
    sockets: Arc<Mutex<BTreeMap<SocketAddr, Waiting>>>,
    at: SocketAddr,
    waiting: tokio::sync::Mutex<mpsc::Receiver<(SocketAddr, Vec<u8>)>>,
}

#[async_trait]
impl Wire for Air {
    async fn bind(&self, at: SocketAddr) -> io::Result<Arc<dyn Socket>> {
        let (sender, waiting) = mpsc::channel(1_000);
        self.sockets.lock().insert(at, sender);
        let (sockets, waiting) = (self.sockets.clone(), tokio::sync::Mutex::new(waiting));
        Ok(Arc::new(AirSocket { sockets, at, waiting }))
    }
}

#[async_trait]
impl Socket for AirSocket {
    async fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        if let Some(socket) = self.sockets.lock().get(&to) {
            // Who is gone, or too slow, misses it.
            let _ = socket.try_send((self.at, bytes.to_vec()));
        }
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.waiting.lock().await.recv().await;
        let (from, bytes) = received.ok_or_else(|| io::Error::other("replaced"))?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok((length, from))
    }
}

/// The simulated network knows nodes by identity; this finds them by address and refuses wrong
/// identities, as the handshake of the real one does.
struct Named {
    network: Arc<dyn Transport>,
    names: Names,
}

impl Named {
    fn peer(&self, to: &Peer) -> Result<Peer> {
        let found = self.names.lock().get(&to.address).copied();
        match (found, to.id) {
            (Some(found), expected) if expected.is_none_or(|id| id == found) => {
                Ok(Peer { id: Some(found), address: to.address.clone() })
            }
            _ => Err(Error::unavailable(format!("{:?} is not at {}", to.id, to.address))),
        }
    }
}

#[async_trait]
impl Transport for Named {
    async fn call(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        self.network.call(&self.peer(to)?, class, method, body, timeout).await
    }

    async fn open(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<FrameStream> {
        self.network.open(&self.peer(to)?, class, method, body, timeout).await
    }

    fn releases(&self, node: NodeId) -> Option<Releases> {
        self.network.releases(node)
    }
}
