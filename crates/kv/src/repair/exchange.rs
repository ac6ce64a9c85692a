//! Bringing a slice here and the same slice at another replica together.
//!
//! Nothing is removed because one of the two lacks it: what either has more is joined into the other,
//! tombstones and siblings like everything else, and only a grave, which proves that a value was
//! deleted (see `graves`), removes one. One page is under way at a time, as background traffic. What
//! is written meanwhile arrives by itself.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures::StreamExt;
use mapring_engine::{ScanDepth, ScanRange};
use mapring_net::{Call, Class};
use mapring_ring::PreferenceEntry;
use mapring_types::limits::LEASE;
use mapring_types::{BucketId, Error, ErrorKind, ObjectId, Record, Result, VersionVector};

use crate::limits;
use crate::peer::wire::{AskGraves, AskKnown, Bury, Fetch};
use crate::repair::answer::{AskHeads, Heads};
use crate::repair::sources::{Slice, Source};
use crate::staleness::state::Staleness;
use crate::storage::graves::{self, Grave};
use crate::storage::objects::Core;
use crate::view;

/// A page of a comparison.
#[derive(Default)]
struct Compared {
    /// The other replica has more of these.
    stale: Vec<ObjectId>,
    /// There is more of these here. `true`: the other replica has nothing of it.
    more: Vec<(ObjectId, bool)>,
    /// The other replica has these, and here lies the proof that they were deleted.
    deleted: Vec<(ObjectId, Grave)>,
    /// Where the comparison was broken off, for there were many objects here between two of there.
    upto: Option<ObjectId>,
}

/// The exchange of one slice with one other replica.
pub(crate) struct Exchange<'a> {
    pub(crate) staleness: &'a Arc<Staleness>,
    pub(crate) slice: Slice,
    pub(crate) with: Source,
    /// The further replicas that can be asked whether they know an object.
    pub(crate) others: &'a [Source],
    /// Whether what the filling relies on still holds.
    pub(crate) check: &'a (dyn Fn() -> Result<()> + Send + Sync),
}

impl Exchange<'_> {
    /// Brings the two together.
    ///
    /// # Errors
    /// What the check gives, `Storage`, `Corrupt`; `Unavailable` and `Timeout` of the other replica,
    /// with its name.
    pub(crate) async fn run(&self) -> Result<()> {
        let mut after = None;
        loop {
            (self.check)()?;
            let request = AskHeads { slice: self.slice.at(self.with.vnode, after.clone()) };
            let Heads { items, next } = self.ask(&self.with, &request).await?;
            let compared = items.len() as u64;
            let mut there: BTreeMap<ObjectId, VersionVector> = items.into_iter().collect();
            loop {
                let found = self.compare(after, there.clone(), next.clone()).await?;
                self.fetch(found.stale).await?;
                self.prove(found.deleted).await?;
                self.give(found.more).await?;
                (self.check)()?;
                let Some(upto) = found.upto else { break };
                there.retain(|id, _| *id > upto);
                after = Some(upto);
            }
            self.staleness.integrity.report(|progress| progress.compared += compared);
            match next {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn ask<C: Call>(&self, of: &Source, call: &C) -> Result<C::Answer> {
        let patience = LEASE + limits::transfer(limits::RECORD_BYTES);
        let asked = self.staleness.peers.ask(of.node, Class::Background, call, patience);
        let name = self.staleness.node.name(of.node);
        asked.await.flat().map_err(|error| error.context(format!("node {name} ({})", of.node)))
    }

    /// Takes the proofs of the other replica in.
    ///
    /// # Errors
    /// As [`Exchange::run`].
    pub(crate) async fn take_graves(&self) -> Result<()> {
        let mut after = None;
        loop {
            (self.check)()?;
            let request = AskGraves { slice: self.slice.at(self.with.vnode, after) };
            let page: graves::Page = self.ask(&self.with, &request).await?;
            if !page.graves.is_empty() {
                let removed =
                    self.staleness.node.vnodes.bury_all(self.slice.vnode, page.graves).await?;
                self.staleness.integrity.report(|progress| progress.removed += removed as u64);
            }
            match page.next {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Whether an object has a replica at a place of its list. Of a bucket type that nobody knows at
    /// present, perhaps because the metadata is of an earlier time, as many are assumed as is usual.
    fn belongs(&self) -> impl Fn(&BucketId, u16) -> bool + use<> {
        let view = self.staleness.node.view();
        let usual = mapring_types::BucketProps::typed().n_val;
        move |bucket, place| {
            view::known_props(&view, bucket).map_or(usual, |props| props.n_val) > u32::from(place)
        }
    }

    /// Compares a page of there with what is here after `after`, up to where the page ends: at `next`,
    /// or not before the slice does.
    async fn compare(
        &self,
        after: Option<ObjectId>,
        mut there: BTreeMap<ObjectId, VersionVector>,
        next: Option<ObjectId>,
    ) -> Result<Compared> {
        let belongs = self.belongs();
        let (slice, other) = (self.slice, self.with.place);
        let work = move |core: &Core| {
            let mut found = Compared::default();
            let mut failure = None;
            let range = ScanRange::home(slice.home.0).after(after);
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
                let clock = there.remove(&place.id);
                let belongs_here = belongs(&place.id.bucket, slice.place);
                if let Some(clock) = &clock
                    && !here.dominates(clock)
                    && belongs_here
                {
                    found.stale.push(place.id.clone());
                }
                let more = clock.as_ref().is_none_or(|clock| !clock.dominates(&here));
                if more && belongs(&place.id.bucket, other) {
                    // What lies here only because its bucket once had more replicas says nothing.
                    if clock.is_some() || belongs_here {
                        found.more.push((place.id.clone(), clock.is_none()));
                    }
                }
                if found.more.len() < limits::REPAIR_PAGE {
                    return ControlFlow::Continue(());
                }
                found.upto = Some(place.id);
                ControlFlow::Break(())
            })?;
            failure.map_or(Ok(()), Err)?;
            // What is left of the page is not here.
            let upto = found.upto.clone();
            let wanted = |id: &ObjectId| {
                upto.as_ref().is_none_or(|upto| id <= upto) && belongs(&id.bucket, slice.place)
            };
            for (id, clock) in there.into_iter().filter(|(id, _)| wanted(id)) {
                match core.grave(slice.vnode, &core.place(id.clone()))? {
                    Some(grave) if grave.clock.dominates(&clock) => {
                        found.deleted.push((id, grave));
                    }
                    _ => found.stale.push(id),
                }
            }
            Ok(found)
        };
        self.staleness.node.vnodes.run(work).await
    }

    async fn fetch(&self, mut stale: Vec<ObjectId>) -> Result<()> {
        while !stale.is_empty() {
            let request = Fetch { vnode: self.with.vnode, ids: stale.clone() };
            let fetched = self.ask(&self.with, &request).await;
            let records: Vec<Option<Record>> = match fetched {
                Err(error) if error.kind() == ErrorKind::TooLarge => {
                    let (from, id) = (self.with, stale.remove(0));
                    let vnode = self.slice.vnode;
                    self.staleness
                        .peers
                        .fetch_in_pieces(vnode, from.node, from.vnode, id, LEASE)
                        .await?;
                    self.staleness.integrity.report(|progress| progress.fetched += 1);
                    continue;
                }
                fetched => fetched?,
            };
            if records.is_empty() {
                return Err(Error::internal(format!("node {} gives nothing", self.with.node)));
            }
            let rest = stale.split_off(records.len().min(stale.len()));
            let got: Vec<(ObjectId, Record)> = stale
                .into_iter()
                .zip(records)
                .filter_map(|(id, record)| Some((id, record?)))
                .collect();
            stale = rest;
            let fetched = got.len() as u64;
            self.staleness.node.vnodes.merge_all(self.slice.vnode, got).await?;
            metrics::counter!("mapring_kv_repaired_objects_total").increment(fetched);
            self.staleness.integrity.report(|progress| progress.fetched += fetched);
        }
        Ok(())
    }

    /// Tells the other replica that objects were deleted.
    async fn prove(&self, graves: Vec<(ObjectId, Grave)>) -> Result<()> {
        if graves.is_empty() {
            return Ok(());
        }
        let request = Bury { vnode: self.with.vnode, graves };
        self.ask(&self.with, &request).await
    }

    /// Joins what is more here into the other replica. What no replica knows that can be asked is
    /// counted and named: whether it was deleted cannot be decided.
    async fn give(&self, more: Vec<(ObjectId, bool)>) -> Result<()> {
        if mapring_types::failpoint!(RepairDeletes) {
            for (id, _) in more.into_iter().filter(|(_, alone)| *alone) {
                let read = self.staleness.node.vnodes.read(self.slice.vnode, id.clone()).await?;
                if let Some(record) = read {
                    let clock = Record::decode_without_bodies(&record.head)?.clock;
                    self.staleness.node.vnodes.let_go(self.slice.vnode, id, clock).await?;
                }
            }
            return Ok(());
        }
        let alone = more.iter().filter(|(_, alone)| *alone).map(|(id, _)| id.clone()).collect();
        for id in self.unknown_to_others(alone).await {
            tracing::warn!(
                %id,
                "only this replica has this object, and nobody proves that it was deleted: it is kept"
            );
            self.staleness.integrity.report(|progress| progress.keep(&id));
        }
        let ids = more.into_iter().map(|(id, _)| self.give_one(id));
        let mut given = futures::stream::iter(ids).buffered(limits::SLICES_AT_ONCE);
        while let Some(given) = given.next().await {
            given?;
        }
        Ok(())
    }

    async fn give_one(&self, id: ObjectId) -> Result<()> {
        (self.check)()?;
        let read = self.staleness.node.vnodes.read(self.slice.vnode, id.clone()).await?;
        let Some(record) = read else { return Ok(()) };
        let Source { vnode, node, .. } = self.with;
        let entry = PreferenceEntry { vnode, node, primary: true };
        let patience = LEASE + limits::transfer(record.len());
        let class = Class::Background;
        let given = self.staleness.peers.merge_at(entry, id.clone(), record, None, class, patience);
        given.await.map_err(|error| error.context(&id))?;
        self.staleness.integrity.report(|progress| progress.given += 1);
        Ok(())
    }

    /// Those of some objects, which the other replica does not know, that nobody else knows either.
    async fn unknown_to_others(&self, mut ids: Vec<ObjectId>) -> Vec<ObjectId> {
        for other in self.others.iter().filter(|other| **other != self.with) {
            if ids.is_empty() {
                break;
            }
            let request = AskKnown { vnode: other.vnode, ids: ids.clone() };
            let known: Result<Vec<bool>> = self.ask(other, &request).await;
            match known {
                Ok(known) if known.len() == ids.len() => {
                    let mut known = known.into_iter();
                    ids.retain(|_| !known.next().unwrap_or(true));
                }
                Ok(_) => tracing::warn!(node = %other.node, "a node gives too few answers"),
                Err(error) => tracing::debug!(%error, "a replica is not asked"),
            }
        }
        ids
    }
}
