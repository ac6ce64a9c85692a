//! Which answers satisfy a request: quorum numbers resolved against a bucket, and the pure state
//! machines of reads and writes. No waiting and no runtime here; `get` and `put` drive them.

use std::collections::BTreeSet;

use mapring_ring::PreferenceEntry;
use mapring_types::error::QuorumKind;
use mapring_types::{BucketProps, Error, ErrorKind, NodeId, Object, Quorum, Result, VersionVector};

use crate::request::absence::{self, Absence, Around, Asked};
use crate::{GetOptions, PutOptions};

/// Whether a bucket keeps concurrent values beside each other.
pub(crate) fn keeps_siblings(props: &BucketProps) -> bool {
    props.allow_mult && !props.last_write_wins
}

/// Whether readers of an object find it deleted: every value is, or the newest where only that
/// counts.
pub(crate) fn is_tombstone(object: &Object, siblings: bool) -> bool {
    if siblings {
        object.is_tombstone() && !object.siblings.is_empty()
    } else {
        object.newest().is_some_and(|newest| newest.deleted)
    }
}

/// What a read needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadNeed {
    pub(crate) n: u32,
    pub(crate) r: u32,
    pub(crate) pr: u32,
    pub(crate) basic_quorum: bool,
    pub(crate) notfound_ok: bool,
}

impl ReadNeed {
    /// # Errors
    /// `Invalid` when more replicas are asked for than there are.
    pub(crate) fn new(props: &BucketProps, options: &GetOptions) -> Result<Self> {
        let n = props.n_val;
        Ok(Self {
            n,
            r: resolve(options.r, props.r, n)?.max(1),
            pr: resolve(options.pr, props.pr, n)?,
            basic_quorum: options.basic_quorum.unwrap_or(props.basic_quorum),
            notfound_ok: options.notfound_ok.unwrap_or(props.notfound_ok),
        })
    }
}

/// What a write needs. An acknowledgement here always means stored as durably as configured, so
/// that `w` and `dw` differ only in name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteNeed {
    pub(crate) n: u32,
    pub(crate) w: u32,
    pub(crate) dw: u32,
    pub(crate) pw: u32,
}

impl WriteNeed {
    /// # Errors
    /// `Invalid` when more replicas are asked for than there are.
    pub(crate) fn new(props: &BucketProps, options: &PutOptions) -> Result<Self> {
        let n = props.n_val;
        Ok(Self {
            n,
            w: resolve(options.w, props.w, n)?,
            dw: resolve(options.dw, props.dw, n)?,
            pw: resolve(options.pw, props.pw, n)?,
        })
    }
}

fn resolve(asked: Quorum, property: Quorum, n: u32) -> Result<u32> {
    let number = asked.resolve(property, n);
    if number > n {
        // Riak has this one text for reads too.
        return Err(Error::invalid(format!(
            "Specified w/dw/pw values invalid for bucket n value of {n}"
        )));
    }
    Ok(number)
}

/// Whether `counted` replicas are `need` of them, on distinct nodes as far as the nodes `in_play`
/// allow, and on `spread` nodes at least: of few nodes a list names one twice.
fn reaches(
    need: u32,
    counted: impl Iterator<Item = NodeId> + Clone,
    in_play: impl Iterator<Item = NodeId> + Clone,
    spread: usize,
) -> bool {
    let need = usize::try_from(need).unwrap_or(usize::MAX);
    if counted.clone().count() < need {
        return false;
    }
    distinct(counted) >= need.min(distinct(in_play).max(spread))
}

/// How many nodes there are among `nodes`, which are few: a set would cost more than it saves.
fn distinct(nodes: impl Iterator<Item = NodeId> + Clone) -> usize {
    let first = |(at, node): &(usize, NodeId)| !nodes.clone().take(*at).any(|other| other == *node);
    nodes.clone().enumerate().filter(first).count()
}

/// The error of a missed quorum.
fn missed(what: QuorumKind, got: u32, want: u32) -> Error {
    let kind = ErrorKind::Quorum { what, got, want };
    Error::new(kind, format!("{what}-value unsatisfied: {got}/{want}"))
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// What a request is to do next.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Wait for more answers.
    Wait,
    /// The need is met.
    Enough,
    /// It cannot be met any more.
    Fail(Error),
}

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
    /// Whether the bucket keeps concurrent values beside each other.
    siblings: bool,
    replicas: Vec<Replica>,
    /// All primaries, also those that cannot be asked.
    primaries: Vec<PreferenceEntry>,
    /// Whether the primaries were asked again: see [`Absence::Again`].
    again: bool,
    /// All answers joined.
    pub(crate) merged: Object,
}

impl ReadCore {
    pub(crate) fn new(need: ReadNeed, siblings: bool) -> Self {
        Self {
            need,
            siblings,
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
        let Some(Replica { state, .. }) = self.replicas.get_mut(index) else { return };
        *state = match answer {
            Some(object) => {
                let clock = object.clock.clone();
                self.merged.join(object);
                ReadState::Found(clock)
            }
            None => ReadState::Missing,
        };
    }

    /// Notes that a replica has failed, or refuses.
    pub(crate) fn fail(&mut self, index: usize) {
        if let Some(replica) = self.replicas.get_mut(index) {
            replica.state = ReadState::Failed;
        }
    }

    /// Notes an answer that is the same as that of another replica.
    pub(crate) fn apply_same(&mut self, index: usize, other: usize) {
        let same = self.replicas.get(other).map(|replica| replica.state.clone());
        if let (Some(replica), Some(same)) = (self.replicas.get_mut(index), same) {
            replica.state = same;
        }
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
        !self.merged.siblings.is_empty() && !is_tombstone(&self.merged, self.siblings)
    }

    /// Whether the answers so far suffice. An `Enough` without [`ReadCore::is_there`] means that so
    /// many have said that there is no object; whether that is known, [`ReadCore::absence`] tells.
    pub(crate) fn verdict(&self) -> Verdict {
        let ReadNeed { n, r, pr, .. } = self.need;
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
        let enough = |pick: &dyn Fn(&&Replica) -> bool| {
            reaches(r, self.nodes(pick), in_play(), 1) && primaries(pick) >= pr
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
        Verdict::Fail(missed(QuorumKind::R, count(self.nodes(best)), r))
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

    fn nodes(
        &self,
        pick: impl Fn(&&Replica) -> bool + Copy,
    ) -> impl Iterator<Item = NodeId> + Clone {
        self.replicas.iter().filter(move |item| pick(item)).map(|replica| replica.entry.node)
    }
}

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
    pub(crate) fn apply(&mut self, index: usize, stored: bool) {
        if let Some((_, state)) = self.replicas.get_mut(index) {
            *state = if stored { WriteState::Stored } else { WriteState::Failed };
        }
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
    pub(crate) fn covers(&self, vnode: mapring_ring::Partition, me: NodeId) -> bool {
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
        let WriteNeed { w, dw, pw, .. } = self.need;
        let primaries = |pick: &dyn Fn(WriteState) -> bool| {
            count(self.replicas.iter().filter(|(entry, state)| entry.primary && pick(*state)))
        };
        let stored = |state| state == WriteState::Stored;
        let hopeful = |state| state != WriteState::Failed;
        let reached = |need, pick: &dyn Fn(WriteState) -> bool| {
            reaches(need, self.nodes(pick), self.nodes(&hopeful), self.spread)
        };
        if reached(w.max(dw), &stored) && primaries(&stored) >= pw {
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
        Verdict::Wait
    }

    fn nodes<'a>(
        &'a self,
        pick: &'a dyn Fn(WriteState) -> bool,
    ) -> impl Iterator<Item = NodeId> + Clone + 'a {
        self.replicas.iter().filter(|(_, state)| pick(*state)).map(|(entry, _)| entry.node)
    }
}

#[cfg(test)]
mod tests;
