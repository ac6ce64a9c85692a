//! What the interface needs of the node behind it: two small traits, so that the handlers can be
//! tested without a cluster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_cluster::{Change, Outcome, View};
use mapring_kv::{DeleteOptions, GetOptions, Kv, NewValue, Progress, PutOptions};
use mapring_mapred::{Answer, Failure, MapReduce, Query, Rejection, Results};
use mapring_types::{BucketId, NodeId, Object, ObjectId, Result, VersionVector};

use crate::status::Lacking;

/// Objects, listings and properties. Each method is the one of [`Kv`] or of its cluster with the
/// same name.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// See [`mapring_cluster::Cluster::view`].
    fn view(&self) -> Arc<View>;

    /// See [`mapring_cluster::Cluster::propose`].
    async fn propose(&self, change: Change) -> Result<Outcome>;

    /// See [`Kv::holdings`].
    async fn lacking(&self) -> Lacking;

    /// See [`Kv::get`].
    async fn get(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>>;

    /// See [`Kv::put`].
    async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        value: NewValue,
        options: &PutOptions,
    ) -> Result<Object>;

    /// See [`Kv::delete`]: `false` when there was nothing.
    async fn delete(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        options: &DeleteOptions,
    ) -> Result<bool>;

    /// See [`Kv::list_keys`].
    fn list_keys(
        &self,
        bucket: BucketId,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>>;

    /// See [`Kv::list_buckets`].
    fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>>;

    /// See [`Kv::repair`].
    async fn repair(&self, node: NodeId) -> Result<()>;

    /// See [`Kv::repair_status`].
    async fn repair_status(&self, node: NodeId) -> Result<Option<Progress>>;
}

#[async_trait]
impl Objects for Kv {
    fn view(&self) -> Arc<View> {
        self.cluster().view()
    }

    async fn propose(&self, change: Change) -> Result<Outcome> {
        self.cluster().propose(change).await
    }

    async fn lacking(&self) -> Lacking {
        self.holdings().await
    }

    async fn get(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>> {
        Kv::get(self, id, options).await
    }

    async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        value: NewValue,
        options: &PutOptions,
    ) -> Result<Object> {
        Kv::put(self, id, context, value, options).await
    }

    async fn delete(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        options: &DeleteOptions,
    ) -> Result<bool> {
        Kv::delete(self, id, context, options).await
    }

    fn list_keys(
        &self,
        bucket: BucketId,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        Kv::list_keys(self, bucket, timeout)
    }

    fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        Kv::list_buckets(self, bucket_type, timeout)
    }

    async fn repair(&self, node: NodeId) -> Result<()> {
        Kv::repair(self, node).await
    }

    async fn repair_status(&self, node: NodeId) -> Result<Option<Progress>> {
        Kv::repair_status(self, node).await
    }
}

/// Reads queries.
pub trait Queries: Send + Sync + 'static {
    /// Reads the body of a `POST /mapred`; starts nothing.
    ///
    /// # Errors
    /// See [`MapReduce::parse`].
    fn parse(&self, body: &[u8]) -> Result<Box<dyn ParsedQuery>, Rejection>;
}

/// A query that can be run. Dropping a future or a stream of it ends the query.
#[async_trait]
pub trait ParsedQuery: Send {
    /// Starts it and gives its results as they come.
    ///
    /// # Errors
    /// See [`MapReduce::start`].
    async fn stream(self: Box<Self>) -> Result<Results, Rejection>;

    /// Runs it to its end.
    ///
    /// # Errors
    /// See [`MapReduce::start`]; inside, the failure of the query.
    async fn answer(self: Box<Self>) -> Result<Result<Answer, Failure>, Rejection>;
}

struct Planned {
    mapred: MapReduce,
    query: Query,
}

impl Queries for MapReduce {
    fn parse(&self, body: &[u8]) -> Result<Box<dyn ParsedQuery>, Rejection> {
        let query = MapReduce::parse(self, body)?;
        Ok(Box::new(Planned { mapred: self.clone(), query }))
    }
}

#[async_trait]
impl ParsedQuery for Planned {
    async fn stream(self: Box<Self>) -> Result<Results, Rejection> {
        self.mapred.start(self.query).await
    }

    async fn answer(self: Box<Self>) -> Result<Result<Answer, Failure>, Rejection> {
        let results = self.mapred.start(self.query.clone()).await?;
        Ok(self.mapred.collect(&self.query, results).await)
    }
}
