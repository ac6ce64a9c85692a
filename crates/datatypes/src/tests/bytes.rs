//! What is stored and sent: read back, and never trusted.

use bytes::Bytes;
use mapring_types::{ErrorKind, Versioned};
use proptest::prelude::*;

use super::examples::PRECISION;
use super::histories::{History, history};
use crate::json;
use crate::kind::Kind;
use crate::op::Update;
use crate::state::Datatype;

/// A body of one of the kinds, as the first release that has them writes it.
#[track_caller]
fn kept(kind: Kind, ops: &[&str], body: &[u8]) {
    let mut state = Datatype::new(kind);
    for (at, op) in ops.iter().enumerate() {
        let update = json::update(kind, PRECISION, op.as_bytes()).unwrap();
        state.apply(&update, super::examples::dot(1, at as u64 + 1), 7).unwrap();
    }
    assert_eq!(state.to_body().escape_ascii().to_string(), body.escape_ascii().to_string());
    assert_eq!(Datatype::from_body(&Bytes::copy_from_slice(body)).unwrap(), Some(state));
}

#[test]
fn what_the_first_release_stored_is_read() {
    let actor = b"\0\0\0\0\0\0\0\x01";
    let body = |kind: u8, clock: u8, rest: &[u8]| {
        [b"\xc3rdt\x01", &[kind, 1][..], actor, &[clock], rest, b"\0"].concat()
    };
    kept(Kind::Counter, &["5", "-7"], &body(0, 2, b"\x01\0\x02\x03"));
    kept(Kind::Set, &[r#"{"add":"ab"}"#], &body(1, 1, b"\x01\x02ab\x01\0\x01"));
    let map = r#"{"update":{"f_flag":"enable","r_register":"v"}}"#;
    let fields = b"\x02\x04\x01f\x01\0\x01\x01\0\x01\x03\x01r\x01\0\x01\x01\0\x01\x07\x01v";
    kept(Kind::Map, &[map], &body(2, 1, fields));
    kept(Kind::GSet, &[r#"{"add":"ab"}"#], b"\xc3rdt\x01\x03\0\x01\x02ab\0");
    kept(Kind::Hll, &[], b"\xc3rdt\x01\x04\0\0\0");
}

#[test]
fn other_bodies_are_no_data_types() {
    for body in [&b""[..], b"text", b"\xc3rd", b"{\"a\":1}"] {
        assert_eq!(Datatype::from_body(&Bytes::copy_from_slice(body)).unwrap(), None);
    }
    let later = Datatype::from_body(&Bytes::from_static(b"\xc3rdt\x09\0")).unwrap_err();
    assert_eq!(later.kind(), ErrorKind::Unavailable, "it is no damage: {later}");
    for body in [&b"\xc3rdt"[..], b"\xc3rdt\x01", b"\xc3rdt\x01\x07\0", b"\xc3rdt\x01\x01\xff"] {
        let error = Datatype::from_body(&Bytes::copy_from_slice(body)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{body:?}");
    }
}

proptest! {
    #[test]
    fn states_and_updates_are_read_back(history in history()) {
        let History { kind, .. } = history;
        for state in history.play(usize::MAX) {
            prop_assert_eq!(Datatype::from_body(&state.to_body()).unwrap().unwrap(), state);
        }
        for update in history.updates() {
            prop_assert_eq!(update.kind(), kind);
            prop_assert_eq!(Update::decode(&update.encode()).unwrap(), update);
        }
    }

    #[test]
    fn changed_bytes_never_panic(
        history in history(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let changed = |bytes: Bytes| {
            let mut bytes = bytes.to_vec();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            Bytes::from(bytes)
        };
        for state in history.play(usize::MAX) {
            if let Ok(Some(read)) = Datatype::from_body(&changed(state.to_body())) {
                // What is taken can be worked with.
                json::document(&read, true);
                let mut joined = read.clone();
                if read.kind() == state.kind() {
                    joined.merge(&state);
                }
                prop_assert_eq!(Datatype::from_body(&joined.to_body()).unwrap().unwrap(), joined);
            }
        }
        for update in history.updates() {
            let _ = Update::decode(&changed(update.encode()));
        }
    }
}
