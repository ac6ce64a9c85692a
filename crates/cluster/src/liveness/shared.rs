//! What both kinds of gossip need, and what they have found.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use chitchat::transport::Transport;
use mapring_types::{Error, NodeId, Result, Secrets};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::detector::Detector;
use super::wire::{Socket, Wire};
use super::{Facts, Heard, Roster, Rumours};

/// How a node takes part in gossip.
#[derive(Debug, Clone)]
pub struct GossipConfig {
    /// This node.
    pub me: NodeId,
    /// Only nodes of the same cluster name listen to each other.
    pub cluster_name: String,
    /// What all nodes of the cluster know.
    pub secrets: Secrets,
    /// Where to listen, UDP.
    pub listen: SocketAddr,
    /// `host:port` at which others reach it.
    pub advertise: String,
    /// When this life of the node began, in microseconds: a later life replaces an earlier one.
    pub started: u64,
}

/// What both kinds need.
pub(super) struct Shared {
    pub(super) config: GossipConfig,
    /// What carries the gossip of former programs.
    pub(super) former: Box<dyn Transport>,
    pub(super) wire: Arc<dyn Wire>,
    pub(super) detector: Mutex<Detector>,
    pub(super) facts: Mutex<Facts>,
    pub(super) seeds: Mutex<Vec<String>>,
    pub(super) roster: watch::Sender<Roster>,
    pub(super) rumours: watch::Sender<Rumours>,
    pub(super) stopping: watch::Sender<bool>,
}

impl Shared {
    /// Waits until this kind of gossip, plain or sealed, is not wanted any more.
    pub(super) async fn over(&self, plain: bool) {
        let mut roster = self.roster.subscribe();
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {}
            _ = roster.wait_for(|roster| roster.plain != plain) => {}
        }
    }

    pub(super) fn publish(&self, heard: BTreeMap<NodeId, Heard>) {
        self.rumours.send_if_modified(|known| {
            let changed = **known != heard;
            if changed {
                *known = Arc::new(heard);
            }
            changed
        });
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(super) fn speaks_plain(&self) -> bool {
        self.roster.borrow().plain
    }

    pub(super) async fn bind(&self) -> Result<Arc<dyn Socket>> {
        let listen = self.config.listen;
        self.wire.bind(listen).await.map_err(|error| {
            Error::invalid(format!("cannot gossip at {listen}")).with_source(error)
        })
    }
}

/// The addresses of `name` that a socket bound to `listen` can send to.
pub(super) async fn resolve(name: &str, listen: &SocketAddr) -> Vec<SocketAddr> {
    match tokio::net::lookup_host(name).await {
        Ok(found) => found.filter(|address| address.is_ipv4() == listen.is_ipv4()).collect(),
        Err(error) => {
            tracing::debug!(%name, %error, "cannot resolve");
            Vec::new()
        }
    }
}
