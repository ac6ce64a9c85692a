//! `/stats` and the table of it in the documents say the same, and what is counted is right (facts
//! R240 to R243, R350 to R352).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use mapring_client::{NewObject, Place};
use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds, root};
use serde_json::Value;

/// The document, and how the table in it begins.
const DOCUMENT: &str = "docs/compatibility.md";
const HEAD: &str = "| statistic | type | what it says here | read by |";

/// The letters of the monitors.
const READERS: [&str; 13] = ["T", "D", "O", "E", "C", "P", "J", "B", "R", "N", "Z", "M", "A"];

/// A row of the table.
#[derive(Debug, Clone)]
struct Row {
    kind: String,
    says: String,
    readers: BTreeSet<String>,
}

/// The keys of a pattern, in which `{a,b}` is either.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    let one = |choice: &str| expand(&format!("{before}{choice}{after}"));
    choices.split(',').flat_map(one).collect()
}

fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join(DOCUMENT)).unwrap();
    let lines = text.lines().skip_while(|line| *line != HEAD).skip(2);
    let mut rows = BTreeMap::new();
    for line in lines.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [keys, kind, says, readers] = cells[..] else { panic!("{line}") };
        assert!(!says.is_empty(), "{line}");
        let readers = readers.split(' ').filter(|word| *word != "–").map(str::to_owned).collect();
        let row = Row { kind: kind.to_owned(), says: says.to_owned(), readers };
        assert!(row.readers.iter().all(|it| READERS.contains(&it.as_str())), "{line}");
        for key in keys.split('`').skip(1).step_by(2).flat_map(expand) {
            assert!(rows.insert(key.clone(), row.clone()).is_none(), "{key} is there twice");
        }
    }
    assert!(!rows.is_empty(), "{DOCUMENT} has no table of statistics");
    rows
}

/// What `/stats` says.
async fn told(node: &Node) -> BTreeMap<String, Value> {
    let (status, body) = Exchange::get(node, "/stats").await.answer().await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Whether a value is of a type of the table.
fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "whole number" => value.as_i64().is_some_and(|number| number >= 0),
        "text" => value.is_string(),
        "boolean" => value.is_boolean(),
        "list" => value.is_array(),
        other => panic!("{other} is no type of a statistic"),
    }
}

#[test]
fn every_monitor_finds_something() {
    assert_eq!(expand("a_{b,c}{,_d}"), ["a_b", "a_b_d", "a_c", "a_c_d"]);
    let table = table();
    let of = |letter: &str| table.values().filter(|row| row.readers.contains(letter)).count();
    for letter in READERS {
        assert!(of(letter) > 10, "{letter} reads {} statistics", of(letter));
    }
}

#[tokio::test]
async fn the_table_of_statistics_is_what_stats_says() {
    let table = table();
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    use_node(node).await;
    let told = told(node).await;
    let keys: BTreeSet<&String> = told.keys().collect();
    let stated: BTreeSet<&String> = table.keys().collect();
    let (unstated, untold): (Vec<_>, Vec<_>) =
        (keys.difference(&stated).collect(), stated.difference(&keys).collect());
    assert!(unstated.is_empty(), "{DOCUMENT} has no {unstated:?}");
    assert!(untold.is_empty(), "/stats has no {untold:?}");
    for (key, value) in &told {
        let row = &table[key];
        assert!(is_of(&row.kind, value), "{key} is {value}, no {}", row.kind);
        if row.says.starts_with("0:") {
            assert_eq!(value, &Value::from(0), "{key}");
        }
    }
    let names = |key: &str| told[key].as_array().unwrap().iter().all(Value::is_string);
    assert!(names("connected_nodes") && names("ring_members"), "{told:?}");
    let number = |key: &str| told[key].as_u64().unwrap();
    for key in [
        "mem_total",
        "mem_allocated",
        "memory_code",
        "memory_processes",
        "cpu_nprocs",
        "sys_process_count",
        "sys_port_count",
        "riak_kv_stat_ts",
        "node_get_fsm_time_median",
        "vnode_get_fsm_time_100",
        "node_put_fsm_time_mean",
    ] {
        assert!(number(key) > 0, "{key}");
    }
    let parts = number("memory_system") + number("memory_processes");
    assert_eq!(number("memory_total"), parts);
    assert!(number("memory_total") < number("mem_total") && number("uptime") < 600);
    assert_eq!((number("riak_kv_vnodes_running"), number("ring_num_partitions")), (64, 64));
    for what in ["node_get_fsm_time", "node_put_fsm_time", "vnode_get_fsm_time"] {
        let of = |ending: &str| number(&format!("{what}_{ending}"));
        let rising = [of("median"), of("95"), of("99"), of("100")];
        assert!(rising.is_sorted() && of("mean") <= of("100"), "{what}: {rising:?}");
    }
}

#[tokio::test]
async fn as_text_statistics_stand_a_line_each() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let lines = ["Accept: text/plain"];
    let mut text = Exchange::with_headers(node, "GET", "/stats", &lines, "").await;
    let head = text.head().await.to_lowercase();
    assert!(head.contains("content-type: text/plain"), "{head}");
    assert!(head.contains("vary: accept, accept-encoding"), "{head}");
    let text = text.rest().await;
    for key in told(node).await.keys() {
        let line = text.lines().find(|line| line.trim().starts_with(&format!("\"{key}\":")));
        assert!(line.is_some_and(|line| line.starts_with("  \"")), "{key} in {text}");
    }
    let mut json = Exchange::get(node, "/stats").await;
    assert!(json.head().await.to_lowercase().contains("content-type: application/json"));
}

/// How many objects are written and read.
const OBJECTS: u64 = 20;

fn object(body: String) -> NewObject {
    NewObject { body: body.into(), content_type: "text/plain".into(), ..NewObject::default() }
}

/// Writes, reads, overwrites, lists and asks.
async fn use_node(node: &Node) {
    for number in 0..OBJECTS {
        let place = Place::new("b", format!("k{number}"));
        node.client.put(&place, object("x".repeat(10))).await.unwrap();
        node.client.get(&place).await.unwrap();
    }
    // Two terms, then one of them and another.
    for terms in ["a, b", "b, c"] {
        let lines = ["Content-Type: text/plain".to_owned(), format!("X-Riak-Index-f_bin: {terms}")];
        let put = Exchange::with_headers(node, "PUT", "/buckets/i/keys/k", &lines, "y").await;
        assert_eq!(put.answer().await.0, 204);
    }
    assert_eq!(Exchange::get(node, "/buckets/b/keys/none").await.answer().await.0, 404);
    Exchange::get(node, "/buckets/b/keys?keys=true").await.text().await;
    let query = r#"{"inputs":{"bucket":"i","index":"f_bin","start":"a","end":"z"},
        "query":[{"map":{"language":"erlang","module":"riak_kv_mapreduce","function":"map_identity"}}]}"#;
    node.client.mapred(query).await.unwrap();
}

/// Waits until statistics have grown by so much.
async fn grown(node: &Node, before: &BTreeMap<String, Value>, expected: &[(&str, u64)]) {
    eventually("what was done to be counted", || async {
        let after = told(node).await;
        let grown = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
        let wrong: Vec<_> = expected.iter().filter(|(key, count)| grown(key) != *count).collect();
        if !wrong.is_empty() {
            eprintln!("{:?}", wrong.iter().map(|it| (it, grown(it.0))).collect::<Vec<_>>());
        }
        holds(wrong.is_empty())
    })
    .await;
}

#[tokio::test]
async fn requests_are_counted_exactly() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let before = told(node).await;
    use_node(node).await;
    // Replicas are written after the answer, too.
    let (reads, writes) = (OBJECTS + 1, OBJECTS + 2);
    let expected = [
        ("node_gets_total", reads),
        ("node_puts_total", writes),
        ("vnode_puts_total", 3 * writes),
        // The second write is merged with the first where it does not begin.
        ("object_merge_total", 2),
        ("vnode_index_writes_total", 6),
        ("vnode_index_writes_postings_total", 9),
        ("vnode_index_deletes_total", 0),
        ("vnode_index_deletes_postings_total", 3),
        ("vnode_index_reads_total", 64),
        ("list_fsm_create_total", 1),
        ("list_fsm_create_error_total", 0),
        ("list_fsm_active", 0),
        ("pipeline_create_count", 1),
        ("pipeline_create_error_count", 0),
        ("pipeline_active", 0),
        ("executing_mappers", 0),
        ("node_get_fsm_active", 0),
        ("node_put_fsm_active", 0),
        ("node_get_fsm_errors_total", 0),
        ("read_repairs_total", 0),
        ("coord_redirs_total", 0),
        ("dropped_vnode_requests_total", 0),
    ];
    grown(node, &before, &expected).await;
    let after = told(node).await;
    let number = |key: &str| after[key].as_u64().unwrap();
    // Of a read, all replicas are asked, or as many as it takes.
    assert!((2 * reads..=3 * reads).contains(&number("vnode_gets_total")), "{after:?}");
    for key in ["node_gets", "node_puts", "vnode_puts"] {
        assert_eq!(number(key), number(&format!("{key}_total")), "{key}: all was in this minute");
    }
    assert_eq!((number("node_get_fsm_siblings_100"), number("node_get_fsm_objsize_100")), (1, 10));
}

/// Headers of requests with a body.
const JSON: &str = "Content-Type: application/json";
const TEXT: &str = "Content-Type: text/plain";

/// Sends a request, which is to be answered with a status.
async fn send(node: &Node, line: &str, header: &str, body: &str, status: u16) {
    let (method, path) = line.split_once(' ').unwrap();
    let answer = Exchange::with_headers(node, method, path, &[header], body).await.answer().await;
    assert_eq!(answer.0, status, "{line}: {}", answer.1);
}

#[tokio::test]
async fn data_types_index_queries_folds_and_hooks_are_counted_exactly() {
    // A node that is alone knows at once that every member reads data types.
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let props = r#"{"props":{"datatype":"set"}}"#;
    node.client.create_bucket_type("sets", props).await.unwrap();
    let fails = r#"[{"source":"function(object) { return 'fail'; }"}]"#;
    for (bucket, props) in [
        ("old", r#"{"props":{"allow_mult":true}}"#.to_owned()),
        ("before", format!(r#"{{"props":{{"precommit":{fails}}}}}"#)),
        ("after", format!(r#"{{"props":{{"postcommit":{fails}}}}}"#)),
    ] {
        send(node, &format!("PUT /buckets/{bucket}/props"), JSON, &props, 204).await;
    }
    let before = told(node).await;
    for element in ["a", "b"] {
        let op = format!(r#"{{"add":"{element}"}}"#);
        send(node, "POST /types/sets/buckets/b/datatypes/k", JSON, &op, 204).await;
    }
    send(node, "GET /types/sets/buckets/b/datatypes/k", JSON, "", 200).await;
    // A counter of Riak 1.4 is read and written as an object.
    send(node, "POST /buckets/old/counters/k", TEXT, "5", 204).await;
    send(node, "GET /buckets/old/counters/k", TEXT, "", 200).await;
    let terms = format!("{TEXT}\r\nX-Riak-Index-f_bin: a, b");
    send(node, "PUT /buckets/i/keys/k", &terms, "x", 204).await;
    send(node, "GET /buckets/i/index/f_bin/a/z", TEXT, "", 200).await;
    send(node, "GET /objectstats/buckets/i", TEXT, "", 200).await;
    send(node, "PUT /buckets/before/keys/k", TEXT, "x", 403).await;
    send(node, "PUT /buckets/after/keys/k", TEXT, "x", 204).await;
    let expected = [
        ("node_gets_set_total", 1),
        ("node_gets_counter_total", 0),
        ("node_puts_set", 2),
        ("node_puts_set_total", 2),
        ("node_gets_total", 1),
        ("node_puts_total", 3),
        ("vnode_set_update_total", 2),
        ("vnode_counter_update_total", 1),
        ("vnode_map_update_total", 0),
        // The second update of the set came to two vnodes that had the first.
        ("object_set_merge_total", 2),
        ("object_counter_merge_total", 0),
        ("object_merge_total", 0),
        ("read_repairs_set_total", 0),
        ("index_fsm_create", 1),
        ("index_fsm_complete", 1),
        ("index_fsm_create_error", 0),
        ("index_fsm_active", 0),
        ("index_fsm_results_100", 2),
        ("vnode_index_reads_total", 64),
        ("clusteraae_fsm_create", 1),
        ("clusteraae_fsm_create_error", 0),
        ("clusteraae_fsm_active", 0),
        ("precommit_fail", 1),
        ("postcommit_fail", 1),
        ("node_get_fsm_active", 0),
        ("node_put_fsm_active", 0),
    ];
    grown(node, &before, &expected).await;
    let after = told(node).await;
    let number = |key: &str| after[key].as_u64().unwrap();
    for what in ["node_get_fsm_set_time", "node_put_fsm_set_time", "index_fsm_time"] {
        assert!(number(&format!("{what}_100")) > 0, "{what}: {after:?}");
    }
    for what in [
        "node_get_fsm_set_siblings_100",
        "node_get_fsm_set_objsize_100",
        "set_actor_counts_100",
        "counter_actor_counts_mean",
    ] {
        assert!(number(what) > 0, "{what}: {after:?}");
    }
}
