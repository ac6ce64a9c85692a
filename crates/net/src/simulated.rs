//! A network in memory: for tests and for simulation. What becomes of each message is decided by a
//! function that the owner passes in, so that a seed can decide it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use mapring_types::{Error, NodeId, Result};
use parking_lot::Mutex;

use crate::{Class, FrameStream, Method, Peer, Services, Transport};

/// What becomes of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after a time.
    Deliver(Duration),
    /// It is lost: the sender waits until its deadline.
    Lose,
    /// The sender is told at once that the peer cannot be reached.
    Refuse,
}

/// Decides about each message (and each frame of a stream), given sender and receiver.
pub type Weather = Box<dyn Fn(NodeId, NodeId) -> Fate + Send + Sync>;

/// A network in memory between any number of nodes.
pub struct Network {
    nodes: Mutex<BTreeMap<NodeId, Services>>,
    weather: Mutex<Arc<Weather>>,
}

impl Network {
    /// A network that delivers everything at once.
    pub fn new() -> Arc<Self> {
        let calm: Weather = Box::new(|_, _| Fate::Deliver(Duration::ZERO));
        Arc::new(Self { nodes: Mutex::default(), weather: Mutex::new(Arc::new(calm)) })
    }

    /// Decides otherwise from now on.
    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock() = Arc::new(weather);
    }

    /// Connects a node, or what it has become after a restart.
    pub fn connect(&self, node: NodeId, services: Services) {
        self.nodes.lock().insert(node, services);
    }

    /// Takes a node off: calls to it are refused.
    pub fn disconnect(&self, node: NodeId) {
        self.nodes.lock().remove(&node);
    }

    /// The transport of one node.
    pub fn transport(self: &Arc<Self>, me: NodeId) -> Arc<dyn Transport> {
        Arc::new(SimulatedTransport { me, network: self.clone() })
    }

    fn services(&self, node: NodeId) -> Result<Services> {
        self.nodes.lock().get(&node).cloned().ok_or_else(|| refused(node))
    }

    async fn travel(&self, from: NodeId, to: NodeId) -> Result<()> {
        let weather = self.weather.lock().clone();
        match weather(from, to) {
            Fate::Deliver(after) => {
                if !after.is_zero() {
                    tokio::time::sleep(after).await;
                }
                Ok(())
            }
            Fate::Lose => std::future::pending().await,
            Fate::Refuse => Err(refused(to)),
        }
    }
}

fn refused(node: NodeId) -> Error {
    Error::unavailable(format!("node {node} refuses connections"))
}

struct SimulatedTransport {
    me: NodeId,
    network: Arc<Network>,
}

impl SimulatedTransport {
    fn target(to: &Peer) -> Result<NodeId> {
        to.id.ok_or_else(|| Error::unavailable("the simulated network knows nodes by id alone"))
    }
}

#[async_trait]
impl Transport for SimulatedTransport {
    async fn call(
        &self,
        to: &Peer,
        _class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        let target = Self::target(to)?;
        let exchange = async {
            self.network.travel(self.me, target).await?;
            let services = self.network.services(target)?;
            let answer = services.get(method.service)?.call(self.me, method.operation, body).await;
            self.network.services(target)?;
            self.network.travel(target, self.me).await?;
            answer
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(Error::timeout(format!("node {target} did not answer"))))
    }

    async fn open(
        &self,
        to: &Peer,
        _class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<FrameStream> {
        let target = Self::target(to)?;
        let opening = async {
            self.network.travel(self.me, target).await?;
            let services = self.network.services(target)?;
            services.get(method.service)?.open(self.me, method.operation, body).await
        };
        let frames = tokio::time::timeout(timeout, opening)
            .await
            .unwrap_or_else(|_| Err(Error::timeout(format!("node {target} did not answer"))))?;
        let (network, me) = (self.network.clone(), self.me);
        let arriving = frames.then(move |frame| {
            let network = network.clone();
            async move {
                network.services(target)?;
                network.travel(target, me).await?;
                frame
            }
        });
        Ok(arriving.boxed())
    }
}
