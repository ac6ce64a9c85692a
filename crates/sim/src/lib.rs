//! Whole clusters under simulated time and network, from a seed.
//!
//! Three or five nodes run in one thread: the key-value store and MapReduce as they are, on memory
//! engines (`storage`) that lose unsynced writes in a crash, over the simulated network of
//! `mapring-net` (`partitions`), with liveness by a seeded stand-in for gossip (`gossip`) and native
//! functions (`workers`). A seed decides everything else too: what the cluster is like (`shape`),
//! what the clients do (`writers`, `contended_writers`, `queries`, which ask `questions` about
//! `selections`), and when nodes crash or stand still and links break (`faults`). In half of the seeds
//! nodes run jobs too, which clients have done (`job_clients`, which give `orders`) or schedules start
//! (`schedule_clients`), and pipelines of jobs (`pipeline_clients`, which give `pipeline_orders`), whose ends
//! are told to a `receiver`, while more faults are aimed at who owns them (`job_faults`); nodes keep pairs of
//! jobs in real files then (`pair_files`). In half of the seeds clients update data types
//! (`datatype_clients`). Time is simulated, so that a minute takes a moment and the same seed gives the same
//! run, event for event: [`Report::hash`] tells.
//!
//! What the clients saw is checked: `history`, `siblings` and `datatype_history` by invariants I1 and I5,
//! `plans` by I4, `replicas` and `datatype_checks` by what lies on the disks, `sizes` by I6, `fault_windows`
//! by how long things may take (see `docs/ARCHITECTURE.md`); jobs by what must come of them (`job_book`), by what is left of them
//! (`job_checks`), and by what was decided about who owns them (`ledger`).
//!
//! Reading order: [`run`], then `simulate`, `world`, `writers`, `history`.

mod buckets;
mod contended_writers;
mod copies;
mod datatype_checks;
mod datatype_clients;
mod datatype_history;
mod fault_windows;
mod faults;
mod folds;
mod gossip;
mod history;
mod inline;
mod job_book;
mod job_checks;
mod job_clients;
mod job_faults;
mod job_functions;
mod ledger;
mod limits;
mod membership;
mod node;
mod orders;
mod pair_files;
mod panics;
mod partitions;
mod pipeline_clients;
mod pipeline_orders;
mod plans;
mod queries;
mod questions;
mod random;
mod receiver;
mod replicas;
mod report;
mod schedule_clients;
mod selections;
mod shape;
mod siblings;
mod simulate;
mod sizes;
mod storage;
mod trace;
mod workers;
mod world;
mod writers;

use mapring_types::{Error, Result};

#[cfg(feature = "failpoints")]
pub use mapring_types::failpoint::Failpoint;
pub use random::Random;
pub use report::{Figures, Options, Report};

/// Runs the simulation of a seed to its end.
///
/// # Errors
/// When the simulation itself cannot be run; violations are in the report.
pub fn run(seed: u64, options: Options) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Error::internal("cannot make a runtime").with_source(error))?;
    #[cfg(feature = "failpoints")]
    mapring_types::failpoint::enable(options.failpoint);
    panics::listen();
    let mut report = runtime.block_on(simulate::simulate(seed, options))?;
    report.violations.extend(panics::heard().into_iter().map(|panic| format!("I9: {panic}")));
    Ok(report)
}
