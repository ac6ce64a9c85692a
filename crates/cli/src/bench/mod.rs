//! `mapring bench`: load, and what it costs the servers.
//!
//! Each connection sends its next request when it has the answer to the last one. The figure to
//! compare is the servers' processor time a request ([`usage`]): on a busy machine it is steadier
//! than rates and times, and it does not depend on how fast the load generator is.

mod drive;
mod header;
mod kv;
mod load;
mod mapred;
mod random;
mod report;
mod usage;
mod wire;

use clap::Subcommand;

use crate::failure::Outcome;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read and write objects.
    Kv(kv::Arguments),
    /// Run a query again and again.
    Mapred(mapred::Arguments),
}

pub(crate) async fn run(command: &Command) -> Outcome {
    match command {
        Command::Kv(arguments) => kv::run(arguments).await,
        Command::Mapred(arguments) => mapred::run(arguments).await,
    }
}
