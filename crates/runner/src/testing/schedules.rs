//! Schedules on whole clusters.

use std::time::Duration;

use mapring_cluster::{Change, Cluster as _, JobKind, JobResult};
use mapring_types::NodeId;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::world::{World, map};
use crate::store::Shelf;
use crate::{JobsError, ListRequest, Naming, RunnerConfig, StartRequest};

fn every_minute(job: &str, more: &Value) -> Vec<u8> {
    let mut body = json!({"cron": "* * * * *"});
    body["job"] = serde_json::from_str(job).unwrap();
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    body.to_string().into()
}

/// The ids of all jobs, the oldest first.
async fn jobs(world: &World, at: usize) -> Vec<String> {
    let list = world.jobs(at).list(ListRequest::default()).await.unwrap();
    list.jobs.into_iter().rev().map(|job| job.id).collect()
}

/// The time of a minute in milliseconds: the first begins 40 s after the clock of the world.
fn at(minute: u64) -> u64 {
    1_700_000_040_000 + minute * 60_000
}

fn id(minute: u64) -> String {
    format!("s.{}", at(minute))
}

#[tokio::test(start_paused = true)]
async fn each_run_starts_once_though_nodes_are_lost() {
    let mut world = World::start(5).await;
    world.fill("b", 5).await;
    let body = every_minute(&map("json", "b", ""), &Value::Null);
    assert!(world.jobs(3).put_schedule("s", &body).await.unwrap());
    sleep(Duration::from_secs(60)).await;
    // The node that looks after them goes, and comes back.
    world.kill(0);
    sleep(Duration::from_secs(60)).await;
    world.restart(0).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(jobs(&world, 4).await, [id(0), id(1), id(2)]);
    let shown = world.jobs(4).schedule("s").await.unwrap();
    assert_eq!(shown["next_runs_ms"][0], at(3));
    assert_eq!(shown["next_runs_ms"].as_array().map(Vec::len), Some(10));
    assert_eq!((&shown["name"], &shown["last_error"]), (&json!("s"), &Value::Null));
    for minute in 0..3 {
        assert_eq!(world.ended(4, &id(minute)).await.result_status.as_deref(), Some("success"));
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_both_look_after_them_start_each_run_once() {
    let world = World::start(3).await;
    world.fill("b", 5).await;
    // The second takes the first to be down, which goes on looking after them.
    let second = world.nodes[1].cluster.clone();
    tokio::spawn(async move {
        loop {
            second.set_up([NodeId(2), NodeId(3)]);
            sleep(Duration::from_millis(50)).await;
        }
    });
    let body = every_minute(&map("json", "b", ""), &Value::Null);
    world.jobs(0).put_schedule("s", &body).await.unwrap();
    sleep(Duration::from_secs(130)).await;
    assert_eq!(jobs(&world, 1).await, [id(0), id(1)]);
    assert_eq!(world.jobs(2).schedule("s").await.unwrap()["last_error"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_active_decides_about_the_next() {
    for (overlap, active) in [("skip", vec![0]), ("allow", vec![0, 1, 2]), ("replace", vec![2])] {
        let world = World::with(2, RunnerConfig { concurrent: 9 }).await;
        world.fill("b", 5).await;
        let body = every_minute(&map("hang", "b", ""), &json!({"overlap": overlap}));
        world.jobs(0).put_schedule("s", &body).await.unwrap();
        sleep(Duration::from_secs(170)).await;
        let shown = world.jobs(1).schedule("s").await.unwrap();
        let expect: Vec<_> = active.into_iter().map(id).collect();
        assert_eq!(shown["active_jobs"], json!(expect), "{overlap}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_end_is_decided_holds_up_no_other() {
    let mut world = World::start(3).await;
    world.fill("b", 5).await;
    let body = every_minute(&map("json", "b", ""), &Value::Null);
    world.jobs(0).put_schedule("s", &body).await.unwrap();
    // Its owner is gone, and for some seconds nobody does anything about it.
    world.kill(2);
    let cluster = &world.nodes[0].cluster;
    let start = Change::StartJob {
        id: "s.1".to_owned(),
        kind: JobKind::Job,
        owner: NodeId(3),
        digest: 1,
        now_ms: 1,
        run: None,
        after_epoch: None,
    };
    cluster.propose(start).await.unwrap();
    let shown = world.jobs(0).schedule("s").await.unwrap();
    assert_eq!(shown["active_jobs"], json!(["s.1"]));
    let result = JobResult::Success;
    let decided = Change::DecideJob { id: "s.1".to_owned(), epoch: 1, result };
    cluster.propose(decided).await.unwrap();
    let shown = world.jobs(0).schedule("s").await.unwrap();
    assert_eq!(shown["active_jobs"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn one_is_put_anew_and_removed() {
    let world = World::start(3).await;
    world.fill("b", 5).await;
    let body = every_minute(&map("json", "b", ""), &Value::Null);
    assert!(world.jobs(0).put_schedule("s", &body).await.unwrap());
    sleep(Duration::from_secs(45)).await;
    let hourly = every_minute(&map("json", "b", ""), &json!({"cron": "0 * * * *"}));
    assert!(!world.jobs(1).put_schedule("s", &hourly).await.unwrap());
    sleep(Duration::from_secs(180)).await;
    assert_eq!(jobs(&world, 2).await, [id(0)]);
    assert!(!world.jobs(1).put_schedule("s", &body).await.unwrap());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(jobs(&world, 2).await.len(), 2);
    world.jobs(2).remove_schedule("s").await.unwrap();
    sleep(Duration::from_secs(120)).await;
    assert_eq!(jobs(&world, 2).await.len(), 2);
    assert!(matches!(world.jobs(0).schedule("s").await, Err(JobsError::NotFound(..))));
    assert!(matches!(world.jobs(0).remove_schedule("s").await, Err(JobsError::NotFound(..))));
    assert!(world.kept(Shelf::Schedules).await.is_empty());
    assert!(world.nodes[0].cluster.view().state.schedule_runs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_no_node_would_run_is_refused_when_it_is_put() {
    let world = World::start(1).await;
    let field = |refused: Result<bool, JobsError>| {
        let Err(JobsError::Invalid(invalid)) = refused else { panic!("it is taken") };
        invalid.problems()[0].field.clone()
    };
    let jobs = world.jobs(0);
    let away = json!({"url": "http://10.0.0.1/"});
    let erlang = json!({"map": {"language": "erlang", "module": "m", "function": "zork"}});
    for (job, at) in [
        (json!({"inputs": "b", "query": [], "keep_groups": true}), "job.keep_groups"),
        (json!({"inputs": "b", "query": [], "callback": away}), "job.callback.url"),
        (json!({"inputs": "b", "query": [erlang]}), "job.query[0]"),
    ] {
        let body = every_minute(&job.to_string(), &Value::Null);
        assert_eq!(field(jobs.put_schedule("s", &body).await), at);
        let config = json!({"job": job}).to_string();
        assert_eq!(field(jobs.put_config("daily", config.as_bytes()).await), at);
        let mut later = job.clone();
        later["inputs"] = json!({"$from": "first"});
        let first = json!({"delay_ms": 1});
        let steps = json!({"steps": {"first": first, "a": {"job": later}}});
        let request =
            StartRequest { body: steps.to_string().into(), name: Naming::Id("p".to_owned()) };
        let started = jobs.start_pipeline(request).await.map(|started| started.is_new);
        assert_eq!(field(started), format!("steps.a.{at}"));
    }
    let beside = json!({"callback": away, "job": {"inputs": "b", "query": []}}).to_string();
    assert_eq!(field(jobs.put_config("daily", beside.as_bytes()).await), "callback.url");
    let config = json!({
        "params": [{"name": "n", "type": "integer", "required": true}],
        "job": {"inputs": "b", "query": []}
    });
    jobs.put_config("daily", config.to_string().as_bytes()).await.unwrap();
    for (job, at) in [
        (json!({"config": "daily"}), "job.params.n"),
        (json!({"config": "daily", "params": {"n": 1}, "rate": "x"}), "job.rate"),
        (json!({"config": "daily", "params": {"n": 1}, "callback": away}), "job.callback.url"),
    ] {
        let body = every_minute(&job.to_string(), &Value::Null);
        assert_eq!(field(jobs.put_schedule("s", &body).await), at);
    }
    assert!(world.nodes[0].cluster.view().state.schedule_runs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_is_told_and_keeps_nobody() {
    let world = World::start(1).await;
    world.fill("b", 5).await;
    let refused = world.jobs(0).put_schedule("s", br#"{"cron":"1 2","overlap":"x"}"#).await;
    let Err(JobsError::Invalid(invalid)) = refused else { panic!("it is taken") };
    let mut fields: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["cron", "job", "overlap"], "{invalid}");
    let named = every_minute(r#"{"config":"daily"}"#, &Value::Null);
    assert!(matches!(world.jobs(0).put_schedule("s", &named).await, Err(JobsError::NotFound(..))));
    let config = br#"{"job":{"inputs":"b","query":[]}}"#;
    world.jobs(0).put_config("daily", config).await.unwrap();
    world.jobs(0).put_schedule("s", &named).await.unwrap();
    world.jobs(0).remove_config("daily").await.unwrap();
    sleep(Duration::from_secs(50)).await;
    let shown = world.jobs(0).schedule("s").await.unwrap();
    assert_eq!(shown["last_error"]["planned_ms"], at(0));
    let error = shown["last_error"]["error"].as_str().unwrap();
    assert!(error.contains("there is no job config \"daily\""), "{error}");
    assert_eq!(jobs(&world, 0).await, [""; 0]);
    world.jobs(0).put_config("daily", config).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(jobs(&world, 0).await, [id(1)]);
}
