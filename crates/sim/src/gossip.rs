//! Who takes whom for alive: a seeded stand-in for gossip, late and forgetful like the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use mapring_cluster::fixed::FixedCluster;
use mapring_cluster::{Change, Cluster, Outcome, View};
use mapring_types::{NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ledger::{self, Ledger};
use crate::limits;
use crate::random::Random;

/// One node's view of the cluster during one life: what gossip says, less what refused calls say.
pub(crate) struct Eyes {
    cluster: Arc<FixedCluster>,
    /// Where decisions about jobs are noted.
    ledger: Option<Arc<Ledger>>,
    state: Mutex<State>,
    /// Each listener has a channel of its own: one that many wait on wakes them in random order.
    listeners: Mutex<Vec<watch::Sender<Arc<View>>>>,
}

#[derive(Default)]
struct State {
    /// The nodes that gossip takes for alive.
    alive: BTreeSet<NodeId>,
    /// Nodes that have refused a call, and how long that counts.
    refused: BTreeMap<NodeId, Instant>,
    dead: bool,
}

impl Eyes {
    /// A node that has just started knows of nobody.
    pub(crate) fn open(cluster: Arc<FixedCluster>, ledger: Option<Arc<Ledger>>) -> Arc<Self> {
        cluster.set_up([]);
        let (state, listeners) = (Mutex::default(), Mutex::default());
        Arc::new(Self { cluster, ledger, state, listeners })
    }

    /// Has something decided about a job or schedule, which takes its time.
    async fn propose_for(&self, ledger: &Ledger, id: &str, change: Change) -> Result<Outcome> {
        ledger.on_its_way().await;
        let before = self.cluster.decided();
        let outcome = self.cluster.propose(change).await?;
        ledger.decided(id, &before, &self.cluster.decided());
        self.tell();
        ledger.on_its_way_back().await?;
        Ok(outcome)
    }

    /// Takes in what gossip says.
    pub(crate) fn see(&self, alive: BTreeSet<NodeId>) {
        self.update(|state| state.alive = alive);
    }

    /// This life is over: what its remains report is of no interest.
    pub(crate) fn close(&self) {
        self.state.lock().dead = true;
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        if state.dead {
            return;
        }
        change(&mut state);
        let now = Instant::now();
        state.refused.retain(|_, until| *until > now);
        let State { alive, refused, .. } = &*state;
        let up: BTreeSet<NodeId> =
            alive.iter().filter(|node| !refused.contains_key(node)).copied().collect();
        self.cluster.set_up(up);
        drop(state);
        self.tell();
    }

    /// Passes the present view on to those who have not got it.
    pub(crate) fn tell(&self) {
        let view = self.cluster.view();
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| !listener.is_closed());
        for listener in listeners.iter() {
            listener.send_if_modified(|known| {
                let new = !Arc::ptr_eq(known, &view);
                known.clone_from(&view);
                new
            });
        }
    }
}

#[async_trait]
impl Cluster for Eyes {
    fn view(&self) -> Arc<View> {
        self.cluster.view()
    }

    fn changes(&self) -> watch::Receiver<Arc<View>> {
        let listener = watch::Sender::new(self.cluster.view());
        let receiver = listener.subscribe();
        self.listeners.lock().push(listener);
        receiver
    }

    async fn propose(&self, change: Change) -> Result<Outcome> {
        if let Some(ledger) = &self.ledger
            && let Some(id) = ledger::subject(&change).map(str::to_owned)
        {
            return self.propose_for(ledger, &id, change).await;
        }
        let outcome = self.cluster.propose(change).await;
        self.tell();
        outcome
    }

    fn report(&self, node: NodeId, reachable: bool) {
        self.update(|state| {
            if reachable {
                state.refused.remove(&node);
            } else {
                state.refused.insert(node, Instant::now() + limits::REPORT_HOLD);
            }
        });
    }
}

/// What one node holds of another.
struct Opinion {
    alive: bool,
    /// Whether the other could be heard at the last look, and since when that is so.
    heard: bool,
    turns_at: Instant,
}

/// What all nodes hold of each other.
pub(crate) struct Gossip {
    random: Random,
    opinions: BTreeMap<(NodeId, NodeId), Opinion>,
}

impl Gossip {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, opinions: BTreeMap::new() }
    }

    /// A node has started and knows nothing.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.opinions.retain(|(knower, _), _| *knower != node);
    }

    /// One round for one node: whom it takes for alive, given whom it can hear.
    pub(crate) fn round(
        &mut self,
        me: NodeId,
        others: impl Iterator<Item = (NodeId, bool)>,
    ) -> BTreeSet<NodeId> {
        let now = Instant::now();
        let mut alive = BTreeSet::new();
        for (other, heard) in others {
            let opinion = self.opinions.entry((me, other)).or_insert(Opinion {
                alive: false,
                heard: false,
                turns_at: now,
            });
            if heard != opinion.heard {
                opinion.heard = heard;
                let range = if heard { limits::TRUST_MS } else { limits::SUSPICION_MS };
                let delay = std::time::Duration::from_millis(self.random.within(range));
                opinion.turns_at = now + delay;
            }
            if opinion.alive != opinion.heard && now >= opinion.turns_at {
                opinion.alive = opinion.heard;
            }
            if opinion.alive {
                alive.insert(other);
            }
        }
        alive
    }
}
