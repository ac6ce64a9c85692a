//! Results that become objects, on three nodes.

use std::collections::BTreeMap;

use mapring_types::{BucketId, ErrorKind};

use super::world::{World, gather};
use crate::failure::{FailedInput, Failure, FailureKind};

/// The values of the objects, in their order.
const SORTED: &str = r#"[{"map":{"language":"javascript","name":"json"}},
    {"reduce":{"language":"javascript","name":"sort"}}]"#;

fn world(values: &[&str]) -> World {
    let world = World::new();
    for (number, value) in values.iter().enumerate() {
        world.put(&BucketId::untyped("b"), &format!("k{number}"), value);
    }
    world
}

async fn run(world: &World, query: &str, output: &str) -> Result<Vec<String>, Failure> {
    let more = format!(r#","name":"ages","output":{output}"#);
    let found = gather(world.start(1, r#""b""#, query, &more)).await?;
    Ok(found.into_values().flatten().collect())
}

/// What an output of these values is: the answer, and the objects.
#[track_caller]
fn check(values: &[&str], output: &str, answer: &[&str], objects: &[(&str, &str, &str)]) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
    // Large or not, they are the same.
    for whole in [None, Some(1), Some(10), Some(600)] {
        let (found, stored, uploaded) = runtime.block_on(async {
            let world = world(values);
            world.store.lock().whole_bytes = whole;
            let found = run(&world, SORTED, output).await.unwrap();
            let uploaded = world.store.lock().uploaded;
            (found, world.stored("out"), uploaded)
        });
        assert_eq!(found, answer, "{output}");
        let expect = objects.iter().map(|(key, content_type, body)| {
            ((*key).to_owned(), ((*content_type).to_owned(), (*body).to_owned()))
        });
        assert_eq!(stored, expect.collect::<BTreeMap<_, _>>(), "{output} {whole:?}");
        let large = |least| objects.iter().filter(|object| object.2.len() > least).count() as u64;
        // A bracket does not make an object large.
        let (most, least) = whole.map_or((0, 0), |whole| (large(whole - 1), large(whole + 1)));
        assert!((least..=most).contains(&uploaded), "{uploaded} of {output} with {whole:?}");
    }
}

const AGES: [&str; 3] = [r#"["54",2]"#, r#"["21",1]"#, r#"["43",1]"#];

#[test]
fn an_object_a_key() {
    let json = "application/json";
    check(
        &AGES,
        r#"{"bucket":"out","layout":"per_key"}"#,
        &[r#"["out","21"]"#, r#"["out","43"]"#, r#"["out","54"]"#],
        &[("21", json, "1"), ("43", json, "1"), ("54", json, "2")],
    );
    check(
        &[r#"["b",{"x":"é"}]"#, "[[1,null],true]", "[7,null]"],
        r#"{"bucket":"out","values":"string"}"#,
        &[r#"["out","7"]"#, r#"["out","[1,null]"]"#, r#"["out","b"]"#],
        &[
            ("7", json, r#""null""#),
            ("[1,null]", json, r#""true""#),
            ("b", json, r#""{\"x\":\"é\"}""#),
        ],
    );
    check(
        &[r#"["odd","1\n"]"#, r#"["even","2\n"]"#, r#"["odd","3\n"]"#],
        r#"{"bucket":"out","format":"text","content_type":"text/csv"}"#,
        &[r#"["out","even"]"#, r#"["out","odd"]"#],
        &[("even", "text/csv", "2\n"), ("odd", "text/csv", "1\n3\n")],
    );
    check(
        &[r#"{"a":[1]}"#, r#"["b",2]"#],
        r#"{"bucket":"out"}"#,
        &[r#"["out","a"]"#, r#"["out","b"]"#],
        &[("a", json, "[1]"), ("b", json, "2")],
    );
    check(&[], r#"{"bucket":"out"}"#, &[], &[]);
}

/// All in one text.
const SINGLE_TEXT: &str = r#"{"bucket":"out","layout":"single","name":"o","format":"text"}"#;

#[test]
fn one_object_for_all() {
    let output = |more: &str| format!(r#"{{"bucket":"out","layout":"single","name":"o",{more}}}"#);
    let check = |values: &[&str], more: &str, content_type: &str, body: &str| {
        check(values, &output(more), &[r#"["out","o"]"#], &[("o", content_type, body)]);
    };
    let texts = [r#""1 - d\n""#, r#""8 - \u00e9\n""#];
    check(&texts, r#""format":"text""#, "text/plain", "1 - d\n8 - é\n");
    check(&AGES, r#""format":"text""#, "text/plain", r#"["21",1]["43",1]["54",2]"#);
    check(&[r#""a""#, "7"], r#""format":"lines""#, "text/plain", "a\n7\n");
    let lines = "[\"21\",1]\n[\"43\",1]\n[\"54\",2]\n";
    check(&AGES, r#""format":"ndjson""#, "application/x-ndjson", lines);
    check(&["[1,\n 2]"], r#""format":"ndjson""#, "application/x-ndjson", "[1, 2]\n");
    check(&AGES, r#""format":"json""#, "application/json", r#"[["21",1],["43",1],["54",2]]"#);
    let halves = ["1", r#"["x","\ud800"]"#];
    check(&halves, r#""format":"json""#, "application/json", r#"[1,["x","\ud800"]]"#);
    check(&halves, r#""format":"ndjson""#, "application/x-ndjson", "1\n[\"x\",\"\\ud800\"]\n");
    // What is no text itself keeps the escapes of its JSON.
    check(&halves, r#""format":"text""#, "text/plain", r#"1["x","\ud800"]"#);
    check(&[], r#""format":"json""#, "application/json", "[]");
    check(&[], r#""format":"text""#, "text/plain", "");
}

#[test]
fn names_are_filled_in() {
    let plain = "text/plain";
    let shards = r#"{"bucket":"out","layout":"per_shard","name":"$name-$num","format":"lines"}"#;
    check(&["1", "2"], shards, &[r#"["out","ages-0"]"#], &[("ages-0", plain, "1\n2\n")]);
    check(&[], shards, &[r#"["out","ages-0"]"#], &[("ages-0", plain, "")]);
    let long = format!("\"{}\"", "x".repeat(600));
    let body = format!("{}\n", "x".repeat(600));
    check(
        &[&long, &long, "1"],
        r#"{"bucket":"out","layout":"single","name":"o","format":"lines","max_bytes":1024}"#,
        &[r#"["out","o-00000"]"#, r#"["out","o-00001"]"#],
        &[("o-00000", plain, &body), ("o-00001", plain, &format!("{body}1\n"))],
    );
    let list = format!("[{long}]");
    check(
        &[&long, &long],
        r#"{"bucket":"out","layout":"single","name":"o","max_bytes":1024}"#,
        &[r#"["out","o-00000"]"#, r#"["out","o-00001"]"#],
        &[("o-00000", "application/json", &list), ("o-00001", "application/json", &list)],
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_seen_of_a_query_that_fails() {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 50);
    let throws = r#"[{"map":{"language":"javascript","name":"throw"}}]"#;
    let single = r#"{"bucket":"out","layout":"single"}"#;
    assert!(run(&world, throws, single).await.is_err());
    assert!(world.store.lock().written.is_empty());
}

/// What an output fails with, of which nothing may be written.
#[track_caller]
fn refused(world: &World, failure: &Failure, kind: FailureKind, says: &str) {
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(says), "{failure}");
    assert!(world.store.lock().written.is_empty());
}

#[tokio::test(start_paused = true)]
async fn results_that_do_not_fit_are_named() {
    for (value, output, says) in [
        ("7", r#"{"bucket":"out"}"#, "no [key, value]"),
        (r#"["",7]"#, r#"{"bucket":"out"}"#, "1 to 65536 bytes"),
        (
            r#"["x",7]"#,
            r#"{"bucket":"out","indexes":{"a_int":"$key"}}"#,
            "a_int takes whole numbers",
        ),
        (r#"["x\ud800",7]"#, r#"{"bucket":"out"}"#, r#"the key "x\ud800" holds half of"#),
        (r#""\udc00y""#, SINGLE_TEXT, r#"the text "\udc00y" holds half of"#),
        (
            r#"["x","\ud800"]"#,
            r#"{"bucket":"out","format":"lines"}"#,
            "\"ndjson\" keep it as it is",
        ),
    ] {
        let world = world(&[r#"["1",1]"#, value]);
        let failure = run(&world, SORTED, output).await.unwrap_err();
        refused(&world, &failure, FailureKind::BadInput, says);
        assert!(matches!(failure.input, Some(FailedInput::Row(_))), "{failure:?}");
    }
    let world = world(&[r#"["a",1]"#, r#"["b",2]"#, r#"["a",3]"#]);
    let failure = run(&world, SORTED, r#"{"bucket":"out"}"#).await.unwrap_err();
    refused(&world, &failure, FailureKind::BadInput, "the key \"a\"");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_said_before_the_query_runs() {
    let world = world(&AGES);
    let failure = run(&world, SORTED, r#"{"bucket":["none","out"]}"#).await.unwrap_err();
    refused(&world, &failure, FailureKind::Node(ErrorKind::NotFound), "none does not exist");
    let failure = run(&world, SORTED, r#"{"bucket":"out","w":4}"#).await.unwrap_err();
    refused(&world, &failure, FailureKind::BadInput, "w=4");
    assert_eq!(world.watch.mapped.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn objects_are_replaced_or_not() {
    let world = world(&AGES);
    let out = BucketId::untyped("out");
    for key in ["43", "o"] {
        world.put(&out, key, "before");
    }
    for output in [
        r#"{"bucket":"out","if_exists":"fail"}"#,
        r#"{"bucket":"out","if_exists":"fail","layout":"single","name":"o"}"#,
    ] {
        let failure = run(&world, SORTED, output).await.unwrap_err();
        refused(&world, &failure, FailureKind::Exists, "would replace");
    }
    let single = r#"{"bucket":"out","if_exists":"fail","layout":"single","name":"new"}"#;
    assert_eq!(run(&world, SORTED, single).await.unwrap(), [r#"["out","new"]"#]);
    run(&world, SORTED, r#"{"bucket":"out"}"#).await.unwrap();
    assert_eq!(world.stored("out")["43"].1, "1");
}

#[tokio::test(start_paused = true)]
async fn writes_are_tried_again_and_then_named() {
    let world = world(&AGES);
    let failing = |times| ("43".to_owned(), (times, ErrorKind::Timeout));
    world.store.lock().failing_writes.extend([failing(3)]);
    assert_eq!(run(&world, SORTED, r#"{"bucket":"out"}"#).await.unwrap().len(), 3);
    world.store.lock().failing_writes.extend([failing(9)]);
    let failure = run(&world, SORTED, r#"{"bucket":"out"}"#).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Node(ErrorKind::Timeout));
    assert!(failure.message.contains("1 object was written before it"), "{failure}");
    let Some(FailedInput::Object { id, .. }) = &failure.input else { panic!("{failure:?}") };
    assert_eq!(id.key.as_ref(), b"43");
}

#[tokio::test(start_paused = true)]
async fn large_objects_are_written_again_from_their_first_byte() {
    let values: Vec<String> =
        (0..40).map(|at| format!(r#"["{}","{at:02}-{}"]"#, at % 4, "x".repeat(20))).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let output = r#"{"bucket":"out","format":"lines"}"#;
    let usual = world(&values);
    assert_eq!(run(&usual, SORTED, output).await.unwrap().len(), 4);
    let failing = |key: &str, times| (key.to_owned(), (times, ErrorKind::Timeout));
    let large = world(&values);
    {
        let mut store = large.store.lock();
        store.whole_bytes = Some(50);
        store.failing_writes.extend([failing("0", 1), failing("2", 3)]);
    }
    assert_eq!(run(&large, SORTED, output).await.unwrap().len(), 4);
    assert_eq!(large.store.lock().uploaded, 4);
    assert_eq!(large.stored("out"), usual.stored("out"));
    large.store.lock().failing_writes.extend([failing("2", 9)]);
    let failure = run(&large, SORTED, output).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Node(ErrorKind::Timeout));
    assert!(failure.message.contains("2 objects were written before it"), "{failure}");
    let single = r#"{"bucket":"out","layout":"single","name":"2","if_exists":"fail"}"#;
    let failure = run(&large, SORTED, single).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Exists, "{failure}");
}

#[tokio::test(start_paused = true)]
async fn many_results_become_many_objects() {
    let world = World::new();
    for number in 0..1_000 {
        world.put(&BucketId::untyped("b"), &number.to_string(), &format!("[{number},{number}]"));
    }
    let map = r#"[{"map":{"language":"javascript","name":"json"}}]"#;
    let names = run(&world, map, r#"{"bucket":"out"}"#).await.unwrap();
    assert!(names.is_sorted() && names.len() == 1_000);
    let stored = world.stored("out");
    assert_eq!(stored.len(), 1_000);
    assert!(stored.iter().all(|(key, (_, body))| key == body));
}
