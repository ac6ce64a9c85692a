//! Folds over ranges of keys and of indexes, and over several replicas.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mapring_cluster::Cluster;
use mapring_engine::{Engine, IndexChange, ScanDepth, StoreKey, TermPlace, TermRange};
use mapring_kv::{
    Cursor, DeleteOptions, FoldRequest, Item, KeyTest, Kv, PutOptions, Refine, Selection,
};
use mapring_ring::Partition;
use mapring_types::{Error, ErrorKind, IndexValue, ObjectId, Record, Result, VersionVector};

use crate::support::*;

fn int(number: i64) -> IndexValue {
    IndexValue::Int(number.to_string())
}

fn terms(from: i64, to: i64) -> Selection {
    Selection::Terms { field: "n_int".into(), from: int(from), to: int(to) }
}

async fn put_with(
    kv: &Kv,
    id: &ObjectId,
    context: Option<&VersionVector>,
    numbers: &[i64],
) -> VersionVector {
    let mut value = value(format!("{numbers:?}"));
    value.metadata.indexes = numbers.iter().map(|number| ("n_int".into(), int(*number))).collect();
    kv.put(id, context.cloned(), value, &PutOptions::default()).await.unwrap().clock
}

/// A fold of one slice.
fn request(vnode: Partition, home: Partition, selection: Selection) -> FoldRequest {
    FoldRequest {
        vnode,
        home,
        bucket: bucket(),
        selection,
        after: None,
        depth: ScanDepth::Records,
        most: 7,
        keep: None,
        refine: None,
        replicas: 1,
        complete: false,
    }
}

/// All pages of a slice; checks that they go on where they should.
async fn fold(kv: &Kv, mut request: FoldRequest) -> Result<Vec<Item>> {
    let mut all: Vec<Item> = Vec::new();
    loop {
        let page = kv.fold_page(request.clone()).await?;
        assert!(page.items.len() <= request.most);
        for item in &page.items {
            assert!(all.last().is_none_or(|last| last.cursor < item.cursor), "out of order");
        }
        if let (Some(next), Some(last)) = (&page.next, page.items.last()) {
            assert!(last.cursor <= *next);
        }
        assert!(page.next.is_none() || page.next > request.after, "no progress");
        all.extend(page.items);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return Ok(all),
        }
    }
}

impl TestCluster {
    /// The fold of all partitions, each at its `nth` primary; objects with the text of their values.
    async fn fold_all(
        &self,
        nth: usize,
        change: impl Fn(FoldRequest) -> FoldRequest,
        selection: &Selection,
    ) -> Result<Vec<(String, String)>> {
        let view = self.nodes[0].cluster.view();
        let mut all = Vec::new();
        for home in view.plan().ring_size().partitions() {
            let vnode = view.plan().replicas(home).nth(nth).unwrap();
            let node = view.plan().owner(vnode).unwrap();
            let at = self.nodes.iter().position(|other| other.id == node).unwrap();
            let request = change(request(vnode, home, selection.clone()));
            for item in fold(self.kv(at), request).await? {
                let key = String::from_utf8(item.id.key.to_vec()).unwrap();
                let depth = item.record.decode();
                all.push((key, depth.map_or_else(|_| String::new(), |o| bodies(&o).join("|"))));
            }
        }
        all.sort();
        Ok(all)
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_range_of_keys_is_read_alone() {
    let cluster = TestCluster::start(1, 8).await;
    for n in 0..300 {
        put(cluster.kv(0), &key(format!("k{n:03}")), "v").await;
    }
    let keys =
        |from: &'static str, to: &'static str| Selection::Keys { from: from.into(), to: to.into() };
    for (from, to, expect) in [
        ("k100", "k199", 100..200),
        ("k1", "k2", 100..200),
        ("", "zz", 0..300),
        ("k299", "k299", 299..300),
        ("k2", "k1", 0..0),
    ] {
        let found = cluster.fold_all(0, |r| r, &keys(from, to)).await.unwrap();
        let expect: Vec<_> = expect.map(|n| (format!("k{n:03}"), "v".to_owned())).collect();
        assert_eq!(found, expect, "{from} to {to}");
    }
    let from = Selection::KeysFrom { from: "k270".into() };
    assert_eq!(cluster.fold_all(0, |r| r, &from).await.unwrap().len(), 30);
    // Seeked, not filtered: nothing outside the range is looked at.
    let (mut looked_at, mut found) = (0, 0);
    for home in (0..8).map(Partition) {
        let request = FoldRequest { most: 1_000, ..request(home, home, keys("k100", "k109")) };
        let page = cluster.kv(0).fold_page(request).await.unwrap();
        looked_at += page.looked_at;
        found += page.items.len();
    }
    assert_eq!((looked_at, found), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_test_of_keys_refuses_before_reading_and_pages_stay_bounded() {
    let cluster = TestCluster::start(1, 8).await;
    let place = |n: usize| {
        let id = key(format!("k{n:06}"));
        (cluster.kv(0).preference(&id).unwrap().primaries[0].vnode, id)
    };
    let object = put(cluster.kv(0), &key("model"), "v").await;
    let many = 45_000;
    let here: Vec<_> = (0..).map(place).filter(|(home, _)| home.0 == 3).take(many).collect();
    let node = cluster.id(0);
    for (home, id) in &here {
        cluster.store_at(node, home.0, id, &object);
    }
    let tested = Arc::new(AtomicUsize::new(0));
    let count = tested.clone();
    let nothing: KeyTest = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(false)
    });
    let mut request = request(Partition(3), Partition(3), Selection::All);
    request.keep = Some(nothing);
    let mut pages = 0;
    loop {
        let page = cluster.kv(0).fold_page(request.clone()).await.unwrap();
        assert!(page.items.is_empty() && page.looked_at <= 20_000);
        pages += 1;
        match page.next {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    assert_eq!((pages, tested.load(Ordering::Relaxed)), (3, many));
    let some = |key: &[u8]| Ok(key.ends_with(b"7"));
    request = FoldRequest { after: None, keep: Some(Arc::new(some)), most: 1_000, ..request };
    let found = fold(cluster.kv(0), request.clone()).await.unwrap();
    let expect = here.iter().filter(|(_, id)| id.key.ends_with(b"7"));
    assert!(found.iter().map(|item| &item.id).eq(expect.map(|(_, id)| id)));
    request.keep = Some(Arc::new(|_: &[u8]| Err(Error::invalid("a bad test"))));
    let error = cluster.kv(0).fold_page(request).await.unwrap_err();
    assert_eq!(error.to_string(), "a bad test");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_met_once_for_each_of_its_terms() {
    let cluster = TestCluster::start(3, 8).await;
    let kv = cluster.kv(0);
    for n in 0..60 {
        put_with(kv, &key(format!("k{n:02}")), None, &[n, n + 1, -n]).await;
    }
    let found = cluster.fold_all(0, |r| r, &terms(10, 11)).await.unwrap();
    let texts = |numbers: &[i64]| -> Vec<(String, String)> {
        numbers.iter().map(|n| (format!("k{n:02}"), format!("{:?}", [*n, n + 1, -n]))).collect()
    };
    assert_eq!(found, texts(&[9, 10, 10, 11]));
    assert_eq!(cluster.fold_all(2, |r| r, &terms(-3, -2)).await.unwrap(), texts(&[2, 3]));
    assert!(cluster.fold_all(0, |r| r, &terms(11, 10)).await.unwrap().is_empty());
    let heads = |r: FoldRequest| FoldRequest { depth: ScanDepth::Heads, ..r };
    assert_eq!(cluster.fold_all(0, heads, &terms(-100, 100)).await.unwrap().len(), 60 * 3 - 1);
    let keep: KeyTest = Arc::new(|key| Ok(key.starts_with(b"k1")));
    let kept = |r: FoldRequest| FoldRequest { keep: Some(keep.clone()), ..r };
    assert_eq!(cluster.fold_all(0, kept, &terms(9, 11)).await.unwrap(), texts(&[10, 10, 11]));
    // What a fold has read may be given as something else, or not at all.
    let ends = |id: &ObjectId, term: Option<&IndexValue>, mut record: Record| {
        record.body = Bytes::new();
        Ok((term == Some(&int(10)) && id.key.ends_with(b"0")).then_some(record))
    };
    let refine: Refine = Arc::new(ends);
    let refined = |r: FoldRequest| FoldRequest { refine: Some(refine.clone()), ..r };
    let found = cluster.fold_all(0, refined, &terms(9, 11)).await.unwrap();
    assert_eq!(found, owned(&[("k10", "")]));
    let failing: Refine = Arc::new(|_, _, _| Err(Error::invalid("a bad test")));
    let failing = |r: FoldRequest| FoldRequest { refine: Some(failing.clone()), ..r };
    let error = cluster.fold_all(0, failing, &terms(9, 11)).await.unwrap_err();
    assert_eq!(error.message(), "a bad test");
    let other = Selection::Terms { field: "n_bin".into(), from: int(0), to: int(9) };
    assert!(cluster.fold_all(0, |r| r, &other).await.unwrap().is_empty());
    // A place of another selection is refused.
    let mut wrong = request(Partition(0), Partition(0), terms(0, 9));
    wrong.after = Some(Cursor::new("k"));
    let owner = cluster.nodes[0].cluster.view().plan().owner(Partition(0)).unwrap();
    let at = cluster.nodes.iter().position(|node| node.id == owner).unwrap();
    assert_eq!(cluster.kv(at).fold_page(wrong).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn indexes_follow_what_becomes_of_an_object() {
    let mut cluster = TestCluster::start(3, 8).await;
    let all = terms(-1_000, 1_000);
    let one = put_with(cluster.kv(0), &key("a"), None, &[1, 2]).await;
    put_with(cluster.kv(1), &key("b"), None, &[2]).await;
    put_with(cluster.kv(2), &key("a"), Some(&one), &[2, 30]).await;
    let expect = owned(&[("a", "[2, 30]"), ("a", "[2, 30]"), ("b", "[2]")]);
    eventually("replicas", || cluster.converged(&key("a")) && cluster.converged(&key("b"))).await;
    for nth in 0..3 {
        assert_eq!(cluster.fold_all(nth, |r| r, &all).await.unwrap(), expect, "replica {nth}");
    }
    assert!(delete(cluster.kv(0), &key("b")).await);
    eventually("the tombstone", || cluster.converged(&key("b"))).await;
    for nth in 0..3 {
        assert_eq!(cluster.fold_all(nth, |r| r, &all).await.unwrap(), expect[..2]);
    }
    // A replica that missed it all is filled, by hand-off, with index entries.
    cluster.kill(2);
    cluster.empty(2);
    cluster.restart(2).await;
    eventually("the filling", || !cluster.incomplete(2) && cluster.converged(&key("a"))).await;
    for nth in 0..3 {
        assert_eq!(cluster.fold_all(nth, |r| r, &all).await.unwrap(), expect[..2], "replica {nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_values_that_readers_see_have_terms() {
    let cluster = TestCluster::start(1, 8).await;
    cluster.set_props(&bucket(), siblings()).await;
    let id = key("k");
    let kv = cluster.kv(0);
    put_with(kv, &id, None, &[1, 5]).await;
    put_with(kv, &id, None, &[5, 9]).await;
    let both = "[1, 5]|[5, 9]";
    let found = cluster.fold_all(0, |r| r, &terms(0, 9)).await.unwrap();
    assert_eq!(found, owned(&[("k", both), ("k", both), ("k", both)]));
    // The newest alone, in a bucket without siblings.
    cluster.set_props(&bucket(), serde_json::json!({"allow_mult": false})).await;
    let found = cluster.fold_all(0, |r| r, &terms(0, 9)).await.unwrap();
    assert_eq!(found, owned(&[("k", "[5, 9]"), ("k", "[5, 9]")]));
    assert!(cluster.fold_all(0, |r| r, &terms(1, 1)).await.unwrap().is_empty());
    // It was not taken for stale.
    cluster.set_props(&bucket(), siblings()).await;
    assert_eq!(cluster.fold_all(0, |r| r, &terms(1, 1)).await.unwrap(), owned(&[("k", both)]));
    let context = kv.get(&id, &Default::default()).await.unwrap().unwrap().clock;
    assert!(kv.delete(&id, Some(context), &DeleteOptions::default()).await.unwrap());
    assert!(cluster.fold_all(0, |r| r, &terms(0, 9)).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn hints_bring_entries_and_leave_none_behind() {
    let mut cluster = TestCluster::start(4, 16).await;
    let before = put_with(cluster.kv(0), &key("k0"), None, &[1, 2]).await;
    eventually("replicas", || cluster.converged(&key("k0"))).await;
    cluster.kill(2);
    put_with(cluster.kv(0), &key("k0"), Some(&before), &[2, 3]).await;
    let mut expect = owned(&[("k0", "[2, 3]"), ("k0", "[2, 3]")]);
    for n in 1..20 {
        put_with(cluster.kv(0), &key(format!("k{n}")), None, &[n]).await;
        expect.push((format!("k{n}"), format!("{:?}", [n])));
    }
    expect.sort();
    assert!(held_for_others(&cluster) > 0);
    cluster.restart(2).await;
    for n in 0..20 {
        let id = key(format!("k{n}"));
        eventually("hand-off", || cluster.converged(&id)).await;
    }
    for nth in 0..3 {
        let found = cluster.fold_all(nth, |r| r, &terms(0, 100)).await.unwrap();
        assert_eq!(found, expect, "replica {nth}");
    }
    // What lay elsewhere meanwhile has gone, with its entries.
    eventually("letting go", || held_for_others(&cluster) == 0).await;
}

/// Entries that nodes hold for vnodes of others.
fn held_for_others(cluster: &TestCluster) -> usize {
    let view = cluster.nodes[0].cluster.view();
    let plan = view.plan();
    let mut count = 0;
    for at in 0..cluster.nodes.len() {
        for vnode in plan.ring_size().partitions() {
            if plan.owner(vnode) != Some(cluster.id(at)) {
                let homes = plan.ring_size().partitions();
                count += homes.map(|home| entries(cluster, at, vnode, home).len()).sum::<usize>();
            }
        }
    }
    count
}

fn entries(cluster: &TestCluster, at: usize, vnode: Partition, home: Partition) -> Vec<TermPlace> {
    let range = TermRange {
        home: home.0,
        bucket: bucket(),
        field: "n_int".into(),
        from: int(-1_000),
        to: int(1_000),
        after: None,
    };
    let mut all = Vec::new();
    let mut visit = |place| {
        all.push(place);
        std::ops::ControlFlow::Continue(())
    };
    cluster.nodes[at].engine.scan_terms(vnode.0, &range, &mut visit).unwrap();
    all
}

#[tokio::test(start_paused = true)]
async fn stale_entries_are_not_seen_and_go() {
    let cluster = TestCluster::start(1, 8).await;
    let id = key("k");
    put_with(cluster.kv(0), &id, None, &[5]).await;
    let vnode = cluster.kv(0).preference(&id).unwrap().primaries[0].vnode;
    let place = |key: &'static str| StoreKey { home: vnode.0, id: crate::support::key(key) };
    // As crashes leave them: of an object that is there, and of one that never was.
    for key in ["k", "never"] {
        let add = vec![("n_int".into(), int(3)), ("n_int".into(), int(7))];
        let change = IndexChange { add, ..IndexChange::NONE };
        cluster.nodes[0].engine.change_index(vnode.0, &place(key), &change).unwrap();
    }
    assert_eq!(entries(&cluster, 0, vnode, vnode).len(), 5);
    let found = fold(cluster.kv(0), request(vnode, vnode, terms(0, 9))).await.unwrap();
    assert_eq!(found.iter().map(|item| &item.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(entries(&cluster, 0, vnode, vnode), [TermPlace { term: int(5), key: "k".into() }]);
}

#[tokio::test(start_paused = true)]
async fn objects_from_before_there_were_indexes_get_their_entries() {
    let mut cluster = TestCluster::start(1, 8).await;
    for n in 0..50 {
        put_with(cluster.kv(0), &key(format!("k{n}")), None, &[n]).await;
    }
    let expect = cluster.fold_all(0, |r| r, &terms(0, 100)).await.unwrap();
    cluster.kill(0);
    for n in 0..50 {
        let id = key(format!("k{n}"));
        for (vnode, home) in (0..8).flat_map(|vnode| (0..8).map(move |home| (vnode, home))) {
            let place = StoreKey { home, id: id.clone() };
            let remove = vec![("n_int".into(), int(n))];
            let change = IndexChange { remove, ..IndexChange::NONE };
            cluster.nodes[0].engine.change_index(vnode, &place, &change).unwrap();
        }
    }
    cluster.nodes[0].engine.set_meta("kv-indexes", b"").unwrap();
    cluster.restart(0).await;
    assert_eq!(expect.len(), 50);
    assert_eq!(cluster.fold_all(0, |r| r, &terms(0, 100)).await.unwrap(), expect);
}

fn merged(replicas: u32) -> impl Fn(FoldRequest) -> FoldRequest {
    move |request| FoldRequest { replicas, ..request }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_one_replica_has_is_met_by_a_fold_over_all() {
    let cluster = TestCluster::start(4, 16).await;
    let mut expect = BTreeMap::new();
    for n in 0..40_i64 {
        put_with(cluster.kv(0), &key(format!("k{n:02}")), None, &[n, -1]).await;
        expect.insert(format!("k{n:02}"), format!("{:?}", [n, -1]));
    }
    for n in 0..40 {
        let id = key(format!("k{n:02}"));
        eventually("replicas", || cluster.converged(&id)).await;
    }
    let new = |n: i64| ObjectId::new(bucket(), format!("new{n}"));
    // Changes that reached only one of three replicas each: new objects, new values, deletions.
    for n in 0..9_i64 {
        let nth = usize::try_from(n % 3).unwrap();
        for id in [new(n), key(format!("k{n:02}"))] {
            let entry = cluster.kv(0).preference(&id).unwrap().primaries[nth];
            let before = cluster.stored_at(entry.node, entry.vnode.0, &id);
            // Written for the bucket next door, and given to one replica here.
            let elsewhere = ObjectId::new(mapring_types::BucketId::untyped("c"), id.key.clone());
            let context = before.as_ref().map(|object| object.clock.clone());
            let delete = n % 2 == 1 && before.is_some();
            let mut value = value("changed");
            value.deleted = delete;
            value.metadata.indexes = vec![("n_int".into(), int(500 + n))];
            let options = PutOptions::default();
            let written = cluster.kv(0).put(&elsewhere, context, value, &options).await.unwrap();
            cluster.store_at(entry.node, entry.vnode.0, &id, &written);
            let text = if delete { "(deleted)" } else { "changed" };
            expect.insert(String::from_utf8(id.key.to_vec()).unwrap(), text.to_owned());
        }
    }
    let expect: Vec<_> = expect.into_iter().collect();
    for nth in 0..3 {
        let found = cluster.fold_all(nth, merged(3), &Selection::All).await.unwrap();
        assert_eq!(found, expect, "from replica {nth}");
        let one = cluster.fold_all(nth, merged(1), &Selection::All).await.unwrap();
        assert_ne!(one, expect, "else the test shows nothing");
        let keys = Selection::Keys { from: "k05".into(), to: "new3".into() };
        let found = cluster.fold_all(nth, merged(3), &keys).await.unwrap();
        let within = |key: &str| ("k05"..="new3").contains(&key);
        let some: Vec<_> = expect.iter().filter(|(key, _)| within(key)).cloned().collect();
        assert_eq!(found, some);
        // By index: the changed ones under their new terms alone, the deleted ones not at all.
        let found = cluster.fold_all(nth, merged(3), &terms(500, 600)).await.unwrap();
        let changed: Vec<_> =
            expect.iter().filter(|(_, text)| text == "changed").cloned().collect();
        assert_eq!(found, changed);
        let found = cluster.fold_all(nth, merged(3), &terms(-1, -1)).await.unwrap();
        let old: Vec<_> =
            expect.iter().filter(|(_, text)| text.starts_with('[')).cloned().collect();
        assert_eq!((found.len(), found), (31, old));
        let heads = |r| FoldRequest { depth: ScanDepth::Heads, ..merged(3)(r) };
        assert_eq!(
            cluster.fold_all(nth, heads, &terms(500, 600)).await.unwrap().len(),
            changed.len()
        );
        let keep: KeyTest = Arc::new(|key| Ok(key.starts_with(b"new")));
        let kept = |r| FoldRequest { keep: Some(keep.clone()), ..merged(3)(r) };
        let found = cluster.fold_all(nth, kept, &Selection::All).await.unwrap();
        assert!(found.iter().all(|(key, text)| key.starts_with("new") && text == "changed"));
        assert_eq!(found.len(), 9);
        // What is refined is what all replicas together have.
        let changed = |id: &ObjectId, _: Option<&IndexValue>, record: Record| {
            let new = id.key.starts_with(b"new") && *record.body == b"changed"[..];
            Ok(new.then_some(record))
        };
        let refine: Refine = Arc::new(changed);
        let refined = |r| FoldRequest { refine: Some(refine.clone()), ..merged(3)(r) };
        let found = cluster.fold_all(nth, refined, &Selection::All).await.unwrap();
        assert_eq!(found.len(), 9);
    }
}

#[tokio::test(start_paused = true)]
async fn long_streams_that_differ_are_merged_page_by_page() {
    let cluster = TestCluster::start(3, 8).await;
    let model =
        put(cluster.kv(0), &ObjectId::new(mapring_types::BucketId::untyped("c"), "m"), "v").await;
    let mut here = Vec::new();
    for n in 0.. {
        let id = key(format!("k{n:06}"));
        let list = cluster.kv(0).preference(&id).unwrap().primaries;
        if list[0].vnode.0 != 2 {
            continue;
        }
        // Long stretches that one replica alone has, and that one alone lacks.
        let lacks = |nth: usize| (here.len() / 700) % 4 == nth || (here.len() / 350) % 7 == nth + 1;
        let mut stored = false;
        for (nth, entry) in list.iter().enumerate() {
            if !lacks(nth) {
                cluster.store_at(entry.node, entry.vnode.0, &id, &model);
                stored = true;
            }
        }
        if stored {
            here.push(id);
        }
        if here.len() == 6_000 {
            break;
        }
    }
    for nth in 0..3 {
        let entry = cluster.kv(0).preference(&here[0]).unwrap().primaries[nth];
        let at = cluster.nodes.iter().position(|node| node.id == entry.node).unwrap();
        for (most, keep) in [(1_000, None), (100, Some(b'3')), (1_000, Some(b'5'))] {
            let test = |end: u8| -> KeyTest { Arc::new(move |key| Ok(key.ends_with(&[end]))) };
            let request = FoldRequest {
                most,
                keep: keep.map(test),
                replicas: 3,
                ..request(entry.vnode, Partition(2), Selection::All)
            };
            let found = fold(cluster.kv(at), request).await.unwrap();
            let expect = here.iter().filter(|id| keep.is_none_or(|end| id.key.ends_with(&[end])));
            assert!(found.iter().map(|item| &item.id).eq(expect), "from {nth}, {most}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_fails_is_replaced_while_there_are_others() {
    let mut cluster = TestCluster::start(4, 16).await;
    for n in 0..50 {
        put(cluster.kv(0), &key(format!("k{n:02}")), "v").await;
    }
    for n in 0..50 {
        let id = key(format!("k{n:02}"));
        eventually("replicas", || cluster.converged(&id)).await;
    }
    let view = cluster.nodes[0].cluster.view();
    let (size, plan) = (view.plan().ring_size(), view.plan().clone());
    let homes = |cluster: &TestCluster, of: usize| {
        let (node, plan) = (cluster.id(of), plan.clone());
        size.partitions().filter(move |home| plan.owner(*home) == Some(node)).collect::<Vec<_>>()
    };
    let homes = homes(&cluster, 0);
    let count = async |cluster: &TestCluster, replicas| -> Result<usize> {
        let mut count = 0;
        for home in &homes {
            let request = merged(replicas)(request(*home, *home, Selection::All));
            count += fold(cluster.kv(0), request).await?.len();
        }
        Ok(count)
    };
    let all = count(&cluster, 1).await.unwrap();
    assert!(all > 0 && count(&cluster, 2).await.unwrap() == all);
    // Killed, and not yet known to be.
    cluster.kill(1);
    assert_eq!(count(&cluster, 2).await.unwrap(), all);
    let error = count(&cluster, 3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(count(&cluster, 4).await.unwrap_err().kind(), ErrorKind::Invalid);
    // Silent: waited for once.
    cluster.restart(1).await;
    cluster.kv(1).proven().await;
    cluster.pause(2);
    let began = tokio::time::Instant::now();
    assert_eq!(count(&cluster, 2).await.unwrap(), all);
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    cluster.heal();
    assert_eq!(count(&cluster, 3).await.unwrap(), all);
}

#[tokio::test(start_paused = true)]
async fn a_node_with_two_replicas_may_be_away() {
    let mut cluster = TestCluster::start(2, 8).await;
    for n in 0..200 {
        put(cluster.kv(0), &key(format!("k{n:03}")), "v").await;
    }
    for n in 0..200 {
        let id = key(format!("k{n:03}"));
        eventually("replicas", || cluster.converged(&id)).await;
    }
    let plan = cluster.nodes[0].cluster.view().plan().clone();
    let size = plan.ring_size();
    let owners = |home: Partition| -> Vec<_> {
        let replicas = plan.replicas(home).first(3);
        replicas.map(|vnode| (vnode, plan.owner(vnode).unwrap())).collect()
    };
    // A partition with two replicas on one node, as there are only two.
    let found = size.partitions().find_map(|home| {
        let list = owners(home);
        let count = |node| list.iter().filter(|(_, other)| *other == node).count();
        let twice = list.iter().find(|(_, node)| count(*node) == 2)?.1;
        let alone = list.iter().find(|(_, node)| count(*node) == 1)?;
        Some((home, twice, *alone))
    });
    let (home, twice, (vnode, alone)) = found.unwrap();
    let position = |node| cluster.nodes.iter().position(|other| other.id == node).unwrap();
    let (twice, alone) = (position(twice), position(alone));
    let count = async |cluster: &TestCluster, replicas, complete| -> Result<usize> {
        let request = merged(replicas)(request(vnode, home, Selection::All));
        Ok(fold(cluster.kv(alone), FoldRequest { complete, ..request }).await?.len())
    };
    let all = count(&cluster, 2, false).await.unwrap();
    assert!(all > 0 && count(&cluster, 1, false).await.unwrap() == all);
    cluster.kill(twice);
    assert_eq!(count(&cluster, 2, true).await.unwrap(), all);
    // The two may have acknowledged a write by themselves, for all that the third knows.
    for (replicas, complete) in [(2, false), (3, true)] {
        let error = count(&cluster, replicas, complete).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}
