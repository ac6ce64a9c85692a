//! Measures mapring against bare parts of itself, and prints a table.
//!
//! It starts nodes and, as what to compare with, an HTTP server that does nothing else ([`bare`]),
//! loads both with `mapring bench`, and runs the engine and the JavaScript runtime in this process
//! over the same data ([`groups`]). What is compared runs in turns, so that the noise of the machine
//! meets both; of several turns the median counts. See docs/performance.md.

mod bare;
mod data;
mod groups;
mod http;
mod machine;
mod nodes;
mod outcome;
mod plan;
mod report;
mod table;
mod tool;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use groups::Group;
use outcome::Outcome;
use plan::Plan;
use report::Report;
use tool::Tool;

/// The allocator of the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures mapring against bare parts of itself, and prints a table in Markdown.
#[derive(Parser)]
#[command(name = "mapring-bench", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// What to measure; everything when nothing is named
    #[arg(value_enum, value_name = "GROUP")]
    groups: Vec<Group>,

    /// The program to measure; the one beside this by default
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// Less data, shorter and fewer turns: three minutes, for a first look
    #[arg(long)]
    quick: bool,

    /// The most objects of the group `flat`
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(10_000..))]
    objects: Option<u64>,

    /// Also write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The JSON of an earlier run, to compare with
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// Also put the table between its two marks in this document
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the bare HTTP server, until standard input ends
    #[command(hide = true)]
    Bare(bare::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // As a node does, else what is compared would have other memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let outcome = match &arguments.command {
        Some(Command::Bare(bare)) => bare::run(bare),
        None => measure(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mapring-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Outcome {
    // Read now: a mistake should not be found after ten minutes.
    let earlier = arguments.against.as_deref().map(Report::read).transpose()?;
    if let Some(document) = &arguments.write {
        table::check(document)?;
    }
    let program = match &arguments.program {
        Some(program) => program.canonicalize()?,
        None => std::env::current_exe()?.with_file_name("mapring"),
    };
    let plan = Plan::new(arguments.quick, arguments.objects);
    let tool = Tool::new(program)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let groups = match arguments.groups.as_slice() {
        [] => Group::all(),
        named => named,
    };
    let report = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            report = groups::run(groups, &plan, &tool) => report,
        }
    })?;
    let text = table::markdown(&report, earlier.as_ref());
    println!("{text}");
    if let Some(file) = &arguments.json {
        std::fs::write(file, report.to_json())?;
    }
    if let Some(document) = &arguments.write {
        table::write(document, &text)?;
    }
    Ok(())
}
