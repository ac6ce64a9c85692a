//! What former releases have stored and sent is read, byte for byte as they made it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use bytes::Bytes;
use mapring_types::{
    ActorId, Blocks, Dot, IndexValue, Link, Metadata, Object, Record, Release, Sibling, UploadId,
    VersionVector,
};

/// The bytes that are kept under a name.
fn kept(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dot(actor: u64, counter: u64) -> Dot {
    Dot { actor: ActorId(actor), counter }
}

fn clock(dots: &[(u64, u64)]) -> VersionVector {
    let mut clock = VersionVector::new();
    dots.iter().for_each(|&(actor, counter)| clock.add(dot(actor, counter)));
    clock
}

/// An object with all that there can be.
fn object() -> Object {
    let metadata = Metadata {
        content_type: "text/plain".to_owned(),
        charset: Some("utf-8".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        links: vec![Link {
            bucket: Bytes::from_static(b"people"),
            key: Bytes::from_static(b"\xff\x00"),
            tag: Bytes::from_static(b"friend"),
        }],
        user: vec![("X-Riak-Meta-Color".to_owned(), Bytes::from_static(b"blue"))],
        indexes: vec![
            ("age_int".to_owned(), IndexValue::Int("-12".to_owned())),
            ("name_bin".to_owned(), IndexValue::Bin(Bytes::from_static(b"ann"))),
        ],
        blocks: None,
    };
    let value = Sibling {
        dot: dot(7, 300),
        last_modified: 1_700_000_000_000_000,
        deleted: false,
        metadata,
        body: Bytes::from_static(b"one value"),
    };
    let tombstone = Sibling {
        dot: dot(u64::MAX, 1),
        last_modified: 1_700_000_000_000_001,
        deleted: true,
        metadata: Metadata::default(),
        body: Bytes::new(),
    };
    let other = Sibling { dot: dot(9, 2), body: Bytes::from_static(b"other"), ..value.clone() };
    let clock = clock(&[(1, 5), (7, 300), (9, 4), (u64::MAX, 1)]);
    Object { clock, siblings: vec![value, other, tombstone] }
}

#[test]
fn records() {
    let record = Record { head: kept("record-1.head").into(), body: kept("record-1.body").into() };
    assert_eq!(record.decode().unwrap(), object());
    assert_eq!(Record::sibling_count(&record.head).unwrap(), 3);
    assert_eq!(Record::len_by_head(&record.head).unwrap(), record.len() as u64);
    let heads = Record::decode_without_bodies(&record.head).unwrap();
    assert_eq!(heads.clock, object().clock);
    assert_eq!(Record::encode_for(&object(), Release::FIRST), record);
}

/// As [`object`], with a value whose bytes lie in blocks.
fn large_object() -> Object {
    let mut object = object();
    let upload = UploadId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let blocks = Blocks { upload, bytes: 1 << 30, block_bytes: 1 << 20, n_val: 3 };
    object.siblings[1].metadata.blocks = Some(Box::new(blocks));
    object.siblings[1].body = Bytes::new();
    object
}

#[test]
fn records_with_bodies_in_blocks() {
    let record = Record { head: kept("record-2.head").into(), body: "one value".into() };
    assert_eq!(record.decode().unwrap(), large_object());
    assert!(record.may_have_blocks() && record.is_later_than(Release::MEMBERS_TELL));
    assert_eq!(Record::sibling_count(&record.head).unwrap(), 3);
    assert_eq!(Record::len_by_head(&record.head).unwrap(), record.len() as u64);
    assert_eq!(Record::encode_for(&large_object(), Release::GROUPS), record);
    let whole = Record::encode_for(&object(), Release::GROUPS);
    assert!(!whole.may_have_blocks(), "who has none is stored as before");
}

#[test]
fn clocks_of_clients() {
    let text = String::from_utf8(kept("vclock-1.txt")).unwrap();
    assert_eq!(VersionVector::from_header(&text).unwrap(), object().clock);
    assert_eq!(object().clock.to_header(), text);
}
