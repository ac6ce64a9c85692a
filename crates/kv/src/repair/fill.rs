//! Filling a node that has lost data from the other primaries.
//!
//! For each vnode of the node and each home partition whose objects it holds: the slice is brought
//! together with the same one at every other replica that can be asked (`exchange`), so that in the
//! end each has what any of them had. The node lacks nothing any more when those that were asked
//! know of every acknowledged write (`sources`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mapring_background::Context;
use mapring_cluster::{Change, View};
use mapring_engine::LossKind;
use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::{Error, ErrorKind, NodeId, Result};
use tokio::time::Instant;

use crate::peer::extent;
use crate::repair::exchange::Exchange;
use crate::repair::sources::{Slice, Sources, Worth, sources};
use crate::staleness::losses::propose;
use crate::staleness::state::Staleness;
use crate::staleness::survey::Survey;
use crate::storage::indexes;
use crate::view::{n_vals, owners};

/// Fills everything; returns when nothing is missing.
///
/// # Errors
/// `Unavailable` when too few replicas can be asked, and what else stops it. What is filled stays
/// filled.
pub(crate) async fn fill(
    staleness: &Arc<Staleness>,
    losses: u64,
    context: Option<&Context>,
) -> Result<()> {
    let view = staleness.node.view();
    let known = survey(staleness, &view).await;
    let work = slices(&view, staleness.node.me);
    let work: BTreeMap<Slice, Sources> = work
        .into_iter()
        .map(|slice| (slice, slice.sources(&view, staleness.node.me, &known)))
        .collect();
    if begin_anew(staleness, &view, &work).await? {
        return Err(Error::unavailable("the storage has just been begun anew"));
    }
    staleness.integrity.report(|progress| {
        progress.slices = work.len() as u64;
        progress.waits_for = None;
    });
    let uncertain = work.values().filter(|sources| sources.uncertain).count();
    if uncertain > 0 {
        tracing::warn!(
            slices = uncertain,
            "no complete replica is left of some slices: what the others have together is taken"
        );
    }
    let (mut unindexed, mut unfilled) = (None, BTreeSet::new());
    for (slice, sources) in &work {
        let began = Instant::now();
        if !sources.whole {
            unfilled.insert(slice.home);
            slice.fill_partly(staleness, sources, losses).await?;
        } else if !staleness.integrity.is_filled(slice.vnode, slice.home) {
            slice.fill(staleness, sources, losses).await?;
            match slice.index(staleness).await {
                Ok(()) => staleness.integrity.fill(slice.vnode, slice.home),
                // Nobody else has what is damaged: what can be read is all there is.
                Err(error) if sources.all.is_empty() && error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, home = %slice.home, "an index is not complete");
                    staleness.integrity.fill(slice.vnode, slice.home);
                }
                // The others need not wait for it.
                Err(error) => unindexed = Some(error),
            }
        }
        let is_filled = |slice: &&Slice| staleness.integrity.is_filled(slice.vnode, slice.home);
        let filled = work.keys().filter(is_filled).count();
        staleness.integrity.report(|progress| progress.filled = filled as u64);
        if let Some(context) = context {
            context.say(format!("{filled} of {} slices are filled", work.len()));
            context.rest(began.elapsed()).await;
        }
    }
    if let Some(error) = unindexed {
        return Err(error.context("an index cannot be built"));
    }
    if unfilled.is_empty() {
        return Ok(());
    }
    let unheard = unheard(staleness, &view, &known);
    let named: Vec<String> = unfilled.iter().map(Partition::to_string).collect();
    Err(Error::unavailable(format!(
        "too few replicas can be asked of partitions {}{unheard}",
        named.join(", ")
    )))
}

/// Which owners do not answer.
fn unheard(staleness: &Staleness, view: &View, known: &Survey) -> String {
    let owners = owners(view.plan()).into_iter();
    let unheard =
        owners.filter(|node| *node != staleness.node.me && !known.heard.contains_key(node));
    let named: Vec<String> = unheard.map(|node| staleness.node.name(node)).collect();
    if named.is_empty() { String::new() } else { format!(": {} does not answer", named.join(", ")) }
}

/// Sets a damaged store aside where all of it can be had from others; returns whether it was.
async fn begin_anew(
    staleness: &Arc<Staleness>,
    view: &View,
    work: &BTreeMap<Slice, Sources>,
) -> Result<bool> {
    let engine = staleness.node.parts.engine.clone();
    if engine.loss().is_none_or(|loss| loss.kind != LossKind::Damaged) {
        return Ok(false);
    }
    let everywhere = work.values().all(|s| s.whole && !s.uncertain && !s.all.is_empty());
    if !everywhere {
        tracing::warn!("the store is damaged, and others do not have all of it: it is kept");
        return Ok(false);
    }
    // What lies here for others goes with it: they have to look for it elsewhere.
    let owners: BTreeSet<NodeId> = staleness
        .node
        .vnodes
        .held()
        .vnodes()
        .into_iter()
        .filter_map(|vnode| view.plan().owner(vnode))
        .filter(|owner| *owner != staleness.node.me)
        .collect();
    for id in owners {
        tracing::warn!(node = %id, "data kept for a node is lost: it has to be filled again");
        propose(staleness, Change::Lost { id }).await?;
    }
    let entropy = staleness.node.parts.entropy.clone();
    let (store, position) = staleness
        .node
        .vnodes
        .run(move |core| {
            core.actors.retire_all(core.ring_size)?;
            engine.reset()?;
            Ok((extent::renumber(&*engine, &*entropy)?, engine.position()))
        })
        .await?;
    staleness.peers.extents.begin_anew(store, position);
    staleness.integrity.empty();
    Ok(true)
}

/// What the reachable members know.
async fn survey(staleness: &Arc<Staleness>, view: &View) -> Survey {
    let others: Vec<NodeId> =
        view.up.iter().copied().filter(|node| *node != staleness.node.me).collect();
    staleness.survey(&others, Class::Background, &BTreeSet::new()).await
}

/// All slices of a node's vnodes.
fn slices(view: &View, me: NodeId) -> Vec<Slice> {
    let longest = u32::from(n_vals(view).last().copied().unwrap_or(0));
    let vnodes = view.plan().owned_by(me);
    let of = |vnode| {
        let homes = view.plan().homes(vnode, longest);
        homes.map(move |(home, place)| Slice { vnode, home, place })
    };
    vnodes.flat_map(of).collect()
}

impl Slice {
    fn sources(&self, view: &View, me: NodeId, known: &Survey) -> Sources {
        let worth = |vnode: Partition, node: NodeId| {
            let Some(report) = known.heard.get(&node) else { return Worth::None };
            let incomplete = view.state.members.get(&node).is_none_or(|member| member.incomplete);
            match (known.hinted.contains_key(&vnode), report.catching_up || incomplete) {
                (true, _) => Worth::Hinted,
                (false, true) => Worth::Some,
                (false, false) => Worth::Complete,
            }
        };
        sources(view.plan(), me, self.home, self.place, &n_vals(view), worth)
    }

    /// Brings this slice and those of all sources together.
    async fn fill(&self, staleness: &Arc<Staleness>, sources: &Sources, losses: u64) -> Result<()> {
        let check = || self.check(staleness, sources, losses);
        let exchange = |with| {
            let (slice, others) = (*self, &sources.all[..]);
            Exchange { staleness, slice, with, others, check: &check }
        };
        // All proofs first: what one replica proves to be deleted is given to none.
        for &with in &sources.all {
            exchange(with).take_graves().await?;
        }
        for &with in &sources.all {
            exchange(with).run().await?;
        }
        Ok(())
    }

    /// As [`Slice::fill`], once for the same sources: they may not know of all that is missing, but
    /// what they have is not to wait for it.
    async fn fill_partly(
        &self,
        staleness: &Arc<Staleness>,
        from: &Sources,
        losses: u64,
    ) -> Result<()> {
        if staleness.integrity.is_partly_filled(self.vnode, self.home, &from.replicas()) {
            return Ok(());
        }
        self.fill(staleness, from, losses).await?;
        staleness.integrity.fill_partly(self.vnode, self.home, from.replicas());
        Ok(())
    }

    /// Has the objects that were not fetched, because they were there, have their index entries, of
    /// which the loss may have taken some: what is left of a log that lost parts is no beginning of
    /// it.
    async fn index(&self, staleness: &Arc<Staleness>) -> Result<()> {
        let Self { vnode, home, .. } = *self;
        staleness.node.vnodes.run(move |core| indexes::build(&*core.engine, vnode, home)).await
    }

    /// Whether what the filling relies on still holds.
    fn check(&self, staleness: &Staleness, sources: &Sources, losses: u64) -> Result<()> {
        if staleness.node.stopping() {
            return Err(Error::unavailable("this node is stopping"));
        }
        let view = staleness.node.view();
        let member = |node| view.state.members.get(&node);
        if member(staleness.node.me).is_none_or(|own| own.losses != losses) {
            return Err(Error::unavailable("this node has lost more data"));
        }
        let lost = |node: &&NodeId| member(**node).is_none_or(|member| member.incomplete);
        if let Some(node) = sources.relied_on.iter().find(lost) {
            return Err(Error::unavailable(format!("node {node} has lost data itself")));
        }
        if view.plan().owner(self.vnode) != Some(staleness.node.me) {
            return Err(Error::unavailable(format!("vnode {} has another owner", self.vnode)));
        }
        Ok(())
    }
}
