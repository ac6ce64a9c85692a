//! While a query runs whose pairs are gathered, the nodes that have them are told so now and then; when
//! it is over they are told to forget them. A node that hears nothing forgets them by itself.
//!
//! Pairs that a checkpoint of a job names outlive the query: whoever ends the job has them forgotten.

use std::collections::BTreeSet;
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
    /// Whether a checkpoint names its pairs.
    named: bool,
}

/// Those that may have pairs.
pub(crate) struct Nodes {
    cluster: Arc<dyn Cluster>,
    transport: Arc<dyn Transport>,
}

impl Keeping {
    /// Keeps those of a query, and of `former` ones that the job was before.
    pub(super) fn start(nodes: Nodes, query: QueryTag, former: BTreeSet<QueryTag>) -> Self {
        let nodes = Arc::new(nodes);
        let told = nodes.clone();
        let telling = mapring_net::task::spawn(async move {
            let mut all = former;
            // Those that wait have waited already.
            told.keep(&all).await;
            all.insert(query);
            loop {
                tokio::time::sleep(limits::KEEP_PAIRS).await;
                told.keep(&all).await;
            }
        });
        Self { nodes, query, telling, named: false }
    }

    /// A checkpoint with pairs of these queries is about to be kept.
    pub(super) fn name(&mut self, queries: &BTreeSet<QueryTag>) {
        self.named |= queries.contains(&self.query);
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.telling.abort();
        if self.named {
            return;
        }
        let (nodes, query) = (self.nodes.clone(), self.query);
        mapring_net::task::spawn(async move { nodes.tell(&ForgetPairs(query)).await });
    }
}

impl Nodes {
    pub(crate) fn new(cluster: Arc<dyn Cluster>, transport: Arc<dyn Transport>) -> Self {
        Self { cluster, transport }
    }

    /// Has the pairs of some queries kept for a while.
    pub(crate) async fn keep(&self, queries: &BTreeSet<QueryTag>) {
        for query in queries {
            self.tell(&KeepPairs(*query)).await;
        }
    }

    /// Has the pairs of some queries forgotten.
    pub(crate) async fn forget(&self, queries: &BTreeSet<QueryTag>) {
        for query in queries {
            self.tell(&ForgetPairs(*query)).await;
        }
    }

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
