//! What a query gives.

use std::sync::Arc;

use futures::stream::BoxStream;
use mapring_script::Row;

use crate::failure::Failure;
use crate::handle::QueryHandle;
use crate::limits;

/// Results of one phase, in the order in which the client is to get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseResults {
    /// The phase, from 0.
    pub phase: usize,
    /// The values, in Riak's JSON (non-ASCII escaped).
    pub values: Vec<Row>,
    /// Where each belongs, if they are told apart by shards; else empty.
    pub places: Vec<Place>,
}

/// Where a result belongs: the number of its shard in four bytes, and what its order within that follows.
pub type Place = Box<[u8]>;

impl PhaseResults {
    /// Results of a phase, from 0.
    pub fn new(phase: usize, values: Vec<Row>) -> Self {
        Self { phase, values, places: Vec::new() }
    }

    /// What all values take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.values.iter().map(held_bytes).sum()
    }
}

/// What a result takes in memory, about.
pub(crate) fn held_bytes(result: &Row) -> usize {
    result.bytes() + limits::RESULT_PLACE_BYTES
}

/// Kept results as they come. Ends with `None` when the query is complete, or with one failure.
/// Dropping it ends the query on all nodes.
pub type Results = BoxStream<'static, Result<PhaseResults, Failure>>;

/// A query that has been started.
pub struct Started {
    /// Its kept results.
    pub results: Results,
    /// What it has done so far.
    pub handle: Arc<QueryHandle>,
}
