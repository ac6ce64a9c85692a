//! What all parts of a transport have in common, and how a request reaches its service.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use mapring_types::{Error, ErrorKind, NodeId, Releases, Result};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::handshake::{Identity, Known};
use super::metrics::{Level, Metrics};
use super::oversize::OversizeReplies;
use super::tasks::Tasks;
use crate::{FrameStream, Method, Services, limits};

pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) tasks: Tasks,
    pub(super) metrics: Metrics,
    pub(super) oversize: OversizeReplies,
    /// What nodes said of the formats that they know, when they were last connected.
    releases: Mutex<BTreeMap<NodeId, Releases>>,
    /// `None` until this node serves.
    pub(super) services: watch::Sender<Option<Services>>,
    /// One permit for each request that may be answered at once.
    pub(super) requests: Arc<Semaphore>,
    /// One permit for each KB of large requests.
    pub(super) large: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            tasks: Tasks::new(),
            metrics: Metrics::new(),
            oversize: OversizeReplies::default(),
            releases: Mutex::default(),
            services: watch::Sender::new(None),
            requests: Arc::new(Semaphore::new(limits::REQUESTS)),
            large: Arc::new(Semaphore::new(kilobytes(limits::LARGE_REQUEST_BYTES) as usize)),
        }
    }

    /// Keeps what a node said in its handshake.
    pub(super) fn note(&self, node: Known) {
        let mut releases = self.releases.lock();
        if releases.len() >= limits::PEERS && !releases.contains_key(&node.id) {
            releases.pop_first();
        }
        releases.insert(node.id, node.releases);
    }

    /// The releases that a node knows, as it said last; `None` when it was not connected yet.
    pub(super) fn releases(&self, node: NodeId) -> Option<Releases> {
        if node == self.identity.me {
            return Some(self.identity.releases);
        }
        self.releases.lock().get(&node).copied()
    }

    /// Waits until this node serves.
    pub(super) async fn serving(&self) -> Result<Services> {
        if let Some(services) = &*self.services.borrow() {
            return Ok(services.clone());
        }
        let mut services = self.services.subscribe();
        let found = services.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone()).ok_or_else(|| stopped(self.identity.me))
    }

    /// Answers a unary call of `from`, within the time that the caller has.
    pub(super) async fn answer(
        &self,
        from: NodeId,
        method: Method,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes> {
        self.bounded(within, async {
            let services = self.serving().await?;
            services.get(method.service)?.call(from, method.operation, body).await
        })
        .await
    }

    /// Opens a stream for `from`. A defect in it ends it with an error.
    pub(super) async fn produce(
        &self,
        from: NodeId,
        method: Method,
        body: Bytes,
        within: Duration,
    ) -> Result<FrameStream> {
        let opening = self.bounded(within, async {
            let services = self.serving().await?;
            services.get(method.service)?.open(from, method.operation, body).await
        });
        let frames = opening.await?;
        let guarded = AssertUnwindSafe(frames).catch_unwind();
        Ok(guarded.map(|frame| frame.unwrap_or_else(|_| Err(defect()))).boxed())
    }

    async fn bounded<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.metrics.served.increment(1);
        let Ok(_permit) = self.requests.try_acquire() else {
            self.metrics.overloaded.increment(1);
            let me = self.identity.me;
            return Err(Error::new(
                ErrorKind::Overloaded,
                format!("node {me} answers too many requests already"),
            ));
        };
        let _level = Level::raise(&self.metrics.serving);
        match timeout(within, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(defect()),
            Err(_) => Err(too_slow(self.identity.me, within)),
        }
    }
}

/// A whole number of KB, at least one.
pub(super) fn kilobytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}

pub(super) fn too_slow(node: impl std::fmt::Display, within: Duration) -> Error {
    Error::timeout(format!("node {node} did not answer within {within:?}"))
}

pub(super) fn stopped(node: NodeId) -> Error {
    Error::unavailable(format!("the transport of node {node} has stopped"))
}

fn defect() -> Error {
    Error::internal("the service panicked; see the node's log")
}
