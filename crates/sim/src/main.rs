//! Runs simulations from the command line.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use clap::Parser;
use mapring_sim::{Options, Report, run};
use mapring_types::Result;

/// Runs whole clusters under simulated time and network, from seeds.
#[derive(Parser)]
#[command(name = "mapring-sim", version)]
struct Arguments {
    /// The first seed; a random one when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run, from the first one on.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// How many seeds to run at once, each in a thread of its own; as many as there are cores when
    /// absent.
    #[arg(long)]
    jobs: Option<u64>,
    /// Run every seed twice, and compare.
    #[arg(long)]
    twice: bool,
    /// Have every node learn at once what is decided about the cluster, instead of late by the seed.
    #[arg(long)]
    plans_at_once: bool,
    /// Have jobs run in every seed, instead of in those that say so: half of them.
    #[arg(long, conflicts_with = "without_jobs")]
    with_jobs: bool,
    /// Have no jobs run.
    #[arg(long)]
    without_jobs: bool,
    /// Have clients update data types in every seed, instead of in those that say so: half of them.
    #[arg(long, conflicts_with = "without_datatypes")]
    with_datatypes: bool,
    /// Have no client update data types.
    #[arg(long)]
    without_datatypes: bool,
    /// Print every event, messages too.
    #[arg(long)]
    verbose: bool,
    /// The failpoint to enable in all nodes.
    #[cfg(feature = "failpoints")]
    #[arg(long, value_parser = failpoint)]
    failpoint: Option<mapring_sim::Failpoint>,
}

/// Reads the name of a failpoint.
#[cfg(feature = "failpoints")]
fn failpoint(name: &str) -> std::result::Result<mapring_sim::Failpoint, String> {
    let found = mapring_sim::Failpoint::ALL.into_iter().find(|failpoint| failpoint.name() == name);
    let names = mapring_sim::Failpoint::ALL.map(mapring_sim::Failpoint::name);
    found.ok_or_else(|| format!("one of {names:?}"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Small, so that it is easily typed again.
    let first = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let bad = simulate_all(first, &arguments);
    if arguments.runs > 1 {
        println!("{} seeds from {first} on, {bad} of them bad", arguments.runs);
    }
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs all seeds, several at once, and tells of them in order. Returns how many are bad.
fn simulate_all(first: u64, arguments: &Arguments) -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    // The events of several runs could not be told apart.
    let at_once = if arguments.verbose { 1 } else { arguments.jobs.unwrap_or(cores) };
    let next = &AtomicU64::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, arguments.runs.max(1)) {
            let sender = sender.clone();
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.runs {
                        return;
                    }
                    let seed = first.wrapping_add(number);
                    let _ = sender.send((number, seed, simulate(seed, arguments)));
                }
            });
        }
        drop(sender);
        let (mut waiting, mut due, mut bad) = (BTreeMap::new(), 0, 0);
        for (number, seed, outcome) in receiver {
            waiting.insert(number, (seed, outcome));
            while let Some((seed, outcome)) = waiting.remove(&due) {
                bad += u64::from(!tell(seed, outcome, arguments));
                due += 1;
            }
        }
        bad
    })
}

/// Most violations of a seed that are told of.
const TOLD: usize = 10;

/// What became of one seed; the second time too, if it was run twice.
type Outcome = Result<(Report, Option<Report>)>;

fn simulate(seed: u64, arguments: &Arguments) -> Outcome {
    let said = |with: bool, without: bool| (with || without).then_some(with);
    let options = |verbose| Options {
        verbose,
        plans_at_once: arguments.plans_at_once,
        jobs: said(arguments.with_jobs, arguments.without_jobs),
        datatypes: said(arguments.with_datatypes, arguments.without_datatypes),
        #[cfg(feature = "failpoints")]
        failpoint: arguments.failpoint,
    };
    let report = run(seed, options(arguments.verbose))?;
    let again = arguments.twice.then(|| run(seed, options(false)));
    Ok((report, again.transpose()?))
}

/// Prints what became of a seed. Returns whether it is good.
fn tell(seed: u64, outcome: Outcome, arguments: &Arguments) -> bool {
    let report = match outcome {
        Ok((report, again)) => {
            if let Some(again) = again.filter(|again| *again != report) {
                let (first, second) = (report.hash, again.hash);
                println!("seed {seed} is not the same twice: {first:016x}, then {second:016x}");
                return false;
            }
            report
        }
        Err(error) => {
            println!("seed {seed} cannot be run: {}", error);
            return false;
        }
    };
    println!("{report}");
    if report.violations.is_empty() {
        return true;
    }
    if !arguments.verbose {
        report.history.iter().for_each(|line| println!("{line}"));
    }
    report.violations.iter().take(TOLD).for_each(|violation| println!("VIOLATION {violation}"));
    let more = report.violations.len().saturating_sub(TOLD);
    if more > 0 {
        println!("… and {more} more");
    }
    println!("again with: mapring-sim --seed {seed} --verbose");
    false
}
