//! Objects as they are stored and sent, properties, and updates of data types.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use mapring_datatypes::{Datatype, Kind, Update, json};
use mapring_fuzz::Corpus;
use mapring_types::props::{check, check_new};
use mapring_types::{ActorId, BucketProps, Dot, ErrorKind, Quorum, Record, Release, Versioned};
use serde_json::Value;

use crate::text;

/// The folder of what former releases have written, of a crate.
fn fixtures(krate: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("fixtures")
}

/// A record's head; the body is as long as the head says, as far as that is short.
#[test]
fn fuzz_records() {
    Corpus::made("records").and_files(&fixtures("types")).run(|head| {
        let Ok(length) = Record::len_by_head(head) else { return };
        let count = Record::sibling_count(head).unwrap();
        let short = Record::decode_without_bodies(head).unwrap();
        assert_eq!(short.siblings.len(), count);
        let Ok(body) = usize::try_from(length - head.len() as u64) else { return };
        if body > 1 << 20 {
            return;
        }
        let record = Record { head: Bytes::copy_from_slice(head), body: vec![7_u8; body].into() };
        assert_eq!(record.len() as u64, length);
        let object = record.decode().unwrap();
        assert_eq!(object.clock, short.clock);
        let written = Record::encode_for(&object, Release::current());
        assert_eq!(written.decode().unwrap(), object);
        let longer = Record { body: vec![7_u8; body + 1].into(), ..record };
        assert_eq!(longer.decode().unwrap_err().kind(), ErrorKind::Corrupt);
    });
}

/// Properties that are taken can be read, and what is read can be put back.
#[test]
fn fuzz_properties() {
    Corpus::of("properties").run(|bytes| {
        let Ok(Value::Object(given)) = serde_json::from_slice(bytes) else { return };
        match check(&given) {
            Ok(changes) => {
                assert!(changes.0.keys().all(|name| given.contains_key(name)));
                assert_eq!(check(&changes.0), Ok(changes.clone()), "what was checked is right");
                let props = BucketProps::default().with(&changes);
                let shown = props.to_json("b");
                let put_back = check(&shown).unwrap();
                assert_eq!(BucketProps::default().with(&put_back).to_json("b"), shown);
            }
            Err(wrong) => {
                assert!(!wrong.is_empty());
                for (name, why) in wrong {
                    assert!(given.contains_key(&name) && !why.is_empty(), "{name}: {why}");
                }
            }
        }
        if let Err(wrong) = check_new(&given) {
            assert!(wrong.values().all(|why| !why.is_empty()), "{wrong:?}");
        }
    });
}

#[test]
fn fuzz_quorums() {
    Corpus::of("quorums").run(|bytes| {
        let Some(quorum) = text(bytes).and_then(Quorum::parse) else { return };
        assert_eq!(Quorum::from_json(&quorum.to_json()), Some(quorum));
    });
}

#[test]
fn fuzz_updates() {
    Corpus::of("updates").run(|bytes| {
        for kind in [Kind::Counter, Kind::Set, Kind::Map, Kind::GSet, Kind::Hll] {
            match json::update(kind, 4, bytes) {
                Ok(update) => changes(kind, &update),
                Err(why) => assert!(!why.to_string().is_empty()),
            }
        }
    });
}

fn changes(kind: Kind, update: &Update) {
    assert_eq!(update.kind(), kind);
    assert_eq!(Update::decode(&update.encode()).unwrap(), *update);
    let dot = Dot { actor: ActorId(0x5eed), counter: 1 };
    // Whoever stamps gives no dot that a client claims to have seen.
    if update.context.as_ref().is_some_and(|seen| seen.get(dot.actor) > 0) {
        return;
    }
    let mut state = Datatype::new(kind);
    match state.apply(update, dot, 7) {
        Ok(()) => {
            assert_eq!(Datatype::from_body(&state.to_body()).unwrap().as_ref(), Some(&state));
            let shown = json::document(&state, true);
            assert!(serde_json::from_str::<Value>(&shown).is_ok(), "{shown}");
        }
        Err(error) => assert!(!error.message().is_empty()),
    }
}
