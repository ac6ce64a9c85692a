//! Nodes that have fallen silent, as those noticed who waited for them: others need not wait as long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_types::NodeId;
use mapring_types::limits::LEASE;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// See the module.
pub(crate) struct Silence {
    /// How often each node was given up.
    given_up: watch::Sender<BTreeMap<NodeId, u64>>,
    doubted: Mutex<BTreeMap<NodeId, Instant>>,
    /// Whether there may be doubts at all: most of the time there are none, and many ask.
    any: AtomicBool,
}

impl Silence {
    pub(crate) fn new() -> Self {
        Self {
            given_up: watch::Sender::new(BTreeMap::new()),
            doubted: Mutex::default(),
            any: AtomicBool::new(false),
        }
    }

    /// Has all writes under way wait for these nodes no longer.
    pub(crate) fn give_up(&self, nodes: &BTreeSet<NodeId>) {
        if !nodes.is_empty() {
            self.given_up.send_modify(|times| {
                nodes.iter().for_each(|node| *times.entry(*node).or_default() += 1);
            });
        }
    }

    /// Returns when a node is given up after this call.
    pub(crate) fn given_up(&self, node: NodeId) -> impl Future<Output = ()> + Send + 'static {
        let mut changes = self.given_up.subscribe();
        let before = changes.borrow_and_update().get(&node).copied();
        async move {
            let waited = changes.wait_for(|times| times.get(&node).copied() != before).await;
            if waited.map(drop).is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Nodes that have just kept somebody waiting in vain.
    pub(crate) fn doubted(&self) -> BTreeSet<NodeId> {
        if !self.any.load(Ordering::Acquire) {
            return BTreeSet::new();
        }
        let mut doubted = self.doubted.lock();
        doubted.retain(|_, since| since.elapsed() < LEASE);
        self.any.store(!doubted.is_empty(), Ordering::Release);
        doubted.keys().copied().collect()
    }

    /// Notes that a node has answered.
    pub(crate) fn trust(&self, node: NodeId) {
        if self.any.load(Ordering::Acquire) {
            let mut doubted = self.doubted.lock();
            doubted.remove(&node);
            self.any.store(!doubted.is_empty(), Ordering::Release);
        }
    }

    /// Doubts nodes for a while: after it they have answered somebody, or count as down.
    pub(crate) fn doubt(&self, nodes: &BTreeSet<NodeId>) {
        let mut doubted = self.doubted.lock();
        doubted.extend(nodes.iter().map(|node| (*node, Instant::now())));
        self.any.store(!doubted.is_empty(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_hears_of_what_comes_later() {
        let silence = Silence::new();
        let [one, two] = [NodeId(1), NodeId(2)];
        silence.give_up(&[one].into());
        let waiting = silence.given_up(one);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none(), "it was given up before");
        silence.give_up(&[two].into());
        assert!(waiting.as_mut().now_or_never().is_none(), "another one");
        silence.give_up(&[one, two].into());
        silence.give_up(&[two].into());
        waiting.await;
    }

    #[tokio::test(start_paused = true)]
    async fn doubts_pass() {
        let silence = Silence::new();
        silence.doubt(&[NodeId(1)].into());
        assert_eq!(silence.doubted(), [NodeId(1)].into());
        tokio::time::advance(LEASE).await;
        assert!(silence.doubted().is_empty());
        silence.doubt(&[NodeId(1), NodeId(2)].into());
        silence.trust(NodeId(1));
        assert_eq!(silence.doubted(), [NodeId(2)].into());
    }
}
