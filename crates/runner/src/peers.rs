//! Asking the runners of other nodes.

use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::{Cluster, View};
use mapring_net::{Call, Class, Transport};
use mapring_types::{Error, NodeId, Result};

use crate::wire;

/// The other nodes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) cluster: Arc<dyn Cluster>,
    transport: Arc<dyn Transport>,
}

impl Peers {
    pub(crate) fn new(cluster: Arc<dyn Cluster>, transport: Arc<dyn Transport>) -> Self {
        Self { cluster, transport }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.cluster.view()
    }

    /// Asks another node.
    ///
    /// # Errors
    /// `Unavailable` for who is no member; those of the way there and of the node.
    pub(crate) async fn ask<C: Call>(
        &self,
        node: NodeId,
        call: &C,
        patience: Duration,
    ) -> Result<C::Answer> {
        let peer = self.view().peer(node);
        let peer = peer.ok_or_else(|| Error::unavailable("the node is no member"))?;
        let body = wire::encode(call)?;
        let method = C::method();
        let asked = self.transport.call(&peer, Class::Foreground, method, body, patience).await?;
        wire::decode(&asked)
    }

    /// The name of a node, as users see it.
    pub(crate) fn name(&self, node: NodeId) -> String {
        let view = self.view();
        let member = view.state.members.get(&node);
        member.map_or_else(|| node.to_string(), |member| member.name.clone())
    }
}
