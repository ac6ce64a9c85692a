use std::sync::Arc;

use mapring_types::ErrorKind;
use proptest::prelude::*;

use super::*;
use crate::limits::{BLOCK_BYTES, KEY_BYTES, ORDER_BYTES};

type Row = (Vec<u8>, Vec<u8>, Vec<u8>);

fn write(prefix: &[u8], rows: &[Row]) -> (Vec<u8>, Summary) {
    let mut writer = Writer::new(Vec::new(), prefix).unwrap();
    for (key, order, value) in rows {
        writer.push(key, order, value).unwrap();
    }
    writer.finish().unwrap()
}

fn reader(bytes: &[u8]) -> mapring_types::Result<Reader> {
    Reader::open(Arc::new(Memory(bytes.to_vec())))
}

fn rest(reader: &mut Reader) -> mapring_types::Result<Vec<Row>> {
    let mut rows = Vec::new();
    while reader.advance()? {
        rows.push((reader.key().to_vec(), reader.order().to_vec(), reader.value().to_vec()));
    }
    Ok(rows)
}

fn whole(bytes: &[u8]) -> mapring_types::Result<Vec<Row>> {
    rest(&mut reader(bytes)?)
}

/// Keys that begin alike, some often, over several blocks.
fn rows(count: u32, value: usize) -> Vec<Row> {
    let row = |number: u32| {
        let key = format!("key-{:06}", number / 3).into_bytes();
        (key, number.to_be_bytes().to_vec(), vec![b'0' + (number % 10) as u8; value])
    };
    (0..count).map(row).collect()
}

fn with_prefix(prefix: &[u8], rows: &[Row]) -> Vec<Row> {
    let full = |(key, order, value): &Row| (key.clone(), [prefix, order].concat(), value.clone());
    rows.iter().map(full).collect()
}

#[test]
fn records_come_back_over_several_blocks() {
    for (count, value) in [(0, 1), (1, 0), (10, 3), (20_000, 5), (50, 10_000), (3, 3 * BLOCK_BYTES)]
    {
        let rows = rows(count, value);
        let (bytes, summary) = write(b"pre", &rows);
        assert_eq!(whole(&bytes).unwrap(), with_prefix(b"pre", &rows), "{count} of {value}");
        assert_eq!(summary.records, u64::from(count));
        assert_eq!(reader(&bytes).unwrap().summary(), summary);
        assert_eq!(verify(Arc::new(Memory(bytes))).unwrap(), summary);
    }
}

#[test]
fn what_repeats_is_compressed_and_what_does_not_is_left_alone() {
    let rows = rows(10_000, 30);
    let (bytes, summary) = write(b"", &rows);
    assert!(bytes.len() as u64 * 2 < summary.raw_bytes, "{} of {summary:?}", bytes.len());
    let mut state = 7u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let rows = vec![(b"k".to_vec(), Vec::new(), (0..200_000).map(|_| noise()).collect())];
    let (bytes, summary) = write(b"", &rows);
    assert!((bytes.len() as u64) < summary.raw_bytes + 100);
    assert_eq!(whole(&bytes).unwrap(), rows);
}

#[test]
fn a_record_that_repeats_key_and_order_says_so_across_blocks() {
    let row = (b"k".to_vec(), b"o".to_vec(), vec![b'x'; BLOCK_BYTES / 2]);
    let mut rows = vec![row; 7];
    rows.push((b"k".to_vec(), b"p".to_vec(), Vec::new()));
    let (bytes, summary) = write(b"", &rows);
    assert_eq!(summary.blocks, 4);
    let mut reader = reader(&bytes).unwrap();
    let mut repeated = Vec::new();
    while reader.advance().unwrap() {
        repeated.push(reader.is_repeated());
    }
    assert_eq!(repeated, [false, true, true, true, true, true, true, false]);
}

#[test]
fn a_cursor_goes_on_after_a_key() {
    let rows = rows(30_000, 5);
    let (bytes, summary) = write(b"", &rows);
    assert!(summary.blocks > 5);
    for key in ["", "a", "key-000000", "key-0012", "key-001234", "key-004000", "key-009999", "z"] {
        let mut reader = reader(&bytes).unwrap();
        let mut found = Vec::new();
        if reader.seek_after(key.as_bytes()).unwrap() {
            found.push((reader.key().to_vec(), reader.order().to_vec(), reader.value().to_vec()));
            found.extend(rest(&mut reader).unwrap());
        }
        let after = rows.iter().filter(|(found, ..)| **found > *key.as_bytes()).cloned();
        assert_eq!(found, after.collect::<Vec<_>>(), "{key}");
    }
}

#[test]
fn what_does_not_ascend_or_is_too_long_is_refused() {
    let mut writer = Writer::new(Vec::new(), b"").unwrap();
    writer.push(b"b", b"1", b"").unwrap();
    for (key, order) in [(&b"a"[..], &b"9"[..]), (b"b", b"0"), (b"", b"9"), (b"b", b"")] {
        assert_eq!(writer.push(key, order, b"").unwrap_err().kind(), ErrorKind::Internal);
    }
    let long = vec![b'c'; KEY_BYTES + 1];
    assert_eq!(writer.push(&long, b"", b"").unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(writer.push(b"c", &long, b"").unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(Writer::new(Vec::new(), &vec![0; ORDER_BYTES + 1]).is_err());
    writer.push(b"b", b"1", b"x").unwrap();
    assert_eq!(whole(&writer.finish().unwrap().0).unwrap().len(), 2);
}

#[test]
fn damage_anywhere_is_an_error_that_names_the_block() {
    let rows = rows(4_000, 9);
    let (bytes, summary) = write(b"pre", &rows);
    assert!(summary.blocks >= 2, "{summary:?}");
    for at in (0..200).chain((200..bytes.len()).step_by(97)).chain(bytes.len() - 100..bytes.len()) {
        for flip in [1, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            assert!(whole(&bad).is_err(), "byte {at} of {} by {flip}", bytes.len());
            assert!(verify(Arc::new(Memory(bad))).is_err(), "byte {at} by {flip}");
        }
    }
    for cut in (0..bytes.len()).step_by(53) {
        assert!(whole(&bytes[..cut]).is_err(), "cut to {cut}");
    }
    let mut bad = bytes.clone();
    let at = bytes.len() - 40;
    bad[at] ^= 1;
    let error = whole(&bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let last = summary.blocks - 1;
    assert!(error.message().starts_with(&format!("block {last}, at byte ")), "{error}");
    assert!(error.message().contains("of a segment in memory, is damaged"), "{error}");
    bad[0] = 2;
    assert_eq!(whole(&bad).unwrap_err().kind(), ErrorKind::Unavailable, "another version");
}

#[test]
fn blocks_of_another_place_are_refused() {
    let rows = rows(12_000, 9);
    let (bytes, summary) = write(b"", &rows);
    assert!(summary.blocks >= 3);
    let length = |at: usize| {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        25 + number(at + 13) + number(at + 1)
    };
    let second = 7 + length(7);
    let third = second + length(second);
    let parts = [&bytes[..7], &bytes[7..second], &bytes[second..third], &bytes[third..]];
    assert_eq!(whole(&parts.concat()).unwrap().len(), rows.len());
    for order in [&[0, 2, 1, 3][..], &[0, 2, 3], &[0, 1, 3], &[0, 1, 1, 3], &[0, 1, 2, 2, 3]] {
        let bad: Vec<u8> = order.iter().flat_map(|part| parts[*part]).copied().collect();
        assert!(whole(&bad).is_err() && verify(Arc::new(Memory(bad))).is_err(), "{order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_records_come_back(
        prefix in proptest::collection::vec(any::<u8>(), 0..4),
        rows in proptest::collection::vec(
            (
                proptest::collection::vec(0u8..4, 1..6),
                proptest::collection::vec(any::<u8>(), 0..3),
                proptest::collection::vec(any::<u8>(), 0..2_000),
            ),
            0..200,
        ),
        after in proptest::collection::vec(0u8..4, 0..6),
    ) {
        let mut rows = rows;
        rows.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        let (bytes, _) = write(&prefix, &rows);
        let full = with_prefix(&prefix, &rows);
        prop_assert_eq!(whole(&bytes).unwrap(), full.clone());
        let mut reader = reader(&bytes).unwrap();
        let first = reader.seek_after(&after).unwrap().then(|| reader.key().to_vec());
        prop_assert_eq!(first, full.into_iter().map(|row| row.0).find(|key| *key > after));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0usize..2_000,
        place in any::<proptest::sample::Index>(),
    ) {
        let (mut good, _) = write(b"p", &rows(40, at % 60));
        let start = place.index(good.len());
        let end = good.len().min(start + bytes.len());
        good[start..end].copy_from_slice(&bytes[..end - start]);
        // What comes out is right, or an error.
        if let Ok(found) = whole(&good) {
            prop_assert_eq!(found, with_prefix(b"p", &rows(40, at % 60)));
        }
    }
}
