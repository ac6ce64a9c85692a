//! What a protocol needs of the node behind it: small traits, so that handlers can be tested
//! without a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_background::Status;
use mapring_cluster::{Change, Chosen, ClusterStatus, MetadataStatus, Outcome, View};
use mapring_datatypes::Update;
use mapring_kv::{
    Body, BodySizes, Census, Counted, DeleteOptions, GetOptions, Hit, Holdings, IndexScan, Kv,
    KvFigures, NewValue, ObjectPart, Progress, PutOptions, StaleReplicas, Upload,
};
use mapring_mapred::{
    Answer, Failure, MapReduce, Query, QueryFigures, QueryHandle, QueryId, QueryList, QueryReport,
    Rejection, Results, Started,
};
use mapring_types::{BucketId, Metadata, NodeId, Object, ObjectId, Result, Sibling, VersionVector};

/// What the store knows of replicas that lack writes.
pub type Stale = (StaleReplicas, BTreeMap<NodeId, Holdings>);

/// Objects, listings and properties. Each method is the one of [`Kv`] or of its cluster with the
/// same name.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// See [`mapring_cluster::Cluster::view`].
    fn view(&self) -> Arc<View>;

    /// See [`mapring_cluster::Cluster::status`].
    fn cluster_status(&self) -> ClusterStatus;

    /// See [`Kv::figures`].
    fn figures(&self) -> KvFigures;

    /// See [`mapring_cluster::Cluster::forget`].
    async fn forget(&self, node: NodeId) -> Result<Outcome>;

    /// See [`mapring_cluster::Cluster::propose`].
    async fn propose(&self, change: Change) -> Result<Outcome>;

    /// See [`mapring_cluster::Cluster::status`].
    fn metadata(&self) -> MetadataStatus;

    /// What goes on in the background of this node.
    fn workers(&self) -> Vec<Status>;

    /// See [`mapring_background::Workers::throttle`].
    fn throttle(&self, worker: &str, throttle: u32) -> Result<Status>;

    /// See [`mapring_cluster::Cluster::choose`].
    async fn choose(&self, node: &str) -> Result<Chosen>;

    /// See [`Kv::holdings`].
    async fn stale(&self) -> Stale;

    /// See [`Kv::get`].
    async fn get(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>>;

    /// See [`Kv::get_part`].
    async fn get_part(
        &self,
        id: &ObjectId,
        options: &GetOptions,
        part: ObjectPart,
    ) -> Result<Option<Object>>;

    /// See [`Kv::body_sizes`].
    fn body_sizes(&self) -> BodySizes;

    /// See [`Kv::body`].
    fn body(&self, sibling: &Sibling) -> Body;

    /// See [`Kv::upload`].
    async fn upload(&self, id: &ObjectId, options: &PutOptions) -> Result<Box<dyn BodyUpload>>;

    /// See [`Kv::put`].
    async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        value: NewValue,
        options: &PutOptions,
    ) -> Result<Object>;

    /// See [`Kv::update`].
    async fn update(&self, id: &ObjectId, update: &Update, options: &PutOptions) -> Result<Object>;

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

    /// See [`Kv::index`].
    fn index(&self, scan: IndexScan) -> BoxStream<'static, Result<Vec<Hit>>>;

    /// See [`Kv::census`].
    fn census(&self, census: Census) -> BoxStream<'static, Result<Counted>>;

    /// See [`Kv::reap`].
    fn reap(&self, id: &ObjectId) -> bool;

    /// See [`Kv::list_buckets`].
    fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>>;

    /// See [`Kv::repair`].
    async fn repair(&self, node: NodeId) -> Result<()>;

    /// See [`Kv::repair_status`].
    async fn repair_status(&self, node: NodeId) -> Result<Progress>;
}

#[async_trait]
impl Objects for Kv {
    fn view(&self) -> Arc<View> {
        self.cluster().view()
    }

    fn cluster_status(&self) -> ClusterStatus {
        self.cluster().status()
    }

    fn figures(&self) -> KvFigures {
        Kv::figures(self)
    }

    async fn forget(&self, node: NodeId) -> Result<Outcome> {
        self.cluster().forget(node).await
    }

    async fn propose(&self, change: Change) -> Result<Outcome> {
        self.cluster().propose(change).await
    }

    fn metadata(&self) -> MetadataStatus {
        self.cluster().status().metadata
    }

    fn workers(&self) -> Vec<Status> {
        Kv::workers(self).list()
    }

    fn throttle(&self, worker: &str, throttle: u32) -> Result<Status> {
        Kv::workers(self).throttle(worker, throttle)
    }

    async fn choose(&self, node: &str) -> Result<Chosen> {
        self.cluster().choose(node).await
    }

    async fn stale(&self) -> Stale {
        self.holdings().await
    }

    async fn get(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>> {
        Kv::get(self, id, options).await
    }

    async fn get_part(
        &self,
        id: &ObjectId,
        options: &GetOptions,
        part: ObjectPart,
    ) -> Result<Option<Object>> {
        Kv::get_part(self, id, options, part).await
    }

    fn body_sizes(&self) -> BodySizes {
        Kv::body_sizes(self)
    }

    fn body(&self, sibling: &Sibling) -> Body {
        Kv::body(self, sibling)
    }

    async fn upload(&self, id: &ObjectId, options: &PutOptions) -> Result<Box<dyn BodyUpload>> {
        Ok(Box::new(Kv::upload(self, id, options).await?))
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

    async fn update(&self, id: &ObjectId, update: &Update, options: &PutOptions) -> Result<Object> {
        Kv::update(self, id, update, options).await
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

    fn index(&self, scan: IndexScan) -> BoxStream<'static, Result<Vec<Hit>>> {
        Kv::index(self, scan)
    }

    fn census(&self, census: Census) -> BoxStream<'static, Result<Counted>> {
        Kv::census(self, census)
    }

    fn reap(&self, id: &ObjectId) -> bool {
        Kv::reap(self, id)
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

    async fn repair_status(&self, node: NodeId) -> Result<Progress> {
        Kv::repair_status(self, node).await
    }
}

/// A large body on its way. The methods are those of [`Upload`].
#[async_trait]
pub trait BodyUpload: Send {
    /// See [`Upload::write`].
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// See [`Upload::finish`].
    async fn finish(
        self: Box<Self>,
        context: Option<VersionVector>,
        metadata: Metadata,
    ) -> Result<Object>;
}

#[async_trait]
impl BodyUpload for Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        Upload::write(self, bytes).await
    }

    async fn finish(
        self: Box<Self>,
        context: Option<VersionVector>,
        metadata: Metadata,
    ) -> Result<Object> {
        Upload::finish(*self, context, metadata).await
    }
}

/// Reads queries, and knows those that run.
#[async_trait]
pub trait Queries: Send + Sync + 'static {
    /// Reads the body of a `POST /mapred`; starts nothing.
    ///
    /// # Errors
    /// See [`Query::parse`].
    fn parse(&self, body: &[u8]) -> Result<Box<dyn ParsedQuery>, Rejection>;

    /// See [`MapReduce::queries`].
    async fn running(&self) -> QueryList;

    /// See [`MapReduce::query`].
    ///
    /// # Errors
    /// Those of [`MapReduce::query`].
    async fn show(&self, id: QueryId) -> Result<Option<QueryReport>>;

    /// See [`MapReduce::end`].
    ///
    /// # Errors
    /// Those of [`MapReduce::end`].
    async fn end(&self, id: QueryId) -> mapring_types::Result<bool>;

    /// See [`MapReduce::answer`].
    ///
    /// # Errors
    /// Those of [`MapReduce::answer`].
    async fn answer(&self, query: &Query, results: Results) -> Result<Answer, Failure>;

    /// See [`MapReduce::figures`].
    fn figures(&self) -> QueryFigures;

    /// See [`MapReduce::finish`].
    fn finish(&self);

    /// See [`MapReduce::end_all`].
    fn end_all(&self) -> usize;
}

/// A query that can be run. Dropping a future or a stream of it ends the query.
#[async_trait]
pub trait ParsedQuery: Send {
    /// Whether the client asks for the plan instead of results.
    fn wants_plan(&self) -> bool;

    /// Whether the client gets a result a line, and nothing else, as they come.
    fn streams_lines(&self) -> bool;

    /// Gives the plan.
    ///
    /// # Errors
    /// See [`MapReduce::explain`].
    async fn explain(self: Box<Self>) -> Result<Result<String, Failure>, Rejection>;

    /// Starts it and gives its results as they come.
    ///
    /// # Errors
    /// See [`MapReduce::start`].
    async fn stream(self: Box<Self>) -> Result<(Results, Arc<dyn Watched>), Rejection>;

    /// Runs it to its end.
    ///
    /// # Errors
    /// See [`MapReduce::start`]; inside, the failure of the query.
    async fn answer(
        self: Box<Self>,
    ) -> Result<(Result<Answer, Failure>, Arc<dyn Watched>), Rejection>;
}

/// What is seen of a query while it runs. The methods are those of [`QueryHandle`].
pub trait Watched: Send + Sync {
    /// The query's id.
    fn id(&self) -> String;
    /// See [`QueryHandle::report`].
    fn report(&self) -> QueryReport;
    /// See [`QueryHandle::skipped_count`].
    fn skipped_count(&self) -> u64;
    /// See [`QueryHandle::take_skipped`].
    fn take_skipped(&self) -> Vec<Failure>;
    /// See [`QueryHandle::profile`]; `None` when the client did not ask for it.
    fn profile(&self) -> Option<String>;
}

impl Watched for QueryHandle {
    fn id(&self) -> String {
        QueryHandle::id(self).to_string()
    }

    fn report(&self) -> QueryReport {
        QueryHandle::report(self)
    }

    fn skipped_count(&self) -> u64 {
        QueryHandle::skipped_count(self)
    }

    fn take_skipped(&self) -> Vec<Failure> {
        QueryHandle::take_skipped(self)
    }

    fn profile(&self) -> Option<String> {
        self.wants_profile().then(|| QueryHandle::profile(self))
    }
}

struct Planned {
    mapred: MapReduce,
    query: Query,
}

#[async_trait]
impl Queries for MapReduce {
    fn parse(&self, body: &[u8]) -> Result<Box<dyn ParsedQuery>, Rejection> {
        let query = Query::parse(body)?;
        Ok(Box::new(Planned { mapred: self.clone(), query }))
    }

    async fn running(&self) -> QueryList {
        self.queries().await
    }

    async fn show(&self, id: QueryId) -> Result<Option<QueryReport>> {
        self.query(id).await
    }

    async fn end(&self, id: QueryId) -> mapring_types::Result<bool> {
        MapReduce::end(self, id).await
    }

    async fn answer(&self, query: &Query, results: Results) -> Result<Answer, Failure> {
        MapReduce::answer(self, query, results).await
    }

    fn figures(&self) -> QueryFigures {
        MapReduce::figures(self)
    }

    fn finish(&self) {
        MapReduce::finish(self);
    }

    fn end_all(&self) -> usize {
        MapReduce::end_all(self)
    }
}

#[async_trait]
impl ParsedQuery for Planned {
    fn wants_plan(&self) -> bool {
        self.query.wants_plan()
    }

    fn streams_lines(&self) -> bool {
        self.query.streams_lines()
    }

    async fn explain(self: Box<Self>) -> Result<Result<String, Failure>, Rejection> {
        self.mapred.explain(&self.query).await
    }

    async fn stream(self: Box<Self>) -> Result<(Results, Arc<dyn Watched>), Rejection> {
        let Started { results, handle } = self.mapred.start(self.query).await?;
        Ok((results, handle))
    }

    async fn answer(
        self: Box<Self>,
    ) -> Result<(Result<Answer, Failure>, Arc<dyn Watched>), Rejection> {
        let started = self.mapred.start(self.query.clone()).await?;
        let handle = started.handle.clone();
        Ok((self.mapred.collect(&self.query, started).await, handle))
    }
}
