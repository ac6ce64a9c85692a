//! Nodes with a service that does what tests ask for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use mapring_types::{Error, ErrorKind, NodeId, Result, Secrets};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::{TcpConfig, TcpTransport};
use super::LONG;
use crate::{Class, FrameStream, Method, Peer, Service, ServiceId, Services, Transport};

pub(super) mod operation {
    use crate::{Method, ServiceId};

    const fn kv(operation: u8) -> Method {
        Method { service: ServiceId::new(2), operation }
    }

    /// Answers with what it got.
    pub(in super::super) const ECHO: Method = kv(1);
    /// Fails.
    pub(in super::super) const FAIL: Method = kv(2);
    pub(in super::super) const PANIC: Method = kv(3);
    /// Answers with as many bytes as it is told.
    pub(in super::super) const LARGE: Method = kv(4);
    /// Never answers.
    pub(in super::super) const HANG: Method = kv(5);
    /// Streams as many numbers as it is told.
    pub(in super::super) const COUNT: Method = kv(6);
    /// The same, and then fails.
    pub(in super::super) const BREAK: Method = kv(7);
    /// Streams large frames without end.
    pub(in super::super) const ENDLESS: Method = kv(8);
}

/// The service.
#[derive(Default)]
pub(super) struct Probe {
    callers: Mutex<Vec<NodeId>>,
    running: Arc<AtomicUsize>,
    produced: Arc<AtomicUsize>,
}

/// Counts work that has begun and has not been dropped.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Probe {
    pub(super) const ENDLESS_FRAME: usize = 10_000;

    pub(super) fn callers(&self) -> Vec<NodeId> {
        self.callers.lock().clone()
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(super) fn produced(&self) -> usize {
        self.produced.load(Ordering::SeqCst)
    }

    pub(super) fn services(self: &Arc<Self>) -> Services {
        Services::new([(ServiceId::new(2), self.clone() as Arc<dyn Service>)])
    }

    fn begin(&self) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        Running(self.running.clone())
    }
}

fn number(body: &[u8]) -> Result<usize> {
    let text = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| Error::invalid("no number"))
}

#[async_trait]
impl Service for Probe {
    async fn call(&self, from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        let _running = self.begin();
        self.callers.lock().push(from);
        match (Method { service: ServiceId::new(2), operation }) {
            operation::ECHO => Ok(body),
            operation::LARGE => Ok(vec![1; number(&body)?].into()),
            operation::HANG => std::future::pending().await,
            operation::PANIC => panic!("asked for"),
            _ => Err(Error::new(ErrorKind::NotFound, "there is no such thing")),
        }
    }

    async fn open(&self, _from: NodeId, operation: u8, body: Bytes) -> Result<FrameStream> {
        let running = self.begin();
        match (Method { service: ServiceId::new(2), operation }) {
            operation::HANG => std::future::pending().await,
            operation::COUNT | operation::BREAK => {
                let numbers = (0..number(&body)?).map(|number| Ok(number.to_string().into()));
                let broken = operation == operation::BREAK.operation;
                let end = broken.then(|| Err(Error::new(ErrorKind::Storage, "disk gone")));
                Ok(stream::iter(numbers.chain(end)).boxed())
            }
            operation::ENDLESS => {
                let produced = self.produced.clone();
                produced.store(0, Ordering::SeqCst);
                let frame = Bytes::from(vec![0; Self::ENDLESS_FRAME]);
                let frames = stream::repeat_with(move || {
                    let _ = &running;
                    produced.fetch_add(1, Ordering::SeqCst);
                    Ok(frame.clone())
                });
                Ok(frames.boxed())
            }
            _ => Err(Error::new(ErrorKind::NotFound, "there is no such thing")),
        }
    }
}

/// A node with a [`Probe`].
pub(super) struct TestNode {
    pub(super) id: NodeId,
    pub(super) transport: Arc<TcpTransport>,
    pub(super) probe: Arc<Probe>,
}

pub(super) fn config(id: u64) -> TcpConfig {
    TcpConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        me: NodeId(id),
        cluster_name: "test".into(),
        ring_size: 64,
        secrets: Secrets::new("secret", Vec::new()),
    }
}

impl TestNode {
    /// Listens, but does not serve yet.
    pub(super) async fn bound(id: u64) -> Self {
        Self::with(config(id)).await
    }

    pub(super) async fn with(config: TcpConfig) -> Self {
        let id = config.me;
        let transport = TcpTransport::bind(config).await.unwrap();
        Self { id, transport, probe: Arc::default() }
    }

    pub(super) async fn start(id: u64) -> Self {
        let node = Self::bound(id).await;
        node.transport.serve(node.probe.services());
        node
    }

    pub(super) async fn pair() -> (Self, Self) {
        (Self::start(1).await, Self::start(2).await)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.transport.local_addr()
    }

    pub(super) fn peer(&self) -> Peer {
        Peer { id: Some(self.id), address: self.address().to_string() }
    }

    pub(super) async fn call(
        &self,
        to: &Self,
        method: Method,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes> {
        self.call_at(&to.peer(), method, body, timeout).await
    }

    pub(super) async fn call_at(
        &self,
        to: &Peer,
        method: Method,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes> {
        let body = Bytes::copy_from_slice(body);
        self.transport.call(to, Class::Foreground, method, body, timeout).await
    }

    pub(super) async fn open(&self, to: &Self, method: Method, body: &[u8]) -> Result<FrameStream> {
        let body = Bytes::copy_from_slice(body);
        self.transport.open(&to.peer(), Class::Foreground, method, body, LONG).await
    }
}

/// Waits for a condition that other tasks bring about.
pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
