//! Jobs while nodes fail: whatever happens to the nodes that run them, their ends are those of jobs that
//! nothing happened to, and when they are removed nothing of them is left.
//!
//! A run starts some jobs of different kinds, waits until one of them is in its midst, as it tells itself,
//! and makes a fault. Results, counters and outputs must be the model's, the job may have changed hands as
//! often as it had to and no more, and a node that comes back changes nothing of that.

mod abort;
mod fault;
mod left;
mod overwrite;
mod schedule;
mod seen;
mod task;
mod whole;

use std::ops::RangeInclusive;
use std::time::Duration;

use super::cut::networked;
use super::rig::Rig;
use fault::{Fault, Takeovers};
use seen::Midst;
use task::{Kind, Pace, Task};

/// Runs of each kind of fault that must count.
const RUNS: u32 = 4;

/// Jobs of a run: one that the fault is to meet, and others beside it.
const JOBS: usize = 3;

/// How long a job may be without a node that runs it: some six seconds are aimed at, the rest is for a
/// busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(12);

/// How far a job is at most when it is met.
const LATEST: f64 = 0.8;
/// … and when it is to be met again.
const EARLY: f64 = 0.3;

/// How often it is met when all its functions have been called instead, and how long after that at most.
const AT_THE_END: f64 = 0.2;
const ENDING: Duration = Duration::from_millis(150);

/// How fast jobs are: they take some seconds.
const RATES: [u32; 3] = [40, 60, 90];
const SLOW_RATE: u32 = 25;
const BUSY_MS: u32 = 30;

/// The epochs of jobs that the fault need not have met: they may have been elsewhere.
const BESIDE: RangeInclusive<u64> = 1..=3;

/// The kinds of jobs of a run: each in turn, in an order of the seed's, is the one that the fault meets.
struct Deck(Vec<Kind>);

impl Deck {
    fn draw(&mut self, rig: &mut Rig) -> Vec<Kind> {
        if self.0.is_empty() {
            self.0 = Kind::ALL.to_vec();
            rig.random.shuffle(&mut self.0);
        }
        let others = (1..JOBS).map(|_| *rig.random.pick(&Kind::ALL));
        std::iter::once(*self.0.last().unwrap()).chain(others).collect()
    }

    /// The first has had a run that counts.
    fn count(&mut self, rig: &mut Rig) {
        self.0.pop();
        rig.count(0);
    }
}

fn pace(rig: &mut Rig, slow: bool) -> Pace {
    match rig.random.below(4) {
        _ if slow => Pace::Rate(SLOW_RATE),
        0 => Pace::Busy(BUSY_MS),
        rate => Pace::Rate(RATES[rate - 1]),
    }
}

/// Starts the jobs of a run, all by way of one node.
async fn start(rig: &mut Rig, kinds: &[Kind], slow: bool) -> (usize, Vec<Task>) {
    rig.change_some(&rig.everyone()).await;
    let node = rig.random.below(rig.cluster.nodes.len());
    let mut tasks = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let id = format!("run{}-{number}", rig.run());
        let pace = pace(rig, slow);
        let task = Task::new(*kind, &id, pace, &rig.model);
        seen::start(rig, node, &task).await;
        tasks.push(task);
    }
    (node, tasks)
}

/// Waits until the first of them is in its midst.
async fn midst(rig: &mut Rig, node: usize, tasks: &[Task], latest: f64) -> Option<Midst> {
    let point = tasks[0].point(&mut rig.random, latest);
    seen::midst(rig, node, &tasks[0], point).await
}

/// As [`midst`], or, now and then, until it is about to end.
async fn midst_or_end(rig: &mut Rig, node: usize, tasks: &[Task], latest: f64) -> Option<Midst> {
    if !rig.random.chance(AT_THE_END) {
        return midst(rig, node, tasks, latest).await;
    }
    let midst = seen::midst(rig, node, &tasks[0], tasks[0].last_point()).await?;
    tokio::time::sleep(ENDING.mul_f64(rig.random.fraction())).await;
    Some(midst)
}

/// A node that the fault is not over.
fn someone(rig: &mut Rig, without: Option<usize>) -> usize {
    let nodes: Vec<usize> =
        rig.everyone().into_iter().filter(|node| Some(*node) != without).collect();
    *rig.random.pick(&nodes)
}

async fn during(fault: Fault) {
    let kind = format!("jobs, {fault:?}");
    let (network, mut rig) = match fault {
        Fault::Cut => {
            let Some((network, cluster)) = networked(3).await else { return };
            (Some(network), Rig::with(cluster, &kind, RUNS).await)
        }
        _ => (None, Rig::start(&kind, 3, RUNS).await),
    };
    let network = network.as_ref();
    let twice = fault == Fault::KillTwice;
    let (mut deck, mut takeovers) = (Deck(Vec::new()), Takeovers::default());
    while rig.next_run() {
        let kinds = deck.draw(&mut rig);
        let (node, tasks) = start(&mut rig, &kinds, twice).await;
        let latest = if twice { EARLY } else { LATEST };
        let Some(midst) = midst_or_end(&mut rig, node, &tasks, latest).await else {
            over(&mut rig, &tasks, 1..=1).await;
            continue;
        };
        let came = fault.comes(&mut rig, network, &midst, &mut takeovers).await;
        let through = someone(&mut rig, came.left.victim());
        seen::succeeded(&rig, through, &tasks[0], &came.epochs).await;
        for task in &tasks[1..] {
            seen::succeeded(&rig, through, task, &BESIDE).await;
        }
        came.left.undo(&mut rig, network);
        if came.met {
            deck.count(&mut rig);
        }
        rig.recover().await;
        over(&mut rig, &tasks, came.epochs).await;
    }
    eprintln!("{}", takeovers.figures());
    finish(rig).await;
}

/// All nodes are back: what they say of the jobs is still right, and nothing is left of those that are
/// removed.
async fn over(rig: &mut Rig, tasks: &[Task], epochs: RangeInclusive<u64>) {
    for node in rig.everyone() {
        seen::succeeded(rig, node, &tasks[0], &epochs).await;
        for task in &tasks[1..] {
            seen::succeeded(rig, node, task, &BESIDE).await;
        }
    }
    remove(rig, tasks).await;
}

async fn remove(rig: &mut Rig, tasks: &[Task]) {
    for task in tasks {
        let node = someone(rig, None);
        seen::removed(rig, node, task).await;
    }
    seen::none_is_left(rig).await;
}

async fn finish(mut rig: Rig) {
    rig.conclude().await;
    left::nothing(&mut rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_killed() {
    during(Fault::KillOwner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_is_killed() {
    during(Fault::KillOther).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_are_killed() {
    during(Fault::KillTwice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_are_killed() {
    during(Fault::KillAll).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_stands_still_and_wakes() {
    during(Fault::Pause).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_cut_off() {
    during(Fault::Cut).await;
}
