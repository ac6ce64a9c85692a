//! Pairs that a checkpoint is about to name are saved where they lie: so a job goes on with them also when
//! all nodes were lost. It is exact without: who goes on looks whether they are there ([`super::whole`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use mapring_cluster::{Cluster, View};
use mapring_net::{Call, Class, Transport};
use mapring_script::QueryTag;
use mapring_types::{Error, NodeId, Release, Result};
use parking_lot::Mutex;

use super::shared::Shared;
use crate::limits;
use crate::saved::NamedPairs;
use crate::segments::SavePairs;
use crate::wire;

/// See the module.
pub(super) struct Naming {
    cluster: Arc<dyn Cluster>,
    transport: Arc<dyn Transport>,
    /// How many runs of each query, by stage, all who have them have saved.
    saved: Mutex<BTreeMap<QueryTag, BTreeMap<usize, usize>>>,
}

impl Naming {
    pub(super) fn new(shared: &Shared) -> Self {
        let (cluster, transport) = (shared.cluster.clone(), shared.transport.clone());
        Self { cluster, transport, saved: Mutex::default() }
    }

    /// Has pairs saved, as far as nodes can; those that are need nothing.
    pub(super) async fn save(&self, named: BTreeMap<QueryTag, NamedPairs>) {
        let view = self.cluster.view();
        let is_new = |(query, pairs): &(QueryTag, NamedPairs)| {
            self.saved.lock().get(query) != Some(&pairs.runs)
        };
        let saved = named.into_iter().filter(is_new).map(|(query, pairs)| {
            let view = &view;
            async move {
                let asked = pairs.nodes.iter().map(|node| self.is_saved(view, *node, query));
                if join_all(asked).await.into_iter().all(|is_saved| is_saved) {
                    self.saved.lock().insert(query, pairs.runs);
                }
            }
        });
        join_all(saved).await;
    }

    /// Has a node save what it has of a query; returns whether it has.
    async fn is_saved(&self, view: &View, node: NodeId, query: QueryTag) -> bool {
        let asked = self.ask(view, node, query).await;
        if let Err(error) = &asked {
            tracing::debug!(%error, %node, "the pairs of a checkpoint are not saved");
        }
        asked.is_ok()
    }

    async fn ask(&self, view: &View, node: NodeId, query: QueryTag) -> Result<()> {
        let peer = view.peer(node).filter(|_| view.is_up(node));
        let peer = peer.ok_or_else(|| Error::unavailable("the node is down"))?;
        let body: Bytes = wire::encode(wire::version_at(Release::GROUPS), &SavePairs(query))?;
        let (method, patience) = (SavePairs::method(), limits::STORE_PATIENCE);
        let call = self.transport.call(&peer, Class::Foreground, method, body, patience);
        call.await.map(drop)
    }
}
