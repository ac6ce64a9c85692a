//! What MapReduce needs of the key-value store, as a trait so that tests can stand in for it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use mapring_kv::{FoldRequest, GetOptions, Kv, OpenObject, Page};
use mapring_ring::{Coverage, Partition};
use mapring_types::{NodeId, Object, ObjectId, Quorum, Record, Result};

/// Reading objects. The methods are those of [`Kv`].
#[async_trait]
pub(crate) trait Objects: Send + Sync + 'static {
    /// A replica of every home partition that has all acknowledged writes, on other nodes than
    /// those in `without`.
    async fn coverage(&self, n_val: u32, without: &BTreeSet<NodeId>) -> Result<Coverage>;

    async fn fold_page(&self, request: FoldRequest) -> Result<Page>;

    async fn read_local(
        &self,
        places: Vec<(Partition, ObjectId)>,
        most_bytes: usize,
    ) -> Result<Vec<Option<Record>>>;

    async fn read_other_primaries(&self, vnode: Partition, id: &ObjectId)
    -> Result<Option<Record>>;

    /// A read of a majority of the replicas.
    async fn read_quorum(&self, id: &ObjectId) -> Result<Option<Object>>;

    /// As [`Objects::read_quorum`], with the bytes of the values to be read piece by piece.
    #[allow(dead_code, reason = "for inputs that lie inside objects")]
    async fn open_body(&self, id: &ObjectId) -> Result<Option<OpenObject>>;
}

#[async_trait]
impl Objects for Kv {
    async fn coverage(&self, n_val: u32, without: &BTreeSet<NodeId>) -> Result<Coverage> {
        self.coverage_without(n_val, without).await
    }

    async fn fold_page(&self, request: FoldRequest) -> Result<Page> {
        self.fold_page(request).await
    }

    async fn read_local(
        &self,
        places: Vec<(Partition, ObjectId)>,
        most_bytes: usize,
    ) -> Result<Vec<Option<Record>>> {
        self.read_local(places, most_bytes).await
    }

    async fn read_other_primaries(
        &self,
        vnode: Partition,
        id: &ObjectId,
    ) -> Result<Option<Record>> {
        self.read_other_primaries(vnode, id).await
    }

    async fn read_quorum(&self, id: &ObjectId) -> Result<Option<Object>> {
        self.get(id, &GetOptions { r: Quorum::Majority, ..GetOptions::default() }).await
    }

    async fn open_body(&self, id: &ObjectId) -> Result<Option<OpenObject>> {
        self.open_body(id, &GetOptions { r: Quorum::Majority, ..GetOptions::default() }).await
    }
}
