//! The state machine of a write.

use mapring_cluster::View;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::NodeId;
use mapring_types::error::QuorumKind;

use super::{Verdict, WriteNeed, count, distinct, missed, reaches};

/// What became of one replica of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteState {
    Waiting,
    Stored,
    Failed,
}

/// The state machine of a write.
#[derive(Debug)]
pub(crate) struct WriteCore {
    need: WriteNeed,
    /// Of how many nodes acknowledgements are expected, whether or not these can be reached.
    spread: usize,
    replicas: Vec<(PreferenceEntry, WriteState)>,
}

impl WriteCore {
    pub(crate) fn new(need: WriteNeed, spread: usize) -> Self {
        Self { need, spread, replicas: Vec::new() }
    }

    /// Takes a replica into the list; gives its index unless it was there.
    pub(crate) fn add(&mut self, entry: PreferenceEntry) -> Option<usize> {
        let known =
            self.replicas.iter().any(|(e, _)| (e.vnode, e.node) == (entry.vnode, entry.node));
        if known {
            return None;
        }
        self.replicas.push((entry, WriteState::Waiting));
        Some(self.replicas.len() - 1)
    }

    /// Notes that a replica has stored the write, or has not.
    ///
    /// # Panics
    /// When it was not asked, or has answered already: it would count twice.
    pub(crate) fn apply(&mut self, index: usize, stored: bool) {
        let (entry, state) = &mut self.replicas[index];
        assert_eq!(*state, WriteState::Waiting, "node {} answers a write twice", entry.node);
        *state = if stored { WriteState::Stored } else { WriteState::Failed };
    }

    /// The node of a replica.
    pub(crate) fn node(&self, index: usize) -> Option<NodeId> {
        self.replicas.get(index).map(|(entry, _)| entry.node)
    }

    /// The nodes that have not answered.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = NodeId> + '_ {
        let waiting = self.replicas.iter().filter(|(_, state)| *state == WriteState::Waiting);
        waiting.map(|(entry, _)| entry.node)
    }

    /// Whether the write is stored for `vnode` where `me` knows of it for sure: by the owner, or by
    /// `me` in its place. Another fallback may end before it has told anybody what it holds.
    pub(crate) fn covers(&self, vnode: Partition, me: NodeId) -> bool {
        let sure = |entry: &PreferenceEntry| entry.primary || entry.node == me;
        self.replicas
            .iter()
            .any(|(e, state)| e.vnode == vnode && sure(e) && *state == WriteState::Stored)
    }

    /// How many fallbacks have stored the write.
    pub(crate) fn fallbacks(&self) -> u32 {
        let stored = |state: &WriteState| *state == WriteState::Stored;
        count(self.replicas.iter().filter(|(entry, state)| !entry.primary && stored(state)))
    }

    /// Whether the acknowledgements so far suffice.
    pub(crate) fn verdict(&self) -> Verdict {
        let WriteNeed { w, dw, pw, confirms, .. } = self.need;
        let primaries = |pick: &dyn Fn(WriteState) -> bool| {
            count(self.replicas.iter().filter(|(entry, state)| entry.primary && pick(*state)))
        };
        let stored = |state| state == WriteState::Stored;
        let hopeful = |state| state != WriteState::Failed;
        let reached = |need, pick: &dyn Fn(WriteState) -> bool| {
            reaches(need, self.nodes(pick), self.nodes(&hopeful), self.spread)
        };
        let confirmed = |pick: &dyn Fn(WriteState) -> bool| {
            u32::try_from(distinct(self.nodes(pick))).unwrap_or(u32::MAX)
        };
        if reached(w.max(dw), &stored)
            && primaries(&stored) >= pw
            && (confirms == 0 || confirmed(&stored) >= confirms)
        {
            return Verdict::Enough;
        }
        if primaries(&hopeful) < pw {
            return Verdict::Fail(missed(QuorumKind::Pw, primaries(&hopeful), pw));
        }
        // Where there are enough replicas, but on too few nodes, these count.
        let got = count(self.nodes(&hopeful));
        let got = if got >= w.max(dw) {
            u32::try_from(distinct(self.nodes(&hopeful))).unwrap_or(u32::MAX)
        } else {
            got
        };
        if !reached(w, &hopeful) {
            return Verdict::Fail(missed(QuorumKind::W, got, w));
        }
        if !reached(dw, &hopeful) {
            return Verdict::Fail(missed(QuorumKind::Dw, got, dw));
        }
        if confirms > 0 && confirmed(&hopeful) < confirms {
            return Verdict::Fail(missed(QuorumKind::NodeConfirms, confirmed(&hopeful), confirms));
        }
        Verdict::Wait
    }

    fn nodes<'a>(
        &'a self,
        pick: &'a dyn Fn(WriteState) -> bool,
    ) -> impl Iterator<Item = NodeId> + Clone + 'a {
        self.replicas.iter().filter(|(_, state)| pick(*state)).map(|(entry, _)| entry.node)
    }
}

/// Of how many nodes at least a write is to be acknowledged, as far as its quorum asks: of as many as
/// its primaries are on. Of two nodes one may be away: what the other stored under both names counts.
pub(crate) fn spread(view: &View, primaries: &[PreferenceEntry]) -> usize {
    match view.plan().node_count() {
        0..=2 => 1,
        nodes => nodes.min(primaries.len()),
    }
}
