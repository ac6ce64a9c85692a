//! MapReduce: the query grammar, the planner, units of work, the coordinator, the workers.

pub mod workers;

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_kv::Kv;
use mapring_net::{Service, Transport};
use mapring_script::JsonText;
use mapring_types::{Clock, Entropy};

pub use workers::Workers;

/// What a [`MapReduce`] is made of.
#[derive(Clone)]
pub struct Parts {
    /// The key-value store of this node.
    pub kv: Kv,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Where functions run.
    pub workers: Arc<dyn Workers>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Settings.
    pub config: MapredConfig,
}

/// Settings of MapReduce.
#[derive(Debug, Clone)]
pub struct MapredConfig {
    /// A plain answer is kept in memory up to so many bytes, …
    pub answer_memory_bytes: u64,
    /// … then in an unlinked temporary file up to so many, then the query fails.
    pub answer_disk_bytes: u64,
    /// Where that file is made.
    pub spill_dir: std::path::PathBuf,
    /// Most queries that this node coordinates at once; more wait their turn until their timeout.
    pub concurrent_queries: usize,
}

impl Default for MapredConfig {
    fn default() -> Self {
        Self {
            answer_memory_bytes: 16 << 20,
            answer_disk_bytes: 16 << 30,
            spill_dir: std::env::temp_dir(),
            concurrent_queries: 256,
        }
    }
}

/// A parsed query: immutable, cheap to clone.
#[derive(Debug, Clone)]
pub struct Query {}

/// A query that cannot be run as it is written: answered with 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The body.
    pub body: String,
    /// Whether the body is JSON (else plain text).
    pub json: bool,
}

/// A query that failed: answered with 500 and this JSON, or with this JSON appended to a chunked
/// answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The JSON object: `phase`, `error`, `input`, `type`, `stack`, `bucket`, `key`, `node`.
    pub body: String,
}

/// Results of one phase, in the order in which the client is to get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseResults {
    /// The phase, from 0.
    pub phase: usize,
    /// The values, in Riak's JSON (non-ASCII escaped).
    pub values: Vec<JsonText>,
}

/// Kept results as they come. Ends with `None` when the query is complete, or with one failure.
/// Dropping it ends the query on all nodes.
pub type Results = BoxStream<'static, Result<PhaseResults, Failure>>;

/// A whole plain answer: its length is known before the first byte leaves.
pub struct Answer {
    /// Bytes in all.
    pub length: u64,
    /// The body.
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

/// MapReduce on a node. Cheap to clone.
#[derive(Clone)]
pub struct MapReduce {
    inner: Arc<Parts>,
}

impl MapReduce {
    /// Assembles it; starts nothing.
    pub fn new(parts: Parts) -> Self {
        Self { inner: Arc::new(parts) }
    }

    /// What peers call.
    pub fn service(&self) -> Arc<dyn Service> {
        let _ = &self.inner;
        todo!()
    }

    /// Reads the body of a `POST /mapred`.
    ///
    /// # Errors
    /// The 400 text of the reference §6.1.
    pub fn parse(&self, body: &[u8]) -> Result<Query, Rejection> {
        let _ = body;
        todo!()
    }

    /// Starts a query.
    ///
    /// # Errors
    /// A rejection when a phase names a built-in that does not exist.
    pub async fn start(&self, query: Query) -> Result<Results, Rejection> {
        let _ = query;
        todo!()
    }

    /// Runs a query to its end and gives the plain answer of the reference §6.8.
    ///
    /// # Errors
    /// The failure.
    pub async fn collect(&self, query: &Query, results: Results) -> Result<Answer, Failure> {
        let _ = (query, results);
        todo!()
    }
}
