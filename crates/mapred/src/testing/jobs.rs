//! Queries that are run as jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mapring_script::FailureCause;
use mapring_types::{BucketId, ErrorKind, NodeId};
use tokio::time::Instant;

use super::world::{World, gather};
use crate::failure::{Failure, FailureKind};
use crate::job::{Control, JobOptions, Retries};
use crate::results::Started;

fn map(name: &str) -> String {
    format!(r#"[{{"map":{{"language":"javascript","name":"{name}"}}}}]"#)
}

/// Whether anything may be stored, as a test says.
pub(super) struct Gate(AtomicBool);

impl Control for Gate {
    fn may_store(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything may be stored but outputs.
struct NoOutputs;

impl Control for NoOutputs {
    fn may_store(&self) -> bool {
        true
    }

    fn may_write_outputs(&self) -> bool {
        false
    }
}

pub(super) fn gate(open: bool) -> Arc<Gate> {
    Arc::new(Gate(AtomicBool::new(open)))
}

/// Of a job `j1` that may store what it likes.
pub(super) fn options() -> JobOptions {
    JobOptions::new("j1", gate(true))
}

fn full(count: u64) -> World {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), count);
    world
}

#[tokio::test(start_paused = true)]
async fn a_job_takes_its_time_and_tells_its_id() {
    let world = full(100);
    let began = Instant::now();
    let more = r#","timeout":1000"#;
    let Started { results, handle } = world.start_job(0, "\"b\"", &map("slow"), more, options());
    assert_eq!(gather(results).await.unwrap()[&0].len(), 100);
    assert!(began.elapsed() > Duration::from_secs(1));
    assert_eq!(handle.detail().phases[0].state, "done");
    let timeout = Some(Duration::from_millis(2_500));
    let limited = JobOptions { timeout, ..options() };
    let started = world.start_job(0, "\"b\"", &map("hang"), "", limited);
    assert_eq!(gather(started.results).await.unwrap_err().kind, FailureKind::Timeout);
    let started = world.start_job(0, r#"[["b","k1"]]"#, &map("context"), "", options());
    assert_eq!(gather(started.results).await.unwrap()[&0], [r#"["j1",0,1,0]"#]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stored_that_may_not_be() {
    let world = full(50);
    let output = r#","output":{"bucket":"out","layout":"single","name":"all","format":"ndjson"}"#;
    let forbidden = ErrorKind::Forbidden;
    for (name, more, kind) in [
        ("copy", "", FailureKind::Write(forbidden)),
        ("json", output, FailureKind::Node(forbidden)),
    ] {
        let denied = JobOptions::new("j1", gate(false));
        let started = world.start_job(0, "\"b\"", &map(name), more, denied);
        let failure = gather(started.results).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains("may no longer store"), "{failure}");
        assert!(world.store.lock().written.is_empty());
    }
    let none = JobOptions::new("j1", Arc::new(NoOutputs));
    let started = world.start_job(0, "\"b\"", &map("json"), output, none);
    let failure = gather(started.results).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Node(forbidden), "{failure}");
    assert!(world.store.lock().written.is_empty());
    let started = world.start_job(0, "\"b\"", &map("copy"), "", options());
    gather(started.results).await.unwrap();
    assert_eq!(world.stored("copies").len(), 50);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_also_of_named_inputs() {
    let keys: Vec<String> = (0..60).map(|number| format!(r#"["b","k{number}"]"#)).collect();
    for inputs in ["\"b\"".to_owned(), format!("[{}]", keys.join(","))] {
        let world = full(60);
        let (network, lost) = (world.network.clone(), AtomicBool::new(false));
        *world.watch.hook.lock() = Some(Box::new(move |mapped| {
            if mapped > 10 && !lost.swap(true, Ordering::Relaxed) {
                network.disconnect(NodeId(2));
            }
        }));
        let started = world.start_job(0, &inputs, &map("context"), "", options());
        let found = gather(started.results).await.unwrap();
        let attempts = |attempt: &str| {
            let of = |row: &&String| row.split(',').nth(2) == Some(attempt);
            found[&0].iter().filter(of).count()
        };
        assert_eq!(found[&0].len(), 60);
        assert!(attempts("1") > 0 && attempts("2") > 0, "{inputs}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_shows_its_shards() {
    let world = full(100);
    let sources = r#"{"range":{"start":0,"end":500}}"#;
    for (inputs, count) in [("\"b\"", 100), (sources, 500), (r#"[["b","k1"],["b","k2"]]"#, 2)] {
        let name = if inputs == sources { "one" } else { "json" };
        let Started { results, handle } = world.start_job(1, inputs, &map(name), "", options());
        gather(results).await.unwrap();
        let detail = handle.detail();
        assert_eq!(detail.shards.iter().map(|shard| shard.inputs).sum::<u64>(), count, "{inputs}");
        assert_eq!(detail.shards_known, detail.shards.len() as u64);
        assert_eq!((detail.shards_active, detail.phases[0].inputs), (0, count));
        assert!(detail.last_node.is_some() && detail.last_input.is_some(), "{detail:?}");
        let shard = detail.shards.iter().find(|shard| shard.inputs > 0).unwrap();
        assert_eq!((shard.state.as_str(), shard.attempt), ("done", 1));
        assert!(shard.node.is_some() && shard.slice > 0, "{shard:?}");
        assert_eq!(detail.counters["mapper-calls"].count, i64::try_from(count).unwrap());
    }
    let group = r#"[{"map":{"language":"javascript","name":"remainder"}},
                    {"reduce":{"language":"javascript","name":"sum","group":true}}]"#;
    let Started { results, handle } = world.start_job(1, "\"b\"", group, "", options());
    gather(results).await.unwrap();
    let detail = handle.detail();
    let kinds: Vec<_> =
        detail.phases.iter().map(|phase| (phase.kind.as_str(), phase.group)).collect();
    assert_eq!(kinds, [("map", false), ("gather", false), ("reduce", true)]);
    assert!(detail.phases.iter().all(|phase| phase.state == "done"), "{:?}", detail.phases);
    let groups = detail.shards.iter().filter(|shard| shard.phase == 1);
    assert_eq!(groups.map(|shard| shard.inputs).sum::<u64>(), 10);
    // Other queries show their phases, and no more.
    let started =
        world.engines[0].start(crate::Query::parse(br#"{"inputs":"b","query":[]}"#).unwrap());
    let Started { results, handle } = started.unwrap();
    gather(results).await.unwrap();
    assert_eq!((handle.detail().shards_known, handle.detail().phases[0].inputs), (0, 100));
}

/// The inputs of a job, and how many there are.
pub(super) fn many(inputs: &str, count: u64) -> String {
    match inputs {
        "listed" => {
            let keys: Vec<String> =
                (0..count).map(|number| format!(r#"["b","k{number}"]"#)).collect();
            format!("[{}]", keys.join(","))
        }
        "made" => format!(r#"{{"range":{{"start":0,"end":{count}}}}}"#),
        _ => "\"b\"".to_owned(),
    }
}

#[expect(clippy::cast_precision_loss)]
#[tokio::test(start_paused = true)]
async fn a_job_goes_as_fast_as_it_may() {
    for (rate, count) in [(0.5, 12), (20.0, 100), (900.0, 4_500), (20_000.0, 60_000)] {
        for inputs in ["found", "listed", "made"] {
            if count > 10_000 && inputs != "made" {
                continue;
            }
            let world = World::new();
            if inputs != "made" {
                world.fill(&BucketId::untyped("b"), count);
            }
            let began = Instant::now();
            // What is given out at once, or in the moment that the clock does not tell apart.
            let ahead = 2.0 + rate * 0.11;
            *world.watch.hook.lock() = Some(Box::new(move |mapped| {
                let may = rate * began.elapsed().as_secs_f64() + ahead;
                assert!(mapped as f64 <= may, "{mapped} inputs of {may} at {rate}");
            }));
            let paced = JobOptions { rate: Some(rate), ..options() };
            let started = world.start_job(1, &many(inputs, count), &map("one"), "", paced);
            let found = gather(started.results).await.unwrap();
            assert_eq!(found[&0].len() as u64, count);
            let (took, expect) = (began.elapsed().as_secs_f64(), count as f64 / rate);
            let slack = (1.0 / rate).max(0.1);
            let fits = (expect * 0.95 - slack..=expect * 1.05 + slack).contains(&took);
            assert!(fits, "{took} s for {expect} at {rate} of what is {inputs}");
        }
    }
}

#[expect(clippy::cast_precision_loss)]
#[tokio::test(start_paused = true)]
async fn a_job_that_groups_goes_as_fast_as_it_may() {
    let query = r#"[{"map":{"language":"javascript","name":"remainder"}},
                    {"reduce":{"language":"javascript","name":"sum","group":true}}]"#;
    for (rate, count) in [(2.0, 200), (50.0, 2_000)] {
        let world = full(count);
        let began = Instant::now();
        let paced = JobOptions { rate: Some(rate), ..options() };
        let started = world.start_job(0, "\"b\"", query, "", paced);
        assert_eq!(gather(started.results).await.unwrap()[&1].len(), 10);
        let (took, expect) = (began.elapsed().as_secs_f64(), count as f64 / rate);
        assert!((expect * 0.95..expect * 1.05).contains(&took), "{took} s for {expect} at {rate}");
    }
}

#[expect(clippy::cast_precision_loss)]
#[tokio::test(start_paused = true)]
async fn what_is_lost_does_not_count_against_the_rate() {
    let world = full(600);
    let (network, lost) = (world.network.clone(), AtomicBool::new(false));
    *world.watch.hook.lock() = Some(Box::new(move |mapped| {
        if mapped > 100 && !lost.swap(true, Ordering::Relaxed) {
            network.disconnect(NodeId(3));
        }
    }));
    let began = Instant::now();
    let paced = JobOptions { rate: Some(20.0), ..options() };
    let started = world.start_job(0, "\"b\"", &map("one"), "", paced);
    assert_eq!(gather(started.results).await.unwrap()[&0].len(), 600);
    let took = began.elapsed().as_millis() as f64 / 1_000.0;
    assert!((29.0..31.6).contains(&took), "{took}");
}

/// Runs a job whose function fails so often, and gives what came of it, when, and how often its shards were
/// begun.
async fn fails(
    name: &str,
    inputs: &str,
    times: u64,
    retries: Retries,
) -> (Result<usize, Failure>, Duration, u32) {
    let world = full(100);
    world.watch.flaky.store(times, Ordering::Relaxed);
    let began = Instant::now();
    let options = JobOptions { retries, ..options() };
    let query = match name {
        "reduce" => r#"[{"map":{"language":"javascript","name":"remainder"}},
                {"reduce":{"language":"javascript","name":"flaky","group":true}}]"#
            .to_owned(),
        name => map(name),
    };
    let Started { results, handle } = world.start_job(0, &many(inputs, 100), &query, "", options);
    let found = gather(results).await.map(|found| found.into_values().map(|rows| rows.len()).sum());
    let detail = handle.detail();
    if found.is_ok() {
        assert_eq!(detail.counters["mapper-calls"].count, 100, "{name} {inputs} {times}");
    }
    if let Err(failure) = &found {
        let broken = detail.shards.iter().find(|shard| shard.state == "failed").unwrap();
        assert!(broken.last_error.as_ref().unwrap().starts_with(&failure.message), "{broken:?}");
    }
    let attempts = detail.shards.iter().map(|shard| shard.attempt).max().unwrap();
    (found, began.elapsed(), attempts)
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_with_pauses() {
    let retries = Retries { shard: 2, slice: 3, backoff: Duration::from_secs(1) };
    for (name, inputs) in [
        ("flaky", "found"),
        ("flaky", "listed"),
        ("asks", "found"),
        ("asks", "listed"),
        ("reduce", "found"),
    ] {
        let count = if name == "reduce" { 10 } else { 100 };
        for (times, seconds) in [(0, 0), (1, 1), (2, 3), (3, 7), (5, 10)] {
            // Each partition of groups is a shard of its own.
            if name == "reduce" && times > 1 {
                continue;
            }
            let (found, took, attempts) = fails(name, inputs, times, retries).await;
            assert_eq!(found.unwrap(), count, "{name} {inputs} {times}");
            assert_eq!(
                (took.as_secs(), u64::from(attempts)),
                (seconds, times + 1),
                "{name} {inputs}"
            );
        }
        let (found, ..) = fails(name, inputs, 100, retries).await;
        let failure = found.unwrap_err();
        assert!(failure.message.starts_with("not yet"), "{failure}");
        let once = Retries { shard: 1, slice: 1, ..retries };
        let (found, took, _) = fails(name, inputs, 1, once).await;
        assert!(found.is_err() && took.as_secs() == 0, "{name} {inputs}");
    }
    let (found, took, attempts) = fails("fatal", "found", 0, retries).await;
    assert_eq!(found.unwrap_err().kind, FailureKind::Function(FailureCause::Failed));
    assert_eq!((took.as_secs(), attempts), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn inputs_are_left_out_of_jobs_too() {
    let world = full(100);
    let more = r#","on_error":{"mode":"skip"}"#;
    let Started { results, handle } = world.start_job(0, "\"b\"", &map("throw"), more, options());
    assert_eq!(gather(results).await.unwrap()[&0].len(), 99);
    assert_eq!((handle.skipped_count(), handle.take_skipped().len()), (1, 1));
    // A function that asks for another attempt gets it.
    world.watch.flaky.store(2, Ordering::Relaxed);
    let Started { results, handle } = world.start_job(0, "\"b\"", &map("asks"), more, options());
    assert_eq!(gather(results).await.unwrap()[&0].len(), 100);
    assert_eq!(handle.skipped_count(), 0);
}
