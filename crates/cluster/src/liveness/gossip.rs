//! Liveness by chitchat: gossip over UDP, with a failure detector.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chitchat::transport::{Transport, UdpTransport};
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState,
    ProtocolVersion, spawn_chitchat,
};
use mapring_types::{Error, NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Facts, Heard, Liveness, Rumours};
use crate::limits;

/// How a node takes part in gossip.
#[derive(Debug, Clone)]
pub struct GossipConfig {
    /// This node.
    pub me: NodeId,
    /// Only nodes of the same cluster name listen to each other.
    pub cluster_name: String,
    /// Where to listen, UDP.
    pub listen: SocketAddr,
    /// `host:port` at which others reach it.
    pub advertise: String,
    /// When this life of the node began, in microseconds: a later life replaces an earlier one.
    pub started: u64,
}

/// Gossip by chitchat.
pub struct Gossip {
    config: GossipConfig,
    transport: Box<dyn Transport>,
    rumours: Arc<watch::Sender<Rumours>>,
    seeds: Arc<Mutex<Vec<String>>>,
    running: tokio::sync::Mutex<Option<Running>>,
}

struct Running {
    handle: Arc<ChitchatHandle>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gossip {
    /// Gossip over UDP; silent until it is started.
    pub fn new(config: GossipConfig) -> Self {
        Self::over(config, Box::new(UdpTransport))
    }

    /// Gossip over another transport of chitchat's.
    pub fn over(config: GossipConfig, transport: Box<dyn Transport>) -> Self {
        Self {
            config,
            transport,
            rumours: Arc::new(watch::Sender::new(Rumours::default())),
            seeds: Arc::default(),
            running: tokio::sync::Mutex::new(None),
        }
    }

    async fn chitchat_config(&self) -> Result<ChitchatConfig> {
        let address = advertised(&self.config).await?;
        let node = self.config.me.to_string();
        Ok(ChitchatConfig {
            chitchat_id: ChitchatId::new(node, self.config.started, address),
            cluster_id: self.config.cluster_name.clone(),
            gossip_interval: limits::GOSSIP,
            listen_addr: self.config.listen,
            seed_nodes: Vec::new(),
            failure_detector_config: detector(),
            marked_for_deletion_grace_period: Duration::from_secs(60),
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: ProtocolVersion::V1,
        })
    }
}

/// A node counts as dead when its silence is 7 times the mean interval of its heartbeats. The mean
/// is taken over few samples (at most 1 s each) and 5 supposed ones of 1 s: so the bound is 3.5 to
/// 4.5 s for a healthy node, whatever the size of the cluster, and at most 7 s for a slow one.
fn detector() -> FailureDetectorConfig {
    FailureDetectorConfig::new(
        7.0,
        5,
        Duration::from_secs(1),
        Duration::from_secs(1),
        Duration::from_secs(3600),
    )
}

/// The address that others answer to: the advertised one, as far as it can be resolved now.
async fn advertised(config: &GossipConfig) -> Result<SocketAddr> {
    match resolve(&config.advertise, &config.listen).await.first() {
        Some(address) => Ok(*address),
        // Those whom this node speaks to answer to where its datagrams come from, all the same.
        None if !config.listen.ip().is_unspecified() => Ok(config.listen),
        None => {
            let message = format!("cannot resolve the advertised address {}", config.advertise);
            Err(Error::unavailable(message))
        }
    }
}

/// The addresses of `name` that a socket bound to `listen` can send to.
async fn resolve(name: &str, listen: &SocketAddr) -> Vec<SocketAddr> {
    match tokio::net::lookup_host(name).await {
        Ok(found) => found.filter(|address| address.is_ipv4() == listen.is_ipv4()).collect(),
        Err(error) => {
            tracing::debug!(%name, %error, "cannot resolve");
            Vec::new()
        }
    }
}

#[async_trait]
impl Liveness for Gossip {
    async fn start(&self, facts: Facts) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Ok(());
        }
        let config = self.chitchat_config().await?;
        let spawned = spawn_chitchat(config, key_values(&facts), &*self.transport).await;
        let handle = Arc::new(spawned.map_err(|error| {
            Error::invalid(format!("cannot gossip at {}: {error:#}", self.config.listen))
        })?);
        let listening = listen(handle.clone(), self.config.me, self.rumours.clone());
        let seeding = speak(handle.clone(), self.config.clone(), self.seeds.clone());
        let tasks = vec![tokio::spawn(listening), tokio::spawn(seeding)];
        *running = Some(Running { handle, tasks });
        Ok(())
    }

    fn rumours(&self) -> watch::Receiver<Rumours> {
        self.rumours.subscribe()
    }

    async fn tell(&self, facts: Facts) {
        if let Some(running) = &*self.running.lock().await {
            let told = key_values(&facts);
            running
                .handle
                .with_chitchat(|chitchat| {
                    let own = chitchat.self_node_state();
                    for (key, value) in &told {
                        if own.get(key) != Some(value) {
                            own.set(key, value);
                        }
                    }
                })
                .await;
        }
    }

    fn seed(&self, addresses: Vec<String>) {
        *self.seeds.lock() = addresses;
    }

    async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            for task in &running.tasks {
                task.abort();
            }
            if running.handle.initiate_shutdown().is_ok() {
                // The socket is free again when the server has ended.
                let _ = running.handle.termination_watcher().await;
            }
        }
    }
}

/// Looks at what has been heard, again and again: chitchat tells only of changes of its live set,
/// not of heartbeats.
async fn listen(handle: Arc<ChitchatHandle>, me: NodeId, rumours: Arc<watch::Sender<Rumours>>) {
    let mut ticks = tokio::time::interval(limits::GOSSIP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let heard = handle.with_chitchat(|chitchat| heard(chitchat, me)).await;
        rumours.send_if_modified(|known| {
            let changed = **known != heard;
            if changed {
                *known = Arc::new(heard);
            }
            changed
        });
    }
}

/// The newest life of every other node.
fn heard(chitchat: &Chitchat, me: NodeId) -> BTreeMap<NodeId, Heard> {
    let live: BTreeSet<&ChitchatId> = chitchat.live_nodes().collect();
    let mut heard: BTreeMap<NodeId, Heard> = BTreeMap::new();
    for (id, state) in chitchat.node_states() {
        let Ok(node) = u64::from_str_radix(&id.node_id, 16).map(NodeId) else { continue };
        if node == me {
            continue;
        }
        let life = Heard {
            alive: live.contains(id),
            heartbeat: u64::from(state.heartbeat()),
            started: id.generation_id,
            facts: facts(state),
        };
        // A clock that was set back makes a new life look older; it is the one that lives.
        let newer = heard
            .get(&node)
            .is_none_or(|known| (life.alive, life.started) > (known.alive, known.started));
        if newer {
            heard.insert(node, life);
        }
    }
    heard
}

/// Speaks to the addresses at which nobody has been heard.
async fn speak(handle: Arc<ChitchatHandle>, config: GossipConfig, seeds: Arc<Mutex<Vec<String>>>) {
    let mut ticks = tokio::time::interval(limits::SEEDING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let heard: BTreeSet<String> = handle
            .with_chitchat(|chitchat| {
                let live = chitchat.live_nodes().filter_map(|id| chitchat.node_state(id));
                live.map(|state| facts(state).cluster_address).collect()
            })
            .await;
        let seeds = seeds.lock().clone();
        for seed in seeds.iter().filter(|seed| !heard.contains(*seed)) {
            if *seed == config.advertise {
                continue;
            }
            for address in resolve(seed, &config.listen).await {
                if handle.gossip(address).is_err() {
                    return;
                }
            }
        }
    }
}

fn key_values(facts: &Facts) -> Vec<(String, String)> {
    [
        ("cluster", facts.cluster_address.clone()),
        ("http", facts.http_address.clone()),
        ("cluster-id", facts.cluster_id.to_string()),
        ("plan", facts.plan_version.to_string()),
        ("load", facts.load.to_string()),
        ("leaving", facts.leaving.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn facts(state: &NodeState) -> Facts {
    let text = |key| state.get(key).unwrap_or_default().to_owned();
    let number = |key| state.get(key).and_then(|value| value.parse().ok()).unwrap_or(0);
    Facts {
        cluster_address: text("cluster"),
        http_address: text("http"),
        cluster_id: number("cluster-id"),
        plan_version: number("plan"),
        load: number("load"),
        leaving: state.get("leaving") == Some("true"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use mapring_types::ErrorKind;
    use tokio::time::{Instant, timeout};

    use super::*;

    fn free_port() -> SocketAddr {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    fn gossip(me: u64, listen: SocketAddr) -> Gossip {
        Gossip::new(GossipConfig {
            me: NodeId(me),
            cluster_name: "test".to_owned(),
            listen,
            advertise: format!("localhost:{}", listen.port()),
            started: 1,
        })
    }

    async fn until(gossip: &Gossip, seen: impl Fn(&BTreeMap<NodeId, Heard>) -> bool) {
        let mut rumours = gossip.rumours();
        let waited = timeout(Duration::from_secs(30), rumours.wait_for(|heard| seen(heard))).await;
        assert!(waited.is_ok(), "waited in vain");
    }

    #[tokio::test]
    async fn nodes_hear_of_life_facts_and_death_over_udp() {
        let (first, second) = (gossip(1, free_port()), gossip(2, free_port()));
        first.seed(vec![second.config.advertise.clone(), "no.such.host.invalid:1".to_owned()]);
        let facts = Facts { http_address: "h:1".to_owned(), load: 3, ..Facts::default() };
        first.start(Facts::default()).await.unwrap();
        second.start(facts.clone()).await.unwrap();
        let other = NodeId(2);
        until(&first, |heard| heard.get(&other).is_some_and(|h| h.alive && h.facts == facts)).await;
        until(&second, |heard| heard.get(&NodeId(1)).is_some_and(|h| h.alive)).await;

        let busy = Facts { load: 4, ..facts };
        second.tell(busy.clone()).await;
        until(&first, |heard| heard.get(&other).is_some_and(|h| h.facts == busy)).await;

        second.stop().await;
        let silent = Instant::now();
        until(&first, |heard| heard.get(&other).is_some_and(|h| !h.alive)).await;
        let (least, most) = (Duration::from_secs(2), Duration::from_secs(10));
        assert!((least..most).contains(&silent.elapsed()), "{:?}", silent.elapsed());

        // The port is free again, and a second life is heard.
        second.start(busy).await.unwrap();
        until(&first, |heard| heard.get(&other).is_some_and(|h| h.alive)).await;
        first.stop().await;
        second.stop().await;
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_and_an_unknown_name_none_for_good() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = gossip(1, taken.local_addr().unwrap()).start(Facts::default()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);

        let mut config = gossip(1, "0.0.0.0:0".parse().unwrap()).config;
        config.advertise = "no.such.host.invalid:1".to_owned();
        let error = Gossip::new(config).start(Facts::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
