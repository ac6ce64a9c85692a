use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::key;
use crate::pairs::Pairs;
use crate::run::{Run, RunWriter};
use crate::segment::Memory;
use crate::store::{Keeps, SegmentId, StoreConfig};

const NOW: Duration = Duration::ZERO;

fn store(memory: u64) -> Store {
    let directory = std::env::temp_dir();
    Store::new(
        StoreConfig { memory_bytes: memory, disk_bytes: 1 << 32, directory, keeps: Keeps::Nothing },
        Duration::ZERO,
    )
}

/// Groups in their order: the JSON of the key, and the values.
type All = Vec<(String, Vec<String>)>;

fn all(merge: &mut Merge, values: usize, bytes: usize) -> All {
    let mut groups: All = Vec::new();
    let mut open = false;
    while let Some(batch) = merge.next_groups(values, bytes).unwrap() {
        assert!(!open || !batch.iter().next().unwrap().unwrap().first);
        for group in &batch {
            let group = group.unwrap();
            let key = key::decode(group.key).unwrap();
            assert_eq!(group.first, !open);
            if group.first {
                groups.push((key, Vec::new()));
            } else {
                assert_eq!(groups.last().unwrap().0, key);
            }
            open = !group.last;
            let last = &mut groups.last_mut().unwrap().1;
            last.extend(group.values.map(|value| value.unwrap().to_owned()));
        }
    }
    assert!(!open, "the last group ends");
    groups
}

/// What one would get with all in memory: keys by their order, values as they came.
fn expect(pages: &[Vec<(String, String)>]) -> All {
    let mut groups: BTreeMap<Vec<u8>, (String, Vec<String>)> = BTreeMap::new();
    for (json, value) in pages.iter().flatten() {
        let mut bytes = Vec::new();
        key::encode(json, &mut bytes).unwrap();
        let text = key::decode(&bytes).unwrap();
        groups.entry(bytes).or_insert((text, Vec::new())).1.push(value.clone());
    }
    groups.into_values().collect()
}

fn run(page: &[(String, String)], partitions: NonZeroU32) -> Run {
    let mut run = Run::new(partitions);
    for block in page.chunks(7) {
        let mut pairs = Pairs::new();
        for (json, value) in block {
            let mut bytes = Vec::new();
            key::encode(json, &mut bytes).unwrap();
            pairs.push(0, &bytes, value).unwrap();
        }
        run.push(pairs, Vec::new()).unwrap();
    }
    run
}

/// Writes pages as runs, a unit each, whose orders are their numbers; gives the segments by partition.
fn gather(
    store: &Store,
    pages: &[Vec<(String, String)>],
    partitions: u32,
) -> Vec<Vec<Arc<dyn Source>>> {
    let count = NonZeroU32::new(partitions).unwrap();
    let mut segments: Vec<Vec<Arc<dyn Source>>> = (0..partitions).map(|_| Vec::new()).collect();
    for (page, pairs) in pages.iter().enumerate() {
        let mut writer = RunWriter::new(&(page as u32).to_be_bytes());
        run(pairs, count).sort().write(&mut writer).unwrap();
        for segment in writer.finish().unwrap() {
            let partition = segment.partition;
            let page = page as u32;
            let id = SegmentId { query: 1, stage: 0, unit: 0, attempt: 0, page, partition };
            store.write(id, &segment.bytes, NOW).unwrap();
            segments[partition as usize].push(store.source(id).unwrap());
        }
    }
    segments
}

fn pages() -> impl Strategy<Value = Vec<Vec<(String, String)>>> {
    let key = prop_oneof![
        (0u32..20).prop_map(|number| number.to_string()),
        (0u32..20).prop_map(|number| format!("\"k{number}\"")),
        (0u32..5).prop_map(|number| format!("\"a key that is longer than a head {number}\"")),
        (0u32..5).prop_map(|number| format!("[1,{{\"b\":{number}}}]")),
        Just("1.0".to_owned()),
    ];
    let pair = (key, "[a-z]{0,12}");
    proptest::collection::vec(proptest::collection::vec(pair, 0..60), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn groups_are_those_of_a_map_in_memory(
        pages in pages(),
        partitions in 1u32..6,
        memory in 5_000u64..50_000,
        fan_in in 2usize..8,
        values in 1usize..40,
        bytes in 1usize..400,
        reversed in any::<bool>(),
    ) {
        // Segments alone need some memory.
        let store = store(memory + 256 * 100);
        let expect = expect(&pages);
        let mut found = All::new();
        for mut segments in gather(&store, &pages, partitions) {
            if reversed {
                // Orders tell where pages belong, whatever the order of the list.
                segments.reverse();
            }
            let bounds = MergeBounds { segments: fan_in, bytes: 1 << 20 };
            let mut merge = Merge::open(&store, 1, segments, None, bounds).unwrap();
            found.extend(all(&mut merge, values, bytes));
            prop_assert_eq!(merge.passed(), merge.records());
        }
        let sorted = |groups: &All| -> Vec<Vec<u8>> {
            groups.iter().map(|(json, _)| { let mut b = Vec::new(); key::encode(json, &mut b).unwrap(); b }).collect()
        };
        if partitions == 1 {
            prop_assert_eq!(&found, &expect);
        }
        let mut with_keys: Vec<_> = sorted(&found).into_iter().zip(found).collect();
        with_keys.sort_by(|one, other| one.0.cmp(&other.0));
        let found: All = with_keys.into_iter().map(|(_, group)| group).collect();
        prop_assert_eq!(found, expect);
        prop_assert_eq!(store.usage().segments, store.list(1).len() as u64, "merges leave nothing");
    }

    #[test]
    fn a_merge_goes_on_after_any_key(
        pages in pages(),
        at in any::<proptest::sample::Index>(),
        fan_in in 2usize..20,
    ) {
        let store = store(1 << 20);
        let mut expect = expect(&pages);
        prop_assume!(!expect.is_empty());
        let at = at.index(expect.len());
        let mut after = Vec::new();
        key::encode(&expect[at].0, &mut after).unwrap();
        let segments = gather(&store, &pages, 1).remove(0);
        let bounds = MergeBounds { segments: fan_in, bytes: 1 << 20 };
        let mut merge = Merge::open(&store, 1, segments, Some(&after), bounds).unwrap();
        prop_assert_eq!(all(&mut merge, 10, 1_000), expect.split_off(at + 1));
    }

    #[test]
    fn records_stand_by_their_whole_orders(
        lists in proptest::collection::vec(
            (
                proptest::collection::vec(0u8..3, 0..3),
                proptest::collection::vec((0u8..3, proptest::collection::vec(0u8..3, 0..3)), 0..20),
            ),
            0..9,
        ),
        fan_in in 2usize..5,
    ) {
        let store = store(1 << 20);
        let id = SegmentId { query: 1, stage: 0, unit: 0, attempt: 0, page: 0, partition: 0 };
        store.put(id, 0, b"", NOW).unwrap();
        let mut expect = Vec::new();
        let mut segments: Vec<Arc<dyn Source>> = Vec::new();
        for (segment, (prefix, mut records)) in lists.into_iter().enumerate() {
            records.sort();
            let mut writer = Writer::new(Vec::new(), &prefix).unwrap();
            for (place, (key, order)) in records.into_iter().enumerate() {
                let value = format!("{segment}/{place}");
                writer.push(&[key], &order, value.as_bytes()).unwrap();
                expect.push((vec![key], [prefix.clone(), order].concat(), segment, place, value));
            }
            segments.push(Arc::new(Memory(writer.finish().unwrap().0)));
        }
        expect.sort();
        let bounds = MergeBounds { segments: fan_in, bytes: 1 << 20 };
        let mut merge = Merge::open(&store, 1, segments, None, bounds).unwrap();
        let mut found = Vec::new();
        while let Some(batch) = merge.next_groups(1, 1).unwrap() {
            for group in &batch {
                let group = group.unwrap();
                for value in group.values {
                    found.push((group.key.to_vec(), group.order.to_vec(), value.unwrap().to_owned()));
                }
            }
        }
        let expect: Vec<_> = expect.into_iter().map(|(key, order, _, _, value)| (key, order, value)).collect();
        prop_assert_eq!(found, expect);
    }
}

#[test]
fn segments_with_large_blocks_are_merged_a_few_at_a_time() {
    let store = store(1 << 20);
    let value = "x".repeat(100_000);
    let page = |number: u32| {
        vec![(number.to_string(), value.clone()), ("7".to_owned(), number.to_string())]
    };
    let pages: Vec<_> = (0..20).map(page).collect();
    let segments = gather(&store, &pages, 1).remove(0);
    let bounds = MergeBounds { segments: 256, bytes: 1_000_000 };
    let before = store.usage().segments;
    let mut merge = Merge::open(&store, 1, segments, None, bounds).unwrap();
    assert!(store.usage().segments > before, "some lie in the store");
    assert_eq!(all(&mut merge, 1_000, 1_000), expect(&pages));
    assert_eq!(store.usage().segments, before);
}

#[test]
fn damage_and_a_query_that_is_gone_are_errors() {
    let store = store(1 << 20);
    let pages: Vec<_> = (0..4).map(|page| vec![("1".to_owned(), page.to_string())]).collect();
    let segments = gather(&store, &pages, 1).remove(0);
    let mut damaged = segments.clone();
    let mut bytes = vec![0; segments[2].length() as usize];
    segments[2].read_at(0, &mut bytes).unwrap();
    bytes[40] ^= 1;
    damaged[2] = Arc::new(Memory(bytes));
    let error = Merge::open(&store, 1, damaged, None, MergeBounds::default()).err().unwrap();
    assert!(error.message().starts_with("block 0, at byte 11 of a segment in memory"), "{error}");

    store.remove_query(1);
    let error = Merge::open(&store, 1, segments, None, MergeBounds::default()).err().unwrap();
    assert!(error.to_string().contains("is not here any more"), "{error}");
}
