//! `mapring job`: jobs, what can be started by name, and what is started by the clock.

mod io;
mod named;
mod nodes;
mod start;
mod text;
mod wait;

use clap::{Args, Subcommand};
use mapring_client::JobFilter;

use crate::failure::{Outcome, print, print_json, print_line};

pub(crate) use nodes::{Clients, Nodes};
pub(crate) use start::{Started, document, once, tell_started};
pub(crate) use text::{page, time};
pub(crate) use wait::{ABORTED, unless_interrupted};

/// A job outlives the command that starts it, and the node that it is started on.
///
/// Where several nodes are named, the next is asked when one cannot be reached. Commands that wait for
/// the end of a job exit with 0 when it has succeeded, 3 when it has failed, 4 when it was aborted; 1 means
/// that nothing is known of it.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Print what the node says as JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    nodes: Nodes,
}

#[derive(Subcommand)]
enum Command {
    /// Start a job by its document or by name, and print its id
    Start(start::Arguments),
    /// Wait for the end of a job
    Wait(wait::Arguments),
    /// List jobs, the newest first
    List(ListArguments),
    /// Show a job: its phases, counters and shards, and why it failed
    Show(ShowArguments),
    /// Print the results of a job that has succeeded, one a line
    Results(ResultArguments),
    /// Print the inputs that a job left out or failed at, one a line
    Errors(Id),
    /// Print what happens in a job, one a line, until it has ended
    Events(EventArguments),
    /// Have a job end
    Abort(AbortArguments),
    /// Remove a job and what is kept of it; its outputs stay
    #[command(alias = "remove")]
    Rm(RemoveArguments),
    /// List what can be started by name, or change it
    Configs(named::Configs),
    /// List what is started by the clock, or change it
    Schedules(named::Schedules),
}

#[derive(Args)]
pub(crate) struct Id {
    /// The id
    pub(crate) id: String,
}

#[derive(Args)]
struct ShowArguments {
    /// The job's id
    id: String,

    /// Show all shards, not only those that work or have failed
    #[arg(long)]
    shards: bool,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// How many
    #[arg(long, value_name = "N")]
    count: Option<u32>,

    /// Where to go on, as the list before said
    #[arg(long)]
    cursor: Option<String>,

    /// Those alone that are so: active, waiting, running, done, success, failed, aborted …
    #[arg(long)]
    state: Option<String>,

    /// Those of this name alone
    #[arg(long)]
    name: Option<String>,
}

impl ListArguments {
    pub(crate) fn filter(&self) -> JobFilter {
        JobFilter {
            count: self.count,
            cursor: self.cursor.clone(),
            state: self.state.clone(),
            name: self.name.clone(),
        }
    }
}

#[derive(Args)]
struct ResultArguments {
    /// The job's id
    id: String,

    /// Print the phase's number and a tab before each result
    #[arg(long)]
    phases: bool,
}

#[derive(Args)]
struct EventArguments {
    /// The job's id
    id: String,

    /// Begin after this event
    #[arg(long, value_name = "EVENT")]
    after: Option<String>,
}

#[derive(Args)]
pub(crate) struct AbortArguments {
    /// The id
    pub(crate) id: String,

    /// Why; it is kept
    #[arg(long, short)]
    pub(crate) message: Option<String>,
}

#[derive(Args)]
pub(crate) struct RemoveArguments {
    /// The id
    pub(crate) id: String,

    /// Abort it first if it is active
    #[arg(long)]
    pub(crate) abort: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let Arguments { command, json, nodes } = arguments;
    let nodes = nodes.clients()?;
    match command {
        Command::Start(arguments) => start::run(arguments, &nodes, *json).await,
        Command::Wait(arguments) => wait::run(arguments, &nodes, *json).await,
        Command::List(arguments) => list(arguments, &nodes, *json).await,
        Command::Show(ShowArguments { id, shards }) => show(id, *shards, &nodes, *json).await,
        Command::Results(ResultArguments { id, phases }) => io::results(id, *phases, &nodes).await,
        Command::Errors(Id { id }) => errors(id, &nodes, *json).await,
        Command::Events(EventArguments { id, after }) => {
            events(id, after.clone(), &nodes, *json).await
        }
        Command::Abort(AbortArguments { id, message }) => {
            nodes.ask(async |node| node.abort_job(id, message.as_deref()).await).await?;
            print_line(&format!("aborting {id}"))
        }
        Command::Rm(RemoveArguments { id, abort }) => {
            nodes.ask(async |node| node.remove_job(id, *abort).await).await?;
            print_line(&format!("removed {id}"))
        }
        Command::Configs(arguments) => named::configs(arguments, &nodes, *json).await,
        Command::Schedules(arguments) => named::schedules(arguments, &nodes, *json).await,
    }
}

async fn list(arguments: &ListArguments, nodes: &Clients, json: bool) -> Outcome {
    let filter = arguments.filter();
    if json {
        let listed = nodes.ask(async |node| node.jobs_json(&filter).await).await?;
        return print_json(&listed);
    }
    let listed = nodes.ask(async |node| node.jobs(&filter).await).await?;
    print(text::list(&listed).as_bytes())
}

async fn show(id: &str, shards: bool, nodes: &Clients, json: bool) -> Outcome {
    if json {
        let shown = nodes.ask(async |node| node.job_json(id).await).await?;
        return print_json(&shown);
    }
    let job = nodes.ask(async |node| node.job(id).await).await?;
    print(text::job(&job, shards).as_bytes())
}

async fn errors(id: &str, nodes: &Clients, json: bool) -> Outcome {
    let errors = nodes.ask(async |node| node.job_errors_json(id).await).await?;
    if json {
        return print_json(&errors);
    }
    print(text::errors(&errors)?.as_bytes())
}

/// A node that goes away in between is no end: another one tells the rest.
async fn events(id: &str, mut after: Option<String>, nodes: &Clients, json: bool) -> Outcome {
    loop {
        let last = after.clone();
        let mut events =
            nodes.patiently(async |node| node.job_events(id, last.as_deref()).await).await?;
        let mut told = false;
        while let Ok(Some(event)) = events.next().await {
            told = true;
            print_line(&text::event(&event, json))?;
            after = Some(event.id);
        }
        let job = nodes.patiently(async |node| node.job(id).await).await?;
        if !job.active && !told {
            return Ok(());
        }
        if !told {
            tokio::time::sleep(crate::limits::PROGRESS_EVERY).await;
        }
    }
}
