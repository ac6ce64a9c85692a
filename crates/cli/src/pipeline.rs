//! `mapring pipeline`: jobs and other steps that follow each other.

use clap::{Args, Subcommand};
use mapring_client::{PipelineShown, PipelineSummary, StepShown};
use tokio::time::sleep;

use crate::failure::{Failure, Outcome, print, print_json, print_line};
use crate::job::{self, Clients, Nodes, Started};
use crate::limits;

/// A pipeline outlives the command that starts it.
///
/// Commands that wait for its end exit with 0 when it is done, 4 when it was aborted, also because a step
/// has failed.
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
    /// Start a pipeline, and print its id
    Start(StartArguments),
    /// Wait for the end of a pipeline
    Wait(job::Id),
    /// List pipelines, the newest first
    List(job::ListArguments),
    /// Show a pipeline and its steps
    Show(job::Id),
    /// Have a pipeline end, with its jobs
    Abort(job::AbortArguments),
    /// Consent to a step that waits for it
    Approve {
        /// The pipeline's id
        id: String,
        /// The name of the step
        step: String,
    },
    /// Remove a pipeline with its jobs; their outputs stay
    #[command(alias = "remove")]
    Rm(job::RemoveArguments),
}

#[derive(Args)]
struct StartArguments {
    /// The file with the pipeline; - is standard input
    #[arg(value_name = "PIPELINE.json")]
    pipeline: String,

    #[command(flatten)]
    start: Started,
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let Arguments { command, json, nodes } = arguments;
    let nodes = nodes.clients()?;
    match command {
        Command::Start(arguments) => start(arguments, &nodes, *json).await,
        Command::Wait(job::Id { id }) => until_its_end(id, &nodes, *json).await,
        Command::List(arguments) => list(arguments, &nodes, *json).await,
        Command::Show(job::Id { id }) => show(id, &nodes, *json).await,
        Command::Abort(job::AbortArguments { id, message }) => {
            nodes.ask(async |node| node.abort_pipeline(id, message.as_deref()).await).await?;
            print_line(&format!("aborting {id}"))
        }
        Command::Approve { id, step } => {
            nodes.ask(async |node| node.approve_step(id, step).await).await?;
            print_line(&format!("approved {step} of {id}"))
        }
        Command::Rm(job::RemoveArguments { id, abort }) => {
            nodes.ask(async |node| node.remove_pipeline(id, *abort).await).await?;
            print_line(&format!("removed {id}"))
        }
    }
}

async fn start(arguments: &StartArguments, nodes: &Clients, json: bool) -> Outcome {
    let document = job::document(&arguments.pipeline, &[])?;
    let once = job::once(&arguments.start);
    let started = nodes.ask(async |node| node.start_pipeline(document.clone(), &once).await);
    let started = started.await?;
    if !arguments.start.wait {
        return job::tell_started(&started, json);
    }
    if !json {
        print_line(&started.id)?;
    }
    until_its_end(&started.id, nodes, json).await
}

async fn list(arguments: &job::ListArguments, nodes: &Clients, json: bool) -> Outcome {
    let filter = arguments.filter();
    if json {
        let listed = nodes.ask(async |node| node.pipelines_json(&filter).await).await?;
        return print_json(&listed);
    }
    let listed = nodes.ask(async |node| node.pipelines(&filter).await).await?;
    let lines = listed.pipelines.iter().map(summary);
    print(job::page(lines, "pipelines", listed.cursor.as_deref()).as_bytes())
}

async fn show(id: &str, nodes: &Clients, json: bool) -> Outcome {
    if json {
        let shown = nodes.ask(async |node| node.pipeline_json(id).await).await?;
        return print_json(&shown);
    }
    let pipeline = nodes.ask(async |node| node.pipeline(id).await).await?;
    print(text(&pipeline).as_bytes())
}

/// Waits for the end; what changes goes to standard error, a line for each step.
async fn until_its_end(id: &str, nodes: &Clients, json: bool) -> Outcome {
    let pipeline = job::unless_interrupted("pipeline", id, follow(id, nodes)).await?;
    if json {
        let shown = nodes.patiently(async |node| node.pipeline_json(id).await).await?;
        print_json(&shown)?;
    }
    end_of(&pipeline)
}

async fn follow(id: &str, nodes: &Clients) -> Outcome<PipelineShown> {
    let mut told = PipelineShown::default();
    loop {
        let pipeline = nodes.patiently(async |node| node.pipeline(id).await).await?;
        for (name, step) in &pipeline.steps {
            let before = told.steps.get(name).map(|step| step.status.as_str());
            if before.is_some_and(|before| before != step.status) {
                eprint!("{}", step_line(name, step));
            }
        }
        if pipeline.has_ended() {
            return Ok(pipeline);
        }
        told = pipeline;
        sleep(limits::PROGRESS_EVERY).await;
    }
}

fn end_of(pipeline: &PipelineShown) -> Outcome {
    if pipeline.status == "done" {
        return Ok(());
    }
    let why = pipeline.abort_message.as_ref().map_or(String::new(), |why| format!(": {why}"));
    let words = format!("the pipeline {} was aborted{why}", pipeline.id);
    Err(Failure::with_status(job::ABORTED, words))
}

fn summary(pipeline: &PipelineSummary) -> String {
    let PipelineSummary { id, name, status, start_time_ms } = pipeline;
    let name = name.as_deref().unwrap_or("-");
    format!("{id}  {name}  {status}  {}\n", job::time(*start_time_ms))
}

/// A pipeline, and each step in a line.
fn text(pipeline: &PipelineShown) -> String {
    let PipelineShown { id, name, status, abort_message, steps } = pipeline;
    let name = name.as_deref().unwrap_or("-");
    let why = abort_message.as_ref().map_or(String::new(), |why| format!(": {why}"));
    let steps: String = steps.iter().map(|(name, step)| step_line(name, step)).collect();
    format!("{id}  {name}  {status}{why}\n{steps}")
}

fn step_line(name: &str, step: &StepShown) -> String {
    let StepShown { status, current_attempt, max_attempts, .. } = step;
    let mut text = format!("step     {name}: {status}");
    if *current_attempt > 1 {
        text.push_str(&format!(", attempt {current_attempt} of {max_attempts}"));
    }
    if !step.after.is_empty() {
        text.push_str(&format!(", after {}", step.after.join(" and ")));
    }
    if let Some(job) = &step.job_id {
        text.push_str(&format!(", job {job}"));
    }
    for told in [&step.message, &step.last_retry_message].into_iter().flatten() {
        text.push_str(&format!("; {told}"));
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_some_lines() {
        let step = |status: &str| StepShown { status: status.into(), ..StepShown::default() };
        let dedupe = StepShown {
            job_id: Some("j1".into()),
            current_attempt: 2,
            max_attempts: 3,
            last_retry_message: Some("n2 was lost".into()),
            ..step("run")
        };
        let index = StepShown { after: vec!["dedupe".into()], ..step("waiting") };
        let mut pipeline = PipelineShown {
            id: "p".into(),
            name: Some("both".into()),
            status: "run".into(),
            abort_message: None,
            steps: [("dedupe".to_owned(), dedupe), ("index".to_owned(), index)].into(),
        };
        let expect = "p  both  run\n\
            step     dedupe: run, attempt 2 of 3, job j1; n2 was lost\n\
            step     index: waiting, after dedupe\n";
        assert_eq!(text(&pipeline), expect);
        pipeline.status = "aborted".into();
        pipeline.abort_message = Some("enough".into());
        let expect = Failure::with_status(4, "the pipeline p was aborted: enough");
        assert_eq!(end_of(&pipeline), Err(expect));
        pipeline.status = "done".into();
        assert_eq!(end_of(&pipeline), Ok(()));
    }
}
