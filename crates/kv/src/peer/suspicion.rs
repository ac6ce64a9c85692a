//! Nodes suspected of being down, by those who waited for them in vain: others need not wait as
//! long.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_types::NodeId;
use mapring_types::limits::LEASE;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// See the module.
pub(crate) struct Suspicion {
    given_up: Arc<GivenUp>,
    suspects: Mutex<BTreeMap<NodeId, Instant>>,
    /// Whether there may be suspects at all: most of the time there are none, and many ask.
    any: AtomicBool,
}

/// How often each node was given up. Those who wait are woken in the order in which they came.
#[derive(Default)]
struct GivenUp {
    times: Mutex<BTreeMap<NodeId, u64>>,
    changed: Notify,
}

impl Suspicion {
    pub(crate) fn new() -> Self {
        Self { given_up: Arc::default(), suspects: Mutex::default(), any: AtomicBool::new(false) }
    }

    /// Has all writes under way wait for these nodes no longer.
    pub(crate) fn give_up(&self, nodes: &BTreeSet<NodeId>) {
        if !nodes.is_empty() {
            let mut times = self.given_up.times.lock();
            nodes.iter().for_each(|node| *times.entry(*node).or_default() += 1);
            drop(times);
            self.given_up.changed.notify_waiters();
        }
    }

    /// Returns when a node is given up after this call.
    pub(crate) fn given_up(&self, node: NodeId) -> impl Future<Output = ()> + Send + 'static {
        let given_up = self.given_up.clone();
        let times = move |given_up: &GivenUp| given_up.times.lock().get(&node).copied();
        let before = times(&given_up);
        async move {
            loop {
                let mut changed = pin!(given_up.changed.notified());
                // Before the look, so that a change in between is not missed.
                changed.as_mut().enable();
                if times(&given_up) != before {
                    return;
                }
                changed.await;
            }
        }
    }

    /// Nodes that have just kept somebody waiting in vain.
    pub(crate) fn suspects(&self) -> BTreeSet<NodeId> {
        if !self.any.load(Ordering::Acquire) {
            return BTreeSet::new();
        }
        let mut suspects = self.suspects.lock();
        suspects.retain(|_, since| since.elapsed() < LEASE);
        self.any.store(!suspects.is_empty(), Ordering::Release);
        suspects.keys().copied().collect()
    }

    /// Notes that a node has answered.
    pub(crate) fn trust(&self, node: NodeId) {
        if self.any.load(Ordering::Acquire) {
            let mut suspects = self.suspects.lock();
            suspects.remove(&node);
            self.any.store(!suspects.is_empty(), Ordering::Release);
        }
    }

    /// Suspects nodes for a while: after it they have answered somebody, or count as down.
    pub(crate) fn suspect(&self, nodes: &BTreeSet<NodeId>) {
        let mut suspects = self.suspects.lock();
        suspects.extend(nodes.iter().map(|node| (*node, Instant::now())));
        self.any.store(!suspects.is_empty(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_hears_of_what_comes_later() {
        let suspicion = Suspicion::new();
        let [one, two] = [NodeId(1), NodeId(2)];
        suspicion.give_up(&[one].into());
        let waiting = suspicion.given_up(one);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none(), "it was given up before");
        suspicion.give_up(&[two].into());
        assert!(waiting.as_mut().now_or_never().is_none(), "another one");
        suspicion.give_up(&[one, two].into());
        suspicion.give_up(&[two].into());
        waiting.await;
    }

    #[tokio::test(start_paused = true)]
    async fn suspicion_passes() {
        let suspicion = Suspicion::new();
        suspicion.suspect(&[NodeId(1)].into());
        assert_eq!(suspicion.suspects(), [NodeId(1)].into());
        tokio::time::advance(LEASE).await;
        assert!(suspicion.suspects().is_empty());
        suspicion.suspect(&[NodeId(1), NodeId(2)].into());
        suspicion.trust(NodeId(1));
        assert_eq!(suspicion.suspects(), [NodeId(2)].into());
    }
}
