//! Schedules: jobs that the cluster starts by its clock, each run once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mapring_runner::{Jobs, JobsError, ListRequest};
use mapring_types::{Error, Result};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::history::Moment;
use crate::job_clients::JobClient;
use crate::ledger::Known;
use crate::limits;
use crate::node;
use crate::orders::Order;
use crate::random::Random;
use crate::world::World;

/// What becomes of a run while the one before is active, which is what each schedule is called.
const OVERLAPS: [&str; 4] = ["allow", "skip", "queue", "replace"];

/// The schedules of a run of the simulation.
pub(crate) struct Schedules {
    client: JobClient,
    /// When all of them had been stored.
    stored: Moment,
    /// From when on there were no faults, and all of them were there.
    peace: Moment,
}

impl Schedules {
    /// Stores them, in peace, where there are jobs.
    pub(crate) async fn store(world: &Arc<World>, random: &Random) -> Result<Option<Self>> {
        if world.shape.jobs.is_none() {
            return Ok(None);
        }
        let client = JobClient::new(world.clone(), Arc::default(), random.fork());
        for overlap in OVERLAPS {
            let job = Order::of_schedule(overlap).document;
            let body = json!({"cron": "* * * * *", "overlap": overlap, "job": job}).to_string();
            let put = async |jobs: Jobs| jobs.put_schedule(overlap, body.as_bytes()).await;
            // Answers may be lost.
            while let Err(error) = client.ask(&put).await {
                let JobsError::Node(_) = error else {
                    let message = format!("a schedule is refused in peace: {error}");
                    return Err(Error::internal(message));
                };
            }
        }
        let now = world.trace.now();
        Ok(Some(Self { client, stored: now, peace: now }))
    }

    /// There are no faults any more. Waits until runs that are overdue must have been started, and removes
    /// the schedules.
    pub(crate) async fn remove(&mut self, world: &World) {
        self.peace = world.trace.now();
        sleep(limits::RUNS_OVERDUE).await;
        for overlap in OVERLAPS {
            let remove = async |jobs: Jobs| jobs.remove_schedule(overlap).await;
            // Several answers in a row may be lost.
            let ends = Instant::now() + 3 * limits::CLIENT_PATIENCE;
            loop {
                match self.client.ask(&remove).await {
                    Ok(()) | Err(JobsError::NotFound(..)) => break,
                    Err(error) if Instant::now() >= ends => {
                        let what = format!("the schedule {overlap} stays in peace: {error}");
                        return world.trace.violation(what);
                    }
                    Err(_) => sleep(limits::JOIN_TICK).await,
                }
            }
        }
    }

    /// Checks that each run was started once, and that the jobs are listed.
    pub(crate) async fn check(&self, world: &World) {
        let Some(ledger) = &world.ledger else { return };
        let all = ledger.all();
        for overlap in OVERLAPS {
            let started = runs(&all, overlap);
            world.count(|figures| figures.runs += started.len() as u64);
            for (planned, times) in &started {
                if *times > 1 {
                    let what =
                        format!("the run of {overlap} at {planned} was started {times} times");
                    world.trace.violation(what);
                }
            }
            if world.is_forgiven() {
                continue;
            }
            if overlap == "allow" {
                for planned in self.certain(world).filter(|run| !started.contains_key(run)) {
                    let what = format!("the run of {overlap} at {planned} was not started");
                    world.trace.violation(what);
                }
            }
            let request = ListRequest {
                count: Some(mapring_runner::limits::MOST_LISTED),
                name: Some(overlap.to_owned()),
                ..ListRequest::default()
            };
            let count = started.values().sum::<u64>();
            match self.client.ask(|jobs| async move { jobs.list(request).await }).await {
                Ok(list) if list.jobs.len() as u64 == count => {}
                Ok(list) => {
                    let listed: Vec<_> = list.jobs.iter().map(|job| &job.id).collect();
                    let what = format!("of {overlap} {count} jobs were started: {listed:?}");
                    world.trace.violation(what);
                }
                Err(error) => {
                    world.trace.violation(format!("jobs are not listed in peace: {error}"));
                }
            }
        }
    }

    /// The runs, in milliseconds since 1970, that were due for whatever clock a node has.
    fn certain(&self, world: &World) -> impl Iterator<Item = u64> {
        let start = node::start_micros(&world.shape) / 1_000;
        let wrong = world.shape.bad_clocks;
        let wrong = if wrong { limits::SET_CLOCKS } else { Duration::from_secs(1) };
        let wrong = u64::try_from(wrong.as_millis()).unwrap_or(u64::MAX);
        let from = start + self.stored / 1_000 + wrong;
        let to = (start + self.peace / 1_000).saturating_sub(wrong);
        (0..)
            .map(move |minute| {
                from.next_multiple_of(limits::MINUTE_MS) + minute * limits::MINUTE_MS
            })
            .take_while(move |run| *run < to)
    }
}

/// The runs of a schedule with how often each was started.
fn runs(all: &BTreeMap<String, Known>, schedule: &str) -> BTreeMap<u64, u64> {
    let mut runs = BTreeMap::new();
    for (id, known) in all {
        let run = id.strip_prefix(schedule).and_then(|rest| rest.strip_prefix('.'));
        let digits = run.and_then(|run| run.split(|c: char| !c.is_ascii_digit()).next());
        if let Some(planned) = digits.and_then(|digits| digits.parse().ok()) {
            *runs.entry(planned).or_default() += known.starts;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_by_the_ids_of_their_jobs() {
        let once = Known::started(1);
        let ids = ["skip.60000", "skip.60000-2", "skip.120000", "skipped.60000", "job1"];
        let all = ids.into_iter().map(|id| (id.to_owned(), once.clone())).collect();
        assert_eq!(runs(&all, "skip"), [(60_000, 2), (120_000, 1)].into());
    }
}
