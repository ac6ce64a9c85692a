use std::fs;
use std::time::Duration;

use super::*;
use crate::conformance::{self, at, collect, object, record, whole_home};
use crate::intercept::{Intercept, Intercepted};
use crate::{key, value};

fn config(durability: Durability) -> SledConfig {
    SledConfig { durability, cache_bytes: 64 << 20, ..SledConfig::default() }
}

fn open(dir: &Path) -> SledEngine {
    SledEngine::open(dir, config(Durability::Process)).unwrap()
}

/// The directory that an engine lies in; it goes with the engine.
struct Directory(#[expect(dead_code, reason = "kept for its end")] tempfile::TempDir);

impl Intercept for Directory {}

fn temporary(durability: Durability) -> Intercepted<Directory> {
    let dir = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(&dir.path().join("store"), config(durability)).unwrap();
    Intercepted::new(Arc::new(engine), Directory(dir))
}

#[test]
fn passes_the_conformance_suite() {
    conformance::run("sled", || temporary(Durability::Process));
}

#[test]
fn passes_the_conformance_suite_with_fsync() {
    conformance::run("sled with fsync", || temporary(Durability::Disk));
}

#[test]
fn equals_the_model() {
    conformance::equals_the_model(&temporary(Durability::None), 60);
}

#[test]
fn indexes_equal_the_model() {
    conformance::indexes::equal_the_model(&temporary(Durability::None), 60);
}

#[test]
fn a_reopened_store_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    for durability in [Durability::Process, Durability::Disk, Durability::None] {
        let engine = SledEngine::open(dir.path(), config(durability)).unwrap();
        for n in 0..500_u16 {
            let size = if n % 50 == 0 { 90_000 } else { 200 };
            let key = at(n % 3, object("b", format!("{durability:?} {n}")));
            engine.put(n % 5, &key, &record(20, size, 1), &IndexChange::NONE).unwrap();
        }
        engine.set_meta("mark", format!("{durability:?}").as_bytes()).unwrap();
        engine.sync().unwrap();
    }
    let engine = open(dir.path());
    assert_eq!(engine.vnodes(), [0, 1, 2, 3, 4]);
    let count = |vnode, home| collect(&engine, vnode, &whole_home(home), ScanDepth::Records).len();
    let all: usize = (0..5).map(|vnode| (0..3).map(|home| count(vnode, home)).sum::<usize>()).sum();
    assert_eq!(all, 1_500);
    assert_eq!(engine.meta("mark").unwrap().as_deref(), Some(&b"None"[..]));
    assert!(engine.stats().disk_bytes > 0);
}

#[test]
fn a_synced_write_is_in_the_files() {
    for durability in [Durability::Process, Durability::Disk] {
        let dir = tempfile::tempdir().unwrap();
        let (store, copy) = (dir.path().join("store"), dir.path().join("copy"));
        let engine = SledEngine::open(&store, config(durability)).unwrap();
        let key = |n: u32| at(0, object("b", format!("{n}")));
        for n in 0..300 {
            let size = if n % 30 == 0 { 80_000 } else { 100 };
            engine.put(0, &key(n), &record(10, size, n as u8), &IndexChange::NONE).unwrap();
            engine.sync().unwrap();
            if n % 100 == 99 {
                // What another process finds if this one ends now.
                copy_dir(&store, &copy);
                let copied = open(&copy);
                for m in 0..=n {
                    let read = copied.get(0, &key(m)).unwrap().unwrap();
                    assert!(read.head == record(10, 0, m as u8).head, "{m} of {n}");
                }
                drop(copied);
                fs::remove_dir_all(&copy).unwrap();
            }
        }
    }
}

/// Copies a store that may be in use. Files go meanwhile: those of records that are not needed any
/// more, and snapshots that a thread of sled replaces; a store opens without either.
pub(super) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

#[test]
fn a_store_is_used_by_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let error = SledEngine::open(dir.path(), config(Durability::None)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(engine);
    open(dir.path());
}

#[test]
fn a_store_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).set_meta(FORMAT_NAME, b"sled 3").unwrap();
    let error = SledEngine::open(dir.path(), config(Durability::None)).err().unwrap();
    let words = "has format sled 3, and sled 1 and sled 2 are understood here";
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn overwriting_leaves_the_disk_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut raw = 0;
    let mut halfway = 0;
    for round in 0..20_u8 {
        raw = 0;
        for n in 0..8_000_u32 {
            // 12 MB in small records and 20 MB in large ones.
            let size = if n % 40 == 0 { 100_000 } else { 1_500 };
            let key = at((n % 4) as u16, object("b", format!("{n}")));
            engine.put((n % 8) as u16, &key, &record(50, size, round), &IndexChange::NONE).unwrap();
            raw += size as u64 + 50;
        }
        engine.sync().unwrap();
        if round == 9 {
            halfway = engine.stats().disk_bytes;
        }
    }
    // A few segments are always being filled or cleaned, which shows in a store as small as this.
    let bound = (6 * raw + 16 * limits::SEGMENT_BYTES as u64).min(halfway * 2);
    // sled cleans in the background, too.
    let begun = Instant::now();
    while engine.stats().disk_bytes > bound && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let before = engine.stats().disk_bytes;
    drop(engine);
    let engine = open(dir.path());
    let after = engine.stats().disk_bytes;
    println!("{raw} bytes of objects: {halfway}, {before}, {after} on disk");
    assert!(before <= bound && after <= bound, "{raw}: {halfway}, {before}, {after}");
    let last = engine.get(3, &at(3, object("b", "3"))).unwrap();
    assert_eq!(last, Some(record(50, 1_500, 19)));
    let blobs = fs::read_dir(dir.path().join("sled/blobs")).unwrap().count();
    assert_eq!(blobs, 0, "no page should be so large that sled gives it a file");
}

fn chunks_in(engine: &SledEngine, vnode: u16) -> usize {
    engine.store().unwrap().tree(vnode).unwrap().count(&key::all_chunks())
}

fn notes_in(engine: &SledEngine, vnode: u16) -> usize {
    engine.store().unwrap().tree(vnode).unwrap().count(&[key::NOTES])
}

#[test]
fn replaced_chunks_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let key = at(0, object("b", "k"));
    for (size, chunks) in [(100_000, 4), (200_000, 7), (100, 0), (50_000, 2), (57_000, 2)] {
        engine.put(0, &key, &record(10, size, 1), &IndexChange::NONE).unwrap();
        assert_eq!((chunks_in(&engine, 0), notes_in(&engine, 0)), (chunks, 0), "{size}");
    }
    engine.delete(0, &key, &[]).unwrap();
    assert_eq!((chunks_in(&engine, 0), notes_in(&engine, 0)), (0, 0));
}

#[test]
fn torn_writes_of_large_records_are_swept_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let keys = ["new", "old small", "old large", "whole"].map(|name| at(0, object("b", name)));
    engine.put(0, &keys[1], &record(10, 100, 1), &IndexChange::NONE).unwrap();
    engine.put(0, &keys[2], &record(10, 70_000, 1), &IndexChange::NONE).unwrap();
    engine.put(0, &keys[3], &record(10, 80_000, 1), &IndexChange::NONE).unwrap();
    // Writes that end between their chunks and their head record.
    for key in &keys[..3] {
        let generation = engine.store().unwrap().db.generate_id().unwrap();
        let new = record(10, 100_000, 2);
        engine.store().unwrap().tree(0).unwrap().write_without_head(
            &key::head(key),
            &new,
            generation,
        );
    }
    let expect = [None, Some(record(10, 100, 1)), Some(record(10, 70_000, 1))];
    assert!(chunks_in(&engine, 0) > 6 && notes_in(&engine, 0) == 3);
    drop(engine);

    let engine = open(dir.path());
    assert_eq!((chunks_in(&engine, 0), notes_in(&engine, 0)), (6, 0));
    for (key, expect) in keys.iter().zip(expect) {
        assert!(engine.get(0, key).unwrap() == expect, "{key:?}");
    }
    assert!(engine.get(0, &keys[3]).unwrap() == Some(record(10, 80_000, 1)));
}

#[test]
fn an_unfinished_write_is_swept_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let key = at(0, object("b", "k"));
    engine.put(0, &key, &record(10, 70_000, 1), &IndexChange::NONE).unwrap();
    engine.store().unwrap().tree(0).unwrap().write_without_head(
        &key::head(&key),
        &record(1, 90_000, 2),
        77_777,
    );
    engine.put(0, &key, &record(10, 40_000, 3), &IndexChange::NONE).unwrap();
    assert_eq!((chunks_in(&engine, 0), notes_in(&engine, 0)), (2, 0));
    assert!(engine.get(0, &key).unwrap() == Some(record(10, 40_000, 3)));
}

#[test]
fn damage_is_named_and_can_be_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let (small, large) = (at(0, object("b", "small")), at(0, object("b", "large")));
    let check = |key: &StoreKey, what: &str| {
        let error = engine.get(7, key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let name = key.id.to_string();
        let text = error.to_string();
        assert!(text.contains("vnode 7") && text.contains(&name) && text.contains(what), "{text}");
        let scan = engine
            .scan(7, &whole_home(0), ScanDepth::Records, &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(scan.unwrap_err().kind(), ErrorKind::Corrupt);
        engine.put(7, key, &record(5, 50, 2), &IndexChange::NONE).unwrap();
        assert_eq!(engine.get(7, key).unwrap(), Some(record(5, 50, 2)));
    };
    engine.put(7, &small, &record(5, 50, 1), &IndexChange::NONE).unwrap();
    engine.store().unwrap().tree(7).unwrap().damage(&key::head(&small));
    check(&small, "is damaged");

    engine.put(7, &large, &record(5, 80_000, 1), &IndexChange::NONE).unwrap();
    engine.store().unwrap().tree(7).unwrap().damage(&key::head(&large));
    check(&large, "is damaged");
    assert_eq!(chunks_in(&engine, 7), 0);

    engine.put(7, &large, &record(5, 80_000, 1), &IndexChange::NONE).unwrap();
    engine.store().unwrap().tree(7).unwrap().damage_first(&key::all_chunks());
    check(&large, "damaged body");

    engine.put(7, &large, &record(5, 80_000, 1), &IndexChange::NONE).unwrap();
    engine.store().unwrap().tree(7).unwrap().remove_first(&key::all_chunks());
    check(&large, "lacks a part");
}

/// What the tests do to a tree behind the engine's back.
impl VnodeTree {
    fn count(&self, prefix: &[u8]) -> usize {
        self.raw().scan_prefix(prefix).count()
    }

    fn write_without_head(&self, head: &[u8], new: &Record, generation: u64) {
        let chunked = value::Outline::new(new, generation);
        self.raw().insert(key::note(head), &[1]).unwrap();
        for (number, data) in (0..).zip(chunked.split(new)) {
            let key = key::chunk(head, generation, number);
            let value = value::chunk(&key, &data);
            self.raw().insert(key, value).unwrap();
        }
    }

    fn damage(&self, key: &[u8]) {
        let mut value = self.raw().get(key).unwrap().unwrap().to_vec();
        let middle = value.len() / 2;
        value[middle] ^= 1;
        self.raw().insert(key, value).unwrap();
    }

    fn damage_first(&self, prefix: &[u8]) {
        let (key, _) = self.raw().scan_prefix(prefix).next().unwrap().unwrap();
        self.damage(&key);
    }

    fn remove_first(&self, prefix: &[u8]) {
        let (key, _) = self.raw().scan_prefix(prefix).next().unwrap().unwrap();
        self.raw().remove(key).unwrap();
    }
}
