//! The figures of MapReduce for `/metrics` and `/stats`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_kv::window;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// What Riak's statistics tell of queries (fact R240), of this node alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryFigures {
    /// Queries that this node began to coordinate.
    pub begun: window::Counted,
    /// Queries that failed before that.
    pub failed_to_begin: window::Counted,
    /// Queries that it coordinates now.
    pub running: u64,
    /// Units of work that it runs now, for its queries or for others'.
    pub units_in_flight: u64,
}

/// Names and meanings are registered once, when a node is assembled.
pub(crate) fn describe() {
    describe_gauge!("mapring_mapred_queries_running", "Queries that this node coordinates now");
    describe_gauge!("mapring_mapred_queries_waiting", "Queries that wait for their turn");
    describe_counter!(
        "mapring_mapred_queries_total",
        "Queries that this node has begun to coordinate"
    );
    describe_counter!("mapring_mapred_queries_failed_total", "Queries that ended with an error");
    describe_counter!("mapring_mapred_results_total", "Results sent to clients");
    describe_counter!(
        "mapring_mapred_result_bytes_total",
        Unit::Bytes,
        "JSON text of results sent to clients"
    );
    describe_gauge!(
        "mapring_mapred_shuffle_memory_bytes",
        Unit::Bytes,
        "Pairs of grouped reduces that lie in memory here"
    );
    describe_gauge!(
        "mapring_mapred_shuffle_disk_bytes",
        Unit::Bytes,
        "Pairs of grouped reduces that lie in temporary files here"
    );
    describe_gauge!("mapring_mapred_units_in_flight", "Units of work that this node runs now");
    describe_gauge!("mapring_mapred_lanes", "Streams of units of work that this node serves now");
    describe_counter!("mapring_mapred_units_total", "Units of work that this node has begun");
    describe_counter!(
        "mapring_mapred_units_retried_total",
        "Units of work that this node's queries gave to another replica after a failure"
    );
    describe_counter!(
        "mapring_mapred_pages_accepted_total",
        "Pages of units of work that queries accepted"
    );
    describe_counter!(
        "mapring_mapred_pages_stale_total",
        "Pages of older attempts that were dropped"
    );
    describe_counter!("mapring_mapred_inputs_total", "Inputs that map and link phases took");
    describe_counter!(
        "mapring_mapred_inputs_skipped_total",
        "Inputs that queries left out because a function failed for them"
    );
    describe_counter!(
        "mapring_mapred_queries_cancelled_total",
        "Queries that were ended by an operator"
    );
    describe_counter!(
        "mapring_mapred_outputs_total",
        "Objects that queries stored as their outputs"
    );
    describe_counter!(
        "mapring_mapred_writes_total",
        "Objects that functions of queries stored or deleted"
    );
    describe_gauge!(
        "mapring_mapred_oldest_query_seconds",
        Unit::Seconds,
        "How long the oldest query of this node has been under way"
    );
}

/// Counts one thing while it exists.
pub(crate) struct Counted {
    count: Arc<AtomicU64>,
    gauge: &'static str,
}

impl Counted {
    /// Counts one more in `count` and shows it as `gauge`.
    pub(crate) fn new(count: &Arc<AtomicU64>, gauge: &'static str) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        gauge!(gauge).increment(1.0);
        Self { count: count.clone(), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.count.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "{} counts fewer than none", self.gauge);
        gauge!(self.gauge).decrement(1.0);
    }
}

/// Adds to a counter.
pub(crate) fn count(name: &'static str, amount: u64) {
    counter!(name).increment(amount);
}
