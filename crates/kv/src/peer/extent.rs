//! How far the data of each member reaches, as the others remember it.
//!
//! Every message of a node says up to where its storage is acknowledged. The others remember the last
//! they heard, on disk as well, so that a data directory that is put back from a copy, whoever made it
//! and when, is known by them to be older than what its node had acknowledged: by the node, which asks
//! them at its start before it answers for anything, and by each of them when it hears of its new
//! incarnation. The metadata cannot tell: it is a part of what is put back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use mapring_engine::{Engine, IndexChange, LossKind, ScanDepth, ScanRange, StoreKey};
use mapring_types::{
    BucketId, Entropy, Error, NodeId, ObjectId, Record, Result, Versioned, versioned,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::storage::apart;

/// How far the data of a node reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// The incarnation of the node that says so.
    pub(crate) incarnation: u64,
    /// Its store: another number after it was begun anew.
    pub(crate) store: u64,
    /// See [`Engine::position`].
    pub(crate) position: u64,
}

impl Extent {
    /// Why a node that starts with `now` has not all that it had when this was heard of it; `None`
    /// when nothing speaks against it.
    pub(crate) fn beyond(&self, now: &Self) -> Option<String> {
        if mapring_types::failpoint!(OldCopyTrusted) {
            return None;
        }
        if self.incarnation > now.incarnation {
            return Some("it was started on a later state before".to_owned());
        }
        if self.incarnation == now.incarnation {
            return None;
        }
        if self.store != now.store {
            return Some("it had another store before".to_owned());
        }
        let (before, now) = (self.position, now.position);
        (before > now)
            .then(|| format!("it had acknowledged writes up to {before}, and has them up to {now}"))
    }
}

/// The own extent when the storage was opened, and what is remembered of the others.
pub(crate) struct Extents {
    opened: Mutex<Extent>,
    known: Mutex<BTreeMap<NodeId, Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    extent: Extent,
    /// What lies on disk.
    kept: Extent,
    /// The incarnation that was found to have gone back, until the metadata says so too.
    went_back: Option<u64>,
}

/// The engine's meta value with the number of the store.
const STORE: &str = "kv-store";

/// The engine's meta value with the position at the first start that not all others have answered for.
const UNPROVEN: &str = "kv-unproven";

mapring_types::first_version!(Extent, 1, "an extent");

impl Extents {
    /// Reads what is remembered. Blocks.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn open(
        engine: &dyn Engine,
        entropy: &dyn Entropy,
        incarnation: u64,
    ) -> Result<Self> {
        // A store that was set aside when it was opened has no number yet.
        let fresh = engine.loss().is_some_and(|loss| loss.kind == LossKind::Empty);
        let stored = engine.meta(STORE)?.and_then(|bytes| bytes.as_ref().try_into().ok());
        let store = match stored.map(u64::from_be_bytes).filter(|_| !fresh) {
            Some(store) => store,
            None => renumber(engine, entropy)?,
        };
        // A start that not all others have answered for does not count as one with all the data.
        let before = engine.meta(UNPROVEN)?.and_then(|bytes| bytes.as_ref().try_into().ok());
        let position = engine.position().min(before.map_or(u64::MAX, u64::from_be_bytes));
        engine.set_meta(UNPROVEN, &position.to_be_bytes())?;
        let opened = Extent { incarnation, store, position };
        let mut known = BTreeMap::new();
        engine.scan(
            apart::EXTENTS,
            &ScanRange::home(0),
            ScanDepth::Heads,
            &mut |place, record| {
                match decode(&place, &record) {
                    Ok((node, extent)) => {
                        known.insert(node, Known { extent, kept: extent, went_back: None });
                    }
                    Err(error) => tracing::warn!(%error, "how far a node was is not remembered"),
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok(Self { opened: Mutex::new(opened), known: Mutex::new(known) })
    }

    /// The own extent when the storage was opened.
    pub(crate) fn opened(&self) -> Extent {
        *self.opened.lock()
    }

    /// All others have answered for this start: the next one is held against what is here by then.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn prove(engine: &dyn Engine) -> Result<()> {
        match engine.meta(UNPROVEN)? {
            Some(position) if !position.is_empty() => engine.set_meta(UNPROVEN, &[]),
            _ => Ok(()),
        }
    }

    /// The own store was begun anew.
    pub(crate) fn begin_anew(&self, store: u64, position: u64) {
        let mut opened = self.opened.lock();
        (opened.store, opened.position) = (store, position);
        // What was kept of the others has gone with the old one.
        self.known.lock().values_mut().for_each(|known| known.kept = Extent::default());
    }

    /// What is remembered of a node.
    pub(crate) fn of(&self, node: NodeId) -> Option<Extent> {
        self.known.lock().get(&node).map(|known| known.extent)
    }

    /// A message of a node says how far it is.
    pub(crate) fn hear(&self, node: NodeId, incarnation: u64, position: u64) {
        if let Some(known) = self.known.lock().get_mut(&node)
            && known.extent.incarnation == incarnation
        {
            known.extent.position = known.extent.position.max(position);
        }
    }

    /// A node says how far it is, and with what it began. Gives why it has less than it had, the
    /// first time that this is found of an incarnation.
    pub(crate) fn hear_all(&self, node: NodeId, opened: &Extent, now: &Extent) -> Option<String> {
        let mut all = self.known.lock();
        let fresh = Known { extent: *now, kept: Extent::default(), went_back: None };
        let known = all.entry(node).or_insert(fresh);
        if known.went_back == Some(now.incarnation) {
            return None;
        }
        let why = known.extent.beyond(opened);
        if why.is_some() {
            known.went_back = Some(now.incarnation);
            return why;
        }
        if known.extent.incarnation < now.incarnation || known.extent.store != now.store {
            known.extent = *now;
        } else {
            known.extent.position = known.extent.position.max(now.position);
        }
        None
    }

    /// The nodes, and incarnations of them, that were found to have gone back and of which the
    /// metadata does not say so yet, as `said` tells.
    pub(crate) fn went_back(&self, said: impl Fn(NodeId) -> u64) -> Vec<(NodeId, u64)> {
        let mut all = self.known.lock();
        let mut went_back = Vec::new();
        for (&node, known) in all.iter_mut() {
            let Some(incarnation) = known.went_back else { continue };
            if said(node) >= incarnation {
                // From now on what it has counts.
                known.went_back = None;
                known.extent = Extent { incarnation, store: 0, position: 0 };
            } else {
                went_back.push((node, incarnation));
            }
        }
        went_back
    }

    /// Whether what is remembered is more than what lies on disk.
    pub(crate) fn is_news(&self) -> bool {
        self.known.lock().values().any(|known| known.extent != known.kept)
    }

    /// Keeps on disk what is remembered. Blocks; durable with the next sync.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn keep(&self, engine: &dyn Engine) -> Result<()> {
        // Not under the lock, which every message takes.
        let all = self.known.lock();
        let is_news = |(_, known): &(&NodeId, &Known)| known.extent != known.kept;
        let news: Vec<(NodeId, Extent)> =
            all.iter().filter(is_news).map(|(node, known)| (*node, known.extent)).collect();
        drop(all);
        for (node, extent) in news {
            let (place, record) = encode(node, &extent)?;
            engine.put(apart::EXTENTS, &place, &record, &IndexChange::NONE)?;
            if let Some(known) = self.known.lock().get_mut(&node) {
                known.kept = extent;
            }
        }
        Ok(())
    }
}

/// Gives the store a number that no store of the node had before. Blocks.
///
/// # Errors
/// `Storage`.
pub(crate) fn renumber(engine: &dyn Engine, entropy: &dyn Entropy) -> Result<u64> {
    let store = entropy.next_u64().max(1);
    engine.set_meta(STORE, &store.to_be_bytes())?;
    Ok(store)
}

pub(crate) fn encode(node: NodeId, extent: &Extent) -> Result<(StoreKey, Record)> {
    let head = versioned::to_postcard(extent)?;
    let bucket = BucketId::typed(&b"mapring"[..], &b"extent"[..]);
    let id = ObjectId::new(bucket, node.0.to_be_bytes().to_vec());
    Ok((StoreKey { home: 0, id }, Record { head: head.into(), body: Bytes::new() }))
}

fn decode(place: &StoreKey, record: &Record) -> Result<(NodeId, Extent)> {
    let damaged = || Error::corrupt("an extent has a damaged name");
    let node: [u8; 8] = place.id.key.as_ref().try_into().map_err(|_| damaged())?;
    Ok((NodeId(u64::from_be_bytes(node)), Extent::decode(&record.head)?))
}

#[cfg(test)]
mod tests {
    use mapring_engine::memory::MemoryEngine;
    use mapring_types::env::SystemEntropy;

    use super::*;

    fn extent(incarnation: u64, store: u64, position: u64) -> Extent {
        Extent { incarnation, store, position }
    }

    #[test]
    fn what_a_node_has_is_held_against_what_it_had() {
        #[track_caller]
        fn check(before: Extent, now: Extent, went_back: bool) {
            assert_eq!(before.beyond(&now).is_some(), went_back, "{before:?}, {now:?}");
        }
        check(extent(1, 7, 100), extent(2, 7, 100), false);
        check(extent(1, 7, 100), extent(2, 7, 130), false);
        check(extent(1, 7, 100), extent(2, 7, 99), true);
        check(extent(1, 7, 100), extent(2, 8, 500), true);
        // The clock of a copy may be behind as well.
        check(extent(3, 7, 100), extent(2, 7, 200), true);
        // Of one incarnation nothing is to be found out.
        check(extent(2, 7, 100), extent(2, 7, 50), false);
    }

    #[test]
    fn a_node_that_went_back_is_found_once_and_remembered_until_it_is_known() {
        let engine = MemoryEngine::new();
        let open = || Extents::open(&engine, &SystemEntropy, 9).unwrap();
        let (all, node) = (open(), NodeId(4));
        let start = extent(1, 7, 10);
        assert_eq!(all.hear_all(node, &start, &extent(1, 7, 12)), None);
        all.hear(node, 1, 50);
        all.hear(node, 1, 40);
        all.hear(node, 0, 999);
        assert_eq!(all.of(node), Some(extent(1, 7, 50)));
        assert!(all.is_news());
        all.keep(&engine).unwrap();
        assert!(!all.is_news());
        all.begin_anew(8, 0);
        assert!(all.is_news(), "what was kept went with the store");
        all.keep(&engine).unwrap();

        let all = open();
        assert_eq!(all.opened().store, open().opened().store, "a store keeps its number");
        let (back, later) = (extent(2, 7, 49), extent(2, 7, 60));
        assert!(all.hear_all(node, &back, &later).is_some());
        assert_eq!(all.hear_all(node, &back, &later), None, "once");
        assert_eq!(all.of(node), Some(extent(1, 7, 50)), "so that the node itself can be told");
        assert_eq!(all.went_back(|_| 1), [(node, 2)]);
        assert!(all.went_back(|_| 2).is_empty());
        assert_eq!(all.hear_all(node, &back, &later), None);
        assert_eq!(all.of(node), Some(later));
        // It comes back with what it had.
        assert_eq!(all.hear_all(node, &extent(3, 7, 60), &extent(3, 7, 61)), None);
    }
}
