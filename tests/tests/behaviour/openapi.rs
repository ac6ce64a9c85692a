//! `/openapi.json` says what a node does: whatever can be asked for by GET is answered with a status, a
//! media type and a document that are described, and methods that are not described are refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds};

/// What is answered with another status than 200, by the id of the operation.
const NOT_200: [(&str, u16); 10] = [
    ("getNoDatatype", 404),
    ("getQuery", 404),
    ("getQueuedResults", 400),
    ("getQueuedResultsTyped", 400),
    ("getCachedTrees", 501),
    ("getQueue", 501),
    ("getRangeTrees", 501),
    ("replicateRange", 501),
    ("requestMembership", 501),
    ("showQueryUsage", 400),
];

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Asks in HTTP/1.0, whose answers have no chunks.
async fn ask(node: &Node, method: &str, path: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.0\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    let mut exchange = Exchange::raw(node, &head).await;
    let head = exchange.head().await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: exchange.rest().await, head }
}

/// The document of a node.
struct Described(Value);

impl Described {
    async fn by(node: &Node) -> Self {
        let answer = ask(node, "GET", "/openapi.json").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        Self(serde_json::from_str(&answer.body).unwrap())
    }

    fn paths(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0["paths"].as_object().unwrap().iter().map(|(path, item)| (path.as_str(), item))
    }

    /// What stands there, or what that refers to.
    fn at<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(place) => self.0.pointer(place.strip_prefix('#').unwrap()).unwrap(),
            None => value,
        }
    }

    /// What is wrong with an answer to an operation.
    fn problems(&self, operation: &Value, answer: &Answer) -> Vec<String> {
        let response = &operation["responses"][answer.status.to_string()];
        if response.is_null() {
            return vec![format!("{} is not described: {}", answer.status, answer.body)];
        }
        let content = &self.at(response)["content"];
        let Some(given) = answer.header("content-type") else { return Vec::new() };
        let bare = given.split(';').next().unwrap();
        let schema = [given, bare, "*/*"].into_iter().find_map(|media| content.get(media));
        let Some(schema) = schema.map(|media| &media["schema"]) else {
            return vec![format!("{given} is not described for {}", answer.status)];
        };
        let mut wrong = Vec::new();
        if bare == "application/json" && !content["application/json"].is_null() {
            match serde_json::from_str(&answer.body) {
                Ok(value) => self.compare(schema, &value, "", &mut wrong),
                Err(error) => wrong.push(format!("{error}: {}", answer.body)),
            }
        }
        wrong
    }

    /// Notes where a value is not as a schema says: of JSON Schema as much as the document uses.
    fn compare(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let schema = self.at(schema);
        if let Some(forms) = schema["anyOf"].as_array() {
            let fits = |form: &Value| {
                let mut wrong = Vec::new();
                self.compare(form, value, at, &mut wrong);
                wrong.is_empty()
            };
            if !forms.iter().any(fits) {
                wrong.push(format!("{at}: none of the forms is {value}"));
            }
        }
        if !is_of(&schema["type"], value) {
            wrong.push(format!("{at}: {value} is not of type {}", schema["type"]));
            return;
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            wrong.push(format!("{at}: {value} is none of {}", schema["enum"]));
        }
        let number = value.as_f64();
        let is_below = number.zip(schema["minimum"].as_f64()).is_some_and(|(it, least)| it < least);
        let is_above = number.zip(schema["maximum"].as_f64()).is_some_and(|(it, most)| it > most);
        if is_below || is_above {
            wrong.push(format!("{at}: {value} is out of bounds"));
        }
        for (place, item) in value.as_array().into_iter().flatten().enumerate() {
            self.compare(&schema["items"], item, &format!("{at}[{place}]"), wrong);
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if value.get(name.as_str().unwrap()).is_none() {
                wrong.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let place = format!("{at}.{name}");
            let (known, others) = (&schema["properties"][name], &schema["additionalProperties"]);
            if !known.is_null() {
                self.compare(known, member, &place, wrong);
            } else if others.is_object() {
                self.compare(others, member, &place, wrong);
            } else if *others == false {
                wrong.push(format!("{place}: is not described"));
            }
        }
    }
}

/// Whether a value is of a type, or of one of a list; of any, where nothing is said.
fn is_of(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
        Value::String(kind) => match kind.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{other} is no type"),
        },
        _ => true,
    }
}

/// The path of something that is there, like a described one.
fn there(pattern: &str, node: &str) -> String {
    let name = match pattern.split('/').nth(1) {
        Some("admin") if pattern.starts_with("/admin/repair") => node,
        Some("admin") => "1-2",
        // No job may have that id.
        Some("pipelines") => "chain",
        _ => "one",
    };
    let (kind, key) =
        if pattern.contains("/datatypes") { ("likes", "d") } else { ("default", "k") };
    let kind = match pattern {
        "/types/{type}/props" | "/admin/bucket-types/{type}" => "plain",
        _ => kind,
    };
    let key = if pattern.contains("/counters/") { "c" } else { key };
    let field = if pattern.ends_with("{field}") { "$bucket" } else { "n_int" };
    let names = [
        ("{name}", name),
        ("{type}", kind),
        ("{key}", key),
        ("{field}", field),
        ("{bucket}", "b"),
        ("{value}", "5"),
        ("{start}", "1"),
        ("{end}", "9"),
        ("{count}", "1"),
        ("{step}", "wait"),
        ("{steps}", "_,_,1"),
    ];
    names.into_iter().fold(pattern.to_owned(), |path, (name, is)| path.replace(name, is))
}

/// What is asked beside a path, so that there is something to see.
fn more(pattern: &str) -> &'static str {
    match pattern {
        "/mapreduce/command/get_job_detail" => "?mapreduce_id=one",
        path if path.ends_with("/keys") || path == "/riak/{bucket}" => "?keys=true",
        path if path.ends_with("/buckets") || path == "/riak" => "?buckets=true",
        path if path.ends_with("/{end}") => "?return_terms=true&max_results=1",
        _ => "",
    }
}

async fn put(node: &Node, method: &str, path: &str, headers: &[&str], body: &str) {
    let (status, said) =
        Exchange::with_headers(node, method, path, headers, body).await.answer().await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
}

/// Has something of everything.
async fn fill(node: &Node) {
    let json = ["Content-Type: application/json"];
    let term = ["Content-Type: text/plain", "X-Riak-Index-n_int: 5"];
    put(node, "PUT", "/buckets/b/props", &json, r#"{"props":{"allow_mult":true}}"#).await;
    put(node, "PUT", "/buckets/b/keys/k", &term, "v").await;
    put(node, "PUT", "/buckets/b/keys/gone", &term, "v").await;
    put(node, "DELETE", "/buckets/b/keys/gone", &term[..1], "").await;
    put(node, "POST", "/buckets/b/counters/c", &term[..1], "3").await;
    let counter = r#"{"props":{"datatype":"counter"}}"#;
    put(node, "PUT", "/admin/bucket-types/likes", &json, counter).await;
    put(node, "PUT", "/admin/bucket-types/plain", &json, r#"{"props":{}}"#).await;
    put(node, "POST", "/types/likes/buckets/b/datatypes/d", &json, "5").await;
    let query = json!([{"map": {
        "language": "erlang", "module": "riak_kv_mapreduce", "function": "map_object_value",
    }}]);
    let job = json!({"inputs": [["b", "k"]], "query": query});
    put(node, "PUT", "/jobs/one", &json, &job.to_string()).await;
    let config = json!({
        "params": [{"name": "bucket", "required": true}],
        "job": {"inputs": {"bucket": "${bucket}"}, "query": query},
    });
    put(node, "PUT", "/job-configs/one", &json, &config.to_string()).await;
    let schedule =
        json!({"cron": "0 3 1 1 *", "job": {"config": "one", "params": {"bucket": "b"}}});
    put(node, "PUT", "/schedules/one", &json, &schedule.to_string()).await;
    let pipeline = json!({"steps": {"wait": {"approve": {"message": "Well?"}}}});
    put(node, "PUT", "/pipelines/chain", &json, &pipeline.to_string()).await;
    eventually("the job is done", || async {
        let (_, shown) = Exchange::get(node, "/jobs/one").await.answer().await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        holds(shown["state"] == "done")
    })
    .await;
    // A node that has just started does not know yet which replicas are complete.
    eventually("listings are answered", || async {
        let (status, _) = Exchange::get(node, "/objectstats/buckets/b").await.answer().await;
        holds(status == 200)
    })
    .await;
}

#[tokio::test]
async fn what_a_node_does_is_what_it_says() {
    let cluster = Cluster::start(1).await;
    cluster.wait_formats().await;
    let node = &cluster.nodes[0];
    fill(node).await;
    let described = Described::by(node).await;
    let status = ask(node, "GET", "/admin/ready").await;
    assert_eq!(status.status, 200);
    let shown = ask(node, "GET", "/admin/cluster").await;
    let shown: Value = serde_json::from_str(&shown.body).unwrap();
    let name = shown["node"].as_str().unwrap();
    let mut wrong: Vec<String> = Vec::new();
    let mut others: BTreeMap<String, u16> = BTreeMap::new();
    for (pattern, item) in described.paths() {
        let Some(operation) = item.get("get") else { continue };
        let path = format!("{}{}", there(pattern, name), more(pattern));
        let answer = ask(node, "GET", &path).await;
        let problems = described.problems(operation, &answer);
        wrong.extend(problems.into_iter().map(|problem| format!("GET {path}: {problem}")));
        if answer.status != 200 {
            others.insert(operation["operationId"].as_str().unwrap().to_owned(), answer.status);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let expect = NOT_200.into_iter().map(|(id, status)| (id.to_owned(), status));
    assert_eq!(others, expect.collect());
}

#[tokio::test]
async fn methods_that_are_not_described_are_refused() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let described = Described::by(node).await;
    let refusal = &described.0["components"]["responses"]["E405"]["content"];
    for (pattern, item) in described.paths() {
        let path = there(pattern, "n1");
        for method in ["GET", "PUT", "POST", "DELETE"] {
            if item.get(method.to_lowercase()).is_some() {
                continue;
            }
            let answer = ask(node, method, &path).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.body);
            let media = answer.header("content-type").unwrap();
            assert!(refusal.get(media).is_some(), "{method} {path}: {media}");
            let allowed = answer.header("allow").unwrap();
            assert!(!allowed.split(", ").any(|it| it == method), "{method} {path}: {allowed}");
        }
        assert_eq!(ask(node, "PATCH", &path).await.status, 501, "{path}");
    }
}
