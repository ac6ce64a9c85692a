//! What former releases have sent is read, byte for byte as they made it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use mapring_kv::{Cursor, Selection};
use mapring_net::Call;
use mapring_ring::Partition;
use mapring_script::*;
use mapring_types::{BucketId, Error, IndexValue, ObjectId, Release};

use crate::grammar::{Consistency, LinkSpec, Scan};
use crate::report::{PhaseReport, QueryReport};
use crate::service::{End, List, Show};
use crate::unit::*;
use crate::wire::{Sent, decode, encode, version_at};
use mapring_filters::Filters;

fn text(text: &str) -> JsonText {
    JsonText(text.to_owned())
}

fn id() -> ObjectId {
    ObjectId::new(BucketId::typed(&b"maps"[..], &b"b"[..]), &b"k\xff"[..])
}

fn function(function: Function) -> PhaseFunction {
    PhaseFunction { function, arg: Some(text("{\"a\":1}")), binary: Binary::Base64 }
}

fn request(work: Work, source: Units) -> LaneRequest {
    let reduce = Function::Erlang { module: "m".to_owned(), function: "f".to_owned() };
    LaneRequest {
        query: serde_json::from_str("700").unwrap(),
        phase: 1,
        plan_version: 300,
        time_left_ms: 60_000,
        work,
        prereduce: Some(Prereduce {
            phase: 2,
            function: PhaseFunction { function: reduce, arg: None, binary: Binary::Refuse },
            timing: ReduceTiming::Every(20),
        }),
        shuffle: None,
        context: CallContext::default(),
        results: true,
        tells_inputs: false,
        options: UnitOptions {
            tombstones: true,
            consistency: Consistency::Quorum,
            skip: false,
            most_results: Some(9),
        },
        units: source,
    }
}

fn folds(selection: Selection, filters: Option<&str>) -> Units {
    let filters = filters.map(|text| {
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(text).unwrap();
        Filters::parse(&raw).unwrap()
    });
    let unit = PartitionUnit {
        unit: 4,
        attempt: 2,
        home: Partition(7),
        vnode: Partition(8),
        after: Some(Cursor::new(&b"place"[..])),
        page: 0,
        state: None,
    };
    let slice = Scan { selection, filters, ..Scan::whole(BucketId::untyped("b")) };
    Units::Partitions { scan: Box::new(slice), replicas: 2, units: vec![unit] }
}

fn requests() -> Vec<LaneRequest> {
    let keys = Selection::Keys { from: Bytes::from_static(b"a"), to: Bytes::from_static(b"z") };
    let terms = Selection::Terms {
        field: "age_int".to_owned(),
        from: IndexValue::Int("1".to_owned()),
        to: IndexValue::Int("20".to_owned()),
    };
    let inputs = BatchUnit {
        unit: 1,
        attempt: 0,
        inputs: vec![BatchInput {
            vnode: Partition(3),
            id: id(),
            keydata: Some(text("7")),
            order: Box::default(),
        }],
        state: None,
    };
    let filters = r#"[["tokenize","-",2],["string_to_int"],["and",[["greater_than",3]],[["less_than",9.5]]]]"#;
    let stored = Function::Stored { object: "b/k".to_owned(), source: "x => x".to_owned() };
    let link = LinkSpec { bucket: Some(Bytes::from_static(b"b")), tag: None };
    vec![
        request(
            Work::Map(function(Function::Source("x => x".to_owned()))),
            folds(Selection::All, Some(filters)),
        ),
        request(Work::Map(function(stored)), folds(keys, None)),
        request(
            Work::Map(function(Function::Named("Riak.mapValues".to_owned()))),
            folds(terms, None),
        ),
        request(Work::Link(link), Units::Batch(inputs)),
        request(Work::Keys { pairs: true }, folds(Selection::All, None)),
    ]
}

fn frames() -> Vec<Frame> {
    let error = ScriptError {
        cause: FailureCause::Thrown,
        message: "TypeError".to_owned(),
        stack: Some("at f".to_owned()),
        input: Some(3),
    };
    let broken = Broken { phase: 1, error, input: Some((id(), Some(text("7")))) };
    let cost = Cost {
        looked_at: 1,
        read_bytes: 2,
        read_us: 3,
        work_us: 4,
        function_us: 5,
        prereduce_us: 6,
        held_back_us: 7,
    };
    let page = |progress, reduced| {
        Frame::Page(Box::new(Page {
            unit: 4,
            attempt: 2,
            progress,
            results: vec![Row::value("1.0"), Row::pair("\"b\"", "1")],
            gave: Vec::new(),
            reduced,
            inputs: 300,
            made: 2,
            made_bytes: 6,
            skipped: vec![broken.clone()],
            cost,
            tally: Tally { calls: 300, ..Tally::default() },
            effects: Effects::default(),
            run: None,
            groups: Vec::new(),
            state: None,
        }))
    };
    vec![
        Frame::Renew,
        page(Progress::Done, None),
        page(Progress::After(Cursor::new(&b"place"[..])), Some(vec![Row::value("[]")])),
        page(Progress::Taken(70), Some(Vec::new())),
        Frame::Unable {
            unit: 1,
            attempt: 2,
            error: Error::unavailable("vnode 3 has moved").to_wire(),
            asked: None,
        },
        Frame::Failed(broken.clone()),
    ]
}

fn report() -> QueryReport {
    let phase = PhaseReport {
        phase: 0,
        kind: "map".to_owned(),
        function: "x => x".to_owned(),
        inputs: 1,
        results: 2,
        result_bytes: 3,
        skipped: 4,
        partitions_done: 5,
        partitions: 6,
    };
    QueryReport {
        id: "7-8".to_owned(),
        node: "n1".to_owned(),
        state: "running".to_owned(),
        age_ms: 1,
        timeout_ms: 2,
        inputs_done: 3,
        phases: vec![phase],
        counters: BTreeMap::new(),
        query: "{}".to_owned(),
    }
}

fn kept(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/message-2-{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is kept under a name is read as the message, which is written so for readers of the first
/// release.
#[track_caller]
fn check<T: Sent + Debug + PartialEq>(name: &str, message: &T) {
    let kept = kept(name);
    assert_eq!(&decode::<T>(&kept).unwrap(), message, "{name}");
    assert_eq!(encode(version_at(Release::FIRST), message).unwrap(), kept, "{name}");
}

/// What is read of a message is written, and read as the same.
fn comes_back<T: Sent + Debug>(bytes: &[u8]) {
    let Ok(read) = decode::<T>(bytes) else { return };
    let written = encode(version_at(Release::current()), &read).unwrap();
    assert_eq!(format!("{:?}", decode::<T>(&written).unwrap()), format!("{read:?}"));
}

#[test]
fn fuzz_messages() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut corpus = mapring_fuzz::Corpus::made("mapred_messages").and_files(&fixtures);
    // The present version too: the kept ones are of the one before.
    for request in requests() {
        corpus = corpus.and(encode(version_at(Release::current()), &request).unwrap());
    }
    for frame in frames() {
        corpus = corpus.and(encode(version_at(Release::current()), &frame).unwrap());
    }
    corpus.run(|bytes| {
        comes_back::<LaneRequest>(bytes);
        comes_back::<Frame>(bytes);
        comes_back::<<List as Call>::Answer>(bytes);
        comes_back::<<Show as Call>::Answer>(bytes);
        comes_back::<<End as Call>::Answer>(bytes);
    });
}

#[test]
fn messages_of_former_releases_are_read() {
    for (number, request) in requests().iter().enumerate() {
        check(&format!("lane-{number}"), request);
    }
    for (number, frame) in frames().iter().enumerate() {
        check(&format!("frame-{number}"), frame);
    }
    check::<<List as Call>::Answer>("list-answer", &(vec![report()], 300));
    check::<<Show as Call>::Answer>("show-answer", &Some(report()));
    check::<<End as Call>::Answer>("end-answer", &true);
    assert_eq!(decode::<Show>(&kept("show")).unwrap().0, 7);
    assert_eq!(encode(2, &Show(7)).unwrap(), kept("show"));
}

#[test]
fn what_the_second_version_cannot_say_is_refused() {
    let narrowed = |change: fn(&mut Scan)| {
        let mut scan = Scan::whole(BucketId::untyped("b"));
        change(&mut scan);
        let Units::Partitions { replicas, units, .. } = folds(Selection::All, None) else {
            panic!("no partitions")
        };
        request(
            Work::Keys { pairs: true },
            Units::Partitions { scan: Box::new(scan), replicas, units },
        )
    };
    let conditions = |scan: &mut Scan| {
        let raw: Box<serde_json::value::RawValue> =
            serde_json::from_str(r#"[["a.b",">=",1.50],["@index.n_int","in",[1,-2]]]"#).unwrap();
        scan.narrowing.conditions = mapring_filters::PropertyFilters::parse(&raw).unwrap();
        scan.selection = Selection::KeysFrom { from: Bytes::from_static(b"a") };
    };
    let mut all = narrowed(|_| {});
    all.options.consistency = Consistency::All;
    for request in [
        narrowed(conditions),
        narrowed(|scan| scan.narrowing.keys_only = true),
        narrowed(|scan| scan.narrowing.batch = Some(7)),
        all,
    ] {
        let refused = encode(2, &request).unwrap_err();
        assert!(refused.message().contains("when all nodes are of a release"), "{refused}");
        assert_eq!(decode::<LaneRequest>(&encode(3, &request).unwrap()).unwrap(), request);
    }
    let plain = narrowed(|_| {});
    assert_eq!(decode::<LaneRequest>(&encode(2, &plain).unwrap()).unwrap(), plain);
}
