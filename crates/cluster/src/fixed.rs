//! A cluster whose metadata is one log in memory and whose liveness is set by hand: for tests and
//! for simulation, where membership must be replayable.
//!
//! All nodes of a group apply one log. Usually they do so at once; in a group that lags the node that
//! proposed a change knows it when [`Cluster::propose`] returns, as with raft, and the others when
//! they are told to [`FixedCluster::learn`].

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use mapring_ring::RingSize;
use mapring_types::{Error, NodeId, Releases, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Change, Cluster, ClusterState, Member, MemberStatus, Outcome, View};

/// Whether a node reaches a majority of the members of a state.
pub type HasMajority = Box<dyn Fn(NodeId, &ClusterState) -> bool + Send + Sync>;

/// When the nodes of a group apply what is decided.
pub enum Spread {
    /// All at once, and each may decide.
    AtOnce,
    /// A node that reaches a majority may decide, and applies it at once; the others when they are
    /// told to.
    Lagging(HasMajority),
}

/// One node's handle on a [`FixedGroup`].
pub struct FixedCluster {
    me: NodeId,
    group: Arc<FixedGroup>,
    known: Mutex<Known>,
    view: watch::Sender<Arc<View>>,
}

/// What one node knows.
struct Known {
    /// The index in the log of the last change that it has applied.
    applied: usize,
    /// Whom it takes to be up, members or not.
    up: BTreeSet<NodeId>,
}

/// The log that all handles share.
pub struct FixedGroup {
    spread: Spread,
    /// The states after each change that was applied, the first one before all of them.
    log: Mutex<Vec<Arc<ClusterState>>>,
    handles: Mutex<Vec<Weak<FixedCluster>>>,
}

impl FixedGroup {
    /// A cluster of nodes `1..=nodes`, named `n1`, `n2`, …, that share the ring evenly, are all up and
    /// apply everything at once. Returns one handle for each.
    pub fn start(nodes: u64, ring_size: RingSize) -> Vec<Arc<FixedCluster>> {
        Self::start_with(nodes, ring_size, Spread::AtOnce)
    }

    /// The same, with another way in which changes spread.
    pub fn start_with(nodes: u64, ring_size: RingSize, spread: Spread) -> Vec<Arc<FixedCluster>> {
        Self::start_told(nodes, ring_size, spread, Some(Releases::own()))
    }

    /// The same, with the releases that all members are to tell that they know; `None`: they are of a
    /// time when members did not tell.
    pub fn start_told(
        nodes: u64,
        ring_size: RingSize,
        spread: Spread,
        releases: Option<Releases>,
    ) -> Vec<Arc<FixedCluster>> {
        let mut state = ClusterState::new("fixed", ring_size);
        for id in 1..=nodes {
            let name = format!("n{id}");
            let member = Member { releases, ..Self::member(&name, NodeId(id)) };
            state.apply(&Change::Join { id: NodeId(id), member, replaces: None });
        }
        let log = Mutex::new(vec![Arc::new(state)]);
        let group = Arc::new(Self { spread, log, handles: Mutex::new(Vec::new()) });
        let up: BTreeSet<NodeId> = (1..=nodes).map(NodeId).collect();
        (1..=nodes).map(|id| group.handle(NodeId(id), up.clone())).collect()
    }

    /// A member of that name as it joins; its addresses are made of its identity.
    pub fn member(name: &str, id: NodeId) -> Member {
        Member {
            name: name.to_owned(),
            cluster_address: format!("n{id}"),
            http_address: format!("n{id}"),
            status: MemberStatus::Valid,
            incomplete: false,
            losses: 0,
            start: 0,
            zone: None,
            releases: None,
        }
    }

    /// A handle of a node that knows the beginning of the log.
    fn handle(self: &Arc<Self>, me: NodeId, up: BTreeSet<NodeId>) -> Arc<FixedCluster> {
        let (known, state) = (Known { applied: 0, up }, self.state(0));
        let view = watch::Sender::new(Arc::new(known.view(me, state)));
        let group = self.clone();
        let handle = Arc::new(FixedCluster { me, group, known: Mutex::new(known), view });
        self.handles.lock().push(Arc::downgrade(&handle));
        handle
    }

    fn state(&self, index: usize) -> Arc<ClusterState> {
        self.log.lock()[index].clone()
    }

    fn last(&self) -> usize {
        self.log.lock().len() - 1
    }

    /// Adds a change to the log. One that changes nothing leaves no trace.
    fn decide(&self, change: &Change) -> Outcome {
        let mut log = self.log.lock();
        let last = &log[log.len() - 1];
        let mut state = ClusterState::clone(last);
        let outcome = state.apply(change);
        if state != **last {
            log.push(Arc::new(state));
        }
        outcome
    }
}

impl Known {
    fn view(&self, me: NodeId, state: Arc<ClusterState>) -> View {
        let members = self.up.iter().copied().filter(|node| state.members.contains_key(node));
        let up = Arc::new(members.chain([me]).collect());
        View { me, state, up }
    }
}

impl FixedCluster {
    /// A handle for one more node, which is not a member yet.
    pub fn newcomer(&self, id: NodeId) -> Arc<Self> {
        let newcomer = self.group.handle(id, BTreeSet::new());
        if matches!(self.group.spread, Spread::AtOnce) {
            newcomer.learn();
        }
        newcomer
    }

    /// Sets whom this node takes to be up; it is always up to itself, and nobody who is no member is.
    pub fn set_up(&self, up: impl IntoIterator<Item = NodeId>) {
        let up: BTreeSet<NodeId> = up.into_iter().collect();
        if self.known.lock().up != up {
            self.change(|known| known.up = up);
        }
    }

    /// Applies all that is decided.
    pub fn learn(&self) {
        let last = self.group.last();
        if self.is_behind() {
            self.change(|known| known.applied = last);
        }
    }

    /// Whether something is decided that this node has not applied.
    pub fn is_behind(&self) -> bool {
        self.known.lock().applied < self.group.last()
    }

    /// The state after all that is decided, whether or not this node has applied it.
    pub fn decided(&self) -> Arc<ClusterState> {
        self.group.state(self.group.last())
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock();
        let before = known.applied;
        change(&mut known);
        self.view.send_modify(|view| {
            // Every node's plan is of one history, which goes one way (invariant I8).
            let former = self.group.state(before);
            assert!(Arc::ptr_eq(&view.state, &former), "I8: {} left the history", self.me);
            assert!(before <= known.applied, "I8: {} goes back in the history", self.me);
            let state = self.group.state(known.applied);
            assert!(former.plan.version() <= state.plan.version(), "I8: plans go back");
            *view = Arc::new(known.view(self.me, state));
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
        self.view().check_read(&change)?;
        match &self.group.spread {
            Spread::AtOnce => {
                let outcome = self.group.decide(&change);
                let handles = self.group.handles.lock();
                handles.iter().filter_map(Weak::upgrade).for_each(|handle| handle.learn());
                Ok(outcome)
            }
            Spread::Lagging(has_majority) => {
                if !has_majority(self.me, &self.decided()) {
                    return Err(Error::unavailable("no majority of the members can be reached"));
                }
                let outcome = self.group.decide(&change);
                self.learn();
                Ok(outcome)
            }
        }
    }

    fn report(&self, node: NodeId, reachable: bool) {
        let known = self.known.lock().up.contains(&node);
        if reachable != known {
            self.change(|known| {
                if reachable {
                    known.up.insert(node);
                } else {
                    known.up.remove(&node);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::BucketId;

    use super::*;

    fn lagging(cut_off: u64) -> Vec<Arc<FixedCluster>> {
        let has_majority: HasMajority = Box::new(move |node, _| node != NodeId(cut_off));
        FixedGroup::start_with(3, RingSize::new(8).unwrap(), Spread::Lagging(has_majority))
    }

    #[tokio::test]
    async fn who_proposes_knows_and_others_learn_later() {
        let nodes = lagging(3);
        assert_eq!(nodes[0].propose(Change::Seal).await.unwrap(), Outcome::Applied);
        let sealed = |at: usize| nodes[at].view().state.sealed;
        assert!(sealed(0) && !sealed(1) && !nodes[0].is_behind() && nodes[1].is_behind());
        // Whom it takes for up does not make a node learn.
        nodes[1].set_up([NodeId(1)]);
        assert!(!sealed(1) && nodes[1].decided().sealed);
        nodes[1].learn();
        assert!(sealed(1) && !nodes[1].is_behind() && !sealed(2));
    }

    #[tokio::test]
    async fn a_node_without_a_majority_decides_nothing() {
        let nodes = lagging(3);
        let error = nodes[2].propose(Change::Seal).await.unwrap_err();
        assert_eq!(error.kind(), mapring_types::ErrorKind::Unavailable);
        assert!(!nodes[2].decided().sealed);
    }

    #[tokio::test]
    async fn a_newcomer_takes_a_place_that_others_do_not_know_of_yet() {
        let nodes = lagging(9);
        nodes[0].propose(Change::Seal).await.unwrap();
        let newcomer = nodes[0].newcomer(NodeId(103));
        let member = FixedGroup::member("n3", NodeId(103));
        let change = Change::Join { id: NodeId(103), member, replaces: Some(NodeId(3)) };
        assert_eq!(nodes[0].propose(change).await.unwrap(), Outcome::Applied);
        newcomer.learn();
        for node in [&nodes[0], &newcomer] {
            node.set_up([NodeId(2), NodeId(3), NodeId(103)]);
            let view = node.view();
            assert!(view.is_up(NodeId(103)) && !view.is_up(NodeId(3)));
            assert!(view.plan().owners().contains(&Some(NodeId(103))));
        }
        let view = nodes[1].view();
        assert!(view.plan().owners().contains(&Some(NodeId(3))) && !view.is_up(NodeId(103)));
        assert!(view.plan().version() < newcomer.view().plan().version());
    }

    #[tokio::test]
    async fn usually_all_learn_at_once() {
        let nodes = FixedGroup::start(3, RingSize::new(8).unwrap());
        let bucket = BucketId::untyped("b");
        let changes = mapring_types::props::PropChanges::default();
        nodes[0].propose(Change::SetBucket { bucket, changes }).await.unwrap();
        assert!(nodes.iter().all(|node| node.view().state.buckets.len() == 1));
    }
}
