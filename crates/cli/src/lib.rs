//! The program `mapring`: a node, and the tools around it.
//!
//! It is a library, so that the integration tests can build the same program beside themselves.
//! Each command stands in a file of its own. Errors go to standard error; the exit status is 0 when
//! the command did what it was asked, 1 when it failed, 2 when it was asked wrongly.
//! `mapring cluster status`, and commands that wait for the end of a job, have further ones.

mod allocator;
mod bench;
mod bucket_type;
mod choose;
mod cluster;
mod failure;
mod job;
mod limits;
mod load;
mod mapred;
mod object;
mod pipeline;
mod playground;
mod progress;
mod queries;
mod repair;
mod server;
mod workers;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use failure::{Failure, Outcome};
use mapring_client::Client;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// The C library's allocator is slower under many threads, and in the script workers by half.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A distributed key-value store with MapReduce built in.
#[derive(Parser)]
#[command(name = "mapring", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Server(server::Arguments),
    /// Run a cluster on this machine, to try things out.
    Playground(playground::Arguments),
    /// Store the lines, records or contents of files as objects.
    Load(load::Arguments),
    /// Run a MapReduce query and print its results, one a line, as they come.
    Mapred(mapred::Arguments),
    /// Start jobs, which outlive this command, look at them, end them.
    Job(job::Arguments),
    /// Start pipelines, which are jobs that follow each other, look at them, end them.
    Pipeline(pipeline::Arguments),
    /// List the queries that run, or end one.
    Queries(queries::Arguments),
    /// List what a node does in the background, or slow some of it down.
    Workers(workers::Arguments),
    /// Print an object.
    Get(object::GetArguments),
    /// Store an object.
    Put(object::PutArguments),
    /// Delete an object.
    #[command(alias = "delete")]
    Del(object::DelArguments),
    /// Measure what load costs.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Look at the cluster, or remove a member.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Create and list bucket types.
    #[command(subcommand)]
    BucketType(bucket_type::Command),
    /// Have a node fill itself again from the others, and wait until it has.
    Repair(repair::Arguments),
    /// Succeed if requests to a node can be answered, whatever their keys.
    Ready(cluster::ReadyArguments),
    /// Succeed if a node itself serves, whatever becomes of the others.
    Live(cluster::ReadyArguments),
    /// Run phase functions for a node, which starts this itself.
    #[command(hide = true)]
    ScriptWorker,
}

/// Which node a client command speaks to.
#[derive(Args)]
struct Target {
    /// The node to speak to
    #[arg(
        long,
        env = "MAPRING_URL",
        default_value = "http://127.0.0.1:8098",
        value_name = "http://HOST:PORT",
        global = true
    )]
    url: String,
}

impl Target {
    fn client(&self) -> Outcome<Client> {
        Client::new(&self.url).map_err(|error| Failure::usage(error.to_string()))
    }
}

/// The whole program; gives its exit status.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        // Before any thread is started: it limits its own process first of all.
        Command::ScriptWorker => return worker(),
        Command::Server(arguments) => server::run(&arguments),
        Command::Playground(arguments) => on_one_thread(playground::run(&arguments)),
        Command::Load(arguments) => on_one_thread(load::run(&arguments)),
        Command::Mapred(arguments) => on_one_thread(mapred::run(&arguments)),
        Command::Job(arguments) => on_one_thread(job::run(&arguments)),
        Command::Pipeline(arguments) => on_one_thread(pipeline::run(&arguments)),
        Command::Queries(arguments) => on_one_thread(queries::run(&arguments)),
        Command::Workers(arguments) => on_one_thread(workers::run(&arguments)),
        Command::Get(arguments) => on_one_thread(object::get(&arguments)),
        Command::Put(arguments) => on_one_thread(object::put(&arguments)),
        Command::Del(arguments) => on_one_thread(object::del(&arguments)),
        Command::Bench(command) => on_one_thread(bench::run(&command)),
        Command::Cluster(command) => on_one_thread(cluster::run(&command)),
        Command::BucketType(command) => on_one_thread(bucket_type::run(&command)),
        Command::Repair(arguments) => on_one_thread(repair::run(&arguments)),
        Command::Ready(arguments) => on_one_thread(cluster::ready(&arguments)),
        Command::Live(arguments) => on_one_thread(cluster::live(&arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn worker() -> ExitCode {
    // What whoever started the node had open is not for functions.
    mapring_script::sandbox::close_inherited();
    // A worker that signals can end is a worker all the same.
    let _ = leave_signals_to_the_node();
    let status = mapring_script::worker::main();
    u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Gives the signals that ask processes to end handlers that do nothing. A worker ends with its node:
/// what is sent to all processes of a node, as by a service manager, must not cost the calls that the
/// node still finishes.
fn leave_signals_to_the_node() -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    // The handlers stay when nobody listens any more.
    kinds.into_iter().try_for_each(|kind| signal(kind).map(drop))
}

/// Runs a client command: it waits more than it computes.
fn on_one_thread(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(command);
    // Reading standard input cannot be cancelled; do not wait for it.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
