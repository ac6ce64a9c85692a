//! What happens to the nodes that run jobs.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::network::{Cut, Network};
use super::super::rig::Rig;
use super::seen::{self, Midst};
use mapring_tests::harness::eventually;

/// How long a node stands still: some times less than others wait for it, mostly longer.
const SHORT: (u64, u64) = (500, 6_000);
const LONG: (u64, u64) = (6_000, 9_000);

/// How often it is the longer one.
const MOSTLY: f64 = 0.8;

/// How soon after a kill nodes start again, at most.
const SOON: Duration = Duration::from_millis(3_000);

/// How long a node may run a job that it has taken over before it is killed as well.
const AGAIN: Duration = Duration::from_millis(500);

/// What comes over nodes while a job is in its midst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The one that has it is killed.
    KillOwner,
    /// Another one is killed.
    KillOther,
    /// The one that has it is killed, and then the one that has it next.
    KillTwice,
    /// All nodes are killed.
    KillAll,
    /// The one that has it stands still.
    Pause,
    /// The one that has it is cut off from the others.
    Cut,
}

/// What is still to be undone of a fault.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left {
    Nothing,
    Killed(usize),
    Stopped(usize),
    CutOff(usize, Cut),
}

/// What a fault has come to.
pub(super) struct Came {
    /// Whether it met the job as it was to.
    pub(super) met: bool,
    /// The epochs that the job may end in.
    pub(super) epochs: RangeInclusive<u64>,
    pub(super) left: Left,
}

/// How long jobs were without a node that runs them.
#[derive(Default)]
pub(super) struct Takeovers(Vec<Duration>);

impl Takeovers {
    #[track_caller]
    pub(super) fn note(&mut self, took: Duration) {
        assert!(took < super::TAKEN_OVER, "a job was without a node for {took:?}");
        self.0.push(took);
    }

    /// For the line of figures.
    pub(super) fn figures(&self) -> String {
        let mut all = self.0.clone();
        all.sort_unstable();
        match (all.get(all.len() / 2), all.last()) {
            (Some(middle), Some(longest)) => {
                let count = all.len();
                format!("{count} take-overs, {middle:.1?} in the median, {longest:.1?} at most")
            }
            _ => "no take-over was timed".to_owned(),
        }
    }
}

impl Left {
    /// Whom the fault is over.
    pub(super) fn victim(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Killed(node) | Self::Stopped(node) | Self::CutOff(node, _) => Some(node),
        }
    }

    /// The fault is over.
    pub(super) fn undo(self, rig: &mut Rig, network: Option<&Network>) {
        match self {
            Self::Nothing => return,
            Self::Killed(node) => rig.cluster.nodes[node].spawn(),
            Self::Stopped(node) => rig.cluster.nodes[node].signal(Signal::CONT),
            Self::CutOff(node, how) => network.unwrap().heal(node, how),
        }
        rig.note_of(self.victim().unwrap(), "is as before");
    }
}

/// A node is killed.
pub(super) async fn kill(rig: &mut Rig, node: usize) -> Left {
    rig.note_of(node, "is killed");
    rig.cluster.nodes[node].kill().await;
    Left::Killed(node)
}

/// A node stands still.
pub(super) fn stop(rig: &Rig, node: usize) -> Left {
    rig.note_of(node, "is stopped");
    rig.cluster.nodes[node].signal(Signal::STOP);
    Left::Stopped(node)
}

/// A node is cut off.
fn cut(rig: &mut Rig, network: &Network, node: usize) -> Left {
    let how = *rig.random.pick(&[Cut::Port, Cut::Link]);
    rig.note_of(node, &format!("is cut off ({how:?})"));
    network.cut(node, how);
    Left::CutOff(node, how)
}

impl Fault {
    /// Comes over a job.
    pub(super) async fn comes(
        self,
        rig: &mut Rig,
        network: Option<&Network>,
        midst: &Midst,
        takeovers: &mut Takeovers,
    ) -> Came {
        let owner = midst.owner;
        match self {
            Self::KillOther => {
                let victim = *rig.random.pick(&rig.others(owner));
                let left = kill(rig, victim).await;
                Came { met: true, epochs: 1..=1, left }
            }
            Self::KillAll => kill_all(rig).await,
            Self::KillTwice => kill_twice(rig, midst, takeovers).await,
            Self::Pause => {
                let began = Instant::now();
                let long = rig.random.chance(MOSTLY);
                let (least, most) = if long { LONG } else { SHORT };
                let pause = least + rig.random.next() % (most - least);
                let left = stop(rig, owner);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let through = *rig.random.pick(&rig.others(owner));
                let job = seen::told(rig, through, &format!("/jobs/{}", midst.job)).await;
                let taken = job.is_some_and(|job| job["epoch"] == 2);
                left.undo(rig, None);
                let paused = began.elapsed();
                rig.note(&format!("after {paused:.1?}, taken: {taken}"));
                Came { met: taken || !long, epochs: epochs(taken), left: Left::Nothing }
            }
            Self::KillOwner | Self::Cut => {
                let began = Instant::now();
                let left = match network {
                    Some(network) => cut(rig, network, owner),
                    None => kill(rig, owner).await,
                };
                if rig.random.chance(0.25) {
                    tokio::time::sleep(SOON.mul_f64(rig.random.fraction())).await;
                    left.undo(rig, network);
                    return Came { met: true, epochs: 1..=2, left: Left::Nothing };
                }
                let met = is_taken(rig, midst, 2, began, takeovers).await.is_some();
                let back = rig.random.chance(0.5);
                if back {
                    left.undo(rig, network);
                }
                Came { met, epochs: epochs(met), left: if back { Left::Nothing } else { left } }
            }
        }
    }
}

/// The epochs of a job that another node has taken over; of one that may have ended before.
fn epochs(taken: bool) -> RangeInclusive<u64> {
    if taken { 2..=2 } else { 1..=2 }
}

/// Waits until another node runs a job, and notes how long that took.
async fn is_taken(
    rig: &mut Rig,
    midst: &Midst,
    epoch: u64,
    began: Instant,
    takeovers: &mut Takeovers,
) -> Option<usize> {
    let through = *rig.random.pick(&rig.others(midst.owner));
    let (owner, since) = seen::taken(rig, through, &midst.job, epoch).await?;
    takeovers.note(since - began);
    (owner != midst.owner).then_some(owner)
}

async fn kill_twice(rig: &mut Rig, midst: &Midst, takeovers: &mut Takeovers) -> Came {
    let began = Instant::now();
    let first = kill(rig, midst.owner).await;
    let second = is_taken(rig, midst, 2, began, takeovers).await;
    first.undo(rig, None);
    // With two of three away nothing is decided.
    rig.cluster.wait_shared().await;
    let Some(owner) = second else {
        return Came { met: false, epochs: epochs(false), left: Left::Nothing };
    };
    tokio::time::sleep(AGAIN.mul_f64(rig.random.fraction())).await;
    let began = Instant::now();
    let left = kill(rig, owner).await;
    let midst = Midst { job: midst.job.clone(), owner };
    let met = is_taken(rig, &midst, 3, began, takeovers).await.is_some();
    // It may have ended in the second.
    Came { met, epochs: if met { 3..=3 } else { 2..=3 }, left }
}

async fn kill_all(rig: &mut Rig) -> Came {
    rig.note("all nodes are killed");
    for node in &rig.cluster.nodes {
        node.signal(Signal::KILL);
    }
    for node in &mut rig.cluster.nodes {
        node.wait_end().await;
    }
    let mut order = rig.everyone();
    rig.random.shuffle(&mut order);
    for node in order {
        tokio::time::sleep(SOON.mul_f64(rig.random.fraction() / 3.0)).await;
        rig.note_of(node, "starts again");
        rig.cluster.nodes[node].spawn();
    }
    let node = rig.random.below(rig.cluster.nodes.len());
    let client = rig.cluster.client(node);
    eventually("the cluster to be back", || async {
        client.is_ready().await.unwrap_or(false).then_some(())
    })
    .await;
    Came { met: true, epochs: 1..=2, left: Left::Nothing }
}
