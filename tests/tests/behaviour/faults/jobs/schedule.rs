//! Runs of a schedule while the node that looks after schedules is killed about the time of one, and the
//! node that runs another in its midst: each starts once.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::rig::Rig;
use super::super::wire;
use super::fault::kill;
use super::task::{Kind, Pace, Task};
use super::{LATEST, SLOW_RATE, finish, seen, someone};
use mapring_tests::harness::eventually;

const NAME: &str = "every-minute";

/// A schedule has no shorter steps.
const MINUTE_MS: u64 = 60_000;

/// Runs of the schedule that meet a fault.
const RUNS: u32 = 2;

/// How long before its time the node that is to start a run is killed, at most, or after it.
const BEFORE_MS: u64 = 1_500;
const AFTER_MS: u64 = 500;

/// How far from a boundary a schedule is put and removed.
const AWAY_MS: u64 = 3_000;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

async fn sleep_until(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms.saturating_sub(now_ms()))).await;
}

/// Waits until it is clear which runs have had their time.
async fn away_from_a_boundary() {
    let since = now_ms() % MINUTE_MS;
    let wait = if since > MINUTE_MS - AWAY_MS {
        MINUTE_MS + AWAY_MS - since
    } else {
        AWAY_MS.saturating_sub(since)
    };
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

/// The job of a run.
fn run_of(rig: &Rig, planned_ms: u64) -> Task {
    Task::new(Kind::Map, &format!("{NAME}.{planned_ms}"), Pace::Rate(SLOW_RATE), &rig.model)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_of_a_schedule_starts_once() {
    let mut rig = Rig::start("jobs, a schedule", 3, RUNS).await;
    let schedule = json!({"cron": "* * * * *", "job": run_of(&rig, 0).document});
    let path = format!("/schedules/{NAME}");
    let json = [("Content-Type", "application/json")];
    let put = schedule.to_string();
    away_from_a_boundary().await;
    let put_ms = now_ms();
    let answer = wire::request(rig.address(0), "PUT", &path, &json, put.as_bytes()).await;
    assert_eq!(answer.unwrap_or_default().status, 204);
    while rig.next_run() {
        let planned_ms = (now_ms() / MINUTE_MS + 1) * MINUTE_MS;
        let mut killed = None;
        if rig.run().is_multiple_of(2) {
            sleep_until(planned_ms - BEFORE_MS + rig.random.next() % (BEFORE_MS + AFTER_MS)).await;
            let starter = starter(&rig).await;
            killed = Some(kill(&mut rig, starter).await);
        }
        let victim = killed.and_then(super::fault::Left::victim);
        let through = someone(&mut rig, victim);
        sleep_until(planned_ms).await;
        let task = run_of(&rig, planned_ms);
        let point = task.point(&mut rig.random, LATEST);
        let midst = seen::midst(&rig, through, &task, point).await;
        if let (None, Some(midst)) = (killed, midst) {
            killed = Some(kill(&mut rig, midst.owner).await);
            let through = someone(&mut rig, Some(midst.owner));
            seen::taken(&rig, through, &midst.job, 2).await;
        }
        let victim = killed.and_then(super::fault::Left::victim);
        let through = someone(&mut rig, victim);
        seen::succeeded(&rig, through, &task, &(1..=2)).await;
        if let Some(killed) = killed {
            killed.undo(&mut rig, None);
            rig.count(0);
        }
        rig.recover().await;
    }
    away_from_a_boundary().await;
    let answer = wire::request(rig.address(1), "DELETE", &path, &[], b"").await;
    assert_eq!(answer.unwrap_or_default().status, 204);
    let planned = (put_ms / MINUTE_MS + 1..=now_ms() / MINUTE_MS).map(|minute| minute * MINUTE_MS);
    let expect: Vec<Task> = planned.map(|planned| run_of(&rig, planned)).collect();
    for task in &expect {
        for node in rig.everyone() {
            seen::succeeded(&rig, node, task, &(1..=2)).await;
        }
    }
    each_is_listed_once(&rig, &expect).await;
    super::remove(&mut rig, &expect).await;
    finish(rig).await;
}

/// The node that looks after schedules.
async fn starter(rig: &Rig) -> usize {
    eventually("a node to look after schedules", || async {
        for node in rig.everyone() {
            let workers = rig.cluster.client(node).workers().await.ok()?.workers;
            let of_schedules = workers.iter().find(|worker| worker.name == "schedules")?;
            if of_schedules.status.ends_with("schedules") {
                return Some(node);
            }
        }
        None
    })
    .await
}

/// The jobs of a schedule are these, and no more.
async fn each_is_listed_once(rig: &Rig, expect: &[Task]) {
    let list = seen::told(rig, 2, "/jobs?count=1000").await.unwrap();
    let id = |job: &Value| job["id"].as_str().unwrap().to_owned();
    let mut listed: Vec<String> = list["jobs"].as_array().unwrap().iter().map(id).collect();
    listed.sort_unstable();
    assert_eq!(listed, expect.iter().map(|task| task.id.clone()).collect::<Vec<_>>());
}
