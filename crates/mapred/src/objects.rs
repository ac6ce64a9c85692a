//! What MapReduce needs of the key-value store, as a trait so that tests can stand in for it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_kv::{
    BodySizes, DeleteOptions, FoldRequest, GetOptions, Kv, NewValue, ObjectPart, OpenObject, Page,
    PutOptions, Upload,
};
use mapring_ring::{Coverage, Partition};
use mapring_types::{
    Error, ErrorKind, NodeId, Object, ObjectId, Quorum, Record, Result, VersionVector,
};

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
    async fn open_body(&self, id: &ObjectId) -> Result<Option<OpenObject>>;

    /// As [`Objects::open_body`], after a read of all replicas.
    async fn open_body_at_all(&self, id: &ObjectId) -> Result<Option<OpenObject>>;

    /// As [`Kv::list_buckets`].
    fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>>;

    /// Makes a change.
    ///
    /// # Errors
    /// Those of [`Kv::put`] and [`Kv::delete`]; `Precondition` where there must be nothing and is.
    async fn write(&self, write: &ObjectWrite, timeout: Duration) -> Result<()>;

    /// How large bodies may be. Larger ones than [`BodySizes::whole_bytes`] are written by
    /// [`Objects::upload`].
    fn body_sizes(&self) -> BodySizes;

    /// Begins to make a change to a value whose body comes piece by piece. Nothing is changed before it
    /// is finished, and nothing is left of one that is dropped before.
    ///
    /// # Errors
    /// As [`Objects::write`]; `TooLarge` while a member runs a release that has no such bodies.
    async fn upload(&self, write: &ObjectWrite) -> Result<Box<dyn LargeBody>>;

    /// Whether there is an object that is not deleted.
    async fn exists(&self, id: &ObjectId) -> Result<bool>;
}

/// A large body on its way into the store.
#[async_trait]
pub(crate) trait LargeBody: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Those of [`Upload::write`].
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the change.
    ///
    /// # Errors
    /// As [`Objects::write`].
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// A body that goes into blocks.
struct Uploading {
    kv: Kv,
    write: ObjectWrite,
    /// What was seen where there must be nothing.
    seen: Option<VersionVector>,
    upload: Upload,
}

#[async_trait]
impl LargeBody for Uploading {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.upload.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let Self { kv, write, seen, upload } = *self;
        // It has taken a while: what was written meanwhile is replaced as well.
        let context = if write.only_new { seen } else { context(&kv, &write, None).await? };
        let metadata = write.value.map(|value| value.metadata).unwrap_or_default();
        upload.finish(context, metadata).await.map(drop)
    }
}

/// The clock of what a write replaces, as far as that is to be known.
///
/// # Errors
/// `Precondition` where there must be nothing and is, and as [`Kv::get`].
async fn context(
    kv: &Kv,
    write: &ObjectWrite,
    timeout: Option<Duration>,
) -> Result<Option<VersionVector>> {
    let ObjectWrite { id, only_new, .. } = write;
    let keeps_siblings = kv.cluster().view().props(&id.bucket).is_none_or(|p| p.allow_mult);
    // Where siblings are kept a write replaces only what its writer has seen.
    if !only_new && !keeps_siblings {
        return Ok(None);
    }
    let reading = GetOptions { timeout, ..GetOptions::default() };
    let seen = kv.get_part(id, &reading, ObjectPart::Heads).await?;
    if *only_new && seen.as_ref().is_some_and(|object| !object.is_tombstone()) {
        return Err(Error::new(ErrorKind::Precondition, format!("{id}: it is there already")));
    }
    Ok(seen.map(|object| object.clock))
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

    async fn open_body_at_all(&self, id: &ObjectId) -> Result<Option<OpenObject>> {
        self.open_body(id, &GetOptions { r: Quorum::All, ..GetOptions::default() }).await
    }

    fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        self.list_buckets(bucket_type, timeout)
    }

    async fn write(&self, write: &ObjectWrite, timeout: Duration) -> Result<()> {
        let ObjectWrite { id, value, w, only_new } = write;
        let (w, left) = (*w, Some(timeout));
        let Some(value) = value else {
            let options = DeleteOptions { w, timeout: left, ..DeleteOptions::default() };
            return self.delete(id, None, &options).await.map(drop);
        };
        let context = context(self, write, left).await?;
        let unchanged = only_new.then(|| context.clone().unwrap_or_default());
        let options = PutOptions { w, timeout: left, unchanged, ..PutOptions::default() };
        self.put(id, context, value.clone(), &options).await.map(drop)
    }

    fn body_sizes(&self) -> BodySizes {
        self.body_sizes()
    }

    async fn upload(&self, write: &ObjectWrite) -> Result<Box<dyn LargeBody>> {
        let write = write.clone();
        let seen = if write.only_new { context(self, &write, None).await? } else { None };
        let unchanged = write.only_new.then(|| seen.clone().unwrap_or_default());
        let options = PutOptions { w: write.w, unchanged, ..PutOptions::default() };
        let upload = self.upload(&write.id, &options).await?;
        Ok(Box::new(Uploading { kv: self.clone(), write, seen, upload }))
    }

    async fn exists(&self, id: &ObjectId) -> Result<bool> {
        let reading = GetOptions { r: Quorum::Majority, ..GetOptions::default() };
        let found = self.get_part(id, &reading, ObjectPart::Heads).await?;
        Ok(found.is_some_and(|object| !object.is_tombstone()))
    }
}
