//! The state machine of a read.

use std::collections::BTreeSet;

use mapring_ring::PreferenceEntry;
use mapring_types::error::QuorumKind;
use mapring_types::{Error, NodeId, Object, VersionVector};

use super::{ReadNeed, Verdict, count, distinct, missed, reaches};
use crate::request::absence::{self, Absence, Around, Asked};
use crate::resolution::Resolution;

/// What became of one replica of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadState {
    Waiting,
    Found(VersionVector),
    Missing,
    Failed,
}

/// One replica of a read.
#[derive(Debug, Clone)]
struct Replica {
    entry: PreferenceEntry,
    state: ReadState,
    /// Whether it knows, where it has nothing, that nobody holds anything for it.
    sure: bool,
    /// Whether it was asked only to know whether the object exists.
    beside: bool,
}

/// The state machine of a read.
#[derive(Debug)]
pub(crate) struct ReadCore {
    need: ReadNeed,
    resolution: Resolution,
    replicas: Vec<Replica>,
    /// All primaries, also those that cannot be asked.
    primaries: Vec<PreferenceEntry>,
    /// Whether the primaries were asked again: see [`Absence::Again`].
    again: bool,
    /// All answers joined.
    pub(crate) merged: Object,
}

impl ReadCore {
    pub(crate) fn new(need: ReadNeed, resolution: Resolution) -> Self {
        Self {
            need,
            resolution,
            replicas: Vec::new(),
            primaries: Vec::new(),
            again: false,
            merged: Object::default(),
        }
    }

    /// Notes who the primaries are.
    pub(crate) fn set_primaries(&mut self, primaries: Vec<PreferenceEntry>) {
        self.primaries = primaries;
    }

    /// Who the primaries are.
    pub(crate) fn primaries(&self) -> &[PreferenceEntry] {
        &self.primaries
    }

    /// Takes a replica into the list; gives its index unless it was there.
    pub(crate) fn add(&mut self, entry: PreferenceEntry) -> Option<usize> {
        let same = |known: &&mut Replica| {
            (known.entry.vnode, known.entry.node) == (entry.vnode, entry.node)
        };
        if let Some(known) = self.replicas.iter_mut().find(same) {
            known.beside = false;
            return None;
        }
        let state = ReadState::Waiting;
        self.replicas.push(Replica { entry, state, sure: true, beside: false });
        Some(self.replicas.len() - 1)
    }

    /// Takes a node in that is asked only for what it may hold in place of a primary; gives its
    /// index and the place that it is asked for.
    pub(crate) fn add_beside(&mut self, node: NodeId) -> Option<(usize, PreferenceEntry)> {
        let vnode = self.primaries.first()?.vnode;
        let entry = PreferenceEntry { vnode, node, primary: false };
        let index = self.add(entry)?;
        if let Some(replica) = self.replicas.get_mut(index) {
            replica.beside = true;
        }
        Some((index, entry))
    }

    /// Has the primaries that have answered be waited for once more: gives them.
    pub(crate) fn again(&mut self) -> Vec<(usize, PreferenceEntry)> {
        self.again = true;
        let mut asked = Vec::new();
        for (index, replica) in self.replicas.iter_mut().enumerate() {
            let answered = matches!(replica.state, ReadState::Found(_) | ReadState::Missing);
            if replica.entry.primary && answered {
                replica.state = ReadState::Waiting;
                replica.sure = true;
                asked.push((index, replica.entry));
            }
        }
        asked
    }

    /// Notes that a replica is not sure that nobody holds anything for it.
    pub(crate) fn unsure(&mut self, index: usize) {
        if let Some(replica) = self.replicas.get_mut(index) {
            replica.sure = false;
        }
    }

    /// Notes an answer: an object, or nothing.
    pub(crate) fn apply(&mut self, index: usize, answer: Option<Object>) {
        let state = match answer {
            Some(object) => {
                let clock = object.clock.clone();
                self.merged.join(object);
                let joined = self.merged.clock.dominates(&clock);
                assert!(joined, "an answer is not part of all answers");
                ReadState::Found(clock)
            }
            None => ReadState::Missing,
        };
        self.note(index, state);
    }

    /// Notes what became of a replica.
    ///
    /// # Panics
    /// When it was not asked, or has answered since: it would count twice.
    fn note(&mut self, index: usize, state: ReadState) {
        let Replica { entry, state: known, .. } = &mut self.replicas[index];
        assert_eq!(*known, ReadState::Waiting, "node {} answers a read twice", entry.node);
        *known = state;
    }

    /// Notes that a replica has failed, or refuses.
    pub(crate) fn fail(&mut self, index: usize) {
        self.note(index, ReadState::Failed);
    }

    /// Notes an answer that is the same as that of another replica.
    pub(crate) fn apply_same(&mut self, index: usize, other: usize) {
        let same = self.replicas[other].state.clone();
        assert!(matches!(same, ReadState::Found(_)), "the same as one without an object");
        self.note(index, same);
    }

    /// The node of a replica.
    pub(crate) fn node(&self, index: usize) -> Option<NodeId> {
        self.replicas.get(index).map(|replica| replica.entry.node)
    }

    /// The nodes that have not answered.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = NodeId> + '_ {
        let waiting = |replica: &&Replica| replica.state == ReadState::Waiting && !replica.beside;
        self.replicas.iter().filter(waiting).map(|replica| replica.entry.node)
    }

    /// Whether readers find the object, by what was answered so far.
    pub(crate) fn is_there(&self) -> bool {
        !self.merged.siblings.is_empty() && !self.resolution.is_tombstone(&self.merged)
    }

    /// Whether the answers so far suffice. An `Enough` without [`ReadCore::is_there`] means that so
    /// many have said that there is no object; whether that is known, [`ReadCore::absence`] tells.
    pub(crate) fn verdict(&self) -> Verdict {
        let ReadNeed { n, r, pr, confirms, .. } = self.need;
        let primary_waits = self
            .replicas
            .iter()
            .any(|replica| replica.entry.primary && replica.state == ReadState::Waiting);
        // A fallback that lacks the object says nothing while a primary may still have it.
        let early = |entry: &PreferenceEntry| {
            !entry.primary && primary_waits && !mapring_types::failpoint!(NotFoundOutvotes)
        };
        let good = |replica: &&Replica| match replica.state {
            ReadState::Found(_) => true,
            ReadState::Missing => {
                self.need.notfound_ok && !replica.beside && !early(&replica.entry)
            }
            ReadState::Waiting | ReadState::Failed => false,
        };
        let hopeful = |replica: &&Replica| match replica.state {
            ReadState::Waiting => !replica.beside,
            ReadState::Missing => self.need.notfound_ok && !replica.beside,
            _ => good(replica),
        };
        let in_play =
            || self.nodes(|replica| replica.state != ReadState::Failed && !replica.beside);
        let primaries = |pick: &dyn Fn(&&Replica) -> bool| {
            count(self.replicas.iter().filter(|replica| replica.entry.primary && pick(replica)))
        };
        let confirmed = |pick: &dyn Fn(&&Replica) -> bool| {
            u32::try_from(distinct(self.nodes(pick))).unwrap_or(u32::MAX)
        };
        let enough = |pick: &dyn Fn(&&Replica) -> bool| {
            reaches(r, self.nodes(pick), in_play(), 1)
                && primaries(pick) >= pr
                && (confirms == 0 || confirmed(pick) >= confirms)
        };
        if enough(&good) {
            return Verdict::Enough;
        }
        let bad = count(self.replicas.iter().filter(|item| !item.beside && !hopeful(item)));
        let given_up = self.need.basic_quorum && bad > n / 2;
        if enough(&hopeful) && !given_up {
            return Verdict::Wait;
        }
        let missing = count(self.nodes(|item| item.state == ReadState::Missing && !item.beside));
        let settled = missing > n.saturating_sub(r) || (self.need.basic_quorum && missing > n / 2);
        if !self.need.notfound_ok && settled && self.merged.siblings.is_empty() {
            return Verdict::Enough;
        }
        // How many there are at best, unless what is still to come is not waited for.
        let best: &dyn Fn(&&Replica) -> bool = if given_up { &good } else { &hopeful };
        if primaries(&hopeful) < pr {
            return Verdict::Fail(missed(QuorumKind::Pr, primaries(best), pr));
        }
        let answered = count(self.nodes(best));
        if answered >= r && confirmed(best) < confirms {
            return Verdict::Fail(missed(QuorumKind::NodeConfirms, confirmed(best), confirms));
        }
        Verdict::Fail(missed(QuorumKind::R, answered, r))
    }

    /// Whether it is known that the object, which nobody who has answered has, does not exist: no
    /// write can have been acknowledged by a majority, nor, where `r` is more than one, by so many
    /// replicas that `r` of `n` ought to meet one of them.
    pub(crate) fn absence(&self, around: &Around) -> Absence {
        let trusting = mapring_types::failpoint!(RefusalIsMissing);
        if trusting || mapring_types::failpoint!(NotFoundOutvotes) {
            return Absence::Known;
        }
        let ReadNeed { n, r, .. } = self.need;
        let mut asked = Asked { sure: true, again: self.again, ..Asked::default() };
        for primary in &self.primaries {
            let same = |replica: &&Replica| replica.entry == *primary;
            let known = self.replicas.iter().find(same);
            let list = match known.map(|replica| &replica.state) {
                Some(ReadState::Found(_) | ReadState::Missing) => {
                    asked.sure &= known.is_some_and(|replica| replica.sure);
                    &mut asked.without
                }
                Some(ReadState::Waiting) => &mut asked.waiting,
                Some(ReadState::Failed) | None => &mut asked.unreachable,
            };
            list.push(*primary);
        }
        for Replica { entry, state, .. } in self.replicas.iter().filter(|r| !r.entry.primary) {
            let nodes = match state {
                ReadState::Found(_) | ReadState::Missing => &mut asked.others,
                ReadState::Waiting => &mut asked.awaited,
                ReadState::Failed => &mut asked.failed,
            };
            nodes.insert(entry.node);
        }
        let majority = n / 2 + 1;
        let quorum = if r > majority { n.saturating_sub(r) + 1 } else { majority };
        absence::judge(quorum, &asked, around)
    }

    /// The error where it is not known whether the object exists.
    pub(crate) fn unknown(&self, nodes: &BTreeSet<NodeId>) -> Error {
        let answered = |replica: &&Replica| {
            let answered = matches!(replica.state, ReadState::Found(_) | ReadState::Missing);
            replica.entry.primary && answered
        };
        let answered = count(self.replicas.iter().filter(answered));
        if answered < self.need.r {
            return missed(QuorumKind::R, answered, self.need.r);
        }
        let names: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
        Error::unavailable(format!(
            "whether it exists is not known: node {} may hold it",
            names.join(" or ")
        ))
    }

    /// The primaries that answered with less than all answers together.
    pub(crate) fn stale(&self) -> impl Iterator<Item = PreferenceEntry> {
        let anything = !self.merged.siblings.is_empty();
        let stale = move |state: &ReadState| match state {
            ReadState::Found(clock) => *clock != self.merged.clock,
            ReadState::Missing => true,
            ReadState::Waiting | ReadState::Failed => false,
        };
        let stale =
            move |replica: &&Replica| anything && replica.entry.primary && stale(&replica.state);
        self.replicas.iter().filter(stale).map(|replica| replica.entry)
    }

    /// Whether a replica has answered that it has nothing.
    pub(crate) fn is_missing(&self, entry: PreferenceEntry) -> bool {
        let missing = |replica: &Replica| matches!(replica.state, ReadState::Missing);
        self.replicas.iter().any(|replica| replica.entry == entry && missing(replica))
    }

    fn nodes(
        &self,
        pick: impl Fn(&&Replica) -> bool + Copy,
    ) -> impl Iterator<Item = NodeId> + Clone {
        self.replicas.iter().filter(move |item| pick(item)).map(|replica| replica.entry.node)
    }
}
