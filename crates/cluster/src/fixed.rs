//! A cluster whose metadata is one shared state and whose liveness is set by hand: for tests and
//! for simulation, where membership must be replayable.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use mapring_ring::RingSize;
use mapring_types::{NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Change, Cluster, ClusterState, Member, MemberStatus, Outcome, View};

/// One node's handle on a [`FixedGroup`].
pub struct FixedCluster {
    me: NodeId,
    group: Arc<FixedGroup>,
    view: watch::Sender<Arc<View>>,
}

/// The state that all handles share.
pub struct FixedGroup {
    state: Mutex<Arc<ClusterState>>,
    handles: Mutex<Vec<Arc<FixedCluster>>>,
}

impl FixedGroup {
    /// A cluster of nodes `1..=nodes`, named `n1`, `n2`, …, that share the ring evenly and are all
    /// up. Returns one handle for each.
    pub fn start(nodes: u64, ring_size: RingSize) -> Vec<Arc<FixedCluster>> {
        let mut state = ClusterState::new("fixed", ring_size);
        for id in 1..=nodes {
            let member = Member {
                name: format!("n{id}"),
                cluster_address: format!("n{id}"),
                http_address: format!("n{id}"),
                status: MemberStatus::Valid,
                incomplete: false,
                losses: 0,
                start: 0,
                zone: None,
            };
            state.apply(&Change::Join { id: NodeId(id), member, replaces: None });
        }
        let state = Arc::new(state);
        let up: Arc<BTreeSet<NodeId>> = Arc::new((1..=nodes).map(NodeId).collect());
        let group =
            Arc::new(Self { state: Mutex::new(state.clone()), handles: Mutex::new(Vec::new()) });
        let handles: Vec<_> = (1..=nodes)
            .map(|id| {
                let me = NodeId(id);
                let view = View { me, state: state.clone(), up: up.clone() };
                let view = watch::Sender::new(Arc::new(view));
                Arc::new(FixedCluster { me, group: group.clone(), view })
            })
            .collect();
        group.handles.lock().clone_from(&handles);
        handles
    }
}

impl FixedCluster {
    /// Sets whom this node takes to be up; it is always up to itself.
    pub fn set_up(&self, up: impl IntoIterator<Item = NodeId>) {
        let up: BTreeSet<NodeId> = up.into_iter().chain([self.me]).collect();
        self.view.send_modify(|view| {
            *view = Arc::new(View { up: Arc::new(up), ..View::clone(view) });
        });
    }

    fn set_state(&self, state: &Arc<ClusterState>) {
        self.view.send_modify(|view| {
            *view = Arc::new(View { state: state.clone(), ..View::clone(view) });
        });
    }
}

#[async_trait]
impl Cluster for FixedCluster {
    fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    async fn propose(&self, change: Change) -> Result<Outcome> {
        let (outcome, state) = {
            let mut shared = self.group.state.lock();
            let mut state = ClusterState::clone(&shared);
            let outcome = state.apply(&change);
            *shared = Arc::new(state);
            (outcome, shared.clone())
        };
        for handle in self.group.handles.lock().iter() {
            handle.set_state(&state);
        }
        Ok(outcome)
    }

    fn report(&self, node: NodeId, reachable: bool) {
        let up = self.view.borrow().up.clone();
        if reachable != up.contains(&node) {
            let others = up.iter().copied().filter(|&known| known != node);
            self.set_up(others.chain(reachable.then_some(node)));
        }
    }
}
