//! The store as a job has it: nothing is changed once the job may no longer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_kv::{BodySizes, FoldRequest, OpenObject, Page};
use mapring_ring::{Coverage, Partition};
use mapring_types::{Error, ErrorKind, NodeId, Object, ObjectId, Record, Result};

use crate::job::Control;
use crate::objects::{LargeBody, ObjectWrite, Objects};

/// See the module.
pub(crate) struct Fenced {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) control: Arc<dyn Control>,
}

/// A large body that becomes an object only if the job still may make one.
struct FencedBody {
    body: Box<dyn LargeBody>,
    control: Arc<dyn Control>,
}

/// # Errors
/// `Forbidden`, which no further try makes better.
fn check(control: &dyn Control) -> Result<()> {
    if control.may_store() { Ok(()) } else { Err(refusal()) }
}

/// Why nothing of a job is stored any more.
pub(crate) fn refusal() -> Error {
    let message = "the job may no longer store anything: another node runs it, or it was ended";
    Error::new(ErrorKind::Forbidden, message)
}

#[async_trait]
impl Objects for Fenced {
    async fn coverage(&self, n_val: u32, without: &BTreeSet<NodeId>) -> Result<Coverage> {
        self.objects.coverage(n_val, without).await
    }

    async fn fold_page(&self, request: FoldRequest) -> Result<Page> {
        self.objects.fold_page(request).await
    }

    async fn read_local(
        &self,
        places: Vec<(Partition, ObjectId)>,
        most_bytes: usize,
    ) -> Result<Vec<Option<Record>>> {
        self.objects.read_local(places, most_bytes).await
    }

    async fn read_other_primaries(
        &self,
        vnode: Partition,
        id: &ObjectId,
    ) -> Result<Option<Record>> {
        self.objects.read_other_primaries(vnode, id).await
    }

    async fn read_quorum(&self, id: &ObjectId) -> Result<Option<Object>> {
        self.objects.read_quorum(id).await
    }

    async fn read_all(&self, id: &ObjectId) -> Result<Option<Object>> {
        self.objects.read_all(id).await
    }

    async fn open_body(&self, id: &ObjectId) -> Result<Option<OpenObject>> {
        self.objects.open_body(id).await
    }

    async fn open_body_at_all(&self, id: &ObjectId) -> Result<Option<OpenObject>> {
        self.objects.open_body_at_all(id).await
    }

    fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        self.objects.list_buckets(bucket_type, timeout)
    }

    async fn write(&self, write: &ObjectWrite, timeout: Duration) -> Result<()> {
        check(&*self.control)?;
        self.objects.write(write, timeout).await
    }

    fn body_sizes(&self) -> BodySizes {
        self.objects.body_sizes()
    }

    async fn upload(&self, write: &ObjectWrite) -> Result<Box<dyn LargeBody>> {
        check(&*self.control)?;
        let body = self.objects.upload(write).await?;
        Ok(Box::new(FencedBody { body, control: self.control.clone() }))
    }

    async fn exists(&self, id: &ObjectId) -> Result<bool> {
        self.objects.exists(id).await
    }
}

#[async_trait]
impl LargeBody for FencedBody {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        // Blocks without an object are nobody's, and go with time; many need not be made.
        check(&*self.control)?;
        self.body.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        check(&*self.control)?;
        self.body.finish().await
    }
}
