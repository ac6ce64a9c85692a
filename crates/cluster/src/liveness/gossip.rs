//! Liveness by gossip over UDP: sealed, or as former programs speak as long as a member is of one.

use std::sync::Arc;

use async_trait::async_trait;
use chitchat::transport::{Transport, UdpTransport};
use mapring_types::Result;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::detector::Detector;
use super::shared::Shared;
use super::wire::{Socket, Udp, Wire};
use super::{Facts, Liveness, Roster, Rumours, former, sealed};
use crate::limits;

pub use super::shared::GossipConfig;

/// Gossip, of whichever kind all members understand.
pub struct Gossip {
    shared: Arc<Shared>,
    running: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Gossip {
    /// Gossip over UDP; silent until it is started.
    pub fn new(config: GossipConfig) -> Self {
        Self::over(config, Arc::new(Udp), Box::new(UdpTransport))
    }

    /// Gossip over something else, and another transport of chitchat's for that of former programs.
    pub fn over(config: GossipConfig, wire: Arc<dyn Wire>, former: Box<dyn Transport>) -> Self {
        let (me, life) = (config.me, config.started);
        let detector = Detector::new(me, life, &config.secrets, &config.cluster_name);
        let shared = Arc::new(Shared {
            config,
            former,
            wire,
            detector: Mutex::new(detector),
            facts: Mutex::default(),
            seeds: Mutex::default(),
            roster: watch::Sender::new(Roster::default()),
            rumours: watch::Sender::new(Rumours::default()),
            stopping: watch::Sender::new(false),
        });
        Self { shared, running: tokio::sync::Mutex::new(None) }
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
    }
}

#[async_trait]
impl Liveness for Gossip {
    async fn start(&self, facts: Facts) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Ok(());
        }
        *self.shared.facts.lock() = facts;
        self.shared.stopping.send_replace(false);
        // Here, so that an address in use is an error of the start.
        let socket =
            if self.shared.speaks_plain() { None } else { Some(self.shared.bind().await?) };
        *running = Some(tokio::spawn(keep(self.shared.clone(), socket)));
        Ok(())
    }

    fn rumours(&self) -> watch::Receiver<Rumours> {
        self.shared.rumours.subscribe()
    }

    fn know(&self, roster: Roster) {
        self.shared.detector.lock().know(roster.members.clone());
        self.shared.roster.send_if_modified(|known| {
            let changed = *known != roster;
            *known = roster;
            changed
        });
    }

    async fn tell(&self, facts: Facts) {
        *self.shared.facts.lock() = facts;
    }

    fn seed(&self, addresses: Vec<String>) {
        *self.shared.seeds.lock() = addresses;
    }

    async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            self.shared.stopping.send_replace(true);
            // The address is free again when it has ended.
            let _ = running.await;
        }
    }
}

/// Has this node take part, in one kind of gossip or the other, however often that ends.
async fn keep(shared: Arc<Shared>, mut socket: Option<Arc<dyn Socket>>) {
    let mut spoke_plain = false;
    loop {
        let plain = shared.speaks_plain();
        if spoke_plain && !plain {
            // The others go over at about this time, too: until they do they are not silent.
            let rumours = shared.rumours.borrow().clone();
            shared.detector.lock().adopt(&rumours, Instant::now());
        }
        spoke_plain = plain;
        // A task of its own, so that nothing in it can end this one.
        let ended = tokio::spawn(take_part(shared.clone(), plain, socket.take())).await;
        if shared.is_stopping() {
            return;
        }
        match ended {
            Ok(Ok(())) => {
                tracing::info!(sealed = !shared.speaks_plain(), "gossip goes over");
                continue;
            }
            Ok(Err(error)) => tracing::error!(%error, "gossip has ended; it begins again"),
            Err(error) => tracing::error!(%error, "gossip has failed; it begins again"),
        }
        metrics::counter!("mapring_gossip_restarts_total").increment(1);
        let mut stopping = shared.stopping.subscribe();
        let stopped = stopping.wait_for(|stopping| *stopping);
        if tokio::time::timeout(limits::GOSSIP_RESTART, stopped).await.is_ok() {
            return;
        }
    }
}

async fn take_part(
    shared: Arc<Shared>,
    plain: bool,
    socket: Option<Arc<dyn Socket>>,
) -> Result<()> {
    if plain {
        // Its address is needed.
        drop(socket);
        return former::run(&shared).await;
    }
    let socket = match socket {
        Some(socket) => socket,
        None => shared.bind().await?,
    };
    sealed::run(&shared, socket).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    use mapring_types::{ErrorKind, NodeId, Secrets};
    use tokio::time::timeout;

    use super::*;
    use crate::liveness::Heard;

    fn free_port() -> SocketAddr {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    fn gossip(me: u64, listen: SocketAddr) -> Gossip {
        Gossip::new(GossipConfig {
            me: NodeId(me),
            cluster_name: "test".to_owned(),
            secrets: Secrets::new("secret", Vec::new()),
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

    fn know(nodes: [&Gossip; 2], plain: bool) {
        let members = [NodeId(1), NodeId(2)].into();
        let roster = Roster { members, plain };
        for node in nodes {
            node.know(roster.clone());
        }
    }

    fn facts(node: &Gossip, load: u64) -> Facts {
        let cluster_address = node.shared.config.advertise.clone();
        Facts { cluster_address, http_address: "h:1".to_owned(), load, ..Facts::default() }
    }

    async fn live_and_die(plain: bool) {
        let (first, second) = (gossip(1, free_port()), gossip(2, free_port()));
        know([&first, &second], plain);
        let address = second.shared.config.advertise.clone();
        first.seed(vec![address, "no.such.host.invalid:1".to_owned()]);
        let told = facts(&second, 3);
        first.start(facts(&first, 0)).await.unwrap();
        second.start(told.clone()).await.unwrap();
        let other = NodeId(2);
        until(&first, |heard| heard.get(&other).is_some_and(|h| h.alive && h.facts == told)).await;
        until(&second, |heard| heard.get(&NodeId(1)).is_some_and(|h| h.alive)).await;

        let busy = facts(&second, 4);
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
    async fn nodes_hear_of_life_facts_and_death_over_udp() {
        live_and_die(false).await;
    }

    #[tokio::test]
    async fn nodes_of_former_programs_are_heard_as_they_speak() {
        live_and_die(true).await;
    }

    /// No member is thought gone while all go over, one a little later than the other.
    #[tokio::test]
    async fn gossip_goes_over_to_sealed_datagrams() {
        let (first, second) = (gossip(1, free_port()), gossip(2, free_port()));
        know([&first, &second], true);
        for (node, other) in [(&first, &second), (&second, &first)] {
            node.seed(vec![other.shared.config.advertise.clone()]);
            node.start(facts(node, 0)).await.unwrap();
        }
        let lives = |node: u64| {
            move |heard: &BTreeMap<NodeId, Heard>| {
                heard.get(&NodeId(node)).is_some_and(|heard| heard.alive)
            }
        };
        until(&first, lives(2)).await;
        until(&second, lives(1)).await;
        know([&first, &first], false);
        know([&second, &second], false);
        let sealed = |node: u64| {
            move |heard: &BTreeMap<NodeId, Heard>| {
                let Some(heard) = heard.get(&NodeId(node)) else { return false };
                assert!(heard.alive, "node {node} is thought gone");
                // Those of chitchat's begin with 1.
                heard.heartbeat > 1 << 32
            }
        };
        until(&first, sealed(2)).await;
        until(&second, sealed(1)).await;
        first.stop().await;
        second.stop().await;
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = gossip(1, taken.local_addr().unwrap()).start(Facts::default()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    }

    /// What a task of gossip ends with does not end gossip.
    #[tokio::test(start_paused = true)]
    async fn gossip_that_ends_begins_again() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        /// Fails, panics, and then is silent.
        struct Broken(Arc<AtomicUsize>);

        #[async_trait]
        impl Wire for Broken {
            async fn bind(&self, _listen: SocketAddr) -> std::io::Result<Arc<dyn Socket>> {
                Ok(Arc::new(BrokenSocket(self.0.fetch_add(1, Ordering::Relaxed))))
            }
        }

        struct BrokenSocket(usize);

        #[async_trait]
        impl Socket for BrokenSocket {
            async fn send(&self, _to: SocketAddr, _bytes: &[u8]) -> std::io::Result<()> {
                Ok(())
            }

            async fn receive(&self, _buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
                match self.0 {
                    0 => Err(std::io::Error::other("the socket is gone")),
                    1 => panic!("as a library may"),
                    _ => std::future::pending().await,
                }
            }
        }

        let bound = Arc::new(AtomicUsize::new(0));
        let config = gossip(1, free_port()).shared.config.clone();
        let wire = Arc::new(Broken(bound.clone()));
        let gossip = Gossip::over(config, wire, Box::new(UdpTransport));
        gossip.start(Facts::default()).await.unwrap();
        let begun = async {
            while bound.load(Ordering::Relaxed) < 3 {
                tokio::time::sleep(limits::GOSSIP).await;
            }
        };
        timeout(10 * limits::GOSSIP_RESTART, begun).await.unwrap();
        gossip.stop().await;
        assert_eq!(bound.load(Ordering::Relaxed), 3);
    }
}
