//! What every engine must do: a list of named checks, each run on an empty engine, and a
//! comparison with a model.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use bytes::Bytes;
use mapring_types::{BucketId, ObjectId, Record};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{Engine, IndexChange, ScanDepth, ScanRange, StoreKey, limits};

pub(crate) mod indexes;

type Check = fn(&dyn Engine);

/// The checks.
const CHECKS: &[(&str, Check)] = &[
    ("a record comes back until it is replaced or deleted", comes_back),
    ("vnodes and homes are apart", apart),
    ("names are raw bytes of any length", raw_names),
    ("large bodies and large heads come back", large_records),
    ("scans are ordered and can go on after any object", ordered_scans),
    ("a scan of a bucket is exact", bucket_scans),
    ("a scan of heads has no bodies", scan_of_heads),
    ("a scan ends when it is told to", scan_ends),
    ("a scan may write what it visits", scan_writes),
    ("readers of a record that changes see one of its values", racing_readers),
    ("scans during writes see every old record once", racing_scans),
    ("many writers can sync at once", many_syncs),
    ("vnodes with data are listed", listed_vnodes),
    ("meta values come back", meta_values),
    ("the journal comes back by segments", journal_segments),
    ("index entries come in order, from any place on", indexes::ordered_terms),
    ("indexes are apart from each other and from objects", indexes::indexes_apart),
    ("a scan of a range of keys is exact", indexes::key_ranges),
    ("what a scan does not want is not read", indexes::unwanted_records),
    ("scans of an index during writes see every kept entry once", indexes::racing_terms),
];

/// Runs every check on an engine of its own.
pub(crate) fn run<E: Engine>(name: &str, new: impl Fn() -> E) {
    for (what, check) in CHECKS {
        println!("{name}: {what}");
        check(&new());
    }
}

pub(crate) fn object(bucket: &'static str, key: impl Into<Bytes>) -> ObjectId {
    ObjectId::new(BucketId::untyped(bucket), key)
}

pub(crate) fn at(home: u16, id: ObjectId) -> StoreKey {
    StoreKey { home, id }
}

pub(crate) fn record(head: usize, body: usize, fill: u8) -> Record {
    Record { head: vec![fill; head].into(), body: vec![fill; body].into() }
}

pub(crate) fn collect(
    engine: &dyn Engine,
    vnode: u16,
    range: &ScanRange,
    depth: ScanDepth,
) -> Vec<(StoreKey, Record)> {
    let mut seen = Vec::new();
    let mut visit = |key, record| {
        seen.push((key, record));
        ControlFlow::Continue(())
    };
    engine.scan(vnode, range, depth, &mut visit).unwrap();
    seen
}

pub(crate) fn whole_home(home: u16) -> ScanRange {
    ScanRange::home(home)
}

fn comes_back(engine: &dyn Engine) {
    let key = at(3, object("b", "k"));
    assert_eq!(engine.get(1, &key).unwrap(), None);
    engine.delete(1, &key, &[]).unwrap();
    for fill in [1, 2, 2] {
        engine.put(1, &key, &record(10, 300, fill), &IndexChange::NONE).unwrap();
        assert_eq!(engine.get(1, &key).unwrap(), Some(record(10, 300, fill)));
    }
    engine.put(1, &key, &Record::default(), &IndexChange::NONE).unwrap();
    assert_eq!(engine.get(1, &key).unwrap(), Some(Record::default()));
    engine.sync().unwrap();
    engine.delete(1, &key, &[]).unwrap();
    assert_eq!(engine.get(1, &key).unwrap(), None);
    assert!(collect(engine, 1, &whole_home(3), ScanDepth::Records).is_empty());
}

fn apart(engine: &dyn Engine) {
    let places = [(0, 0), (0, 1), (1, 0), (1, 256), (256, 1), (u16::MAX, u16::MAX)];
    for (fill, (vnode, home)) in (0..).zip(places) {
        engine
            .put(vnode, &at(home, object("b", "k")), &record(1, 1, fill), &IndexChange::NONE)
            .unwrap();
    }
    for (fill, (vnode, home)) in (0..).zip(places) {
        let expect = vec![(at(home, object("b", "k")), record(1, 1, fill))];
        assert_eq!(collect(engine, vnode, &whole_home(home), ScanDepth::Records), expect);
    }
    engine.delete(0, &at(0, object("b", "k")), &[]).unwrap();
    assert!(engine.get(0, &at(1, object("b", "k"))).unwrap().is_some());
}

fn raw_names(engine: &dyn Engine) {
    let long = Bytes::from(vec![0; mapring_types::limits::KEY_BYTES]);
    let names = [Bytes::new(), Bytes::from_static(b"\0\x01\xff"), Bytes::from_static(b"\0"), long];
    let mut keys = Vec::new();
    for bucket_type in &names {
        for name in &names {
            let bucket = BucketId { bucket_type: bucket_type.clone(), name: name.clone() };
            keys.extend(names.iter().map(|key| at(7, ObjectId::new(bucket.clone(), key.clone()))));
        }
    }
    for key in &keys {
        engine.put(0, key, &record(3, key.id.key.len() % 100, 5), &IndexChange::NONE).unwrap();
    }
    keys.sort();
    let seen: Vec<StoreKey> = collect(engine, 0, &whole_home(7), ScanDepth::Records)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert!(seen == keys);
}

fn large_records(engine: &dyn Engine) {
    let chunk = limits::CHUNK_BYTES;
    let bodies = [0, 10, chunk - 20, chunk - 10, chunk, chunk + 1, 2 * chunk, 300_001, 5 << 20];
    let heads = [0, 10, limits::INLINE_HEAD_BYTES, limits::INLINE_HEAD_BYTES + 1, 100_000];
    let key = at(1, object("b", "large"));
    let neighbour = at(1, object("b", "large2"));
    engine.put(0, &neighbour, &record(5, 100_000, 9), &IndexChange::NONE).unwrap();
    for (fill, body) in (0..).zip(bodies) {
        for head in heads {
            let record = record(head, body, fill);
            engine.put(0, &key, &record, &IndexChange::NONE).unwrap();
            assert!(engine.get(0, &key).unwrap().as_ref() == Some(&record), "{head} + {body}");
            let heads = collect(engine, 0, &whole_home(1), ScanDepth::Heads);
            assert!(heads[0].1 == Record { head: record.head, body: Bytes::new() });
            assert_eq!(heads.len(), 2);
        }
    }
    engine.put(0, &key, &record(5, 5, 1), &IndexChange::NONE).unwrap();
    engine.delete(0, &key, &[]).unwrap();
    assert!(engine.get(0, &neighbour).unwrap() == Some(record(5, 100_000, 9)));
    engine.delete(0, &neighbour, &[]).unwrap();
    assert!(collect(engine, 0, &whole_home(1), ScanDepth::Records).is_empty());
}

fn ordered_scans(engine: &dyn Engine) {
    let mut keys: Vec<StoreKey> =
        (0..1_000).map(|n| at(2, object("b", format!("key {}", n * 7919 % 1_000)))).collect();
    for key in &keys {
        engine.put(4, key, &record(2, 20, 1), &IndexChange::NONE).unwrap();
    }
    keys.sort();
    for from in [0, 1, 255, 256, 500, 998, 999] {
        let range = ScanRange { after: Some(keys[from].id.clone()), ..whole_home(2) };
        let seen = collect(engine, 4, &range, ScanDepth::Records);
        assert!(seen.iter().map(|(key, _)| key).eq(&keys[from + 1..]), "after {from}");
    }
    // What to go on after need not be there, nor be in the bucket.
    let after = |id| ScanRange { after: Some(id), ..whole_home(2) };
    assert_eq!(collect(engine, 4, &after(object("b", "")), ScanDepth::Heads).len(), 1_000);
    assert_eq!(collect(engine, 4, &after(object("a", "z")), ScanDepth::Heads).len(), 1_000);
    assert_eq!(collect(engine, 4, &after(object("c", "")), ScanDepth::Heads).len(), 0);
    assert_eq!(collect(engine, 5, &whole_home(2), ScanDepth::Heads).len(), 0);
    assert_eq!(collect(engine, 4, &whole_home(1), ScanDepth::Heads).len(), 0);
}

fn bucket_scans(engine: &dyn Engine) {
    let names = ["", "a", "a\0", "a\0b", "a\u{1}", "ab", "b"];
    let types = ["default", "defaul", "default\0", "maps"];
    let buckets: Vec<BucketId> = types
        .iter()
        .flat_map(|t| names.iter().map(|name| BucketId::typed(t.as_bytes(), name.as_bytes())))
        .collect();
    for bucket in &buckets {
        for key in ["", "k", "\0"] {
            engine
                .put(
                    0,
                    &at(0, ObjectId::new(bucket.clone(), key)),
                    &record(1, 1, 1),
                    &IndexChange::NONE,
                )
                .unwrap();
        }
    }
    for bucket in &buckets {
        let range = |after| ScanRange::bucket(0, bucket.clone()).after(after);
        let keys = |range| {
            let seen = collect(engine, 0, &range, ScanDepth::Heads);
            assert!(seen.iter().all(|(key, _)| key.id.bucket == *bucket));
            seen.into_iter().map(|(key, _)| key.id.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(range(None)), ["", "\0", "k"]);
        assert_eq!(keys(range(Some(ObjectId::new(bucket.clone(), "\0")))), ["k"]);
        let (before, behind) = (BucketId::typed("", ""), BucketId::typed("z", ""));
        assert_eq!(keys(range(Some(ObjectId::new(before, "x")))), ["", "\0", "k"]);
        assert!(keys(range(Some(ObjectId::new(behind, "x")))).is_empty());
    }
}

fn scan_of_heads(engine: &dyn Engine) {
    for (name, body) in [("a", 0), ("b", 500), ("c", 100_000)] {
        engine.put(0, &at(0, object("b", name)), &record(30, body, 7), &IndexChange::NONE).unwrap();
    }
    for (_, read) in collect(engine, 0, &whole_home(0), ScanDepth::Heads) {
        assert_eq!(read, record(30, 0, 7));
    }
    let bodies = collect(engine, 0, &whole_home(0), ScanDepth::Records);
    assert_eq!(bodies.iter().map(|(_, r)| r.body.len()).collect::<Vec<_>>(), [0, 500, 100_000]);
}

fn scan_ends(engine: &dyn Engine) {
    for n in 0..600 {
        engine
            .put(0, &at(0, object("b", format!("{n:03}"))), &record(1, 1, 1), &IndexChange::NONE)
            .unwrap();
    }
    for end in [1, 256, 300] {
        let mut seen = 0;
        let mut visit = |_, _| {
            seen += 1;
            if seen == end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        engine.scan(0, &whole_home(0), ScanDepth::Records, &mut visit).unwrap();
        assert_eq!(seen, end);
    }
}

fn scan_writes(engine: &dyn Engine) {
    for n in 0..400 {
        engine
            .put(0, &at(0, object("b", format!("{n:03}"))), &record(1, 10, 1), &IndexChange::NONE)
            .unwrap();
    }
    let mut seen = 0;
    let mut visit = |key: StoreKey, _| {
        seen += 1;
        if seen % 2 == 0 {
            engine.delete(0, &key, &[]).unwrap();
        } else {
            engine.put(0, &key, &record(1, 40_000, 2), &IndexChange::NONE).unwrap();
        }
        ControlFlow::Continue(())
    };
    engine.scan(0, &whole_home(0), ScanDepth::Records, &mut visit).unwrap();
    assert_eq!(seen, 400);
    let left = collect(engine, 0, &whole_home(0), ScanDepth::Records);
    assert_eq!(left.len(), 200);
    assert!(left.iter().all(|(_, read)| read.body.len() == 40_000));
}

fn racing_readers(engine: &dyn Engine) {
    let key = at(0, object("b", "k"));
    let sizes = [100, 70_000, 300_000, 400_000];
    engine.put(0, &key, &record(10, sizes[0], 0), &IndexChange::NONE).unwrap();
    let over = AtomicBool::new(false);
    let consistent = |read: &Record| {
        let fill = read.head[0];
        assert!(*read == record(10, sizes[usize::from(fill) % 4], fill), "mixed values");
    };
    std::thread::scope(|scope| {
        for depth in [ScanDepth::Records, ScanDepth::Heads] {
            let (over, key) = (&over, &key);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    consistent(&engine.get(0, key).unwrap().unwrap());
                    let scanned = collect(engine, 0, &whole_home(0), depth);
                    assert_eq!(scanned.len(), 1);
                    if depth == ScanDepth::Records {
                        consistent(&scanned[0].1);
                    }
                }
            });
        }
        for fill in (0..=255).cycle().take(600) {
            engine
                .put(0, &key, &record(10, sizes[usize::from(fill) % 4], fill), &IndexChange::NONE)
                .unwrap();
            // What is not needed any more goes while others read it.
            if fill % 8 == 0 {
                engine.sync().unwrap();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn racing_scans(engine: &dyn Engine) {
    let old: Vec<StoreKey> =
        (0..500).map(|n| at(0, object("b", format!("{:03} old", n)))).collect();
    for key in &old {
        engine.put(0, key, &record(1, 10, 1), &IndexChange::NONE).unwrap();
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in (0..).take_while(|_| !over.load(Ordering::Relaxed)) {
                let key = |n: u32| at(0, object("b", format!("{:03} new", n)));
                let n = round * 7 % 500;
                engine.put(0, &key(n), &record(1, 50, 2), &IndexChange::NONE).unwrap();
                engine.put(0, &old[n as usize], &record(1, 60, 2), &IndexChange::NONE).unwrap();
                engine.delete(0, &key((n + 250) % 500), &[]).unwrap();
            }
        });
        for _ in 0..40 {
            let seen = collect(engine, 0, &whole_home(0), ScanDepth::Records);
            assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let seen_old = seen.iter().map(|(key, _)| key).filter(|key| old.contains(key));
            assert!(seen_old.eq(&old));
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn many_syncs(engine: &dyn Engine) {
    engine.sync().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16_u16 {
            scope.spawn(move || {
                for n in 0..20 {
                    let key = at(thread, object("b", format!("{n}")));
                    engine.put(thread % 3, &key, &record(5, 50, 1), &IndexChange::NONE).unwrap();
                    engine.sync().unwrap();
                }
            });
        }
    });
    let count = |thread| collect(engine, thread % 3, &whole_home(thread), ScanDepth::Heads).len();
    assert!((0..16).all(|thread| count(thread) == 20));
}

fn listed_vnodes(engine: &dyn Engine) {
    assert!(engine.vnodes().is_empty());
    for vnode in [40, 2, 1000] {
        engine
            .put(vnode, &at(1, object("b", "k")), &record(1, 50_000, 1), &IndexChange::NONE)
            .unwrap();
    }
    assert_eq!(engine.vnodes(), [2, 40, 1000]);
    engine.delete(40, &at(1, object("b", "k")), &[]).unwrap();
    assert_eq!(engine.get(77, &at(1, object("b", "k"))).unwrap(), None);
    assert_eq!(engine.vnodes(), [2, 1000]);
}

fn meta_values(engine: &dyn Engine) {
    assert_eq!(engine.meta("actor/7").unwrap(), None);
    for value in [&b"one"[..], b"", b"three"] {
        engine.set_meta("actor/7", value).unwrap();
        assert_eq!(engine.meta("actor/7").unwrap().as_deref(), Some(value));
    }
    assert_eq!(engine.meta("actor/8").unwrap(), None);
    assert!(engine.set_meta("", b"").is_err());
}

#[derive(Debug, Clone)]
enum Operation {
    Put(StoreKey, usize, usize),
    Delete(StoreKey),
    Get(StoreKey),
    Scan(ScanRange, usize),
}

fn journal_segments(engine: &dyn Engine) {
    let read = || -> Vec<(u64, Vec<Bytes>)> { engine.journal().unwrap() };
    assert!(read().is_empty());
    for (segment, entry) in [(7, "a"), (12, "c"), (7, ""), (7, "b")] {
        engine.append(segment, entry.as_bytes()).unwrap();
    }
    let bytes = |entries: &[&'static str]| entries.iter().copied().map(Bytes::from).collect();
    assert_eq!(read(), [(7, bytes(&["a", "", "b"])), (12, bytes(&["c"]))]);
    engine.sync().unwrap();
    engine.remove_segment(7).unwrap();
    engine.remove_segment(8).unwrap();
    assert_eq!(read(), [(12, bytes(&["c"]))]);
    engine.append(7, b"again").unwrap();
    assert_eq!(read(), [(7, bytes(&["again"])), (12, bytes(&["c"]))]);
    assert!(engine.append(7, &vec![0; limits::JOURNAL_ENTRY_BYTES + 1]).is_err());
}

fn some_key() -> impl Strategy<Value = StoreKey> {
    let name = || prop::collection::vec(prop_oneof![0..3_u8, Just(255)], 0..3);
    (0..2_u16, name(), name(), name()).prop_map(|(home, bucket_type, name, key)| {
        at(home, ObjectId::new(BucketId::typed(bucket_type, name), key))
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let head = prop_oneof![4 => 0..200_usize, 1 => 8_000..70_000_usize];
    let body =
        prop_oneof![8 => 0..400_usize, 2 => 30_000..140_000_usize, 1 => 250_000..400_000_usize];
    let range = (some_key(), any::<bool>(), prop::option::of(some_key())).prop_map(
        |(place, bucket, after)| ScanRange {
            bucket: bucket.then_some(place.id.bucket),
            after: after.map(|key| key.id),
            ..ScanRange::home(place.home)
        },
    );
    prop_oneof![
        4 => (some_key(), head, body).prop_map(|(key, head, body)| Operation::Put(key, head, body)),
        1 => some_key().prop_map(Operation::Delete),
        2 => some_key().prop_map(Operation::Get),
        1 => (range, 1..60_usize).prop_map(|(range, limit)| Operation::Scan(range, limit)),
    ]
}

/// Runs random operations on the engine and on an ordered map; `cases` lists of them, each in a
/// vnode of its own.
pub(crate) fn equals_the_model(engine: &dyn Engine, cases: u32) {
    let next_vnode = AtomicU16::new(0);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let operations = prop::collection::vec(operation(), 1..120);
    let result = TestRunner::new(config).run(&operations, |operations| {
        let vnode = next_vnode.fetch_add(1, Ordering::Relaxed);
        let mut model = BTreeMap::new();
        for (fill, operation) in (0_u8..=250).cycle().zip(operations) {
            apply(engine, vnode, &mut model, operation, fill)?;
        }
        for home in 0..2 {
            let expect: Vec<(StoreKey, Record)> =
                model.clone().into_iter().filter(|(key, _)| key.home == home).collect();
            let all = collect(engine, vnode, &whole_home(home), ScanDepth::Records);
            prop_assert!(all == expect, "home {home}");
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn apply(
    engine: &dyn Engine,
    vnode: u16,
    model: &mut BTreeMap<StoreKey, Record>,
    operation: Operation,
    fill: u8,
) -> Result<(), TestCaseError> {
    match operation {
        Operation::Put(key, head, body) => {
            let record = record(head, body, fill);
            engine.put(vnode, &key, &record, &IndexChange::NONE).unwrap();
            model.insert(key, record);
        }
        Operation::Delete(key) => {
            engine.delete(vnode, &key, &[]).unwrap();
            model.remove(&key);
        }
        Operation::Get(key) => {
            prop_assert!(engine.get(vnode, &key).unwrap().as_ref() == model.get(&key));
        }
        Operation::Scan(range, limit) => {
            let inside = |key: &StoreKey| {
                key.home == range.home
                    && range.bucket.as_ref().is_none_or(|bucket| *bucket == key.id.bucket)
                    && range.after.as_ref().is_none_or(|after| *after < key.id)
            };
            let keys = model.keys().filter(|key| inside(key)).take(limit);
            let mut seen = Vec::new();
            let mut visit = |key, _| {
                seen.push(key);
                if seen.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            engine.scan(vnode, &range, ScanDepth::Heads, &mut visit).unwrap();
            prop_assert!(seen.iter().eq(keys));
        }
    }
    Ok(())
}
