//! What becomes of a job on nodes that all are there.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use mapring_cluster::Cluster as _;
use mapring_net::simulated::Fate;
use serde_json::json;
use tokio::time::Instant;

use super::world::{World, map, sums};
use crate::document;
use crate::formats::StoredDocument;
use crate::remove::CleanUp;
use crate::store::Shelf;
use crate::{JobsError, Naming, RunnerConfig, limits};

#[tokio::test(start_paused = true)]
async fn a_job_runs_and_is_kept() {
    for nodes in [1, 3] {
        let world = World::start(nodes).await;
        let last = world.nodes.len() - 1;
        world.fill("b", 40).await;
        let id = world.start_job(0, &sums("b", "")).await;
        assert!(world.jobs(last).results(&id).await.is_err(), "it has not ended");
        let detail = world.ended(last, &id).await;
        assert_eq!(detail.error, None);
        assert_eq!(
            (detail.state.as_str(), detail.result_status.as_deref()),
            ("done", Some("success"))
        );
        assert_eq!((detail.counters["mapper-calls"], detail.counters["groups"]), (40, 4));
        assert_eq!((detail.epoch, detail.node.as_deref()), (1, Some("n1")));
        assert_eq!(detail.spec["name"], "sums");
        assert!(detail.shard_count > 0 && detail.shards.len() == detail.chart.status.len());
        assert!(detail.chart.status.iter().all(|status| status == "success"));
        let kinds: Vec<_> = detail.phases.iter().map(|phase| phase.kind.as_str()).collect();
        assert_eq!(kinds, ["map", "reduce"]);
        let rows = world.rows(last, &id).await;
        assert_eq!(rows, [r#"["0",180]"#, r#"["1",190]"#, r#"["2",200]"#, r#"["3",210]"#]);
        // Nothing of it lies about but its record and its results.
        assert!(world.nodes[0].cluster.view().state.jobs.is_empty());
        assert!(world.kept(Shelf::Documents).await.is_empty());
        assert_eq!(world.kept(Shelf::Results).await.len(), 1);
        world.jobs(last).remove(&id, false).await.unwrap();
        assert!(matches!(world.jobs(0).show(&id).await, Err(JobsError::NotFound(..))));
        for shelf in Shelf::ALL {
            assert_eq!(world.kept(shelf).await, [] as [&str; 0], "{shelf:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn outputs_are_told_and_stay() {
    let world = World::start(3).await;
    world.fill("b", 20).await;
    let more = r#","output":{"bucket":"out","layout":"single","name":"sums","format":"ndjson"}"#;
    let id = world.start_job(1, &sums("b", more)).await;
    let detail = world.ended(2, &id).await;
    assert_eq!(detail.outputs, [json!(["out", "sums"])], "{:?}", detail.error);
    assert_eq!(world.rows(0, &id).await, [r#"["out","sums"]"#]);
    // What it has given can be the inputs of another one.
    let again = format!(
        r#"{{"inputs":{{"lines":{{"job":"{id}"}}}},"query":[{{"map":{{"language":"javascript","name":"json"}}}}]}}"#
    );
    let next = world.start_job(0, &again).await;
    assert_eq!(world.ended(0, &next).await.error, None);
    let mut rows = world.rows(0, &next).await;
    rows.sort();
    assert_eq!(rows[0], r#"["0",40]"#);
    // A query that is no job can have it as well, at any node.
    let query = mapring_mapred::Query::parse(again.as_bytes()).unwrap();
    let started = world.jobs(2).runner().mapred.start(query).await.unwrap();
    let found: Vec<_> = started.results.try_collect().await.unwrap();
    let found: Vec<_> = found.into_iter().flat_map(|some| some.values).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    world.jobs(0).remove(&id, false).await.unwrap();
    assert!(world.get(1, "out", "sums").await.unwrap().starts_with("[\"0\",40]\n"));
    // … and are none when they are gone.
    let gone = world.try_start(0, &again, Naming::New).await.unwrap_err();
    assert!(matches!(gone, JobsError::Invalid(_)), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn a_job_is_started_once_for_its_id() {
    let world = World::start(3).await;
    world.fill("b", 5).await;
    let start = |at: usize, body: String, name| {
        let world = &world;
        async move { world.try_start(at, &body, name).await }
    };
    let named = Naming::Id("j1".into());
    assert_eq!(start(0, map("json", "b", ""), named.clone()).await.unwrap(), "j1");
    assert_eq!(start(1, map("json", "b", ""), named.clone()).await.unwrap(), "j1");
    let other = start(2, map("slow", "b", ""), named.clone()).await;
    assert!(matches!(other, Err(JobsError::Conflict(_))), "{other:?}");
    world.ended(0, "j1").await;
    assert_eq!(start(1, map("json", "b", ""), named.clone()).await.unwrap(), "j1");
    let other = start(2, map("slow", "b", ""), named.clone()).await;
    assert!(matches!(other, Err(JobsError::Conflict(_))), "{other:?}");
    assert_eq!(world.calls.mapped.load(std::sync::atomic::Ordering::Relaxed), 5);
    // When it is removed the id is free.
    world.jobs(1).remove("j1", false).await.unwrap();
    start(2, map("slow", "b", ""), named).await.unwrap();
    let again = world.ended(0, "j1").await;
    assert_eq!((again.epoch, again.result_status.as_deref()), (2, Some("success")));
    let keyed = Naming::Key("any text, é".into());
    let id = start(0, map("json", "b", ""), keyed.clone()).await.unwrap();
    assert_eq!(start(2, map("json", "b", ""), keyed).await.unwrap(), id);
    for id in ["", "..", "a/b"] {
        let wrong = start(0, map("json", "b", ""), Naming::Id(id.into())).await;
        assert!(matches!(wrong, Err(JobsError::Invalid(_))), "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_no_job() {
    let world = World::start(1).await;
    for body in [r#"{"inputs":"b"}"#, "", r#"{"inputs":"b","query":[],"rate":"x"}"#] {
        let refused = world.try_start(0, body, Naming::New).await.unwrap_err();
        assert!(matches!(refused, JobsError::Invalid(_)), "{body}: {refused}");
    }
    let unknown = r#"{"config":"nothing"}"#;
    let refused = world.try_start(0, unknown, Naming::New).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no job config \"nothing\"");
    let refused = world.jobs(0).dry_run(r#"{"inputs":"b"}"#.into()).await;
    assert!(refused.is_err());
    assert!(world.kept(Shelf::Documents).await.is_empty());
    assert!(world.jobs(0).list(crate::ListRequest::default()).await.unwrap().jobs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shown_with_what_it_was() {
    let world = World::start(3).await;
    world.fill("b", 10).await;
    let retries = r#","retries":{"shard":1,"slice":1}"#;
    let id = world.start_job(0, &map("throw", "b", retries)).await;
    let detail = world.ended(1, &id).await;
    assert_eq!(detail.result_status.as_deref(), Some("failed"));
    let error = detail.error.unwrap();
    assert_eq!((&error["phase"], &error["type"]), (&json!(0), &json!("exception")));
    assert!(error["error"].as_str().unwrap().contains("boom on 7"), "{error}");
    assert!(error["input"].as_str().unwrap().contains("k007"), "{error}");
    let errors = world.jobs(2).errors(&id).await.unwrap();
    assert_eq!(errors.errors.len(), 1);
    assert!(errors.errors[0].error.contains("boom on 7"), "{errors:?}");
    let (shard, attempt) = (errors.errors[0].shard.unwrap(), errors.errors[0].attempt);
    let said = detail.shards[shard].last_error.as_ref().and_then(|error| error.as_str());
    assert!(attempt == Some(1) && said.unwrap().contains("boom on 7"), "{shard} {attempt:?}");
    assert!(matches!(world.jobs(0).results(&id).await, Err(JobsError::Conflict(_))));
    let skips = r#","on_error":{"mode":"skip","max":10}"#;
    let id = world.start_job(0, &map("throw", "b", skips)).await;
    let detail = world.ended(1, &id).await;
    assert_eq!(detail.result_status.as_deref(), Some("success"), "{:?}", detail.error);
    assert_eq!(detail.counters["map-errors"], 1);
    let errors = world.jobs(1).errors(&id).await.unwrap();
    assert!(errors.errors[0].input.as_ref().unwrap().contains("k007"), "{errors:?}");
    assert!(errors.errors[0].shard.is_some() && errors.errors[0].attempt == Some(1), "{errors:?}");
    assert_eq!(world.rows(2, &id).await.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_a_job_soon() {
    let world = World::start(3).await;
    world.fill("b", 30).await;
    let id = world.start_job(0, &map("hang", "b", "")).await;
    world.until(0, &id, |detail| detail.state == "running").await;
    assert!(matches!(world.jobs(1).remove(&id, false).await, Err(JobsError::Conflict(_))));
    let began = tokio::time::Instant::now();
    world.jobs(2).abort(&id, Some("enough".into())).await.unwrap();
    let detail = world.ended(1, &id).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(detail.result_status.as_deref(), Some("aborted"));
    assert_eq!(detail.error.unwrap()["error"], "enough");
    assert!(detail.aborted_shards > 0);
    assert!(matches!(world.jobs(2).abort(&id, None).await, Err(JobsError::Conflict(_))));
    assert!(matches!(world.jobs(2).abort("none", None).await, Err(JobsError::NotFound(..))));
    // One that waits for its time ends as well, and is gone when that is asked for.
    let id = world.start_job(0, &map("json", "b", r#","delay_ms":3600000"#)).await;
    assert_eq!(world.jobs(1).show(&id).await.unwrap().state, "waiting");
    world.jobs(1).remove(&id, true).await.unwrap();
    assert!(matches!(world.jobs(0).show(&id).await, Err(JobsError::NotFound(..))));
}

#[tokio::test(start_paused = true)]
async fn an_abort_leaves_all_outputs_or_none() {
    let world = World::start(3).await;
    let value = format!("\"{}\"", "x".repeat(600));
    for number in 0..100 {
        world.put("b", &format!("k{number:03}"), &value).await;
    }
    world.network.set_weather(Box::new(|_, _| Fate::Deliver(Duration::from_millis(2))));
    let mut outcomes = std::collections::BTreeSet::new();
    for step in 0..200 {
        let bucket = format!("out{step}");
        let output = format!(
            r#","delay_ms":50,"output":{{"bucket":"{bucket}","layout":"single","name":"s",
                "format":"ndjson","max_bytes":1024}}"#
        );
        let id = world.start_job(0, &map("json", "b", &output)).await;
        tokio::time::sleep(Duration::from_millis(8 * step)).await;
        let told = world.jobs(1).abort(&id, None).await;
        let detail = world.ended(0, &id).await;
        let mut written = 0;
        for number in 0..110 {
            let found = world.get(0, &bucket, &format!("s-{number:05}")).await;
            written += usize::from(found.is_some());
        }
        let result = detail.result_status.unwrap();
        match result.as_str() {
            "aborted" => assert_eq!(written, 0, "at {step}"),
            _ => assert_eq!((written, result.as_str()), (detail.outputs.len(), "success")),
        }
        outcomes.insert((result, told.is_ok()));
        if told.is_err() {
            break;
        }
    }
    let outcomes: Vec<_> = outcomes.iter().map(|(word, told)| (word.as_str(), *told)).collect();
    assert_eq!(outcomes, [("aborted", true), ("success", false), ("success", true)]);
}

#[tokio::test(start_paused = true)]
async fn so_many_run_at_once_and_the_first_of_their_class_are_first() {
    let world = World::with(1, RunnerConfig { concurrent: 1 }).await;
    world.fill("b", 20).await;
    let low = world.start_job(0, &map("slow", "b", r#","queue":"low""#)).await;
    world.until(0, &low, |detail| detail.state == "running").await;
    let second = world.start_job(0, &map("slow", "b", r#","queue":"low""#)).await;
    let high = world.start_job(0, &map("slow", "b", r#","queue":"high""#)).await;
    assert_eq!(world.jobs(0).show(&high).await.unwrap().state, "waiting");
    let high = world.ended(0, &high).await;
    assert!(world.jobs(0).show(&second).await.unwrap().active);
    let second = world.ended(0, &second).await;
    assert!(high.updated_timestamp_ms < second.updated_timestamp_ms);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_waited_for_without_a_slot() {
    let world = World::with(1, RunnerConfig { concurrent: 1 }).await;
    world.fill("b", 3).await;
    let later = world.start_job(0, &map("json", "b", r#","delay_ms":60000"#)).await;
    let now = world.start_job(0, &map("json", "b", "")).await;
    let now = world.ended(0, &now).await;
    let later = world.ended(0, &later).await;
    assert!(later.updated_timestamp_ms >= later.start_timestamp_ms + 60_000);
    assert!(now.updated_timestamp_ms < now.start_timestamp_ms + 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_go_on_is_stalled() {
    let world = World::start(1).await;
    world.fill("b", 3).await;
    let more = r#","slice_ms":1000,"limits":{"call_ms":3600000}"#;
    let id = world.start_job(0, &map("hang", "b", more)).await;
    let mut events = world.jobs(0).events(&id, None).await.unwrap();
    let detail = world.until(0, &id, |detail| detail.state == "stalled").await;
    assert!(detail.stalled.unwrap().for_ms >= 1_100);
    let mut kinds = Vec::new();
    while !kinds.contains(&"stall".to_owned()) {
        kinds.push(events.next().await.unwrap().kind);
    }
    world.jobs(0).abort(&id, None).await.unwrap();
    world.ended(0, &id).await;
    let last: Vec<_> = events.collect().await;
    assert_eq!(last.last().unwrap().kind, "ended");
    // Whoever comes later is told of what was before, too.
    let all: Vec<_> = world.jobs(0).events(&id, None).await.unwrap().collect().await;
    let kinds: Vec<_> = all.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"stall") && kinds.contains(&"end"), "{kinds:?}");
    assert!(all.is_sorted_by_key(|event| event.id), "{all:?}");
    let stall = all.iter().find(|event| event.kind == "stall").unwrap().id;
    let rest: Vec<_> = world.jobs(0).events(&id, Some(stall)).await.unwrap().collect().await;
    assert!(rest.iter().all(|event| event.id > stall) && rest.len() < all.len(), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn who_follows_a_job_hears_of_its_end_at_once() {
    let world = World::start(3).await;
    world.fill("b", 40).await;
    let id = world.start_job(0, &map("slow", "b", "")).await;
    let follow = async |at: usize| {
        let events = world.jobs(at).events(&id, None).await.unwrap();
        let kinds: Vec<String> = events.map(|event| event.kind).collect().await;
        assert_eq!(kinds.last().map(String::as_str), Some("ended"), "{kinds:?}");
        Instant::now()
    };
    let ended = async {
        world.ended(0, &id).await;
        Instant::now()
    };
    let (ended, own, other) = futures::join!(ended, follow(0), follow(2));
    for heard in [own, other] {
        let late = heard.saturating_duration_since(ended);
        assert!(late <= 2 * limits::WATCH, "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_its_pace_is_not_stalled() {
    let world = World::start(1).await;
    world.fill("b", 4).await;
    let id = world.start_job(0, &map("json", "b", r#","slice_ms":1000,"rate":0.1"#)).await;
    let mut states = std::collections::BTreeSet::new();
    let detail = world
        .until(0, &id, |detail| {
            states.insert(detail.state.clone());
            !detail.active
        })
        .await;
    assert_eq!(detail.result_status.as_deref(), Some("success"), "{:?}", detail.error);
    assert!(detail.updated_timestamp_ms >= detail.start_timestamp_ms + 25_000);
    assert!(!states.contains("stalled"), "{states:?}");
    let events: Vec<_> = world.jobs(0).events(&id, None).await.unwrap().collect().await;
    assert!(events.iter().all(|event| event.kind != "stall"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_are_removed_when_they_were_kept_long_enough() {
    let world = World::start(3).await;
    world.fill("b", 3).await;
    let short = world.start_job(0, &map("json", "b", r#","keep_ms":60000"#)).await;
    let long = world.start_job(0, &map("json", "b", "")).await;
    world.ended(0, &short).await;
    world.ended(0, &long).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(matches!(world.jobs(1).show(&short).await, Err(JobsError::NotFound(..))));
    assert_eq!(world.rows(1, &long).await.len(), 3);
    assert_eq!(world.kept(Shelf::Results).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn documents_without_a_job_are_found_behind_those_of_jobs() {
    let world = World::start(1).await;
    let store = world.store(0);
    let old = |since_ms, digest| StoredDocument { document: json!({}), digest, since_ms };
    for _ in 0..=crate::limits::CLEANED_AT_ONCE {
        world.start_job(0, &map("json", "b", r#","delay_ms":864000000"#)).await;
    }
    // As they are after days.
    for (id, job) in &world.nodes[0].cluster.view().state.jobs {
        document::put(&store, id, &old(1_000, job.digest)).await.unwrap();
    }
    document::put(&store, "gone", &old(1, 7)).await.unwrap();
    let mut clean_up = CleanUp::new(world.jobs(0).runner().clone());
    assert_eq!([clean_up.drop_orphans().await, clean_up.drop_orphans().await], [0, 1]);
    // It begins anew with those that came meanwhile.
    document::put(&store, "gone", &old(2_000, 7)).await.unwrap();
    assert_eq!(clean_up.drop_orphans().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_shards_and_starts_nothing() {
    let world = World::start(3).await;
    let dry = world.jobs(0).dry_run(sums("b", "").into()).await.unwrap();
    assert_eq!((dry.valid, dry.shards.len()), (true, 16));
    assert_eq!(dry.shards[3].shard_description, "b partition 3");
    world.put("files", "q", "20-questions\r\n20q\r\na\r\n").await;
    let lines = r#"{"inputs":{"lines":[["files","q"]]},"shards":2,
        "query":[{"map":{"language":"javascript","name":"json"}}]}"#;
    let dry = world.jobs(1).dry_run(lines.into()).await.unwrap();
    let words: Vec<_> = dry.shards.iter().map(|shard| shard.shard_description.as_str()).collect();
    assert_eq!(words, ["files/q bytes (0,11]", "files/q bytes (11,22]"]);
    assert!(world.jobs(0).list(crate::ListRequest::default()).await.unwrap().jobs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn named_jobs_are_started_with_their_parameters() {
    let world = World::start(3).await;
    world.fill("b", 8).await;
    let config = r#"{"params":[{"name":"bucket","type":"string","required":true}],
        "job":{"inputs":"${bucket}","query":[{"map":{"language":"javascript","name":"json"}}]}}"#;
    assert!(world.jobs(0).put_config("count", config.as_bytes()).await.unwrap());
    let start = r#"{"config":"count","params":{"bucket":"b"},"keep_ms":1000}"#;
    let id = world.start_job(1, start).await;
    let detail = world.ended(2, &id).await;
    assert_eq!((detail.name.as_deref(), detail.counters["mapper-calls"]), (Some("count"), 8));
    let refused = world.try_start(1, r#"{"config":"count"}"#, Naming::New).await.unwrap_err();
    assert!(refused.to_string().contains("params.bucket"), "{refused}");
}
