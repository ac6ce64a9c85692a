//! Queries, and the keys by which their pairs are grouped.

use mapring_fuzz::Corpus;
use mapring_jobs::Invalid;
use mapring_mapred::{Query, json_text, unread_members};
use mapring_shuffle::key;
use mapring_types::ErrorKind;

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
