//! What former releases have stored and sent is read, byte for byte as they made it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapring_filters::EntryTest;
use mapring_net::Call;
use mapring_ring::Partition;
use mapring_types::versioned::to_postcard;
use mapring_types::{
    ActorId, Blocks, BucketId, Dot, IndexValue, Metadata, NodeId, Object, ObjectId, Quorum, Record,
    Release, Sibling, SyncOnWrite, UploadId, VersionVector, Versioned,
};

use crate::peer::extent::{self, Extent};
use crate::peer::wire::{self, *};
use crate::repair::answer::{AskHeads, AskRepair, Heads};
use crate::scan::census::{AskCensus, Counted, Figures, Found, Wanted};
use crate::scan::entries::{AskEntries, Entries};
use crate::scan::fold::{Cursor, Selection};
use crate::scan::names::{Buckets, Keys, Names};
use crate::scan::select::{AskClocks, Clocks, Part};
use crate::staleness::holdings::{AskHoldings, Holdings};
use crate::staleness::integrity;
use crate::staleness::progress::Progress;
use crate::staleness::status::ReplicationStatus;
use crate::staleness::survey::{AskStaleness, StalenessReport};
use crate::storage::actor;
use crate::storage::graves::{self, Grave};
use crate::storage::inflight::{Entry, Source, WriteMark};
use crate::storage::slice::Slice;
use crate::write::{Asked, NewValue, Write, WriteQuorums};

fn id() -> ObjectId {
    ObjectId::new(BucketId::typed(&b"maps"[..], &b"b"[..]), &b"k\xff"[..])
}

fn dot(actor: u64, counter: u64) -> Dot {
    Dot { actor: ActorId(actor), counter }
}

fn clock() -> VersionVector {
    let mut clock = VersionVector::new();
    clock.add(dot(7, 300));
    clock.add(dot(1 << 60, 1));
    clock
}

fn record() -> Record {
    let sibling = Sibling {
        dot: dot(7, 300),
        last_modified: 1_700_000_000_000_000,
        deleted: false,
        metadata: Metadata { content_type: "text/plain".to_owned(), ..Metadata::default() },
        body: Bytes::from_static(b"one"),
    };
    Record::encode_for(&Object { clock: clock(), siblings: vec![sibling] }, Release::FIRST)
}

const SOURCE: Source = Source { node: NodeId(1 << 50), incarnation: 1_700_000_000 };
const MARK: WriteMark = WriteMark { source: SOURCE, number: 300 };
const REPLICA: Replica = Replica { vnode: Partition(7), primary: true };
const EXTENT: Extent = Extent { incarnation: 3, store: u64::MAX, position: 70_000 };

fn status() -> ReplicationStatus {
    ReplicationStatus {
        incarnation: 5,
        sequence: 300,
        watermark: 7,
        hinted: vec![Partition(1), Partition(300)],
        held: vec![Partition(2)],
        opened: EXTENT,
        extent: Extent { position: 80_000, ..EXTENT },
    }
}

fn write() -> Write {
    let body = Bytes::from_static(b"body");
    Write {
        vnode: Partition(7),
        id: id(),
        write_id: 9,
        asked_at: 1_700_000_000_000_000,
        sent_at: 1_700_000_000_000_001,
        context: Some(clock()),
        value: NewValue { metadata: Metadata::default(), body, deleted: false },
        quorums: WriteQuorums { w: Quorum::Majority, dw: Quorum::Count(2), pw: Quorum::Default },
        timeout_ms: 60_000,
        unchanged: None,
        alone: false,
        updates: false,
        asked: Asked::default(),
    }
}

fn piece() -> Piece {
    Piece { record: record(), before: vec![dot(1, 2)], left: 70_000 }
}

fn slice() -> Slice {
    Slice { vnode: Partition(7), home: Partition(8), after: Some(id()) }
}

fn part() -> Part {
    let selection = Selection::Terms {
        field: "f_bin".to_owned(),
        from: IndexValue::Bin(Bytes::from_static(b"a")),
        to: IndexValue::Bin(Bytes::from_static(b"b")),
    };
    Part {
        vnode: Partition(7),
        home: Partition(8),
        bucket: BucketId::untyped("b"),
        selection,
        after: Some(Cursor::new(&b"c"[..])),
        upto: None,
    }
}

fn progress() -> Progress {
    Progress {
        complete: true,
        lost: Some("what".to_owned()),
        slices: 1,
        filled: 2,
        compared: 3,
        fetched: 4,
        given: 5,
        removed: 6,
        kept: 7,
        kept_names: vec!["n".to_owned()],
        waits_for: None,
    }
}

const SENDER: Sender = Sender { plan: 3, incarnation: 1 << 50, position: 70_000 };

fn kept(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is kept under a name is read as the call, and the call is written so for readers of the first
/// release.
#[track_caller]
fn check_call<C: Call + std::fmt::Debug>(name: &str, call: C) {
    let kept = kept(&format!("message-4-{name}"));
    let read = wire::decode::<C>(&kept).unwrap();
    assert_eq!((read.version, read.sender), (4, SENDER), "{name}");
    assert_eq!(format!("{:?}", read.call), format!("{call:?}"), "{name}");
    let version = wire::version_at(Release::FIRST);
    assert_eq!(wire::encode(version, SENDER, &call).unwrap(), kept, "{name}");
}

#[track_caller]
fn check_answer<C: Call<Answer: std::fmt::Debug>>(name: &str, answer: C::Answer) {
    let kept = kept(&format!("message-4-{name}-answer"));
    let (sender, read) = wire::decode_answer::<C>(&kept).unwrap();
    assert_eq!(format!("{:?}", read.unwrap()), format!("{answer:?}"), "{name}");
    assert_eq!(sender, SENDER, "{name}");
    assert_eq!(wire::encode_answer::<C>(4, SENDER, Ok(answer)).unwrap(), kept, "{name}");
}

#[track_caller]
fn check_stored<T: Versioned + std::fmt::Debug + PartialEq>(name: &str, value: T, written: &[u8]) {
    assert_eq!(T::decode(&kept(name)).unwrap(), value, "{name}");
    assert_eq!(written, kept(name), "{name}");
}

/// What is read of a call is written, and read as the same.
fn comes_back<C: Call + std::fmt::Debug>(bytes: &[u8]) {
    // Answers are read by whoever asked.
    let _ = wire::decode_answer::<C>(bytes);
    let Ok(read) = wire::decode::<C>(bytes) else { return };
    let written = wire::encode(read.version, read.sender, &read.call).unwrap();
    let again = wire::decode::<C>(&written).unwrap();
    assert_eq!(format!("{:?}", again.call), format!("{:?}", read.call));
}

fn is_kept<T: Versioned + serde::Serialize + std::fmt::Debug + PartialEq>(bytes: &[u8]) {
    let Ok(read) = T::decode(bytes) else { return };
    assert_eq!(T::decode(&to_postcard(&read).unwrap()).unwrap(), read);
}

fn fixtures() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

#[test]
fn fuzz_calls() {
    mapring_fuzz::Corpus::made("kv_calls").and_files(&fixtures()).run(|bytes| {
        comes_back::<Read>(bytes);
        comes_back::<Merge>(bytes);
        comes_back::<MergePiece>(bytes);
        comes_back::<ReadSlim>(bytes);
        comes_back::<Write>(bytes);
        comes_back::<CoordinateIf>(bytes);
        comes_back::<CoordinateInBlocks>(bytes);
        comes_back::<UpdateDatatype>(bytes);
        comes_back::<Keys>(bytes);
        comes_back::<AskClocks>(bytes);
        comes_back::<Bury>(bytes);
        comes_back::<ReplicationStatus>(bytes);
        let _ = wire::sender(bytes);
    });
}

#[test]
fn fuzz_what_is_stored() {
    mapring_fuzz::Corpus::made("kv_stored").and_files(&fixtures()).run(|bytes| {
        is_kept::<Entry>(bytes);
        is_kept::<actor::Stored>(bytes);
        is_kept::<ReplicationStatus>(bytes);
        let _ = Extent::decode(bytes);
        let _ = Grave::decode(bytes);
        let _ = integrity::Stored::decode(bytes);
    });
}

fn grave() -> Grave {
    Grave { clock: clock(), at: 1_700_000_000_000_000 }
}

#[test]
fn what_former_releases_stored_is_read() {
    let numbers = vec![0, 7, u64::MAX];
    assert_eq!(integrity::Stored::decode(&kept("numbers-1")).unwrap().0, numbers);
    assert_eq!(integrity::Stored(numbers).encode(), kept("numbers-1"));
    let written = to_postcard(&Entry::Write { mark: MARK, id: id() }).unwrap();
    check_stored("log-1-write", Entry::Write { mark: MARK, id: id() }, &written);
    let written = to_postcard(&Entry::Settled { source: SOURCE, watermark: 300 }).unwrap();
    check_stored("log-1-settled", Entry::Settled { source: SOURCE, watermark: 300 }, &written);
    let written = extent::encode(NodeId(7), &EXTENT).unwrap().1.head;
    check_stored("extent-1", EXTENT, &written);
    check_stored("grave-1", grave(), &grave().encode().unwrap().head);
    check_stored("status-3", status(), &to_postcard(&status()).unwrap());
    let before =
        ReplicationStatus { opened: Extent::default(), extent: Extent::default(), ..status() };
    assert_eq!(ReplicationStatus::decode(&kept("status-2")).unwrap(), before);
    for (name, seal) in [("actor-1-used", None), ("actor-1-sealed", Some(77))] {
        let stored = || actor::Stored { actor: ActorId(1 << 60), counter: 300, seal };
        check_stored(name, stored(), &to_postcard(&stored()).unwrap());
    }
}

const BLOCKS: Blocks =
    Blocks { upload: UploadId(1 << 100), bytes: 1 << 30, block_bytes: 1 << 20, n_val: 3 };

fn in_blocks() -> CoordinateInBlocks {
    CoordinateInBlocks { write: write(), blocks: BLOCKS, alone: true, unchanged: Some(clock()) }
}

/// Its bytes are those of `coordinate`, and behind them: the variant and the number of the quorum (4, 2),
/// whether anything is said of syncs and the variant of that (1, 2), the blocks as in
/// `coordinate-in-blocks` behind a 1, that it is alone (1), the clock behind a 1, and a 0.
fn asked_for() -> CoordinateAsked {
    CoordinateAsked {
        write: write(),
        asked: Asked { node_confirms: Quorum::Count(2), sync_on_write: Some(SyncOnWrite::All) },
        blocks: Some(BLOCKS),
        alone: true,
        unchanged: Some(clock()),
        updates: false,
    }
}

#[test]
fn calls_about_objects_of_former_releases_are_read() {
    check_call("read", Read { replica: REPLICA, id: id() });
    check_answer::<Read>("read", Had { record: Some(record()), sure: true });
    check_call("merge", Merge { replica: REPLICA, id: id(), record: record(), mark: Some(MARK) });
    check_answer::<Merge>("merge", ());
    check_call(
        "merge-piece",
        MergePiece { replica: REPLICA, id: id(), piece: piece(), mark: None },
    );
    check_answer::<MergePiece>("merge-piece", ());
    check_call(
        "read-piece",
        ReadPiece { from: Giver::Replica(REPLICA), id: id(), have: vec![dot(1, 2)], most: 70_000 },
    );
    check_answer::<ReadPiece>("read-piece", Some(piece()));
    check_call("read-slim", ReadSlim { replica: REPLICA, id: id(), vtag: Some("tag".to_owned()) });
    check_answer::<ReadSlim>("read-slim", Some(Slim { record: record(), bytes: 300 }));
    check_call("leave", Leave { replica: REPLICA, id: id() });
    check_answer::<Leave>("leave", None);
    check_call("coordinate", write());
    check_answer::<Write>("coordinate", record());
    check_call("coordinate-if", CoordinateIf(write(), clock()));
    check_answer::<CoordinateIf>("coordinate-if", record());
    check_call("coordinate-in-blocks", in_blocks());
    check_answer::<CoordinateInBlocks>("coordinate-in-blocks", record());
    check_call("update-datatype", UpdateDatatype { write: write(), alone: true });
    check_answer::<UpdateDatatype>("update-datatype", record());
    check_call("coordinate-asked", asked_for());
    check_answer::<CoordinateAsked>("coordinate-asked", record());
    // Nothing is said but who asks.
    check_call("sync-disk", SyncDisk);
    check_answer::<SyncDisk>("sync-disk", ());
    check_call("remove", Remove { replica: REPLICA, id: id(), clock: clock() });
    check_answer::<Remove>("remove", true);
    // It travels as its write does.
    check_call("coordinate", CoordinateAlone(write()));
}

#[test]
fn other_calls_of_former_releases_are_read() {
    check_call("keys", Keys { slice: slice(), bucket: BucketId::untyped("b") });
    check_answer::<Keys>("keys", Names { names: vec![Bytes::from_static(b"k")], next: Some(id()) });
    check_call("buckets", Buckets { slice: slice(), bucket_type: Bytes::from_static(b"maps") });
    check_answer::<Buckets>("buckets", Names { names: vec![Bytes::from_static(b"b")], next: None });
    check_call(
        "staleness",
        AskStaleness { settle: true, recover: vec![SOURCE], without: BTreeSet::from([NodeId(3)]) },
    );
    check_answer::<AskStaleness>(
        "staleness",
        StalenessReport {
            status: status(),
            catching_up: true,
            in_flight: vec![SOURCE],
            remembered: vec![(NodeId(3), status())],
            yours: Some(EXTENT),
        },
    );
    check_call("status", status());
    check_answer::<ReplicationStatus>("status", ());
    check_call("holdings", AskHoldings);
    check_answer::<AskHoldings>(
        "holdings",
        Holdings { objects: BTreeMap::from([(Partition(3), 300)]), at_least: true },
    );
    check_call("heads", AskHeads { slice: slice() });
    check_answer::<AskHeads>("heads", Heads { items: vec![(id(), clock())], next: Some(id()) });
    check_call("fetch", Fetch { vnode: Partition(7), ids: vec![id()] });
    check_answer::<Fetch>("fetch", vec![Some(record()), None]);
    check_call("repair", AskRepair);
    check_answer::<AskRepair>("repair", progress());
    check_call("clocks", AskClocks { part: part(), most: 300 });
    check_answer::<AskClocks>(
        "clocks",
        Clocks { items: vec![(Cursor::new(&b"c"[..]), clock())], next: None },
    );
    check_call("graves", AskGraves { slice: slice() });
    check_answer::<AskGraves>("graves", graves::Page { graves: vec![(id(), grave())], next: None });
    check_call("bury", Bury { vnode: Partition(7), graves: vec![(id(), grave())] });
    check_answer::<Bury>("bury", ());
    check_call("known", AskKnown { vnode: Partition(7), ids: vec![id()] });
    check_answer::<AskKnown>("known", vec![true, false]);
    let refusal = kept("message-4-refusal");
    let refusal = wire::decode_answer::<Bury>(&refusal).unwrap().1.unwrap_err();
    assert_eq!(refusal.kind(), mapring_types::ErrorKind::WrongPlan);
    assert_eq!(refusal.message(), "vnode 7 is not owned here");
}

#[test]
fn calls_of_scans_of_former_releases_are_read() {
    // The part is that of `clocks`; behind it stand the test (a 1, its variant, its text) and 300.
    let test = Some(EntryTest::Give("a".to_owned()));
    check_call("entries", AskEntries { part: part(), test, most: 300 });
    // Places and what is given of each are texts behind their lengths, the latter behind a 1.
    let item = (Cursor::new(&b"c"[..]), Some(Bytes::from_static(b"g")));
    check_answer::<AskEntries>(
        "entries",
        Entries { items: vec![item], next: Some(Cursor::new(&b"d"[..])) },
    );
    // Behind the part: the variant (2) with its number, and the seconds behind a 1.
    check_call(
        "census",
        AskCensus { part: part(), wanted: Wanted::Larger(300), modified: Some((1, 300)) },
    );
    // A map is its length, and each of its keys before what belongs to it.
    let (sizes, siblings) = (BTreeMap::from([(2, 3)]), BTreeMap::from([(1, 3)]));
    check_answer::<AskCensus>(
        "census",
        Counted {
            found: vec![Found { key: Bytes::from_static(b"k"), value: 300, clock: clock() }],
            figures: Figures { count: 3, bytes: 70_000, sizes, siblings },
            next: None,
        },
    );
}
