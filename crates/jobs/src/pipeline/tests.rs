use super::*;

const CHAIN: &str = r#"{"name":"dedupe-then-index",
 "steps":{
  "dedupe":{"job":{"inputs":{"random":{"count":500,"string_length":1,"seed":2013}},"query":[],
            "output":{"bucket":"out","layout":"single","name":"d500","format":"text"}}},
  "index": {"job":{"inputs":{"lines":{"$from":"dedupe"}},"query":[],
            "params":{"limit":{"$from":"dedupe.counters.groups"}}}}},
 "finally":{"callback":{"url":"http://example.com/"}},
 "retries":{"max_attempts":2,"backoff_ms":15000,"backoff_factor":2}}"#;

#[track_caller]
fn read(body: &str) -> Pipeline {
    Pipeline::parse(body.as_bytes()).unwrap_or_else(|invalid| panic!("{body}: {invalid}"))
}

fn steps(steps: &str) -> String {
    format!(r#"{{"steps":{{{steps}}}}}"#)
}

/// The fields that are wrong with steps, and a word of what is said of the last.
#[track_caller]
fn wrong(given: &str, fields: &[&str], said: &str) {
    let body = if given.starts_with('{') { given.to_owned() } else { steps(given) };
    let invalid = Pipeline::parse(body.as_bytes()).expect_err(&body);
    let found: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
    assert_eq!(found, fields, "{body}: {invalid}");
    assert!(invalid.problems().last().unwrap().message.contains(said), "{invalid}");
}

fn outputs() -> BTreeMap<String, Value> {
    let given = json!({"default": [["out", "d500"]], "result_status": "success",
        "counters": {"groups": 26}, "job_id": "j1"});
    [("dedupe".to_owned(), given)].into()
}

#[test]
fn references_make_the_order() {
    let chain = read(CHAIN);
    assert_eq!(chain.name(), Some("dedupe-then-index"));
    let after: Vec<_> = chain.steps().iter().map(|step| step.after.clone()).collect();
    assert_eq!(after, [vec![], vec!["dedupe".to_owned()]]);
    assert!(chain.finally.is_some());
    let ready = |done: &[&str]| {
        let status = |step: &str| if done.contains(&step) { Status::Done } else { Status::Waiting };
        chain.ready(status).iter().map(|step| step.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ready(&[]), ["dedupe"]);
    assert_eq!(ready(&["dedupe"]), ["index"]);
    assert_eq!(ready(&["dedupe", "index"]), [""; 0]);
    let in_order = read(
        r#"{"in_order":true,"steps":{"b":{"delay_ms":1},"a":{"delay_ms":1},
            "c":{"delay_ms":1,"after":["b"]}}}"#,
    );
    let after: Vec<_> = in_order.steps().iter().map(|step| step.after.join(",")).collect();
    assert_eq!(after, ["", "b", "a,b"]);
}

#[test]
fn what_a_step_gave_stands_in_place_of_references() {
    let chain = read(CHAIN);
    let job = chain.steps()[1].resolve(&outputs()).unwrap();
    assert_eq!(job["inputs"], json!({"lines": [["out", "d500"]]}));
    assert_eq!(job["params"], json!({"limit": 26}));
    let invalid = chain.steps()[1].resolve(&BTreeMap::new()).unwrap_err();
    let found: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
    assert_eq!(found, ["steps.index.job.inputs.lines", "steps.index.job.params.limit"]);
    // Only when the value is there can be seen that it does not fit.
    let odd = read(&steps(
        r#""dedupe":{"delay_ms":1},"b":{"job":{"inputs":"x","query":[],
            "rate":{"$from":"dedupe.default"}}}"#,
    ));
    let invalid = odd.steps()[1].resolve(&outputs()).unwrap_err();
    assert_eq!(invalid.problems()[0].field, "steps.b.job.rate");
    let deep = read(&steps(
        r#""dedupe":{"delay_ms":1},"b":{"script":{"source":"function(deps){ return []; }",
            "arg":[{"x":{"$from":"dedupe.default.0.1"}}]}},
           "c":{"job":{"config":"daily","params":{"of":{"$from":"dedupe"}}}}"#,
    ));
    assert_eq!(deep.steps()[1].resolve(&outputs()).unwrap()["arg"], json!([{"x": "d500"}]));
    let expect = json!({"config": "daily", "params": {"of": [["out", "d500"]]}});
    assert_eq!(deep.steps()[2].resolve(&outputs()), Ok(expect));
}

#[test]
fn conditions_abort() {
    let check = |condition: &str, default: Value, expect: bool| {
        let pipeline = read(&steps(&format!(
            r#""a":{{"delay_ms":0}},"b":{{"delay_ms":0,"abort_if":{condition}}}"#
        )));
        let outputs = [("a".to_owned(), json!({"default": default}))].into();
        assert_eq!(pipeline.steps()[1].aborts(&outputs), Ok(expect), "{condition} {default}");
        assert_eq!(pipeline.steps()[0].aborts(&outputs), Ok(false));
    };
    for no in [json!(null), json!(false), json!(0), json!(0.0), json!("")] {
        check(r#"{"$from":"a"}"#, no, false);
    }
    for yes in [json!(true), json!(-1), json!("no"), json!([]), json!({})] {
        check(r#"{"$from":"a"}"#, yes, true);
    }
    check(r#"{"$from":"a.default.failed"}"#, json!({"failed": 1}), true);
}

#[test]
fn steps_are_tried_as_they_say() {
    let pipeline = read(
        r#"{"retries":{"max_attempts":5},"steps":{"a":{"delay_ms":1},
            "b":{"approve":{"message":"go on?"},"retries":{"backoff_ms":100,"backoff_factor":1}}}}"#,
    );
    let [a, b] = [0, 1].map(|at| pipeline.steps()[at].retries);
    assert_eq!((a.max_attempts, b.max_attempts), (5, 5));
    let pauses =
        |retries: StepRetries| [1, 2, 3, 200].map(|failed| retries.pause(failed).as_millis());
    assert_eq!(pauses(a), [15_000, 30_000, 60_000, 3_600_000]);
    assert_eq!(pauses(b), [100, 100, 100, 100]);
    assert_eq!(pipeline.steps()[1].kind, StepKind::Approve);
    for (word, status) in STATUS {
        assert_eq!((Status::of(word), status.word()), (Some(status), word));
    }
    assert_eq!(Status::of("running"), None);
}

#[test]
fn wrong_pipelines_are_named() {
    wrong("{}", &["steps"], "required");
    wrong(r#"{"steps":{}}"#, &["steps"], "with 1 to");
    wrong(r#"{"steps":[],"name":"","jobs":1}"#, &["jobs", "name", "steps"], "object");
    wrong(
        r#"{"steps":{"a":{"delay_ms":1}},"finally":{"job":{}}}"#,
        &["finally.job", "finally.callback"],
        "required",
    );
    wrong(r#""a":{}"#, &["steps.a"], "one of job, script");
    wrong(r#""a":{"delay_ms":1,"approve":{}}"#, &["steps.a"], "one of");
    wrong(r#""a":{"delay_ms":1,"before":[]}"#, &["steps.a.before"], "unknown");
    wrong(r#""a.b":{"delay_ms":1}"#, &[r#"steps["a.b"]"#], "letters");
    wrong(r#""a":{"delay_ms":-1}"#, &["steps.a.delay_ms"], "milliseconds");
    wrong(r#""a":{"approve":{"msg":1}}"#, &["steps.a.approve.msg"], "unknown");
    wrong(r#""a":{"script":{}}"#, &["steps.a.script"], "");
    wrong(
        r#""a":{"delay_ms":1,"retries":{"max_attempts":0,"backoff_factor":0.5}}"#,
        &["steps.a.retries.max_attempts", "steps.a.retries.backoff_factor"],
        "from 1 to 10",
    );
    wrong(r#""a":{"job":{"inputs":"b"}}"#, &["steps.a.job.query"], "required");
    wrong(
        r#""a":{"delay_ms":1},"b":{"job":{"inputs":{"lines":{"$from":"a"}},"query":[],"rate":-1}}"#,
        &["steps.b.job.rate"],
        "number",
    );
}

#[test]
fn references_to_nothing_are_named() {
    let job = |inputs: &str| format!(r#"{{"job":{{"inputs":{inputs},"query":[]}}}}"#);
    let one = |inputs: &str| format!(r#""a":{}"#, job(inputs));
    let from = "steps.a.job.inputs.lines";
    wrong(&one(r#"{"lines":{"$from":"x"}}"#), &[from], "no step \"x\"");
    wrong(&one(r#"{"lines":{"$from":"a"}}"#), &[from], "itself");
    wrong(
        &one(r#"{"items":[{"$from":"b","x":1}]}"#),
        &["steps.a.job.inputs.items[0].$from"],
        "text",
    );
    wrong(&one(r#"{"items":[{"$from":7}]}"#), &["steps.a.job.inputs.items[0].$from"], "text");
    wrong(
        r#""a":{"delay_ms":1,"after":["x","a",7]}"#,
        &["steps.a.after[2]", "steps.a.after[0]", "steps.a.after[1]"],
        "itself",
    );
    wrong(
        &format!(r#"{},"b":{{"delay_ms":1}}"#, one(r#"{"lines":{"$from":"b.result"}}"#)),
        &[from],
        "no output \"result\": default",
    );
    wrong(
        &format!(r#"{},"b":{{"delay_ms":1}}"#, one(r#"{"lines":{"$from":"b.counters.x"}}"#)),
        &[from],
        "no job",
    );
    wrong(
        r#""a":{"delay_ms":1,"after":["c"]},"b":{"delay_ms":{"$from":"a"}},
           "c":{"delay_ms":1,"abort_if":{"$from":"b"}},"d":{"delay_ms":1,"after":["a"]}"#,
        &["steps.a"],
        "a waits for c waits for b waits for a",
    );
}

#[test]
fn what_is_known_of_a_named_job_is_told_before() {
    let named = |job: &str| {
        let body =
            steps(&format!(r#""a":{{"job":{{"inputs":"b","query":[]}}}},"n":{{"job":{job}}}"#));
        read(&body).steps().iter().find(|step| step.name == "n").unwrap().named()
    };
    assert_eq!(named(r#"{"inputs":"b","query":[]}"#), None);
    let plain = named(r#"{"config":"c","params":{"x":1},"rate":5}"#).unwrap();
    assert_eq!((plain.config.as_str(), plain.is_open), ("c", false));
    assert_eq!((&plain.params["x"], &plain.over["rate"]), (&json!(1), &json!(5)));
    let open = named(
        r#"{"config":"c","params":{"x":1,"groups":{"$from":"a.counters.groups"},
            "rows":{"$from":"a"},"deep":[{"$from":"a.job_id"}]}}"#,
    )
    .unwrap();
    assert!(open.is_open && open.over.is_empty());
    assert_eq!(open.params.keys().collect::<Vec<_>>(), ["x"]);
    let later: Vec<_> = open.later.into_iter().collect();
    let expect = [("deep", None), ("groups", Some(json!(0))), ("rows", None)];
    assert_eq!(later, expect.map(|(name, like)| (name.to_owned(), like)));
    assert_eq!(named(r#"{"config":"c","params":{"$from":"a"}}"#), None);
    assert_eq!(named(r#"{"config":{"$from":"a"}}"#), None);
}
