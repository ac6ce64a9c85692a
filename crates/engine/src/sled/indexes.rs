//! Index entries and records after a crash: entries may be stale, none is missing.

use std::collections::BTreeSet;
use std::fs;

use mapring_types::IndexValue;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::conformance::indexes::{int, places, whole_index};
use crate::conformance::{at, collect, object, whole_home};

const OBJECTS: i64 = 300;

fn key(number: i64) -> StoreKey {
    at(0, object("b", format!("{number:04}")))
}

/// A record that says in its head which terms it has.
fn with_terms(terms: &[i64], body: usize) -> Record {
    let text: Vec<String> = terms.iter().map(i64::to_string).collect();
    Record { head: text.join(" ").into(), body: vec![7; body].into() }
}

fn terms(record: &Record) -> Vec<IndexValue> {
    let text = String::from_utf8(record.head.to_vec()).unwrap();
    text.split_whitespace().map(|term| IndexValue::Int(term.to_owned())).collect()
}

fn entries(terms: &[i64]) -> BTreeSet<IndexEntry> {
    terms.iter().map(|term| ("f".to_owned(), int(*term))).collect()
}

/// Puts, or deletes, an object whose terms were `before`; gives what they are then.
fn change(engine: &SledEngine, number: i64, before: &[i64], random: &mut StdRng) -> Vec<i64> {
    if random.random_range(0..8) == 0 {
        let before: Vec<IndexEntry> = entries(before).into_iter().collect();
        engine.delete(0, &key(number), &before).unwrap();
        return Vec::new();
    }
    let after: Vec<i64> = (0..3).map(|_| random.random_range(-50..50)).collect();
    let (old, new) = (entries(before), entries(&after));
    let change = IndexChange::of(&old, &new);
    let body = if random.random_range(0..20) == 0 { 60_000 } else { 100 };
    engine.put(0, &key(number), &with_terms(&after, body), &change).unwrap();
    after
}

/// Ends the log `back` bytes before its end.
fn tear(dir: &Path, back: u64) {
    let reading = log::read(&dir.join("sled"), true).unwrap().unwrap();
    let last = reading.faults.iter().max_by_key(|fault| fault.position).unwrap().offset;
    let segment = limits::SEGMENT_BYTES as u64;
    // Not beyond the beginning of the last segment, whose header says where it belongs.
    let torn = last - back.min(last % segment).saturating_sub(64);
    let path = dir.join("sled/db");
    let mut bytes = fs::read(&path).unwrap();
    let from = usize::try_from(torn).unwrap();
    let end = usize::try_from(last).unwrap() + 500;
    let end = end.min(bytes.len());
    bytes[from..end].fill(0);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn after_a_crash_no_entry_is_missing() {
    let seed = std::env::var("MAPRING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("MAPRING_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let root = tempfile::tempdir().unwrap();
    let (mut stale, mut cut) = (0, 0);
    for round in 0..30 {
        let dir = root.path().join(round.to_string());
        let copied = root.path().join("copy");
        let config = || SledConfig { cache_bytes: 16 << 20, ..SledConfig::default() };
        let engine = SledEngine::open(&dir, config()).unwrap();
        let mut known = vec![Vec::new(); usize::try_from(OBJECTS).unwrap()];
        for _ in 0..random.random_range(300..1_200) {
            let number = random.random_range(0..OBJECTS);
            let at = usize::try_from(number).unwrap();
            known[at] = change(&engine, number, &known[at], &mut random);
        }
        engine.sync().unwrap();
        super::tests::copy_dir(&dir, &copied);
        tear(&copied, random.random_range(1..200_000));
        drop(engine);

        let engine = SledEngine::open(&copied, config()).unwrap();
        let found: BTreeSet<TermPlace> =
            places(&engine, 0, &whole_index(0, "f")).into_iter().collect();
        let mut expect = BTreeSet::new();
        for (key, record) in collect(&engine, 0, &whole_home(0), ScanDepth::Records) {
            let place = |term| TermPlace { term, key: key.id.key.clone() };
            expect.extend(terms(&record).into_iter().map(place));
        }
        let missing: Vec<_> = expect.difference(&found).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?}");
        stale += found.len() - expect.len();
        let whole: usize = known.iter().map(|terms| entries(terms).len()).sum();
        cut += usize::from(whole != expect.len());
        drop(engine);
        fs::remove_dir_all(&copied).unwrap();
    }
    println!("{stale} stale entries, in 30 crashes of which {cut} cost writes");
    assert!(cut > 5, "the log was not torn");
}

#[test]
fn a_damaged_entry_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(dir.path(), SledConfig::default()).unwrap();
    engine.clear_loss(&engine.loss().unwrap()).unwrap();
    let change = IndexChange { add: entries(&[5]).into_iter().collect(), remove: Vec::new() };
    engine.put(0, &key(1), &with_terms(&[5], 10), &change).unwrap();
    assert_eq!(places(&engine, 0, &whole_index(0, "f")).len(), 1);
    let tree = engine.store().unwrap().tree(0).unwrap();
    let (entry, value) = tree.raw().scan_prefix([crate::key::TERMS]).next().unwrap().unwrap();
    let mut value = value.to_vec();
    value[3] ^= 1;
    tree.raw().insert(entry, value).unwrap();
    let mut visit = |_| ControlFlow::Continue(());
    let error = engine.scan_terms(0, &whole_index(0, "f"), &mut visit).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(engine.loss().unwrap().kind, LossKind::Damaged);
}
