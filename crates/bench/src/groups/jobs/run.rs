//! Jobs as they are started and waited for.

use std::time::Duration;

use mapring_client::{Client, JobFilter, Once};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::outcome::Outcome;

pub(super) const GROUP: &str = "jobs";

/// How often a job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a job may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Starts a job, and gives its id.
pub(super) async fn start(client: &Client, document: &str) -> Outcome<String> {
    Ok(client.start_job(document.to_owned(), &Once::No).await?.id)
}

/// What a node tells of a job.
pub(super) async fn shown(client: &Client, id: &str) -> Outcome<Value> {
    Ok(serde_json::from_slice(&client.job_json(id).await?)?)
}

/// Waits until a job has ended, which must be with success.
pub(super) async fn wait(client: &Client, id: &str) -> Outcome {
    let ended = until(client, id, |job| job["active"] == false).await?;
    if ended["result_status"] == "success" {
        return Ok(());
    }
    Err(format!("a job has not succeeded: {ended}").into())
}

/// Waits until a job is as it is to be.
pub(super) async fn until(
    client: &Client,
    id: &str,
    is: impl Fn(&Value) -> bool,
) -> Outcome<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let job = shown(client, id).await?;
        if is(&job) {
            return Ok(job);
        }
        if Instant::now() > deadline {
            return Err(format!("a job takes too long: {job}").into());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until no job is active.
pub(super) async fn none_active(client: &Client) -> Outcome {
    let active =
        JobFilter { count: Some(1), state: Some("active".to_owned()), ..JobFilter::default() };
    let deadline = Instant::now() + PATIENCE;
    while !client.jobs(&active).await?.jobs.is_empty() {
        if Instant::now() > deadline {
            return Err("jobs take too long".into());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// A job that goes on until it is ended.
pub(super) fn endless(members: &str) -> String {
    let map = r#"{"map":{"language":"javascript","source":"function(v) { return []; }"}}"#;
    format!(r#"{{"inputs":{{"range":{{"start":0,"end":1000000000}}}},{members}"query":[{map}]}}"#)
}

/// Waits until a job runs.
pub(super) async fn running(client: &Client, id: &str) -> Outcome {
    until(client, id, |job| job["counters"]["mapper-calls"].as_u64() > Some(0)).await?;
    Ok(())
}
