//! What is refused and in which words, what is written only if nothing has changed, and answers as
//! clients get them: the rows that users of Riak meet first.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use mapring_tests::harness::{Cluster, Exchange, Node, program, root};

const JSON: &str = "Content-Type: application/json";
const TEXT: &str = "Content-Type: text/plain";

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Opens an exchange in HTTP/1.0, whose answers have no chunks.
async fn open(node: &Node, line: &str, headers: &[&str], body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&node.settings.http).await.unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!("{line} HTTP/1.0\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

async fn ask(node: &Node, line: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut bytes = Vec::new();
    open(node, line, headers, body).await.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As much as can be inflated of what has come.
fn inflate(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    let _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A request, its headers, its body, the status and words of the answer.
type Row<'a> = (&'a str, Vec<&'a str>, Vec<u8>, u16, &'a [&'a str]);

#[tokio::test]
async fn refusals_say_what_to_do() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let query = |members: &str| format!(r#"{{"inputs":"b","query":[]{members}}}"#).into_bytes();
    let inputs = |inputs: &str| format!(r#"{{"inputs":{inputs},"query":[]}}"#).into_bytes();
    let index = r#"{"bucket":"b","index":"n_int","start":"x","end":"y"}"#;
    let link = |link: &str| format!("Link: {link}");
    let [comma, foreign, wrong] = [
        link(r#"</buckets/a/keys/k>; riaktag="x,y""#),
        link("</buckets/é/keys/ключ>; riaktag=\"тег\""),
        link(r#"</buckets/a,b/keys/k>; riaktag="t""#),
    ];
    let mapred = "POST /mapred";
    let props = "PUT /buckets/b/props";
    let hook = br#"{"props":{"precommit":[{"mod":"m","fun":"f"}]}}"#;
    let zipped = "Content-Encoding: gzip";
    let bomb = gzip(&vec![b' '; 100 << 20]);
    #[rustfmt::skip]
    let rows: Vec<Row<'_>> = vec![
        (mapred, vec![JSON], inputs(index), 400, &["n_int takes whole numbers, not \"x\""]),
        (mapred, vec![JSON], inputs(r#"[[["t","b"],"k"]]"#), 400, &[r#"["bucket","key",keydata,"type"]"#, "inputs[0]"]),
        (mapred, vec![JSON], inputs("5"), 400, &[r#"Inputs are "bucket""#]),
        (mapred, vec![JSON], query(r#","timeout":"300""#), 400, &["\"timeout\"", "milliseconds above zero", "300"]),
        (mapred, vec![JSON], query(r#","timeout":0"#), 400, &["\"timeout\"", "milliseconds above zero"]),
        (mapred, vec![JSON], query(r#","timeout":-5"#), 400, &["\"timeout\"", "-5"]),
        (mapred, vec![JSON], query(r#","timeout":null"#), 200, &["[]"]),
        (mapred, vec![], query(""), 200, &["[]"]),
        (mapred, vec!["Origin: http://a.example"], query(""), 415, &["Content-Type is missing", "application/json"]),
        (mapred, vec![TEXT], query(""), 415, &["Content-Type is text/plain", "application/json"]),
        (mapred, vec![JSON, zipped], gzip(&query("")), 200, &["[]"]),
        (mapred, vec![JSON, zipped], query(""), 400, &["is not gzip as its Content-Encoding says"]),
        (mapred, vec![JSON, zipped], bomb.clone(), 413, &["larger than"]),
        (mapred, vec![JSON, "Content-Encoding: br"], query(""), 415, &["br", "only gzip"]),
        (props, vec![JSON, zipped], gzip(br#"{"props":{"allow_mult":true}}"#), 204, &[]),
        (props, vec![JSON, zipped], bomb, 413, &["larger than"]),
        (props, vec![JSON], hook.to_vec(), 400, &["precommit", "hooks in Erlang are not run here"]),
        ("PUT /buckets/b/keys/a/b", vec![TEXT], b"x".to_vec(), 405, &["%2F"]),
        ("GET /riak/b/a/b/c", vec![], vec![], 400, &["%2F"]),
        ("PUT /buckets/b/keys/a%2Fb", vec![TEXT], b"x".to_vec(), 204, &[]),
        ("PUT /buckets/b/keys/l1", vec![TEXT, &comma], b"x".to_vec(), 204, &[]),
        ("PUT /buckets/b/keys/l2", vec![TEXT, &foreign], b"x".to_vec(), 204, &[]),
        ("PUT /buckets/b/keys/l3", vec![TEXT, &wrong], b"x".to_vec(), 400, &["percent-encoded", "%2C"]),
        ("PUT /buckets/b/keys/c", vec![TEXT, "X-Riak-If-Not-Modified: nonsense"], b"x".to_vec(), 400, &["X-Riak-If-Not-Modified", "vclock"]),
        ("PUT /buckets/b/keys/none", vec![TEXT, "X-Riak-If-Not-Modified: AQA="], b"x".to_vec(), 409, &["X-Riak-If-Not-Modified"]),
        ("DELETE /buckets/b/keys/none", vec!["X-Riak-If-Not-Modified: AQA="], vec![], 404, &["not found"]),
    ];
    for (line, headers, body, status, words) in rows {
        let answer = ask(node, line, &headers, &body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        let text = answer.text();
        assert_eq!(answer.status, status, "{line} {headers:?} {shown}: {text}");
        for word in words {
            assert!(text.contains(word), "{line} {headers:?} {shown}: no {word} in {text}");
        }
    }
    // What was accepted is there.
    let links = br#"{"inputs":[["b","l1"],["b","l2"]],"query":[{"link":{}}]}"#;
    let mut found: Value =
        serde_json::from_slice(&ask(node, mapred, &[JSON], links).await.body).unwrap();
    found.as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(found, json!([["a", "k", "x,y"], ["é", "ключ", "тег"]]));
    let stored = ask(node, "GET /buckets/b/keys/l1", &[], b"").await;
    assert!(stored.header("Link").unwrap().contains("riaktag=\"x%2Cy\""), "{}", stored.head);
}

/// The table of `docs/compatibility.md`: property, the value that says nothing new, another value,
/// what becomes of that.
fn properties() -> Vec<(String, Option<String>, Option<String>, String)> {
    let text = std::fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let section = text.split("\n## ").find(|part| part.starts_with("Properties of buckets"));
    let code = |cell: &str| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let rows = section.expect("the section").lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        (code(cells[0]).unwrap(), code(cells[1]), code(cells[2]), cells[3].to_owned())
    });
    rows.collect()
}

#[tokio::test]
async fn properties_that_nothing_acts_on_are_refused_or_told_of() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let table = properties();
    assert!(table.len() >= 15, "{table:?}");
    let fixed = ["datatype", "consistent", "write_once"];
    let check = async |line: &str, name: &str, value: &str, refused: bool, told: bool| {
        let body = format!(r#"{{"props":{{"{name}":{value}}}}}"#);
        let answer = ask(node, line, &[JSON], body.as_bytes()).await;
        let text = answer.text();
        let what = format!("{line} {body}: {} {text}", answer.status);
        assert_eq!(answer.status, if refused { 400 } else { 204 }, "{what}");
        assert_eq!(refused, text.contains(name), "{what}");
        let warning = answer.header("Warning").unwrap_or_default();
        assert_eq!(told, warning.starts_with("299 mapring \"") && warning.contains(name), "{what}");
        assert_eq!(told, !warning.is_empty(), "{what}");
    };
    for (at, (name, silent, other, then)) in table.iter().enumerate() {
        let refused = then.starts_with("400");
        assert!(refused || then.starts_with("stored") || other.is_none(), "{name}: {then}");
        if let Some(value) = silent {
            check("PUT /buckets/b/props", name, value, false, false).await;
            check(&format!("PUT /admin/bucket-types/s{at}"), name, value, false, false).await;
        }
        if let Some(value) = other {
            check(&format!("PUT /admin/bucket-types/t{at}"), name, value, refused, !refused).await;
            let fixed = fixed.contains(&name.as_str());
            check("PUT /buckets/b/props", name, value, refused || fixed, !refused && !fixed).await;
        }
    }
    assert!(node.log().contains("properties are stored that nothing acts on"), "{}", node.log());
    let created = Command::new(program())
        .args(["bucket-type", "create", "told", r#"{"props":{"backend":"x"}}"#])
        .env("MAPRING_URL", node.url())
        .output();
    let created = created.await.unwrap();
    let told = String::from_utf8_lossy(&created.stderr).into_owned();
    assert!(created.status.success() && told.contains("nothing acts on: backend"), "{told}");
    // Whoever reads all properties and writes them back goes on working.
    for (read, write) in [
        ("GET /buckets/fresh/props", "PUT /buckets/fresh/props"),
        ("GET /types/s0/buckets/fresh/props", "PUT /types/s0/buckets/fresh/props"),
        ("GET /types/s0/props", "PUT /types/s0/props"),
        ("GET /riak/fresh", "PUT /riak/fresh"),
    ] {
        let props = ask(node, read, &[], b"").await.body;
        let back = ask(node, write, &[JSON], &props).await;
        assert_eq!((back.status, back.header("Warning")), (204, None), "{read}: {}", back.text());
    }
}

async fn clock(node: &Node, path: &str) -> String {
    let answer = ask(node, &format!("GET {path}"), &[], b"").await;
    answer.header("X-Riak-Vclock").unwrap_or_else(|| panic!("{path}: {}", answer.head)).to_owned()
}

#[tokio::test]
async fn of_writers_that_have_seen_the_same_one_writes() {
    let cluster = Cluster::start(3).await;
    let [first, second, _] = &cluster.nodes[..] else { panic!("three nodes") };
    for round in 0..20 {
        let path = format!("/buckets/race/keys/k{round}");
        let put = ask(first, &format!("PUT {path}"), &[TEXT], b"seen").await;
        assert_eq!(put.status, 204);
        let clock = clock(second, &path).await;
        let headers = [
            TEXT.to_owned(),
            format!("X-Riak-Vclock: {clock}"),
            format!("X-Riak-If-Not-Modified: {clock}"),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let writers = (0..9).map(|writer| {
            let (node, line) = (&cluster.nodes[writer % 3], format!("PUT {path}"));
            let (headers, body) = (headers.clone(), format!("w{writer}"));
            async move { (ask(node, &line, &headers, body.as_bytes()).await.status, body) }
        });
        let made = join_all(writers).await;
        let won: Vec<&String> =
            made.iter().filter(|(status, _)| *status == 204).map(|(_, body)| body).collect();
        let lost = made.iter().filter(|(status, _)| *status == 409).count();
        assert_eq!((won.len(), lost), (1, 8), "{made:?}");
        for node in &cluster.nodes {
            assert_eq!(ask(node, &format!("GET {path}"), &[], b"").await.text(), **won[0]);
        }
        // Nor is what has changed deleted.
        let delete = ask(second, &format!("DELETE {path}"), &headers[1..], b"").await;
        assert_eq!(delete.status, 409, "{}", delete.text());
        let now = format!("X-Riak-If-Not-Modified: {}", self::clock(first, &path).await);
        assert_eq!(ask(second, &format!("DELETE {path}"), &[&now], b"").await.status, 204);
        assert_eq!(ask(second, &format!("PUT {path}"), &[TEXT, &now], b"x").await.status, 409);
    }
    // Riak's other conditions decide as well: of many that create one does.
    for round in 0..10 {
        let line = format!("PUT /buckets/race/keys/new{round}");
        let creators = cluster.nodes.iter().chain(&cluster.nodes).map(|node| {
            let line = &line;
            async move { ask(node, line, &[TEXT, "If-None-Match: *"], b"x").await.status }
        });
        let mut made = join_all(creators).await;
        made.sort_unstable();
        assert_eq!(made, [204, 412, 412, 412, 412, 412]);
    }
}

#[tokio::test]
async fn a_deleted_sibling_is_no_value() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let props = br#"{"props":{"allow_mult":true}}"#;
    assert_eq!(ask(node, "PUT /buckets/sib/props", &[JSON], props).await.status, 204);
    for key in ["plain", "both"] {
        let line = format!("PUT /buckets/sib/keys/{key}");
        assert_eq!(ask(node, &line, &[JSON], b"{\"n\":1}").await.status, 204);
    }
    // A write and a delete that have not seen each other: the tombstone comes first or last.
    let old = format!("X-Riak-Vclock: {}", clock(node, "/buckets/sib/keys/both").await);
    let path = "/buckets/sib/keys/both";
    let update = ask(node, &format!("PUT {path}"), &[JSON, &old], b"{\"n\":2}").await;
    assert_eq!(update.status, 204);
    assert_eq!(ask(node, &format!("DELETE {path}"), &[&old], b"").await.status, 204);
    let both = ask(node, &format!("GET {path}"), &["Accept: multipart/mixed"], b"").await;
    assert!(both.status == 300 && both.text().contains("X-Riak-Deleted: true"), "{}", both.text());
    let source = "function(v) { return [v.values.length]; }";
    let javascript = |more: Value| {
        let mut phase = json!({"language": "javascript"});
        phase.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "map": phase })
    };
    let values = json!({"map": {"language": "erlang", "module": "riak_kv_mapreduce",
                                "function": "map_object_value"}});
    let (keys, all) = (json!([["sib", "both"], ["sib", "plain"]]), json!("sib"));
    for inputs in [&all, &keys] {
        for (phase, option, expect) in [
            (javascript(json!({"name": "Riak.mapValuesJson"})), "skip", r#"[{"n":1},{"n":2}]"#),
            (javascript(json!({ "source": source })), "skip", "[1,1]"),
            (javascript(json!({ "source": source })), "pass", "[1,2]"),
            (values.clone(), "skip", r#"["{\"n\":1}","{\"n\":2}"]"#),
        ] {
            let query = json!({"inputs": inputs, "query": [phase], "tombstones": option});
            let answer = ask(node, "POST /mapred", &[JSON], query.to_string().as_bytes()).await;
            let found: BTreeSet<String> = match serde_json::from_slice(&answer.body) {
                Ok(Value::Array(found)) => found.iter().map(Value::to_string).collect(),
                _ => panic!("{query}: {}", answer.text()),
            };
            let expect: Vec<Value> = serde_json::from_str(expect).unwrap();
            assert_eq!(found, expect.iter().map(Value::to_string).collect(), "{query}");
        }
    }
}

#[tokio::test]
async fn several_missing_objects_are_a_list() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    for function in ["map_object_value", "map_object_value_list", "map_identity"] {
        for (keys, expect) in [
            (json!([["b", "x"]]), json!({"error": "notfound"})),
            (
                json!([["b", "x"], ["b", "y"]]),
                json!([{"error": "notfound"}, {"error": "notfound"}]),
            ),
        ] {
            let phase = json!({"map": {"language": "erlang", "module": "riak_kv_mapreduce",
                                       "function": function, "arg": "include_notfound"}});
            let query = json!({"inputs": keys, "query": [phase]}).to_string();
            let (status, text) = Exchange::query(node, false, &query).await.answer().await;
            assert_eq!((status, text), (200, expect.to_string()), "{query}");
        }
    }
}

const GZIP: &str = "Accept-Encoding: gzip";

#[tokio::test]
async fn answers_are_gzipped_for_those_who_accept_it() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let long = "words ".repeat(1_000);
    for (key, content_type, more) in [
        ("long", "text/plain", None),
        ("image", "image/png", None),
        ("stored", "text/plain", Some("Content-Encoding: gzip")),
    ] {
        let content_type = format!("Content-Type: {content_type}");
        let headers: Vec<&str> = [content_type.as_str()].into_iter().chain(more).collect();
        let line = format!("PUT /buckets/zip/keys/{key}");
        assert_eq!(ask(node, &line, &headers, long.as_bytes()).await.status, 204);
    }
    for key in 0..200 {
        let line = format!("PUT /buckets/many/keys/key-{key}");
        assert_eq!(ask(node, &line, &[TEXT], b"{}").await.status, 204);
    }
    let query = br#"{"inputs":"many","query":[{"map":{"language":"javascript","name":"Riak.mapValuesJson"}},
        {"reduce":{"language":"javascript","name":"Riak.reduceSort"}}]}"#;
    let large = br#"{"inputs":"many","query":[]}"#;
    let small = br#"{"inputs":[["zip","long"]],"query":[]}"#;
    let get = |path: &str| (format!("GET {path}"), &b""[..]);
    let post = |path: &str, query| (format!("POST {path}"), query);
    for ((line, body), zipped) in [
        (get("/buckets/zip/keys/long"), true),
        (get("/buckets/zip/keys/image"), false),
        (get("/buckets/zip/keys/stored"), false),
        (get("/buckets/zip/keys?keys=true"), false),
        (get("/buckets/many/keys?keys=true"), true),
        (get("/buckets/many/keys?keys=stream"), true),
        (get("/metrics"), true),
        (post("/mapred", &large[..]), true),
        (post("/mapred", &query[..]), false),
        (post("/mapred?chunked=true", &query[..]), true),
        (post("/mapred", &small[..]), false),
    ] {
        let plain = ask(node, &line, &[JSON], body).await;
        let answer = ask(node, &line, &[JSON, GZIP], body).await;
        let encoding = answer.header("Content-Encoding");
        assert_eq!((plain.status, answer.status), (200, 200), "{line}");
        let stored = line.contains("stored");
        assert_eq!(encoding == Some("gzip"), zipped || stored, "{line}: {}", answer.head);
        assert_eq!(plain.header("Content-Encoding").is_some(), stored, "{line}");
        if zipped {
            assert!(answer.header("Vary").unwrap().contains("Accept-Encoding"), "{line}");
            assert!(answer.body.len() < plain.body.len(), "{line}");
            let (text, plain) = (inflate(&answer.body), plain.text());
            // Keys come in no order, and counters go on.
            assert!(text.len() >= plain.len() - plain.len() / 10, "{line}: {text}");
            let head = ask(node, &line.replace("GET", "HEAD"), &[JSON, GZIP], body).await;
            if line.starts_with("GET") {
                assert_eq!(head.header("Content-Encoding"), Some("gzip"), "{line}");
                assert_eq!(head.header("Content-Length"), None, "{line}: {}", head.head);
                assert!(head.body.is_empty());
            }
        }
    }
    let tag = |answer: &Answer| answer.header("ETag").unwrap().to_owned();
    let plain = ask(node, "GET /buckets/zip/keys/long", &[], b"").await;
    let zipped = ask(node, "GET /buckets/zip/keys/long", &[GZIP], b"").await;
    assert_eq!(inflate(&zipped.body), long);
    assert_eq!(tag(&zipped), format!("W/{}", tag(&plain)));
    for tag in [tag(&plain), tag(&zipped)] {
        let headers = [GZIP, &format!("If-None-Match: {tag}")];
        let same = ask(node, "GET /buckets/zip/keys/long", &headers, b"").await;
        assert_eq!((same.status, same.header("Content-Encoding")), (304, None));
    }
}

/// What a query has found arrives while it still runs, also gzipped.
#[tokio::test]
async fn parts_arrive_gzipped_while_the_query_runs() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    for key in 0..100 {
        let line = format!("PUT /buckets/slow/keys/{key}");
        assert_eq!(ask(node, &line, &[TEXT], b"x").await.status, 204);
    }
    let source = "function(v) { var end = Date.now() + 300; while (Date.now() < end) {} \
                  return ['result of ' + v.key]; }";
    let query = json!({"inputs": "slow", "query": [{"map": {"language": "javascript",
                                                          "source": source}}]});
    let body = query.to_string().into_bytes();
    for accept in [JSON, "Accept: application/x-ndjson"] {
        let line = "POST /mapred?chunked=true";
        let mut stream = open(node, line, &[JSON, GZIP, accept], &body).await;
        let mut bytes = Vec::new();
        let text = loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the answer ended");
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let text = inflate(&bytes[end + 4..]);
            if text.contains("result of ") {
                break text;
            }
        };
        let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        assert!(head.contains("content-encoding: gzip"), "{accept}");
        let running = ask(node, "GET /admin/queries", &[], b"").await.text();
        assert!(running.contains("\"inputs_done\""), "{accept}: {running} after {text}");
        drop(stream);
    }
}
