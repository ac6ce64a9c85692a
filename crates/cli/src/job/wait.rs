//! Waiting for the end of a job, with its progress.

use clap::Args;
use indicatif::HumanCount;
use mapring_client::Job;
use tokio::time::sleep;

use super::nodes::Clients;
use crate::failure::{Failure, Outcome, print_json};
use crate::limits;
use crate::progress::Progress;

/// The job has failed.
const FAILED: u8 = 3;

/// The job was aborted.
pub(crate) const ABORTED: u8 = 4;

#[derive(Args)]
pub(super) struct Arguments {
    /// The job's id
    id: String,

    #[command(flatten)]
    shown: Shown,
}

/// What is shown meanwhile.
#[derive(Args)]
pub(super) struct Shown {
    /// Show progress on standard error also where that is no terminal, a line whenever it has changed
    #[arg(long)]
    progress: bool,

    /// Show no progress on a terminal
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
}

pub(super) async fn run(arguments: &Arguments, nodes: &Clients, json: bool) -> Outcome {
    until_its_end(&arguments.id, nodes, &arguments.shown, json).await
}

/// Waits for the end of a job. Nodes may go away meanwhile.
pub(super) async fn until_its_end(id: &str, nodes: &Clients, shown: &Shown, json: bool) -> Outcome {
    let mut progress = Progress::new(shown.quiet, shown.progress);
    let ended = unless_interrupted("job", id, follow(id, nodes, &mut progress)).await;
    progress.finish();
    let job = ended?;
    if json {
        let shown = nodes.patiently(async |node| node.job_json(id).await).await?;
        print_json(&shown)?;
    }
    end_of(&job)
}

/// Waits for the end of a job or a pipeline, as it is called, unless whoever waits has enough of that.
pub(crate) async fn unless_interrupted<T>(
    what: &str,
    id: &str,
    ended: impl Future<Output = Outcome<T>>,
) -> Outcome<T> {
    tokio::select! {
        biased;
        ended = ended => ended,
        _ = tokio::signal::ctrl_c() => {
            let words = format!("interrupted; the {what} goes on: mapring {what} wait {id}");
            Err(Failure::failed(words))
        }
    }
}

async fn follow(id: &str, nodes: &Clients, progress: &mut Progress) -> Outcome<Job> {
    loop {
        let job = nodes.patiently(async |node| node.job(id).await).await?;
        if !job.active {
            return Ok(job);
        }
        let (done, of) = share_done(&job);
        progress.tell(done, of, &line(&job));
        sleep(limits::PROGRESS_EVERY).await;
    }
}

/// The exit status of a job that has ended.
fn end_of(job: &Job) -> Outcome {
    let why = job.why().map_or(String::new(), |why| format!(": {why}"));
    match job.result_status.as_deref() {
        Some("success") => Ok(()),
        Some("aborted") => {
            Err(Failure::with_status(ABORTED, format!("the job {} was aborted{why}", job.id)))
        }
        _ => Err(Failure::with_status(FAILED, format!("the job {} has failed{why}", job.id))),
    }
}

/// How much of the shards is done, in thousandths of a shard.
fn share_done(job: &Job) -> (u64, u64) {
    const SHARD: f64 = 1_000.0;
    let done = job.shards.iter().map(|shard| shard.progress.clamp(0.0, 1.0) * SHARD).sum::<f64>();
    let of = job.shard_count.max(job.shards.len() as u64).max(1) * SHARD as u64;
    // At most `of`, as each is at most a shard.
    (done as u64, of)
}

/// One line.
fn line(job: &Job) -> String {
    let mut parts = vec![job.state.clone()];
    for phase in job.phases.iter().filter(|phase| phase.inputs.unwrap_or(0) > 0) {
        let mut part = format!("{} {} in", phase.kind, HumanCount(phase.inputs.unwrap_or(0)));
        if let Some(groups) = phase.groups {
            part.push_str(&format!(", {} groups", HumanCount(groups)));
        }
        parts.push(part);
    }
    if job.shard_count > 0 {
        parts.push(format!("{}/{} shards", job.active_shards, job.shard_count));
    }
    if let Some(rate) = job.rates.get("mapper-calls") {
        parts.push(format!("{:.1}/s", rate.now_per_sec));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use mapring_client::{JobPhase, JobShard, Rate};

    use super::*;

    fn job() -> Job {
        let shard = |progress| JobShard { progress, ..JobShard::default() };
        Job {
            id: "j".into(),
            state: "running".into(),
            shard_count: 4,
            active_shards: 2,
            shards: vec![shard(1.0), shard(0.5)],
            ..Job::default()
        }
    }

    #[test]
    fn progress_is_one_line() {
        let mut job = job();
        assert_eq!(
            (line(&job).as_str(), share_done(&job)),
            ("running, 2/4 shards", (1_500, 4_000))
        );
        job.phases = vec![
            JobPhase { kind: "map".into(), inputs: Some(12_000), ..JobPhase::default() },
            JobPhase {
                kind: "reduce".into(),
                inputs: Some(7),
                groups: Some(3),
                ..JobPhase::default()
            },
        ];
        let rate = Rate { avg_per_sec: 1.0, now_per_sec: 20.04 };
        job.rates = [("mapper-calls".to_owned(), rate)].into();
        let expect = "running, map 12,000 in, reduce 7 in, 3 groups, 2/4 shards, 20.0/s";
        assert_eq!(line(&job), expect);
        assert_eq!(share_done(&Job::default()), (0, 1_000));
    }

    #[test]
    fn the_exit_status_tells_the_end() {
        let ended = |status: &str, error: Option<&str>| {
            let result_status = Some(status.to_owned());
            end_of(&Job { result_status, error: error.map(Into::into), ..job() })
        };
        assert_eq!(ended("success", None), Ok(()));
        let failed = Failure::with_status(FAILED, "the job j has failed: boom");
        assert_eq!(ended("failed", Some("boom")), Err(failed));
        let aborted = Failure::with_status(ABORTED, "the job j was aborted");
        assert_eq!(ended("aborted", None), Err(aborted));
    }
}
