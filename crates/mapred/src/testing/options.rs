//! What queries answer that say more than Riak's: options, generators, and being looked at.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use mapring_cluster::{Change, Cluster};
use mapring_types::{Blocks, BucketId, ErrorKind, NodeId, Release, Releases, UploadId};
use serde_json::{Value, json};

use super::world::{World, gather, object};
use crate::failure::{FailedInput, Failure, FailureKind};
use crate::grammar;
use crate::rejection::Rejection;
use crate::report::QueryId;
use crate::results::Started;

fn map(name: &str) -> String {
    format!(r#"[{{"map":{{"language":"javascript","name":"{name}"}}}}]"#)
}

fn start(world: &World, node: usize, body: &str) -> Result<Started, Rejection> {
    world.engines[node].start(grammar::parse(body.as_bytes()).unwrap())
}

async fn run(
    world: &World,
    body: &str,
) -> (Result<BTreeMap<usize, Vec<String>>, Failure>, Vec<Failure>) {
    let Started { results, handle } = start(world, 0, body).unwrap();
    let found = gather(results).await;
    (found, handle.take_skipped())
}

fn world() -> World {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 100);
    world
}

fn sorted(mut values: Vec<u64>) -> Vec<u64> {
    values.sort_unstable();
    values
}

#[tokio::test(start_paused = true)]
async fn inputs_that_fail_are_left_out_and_told() {
    let world = world();
    for inputs in [r#""b""#, r#"[["b","k6"],["b","k7"],["b","k8"],["b","k7"]]"#] {
        let query = map("throw");
        let body = format!(r#"{{"inputs":{inputs},"query":{query},"on_error":{{"mode":"skip"}}}}"#);
        let (found, skipped) = run(&world, &body).await;
        let whole = inputs == r#""b""#;
        assert_eq!(found.unwrap()[&0].len(), if whole { 99 } else { 2 });
        assert_eq!(skipped.len(), if whole { 1 } else { 2 });
        for report in skipped {
            let Some(FailedInput::Object { id, .. }) = &report.input else { panic!("no object") };
            assert_eq!((id.to_string().as_str(), report.phase), ("b/k7", Some(0)));
            assert_eq!(report.message, "TypeError: no");
        }
        let body = format!(r#"{{"inputs":{inputs},"query":{query}}}"#);
        assert!(run(&world, &body).await.0.is_err());
    }
    let twice = r#"{"inputs":[["b","k7"],["b","k7"]],"query":QUERY,
                    "on_error":{"mode":"skip","max":1}}"#;
    let (found, _) = run(&world, &twice.replace("QUERY", &map("throw"))).await;
    assert_eq!(found.unwrap_err().message, "TypeError: no");
}

#[tokio::test(start_paused = true)]
async fn bodies_in_blocks_are_no_inputs_of_functions() {
    let (world, bucket) = (world(), BucketId::untyped("b"));
    let mut large = object("", &[("b", "k1", "t")], false);
    let blocks = Blocks { upload: UploadId(1), bytes: 1 << 30, block_bytes: 1 << 20, n_val: 3 };
    large.siblings[0].metadata.blocks = Some(Box::new(blocks));
    world.put_object(&bucket, "k7", &large, |_| true);
    let body = format!(r#"{{"inputs":"b","query":{}}}"#, map("json"));
    let words =
        "the object b/k7 has a body of 1073741824 bytes, which is more than a function gets";
    let failure = run(&world, &body).await.0.unwrap_err();
    assert!(failure.message.starts_with(words) && failure.message.contains("lines"), "{failure:?}");
    let skip = format!(r#"{{"inputs":"b","query":{},"on_error":{{"mode":"skip"}}}}"#, map("json"));
    let (found, skipped) = run(&world, &skip).await;
    assert_eq!((found.unwrap()[&0].len(), skipped.len()), (99, 1));
    assert!(skipped[0].message.starts_with(words), "{skipped:?}");
    // Where the bytes are not looked at it is an object like any other.
    let keys = run(&world, r#"{"inputs":"b","query":[]}"#).await.0.unwrap();
    assert_eq!(keys[&0].len(), 100);
    let links = r#"{"inputs":[["b","k7"]],"query":[{"link":{"keep":true}}]}"#;
    assert_eq!(run(&world, links).await.0.unwrap()[&0], [r#"["b","k1","t"]"#]);
}

#[tokio::test(start_paused = true)]
async fn conditions_on_bodies_in_blocks_are_refused_by_name() {
    let (world, bucket) = (world(), BucketId::untyped("b"));
    let mut large = object("", &[], false);
    let blocks = Blocks { upload: UploadId(1), bytes: 1 << 30, block_bytes: 1 << 20, n_val: 3 };
    large.siblings[0].metadata.blocks = Some(Box::new(blocks));
    large.siblings[0].metadata.content_type = "application/zip".into();
    world.put_object(&bucket, "k7", &large, |_| true);
    let words = "the object b/k7 has a body of 1073741824 bytes, which is more than conditions";
    let ask = |filters: &str, keys_only: bool, query: &str, more: &str| {
        format!(
            r#"{{"inputs":{{"bucket":"b","filters":{filters},"keys_only":{keys_only}}},"query":{query}{more}}}"#
        )
    };
    for (query, keys_only) in [
        ("[]".to_owned(), false),
        (map("json"), false),
        (map("one"), true),
        ("[]".to_owned(), true),
    ] {
        for filters in [r#"[["x","exists",false]]"#, r#"[["x","=",1]]"#] {
            let body = ask(filters, keys_only, &query, "");
            let failure = run(&world, &body).await.0.unwrap_err();
            assert!(failure.message.starts_with(words), "{body}: {failure:?}");
            let Some(FailedInput::Object { id, .. }) = &failure.input else { panic!("no object") };
            assert_eq!(id.to_string(), "b/k7");
        }
        let body =
            ask(r#"[["x","exists",false]]"#, keys_only, &query, r#","on_error":{"mode":"skip"}"#);
        let (found, skipped) = run(&world, &body).await;
        assert_eq!((found.unwrap()[&0].len(), skipped.len()), (99, 1), "{body}");
        assert!(skipped[0].message.starts_with(words), "{skipped:?}");
        // It is not asked what holds bytes that another condition leaves out.
        let text = r#"[["x","exists",false],["@content_type","!=","application/zip"]]"#;
        let found = run(&world, &ask(text, keys_only, &query, "")).await.0.unwrap();
        assert_eq!(found[&0].len(), 99);
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_former_releases_are_asked_nothing_new() {
    let of = |release| Releases { reads: Release::FIRST, writes: release };
    let grouped = r#"[{"map":{"language":"javascript","name":"pairs"}},
                      {"reduce":{"language":"javascript","name":"list","group":true}}]"#;
    for releases in [None, Some(of(Release::MEMBERS_TELL))] {
        let world = World::told(releases);
        world.fill(&BucketId::untyped("b"), 100);
        let prefix = r#"{"bucket":"b","prefix":"k1"}"#;
        for (inputs, query, words) in [
            (r#""b""#, grouped, "a release that does not know grouping"),
            (prefix, "[]", "what narrows the inputs from a bucket can be used when all nodes"),
            (prefix, &map("one"), "what narrows the inputs from a bucket can be used when"),
        ] {
            let body = format!(r#"{{"inputs":{inputs},"query":{query}}}"#);
            let began = tokio::time::Instant::now();
            let failure = run(&world, &body).await.0.unwrap_err();
            assert!(failure.message.contains(words), "{body}: {failure:?}");
            assert_eq!(failure.kind, FailureKind::Node(ErrorKind::Unavailable), "{failure:?}");
            assert!(!failure.message.contains("tries") && began.elapsed().is_zero(), "{failure:?}");
        }
        assert_eq!(world.watch.mapped.load(Ordering::Relaxed), 0, "nobody works in vain");
        let body = format!(r#"{{"inputs":"b","query":{}}}"#, map("one"));
        assert_eq!(run(&world, &body).await.0.unwrap()[&0].len(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_ends_the_query_early() {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 2_000);
    for (query, limit) in [(map("one"), 1), (map("one"), 30), (map("one"), 5_000), ("[]".into(), 9)]
    {
        world.watch.mapped.store(0, Ordering::Relaxed);
        let body = format!(r#"{{"inputs":"b","query":{query},"limit":{limit}}}"#);
        let found = run(&world, &body).await.0.unwrap();
        let expect = limit.min(2_000);
        assert_eq!(found[&0].len(), expect, "{query}");
        let mapped = world.watch.mapped.load(Ordering::Relaxed);
        // Three nodes, each with some slices of which a page is under way and one waits.
        assert!(expect == 2_000 || mapped <= 1_000, "{mapped} inputs for {limit} results");
    }
    let keys: Vec<String> = (0..50).map(|number| format!(r#"["b","k{number}"]"#)).collect();
    let body = format!(r#"{{"inputs":[{}],"query":[],"limit":7}}"#, keys.join(","));
    assert_eq!(run(&world, &body).await.0.unwrap()[&0], keys[..7]);
    // What a limit ends is the last phase.
    let sum = r#"[{"map":{"language":"javascript","name":"one"}},
                  {"reduce":{"language":"javascript","name":"sum"}}]"#;
    let body = format!(r#"{{"inputs":"b","query":{sum},"limit":1}}"#);
    assert_eq!(run(&world, &body).await.0.unwrap()[&1], ["2000"]);
}

#[tokio::test(start_paused = true)]
async fn tombstones_are_passed_on_demand() {
    let world = world();
    let dead = BucketId::untyped("dead");
    world.put_object(&dead, "d", &object("", &[], true), |_| true);
    let missing = r#"{"not_found":{"bucket":"dead","key":"d"}}"#;
    for (inputs, option, expect) in [
        (r#""dead""#, "", None),
        (r#""dead""#, r#","tombstones":"skip""#, None),
        (r#""dead""#, r#","tombstones":"pass""#, Some("1")),
        (r#"[["dead","d"]]"#, "", Some(missing)),
        (r#"[["dead","d"]]"#, r#","tombstones":"pass""#, Some("1")),
    ] {
        let body = format!(r#"{{"inputs":{inputs},"query":{}{option}}}"#, map("one"));
        let found = run(&world, &body).await.0.unwrap();
        assert_eq!(found.get(&0).map(|values| values[0].as_str()), expect, "{inputs} {option}");
    }
}

#[tokio::test(start_paused = true)]
async fn named_inputs_may_be_read_by_quorum() {
    let world = world();
    let late = object("77", &[], false);
    world.put_object(&BucketId::untyped("late"), "l", &late, |replica| replica == 2);
    let body = format!(
        r#"{{"inputs":[["late","l"],["late",""],["b","k3"]],"query":{},"consistency":"quorum"}}"#,
        map("json")
    );
    let found = run(&world, &body).await.0.unwrap();
    let mut found = found[&0].clone();
    found.sort();
    assert_eq!(found, ["3", "77", r#"{"not_found":{"bucket":"late","key":""}}"#]);
}

#[tokio::test(start_paused = true)]
async fn filtered_buckets_feed_any_phase() {
    let world = world();
    let inputs = r#"{"bucket":"b","key_filters":[["tokenize","k",1],["string_to_int"],
                     ["between",20,29]]}"#;
    let sum = r#"[{"map":{"language":"javascript","name":"json"}},
                  {"reduce":{"language":"javascript","name":"sum"}}]"#;
    let found = run(&world, &format!(r#"{{"inputs":{inputs},"query":{sum}}}"#)).await.0.unwrap();
    assert_eq!(found[&1], ["245"]);
    for query in ["[]", r#"[{"reduce":{"language":"javascript","name":"same"}}]"#] {
        let found = run(&world, &format!(r#"{{"inputs":{inputs},"query":{query}}}"#)).await.0;
        assert_eq!(found.unwrap()[&0].len(), 10);
    }
    let none = r#"{"bucket":"b","key_filters":[["eq","nope"]]}"#;
    let found = run(&world, &format!(r#"{{"inputs":{none},"query":{sum}}}"#)).await.0.unwrap();
    assert_eq!(found[&1], ["0"]);
    let inputs = r#"{"bucket":"b","key_filters":[["string_to_int"]]}"#;
    let found = run(&world, &format!(r#"{{"inputs":{inputs},"query":{sum}}}"#)).await.0;
    let failure = found.unwrap_err();
    assert!(failure.message.contains("string_to_int"), "{failure}");
    let invalid = FailureKind::Node(ErrorKind::Invalid);
    assert_eq!((failure.kind, failure.phase), (invalid, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn what_objects_hold_decides_which_are_inputs() {
    let world = World::new();
    let people = BucketId::untyped("people");
    for (key, body) in [
        ("p1", r#"{"age":30,"city":"Oslo","active":true}"#),
        ("p2", r#"{"age":21,"city":"Rome","active":false}"#),
        ("p3", r#"{"age":30,"city":"Rome","active":true,"address":{"zip":"0150"}}"#),
        ("p4", r#"{"age":45,"city":"Oslo","active":false}"#),
        ("p5", "not json"),
    ] {
        world.put(&people, key, body);
    }
    world.put_object(&people, "gone", &object("", &[], true), |_| true);
    for (members, expect) in [
        (r#""filters":[["age","=",30]]"#, "p1 p3"),
        (r#""filters":[["active","=",false],["city","=","Oslo"]]"#, "p4"),
        (r#""filters":[["age",">",21],["city","!=","Oslo"]]"#, "p3"),
        (r#""filters":[["address.zip","exists",true]]"#, "p3"),
        (r#""filters":[["age","!=",30]]"#, "p2 p4 p5"),
        (r#""filters":[["@key",">","p3"],["age","exists",false]]"#, "p5"),
        (r#""filters":[["age","=",99]]"#, ""),
        (r#""filters":[],"keys_only":true"#, "p1 p2 p3 p4 p5"),
        (r#""prefix":"p","keys_only":true,"filters":[["city","prefix","R"]]"#, "p2 p3"),
        (r#""key_range":{"start":"p2","end":"p3"}"#, "p2 p3"),
        (r#""batch_size":1"#, "p1 p2 p3 p4 p5"),
    ] {
        for (query, last) in [
            (map("key"), 0),
            ("[]".to_owned(), 0),
            (r#"[{"reduce":{"language":"javascript","name":"same"}}]"#.to_owned(), 0),
        ] {
            let inputs = format!(r#"{{"bucket":"people",{members}}}"#);
            let body = format!(r#"{{"inputs":{inputs},"query":{query}}}"#);
            let found = run(&world, &body).await.0.unwrap();
            let mut found = found.get(&last).cloned().unwrap_or_default();
            found.iter_mut().for_each(|row| {
                *row = row
                    .trim_matches(['[', ']'])
                    .rsplit(',')
                    .next()
                    .unwrap()
                    .trim_matches('"')
                    .into();
            });
            found.sort();
            assert_eq!(found.join(" "), expect, "{members} {query}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_alone_are_objects_without_values() {
    let world = world();
    for (members, values, read) in [
        (r#""keys_only":true"#, "0", false),
        (r#""keys_only":false"#, "1", true),
        // What a condition looks at is read, and still not given.
        (r#""keys_only":true,"filters":[[[],">=",0]]"#, "0", true),
    ] {
        let inputs = format!(r#"{{"bucket":"b",{members}}}"#);
        let body = format!(r#"{{"inputs":{inputs},"query":{},"profile":true}}"#, map("values"));
        let Started { results, handle } = start(&world, 0, &body).unwrap();
        let found = gather(results).await.unwrap();
        assert_eq!(found[&0], vec![values; 100], "{members}");
        let profile: Value = serde_json::from_str(&handle.profile()).unwrap();
        let read_bytes: u64 = profile["phases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["read_bytes"].as_u64().unwrap())
            .sum();
        assert_eq!(read_bytes > 0, read, "{members}: {profile}");
    }
}

#[tokio::test(start_paused = true)]
async fn buckets_of_one_name_in_all_types() {
    let world = World::new();
    for (name, keys) in [("t1", 1), ("t2", 2)] {
        let changes = mapring_types::props::PropChanges::default();
        let change = Change::SetBucketType { name: name.to_owned(), changes };
        world.clusters[0].propose(change).await.unwrap();
        world.fill(&BucketId::typed(name, "people"), keys);
    }
    for (bucket, keys) in [
        (r#"["t1","people"]"#, 1),
        (r#"["t2","people"]"#, 2),
        (r#"["*","people"]"#, 3),
        (r#""people""#, 0),
    ] {
        let body = format!(r#"{{"inputs":{{"bucket":{bucket}}},"query":{}}}"#, map("one"));
        let found = run(&world, &body).await.0.unwrap();
        assert_eq!(found.get(&0).map_or(0, Vec::len), keys, "{bucket}");
    }
    world.fill(&BucketId::untyped("people"), 30);
    let body = format!(r#"{{"inputs":{{"bucket":["*","people"]}},"query":{}}}"#, map("one"));
    assert_eq!(run(&world, &body).await.0.unwrap()[&0].len(), 33);
}

#[tokio::test(start_paused = true)]
async fn generators_feed_any_phase() {
    let world = world();
    let sum = r#"[{"reduce":{"language":"javascript","name":"sum"}}]"#;
    let inputs = r#"{"module":"mapring","function":"sequence","arg":[1,20000]}"#;
    let body = format!(r#"{{"inputs":{inputs},"query":{sum}}}"#);
    assert_eq!(run(&world, &body).await.0.unwrap()[&0], ["200010000"]);
    let inputs = r#"{"module":"mapring","function":"list","arg":[["b","k5"],["b","k6",1]]}"#;
    let body = format!(r#"{{"inputs":{inputs},"query":{}}}"#, map("json"));
    let found = run(&world, &body).await.0.unwrap();
    let numbers = found[&0].iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(sorted(numbers), [5, 6]);
    let inputs = r#"{"module":"mapring","function":"list","arg":[7]}"#;
    let body = format!(r#"{{"inputs":{inputs},"query":{}}}"#, map("json"));
    assert_eq!(run(&world, &body).await.0.unwrap_err().kind, FailureKind::BadInput);
    let body = format!(r#"{{"inputs":{inputs},"query":[]}}"#);
    assert_eq!(run(&world, &body).await.0.unwrap()[&0], ["7"]);
}

#[tokio::test(start_paused = true)]
async fn queries_are_seen_and_ended_from_any_node() {
    let world = world();
    let body = format!(r#"{{"inputs":"b","query":{}}}"#, map("hang"));
    let Started { results, handle } = start(&world, 1, &body).unwrap();
    let waits = tokio::spawn(gather(results));
    while world.watch.hanging.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    for engine in &world.engines {
        let list = engine.queries().await;
        assert!(list.unreachable.is_empty() && list.left_out == 0);
        let [report] = list.queries.as_slice() else { panic!("{list:?}") };
        let shown = engine.show(handle.id).await.unwrap().unwrap();
        assert_eq!(shown.id, report.id);
        assert_eq!((&report.id, report.state.as_str()), (&handle.id.to_string(), "running"));
        assert_eq!(report.phases[0].partitions, 16);
        assert_eq!(report.phases[0].function, "hang");
    }
    let stranger = QueryId { number: handle.id.number ^ 1, ..handle.id };
    assert!(!world.engines[0].end(stranger).await.unwrap());
    assert!(!world.engines[0].end(QueryId { node: NodeId(99), ..handle.id }).await.unwrap());
    assert!(world.engines[2].end(handle.id).await.unwrap());
    let failure = waits.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Ended);
    while world.watch.hanging.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    assert!(world.engines[0].queries().await.queries.is_empty());
    world.kill(NodeId(3));
    assert_eq!(world.engines[0].queries().await.unreachable.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_query_can_be_ended_as_soon_as_its_id_is_known() {
    let world = world();
    let body = format!(r#"{{"inputs":"b","query":{}}}"#, map("hang"));
    let Started { results, handle } = start(&world, 1, &body).unwrap();
    // Nothing of the query has run yet.
    assert!(world.engines[1].end(handle.id).await.unwrap());
    assert_eq!(gather(results).await.unwrap_err().kind, FailureKind::Ended);
    assert!(world.engines[1].queries().await.queries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_profile_has_each_phase_on_each_node() {
    let world = world();
    let query = r#"[{"map":{"language":"javascript","name":"json","arg":{"do_prereduce":true}}},
                    {"reduce":{"language":"javascript","name":"sum"}}]"#;
    let body = format!(r#"{{"inputs":"b","query":{query},"profile":true}}"#);
    let Started { results, handle } = start(&world, 0, &body).unwrap();
    assert_eq!(gather(results).await.unwrap()[&1], ["4950"]);
    let profile: Value = serde_json::from_str(&handle.profile()).unwrap();
    let phases = profile["phases"].as_array().unwrap();
    let inputs = |phase: u64| -> u64 {
        let of_phase = phases.iter().filter(|cost| cost["phase"] == phase);
        of_phase.map(|cost| cost["inputs"].as_u64().unwrap()).sum()
    };
    assert_eq!(inputs(0), 100);
    assert!(inputs(1) >= 3, "{profile}");
    assert_eq!(phases.iter().filter(|cost| cost["phase"] == 0).count(), 3);
    let report = handle.report();
    assert_eq!((report.phases[0].partitions_done, report.inputs_done), (16, 100));
}

#[tokio::test(start_paused = true)]
async fn what_chance_gave_can_be_had_again() {
    let world = world();
    let body = |seed: &str| {
        let random = format!(r#"{{"count":20,"min":0,"max":1000000{seed}}}"#);
        format!(r#"{{"inputs":{{"random":{random}}},"query":{},"shards":1}}"#, map("json"))
    };
    let Started { results, handle } = start(&world, 0, &body("")).unwrap();
    let found = gather(results).await.unwrap();
    let profile: Value = serde_json::from_str(&handle.profile()).unwrap();
    let seed = profile["seed"].as_u64().unwrap();
    assert!(seed < 1 << 53, "{seed} is no number to every reader of JSON");
    let again = run(&world, &body(&format!(r#","seed":{seed}"#))).await.0.unwrap();
    assert_eq!(again, found);
    assert_ne!(run(&world, &body("")).await.0.unwrap(), found);
}

#[tokio::test(start_paused = true)]
async fn a_plan_names_nodes_and_partitions() {
    let world = world();
    let explain = async |inputs: &str, query: &str| -> Value {
        let body = format!(r#"{{"inputs":{inputs},"query":{query},"explain":true}}"#);
        let query = grammar::parse(body.as_bytes()).unwrap();
        let plan = world.engines[0].explain(&query).await.unwrap().unwrap();
        serde_json::from_str::<Value>(&plan).unwrap()["explain"].take()
    };
    let query = r#"[{"map":{"language":"javascript","name":"Riak.mapValues"}},
                    {"map":{"language":"javascript","source":"function(v){return [];}"}},
                    {"reduce":{"language":"erlang","module":"riak_kv_mapreduce",
                               "function":"reduce_sum","arg":{"reduce_phase_batch_size":7}}}]"#;
    let plan = explain("\"b\"", query).await;
    let nodes = plan["coverage"].as_array().unwrap();
    let partitions = nodes.iter().map(|node| node["partitions"].as_array().unwrap().len());
    assert_eq!((nodes.len(), partitions.sum::<usize>()), (3, 16));
    let phases = plan["phases"].as_array().unwrap();
    assert_eq!(phases[0]["runs"], "native, beside the data");
    assert_eq!(phases[1]["runs"], "javascript, beside the data");
    assert_eq!(phases[2]["runs"], "native, at the coordinator");
    assert_eq!((&phases[2]["batch"], &phases[2]["keep"]), (&7.into(), &true.into()));
    assert_eq!((&plan["output"], &plan["ignored"]), (&"the answer".into(), &json!([])));
    let plan = explain("\"b\"", "[],\"shardz\":7").await;
    assert_eq!(plan["ignored"], json!(["shardz"]));
    for (name, combine) in [("Job.sum", "native, by itself".into()), ("f", Value::Null)] {
        let group = r#"{"reduce":{"language":"javascript","group":true,"name":"NAME"}}"#;
        let query = format!("[{}],\"output\":{{\"bucket\":\"o\"}}", group.replace("NAME", name));
        let plan = explain("\"b\"", &query).await;
        assert_eq!(plan["phases"][0]["combine"], combine, "{name}");
        let output = json!({ "bucket": "o", "layout": "per_key", "replaces": true });
        assert_eq!(plan["output"], output);
    }
    let plan = explain(r#"[["b","k1"],["b","k2"],["b","k3"]]"#, "[]").await;
    let inputs = plan["coverage"].as_array().unwrap().iter();
    assert_eq!(inputs.map(|node| node["inputs"].as_u64().unwrap()).sum::<u64>(), 3);
    // Nothing has run.
    assert_eq!(world.watch.mapped.load(Ordering::Relaxed), 0);
    assert!(world.engines[0].queries().await.queries.is_empty());
}
