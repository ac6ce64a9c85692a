//! Becoming a member: founding a cluster, joining one, returning to it; and letting others in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use mapring_net::{Call, Class, Peer};
use mapring_types::{Error, ErrorKind, NodeId, Releases, Result};
use openraft::error::{InitializeError, RaftError};
use tokio::time::MissedTickBehavior;

use super::cluster::{LiveCluster, raft_node};
use super::releases;
use super::voters::votes;
use crate::raft::Metrics;
use crate::raft::network::{Directory, stopped};
use crate::wire::{self, JoinAnswer, JoinRequest, ProposeAnswer, Verdict};
use crate::{Change, ClusterState, Member, MemberStatus, Outcome, limits};

/// Makes this node a member. Returns when that is applied here.
pub(super) async fn enter(cluster: &Arc<LiveCluster>) -> Result<()> {
    let initialized = cluster.raft.is_initialized().await.map_err(stopped)?;
    let view = cluster.hub.view();
    if view.state.members.contains_key(&view.me) {
        return cluster.come_back().await;
    }
    if !initialized && cluster.join_addresses().is_empty() && !cluster.is_founded().await {
        cluster.found().await?;
    }
    cluster.join().await
}

/// Has the metadata say of this node which releases of the formats it knows, as soon as it may.
pub(super) async fn tell_releases(cluster: Arc<LiveCluster>) {
    let mut ticks = tokio::time::interval(limits::RELEASES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let view = cluster.hub.view();
        let own = view.state.members.get(&view.me);
        if own.is_none_or(|own| own.releases == Some(cluster.releases())) {
            continue;
        }
        match cluster.ask_around().await {
            Ok(Verdict::Accepted) => {}
            Ok(other) => tracing::debug!(?other, "the releases known here are told later"),
            Err(error) => tracing::debug!(%error, "the releases known here are told later"),
        }
    }
}

impl LiveCluster {
    /// The releases of the formats that this node knows.
    fn releases(&self) -> Releases {
        self.transport.releases(self.config.me).unwrap_or_else(Releases::own)
    }

    /// Tells where this node is now, for a while before it goes on, then in the background.
    async fn come_back(self: &Arc<Self>) -> Result<()> {
        if let Ok(told) = tokio::time::timeout(limits::RETELL, self.join()).await {
            return told;
        }
        tracing::warn!("the cluster has not taken note of this node's addresses yet");
        let cluster = self.clone();
        self.tasks.lock().push(tokio::spawn(async move {
            if let Err(error) = cluster.join().await {
                tracing::error!(%error, "the cluster refuses this node: stop it");
            }
        }));
        Ok(())
    }

    /// Begins a new cluster of this node alone.
    async fn found(&self) -> Result<()> {
        let node = raft_node(&self.config.node_name, &self.config.cluster_address);
        let nodes = BTreeMap::from([(self.config.me.0, node)]);
        match self.raft.initialize(nodes).await {
            Ok(()) => {
                tracing::info!(cluster = %self.config.cluster_name, "begun a new cluster");
                Ok(())
            }
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(Error::internal("cannot begin a cluster").with_source(error)),
        }
    }

    /// Whether gossip hears of this cluster already. A node whose data directory was emptied must
    /// not begin a second one beside those that remember it.
    async fn is_founded(&self) -> bool {
        let mut rumours = self.liveness.rumours();
        let listening = rumours.wait_for(|heard| {
            heard.values().any(|heard| heard.facts.cluster_id != 0 && !heard.facts.leaving)
        });
        let heard = tokio::time::timeout(self.tuning.found_listen, listening).await.is_ok();
        if heard {
            tracing::info!(cluster = %self.config.cluster_name, "the cluster exists; joining it");
        }
        heard
    }

    /// Asks to be a member until the cluster agrees, or refuses for good.
    pub(super) async fn join(&self) -> Result<()> {
        let (mut pause, longest) = limits::JOIN_PAUSE;
        let mut told = String::new();
        loop {
            let reason = match self.ask_around().await? {
                Verdict::Accepted if self.arrived().await => {
                    self.counted().await;
                    return Ok(());
                }
                Verdict::Refused(reason) => {
                    return Err(Error::new(ErrorKind::Forbidden, reason));
                }
                Verdict::Later(reason) | Verdict::Foreign(reason) => reason,
                Verdict::Accepted => "accepted, but the metadata has not arrived yet".to_owned(),
            };
            if reason != told {
                tracing::info!(%reason, "not joined yet; asking again");
                told = reason;
            }
            // Nodes that start together are not to ask together.
            let jitter = self.entropy.below(u64::try_from(pause.as_millis()).unwrap_or(0) / 2);
            tokio::time::sleep(pause + std::time::Duration::from_millis(jitter)).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// One round of questions: the own leader if one is known, then all known addresses.
    pub(super) async fn ask_around(&self) -> Result<Verdict> {
        let request = self.request().await?;
        let mut last = Verdict::Later("nobody to ask".to_owned());
        if self.leader().is_some() {
            last = self.judge(request.clone()).await;
            if matches!(last, Verdict::Accepted | Verdict::Refused(_)) {
                return Ok(last);
            }
        }
        let body = wire::request(&request)?;
        for peer in self.contacts() {
            let asked = self.ask_contact(&peer, body.clone()).await;
            last = match asked {
                Ok(verdict @ (Verdict::Accepted | Verdict::Refused(_))) => return Ok(verdict),
                Ok(other) => other,
                Err(error) => Verdict::Later(format!("{}: {error}", peer.address)),
            };
        }
        Ok(last)
    }

    async fn ask_contact(&self, peer: &Peer, body: Bytes) -> Result<Verdict> {
        let (class, method) = (Class::Foreground, JoinRequest::method());
        let answer = self.transport.call(peer, class, method, body, limits::JOIN_CALL).await?;
        let answer = wire::answered::<JoinRequest>(&answer)?;
        for (node, (started, address)) in &answer.addresses {
            self.hub.learn(*node, *started, address);
        }
        Ok(answer.verdict)
    }

    async fn request(&self) -> Result<JoinRequest> {
        Ok(JoinRequest {
            id: self.config.me,
            name: self.config.node_name.clone(),
            cluster_address: self.config.cluster_address.clone(),
            http_address: self.config.http_address.clone(),
            zone: self.config.zone.clone(),
            releases: Some(self.releases()),
            cluster_name: self.config.cluster_name.clone(),
            ring_size: self.config.ring_size.get(),
            started: self.started,
            stored: self.raft.is_initialized().await.map_err(stopped)?,
            cluster_id: self.hub.view().state.id,
            forwarded: false,
        })
    }

    /// The configured addresses, without the own one: the same list can be given to all nodes.
    fn join_addresses(&self) -> Vec<String> {
        let own = &self.config.cluster_address;
        self.config.join.iter().filter(|address| *address != own).cloned().collect()
    }

    /// Whom to ask: configured addresses, then members and nodes heard of.
    fn contacts(&self) -> Vec<Peer> {
        let mut contacts: Vec<Peer> =
            self.join_addresses().into_iter().map(|address| Peer { id: None, address }).collect();
        let view = self.hub.view();
        let mut known: BTreeSet<NodeId> = view.state.members.keys().copied().collect();
        known.extend(self.hub.addresses().into_keys());
        known.remove(&view.me);
        for node in known {
            if let Some(address) = self.hub.address(node) {
                contacts.push(Peer { id: Some(node), address });
            }
        }
        contacts
    }

    /// Waits for the own membership to be applied here.
    async fn arrived(&self) -> bool {
        let mut changes = self.hub.changes();
        let arrived = changes.wait_for(|view| {
            let member = view.state.members.get(&view.me);
            member.is_some_and(|member| {
                member.cluster_address == self.config.cluster_address
                    && member.http_address == self.config.http_address
                    && member.zone == self.config.zone
            })
        });
        matches!(tokio::time::timeout(limits::JOIN_ARRIVAL, arrived).await, Ok(Ok(_)))
    }

    /// Waits for a while until this node votes, or as many vote as should: so that a cluster whose
    /// nodes have just joined survives the loss of one.
    async fn counted(&self) {
        let (me, wanted) = (self.config.me.0, votes(self.hub.view().state.owners().len()));
        let counted = |metrics: &Metrics| {
            let group = metrics.membership_config.membership();
            let voters: BTreeSet<u64> = group.voter_ids().collect();
            let settled = group.get_joint_config().len() == 1;
            settled && (voters.contains(&me) || voters.len() >= wanted)
        };
        let waiting = self.raft.wait(Some(limits::JOIN_ARRIVAL));
        if waiting.metrics(counted, "the voters").await.is_err() {
            tracing::info!(wanted, "a member, but not all who should vote do so yet");
        }
    }

    /// Answers a node that asks to join.
    pub(super) async fn answer_join(
        &self,
        from: NodeId,
        request: JoinRequest,
    ) -> Result<JoinAnswer> {
        if request.id != from && !request.forwarded {
            let message = format!("node {from} asks in the name of node {}", request.id);
            return Err(Error::invalid(message));
        }
        let (id, started) = (request.id, request.started);
        let address = request.cluster_address.clone();
        let verdict = self.judge(request).await;
        if !matches!(verdict, Verdict::Refused(_) | Verdict::Foreign(_)) {
            self.hub.learn(id, started, &address);
        }
        let mut addresses = self.hub.addresses();
        addresses.insert(self.config.me, (self.started, self.config.cluster_address.clone()));
        Ok(JoinAnswer { verdict, addresses })
    }

    async fn judge(&self, request: JoinRequest) -> Verdict {
        if let Some(refusal) = self.mismatch(&request) {
            return refusal;
        }
        // Known at once, so that a majority can form when all addresses have changed.
        self.hub.learn(request.id, request.started, &request.cluster_address);
        let judged = match self.leader() {
            Some(leader) if leader == self.config.me => self.admit(&request).await,
            Some(leader) if !request.forwarded => self.forward(leader, request).await,
            _ => return Verdict::Later("the cluster has no leader at present".to_owned()),
        };
        judged.unwrap_or_else(|error| Verdict::Later(error.to_string()))
    }

    fn mismatch(&self, request: &JoinRequest) -> Option<Verdict> {
        let view = self.hub.view();
        let ring_size = self.config.ring_size.get();
        if request.cluster_name != self.config.cluster_name {
            return Some(Verdict::Refused(format!(
                "the cluster is named {}, not {}",
                self.config.cluster_name, request.cluster_name
            )));
        }
        if request.ring_size != ring_size {
            return Some(Verdict::Refused(format!(
                "the ring of cluster {} has {ring_size} partitions, not {}",
                self.config.cluster_name, request.ring_size
            )));
        }
        let ids = (view.state.id, request.cluster_id);
        (ids.0 != 0 && ids.1 != 0 && ids.0 != ids.1).then(|| {
            Verdict::Foreign(format!(
                "node {} belongs to another cluster of the name {}",
                view.me, view.state.name
            ))
        })
    }

    async fn forward(&self, leader: NodeId, mut request: JoinRequest) -> Result<Verdict> {
        request.forwarded = true;
        Ok(self.ask(leader, &request, limits::ADMIT).await?.verdict)
    }

    /// Decides about a node, as the leader.
    async fn admit(&self, request: &JoinRequest) -> Result<Verdict> {
        let admitted = tokio::time::timeout(limits::ADMIT, self.admit_now(request)).await;
        admitted.unwrap_or_else(|_| {
            Ok(Verdict::Later("the leader has no majority of voters".to_owned()))
        })
    }

    async fn admit_now(&self, request: &JoinRequest) -> Result<Verdict> {
        // Judges by all that has been decided before, and only while it really leads.
        self.raft.ensure_linearizable().await.map_err(stopped)?;
        let state = self.hub.view().state.clone();
        if state.id == 0 {
            self.decide_here(&Change::Found { id: self.entropy.next_u64().max(1) }).await?;
        }
        if let Some(verdict) = releases::too_old(request, &state) {
            return Ok(verdict);
        }
        let releases = releases::tellable(request, &state, |node| self.transport.releases(node));
        if let Some(verdict) = self.settled(request, releases, &state) {
            return Ok(verdict);
        }
        let replaces = match state.holder(&request.name).filter(|holder| *holder != request.id) {
            None => None,
            Some(holder) => match self.look_after(holder).await {
                Holder::Up => {
                    let name = &request.name;
                    let reason = format!("the name {name} belongs to a node that is up ({holder})");
                    return Ok(Verdict::Refused(reason));
                }
                Holder::Unsure => {
                    let name = &request.name;
                    let reason = format!("the name {name} belongs to node {holder}, perhaps up");
                    return Ok(Verdict::Later(reason));
                }
                Holder::Gone => Some(holder),
            },
        };
        let member = Member {
            name: request.name.clone(),
            cluster_address: request.cluster_address.clone(),
            http_address: request.http_address.clone(),
            status: MemberStatus::Joining,
            incomplete: false,
            losses: 0,
            start: 0,
            zone: request.zone.clone(),
            releases,
        };
        let change = Change::Join { id: request.id, member, replaces };
        Ok(match self.decide_here(&change).await? {
            ProposeAnswer::Decided { outcome: Outcome::Applied, .. } => {
                let member = format!("{} ({})", request.name, request.id);
                match replaces {
                    Some(old) => tracing::info!(%member, %old, "joined in the place of another"),
                    None if state.members.contains_key(&request.id) => {
                        tracing::info!(%member, "told where it is now");
                    }
                    None => tracing::info!(%member, "joined"),
                }
                Verdict::Accepted
            }
            // Somebody was faster with the name; judged anew at the next request.
            ProposeAnswer::Decided { outcome: Outcome::Refused(reason), .. } => {
                Verdict::Later(reason)
            }
            ProposeAnswer::NotLeader => Verdict::Later("the leader has changed".to_owned()),
        })
    }

    /// The verdict where nothing is to be decided.
    fn settled(
        &self,
        request: &JoinRequest,
        releases: Option<Releases>,
        state: &ClusterState,
    ) -> Option<Verdict> {
        let Some(known) = state.members.get(&request.id) else {
            // Only the founder has metadata before it is a member, and it leads: others may have been
            // faster to ask it.
            return (request.stored && request.id != self.config.me).then(|| {
                let (id, name) = (request.id, &request.name);
                let why = match state.holder(name) {
                    Some(node) => format!("another one has taken the place of {name} ({node})"),
                    None => format!(
                        "{name} was removed from the cluster; with an empty data directory it can \
                         join again"
                    ),
                };
                Verdict::Refused(format!("node {id} is no member any more: {why}"))
            });
        };
        let same = known.name == request.name
            && known.cluster_address == request.cluster_address
            && known.http_address == request.http_address
            && known.zone == request.zone
            && known.releases == releases;
        same.then_some(Verdict::Accepted)
    }

    /// Whether the holder of a name lives. It is gone only when neither a call nor gossip reaches
    /// it.
    pub(super) async fn look_after(&self, holder: NodeId) -> Holder {
        if holder == self.config.me || self.knock(holder).await.is_ok() {
            Holder::Up
        } else if self.hub.view().is_up(holder) {
            Holder::Unsure
        } else {
            Holder::Gone
        }
    }
}

/// What is known of the node that has a name.
pub(super) enum Holder {
    Up,
    Unsure,
    Gone,
}
