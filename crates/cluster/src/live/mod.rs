//! The cluster as a running node has it: metadata by raft, liveness by gossip.

mod choose;
mod cluster;
mod forget;
mod history;
mod hub;
mod join;
mod probe;
mod propose;
mod releases;
mod voters;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::{Call, FrameStream, Service, Transport};
use mapring_types::{Clock, Entropy, Error, ErrorKind, NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::liveness::gossip::{Gossip, GossipConfig};
use crate::liveness::{Facts, Liveness, Roster};
use crate::raft::files::{self, Mark};
use crate::raft::guard::Guard;
use crate::raft::log::LogStore;
use crate::raft::machine::Machine;
use crate::raft::network::{self, Network};
use crate::raft::{self, Metrics, Raft, blocking};
use crate::status::ClusterStatus;
use crate::wire::{
    self, Adopt, AskStatus, ChooseRequest, Forget, JoinRequest, ProposeRequest, Recall, serve,
    serve_with,
};
use crate::{Change, Chosen, Cluster, ClusterState, Outcome, View, limits};
use cluster::{Tuning, known_leader};
use hub::Hub;

pub use cluster::{LiveCluster, LiveConfig};

const IDENTITY_MARK: Mark = *b"mrid";

impl LiveCluster {
    /// Opens the stored metadata. Asks nothing of others before [`LiveCluster::run`]. A node which
    /// led when it ended goes on only if it is the only one of its group.
    ///
    /// # Errors
    /// `Corrupt` or `Storage` naming the file; `Invalid` when the directory belongs to a node of
    /// another identity, cluster name or ring size.
    pub async fn start(
        config: LiveConfig,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>> {
        let gossip = GossipConfig {
            me: config.me,
            cluster_name: config.cluster_name.clone(),
            secrets: config.secrets.clone(),
            listen: config.gossip_listen,
            advertise: config.cluster_address.clone(),
            started: clock.now_micros(),
        };
        let started = gossip.started;
        let liveness = Arc::new(Gossip::new(gossip));
        Self::start_with(config, transport, entropy, liveness, started, Tuning::default()).await
    }

    pub(crate) async fn start_with(
        config: LiveConfig,
        transport: Arc<dyn Transport>,
        entropy: Arc<dyn Entropy>,
        liveness: Arc<dyn Liveness>,
        started: u64,
        tuning: Tuning,
    ) -> Result<Arc<Self>> {
        describe_metrics();
        let initial = ClusterState::new(config.cluster_name.clone(), config.ring_size);
        let hub = Arc::new(Hub::new(config.me, Arc::new(initial.clone())));
        let (opened, observer) = (config.clone(), hub.clone());
        let (log, machine, guard) = blocking(move || {
            let directory = opened.data_dir.join("raft");
            open_directory(&directory, &opened)?;
            let log = LogStore::open(&directory)?;
            let machine = Machine::open(&directory, initial, observer.clone())?;
            let parts = (log.clone(), machine.clone());
            let guard = Guard::open(&directory, (opened.me.0, started), parts, observer)?;
            Ok((log, machine, Arc::new(guard)))
        })
        .await?;
        history::prepare(config.me, &log, &machine, &guard);
        let network =
            Network { transport: transport.clone(), directory: hub.clone(), guard: guard.clone() };
        let (stored, applied) = (log.clone(), machine.clone());
        let raft_config = Arc::new(raft::config(&config.cluster_name, tuning.pace)?);
        let raft =
            Raft::new(config.me.0, raft_config, network, log, machine).await.map_err(|error| {
                Error::new(ErrorKind::Storage, "cannot start the metadata").with_source(error)
            })?;
        Ok(Arc::new(Self {
            config,
            tuning,
            transport,
            entropy,
            started,
            hub,
            raft,
            log: stored,
            machine: applied,
            guard,
            liveness,
            load: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
            tasks: Mutex::default(),
        }))
    }

    /// What answers the cluster messages of other nodes.
    pub fn service(self: &Arc<Self>) -> Arc<dyn Service> {
        self.clone()
    }

    /// Takes part: founds a new cluster, joins one, or returns to the one it belongs to. Call it
    /// when the transport serves. Returns when this node is a member and has applied that.
    ///
    /// # Errors
    /// `Forbidden` when the cluster refuses the node for good, `Cancelled` when it is stopped
    /// meanwhile.
    pub async fn run(self: &Arc<Self>) -> Result<()> {
        self.seed();
        self.begin_gossip().await?;
        let attending = tokio::spawn(attend(self.clone()));
        let shaping = tokio::spawn(voters::keep(self.clone()));
        let probing = tokio::spawn(probe::keep(self.clone()));
        let telling = tokio::spawn(join::tell_releases(self.clone()));
        self.tasks.lock().extend([attending, shaping, probing, telling]);
        history::settle(self).await;
        let remembering = tokio::spawn(history::keep(self.clone()));
        let recalling = tokio::spawn(history::recall_without_leader(self.clone()));
        self.tasks.lock().extend([remembering, recalling]);
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {
                Err(Error::new(ErrorKind::Cancelled, "the node is stopped"))
            }
            entered = join::enter(self) => entered,
        }
    }

    /// Leaves gossip, so that others know at once, and ends everything. Membership stays.
    pub async fn shutdown(&self) {
        if self.stopping.send_replace(true) {
            return;
        }
        self.liveness.tell(Facts { leaving: true, ..self.facts() }).await;
        if self.hub.view().state.members.len() > 1 {
            tokio::time::sleep(limits::LEAVE).await;
        }
        let tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.iter().for_each(JoinHandle::abort);
        self.liveness.stop().await;
        if let Err(error) = self.guard.save().await {
            tracing::warn!(%error, "what is remembered of other nodes is not written");
        }
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the metadata did not stop cleanly");
        }
    }

    /// Sets what gossip tells about how busy this node is: requests under way.
    pub fn set_load(&self, load: u64) {
        self.load.store(load, Ordering::Relaxed);
    }

    /// What gossip tells of `node`'s load; `None` when nothing is heard.
    pub fn load(&self, node: NodeId) -> Option<u64> {
        self.liveness.rumours().borrow().get(&node).map(|heard| heard.facts.load)
    }

    async fn begin_gossip(self: &Arc<Self>) -> Result<()> {
        match self.liveness.start(self.facts()).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                // Names may come to be resolved later; the cluster works without gossip till then.
                tracing::warn!(%error, "no gossip yet");
                let cluster = self.clone();
                self.tasks.lock().push(tokio::spawn(async move {
                    while let Err(error) = cluster.liveness.start(cluster.facts()).await {
                        tracing::debug!(%error, "no gossip yet");
                        tokio::time::sleep(limits::SEEDING).await;
                    }
                }));
                Ok(())
            }
            begun => begun,
        }
    }

    /// Lets gossip know who the other members are, and look for them where they should be.
    fn seed(&self) {
        let view = self.hub.view();
        self.liveness.know(Roster::of(&view.state));
        let members = view.state.members.keys().filter(|node| **node != self.config.me);
        let mut seeds = self.config.join.clone();
        seeds.extend(members.filter_map(|node| network::Directory::address(&*self.hub, *node)));
        seeds.sort();
        seeds.dedup();
        self.liveness.seed(seeds);
    }
}

/// Keeps the view and what gossip tells up to date.
async fn attend(cluster: Arc<LiveCluster>) {
    let mut rumours = cluster.liveness.rumours();
    let mut metrics = cluster.raft.metrics();
    let mut ticks = tokio::time::interval(limits::GOSSIP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = Facts::default();
    let mut seeded: Option<Arc<ClusterState>> = None;
    let mut leader = None;
    loop {
        tokio::select! {
            biased;
            Ok(()) = rumours.changed() => {
                let heard = rumours.borrow_and_update().clone();
                cluster.hub.hear(heard);
            }
            Ok(()) = metrics.changed() => {
                let now = metrics.borrow_and_update().clone();
                metrics::gauge!("mapring_raft_term").set(now.current_term as f64);
                if let Err(error) = &now.running_state {
                    tracing::error!(%error, "the metadata has stopped: nothing can be changed");
                }
                let known = known_leader(&now);
                if known.is_some() && known != leader {
                    leader = known;
                    metrics::counter!("mapring_raft_leader_changes_total").increment(1);
                    let term = now.current_term;
                    let state = cluster.hub.view().state.clone();
                    let named = |id| match id {
                        // Before the founder is its own member.
                        me if me == cluster.config.me => {
                            format!("{} ({me})", cluster.config.node_name)
                        }
                        id => state.named(id),
                    };
                    let leader = leader.map(named).unwrap_or_default();
                    tracing::info!(%leader, term, "the metadata has a leader");
                }
            }
            _ = ticks.tick() => cluster.hub.refresh(),
        }
        let (facts, state) = (cluster.facts(), cluster.hub.view().state.clone());
        let is_seeded = seeded.as_ref().is_some_and(|seeded| Arc::ptr_eq(seeded, &state));
        if !is_seeded || facts != told {
            cluster.seed();
            seeded = Some(state);
        }
        if facts != told {
            cluster.liveness.tell(facts.clone()).await;
            told = facts;
        }
    }
}

#[async_trait]
impl Cluster for LiveCluster {
    fn view(&self) -> Arc<View> {
        self.hub.view()
    }

    fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.hub.changes()
    }

    async fn propose(&self, change: Change) -> Result<Outcome> {
        self.decide(change).await
    }

    async fn forget(&self, node: NodeId) -> Result<Outcome> {
        self.forget_member(node).await
    }

    fn report(&self, node: NodeId, reachable: bool) {
        self.hub.report(node, reachable);
    }

    async fn choose(&self, node: &str) -> Result<Chosen> {
        self.choose_by_name(node).await
    }

    fn status(&self) -> ClusterStatus {
        let metrics = self.metrics();
        let view = self.hub.view();
        let mut status = ClusterStatus::of_view(&view);
        status.decides = decides(&view, &metrics);
        let membership = metrics.membership_config.membership();
        status.leader = known_leader(&metrics).map(|id| id.to_string());
        status.term = metrics.current_term;
        status.applied_index = self.hub.index();
        status.voters = membership.voter_ids().map(|id| NodeId(id).to_string()).collect();
        status.voters_changing = membership.get_joint_config().len() > 1;
        status.learners = membership.learner_ids().map(|id| NodeId(id).to_string()).collect();
        status.metadata = self.metadata_status();
        status
    }
}

#[async_trait]
impl Service for LiveCluster {
    async fn call(&self, from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        self.hub.report(from, true);
        if let Some(answer) = network::answer(&self.raft, &self.guard, from, operation, &body).await
        {
            return answer;
        }
        match operation {
            JoinRequest::OPERATION => {
                serve(&body, async |call: JoinRequest| self.answer_join(from, call).await).await
            }
            ProposeRequest::OPERATION => {
                serve(&body, async |call: ProposeRequest| self.answer_proposal(call).await).await
            }
            // What former nodes ask with says nothing.
            AskStatus::OPERATION => {
                serve(&wire::request(&AskStatus)?, async |_: AskStatus| Ok(self.status())).await
            }
            Recall::OPERATION => {
                serve(&body, async |call: Recall| Ok(self.answer_recall(from, call.0))).await
            }
            ChooseRequest::OPERATION => {
                serve(&body, async |call: ChooseRequest| self.answer_choice(call).await).await
            }
            Adopt::OPERATION => {
                let work = async |call: Adopt, state| self.adopt(from, call, state).await;
                serve_with(&body, work).await
            }
            Forget::OPERATION => {
                serve(&body, async |call: Forget| self.forget_here(call.0).await).await
            }
            _ => Err(Error::invalid(format!("unknown cluster operation {operation}"))),
        }
    }

    async fn open(&self, _from: NodeId, operation: u8, _body: Bytes) -> Result<FrameStream> {
        Err(Error::invalid(format!("cluster operation {operation} is no stream")))
    }
}

/// Whether the metadata has a leader and a majority, as far as this node knows: a leader that is cut
/// off goes on believing in itself, and a learner in a leader that is gone.
fn decides(view: &View, metrics: &Metrics) -> bool {
    let leads = metrics.current_leader.is_some_and(|leader| {
        let silence = metrics.millis_since_quorum_ack.map(Duration::from_millis);
        view.is_up(NodeId(leader))
            && (leader != view.me.0 || silence.is_some_and(|time| time < limits::QUORUM_SILENCE))
    });
    let has_majority = |voters: &BTreeSet<u64>| {
        voters.iter().filter(|id| view.is_up(NodeId(**id))).count() * 2 > voters.len()
    };
    leads && metrics.membership_config.membership().get_joint_config().iter().all(has_majority)
}

/// Makes the directory, or checks that it is this node's.
fn open_directory(directory: &Path, config: &LiveConfig) -> Result<()> {
    let fail = |error| files::storage("cannot make", directory, error);
    std::fs::create_dir_all(directory).map_err(fail)?;
    if let Some(parent) = directory.parent() {
        files::sync_directory(parent)?;
    }
    let path = directory.join("identity");
    let ring_size = config.ring_size.get();
    let mine = format!("{} {ring_size} {}", config.me, config.cluster_name);
    let Some(stored) = files::read(&path, IDENTITY_MARK)? else {
        return files::replace(&path, IDENTITY_MARK, mine.as_bytes());
    };
    if stored != mine.as_bytes() {
        return Err(Error::invalid(format!(
            "the directory {} belongs to another node or cluster: it says {:?}, the node is {mine:?} \
             (node id, ring size, cluster name)",
            directory.display(),
            String::from_utf8_lossy(&stored),
        )));
    }
    Ok(())
}

fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    describe_gauge!("mapring_cluster_members", "Members of the cluster, as last applied here.");
    describe_gauge!("mapring_cluster_members_up", "Members that count as up here.");
    describe_gauge!("mapring_cluster_plan_version", "Version of the ownership plan applied here.");
    describe_gauge!("mapring_raft_term", "The metadata group's term as known here.");
    describe_gauge!("mapring_raft_applied_index", "Last entry of the metadata log applied here.");
    describe_gauge!(
        "mapring_cluster_diverged_nodes",
        "Nodes that have applied other decisions about the metadata than this one: always 0."
    );
    describe_counter!("mapring_raft_leader_changes_total", "Changes of the known leader.");
    describe_counter!("mapring_cluster_proposals_total", "Changes proposed here, by outcome.");
    describe_counter!(
        "mapring_gossip_refused_total",
        "Datagrams of gossip that were refused here, by reason."
    );
    describe_counter!(
        "mapring_gossip_restarts_total",
        "Times that gossip ended here by a failure and began again."
    );
}
