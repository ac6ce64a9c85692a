//! Asking members of which gossip tells nothing whether they answer.
//!
//! A node that starts while others are away hears nothing of them, as it hears nothing where gossip
//! does not pass at all. A call tells the one from the other.

use std::sync::Arc;

use futures::StreamExt as _;
use mapring_types::{ErrorKind, NodeId};

use super::cluster::LiveCluster;
use crate::limits;

/// Asks, again and again.
pub(super) async fn keep(cluster: Arc<LiveCluster>) {
    let mut ticks = tokio::time::interval(limits::SEEDING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = futures::stream::iter(cluster.hub.unheard());
        asked.for_each_concurrent(limits::PROBES, |node| probe(&cluster, node)).await;
    }
}

async fn probe(cluster: &LiveCluster, node: NodeId) {
    match cluster.knock(node).await {
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
            cluster.hub.report(node, false);
        }
        // Whatever it says, it answers.
        _ => cluster.hub.report(node, true),
    }
}
