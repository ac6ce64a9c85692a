//! Workers die by the thousand, and leave nothing in the node: no memory, no files, no processes.

use std::fmt;
use std::fs;

use futures::StreamExt as _;

use super::rig::{Bystanders, Rig, WORKERS};
use super::row::{Kind, MEMORY, Row, STACK, TIME, row};
use mapring_tests::harness::{Memory, eventually, holds, metrics, workers};

/// How many deaths, unless the environment says another number: what the suite has time for.
const DEATHS: u64 = 300;
const VARIABLE: &str = "MAPRING_HOSTILE_DEATHS";

/// Queries at once.
const AT_ONCE: usize = 4;

/// What the node's memory may differ by: what its allocator and its logs keep.
const NOISE: u64 = 24 << 20;

/// Deaths by memory and by the stack.
fn rows() -> [Row; 2] {
    [
        row("memory", "return ['x'.repeat(2**30).length]", &[MEMORY]),
        row("stack", "return [eval('('.repeat(2e4) + '1' + ')'.repeat(2e4))]", &[STACK]),
    ]
}

/// What a node has of the machine.
struct Census {
    memory: u64,
    files: usize,
    threads: usize,
    processes: usize,
}

impl Census {
    /// Taken when all workers are there again.
    async fn take(rig: &Rig) -> Self {
        let node = rig.node().pid();
        let count: usize = WORKERS.parse().unwrap();
        eventually("all workers and no others", || {
            let workers = workers(node);
            let whole = workers.len() == count && workers.iter().all(|worker| lives(*worker));
            async move { holds(whole) }
        })
        .await;
        let entries = |what: &str| fs::read_dir(format!("/proc/{node}/{what}")).unwrap().count();
        Self {
            memory: Memory::of(node).now,
            files: entries("fd"),
            threads: entries("task"),
            processes: workers(node).len(),
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, files, threads, processes } = self;
        let memory = memory >> 20;
        write!(f, "{memory} MB, {files} files, {threads} threads, {processes} workers")
    }
}

/// Whether the process is no zombie.
fn lives(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn deaths(rig: &Rig) -> f64 {
    metrics(rig.node()).await.get("mapring_script_worker_kills_total").copied().unwrap_or_default()
}

/// Lets so many workers die; every call costs one.
async fn kill(rig: &Rig, count: u64) {
    let before = deaths(rig).await;
    let rows = rows();
    let runs = (0..usize::try_from(count).unwrap()).map(|number| &rows[number % rows.len()]);
    let runs = futures::stream::iter(runs).map(|row| rig.ask(row, Kind::Reduce));
    let mut results = runs.buffer_unordered(AT_ONCE);
    while let Some(result) = results.next().await {
        result.unwrap();
    }
    let endless = row("time", "for (;;) {}", &[TIME]);
    rig.ask(&endless, Kind::Reduce).await.unwrap();
    let died = deaths(rig).await - before;
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let expected = (count + 1) as f64;
    assert!(died >= expected, "{died} of {expected} workers have died");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_of_workers_leak_nothing() {
    let count = std::env::var(VARIABLE).map_or(DEATHS, |text| text.parse().expect(VARIABLE));
    let rig = Rig::start(2, &[]).await;
    let bystanders = Bystanders::start(rig.node());
    kill(&rig, (count / 4).min(1_000)).await;
    let before = Census::take(&rig).await;
    let began = std::time::Instant::now();
    kill(&rig, count).await;
    let took = began.elapsed();
    let after = Census::take(&rig).await;
    println!("{count} deaths in {took:?}; before: {before}; after: {after}");
    println!("{}", bystanders.end().await);
    assert_eq!(after.processes, before.processes);
    assert!(after.memory <= before.memory + NOISE, "{before}; {after}");
    // Connections of the test come and go.
    eventually("as many files as before", || async {
        let now = Census::take(&rig).await;
        holds(now.files <= before.files + 2 && now.threads <= before.threads + 2)
    })
    .await;
}
