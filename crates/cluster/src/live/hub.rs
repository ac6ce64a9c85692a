//! Where everything that a node learns about its cluster comes together: the applied state, who is
//! up, and where nodes are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::NodeId;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::limits;
use crate::liveness::Rumours;
use crate::liveness::board::Board;
use crate::raft::machine::Observer;
use crate::raft::network::Directory;
use crate::{ClusterState, View};

/// The addresses at which other nodes are, each with the start of the life that told it.
type Addresses = BTreeMap<NodeId, (u64, String)>;

pub(super) struct Hub {
    view: watch::Sender<Arc<View>>,
    board: Mutex<Board>,
    /// Where nodes said they are, apart from the metadata: without a majority it cannot change.
    addresses: Mutex<Addresses>,
    index: AtomicU64,
    /// Members of which the log says that they are down.
    down: Mutex<BTreeSet<NodeId>>,
}

impl Hub {
    pub(super) fn new(me: NodeId, state: Arc<ClusterState>) -> Self {
        let view = View { me, state, up: Arc::new([me].into()) };
        Self {
            view: watch::Sender::new(Arc::new(view)),
            board: Mutex::new(Board::new(me)),
            addresses: Mutex::default(),
            index: AtomicU64::new(0),
            down: Mutex::default(),
        }
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// The last entry of the log that is applied.
    pub(super) fn index(&self) -> u64 {
        self.index.load(Ordering::Acquire)
    }

    /// Takes what gossip has heard.
    pub(super) fn hear(&self, rumours: Rumours) {
        for (node, heard) in rumours.iter().filter(|(_, heard)| heard.alive) {
            self.learn(*node, heard.started, &heard.facts.cluster_address);
        }
        self.board.lock().hear(rumours);
        self.refresh();
    }

    /// Takes what a call found.
    pub(super) fn report(&self, node: NodeId, reachable: bool) {
        if self.board.lock().report(node, reachable, Instant::now()) {
            self.refresh();
        }
    }

    /// Judges anew who is up.
    pub(super) fn refresh(&self) {
        self.update(None);
    }

    /// Takes where a node says it is, since `started`.
    pub(super) fn learn(&self, node: NodeId, started: u64, address: &str) {
        if address.is_empty() || node == self.view.borrow().me {
            return;
        }
        let mut addresses = self.addresses.lock();
        let room = addresses.len() < limits::ADDRESSES;
        match addresses.entry(node) {
            Entry::Occupied(mut known) if known.get().0 < started => {
                known.insert((started, address.to_owned()));
            }
            Entry::Vacant(place) if room => {
                place.insert((started, address.to_owned()));
            }
            _ => {}
        }
    }

    /// The members that nobody but a call can tell of.
    pub(super) fn unheard(&self) -> Vec<NodeId> {
        self.board.lock().unheard(self.view().state.members.keys())
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses.lock().clone()
    }

    fn update(&self, state: Option<&Arc<ClusterState>>) {
        let mut board = self.board.lock();
        self.view.send_if_modified(|view| {
            let state = state.unwrap_or(&view.state).clone();
            let up = board.up(state.members.keys(), Instant::now());
            let same_up = up == *view.up;
            if same_up && Arc::ptr_eq(&state, &view.state) {
                return false;
            }
            let up = if same_up { view.up.clone() } else { Arc::new(up) };
            metrics::gauge!("mapring_cluster_members").set(state.members.len() as f64);
            metrics::gauge!("mapring_cluster_members_up").set(up.len() as f64);
            metrics::gauge!("mapring_cluster_plan_version").set(state.plan.version() as f64);
            self.note(&state, &up);
            *view = Arc::new(View { me: view.me, state, up });
            true
        });
    }

    /// Tells the log who went, and who is back.
    fn note(&self, state: &ClusterState, up: &BTreeSet<NodeId>) {
        let mut down = self.down.lock();
        down.retain(|id| state.members.contains_key(id));
        for id in state.members.keys() {
            if !up.contains(id) && down.insert(*id) {
                tracing::warn!(member = %state.named(*id), "a member is down");
            } else if up.contains(id) && down.remove(id) {
                tracing::info!(member = %state.named(*id), "a member is up again");
            }
        }
    }
}

impl Observer for Hub {
    fn applied(&self, state: &Arc<ClusterState>, index: u64) {
        let before = self.view();
        if !Arc::ptr_eq(&before.state, state) {
            // What has been decided is newer than what was heard before it.
            self.addresses.lock().retain(|node, (_, address)| {
                let decided = state.members.get(node).map(|member| &member.cluster_address);
                let known = before.state.members.get(node).map(|member| &member.cluster_address);
                decided == known || decided == Some(address)
            });
        }
        self.update(Some(state));
        self.index.store(index, Ordering::Release);
        metrics::gauge!("mapring_raft_applied_index").set(index as f64);
    }
}

impl Directory for Hub {
    fn address(&self, node: NodeId) -> Option<String> {
        if let Some((_, address)) = self.addresses.lock().get(&node) {
            return Some(address.clone());
        }
        let view = self.view.borrow();
        Some(view.state.members.get(&node)?.cluster_address.clone())
    }

    fn name(&self, node: NodeId) -> Option<String> {
        Some(self.view.borrow().state.members.get(&node)?.name.clone())
    }

    fn answered(&self, node: NodeId) {
        self.report(node, true);
    }
}
