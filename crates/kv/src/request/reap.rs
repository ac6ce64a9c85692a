//! Reaping: a tombstone that has stood for a while is removed from its primaries, once all of them
//! are reachable and hold exactly it, and no node holds data for any of them.
//!
//! Forgetting a tombstone earlier would let an old value come back from a replica that slept. Later
//! writes stay distinct: the counters of actors never go back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::{NodeId, Object, ObjectId, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::request::get;
use crate::resolution::Resolution;
use crate::{GetOptions, Shared, limits};

/// Tombstones to be reaped.
pub(crate) struct Reaper {
    after: Option<Duration>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Instant, ObjectId)>,
    /// The number of tries, for each object in `due`.
    tries: BTreeMap<ObjectId, u32>,
}

/// What a try came to.
#[derive(Debug, PartialEq, Eq)]
enum Reaped {
    /// The object is gone, or it is no tombstone any more.
    Done,
    /// Later perhaps.
    NotYet,
}

impl Reaper {
    pub(crate) fn new(after: Option<Duration>) -> Self {
        Self { after, queue: Mutex::default() }
    }

    /// Has a tombstone reaped after a time; never when that is `None`.
    pub(crate) fn schedule(&self, id: &ObjectId, after: Option<Duration>) {
        if let Some(after) = after {
            self.enqueue(id.clone(), Instant::now() + after, 0);
        }
    }

    /// A read has met a tombstone written at `last_modified`, both in microseconds.
    pub(crate) fn met(&self, id: &ObjectId, last_modified: u64, now: u64) {
        let age = Duration::from_micros(now.saturating_sub(last_modified));
        self.schedule(id, self.after.map(|after| after.saturating_sub(age)));
    }

    fn enqueue(&self, id: ObjectId, at: Instant, tries: u32) {
        let mut queue = self.queue.lock();
        if queue.tries.contains_key(&id) {
            return;
        }
        if queue.tries.len() >= limits::REAPS {
            metrics::counter!("mapring_kv_reaps_dropped_total").increment(1);
            return;
        }
        queue.tries.insert(id.clone(), tries);
        queue.due.insert((at, id));
        assert_eq!(queue.due.len(), queue.tries.len(), "tombstones that wait for nothing");
    }

    /// How many tombstones wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().tries.len()
    }

    fn any_due(&self, now: Instant) -> bool {
        self.queue.lock().due.first().is_some_and(|(at, _)| *at <= now)
    }

    fn take_due(&self, now: Instant) -> Vec<(ObjectId, u32)> {
        let mut queue = self.queue.lock();
        let mut taken = Vec::new();
        while queue.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = queue.due.pop_first() else { break };
            let tries = queue.tries.remove(&id).unwrap_or_default();
            taken.push((id, tries));
        }
        taken
    }
}

/// The background task.
pub(crate) async fn run(shared: Weak<Shared>) {
    let mut levelled: Option<Instant> = None;
    loop {
        sleep(limits::REAP_TICK).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.stopping() {
            return;
        }
        round(&shared).await;
        if levelled.is_none_or(|at| at.elapsed() >= limits::GRAVES_TICK) {
            level(&shared).await;
            levelled = Some(Instant::now());
        }
    }
}

/// Removes graves that are too old or too many.
async fn level(shared: &Arc<Shared>) {
    let keep = shared.parts.config.graves_kept.max(limits::GRAVES_KEPT.0);
    let now = shared.parts.clock.now_micros();
    match shared.vnodes.run(move |core| core.level_graves(now, keep)).await {
        Ok(left) => metrics::gauge!("mapring_kv_graves").set(left as f64),
        Err(error) => tracing::warn!(%error, "old graves are not removed"),
    }
}

async fn round(shared: &Arc<Shared>) {
    let now = Instant::now();
    if !shared.reaper.any_due(now) {
        return;
    }
    // Tombstones keep waiting while any member is away: it may hold an old value.
    let Some(held) = all_held(shared).await else { return };
    let held = &held;
    futures::stream::iter(shared.reaper.take_due(now))
        .for_each_concurrent(limits::REAPS_AT_ONCE, |(id, tries)| async move {
            let reaped = reap(shared, &id, held).await.unwrap_or_else(|error| {
                tracing::debug!(%id, %error, "a tombstone was not reaped");
                Reaped::NotYet
            });
            if reaped == Reaped::NotYet && tries + 1 < limits::REAP_ATTEMPTS {
                let wait = shared.reaper.after.unwrap_or_default().max(limits::REAP_TICK);
                shared.reaper.enqueue(id, Instant::now() + wait * (tries + 1), tries + 1);
            }
        })
        .await;
}

/// The vnodes for which some node holds data; `None` unless every member says.
async fn all_held(shared: &Arc<Shared>) -> Option<BTreeSet<Partition>> {
    if mapring_types::failpoint!(ReapedTooSoon) {
        return Some(BTreeSet::new());
    }
    let view = shared.parts.cluster.view();
    if !view.state.members.keys().all(|&node| view.is_up(node)) {
        return None;
    }
    let members: Vec<NodeId> = view.state.members.keys().copied().collect();
    let known = shared.survey(&members, Class::Background, &BTreeSet::new()).await;
    let all = members.iter().all(|member| known.heard.contains_key(member));
    all.then_some(known.held)
}

async fn reap(shared: &Arc<Shared>, id: &ObjectId, held: &BTreeSet<Partition>) -> Result<Reaped> {
    let view = shared.parts.cluster.view();
    let props = shared.props(&view, &id.bucket)?;
    let list = view.preference_list(&id.bucket, &id.key, props.n_val);
    let whole = list.entries.iter().all(|entry| entry.primary)
        && list.entries.len() == list.primaries.len();
    let held = list.primaries.iter().any(|entry| held.contains(&entry.vnode));
    if (!whole || held) && !mapring_types::failpoint!(ReapedTooSoon) {
        return Ok(Reaped::NotYet);
    }
    let patience = limits::REPLICA_PATIENCE;
    let reads = list
        .primaries
        .iter()
        .map(|&entry| shared.read_at(entry, id.clone(), Class::Background, patience));
    let answers = join_all(reads).await.into_iter();
    let held: Vec<Option<Object>> = if mapring_types::failpoint!(ReapedTooSoon) {
        answers.flatten().collect()
    } else {
        answers.collect::<Result<_>>()?
    };
    let held: Vec<Object> = held.into_iter().flatten().collect();
    let Some(first) = held.first() else { return Ok(Reaped::Done) };
    if !held.iter().all(|object| object.clock == first.clock) {
        // The read repairs what differs.
        get::get(shared, id, &GetOptions::default()).await?;
        return Ok(Reaped::NotYet);
    }
    if !Resolution::of(&props).is_tombstone(first) {
        return Ok(Reaped::Done);
    }
    // It need not be the one that was scheduled: each stands for the whole time.
    let age = shared.parts.clock.now_micros().saturating_sub(first.last_modified());
    if shared.reaper.after.is_some_and(|after| Duration::from_micros(age) < after) {
        return Ok(Reaped::NotYet);
    }
    let removals = list
        .primaries
        .iter()
        .map(|&entry| shared.remove_at(entry, id.clone(), first.clock.clone(), patience));
    let gone = join_all(removals).await.into_iter().collect::<Result<Vec<bool>>>()?;
    if gone.iter().all(|&gone| gone) {
        shared.stats.count_reap();
        return Ok(Reaped::Done);
    }
    Ok(Reaped::NotYet)
}
