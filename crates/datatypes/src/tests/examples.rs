//! What operations do, and what is said of those that make no sense.

use mapring_types::{ActorId, Dot, ErrorKind, VersionVector};

use crate::json;
use crate::kind::Kind;
use crate::limits;
use crate::state::Datatype;

pub(super) const PRECISION: u8 = 14;

pub(super) fn dot(actor: u64, counter: u64) -> Dot {
    Dot { actor: ActorId(actor), counter }
}

/// Does operations one after another, each under a dot of its own of one actor.
fn done(kind: Kind, ops: &[&str]) -> Datatype {
    let mut state = Datatype::new(kind);
    for (at, op) in ops.iter().enumerate() {
        let update = json::update(kind, PRECISION, op.as_bytes()).unwrap();
        state.apply(&update, dot(1, at as u64 + 1), 7).unwrap();
    }
    state
}

#[track_caller]
fn check(kind: Kind, ops: &[&str], value: &str) {
    assert_eq!(json::value(&done(kind, ops)), value, "{ops:?}");
}

#[test]
fn counters_count() {
    check(Kind::Counter, &[], "0");
    check(Kind::Counter, &["5", "-7", "\"increment\"", "\"increment\"", "\"decrement\""], "-1");
    check(Kind::Counter, &[r#"{"increment":10}"#, r#"{"decrement":4}"#], "6");
    let most = i64::MAX.to_string();
    check(Kind::Counter, &[&most, &most], "18446744073709551614");
}

#[test]
fn sets_have_each_element_once_in_order() {
    check(Kind::Set, &[], "[]");
    check(Kind::Set, &[r#"{"add_all":["b","a","b"]}"#, r#"{"add":"a"}"#], r#"["a","b"]"#);
    check(Kind::Set, &[r#"{"add":"a","add_all":["b","c"],"remove":"a"}"#], r#"["b","c"]"#);
    let both = r#"{"update":[{"add":"x"},{"add_all":["y","z"]},{"remove_all":["y","x"]}]}"#;
    check(Kind::Set, &[both], r#"["z"]"#);
    check(Kind::Set, &[r#"{"update":{"add":"é\"\n"}}"#], r#"["é\"\n"]"#);
    check(Kind::GSet, &[r#"{"add":"b"}"#, r#"{"add_all":["a","b"]}"#], r#"["a","b"]"#);
    check(Kind::Hll, &[], "0");
    check(Kind::Hll, &[r#"{"add_all":["a","b"]}"#, r#"{"add":"b"}"#], "2");
}

#[test]
fn maps_have_fields_of_all_kinds() {
    let all = r#"{"update":{"n_counter":2,"s_set":{"add":"x"},"f_flag":"enable","r_register":"v",
        "m_map":{"update":{"r_register":{"assign":"w"}}},"n_set":{"add":"y"}}}"#;
    let value = r#"{"f_flag":true,"m_map":{"r_register":"w"},"n_counter":2,"n_set":["y"],"r_register":"v","s_set":["x"]}"#;
    check(Kind::Map, &[all], value);
    let then = r#"{"update":{"n_counter":-3,"f_flag":"disable","r_register":"u","s_set":{"remove":"x"}},
        "remove":["n_set","m_map"]}"#;
    let value = r#"{"f_flag":false,"n_counter":-1,"r_register":"u","s_set":[]}"#;
    check(Kind::Map, &[all, then], value);
    check(
        Kind::Map,
        &[
            all,
            r#"{"remove":"n_counter","update":{"n_counter":1}}"#,
            r#"{"remove":["f_flag","m_map","n_set","r_register","s_set"]}"#,
        ],
        r#"{"n_counter":1}"#,
    );
    check(
        Kind::Map,
        &[r#"{"update":{"a_b_set":{}, "_register":""}}"#],
        r#"{"_register":"","a_b_set":[]}"#,
    );
}

#[track_caller]
fn refused(kind: Kind, op: &str, text: &str) {
    let error = json::update(kind, PRECISION, op.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), text, "{op}");
}

#[test]
fn operations_that_there_are_not() {
    for (kind, op, named) in [
        (Kind::Set, "5", "5"),
        (Kind::Set, r#"{"add":5}"#, r#"{"add":5}"#),
        (Kind::Set, r#"{"add_all":["a",1]}"#, r#"{"add_all":["a",1]}"#),
        (Kind::Set, r#"{"update":[1]}"#, r#"{"update":[1]}"#),
        (Kind::GSet, r#"{"remove":"x"}"#, r#"{"remove":"x"}"#),
        (Kind::Hll, r#"{"remove":"x"}"#, r#"{"remove":"x"}"#),
        (Kind::Counter, "1.5", "1.5"),
        (Kind::Counter, "\"up\"", "\"up\""),
        (Kind::Counter, "{}", "{}"),
        (Kind::Counter, r#"{"increment":1,"decrement":1}"#, r#"{"increment":1,"decrement":1}"#),
        (Kind::Map, r#"{"grow":1}"#, r#""grow""#),
        (Kind::Map, "[]", "[]"),
        (Kind::Map, r#"{"update":[]}"#, r#"{"update":[]}"#),
        (Kind::Map, r#"{"remove":[1]}"#, r#"{"remove":[1]}"#),
    ] {
        let text = format!("Invalid operation on datatype '{}': {named}\n", kind.word());
        refused(kind, op, &text);
    }
    refused(Kind::Map, r#"{"update":{"f_flag":1}}"#, "Invalid operation on datatype 'flag': 1\n");
    let two = r#"{"update":{"r_register":{"assign":"a","x":1}}}"#;
    refused(
        Kind::Map,
        two,
        "Invalid operation on datatype 'register': {\"assign\":\"a\",\"x\":1}\n",
    );
    for name in ["x", "x_", "x_sets", "x_hll", "x_gset", ""] {
        let op = format!(r#"{{"update":{{"{name}":1}}}}"#);
        refused(Kind::Map, &op, &format!("Invalid map field name '{name}'\n"));
    }
    let bad_context = r#"{"add":"a","context":"zork"}"#;
    refused(Kind::Set, bad_context, "Couldn't decode JSON: {invalid_context,\"zork\"}\n");
    let error = json::update(Kind::Set, PRECISION, b"{").unwrap_err();
    assert!(error.to_string().starts_with("Couldn't decode JSON: "), "{error}");
    let error = json::update(Kind::Set, PRECISION, b"{\"add\":\"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "Malformed JSON submitted, invalid UTF-8");
}

#[test]
fn maps_lie_within_maps_to_a_depth() {
    let nested = |depth: usize| {
        let inner =
            (1..depth).fold("{}".to_owned(), |op, _| format!(r#"{{"update":{{"m_map":{op}}}}}"#));
        json::update(Kind::Map, PRECISION, inner.as_bytes())
    };
    let update = nested(limits::DEPTH).unwrap();
    let mut state = Datatype::new(Kind::Map);
    state.apply(&update, dot(1, 1), 7).unwrap();
    assert_eq!(Datatype::from_body(&state.to_body()).unwrap().unwrap(), state);
    for depth in [limits::DEPTH + 1, 60] {
        assert!(nested(depth).unwrap_err().to_string().contains("at most 32 deep"), "{depth}");
    }
    assert!(nested(10_000).is_err());
}

#[track_caller]
fn not_there(kind: Kind, op: &str, text: &str) {
    let update = json::update(kind, PRECISION, op.as_bytes()).unwrap();
    let error = Datatype::new(kind).apply(&update, dot(1, 1), 7).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Precondition, text), "{op}");
}

#[test]
fn what_is_not_there_is_not_removed_without_a_context() {
    let text = "{precondition,{not_present,<<\"x\">>}}";
    not_there(Kind::Set, r#"{"remove":"x"}"#, text);
    not_there(Kind::Map, r#"{"update":{"s_set":{"remove":"x"}}}"#, text);
    let text = "{precondition,{not_present,{<<\"s\">>,riak_dt_orswot}}}";
    not_there(Kind::Map, r#"{"remove":"s_set"}"#, text);
    not_there(Kind::Set, r#"{"remove":"é"}"#, "{precondition,{not_present,<<195,169>>}}");
}

#[test]
fn a_removal_removes_what_was_seen() {
    let mut state = done(Kind::Set, &[r#"{"add_all":["a","b"]}"#]);
    let seen = state.context().to_header();
    let again = json::update(Kind::Set, PRECISION, br#"{"add":"b"}"#).unwrap();
    state.apply(&again, dot(2, 1), 7).unwrap();
    let op = format!(r#"{{"remove_all":["a","b","c"],"context":"{seen}"}}"#);
    let remove = json::update(Kind::Set, PRECISION, op.as_bytes()).unwrap();
    state.apply(&remove, dot(1, 2), 7).unwrap();
    assert_eq!(json::value(&state), r#"["b"]"#);
    assert_eq!(state.deferred.count(), 0);
}

#[test]
fn a_removal_of_what_is_not_known_yet_waits_for_it() {
    let ahead =
        done(Kind::Map, &[r#"{"update":{"s_set":{"add":"a"},"f_flag":"enable","n_counter":1}}"#]);
    let seen = ahead.context().to_header();
    let op = format!(
        r#"{{"update":{{"s_set":{{"remove":"a"}},"f_flag":"disable"}},"remove":"n_counter","context":"{seen}"}}"#
    );
    let update = json::update(Kind::Map, PRECISION, op.as_bytes()).unwrap();
    let mut behind = Datatype::new(Kind::Map);
    behind.apply(&update, dot(2, 1), 7).unwrap();
    assert_eq!(json::value(&behind), r#"{"f_flag":false}"#);
    assert!(behind.deferred.count() > 0);
    let kept = Datatype::from_body(&behind.to_body()).unwrap().unwrap();
    assert_eq!(kept, behind);
    let mut joined = ahead.clone();
    joined.merge(&behind);
    behind.merge(&ahead);
    assert_eq!(joined, behind);
    assert_eq!(json::value(&behind), r#"{"f_flag":false,"s_set":[]}"#);
    assert_eq!(behind.deferred.count(), 0, "all has come that it meant");
}

#[test]
fn an_update_wins_against_a_removal_with_what_that_had_not_seen() {
    let first = done(Kind::Map, &[r#"{"update":{"s_set":{"add":"a"}}}"#]);
    let (mut updated, mut removed) = (first.clone(), first.clone());
    let add = json::update(Kind::Map, PRECISION, br#"{"update":{"s_set":{"add":"b"}}}"#).unwrap();
    updated.apply(&add, dot(2, 1), 7).unwrap();
    let op = format!(r#"{{"remove":"s_set","context":"{}"}}"#, first.context().to_header());
    let remove = json::update(Kind::Map, PRECISION, op.as_bytes()).unwrap();
    removed.apply(&remove, dot(3, 1), 7).unwrap();
    assert_eq!(json::value(&removed), "{}");
    updated.merge(&removed);
    assert_eq!(json::value(&updated), r#"{"s_set":["b"]}"#);
}

#[test]
fn documents_have_a_context_where_it_is_of_use() {
    let empty = VersionVector::new().to_header();
    for (kind, with, expect) in [
        (Kind::Counter, true, r#"{"type":"counter","value":0}"#.to_owned()),
        (Kind::Hll, true, r#"{"type":"hll","value":0}"#.to_owned()),
        (Kind::GSet, true, r#"{"type":"gset","value":[]}"#.to_owned()),
        (Kind::Set, true, format!(r#"{{"type":"set","value":[],"context":"{empty}"}}"#)),
        (Kind::Map, false, r#"{"type":"map","value":{}}"#.to_owned()),
    ] {
        assert_eq!(json::document(&Datatype::new(kind), with), expect);
    }
}

#[test]
fn there_are_so_many_entries_and_no_more() {
    let elements: Vec<String> = (0..limits::ENTRIES / 2).map(|n| format!("\"{n}\"")).collect();
    let op = format!(r#"{{"add_all":[{}]}}"#, elements.join(","));
    let mut state = done(Kind::Set, &[&op]);
    let add = json::update(Kind::Set, PRECISION, br#"{"add":"x"}"#).unwrap();
    let error = state.clone().apply(&add, dot(1, 2), 7).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let remove = json::update(Kind::Set, PRECISION, br#"{"remove":"7"}"#).unwrap();
    state.apply(&remove, dot(1, 2), 7).unwrap();
    state.apply(&add, dot(1, 3), 7).unwrap();
}
