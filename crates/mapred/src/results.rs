//! What a query gives.

use std::sync::Arc;

use futures::stream::BoxStream;
use mapring_script::Row;

use crate::failure::Failure;
use crate::handle::QueryHandle;

/// Results of one phase, in the order in which the client is to get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseResults {
    /// The phase, from 0.
    pub phase: usize,
    /// Of groups whose partitions are told apart, their partition; else 0.
    pub partition: u32,
    /// The values, in Riak's JSON (non-ASCII escaped).
    pub values: Vec<Row>,
}

impl PhaseResults {
    /// The length of all values.
    pub(crate) fn bytes(&self) -> usize {
        self.values.iter().map(Row::bytes).sum()
    }
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
