//! The connections to peers: made when needed, made again when broken, given up when unused.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mapring_types::error::WireError;
use mapring_types::{Error, NodeId, Result};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::calls::CallConnection;
use super::handshake::{self, Purpose};
use super::http2::client::StreamConnection;
use super::shared::Shared;
use crate::{Class, Peer, limits};

/// The ways to all peers.
pub(super) struct Links(Mutex<BTreeMap<LinkKey, Arc<Link>>>);

/// A peer's address and identity: when either changes, the connections are others.
type LinkKey = (String, Option<NodeId>);

/// The connections to one peer.
pub(super) struct Link {
    shared: Arc<Shared>,
    peer: Peer,
    foreground: [Arc<Slot<CallConnection>>; limits::FOREGROUND_CONNECTIONS],
    background: Arc<Slot<CallConnection>>,
    foreground_streams: Arc<Slot<StreamConnection>>,
    background_streams: Arc<Slot<StreamConnection>>,
    turn: AtomicUsize,
    used: Mutex<Instant>,
    /// The last attempt to reach the peer, if it failed.
    failure: Mutex<Option<(Instant, WireError)>>,
}

struct Slot<C> {
    current: Mutex<Option<Arc<C>>>,
    /// Held while a connection is made.
    dialing: Arc<tokio::sync::Mutex<()>>,
}

impl<C> Default for Slot<C> {
    fn default() -> Self {
        Self { current: Mutex::new(None), dialing: Arc::default() }
    }
}

impl<C: Connection> Slot<C> {
    fn open(&self) -> Option<Arc<C>> {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|connection| !connection.is_open()) {
            *current = None;
        }
        current.clone()
    }
}

/// What kinds of connections have in common.
trait Connection: Sized + Send + Sync + 'static {
    fn start(
        shared: &Arc<Shared>,
        stream: TcpStream,
        peer: String,
    ) -> impl Future<Output = Result<Arc<Self>>> + Send;

    fn is_open(&self) -> bool;
}

impl Connection for CallConnection {
    async fn start(shared: &Arc<Shared>, stream: TcpStream, peer: String) -> Result<Arc<Self>> {
        Ok(Self::start(shared, stream, peer))
    }

    fn is_open(&self) -> bool {
        self.is_open()
    }
}

impl Connection for StreamConnection {
    async fn start(shared: &Arc<Shared>, stream: TcpStream, peer: String) -> Result<Arc<Self>> {
        Self::start(shared, stream, peer).await
    }

    fn is_open(&self) -> bool {
        self.is_open()
    }
}

impl Links {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The way to a peer.
    pub(super) fn get(&self, shared: &Arc<Shared>, peer: &Peer) -> Arc<Link> {
        let mut links = self.0.lock();
        let key = (peer.address.clone(), peer.id);
        if let Some(link) = links.get(&key) {
            *link.used.lock() = Instant::now();
            return link.clone();
        }
        if links.len() >= limits::PEERS {
            let oldest = links.iter().min_by_key(|(_, link)| *link.used.lock());
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|key| links.remove(&key));
        }
        let link = Arc::new(Link::new(shared.clone(), peer.clone()));
        links.insert(key, link.clone());
        link
    }

    /// Lets connections go that nobody has used for long.
    pub(super) fn drop_idle(&self) {
        self.0.lock().retain(|_, link| link.used.lock().elapsed() < limits::IDLE);
    }

    /// Lets all connections go.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

impl Link {
    fn new(shared: Arc<Shared>, peer: Peer) -> Self {
        Self {
            shared,
            peer,
            foreground: std::array::from_fn(|_| Arc::default()),
            background: Arc::default(),
            foreground_streams: Arc::default(),
            background_streams: Arc::default(),
            turn: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
            failure: Mutex::new(None),
        }
    }

    /// A connection for a call.
    ///
    /// # Errors
    /// `Unavailable` when there is none in time, `Forbidden` when the peer is of another cluster.
    pub(super) async fn calls(
        self: &Arc<Self>,
        class: Class,
        deadline: Instant,
    ) -> Result<Arc<CallConnection>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.foreground.len();
        let slot = match (class, self.foreground.get(turn)) {
            (Class::Foreground, Some(slot)) => slot,
            _ => &self.background,
        };
        self.ready(slot, Purpose::Calls(class), deadline).await
    }

    /// A connection for a stream or a large call. Errors as [`Self::calls`].
    pub(super) async fn streams(
        self: &Arc<Self>,
        class: Class,
        deadline: Instant,
    ) -> Result<Arc<StreamConnection>> {
        let slot = match class {
            Class::Foreground => &self.foreground_streams,
            Class::Background => &self.background_streams,
        };
        self.ready(slot, Purpose::Streams(class), deadline).await
    }

    /// The connection of a slot, made if need be. While the peer cannot be reached, this takes no
    /// longer than [`limits::RETRY_AFTER`], though an attempt may go on for longer by itself.
    async fn ready<C: Connection>(
        self: &Arc<Self>,
        slot: &Arc<Slot<C>>,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Arc<C>> {
        if let Some(open) = slot.open() {
            return Ok(open);
        }
        self.not_known_to_fail()?;
        let failed_before = self.failure.lock().is_some();
        let patience = if failed_before {
            deadline.min(Instant::now() + limits::RETRY_AFTER)
        } else {
            deadline
        };
        match timeout_at(patience, self.connected(slot, purpose)).await {
            Ok(connected) => connected,
            Err(_) => Err(match &*self.failure.lock() {
                Some((_, error)) => error.clone().into(),
                None => Error::unavailable(format!("no connection to {} in time", self.name())),
            }),
        }
    }

    async fn connected<C: Connection>(
        self: &Arc<Self>,
        slot: &Arc<Slot<C>>,
        purpose: Purpose,
    ) -> Result<Arc<C>> {
        let dialing = slot.dialing.clone().lock_owned().await;
        // Somebody else may have tried while this call waited for its turn.
        if let Some(open) = slot.open() {
            return Ok(open);
        }
        self.not_known_to_fail()?;
        let (link, slot) = (self.clone(), slot.clone());
        // In a task of its own: the attempt serves others too when this caller gives up.
        let attempt = self.shared.tasks.spawn(async move {
            let _dialing = dialing;
            let dialed = link.dial::<C>(purpose).await;
            link.note(dialed.as_ref().err());
            *slot.current.lock() = dialed.as_ref().ok().cloned();
            dialed
        });
        match attempt.await {
            Ok(Some(dialed)) => dialed,
            _ => Err(super::shared::stopped(self.shared.identity.me)),
        }
    }

    async fn dial<C: Connection>(&self, purpose: Purpose) -> Result<Arc<C>> {
        self.shared.metrics.dials.increment(1);
        let unreachable = |why: &str| Error::unavailable(format!("{why} {}", self.name()));
        let stream = timeout(limits::CONNECT_TIMEOUT, TcpStream::connect(&self.peer.address))
            .await
            .map_err(|_| unreachable("no connection in time to"))?
            .map_err(|error| unreachable("cannot connect to").with_source(error))?;
        let mut stream = stream;
        stream.set_nodelay(true).map_err(|e| unreachable("no socket to").with_source(e))?;
        // A connection that is given up takes with it what is still to be sent. Else the operating
        // system would go on trying, and a peer that was cut off would get requests when it is back
        // that others have answered long ago.
        stream.set_zero_linger().map_err(|e| unreachable("no socket to").with_source(e))?;
        let greeting = handshake::greet(&mut stream, &self.shared.identity, self.peer.id, purpose);
        let known = timeout(limits::GREET_TIMEOUT, greeting)
            .await
            .map_err(|_| unreachable("no handshake in time with"))?
            .map_err(|error| error.context(self.name()))?;
        self.shared.note(known);
        C::start(&self.shared, stream, self.name()).await
    }

    /// Remembers how the last attempt ended, and tells the log when that is news.
    fn note(&self, error: Option<&Error>) {
        let wire = error.map(|error| (Instant::now(), error.to_wire()));
        let before = std::mem::replace(&mut *self.failure.lock(), wire);
        match (before, error) {
            (Some((_, before)), Some(error)) if before.message == error.to_string() => {}
            (_, Some(error)) => tracing::warn!(peer = self.name(), %error, "cannot reach a peer"),
            (_, None) => tracing::debug!(peer = self.name(), "connected"),
        }
    }

    fn not_known_to_fail(&self) -> Result<()> {
        match &*self.failure.lock() {
            Some((at, error)) if at.elapsed() < limits::RETRY_AFTER => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    fn name(&self) -> String {
        match self.peer.id {
            Some(id) => format!("node {id} at {}", self.peer.address),
            None => format!("the node at {}", self.peer.address),
        }
    }
}
