//! What every engine must do with index entries and with ranges of keys.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;

use mapring_types::IndexValue;

use super::*;
use crate::{IndexChange, IndexEntry, TermPlace, TermRange, Visitor};

pub(crate) fn int(number: i64) -> IndexValue {
    IndexValue::Int(number.to_string())
}

fn bin(text: &'static str) -> IndexValue {
    IndexValue::Bin(text.into())
}

/// All numbers and all short texts of an index of the bucket `b`.
pub(crate) fn whole_index(home: u16, field: &str) -> TermRange {
    TermRange {
        home,
        bucket: BucketId::untyped("b"),
        field: field.to_owned(),
        from: int(i64::MIN),
        to: IndexValue::Bin(vec![255; 8].into()),
        after: None,
    }
}

pub(crate) fn places(engine: &dyn Engine, vnode: u16, range: &TermRange) -> Vec<TermPlace> {
    let mut seen = Vec::new();
    let mut visit = |place| {
        seen.push(place);
        ControlFlow::Continue(())
    };
    engine.scan_terms(vnode, range, &mut visit).unwrap();
    seen
}

/// Puts an object with the given terms in the index `f`, in place of one with others.
pub(crate) fn put_with(
    engine: &dyn Engine,
    vnode: u16,
    key: &StoreKey,
    before: &[IndexValue],
    after: &[IndexValue],
) {
    let entries = |terms: &[IndexValue], without: &[IndexValue]| -> Vec<IndexEntry> {
        let changed = terms.iter().filter(|term| !without.contains(term));
        changed.map(|term| ("f".to_owned(), term.clone())).collect()
    };
    let change = IndexChange { add: entries(after, before), remove: entries(before, after) };
    engine.put(vnode, key, &record(10, 20, 1), &change).unwrap();
}

pub(super) fn ordered_terms(engine: &dyn Engine) {
    assert!(places(engine, 0, &whole_index(0, "f")).is_empty());
    let terms = [int(-300), int(-5), int(0), int(9), int(10), int(1 << 40), bin(""), bin("a\0")];
    let mut expect = BTreeSet::new();
    for (at, term) in terms.iter().enumerate().rev() {
        for n in 0..80_usize {
            let key = object("b", format!("k{}", (at * 7 + n * 13) % 80));
            put_with(engine, 0, &at_home(&key), &[], &[]);
            let entry = ("f".to_owned(), term.clone());
            let change = IndexChange { add: vec![entry], remove: Vec::new() };
            engine.change_index(0, &at_home(&key), &change).unwrap();
            expect.insert(TermPlace { term: term.clone(), key: key.key });
        }
    }
    let expect: Vec<TermPlace> = expect.into_iter().collect();
    assert_eq!(places(engine, 0, &whole_index(0, "f")), expect);
    // It can go on after any place, whether there is an entry or not.
    for at in [0, 1, 79, 80, 255, 256, 639] {
        let range = TermRange { after: Some(expect[at].clone()), ..whole_index(0, "f") };
        assert_eq!(places(engine, 0, &range), expect[at + 1..]);
    }
    for (from, to) in [(0, 0), (2, 4), (1, 6), (7, 7)] {
        let range =
            TermRange { from: terms[from].clone(), to: terms[to].clone(), ..whole_index(0, "f") };
        assert_eq!(places(engine, 0, &range), expect[from * 80..(to + 1) * 80]);
        let after = TermPlace { term: int(-6), key: "z".into() };
        let begins = if from == 0 { 80.min((to + 1) * 80) } else { from * 80 };
        let range = TermRange { after: Some(after), ..range };
        assert_eq!(places(engine, 0, &range), expect[begins..(to + 1) * 80]);
    }
    let reversed = TermRange { from: int(9), to: int(0), ..whole_index(0, "f") };
    assert!(places(engine, 0, &reversed).is_empty());
    let between = TermRange { from: int(11), to: int(12), ..whole_index(0, "f") };
    assert!(places(engine, 0, &between).is_empty());
    let mut seen = 0;
    let mut visit = |_| {
        seen += 1;
        if seen == 300 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    engine.scan_terms(0, &whole_index(0, "f"), &mut visit).unwrap();
    assert_eq!(seen, 300);
}

fn at_home(id: &ObjectId) -> StoreKey {
    at(0, id.clone())
}

pub(super) fn indexes_apart(engine: &dyn Engine) {
    let spots = [
        (0, 0, "b", "f"),
        (0, 0, "b", "f\0"),
        (0, 0, "b\0", "f"),
        (0, 1, "b", "f"),
        (1, 0, "b", "f"),
    ];
    for (n, (vnode, home, bucket, field)) in (0..).zip(spots) {
        let entry = (field.to_owned(), int(n));
        let change = IndexChange { add: vec![entry], remove: Vec::new() };
        let key = at(home, object(bucket, "k"));
        engine.put(vnode, &key, &record(1, 1, 1), &change).unwrap();
    }
    for (n, (vnode, home, bucket, field)) in (0..).zip(spots) {
        let bucket = BucketId::untyped(bucket);
        let range = TermRange { bucket, ..whole_index(home, field) };
        let expect = [TermPlace { term: int(n), key: "k".into() }];
        assert_eq!(places(engine, vnode, &range), expect);
    }
    // Entries are no objects.
    assert_eq!(collect(engine, 0, &whole_home(0), ScanDepth::Records).len(), 2);
    engine.delete(1, &at(0, object("b", "k")), &[]).unwrap();
    assert_eq!(engine.vnodes(), [0]);
    engine.delete(1, &at(0, object("b", "k")), &[("f".into(), int(4))]).unwrap();
    assert!(places(engine, 1, &whole_index(0, "f")).is_empty());
    assert_eq!(places(engine, 0, &whole_index(0, "f")).len(), 1);
}

pub(super) fn key_ranges(engine: &dyn Engine) {
    let keys = ["", "\0", "a", "a\0", "a\u{1}", "b", "ba", "c"];
    for bucket in ["a", "b", "c"] {
        for key in keys {
            let key = at(0, object(bucket, key));
            engine.put(0, &key, &record(1, 1, 1), &IndexChange::NONE).unwrap();
        }
    }
    let ends = ["", "\0", "\u{1}", "a", "a\0\0", "b", "bb", "z"];
    for from in ends {
        for to in ends {
            for after in [None, Some("a"), Some("c")] {
                let range = ScanRange {
                    from: Some(from.into()),
                    to: Some(to.into()),
                    after: after.map(|key| object("b", key)),
                    ..ScanRange::bucket(0, BucketId::untyped("b"))
                };
                let seen = collect(engine, 0, &range, ScanDepth::Heads);
                let inside = |key: &&&str| {
                    from <= **key && **key <= to && after.is_none_or(|after| after < **key)
                };
                let expect: Vec<_> =
                    keys.iter().filter(inside).map(|key| at(0, object("b", *key))).collect();
                assert!(seen.iter().map(|(key, _)| key).eq(&expect), "{from:?} to {to:?}");
            }
        }
    }
}

struct Every(usize, usize, Vec<StoreKey>);

impl Visitor for Every {
    fn wants(&mut self, _key: &StoreKey) -> ControlFlow<(), bool> {
        self.1 += 1;
        if self.1 > 600 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(self.1.is_multiple_of(self.0))
        }
    }
    fn visit(&mut self, key: StoreKey, read: Record) -> ControlFlow<()> {
        assert_eq!(read, record(5, 40_000, 1));
        self.2.push(key);
        ControlFlow::Continue(())
    }
}

pub(super) fn unwanted_records(engine: &dyn Engine) {
    let key = |n: usize| at(0, object("b", format!("{n:04}")));
    for n in 1..=700_usize {
        let size = if n.is_multiple_of(100) { 40_000 } else { 1 };
        engine.put(0, &key(n), &record(5, size, 1), &IndexChange::NONE).unwrap();
    }
    let mut every = Every(100, 0, Vec::new());
    engine.walk(0, &whole_home(0), ScanDepth::Records, &mut every).unwrap();
    assert_eq!(every.2, (1..=6).map(|n| key(n * 100)).collect::<Vec<_>>());
    assert_eq!(engine.read(0, &key(100), ScanDepth::Heads).unwrap(), Some(record(5, 0, 1)));
    assert_eq!(engine.read(0, &key(100), ScanDepth::Records).unwrap(), Some(record(5, 40_000, 1)));
}

pub(super) fn racing_terms(engine: &dyn Engine) {
    // Every object keeps one term and changes another.
    let key = |n: i64| at(0, object("b", format!("{n:03}")));
    for n in 0..300 {
        put_with(engine, 0, &key(n), &[], &[int(n), int(-1)]);
    }
    let over = AtomicBool::new(false);
    let rounds = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut changing = vec![int(-1); 300];
            for round in (0..).take_while(|_| !over.load(Ordering::Relaxed)) {
                let n = round * 7 % 300;
                let at = usize::try_from(n).unwrap();
                let new = int(1_000 + round % 900);
                put_with(
                    engine,
                    0,
                    &key(n),
                    &[int(n), changing[at].clone()],
                    &[int(n), new.clone()],
                );
                changing[at] = new;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..60 {
            let seen = places(engine, 0, &whole_index(0, "f"));
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
            let kept = seen.iter().filter(|place| place.term >= int(0) && place.term < int(300));
            assert!(kept.map(|place| place.term.clone()).eq((0..300).map(int)));
        }
        over.store(true, Ordering::Relaxed);
    });
    let left = places(engine, 0, &whole_index(0, "f")).len();
    assert_eq!(left, 600, "after {rounds:?} rounds");
}

#[derive(Debug, Clone)]
enum IndexStep {
    Put(StoreKey, Vec<IndexEntry>, usize),
    Delete(StoreKey),
    Scan(TermRange, usize),
}

fn some_term() -> impl Strategy<Value = IndexValue> {
    prop_oneof![
        (-12..12_i64).prop_map(int),
        prop::sample::select(&["", "\0", "a", "a\u{1}", "b"][..]).prop_map(bin),
    ]
}

fn some_field() -> impl Strategy<Value = String> {
    prop::sample::select(&["f", "g_int"][..]).prop_map(str::to_owned)
}

fn step() -> impl Strategy<Value = IndexStep> {
    let entries = || prop::collection::vec((some_field(), some_term()), 0..4);
    let place = (some_term(), prop::collection::vec(0..3_u8, 0..2))
        .prop_map(|(term, key)| TermPlace { term, key: key.into() });
    let size = prop_oneof![6 => 0..400_usize, 1 => 30_000..90_000_usize];
    let range = (some_key(), some_field(), some_term(), some_term(), prop::option::of(place));
    prop_oneof![
        4 => (some_key(), entries(), size).prop_map(|(key, all, size)| IndexStep::Put(key, all, size)),
        1 => some_key().prop_map(IndexStep::Delete),
        2 => (range, 1..20_usize).prop_map(|((place, field, from, to, after), most)| {
            let (home, bucket) = (place.home, place.id.bucket);
            IndexStep::Scan(TermRange { home, bucket, field, from, to, after }, most)
        }),
    ]
}

/// Runs random puts, deletes and scans on the engine's indexes and on a map from objects to their
/// entries.
pub(crate) fn equal_the_model(engine: &dyn Engine, cases: u32) {
    let next_vnode = AtomicU16::new(0);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec(step(), 1..100);
    let result = TestRunner::new(config).run(&steps, |steps| {
        let vnode = next_vnode.fetch_add(1, Ordering::Relaxed);
        let mut model: BTreeMap<StoreKey, BTreeSet<IndexEntry>> = BTreeMap::new();
        for step in steps {
            run_step(engine, vnode, &mut model, step)?;
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn run_step(
    engine: &dyn Engine,
    vnode: u16,
    model: &mut BTreeMap<StoreKey, BTreeSet<IndexEntry>>,
    step: IndexStep,
) -> Result<(), TestCaseError> {
    match step {
        IndexStep::Put(key, entries, size) => {
            let after: BTreeSet<IndexEntry> = entries.into_iter().collect();
            let before = model.insert(key.clone(), after.clone()).unwrap_or_default();
            let change = IndexChange::of(&before, &after);
            engine.put(vnode, &key, &record(10, size, 1), &change).unwrap();
        }
        IndexStep::Delete(key) => {
            let entries: Vec<_> = model.remove(&key).unwrap_or_default().into_iter().collect();
            engine.delete(vnode, &key, &entries).unwrap();
        }
        IndexStep::Scan(range, most) => {
            let of_bucket = model
                .iter()
                .filter(|(key, _)| key.home == range.home && key.id.bucket == range.bucket);
            let all: BTreeSet<TermPlace> = of_bucket
                .flat_map(|(key, entries)| entries.iter().map(move |entry| (key, entry)))
                .filter(|(_, (field, _))| *field == range.field)
                .map(|(key, (_, term))| TermPlace { term: term.clone(), key: key.id.key.clone() })
                .filter(|place| range.from <= place.term && place.term <= range.to)
                .filter(|place| range.after.as_ref().is_none_or(|after| after < place))
                .collect();
            let mut seen = Vec::new();
            let mut visit = |place| {
                seen.push(place);
                if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            engine.scan_terms(vnode, &range, &mut visit).unwrap();
            prop_assert!(seen.iter().eq(all.iter().take(most)));
        }
    }
    Ok(())
}
