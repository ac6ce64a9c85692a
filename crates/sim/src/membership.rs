//! Who may decide about the cluster, when the others learn of it, and a node that takes the place of
//! one that is gone for good.
//!
//! As with raft, a node decides only while it reaches a majority of the members, and knows what it has
//! decided. Any other that reaches a majority learns of it a while later, all at once; who is cut off,
//! stands still or is down learns nothing. So nodes go by different plans.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use mapring_cluster::fixed::{FixedGroup, HasMajority, Spread};
use mapring_cluster::{Change, Cluster, ClusterState, Member, Outcome};
use mapring_types::{NodeId, Releases, Result};
use tokio::time::{Instant, sleep};

use crate::limits;
use crate::node::{Host, Life, Role};
use crate::random::Random;
use crate::shape::Shape;
use crate::world::World;

/// When nodes learn what is decided.
pub(crate) struct Learning {
    random: Random,
    /// Most time that it takes, in milliseconds.
    most_ms: u64,
    due: BTreeMap<NodeId, Instant>,
}

/// A node that goes for good, and the one that comes in its stead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replacement {
    pub(crate) old: NodeId,
    pub(crate) new: NodeId,
    /// When it goes, after the clients have begun.
    leaves: Duration,
    missed: Duration,
}

impl Replacement {
    /// What a seed has in store. Where there is one replica only, it would be gone too.
    pub(crate) fn plan(random: &Random, shape: &Shape) -> Option<Self> {
        let seat = random.within(1..shape.nodes + 1);
        let millis = |range| Duration::from_millis(random.within(range));
        let replacement = Self {
            old: NodeId(seat),
            new: NodeId(limits::SEATS + seat),
            leaves: millis(limits::LEAVES_MS),
            missed: millis(limits::MISSED_MS),
        };
        (random.per_mille(limits::REPLACEMENTS) && shape.n_val > 1).then_some(replacement)
    }
}

impl Learning {
    pub(crate) fn new(random: Random) -> Self {
        let most_ms = random.choose(&limits::LAGS_MS).copied().unwrap_or_default();
        Self { random, most_ms, due: BTreeMap::new() }
    }

    /// Whether a node learns now what is decided, which it must not know yet.
    fn is_due(&mut self, node: NodeId) -> bool {
        let now = Instant::now();
        let after = || Duration::from_millis(self.random.within(0..self.most_ms + 1));
        let due = *self.due.entry(node).or_insert_with(|| now + after());
        if now >= due {
            self.due.remove(&node);
        }
        now >= due
    }

    /// A node knows everything, or cannot learn it now.
    fn forget(&mut self, node: NodeId) {
        self.due.remove(&node);
    }
}

/// How decisions spread in a world that is yet to be made.
pub(crate) fn spread(world: &Arc<OnceLock<Weak<World>>>) -> Spread {
    let world = world.clone();
    let has_majority: HasMajority = Box::new(move |node, state| {
        let world = world.get().and_then(Weak::upgrade);
        world.is_some_and(|world| world.has_majority(node, state))
    });
    Spread::Lagging(has_majority)
}

impl World {
    /// Whether a node reaches more than half of the members.
    fn has_majority(&self, node: NodeId, state: &ClusterState) -> bool {
        let reached = |other: &&NodeId| **other == node || self.hear_each_other(node, **other);
        2 * state.members.keys().filter(reached).count() > state.members.len()
    }

    /// Lets a node learn what is decided, when its time has come.
    pub(crate) fn learn(&self, life: &Life) -> Result<()> {
        let cluster = &self.host(life.node)?.cluster;
        let mut learning = self.learning.lock();
        if !cluster.is_behind() || !self.has_majority(life.node, &cluster.decided()) {
            learning.forget(life.node);
            return Ok(());
        }
        if learning.is_due(life.node) {
            cluster.learn();
            life.eyes.tell();
            let plan = cluster.view().plan().version();
            self.trace.note(format!("{} learns what is decided, plan {plan}", life.name()));
            self.count(|figures| figures.lags += 1);
        }
        Ok(())
    }

    /// Waits until all nodes know what is decided.
    pub(crate) async fn all_know(&self) {
        while self.hosts().any(|host| host.cluster.is_behind()) {
            sleep(limits::JOIN_TICK).await;
        }
    }

    /// Has something decided by a node that can; `false` when there is none now.
    pub(crate) async fn decide(&self, change: Change) -> Result<bool> {
        for host in self.hosts() {
            let Some(life) = host.life() else { continue };
            match host.cluster.propose(change.clone()).await {
                Ok(Outcome::Applied) => {
                    life.eyes.tell();
                    return Ok(true);
                }
                Ok(Outcome::Refused(why)) => self.trace.note(format!("{change:?}: {why}")),
                Err(error) => self.trace.note(format!("{change:?} at {}: {error}", life.name())),
            }
        }
        Ok(false)
    }
}

/// Lets a node go for good and another take its place.
pub(crate) async fn replace(world: &World, replacement: Replacement) -> Result<()> {
    let Replacement { old, new, leaves, missed } = replacement;
    sleep(leaves).await;
    world.trace.note(format!("FAULT n{} is gone for good", old.0));
    world.lose_for_good(old, new)?;
    sleep(missed).await;
    let host: &Host = world.host(new)?;
    let releases = Some(Releases::own());
    let member = Member { releases, ..FixedGroup::member(&world.host(old)?.name(), new) };
    let join = Change::Join { id: new, member, replaces: Some(old) };
    while !world.decide(join.clone()).await? {
        sleep(limits::JOIN_TICK).await;
    }
    host.cluster.learn();
    host.set_role(Role::Serves);
    world.trace.note(format!("n{} takes the place of n{}", new.0, old.0));
    host.start().await?;
    world.replaced(old);
    Ok(())
}
