//! Node-to-node messages: unary calls and streams with back-pressure, over a transport that can be
//! TCP or simulated.

mod call;
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
use mapring_types::{Error, NodeId, Releases, Result};

pub use call::{Call, distinct};

/// Which service of a node a message is for. Each crate that talks to its peers owns one, under a
/// number that no other has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(u8);

impl ServiceId {
    /// The service of a number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number, as it is sent.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// One operation of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The releases of the formats that a node knows, as it said when it was last connected to this
    /// one; `None` when it was not yet.
    fn releases(&self, _node: NodeId) -> Option<Releases> {
        None
    }
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
    ///
    /// # Panics
    /// When two have the same number: a mistake in the program, seen at its first start.
    pub fn new(services: impl IntoIterator<Item = (ServiceId, Arc<dyn Service>)>) -> Self {
        let mut collected = BTreeMap::new();
        for (id, service) in services {
            let earlier = collected.insert(id, service);
            assert!(earlier.is_none(), "two services have the number {}", id.number());
        }
        Self(Arc::new(collected))
    }

    /// The service of `id`.
    ///
    /// # Errors
    /// `Unavailable` when this node does not serve it (yet).
    pub fn get(&self, id: ServiceId) -> Result<&Arc<dyn Service>> {
        self.0.get(&id).ok_or_else(|| {
            Error::unavailable(format!("service {} is not running here", id.number()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mute;

    #[async_trait]
    impl Service for Mute {
        async fn call(&self, _: NodeId, _: u8, _: Bytes) -> Result<Bytes> {
            Err(Error::invalid("nothing is served"))
        }

        async fn open(&self, _: NodeId, _: u8, _: Bytes) -> Result<FrameStream> {
            Err(Error::invalid("nothing is served"))
        }
    }

    fn services(numbers: &[u8]) -> Services {
        let mute = |number: &u8| (ServiceId::new(*number), Arc::new(Mute) as Arc<dyn Service>);
        Services::new(numbers.iter().map(mute))
    }

    #[test]
    fn a_number_that_is_not_served_is_told() {
        let services = services(&[1, 3]);
        assert!(services.get(ServiceId::new(3)).is_ok());
        let Err(error) = services.get(ServiceId::new(2)) else { panic!("served") };
        assert_eq!(error.to_string(), "service 2 is not running here");
    }

    #[test]
    #[should_panic(expected = "two services have the number 7")]
    fn two_services_of_one_number_are_a_mistake() {
        services(&[7, 1, 7]);
    }
}
