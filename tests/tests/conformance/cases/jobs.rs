//! Jobs: started, looked at, ended. Each row removes its job, so that it can be put to every node.

use serde_json::json;

use crate::case::{Case, Topic, query};
use crate::check::Check;
use crate::phases::{map_js, map_named};
use crate::wire::Request;

use super::groups::{LIST, ages, grouped};
use super::outputs::LOWER;

const JSON: &str = "application/json";
const AGES: &str = r#"[["21",1],["43",1],["54",2]]"#;

/// A map that takes so long for each input that a job is seen to run.
const SLOW: &str = "function(v){ var n = 0; while (n < 1000000) n++; return [n]; }";

const ITEMS: &str = r#"{"range":{"start":0,"end":100000}}"#;

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("jobs");
    starts(&mut t);
    results(&mut t);
    ends(&mut t);
    failures(&mut t);
    refusals(&mut t);
    requests(&mut t);
    super::job_pages::rows(&mut t);
    named(&mut t);
    clocks(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

/// A query with more members.
pub(super) fn document(inputs: &str, phases: &[String], members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    query(inputs, phases).replacen('{', &format!("{{{members}{comma}"), 1)
}

/// A job that is started under an id of its own.
pub(super) fn start<'t>(t: &'t mut Topic, name: &str, id: &str, body: &str) -> &'t mut Case {
    let path = format!("/jobs/{id}");
    t.ask(name, Request::new("PUT", &path).body(JSON, body.to_owned()))
        .status(202)
        .check(Check::Header("Location", path.clone()))
        .check(Check::Json(json!({"id": id, "href": path})))
}

/// It has ended so.
pub(super) fn ends_in<'c>(case: &'c mut Case, id: &str, result: &str) -> &'c mut Case {
    case.then_at_last(&format!("/jobs/{id}"))
        .status(200)
        .at("/active", "false")
        .at("/state", r#""done""#)
        .at("/result_status", &format!("{result:?}"))
}

/// It is removed, and gone.
pub(super) fn removed<'c>(case: &'c mut Case, id: &str) -> &'c mut Case {
    let path = format!("/jobs/{id}");
    case.then(Request::new("DELETE", &path))
        .status(204)
        .then(Request::new("GET", &path))
        .status(404)
        .at("/error", r#""not_found""#)
}

fn starts(t: &mut Topic) {
    let body = document(r#""myInput""#, &ages(), r#""name":"counting-ages-once""#);
    let id = "jo-01";
    let case = start(t, "start, detail, results", id, &body);
    // Sent again it is the same.
    case.then_send("PUT", "/jobs/jo-01", body.clone()).status(202).at("/id", r#""jo-01""#);
    ends_in(case, id, "success")
        .at("/name", r#""counting-ages-once""#)
        .at("/counters/mapper-calls", "4")
        .at("/counters/reducer-calls", "3")
        .at("/counters/groups", "3")
        .at("/spec/inputs", r#""myInput""#)
        .at("/shards/0/shard_number", "0")
        .at("/shards/0/shard_id", r#""jo-01-0""#)
        .at("/shards/0/active", "false")
        .at("/shards/0/result_status", r#""success""#)
        .at("/shards/0/last_error", "null")
        .at("/phases/0/in", "4")
        .at("/error", "null");
    case.then(Request::new("GET", "/jobs/jo-01/results")).gives(AGES);
    case.then(Request::new("GET", "/jobs/jo-01/results?chunked=true")).parts(&[(1, AGES)]);
    let lines = Request::new("GET", "/jobs/jo-01/results");
    case.then(lines.header("Accept", Some("application/x-ndjson")))
        .status(200)
        .check(Check::Text(r#"{"done":{"results":3}}"#.into()));
    case.then(Request::new("GET", "/jobs/jo-01/events"))
        .status(200)
        .check(Check::HeaderStarts("Content-Type", "text/event-stream".into()))
        .check(Check::Text("event: end".into()));
    case.then(Request::new("GET", "/jobs?name=counting-ages-once"))
        .ok()
        .at("/jobs/0/id", r#""jo-01""#);
    removed(case, id);

    let other = document(r#""people""#, &ages(), "");
    let same = document(r#""myInput""#, &ages(), "");
    let case = start(t, "one id, two documents", "jo-21", &same);
    case.then_send("PUT", "/jobs/jo-21", other).status(409).at("/error", r#""conflict""#);
    ends_in(case, "jo-21", "success");
    removed(case, "jo-21");

    let keyed = || Request::new("POST", "/jobs").header("Idempotency-Key", Some("conformance"));
    let named = document(r#""myInput""#, &ages(), r#""name":"keyed""#);
    let case = t.ask("one key", keyed().body(JSON, named.clone())).status(202);
    case.then(keyed().body(JSON, named)).status(202);
    case.then_at_last("/jobs?name=keyed&state=success")
        .ok()
        .at("/jobs/0/name", r#""keyed""#)
        .at("/jobs/1", "null");
    case.then(keyed().body(JSON, body.clone())).status(409);

    let planned = document(
        r#"{"lines":[["files","q"]]}"#,
        &[map_named("Riak.mapValues")],
        r#""shards":2,"name":"dry""#,
    );
    t.ask("a dry run", Request::new("POST", "/jobs?dry_run=true").body(JSON, planned))
        .ok()
        .at("/valid", "true")
        .check(Check::WordsAt("/shards/0/shard_description", "(0,11]".into()))
        .check(Check::WordsAt("/shards/1/shard_description", "(11,22]".into()))
        .then(Request::new("GET", "/jobs?name=dry"))
        .ok()
        .at("/jobs", "[]");
}

fn results(t: &mut Topic) {
    let object = document(r#""myInput""#, &ages(), r#""output":{"as":"object","values":"string"}"#);
    let case = start(t, "results as an object", "jo-rm-01", &object);
    ends_in(case, "jo-rm-01", "success");
    case.then(Request::new("GET", "/jobs/jo-rm-01/results"))
        .body(r#"{"21":"1","43":"1","54":"2"}"#);
    removed(case, "jo-rm-01");

    // RM-12, the groups themselves: what a reduce gives that hands them on. They are not kept beside.
    let phases = [ages()[0].clone(), grouped(LIST)];
    let kept = document(r#""myInput""#, &phases, r#""output":{"as":"object"}"#);
    let case = start(t, "groups that are kept", "jo-rm-12", &kept);
    ends_in(case, "jo-rm-12", "success");
    case.then(Request::new("GET", "/jobs/jo-rm-12/results"))
        .body(r#"{"21":["1"],"43":["1"],"54":["1","1"]}"#);
    removed(case, "jo-rm-12");
    case.then(Request::new("GET", "/jobs/jo-rm-12/results")).status(404);
    let beside = document(r#""myInput""#, &ages(), r#""keep_groups":true"#);
    t.ask("groups kept beside", Request::new("POST", "/jobs").body(JSON, beside))
        .refuses("keep_groups")
        .check(Check::Text("return [[key, values]]".into()));

    let members =
        r#""output":{"bucket":"jobs-out","layout":"single","name":"ages","format":"ndjson"}"#;
    let body = document(r#""myInput""#, &ages(), members);
    let case = start(t, "outputs, which stay", "jo-05", &body);
    ends_in(case, "jo-05", "success").at("/outputs", r#"[["jobs-out","ages"]]"#);
    case.then(Request::new("GET", "/jobs/jo-05/results")).gives(r#"[["jobs-out","ages"]]"#);
    removed(case, "jo-05");
    let lines = "[\"21\",1]\n[\"43\",1]\n[\"54\",2]\n";
    case.then_read("/buckets/jobs-out/keys/ages", "application/x-ndjson", lines);

    let range = r#"{"range":{"start":0,"end":10}}"#;
    let first = document(range, &[map_named("Riak.mapValuesJson")], "");
    let case = start(t, "what an earlier job gave", "jo-first", &first);
    ends_in(case, "jo-first", "success");
    let sum = [map_named("Riak.mapValuesJson"), crate::phases::reduce_named("Riak.reduceSum")];
    case.then_query(query(r#"{"job":"jo-first"}"#, &sum)).gives("[45]");
    case.then_query(query(r#"{"job":"jo-nobody"}"#, &sum)).fails(0, &["there is no job"]);
    let second = document(r#"{"job":"jo-first"}"#, &sum, "");
    case.then_send("PUT", "/jobs/jo-second", second).status(202);
    ends_in(case, "jo-second", "success");
    case.then(Request::new("GET", "/jobs/jo-second/results")).gives("[45]");
    removed(case, "jo-second");
    removed(case, "jo-first");

    // Rows on other nodes read what this one writes: the names are its own.
    let body = document(r#""jobs-posts""#, &[map_js(LOWER)], "");
    let put = Request::new("PUT", "/buckets/jobs-posts/keys/1").body(JSON, r#"{"text":"HELLO"}"#);
    let case = t.ask("posts in lower case", put).status(204);
    case.then_send("PUT", "/jobs/jo-posts", body).status(202);
    ends_in(case, "jo-posts", "success").at("/counters/writes", "1").at("/counters/lowered", "1");
    case.then_read("/buckets/jobs-posts/keys/1", JSON, r#"{"text":"hello"}"#);
    removed(case, "jo-posts");

    let shards = r#"{"random":{"count":500,"string_length":1,"seed":7}}"#;
    let body = document(shards, &[map_named("Riak.mapValues")], r#""shards":16"#);
    let case = start(t, "shards of what is made", "jo-in-18", &body);
    ends_in(case, "jo-in-18", "success")
        .at("/shard_count", "16")
        .at("/counters/mapper-calls", "500")
        .at("/shards/0/counters/mapper-calls", "32")
        .at("/shards/15/counters/mapper-calls", "31");
    removed(case, "jo-in-18");
}

fn ends(t: &mut Topic) {
    for (method, path) in [
        ("GET", "/jobs/nobody"),
        ("GET", "/jobs/nobody/results"),
        ("GET", "/jobs/nobody/errors"),
        ("GET", "/jobs/nobody/events"),
        ("POST", "/jobs/nobody/abort"),
        ("DELETE", "/jobs/nobody"),
    ] {
        t.ask(&format!("unknown: {method} {path}"), Request::new(method, path))
            .status(404)
            .at("/error", r#""not_found""#);
    }
    let members = r#""output":{"bucket":"jobs-none","layout":"single","name":"x"}"#;
    let body = document(ITEMS, &[map_js(SLOW)], members);
    let case = start(t, "abort", "jo-04", &body);
    case.then(Request::new("DELETE", "/jobs/jo-04")).status(409).at("/error", r#""conflict""#);
    case.then(Request::new("GET", "/jobs/jo-04/results")).status(409);
    case.then_send("POST", "/jobs/jo-04/abort", r#"{"message":"enough"}"#)
        .status(202)
        .check(Check::Body(r#"{"status":"Abort signal sent."}"#.into()));
    ends_in(case, "jo-04", "aborted").check(Check::WordsAt("/error", "enough".into()));
    case.then(Request::new("GET", "/buckets/jobs-none/keys/x")).status(404);
    removed(case, "jo-04");
    let case = start(t, "removed while it runs", "jo-rm", &document(ITEMS, &[map_js(SLOW)], ""));
    case.then(Request::new("DELETE", "/jobs/jo-rm?abort=true"))
        .status(204)
        .then(Request::new("GET", "/jobs/jo-rm"))
        .status(404);
    let body = document(r#""myInput""#, &ages(), r#""delay_ms":600000"#);
    let case = start(t, "later", "jo-later", &body);
    case.then(Request::new("GET", "/jobs/jo-later")).ok().at("/state", r#""waiting""#);
    case.then(Request::new("DELETE", "/jobs/jo-later?abort=true")).status(204);
}

fn failures(t: &mut Topic) {
    let once = r#""retries":{"shard":1,"slice":1,"backoff_ms":0}"#;
    let boom = "function(v){ if (v.key === '3') throw new Error('boom on ' + v.key); return []; }";
    let case =
        start(t, "an exception is seen", "jo-07", &document(r#""myInput""#, &[map_js(boom)], once));
    ends_in(case, "jo-07", "failed").check(Check::WordsAt("/error/error", "boom on 3".into()));
    case.then(Request::new("GET", "/jobs/jo-07/errors"))
        .ok()
        .check(Check::WordsAt("/errors/0/error", "boom on 3".into()))
        .check(Check::WordsAt("/errors/0/input", "myInput".into()));
    case.then(Request::new("GET", "/jobs/jo-07/results")).status(409);
    removed(case, "jo-07");

    let fails = "function(v){ fail('bad data'); }";
    let case =
        start(t, "a job that gives up", "jo-08", &document(r#""myInput""#, &[map_js(fails)], ""));
    ends_in(case, "jo-08", "failed").check(Check::WordsAt("/error/error", "bad data".into()));
    removed(case, "jo-08");

    let age = "function(v){ return [JSON.parse(v.values[0].data).age]; }";
    for (most, result) in [(10, "success"), (0, "failed")] {
        let id = format!("jo-10-{most}");
        let members = format!(r#""on_error":{{"mode":"skip","max":{most}}},{once}"#);
        let body = document(r#""people""#, &[map_js(age)], &members);
        let case = start(t, &format!("at most {most} bad inputs"), &id, &body);
        ends_in(case, &id, result);
        if most > 0 {
            case.then(Request::new("GET", &format!("/jobs/{id}/results")))
                .any_order("[30,21,30,45]");
            case.then(Request::new("GET", &format!("/jobs/{id}/errors")))
                .ok()
                .at("/errors/1", "null")
                .check(Check::WordsAt("/errors/0/input", "p5".into()));
        }
        removed(case, &id);
    }

    for (id, what, source, limits, words) in [
        (
            "jo-11",
            "an endless loop",
            "function(v){ while (true) {} }",
            r#""call_ms":500"#,
            "timeout",
        ),
        (
            "jo-12",
            "no memory left",
            "function(v){ var a = []; while (true) a.push(new Array(1000).fill(1.5)); }",
            r#""memory_mb":16"#,
            "memory",
        ),
    ] {
        let members = format!(r#""limits":{{{limits}}},{once}"#);
        let one = r#"[["myInput","1"]]"#;
        let case = start(t, what, id, &document(one, &[map_js(source)], &members));
        ends_in(case, id, "failed").at("/error/type", &format!("{words:?}"));
        case.then(Request::new("GET", "/ping")).status(200).check(Check::Body("OK".into()));
        removed(case, id);
    }
}

fn refusals(t: &mut Topic) {
    let random = |members: &str| {
        document(&format!(r#"{{"random":{{{members}}}}}"#), &[map_named("Riak.mapValues")], "")
    };
    for (members, field) in [
        (r#""count":"1000""#, "inputs.random.count"),
        (r#""count":-1"#, "inputs.random.count"),
        (r#""count":5,"string_length":1.5"#, "inputs.random.string_length"),
        (r#""count":5,"string_length":0"#, "inputs.random.string_length"),
    ] {
        let request = Request::new("POST", "/jobs").body(JSON, random(members));
        t.ask(&format!("random with {members}"), request).refuses(field);
    }
    for (members, field) in [
        (r#""shards":-1"#, "shards"),
        (r#""rate":"fast""#, "rate"),
        (r#""slice_ms":1"#, "slice_ms"),
        (r#""nothing":1"#, "nothing"),
        (r#""params":7"#, "params"),
        (r#""on_error":{"mode":"skip","mx":1}"#, "on_error"),
        (r#""output":{"bucket":""}"#, "output.bucket"),
        (r#""callback":{"url":"ftp://h/"}"#, "callback.url"),
        (r#""callback":{"url":"http://10.0.0.1/"}"#, "callback.url"),
        (r#""run_at":"soon""#, "run_at"),
    ] {
        let body = document(r#""myInput""#, &ages(), members);
        let request = Request::new("POST", "/jobs").body(JSON, body);
        t.ask(&format!("a job with {members}"), request).refuses(field);
    }
    for (inputs, field) in [
        (r#""""#, "inputs"),
        (r#"{"bucket":["default",""]}"#, "inputs.bucket[1]"),
        (r#"[["myInput",""]]"#, "inputs[0][1]"),
        (r#"{"bucket":"myInput","key_filters":[["eq","1"]],"filters":[]}"#, "inputs.filters"),
    ] {
        let request = Request::new("POST", "/jobs").body(JSON, document(inputs, &ages(), ""));
        t.ask(&format!("a job of {inputs}"), request).refuses(field);
    }
    let misspelt =
        [map_js("function(v){ return []; }").replacen("\"source\"", "\"kep\":1,\"source\"", 1)];
    let request = Request::new("POST", "/jobs").body(JSON, document(r#""myInput""#, &misspelt, ""));
    t.ask("a phase with a member that nobody reads", request).refuses("query[0].map.kep");
    let two = document(r#""myInput""#, &ages(), r#""rate":"fast","slice_ms":1"#);
    t.ask("two mistakes", Request::new("POST", "/jobs").body(JSON, two))
        .status(400)
        .check(Check::Text("slice_ms".into()))
        .check(Check::Text(r#""problems":["#.into()));
    t.ask("no JSON", Request::new("POST", "/jobs").body(JSON, "{")).refuses("");
    t.ask("a dry run of nonsense", Request::new("POST", "/jobs?dry_run=true").body(JSON, "{}"))
        .refuses("inputs");
    t.ask("jobs in no state", Request::new("GET", "/jobs?state=nonsense")).refuses("state");
    t.ask("a method that jobs have not", Request::new("PUT", "/jobs"))
        .status(405)
        .check(Check::List("Allow", vec!["GET".into(), "HEAD".into(), "POST".into()]));
}

/// Parameters, methods and paths.
fn requests(t: &mut Topic) {
    for (method, path, field) in [
        ("GET", "/jobs?count=x", "count"),
        ("GET", "/jobs?count=0", "count"),
        ("GET", "/jobs?count=1001", "count"),
        ("GET", "/pipelines?count=0", "count"),
        ("GET", "/jobs?counts=1", "counts"),
        ("GET", "/jobs/nobody/results?chunked=zz", "chunked"),
        ("DELETE", "/jobs/nobody?abort=1", "abort"),
        ("DELETE", "/pipelines/nobody?abort=yes", "abort"),
    ] {
        t.ask(&format!("{method} {path}"), Request::new(method, path)).refuses(field);
    }
    let body = document(r#""myInput""#, &ages(), "");
    let request = Request::new("PUT", "/jobs/jo-dry?dry_run=true").body(JSON, body.clone());
    t.ask("a dry run under an id", request).ok().at("/valid", "true");
    let request = Request::new("POST", "/jobs").body("text/plain", body);
    refused_in_json(t.ask("a job that is no JSON", request), 415, "unsupported_media_type");
    for (method, path, status, word) in [
        ("GET", "/jobs/x/y", 404, "not_found"),
        ("GET", "/pipelines/x/y/z", 404, "not_found"),
        ("PATCH", "/jobs/x", 501, "not_implemented"),
        ("POST", "/schedules", 405, "method_not_allowed"),
        ("DELETE", "/job-configs", 405, "method_not_allowed"),
    ] {
        let case = t.ask(&format!("{method} {path}"), Request::new(method, path));
        refused_in_json(case, status, word);
    }
    // App Engine's handlers answered JSON, with members of these names.
    for (method, path, status, class) in [
        ("GET", "/mapreduce/command/no_such", 404, "NotFound"),
        ("GET", "/mapreduce/command/abort_job", 405, "MethodNotAllowed"),
        ("POST", "/mapreduce/command/list_jobs", 405, "MethodNotAllowed"),
        ("GET", "/mapreduce/command/get_job_detail?mapreduce_id=nobody", 404, "KeyError"),
    ] {
        t.ask(&format!("{method} {path}"), Request::new(method, path))
            .status(status)
            .check(Check::Header("Content-Type", JSON.into()))
            .at("/error_class", &format!("{class:?}"));
    }
}

fn named(t: &mut Topic) {
    let config = format!(
        r#"{{"params":[{{"name":"bucket","type":"string","required":true}},
            {{"name":"min_age","type":"integer","default":0,"min":0,"max":150}},
            {{"name":"filters","type":"list","default":[["active","=",true]]}}],
            "job":{{"inputs":{{"bucket":"${{bucket}}","filters":"${{filters}}"}},"query":[{}]}}}}"#,
        ages().join(",")
    );
    let put = || Request::new("PUT", "/job-configs/counting-ages").body(JSON, config.clone());
    let started = r#"{"config":"counting-ages","params":{"bucket":"myInput","filters":[]}}"#;
    let case = t.ask("a named job", put()).status(204);
    case.then(Request::new("GET", "/job-configs/counting-ages"))
        .ok()
        .at("/params/0/required", "true")
        .at("/params/1/type", r#""integer""#)
        .at("/params/1/default", "0")
        .at("/params/2/default", r#"[["active","=",true]]"#)
        .at("/job/inputs/bucket", r#""${bucket}""#);
    case.then(Request::new("GET", "/job-configs"))
        .ok()
        .check(Check::Text(r#""name":"counting-ages""#.into()));
    case.then_send("PUT", "/jobs/jo-17", started).status(202);
    ends_in(case, "jo-17", "success").at("/name", r#""counting-ages""#);
    case.then(Request::new("GET", "/jobs/jo-17/results")).gives(AGES);
    removed(case, "jo-17");
    for (params, field) in [
        ("{}", "params.bucket"),
        (r#"{"bucket":"b","min_age":200}"#, "params.min_age"),
        (r#"{"bucket":"b","min_age":"x"}"#, "params.min_age"),
        (r#"{"bucket":"b","other":1}"#, "params.other"),
    ] {
        let body = format!(r#"{{"config":"counting-ages","params":{params}}}"#);
        case.then_send("POST", "/jobs", body).refuses(field);
    }
    t.ask(
        "an unknown named job",
        Request::new("POST", "/jobs").body(JSON, r#"{"config":"no-such-job"}"#),
    )
    .status(404)
    .check(Check::WordsAt("/message", "no-such-job".into()));
    t.ask(
        "a named job with an odd parameter",
        Request::new("PUT", "/job-configs/odd")
            .body(JSON, r#"{"params":[{"name":"$$Invalid$$"}],"job":{"inputs":"b","query":[]}}"#),
    )
    .refuses("params[0].name");
    t.ask("a named job without a job", Request::new("PUT", "/job-configs/odd").body(JSON, "{}"))
        .refuses("job");
    t.ask("no named job", Request::new("GET", "/job-configs/no-such-job"))
        .status(404)
        .then(Request::new("DELETE", "/job-configs/no-such-job"))
        .status(404);
}

fn clocks(t: &mut Topic) {
    let schedule = |cron: &str| {
        let job = document(r#""myInput""#, &[grouped("function(k, vs){ return vs.length; }")], "");
        format!(r#"{{"cron":"{cron}","time_zone":"Europe/Berlin","job":{job}}}"#)
    };
    let put = |name: &str, cron: &str| {
        Request::new("PUT", &format!("/schedules/{name}")).body(JSON, schedule(cron))
    };
    t.ask("a schedule", put("yearly", "0 3 1 1 *"))
        .status(204)
        .then(Request::new("GET", "/schedules/yearly"))
        .ok()
        .check(Check::Text("0 3 1 1 *".into()))
        .then(Request::new("GET", "/schedules"))
        .ok()
        .check(Check::Text("yearly".into()));
    for cron in ["* * * *", "0 3 * * * *", "*/90 * * * *", "61 * * * *"] {
        t.ask(&format!("no schedule: {cron}"), put("odd", cron)).refuses("cron");
    }
    t.ask("no schedule of that name", Request::new("GET", "/schedules/no-such")).status(404);
}

/// What the server refuses by itself is told in JSON as well.
fn refused_in_json(case: &mut Case, status: u16, word: &str) {
    case.status(status)
        .check(Check::Header("Content-Type", JSON.into()))
        .at("/error", &format!("{word:?}"));
}
