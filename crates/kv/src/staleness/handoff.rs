//! Hinted hand-off: what this node holds for vnodes of others is joined into their owners as soon
//! as these are reachable, and removed here. And the reverse: after its start a node asks every
//! member whether it holds something for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::LEASE;
use mapring_types::{NodeId, ObjectId, Record, Result, VersionVector};
use tokio::time::sleep;

use crate::peer::extent::Extents;
use crate::scan::coverage::owners;
use crate::scan::fold::{self, Slice};
use crate::staleness::integrity;
use crate::staleness::survey::Probed;
use crate::{Shared, limits};

/// The background task.
pub(crate) async fn run(shared: Weak<Shared>) {
    let Some((mut changes, wake)) =
        shared.upgrade().map(|shared| (shared.parts.cluster.changes(), shared.wake.clone()))
    else {
        return;
    };
    let (mut work, mut look) = (Work::default(), Look::Everywhere);
    loop {
        let tick = {
            let Some(shared) = shared.upgrade() else { return };
            if shared.stopping() {
                return;
            }
            work.begin(&shared, look);
            let again = work.stopped || shared.catching_up();
            if again { limits::CATCH_UP_TICK } else { limits::HANDOFF_TICK }
        };
        // A change of the view, such as a node that is back, brings the next look forward.
        let changed = async {
            if changes.changed().await.is_err() {
                std::future::pending().await
            }
        };
        look = tokio::select! {
            biased;
            ended = work.next() => Look::After(ended),
            () = wake.notified() => Look::Everywhere,
            () = changed => Look::Everywhere,
            () = sleep(tick) => Look::Everywhere,
        };
    }
}

/// One thing that is done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    CatchUp,
    HandOver(NodeId),
}

/// Why to look for something to do.
enum Look {
    Everywhere,
    /// A task has ended; whether it did all that it found.
    After((Task, bool)),
}

/// What is under way, each task by itself: a node that does not answer holds nobody else up.
#[derive(Default)]
struct Work {
    under_way: FuturesUnordered<BoxFuture<'static, (Task, bool)>>,
    busy: BTreeSet<Task>,
    /// What was to be begun while it was under way.
    again: BTreeSet<Task>,
    /// Whether a node that seems to be up did not take what it lacks.
    stopped: bool,
}

impl Work {
    /// Waits for a task to end; for ever while there is none.
    async fn next(&mut self) -> (Task, bool) {
        match self.under_way.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Begins what there is to do.
    fn begin(&mut self, shared: &Arc<Shared>, look: Look) {
        let mut due = due(shared);
        match look {
            Look::Everywhere => self.stopped = false,
            Look::After((task, done)) => {
                self.stopped |= !done;
                assert!(self.busy.remove(&task), "{task:?} has ended twice");
                let again = self.again.remove(&task);
                due.retain(|other, _| again && *other == task);
            }
        }
        for (task, vnodes) in due {
            if !self.busy.insert(task) {
                self.again.insert(task);
                continue;
            }
            let shared = shared.clone();
            self.under_way.push(Box::pin(async move {
                let done = match task {
                    Task::CatchUp => {
                        catch_up(&shared).await;
                        true
                    }
                    Task::HandOver(owner) => hand_all_over(&shared, owner, vnodes).await,
                };
                (task, done)
            }));
        }
    }
}

/// What there is to do, with the vnodes that are to be handed over.
fn due(shared: &Shared) -> BTreeMap<Task, Vec<Partition>> {
    let view = shared.parts.cluster.view();
    let mut due: BTreeMap<Task, Vec<Partition>> = BTreeMap::new();
    if shared.catching_up() {
        due.insert(Task::CatchUp, Vec::new());
    }
    for vnode in shared.vnodes.held().vnodes() {
        if let Some(owner) = view.plan().owner(vnode).filter(|owner| view.is_up(*owner)) {
            due.entry(Task::HandOver(owner)).or_default().push(vnode);
        }
    }
    due
}

/// Hands the vnodes of one owner over, one after another, until one fails; returns whether none
/// did.
async fn hand_all_over(shared: &Arc<Shared>, owner: NodeId, vnodes: Vec<Partition>) -> bool {
    for vnode in vnodes {
        let mark = shared.vnodes.held().mark(vnode);
        if owner == shared.me {
            shared.vnodes.held().clear(vnode, mark);
            continue;
        }
        match hand_over(shared, vnode, owner).await {
            Ok(Moved { objects: 0, .. }) => shared.vnodes.held().clear(vnode, mark),
            // Until their writes have settled.
            Ok(Moved { gone: 0, .. }) => {}
            Ok(Moved { gone: moved, objects }) => {
                if moved == objects {
                    shared.vnodes.held().brought(vnode, mark);
                }
                let node = shared.parts.cluster.view().state.named(owner);
                tracing::info!(%vnode, %node, moved, "handed objects over");
                shared.wake.notify_one();
            }
            Err(error) => {
                let node = shared.parts.cluster.view().state.named(owner);
                tracing::debug!(%vnode, %node, %error, "hand-off stopped");
                return false;
            }
        }
    }
    true
}

/// Asks the members that have not said yet whether they hold anything for this node.
async fn catch_up(shared: &Arc<Shared>) {
    let view = shared.parts.cluster.view();
    let unheard: Vec<NodeId> =
        shared.unheard().into_iter().filter(|&node| view.is_up(node)).collect();
    let own = |vnode: &Partition| view.plan().owner(*vnode) == Some(shared.me);
    let ask = |node| async move { (node, shared.settled(node, Class::Background).await) };
    for (node, answer) in join_all(unheard.into_iter().map(ask)).await {
        let Probed::Settled(report) = answer else { continue };
        if let Err(error) = shared.hear(node, &report.status).await {
            tracing::debug!(%node, %error, "a replication status is noted later");
        }
        if let Some(why) = report.yours.and_then(|yours| shared.is_less_than(&yours)) {
            // Not heard of before this is known to all.
            let why = format!("{} remembers that {why}", shared.name(node));
            if let Err(error) = integrity::go_back(shared, &why).await {
                tracing::info!(%error, "that this node went back is declared later");
                continue;
            }
            shared.integrity.wake.notify_one();
        }
        if !report.status.hinted.iter().any(own) {
            shared.heard.lock().insert(node);
        }
    }
    if shared.unheard().is_empty()
        && let Err(error) = shared.vnodes.run(|core| Extents::prove(&*core.engine)).await
    {
        tracing::debug!(%error, "that all have answered is noted at the next start");
    }
    shared.serve_arrived().await;
}

/// What became of the objects that lay here for a vnode.
#[derive(Default)]
struct Moved {
    /// How many were found.
    objects: usize,
    /// How many are here no more.
    gone: usize,
}

/// Joins all that lies here for `vnode` into its owner.
async fn hand_over(shared: &Arc<Shared>, vnode: Partition, owner: NodeId) -> Result<Moved> {
    let ring = shared.parts.cluster.view().plan().ring_size();
    let mut moved = Moved::default();
    for home in ring.partitions() {
        let mut after = None;
        loop {
            let slice = Slice { vnode, home, after };
            let page = shared
                .vnodes
                .run(move |core| {
                    let depth = ScanDepth::Records;
                    fold::records(core, slice, None, depth, limits::HANDOFF_OBJECTS)
                })
                .await?;
            let fold::Records { items, next } = page;
            moved.objects += items.len();
            moved.gone += hand_over_page(shared, vnode, owner, items).await?;
            match next {
                Some(last) => after = Some(last),
                None => break,
            }
        }
    }
    assert!(moved.gone <= moved.objects, "more than there was has gone");
    Ok(moved)
}

async fn hand_over_page(
    shared: &Arc<Shared>,
    vnode: Partition,
    owner: NodeId,
    items: Vec<(ObjectId, Record)>,
) -> Result<usize> {
    if items.is_empty() {
        return Ok(0);
    }
    let entry = PreferenceEntry { vnode, node: owner, primary: true };
    let sends = items.into_iter().map(|(id, record)| async move {
        let clock = Record::decode_without_bodies(&record.head)?.clock;
        let patience = LEASE + limits::transfer(record.len());
        let class = Class::Background;
        let taken = shared.merge_at(entry, id.clone(), record, None, class, patience).await;
        if !mapring_types::failpoint!(HandBackForgets) {
            taken?;
        }
        Ok((id, clock))
    });
    let sent: Vec<Result<(ObjectId, VersionVector)>> =
        futures::stream::iter(sends).buffered(limits::SLICES_AT_ONCE).collect().await;
    let sent = sent.into_iter().collect::<Result<Vec<_>>>()?;
    // The actor that stamped some of these objects must not stamp them again once they are gone
    // from here: its next dot would claim to have seen the earlier ones.
    shared.vnodes.retire(vnode).await?;
    let mut gone = 0;
    for (id, clock) in sent {
        if shared.vnodes.let_go(vnode, id, clock).await? {
            gone += 1;
            shared.stats.count_handed_over();
        }
    }
    Ok(gone)
}

impl Shared {
    /// The other members that have not said since this node's start that they hold nothing for it.
    pub(crate) fn unheard(&self) -> Vec<NodeId> {
        let view = self.parts.cluster.view();
        let heard = self.heard.lock();
        // Who owns no vnode is nobody's fallback.
        let owners = owners(view.plan());
        let others = owners.into_iter().filter(|&node| node != self.me);
        others.filter(|node| !heard.contains(node)).collect()
    }

    /// Whether this node's own vnodes may lack writes that others hold for it.
    pub(crate) fn catching_up(&self) -> bool {
        !self.unheard().is_empty()
    }
}
