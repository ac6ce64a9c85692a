//! Pipelines as they are driven, by hands that only pretend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mapring_cluster::JobResult;
use mapring_jobs::{Pipeline, Status};
use mapring_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::advance::Running;
use super::drive::{Hands, JobEnd, drive};
use super::plan::Plan;
use super::progress::Progress;
use crate::error::JobsError;
use crate::functions::{CallFailure, Called};
use crate::store;

/// Hands that do at once what they are told to pretend.
struct Pretended {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How jobs end, by their ids: those that are not here succeed, with their ids as what they gave.
    ends: BTreeMap<String, JobEnd>,
    /// Jobs that do not end.
    endless: BTreeSet<String>,
    /// Jobs of which what is kept is damaged.
    damaged: BTreeSet<String>,
    /// Why starts are refused, in turn.
    refusals: Vec<JobsError>,
    approved: BTreeSet<String>,
    /// Everything that was asked for.
    asked: Vec<String>,
    saved: Option<Progress>,
    /// More bytes are not stored, where there is a bound.
    most: Option<usize>,
}

#[async_trait]
impl Hands for Pretended {
    async fn start_job(&self, id: &str, document: &Value) -> Result<(), JobsError> {
        let mut state = self.state.lock();
        if let Some(refusal) = state.refusals.pop() {
            return Err(refusal);
        }
        state.asked.push(format!("start {id} of {}", document["inputs"]));
        Ok(())
    }

    async fn end_of_job(&self, id: &str) -> Result<Option<JobEnd>> {
        loop {
            {
                let state = self.state.lock();
                if state.damaged.contains(id) {
                    return Err(Error::corrupt("its record is cut off"));
                }
                if !state.endless.contains(id) {
                    let usual = ended(JobResult::Success, Ok(json!([["out", id]])));
                    return Ok(Some(state.ends.get(id).cloned().unwrap_or(usual)));
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn abort_job(&self, id: &str, message: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.asked.push(format!("abort {id}: {message}"));
        state.endless.remove(id);
        Ok(())
    }

    /// A function is what it returns, with places for what was given; or why it fails.
    async fn call(&self, code: &Value, given: &Value) -> Result<Called, CallFailure> {
        self.state.lock().asked.push(format!("call with {given}"));
        let source = code["source"].as_str().unwrap_or_default();
        if let Some(why) = source.strip_prefix("throw ") {
            return Err(CallFailure::Function(why.to_owned()));
        }
        let value = serde_json::from_str(source).unwrap();
        Ok(Called { value, status: json!({"message": "said", "links": {"log": "/x"}}) })
    }

    async fn is_approved(&self, _pipeline: &str, step: &str) -> Result<bool> {
        Ok(self.state.lock().approved.contains(step))
    }

    async fn save(&self, progress: &Progress) -> Result<()> {
        // As it comes back from the store.
        let stored = store::to_json(progress)?;
        let read = mapring_types::Versioned::decode(&stored)?;
        assert_eq!(&read, progress);
        let mut state = self.state.lock();
        if state.most.is_some_and(|most| stored.len() > most) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "it has more bytes than an object may have",
            ));
        }
        state.saved = Some(read);
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }
}

fn ended(result: JobResult, given: Result<Value, String>) -> JobEnd {
    let counters = json!({"mapper-calls": 4});
    JobEnd { result, given, counters, error: "it broke".to_owned() }
}

fn hands() -> Arc<Pretended> {
    Arc::new(Pretended { began: Instant::now(), state: Mutex::default() })
}

fn running(document: &Value) -> Running {
    let pipeline = Pipeline::parse(document.to_string().as_bytes()).unwrap();
    Running::new(Progress::new("p", &pipeline, 7, 0))
}

/// Drives a pipeline to its end.
async fn to_end(hands: &Arc<Pretended>, running: &mut Running) {
    let doing: Arc<dyn Hands> = hands.clone();
    drive(running, &doing, std::future::pending()).await;
    running.end(hands.now_ms());
}

fn job(inputs: Value) -> Value {
    json!({"job": {"inputs": inputs, "query": []}})
}

fn script(returns: &Value) -> Value {
    json!({"script": {"source": returns.to_string()}})
}

fn tree(running: &Running) -> Value {
    running.progress.tree(&Plan::of(&running.progress).unwrap())
}

#[tokio::test(start_paused = true)]
async fn steps_follow_each_other_and_pass_on_what_they_gave() {
    let hands = hands();
    let mut running = running(&json!({"name": "two", "steps": {
        "index": job(json!({"lines": {"$from": "dedupe"}})),
        "dedupe": job(json!("b")),
        "count": {"script": {"source": "7", "arg": {"$from": "index.counters.mapper-calls"}},
            "after": ["dedupe"]}
    }}));
    hands.state.lock().endless.insert("p.dedupe.1".to_owned());
    let doing: Arc<dyn Hands> = hands.clone();
    let driven = drive(&mut running, &doing, std::future::pending());
    assert!(timeout(Duration::from_secs(3), driven).await.is_err());
    let shown = tree(&running);
    let status = |step: &str| shown["steps"][step]["status"].as_str().unwrap().to_owned();
    assert_eq!([status("dedupe"), status("index"), status("count")], ["run", "waiting", "waiting"]);
    assert_eq!(shown["steps"]["index"]["outputs"], json!({"default": {"status": "waiting"}}));
    hands.state.lock().endless.clear();
    sleep(Duration::from_secs(2)).await;

    to_end(&hands, &mut running).await;
    let asked = hands.state.lock().asked.clone();
    let expect = [
        "start p.dedupe.1 of \"b\"",
        // Begun again, it is the same job.
        "start p.dedupe.1 of \"b\"",
        "start p.index.1 of {\"lines\":[[\"out\",\"p.dedupe.1\"]]}",
        "call with {\"dedupe\":[[\"out\",\"p.dedupe.1\"]],\"index\":[[\"out\",\"p.index.1\"]]}",
    ];
    assert_eq!(asked, expect);
    let shown = tree(&running);
    assert_eq!((&shown["status"], &shown["result_status"]), (&json!("done"), &json!("success")));
    let index = &shown["steps"]["index"];
    assert_eq!(index["after"], json!(["dedupe"]));
    assert_eq!(index["job_id"], "p.index.1");
    let default = json!({"status": "filled", "value": [["out", "p.index.1"]]});
    assert_eq!(index["outputs"]["default"], default);
    assert_eq!(index["outputs"]["result_status"]["value"], "success");
    let dedupe = &shown["steps"]["dedupe"];
    assert!(index["start_time_ms"].as_u64() >= dedupe["end_time_ms"].as_u64());
    let count = &shown["steps"]["count"];
    assert_eq!((&count["message"], &count["links"]), (&json!("said"), &json!({"log": "/x"})));
    assert_eq!(running.result(), JobResult::Success);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_made_with_growing_pauses() {
    let hands = hands();
    let failed = ended(JobResult::Failed, Ok(Value::Null));
    for attempt in 1..=2 {
        hands.state.lock().ends.insert(format!("p.a.{attempt}"), failed.clone());
    }
    let mut running = running(&json!({"steps": {"a": job(json!("b"))}}));
    to_end(&hands, &mut running).await;
    assert_eq!(hands.now_ms(), 45_000, "15 s, then 30 s");
    let shown = tree(&running)["steps"]["a"].clone();
    let expect = json!("the job p.a.2 failed: it broke");
    assert_eq!((&shown["current_attempt"], &shown["last_retry_message"]), (&json!(3), &expect));
    assert_eq!(shown["job_id"], "p.a.3");
    assert_eq!(running.progress.jobs(), ["p.a.1", "p.a.2", "p.a.3"]);
    assert_eq!(running.result(), JobResult::Success);
}

/// A pipeline whose step `a` ends it, and whose step `long` runs meanwhile.
async fn check_end(a: Value, prepare: impl FnOnce(&mut State), result: JobResult, said: &str) {
    let hands = hands();
    hands.state.lock().endless.insert("p.long.1".to_owned());
    prepare(&mut hands.state.lock());
    let mut running = running(&json!({
        "retries": {"max_attempts": 2, "backoff_ms": 10},
        "steps": {"long": job(json!("b")), "a": a, "never": {"delay_ms": 5, "after": ["a"]}}
    }));
    to_end(&hands, &mut running).await;
    assert_eq!(running.result(), result);
    let shown = tree(&running);
    assert_eq!(shown["status"], "aborted");
    let message = shown["abort_message"].as_str().unwrap();
    assert!(message.contains(said), "{message}");
    for step in ["long", "a", "never"] {
        assert_eq!(shown["steps"][step]["status"], "aborted", "{step}");
    }
    let asked = hands.state.lock().asked.clone();
    assert!(asked.contains(&"abort p.long.1: the pipeline p is aborted".to_owned()), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_ends_all() {
    let failed = |given| ended(JobResult::Failed, given);
    let fails = |state: &mut State| {
        for attempt in 1..=2 {
            state.ends.insert(format!("p.a.{attempt}"), failed(Ok(Value::Null)));
        }
    };
    let a = || job(json!("b"));
    check_end(a(), fails, JobResult::Failed, "step a: the job p.a.2 failed: it broke").await;
    let aborted = |state: &mut State| {
        let aborted = ended(JobResult::Aborted, Ok(Value::Null));
        state.ends.insert("p.a.1".to_owned(), aborted);
    };
    check_end(a(), aborted, JobResult::Failed, "step a: the job p.a.1 was aborted").await;
    let nothing = |_: &mut State| {};
    let thrown = json!({"script": {"source": "throw no such key"}});
    check_end(thrown, nothing, JobResult::Failed, "step a: no such key").await;
    let large = |state: &mut State| {
        let large = "x".repeat(crate::limits::STEP_OUTPUT_BYTES);
        state.ends.insert("p.a.1".to_owned(), ended(JobResult::Success, Ok(large.into())));
    };
    check_end(a(), large, JobResult::Failed, "step a: gave").await;
    let gone = |state: &mut State| {
        let gone = ended(JobResult::Success, Err("its results are too many".to_owned()));
        state.ends.insert("p.a.1".to_owned(), gone);
    };
    check_end(a(), gone, JobResult::Failed, "step a: its results are too many").await;
    // Asked for again these are the same.
    let damaged = |state: &mut State| {
        state.damaged.insert("p.a.1".to_owned());
    };
    check_end(a(), damaged, JobResult::Failed, "step a: what is kept of the job p.a.1").await;
    let steps = script(&json!({"steps": {"x": {"delay_ms": "soon"}}}));
    check_end(steps, nothing, JobResult::Failed, "steps.x.delay_ms").await;
}

#[tokio::test(start_paused = true)]
async fn somebody_ends_it() {
    let hands = hands();
    hands.state.lock().endless.insert("p.a.1".to_owned());
    let mut running = running(&json!({"steps": {
        "a": job(json!("b")), "b": {"delay_ms": 5, "after": ["a"]}
    }}));
    let doing: Arc<dyn Hands> = hands.clone();
    let aborted = async {
        sleep(Duration::from_secs(2)).await;
        "enough".to_owned()
    };
    drive(&mut running, &doing, aborted).await;
    running.end(hands.now_ms());
    let asked = hands.state.lock().asked.clone();
    assert_eq!(asked[1..], ["abort p.a.1: the pipeline p is aborted"]);
    let shown = tree(&running);
    assert_eq!((&shown["status"], &shown["abort_message"]), (&json!("aborted"), &json!("enough")));
    assert_eq!(
        (running.result(), &shown["result_status"]),
        (JobResult::Aborted, &json!("aborted"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_condition_ends_it_before_a_step_begins() {
    for (returned, goes_on) in [(json!(false), true), (json!(0), true), (json!("no"), false)] {
        let hands = hands();
        let mut running = running(&json!({"steps": {
            "check": script(&returned),
            "a": {"delay_ms": 5, "abort_if": {"$from": "check"}}
        }}));
        to_end(&hands, &mut running).await;
        let status = tree(&running)["steps"]["a"]["status"].clone();
        assert_eq!(status, if goes_on { "done" } else { "aborted" }, "{returned}");
        let message = running.progress.abort.map(|abort| abort.message);
        assert_eq!(message, (!goes_on).then(|| "step a: abort_if holds".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn children_are_decided_under_way() {
    let hands = hands();
    let children = json!({"in_order": true, "steps": {
        "x": job(json!("b")),
        "y": script(&json!({"steps": {"deep": script(&json!([1, 2]))}})),
    }});
    let mut running = running(&json!({
        "retries": {"max_attempts": 5},
        "steps": {
            "fan": script(&children),
            "after": {"script": {"source": "null"}, "after": ["fan"]}
        }
    }));
    to_end(&hands, &mut running).await;
    let asked = hands.state.lock().asked.clone();
    let expect = [
        "call with {}",
        "start p.fan~x.1 of \"b\"",
        "call with {\"x\":[[\"out\",\"p.fan~x.1\"]]}",
        "call with {}",
        // What the last child gave is what the step gave.
        "call with {\"fan\":[1,2]}",
    ];
    assert_eq!(asked, expect);
    let shown = tree(&running);
    let names: Vec<_> = shown["steps"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["fan", "fan~x", "fan~y", "fan~y~deep", "after"]);
    assert_eq!(shown["steps"]["fan"]["children"], json!(["fan~x", "fan~y"]));
    assert_eq!(shown["steps"]["fan~y"]["after"], json!(["fan~x"]));
    assert_eq!(shown["steps"]["fan~x"]["max_attempts"], 5);
    assert!(shown["steps"].as_object().unwrap().values().all(|step| step["status"] == "done"));
}

#[tokio::test(start_paused = true)]
async fn children_are_bounded() {
    // Each returns the one below it.
    let mut nested = json!(1);
    for _ in 0..=crate::limits::PIPELINE_DEPTH {
        nested = json!({"steps": {"x": script(&nested)}});
    }
    let many: serde_json::Map<String, Value> = (0..mapring_jobs::limits::STEPS)
        .map(|n| (format!("s{n}"), json!({"delay_ms": 1})))
        .collect();
    for (returned, said) in [(nested, "deep already"), (json!({"steps": many}), "more than 1000")] {
        let mut running = running(&json!({
            "retries": {"max_attempts": 1}, "steps": {"x": script(&returned)}
        }));
        to_end(&hands(), &mut running).await;
        let message = running.progress.abort.unwrap().message;
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn children_have_no_more_bytes_than_are_stored_with_each_change() {
    let running = running(&json!({"steps": {"x": script(&json!(1)), "y": script(&json!(2))}}));
    let mut plan = Plan::of(&running.progress).unwrap();
    let large = "x".repeat(crate::limits::PLAN_BYTES * 5 / 8);
    let children = json!({"steps": {"a": {"script": {"source": "1", "arg": large}}}});
    let first = plan.children("x", children.clone(), 2).unwrap();
    plan.add("x", first);
    let why = plan.children("y", children, 3).unwrap_err();
    assert!(why.contains("have them read what is long from objects"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_be_stored_ends_it() {
    for (most, shown) in [(10_000, Some("aborted")), (10, None)] {
        let hands = hands();
        {
            let mut state = hands.state.lock();
            state.most = Some(most);
            state.endless.insert("p.long.1".to_owned());
            let large = ended(JobResult::Success, Ok("x".repeat(20_000).into()));
            state.ends.insert("p.a.1".to_owned(), large);
        }
        let mut running =
            running(&json!({"steps": {"long": job(json!("b")), "a": job(json!("b"))}}));
        to_end(&hands, &mut running).await;
        assert_eq!(running.result(), JobResult::Failed);
        let message = running.progress.abort.as_ref().unwrap().message.clone();
        assert_eq!(
            message,
            "it is too large to be stored: it has more bytes than an object may have"
        );
        let state = hands.state.lock();
        let saved = state.saved.as_ref().map(|saved| saved.abort.as_ref().unwrap().message.clone());
        assert_eq!(saved, shown.map(|_| message));
        let asked = "abort p.long.1: the pipeline p is aborted".to_owned();
        assert!(state.asked.contains(&asked), "{:?}", state.asked);
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_has_to_consent() {
    let hands = hands();
    let mut running = running(&json!({"steps": {"ask": {"approve": {"message": "Go on?"}}}}));
    let doing: Arc<dyn Hands> = hands.clone();
    let driven = drive(&mut running, &doing, std::future::pending());
    assert!(timeout(Duration::from_secs(30), driven).await.is_err());
    let shown = tree(&running)["steps"]["ask"].clone();
    assert_eq!((&shown["status"], &shown["message"]), (&json!("run"), &json!("Go on?")));
    hands.state.lock().approved.insert("ask".to_owned());
    to_end(&hands, &mut running).await;
    assert_eq!(tree(&running)["steps"]["ask"]["status"], "done");
}

#[tokio::test(start_paused = true)]
async fn another_owner_goes_on_from_what_is_stored() {
    let hands = hands();
    let document = json!({"retries": {"max_attempts": 2, "backoff_ms": 60_000}, "steps": {
        "wait": {"delay_ms": 100_000},
        "a": job(json!("b")),
        "fan": script(&json!({"steps": {"x": job(json!("c"))}})),
        "z": {"script": {"source": "1"}, "after": ["a", "wait", "fan"]}
    }});
    hands.state.lock().ends.insert("p.a.1".to_owned(), ended(JobResult::Failed, Ok(Value::Null)));
    let mut first = Some(running(&document));
    // Every second it has another owner, who knows nothing but what is stored.
    let mut owners = 0;
    loop {
        let stored = hands.state.lock().saved.clone();
        let mut running = first.take().unwrap_or_else(|| Running::new(stored.unwrap()));
        let doing: Arc<dyn Hands> = hands.clone();
        let driven = drive(&mut running, &doing, std::future::pending());
        owners += 1;
        if timeout(Duration::from_secs(1), driven).await.is_ok() {
            assert_eq!(running.result(), JobResult::Success);
            break;
        }
    }
    assert!((100_000..=101_000).contains(&hands.now_ms()), "{}", hands.now_ms());
    assert!(owners >= 100, "{owners}");
    let asked: BTreeSet<String> = hands.state.lock().asked.iter().cloned().collect();
    let expect = [
        "call with {\"a\":[[\"out\",\"p.a.2\"]],\"fan\":[[\"out\",\"p.fan~x.1\"]],\"wait\":null}",
        "call with {}",
        "start p.a.1 of \"b\"",
        "start p.a.2 of \"b\"",
        "start p.fan~x.1 of \"c\"",
    ];
    assert_eq!(asked, expect.map(str::to_owned).into());
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_for_and_what_is_wrong_is_not() {
    let hands = hands();
    hands.state.lock().refusals = vec![
        JobsError::Full("there are 10000 already".to_owned()),
        JobsError::Node(Error::unavailable("no majority")),
    ];
    let mut one = running(&json!({"steps": {"a": job(json!("b"))}}));
    to_end(&hands, &mut one).await;
    assert_eq!((one.result(), one.progress.steps[0].attempt), (JobResult::Success, 1));

    let too_large = Error::new(ErrorKind::TooLarge, "the document is too large");
    for (refusal, said) in [
        (JobsError::invalid("rate", "is a number"), "rate: is a number"),
        (JobsError::Node(too_large), "the document is too large"),
    ] {
        hands.state.lock().refusals = vec![refusal];
        let mut other = running(&json!({"steps": {"a": job(json!("b"))}}));
        to_end(&hands, &mut other).await;
        let message = &other.progress.abort.as_ref().unwrap().message;
        assert_eq!(*message, format!("step a: no job is started: {said}"));
        assert_eq!(other.progress.steps[0].attempt, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn many_steps_run_few_at_a_time() {
    let hands = hands();
    let steps: serde_json::Map<String, Value> =
        (0..250).map(|n| (format!("s{n}"), json!({"delay_ms": 1_000}))).collect();
    let mut running = running(&json!({"steps": steps}));
    to_end(&hands, &mut running).await;
    let rounds = 250_u64.div_ceil(crate::limits::STEPS_AT_ONCE as u64);
    assert_eq!(hands.now_ms(), rounds * 1_000);
}

#[test]
fn what_a_later_program_stored_wrong_is_aborted() {
    let mut progress = running(&json!({"steps": {"a": job(json!("b"))}})).progress;
    progress.document = json!({"steps": {"a": {"later": 1}}});
    let running = Running::new(progress);
    assert!(running.is_over() && running.work().is_empty());
    assert_eq!(running.progress.status, Status::Finalizing);
}
