//! A node that is not asked is killed, stopped or cut off while a query that groups by key is in a
//! certain stage, as it tells itself.

use std::time::Duration;

use mapring_client::{Error, RunningPhase, RunningQuery};
use rustix::process::Signal;

use super::cut::networked;
use super::network::{Cut, Network};
use super::query::Query;
use super::rig::{Asked, Rig};
use super::{PROMISED, RUNS_OF_FIVE, SLACK, SLOW};
use mapring_tests::harness::{eventually, holds};

/// How far a query that groups by key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Functions make pairs, none of which is where it belongs.
    Map,
    /// Some pairs are where they belong, while others are made.
    Gather,
    /// All pairs are there, and groups are reduced.
    Reduce,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Kill,
    Pause,
    Cut,
}

impl Stage {
    /// Whether a query is there.
    fn is_on(self, query: &RunningQuery) -> bool {
        let first = |kind: &str| query.phases.iter().find(|phase| phase.kind == kind);
        let (Some(map), Some(gather), Some(reduce)) =
            (first("map"), first("gather"), first("reduce"))
        else {
            return false;
        };
        match self {
            Self::Map => query.state == "running" && gather.inputs == 0,
            Self::Gather => gather.inputs > 0 && !is_over(map) && reduce.inputs == 0,
            Self::Reduce => (is_over(map) || reduce.inputs > 0) && !is_over(reduce),
        }
    }

    /// Waits until a query is there; `false` when it was over before that was seen.
    async fn is_reached(self, rig: &Rig, asked: &Asked) -> bool {
        let client = rig.cluster.client(asked.node);
        eventually(&format!("a query to be in the stage {self:?}"), || async {
            if asked.is_over() {
                return Some(false);
            }
            let running = client.queries().await.ok()?;
            let on = running.queries.iter().any(|query| self.is_on(query));
            on.then_some(true)
        })
        .await
    }
}

/// What works on named inputs has no partitions, and does not say so.
fn is_over(phase: &RunningPhase) -> bool {
    phase.partitions > 0 && phase.partitions_done == phase.partitions
}

/// The fault comes over a node, in every run another one.
pub(super) async fn comes(
    rig: &mut Rig,
    network: Option<&Network>,
    fault: Fault,
    victim: usize,
) -> Cut {
    let how = *rig.random.pick(&[Cut::Port, Cut::Link]);
    rig.note_of(victim, &format!("meets its fault: {fault:?}"));
    match (fault, network) {
        (Fault::Kill, _) => rig.cluster.nodes[victim].kill().await,
        (Fault::Pause, _) => rig.cluster.nodes[victim].signal(Signal::STOP),
        (Fault::Cut, network) => network.unwrap().cut(victim, how),
    }
    how
}

/// The fault is over.
pub(super) fn goes(
    rig: &mut Rig,
    network: Option<&Network>,
    fault: Fault,
    victim: usize,
    how: Cut,
) {
    match (fault, network) {
        (Fault::Kill, _) => rig.cluster.nodes[victim].spawn(),
        (Fault::Pause, _) => rig.cluster.nodes[victim].signal(Signal::CONT),
        (Fault::Cut, network) => network.unwrap().heal(victim, how),
    }
    rig.note_of(victim, "is as before");
}

async fn during(fault: Fault, stage: Stage) {
    let kind = format!("{fault:?} during {stage:?} of groups");
    let (network, mut rig) = match fault {
        Fault::Cut => {
            let Some((network, cluster)) = networked(3).await else { return };
            (Some(network), Rig::with(cluster, &kind, RUNS_OF_FIVE).await)
        }
        Fault::Kill | Fault::Pause => (None, Rig::start(&kind, 3, RUNS_OF_FIVE).await),
    };
    let network = network.as_ref();
    let queries = Query::grouped(SLOW);
    rig.measure(&queries).await;
    while rig.next_run() {
        let query = rig.draw(&queries);
        rig.change_some(&rig.everyone()).await;
        let (client, victim) = rig.client_and_victim();
        let before = rig.units_rerun(client).await;
        let asked = rig.ask(client, query);
        let reached = stage.is_reached(&rig, &asked).await;
        let how = comes(&mut rig, network, fault, victim).await;
        let met = reached && !asked.is_over();
        // Whoever was stopped wakes in every other run while the query goes on, and sends what it has.
        let wakes = matches!(fault, Fault::Pause) && rig.random.chance(0.5);
        if wakes {
            eventually("the query to go on without it", || async {
                holds(asked.is_over() || rig.units_rerun(client).await > before)
            })
            .await;
            goes(&mut rig, network, fault, victim, how);
        }
        let took = rig.judge(asked).await;
        let late = rig.took(query, took);
        // A holder that is silent costs the time to store, and then the lease.
        assert!(late <= 3 * PROMISED + SLACK, "{query:?} was late by {late:?}");
        if met {
            let reruns = rig.units_rerun(client).await - before;
            rig.count(reruns);
        }
        if !wakes {
            goes(&mut rig, network, fault, victim, how);
        }
        rig.recover().await;
    }
    rig.finish().await;
}

/// Both nodes that are not asked are killed, one after another. What was mapped and gathered may be
/// enough for all of the answer; else, with one replica of three, nobody knows whether it lacks an
/// acknowledged write (I5): then it is a refusal that says so, and never a part of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn two_are_killed_one_after_another() {
    let mut rig = Rig::start("two kills -9 of groups", 3, RUNS_OF_FIVE).await;
    let queries = Query::grouped(SLOW);
    rig.measure(&queries).await;
    let mut refused = 0;
    while rig.next_run() {
        let query = rig.draw(&queries);
        rig.change_some(&rig.everyone()).await;
        let (client, first) = rig.client_and_victim();
        let second = 3 - client - first;
        let stage = *rig.random.pick(&[Stage::Map, Stage::Gather, Stage::Reduce]);
        let asked = rig.ask_once(client, query);
        let reached = stage.is_reached(&rig, &asked).await;
        comes(&mut rig, None, Fault::Kill, first).await;
        tokio::time::sleep(BETWEEN.mul_f64(rig.random.fraction())).await;
        let met = reached && !asked.is_over();
        comes(&mut rig, None, Fault::Kill, second).await;
        let (_, error) = rig.judge_or_error(asked).await;
        if let Some(error) = error {
            let plain = matches!(error, Error::Status { .. } | Error::Query(_));
            let text = error.to_string();
            assert!(plain && PLAIN.iter().any(|words| text.contains(words)), "{query:?}: {error}");
            refused += 1;
        }
        if met {
            rig.count(0);
        }
        goes(&mut rig, None, Fault::Kill, first, Cut::Port);
        goes(&mut rig, None, Fault::Kill, second, Cut::Port);
        rig.recover().await;
    }
    eprintln!("{refused} of the answers were refusals");
    rig.finish().await;
}

/// The longest time between the two.
const BETWEEN: Duration = Duration::from_millis(800);

/// What refusals say: nobody can tell what is stored, or nobody is left who works on a part of it.
const PLAIN: [&str; 3] =
    ["too few replicas answer to know", "no complete replica", "could not be worked on"];

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_map() {
    during(Fault::Kill, Stage::Map).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_gather() {
    during(Fault::Kill, Stage::Gather).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_reduce() {
    during(Fault::Kill, Stage::Reduce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_during_map() {
    during(Fault::Pause, Stage::Map).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_during_gather() {
    during(Fault::Pause, Stage::Gather).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_during_reduce() {
    during(Fault::Pause, Stage::Reduce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_during_map() {
    during(Fault::Cut, Stage::Map).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_during_gather() {
    during(Fault::Cut, Stage::Gather).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_during_reduce() {
    during(Fault::Cut, Stage::Reduce).await;
}
