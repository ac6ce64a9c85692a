//! Reaping: a tombstone that has stood for a while is removed from its primaries, once all of them
//! are reachable and hold exactly it, and no node holds data for any of them.
//!
//! Forgetting a tombstone earlier would let an old value come back from a replica that slept. Later
//! writes stay distinct: the counters of actors never go back.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::join_all;
use mapring_background::{Context, Next, Worker};
use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::{NodeId, Object, ObjectId, Result};
use tokio::time::{Instant, sleep};

use crate::limits;
use crate::request::get;
use crate::request::options::GetOptions;
use crate::request::requests::Requests;
use crate::resolution::Resolution;
use crate::view;

/// What a try came to.
#[derive(Debug, PartialEq, Eq)]
enum Reaped {
    /// The object is gone, or it is no tombstone any more.
    Done,
    /// Later perhaps.
    NotYet,
}

/// Reaps what has stood for long enough, and forgets graves.
pub(crate) struct ReapWorker {
    requests: Weak<Requests>,
    /// When graves were last looked through.
    levelled: Option<Instant>,
}

impl ReapWorker {
    pub(crate) fn new(requests: &Arc<Requests>) -> Self {
        Self { requests: Arc::downgrade(requests), levelled: None }
    }
}

#[async_trait]
impl Worker for ReapWorker {
    fn name(&self) -> &'static str {
        "reap"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(requests) = self.requests.upgrade() else { return Ok(Next::End) };
        round(&requests).await;
        if self.levelled.is_none_or(|at| at.elapsed() >= limits::GRAVES_TICK) {
            // Also after a failure: looking through all of them takes a while.
            self.levelled = Some(Instant::now());
            level(&requests).await?;
        }
        context.say(format!("{} tombstones wait to be removed", requests.reaper.waiting()));
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        sleep(limits::REAP_TICK).await;
    }
}

/// Removes graves that are too old or too many.
async fn level(requests: &Arc<Requests>) -> Result<()> {
    let keep = requests.node.parts.config.graves_kept.max(limits::GRAVES_KEPT.0);
    let now = requests.node.parts.clock.now_micros();
    let left = requests.node.vnodes.run(move |core| core.level_graves(now, keep)).await;
    let left = left.map_err(|error| error.context("old graves are not removed"))?;
    metrics::gauge!("mapring_kv_graves").set(left as f64);
    Ok(())
}

async fn round(requests: &Arc<Requests>) {
    let now = Instant::now();
    if !requests.reaper.any_due(now) {
        return;
    }
    // Tombstones keep waiting while any member is away: it may hold an old value.
    let Some(held) = all_held(requests).await else { return };
    let held = &held;
    futures::stream::iter(requests.reaper.take_due(now))
        .for_each_concurrent(limits::REAPS_AT_ONCE, |(id, tries)| async move {
            let reaped = reap(requests, &id, held).await.unwrap_or_else(|error| {
                tracing::debug!(%id, %error, "a tombstone was not reaped");
                Reaped::NotYet
            });
            if reaped == Reaped::NotYet && tries + 1 < limits::REAP_ATTEMPTS {
                let wait = requests.reaper.after.unwrap_or_default().max(limits::REAP_TICK);
                requests.reaper.enqueue(id, Instant::now() + wait * (tries + 1), tries + 1);
            }
        })
        .await;
}

/// The vnodes for which some node holds data; `None` unless every member says.
pub(crate) async fn all_held(requests: &Arc<Requests>) -> Option<BTreeSet<Partition>> {
    if mapring_types::failpoint!(ReapedTooSoon) {
        return Some(BTreeSet::new());
    }
    let view = requests.node.view();
    if !view.state.members.keys().all(|&node| view.is_up(node)) {
        return None;
    }
    let members: Vec<NodeId> = view.state.members.keys().copied().collect();
    let known = requests.staleness.survey(&members, Class::Background, &BTreeSet::new()).await;
    let all = members.iter().all(|member| known.heard.contains_key(member));
    all.then_some(known.held)
}

async fn reap(
    requests: &Arc<Requests>,
    id: &ObjectId,
    held: &BTreeSet<Partition>,
) -> Result<Reaped> {
    let view = requests.node.view();
    let props = view::props(&view, &id.bucket)?;
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
        .map(|&entry| requests.read_at(entry, id.clone(), Class::Background, patience));
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
        get::get(requests, id, &GetOptions::default()).await?;
        return Ok(Reaped::NotYet);
    }
    if !Resolution::of(&props).is_tombstone(first) {
        return Ok(Reaped::Done);
    }
    // It need not be the one that was scheduled: each stands for the whole time.
    let age = requests.node.parts.clock.now_micros().saturating_sub(first.last_modified());
    if requests.reaper.after.is_some_and(|after| Duration::from_micros(age) < after) {
        return Ok(Reaped::NotYet);
    }
    let removals = list
        .primaries
        .iter()
        .map(|&entry| requests.peers.remove_at(entry, id.clone(), first.clock.clone(), patience));
    let gone = join_all(removals).await.into_iter().collect::<Result<Vec<bool>>>()?;
    if gone.iter().all(|&gone| gone) {
        requests.node.stats.count_reap();
        return Ok(Reaped::Done);
    }
    Ok(Reaped::NotYet)
}
