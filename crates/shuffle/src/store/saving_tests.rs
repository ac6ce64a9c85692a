//! Queries that are saved and found again.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::tests::{NOW, bytes_of, id, refused, segment};
use super::*;

const MEMORY: u64 = 16 << 20;
const DISK: u64 = 64 << 20;

fn open_with(directory: &Path, memory_bytes: u64, disk_bytes: u64, keeps: Keeps) -> Store {
    let directory = directory.to_owned();
    Store::new(StoreConfig { memory_bytes, disk_bytes, directory, keeps }, NOW)
}

fn open(directory: &Path) -> Store {
    open_with(directory, MEMORY, DISK, Keeps::Written)
}

/// The store as a crash leaves it.
fn crash(store: Store) {
    std::mem::forget(store);
}

/// The endings of all files in a directory, and how many have each.
fn files(directory: &Path) -> BTreeMap<String, usize> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().unwrap().to_str().unwrap().to_owned();
        *files.entry(ending).or_default() += 1;
    }
    files
}

/// The only file with an ending.
fn file(directory: &Path, ending: &str) -> std::path::PathBuf {
    let mut all = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    all.find(|path| path.extension().is_some_and(|of| of == ending)).unwrap()
}

#[test]
fn what_was_saved_is_there_again() {
    for keeps in [Keeps::Written, Keeps::Synced] {
        let directory = TempDir::new().unwrap();
        let open = || open_with(directory.path(), MEMORY, DISK, keeps);
        let store = open();
        for page in 0..5 {
            store.write(id(7, page), &segment(300_000, page.into()), NOW).unwrap();
        }
        store.put(id(7, 9), 0, b"not whole", NOW).unwrap();
        store.write(id(8, 0), &segment(10_000, 8), NOW).unwrap();
        store.save(7).unwrap();
        store.save(9).unwrap();
        store.write(id(7, 5), &segment(300_000, 5), NOW).unwrap();
        let listed = store.list(7);
        assert_eq!(bytes_of(&store, id(7, 2)), segment(300_000, 2), "it lies in the file now");
        crash(store);
        // Once more after a start at which nothing was saved, and then an end in order.
        for _ in 0..3 {
            let store = open();
            assert_eq!(store.list(7), listed[..5], "{keeps:?}");
            assert_eq!(store.list(8), []);
            for page in 0..5 {
                let found = store.source(id(7, page)).unwrap();
                assert_eq!(found.length(), segment(300_000, page.into()).len() as u64);
                assert_eq!(bytes_of(&store, id(7, page)), segment(300_000, page.into()));
            }
            let usage = store.usage();
            assert_eq!((usage.queries, usage.segments), (1, 5));
            let bytes: u64 = listed[..5].iter().map(|segment| segment.bytes).sum();
            assert_eq!(usage.disk_bytes, bytes);
        }
        let store = open();
        store.write(id(7, 5), &segment(300_000, 5), NOW).unwrap();
        store.save(7).unwrap();
        crash(store);
        assert_eq!(open().list(7).len(), 6, "{keeps:?}");
        assert!(open().remove_query(7));
        assert_eq!(files(directory.path()), BTreeMap::new());
    }
}

#[test]
fn what_has_not_changed_is_not_written_again() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    for page in 0..5 {
        store.write(id(7, page), &segment(300_000, page.into()), NOW).unwrap();
    }
    store.save(7).unwrap();
    let index = file(directory.path(), "index");
    let (spilled, made) = (store.usage().spilled_bytes, fs::read(&index).unwrap());
    fs::write(&index, b"mark").unwrap();
    store.save(7).unwrap();
    assert_eq!(fs::read(&index).unwrap(), b"mark");
    let more = segment(300_000, 9);
    store.write(id(7, 9), &more, NOW).unwrap();
    store.save(7).unwrap();
    assert_eq!(store.usage().spilled_bytes, spilled + more.len() as u64);
    assert!(fs::read(&index).unwrap().len() > made.len());
}

#[test]
fn queries_take_their_files_with_them() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let none = BTreeMap::<String, usize>::new();
    let both =
        |count: usize| BTreeMap::from([("index".to_owned(), count), ("pairs".to_owned(), count)]);
    let store = open(path);
    for query in 1..4 {
        store.write(id(query, 0), &segment(1_000, query), NOW).unwrap();
        store.save(query).unwrap();
    }
    assert_eq!(files(path), both(3));
    let reader = store.source(id(2, 0)).unwrap();
    assert!(store.remove_query(2));
    refused(reader.read_at(0, &mut [0]), ErrorKind::NotFound, "not here any more");
    assert_eq!(files(path), both(2));
    // It comes again, and has files of its own.
    store.write(id(2, 1), &segment(1_000, 2), NOW).unwrap();
    store.save(2).unwrap();
    assert_eq!(files(path), both(3));
    let minute = Duration::from_secs(60);
    store.touch(3, NOW + minute);
    assert_eq!(store.expire(NOW + minute, minute), [1, 2]);
    assert_eq!(files(path), both(1));
    // What was not saved goes with the store, …
    store.remove_query(3);
    let small = open_with(path, 1 << 20, DISK, Keeps::Written);
    for page in 0..9 {
        small.write(id(4, page), &segment(300_000, 4), NOW).unwrap();
    }
    assert_eq!(files(path), BTreeMap::from([("pairs".to_owned(), 1)]));
    drop(small);
    assert_eq!(files(path), none);
    // … or at the next start.
    let small = open_with(path, 1 << 20, DISK, Keeps::Written);
    for page in 0..9 {
        small.write(id(4, page), &segment(300_000, 4), NOW).unwrap();
    }
    crash(small);
    fs::write(path.join("5-0.unfinished"), b"an index").unwrap();
    open(path);
    assert_eq!(files(path), none);
    // A store that keeps nothing has no files that could be seen.
    let store = open_with(path, 1 << 20, DISK, Keeps::Nothing);
    for page in 0..9 {
        store.write(id(4, page), &segment(300_000, 4), NOW).unwrap();
    }
    store.save(4).unwrap();
    assert!(store.usage().disk_bytes > 0);
    assert_eq!(files(path), none);
}

#[track_caller]
fn is_gone(store: &Store, directory: &TempDir) {
    assert_eq!(store.list(7), []);
    let usage = store.usage();
    assert_eq!([usage.queries, usage.segments, usage.memory_bytes, usage.disk_bytes], [0; 4]);
    assert_eq!(files(directory.path()), BTreeMap::new());
}

#[test]
fn what_cannot_be_used_is_removed() {
    let saved = || {
        let directory = TempDir::new().unwrap();
        let store = open(directory.path());
        for page in 0..3 {
            store.write(id(7, page), &segment(300_000, page.into()), NOW).unwrap();
        }
        store.save(7).unwrap();
        crash(store);
        directory
    };
    let damages: [fn(&Path); 6] = [
        |index| fs::write(index, b"").unwrap(),
        |index| {
            let bytes = fs::read(index).unwrap();
            fs::write(index, &bytes[..bytes.len() / 2]).unwrap();
        },
        |index| {
            let mut bytes = fs::read(index).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(index, bytes).unwrap();
        },
        |index| {
            let mut bytes = fs::read(index).unwrap();
            bytes[0] = 200;
            fs::write(index, bytes).unwrap();
        },
        |index| {
            let pairs = fs::File::options().write(true).open(index.with_extension("pairs"));
            let pairs = pairs.unwrap();
            pairs.set_len(pairs.metadata().unwrap().len() - 1).unwrap();
        },
        |index| fs::remove_file(index.with_extension("pairs")).unwrap(),
    ];
    for damage in damages {
        let directory = saved();
        damage(&file(directory.path(), "index"));
        is_gone(&open(directory.path()), &directory);
    }
    let directory = saved();
    is_gone(&open_with(directory.path(), MEMORY, 800_000, Keeps::Written), &directory);
    let directory = saved();
    is_gone(&open_with(directory.path(), 2 * 256, DISK, Keeps::Written), &directory);
}

#[test]
fn a_damaged_segment_is_not_here() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    for page in 0..3 {
        store.write(id(7, page), &segment(300_000, page.into()), NOW).unwrap();
    }
    store.save(7).unwrap();
    crash(store);
    let pairs = file(directory.path(), "pairs");
    // Bytes of one whole segment in the place of another's.
    let mut bytes = fs::read(&pairs).unwrap();
    let length = bytes.len() / 3;
    bytes.copy_within(..length, length);
    fs::write(&pairs, bytes).unwrap();
    let store = open(directory.path());
    assert_eq!(store.list(7).len(), 3);
    refused(store.source(id(7, 1)).map(drop), ErrorKind::NotFound, "not whole");
    assert_eq!(store.list(7).len(), 2);
    for page in [0, 2] {
        assert_eq!(bytes_of(&store, id(7, page)), segment(300_000, page.into()));
    }
    // It comes again from elsewhere.
    store.write(id(7, 1), &segment(300_000, 1), NOW).unwrap();
    store.save(7).unwrap();
    crash(store);
    let store = open(directory.path());
    assert_eq!(bytes_of(&store, id(7, 1)), segment(300_000, 1));
}

#[test]
fn what_was_found_waits_until_it_is_touched() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    store.write(id(7, 0), &segment(1_000, 0), NOW).unwrap();
    store.save(7).unwrap();
    crash(store);
    let at = Duration::from_secs;
    let config = StoreConfig {
        memory_bytes: MEMORY,
        disk_bytes: DISK,
        directory: directory.path().to_owned(),
        keeps: Keeps::Written,
    };
    let store = Store::new(config, at(600));
    assert!(store.touch(7, at(10)), "it is there");
    assert!(store.expire(at(659), at(60)).is_empty());
    assert_eq!(store.expire(at(660), at(60)), [7]);
}

#[test]
fn a_save_that_fails_leaves_what_was_saved() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let store = open_with(path, MEMORY, 1 << 20, Keeps::Written);
    store.write(id(7, 0), &segment(600_000, 0), NOW).unwrap();
    store.save(7).unwrap();
    store.write(id(7, 1), &segment(600_000, 1), NOW).unwrap();
    refused(store.save(7), ErrorKind::Storage, "disk budget");
    refused(store.save(7), ErrorKind::Storage, "disk budget");
    store.retain(7, |id| id.page > 0);
    refused(store.save(7), ErrorKind::Storage, "disk budget");
    crash(store);
    let store = open(path);
    assert_eq!(store.list(7).len(), 1);
    assert_eq!(bytes_of(&store, id(7, 0)), segment(600_000, 0));
}

/// What may happen to a store.
#[derive(Debug, Clone)]
enum Step {
    Put {
        query: u64,
        page: u32,
        length: usize,
        whole: bool,
    },
    Remove {
        query: u64,
        page: u32,
    },
    RemoveQuery(u64),
    Save(u64),
    /// The program ends, and what was saved is found again, …
    Crash,
    /// … also when it ends in order.
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (query, page) = (0u64..3, 0u32..12);
    let put = (query.clone(), page.clone(), 100usize..40_000, any::<u8>())
        .prop_map(|(query, page, length, of)| Step::Put { query, page, length, whole: of % 8 > 0 });
    let step = prop_oneof![
        12 => put,
        4 => (query.clone(), page).prop_map(|(query, page)| Step::Remove { query, page }),
        1 => query.clone().prop_map(Step::RemoveQuery),
        4 => query.prop_map(Step::Save),
        1 => Just(Step::Crash),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 1..80)
}

type Model = BTreeMap<u64, BTreeMap<u32, Vec<u8>>>;

fn check_store(store: &Store, expect: &Model) {
    for query in 0..3 {
        let expect = expect.get(&query).cloned().unwrap_or_default();
        let listed = store.list(query);
        let whole = listed.iter().filter(|segment| segment.summary.is_some());
        let pages: Vec<u32> = whole.map(|segment| segment.id.page).collect();
        assert_eq!(pages, expect.keys().copied().collect::<Vec<_>>(), "query {query}");
        for (page, bytes) in expect {
            assert!(bytes_of(store, id(query, page)) == bytes, "page {page} of query {query}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn after_a_crash_there_is_what_was_saved_last(
        steps in steps(),
        memory in 100_000u64..400_000,
        synced in any::<bool>(),
    ) {
        let directory = TempDir::new().unwrap();
        let keeps = if synced { Keeps::Synced } else { Keeps::Written };
        let open = || open_with(directory.path(), memory, DISK, keeps);
        let (mut store, mut here, mut saved) = (open(), Model::new(), Model::new());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put { query, page, length, whole } => {
                    let bytes = segment(length, number as u64);
                    if store.list(query).iter().any(|segment| segment.id.page == page) {
                        continue;
                    }
                    if whole {
                        store.write(id(query, page), &bytes, NOW).unwrap();
                        here.entry(query).or_default().insert(page, bytes);
                    } else {
                        store.put(id(query, page), 0, &bytes[..bytes.len() / 2], NOW).unwrap();
                    }
                }
                Step::Remove { query, page } => {
                    store.retain(query, |id| id.page != page);
                    here.entry(query).or_default().remove(&page);
                }
                Step::RemoveQuery(query) => {
                    store.remove_query(query);
                    here.remove(&query);
                    saved.remove(&query);
                }
                Step::Save(query) => {
                    store.save(query).unwrap();
                    let known = here.get(&query).cloned().unwrap_or_default();
                    saved.insert(query, known);
                }
                Step::Crash | Step::Close => {
                    if matches!(step, Step::Crash) { crash(store) } else { drop(store) }
                    store = open();
                    here = saved.clone();
                    check_store(&store, &here);
                }
            }
        }
        check_store(&store, &here);
        crash(store);
        check_store(&open(), &saved);
    }
}
