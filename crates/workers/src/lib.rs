//! Where phase functions run: worker processes, one a core or so, and built-ins in this process.
//!
//! [`Workers`] is what MapReduce asks of whoever runs functions, [`ProcessWorkers`] runs them. The
//! program of a worker is in `mapring_script`, which this crate starts, feeds, watches and ends.
//!
//! User code never runs in the node itself (invariant I7), and nothing here grows without bound (I6):
//! see [`limits`].

pub mod limits;

mod config;
mod failure;
mod groups;
mod jail;
mod library;
mod map;
mod native;
mod pairs;
mod parts;
mod pool;
mod process;
mod processes;
mod queue;
mod reduce;
mod stream;
mod terms;
mod worker;
mod workers;

pub use config::ProcessConfig;
pub use jail::SandboxStatus;
pub use process::ProcessWorkers;
pub use terms::{CallTerms, Terms};
pub use workers::{GroupStream, Reduce, Workers};
