//! What one node knows of the life of the others, from datagrams. Pure: time is passed in, and what is
//! to be sent is returned.
//!
//! Each node counts its own heartbeats and tells in each datagram of all others that it has heard
//! lately, so that news goes round by way of others, too. Who has no new heartbeat for
//! [`limits::SILENT`] counts as dead.
//!
//! A datagram counts only if its sender knows of the present life of the receiver: what was recorded
//! in an earlier one, or sent by somebody who does not know this one yet, is answered, by which the
//! sender learns of it, and else forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use mapring_types::{NodeId, Secrets};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::seal::{Head, Keys, OVERHEAD, Refusal};
use super::window::Window;
use super::{Facts, Heard};
use crate::limits;

/// Where heartbeats begin: above all that were counted by gossip of former programs, which the first
/// ones here follow.
const FIRST_BEAT: u64 = 1 << 32;

/// What a datagram says of one node. One after the other, in postcard's form, they are its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    pub(super) life: u64,
    pub(super) beat: u64,
    pub(super) facts: Facts,
}

/// What is known of another node.
struct Other {
    life: u64,
    beat: u64,
    facts: Facts,
    /// When its heartbeat grew last.
    since: Instant,
    /// Where it sends from.
    at: Option<SocketAddr>,
}

impl Other {
    fn is_alive(&self, now: Instant) -> bool {
        now < self.since + limits::SILENT
    }
}

/// A datagram to be sent.
pub(super) type Message = (SocketAddr, Vec<u8>);

/// One node's knowledge of all others.
pub(super) struct Detector {
    me: NodeId,
    keys: Keys,
    life: u64,
    number: u64,
    beat: u64,
    facts: Facts,
    /// Who may speak; nobody is known before this node is a member itself.
    members: BTreeSet<NodeId>,
    others: BTreeMap<NodeId, Other>,
    windows: BTreeMap<NodeId, Window>,
    /// When the last round was.
    turned: Option<Instant>,
}

impl Detector {
    pub(super) fn new(me: NodeId, life: u64, secrets: &Secrets, cluster_name: &str) -> Self {
        Self {
            me,
            keys: Keys::new(secrets, cluster_name),
            life,
            number: 0,
            beat: FIRST_BEAT,
            facts: Facts::default(),
            members: BTreeSet::new(),
            others: BTreeMap::new(),
            windows: BTreeMap::new(),
            turned: None,
        }
    }

    /// Takes who the members are, and forgets all others.
    pub(super) fn know(&mut self, members: BTreeSet<NodeId>) {
        self.members = members;
        if !self.members.is_empty() {
            self.others.retain(|node, _| self.members.contains(node));
            self.windows.retain(|node, _| self.members.contains(node));
        }
    }

    /// What to tell of this node from now on.
    pub(super) fn tell(&mut self, facts: Facts) {
        self.facts = facts;
    }

    /// Takes whom gossip of another kind has heard as if it were now. Nobody has signed what life they are
    /// in: whatever is sealed is newer.
    pub(super) fn adopt(&mut self, heard: &BTreeMap<NodeId, Heard>, now: Instant) {
        for (node, heard) in heard.iter().filter(|(_, heard)| heard.alive) {
            let facts = heard.facts.clone();
            if self.may_speak(*node) && !has_long_text(&facts) {
                let first = Other { life: 0, beat: 0, facts, since: now, at: None };
                self.others.entry(*node).or_insert(first).since = now;
            }
        }
        // Rounds of before were not of this kind.
        self.turned = None;
    }

    /// Takes a datagram. Returns the answer to it, if there is one, and why it is refused, if it is.
    pub(super) fn receive(
        &mut self,
        frame: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> (Option<Vec<u8>>, Option<Refusal>) {
        match self.take(frame, from, now) {
            Ok(answer) => (answer, None),
            Err(Refusal::Stale) => {
                // A clock that was set back makes a new life look older. If it is one, it hears of it,
                // and makes itself newer.
                let head = Head::read(frame).ok().filter(|_| self.is_member());
                let answer = head.map(|head| self.answer(head.from, self.life_of(head.from)));
                (answer, Some(Refusal::Stale))
            }
            Err(refusal) => (None, Some(refusal)),
        }
    }

    fn take(
        &mut self,
        frame: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let head = Head::read(frame)?;
        if !self.may_speak(head.from) {
            return Err(Refusal::Unknown);
        }
        let body = self.keys.verify(frame)?;
        self.windows.entry(head.from).or_default().take(head.life, head.number)?;
        let is_for_me = head.to == self.me;
        if is_for_me && head.for_life > self.life {
            self.life = head.for_life.saturating_add(1);
        }
        // Who is no member yet says nothing, but may listen whether the cluster is there.
        if !(is_for_me && head.for_life == self.life) && self.is_member() {
            return Ok(Some(self.answer(head.from, head.life)));
        }
        let entries = read(body)?;
        let speaks_of_itself = |entry: &Entry| entry.node == head.from && entry.life == head.life;
        if !entries.first().is_some_and(speaks_of_itself) {
            return Err(Refusal::Content);
        }
        for entry in entries {
            self.hear(entry, now);
        }
        if let Some(other) = self.others.get_mut(&head.from) {
            other.at = Some(from);
        }
        Ok(None)
    }

    /// Another heartbeat, and to whom it goes.
    pub(super) fn round(&mut self, now: Instant) -> Vec<Message> {
        self.beat = self.beat.saturating_add(1);
        let since = self.turned.replace(now).map_or(Duration::ZERO, |last| now - last);
        // A node that stood still itself has heard nobody meanwhile.
        let late = since.saturating_sub(2 * limits::GOSSIP);
        for other in self.others.values_mut() {
            other.since = (other.since + late).min(now);
        }
        if !self.is_member() {
            return Vec::new();
        }
        let body = self.body(now);
        let targets = self.targets(now).into_iter();
        targets.map(|(at, node)| (at, self.seal(node, self.life_of(node), &body))).collect()
    }

    /// Whom to speak to in this round: some who live, in turn, and one who does not, or may again.
    fn targets(&self, now: Instant) -> Vec<(SocketAddr, NodeId)> {
        let (mut live, mut silent) = (Vec::new(), Vec::new());
        // Beginning behind this node: else all would speak to the same ones at the same time.
        let (before, after): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|(node, _)| **node < self.me);
        for (node, other) in after.into_iter().chain(before) {
            let Some(at) = other.at else { continue };
            let group = if other.is_alive(now) { &mut live } else { &mut silent };
            group.push((at, *node));
        }
        let turn = self.turn();
        let count = live.len().min(limits::GOSSIP_FANOUT);
        let chosen = in_turn(&live, turn.wrapping_mul(limits::GOSSIP_FANOUT)).take(count);
        chosen.chain(in_turn(&silent, turn).take(1)).copied().collect()
    }

    /// Of the addresses at which members should be, those from which none was heard.
    pub(super) fn unmet(&self, seeds: &[String], now: Instant) -> Vec<String> {
        let met = |other: &&Other| other.at.is_some() && other.is_alive(now);
        let met: BTreeSet<&str> = self
            .others
            .values()
            .filter(met)
            .map(|other| other.facts.cluster_address.as_str())
            .collect();
        let own = self.facts.cluster_address.as_str();
        let unmet = seeds.iter().filter(|seed| *seed != own && !met.contains(seed.as_str()));
        unmet.cloned().collect()
    }

    /// What to say where it is not known who listens.
    pub(super) fn introduction(&mut self, now: Instant) -> Option<Vec<u8>> {
        let is_member = self.is_member();
        is_member.then(|| {
            let body = self.body(now);
            self.seal(NodeId(0), 0, &body)
        })
    }

    /// What is known of all others.
    pub(super) fn heard(&self, now: Instant) -> BTreeMap<NodeId, Heard> {
        let heard = self.others.iter().map(|(node, other)| {
            let heard = Heard {
                alive: other.is_alive(now),
                heartbeat: other.beat,
                started: other.life,
                facts: other.facts.clone(),
            };
            (*node, heard)
        });
        heard.collect()
    }

    /// How many rounds there were.
    fn turn(&self) -> usize {
        usize::try_from(self.beat.saturating_sub(FIRST_BEAT)).unwrap_or(0)
    }

    fn is_member(&self) -> bool {
        self.members.contains(&self.me)
    }

    /// Whether `node` is a member; as long as none is known, whoever has the secret may be one.
    fn may_speak(&self, node: NodeId) -> bool {
        if node == self.me {
            return false;
        }
        if !self.members.is_empty() {
            return self.members.contains(&node);
        }
        let known = self.others.contains_key(&node) || self.windows.contains_key(&node);
        known || self.others.len().max(self.windows.len()) < limits::HEARD_BEFORE
    }

    fn hear(&mut self, entry: Entry, now: Instant) {
        if !self.may_speak(entry.node) {
            return;
        }
        let Entry { node, life, beat, facts } = entry;
        let known = self.others.get(&node);
        if known.is_none_or(|known| (life, beat) > (known.life, known.beat)) {
            let at = known.filter(|known| known.life == life).and_then(|known| known.at);
            self.others.insert(node, Other { life, beat, facts, since: now, at });
        }
    }

    /// The latest life of a node that is known; 0 for none.
    fn life_of(&self, node: NodeId) -> u64 {
        let heard = self.others.get(&node).map_or(0, |other| other.life);
        self.windows.get(&node).map_or(0, Window::life).max(heard)
    }

    fn seal(&mut self, to: NodeId, for_life: u64, body: &[u8]) -> Vec<u8> {
        self.number = self.number.saturating_add(1);
        let (from, life, number) = (self.me, self.life, self.number);
        let head = Head { from, life, number, to, for_life };
        self.keys.seal(head, body)
    }

    /// What is said to one that does not know this life, or not its own: who this node is, and no more,
    /// so that nobody has a node send much more than he sends himself.
    fn answer(&mut self, to: NodeId, for_life: u64) -> Vec<u8> {
        let own = write(&self.own());
        self.seal(to, for_life, &own)
    }

    fn own(&self) -> Entry {
        let (node, life, beat, facts) = (self.me, self.life, self.beat, self.facts.clone());
        Entry { node, life, beat, facts }
    }

    /// This node, and as many of those that it has heard lately as there is room for, in turn.
    fn body(&self, now: Instant) -> Vec<u8> {
        let mut body = write(&self.own());
        let live = self.others.iter().filter(|(_, other)| other.is_alive(now));
        let live: Vec<_> = live.collect();
        for (node, other) in in_turn(&live, self.turn().wrapping_mul(limits::GOSSIP_FANOUT)) {
            let Other { life, beat, facts, .. } = other;
            let (life, beat, facts) = (*life, *beat, facts.clone());
            let entry = write(&Entry { node: **node, life, beat, facts });
            if OVERHEAD + body.len() + entry.len() > limits::DATAGRAM_BYTES {
                break;
            }
            body.extend(entry);
        }
        body
    }
}

/// All items, beginning somewhere.
fn in_turn<T>(items: &[T], start: usize) -> impl Iterator<Item = &T> {
    let (before, after) = items.split_at(start.checked_rem(items.len()).unwrap_or(0));
    after.iter().chain(before)
}

pub(super) fn write(entry: &Entry) -> Vec<u8> {
    // Numbers and texts can always be written.
    postcard::to_allocvec(entry).unwrap_or_default()
}

fn has_long_text(facts: &Facts) -> bool {
    let texts = [&facts.cluster_address, &facts.http_address];
    texts.iter().any(|text| text.len() > limits::ADDRESS_BYTES)
}

/// Reads a body that a member has signed.
fn read(mut body: &[u8]) -> Result<Vec<Entry>, Refusal> {
    let mut entries = Vec::new();
    while !body.is_empty() {
        let read = postcard::take_from_bytes::<Entry>(body);
        let (entry, rest) = read.map_err(|_| Refusal::Content)?;
        if has_long_text(&entry.facts) || entries.len() >= limits::MEMBERS {
            return Err(Refusal::Content);
        }
        entries.push(entry);
        body = rest;
    }
    Ok(entries)
}
