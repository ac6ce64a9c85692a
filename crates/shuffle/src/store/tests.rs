use proptest::prelude::*;

use super::*;
use crate::limits::SEGMENT_MEMORY;
use crate::segment::Writer;

pub(super) const NOW: Duration = Duration::from_secs(5);

fn store(memory: u64, disk: u64) -> Store {
    let directory = std::env::temp_dir();
    Store::new(
        StoreConfig { memory_bytes: memory, disk_bytes: disk, directory, keeps: Keeps::Nothing },
        Duration::ZERO,
    )
}

pub(super) fn id(query: u64, page: u32) -> SegmentId {
    SegmentId { query, stage: 1, unit: 2, attempt: 0, page, partition: 3 }
}

/// A segment of about so many bytes, which cannot be compressed.
pub(super) fn segment(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 56) as u8
    };
    let mut writer = Writer::new(Vec::new(), b"o").unwrap();
    for number in 0..bytes / 100 {
        let value: Vec<u8> = (0..90).map(|_| noise()).collect();
        writer.push(format!("{number:06}").as_bytes(), b"", &value).unwrap();
    }
    writer.finish().unwrap().0
}

pub(super) fn bytes_of(store: &Store, id: SegmentId) -> Vec<u8> {
    let source = store.source(id).unwrap();
    let mut bytes = vec![0; source.length() as usize];
    source.read_at(0, &mut bytes).unwrap();
    bytes
}

#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_segment_comes_in_pieces_which_may_come_again() {
    let store = store(1 << 20, 0);
    let whole = segment(10_000, 1);
    let id = id(7, 1);
    refused(store.put(id, 1, b"x", NOW), ErrorKind::Invalid, "begins at byte 1");
    for start in (0..whole.len()).step_by(3_000) {
        let piece = &whole[start..whole.len().min(start + 3_000)];
        store.put(id, start as u64, piece, NOW).unwrap();
        store.put(id, start as u64, piece, NOW).unwrap();
        // One that begins with what has come.
        store
            .put(id, start.saturating_sub(10) as u64, &whole[start.saturating_sub(10)..start], NOW)
            .unwrap();
    }
    let gap = whole.len() as u64 + 1;
    refused(store.put(id, gap, b"x", NOW), ErrorKind::Invalid, "begins at byte");
    refused(store.open(id).map(|_| ()), ErrorKind::NotFound, "not whole");
    refused(store.finish(id, 5), ErrorKind::Invalid, "should have 5");
    let summary = store.finish(id, whole.len() as u64).unwrap();
    assert_eq!(summary.records, 100);
    assert_eq!(store.finish(id, whole.len() as u64).unwrap(), summary, "may be said again");
    store.put(id, 0, &whole, NOW).unwrap();
    refused(store.put(id, whole.len() as u64, b"x", NOW), ErrorKind::Invalid, "is whole");
    assert_eq!(bytes_of(&store, id), whole);
    let mut reader = store.open(id).unwrap();
    assert!(reader.advance().unwrap() && reader.key() == b"000000");
    let listed = StoredSegment { id, bytes: whole.len() as u64, summary: Some(summary) };
    assert_eq!(store.list(7), [listed]);
    assert_eq!(store.list(8), []);
    assert_eq!(store.usage().memory_bytes, whole.len() as u64 + SEGMENT_MEMORY);
}

#[test]
fn what_is_damaged_is_not_taken_for_whole() {
    let store = store(1 << 20, 0);
    let mut bad = segment(10_000, 1);
    bad[5_000] ^= 1;
    refused(store.write(id(7, 1), &bad, NOW), ErrorKind::Corrupt, "block 0, at byte 8 of");
    refused(store.write(id(7, 2), &bad[..500], NOW), ErrorKind::Corrupt, "cut off");
    refused(store.write(id(7, 3), b"", NOW), ErrorKind::Corrupt, "cut off");
    let words = "the segment of partition 3, page 1, attempt 0, unit 2, stage 1 of query 7";
    refused(store.write(id(7, 1), &bad, NOW), ErrorKind::Corrupt, words);
}

#[test]
fn who_has_most_in_memory_is_written_to_a_file() {
    let whole = segment(3 << 20, 2);
    let store = store(20 << 20, 1 << 30);
    for page in 0..4 {
        store.write(id(1, page), &whole, NOW).unwrap();
    }
    store.write(id(2, 0), &whole, NOW).unwrap();
    assert_eq!(store.usage().spilled_bytes, 0);
    for page in 4..40 {
        store.write(id(1, page), &whole, NOW).unwrap();
        assert!(store.usage().memory_bytes <= 20 << 20, "{:?}", store.usage());
    }
    let usage = store.usage();
    assert!(usage.disk_bytes >= 100 << 20 && usage.spilled_bytes == usage.disk_bytes, "{usage:?}");
    let queries = store.0.queries.lock();
    assert_eq!(queries[&2].contents.lock().memory(), whole.len() as u64, "the other is spared");
    drop(queries);
    for page in 0..40 {
        assert_eq!(bytes_of(&store, id(1, page)), whole);
    }
    // What is removed is used again.
    store.retain(1, |id| id.page >= 20);
    assert_eq!(store.list(1).len(), 20);
    let before = store.usage().disk_bytes;
    for page in 40..55 {
        store.write(id(1, page), &whole, NOW).unwrap();
    }
    assert_eq!(store.usage().disk_bytes, before);
    for page in 20..55 {
        assert_eq!(bytes_of(&store, id(1, page)), whole);
    }
    let reader = store.source(id(1, 54)).unwrap();
    assert!(store.remove_query(1) && !store.remove_query(1) && store.remove_query(2));
    let words = "is not here any more";
    refused(reader.read_at(0, &mut [0]), ErrorKind::NotFound, words);
    let usage = store.usage();
    assert_eq!([usage.queries, usage.segments, usage.memory_bytes, usage.disk_bytes], [0; 4]);
}

#[test]
fn what_finds_no_room_is_an_error_that_says_which() {
    let whole = segment(1 << 20, 3);
    let store_of = store;
    let store = store_of(4 << 20, 3 << 20);
    let mut pages = 0;
    let error = loop {
        match store.write(id(1, pages), &whole, NOW) {
            Ok(_) => pages += 1,
            Err(error) => break error,
        }
    };
    assert!((5..9).contains(&pages), "{pages}");
    refused::<()>(
        Err(error),
        ErrorKind::Storage,
        "of the 3145728 bytes that their disk budget allows",
    );
    for page in 0..pages {
        assert_eq!(bytes_of(&store, id(1, page)), whole, "what was there stays");
    }
    assert!(store.usage().memory_bytes <= 4 << 20);
    store.remove_query(1);
    store.write(id(1, 0), &whole, NOW).unwrap();

    let store = store_of(SEGMENT_MEMORY * 10, 1 << 20);
    for page in 0..10 {
        store.put(id(1, page), 0, b"", NOW).unwrap();
    }
    refused(store.put(id(1, 10), 0, b"", NOW), ErrorKind::Overloaded, "10 segments");
    refused(
        store.put(id(1, 0), 0, b"x", NOW).and(store.put(id(2, 0), 0, b"", NOW)),
        ErrorKind::Overloaded,
        "",
    );

    let directory = std::env::temp_dir().join("mapring-no-such-directory");
    let store = Store::new(
        StoreConfig { memory_bytes: 4_000, disk_bytes: 1 << 30, directory, keeps: Keeps::Nothing },
        Duration::ZERO,
    );
    store.put(id(1, 0), 0, &[1; 2_000], NOW).unwrap();
    refused(store.put(id(1, 1), 0, &[1; 2_000], NOW), ErrorKind::Storage, "cannot be written to");
    store.put(id(1, 0), 2_000, &[1; 100], NOW).unwrap();
}

#[test]
fn queries_that_nobody_renews_expire() {
    let store = store(1 << 20, 0);
    let at = Duration::from_secs;
    for (query, put) in [(1, 0), (2, 5), (3, 9)] {
        store.put(id(query, 0), 0, b"x", at(put)).unwrap();
    }
    assert!(store.touch(1, at(12)) && !store.touch(4, at(12)));
    assert!(store.touch(1, at(3)), "time that goes back changes nothing");
    assert!(store.expire(at(14), at(10)).is_empty());
    assert_eq!(store.expire(at(15), at(10)), [2]);
    assert_eq!(store.expire(at(100), at(10)), [1, 3]);
    assert_eq!(store.usage().segments, 0);
}

#[test]
fn many_threads_put_and_read_at_once() {
    let store = store(6 << 20, 1 << 30);
    let whole = segment(300_000, 4);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (store, whole) = (&store, &whole);
            scope.spawn(move || {
                for page in 0..30 {
                    let id = SegmentId { unit: thread, ..id(u64::from(thread % 2), page) };
                    store.write(id, whole, NOW).unwrap();
                    assert_eq!(bytes_of(store, id), *whole);
                    let before = SegmentId { page: page / 2, ..id };
                    assert_eq!(bytes_of(store, before), *whole);
                }
            });
        }
    });
    let usage = store.usage();
    assert_eq!(usage.segments, 180);
    assert!(usage.memory_bytes <= 6 << 20 && usage.spilled_bytes > 30 << 20, "{usage:?}");
    assert_eq!(usage.disk_bytes, usage.spilled_bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_put_is_read_whatever_lies_where(
        steps in proptest::collection::vec((0u64..3, 0u32..6, 0usize..40_000, any::<bool>()), 1..60),
        memory in 30_000u64..200_000,
    ) {
        let store = store(memory, 1 << 30);
        let mut expect: BTreeMap<SegmentId, Vec<u8>> = BTreeMap::new();
        for (number, (query, page, length, remove)) in steps.into_iter().enumerate() {
            let id = id(query, page);
            if remove && length % 3 == 0 {
                store.retain(query, |kept| *kept != id);
                expect.remove(&id);
                continue;
            }
            let known = expect.entry(id).or_default();
            let piece = vec![number as u8; length % 20_000];
            store.put(id, known.len() as u64, &piece, NOW).unwrap();
            known.extend(piece);
            prop_assert!(store.usage().memory_bytes <= memory);
        }
        for (id, bytes) in expect {
            let contents = store.existing(&id).unwrap();
            let stored = Stored::new(&contents, Name::Stored(id), bytes.len() as u64);
            let mut found = vec![0; bytes.len()];
            stored.read_at(0, &mut found).unwrap();
            prop_assert!(found == bytes, "{}", id);
        }
    }
}
