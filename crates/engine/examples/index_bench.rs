//! Measures what secondary indexes cost and give: `index_bench DIR [objects]`.
//!
//! First, on bare sled, objects with two index terms that change with every write, written by two
//! threads while two others read: by plain inserts in the order of `docs/adr/011`, by `apply_batch`,
//! and without terms. Then, on the engine, scans with and without a test of keys, and ranges of keys
//! and of an index.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mapring_engine::{
    Engine, IndexChange, ScanDepth, ScanRange, SledConfig, SledEngine, StoreKey, TermRange, Visitor,
};
use mapring_types::{BucketId, Error, ErrorKind, IndexValue, ObjectId, Record, Result};

const BODY: usize = 300;
const MIXED: Duration = Duration::from_secs(4);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| "/tmp/index-bench".into()));
    let objects = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(300_000);
    for round in 0..2 {
        for way in [Way::NoTerms, Way::Inserts, Way::Batch] {
            mixed(&dir.join(format!("mixed-{round}-{way:?}")), way)?;
        }
    }
    scans(&dir.join("scans"), objects)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    NoTerms,
    Inserts,
    Batch,
}

fn failed(error: sled::Error) -> Error {
    Error::new(ErrorKind::Storage, "sled failed").with_source(error)
}

/// The keys of an object's head record and of its two entries in a round of writes.
fn keys(n: u64, round: u64) -> [Vec<u8>; 3] {
    let term =
        |index: u8, term: u64| [&[4, index][..], &term.to_be_bytes(), &n.to_be_bytes()].concat();
    let scattered = (n + round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [[&[1][..], &n.to_be_bytes()].concat(), term(1, scattered % 10_000), term(2, n + round * 7)]
}

fn write(tree: &sled::Tree, way: Way, n: u64, round: u64) -> sled::Result<()> {
    let [head, one, two] = keys(n, round);
    let [_, old_one, old_two] = keys(n, round.wrapping_sub(1));
    // sled does not write what is there already.
    let body = vec![(n + round) as u8; BODY];
    match way {
        Way::NoTerms => tree.insert(head, body).map(drop),
        Way::Inserts => {
            tree.insert(one, &[0; 5])?;
            tree.insert(two, &[0; 5])?;
            tree.insert(head, body)?;
            tree.remove(old_one)?;
            tree.remove(old_two).map(drop)
        }
        Way::Batch => {
            let mut batch = sled::Batch::default();
            batch.insert(one, &[0; 5]);
            batch.insert(two, &[0; 5]);
            batch.insert(head, body);
            batch.remove(old_one);
            batch.remove(old_two);
            tree.apply_batch(batch)
        }
    }
}

/// Two threads write, two read.
fn mixed(dir: &Path, way: Way) -> Result<()> {
    const OBJECTS: u64 = 50_000;
    let db = sled::Config::new().path(dir).cache_capacity(1 << 30).open().map_err(failed)?;
    let tree = db.open_tree("t").map_err(failed)?;
    (0..OBJECTS).try_for_each(|n| write(&tree, way, n, 1)).map_err(failed)?;
    let (over, writes) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut times: Vec<u32> = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (tree, over, writes) = (&tree, &over, &writes);
            scope.spawn(move || {
                for at in (0..).take_while(|_| !over.load(Ordering::Relaxed)) {
                    // Each its own objects.
                    let n = (at * 7_919 % (OBJECTS / 2)) * 2 + writer;
                    let _ = write(tree, way, n, 2 + at / (OBJECTS / 2));
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (tree, over) = (&tree, &over);
                scope.spawn(move || {
                    let mut times = Vec::new();
                    for at in (0..).take_while(|_| !over.load(Ordering::Relaxed)) {
                        let [head, ..] = keys(at * 104_729 % OBJECTS, 0);
                        let begun = Instant::now();
                        let _ = tree.get(head);
                        let took = begun.elapsed().as_nanos();
                        times.push(u32::try_from(took).unwrap_or(u32::MAX));
                    }
                    times
                })
            })
            .collect();
        std::thread::sleep(MIXED);
        over.store(true, Ordering::Relaxed);
        times = readers.into_iter().flat_map(|reader| reader.join().unwrap_or_default()).collect();
    });
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1_000.0;
    println!(
        "{:>10}: {:>7.0} writes, {:>8.0} reads a second; a read takes {:.1} µs, {:.0} at 99 %, {:.0} \
         at 99.9 %",
        format!("{way:?}"),
        writes.into_inner() as f64 / MIXED.as_secs_f64(),
        times.len() as f64 / MIXED.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
    );
    Ok(())
}

/// Wants one key in a hundred.
struct OneInHundred(u64);

impl Visitor for OneInHundred {
    fn wants(&mut self, key: &StoreKey) -> ControlFlow<(), bool> {
        ControlFlow::Continue(key.id.key.ends_with(b"07"))
    }

    fn visit(&mut self, _key: StoreKey, record: Record) -> ControlFlow<()> {
        self.0 += u64::from(!record.body.is_empty());
        ControlFlow::Continue(())
    }
}

/// The same test, after everything was read.
struct Filtered(u64);

impl Visitor for Filtered {
    fn visit(&mut self, key: StoreKey, record: Record) -> ControlFlow<()> {
        self.0 += u64::from(key.id.key.ends_with(b"07") && !record.body.is_empty());
        ControlFlow::Continue(())
    }
}

fn scans(dir: &Path, objects: u64) -> Result<()> {
    let engine = SledEngine::open(dir, SledConfig::default())?;
    let bucket = BucketId::untyped("bench");
    for n in 0..objects {
        let n = n.wrapping_mul(7_919) % objects;
        let id = ObjectId::new(bucket.clone(), format!("k{n:09}"));
        let record = Record { head: vec![1; 60].into(), body: vec![n as u8; BODY].into() };
        let add = vec![("n_int".to_owned(), IndexValue::Int(n.to_string()))];
        let change = IndexChange { add, ..IndexChange::NONE };
        engine.put(0, &StoreKey { home: 0, id }, &record, &change)?;
    }
    engine.sync()?;
    let whole = ScanRange::bucket(0, bucket.clone());
    let hundredth = objects / 100;
    let key = |n: u64| Some(format!("k{n:09}").into());
    for _ in 0..2 {
        let begun = Instant::now();
        let mut filtered = Filtered(0);
        engine.walk(0, &whole, ScanDepth::Records, &mut filtered)?;
        report("all, tested afterwards", filtered.0, objects, begun);

        let begun = Instant::now();
        let mut tested = OneInHundred(0);
        engine.walk(0, &whole, ScanDepth::Records, &mut tested)?;
        report("a test of keys", tested.0, objects, begun);

        let begun = Instant::now();
        let range = ScanRange { from: key(hundredth), to: key(2 * hundredth - 1), ..whole.clone() };
        let mut found = 0;
        engine.scan(0, &range, ScanDepth::Records, &mut |_, _| {
            found += 1;
            ControlFlow::Continue(())
        })?;
        report("a range of keys", found, found, begun);

        let begun = Instant::now();
        let range = TermRange {
            home: 0,
            bucket: bucket.clone(),
            field: "n_int".into(),
            from: IndexValue::Int(hundredth.to_string()),
            to: IndexValue::Int((2 * hundredth - 1).to_string()),
            after: None,
        };
        let mut found = 0;
        engine.scan_terms(0, &range, &mut |place| {
            let id = ObjectId::new(bucket.clone(), place.key);
            let read = engine.read(0, &StoreKey { home: 0, id }, ScanDepth::Records);
            found += u64::from(read.is_ok_and(|record| record.is_some()));
            ControlFlow::Continue(())
        })?;
        report("a range of an index", found, found, begun);
    }
    Ok(())
}

fn report(what: &str, found: u64, looked_at: u64, begun: Instant) {
    let took = begun.elapsed();
    println!(
        "{what:>22}: {found} of {looked_at} in {:.1} ms, {:.2} µs each",
        took.as_secs_f64() * 1e3,
        took.as_secs_f64() * 1e6 / looked_at.max(1) as f64
    );
}
