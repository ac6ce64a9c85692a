use super::*;
use crate::Start;

const AGES: &str = r#"jobs:
  - name: counting-ages
    params:
      - {name: bucket,  type: string,  required: true}
      - {name: min_age, type: integer, default: 0, min: 0, max: 150}
      - {name: filters, type: list,    default: [["active", "=", true]]}
    callback: {url: "http://localhost:9000/done"}
    job:
      inputs: {bucket: "${bucket}", filters: "${filters}"}
      query:
        - map:    {language: javascript, bucket: code, key: age_map, arg: "${min_age}"}
        - reduce: {language: javascript, group: true, bucket: code, key: sum_reduce}
"#;

const AGES_TOML: &str = r#"[[jobs]]
name = "counting-ages"
params = [
  {name = "bucket", type = "string", required = true},
  {name = "min_age", type = "integer", default = 0, min = 0, max = 150},
  {name = "filters", type = "list", default = [["active", "=", true]]},
]
callback = {url = "http://localhost:9000/done"}
[jobs.job]
inputs = {bucket = "${bucket}", filters = "${filters}"}
[[jobs.job.query]]
map = {language = "javascript", bucket = "code", key = "age_map", arg = "${min_age}"}
[[jobs.job.query]]
reduce = {language = "javascript", group = true, bucket = "code", key = "sum_reduce"}
"#;

fn ages() -> Config {
    let mut configs = Configs::parse(AGES, Syntax::Yaml).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!((configs.jobs.len(), configs.notes.len()), (1, 0));
    configs.jobs.remove(0)
}

#[test]
fn yaml_and_toml_say_the_same() {
    let toml = Configs::parse(AGES_TOML, Syntax::Toml).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(toml.jobs, [ages()]);
}

#[test]
fn a_named_job_is_started_with_parameters() {
    let given = json!({"bucket": "myInput"});
    let job = ages().start(given.as_object().unwrap()).unwrap();
    let expect = json!({
        "inputs": {"bucket": "myInput", "filters": [["active", "=", true]]},
        "query": [
            {"map": {"language": "javascript", "bucket": "code", "key": "age_map", "arg": 0}},
            {"reduce": {"language": "javascript", "group": true, "bucket": "code", "key": "sum_reduce"}}
        ],
        "callback": {"url": "http://localhost:9000/done"},
        "name": "counting-ages",
        "params": {"bucket": "myInput", "min_age": 0, "filters": [["active", "=", true]]}
    });
    assert_eq!(job.value(), &expect);
    let given = json!({"bucket": "b", "filters": [], "min_age": 21});
    let job = ages().start(given.as_object().unwrap()).unwrap();
    assert_eq!(job.value()["inputs"], json!({"bucket": "b", "filters": []}));
    assert_eq!(job.value()["query"][0]["map"]["arg"], 21);
    let body = br#"{"config":"x","params":{"bucket":"b"},"rate":5,"name":"today"}"#;
    let Start::Config { params, over, .. } = Start::parse(body).unwrap() else { panic!() };
    let config = ages();
    let job = config.fill(&config.resolve(&params).unwrap(), &over).unwrap();
    assert_eq!((job.name(), job.execution.rate), (Some("today"), Some(5.0)));
}

#[test]
fn wrong_parameters_are_refused_together() {
    let config = ages();
    for (given, fields) in [
        (json!({}), vec!["params.bucket"]),
        (json!({"bucket": null}), vec!["params.bucket"]),
        (json!({"bucket": "b", "min_age": 200}), vec!["params.min_age"]),
        (json!({"bucket": "b", "min_age": -1}), vec!["params.min_age"]),
        (json!({"bucket": "b", "min_age": 1.5}), vec!["params.min_age"]),
        (json!({"bucket": "b", "min_age": "x"}), vec!["params.min_age"]),
        (json!({"bucket": "b", "max_age": 1}), vec!["params.max_age"]),
        (
            json!({"bucket": 1, "filters": "x", "y": 1}),
            vec!["params.bucket", "params.filters", "params.y"],
        ),
        (json!({"bucket": "b", "filters": [["age", "~", 1]]}), vec!["inputs.filters[0][1]"]),
    ] {
        let invalid = config.start(given.as_object().unwrap()).unwrap_err();
        let found: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
        if fields[0].starts_with("params") {
            assert_eq!(found, fields, "{given}: {invalid}");
        } else {
            assert!(found[0].starts_with("inputs.filters"), "{given}: {invalid}");
        }
    }
}

#[test]
fn lists_show_parameters() {
    let shown = ages().json();
    assert_eq!(shown["params"][0], json!({"name": "bucket", "type": "string", "required": true}));
    let expect = json!({"name": "min_age", "type": "integer", "required": false, "default": 0,
        "min": 0.0, "max": 150.0});
    assert_eq!(shown["params"][1], expect);
}

/// What is wrong with a file: line, field and a word of each mistake.
#[track_caller]
fn wrong(text: &str, expect: &[(usize, &str, &str)]) {
    let mistakes = Configs::parse(text, Syntax::Yaml).expect_err(text);
    let found: Vec<_> = mistakes.all().iter().map(|m| (m.place.line, m.field.as_str())).collect();
    let places: Vec<_> = expect.iter().map(|(line, field, _)| (*line, *field)).collect();
    assert_eq!(found, places, "{text}\n{mistakes}");
    for (mistake, (_, _, word)) in mistakes.all().iter().zip(expect) {
        assert!(mistake.message.contains(word), "{mistake}");
    }
}

#[test]
fn mistakes_of_a_file_are_told_at_once_with_their_lines() {
    wrong("", &[(1, "", "empty")]);
    wrong("jobs: []\n---\njobs: []\n", &[(2, "", "second document")]);
    wrong("job: []\n", &[(1, "job", "unknown"), (1, "jobs", "required")]);
    wrong("jobs: {}\n", &[(1, "jobs", "list")]);
    let job = "job: {inputs: b, query: []}";
    wrong(
        &format!("jobs:\n- name: a\n  {job}\n- name: b\n  {job}\n- name: a\n  {job}\n"),
        &[(6, "jobs[2].name", "earlier")],
    );
    wrong("jobs:\n- name: a\n  job:\n    inputs: b\n", &[(3, "jobs[0].job.query", "required")]);
    wrong("jobs:\n- name: a\n", &[(2, "jobs[0].job", "required")]);
    wrong(&format!("jobs:\n- {job}\n"), &[(2, "jobs[0].name", "required")]);
    wrong(
        &format!("jobs:\n- name: a\n  params:\n  - name: $$Invalid$$\n  {job}\n"),
        &[(4, "jobs[0].params[0].name", "$$Invalid$$")],
    );
    wrong(
        "jobs:\n- name: a\n  params:\n  - {name: x, type: int}\n  - {name: y, min: 3, max: 2}\n  \
         - {name: y, type: integer, default: x}\n  - {name: z, type: boolean, min: 1}\n  \
         - {name: r, required: true, default: 1, size: 2}\n  job:\n    inputs: \"${xx}\"\n    \
         query: []\n    rate: -1\n    shard: 3\n",
        &[
            (4, "jobs[0].params[0].type", "\"integer\""),
            (5, "jobs[0].params[1].min", "above max"),
            (6, "jobs[0].params[2].name", "twice"),
            (6, "jobs[0].params[2].default", "integer"),
            (7, "jobs[0].params[3].min", "boolean"),
            (8, "jobs[0].params[4].default", "never used"),
            (8, "jobs[0].params[4].size", "unknown"),
            (10, "jobs[0].job.inputs", "no parameter \"xx\""),
            (12, "jobs[0].job.rate", "number"),
            (13, "jobs[0].job.shard", "unknown"),
        ],
    );
    // What its defaults make is looked at as well.
    wrong(
        "jobs:\n- name: a\n  params: [{name: n, default: x}]\n  job:\n    inputs: b\n    \
         query: []\n    rate: \"${n}\"\n",
        &[(7, "jobs[0].job.rate", "number")],
    );
    wrong(
        &format!("jobs:\n- name: a\n  callback: {{url: x}}\n  {job}\n"),
        &[(3, "jobs[0].callback.url", "http")],
    );
}

#[test]
fn a_named_job_comes_by_http_too() {
    let body = br#"{"params":[{"name":"n"}],"job":{"inputs":"${n}","query":[]}}"#;
    assert_eq!(Config::parse("a", body).unwrap().name, "a");
    let body = br#"{"name":"b","job":{"inputs":"x","query":[]}}"#;
    assert_eq!(Config::parse("a", body).unwrap_err().problems()[0].field, "name");
    let body = br#"{"job":{"inputs":"x"},"validator":{"language":"x"}}"#;
    let invalid = Config::parse("a", body).unwrap_err();
    let found: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
    assert_eq!(found, ["validator.language", "job.query"]);
}

const APP_ENGINE: &str = r"mapreduce:
- name: Lower case posts
  params:
  - name: done_callback
    value: http://localhost:9000/done
  - name: done_callback_queue
    value: other
  params_validator: main.check
  mapper:
    handler: main.lower_case_posts
    input_reader: mapreduce.input_readers.DatastoreInputReader
    params:
    - name: entity_kind
      default: Post
    - name: shard_count
      default: 16
    - name: processing_rate
      default: '100'
    - name: colour
- name: Random
  mapper:
    handler: main.letters
    input_reader: mapreduce.input_readers.RandomStringInputReader
    output_writer: mapreduce.output_writers.BlobstoreOutputWriter
    params:
    - {name: count, default: '500'}
";

#[test]
fn app_engines_own_file_is_read() {
    let configs = Configs::parse(APP_ENGINE, Syntax::Yaml).unwrap_or_else(|m| panic!("{m}"));
    let given = json!({"colour": "red"});
    let job = configs.jobs[0].start(given.as_object().unwrap()).unwrap();
    let expect = json!({
        "inputs": {"bucket": "Post"}, "shards": 16, "rate": 100,
        "callback": {"url": "http://localhost:9000/done"},
        "query": [{"map": {"language": "javascript", "bucket": "handlers",
            "key": "main.lower_case_posts"}}],
        "name": "Lower case posts", "params": {"entity_kind": "Post", "colour": "red"}
    });
    assert_eq!(job.value(), &expect);
    assert_eq!(
        configs.jobs[0].start(&Map::new()).unwrap_err().problems()[0].field,
        "params.colour"
    );
    let random = configs.jobs[1].start(&Map::new()).unwrap();
    let expect = json!({"random": {"count": 500, "string_length": 10}});
    assert_eq!(random.value()["inputs"], expect);
    assert_eq!(random.value()["output"]["format"], "text");
    let lines: Vec<_> = configs.notes.iter().map(|note| note.place.line).collect();
    assert_eq!(lines, [4, 6, 8, 10, 11, 15, 17, 22, 23, 24], "{:?}", configs.notes);
    let foreign = "mapreduce:\n- name: a\n  mapper:\n    handler: x\n    input_reader: \
        m.LogInputReader\n- name: b\n  mapper: {input_reader: m.DatastoreInputReader}\n";
    let mistakes = Configs::parse(foreign, Syntax::Yaml).unwrap_err();
    let found: Vec<_> = mistakes.all().iter().map(|m| m.field.as_str()).collect();
    let expect = ["mapreduce[0].mapper.input_reader", "mapreduce[1].mapper.handler"];
    assert_eq!(found, expect, "{mistakes}");
}

#[test]
fn a_named_job_shows_all_of_itself() {
    let body = json!({
        "params": [{"name": "bucket", "required": true}],
        "validator": {"language": "javascript", "source": "function(p) { return p; }"},
        "callback": {"url": "http://h/done"},
        "job": {"inputs": "${bucket}", "query": []},
    });
    let config = Config::parse("count", body.to_string().as_bytes()).unwrap();
    let document = config.document();
    assert_eq!(document["validator"], body["validator"]);
    let job = json!({"inputs": "${bucket}", "query": [], "callback": {"url": "http://h/done"}});
    assert_eq!((&document["job"], &document["name"]), (&job, &json!("count")));
    // It is a named job again.
    let mut again = document.clone();
    again.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    assert_eq!(Config::parse("count", again.to_string().as_bytes()).unwrap(), config);
}

#[test]
fn parameters_that_come_later_are_checked_by_their_types() {
    let check = |given: Value, later: &[(&str, Option<Value>)], fields: &[&str]| {
        let later = later.iter().map(|(name, like)| ((*name).to_owned(), like.clone())).collect();
        let resolved = ages().resolve_later(given.as_object().unwrap(), &later);
        let problems = resolved.err().map(|invalid| invalid.problems().to_vec());
        let found: Vec<_> = problems.into_iter().flatten().map(|problem| problem.field).collect();
        assert_eq!(found, fields, "{given} {later:?}");
    };
    check(json!({}), &[], &["params.bucket"]);
    check(json!({}), &[("bucket", None)], &[]);
    check(json!({}), &[("bucket", Some("success".into()))], &[]);
    check(json!({}), &[("bucket", Some(json!(0)))], &["params.bucket"]);
    check(json!({"min_age": 200}), &[("bucket", None)], &["params.min_age"]);
    check(json!({"bucket": "b"}), &[("nothing", None)], &["params.nothing"]);
}
