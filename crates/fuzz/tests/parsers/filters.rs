//! Filters of keys, of objects and of entries of indexes.

use std::collections::BTreeMap;
use std::fmt::Debug;

use mapring_filters::{
    EntryQuery, EntryTest, Filters, PropertyFilters, SetExpression, Substitution,
};
use mapring_fuzz::Corpus;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{halves, text};

const KEYS: [&[u8]; 5] = [b"", b"a-1", b"2024-01-31,x", b"%41+\xff\x00", "ключ".as_bytes()];

/// How deep a combination of sets may be whose every pair is put in brackets.
const DEEP: usize = 16;

/// What a query has is sent to other nodes.
#[track_caller]
fn travels<T: Serialize + DeserializeOwned + PartialEq + Debug>(sent: &T) {
    let bytes = postcard::to_allocvec(sent).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), sent);
}

#[test]
fn fuzz_key_filters() {
    Corpus::of("key_filters").run(|bytes| {
        let Ok(json) = serde_json::from_slice::<&RawValue>(bytes) else { return };
        match Filters::parse(json) {
            Ok(filters) => {
                travels(&filters);
                match filters.compile() {
                    Ok(compiled) => KEYS.iter().for_each(|key| {
                        assert_eq!(compiled.keeps(key), compiled.keeps(key));
                    }),
                    Err(why) => assert!(!format!("{why:?}").is_empty()),
                }
            }
            Err(why) => assert!(!format!("{why:?}").is_empty()),
        }
    });
}

#[test]
fn fuzz_property_filters() {
    Corpus::of("property_filters").run(|bytes| {
        let Ok(json) = serde_json::from_slice::<&RawValue>(bytes) else { return };
        match PropertyFilters::parse(json) {
            Ok(filters) => {
                travels(&filters);
                let Ok(test) = filters.compile() else { return };
                KEYS.iter().for_each(|key| {
                    test.keeps_key(key);
                });
                for body in [&b"{\"age\":21,\"a\":{\"b\":[1]}}"[..], b"{", b"\xff"] {
                    test.keeps_body(body);
                }
            }
            Err(why) => {
                assert!(why.place.starts_with("filters"), "{why:?}");
                assert!(!why.why.is_empty());
            }
        }
    });
}

/// An evaluation, a line end, and a condition.
#[test]
fn fuzz_entry_tests() {
    Corpus::of("entry_tests").run(|bytes| {
        let Some((evaluation, condition)) = text(bytes).map(halves) else { return };
        let substitutions: BTreeMap<String, Substitution> =
            [("hash".to_owned(), Substitution::Text("#".to_owned()))].into();
        let test = EntryTest::Attributes(EntryQuery {
            evaluation: evaluation.to_owned(),
            condition: condition.to_owned(),
            substitutions,
            give: Some("fn".to_owned()),
        });
        travels(&test);
        match test.compile() {
            // An expression that takes too long is an error too.
            Ok(compiled) => KEYS.iter().for_each(|key| {
                let run = || compiled.run(b"SMITH|1986#a|x", key);
                assert_eq!(run(), run());
            }),
            Err(why) => assert!(why.to_string().contains(": "), "{why}"),
        }
    });
}

#[test]
fn fuzz_expressions() {
    Corpus::of("expressions").run(|bytes| {
        let test = EntryTest::Matches(bytes.to_vec().into());
        let Ok(compiled) = test.compile() else { return };
        KEYS.iter().for_each(|key| assert_eq!(compiled.run(key, b"k"), compiled.run(key, b"k")));
    });
}

#[test]
fn fuzz_sets() {
    Corpus::of("sets").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        match SetExpression::parse(given) {
            Ok(sets) if depth(&sets) <= DEEP => {
                let written = written(&sets);
                assert_eq!(SetExpression::parse(&written), Ok(sets), "{written}");
            }
            Ok(_) => {}
            Err(why) => assert!(!why.is_empty()),
        }
    });
}

fn parts(sets: &SetExpression) -> Option<(&SetExpression, &'static str, &SetExpression)> {
    match sets {
        SetExpression::Set(_) => None,
        SetExpression::Union(one, two) => Some((one.as_ref(), "UNION", two.as_ref())),
        SetExpression::Intersection(one, two) => Some((one.as_ref(), "INTERSECT", two.as_ref())),
        SetExpression::Difference(one, two) => Some((one.as_ref(), "SUBTRACT", two.as_ref())),
    }
}

fn depth(sets: &SetExpression) -> usize {
    parts(sets).map_or(0, |(one, _, two)| 1 + depth(one).max(depth(two)))
}

fn written(sets: &SetExpression) -> String {
    match (sets, parts(sets)) {
        (SetExpression::Set(number), _) => format!("${number}"),
        (_, Some((one, word, two))) => format!("({} {word} {})", written(one), written(two)),
        (_, None) => unreachable!("only a set has no parts"),
    }
}
