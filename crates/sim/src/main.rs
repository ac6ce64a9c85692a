//! Runs simulations from the command line.

use std::process::ExitCode;

use clap::Parser;
use mapring_sim::{Options, run};

/// Runs whole clusters under simulated time and network, from seeds.
#[derive(Parser)]
#[command(name = "mapring-sim", version)]
struct Arguments {
    /// The first seed; a random one when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run, one after the other.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Run every seed twice, and compare.
    #[arg(long)]
    twice: bool,
    /// More faults, one upon the other, and messages lost by chance.
    #[arg(long)]
    harsh: bool,
    /// Judge queries also by writes made in trouble.
    #[arg(long)]
    strict: bool,
    /// Print every event, messages too.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Small, so that it is easily typed again.
    let first = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut good = true;
    for seed in (0..arguments.runs).map(|number| first.wrapping_add(number)) {
        good &= simulate(seed, &arguments);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one seed and tells what became of it.
fn simulate(seed: u64, arguments: &Arguments) -> bool {
    let Arguments { verbose, harsh, strict, .. } = *arguments;
    let options = Options { verbose, harsh, strict };
    let report = match run(seed, options) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("seed {seed} cannot be run: {error}");
            return false;
        }
    };
    println!("{report}");
    if !report.violations.is_empty() {
        if !arguments.verbose {
            report.history.iter().for_each(|line| println!("{line}"));
        }
        report.violations.iter().for_each(|violation| println!("VIOLATION {violation}"));
        let harsh = if harsh { " --harsh" } else { "" };
        let strict = if strict { " --strict" } else { "" };
        println!("again with: mapring-sim --seed {seed}{harsh}{strict} --verbose");
        return false;
    }
    if arguments.twice {
        let again = run(seed, Options { verbose: false, ..options });
        if again.as_ref().ok() != Some(&report) {
            let hash = again.map(|again| again.hash);
            println!("seed {seed} is not the same twice: {:016x}, then {hash:x?}", report.hash);
            return false;
        }
    }
    true
}
