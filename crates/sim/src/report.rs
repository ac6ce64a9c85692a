//! What a simulation is to do, and what became of it.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "failpoints")]
use mapring_types::failpoint::Failpoint;

/// What a simulation is to do beside running.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Print every event when it happens, messages too.
    pub verbose: bool,
    /// Have every node learn at once what is decided about the cluster.
    pub plans_at_once: bool,
    /// Whether jobs run; `None` where the seed says so, which half of them do.
    pub jobs: Option<bool>,
    /// Whether clients update data types; `None` where the seed says so, which half of them do.
    pub datatypes: Option<bool>,
    /// The failpoint that is enabled in all nodes.
    #[cfg(feature = "failpoints")]
    pub failpoint: Option<Failpoint>,
}

/// What became of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed that gives this run again.
    pub seed: u64,
    /// A hash over all events in order, with their times: equal for equal runs.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// Figures.
    pub figures: Figures,
    /// What was wrong; empty for a good run.
    pub violations: Vec<String>,
    /// What clients did and saw, and the faults, in order, one line each.
    pub history: Vec<String>,
}

/// Counts of what happened, to see that a run was worth anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Writes and deletes that were acknowledged.
    pub writes: u64,
    /// Writes and deletes with another end.
    pub failed_writes: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Reads that failed.
    pub failed_reads: u64,
    /// Updates of data types that were acknowledged.
    pub updates: u64,
    /// Updates of data types with another end.
    pub failed_updates: u64,
    /// Queries that were answered.
    pub queries: u64,
    /// Queries that were answered while a node was down or cut off.
    pub queries_during_faults: u64,
    /// Queries that failed.
    pub failed_queries: u64,
    /// Jobs that were started and have ended.
    pub jobs: u64,
    /// Pipelines that were accepted.
    pub pipelines: u64,
    /// Times when a job was taken over.
    pub takes: u64,
    /// Times when a node was started with the pairs of a query that it had saved.
    pub pairs: u64,
    /// Runs of schedules.
    pub runs: u64,
    /// Coverage plans looked at.
    pub plans: u64,
    /// Times when a node learned late what had been decided about the cluster.
    pub lags: u64,
    /// Nodes that took the place of one that was gone for good.
    pub replacements: u64,
    /// Crashes of a node.
    pub crashes: u64,
    /// Copies of a disk that were put back.
    pub copies: u64,
    /// Times when a node was cut off.
    pub partitions: u64,
    /// Times when a node stood still.
    pub pauses: u64,
    /// Times when messages were lost and late.
    pub storms: u64,
    /// Times when nodes refused to be read.
    pub refusals: u64,
    /// The longest that a read or write took while at most one other node was at fault.
    pub slowest: Duration,
    /// The longest that a query took then, where functions take no time.
    pub slowest_query: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { writes, failed_writes, reads, failed_reads, .. } = self.figures;
        let Figures { queries, queries_during_faults, failed_queries, .. } = self.figures;
        let Figures { plans, crashes, copies, partitions, pauses, storms, refusals, .. } =
            self.figures;
        let Figures { lags, replacements, slowest, slowest_query, .. } = self.figures;
        let Figures { jobs, pipelines, takes, pairs, runs, updates, failed_updates, .. } =
            self.figures;
        write!(
            f,
            "seed {}: hash {:016x}, {} events; {writes} writes (+{failed_writes} failed), {reads} \
             reads (+{failed_reads}), {updates} updates (+{failed_updates}), {queries} queries \
             ({queries_during_faults} during faults, +{failed_queries} failed), {jobs} jobs \
             ({pipelines} pipelines, {takes} taken over, {pairs} times pairs found, {runs} by \
             schedules), {plans} plans, {lags} lags, {replacements} replacements, \
             {crashes} crashes, {copies} copies put back, {partitions} partitions, {pauses} pauses, \
             {storms} storms, {refusals} refusals; slowest {:.1} s, query {:.1} s; {} violations",
            self.seed,
            self.hash,
            self.events,
            slowest.as_secs_f64(),
            slowest_query.as_secs_f64(),
            self.violations.len()
        )
    }
}
