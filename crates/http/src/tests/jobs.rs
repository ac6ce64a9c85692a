//! `/jobs` and what lies below.

use std::time::Duration;

use mapring_jobs::Invalid;
use mapring_runner::JobsError;
use mapring_types::{Error, ErrorKind};
use serde_json::{Value, json};

use super::Fixture;
use super::wire::Response;

const JSON: &[&str] = &["Content-Type: application/json"];
const ONE: &[u8] = br#"{"inputs":"b","query":[]}"#;

fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// The same, in the words of App Engine.
#[track_caller]
fn told_as_app_engine(refused: &Response, class: &str) {
    assert_eq!(refused.header("content-type"), Some("application/json"), "{}", refused.text());
    let told = parsed(refused);
    let message = told["error_message"].as_str().unwrap_or_default();
    assert_eq!((&told["error_class"], message.is_empty()), (&json!(class), false), "{told}");
}

#[tokio::test]
async fn jobs_are_started() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let one = String::from_utf8_lossy(ONE);
    let key = ["Content-Type: application/json", "Idempotency-Key: k 1"];
    for (method, path, lines, id, asked) in [
        ("POST", "/jobs", JSON, "new", format!("start New {one}")),
        ("POST", "/jobs/?dry_run=false", JSON, "new", format!("start New {one}")),
        ("POST", "/jobs", &key, "of-k 1", format!("start Key(\"k 1\") {one}")),
        ("PUT", "/jobs/a%2Fb", JSON, "a/b", format!("start Id(\"a/b\") {one}")),
    ] {
        let answer = client.request(method, path, lines, ONE).await;
        assert_eq!(answer.status, 202, "{method} {path}: {}", answer.text());
        let href = format!("/jobs/{}", id.replace(' ', "+").replace('/', "%2F"));
        assert_eq!(parsed(&answer), json!({"id": id, "href": href}));
        let expect = format!("content-type: application/json\nlocation: {href}\nx-job-id: {id}");
        assert_eq!(answer.shape(&["content-type", "location", "x-job-id"]), expect);
        assert_eq!(fixture.jobs.asked(), [asked]);
    }
    let shard = json!({"shard_number": 0, "shard_description": "files/q bytes (0,11]"});
    let expect = (200, json!({"valid": true, "shards": [shard]}));
    for (method, path) in [("POST", "/jobs?dry_run=true"), ("PUT", "/jobs/j?dry_run=true")] {
        let planned = client.request(method, path, JSON, ONE).await;
        assert_eq!((planned.status, parsed(&planned)), expect, "{method} {path}");
        assert_eq!(fixture.jobs.asked(), [format!("dry_run {one}")]);
    }
}

/// What is not done is told in JSON, with a word for the kind.
#[track_caller]
fn told(refused: &Response, word: &str) {
    assert_eq!(refused.header("content-type"), Some("application/json"), "{}", refused.text());
    let told = parsed(refused);
    let message = told["message"].as_str().unwrap_or_default();
    assert_eq!(told["error"], word, "{told}");
    assert!(!message.is_empty() && !message.ends_with('\n'), "{told}");
}

#[tokio::test]
async fn wrong_starts_are_refused() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let long = vec![b' '; crate::limits::JOB_BYTES + 1];
    let foreign = ["Content-Type: application/json", "Referer: http://elsewhere/"];
    let coded = ["Content-Type: application/json", "Content-Encoding: br"];
    for (method, path, lines, body, status) in [
        ("POST", "/jobs", &[][..], ONE, 415),
        ("PUT", "/job-configs/a", &[], ONE, 415),
        ("PUT", "/schedules/a", &[], ONE, 415),
        ("PUT", "/pipelines/a", &[], ONE, 415),
        ("POST", "/jobs", &coded, ONE, 415),
        ("POST", "/pipelines", JSON, &long, 413),
        ("PUT", "/jobs/j", &["Content-Type: text/plain"], ONE, 415),
        ("POST", "/jobs", &foreign, ONE, 403),
        ("PUT", "/jobs/j", &foreign, ONE, 403),
        ("POST", "/jobs", &["Content-Type: application/json", "Idempotency-Key: "], ONE, 400),
        ("POST", "/jobs", &["Content-Type: application/json", "Idempotency-Key: \u{e9}"], ONE, 400),
        ("POST", "/jobs", JSON, &long, 413),
    ] {
        let refused = client.request(method, path, lines, body).await;
        assert_eq!(refused.status, status, "{method} {path} {lines:?}: {}", refused.text());
        let word = match status {
            400 => "bad_request",
            403 => "forbidden",
            413 => "too_large",
            _ => "unsupported_media_type",
        };
        told(&refused, word);
        client = fixture.connect().await;
    }
    assert!(fixture.jobs.asked().is_empty());
}

/// Every way to ask something of jobs: a request, its body, what is asked of the jobs, and the status.
const REQUESTS: &[(&str, &str, &str, &str, u16)] = &[
    ("GET", "/jobs", "", "list None None None None", 200),
    ("HEAD", "/jobs", "", "list None None None None", 200),
    (
        "GET",
        "/jobs?count=7&cursor=a%26b&state=active&name=x",
        "",
        r#"list Some(7) Some("a&b") Some("active") Some("x")"#,
        200,
    ),
    ("GET", "/jobs?count=&cursor=", "", "list None None None None", 200),
    ("GET", "/jobs/j", "", "show j", 200),
    ("HEAD", "/jobs/j", "", "show j", 200),
    ("GET", "/jobs/j/results", "", "results j", 200),
    ("HEAD", "/jobs/j/results", "", "results j", 200),
    ("GET", "/jobs/j/errors", "", "errors j", 200),
    ("GET", "/jobs/j/events", "", "events j None", 200),
    ("POST", "/jobs/j/abort", "", "abort j None", 202),
    ("POST", "/jobs/j/abort", "{}", "abort j None", 202),
    ("POST", "/jobs/j/abort", r#"{"message":"why"}"#, r#"abort j Some("why")"#, 202),
    ("DELETE", "/jobs/j", "", "remove j false", 204),
    ("DELETE", "/jobs/j?abort=true", "", "remove j true", 204),
    ("GET", "/job-configs", "", "configs None None", 200),
    ("GET", "/job-configs?count=2&cursor=a", "", r#"configs Some(2) Some("a")"#, 200),
    ("GET", "/job-configs/a%20b", "", "config a b", 200),
    ("PUT", "/job-configs/a", "{}", "put_config a {}", 204),
    ("DELETE", "/job-configs/a", "", "remove_config a", 204),
    ("GET", "/schedules", "", "schedules None None", 200),
    ("GET", "/schedules?cursor=a", "", r#"schedules None Some("a")"#, 200),
    ("GET", "/schedules/n", "", "schedule n", 200),
    ("PUT", "/schedules/n", "{}", "put_schedule n {}", 204),
    ("DELETE", "/schedules/n", "", "remove_schedule n", 204),
    ("POST", "/pipelines", "{}", "start_pipeline New", 202),
    ("PUT", "/pipelines/p", "{}", r#"start_pipeline Id("p")"#, 202),
    ("GET", "/pipelines?count=3&name=x", "", r#"pipelines Some(3) Some("x")"#, 200),
    ("GET", "/pipelines/p", "", "pipeline p", 200),
    ("POST", "/pipelines/p/abort", r#"{"message":"why"}"#, r#"abort_pipeline p Some("why")"#, 202),
    ("POST", "/pipelines/p/steps/a%20b/approve", "", "approve_step p a b", 202),
    ("DELETE", "/pipelines/p?abort=true", "", "remove_pipeline p true", 204),
];

#[tokio::test]
async fn what_is_asked_reaches_the_jobs() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    for (method, path, body, asked, status) in REQUESTS {
        let answer = client.request(method, path, JSON, body.as_bytes()).await;
        assert_eq!(answer.status, *status, "{method} {path}: {}", answer.text());
        assert_eq!(fixture.jobs.asked(), [*asked], "{method} {path}");
    }
    let listed = client.get("/jobs").await;
    assert!(listed.text().contains(r#""name":"\u00e9""#), "{}", listed.text());
    assert_eq!(
        (&parsed(&listed)["jobs"][0]["id"], &parsed(&listed)["cursor"]),
        (&json!("j"), &json!("c"))
    );
    let shown = client.get("/jobs/a%20b").await;
    assert_eq!(
        (&parsed(&shown)["id"], &parsed(&shown)["spec"]["inputs"]),
        (&json!("a b"), &json!("é"))
    );
    let aborted = client.request("POST", "/jobs/j/abort", &[], b"").await;
    assert_eq!(aborted.text(), r#"{"status":"Abort signal sent."}"#);
}

#[tokio::test]
async fn what_is_not_done_is_told() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let started =
        [("POST", "/jobs", "{}"), ("PUT", "/jobs/j", "{}"), ("POST", "/jobs?dry_run=true", "{}")];
    let requests = REQUESTS.iter().filter(|(method, ..)| *method != "HEAD");
    let requests = requests.map(|(method, path, body, ..)| (*method, *path, *body));
    for (method, path, body) in requests.chain(started) {
        for (failure, status, word) in [
            (JobsError::Invalid(Invalid::one("rate", "is a number")), 400, "bad_request"),
            (JobsError::no_job("j"), 404, "not_found"),
            (JobsError::Conflict("j is active".into()), 409, "conflict"),
            (JobsError::Full("as many as may be".into()), 429, "too_many"),
            (JobsError::Node(Error::unavailable("no majority")), 503, "unavailable"),
            (JobsError::Node(Error::new(ErrorKind::Internal, "x")), 500, "internal"),
        ] {
            *fixture.jobs.failure.lock() = Some(failure);
            let refused = client.request(method, path, JSON, body.as_bytes()).await;
            let told = parsed(&refused);
            assert_eq!((refused.status, &told["error"]), (status, &json!(word)), "{method} {path}");
            assert!(told["message"].is_string(), "{told}");
            assert_eq!(refused.header("retry-after"), (status == 429).then_some("10"));
        }
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(crate::limits::MESSAGE_BYTES + 1));
    for (method, path, body, field) in [
        ("GET", "/jobs?count=x", "", "count"),
        ("GET", "/jobs?count=-1", "", "count"),
        ("GET", "/jobs?counts=1", "", "counts"),
        ("GET", "/pipelines?count=1.5", "", "count"),
        ("GET", "/jobs/j?abort=true", "", "abort"),
        ("POST", "/jobs?dryrun=true", "{}", "dryrun"),
        ("POST", "/jobs?dry_run=yes", "{}", "dry_run"),
        ("PUT", "/jobs/j?dry_run=1", "{}", "dry_run"),
        ("POST", "/pipelines?dry_run=true", "{}", "dry_run"),
        ("PUT", "/pipelines/p?dry_run=true", "{}", "dry_run"),
        ("PUT", "/job-configs/a?dry_run=true", "{}", "dry_run"),
        ("PUT", "/schedules/n?dry_run=true", "{}", "dry_run"),
        ("DELETE", "/jobs/j?abort=zz", "", "abort"),
        ("DELETE", "/pipelines/p?abort=", "", "abort"),
        ("DELETE", "/schedules/n?abort=true", "", "abort"),
        ("GET", "/jobs/j/results?chunked=zz", "", "chunked"),
        ("GET", "/jobs/j/events?after=x", "", "after"),
        ("POST", "/jobs/j/abort", "[]", ""),
        ("POST", "/jobs/j/abort", r#"{"message":7}"#, ""),
        ("POST", "/jobs/j/abort", r#"{"massage":"x"}"#, ""),
        ("POST", "/jobs/j/abort", &long, "message"),
    ] {
        let refused = client.request(method, path, JSON, body.as_bytes()).await;
        let told = parsed(&refused);
        assert_eq!((refused.status, &told["field"]), (400, &json!(field)), "{path}: {told}");
    }
    for (method, path, status) in [
        ("PUT", "/jobs", 405),
        ("DELETE", "/jobs", 405),
        ("OPTIONS", "/jobs/j", 405),
        ("POST", "/jobs/j", 405),
        ("POST", "/jobs/j/results", 405),
        ("GET", "/jobs/j/abort", 405),
        ("POST", "/job-configs/a", 405),
        ("POST", "/schedules/n", 405),
        ("PUT", "/pipelines", 405),
        ("GET", "/pipelines/p/steps/s/approve", 405),
        ("POST", "/pipelines/p/steps/s", 404),
        ("GET", "/mapreduce/command/start_job", 405),
        ("POST", "/mapreduce/command/list_jobs", 405),
        ("GET", "/mapreduce/command/other", 404),
        ("GET", "/jobs/j/other", 404),
        ("GET", "/jobs/j/results/x", 404),
    ] {
        let refused = client.request(method, path, &[], b"").await;
        assert_eq!(refused.status, status, "{method} {path}");
        let words = match status {
            404 => ("not_found", "NotFound"),
            _ => ("method_not_allowed", "MethodNotAllowed"),
        };
        match path.starts_with("/mapreduce") {
            true => told_as_app_engine(&refused, words.1),
            false => told(&refused, words.0),
        }
        assert_eq!(refused.header("allow").is_some(), status == 405, "{method} {path}");
    }
    // Elsewhere these are pages, as in Riak.
    let page = client.get("/job").await;
    assert_eq!((page.status, page.header("content-type")), (404, Some("text/html")));
    let foreign = ["Referer: http://elsewhere/"];
    for (method, path) in [
        ("DELETE", "/jobs/j"),
        ("POST", "/jobs/j/abort"),
        ("GET", "/jobs/j/results"),
        ("GET", "/jobs/j"),
        ("DELETE", "/job-configs/a"),
        ("DELETE", "/schedules/n"),
        ("DELETE", "/pipelines/p"),
        ("POST", "/pipelines/p/steps/s/approve"),
        ("POST", "/mapreduce/command/cleanup_job"),
    ] {
        let refused = client.request(method, path, &foreign, b"").await;
        assert_eq!(refused.status, 403, "{method} {path}");
        if path.starts_with("/mapreduce") {
            told_as_app_engine(&refused, "Forbidden");
        }
    }
    assert!(fixture.jobs.asked().is_empty());
}

#[tokio::test]
async fn results_have_the_form_that_is_asked_for() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let path = "/jobs/j/results";
    let plain = client.get(path).await;
    assert_eq!((plain.status, plain.text().as_str()), (200, "[1,2,3]"));
    let shape = plain.shape(&["content-type", "content-length", "vary"]);
    assert_eq!(
        shape,
        "content-type: application/json\ncontent-length: 7\nvary: Accept, Accept-Encoding"
    );
    let lines = client.request("GET", path, &["Accept: application/x-ndjson"], b"").await;
    let expect = "{\"job\":\"j\"}\n{\"phase\":1,\"data\":[1,2]}\n{\"phase\":1,\"data\":[3]}\n\
                  {\"done\":{\"results\":3}}\n";
    assert_eq!(lines.text(), expect);
    let events = client.request("GET", path, &["Accept: text/event-stream"], b"").await;
    assert!(
        events.text().starts_with("event: job\ndata: {\"job\":\"j\"}\n\n"),
        "{}",
        events.text()
    );
    for (path, accept) in
        [("/jobs/j/results", "multipart/mixed"), ("/jobs/j/results?chunked=true", "*/*")]
    {
        let parts = client.request("GET", path, &[&format!("Accept: {accept}")], b"").await;
        assert!(parts.header("content-type").unwrap().starts_with("multipart/mixed;boundary="));
        assert!(parts.text().contains(r#"{"phase":1,"data":[1,2,3]}"#), "{}", parts.text());
    }
    let refused = client.request("GET", path, &["Accept: image/png"], b"").await;
    assert_eq!(refused.status, 406);
    told(&refused, "not_acceptable");
}

#[tokio::test]
async fn events_are_told_as_they_come() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let path = "/jobs/j/events";
    let event = |number: u8, state: &str| {
        format!(r#"{{"id":"1-{number}","event":"state","time_ms":7,"data":{{"state":"{state}"}}}}"#)
    };
    let (first, second) = (event(1, "running"), event(2, "\\u00e9"));
    let all = client.get(path).await;
    let expect = format!(
        "id: 1-1\nevent: state\ndata: {first}\n\nid: 1-2\nevent: state\ndata: {second}\n\n"
    );
    assert_eq!((all.header("content-type"), all.text()), (Some("text/event-stream"), expect));
    assert_eq!(all.header("cache-control"), Some("no-store"));
    let lines = ["Accept: application/x-ndjson", "Last-Event-ID: 1-1"];
    let rest = client.request("GET", path, &lines, b"").await;
    assert_eq!(rest.text(), format!("{second}\n"));
    // A browser that asks again after the end is told that there is no more.
    let none = client.get("/jobs/j/events?after=1-2").await;
    assert_eq!((none.status, none.text().as_str()), (204, ""));
    *fixture.jobs.goes_on.lock() = true;
    client.send(b"GET /jobs/j/events?after=1-1 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert!(client.chunk().await.unwrap().starts_with(b"id: 1-2\n"));
    // A node that begins to stop sends those who follow its jobs to another one, at once.
    let stopped = fixture.server.shutdown(Duration::from_secs(60), std::future::pending());
    let (end, ()) = tokio::join!(client.chunk(), stopped);
    assert_eq!(end, None);
}

#[tokio::test]
async fn pipelines_and_schedules_are_shown() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let started = client.request("PUT", "/pipelines/a%20b", JSON, b"{}").await;
    assert_eq!(started.header("location"), Some("/pipelines/a+b"));
    assert_eq!(parsed(&started), json!({"id": "a b", "href": "/pipelines/a+b"}));
    let listed = parsed(&client.get("/pipelines").await);
    assert_eq!(listed, json!({"pipelines": [{"id": "p"}], "cursor": null}));
    let listed = parsed(&client.get("/schedules").await);
    assert_eq!(listed, json!({"schedules": [{"name": "nightly"}], "cursor": null}));
}

#[tokio::test]
async fn named_jobs_are_shown_whole() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let listed = parsed(&client.get("/job-configs").await);
    let param = json!({"name": "than", "type": "integer", "required": false, "default": 3});
    assert_eq!(listed["configs"][0]["params"], json!([param]));
    assert_eq!(listed["configs"][0].get("job"), None);
    let shown = parsed(&client.get("/job-configs/count").await);
    assert_eq!(shown["job"], json!({"inputs": "b", "query": []}));
}

#[tokio::test]
async fn app_engines_urls_answer_in_its_words() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let at = "/mapreduce/command";
    let form = &["Content-Type: application/x-www-form-urlencoded"];
    let listed = parsed(&client.get(&format!("{at}/list_jobs?count=2")).await);
    assert_eq!((&listed["jobs"][0]["mapreduce_id"], &listed["cursor"]), (&json!("j"), &json!("c")));
    assert_eq!(listed["jobs"][0].get("result_status"), None);
    let shown = parsed(&client.get(&format!("{at}/get_job_detail?mapreduce_id=j")).await);
    assert_eq!(shown["mapper_spec"]["mapper_input_reader"], "é");
    let configs = parsed(&client.get(&format!("{at}/list_configs")).await);
    let config = json!({"name": "count", "mapper_params": {"than": 3}});
    assert_eq!(configs, json!({"configs": [config]}));
    fixture.jobs.asked();
    for (path, body, asked, answer) in [
        (
            "start_job",
            "name=count&mapper_params.than=7",
            r#"start New {"config":"count","params":{"than":7}}"#,
            json!({"mapreduce_id": "new"}),
        ),
        ("abort_job", "mapreduce_id=j", "abort j None", json!({"status": "Abort signal sent."})),
        (
            "cleanup_job",
            "mapreduce_id=j",
            "remove j false",
            json!({"status": "Job j successfully cleaned up."}),
        ),
    ] {
        let done = client.request("POST", &format!("{at}/{path}"), form, body.as_bytes()).await;
        assert_eq!((done.status, parsed(&done)), (200, answer), "{path}");
        assert_eq!(fixture.jobs.asked().last().unwrap(), asked);
    }
    *fixture.jobs.failure.lock() = Some(JobsError::no_job("j"));
    let unknown = client.get(&format!("{at}/get_job_detail?mapreduce_id=j")).await;
    let told = json!({"error_class": "KeyError", "error_message": "there is no job \"j\""});
    assert_eq!((unknown.status, parsed(&unknown)), (404, told));
    let missing = client.request("POST", &format!("{at}/abort_job"), form, b"").await;
    assert_eq!((missing.status, &parsed(&missing)["error_class"]), (400, &json!("ValueError")));
}
