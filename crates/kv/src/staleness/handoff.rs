//! Hinted hand-off: what this node holds for vnodes of others is joined into their owners as soon
//! as these are reachable, and removed here. And the reverse: after its start a node asks every
//! member whether it holds something for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use mapring_background::{Context, Next, Worker};
use mapring_cluster::View;
use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::LEASE;
use mapring_types::{NodeId, ObjectId, Record, Result, VersionVector};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use crate::limits;
use crate::peer::extent::Extents;
use crate::staleness::losses;
use crate::staleness::state::Staleness;
use crate::staleness::survey::Probed;
use crate::storage::placement;
use crate::storage::slice::{self, Slice};
use crate::view::changed;

/// Looks for something to hand over or to ask for, and does it.
pub(crate) struct HandoffWorker {
    staleness: Weak<Staleness>,
    changes: watch::Receiver<Arc<View>>,
    wake: Arc<Notify>,
    /// How long to wait for a reason to look again.
    tick: Duration,
}

impl HandoffWorker {
    pub(crate) fn new(staleness: &Arc<Staleness>) -> Self {
        Self {
            changes: staleness.node.parts.cluster.changes(),
            wake: staleness.wake.clone(),
            staleness: Arc::downgrade(staleness),
            tick: limits::HANDOFF_TICK,
        }
    }

    /// A change of the view, such as a node that is back, brings the next look forward.
    async fn due(&mut self) {
        tokio::select! {
            biased;
            () = self.wake.notified() => {}
            () = changed(&mut self.changes) => {}
            () = sleep(self.tick) => {}
        }
    }
}

#[async_trait]
impl Worker for HandoffWorker {
    fn name(&self) -> &'static str {
        "hand-off"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let (mut work, mut look) = (Work::new(context), Look::Everywhere);
        loop {
            {
                let Some(staleness) = self.staleness.upgrade() else { return Ok(Next::End) };
                work.begin(&staleness, look);
                let again = work.stopped || staleness.catching_up();
                self.tick = if again { limits::CATCH_UP_TICK } else { limits::HANDOFF_TICK };
                context.say(work.in_words(&staleness));
            }
            if work.busy.is_empty() {
                return Ok(Next::Wait);
            }
            look = tokio::select! {
                biased;
                () = context.stopped() => return Ok(Next::End),
                ended = work.next() => Look::After(ended),
                () = self.due() => Look::Everywhere,
            };
        }
    }

    async fn wait(&mut self) {
        self.due().await;
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
struct Work {
    context: Context,
    under_way: FuturesUnordered<BoxFuture<'static, (Task, bool)>>,
    busy: BTreeSet<Task>,
    /// What was to be begun while it was under way.
    again: BTreeSet<Task>,
    /// Whether a node that seems to be up did not take what it lacks.
    stopped: bool,
}

impl Work {
    fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            under_way: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            again: BTreeSet::new(),
            stopped: false,
        }
    }

    /// What is under way, for operators.
    fn in_words(&self, staleness: &Staleness) -> String {
        let words = self.busy.iter().map(|task| match task {
            Task::CatchUp => "asking the others what they hold for this node".to_owned(),
            Task::HandOver(owner) => format!("handing over to {}", staleness.node.name(*owner)),
        });
        let words: Vec<String> = words.collect();
        match words.is_empty() {
            true if self.stopped => {
                "a node that seems to be up did not take what it lacks".to_owned()
            }
            true => String::new(),
            false => words.join(", "),
        }
    }

    /// Waits for a task to end; for ever while there is none.
    async fn next(&mut self) -> (Task, bool) {
        match self.under_way.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Begins what there is to do.
    fn begin(&mut self, staleness: &Arc<Staleness>, look: Look) {
        let mut due = due(staleness);
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
            let (staleness, context) = (staleness.clone(), self.context.clone());
            self.under_way.push(Box::pin(async move {
                let done = match task {
                    Task::CatchUp => {
                        catch_up(&staleness).await;
                        true
                    }
                    Task::HandOver(owner) => {
                        hand_all_over(&staleness, owner, vnodes, &context).await
                    }
                };
                (task, done)
            }));
        }
    }
}

/// What there is to do, with the vnodes that are to be handed over.
fn due(staleness: &Staleness) -> BTreeMap<Task, Vec<Partition>> {
    let view = staleness.node.view();
    let mut due: BTreeMap<Task, Vec<Partition>> = BTreeMap::new();
    if staleness.catching_up() {
        due.insert(Task::CatchUp, Vec::new());
    }
    for vnode in staleness.node.vnodes.held().vnodes() {
        if let Some(owner) = view.plan().owner(vnode).filter(|owner| view.is_up(*owner)) {
            due.entry(Task::HandOver(owner)).or_default().push(vnode);
        }
    }
    due
}

/// Hands the vnodes of one owner over, one after another, until one fails; returns whether none
/// did.
async fn hand_all_over(
    staleness: &Arc<Staleness>,
    owner: NodeId,
    vnodes: Vec<Partition>,
    context: &Context,
) -> bool {
    for vnode in vnodes {
        let mark = staleness.node.vnodes.held().mark(vnode);
        if owner == staleness.node.me {
            staleness.node.vnodes.held().clear(vnode, mark);
            continue;
        }
        match hand_over(staleness, vnode, owner, context).await {
            Ok(Moved { objects: 0, .. }) => staleness.node.vnodes.held().clear(vnode, mark),
            // Until their writes have settled.
            Ok(Moved { gone: 0, .. }) => {}
            Ok(Moved { gone: moved, objects }) => {
                if moved == objects {
                    staleness.node.vnodes.held().brought(vnode, mark);
                }
                let node = staleness.node.view().state.named(owner);
                tracing::info!(%vnode, %node, moved, "handed objects over");
                staleness.wake.notify_one();
            }
            Err(error) => {
                let node = staleness.node.view().state.named(owner);
                tracing::debug!(%vnode, %node, %error, "hand-off stopped");
                return false;
            }
        }
    }
    true
}

/// Asks the members that have not said yet whether they hold anything for this node.
async fn catch_up(staleness: &Arc<Staleness>) {
    let view = staleness.node.view();
    let unheard: Vec<NodeId> =
        staleness.unheard().into_iter().filter(|&node| view.is_up(node)).collect();
    let own = |vnode: &Partition| view.plan().owner(*vnode) == Some(staleness.node.me);
    let ask = |node| async move { (node, staleness.settled(node, Class::Background).await) };
    for (node, answer) in join_all(unheard.into_iter().map(ask)).await {
        let Probed::Settled(report) = answer else { continue };
        if let Err(error) = staleness.hear(node, &report.status).await {
            tracing::debug!(%node, %error, "a replication status is noted later");
        }
        if let Some(why) = report.yours.and_then(|yours| staleness.is_less_than(&yours)) {
            // Not heard of before this is known to all.
            let why = format!("{} remembers that {why}", staleness.node.name(node));
            if let Err(error) = losses::go_back(staleness, &why).await {
                tracing::info!(%error, "that this node went back is declared later");
                continue;
            }
            staleness.integrity.wake.notify_one();
        }
        if !report.status.hinted.iter().any(own) {
            staleness.heard.lock().insert(node);
        }
    }
    if staleness.unheard().is_empty()
        && let Err(error) = staleness.node.vnodes.run(|core| Extents::prove(&*core.engine)).await
    {
        tracing::debug!(%error, "that all have answered is noted at the next start");
    }
    staleness.serve_arrived().await;
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
async fn hand_over(
    staleness: &Arc<Staleness>,
    vnode: Partition,
    owner: NodeId,
    context: &Context,
) -> Result<Moved> {
    let ring = staleness.node.view().plan().ring_size();
    let mut moved = Moved::default();
    for home in ring.partitions() {
        let mut after = None;
        loop {
            let (slice, began) = (Slice { vnode, home, after }, Instant::now());
            let page = staleness
                .node
                .vnodes
                .run(move |core| {
                    let depth = ScanDepth::Records;
                    slice::records(core, slice, None, depth, limits::HANDOFF_OBJECTS)
                })
                .await?;
            let slice::Records { items, next } = page;
            moved.objects += items.len();
            moved.gone += hand_over_page(staleness, vnode, owner, items).await?;
            context.rest(began.elapsed()).await;
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
    staleness: &Arc<Staleness>,
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
        let taken =
            staleness.peers.merge_at(entry, id.clone(), record, None, class, patience).await;
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
    staleness.node.vnodes.retire(vnode).await?;
    let mut gone = 0;
    for (id, clock) in sent {
        if staleness.node.vnodes.let_go(vnode, id, clock).await? {
            gone += 1;
            staleness.node.stats.count_handed_over();
        }
    }
    Ok(gone)
}

impl Staleness {
    /// Serves what has moved here as soon as nothing of it can be missing.
    async fn serve_arrived(&self) {
        let heard = self.heard.lock().clone();
        let heard = |node| node == self.node.me || heard.contains(&node);
        if !placement::arrived(&self.node.view(), &self.integrity.awaited, heard) {
            return;
        }
        tracing::info!("all objects that have moved here have arrived");
        self.unsettled.news().notify_one();
        let noted = self.node.vnodes.run(|core| placement::note_arrived(&*core.engine)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "the next start will wait for them again");
        }
    }
}
