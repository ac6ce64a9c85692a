//! The transport over TCP.
//!
//! Every connection begins with a handshake that shows both nodes to be of one cluster (module
//! `handshake`). Small calls share a few connections as frames (`wire`, `calls`, `call_server`); streams
//! and large calls go over HTTP/2 (`http2`), also the answers that turn out too large for a frame
//! (`oversize`). Connections are made when needed and watched over (`links`).
//!
//! A call runs at most once at the peer: a call that failed as `Unavailable` may have run or not,
//! and is never sent a second time here.

mod call_server;
mod calls;
mod handshake;
mod http2;
mod links;
mod local;
mod metrics;
mod oversize;
mod shared;
mod tasks;
#[cfg(test)]
mod tests;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_types::limits::{MAX_TIMEOUT, MESSAGE_BYTES, UNARY_BYTES};
use mapring_types::{Error, ErrorKind, NodeId, Releases, Result, Secrets};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use self::calls::Reply;
use self::handshake::{Identity, Purpose};
use self::links::Links;
use self::metrics::Level;
use self::shared::{Shared, too_slow};
use crate::{Class, FrameStream, Method, Peer, Services, Transport, limits};

/// What a [`TcpTransport`] needs to know.
#[derive(Debug, Clone)]
pub struct TcpConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// This node.
    pub me: NodeId,
    /// The cluster's name, at most [`limits::CLUSTER_NAME_BYTES`] long.
    pub cluster_name: String,
    /// The ring's size.
    pub ring_size: u16,
    /// What all nodes of the cluster know.
    pub secrets: Secrets,
}

/// The way to other nodes over TCP, and theirs to this one.
pub struct TcpTransport {
    shared: Arc<Shared>,
    links: Arc<Links>,
    address: SocketAddr,
}

impl TcpTransport {
    /// Listens. Peers can connect from now on, and wait until [`Self::serve`].
    ///
    /// # Errors
    /// `Invalid` for a cluster name that is too long, `Unavailable` when the address cannot be
    /// listened on.
    pub async fn bind(config: TcpConfig) -> Result<Arc<Self>> {
        if config.cluster_name.len() > limits::CLUSTER_NAME_BYTES {
            return Err(Error::invalid(format!(
                "the cluster name is longer than {} bytes",
                limits::CLUSTER_NAME_BYTES
            )));
        }
        let cannot = |error| {
            Error::unavailable(format!("cannot listen on {}", config.listen)).with_source(error)
        };
        let listener = TcpListener::bind(config.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let identity = Identity {
            me: config.me,
            cluster_name: config.cluster_name,
            ring_size: config.ring_size,
            releases: Releases::own(),
            secrets: config.secrets,
        };
        let shared = Arc::new(Shared::new(identity));
        let links = Arc::new(Links::new());
        shared.tasks.spawn(accept(shared.clone(), listener));
        shared.tasks.spawn(tidy(links.clone()));
        Ok(Arc::new(Self { shared, links, address }))
    }

    /// Where this node listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests from now on, also those that have been waiting.
    pub fn serve(&self, services: Services) {
        self.shared.services.send_replace(Some(services));
    }

    /// Closes everything and waits until all work for peers has ended. Calls under way fail with
    /// `Unavailable`.
    pub async fn shutdown(&self) {
        self.shared.tasks.stop();
        self.links.clear();
        self.shared.tasks.ended().await;
    }

    async fn call_peer(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes> {
        let link = self.links.get(&self.shared, to);
        if body.len() > UNARY_BYTES {
            let connection = link.streams(class, deadline).await?;
            return connection.call(method, body, left(deadline)).await;
        }
        let connection = link.calls(class, deadline).await?;
        let (reply, call) = connection.call(method, body, left(deadline)).await?;
        let body = match reply {
            Reply::Body(body) => body,
            Reply::Oversize(token) => {
                let streams = link.streams(class, deadline).await?;
                streams.fetch(token, left(deadline)).await?
            }
        };
        call.done();
        Ok(body)
    }

    /// Counts an operation and holds it to its time.
    async fn measured<T>(
        &self,
        to: &Peer,
        within: Duration,
        deadline: Instant,
        body: &Bytes,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let metrics = &self.shared.metrics;
        metrics.calls.increment(1);
        let _level = Level::raise(&metrics.in_flight);
        let result = if body.len() > MESSAGE_BYTES {
            Err(call_server::too_large(body.len()))
        } else {
            timeout_at(deadline, work).await.unwrap_or_else(|_| Err(late(to, within)))
        };
        if result.is_err() {
            metrics.errors.increment(1);
        }
        result
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.shared.tasks.stop();
    }
}

#[async_trait]
impl Transport for TcpTransport {
    async fn call(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        let within = timeout.min(MAX_TIMEOUT);
        let deadline = Instant::now() + within;
        let work = async {
            if to.id == Some(self.shared.identity.me) {
                local::call(&self.shared, method, body.clone(), within).await
            } else {
                self.call_peer(to, class, method, body.clone(), deadline).await
            }
        };
        self.measured(to, within, deadline, &body, work).await
    }

    async fn open(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<FrameStream> {
        let within = timeout.min(MAX_TIMEOUT);
        let deadline = Instant::now() + within;
        let work = async {
            if to.id == Some(self.shared.identity.me) {
                return local::open(&self.shared, method, body.clone(), within).await;
            }
            let link = self.links.get(&self.shared, to);
            let connection = link.streams(class, deadline).await?;
            let begun = Instant::now();
            let opened = connection.open(method, body.clone(), left(deadline)).await;
            let closed = opened.is_err() && !connection.is_open();
            if closed && begun.elapsed() < limits::PING_AFTER {
                // The peer had closed it, or was started anew: that says nothing of the peer now.
                let connection = link.streams(class, deadline).await?;
                return connection.open(method, body.clone(), left(deadline)).await;
            }
            opened
        };
        self.measured(to, within, deadline, &body, work).await
    }

    fn releases(&self, node: NodeId) -> Option<Releases> {
        self.shared.releases(node)
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn late(to: &Peer, within: Duration) -> Error {
    match to.id {
        Some(id) => too_slow(id, within),
        None => too_slow(format_args!("at {}", to.address), within),
    }
}

/// Lets go of connections that are not used.
async fn tidy(links: Arc<Links>) {
    loop {
        tokio::time::sleep(limits::IDLE / 5).await;
        links.drop_idle();
    }
}

/// Takes connections, each into a task of its own.
async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly a want of file descriptors: others must be closed first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(limits::RETRY_AFTER).await;
                continue;
            }
        };
        let permits =
            (connections.clone().try_acquire_owned(), handshakes.clone().try_acquire_owned());
        let (Ok(connection), Ok(handshake)) = permits else {
            shared.metrics.refused.increment(1);
            tracing::warn!(%from, "a connection was refused: there are too many");
            continue;
        };
        let worker = shared.clone();
        shared.tasks.spawn(async move {
            let _connection = connection;
            let _level = Level::raise(&worker.metrics.connections);
            let mut stream = stream;
            let greeted = welcome(&worker, &mut stream).await;
            drop(handshake);
            match greeted {
                Ok((peer, purpose)) => attend(worker, stream, peer, purpose).await,
                Err(error) => {
                    worker.metrics.refused.increment(1);
                    // A connection closed without a word is a port scan or a health check.
                    if error.kind() == ErrorKind::Unavailable {
                        tracing::debug!(%from, %error, "a handshake failed");
                    } else {
                        tracing::warn!(%from, %error, "a connection was refused");
                    }
                }
            }
        });
    }
}

async fn welcome(shared: &Shared, stream: &mut TcpStream) -> Result<(NodeId, Purpose)> {
    stream
        .set_nodelay(true)
        .map_err(|error| Error::unavailable("the socket is gone").with_source(error))?;
    let (known, purpose) =
        timeout(limits::HANDSHAKE_TIMEOUT, handshake::answer(stream, &shared.identity))
            .await
            .unwrap_or_else(|_| Err(Error::timeout("the handshake took too long")))?;
    shared.note(known);
    Ok((known.id, purpose))
}

/// Serves a connection to its end.
async fn attend(shared: Arc<Shared>, stream: TcpStream, peer: NodeId, purpose: Purpose) {
    let served = match purpose {
        Purpose::Calls(_) => call_server::serve(shared, stream, peer).await,
        Purpose::Streams(_) => http2::server::serve(shared, stream, peer).await,
    };
    match served {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::warn!(%peer, %error, "a connection made no sense");
        }
        Err(error) => tracing::debug!(%peer, %error, "a connection ended"),
        Ok(()) => {}
    }
}
