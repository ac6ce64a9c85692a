//! Objects whose place has changed.
//!
//! A former version had the replicas of a home partition on vnodes that follow each other, also where
//! two of these are of one node. Now a vnode is passed over whose node has one already
//! ([`OwnershipPlan::replicas`]). So the data directories of that version have objects in vnodes that
//! are no replicas of them any more, and the vnodes that are in their stead lack them.
//!
//! Once for a data directory, and before it serves anything, a node
//!
//! * keeps all that it has of the objects of such partitions for the vnodes that are new to them, as
//!   hints where these are other nodes'. Every replica does so, not only the one that loses its place:
//!   its node may be gone for good. Hand-off brings the hints to their owners, as it does with others,
//!   and nobody queries a vnode meanwhile that lacks what is held for it;
//! * removes what lies where no replica is any more, once that is durable. Whatever breaks this off, it
//!   is all done again.
//!
//! And what is new in its own vnodes it does not serve before it has heard, of so many nodes that no
//! acknowledged write can be missed, that they hold nothing for it any more. That it waits is part of
//! its replication status.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_cluster::View;
use mapring_engine::{Engine, ScanDepth};
use mapring_ring::{OwnershipPlan, Partition};
use mapring_types::{
    BucketId, BucketProps, Error, ErrorKind, NodeId, ObjectId, Record, Result, VersionVector,
};
use parking_lot::Mutex;

use crate::limits;
use crate::storage::apart;
use crate::storage::objects::Core;
use crate::storage::slice::{self, Slice};
use crate::view::{known_props, n_vals};

/// The name of the engine's meta value that says by which rule objects lie here, and its values: the
/// rule, and how far the change to it is.
const NAME: &str = "kv-placement";
/// On vnodes that follow each other. Directories without a value are of this kind.
const SUCCESSIVE: u8 = 1;
/// On distinct nodes: what lies here has moved, or also what is new here has arrived.
const MOVED: [u8; 2] = [2, 1];
const ARRIVED: [u8; 2] = [2, 2];

/// How far the change of places is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has moved yet.
    Former,
    /// What lies here has moved.
    Moved,
    /// What is new here has arrived as well.
    Arrived,
}

impl Stage {
    fn read(engine: &dyn Engine) -> Result<Self> {
        let stored = match engine.meta(NAME) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, "by which rule objects lie here is not known");
                None
            }
            stored => stored?,
        };
        match stored.as_deref() {
            None | Some([SUCCESSIVE, ..]) => Ok(Self::Former),
            Some(value) if *value == MOVED => Ok(Self::Moved),
            Some(value) if *value == ARRIVED => Ok(Self::Arrived),
            Some(_) => Err(Error::invalid(
                "the objects in the data directory lie by a rule that this version does not know",
            )),
        }
    }
}

/// A home partition whose objects have other vnodes than before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Move {
    home: Partition,
    before: Vec<Partition>,
    now: Vec<Partition>,
}

impl Move {
    /// The moves of lists of up to `longest` replicas.
    fn all(plan: &OwnershipPlan, longest: u16) -> Vec<Self> {
        let size = plan.ring_size();
        let longest = longest.min(size.get());
        let of = |home| Self {
            home,
            before: (0..longest).map(|step| size.after(home, step)).collect(),
            now: plan.replicas(home).first(u32::from(longest)).collect(),
        };
        size.partitions().map(of).filter(|of| of.before != of.now).collect()
    }

    /// The vnodes that hold an object with `n` replicas, before or now.
    fn first(list: &[Partition], n: u32) -> &[Partition] {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        list.get(..n).unwrap_or(list)
    }

    /// The vnodes that may lack an object that has `n` replicas, and had `least` at some time.
    fn stale(&self, n: u32, least: u32) -> impl Iterator<Item = Partition> + '_ {
        let before = Self::first(&self.before, least);
        Self::first(&self.now, n).iter().copied().filter(|vnode| !before.contains(vnode))
    }

    /// Whether a vnode held an object with `n` replicas, and does not any more. One that lies here
    /// only because its bucket had more replicas once is left alone.
    fn leaves(&self, vnode: Partition, n: u32) -> bool {
        Self::first(&self.before, n).contains(&vnode) && !Self::first(&self.now, n).contains(&vnode)
    }
}

/// Slices of own vnodes, with their home partitions, that may lack what has moved to them.
#[derive(Default)]
pub(crate) struct Awaited {
    slices: Mutex<BTreeSet<(Partition, Partition)>>,
    any: AtomicBool,
}

impl Awaited {
    fn new(slices: BTreeSet<(Partition, Partition)>) -> Self {
        let any = AtomicBool::new(!slices.is_empty());
        Self { slices: Mutex::new(slices), any }
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// The vnodes, in order.
    pub(crate) fn vnodes(&self) -> Vec<Partition> {
        if !self.any() {
            return Vec::new();
        }
        let mut vnodes: Vec<Partition> = self.slices.lock().iter().map(|slice| slice.0).collect();
        vnodes.dedup();
        vnodes
    }

    /// Refuses to answer for a slice that may lack what has moved to it.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) fn admit(&self, vnode: Partition, home: Partition) -> Result<()> {
        if !self.any() || !self.slices.lock().contains(&(vnode, home)) {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "vnode {vnode} still waits for the objects of partition {home}, which have moved to it"
        )))
    }

    /// Drops those of which `is_here` says that nothing is missing; returns whether they were the
    /// last.
    fn drop_where(&self, is_here: impl Fn(Partition, Partition) -> bool) -> bool {
        let mut slices = self.slices.lock();
        let before = slices.len();
        slices.retain(|&(vnode, home)| !is_here(vnode, home));
        self.any.store(!slices.is_empty(), Ordering::Release);
        before > 0 && slices.is_empty()
    }
}

/// Puts what lies here to its place: see the module. Gives what is awaited here. Blocks, for about as
/// long as it takes to read and write the objects of the partitions that are concerned: two of a ring
/// on three nodes, none on one, two or many.
///
/// # Errors
/// `Storage`; `Invalid` for a data directory of a later version. What is damaged stays where it is.
pub(crate) fn settle(core: &Core, view: &View) -> Result<Awaited> {
    let engine = &*core.engine;
    let stage = Stage::read(engine)?;
    if stage == Stage::Arrived {
        return Ok(Awaited::default());
    }
    let plan = view.plan();
    let longest = n_vals(view).last().copied().unwrap_or(0);
    let moves = Move::all(plan, longest);
    if moves.is_empty() || (stage == Stage::Former && vnodes(engine).is_empty()) {
        engine.set_meta(NAME, &ARRIVED)?;
        return Ok(Awaited::default());
    }
    if stage == Stage::Former {
        move_all(core, view, &moves)?;
        engine.set_meta(NAME, &MOVED)?;
    }
    let mut awaited = BTreeSet::new();
    for n in n_vals(view) {
        let n = u32::from(n);
        for moved in &moves {
            let own = moved.stale(n, n).filter(|vnode| plan.owner(*vnode) == Some(view.me));
            awaited.extend(own.map(|vnode| (vnode, moved.home)));
        }
    }
    if !awaited.is_empty() {
        tracing::info!(slices = awaited.len(), "objects that have moved here are waited for");
    }
    Ok(Awaited::new(awaited))
}

fn move_all(core: &Core, view: &View, moves: &[Move]) -> Result<()> {
    let (mut copied, mut removed) = (0_usize, 0_usize);
    let replicas = |bucket: &BucketId| {
        let default = BucketProps::default().n_val;
        let n = known_props(view, bucket).map_or(default, |props| props.n_val);
        (n, view.least_n_val(bucket).unwrap_or(n))
    };
    let vnodes = vnodes(&*core.engine);
    for moved in moves {
        for &vnode in &vnodes {
            each(core, vnode, moved.home, |id, record| {
                let (n, least) = replicas(&id.bucket);
                for stale in moved.stale(n, least).filter(|stale| *stale != vnode) {
                    core.merge(stale, id.clone(), record, None)?;
                    copied += 1;
                }
                Ok(())
            })?;
        }
    }
    core.engine.sync()?;
    for moved in moves {
        for &vnode in &vnodes {
            let mut retired = false;
            each(core, vnode, moved.home, |id, record| {
                let (n, least) = replicas(&id.bucket);
                if !moved.leaves(vnode, n) {
                    return Ok(());
                }
                if !retired {
                    // It must not stamp these again: its next dot would claim to have seen them.
                    core.actors.retire(vnode)?;
                    retired = true;
                }
                let clock = Record::decode_without_bodies(&record.head)?.clock;
                for stale in moved.stale(n, least) {
                    if !has(core, stale, id, &clock)? {
                        return Err(Error::corrupt(format!("{id} is kept where it is")));
                    }
                }
                removed +=
                    usize::from(core.remove(vnode, &core.place(id.clone()), &clock, |_| true)?);
                Ok(())
            })?;
        }
    }
    core.engine.sync()?;
    tracing::info!(
        partitions = moves.len(),
        copied,
        removed,
        "objects of a former version were put to their places"
    );
    Ok(())
}

/// The vnodes, of this node and of others, that have any data here.
fn vnodes(engine: &dyn Engine) -> Vec<Partition> {
    engine.vnodes().into_iter().filter(|number| apart::is_vnode(*number)).map(Partition).collect()
}

/// Whether all that a clock tells of an object lies here for a vnode.
fn has(core: &Core, vnode: Partition, id: &ObjectId, clock: &VersionVector) -> Result<bool> {
    let stored = core.engine.read(vnode.0, &core.place(id.clone()), ScanDepth::Heads)?;
    let stored = stored.map(|record| Record::decode_without_bodies(&record.head)).transpose()?;
    Ok(stored.is_some_and(|stored| stored.clock.dominates(clock)))
}

/// Does something with every object of a slice; what is damaged is passed over.
fn each(
    core: &Core,
    vnode: Partition,
    home: Partition,
    mut work: impl FnMut(&ObjectId, &Record) -> Result<()>,
) -> Result<()> {
    let passable = |done: Result<()>| match done {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::warn!(%error, %vnode, %home, "what is damaged is not put to its place");
            Ok(())
        }
        done => done,
    };
    let mut after = None;
    loop {
        let slice = Slice { vnode, home, after };
        let page = slice::records(core, slice, None, ScanDepth::Records, limits::HANDOFF_OBJECTS);
        let page = match page {
            Ok(page) => page,
            Err(error) => return passable(Err(error)),
        };
        page.items.iter().try_for_each(|(id, record)| passable(work(id, record)))?;
        match page.next {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// Whether of all writes of a home partition that a quorum has acknowledged under the former rule
/// some node knows among those that were heard, for each number of replicas that reaches `vnode` now.
fn is_known(
    plan: &OwnershipPlan,
    moved: &Move,
    vnode: Partition,
    n_vals: &BTreeSet<u16>,
    heard: impl Fn(NodeId) -> bool,
) -> bool {
    n_vals.iter().map(|n| u32::from(*n)).filter(|&n| moved.stale(n, n).any(|v| v == vnode)).all(
        |n| {
            let before = Move::first(&moved.before, n);
            let nodes: BTreeSet<NodeId> = before.iter().filter_map(|v| plan.owner(*v)).collect();
            let silent = nodes.iter().filter(|node| !heard(**node)).count();
            // Of so many nodes acknowledgements were at least.
            silent < nodes.len().min(before.len() / 2 + 1)
        },
    )
}

/// Serves those awaited slices of which nothing can be missing, as so many nodes were heard to hold
/// nothing for them; returns whether they were the last.
pub(crate) fn arrived(
    view: &View,
    awaited: &Awaited,
    heard: impl Fn(NodeId) -> bool + Copy,
) -> bool {
    if !awaited.any() {
        return false;
    }
    let n_vals = n_vals(view);
    let moves = Move::all(view.plan(), n_vals.last().copied().unwrap_or(0));
    awaited.drop_where(|vnode, home| {
        let moved = moves.iter().find(|moved| moved.home == home);
        moved.is_none_or(|moved| is_known(view.plan(), moved, vnode, &n_vals, heard))
    })
}

/// Notes that all that has moved here has arrived. Blocks.
///
/// # Errors
/// `Storage`.
pub(crate) fn note_arrived(engine: &dyn Engine) -> Result<()> {
    engine.set_meta(NAME, &ARRIVED)
}

#[cfg(test)]
mod tests {
    use mapring_ring::{RingSize, claim};

    use super::*;

    fn plan(size: u16, nodes: u64) -> OwnershipPlan {
        let nodes: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
        claim::claim(&OwnershipPlan::empty(RingSize::new(size).unwrap()), &nodes)
    }

    /// Sixteen partitions on three nodes in stripes: vnodes 15 and 0 are of one node.
    fn stripes() -> OwnershipPlan {
        let size = RingSize::new(16).unwrap();
        let owners = size.partitions().map(|partition| NodeId(u64::from(partition.0 % 3)));
        OwnershipPlan::empty(size).next(owners.collect())
    }

    fn partitions(numbers: &[u16]) -> Vec<Partition> {
        numbers.iter().copied().map(Partition).collect()
    }

    #[test]
    fn few_partitions_move_and_where_nodes_are_many_none() {
        for (size, nodes) in [(8, 1), (64, 1), (64, 2), (64, 4), (64, 5), (256, 7)] {
            assert_eq!(Move::all(&plan(size, nodes), 3), [], "{size} on {nodes}");
        }
        for size in [8, 64, 256] {
            assert_eq!(Move::all(&plan(size, 3), 3).len(), 2, "{size}");
        }
    }

    #[test]
    fn each_object_goes_where_its_number_of_replicas_has_it() {
        let plan = stripes();
        let moves = Move::all(&plan, 3);
        let of = |home| moves.iter().find(|moved| moved.home == Partition(home)).unwrap().clone();
        let check = |home, n, least, stale: &[u16], leave: &[u16]| {
            let moved = of(home);
            assert_eq!(moved.stale(n, least).collect::<Vec<_>>(), partitions(stale));
            let left = plan.ring_size().partitions().filter(|vnode| moved.leaves(*vnode, n));
            assert_eq!(left.collect::<Vec<_>>(), partitions(leave), "{home}, {n}");
        };
        check(14, 3, 3, &[1], &[0]);
        check(14, 2, 2, &[], &[]);
        check(15, 3, 3, &[2], &[0]);
        check(15, 2, 2, &[1], &[0]);
        check(15, 1, 1, &[], &[]);
        // Raised from two: what was stored before lies in two vnodes.
        check(15, 3, 2, &[1, 2], &[0]);
    }

    #[test]
    fn what_moved_is_served_when_no_write_can_be_missing() {
        let plan = stripes();
        let moves = Move::all(&plan, 3);
        let owner = |vnode| plan.owner(Partition(vnode)).unwrap();
        let check = |home, vnode, n, silent: &[NodeId], expect| {
            let moved = moves.iter().find(|moved| moved.home == Partition(home)).unwrap();
            let heard = |node| !silent.contains(&node);
            let n_vals = BTreeSet::from([n]);
            let known = is_known(&plan, moved, Partition(vnode), &n_vals, heard);
            assert_eq!(known, expect, "{home}, {vnode}, {n}");
        };
        let (twice, once) = (owner(15), owner(14));
        // A write with three replicas was acknowledged by two nodes.
        check(14, 1, 3, &[], true);
        check(14, 1, 3, &[twice], true);
        check(14, 1, 3, &[once], true);
        check(14, 1, 3, &[once, twice], false);
        // One with two was by one node alone.
        check(15, 1, 2, &[twice], false);
        check(15, 1, 2, &[once], true);
    }

    #[test]
    fn slices_are_refused_until_they_are_here() {
        let slices = [(1, 6), (1, 7), (2, 7)].map(|(v, h)| (Partition(v), Partition(h)));
        let awaited = Awaited::new(slices.into());
        assert_eq!(awaited.vnodes(), partitions(&[1, 2]));
        let error = awaited.admit(Partition(1), Partition(7)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(awaited.admit(Partition(1), Partition(0)).is_ok());
        assert!(!awaited.drop_where(|_, home| home == Partition(7)));
        assert_eq!(awaited.vnodes(), partitions(&[1]));
        assert!(awaited.drop_where(|_, _| true));
        assert!(!awaited.any() && awaited.admit(Partition(1), Partition(6)).is_ok());
        assert!(!awaited.drop_where(|_, _| true), "they were the last before");
    }
}
