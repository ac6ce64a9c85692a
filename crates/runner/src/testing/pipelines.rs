//! Pipelines on whole clusters.

use std::time::Duration;

use mapring_cluster::Cluster as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::world::{World, map, sums};
use crate::store::Shelf;
use crate::{JobsError, ListRequest, Naming, StartRequest};

async fn start(world: &World, at: usize, body: &Value, id: &str) -> Result<bool, JobsError> {
    let (body, name) = (body.to_string().into(), Naming::Id(id.to_owned()));
    let started = world.jobs(at).start_pipeline(StartRequest { body, name }).await?;
    assert_eq!(started.id, id);
    Ok(started.is_new)
}

/// Waits until something is so of a pipeline.
async fn until(world: &World, at: usize, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = None;
    for _ in 0..10_000 {
        match world.jobs(at).pipeline(id).await {
            Ok(tree) if is_so(&tree) => return tree,
            found => last = Some(found),
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{id} is still {last:?}")
}

async fn ended(world: &World, at: usize, id: &str) -> Value {
    let tree = until(world, at, id, |tree| tree["active"] == false).await;
    // The metadata forget it when all is done.
    while world.nodes[at].cluster.view().state.jobs.contains_key(id) {
        sleep(Duration::from_millis(50)).await;
    }
    tree
}

fn job(text: &str) -> Value {
    json!({ "job": serde_json::from_str::<Value>(text).unwrap() })
}

/// Sums of a bucket as an object, its lines as they are, and what these were as a script gives it.
fn chain() -> Value {
    let output = r#","output":{"bucket":"out","layout":"single","name":"sums","format":"ndjson"}"#;
    let mut lines = job(&map("json", "b", ""));
    lines["job"]["inputs"] = json!({"lines": {"$from": "sums"}});
    json!({"name": "chain", "steps": {
        "sums": job(&sums("b", output)),
        "lines": lines,
        "given": {"script": {"source": "deps => deps"}, "after": ["lines"]}
    }})
}

#[tokio::test(start_paused = true)]
async fn steps_pass_on_what_they_gave_and_go_with_their_pipeline() {
    let world = World::start(3).await;
    world.fill("b", 20).await;
    assert!(start(&world, 0, &chain(), "p").await.unwrap());
    // The same again is the same; under its id nothing else is started.
    assert!(!start(&world, 1, &chain(), "p").await.unwrap());
    let other = json!({"steps": {"a": {"delay_ms": 1}}});
    assert!(matches!(start(&world, 2, &other, "p").await, Err(JobsError::Conflict(_))));
    let tree = ended(&world, 2, "p").await;
    assert_eq!((&tree["status"], &tree["abort_message"]), (&json!("done"), &Value::Null));
    let steps = &tree["steps"];
    assert_eq!(steps["sums"]["outputs"]["default"]["value"], json!([["out", "sums"]]));
    assert_eq!(steps["sums"]["outputs"]["counters"]["value"]["mapper-calls"], 20);
    let mut lines = steps["lines"]["outputs"]["default"]["value"].as_array().unwrap().clone();
    lines.sort_by_key(ToString::to_string);
    assert_eq!(lines, [json!(["0", 40]), json!(["1", 45]), json!(["2", 50]), json!(["3", 55])]);
    let given = &steps["given"]["outputs"]["default"]["value"]["lines"];
    assert_eq!(given.as_array().map(Vec::len), Some(4));
    assert!(!start(&world, 1, &chain(), "p").await.unwrap(), "it is known when it has ended");

    let named = ListRequest { name: Some("chain".to_owned()), ..ListRequest::default() };
    let list = world.jobs(1).pipelines(named).await.unwrap();
    assert_eq!((list.pipelines.len(), list.cursor), (1, None));
    assert_eq!(list.pipelines[0]["result_status"], "success");
    assert!(world.jobs(1).show("p.sums.1").await.is_ok());
    world.jobs(2).remove_pipeline("p", false).await.unwrap();
    assert!(matches!(world.jobs(0).pipeline("p").await, Err(JobsError::NotFound(..))));
    assert!(matches!(world.jobs(1).show("p.sums.1").await, Err(JobsError::NotFound(..))));
    for shelf in Shelf::ALL {
        assert_eq!(world.kept(shelf).await, [] as [&str; 0], "{shelf:?}");
    }
    assert!(world.get(1, "out", "sums").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn all_objects_that_a_job_has_stored_are_passed_on() {
    let world = World::start(1).await;
    // More than are shown with a job.
    let count = crate::limits::OUTPUTS + 10;
    for number in 0..count {
        let pair = format!("[\"o{number:04}\",{number}]");
        world.put("b", &format!("k{number:04}"), &pair).await;
    }
    let steps = json!({"steps": {
        "many": job(&map("json", "b", r#","output":{"bucket":"out"}"#)),
        "given": {"script": {"source": "deps => deps"}, "after": ["many"]}
    }});
    start(&world, 0, &steps, "p").await.unwrap();
    let tree = ended(&world, 0, "p").await;
    assert_eq!((&tree["status"], &tree["abort_message"]), (&json!("done"), &Value::Null));
    let names = &tree["steps"]["many"]["outputs"]["default"]["value"];
    assert_eq!(names.as_array().map(Vec::len), Some(count));
    assert!(names.as_array().unwrap().contains(&json!(["out", "o1005"])));
    assert_eq!(tree["steps"]["given"]["outputs"]["default"]["value"]["many"], *names);
    let shown = world.jobs(0).show("p.many.1").await.unwrap();
    assert_eq!((shown.outputs.len(), shown.outputs_left_out), (crate::limits::OUTPUTS, 10));
}

#[tokio::test(start_paused = true)]
async fn another_node_goes_on_when_the_owner_is_lost() {
    let mut world = World::start(5).await;
    world.fill("b", 40).await;
    let steps = json!({"steps": {
        "one": job(&map("slow", "b", "")),
        "wait": {"delay_ms": 3_000, "after": ["one"]},
        "two": {"job": job(&sums("b", ""))["job"].clone(), "after": ["wait"]}
    }});
    start(&world, 0, &steps, "p").await.unwrap();
    until(&world, 4, "p", |tree| tree["steps"]["one"]["status"] == "run").await;
    world.kill(0);
    until(&world, 4, "p", |tree| tree["steps"]["wait"]["status"] == "run").await;
    let owner = world.nodes[4].cluster.view().state.jobs["p"].owner.0;
    assert_ne!(owner, 1);
    world.restart(0).await;
    world.kill(usize::try_from(owner).unwrap() - 1);
    let watch = if owner == 5 { 3 } else { 4 };
    let tree = ended(&world, watch, "p").await;
    assert_eq!(tree["status"], "done", "{tree}");
    let steps = &tree["steps"];
    assert_eq!(steps["one"]["outputs"]["counters"]["value"]["mapper-calls"], 40);
    assert_eq!(steps["two"]["outputs"]["default"]["value"].as_array().map(Vec::len), Some(4));
    let attempts = ["one", "wait", "two"].map(|step| steps[step]["current_attempt"].clone());
    assert_eq!(attempts, [1, 1, 1].map(Value::from));
    let waited = steps["wait"]["end_time_ms"].as_u64().unwrap()
        - steps["wait"]["start_time_ms"].as_u64().unwrap();
    assert!(waited >= 3_000, "{waited}");
    let list = world.jobs(watch).list(ListRequest::default()).await.unwrap();
    assert_eq!(list.jobs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_its_jobs() {
    let world = World::start(3).await;
    world.fill("b", 5).await;
    let steps = json!({"steps": {
        "a": job(&map("hang", "b", "")), "b": {"delay_ms": 1, "after": ["a"]}
    }});
    start(&world, 0, &steps, "p").await.unwrap();
    world.until(1, "p.a.1", |detail| detail.state == "running").await;
    assert!(matches!(world.jobs(1).remove_pipeline("p", false).await, Err(JobsError::Conflict(_))));
    world.jobs(2).abort_pipeline("p", Some("enough".to_owned())).await.unwrap();
    let tree = ended(&world, 1, "p").await;
    assert_eq!((&tree["status"], &tree["abort_message"]), (&json!("aborted"), &json!("enough")));
    assert_eq!(tree["steps"]["b"]["status"], "aborted");
    let detail = world.jobs(0).show("p.a.1").await.unwrap();
    assert_eq!(detail.result_status.as_deref(), Some("aborted"));
    assert!(matches!(world.jobs(0).abort_pipeline("p", None).await, Err(JobsError::Conflict(_))));
    assert!(matches!(world.jobs(0).abort_pipeline("q", None).await, Err(JobsError::NotFound(..))));
    world.jobs(0).remove_pipeline("p", false).await.unwrap();
    assert!(world.kept(Shelf::Pipelines).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn consent_is_given_at_any_node() {
    let world = World::start(3).await;
    world.fill("b", 1).await;
    let steps = json!({"steps": {"ask": {"approve": {}}, "later": {"delay_ms": 1}}});
    start(&world, 0, &steps, "p").await.unwrap();
    until(&world, 1, "p", |tree| tree["steps"]["later"]["status"] == "done").await;
    let approve = |step: &'static str| world.jobs(2).approve_step("p", step);
    assert!(matches!(approve("later").await, Err(JobsError::Conflict(_))));
    assert!(matches!(approve("none").await, Err(JobsError::NotFound(..))));
    approve("ask").await.unwrap();
    let tree = ended(&world, 1, "p").await;
    assert_eq!(tree["status"], "done");
    approve("ask").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wrong_pipelines_are_refused_with_all_that_is_wrong() {
    let world = World::start(1).await;
    let body = json!({"steps": {
        "a": {"delay_ms": "x"}, "b": {"job": {"inputs": "b"}}, "c": {"delay_ms": 1, "after": ["d"]}
    }});
    let Err(JobsError::Invalid(invalid)) = start(&world, 0, &body, "p").await else {
        panic!("it is taken")
    };
    let mut fields: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["steps.a.delay_ms", "steps.b.job.query", "steps.c.after[0]"], "{invalid}");
    let finally = json!({"url": "http://10.0.0.1/"});
    let body = json!({"steps": {"a": {"delay_ms": 1}}, "finally": {"callback": finally}});
    let Err(JobsError::Invalid(invalid)) = start(&world, 0, &body, "p").await else {
        panic!("it is taken")
    };
    assert_eq!(invalid.problems()[0].field, "finally.callback.url");
}

#[tokio::test(start_paused = true)]
async fn pipelines_are_listed_the_newest_first() {
    let world = World::start(3).await;
    world.fill("b", 1).await;
    let body = json!({"steps": {"a": {"delay_ms": 1}}});
    for number in 0..7 {
        start(&world, number % 3, &body, &format!("p{number}")).await.unwrap();
        ended(&world, 0, &format!("p{number}")).await;
    }
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let request = ListRequest { count: Some(3), cursor, ..ListRequest::default() };
        let page = world.jobs(1).pipelines(request).await.unwrap();
        let ids = page.pipelines.iter().map(|one| one["id"].as_str().unwrap().to_owned());
        listed.extend(ids);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["p6", "p5", "p4", "p3", "p2", "p1", "p0"]);
    for (state, count) in [("done", Ok(7)), ("run", Ok(0)), ("over", Err(()))] {
        let request = ListRequest { state: Some(state.to_owned()), ..ListRequest::default() };
        let page = world.jobs(1).pipelines(request).await;
        assert_eq!(page.map(|page| page.pipelines.len()).map_err(drop), count, "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn named_jobs_are_looked_for_when_a_pipeline_begins() {
    let world = World::start(1).await;
    world.fill("b", 4).await;
    let config = r#"{"params":[{"name":"bucket","required":true},
            {"name":"most","type":"integer","default":1,"max":9}],
        "job":{"inputs":"${bucket}","query":[{"map":{"language":"javascript","name":"json"}}]}}"#;
    world.jobs(0).put_config("count", config.as_bytes()).await.unwrap();
    let first = job(&map("json", "b", ""));
    for (named, field) in [
        (json!({"config": "nothing"}), "steps.n.job.config"),
        (json!({"config": "count"}), "steps.n.job.params.bucket"),
        (json!({"config": "count", "params": {"bucket": 7}}), "steps.n.job.params.bucket"),
        (json!({"config": "count", "params": {"bucket": ""}}), "steps.n.job.inputs"),
        (json!({"config": "count", "params": {"bucket": "b", "x": 1}}), "steps.n.job.params.x"),
        (
            json!({"config": "count", "params": {"bucket": {"$from": "first.counters"}}}),
            "steps.n.job.params.bucket",
        ),
        (
            json!({"config": "count", "params": {"bucket": {"$from": "first"}, "most": 10}}),
            "steps.n.job.params.most",
        ),
    ] {
        let body = json!({"steps": {"first": first, "n": {"job": named}}});
        match start(&world, 0, &body, "p").await {
            Err(JobsError::Invalid(invalid)) => {
                assert_eq!(invalid.problems()[0].field, field, "{body}: {invalid}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(world.kept(Shelf::Documents).await.is_empty());
    // What is right then may be wrong later: the step fails.
    let params = json!({"bucket": "b", "most": {"$from": "first.counters.mapper-calls"}});
    let body = json!({"steps": {
        "wait": {"delay_ms": 60_000},
        "first": first,
        "n": {"job": {"config": "count", "params": params}, "after": ["wait"]}
    }});
    assert!(start(&world, 0, &body, "good").await.unwrap());
    assert_eq!(ended(&world, 0, "good").await["result_status"], "success");
    assert!(start(&world, 0, &body, "gone").await.unwrap());
    world.jobs(0).remove_config("count").await.unwrap();
    assert!(!start(&world, 0, &body, "gone").await.unwrap(), "it is the same");
    let tree = ended(&world, 0, "gone").await;
    let message = tree["abort_message"].as_str().unwrap();
    assert!(message.contains("there is no job config \"count\""), "{message}");
}
