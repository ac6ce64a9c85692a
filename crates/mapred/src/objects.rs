//! What MapReduce needs of the key-value store, as a trait so that tests can stand in for it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use mapring_kv::{
    DeleteOptions, FoldRequest, GetOptions, Kv, NewValue, ObjectPart, OpenObject, Page, PutOptions,
};
use mapring_ring::{Coverage, Partition};
use mapring_types::{Error, ErrorKind, NodeId, Object, ObjectId, Quorum, Record, Result};

/// A change to an object.
#[derive(Debug, Clone)]
pub(crate) struct ObjectWrite {
    pub(crate) id: ObjectId,
    /// What is stored in place of whatever there is; `None` to delete it.
    pub(crate) value: Option<NewValue>,
    /// Replicas that must take it.
    pub(crate) w: Quorum,
    /// Whether there must be nothing to replace.
    pub(crate) only_new: bool,
}

/// Reading and changing objects. What is not said of the methods is said of those of [`Kv`].
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

    /// A read of all replicas.
    async fn read_all(&self, id: &ObjectId) -> Result<Option<Object>>;

    /// As [`Objects::read_quorum`], with the bytes of the values to be read piece by piece.
    #[allow(dead_code, reason = "for inputs that lie inside objects")]
    async fn open_body(&self, id: &ObjectId) -> Result<Option<OpenObject>>;

    /// Makes a change.
    ///
    /// # Errors
    /// Those of [`Kv::put`] and [`Kv::delete`]; `Precondition` where there must be nothing and is.
    async fn write(&self, write: &ObjectWrite, timeout: Duration) -> Result<()>;

    /// Whether there is an object that is not deleted.
    async fn exists(&self, id: &ObjectId) -> Result<bool>;
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

    async fn read_all(&self, id: &ObjectId) -> Result<Option<Object>> {
        self.get(id, &GetOptions { r: Quorum::All, ..GetOptions::default() }).await
    }

    async fn open_body(&self, id: &ObjectId) -> Result<Option<OpenObject>> {
        self.open_body(id, &GetOptions { r: Quorum::Majority, ..GetOptions::default() }).await
    }

    async fn write(&self, write: &ObjectWrite, timeout: Duration) -> Result<()> {
        let ObjectWrite { id, value, w, only_new } = write;
        let (w, timeout) = (*w, Some(timeout));
        let Some(value) = value else {
            let options = DeleteOptions { w, timeout, ..DeleteOptions::default() };
            return self.delete(id, None, &options).await.map(drop);
        };
        let keeps_siblings = self.cluster().view().props(&id.bucket).is_none_or(|p| p.allow_mult);
        // Where siblings are kept a write replaces only what its writer has seen.
        let seen = if *only_new || keeps_siblings {
            let reading = GetOptions { timeout, ..GetOptions::default() };
            self.get_part(id, &reading, ObjectPart::Heads).await?
        } else {
            None
        };
        if *only_new && seen.as_ref().is_some_and(|object| !object.is_tombstone()) {
            return Err(Error::new(ErrorKind::Precondition, format!("{id}: it is there already")));
        }
        let context = seen.map(|object| object.clock);
        let unchanged = only_new.then(|| context.clone().unwrap_or_default());
        let options = PutOptions { w, timeout, unchanged, ..PutOptions::default() };
        self.put(id, context, value.clone(), &options).await.map(drop)
    }

    async fn exists(&self, id: &ObjectId) -> Result<bool> {
        let reading = GetOptions { r: Quorum::Majority, ..GetOptions::default() };
        let found = self.get_part(id, &reading, ObjectPart::Heads).await?;
        Ok(found.is_some_and(|object| !object.is_tombstone()))
    }
}
