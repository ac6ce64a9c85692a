//! Hits of indexes over the whole ring, in order and in pages (I3, I5).

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use mapring_datatypes::{Op, SetOp, Update, object};
use mapring_filters::EntryTest;
use mapring_kv::{
    Census, Counted, Cursor, Figures, Found, GetOptions, Hit, IndexScan, Kv, NewValue, PutOptions,
    Selection, Wanted,
};
use mapring_types::{
    ActorId, BucketId, Dot, ErrorKind, IndexValue, Object, Record, Release, Releases, Result,
    Sibling,
};

use crate::support::*;

fn int(number: i64) -> IndexValue {
    IndexValue::Int(number.to_string())
}

fn terms(from: i64, to: i64) -> Selection {
    Selection::Terms { field: "n_int".into(), from: int(from), to: int(to) }
}

fn scan(selection: Selection) -> IndexScan {
    let timeout = Duration::from_secs(60);
    IndexScan { bucket: bucket(), selection, after: None, test: None, most: None, timeout }
}

async fn put_with(kv: &Kv, name: &str, numbers: &[i64]) {
    let mut value = value("v");
    value.metadata.indexes = numbers.iter().map(|number| ("n_int".into(), int(*number))).collect();
    kv.put(&key(name), None, value, &PutOptions::default()).await.unwrap();
}

async fn hits(kv: &Kv, scan: IndexScan) -> Result<Vec<Hit>> {
    let hits = kv.index(scan).try_concat().await?;
    assert!(hits.windows(2).all(|pair| pair[0].cursor < pair[1].cursor), "out of order");
    Ok(hits)
}

fn shown(hits: &[Hit]) -> Vec<String> {
    let text = |hit: &Hit| {
        let term = hit.term.as_ref().map(|term| String::from_utf8_lossy(term.as_bytes()));
        format!("{}:{}", term.unwrap_or_default(), String::from_utf8_lossy(&hit.key))
    };
    hits.iter().map(text).collect()
}

/// What a range of terms is to give: object `k{n}` has the terms `n % 10` and `100 + n`.
fn expected(count: i64, from: i64, to: i64) -> Vec<String> {
    let mut all: Vec<(i64, String)> = (0..count)
        .flat_map(|n| [(n % 10, format!("k{n:03}")), (100 + n, format!("k{n:03}"))])
        .filter(|(term, _)| (from..=to).contains(term))
        .collect();
    all.sort();
    all.into_iter().map(|(term, key)| format!("{term}:{key}")).collect()
}

async fn fill(cluster: &TestCluster, count: i64) {
    for n in 0..count {
        let at = usize::try_from(n).unwrap() % 3;
        put_with(cluster.kv(at), &format!("k{n:03}"), &[n % 10, 100 + n]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_entry_is_met_once_in_its_order_and_with_each_node_down() {
    let mut cluster = TestCluster::start(3, 64).await;
    fill(&cluster, 200).await;
    for at in 0..3 {
        for (from, to) in [(-5, 1_000), (3, 3), (5, 150), (400, 500)] {
            let found = hits(cluster.kv(at), scan(terms(from, to))).await.unwrap();
            assert_eq!(shown(&found), expected(200, from, to));
        }
    }
    for down in 0..3 {
        cluster.kill(down);
        let found = hits(cluster.kv((down + 1) % 3), scan(terms(0, 9))).await.unwrap();
        assert_eq!(shown(&found), expected(200, 0, 9), "without {down}");
        cluster.restart(down).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_stable_while_others_write() {
    let cluster = TestCluster::start(3, 64).await;
    fill(&cluster, 150).await;
    let (mut after, mut found, mut round) = (None, Vec::new(), 0_i64);
    loop {
        let page = IndexScan { after, most: Some(7), ..scan(terms(0, 9)) };
        let page = hits(cluster.kv(0), page).await.unwrap();
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        after = Some(last.cursor.clone());
        found.extend(shown(&page));
        // Before the place that the pages have come to, and with terms outside of the range.
        put_with(cluster.kv(1), &format!("a{round}"), &[-1 - round, 50]).await;
        assert!(delete(cluster.kv(2), &key(format!("a{round}"))).await);
        round += 1;
    }
    assert_eq!(found, expected(150, 0, 9));
    let place = Cursor::at_term(int(5), "k045");
    let rest = IndexScan { after: Some(place), ..scan(terms(0, 5)) };
    let rest = hits(cluster.kv(0), rest).await.unwrap();
    let all = expected(150, 5, 5);
    let at = all.iter().position(|hit| hit == "5:k045").unwrap();
    assert_eq!(shown(&rest), all[at + 1..]);
}

#[tokio::test(start_paused = true)]
async fn keys_are_an_index_too_and_what_is_deleted_is_in_none() {
    let cluster = TestCluster::start(3, 16).await;
    fill(&cluster, 60).await;
    assert!(delete(cluster.kv(0), &key("k003")).await);
    let keys = Selection::Keys { from: "k001".into(), to: "k006".into() };
    let found = hits(cluster.kv(1), scan(keys)).await.unwrap();
    assert_eq!(shown(&found), [":k001", ":k002", ":k004", ":k005", ":k006"]);
    let found = hits(cluster.kv(1), scan(Selection::All)).await.unwrap();
    assert_eq!(found.len(), 59);
    let found = hits(cluster.kv(1), scan(terms(3, 3))).await.unwrap();
    assert_eq!(shown(&found), expected(60, 3, 3)[1..]);
}

#[tokio::test(start_paused = true)]
async fn tests_run_beside_the_data() {
    let cluster = TestCluster::start(3, 16).await;
    fill(&cluster, 60).await;
    let ends = EntryTest::Matches(Bytes::from("7$"));
    let found = IndexScan { test: Some(ends.clone()), ..scan(terms(100, 200)) };
    let found = hits(cluster.kv(0), found).await.unwrap();
    assert_eq!(shown(&found).len(), 6);
    let keys = IndexScan { test: Some(ends), most: Some(2), ..scan(Selection::All) };
    let found = hits(cluster.kv(0), keys).await.unwrap();
    assert_eq!(shown(&found), [":k007", ":k017"]);
    let given = IndexScan { test: Some(EntryTest::Give("key".into())), ..scan(terms(101, 101)) };
    let found = hits(cluster.kv(0), given).await.unwrap();
    assert_eq!(found[0].given, Some("k001".into()));
    let wrong = IndexScan { test: Some(EntryTest::Matches("(".into())), ..scan(terms(0, 1)) };
    let error = hits(cluster.kv(0), wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// What Riak's statistics tell of queries of an index (fact R351).
#[tokio::test(start_paused = true)]
async fn queries_are_counted_with_their_hits() {
    let cluster = TestCluster::start(3, 64).await;
    fill(&cluster, 20).await;
    let kv = cluster.kv(0);
    for (from, to, found) in [(100, 119, 20), (3, 3, 2)] {
        assert_eq!(hits(kv, scan(terms(from, to))).await.unwrap().len(), found);
    }
    let unknown = IndexScan { bucket: BucketId::typed("nope", "b"), ..scan(Selection::All) };
    hits(kv, unknown).await.unwrap_err();
    // One that nobody waits for.
    let begun = kv.index(scan(terms(0, 9)));
    let figures = kv.figures();
    assert_eq!(figures.index_queries.under_way, 1);
    drop(begun);
    let queries = kv.figures().index_queries;
    assert_eq!((queries.begun.total, queries.failed.total, queries.under_way), (4, 1, 0));
    assert_eq!((figures.index_queries_done.total, figures.index_queries_done.minute), (2, 2));
    assert_eq!((figures.index_query_hits.mean, figures.index_query_hits.highest), (11, 20));
    // Each home partition was read once by each.
    let read: u64 = (0..3).map(|at| cluster.kv(at).figures().index_reads.total).sum();
    assert_eq!(read, 128);
    assert_eq!(kv.figures().folds.begun.total, 0);
}

#[tokio::test(start_paused = true)]
async fn a_query_ends_with_an_error_where_it_cannot_be_whole() {
    let mut cluster = TestCluster::start(3, 64).await;
    let unknown = IndexScan { bucket: BucketId::typed("nope", "b"), ..scan(Selection::All) };
    let mut pages = cluster.kv(0).index(unknown);
    assert_eq!(pages.next().await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(pages.next().await.is_none());
    cluster.set_props(&bucket(), serde_json::json!({"n_val": 1})).await;
    cluster.kill(2);
    cluster.nodes[0].cluster.set_up([cluster.id(1)]);
    let error = hits(cluster.kv(0), scan(terms(0, 1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let before = Releases { reads: Release::FIRST, writes: Release::GROUPS };
    let cluster = TestCluster::start_told(3, Some(before)).await;
    let error = hits(cluster.kv(0), scan(terms(0, 1))).await.unwrap_err();
    assert!(error.to_string().contains("earlier release"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_census_counts_each_object_once_and_with_a_node_down() {
    let mut cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), siblings()).await;
    for n in 0..100 {
        put(cluster.kv(n % 3), &key(format!("k{n:03}")), &"x".repeat(n)).await;
    }
    put(cluster.kv(0), &key("k005"), "beside").await;
    assert!(delete(cluster.kv(0), &key("k001")).await);
    cluster.kill(2);
    let census = |wanted| Census {
        bucket: bucket(),
        selection: Selection::All,
        modified: None,
        wanted,
        timeout: Duration::from_secs(60),
    };
    let count = async |census: Census| {
        let pages: Vec<Counted> = cluster.kv(0).census(census).try_collect().await.unwrap();
        let mut figures = Figures::default();
        pages.iter().for_each(|page| figures.add(&page.figures));
        let mut found: Vec<Found> = pages.into_iter().flat_map(|page| page.found).collect();
        found.sort_by(|one, other| one.key.cmp(&other.key));
        (figures, found)
    };
    let (figures, found) = count(census(Wanted::Figures)).await;
    assert!(found.is_empty());
    assert_eq!((figures.count, figures.siblings), (99, [(1, 98), (2, 1)].into()));
    assert!(figures.bytes > 99 * 49, "{}", figures.bytes);
    assert_eq!(figures.sizes.values().sum::<u64>(), 99);
    let names =
        |found: &[Found]| -> Vec<Bytes> { found.iter().map(|found| found.key.clone()).collect() };
    let (_, found) = count(census(Wanted::MoreSiblings(1))).await;
    assert_eq!((names(&found), found[0].value), (vec![Bytes::from("k005")], 2));
    let (_, found) = count(census(Wanted::Tombstones)).await;
    assert_eq!(names(&found), ["k001"]);
    let (_, found) = count(census(Wanted::All)).await;
    assert_eq!(found.len(), 100);
    let keys = Selection::Keys { from: "k000".into(), to: "k002".into() };
    let (_, found) = count(Census { selection: keys, ..census(Wanted::Live) }).await;
    assert_eq!(names(&found), ["k000", "k002"]);
    let never = Census { modified: Some((1, 2)), ..census(Wanted::Live) };
    assert!(count(never).await.1.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_census_counts_values_of_one_data_type_as_one() {
    let cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), siblings()).await;
    let kv = cluster.kv(0);
    // Written as values, as if by coordinators that had not seen each other.
    let mut bytes = 0;
    for (actor, text) in [(1, "a"), (2, "b")] {
        let update = Update::new(Op::Set(vec![SetOp::Add(text.into())]));
        let mut made = Object::default();
        let dot = Dot { actor: ActorId(actor), counter: 1 };
        object::update(&mut made, &update, dot, 1).unwrap();
        let Sibling { metadata, body, .. } = made.siblings.remove(0);
        bytes += body.len() as u64;
        let value = NewValue { metadata, body, deleted: false };
        kv.put(&key("set"), None, value, &PutOptions::default()).await.unwrap();
    }
    put(kv, &key("text"), "one").await;
    put(kv, &key("text"), "two").await;
    let counted = async |wanted| {
        let timeout = Duration::from_secs(60);
        let (bucket, selection) = (bucket(), Selection::All);
        let census = Census { bucket, selection, modified: None, wanted, timeout };
        let pages: Vec<Counted> = kv.census(census).try_collect().await.unwrap();
        let mut figures = Figures::default();
        pages.iter().for_each(|page| figures.add(&page.figures));
        (figures, pages.into_iter().flat_map(|page| page.found).collect::<Vec<Found>>())
    };
    let (figures, _) = counted(Wanted::Figures).await;
    assert_eq!((figures.count, figures.siblings), (2, [(1, 1), (2, 1)].into()));
    let (_, found) = counted(Wanted::MoreSiblings(1)).await;
    assert_eq!(found.iter().map(|found| &found.key[..]).collect::<Vec<_>>(), [b"text"]);
    let found = kv.get(&key("set"), &GetOptions::default()).await.unwrap().unwrap();
    let size = Record::encode(&found).len() as u64;
    assert!(size < bytes + 200, "{size} of {bytes}");
    let (_, larger) = counted(Wanted::Larger(0)).await;
    let set = larger.iter().find(|found| &found.key[..] == b"set").unwrap();
    assert_eq!(set.value, size);
}
