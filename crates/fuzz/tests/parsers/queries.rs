//! Queries, and the keys by which their pairs are grouped.

use bytes::Bytes;
use mapring_engine::TermPlace;
use mapring_fuzz::Corpus;
use mapring_jobs::Invalid;
use mapring_mapred::{Query, json_text, unread_members};
use mapring_shuffle::{Group, Groups, Pair, Pairs, key};
use mapring_types::{ErrorKind, IndexValue, Versioned};

use crate::text;

#[test]
fn fuzz_queries() {
    Corpus::of("queries").run(|bytes| match Query::parse(bytes) {
        Ok(query) => {
            let json = json_text(bytes).unwrap();
            let again = Query::parse(json.get().as_bytes()).unwrap();
            assert_eq!(format!("{query:?}"), format!("{again:?}"));
            let unread = unread_members(bytes);
            assert!(unread.iter().all(|place| !place.is_empty()), "{unread:?}");
        }
        Err(rejection) => {
            let told = Invalid::rejected(&rejection);
            let [problem] = told.problems() else { panic!("{told:?}") };
            assert!(!problem.message.is_empty(), "{rejection:?}");
        }
    });
}

/// JSON as people write it becomes JSON, once.
#[test]
fn fuzz_lenient_json() {
    Corpus::of("lenient_json").run(|bytes| {
        let Ok(json) = json_text(bytes) else { return };
        // A number may be too large for those who want its value.
        let again = json_text(json.get().as_bytes()).unwrap();
        assert_eq!(again.get(), json.get());
    });
}

#[test]
fn fuzz_keys_of_groups() {
    Corpus::of("group_keys").run(|bytes| {
        let mut made = Vec::new();
        if let Some(given) = text(bytes) {
            match key::encode(given, &mut made) {
                Ok(()) => {
                    key::check(&made).unwrap();
                    let canonical = key::decode(&made).unwrap();
                    let mut again = Vec::new();
                    key::encode(&canonical, &mut again).unwrap();
                    assert_eq!(again, made, "{canonical}");
                }
                Err(error) => {
                    assert!([ErrorKind::Invalid, ErrorKind::TooLarge].contains(&error.kind()));
                    assert!(made.is_empty(), "what is at fault leaves nothing");
                }
            }
        }
        // The same bytes as a key that comes from elsewhere.
        assert_eq!(key::check(bytes).is_ok(), key::decode(bytes).is_ok());
        if let Err(error) = key::check(bytes) {
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    });
}

/// Pairs and groups as workers send them: packed, and looked at as they are read.
#[test]
fn fuzz_pairs_and_groups() {
    let mut key = Vec::new();
    key::encode("[1,\"a\"]", &mut key).unwrap();
    let mut pairs = Pairs::new();
    pairs.push(3, &key, "{\"b\":1}").unwrap();
    pairs.push(300, &key, "null").unwrap();
    let frame = postcard::to_allocvec(&pairs).unwrap();
    Corpus::made("pairs").and(unwrapped(&frame)).and(frame).and([1_u8, 0, 0, 0, 0]).run(|bytes| {
        if let Ok(pairs) = Pairs::decode(bytes) {
            let read: Vec<Pair<'_>> = pairs.iter().map_while(Result::ok).collect();
            assert!(read.len() <= bytes.len());
            let mut again = Pairs::new();
            for pair in &read {
                again.push(pair.input, pair.key, pair.value).unwrap();
            }
            assert!(again.iter().map(Result::unwrap).eq(read));
        }
        if let Ok(groups) = Groups::decode(bytes) {
            let read: Vec<Group<'_>> = groups.iter().map_while(Result::ok).collect();
            assert!(read.len() <= bytes.len());
            for group in read {
                // The last may be what is wrong with them.
                assert!(group.values.count() <= bytes.len() + 1);
            }
        }
    });
}

/// What stands behind the length that postcard writes before bytes.
fn unwrapped(bytes: &[u8]) -> Vec<u8> {
    postcard::from_bytes::<&[u8]>(bytes).unwrap().to_vec()
}

/// Where a scan of an index goes on.
#[test]
fn fuzz_places_in_indexes() {
    let place = |term| TermPlace { term, key: Bytes::from_static(b"k\0\xff") }.to_bytes();
    let int = |text: &str| place(IndexValue::Int(text.to_owned()));
    Corpus::made("index_places")
        .and(int("-12"))
        .and(int("123456789012345678901"))
        .and(place(IndexValue::Bin(Bytes::from_static(b"a\0b"))))
        .run(|bytes| {
            let Some(place) = TermPlace::from_bytes(bytes) else { return };
            assert!(place.key.len() <= bytes.len());
            assert_eq!(TermPlace::from_bytes(&place.to_bytes()), Some(place));
        });
}
