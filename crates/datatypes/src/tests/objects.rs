//! Data types as values of objects.

use bytes::Bytes;
use mapring_types::{ErrorKind, Metadata, Object, Record, Sibling, VersionVector};

use super::examples::{PRECISION, dot};
use crate::json;
use crate::kind::Kind;
use crate::object;

fn count(object: &mut Object, actor: u64, counter: u64, by: &str) {
    let update = json::update(Kind::Counter, PRECISION, by.as_bytes()).unwrap();
    object::update(object, &update, dot(actor, counter), 100).unwrap();
}

fn number(object: &Object) -> Option<i128> {
    object::find(object, Kind::Counter).unwrap().and_then(|state| state.number())
}

fn add(object: &mut Object, actor: u64, content_type: &str, deleted: bool, seen: bool) {
    let context = if seen { object.clock.clone() } else { VersionVector::new() };
    let sibling = Sibling {
        dot: dot(actor, 1),
        last_modified: 200,
        deleted,
        metadata: Metadata { content_type: content_type.to_owned(), ..Metadata::default() },
        body: Bytes::from_static(b"text"),
    };
    object.update(&context, sibling);
}

#[test]
fn values_of_two_coordinators_are_one() {
    let mut first = Object::default();
    count(&mut first, 1, 5, "5");
    let mut second = first.clone();
    count(&mut first, 1, 9, "1");
    count(&mut second, 2, 3, "10");
    first.merge(&second);
    assert_eq!((first.siblings.len(), number(&first)), (2, Some(16)));
    let mut settled = first.clone();
    object::settle(&mut settled);
    assert_eq!((settled.siblings.len(), number(&settled)), (1, Some(16)));
    assert_eq!(settled.clock, first.clock);
    assert_eq!(Record::encode(&settled).decode().unwrap(), settled);
    count(&mut first, 2, 4, "-6");
    assert_eq!((first.siblings.len(), number(&first)), (1, Some(10)));
    // The other one hears of it late.
    second.merge(&first);
    assert_eq!((second.siblings.len(), number(&second)), (1, Some(10)));
}

#[test]
fn other_values_stay_and_a_deletion_goes() {
    let mut object = Object::default();
    count(&mut object, 1, 1, "5");
    add(&mut object, 2, "text/plain", false, false);
    add(&mut object, 3, Kind::Counter.content_type(), false, false);
    add(&mut object, 4, "", true, false);
    assert_eq!((object.siblings.len(), number(&object)), (4, Some(5)));
    count(&mut object, 1, 2, "1");
    assert_eq!((object.siblings.len(), number(&object)), (3, Some(6)));
    assert!(object::show(&mut object));
    let bodies: Vec<_> = object.siblings.iter().map(|sibling| sibling.body.as_ref()).collect();
    assert_eq!(bodies, [&b"6"[..], b"text", b"text"]);
    add(&mut object, 5, "", true, true);
    assert_eq!((object.is_tombstone(), number(&object)), (true, None));
    count(&mut object, 1, 3, "2");
    assert_eq!((object.siblings.len(), number(&object)), (1, Some(2)));
}

#[test]
fn what_was_removed_does_not_come_back_with_a_late_replica() {
    let mut object = Object::default();
    count(&mut object, 1, 1, "5");
    let late = object.clone();
    add(&mut object, 2, "", true, true);
    count(&mut object, 1, 2, "2");
    object.merge(&late);
    assert_eq!(number(&object), Some(2));
}

#[test]
fn nobody_waits_for_what_was_deleted() {
    let mut object = Object::default();
    let change = |object: &mut Object, actor, counter, op: &str| {
        let update = json::update(Kind::Set, PRECISION, op.as_bytes()).unwrap();
        object::update(object, &update, dot(actor, counter), 100).unwrap();
    };
    change(&mut object, 1, 1, r#"{"add_all":["a","b"]}"#);
    change(&mut object, 2, 1, r#"{"add":"c"}"#);
    let seen = object::find(&object, Kind::Set).unwrap().unwrap().context().to_header();
    add(&mut object, 3, "", true, true);
    change(&mut object, 1, 2, r#"{"add":"a"}"#);
    let op = format!(r#"{{"remove_all":["a","c"],"context":"{seen}"}}"#);
    change(&mut object, 1, 3, &op);
    let set = object::find(&object, Kind::Set).unwrap().unwrap();
    assert_eq!(json::value(&set), r#"["a"]"#);
    assert_eq!(set.count(), 2, "an element and its dot");
}

#[test]
fn a_value_that_has_seen_what_is_still_to_be_written_is_refused() {
    let mut forged = Object::default();
    count(&mut forged, 1, 9, "5");
    let sibling = Sibling { dot: dot(2, 1), ..forged.siblings.remove(0) };
    let mut object = Object::default();
    object.update(&VersionVector::new(), sibling);
    let update = json::update(Kind::Counter, PRECISION, b"1").unwrap();
    let error = object::update(&mut object.clone(), &update, dot(1, 9), 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    count(&mut object, 1, 10, "1");
    assert_eq!(number(&object), Some(6));
}

#[test]
fn heads_name_data_types() {
    let mut object = Object::default();
    add(&mut object, 1, "text/plain; about=application", false, false);
    assert!(!object::may_be_in(&Record::encode(&object).head));
    count(&mut object, 2, 1, "1");
    assert!(object::may_be_in(&Record::encode(&object).head));
}
