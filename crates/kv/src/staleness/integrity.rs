//! Whether this node still has what it once stored, and what it serves while it has not.
//!
//! Four things can tell that it has not: the engine (see [`mapring_engine::Engine::loss`]); the
//! cluster's metadata, which gives the data directory a new number at every start, so that a copy of
//! an earlier time is known by its number; the other members, which remember how far its data was
//! (see `extent`); and an operator. A node that lacks something declares it
//! in the metadata, fills itself from the others (`repair`) and declares that too. Until then it
//! neither answers for the slices that are not filled yet nor coordinates their writes; it takes
//! what others write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_engine::{Engine, Loss};
use mapring_ring::Partition;
use mapring_types::versioned::Nothing;
use mapring_types::{Entropy, Error, NodeId, Result, Versioned};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits;
use crate::staleness::progress::Progress;
use crate::storage::placement::Awaited;

/// See the module.
pub(crate) struct Integrity {
    /// Whether anything is missing.
    incomplete: AtomicBool,
    /// Whether the metadata was asked what it knows of the data here.
    tried: AtomicBool,
    pub(crate) opened: Instant,
    pub(crate) state: Mutex<State>,
    /// What has moved here and may not have arrived yet.
    pub(crate) awaited: Awaited,
    /// Brings the next look forward.
    pub(crate) wake: Notify,
    /// The state has changed.
    changed: Notify,
}

/// What is known of the data here.
#[derive(Default)]
pub(crate) struct State {
    /// The numbers of the data directory, to be confirmed; `None` once they are.
    pub(crate) numbers: Option<Numbers>,
    /// The loss that was declared last.
    pub(crate) declared: Option<Loss>,
    /// The number of losses that the filling is for.
    losses: u64,
    /// The incarnation that was found to have begun with an older state.
    pub(crate) older: Option<u64>,
    /// Whether the actors were given up since the metadata said so of this incarnation.
    pub(crate) gave_up: bool,
    /// Slices (vnode, home) that lack nothing any more.
    filled: BTreeSet<(Partition, Partition)>,
    /// Slices that were brought together with some other replicas, where too few answer to say that
    /// they lack nothing: with which.
    partly: BTreeMap<(Partition, Partition), Vec<(Partition, NodeId)>>,
    progress: Progress,
}

/// The numbers that the data directory may have had last in the metadata, and its next.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    pub(crate) known: Vec<u64>,
    pub(crate) next: u64,
}

/// The name of the engine's meta value with the numbers.
const NAME: &str = "kv-start";
/// What lies there.
pub(crate) struct Stored(pub(crate) Vec<u64>);

impl Versioned for Stored {
    const WHAT: &'static str = "the number of the data directory";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        let (numbers, rest) = body.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Error::corrupt("the number of the data directory is damaged"));
        }
        Ok(Self(numbers.iter().map(|number| u64::from_be_bytes(*number)).collect()))
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl Stored {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let bytes = self.0.iter().flat_map(|number| number.to_be_bytes());
        [Self::VERSION].into_iter().chain(bytes).collect()
    }
}

impl Numbers {
    /// Reads the numbers and notes the next one. Blocks.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn take(engine: &dyn Engine, entropy: &dyn Entropy) -> Result<Self> {
        let stored = engine.meta(NAME).and_then(|value| match value {
            // 0 is a directory that never had one.
            None => Ok(vec![0]),
            Some(value) => Ok(Stored::decode(&value)?.0),
        });
        let mut known = match stored {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "the number of the data directory is not known");
                Vec::new()
            }
        };
        let next = entropy.next_u64().max(1);
        if known.len() >= limits::UNCONFIRMED_STARTS {
            known.remove(1);
        }
        let numbers = Self { known, next };
        engine.set_meta(NAME, &Stored([&numbers.known[..], &[next]].concat()).encode())?;
        Ok(numbers)
    }

    pub(crate) fn confirm(&self, engine: &dyn Engine) -> Result<()> {
        engine.set_meta(NAME, &Stored(vec![self.next]).encode())
    }
}

impl Integrity {
    /// `incomplete`: what is missing is known already.
    pub(crate) fn new(numbers: Numbers, incomplete: bool, awaited: Awaited) -> Self {
        let state = State { numbers: Some(numbers), ..State::default() };
        Self {
            incomplete: AtomicBool::new(incomplete),
            tried: AtomicBool::new(false),
            opened: Instant::now(),
            state: Mutex::new(state),
            awaited,
            wake: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// Whether anything is missing here.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Acquire)
    }

    /// Refuses to answer for a slice that may lack something.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) fn admit(&self, vnode: Partition, home: Partition) -> Result<()> {
        if !self.tried.load(Ordering::Acquire) {
            return Err(Error::unavailable("this node has just started"));
        }
        self.awaited.admit(vnode, home)?;
        if !self.is_incomplete() || self.is_filled(vnode, home) {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "vnode {vnode} has lost data and is not yet filled again for partition {home}"
        )))
    }

    /// Whether the metadata and the others were asked what they know of the data here.
    pub(crate) fn is_tried(&self) -> bool {
        self.tried.load(Ordering::Acquire)
    }

    /// Returns when the metadata was asked what it knows of the data here, or could not be.
    pub(crate) async fn tried(&self) {
        loop {
            let changed = self.changed.notified();
            if self.tried.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn set_tried(&self) {
        self.tried.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn set_incomplete(&self, incomplete: bool) {
        if self.incomplete.swap(incomplete, Ordering::AcqRel) != incomplete {
            self.empty();
            metrics::gauge!("mapring_kv_incomplete").set(if incomplete { 1.0 } else { 0.0 });
        }
    }

    /// Nothing counts as filled any more.
    pub(crate) fn empty(&self) {
        let mut state = self.state.lock();
        state.filled.clear();
        state.partly.clear();
    }

    /// What follows fills up what was missing after so many losses: of fewer nothing counts.
    pub(crate) fn begin(&self, losses: u64) {
        let mut state = self.state.lock();
        if state.losses != losses {
            state.losses = losses;
            state.filled.clear();
            state.partly.clear();
            state.progress = Progress { lost: state.progress.lost.take(), ..Progress::default() };
        }
    }

    /// Notes that a slice lacks nothing any more.
    pub(crate) fn fill(&self, vnode: Partition, home: Partition) {
        self.state.lock().filled.insert((vnode, home));
    }

    /// Notes with which replicas a slice was brought together that may still lack something.
    pub(crate) fn fill_partly(
        &self,
        vnode: Partition,
        home: Partition,
        with: Vec<(Partition, NodeId)>,
    ) {
        self.state.lock().partly.insert((vnode, home), with);
    }

    /// Whether a slice was brought together with these replicas.
    pub(crate) fn is_partly_filled(
        &self,
        vnode: Partition,
        home: Partition,
        with: &[(Partition, NodeId)],
    ) -> bool {
        self.state.lock().partly.get(&(vnode, home)).is_some_and(|known| known == with)
    }

    /// Whether a slice lacks nothing any more.
    pub(crate) fn is_filled(&self, vnode: Partition, home: Partition) -> bool {
        self.state.lock().filled.contains(&(vnode, home))
    }

    /// Changes what is told of the filling.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.state.lock().progress);
    }

    /// What is told of the filling.
    pub(crate) fn progress(&self) -> Progress {
        self.state.lock().progress.clone()
    }
}
