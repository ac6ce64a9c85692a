//! What nodes remember of each other's part in the metadata group, so that a data directory of an
//! earlier time is noticed. A pure state machine: [`super::guard`] keeps it in a file.
//!
//! A node that has forgotten votes or entries that it once acknowledged would let them be decided
//! again, differently. What it has forgotten others know: they remember, of every node, the highest
//! vote and the last *decided* entry that it is known to have had. A node that is told of more than
//! it has is behind its own past: it has a *floor*, below which it helps nobody to lead.

use std::collections::{BTreeMap, BTreeSet};

use openraft::CommittedLeaderId;
use openraft::raft::VoteRequest;
use serde::{Deserialize, Serialize};

use super::{LogId, Vote};
use crate::limits;

/// For whom a vote was given, and in which term.
pub(crate) type Ballot = CommittedLeaderId<u64>;

/// How far a node has come. Both only ever grow, unless the node forgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The highest vote that it has given.
    pub(crate) vote: Option<Ballot>,
    /// The last entry of its log.
    pub(crate) log: Option<LogId>,
}

impl Position {
    fn max(self, other: Self) -> Self {
        Self { vote: self.vote.max(other.vote), log: self.log.max(other.log) }
    }

    /// Whether nothing of `other` is beyond this.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.vote >= other.vote && self.log >= other.log
    }
}

/// How far a node once was that is behind that now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// What it had.
    pub(crate) position: Position,
    /// Who remembers it.
    pub(crate) by: BTreeSet<u64>,
}

/// What a node says of itself. It is true when it is said, and not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// When this life of the node began: within a life nothing is forgotten.
    pub(crate) life: u64,
    /// Where it is.
    pub(crate) position: Position,
    /// Where it was, when it is behind that.
    pub(crate) floor: Option<Floor>,
    /// Whether it leads, and a majority of the voters has answered it lately.
    pub(crate) leads: bool,
    /// Whether it is elected, or has heard a leader lately.
    pub(crate) led: bool,
    /// The last entry that it has applied.
    pub(crate) applied: u64,
    /// The hash over all that it has applied; `None` when its chain of hashes has not begun.
    pub(crate) hash: Option<String>,
}

/// What goes with every message of the metadata group, and every answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// What the sender says of itself.
    pub(crate) mine: Report,
    /// What it remembers of the receiver and of the voters.
    pub(crate) remembered: BTreeMap<u64, Position>,
    /// What the voters have said of themselves to a leader, or to a node that is asked.
    pub(crate) reports: BTreeMap<u64, Report>,
}

/// What one node remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// By node, this one not among them.
    nodes: BTreeMap<u64, Position>,
    /// The own floor.
    floor: Option<Floor>,
}

/// What came of being told of the own past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing that was not known.
    Nothing,
    /// There is a floor now that was not, or it is higher, or known by one more.
    Floor,
}

impl Memory {
    /// What is remembered of a node.
    pub(crate) fn of(&self, node: u64) -> Position {
        self.nodes.get(&node).copied().unwrap_or_default()
    }

    /// The own floor.
    pub(crate) fn floor(&self) -> Option<&Floor> {
        self.floor.as_ref()
    }

    /// What is remembered of those nodes.
    pub(crate) fn part(&self, nodes: impl IntoIterator<Item = u64>) -> BTreeMap<u64, Position> {
        nodes.into_iter().filter_map(|node| Some((node, *self.nodes.get(&node)?))).collect()
    }

    /// Takes that a node has been there. Returns whether that is new.
    pub(crate) fn learn(&mut self, node: u64, position: Position) -> bool {
        if position == Position::default() {
            return false;
        }
        if self.nodes.len() >= limits::MEMBERS && !self.nodes.contains_key(&node) {
            return false;
        }
        let known = self.nodes.entry(node).or_default();
        let joined = known.max(position);
        let is_new = joined != *known;
        *known = joined;
        is_new
    }

    /// Forgets all nodes but these. Returns whether there were others.
    pub(crate) fn keep(&mut self, nodes: &BTreeSet<u64>) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|node, _| nodes.contains(node));
        self.nodes.len() != before
    }

    /// Takes what `by` remembers of this node, which is at `own`.
    pub(crate) fn told(&mut self, by: u64, past: Position, own: Position) -> Told {
        if own.covers(past) {
            return Told::Nothing;
        }
        let before = self.floor.clone();
        let floor = self.floor.get_or_insert_default();
        floor.position = floor.position.max(past);
        if floor.by.len() < limits::VOTERS {
            floor.by.insert(by);
        }
        if before.as_ref() == Some(floor) { Told::Nothing } else { Told::Floor }
    }

    /// Takes that this node is at `own` now. Returns the floor that it has reached by that.
    pub(crate) fn reached(&mut self, own: Position) -> Option<Floor> {
        self.floor.take_if(|floor| own.covers(floor.position))
    }

    /// Why a candidate that has forgotten something does not get this node's vote. `same_life` is
    /// how far this life of the candidate has said to have come: it forgets nothing of that.
    pub(crate) fn distrust(
        &self,
        candidate: u64,
        request: &VoteRequest<u64>,
        same_life: Position,
    ) -> Option<Refusal> {
        let (past, ballot) = (self.of(candidate), *request.vote.leader_id());
        if request.last_log_id < past.log {
            return Some(Refusal::ShortLog);
        }
        // A candidate raises its term with each vote that it asks for.
        let voted = past.vote.filter(|vote| Some(*vote) > same_life.vote);
        voted.is_some_and(|vote| ballot.term <= vote.term).then_some(Refusal::OldTerm)
    }

    /// Why this node, which has forgotten something, does not vote for a candidate.
    pub(crate) fn abstention(&self, request: &VoteRequest<u64>) -> Option<Refusal> {
        let floor = self.floor.as_ref()?.position;
        if request.last_log_id < floor.log {
            return Some(Refusal::BelowFloor);
        }
        let term = request.vote.leader_id().term;
        floor.vote.is_some_and(|vote| term <= vote.term).then_some(Refusal::GivenVote)
    }

    /// The vote that forbids this node to follow a leader of that `vote`: one that it has given and
    /// forgotten.
    pub(crate) fn forbids(&self, vote: &Vote) -> Option<Ballot> {
        let given = self.floor.as_ref()?.position.vote?;
        (given > *vote.leader_id()).then_some(given)
    }
}

/// Why a candidate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It once had a longer log.
    ShortLog,
    /// It has voted in that term or a later one before.
    OldTerm,
    /// This node once had a longer log than the candidate has.
    BelowFloor,
    /// This node has voted in that term or a later one before.
    GivenVote,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The candidate, or who is remembered.
    const N: u64 = 2;

    fn log(term: u64, index: u64) -> Option<LogId> {
        Some(LogId::new(Ballot::new(term, 1), index))
    }

    fn at(vote: u64, term: u64, index: u64) -> Position {
        Position { vote: Some(Ballot::new(vote, 1)), log: log(term, index) }
    }

    #[track_caller]
    fn check(memory: &Memory, term: u64, last: Option<LogId>, expected: Option<Refusal>) {
        let request = VoteRequest::new(Vote::new(term, N), last);
        let refusal = memory.distrust(N, &request, Position::default());
        assert_eq!(refusal.or_else(|| memory.abstention(&request)), expected);
    }

    #[test]
    fn nothing_remembered_refuses_nothing() {
        check(&Memory::default(), 1, None, None);
    }

    #[test]
    fn a_candidate_below_what_is_remembered_of_it_is_refused() {
        let mut memory = Memory::default();
        assert!(memory.learn(N, at(5, 4, 60)));
        assert!(!memory.learn(N, at(5, 4, 59)), "memory never falls");
        check(&memory, 9, log(4, 59), Some(Refusal::ShortLog));
        check(&memory, 9, log(3, 90), Some(Refusal::ShortLog));
        check(&memory, 9, None, Some(Refusal::ShortLog));
        check(&memory, 5, log(4, 60), Some(Refusal::OldTerm));
        check(&memory, 6, log(4, 60), None);
        check(&memory, 6, log(5, 10), None);
    }

    #[test]
    fn a_vote_heard_of_in_this_life_is_no_old_one() {
        let mut memory = Memory::default();
        memory.learn(N, at(6, 4, 60));
        let request = VoteRequest::new(Vote::new(6, N), log(4, 60));
        assert_eq!(memory.distrust(N, &request, at(6, 4, 60)), None);
        assert_eq!(memory.distrust(N, &request, at(5, 4, 60)), Some(Refusal::OldTerm));
    }

    #[test]
    fn a_floor_stands_until_it_is_reached() {
        let mut memory = Memory::default();
        let own = at(3, 3, 40);
        assert_eq!(memory.told(7, at(3, 3, 40), own), Told::Nothing);
        assert_eq!(memory.told(7, at(3, 2, 90), own), Told::Nothing);
        assert_eq!(memory.told(7, at(5, 4, 60), own), Told::Floor);
        assert_eq!(memory.told(7, at(5, 4, 60), own), Told::Nothing, "it is logged once");
        assert_eq!(memory.told(8, at(4, 4, 70), own), Told::Floor);
        let floor = memory.floor().unwrap();
        assert_eq!((floor.position, floor.by.len()), (at(5, 4, 70), 2));

        check(&memory, 9, log(4, 69), Some(Refusal::BelowFloor));
        check(&memory, 5, log(4, 70), Some(Refusal::GivenVote));
        check(&memory, 6, log(4, 70), None);
        assert_eq!(memory.forbids(&Vote::new_committed(4, N)), Some(Ballot::new(5, 1)));
        assert_eq!(memory.forbids(&Vote::new_committed(5, 1)), None);

        assert_eq!(memory.reached(at(5, 4, 69)), None);
        assert_eq!(memory.reached(at(4, 4, 70)), None);
        assert!(memory.reached(at(5, 5, 3)).is_some(), "a later term outranks any index");
        assert_eq!(memory.floor(), None);
        check(&memory, 2, None, None);
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let mut memory = Memory::default();
        memory.learn(N, at(1, 1, 1));
        memory.learn(3, at(1, 1, 1));
        assert!(memory.keep(&[N].into()));
        assert!(!memory.keep(&[N].into()));
        assert_eq!(memory.of(3), Position::default());
    }
}
