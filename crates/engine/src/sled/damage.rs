//! What becomes of a store whose files are damaged: nothing that is missing goes unnoticed, nothing
//! wrong is read, nothing panics.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tests::copy_dir;
use super::*;
use crate::conformance::{at, object, record};

const OBJECTS: u32 = 6_000;
const VNODES: u32 = 5;

fn config(set_aside: bool) -> SledConfig {
    let durability = Durability::Process;
    SledConfig { durability, cache_bytes: 4 << 20, set_aside, ..SledConfig::default() }
}

fn place(number: u32) -> (u16, StoreKey) {
    let key = at((number % 3) as u16, object("b", format!("{number:06}")));
    ((number % VNODES) as u16, key)
}

fn size(number: u32) -> usize {
    match number {
        // In files.
        5_990..5_994 => 300_000,
        _ if number.is_multiple_of(500) => 70_000,
        _ => 700 + (number % 13) as usize * 40,
    }
}

/// A store with several segments, some of them old, some written since the last start, and what each
/// object was written as last.
struct Template {
    dir: PathBuf,
    /// The round in which each object was last written.
    rounds: BTreeMap<u32, u8>,
}

/// `clean`: closed; else as it is when the process is killed.
fn template(root: &Path, clean: bool) -> Template {
    let live = root.join("live");
    let dir = root.join(if clean { "clean" } else { "killed" });
    let mut rounds = BTreeMap::new();
    for round in 0..4_u8 {
        let engine = SledEngine::open(&live, config(false)).unwrap();
        engine.raise_release(Release::current()).unwrap();
        assert!(round == 0 || engine.loss().is_none(), "{:?}", engine.loss());
        if let Some(loss) = engine.loss() {
            assert_eq!(loss.kind, LossKind::Empty);
            assert!(engine.clear_loss(&loss).unwrap());
        }
        let step = [1, 3, 2, 2][usize::from(round)];
        for number in (0..OBJECTS).filter(|number| number % step == 0) {
            let (vnode, key) = place(number);
            engine.put(vnode, &key, &record(20, size(number), round), &IndexChange::NONE).unwrap();
            rounds.insert(number, round);
        }
        engine.sync().unwrap();
        if round == 3 && !clean {
            copy_dir(&live, &dir);
        }
    }
    if clean {
        copy_dir(&live, &dir);
    }
    Template { dir, rounds }
}

/// What was seen of a damaged store.
#[derive(Debug, Default)]
struct Seen {
    /// Why it could not be opened.
    refused: Option<String>,
    at_open: Option<LossKind>,
    afterwards: Option<LossKind>,
    good: usize,
    missing: usize,
    older: usize,
    errors: usize,
    first_error: String,
}

fn look(dir: &Path, template: &Template) -> Seen {
    let mut seen = Seen::default();
    let engine = match SledEngine::open(dir, config(false)) {
        Ok(engine) => engine,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Storage), "{error:?}");
            assert!(error.to_string().contains(&*dir.to_string_lossy()), "{error}");
            seen.refused = Some(error.to_string());
            return seen;
        }
    };
    seen.at_open = engine.loss().map(|loss| loss.kind);
    for (&number, &round) in &template.rounds {
        let (vnode, key) = place(number);
        match engine.get(vnode, &key) {
            Ok(Some(found)) if found == record(20, size(number), round) => seen.good += 1,
            Ok(Some(found)) => {
                let known = (0..round).any(|round| found == record(20, size(number), round));
                assert!(known, "{number}: a value that was never written");
                seen.older += 1;
            }
            Ok(None) => seen.missing += 1,
            Err(error) => {
                seen.errors += 1;
                if seen.first_error.is_empty() {
                    seen.first_error = error.to_string();
                }
            }
        }
    }
    seen.afterwards = engine.loss().map(|loss| loss.kind);
    seen
}

/// Whatever is missing, old or unreadable is known.
#[track_caller]
fn check(what: &str, seen: &Seen) {
    println!("{what}: {seen:?}");
    if seen.missing + seen.older > 0 {
        assert!(seen.at_open.is_some() || seen.afterwards.is_some(), "{what}: unnoticed: {seen:?}");
    }
    if seen.errors > 0 {
        assert!(seen.afterwards.is_some(), "{what}: {seen:?}");
    }
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("sled/db")
}

/// One of the files of large records.
fn record_file(dir: &Path, random: &mut StdRng) -> PathBuf {
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in fs::read_dir(dir.join("sled/records")).unwrap() {
        let entries = fs::read_dir(directory.unwrap().path()).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files.swap_remove(random.random_range(0..files.len()))
}

fn snapshot_of(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("sled")).unwrap().map(|entry| entry.unwrap().path());
    let is_snapshot = |path: &PathBuf| path.to_string_lossy().contains("snap.");
    entries.into_iter().find(is_snapshot).unwrap()
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

type Damage = fn(&Path, &mut StdRng);

/// Where the last written byte is; behind it the file may be filled up.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0)
}

const DAMAGES: &[(&str, Damage)] = &[
    ("nothing", |_, _| {}),
    ("torn tail", |dir, random| {
        change(&log_of(dir), |bytes| {
            let reading = log::read(&dir.join("sled"), true).unwrap().unwrap();
            // The last segment in the log may lie anywhere in the file.
            let last = reading.faults.iter().max_by_key(|fault| fault.position).unwrap().offset;
            let torn = usize::try_from(last).unwrap() - random.random_range(1..400);
            let end = (torn + 500).min(bytes.len());
            bytes[torn..end].fill(0);
        });
    }),
    ("flipped bits", |dir, random| {
        change(&log_of(dir), |bytes| {
            let used = used(bytes);
            for _ in 0..3 {
                bytes[random.random_range(0..used)] ^= 1 << random.random_range(0..8);
            }
        });
    }),
    ("a zeroed block", |dir, random| {
        change(&log_of(dir), |bytes| {
            let at = random.random_range(0..used(bytes) / 4_096) * 4_096;
            let end = (at + 4_096).min(bytes.len());
            bytes[at..end].fill(0);
        });
    }),
    ("a flipped segment header", |dir, random| {
        change(&log_of(dir), |bytes| {
            let slot = random.random_range(0..used(bytes) / limits::SEGMENT_BYTES);
            bytes[slot * limits::SEGMENT_BYTES + random.random_range(0..20)] ^= 0x10;
        });
    }),
    ("truncated", |dir, random| {
        change(&log_of(dir), |bytes| bytes.truncate(random.random_range(0..used(bytes))));
    }),
    ("a lost file", |dir, _| fs::remove_file(log_of(dir)).unwrap()),
    ("an emptied file", |dir, _| fs::write(log_of(dir), b"").unwrap()),
    ("a lost snapshot", |dir, _| fs::remove_file(snapshot_of(dir)).unwrap()),
    ("a damaged snapshot", |dir, random| {
        change(&snapshot_of(dir), |bytes| {
            let at = random.random_range(0..bytes.len());
            bytes[at] ^= 4;
        });
    }),
    ("a lost conf", |dir, _| fs::remove_file(dir.join("sled/conf")).unwrap()),
    ("a damaged conf", |dir, _| change(&dir.join("sled/conf"), |bytes| bytes[0] ^= 1)),
    ("a lost mark", |dir, _| fs::remove_file(dir.join("mark")).unwrap()),
    ("a lost record file", |dir, random| fs::remove_file(record_file(dir, random)).unwrap()),
    ("all record files lost", |dir, _| {
        fs::remove_dir_all(dir.join("sled/records")).unwrap();
    }),
    ("a cut record file", |dir, random| {
        change(&record_file(dir, random), |bytes| {
            bytes.truncate(random.random_range(0..bytes.len()));
        });
    }),
    ("a flipped bit in a record file", |dir, random| {
        change(&record_file(dir, random), |bytes| {
            let at = random.random_range(0..bytes.len());
            bytes[at] ^= 1 << random.random_range(0..8);
        });
    }),
    ("an emptied directory", |dir, _| {
        fs::remove_dir_all(dir.join("sled")).unwrap();
    }),
];

fn random() -> (StdRng, u64) {
    let given = std::env::var("MAPRING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    (StdRng::seed_from_u64(seed), seed)
}

#[test]
fn a_sound_store_gives_no_alarm() {
    let root = tempfile::tempdir().unwrap();
    let (mut random, seed) = random();
    println!("MAPRING_SEED={seed}");
    let mut dir = root.path().join("0");
    let mut rounds = BTreeMap::new();
    for life in 0..12_u8 {
        let engine = SledEngine::open(&dir, config(false)).unwrap();
        match engine.loss() {
            Some(loss) if life == 0 => assert!(engine.clear_loss(&loss).unwrap()),
            other => assert_eq!(other, None, "life {life}"),
        }
        for (&number, &round) in &rounds {
            let (vnode, key) = place(number);
            let found = engine.get(vnode, &key).unwrap();
            assert!(found == Some(record(20, size(number), round)), "life {life}: {number}");
        }
        // Enough that sled cleans segments and uses them again.
        for _ in 0..random.random_range(1..4_000) {
            let number = random.random_range(0..2_000);
            let (vnode, key) = place(number);
            engine.put(vnode, &key, &record(20, size(number), life), &IndexChange::NONE).unwrap();
            rounds.insert(number, life);
        }
        engine.sync().unwrap();
        let next = root.path().join((life + 1).to_string());
        let killed = random.random_range(0..3) > 0;
        if killed {
            // What another process finds when this one is killed, perhaps in the midst of a write.
            for number in 2_000..2_000 + random.random_range(0..200) {
                let (vnode, key) = place(number);
                engine
                    .put(vnode, &key, &record(20, size(number), life), &IndexChange::NONE)
                    .unwrap();
            }
            copy_dir(&dir, &next);
        }
        drop(engine);
        if !killed {
            copy_dir(&dir, &next);
        }
        fs::remove_dir_all(&dir).unwrap();
        dir = next;
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_moved_aside_when_that_is_wanted() {
    let root = tempfile::tempdir().unwrap();
    let template = template(root.path(), true);
    let hopeless = ["a lost file", "a damaged snapshot", "a damaged conf"];
    for (what, damage) in DAMAGES.iter().filter(|(what, _)| hopeless.contains(what)) {
        let dir = root.path().join(what);
        copy_dir(&template.dir, &dir);
        damage(&dir, &mut random().0);
        assert!(look(&dir, &template).refused.is_some());
        let engine = SledEngine::open(&dir, config(true)).unwrap();
        let loss = engine.loss().unwrap();
        assert_eq!(loss.kind, LossKind::Empty);
        assert!(loss.what.contains("damaged-1") && dir.join("damaged-1/conf").exists());
        assert!(engine.vnodes().is_empty());
        let (vnode, key) = place(1);
        engine.put(vnode, &key, &record(1, 1, 1), &IndexChange::NONE).unwrap();
        engine.sync().unwrap();
        drop(engine);
        // Known until it is cleared.
        let engine = SledEngine::open(&dir, config(true)).unwrap();
        assert_eq!(engine.loss(), Some(loss.clone()));
        assert!(engine.clear_loss(&loss).unwrap());
        assert_eq!(engine.get(vnode, &key).unwrap(), Some(record(1, 1, 1)));
    }
}

#[test]
fn a_store_in_use_is_begun_anew() {
    let root = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(root.path(), config(false)).unwrap();
    let (vnode, key) = place(1);
    for number in 1..=limits::SET_ASIDE {
        engine.put(vnode, &key, &record(1, 100, 1), &IndexChange::NONE).unwrap();
        engine.set_meta("kept", b"yes").unwrap();
        let generation = engine.generation();
        engine.reset().unwrap();
        assert_ne!(engine.generation(), generation);
        assert_eq!(engine.get(vnode, &key).unwrap(), None);
        assert_eq!(engine.meta("kept").unwrap().as_deref(), Some(&b"yes"[..]));
        let loss = engine.loss().unwrap();
        let place = format!("damaged-{number}");
        assert!(loss.kind == LossKind::Empty && loss.what.contains(&place), "{loss:?}");
    }
    // A medium that damages one store after another is given up, not used up.
    let error = engine.reset().unwrap_err();
    assert!(error.to_string().contains("look at the disk"), "{error}");
    engine.put(vnode, &key, &record(1, 100, 2), &IndexChange::NONE).unwrap();
}

#[test]
fn no_loss_goes_unnoticed() {
    let root = tempfile::tempdir().unwrap();
    let (mut random, seed) = random();
    println!("MAPRING_SEED={seed}");
    let rounds: u32 = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    for clean in [true, false] {
        let root = root.path().join(if clean { "a" } else { "b" });
        let template = template(&root, clean);
        println!("clean {clean}: {} bytes", fs::metadata(log_of(&template.dir)).unwrap().len());
        for (what, damage) in DAMAGES {
            for _ in 0..rounds {
                let dir = root.join("damaged");
                copy_dir(&template.dir, &dir);
                damage(&dir, &mut random);
                let seen = look(&dir, &template);
                check(what, &seen);
                fs::remove_dir_all(&dir).unwrap();
            }
        }
    }
}

/// Tells that a test cannot be done on this machine, and why: `.ci/run` names it again at its end, by
/// the file `SKIPPED_LIST`. With `STRICT=1` the test fails.
fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    if let Some(list) = std::env::var_os("SKIPPED_LIST") {
        let mut list = fs::File::options().append(true).create(true).open(list).unwrap();
        list.write_all(format!("{test}: {why}\n").as_bytes()).unwrap();
    }
    let strict =
        std::env::var_os("STRICT").is_some_and(|strict| strict != "0" && !strict.is_empty());
    assert!(!strict, "{why} (STRICT=0 skips what cannot be done)");
    eprintln!("SKIPPED: {test}: {why}");
}

/// A small file system, as long as this lives; `None` where it may not be made.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let size = format!("size={megabytes}m");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(disk.0.path())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(disk);
        }
        skip("a file system cannot be mounted");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Writes until it fails; gives how many writes were acknowledged.
fn fill(engine: &SledEngine, from: u32) -> (u32, Error) {
    let mut number = from;
    loop {
        let (vnode, key) = place(number);
        let put = engine.put(vnode, &key, &record(20, size(number), 0), &IndexChange::NONE);
        match put.and_then(|()| engine.sync()) {
            Ok(()) => number += 1,
            Err(error) => return (number, error),
        }
    }
}

fn all_there(engine: &SledEngine, upto: u32) {
    for number in 0..upto {
        let (vnode, key) = place(number);
        let found = engine.get(vnode, &key).unwrap();
        assert!(found == Some(record(20, size(number), 0)), "{number} of {upto}");
    }
}

#[test]
fn a_disk_that_fills_up_ends_writes_not_reads_and_not_for_good() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 30 << 20]).unwrap();
    let engine = SledEngine::open(&disk.0.path().join("store"), config(false)).unwrap();
    engine.raise_release(Release::current()).unwrap();
    engine.clear_loss(&engine.loss().unwrap()).unwrap();
    let (written, error) = fill(&engine, 0);
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("nearly full"), "{error}");
    assert!(written > 10_000, "{written}");
    all_there(&engine, written);
    fs::remove_file(&ballast).unwrap();
    std::thread::sleep(limits::SPACE_LOOK);
    let generation = engine.generation();
    let (more, _) = fill(&engine, written);
    assert!(more > written + 5_000, "{more}");
    all_there(&engine, more);
    assert!(!engine.reopen().unwrap() && engine.generation() == generation, "it never failed");
    drop(engine);
    let engine = SledEngine::open(&disk.0.path().join("store"), config(false)).unwrap();
    assert_eq!(engine.loss(), None);
    all_there(&engine, more);
}

#[test]
fn a_store_whose_disk_others_fill_up_is_opened_again() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let engine = SledEngine::open(&disk.0.path().join("store"), config(false)).unwrap();
    engine.clear_loss(&engine.loss().unwrap()).unwrap();
    let put = |number| {
        let (vnode, key) = place(number);
        let put = engine.put(vnode, &key, &record(20, size(number), 0), &IndexChange::NONE);
        put.and_then(|()| engine.sync())
    };
    let mut written = 0;
    for _ in 0..5_000 {
        put(written).unwrap();
        written += 1;
    }
    // All of it, at once.
    let ballast = disk.0.path().join("ballast");
    let filled = fs::write(&ballast, vec![1; 96 << 20]);
    assert!(filled.is_err());
    while put(written).is_ok() {
        written += 1;
    }
    for round in 0..3 {
        let _ = put(OBJECTS * 10 + round);
        engine.reopen().unwrap();
        // Read only, but all of it.
        all_there(&engine, written);
        assert!(put(OBJECTS * 10 + round).is_err());
    }
    fs::remove_file(&ballast).unwrap();
    std::thread::sleep(limits::SPACE_LOOK);
    engine.reopen().unwrap();
    for _ in 0..1_000 {
        put(written).unwrap();
        written += 1;
    }
    all_there(&engine, written);
    assert_eq!(engine.loss(), None);
}
