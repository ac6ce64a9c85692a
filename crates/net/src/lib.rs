//! Node-to-node messages: unary calls and streams with back-pressure, over a transport that can be
//! TCP or simulated.

pub mod limits;
pub mod simulated;
pub mod task;
pub mod tcp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_types::{Error, NodeId, Result};
use serde::{Deserialize, Serialize};

/// Which service of a node a message is for. Each crate that talks to its peers owns one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum ServiceId {
    /// Join requests, raft messages: `mapring-cluster`.
    Cluster = 1,
    /// Objects and scans: `mapring-kv`.
    Kv = 2,
    /// Units of work: `mapring-mapred`.
    MapReduce = 3,
}

impl ServiceId {
    /// The service of a number, `None` for one of a later version.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Cluster,
            2 => Self::Kv,
            3 => Self::MapReduce,
            _ => return None,
        })
    }
}

/// One operation of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Method {
    /// The service.
    pub service: ServiceId,
    /// The operation, as that service numbers them. For humans the service names it in its code.
    pub operation: u8,
}

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The node expected there; `None` while joining, when only the address is known. The
    /// handshake refuses a node with another identity.
    pub id: Option<NodeId>,
    /// `host:port` of its cluster listener; names are resolved at each connection.
    pub address: String,
}

/// What a call is for; each class has its own connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody waits for it.
    Foreground,
    /// Repair, hand-off.
    Background,
}

/// Frames in order, ended by `None`, or by one error. Dropping it cancels the work behind it.
pub type FrameStream = BoxStream<'static, Result<Bytes>>;

/// The way to other nodes.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a message and waits for the answer, at most for `timeout`. Bodies up to
    /// [`mapring_types::limits::MESSAGE_BYTES`]; large ones are carried as streams by the transport
    /// itself. Dropping the future withdraws interest; the peer may still do the work.
    ///
    /// # Errors
    /// The peer's own error, or `Unavailable` (cannot be reached: returned at once when the
    /// connection is refused or broken), `Timeout`.
    async fn call(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes>;

    /// Opens a stream of frames that the peer produces. The peer is held back while frames are not
    /// taken: at most a transport window of bytes is under way.
    ///
    /// # Errors
    /// As [`Transport::call`]. `timeout` bounds only the opening. Where a connection that was there
    /// turns out to be closed, the request is sent once more by a new one: it can reach the peer twice.
    async fn open(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<FrameStream>;
}

/// One service of this node, called by its peers.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers a unary call.
    async fn call(&self, from: NodeId, operation: u8, body: Bytes) -> Result<Bytes>;

    /// Answers with a stream. The stream is dropped when the peer has gone or cancelled.
    async fn open(&self, from: NodeId, operation: u8, body: Bytes) -> Result<FrameStream>;
}

/// The services of a node.
#[derive(Clone, Default)]
pub struct Services(Arc<BTreeMap<ServiceId, Arc<dyn Service>>>);

impl Services {
    /// Collects services.
    pub fn new(services: impl IntoIterator<Item = (ServiceId, Arc<dyn Service>)>) -> Self {
        Self(Arc::new(services.into_iter().collect()))
    }

    /// The service of `id`.
    ///
    /// # Errors
    /// `Unavailable` when this node does not serve it (yet).
    pub fn get(&self, id: ServiceId) -> Result<&Arc<dyn Service>> {
        self.0.get(&id).ok_or_else(|| Error::unavailable(format!("service {id:?} is not running")))
    }
}
