//! What nodes tell of jobs, held against what must have come of them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Instant;

use futures::future::join_all;
use serde_json::Value;

use super::super::query::difference;
use super::super::rig::Rig;
use super::super::wire;
use super::task::{Objects, Point, Task};
use mapring_tests::harness::{eventually, holds};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// What nodes have of jobs that run, and of nothing when none does.
const OF_RUNNING: [&str; 5] = [
    "mapring_jobs_owned",
    "mapring_jobs_waiting",
    "mapring_mapred_queries_running",
    "mapring_mapred_lanes",
    "mapring_mapred_units_in_flight",
];

/// A job under way.
#[derive(Debug, Clone)]
pub(super) struct Midst {
    pub(super) job: String,
    /// Who has it.
    pub(super) owner: usize,
}

/// What a node says of something; `None` when it does not say 200.
pub(super) async fn told(rig: &Rig, node: usize, path: &str) -> Option<Value> {
    let answer = wire::get(rig.address(node), path).await.unwrap_or_default();
    if answer.status != 200 {
        return None;
    }
    Some(serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// Starts a job by way of a node.
pub(super) async fn start(rig: &Rig, node: usize, task: &Task) {
    rig.note_of(node, &format!("is to start {} ({:?})", task.id, task.kind));
    let (path, body) = (task.path(), task.document.to_string());
    let answer = wire::request(rig.address(node), "PUT", &path, &JSON, body.as_bytes()).await;
    let answer = answer.unwrap_or_default();
    assert_eq!(answer.status, 202, "PUT {path}: {}", answer.text());
}

/// The job of a task, or of a step of it.
async fn job_of(rig: &Rig, node: usize, task: &Task, step: &str) -> Option<String> {
    if !task.is_pipeline() {
        return Some(task.id.clone());
    }
    let shown = told(rig, node, &task.path()).await?;
    shown["steps"][step]["job_id"].as_str().map(str::to_owned)
}

/// The number of the node that a job is shown with.
fn owner(rig: &Rig, job: &Value) -> Option<usize> {
    let name = job["node"].as_str()?;
    rig.cluster.nodes.iter().position(|node| node.settings.name == name)
}

/// Waits until a job is where it is to be met; `None` when it has ended before that was seen.
pub(super) async fn midst(rig: &Rig, node: usize, task: &Task, point: Point) -> Option<Midst> {
    let Point { counter, count } = point;
    let what = format!("{} ({:?}) to have {count} {counter}", task.id, task.kind);
    let met = eventually(&what, || async {
        let id = job_of(rig, node, task, "first").await?;
        let job = told(rig, node, &format!("/jobs/{id}")).await?;
        if job["active"] == false {
            return Some(None);
        }
        let counted = job["counters"][counter].as_i64().unwrap_or(0);
        let owner = owner(rig, &job)?;
        (counted >= count).then_some(Some(Midst { job: id, owner }))
    })
    .await;
    match &met {
        Some(midst) => rig.note_of(midst.owner, &format!("has {}: {count} {counter}", midst.job)),
        None => rig.note(&format!("{} has ended before {count} {counter}", task.id)),
    }
    met
}

/// Waits until a job tells of a checkpoint, which it is kept with; `false` when it has ended without one.
pub(super) async fn checkpointed(rig: &Rig, through: usize, Midst { job, owner }: &Midst) -> bool {
    let mut events = rig.cluster.client(through).job_events(job, None).await.unwrap();
    while let Ok(Some(event)) = events.next().await {
        if event.event == "checkpoint" {
            rig.note_of(*owner, &format!("has a checkpoint of {job}: {}", event.data));
            return true;
        }
    }
    rig.note(&format!("{job} has ended without a checkpoint"));
    false
}

/// Waits until another node runs a job, and says whom and since when; `None` when it has ended.
pub(super) async fn taken(
    rig: &Rig,
    through: usize,
    job: &str,
    epoch: u64,
) -> Option<(usize, Instant)> {
    let path = format!("/jobs/{job}");
    let new = eventually(&format!("{job} to be taken over under epoch {epoch}"), || async {
        let shown = told(rig, through, &path).await?;
        if shown["active"] == false {
            return Some(None);
        }
        let is_new = shown["epoch"].as_u64() >= Some(epoch);
        is_new.then(|| owner(rig, &shown)).flatten().map(Some)
    })
    .await?;
    // What is shown right after may be what was stored before: its events are its own.
    let after = format!("{epoch}-0");
    let client = rig.cluster.client(through);
    let mut events = client.job_events(job, Some(&after)).await.ok()?;
    while let Ok(Some(event)) = events.next().await {
        if event.data["state"] == "running" {
            let since = Instant::now();
            rig.note_of(new, &format!("runs {job} under epoch {epoch}"));
            return Some((new, since));
        }
    }
    None
}

/// Waits until a task has ended.
pub(super) async fn ended(rig: &Rig, through: usize, task: &Task) -> Value {
    let path = task.path();
    let shown = eventually(&format!("{path} ({:?}) to end", task.kind), || async {
        let shown = told(rig, through, &path).await?;
        let over = match task.is_pipeline() {
            true => ["done", "aborted"].iter().any(|end| shown["status"] == *end),
            false => shown["active"] == false,
        };
        over.then_some(shown)
    })
    .await;
    rig.note_of(through, &format!("says that {} has ended", task.id));
    shown
}

/// A task has succeeded, and given what it must, each input once.
pub(super) async fn succeeded(
    rig: &Rig,
    through: usize,
    task: &Task,
    epochs: &RangeInclusive<u64>,
) {
    let shown = ended(rig, through, task).await;
    let what = format!("{} ({:?}) by way of n{}", task.id, task.kind, through + 1);
    let (first, last) = match task.is_pipeline() {
        false => (task.id.clone(), task.id.clone()),
        true => {
            assert_eq!(shown["status"], "done", "{what}: {shown}");
            let steps = &shown["steps"];
            let attempts = ["first", "second"].map(|step| &steps[step]["current_attempt"]);
            assert_eq!(attempts, [1, 1], "{what}: lost nodes are no attempt: {shown}");
            let of = |step: &str| steps[step]["job_id"].as_str().unwrap().to_owned();
            (of("first"), of("second"))
        }
    };
    let job = told(rig, through, &format!("/jobs/{first}")).await.expect("a job that has ended");
    assert_eq!(job["result_status"], "success", "{what}: {job}");
    assert_eq!((&job["state"], &job["error"]), (&"done".into(), &Value::Null), "{what}");
    for (name, count) in &task.counters {
        assert_eq!(job["counters"][name].as_i64(), Some(*count), "{what}, {name}: {job}");
    }
    let epoch = job["epoch"].as_u64().unwrap();
    assert!(epochs.contains(&epoch), "{what}: epoch {epoch} is none of {epochs:?}");
    let seen = task.counters.iter().find(|(name, _)| *name == "seen").unwrap().1;
    assert_eq!(job["phases"][0]["in"].as_i64(), Some(seen), "{what}: {job}");
    let objects = objects(rig, through, task).await;
    if let Some(expect) = &task.results {
        let found = results(rig, through, &last, &what).await;
        assert!(found == *expect, "{what}: {}", difference(&found, expect));
    } else {
        let name = |key: &String| serde_json::json!([task.bucket(), key]).to_string();
        let expect: Vec<String> = objects.keys().map(name).collect();
        assert_eq!(results(rig, through, &last, &what).await, expect, "{what}");
    }
    are_as_expected(task, &objects, &what);
}

/// The results of a job as JSON, sorted.
pub(super) async fn results(rig: &Rig, through: usize, job: &str, what: &str) -> Vec<String> {
    let shown = told(rig, through, &format!("/jobs/{job}/results")).await;
    let shown = shown.unwrap_or_else(|| panic!("{what} has no results"));
    let mut results: Vec<String> = shown.as_array().unwrap().iter().map(Value::to_string).collect();
    results.sort_unstable();
    results
}

/// The objects that a task has written.
pub(super) async fn objects(rig: &Rig, through: usize, task: &Task) -> BTreeMap<String, String> {
    let bucket = task.bucket();
    let listed = told(rig, through, &format!("/buckets/{bucket}/keys?keys=true")).await;
    let listed = listed.unwrap_or_else(|| panic!("{bucket} cannot be listed"));
    let keys =
        listed["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned());
    let read = keys.map(|key| async {
        let path = format!("/buckets/{bucket}/keys/{key}");
        let answer = wire::get(rig.address(through), &path).await.unwrap_or_default();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        (key, answer.text())
    });
    let read = join_all(read).await;
    let count = read.len();
    let objects: BTreeMap<String, String> = read.into_iter().collect();
    assert_eq!(objects.len(), count, "{bucket}: a key is listed twice");
    objects
}

fn are_as_expected(task: &Task, found: &BTreeMap<String, String>, what: &str) {
    match &task.objects {
        Objects::Are(expect) => {
            let flat = |objects: &BTreeMap<String, String>| -> Vec<String> {
                objects.iter().map(|(key, body)| format!("{key}: {body}")).collect()
            };
            assert!(found == expect, "{what}: {}", difference(&flat(found), &flat(expect)));
        }
        Objects::Hold(count, expect) => {
            let mut lines: Vec<String> =
                found.values().flat_map(|body| body.lines().map(str::to_owned)).collect();
            lines.sort_unstable();
            assert_eq!(found.len(), *count, "{what}: {:?}", found.keys());
            assert!(lines == *expect, "{what}: {}", difference(&lines, expect));
        }
    }
}

/// A task was ended by somebody, and stays so: there is nothing of what the job was to give.
pub(super) async fn aborted(rig: &Rig, through: usize, task: &Task, message: &str) {
    let shown = ended(rig, through, task).await;
    let what = format!("{} ({:?}) by way of n{}: {shown}", task.id, task.kind, through + 1);
    let (status, why) = match task.is_pipeline() {
        true => (&shown["status"], &shown["abort_message"]),
        false => (&shown["result_status"], &shown["error"]["error"]),
    };
    assert_eq!(status, "aborted", "{what}");
    assert!(why.as_str().is_some_and(|why| why.contains(message)), "{what}");
    let mut of_jobs = Vec::new();
    for step in ["first", "second"] {
        let Some(job) = job_of(rig, through, task, step).await else { continue };
        if let Some(job) = told(rig, through, &format!("/jobs/{job}")).await {
            of_jobs.push(job["result_status"].clone());
        }
    }
    let found = objects(rig, through, task).await;
    if task.is_pipeline() && of_jobs.first().is_some_and(|result| result == "success") {
        // Its first job had succeeded.
        assert!(of_jobs[1..].iter().all(|result| result == "aborted"), "{what}: {of_jobs:?}");
        return are_as_expected(task, &found, &what);
    }
    assert!(of_jobs.iter().all(|result| result == "aborted"), "{what}: {of_jobs:?}");
    if !task.is_pipeline() {
        let results = format!("/jobs/{}/results", task.id);
        let answer = wire::get(rig.address(through), &results).await.unwrap_or_default();
        assert_eq!(answer.status, 409, "{what}: {}", answer.text());
    }
    match &task.objects {
        Objects::Are(expect) if task.kind.writes_at_once() => {
            let known = |(key, body): (&String, &String)| expect.get(key) == Some(body);
            assert!(found.iter().all(known), "{what}");
        }
        _ => assert!(found.is_empty(), "{what}: {:?}", found.keys()),
    }
}

/// Ends a task by way of a node; `false` where it had ended, or was about to.
pub(super) async fn abort(rig: &Rig, through: usize, task: &Task, message: &str) -> bool {
    let path = format!("{}/abort", task.path());
    let body = serde_json::json!({ "message": message }).to_string();
    rig.note_of(through, &format!("is to abort {}", task.id));
    let status = eventually(&format!("POST {path}"), || async {
        let answer = wire::request(rig.address(through), "POST", &path, &JSON, body.as_bytes());
        let answer = answer.await.unwrap_or_default();
        // Without a leader nothing is decided for a moment.
        (answer.status != 503).then_some(answer.status)
    })
    .await;
    assert!([202, 409].contains(&status), "POST {path}: {status}");
    status == 202
}

/// Removes a task by way of a node; no node knows of it any more.
pub(super) async fn removed(rig: &Rig, through: usize, task: &Task) {
    let path = task.path();
    let mut gone = vec![path.clone()];
    for step in ["first", "second"] {
        let job = job_of(rig, through, task, step).await;
        gone.extend(job.iter().flat_map(|job| {
            ["", "/results", "/errors", "/events"].map(|of| format!("/jobs/{job}{of}"))
        }));
    }
    let answer = wire::request(rig.address(through), "DELETE", &path, &[], b"").await;
    let answer = answer.unwrap_or_default();
    assert_eq!(answer.status, 204, "DELETE {path}: {}", answer.text());
    for node in rig.everyone() {
        for path in &gone {
            let answer = wire::get(rig.address(node), path).await.unwrap_or_default();
            assert_eq!(answer.status, 404, "{path} by n{}: {}", node + 1, answer.text());
        }
    }
}

/// No node knows of any job or works on one any more.
pub(super) async fn none_is_left(rig: &Rig) {
    for node in rig.everyone() {
        for (path, of) in [("/jobs?count=1000", "jobs"), ("/pipelines", "pipelines")] {
            let list = told(rig, node, path).await.unwrap();
            assert_eq!(list[of], Value::Array(Vec::new()), "by n{}", node + 1);
        }
        for name in OF_RUNNING {
            eventually(&format!("{name} of n{} to be 0", node + 1), || async {
                holds(rig.metric(node, name).await == 0.0)
            })
            .await;
        }
    }
}
