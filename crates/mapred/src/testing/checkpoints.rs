//! Jobs that are lost and go on from their checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use mapring_cluster::Cluster as _;
use mapring_net::Services;
use mapring_net::simulated::Fate;
use mapring_script::Row;
use mapring_types::{BucketId, Entropy, Error, ErrorKind, NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::jobs::{many, options};
use super::world::{Seeded, World, gather};
use crate::failure::FailureKind;
use crate::job::{Checkpoint, Checkpoints, JobOptions};
use crate::results::{PhaseResults, Results, Started};

/// Keeps the last checkpoint whose rows have been taken.
struct Keeper {
    taken: watch::Sender<u64>,
    last: Mutex<Option<Checkpoint>>,
    /// How many were kept.
    kept: AtomicU64,
    /// What was put aside, …
    aside: Mutex<Vec<PhaseResults>>,
    /// … what lies behind that of which the job went on, and counts for nothing, …
    behind: Vec<PhaseResults>,
    /// … and how much of that there may be.
    most_aside: usize,
}

impl Keeper {
    fn new() -> Arc<Self> {
        Self::after(Vec::new(), Vec::new())
    }

    /// Of a job that goes on with what was put aside.
    fn after(aside: Vec<PhaseResults>, behind: Vec<PhaseResults>) -> Arc<Self> {
        Arc::new(Self { aside: Mutex::new(aside), behind, ..Self::empty() })
    }

    fn empty() -> Self {
        let (taken, last, aside) = (watch::Sender::new(0), Mutex::default(), Mutex::default());
        let (kept, behind) = (AtomicU64::new(0), Vec::new());
        Self { taken, last, kept, aside, behind, most_aside: usize::MAX }
    }

    fn kept(&self) -> u64 {
        self.kept.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[async_trait]
impl Checkpoints for Keeper {
    async fn save(&self, checkpoint: Checkpoint) -> Result<()> {
        let mut taken = self.taken.subscribe();
        taken.wait_for(|taken| *taken >= checkpoint.rows).await.unwrap();
        // Others in between are not made.
        tokio::time::sleep(Duration::from_millis(1)).await;
        *self.last.lock() = Some(checkpoint);
        self.kept.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    async fn put_aside(&self, results: PhaseResults) -> Result<()> {
        let more = results.values.len() as u64;
        {
            let mut aside = self.aside.lock();
            if aside.len() >= self.most_aside {
                return Err(Error::new(ErrorKind::TooLarge, "there is too much aside"));
            }
            aside.push(results);
        }
        self.taken.send_modify(|taken| *taken += more);
        Ok(())
    }

    fn take_back(&self) -> Results {
        let mut aside = self.aside.lock().clone();
        aside.extend(self.behind.iter().cloned());
        futures::stream::iter(aside.into_iter().map(Ok)).boxed()
    }
}

/// What is asked.
struct Case {
    inputs: &'static str,
    query: &'static str,
    more: &'static str,
    /// Whether all runs give the same results.
    exact: bool,
}

const KEY_THEN_COPY: &str = r#"[{"map":{"language":"javascript","name":"key","keep":true}},
    {"map":{"language":"javascript","name":"copy"}}]"#;
const COPY: &str = r#"[{"map":{"language":"javascript","name":"copy"}}]"#;
const JSON: &str = r#"[{"map":{"language":"javascript","name":"json"}}]"#;
const COUNTER: &str = r#"[{"map":{"language":"javascript","name":"counter"}}]"#;
const THROW: &str = r#"[{"map":{"language":"javascript","name":"throw"}}]"#;
const MIXED: &str = r#"{"concat":["b",[["b","k1"],["b","k2"],["b","k1"]],
    {"range":{"start":0,"end":300}},{"sample":{"range":{"start":0,"end":90}},"limit":40}]}"#;
const ONE: &str = r#"[{"map":{"language":"javascript","name":"one"}}]"#;
const SKIP: &str = r#","on_error":{"mode":"skip"}"#;

const PER_KEY: &str = r#","output":{"bucket":"out","layout":"per_key","format":"lines"}"#;
const SINGLE: &str =
    r#","output":{"bucket":"out","layout":"single","name":"all","format":"ndjson"}"#;
const PER_SHARD: &str = r#","shards":5,"output":{"bucket":"out","layout":"per_shard","name":"s-$num","format":"lines"}"#;
const WRITER: &str = r#","output":{"bucket":"out","writer":{"name":"parity"}}"#;
const PER_SHARD_SKIP: &str = r#","on_error":{"mode":"skip"},"shards":5,
    "output":{"bucket":"out","layout":"per_shard","name":"s-$num","format":"lines"}"#;
const WRITER_GROUPS: &str = r#","partitions":3,"output":{"bucket":"out","layout":"single","name":"all",
    "format":"ndjson"}"#;
const REMAINDER: &str = r#"[{"map":{"language":"javascript","name":"remainder"}}]"#;

const GROUP: &str = r#"[{"map":{"language":"javascript","name":"remainder"}},
    {"reduce":{"language":"javascript","name":"sum","group":true}}]"#;
const TWICE: &str = r#"[{"map":{"language":"javascript","name":"remainder"}},
    {"reduce":{"language":"javascript","name":"swapped","group":true}},
    {"reduce":{"language":"javascript","name":"sum","group":true,"keep":true}},
    {"reduce":{"language":"javascript","name":"sort"}}]"#;
const SUM: &str = r#"[{"map":{"language":"javascript","name":"json"}},
    {"reduce":{"language":"javascript","name":"sum"}}]"#;
const SORT: &str = r#"[{"map":{"language":"javascript","name":"json","keep":true}},
    {"reduce":{"language":"javascript","name":"sort"}},
    {"reduce":{"language":"javascript","name":"identity","arg":{"reduce_phase_only_1":true}}}]"#;
const SORT_GROUPS: &str = r#"[{"map":{"language":"javascript","name":"remainder"}},
    {"reduce":{"language":"javascript","name":"identity"}},
    {"reduce":{"language":"javascript","name":"values","group":true,"sort_values":"asc"}}]"#;

const CASES: [Case; 28] = [
    Case { inputs: "found", query: JSON, more: "", exact: true },
    Case { inputs: "listed", query: JSON, more: "", exact: true },
    Case { inputs: "found", query: KEY_THEN_COPY, more: "", exact: false },
    Case { inputs: "listed", query: COPY, more: "", exact: false },
    Case { inputs: "found", query: COUNTER, more: "", exact: true },
    Case { inputs: "found", query: THROW, more: SKIP, exact: true },
    Case { inputs: MIXED, query: ONE, more: "", exact: true },
    Case { inputs: "found", query: "[]", more: "", exact: true },
    Case { inputs: "listed", query: JSON, more: r#","limit":37"#, exact: false },
    Case { inputs: "found", query: REMAINDER, more: PER_KEY, exact: true },
    Case { inputs: "found", query: JSON, more: SINGLE, exact: true },
    Case { inputs: "listed", query: JSON, more: SINGLE, exact: true },
    Case { inputs: "found", query: JSON, more: PER_SHARD, exact: true },
    Case { inputs: "listed", query: JSON, more: PER_SHARD, exact: true },
    Case { inputs: MIXED, query: ONE, more: PER_SHARD, exact: true },
    Case { inputs: "found", query: JSON, more: WRITER, exact: true },
    Case { inputs: "listed", query: THROW, more: PER_SHARD_SKIP, exact: true },
    Case { inputs: "found", query: SUM, more: "", exact: true },
    Case { inputs: "listed", query: SUM, more: "", exact: true },
    Case { inputs: "found", query: SORT, more: "", exact: true },
    Case { inputs: "listed", query: SUM, more: SINGLE, exact: true },
    Case { inputs: "found", query: GROUP, more: "", exact: true },
    Case { inputs: "listed", query: GROUP, more: "", exact: true },
    Case { inputs: "found", query: GROUP, more: PER_KEY, exact: true },
    Case { inputs: "listed", query: GROUP, more: PER_SHARD, exact: true },
    Case { inputs: "found", query: TWICE, more: "", exact: true },
    Case { inputs: "found", query: SORT_GROUPS, more: "", exact: true },
    Case { inputs: "listed", query: SORT_GROUPS, more: WRITER_GROUPS, exact: true },
];

/// Three nodes where everything takes a moment.
fn slow_world(seed: u64) -> World {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 150);
    let luck = Seeded(AtomicU64::new(seed));
    world.network.set_weather(Box::new(move |from, to| {
        let millis = if from == to { 1 } else { 1 + luck.below(7) };
        Fate::Deliver(Duration::from_millis(millis))
    }));
    world
}

fn inputs(case: &Case) -> String {
    if case.inputs == MIXED { MIXED.to_owned() } else { many(case.inputs, 150) }
}

/// What does not depend on how pages fall.
fn told(started: &Arc<crate::QueryHandle>) -> BTreeMap<String, i64> {
    let exact = [
        "mapper-calls",
        "map-errors",
        "writes",
        "inputs-missing",
        "io-read-bytes",
        "copied",
        "groups",
    ];
    let counters = started.detail().counters;
    let shards = ["shards begun", "shards ended"];
    let names = exact.iter().chain(&shards).map(|name| (*name).to_owned());
    names.filter_map(|name| Some((name.clone(), counters.get(&name)?.count))).collect()
}

/// Takes away what was put aside behind so many results.
fn cut(aside: &mut Vec<PhaseResults>, rows: u64) {
    let mut left = usize::try_from(rows).unwrap();
    for some in aside.iter_mut() {
        some.values.truncate(left);
        some.places.truncate(left);
        left -= some.values.len();
    }
    aside.retain(|some| !some.values.is_empty());
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

/// Objects, those that have results as they come with their lines sorted.
fn objects(case: &Case, world: &World) -> BTreeMap<String, (String, String)> {
    let mut objects = world.stored("out");
    for (_, body) in objects.values_mut().filter(|_| !case.more.contains("per_shard")) {
        let mut lines: Vec<&str> = body.lines().collect();
        lines.sort_unstable();
        *body = lines.join("\n");
    }
    objects
}

/// Runs a case with losses at random moments; gives its results, counts, and how often it went on from a
/// checkpoint.
async fn disturbed(case: &Case, seed: u64) -> (Vec<String>, BTreeMap<String, i64>, World, u64) {
    let world = slow_world(seed);
    let luck = Seeded(AtomicU64::new(!seed));
    let (mut rows, mut resumed, mut resume) = (Vec::new(), 0, None::<Checkpoint>);
    let (mut aside, mut behind) = (Vec::new(), Vec::new());
    let losses = 1 + luck.below(3);
    for loss in 0..=losses {
        let keeper = Keeper::after(std::mem::take(&mut aside), std::mem::take(&mut behind));
        let options = JobOptions {
            slice: Duration::from_millis(1 + luck.below(20)),
            checkpoints: Some(keeper.clone()),
            resume: resume.as_ref().map(|checkpoint| checkpoint.bytes.clone()),
            ..options()
        };
        let stores = case.more.contains("\"output\"");
        let held = match stores {
            true => keeper.aside.lock().iter().map(|some| some.values.len()).sum(),
            false => rows.len(),
        };
        keeper.taken.send_replace(held as u64);
        let node = usize::try_from(luck.below(3)).unwrap();
        let started = world.start_job(node, &inputs(case), case.query, case.more, options);
        let Started { mut results, handle } = started;
        let taking = async {
            while let Some(next) = results.next().await {
                let PhaseResults { phase, values, .. } = next.unwrap();
                let text = |row: Row| format!("{phase} {}", row.into_text());
                rows.extend(values.into_iter().map(text));
                if !stores {
                    keeper.taken.send_replace(rows.len() as u64);
                }
            }
        };
        let patience = match loss == losses {
            true => Duration::from_secs(3_600),
            false => Duration::from_millis(luck.below(120)),
        };
        if tokio::time::timeout(patience, taking).await.is_ok() {
            return (rows, told(&handle), world, resumed);
        }
        drop(results);
        resume = keeper.last.lock().clone().or(resume);
        resumed += u64::from(resume.is_some());
        let kept = resume.as_ref().map_or(0, |checkpoint| checkpoint.rows);
        rows.truncate(if stores { 0 } else { usize::try_from(kept).unwrap() });
        aside = keeper.aside.lock().clone();
        behind = aside.last().cloned().into_iter().collect();
        cut(&mut aside, kept);
    }
    panic!("it takes an hour");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_lost_gives_what_it_would_have() {
    let mut resumed = 0;
    for case in &CASES {
        let world = slow_world(0);
        let started = world.start_job(0, &inputs(case), case.query, case.more, options());
        let Started { results, handle } = started;
        let whole = gather(results).await.unwrap();
        let whole = whole
            .into_iter()
            .flat_map(|(phase, rows)| rows.into_iter().map(move |row| format!("{phase} {row}")));
        let (whole, counts) = (sorted(whole.collect()), told(&handle));
        for seed in 0..25 {
            let (rows, found, lost, times) = disturbed(case, seed).await;
            resumed += times;
            let shown = format!("{} {} with seed {seed}", case.inputs, case.query);
            assert_eq!(rows.len(), whole.len(), "{shown}");
            if case.exact {
                assert_eq!(sorted(rows), whole, "{shown}");
            }
            if case.more.contains("limit") {
                continue;
            }
            assert_eq!(found, counts, "{shown}");
            assert_eq!(lost.stored("copies"), world.stored("copies"), "{shown}");
            assert_eq!(objects(case, &lost), objects(case, &world), "{shown}");
        }
    }
    assert!(resumed > 100, "only {resumed} went on from a checkpoint");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_lost_with_the_job() {
    for seed in 0..10 {
        let (world, keeper) = (slow_world(seed), Keeper::new());
        let first = JobOptions {
            slice: Duration::from_millis(5),
            checkpoints: Some(keeper.clone()),
            ..options()
        };
        let mut started = world.start_job(0, "\"b\"", COPY, "", first);
        let mut rows = Vec::new();
        while keeper.kept() < 1 + seed % 3 {
            let Some(next) = started.results.next().await else { break };
            rows.extend(next.unwrap().values);
            keeper.taken.send_replace(rows.len() as u64);
        }
        world.kill(NodeId(1));
        drop(started);
        let Some(checkpoint) = keeper.last.lock().clone() else { panic!("no checkpoint") };
        rows.truncate(usize::try_from(checkpoint.rows).unwrap());
        let second = JobOptions { resume: Some(checkpoint.bytes), ..options() };
        let Started { results, handle } = world.start_job(1, "\"b\"", COPY, "", second);
        let rest = gather(results).await.unwrap().into_values().flatten().count();
        assert_eq!(rows.len() + rest, 150, "seed {seed}");
        assert_eq!(handle.detail().counters["copied"].count, 150, "seed {seed}");
        assert_eq!(world.stored("copies").len(), 150, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_gone_on_with_is_not_kept() {
    let world = slow_world(1);
    let listed = r#"[["b","k1"],["b","k2"]]"#;
    for (inputs, query, resumable) in [(listed, "[]", false), ("\"b\"", JSON, true)] {
        let keeper = Keeper::new();
        let kept = JobOptions {
            slice: Duration::from_millis(1),
            checkpoints: Some(keeper.clone()),
            ..options()
        };
        let Started { mut results, handle } = world.start_job(0, inputs, query, "", kept);
        while let Some(next) = results.next().await {
            let more = next.unwrap().values.len() as u64;
            keeper.taken.send_modify(|taken| *taken += more);
        }
        assert_eq!((handle.is_resumable(), keeper.kept() > 0), (resumable, resumable), "{query}");
        let Some(Checkpoint { bytes, .. }) = keeper.last.lock().clone() else { continue };
        let cut = bytes.slice(..bytes.len() / 2);
        let mut other = bytes.to_vec();
        other[0] = 9;
        for (query, bytes) in
            [(COPY, bytes.clone()), (JSON, cut), (JSON, Bytes::from(other)), (JSON, Bytes::new())]
        {
            let resumed = JobOptions { resume: Some(bytes), ..options() };
            let started = world.start_job(0, "\"b\"", query, "", resumed);
            let failure = gather(started.results).await.unwrap_err();
            let FailureKind::Node(ErrorKind::Corrupt | ErrorKind::Unavailable) = failure.kind
            else {
                panic!("{failure:?}")
            };
            assert!(failure.message.contains("a checkpoint of a job"), "{failure}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_with_too_much_to_put_aside_goes_on_without_checkpoints() {
    let world = slow_world(3);
    let keeper = Arc::new(Keeper { most_aside: 4, ..Keeper::empty() });
    let kept = |resume| JobOptions {
        slice: Duration::from_millis(1),
        checkpoints: Some(keeper.clone()),
        resume,
        ..options()
    };
    let Started { results, handle } = world.start_job(0, "\"b\"", JSON, SINGLE, kept(None));
    assert_eq!(gather(results).await.unwrap()[&0], [r#"["out","all"]"#]);
    assert!(!handle.is_resumable() && keeper.kept() > 0, "{} were kept", keeper.kept());
    let whole = world.stored("out")["all"].1.lines().count();
    assert_eq!(whole, 150);
    let resume = keeper.last.lock().clone().unwrap();
    let rows = keeper.aside.lock().iter().map(|some| some.values.len() as u64).sum::<u64>();
    assert!(resume.rows <= rows, "{} of {rows}", resume.rows);
    // Some of what it goes on with is gone.
    keeper.aside.lock().pop();
    cut(&mut keeper.aside.lock(), resume.rows - 1);
    let started = world.start_job(1, "\"b\"", JSON, SINGLE, kept(Some(resume.bytes)));
    let failure = gather(started.results).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Node(ErrorKind::Corrupt), "{failure}");
}

/// A job of groups that is lost when so many checkpoints were kept: what it goes on with, the rows that count
/// of those that it gave, and how many calls it has made.
async fn lost_group(world: &World, checkpoints: u64) -> (Checkpoint, Vec<String>, u64) {
    let keeper = Keeper::new();
    let first = JobOptions {
        slice: Duration::from_millis(5),
        checkpoints: Some(keeper.clone()),
        ..options()
    };
    let mut started = world.start_job(0, "\"b\"", GROUP, "", first);
    let mut rows = Vec::new();
    while keeper.kept() < checkpoints {
        tokio::select! {
            next = started.results.next() => match next {
                Some(next) => rows.extend(next.unwrap().values.into_iter().map(Row::into_text)),
                None => break,
            },
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
        keeper.taken.send_replace(rows.len() as u64);
    }
    drop(started);
    let checkpoint = keeper.last.lock().clone().unwrap();
    rows.truncate(usize::try_from(checkpoint.rows).unwrap());
    (checkpoint, rows, world.watch.mapped.load(std::sync::atomic::Ordering::Relaxed))
}

/// The sums of the numbers below 150 by their last digit.
fn sums() -> Vec<String> {
    let sum = |of: u64| (0..150).filter(|number| number % 10 == of).sum::<u64>();
    (0..10).map(|of| format!("[{of},{}]", sum(of))).collect()
}

#[tokio::test(start_paused = true)]
async fn groups_go_on_where_one_of_two_copies_is() {
    for checkpoints in 1..=6 {
        let world = slow_world(checkpoints);
        let (checkpoint, mut found, before) = lost_group(&world, checkpoints).await;
        world.kill(NodeId(1));
        // Whoever gives it pairs makes them again.
        world.clusters.iter().for_each(|cluster| cluster.report(NodeId(1), false));
        let second = JobOptions { resume: Some(checkpoint.bytes), ..options() };
        let Started { results, handle } = world.start_job(1, "\"b\"", GROUP, "", second);
        found.extend(gather(results).await.unwrap().into_values().flatten());
        assert_eq!(found, sums(), "after {checkpoints}");
        assert_eq!(handle.detail().counters["mapper-calls"].count, 150);
        let all = world.watch.mapped.load(std::sync::atomic::Ordering::Relaxed);
        let again = all - before;
        assert!(again < 150, "{again} calls after {before} and {checkpoints} checkpoints");
        assert!(!handle.begins_anew());
    }
}

#[tokio::test(start_paused = true)]
async fn groups_without_their_pairs_are_begun_anew() {
    let world = slow_world(5);
    let (checkpoint, ..) = lost_group(&world, 2).await;
    let resumed = || JobOptions { resume: Some(checkpoint.bytes.clone()), ..options() };
    world.engines[1].forget_pairs(&checkpoint.bytes).await;
    let Started { results, handle } = world.start_job(1, "\"b\"", GROUP, "", resumed());
    let failure = gather(results).await.unwrap_err();
    assert!(handle.begins_anew() && failure.kind.may_pass(), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn nodes_with_pairs_that_do_not_answer_yet_are_asked_again() {
    for (back_s, in_time) in [(3, true), (60, false)] {
        let world = slow_world(5);
        let (checkpoint, mut found, _) = lost_group(&world, 4).await;
        // Both copies of what one of them made for the other are away.
        let away = [NodeId(1), NodeId(3)];
        away.iter().for_each(|node| world.kill(*node));
        let back = async {
            tokio::time::sleep(Duration::from_secs(back_s)).await;
            for node in away {
                let engine = &world.engines[usize::try_from(node.0).unwrap() - 1];
                world.network.connect(node, Services::new([(crate::SERVICE, engine.service())]));
            }
            std::future::pending::<()>().await;
        };
        let second = JobOptions { resume: Some(checkpoint.bytes), ..options() };
        let Started { results, handle } = world.start_job(1, "\"b\"", GROUP, "", second);
        let gathered = tokio::select! {
            gathered = gather(results) => gathered,
            () = back => panic!("it never ends"),
        };
        assert_eq!(handle.begins_anew(), !in_time);
        assert_eq!(gathered.is_ok(), in_time);
        if let Ok(gathered) = gathered {
            found.extend(gathered.into_values().flatten());
            assert_eq!(found, sums());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pairs_of_a_job_are_kept_until_it_ends() {
    let world = slow_world(5);
    let (checkpoint, mut found, _) = lost_group(&world, 2).await;
    let segments = || world.engines.iter().map(|engine| engine.node.pairs.usage().segments);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(segments().all(|segments| segments > 0));
    // Whoever waits to go on with them says so.
    let node = world.engines[2].clone();
    let expire = async {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            for engine in &world.engines {
                engine.node.pairs.expire(engine.node.age(), crate::limits::PAIRS_IDLE);
            }
        }
    };
    tokio::select! {
        biased;
        never = node.keep_pairs(checkpoint.bytes.clone()) => match never {},
        () = expire => {}
    }
    assert!(segments().all(|segments| segments > 0));
    let second = JobOptions { resume: Some(checkpoint.bytes.clone()), ..options() };
    let started = world.start_job(1, "\"b\"", GROUP, "", second);
    found.extend(gather(started.results).await.unwrap().into_values().flatten());
    assert_eq!(found, sums());
    node.forget_pairs(&checkpoint.bytes).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(segments().sum::<u64>(), 0);
}
