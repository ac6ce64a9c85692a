//! Large records in files: what a crash leaves at each step, damage, and stores of former programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mapring_types::Release;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tests::copy_dir;
use super::*;
use crate::conformance::{self, at, collect, object, record, whole_home};
use crate::intercept::{Intercept, Intercepted};
use crate::record_files::steps;

fn config(durability: Durability) -> SledConfig {
    SledConfig { durability, cache_bytes: 8 << 20, ..SledConfig::default() }
}

/// A store that may have files.
fn open(dir: &Path, durability: Durability) -> SledEngine {
    let engine = SledEngine::open(dir, config(durability)).unwrap();
    engine.raise_release(Release::current()).unwrap();
    if let Some(loss) = engine.loss().filter(|loss| loss.kind == LossKind::Empty) {
        assert!(engine.clear_loss(&loss).unwrap());
    }
    engine
}

/// The directory that an engine lies in; it goes with the engine.
struct Directory(#[expect(dead_code, reason = "kept for its end")] tempfile::TempDir);

impl Intercept for Directory {}

fn temporary(durability: Durability) -> Intercepted<Directory> {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("store"), durability);
    Intercepted::new(Arc::new(engine), Directory(dir))
}

/// All files of records under a store.
fn files(store: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    list(&store.join("sled/records")).iter().flat_map(|dir| list(dir)).collect()
}

const SMALL: usize = 100;
const CHUNKED: usize = 70_000;
const FILED: usize = 300_000;

#[test]
fn passes_the_conformance_suite_with_files() {
    conformance::run("sled with files", || temporary(Durability::Process));
    conformance::equals_the_model(&temporary(Durability::None), 40);
}

#[test]
fn passes_the_conformance_suite_with_synced_files() {
    conformance::run("sled with synced files", || temporary(Durability::Disk));
}

/// Looks at a copy of a store, as another process finds it when this one is killed: it has what
/// `is_right` says and no loss, and the files that its records need and no others.
#[track_caller]
fn check_killed(
    copy: &Path,
    durability: Durability,
    is_right: impl Fn(&BTreeMap<StoreKey, Record>) -> bool,
) {
    let engine = SledEngine::open(copy, config(durability)).unwrap();
    assert_eq!(engine.loss(), None);
    let there = collect(&engine, 1, &whole_home(0), ScanDepth::Records);
    let there: BTreeMap<StoreKey, Record> = there.into_iter().collect();
    let sizes: Vec<usize> = there.values().map(|record| record.body.len()).collect();
    assert!(is_right(&there), "{sizes:?}");
    let needed = sizes.iter().filter(|bytes| **bytes >= FILED).count();
    assert_eq!(files(copy).len(), needed, "{sizes:?}");
    assert_eq!(engine.loss(), None);
}

fn put_or_delete(engine: &SledEngine, key: &StoreKey, record: Option<&Record>) {
    match record {
        Some(record) => engine.put(1, key, record, &IndexChange::NONE).unwrap(),
        None => engine.delete(1, key, &[]).unwrap(),
    }
}

/// Replaces what is there, and looks at each step at what a kill leaves; with `flush`, the tree is as
/// far in its file as the step is.
fn check_steps(before: Option<usize>, after: Option<usize>, durability: Durability, flush: bool) {
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("store");
    let engine = Arc::new(open(&store, durability));
    let key = at(0, object("b", "k"));
    let of = |bytes: Option<usize>, fill| bytes.map(|bytes| record(20, bytes, fill));
    let (before, after) = (of(before, 1), of(after, 2));
    put_or_delete(&engine, &key, before.as_ref());
    engine.store().unwrap().db.flush().unwrap();

    let (copies, live, flushed) = (root.path().to_owned(), store.clone(), engine.clone());
    let mut number = 0;
    let mut look = move || {
        if flush {
            flushed.store().unwrap().db.flush().unwrap();
        }
        number += 1;
        copy_dir(&live, &copies.join(format!("copy-{number}")));
    };
    let counted = Arc::new(AtomicU64::new(0));
    let count = counted.clone();
    steps::at_each(Some(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        look();
    })));
    put_or_delete(&engine, &key, after.as_ref());
    steps::at_each(None);
    copy_dir(&store, &root.path().join("copy-after"));
    engine.sync().unwrap();
    copy_dir(&store, &root.path().join("copy-synced"));
    let steps = counted.load(Ordering::Relaxed);
    let filed = after.as_ref().is_some_and(|record| record.body.len() >= FILED);
    assert_eq!(steps, if filed { 4 } else { 0 });

    let names = (1..=steps).map(|step| step.to_string()).chain(["after".to_owned()]);
    let is = |there: &BTreeMap<StoreKey, Record>, expect: &Option<Record>| {
        there.get(&key) == expect.as_ref() && there.len() == usize::from(expect.is_some())
    };
    for name in names {
        let copy = root.path().join(format!("copy-{name}"));
        check_killed(&copy, durability, |there| is(there, &before) || is(there, &after));
    }
    if durability != Durability::None {
        let copy = root.path().join("copy-synced");
        check_killed(&copy, durability, |there| is(there, &after));
        drop(engine);
        check_killed(&store, durability, |there| is(there, &after));
    }
}

#[test]
fn a_kill_at_any_step_loses_nothing_and_leaves_nothing() {
    let sizes = [None, Some(SMALL), Some(CHUNKED), Some(FILED)];
    for before in sizes {
        for after in sizes.into_iter().filter(|after| before.max(*after) == Some(FILED)) {
            for (durability, flush) in [
                (Durability::Process, false),
                (Durability::Process, true),
                (Durability::Disk, true),
                (Durability::None, false),
            ] {
                println!("{before:?} to {after:?}, {durability:?}, flush {flush}");
                check_steps(before, after, durability, flush);
            }
        }
    }
}

fn random() -> StdRng {
    let given = std::env::var("MAPRING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("MAPRING_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Whatever was written, synced and removed before a kill at whatever step: what is found is a state
/// that there was, not before the last sync, and the files are those of its records.
#[test]
fn any_history_that_ends_in_a_kill_ends_in_a_state_that_there_was() {
    type State = BTreeMap<StoreKey, Record>;
    let mut random = random();
    for round in 0..12 {
        let root = tempfile::tempdir().unwrap();
        let durability = [Durability::Process, Durability::None, Durability::Disk][round % 3];
        let mut store = root.path().join("0");
        // Those that a kill may leave.
        let mut states = vec![State::new()];
        for life in 1..6 {
            let engine = open(&store, durability);
            let next = root.path().join(life.to_string());
            let mut state = states[states.len() - 1].clone();
            let writes = random.random_range(1..25);
            for write in 1..=writes {
                let key = at(0, object("b", format!("{}", random.random_range(0..5))));
                let size = [SMALL, CHUNKED, FILED, FILED + 50_000][random.random_range(0..4)];
                let new = (random.random_range(0..5) > 0).then(|| record(20, size, write));
                match &new {
                    Some(record) => state.insert(key.clone(), record.clone()),
                    None => state.remove(&key),
                };
                states.push(state.clone());
                if write == writes {
                    // The kill, at a step of this write or after it.
                    let (from, to) = (store.clone(), next.clone());
                    let mut left = random.random_range(0..5);
                    steps::at_each(Some(Box::new(move || {
                        if left == 0 {
                            copy_dir(&from, &to);
                        }
                        left -= 1;
                    })));
                }
                put_or_delete(&engine, &key, new.as_ref());
                steps::at_each(None);
                if write < writes && random.random_range(0..4) == 0 {
                    engine.sync().unwrap();
                    if durability != Durability::None {
                        states = vec![state.clone()];
                    }
                }
            }
            if !next.exists() {
                copy_dir(&store, &next);
            }
            check_killed(&next, durability, |there| states.contains(there));
            let engine = open(&next, durability);
            states =
                vec![collect(&engine, 1, &whole_home(0), ScanDepth::Records).into_iter().collect()];
            store = next;
        }
    }
}

#[test]
fn damage_of_a_file_is_named_and_can_be_written_over() {
    type Damage = fn(&Path);
    const DAMAGES: [(&str, Damage); 4] = [
        ("lacks its file", |path| fs::remove_file(path).unwrap()),
        ("has a damaged file", |path| fs::write(path, b"").unwrap()),
        ("has a damaged file", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("has a damaged file", |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
    ];
    for (what, damage) in DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path(), Durability::Process);
        let (key, sound) = (at(0, object("b", "k")), at(0, object("b", "sound")));
        for key in [&sound, &key] {
            engine.put(7, key, &record(5, FILED, 1), &IndexChange::NONE).unwrap();
        }
        let path = files(dir.path()).into_iter().max().unwrap();
        damage(&path);
        // Of the head alone nothing lies there.
        let head = engine.read(7, &key, ScanDepth::Heads).unwrap();
        assert_eq!((head, engine.loss()), (Some(record(5, 0, 1)), None));
        let error = engine.get(7, &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let text = error.to_string();
        let place = path.display().to_string();
        let named = ["vnode 7", &key.id.to_string(), what, &place].map(|word| text.contains(word));
        assert_eq!(named, [true; 4], "{text}");
        let loss = engine.loss().unwrap();
        assert!(loss.kind == LossKind::Damaged && loss.what.contains(what), "{loss:?}");
        let scan = engine
            .scan(7, &whole_home(0), ScanDepth::Records, &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(scan.unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(engine.get(7, &sound).unwrap() == Some(record(5, FILED, 1)));
        engine.put(7, &key, &record(5, FILED, 2), &IndexChange::NONE).unwrap();
        assert!(engine.get(7, &key).unwrap() == Some(record(5, FILED, 2)));
        // A flush removes files after it has told those who wait; a close waits for that.
        drop(engine);
        assert_eq!(files(dir.path()).len(), 2);
    }
}

#[test]
fn a_file_that_is_missing_is_known_at_once_and_nothing_is_removed_on_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), Durability::Process);
    for n in 0..3 {
        let key = at(0, object("b", format!("{n}")));
        engine.put(1, &key, &record(5, FILED, 1), &IndexChange::NONE).unwrap();
    }
    drop(engine);
    let mut there = files(dir.path());
    there.sort();
    fs::remove_file(&there[1]).unwrap();
    let orphan = there[0].with_file_name("00000000000003ff");
    fs::write(&orphan, b"what was it?").unwrap();
    let engine = SledEngine::open(dir.path(), config(Durability::Process)).unwrap();
    let loss = engine.loss().unwrap();
    assert!(loss.kind == LossKind::Damaged && loss.what.contains("object b/1 lacks"), "{loss:?}");
    assert!(loss.what.contains(&there[1].display().to_string()), "{loss:?}");
    assert!(orphan.exists());
    // Begun anew, all of it goes aside.
    engine.reset().unwrap();
    assert!(dir.path().join("damaged-1/records/00/00000000000003ff").exists());
    assert!(files(dir.path()).is_empty() && engine.vnodes().is_empty());
    let key = at(0, object("b", "0"));
    engine.put(1, &key, &record(5, FILED, 2), &IndexChange::NONE).unwrap();
    assert!(engine.get(1, &key).unwrap() == Some(record(5, FILED, 2)));
}

#[test]
fn former_stores_are_read_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let former = SledEngine::open(dir.path(), config(Durability::Process)).unwrap();
    let keys = ["replaced", "kept", "deleted"].map(|name| at(0, object("b", name)));
    for key in &keys {
        former.put(1, key, &record(20, FILED, 1), &IndexChange::NONE).unwrap();
    }
    assert_eq!(former.meta(FORMAT_NAME).unwrap().unwrap(), FORMATS[0]);
    assert!(files(dir.path()).is_empty(), "before it may have files");
    drop(former);
    let engine = open(dir.path(), Durability::Process);
    assert_eq!(engine.meta(FORMAT_NAME).unwrap().unwrap(), FORMATS[1]);
    for key in &keys {
        assert!(engine.get(1, key).unwrap() == Some(record(20, FILED, 1)));
    }
    engine.put(1, &keys[0], &record(20, FILED, 2), &IndexChange::NONE).unwrap();
    engine.delete(1, &keys[2], &[]).unwrap();
    engine.sync().unwrap();
    drop(engine);
    // Also without being told again.
    let engine = SledEngine::open(dir.path(), config(Durability::Process)).unwrap();
    assert!(engine.get(1, &keys[0]).unwrap() == Some(record(20, FILED, 2)));
    assert!(engine.get(1, &keys[1]).unwrap() == Some(record(20, FILED, 1)));
    assert_eq!(engine.get(1, &keys[2]).unwrap(), None);
    assert_eq!(files(dir.path()).len(), 1);
    engine.put(1, &keys[1], &record(20, FILED, 3), &IndexChange::NONE).unwrap();
    assert_eq!(files(dir.path()).len(), 2);
}

#[test]
fn files_count_and_are_not_held_open() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), Durability::Process);
    let open_files = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let key = |n: usize| at(0, object("b", format!("{n}")));
    let bytes = |n: usize| if n.is_multiple_of(2) { FILED } else { 2 * FILED };
    let (before, tree) = (open_files(), engine.stats().disk_bytes);
    for n in 0..40 {
        engine.put(1, &key(n), &record(20, bytes(n), 1), &IndexChange::NONE).unwrap();
        assert!(engine.get(1, &key(n)).unwrap().is_some());
    }
    engine.sync().unwrap();
    // Other tests open some at the same time.
    assert!(open_files() < before + 30, "{} after {before}", open_files());
    let all = engine.stats().disk_bytes - tree;
    let written = 20 * 3 * FILED as u64;
    assert!(all >= written && all < written + (8 << 20), "{all} of {written}");
    (0..40).for_each(|n| engine.delete(1, &key(n), &[]).unwrap());
    engine.sync().unwrap();
    let begun = Instant::now();
    while !files(dir.path()).is_empty() {
        assert!(begun.elapsed() < limits::FLUSH_PATIENCE, "they are left");
        std::thread::sleep(limits::FLUSH_LOOK);
    }
    assert!(engine.stats().disk_bytes < tree + (8 << 20));
}

#[test]
fn without_flushes_few_files_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), Durability::None);
    let key = at(0, object("b", "k"));
    for fill in 0..150 {
        engine.put(1, &key, &record(20, FILED, fill), &IndexChange::NONE).unwrap();
        assert!(files(dir.path()).len() <= limits::UNNAMED_FILES + 1);
    }
    drop(engine);
    assert_eq!(files(dir.path()).len(), 1);
}
