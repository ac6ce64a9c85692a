//! While a query runs whose pairs are gathered, the nodes that have them are told so now and then; when
//! it is over they are told to forget them. A node that hears nothing forgets them by itself.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use mapring_cluster::Cluster;
use mapring_net::{Call, Class, Method, Transport};
use mapring_script::QueryTag;
use mapring_types::{Release, Result};
use tokio::task::JoinHandle;

use crate::limits;
use crate::segments::{ForgetPairs, KeepPairs};
use crate::wire::{self, Sent};

/// See the module.
pub(super) struct Keeping {
    nodes: Arc<Nodes>,
    query: QueryTag,
    telling: JoinHandle<()>,
}

struct Nodes {
    cluster: Arc<dyn Cluster>,
    transport: Arc<dyn Transport>,
}

impl Keeping {
    pub(super) fn start(
        cluster: Arc<dyn Cluster>,
        transport: Arc<dyn Transport>,
        query: QueryTag,
    ) -> Self {
        let nodes = Arc::new(Nodes { cluster, transport });
        let told = nodes.clone();
        let telling = mapring_net::task::spawn(async move {
            loop {
                tokio::time::sleep(limits::KEEP_PAIRS).await;
                told.tell(&KeepPairs(query)).await;
            }
        });
        Self { nodes, query, telling }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.telling.abort();
        let (nodes, query) = (self.nodes.clone(), self.query);
        mapring_net::task::spawn(async move { nodes.tell(&ForgetPairs(query)).await });
    }
}

impl Nodes {
    /// Tells all members, as far as they can be reached.
    async fn tell<C: Call + Sent>(&self, call: &C) {
        let body = match wire::encode(wire::version_at(Release::GROUPS), call) {
            Ok(body) => body,
            Err(error) => return tracing::error!(%error, "pairs cannot be kept"),
        };
        let view = self.cluster.view();
        let peers = view.state.members.keys().filter_map(|node| view.peer(*node));
        let told = peers.map(|peer| {
            let body = body.clone();
            async move {
                let told = self.send(&peer, C::method(), body).await;
                if let Err(error) = told {
                    tracing::debug!(%error, "a node was not told of pairs");
                }
            }
        });
        join_all(told).await;
    }

    async fn send(&self, peer: &mapring_net::Peer, method: Method, body: Bytes) -> Result<()> {
        let patience = limits::TELL_PATIENCE;
        self.transport.call(peer, Class::Foreground, method, body, patience).await.map(drop)
    }
}
