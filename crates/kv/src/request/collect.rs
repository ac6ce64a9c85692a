//! Removing blocks that no object names: of bodies that were replaced or deleted, and of uploads that
//! were broken off.
//!
//! A block belongs to one upload, and an upload to one write. So a block may go when no value anywhere
//! can name its upload any more:
//!
//! * the upload is over: it is older than any can be, so that no value that names it is still to come;
//! * every member is up and says for whom it holds data, and none holds any for the primaries of the
//!   object: no hint has the value;
//! * all primaries of the object answer, and no value of theirs names the upload. One that did was
//!   replaced: whoever still has it somewhere has it under a clock that theirs covers, or their graves.
//!
//! This is found twice, as long apart as a body may be read for after it was replaced. Each node removes
//! its own replicas, so nothing has to be agreed on. Whatever cannot be asked keeps everything.
//!
//! Two kinds of values would name an upload for ever and are never read: what a replica has that missed a
//! later write, and, where the last write wins, what was written at the same time as the winner. Whoever
//! finds that only such values name an upload brings the replicas together, and rids them of the losers:
//! else they came to light, without their blocks, when siblings were allowed later on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use mapring_background::{Context, Next, Worker};
use mapring_engine::{ScanDepth, ScanRange};
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{BucketId, Object, ObjectId, Record, Result, Sibling, UploadId, VersionVector};
use tokio::time::{Instant, sleep};

use crate::blocks::{self, BLOCK_TYPE};
use crate::limits;
use crate::request::options::GetOptions;
use crate::request::requests::Requests;
use crate::request::{get, reap};
use crate::resolution::Resolution;
use crate::storage::objects::Core;
use crate::view;

/// See the module.
pub(crate) struct CollectWorker {
    requests: Weak<Requests>,
    /// Uploads that no object names, and since when that is known.
    unnamed: BTreeMap<UploadId, Instant>,
    tick: Duration,
}

/// A block that lies here.
struct Block {
    id: ObjectId,
    clock: VersionVector,
    upload: UploadId,
    owner: ObjectId,
    /// In microseconds.
    written_at: u64,
}

/// Blocks of a vnode, and where in it to go on: a home partition, and an object of it.
type Page = (Vec<Block>, Option<(Partition, Option<ObjectId>)>);

/// What a round has found.
#[derive(Default)]
struct Round {
    blocks: u64,
    unnamed: u64,
    removed: u64,
    /// Whether something could not be asked for.
    unsure: bool,
    /// Whether uploads are named, as far as that was asked.
    known: BTreeMap<UploadId, bool>,
    /// Uploads that were found to be named by nothing.
    found: BTreeSet<UploadId>,
}

impl CollectWorker {
    pub(crate) fn new(requests: &Arc<Requests>) -> Self {
        let tick = limits::COLLECT_TICK.min(requests.node.parts.config.bodies.time / 2);
        Self { requests: Arc::downgrade(requests), unnamed: BTreeMap::new(), tick }
    }
}

#[async_trait]
impl Worker for CollectWorker {
    fn name(&self) -> &'static str {
        "collect-blocks"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(requests) = self.requests.upgrade() else { return Ok(Next::End) };
        let mut round = Round::default();
        let view = requests.node.view();
        for vnode in view.plan().owned_by(requests.node.me) {
            self.vnode(&requests, context, &mut round, vnode).await?;
            if context.is_stopping() {
                return Ok(Next::Wait);
            }
        }
        // What was not met this time is gone, here at least.
        self.unnamed.retain(|upload, _| round.unsure || round.found.contains(upload));
        metrics::gauge!("mapring_kv_blocks").set(round.blocks as f64);
        metrics::gauge!("mapring_kv_unnamed_blocks").set((round.unnamed - round.removed) as f64);
        let Round { blocks, unnamed, removed, unsure, .. } = round;
        let unsure = if unsure { "; not all could be asked for" } else { "" };
        context.say(format!(
            "{blocks} blocks, {unnamed} named by no object, {removed} of them removed{unsure}"
        ));
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        sleep(self.tick).await;
    }
}

impl CollectWorker {
    /// Looks through the blocks of a vnode, in every home partition: also those that lie here because
    /// their bucket had more replicas once.
    async fn vnode(
        &mut self,
        requests: &Arc<Requests>,
        context: &Context,
        round: &mut Round,
        vnode: Partition,
    ) -> Result<()> {
        let mut from = Some((Partition(0), None));
        while let Some(at) = from.take() {
            let began = Instant::now();
            let (blocks, next) =
                requests.node.vnodes.run(move |core| page(core, vnode, at)).await?;
            from = next;
            round.blocks += blocks.len() as u64;
            self.look(requests, round, vnode, blocks).await?;
            if from.is_some() {
                context.rest(began.elapsed()).await;
            }
        }
        Ok(())
    }

    /// Looks at blocks of a vnode: removes those that may go.
    async fn look(
        &mut self,
        requests: &Arc<Requests>,
        round: &mut Round,
        vnode: Partition,
        page: Vec<Block>,
    ) -> Result<()> {
        let time = requests.node.parts.config.bodies.time;
        let now = requests.node.parts.clock.now_micros();
        let is_over =
            |block: &Block| Duration::from_micros(now.saturating_sub(block.written_at)) > 2 * time;
        let mut held = None;
        for block in page.into_iter().filter(is_over) {
            let named = match round.known.get(&block.upload) {
                Some(named) => *named,
                None => {
                    if held.is_none() {
                        held = reap::all_held(requests).await;
                    }
                    let named = match &held {
                        Some(held) => is_named(requests, held, &block).await,
                        None => None,
                    };
                    let Some(named) = named else {
                        round.unsure = true;
                        continue;
                    };
                    if round.known.len() >= limits::COLLECT_UPLOADS {
                        round.known.clear();
                    }
                    round.known.insert(block.upload, named);
                    named
                }
            };
            if named {
                self.unnamed.remove(&block.upload);
                continue;
            }
            round.unnamed += 1;
            let Some(since) = self.since(block.upload) else { continue };
            round.found.insert(block.upload);
            if since.elapsed() >= time {
                let gone = requests.node.vnodes.let_go(vnode, block.id, block.clock).await?;
                round.removed += u64::from(gone);
                metrics::counter!("mapring_kv_blocks_removed_total").increment(u64::from(gone));
            }
        }
        Ok(())
    }

    /// Since when an upload is known to be named by nothing; `None` where too many are.
    fn since(&mut self, upload: UploadId) -> Option<Instant> {
        if let Some(since) = self.unnamed.get(&upload) {
            return Some(*since);
        }
        let room = self.unnamed.len() < limits::COLLECT_WAITING;
        room.then(|| *self.unnamed.entry(upload).or_insert_with(Instant::now))
    }
}

/// Whether a value of the object that a block was written for names its upload, or may come to;
/// `None` where that is not known.
async fn is_named(
    requests: &Arc<Requests>,
    held: &BTreeSet<Partition>,
    block: &Block,
) -> Option<bool> {
    let view = requests.node.view();
    if !view.state.members.keys().all(|&node| view.is_up(node)) {
        return None;
    }
    let props = view::known_props(&view, &block.owner.bucket)?;
    let list = view.preference_list(&block.owner.bucket, &block.owner.key, props.n_val);
    let primaries = list.primaries;
    let is_up = |entry: &PreferenceEntry| view.is_up(entry.node);
    if !primaries.iter().all(is_up) || primaries.iter().any(|one| held.contains(&one.vnode)) {
        return None;
    }
    let reads = primaries.iter().map(|&entry| {
        let (class, patience) = (Class::Background, limits::REPLICA_PATIENCE);
        requests.read_slim_at(entry, block.owner.clone(), None, class, patience)
    });
    let mut replicas = Vec::new();
    for read in join_all(reads).await {
        let object = read.ok()?.map(|slim| Record::decode_without_bodies(&slim.record.head));
        replicas.push(object.transpose().ok()?.unwrap_or_default());
    }
    let names = |value: &Sibling| {
        value.metadata.blocks.as_ref().is_some_and(|blocks| blocks.upload == block.upload)
    };
    if !replicas.iter().any(|replica| replica.siblings.iter().any(names)) {
        return Some(false);
    }
    let resolution = Resolution::of(&props);
    if let Err(error) =
        bring_together(requests, &block.owner, resolution, &primaries, replicas).await
    {
        tracing::debug!(id = %block.owner, %error, "values that nobody reads are removed later");
    }
    // What it came to is seen when it is looked at again.
    Some(true)
}

/// Has all replicas of an object hold the same, and none of them a value that its readers never see.
/// They are given without their bytes, in the order of the primaries.
async fn bring_together(
    requests: &Arc<Requests>,
    id: &ObjectId,
    resolution: Resolution,
    primaries: &[PreferenceEntry],
    replicas: Vec<Object>,
) -> Result<()> {
    let mut all = Object::default();
    replicas.iter().for_each(|replica| all.merge(replica));
    if replicas.iter().any(|replica| replica.clock != all.clock) {
        // The read repairs what differs.
        return get::get(requests, id, &GetOptions::default()).await.map(drop);
    }
    let mut seen = all.clone();
    resolution.resolve(&mut seen);
    if seen.siblings.len() == all.siblings.len() {
        return Ok(());
    }
    let verdict = seen.verdict();
    let told = primaries.iter().map(|&entry| {
        let (id, verdict) = (id.clone(), verdict.clone());
        requests.peers.judge_at(entry, id, verdict, limits::REPLICA_PATIENCE)
    });
    join_all(told).await.into_iter().collect()
}

/// The next blocks of a vnode. Blocks the thread.
fn page(
    core: &Core,
    vnode: Partition,
    (first, mut after): (Partition, Option<ObjectId>),
) -> Result<Page> {
    let (mut found, mut failure) = (Vec::new(), None);
    for home in core.ring_size.partitions().filter(|home| *home >= first) {
        let begin = || ObjectId::new(BucketId::typed(BLOCK_TYPE, ""), "");
        let range = ScanRange::home(home.0).after(Some(after.take().unwrap_or_else(begin)));
        let mut last = None;
        core.engine.scan(vnode.0, &range, ScanDepth::Heads, &mut |place, record| {
            if !blocks::is_block(&place.id) {
                return ControlFlow::Break(());
            }
            last = Some(place.id.clone());
            match read(place.id, &record) {
                Ok(block) => found.extend(block),
                Err(error) => failure = Some(error),
            }
            let full = found.len() >= limits::COLLECT_PAGE || failure.is_some();
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        if found.len() >= limits::COLLECT_PAGE {
            return Ok((found, Some((home, last))));
        }
    }
    Ok((found, None))
}

/// A block by its head; `None` of what does not say whose it is.
fn read(id: ObjectId, record: &Record) -> Result<Option<Block>> {
    let object = Record::decode_without_bodies(&record.head).map_err(|e| e.context(&id))?;
    let written_at = object.last_modified();
    let owner = object.newest().and_then(|value| blocks::owner(&id, &value.metadata));
    let clock = object.clock;
    Ok(owner.map(|(upload, owner)| Block { id, clock, upload, owner, written_at }))
}
