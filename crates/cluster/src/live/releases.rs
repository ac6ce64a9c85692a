//! Which releases of the formats the members know: told when a node joins and when it starts, and
//! kept in the metadata.
//!
//! A program that does not know of this would apply the entries that tell it as if they said nothing,
//! and its chain of hashes would differ. So nothing is told before every member is of a program that
//! does: the leader hears it in the handshakes.

use std::sync::Arc;

use mapring_types::{NodeId, Release, Releases};
use tokio::time::MissedTickBehavior;

use super::LiveCluster;
use crate::wire::{JoinRequest, Verdict};
use crate::{ClusterState, limits};

/// Has the metadata say of this node what it knows, as soon as it may.
pub(super) async fn keep(cluster: Arc<LiveCluster>) {
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
    /// What this node knows.
    pub(super) fn releases(&self) -> Releases {
        self.transport.releases(self.config.me).unwrap_or_else(Releases::own)
    }

    /// What the metadata may say of a node that asks: what it tells, where every member understands
    /// that; else what it says already.
    pub(super) fn tellable(&self, request: &JoinRequest, state: &ClusterState) -> Option<Releases> {
        let known = state.members.get(&request.id).and_then(|member| member.releases);
        // One that does not tell is of an older program than it was, if it ever told.
        let told = request.releases.filter(|told| told.writes >= Release::MEMBERS_TELL)?;
        let tells = |node: NodeId| {
            let said = self.transport.releases(node).map(|said| said.writes);
            let said = said.or_else(|| state.members.get(&node).map(|member| member.release()));
            said.is_some_and(|release| release >= Release::MEMBERS_TELL)
        };
        let others = state.members.keys().filter(|node| **node != request.id);
        let all = self.releases().writes >= Release::MEMBERS_TELL && others.copied().all(tells);
        if all { Some(told) } else { known }
    }

    /// The refusal of a node that would not read what the others have written by now.
    pub(super) fn too_old(&self, request: &JoinRequest, state: &ClusterState) -> Option<Verdict> {
        let others = state.members.iter().filter(|(node, _)| **node != request.id);
        let written = others.map(|(_, member)| member.release()).min()?;
        let known = request.releases.unwrap_or(Releases::BEFORE);
        (known.writes < written).then(|| {
            Verdict::Refused(format!(
                "node {} knows the releases {known} of the formats, and the cluster writes {written} \
                 by now: start it with a later release of mapring",
                request.id
            ))
        })
    }
}
