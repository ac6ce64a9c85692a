//! Filling a node that has lost data from the other primaries.
//!
//! For each vnode of the node and each home partition whose objects it holds: names and clocks are
//! read from the other replicas a page at a time, compared with what is here, and what is missing
//! is fetched and joined in, tombstones and siblings like everything else. One page is under way at
//! a time, as background traffic. What is written meanwhile arrives by itself. What no other replica
//! has any more is removed (`strays`).

mod answer;
mod sources;
mod strays;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use mapring_cluster::{Change, View};
use mapring_engine::{LossKind, ScanDepth, ScanRange};
use mapring_net::Class;
use mapring_ring::{OwnershipPlan, Partition};
use mapring_types::limits::LEASE;
use mapring_types::{BucketId, Error, ErrorKind, NodeId, ObjectId, Record, Result, VersionVector};
use serde::{Deserialize, Serialize};

use crate::integrity::propose;
use crate::knowledge::Knowledge;
use crate::wire::{AskHeads, Donor, Fetch, Operation};
use crate::{Shared, limits};
use sources::{Sources, Worth, sources};

/// A page of names and clocks of a slice, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heads {
    pub(crate) items: Vec<(ObjectId, VersionVector)>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<ObjectId>,
}

/// What a comparison found.
struct Compared {
    /// Not here as they are there.
    missing: Vec<ObjectId>,
    /// Here alone.
    strays: Vec<(ObjectId, VersionVector)>,
    /// Where the comparison was broken off, for there were many of these.
    upto: Option<ObjectId>,
}

/// How far the filling of a node is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What was found to be missing.
    pub lost: Option<String>,
    /// Slices (a vnode's part of one home partition) that have to be filled.
    pub slices: u64,
    /// Slices that lack nothing any more.
    pub filled: u64,
    /// Objects that were compared.
    pub compared: u64,
    /// Objects that were fetched.
    pub fetched: u64,
    /// Why it does not go on at present.
    pub waits_for: Option<String>,
}

/// Fills everything; returns when nothing is missing.
///
/// # Errors
/// `Unavailable` when too few replicas can be asked, and what else stops it. What is filled stays
/// filled.
pub(crate) async fn fill(shared: &Arc<Shared>, losses: u64) -> Result<()> {
    let view = shared.parts.cluster.view();
    let work = slices(&view, shared.me);
    let (mut donors, mut lacking) = (BTreeMap::new(), Vec::new());
    let known = knowledge(shared, &view).await;
    for slice in &work {
        match slice.sources(&view, shared.me, &known) {
            Some(sources) => {
                donors.insert(*slice, sources);
            }
            None => lacking.push(slice.home),
        }
    }
    if begin_anew(shared, &view, &work, &donors).await? {
        return Err(Error::unavailable("the storage has just been begun anew"));
    }
    shared.integrity.report(|progress| {
        progress.slices = work.len() as u64;
        progress.waits_for = None;
    });
    let uncertain = donors.values().filter(|sources| sources.uncertain).count();
    if uncertain > 0 {
        tracing::warn!(
            slices = uncertain,
            "no complete replica is left of some slices: what the others have together is taken"
        );
    }
    let mut unindexed = None;
    for (slice, sources) in donors {
        if !shared.integrity.is_filled(slice.vnode, slice.home) {
            slice.fill(shared, &sources, losses).await?;
            match slice.index(shared).await {
                Ok(()) => shared.integrity.fill(slice.vnode, slice.home),
                // Nobody else has what is damaged: what can be read is all there is.
                Err(error) if sources.vnodes.is_empty() && error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, home = %slice.home, "an index is not complete");
                    shared.integrity.fill(slice.vnode, slice.home);
                }
                // The others need not wait for it.
                Err(error) => unindexed = Some(error),
            }
        }
        let filled = work.iter().filter(|s| shared.integrity.is_filled(s.vnode, s.home)).count();
        shared.integrity.report(|progress| progress.filled = filled as u64);
    }
    if let Some(error) = unindexed {
        return Err(error.context("an index cannot be built"));
    }
    if lacking.is_empty() {
        return Ok(());
    }
    lacking.sort_unstable();
    lacking.dedup();
    let named: Vec<String> = lacking.iter().map(Partition::to_string).collect();
    let named = named.join(", ");
    Err(Error::unavailable(format!("too few replicas can be asked of partitions {named}")))
}

/// Sets a damaged store aside where all of it can be had from others; gives whether it was.
async fn begin_anew(
    shared: &Arc<Shared>,
    view: &View,
    work: &[Slice],
    donors: &BTreeMap<Slice, Sources>,
) -> Result<bool> {
    let engine = shared.parts.engine.clone();
    if engine.loss().is_none_or(|loss| loss.kind != LossKind::Damaged) {
        return Ok(false);
    }
    let everywhere = work
        .iter()
        .all(|slice| donors.get(slice).is_some_and(|s| !s.uncertain && !s.vnodes.is_empty()));
    if !everywhere {
        tracing::warn!("the store is damaged, and others do not have all of it: it is kept");
        return Ok(false);
    }
    // What lies here for others goes with it: they have to look for it elsewhere.
    let owners: BTreeSet<NodeId> = shared
        .vnodes
        .held()
        .vnodes()
        .into_iter()
        .filter_map(|vnode| view.plan().owner(vnode))
        .filter(|owner| *owner != shared.me)
        .collect();
    for id in owners {
        tracing::warn!(node = %id, "data kept for a node is lost: it has to be filled again");
        propose(shared, Change::Lost { id }).await?;
    }
    let ring_size = view.plan().ring_size();
    shared
        .vnodes
        .run(move |core| {
            core.actors.retire_all(ring_size)?;
            engine.renew()
        })
        .await?;
    shared.integrity.empty();
    Ok(true)
}

/// What the reachable members know.
async fn knowledge(shared: &Arc<Shared>, view: &View) -> Knowledge {
    let others: Vec<NodeId> = view.up.iter().copied().filter(|node| *node != shared.me).collect();
    shared.knowledge(&others, Class::Background, &BTreeSet::new()).await
}

/// A part of a vnode of this node: the objects of one home partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slice {
    vnode: Partition,
    home: Partition,
    distance: u16,
}

/// The numbers of replicas that buckets have, or had.
fn n_vals(view: &View) -> BTreeSet<u16> {
    let state = &view.state;
    let types = state.bucket_types.keys().map(|name| BucketId::typed(name.clone(), ""));
    let buckets = state.buckets.keys().chain(state.least_n_vals.keys()).cloned();
    let all = [BucketId::untyped("")].into_iter().chain(types).chain(buckets);
    let used = all.flat_map(|bucket| {
        let now = view.props(&bucket).map(|props| props.n_val);
        [now, view.least_n_val(&bucket)].into_iter().flatten()
    });
    used.map(|n_val| u16::try_from(n_val).unwrap_or(u16::MAX)).collect()
}

/// All slices of a node's vnodes.
fn slices(view: &View, me: NodeId) -> Vec<Slice> {
    let size = view.plan().ring_size();
    let longest = n_vals(view).last().copied().unwrap_or(0).min(size.get());
    let vnodes = view.plan().owned_by(me);
    let of = |vnode| {
        (0..longest).map(move |distance| Slice {
            vnode,
            home: size.before(vnode, distance),
            distance,
        })
    };
    vnodes.flat_map(of).collect()
}

impl Slice {
    fn sources(&self, view: &View, me: NodeId, known: &Knowledge) -> Option<Sources> {
        let plan: &OwnershipPlan = view.plan();
        let worth = |vnode: Partition, node: NodeId| {
            let Some(behind) = known.heard.get(&node) else { return Worth::None };
            let incomplete = view.state.members.get(&node).is_none_or(|member| member.incomplete);
            match (known.hinted.contains_key(&vnode), behind.catching_up || incomplete) {
                (true, _) => Worth::Hinted,
                (false, true) => Worth::Some,
                (false, false) => Worth::Complete,
            }
        };
        sources(plan, me, self.home, self.distance, &n_vals(view), worth)
    }

    async fn fill(&self, shared: &Arc<Shared>, sources: &Sources, losses: u64) -> Result<()> {
        for &(vnode, node) in &sources.vnodes {
            let donor = Donor { vnode, home: self.home, incomplete_too: sources.uncertain };
            let mut after = None;
            loop {
                self.check(shared, node, sources, losses)?;
                let request = AskHeads { donor: donor.clone(), after: after.clone() };
                let heads = shared
                    .ask::<Heads>(node, Class::Background, Operation::Heads, request, LEASE)
                    .await
                    .flat()
                    .map_err(|error| error.context(format!("node {node}")))?;
                let Heads { items, next } = heads;
                let compared = items.len() as u64;
                let mut there: BTreeMap<ObjectId, VersionVector> = items.into_iter().collect();
                loop {
                    let found = self.compare(shared, after, there.clone(), next.clone()).await?;
                    self.fetch(shared, node, &donor, found.missing).await?;
                    self.check(shared, node, sources, losses)?;
                    if !sources.uncertain {
                        strays::drop_all(shared, self.vnode, found.strays).await?;
                    }
                    let Some(upto) = found.upto else { break };
                    there.retain(|id, _| *id > upto);
                    after = Some(upto);
                }
                shared.integrity.report(|progress| progress.compared += compared);
                match next {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Has the objects that were not fetched, because they were there, have their index entries, of
    /// which the loss may have taken some: what is left of a log that lost parts is no beginning of it.
    async fn index(&self, shared: &Arc<Shared>) -> Result<()> {
        let Self { vnode, home, .. } = *self;
        shared.vnodes.run(move |core| crate::indexes::build(&*core.engine, vnode, home)).await
    }

    /// Whether what the filling relies on still holds.
    fn check(&self, shared: &Shared, node: NodeId, sources: &Sources, losses: u64) -> Result<()> {
        if shared.stopping() {
            return Err(Error::unavailable("this node is stopping"));
        }
        let view = shared.parts.cluster.view();
        let member = |node| view.state.members.get(&node);
        if member(shared.me).is_none_or(|own| own.losses != losses) {
            return Err(Error::unavailable("this node has lost more data"));
        }
        if !sources.uncertain && member(node).is_none_or(|member| member.incomplete) {
            return Err(Error::unavailable(format!("node {node} has lost data itself")));
        }
        if view.plan().owner(self.vnode) != Some(shared.me) {
            return Err(Error::unavailable(format!("vnode {} has another owner", self.vnode)));
        }
        Ok(())
    }

    /// Compares a page with what is here after `after`, up to where the page ends: at `next`, or not
    /// before the slice does.
    async fn compare(
        &self,
        shared: &Arc<Shared>,
        after: Option<ObjectId>,
        there: BTreeMap<ObjectId, VersionVector>,
        next: Option<ObjectId>,
    ) -> Result<Compared> {
        let view = shared.parts.cluster.view();
        let distance = u32::from(self.distance);
        // Objects with fewer replicas do not belong here.
        let belongs = |id: &ObjectId| view.props(&id.bucket).is_some_and(|p| p.n_val > distance);
        let mut missing: BTreeSet<ObjectId> =
            there.keys().filter(|id| belongs(id)).cloned().collect();
        let slice = *self;
        let work = move |core: &crate::vnode::Core| {
            let range = ScanRange::home(slice.home.0).after(after);
            let (mut strays, mut upto, mut failure) = (Vec::new(), None, None);
            core.engine.scan(slice.vnode.0, &range, ScanDepth::Heads, &mut |place, record| {
                if next.as_ref().is_some_and(|last| place.id > *last) {
                    return ControlFlow::Break(());
                }
                let here = match Record::decode_without_bodies(&record.head) {
                    Ok(object) => object.clock,
                    Err(error) => {
                        failure = Some(error.context(&place.id));
                        return ControlFlow::Break(());
                    }
                };
                match there.get(&place.id) {
                    Some(there) if here.dominates(there) => {
                        missing.remove(&place.id);
                    }
                    Some(_) => {}
                    None => strays.push((place.id.clone(), here)),
                }
                if strays.len() < limits::REPAIR_PAGE {
                    return ControlFlow::Continue(());
                }
                upto = Some(place.id);
                ControlFlow::Break(())
            })?;
            failure.map_or(Ok(()), Err)?;
            missing.retain(|id| upto.as_ref().is_none_or(|upto| id <= upto));
            Ok(Compared { missing: missing.into_iter().collect(), strays, upto })
        };
        shared.vnodes.run(work).await
    }

    async fn fetch(
        &self,
        shared: &Arc<Shared>,
        node: NodeId,
        donor: &Donor,
        mut missing: Vec<ObjectId>,
    ) -> Result<()> {
        while !missing.is_empty() {
            let ids = missing.clone();
            let request = Fetch { donor: donor.clone(), ids };
            let class = Class::Background;
            let patience = LEASE + limits::transfer(limits::RECORD_BYTES);
            let records: Vec<Option<Record>> = shared
                .ask(node, class, Operation::Fetch, request, patience)
                .await
                .flat()
                .map_err(|error| error.context(format!("node {node}")))?;
            if records.is_empty() {
                return Err(Error::internal(format!("node {node} gives nothing")));
            }
            let rest = missing.split_off(records.len().min(missing.len()));
            let got: Vec<(ObjectId, Record)> = missing
                .into_iter()
                .zip(records)
                .filter_map(|(id, record)| Some((id, record?)))
                .collect();
            missing = rest;
            let fetched = got.len() as u64;
            shared.vnodes.merge_all(self.vnode, got).await?;
            metrics::counter!("mapring_repair_objects_total").increment(fetched);
            shared.integrity.report(|progress| progress.fetched += fetched);
        }
        Ok(())
    }
}
