use serde_json::json;

use super::*;

/// A document with members beside inputs and query.
fn with(members: &str) -> String {
    format!(r#"{{"inputs":"b","query":[],{members}}}"#)
}

#[track_caller]
fn reads(members: &str) -> Document {
    let text = with(members);
    Document::parse(text.as_bytes()).unwrap_or_else(|invalid| panic!("{text}: {invalid}"))
}

/// The fields that are wrong with a document.
#[track_caller]
fn refused(text: &str, fields: &[&str]) {
    let invalid = Document::parse(text.as_bytes()).expect_err(text);
    let mut found: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
    found.sort_unstable();
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    assert_eq!(found, fields, "{text}: {invalid}");
    assert!(invalid.problems().iter().all(|p| !p.message.is_empty()), "{invalid:?}");
}

#[track_caller]
fn wrong(members: &str, fields: &[&str]) {
    refused(&with(members), fields);
}

const WHOLE: &str = r#"{"inputs":"people","query":[
    {"map":{"language":"javascript","source":"function(v){ return [1]; }"}},
    {"reduce":{"language":"javascript","group":true,"source":"function(k, v){ return 1; }"}},
    {"reduce":{"language":"javascript","group":true,"partitions":3,"source":"function(k, v){ return 1; }"}}],
  "timeout":60000,"name":"counting-ages","output":{"bucket":"ages","layout":"per_key"},
  "shards":8,"partitions":16,"slice_ms":5000,"rate":20.5,
  "retries":{"shard":2,"slice":11,"backoff_ms":0},"on_error":{"mode":"skip","max":10},
  "limits":{"call_ms":500,"memory_mb":16,"group_mb":1},"params":{"min_age":21},
  "callback":{"url":"https://example.com/done","method":"PUT"},
  "hooks":{"started":{"url":"http://example.com/"},
    "done":{"language":"javascript","source":"function(job){ return []; }"}},
  "delay_ms":5000,"keep_ms":0,"keep_groups":true,"queue":"low"}"#;

#[test]
fn every_member_is_read() {
    let document = Document::parse(WHOLE.as_bytes()).unwrap();
    let Execution { timeout, shards, slice, rate, retries, limits, queue } = &document.execution;
    assert_eq!(*timeout, Some(Duration::from_secs(60)));
    assert_eq!((*shards, *slice, *rate), (Some(8), Duration::from_secs(5), Some(20.5)));
    assert_eq!(*retries, Retries { shard: 2, slice: 11, backoff: Duration::ZERO });
    let expect = CallLimits {
        call: Duration::from_millis(500),
        memory_bytes: 16 << 20,
        group_bytes: 1 << 20,
    };
    assert_eq!((*limits, *queue), (expect, Priority::Low));
    assert_eq!(document.name(), Some("counting-ages"));
    let callback = document.hearers.callback.as_ref().unwrap();
    assert_eq!(callback.target.url(), "https://example.com/done");
    assert_eq!(callback.method, crate::callback::Method::Put);
    assert!(matches!(document.hearers.started, Some(Hook::Request(_))));
    assert!(matches!(document.hearers.done, Some(Hook::Function(_))));
    assert_eq!(document.hearers.shard_done, None);
    assert_eq!(document.begin, Begin::After(Duration::from_secs(5)));
    assert_eq!((document.keep, document.keep_groups), (Duration::ZERO, true));
    assert_eq!(document.value()["rate"], json!(20.5));
    let query = document.query(|_| Value::Null).unwrap();
    assert_eq!(query.timeout(), Duration::from_secs(60));
    let phases = query::body(document.value(), &mut |_| Value::Null);
    assert_eq!(phases["query"][1]["reduce"]["partitions"], 16);
    assert_eq!(phases["query"][2]["reduce"]["partitions"], 3);
}

#[test]
fn what_is_not_said_is_usual() {
    let document = reads(r#""name":null"#);
    let expect = Execution {
        timeout: None,
        shards: None,
        slice: Duration::from_secs(15),
        rate: None,
        retries: Retries { shard: 4, slice: 3, backoff: Duration::from_secs(1) },
        limits: CallLimits {
            call: Duration::from_secs(30),
            memory_bytes: 64 << 20,
            group_bytes: 256 << 20,
        },
        queue: Priority::Normal,
    };
    assert_eq!(document.execution, expect);
    assert_eq!(document.hearers, Hearers::default());
    assert_eq!((document.begin, document.keep_groups), (Begin::Now, false));
    assert_eq!(document.keep, Duration::from_secs(7 * 24 * 3_600));
    assert_eq!(document.name(), None);
    assert_eq!(reads(r#""rate":0,"delay_ms":0"#).execution.rate, None);
}

#[test]
fn a_job_begins_when_it_says() {
    let at = |text: &str| reads(&format!(r#""run_at":"{text}""#)).begin;
    assert_eq!(at("2024-06-01T03:00:00Z"), Begin::At(1_717_210_800_000));
    assert_eq!(at("2024-06-01T05:00:00.250+02:00"), Begin::At(1_717_210_800_250));
    wrong(r#""run_at":"2024-06-01T03:00:00""#, &["run_at"]);
    wrong(r#""run_at":"1969-06-01T03:00:00Z""#, &["run_at"]);
    wrong(r#""run_at":"soon""#, &["run_at"]);
    wrong(r#""run_at":1717210800000"#, &["run_at"]);
    wrong(r#""run_at":"2024-06-01T03:00:00Z","delay_ms":1"#, &["run_at"]);
}

#[test]
fn results_of_earlier_jobs_are_inputs() {
    let text =
        r#"{"inputs":{"concat":[{"job":"j1"},{"lines":{"job":"j2"}},{"job":"j1"}]},"query":[]}"#;
    let document = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(document.earlier_jobs(), ["j1", "j2"]);
    let mut asked = Vec::new();
    let query = document.query(|id| {
        asked.push(id.to_owned());
        json!([["out", id]])
    });
    assert!(query.is_ok());
    assert_eq!(asked, ["j1", "j2", "j1"]);
    let none = document.query(|_| json!([]));
    assert!(none.unwrap_err().problems()[0].field.starts_with("inputs"));
}

#[test]
fn wrong_members_are_named() {
    refused("[]", &[""]);
    refused("{}", &["inputs", "query"]);
    refused(r#"{"inputs":"b"}"#, &["query"]);
    refused(r#"{"inputs":{"random":{"count":"1000"}},"query":[]}"#, &["inputs.random.count"]);
    refused(
        r#"{"inputs":{"random":{"count":5,"string_length":1.5}},"query":[]}"#,
        &["inputs.random.string_length"],
    );
    wrong(r#""shard":4"#, &["shard"]);
    wrong(r#""shards":-1"#, &["shards"]);
    wrong(r#""explain":true"#, &["explain"]);
    wrong(r#""timeout":0"#, &["timeout"]);
    wrong(r#""timeout":86400001"#, &["timeout"]);
    wrong(r#""name":"""#, &["name"]);
    wrong(r#""name":"a\u0000b""#, &["name"]);
    wrong(r#""params":7"#, &["params"]);
    wrong(r#""params":[]"#, &["params"]);
    refused(r#"{"inputs":"","query":[]}"#, &["inputs"]);
    refused(r#"{"inputs":{"lines":{"bucket":""}},"query":[]}"#, &["inputs.lines.bucket"]);
    refused(
        r#"{"inputs":"b","query":[{"map":{"language":"javascript","source":"f","kep":true}}]}"#,
        &["query[0].map.kep"],
    );
    wrong(r#""partitions":0"#, &["partitions"]);
    wrong(r#""partitions":1025"#, &["partitions"]);
    wrong(r#""slice_ms":99"#, &["slice_ms"]);
    wrong(r#""slice_ms":1500.5"#, &["slice_ms"]);
    wrong(r#""rate":-1"#, &["rate"]);
    wrong(r#""rate":"20""#, &["rate"]);
    wrong(r#""retries":4"#, &["retries"]);
    wrong(
        r#""retries":{"shard":0,"slice":101,"backoff":1}"#,
        &["retries.shard", "retries.slice", "retries.backoff"],
    );
    wrong(r#""on_error":{"mode":"ignore"}"#, &["on_error"]);
    wrong(
        r#""limits":{"call_ms":0,"memory_mb":0,"group_mb":65537}"#,
        &["limits.call_ms", "limits.memory_mb", "limits.group_mb"],
    );
    wrong(r#""callback":"http://example.com/""#, &["callback"]);
    wrong(r#""callback":{"method":"POST"}"#, &["callback.url"]);
    wrong(r#""callback":{"url":"ftp://example.com/"}"#, &["callback.url"]);
    wrong(r#""callback":{"url":"http://a/","method":"DELETE"}"#, &["callback.method"]);
    wrong(r#""hooks":{"begun":{}}"#, &["hooks.begun"]);
    wrong(r#""hooks":{"done":{"url":"x"}}"#, &["hooks.done.url"]);
    wrong(r#""hooks":{"done":{"language":"javascript"}}"#, &["hooks.done"]);
    wrong(
        r#""hooks":{"done":{"language":"javascript","source":"function(){}","keep":true}}"#,
        &["hooks.done.keep"],
    );
    wrong(r#""delay_ms":-5"#, &["delay_ms"]);
    wrong(r#""keep_ms":true"#, &["keep_ms"]);
    wrong(r#""keep_groups":1"#, &["keep_groups"]);
    wrong(r#""queue":"urgent""#, &["queue"]);
    wrong(r#""output":{"bucket":"out","layout":"single","name":"x-$foo"}"#, &["output.name"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    refused(
        r#"{"inputs":{"lines":7},"query":[{"map":{"language":"cobol"}}],"output":{"as":"xml"},
            "on_error":1,"shards":0,"rate":-1,"queue":7,"unknown":1}"#,
        &[
            "inputs.lines",
            "query[0].map.language",
            "on_error",
            "shards",
            "rate",
            "queue",
            "unknown",
        ],
    );
    let many: Vec<_> = (0..1_000).map(|n| format!(r#""u{n}":1"#)).collect();
    let invalid = Document::parse(with(&many.join(",")).as_bytes()).unwrap_err();
    assert_eq!(invalid.problems().len(), limits::PROBLEMS);
}

#[test]
fn holes_hide_what_may_still_be_right() {
    let document = json!({"inputs": {"lines": [["b", "k"]]}, "query": [], "rate": [["b", "k"]],
        "queue": "urgent"});
    let problems = check_with_holes(&document, &["inputs.lines".to_owned(), "rate".to_owned()]);
    let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["queue"]);
}
