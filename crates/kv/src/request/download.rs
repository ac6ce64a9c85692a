//! Reading the blocks of large bodies.
//!
//! A block never changes, so any replica that has it will do: one is asked, and only where that one
//! lacks it or fails a read of all of them, which repairs those that lack it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::Class;
use mapring_ring::PreferenceEntry;
use mapring_types::{Blocks, Error, NodeId, Object, ObjectId, Result};

use crate::blocks;
use crate::body::BlockSource;
use crate::limits;
use crate::request::get;
use crate::request::options::GetOptions;
use crate::request::requests::Requests;

/// Reads blocks from their replicas.
pub(crate) struct BlockReader(pub(crate) Arc<Requests>);

#[async_trait]
impl BlockSource for BlockReader {
    async fn block(&self, blocks: &Blocks, number: u64) -> Result<Bytes> {
        self.0.node.running()?;
        let id = blocks::id(blocks, number);
        let found = match self.nearest(blocks, &id).await {
            Some(found) => Some(found),
            None => get::get(&self.0, &id, &GetOptions::default()).await?,
        };
        let value = found.and_then(|object| object.siblings.into_iter().next());
        let missing = || Error::corrupt(format!("block {number} of a body is on no replica"));
        value.map(|value| value.body).ok_or_else(missing)
    }
}

impl BlockReader {
    /// What the replica that is asked first has; `None` also where it fails.
    async fn nearest(&self, blocks: &Blocks, id: &ObjectId) -> Option<Object> {
        let (node, peers) = (&self.0.node, &self.0.peers);
        let suspects = peers.suspicion.suspects();
        let entries = node.entries(id, blocks.n_val, &BTreeSet::new());
        let rank = |entry: &&_| rank(entry, node.me, &suspects);
        let entry = *entries.iter().min_by_key(rank)?;
        let block = usize::try_from(blocks.block_bytes).unwrap_or(usize::MAX);
        let patience = limits::REPLICA_PATIENCE + limits::transfer(block);
        let read = self.0.read_at(entry, id.clone(), Class::Foreground, patience).await;
        if let Err(error) = &read {
            tracing::debug!(%id, node = %entry.node, %error, "a block is read elsewhere");
        }
        read.ok().flatten()
    }
}

/// This node's own replica first, then those of nodes that have not just kept somebody waiting.
fn rank(entry: &PreferenceEntry, me: NodeId, suspects: &BTreeSet<NodeId>) -> (bool, bool, bool) {
    (!entry.primary, entry.node != me, suspects.contains(&entry.node))
}
