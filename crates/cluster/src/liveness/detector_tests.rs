//! Nodes whose datagrams the test carries: delivered, lost, recorded, forged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use mapring_types::{NodeId, Secrets};
use tokio::time::Instant;

use super::Facts;
use super::detector::{Detector, Entry, write};
use super::seal::{Head, Keys, Refusal};
use crate::limits;

const CLUSTER: &str = "c";

fn secrets() -> Secrets {
    Secrets::new("secret", Vec::new())
}

fn at(node: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1_000 + u16::try_from(node).unwrap()))
}

/// The first life of a node.
fn life(node: u64) -> u64 {
    100 + node
}

fn facts(node: u64) -> Facts {
    Facts { cluster_address: at(node).to_string(), load: node, ..Facts::default() }
}

fn members(count: u64) -> BTreeSet<NodeId> {
    (1..=count).map(NodeId).collect()
}

/// A node among so many members.
fn node(me: u64, life: u64, count: u64) -> Detector {
    let mut node = Detector::new(NodeId(me), life, &secrets(), CLUSTER);
    node.know(members(count));
    node.tell(facts(me));
    node
}

/// Nodes that hear each other, those that are here.
struct Group {
    here: BTreeMap<u64, Detector>,
    now: Instant,
}

impl Group {
    /// Each has spoken to the first.
    fn of(count: u64) -> Self {
        let here = (1..=count).map(|me| (me, node(me, life(me), count))).collect();
        let mut group = Self { here, now: Instant::now() };
        for me in 2..=count {
            group.introduce(me, 1);
        }
        group
    }

    fn introduce(&mut self, from: u64, to: u64) {
        let frame = self.here.get_mut(&from).unwrap().introduction(self.now).unwrap();
        self.deliver(from, to, &frame);
    }

    /// Delivers a datagram, its answer, and the answer to that.
    fn deliver(&mut self, from: u64, to: u64, frame: &[u8]) {
        let Some(receiver) = self.here.get_mut(&to) else { return };
        let (answer, _) = receiver.receive(frame, at(from), self.now);
        if let Some(answer) = answer {
            self.deliver(to, from, &answer);
        }
    }

    fn round(&mut self) {
        self.now += limits::GOSSIP;
        let nodes: Vec<u64> = self.here.keys().copied().collect();
        for me in nodes {
            let messages = self.here.get_mut(&me).unwrap().round(self.now);
            for (address, frame) in messages {
                self.deliver(me, u64::from(address.port()) - 1_000, &frame);
            }
        }
    }

    /// Whom `me` takes to live.
    fn live(&self, me: u64) -> Vec<u64> {
        let heard = self.here[&me].heard(self.now);
        heard.iter().filter(|(_, heard)| heard.alive).map(|(node, _)| node.0).collect()
    }

    #[track_caller]
    fn check(&self, live: &[u64]) {
        for me in self.here.keys() {
            let others: Vec<u64> = live.iter().copied().filter(|node| node != me).collect();
            assert_eq!(self.live(*me), others, "as {me} has it");
        }
    }
}

/// How many rounds a silent node lives on for the others.
fn silent_rounds() -> u128 {
    limits::SILENT.as_millis() / limits::GOSSIP.as_millis()
}

#[test]
fn all_hear_of_all_and_of_the_end_of_one() {
    let all: Vec<u64> = (1..=7).collect();
    let mut group = Group::of(7);
    for _ in 0..10 {
        group.round();
    }
    group.check(&all);
    let heard = group.here[&2].heard(group.now);
    assert!((3..=7).all(|other| heard[&NodeId(other)].facts == facts(other)));
    for _ in 0..3 * silent_rounds() {
        group.round();
        group.check(&all);
    }
    let gone = group.here.remove(&4);
    assert!(gone.is_some());
    for _ in 0..silent_rounds() - 2 {
        group.round();
        assert!(group.live(1).contains(&4));
    }
    // Its last heartbeats go round for some rounds.
    for _ in 0..10 {
        group.round();
    }
    group.check(&[1, 2, 3, 5, 6, 7]);
    // It comes back, where it was, in a later life.
    group.here.insert(4, node(4, 1_000, 7));
    for _ in 0..20 {
        group.round();
    }
    group.check(&all);
    assert_eq!(group.here[&1].heard(group.now)[&NodeId(4)].started, 1_000);
}

#[test]
fn a_node_whose_clock_was_set_back_is_heard() {
    let mut group = Group::of(3);
    for _ in 0..10 {
        group.round();
    }
    group.here.insert(2, node(2, 5, 3));
    for _ in 0..20 {
        group.round();
    }
    group.check(&[1, 2, 3]);
    assert!(group.here[&1].heard(group.now)[&NodeId(2)].started > life(2));
}

#[test]
fn who_stood_still_does_not_take_the_others_for_dead() {
    let mut group = Group::of(3);
    for _ in 0..10 {
        group.round();
    }
    group.now += 10 * limits::SILENT;
    group.round();
    group.check(&[1, 2, 3]);
}

#[test]
fn what_was_recorded_in_an_earlier_life_tells_nothing() {
    let mut group = Group::of(2);
    for _ in 0..10 {
        group.round();
    }
    group.now += limits::GOSSIP;
    let recorded = group.here.get_mut(&1).unwrap().round(group.now);
    let (address, frame) = recorded.first().unwrap();
    assert_eq!(*address, at(2));
    let mut again = node(2, 1_000, 2);
    let (answer, refusal) = again.receive(frame, at(1), group.now);
    assert!(answer.is_some(), "it says who it is now");
    assert_eq!(refusal, None);
    assert!(again.heard(group.now).is_empty());
    // And what was sent to one member tells another nothing.
    let mut third = Detector::new(NodeId(3), life(2), &secrets(), CLUSTER);
    third.know(members(3));
    assert!(third.receive(frame, at(1), group.now).0.is_some());
    assert!(third.heard(group.now).is_empty());
}

/// Bodies, and who seals them, to node 1.
struct Forger {
    keys: Keys,
    head: Head,
}

impl Forger {
    fn new(secret: &str, cluster: &str) -> Self {
        let head =
            Head { from: NodeId(2), life: life(2), number: 1, to: NodeId(1), for_life: life(1) };
        Self { keys: Keys::new(&Secrets::new(secret, Vec::new()), cluster), head }
    }

    fn entry(node: u64) -> Entry {
        Entry { node: NodeId(node), life: life(node), beat: 1, facts: facts(node) }
    }

    fn seal(&self, entries: &[Entry]) -> Vec<u8> {
        self.keys.seal(self.head, &entries.iter().flat_map(write).collect::<Vec<u8>>())
    }
}

#[test]
fn what_is_forged_is_refused_and_changes_nothing() {
    let own = || [Forger::entry(2), Forger::entry(3)];
    let member = || Forger::new("secret", CLUSTER);
    let of = |change: fn(&mut Head)| {
        let mut forger = member();
        change(&mut forger.head);
        forger
    };
    let long = || {
        let mut entry = Forger::entry(2);
        entry.facts.cluster_address = "x".repeat(limits::ADDRESS_BYTES + 1);
        entry
    };
    let many = || {
        let small =
            |node: u64| Entry { node: NodeId(node), life: 1, beat: 1, facts: Facts::default() };
        let mut entries = vec![Forger::entry(2)];
        entries.extend((0..limits::MEMBERS as u64).map(|node| small(node % 100)));
        entries
    };
    let large = vec![1; limits::DATAGRAM_BYTES + 1];
    let rows: [(&str, Vec<u8>, Refusal); 14] = [
        ("nothing", Vec::new(), Refusal::Size),
        ("a byte", vec![1], Refusal::Size),
        ("too large", large, Refusal::Size),
        (
            "noise",
            b"some noise, as long as a head and a tag together are, and more than that".repeat(2),
            Refusal::Version,
        ),
        ("another secret", Forger::new("guess", CLUSTER).seal(&own()), Refusal::Forged),
        ("no secret", Forger::new("", CLUSTER).seal(&own()), Refusal::Forged),
        ("another cluster", Forger::new("secret", "d").seal(&own()), Refusal::Forged),
        ("no member", of(|head| head.from = NodeId(9)).seal(&own()), Refusal::Unknown),
        ("the node itself", of(|head| head.from = NodeId(1)).seal(&own()), Refusal::Unknown),
        ("an empty body", member().seal(&[]), Refusal::Content),
        ("another first", member().seal(&[Forger::entry(3), Forger::entry(2)]), Refusal::Content),
        ("a long address", member().seal(&[long()]), Refusal::Content),
        ("too many", member().seal(&many()), Refusal::Content),
        ("no entries", member().keys.seal(member().head, &[0xff; 40]), Refusal::Content),
    ];
    let now = Instant::now();
    for (name, frame, expected) in rows {
        let mut target = node(1, life(1), 3);
        assert_eq!(target.receive(&frame, at(2), now), (None, Some(expected)), "{name}");
        assert!(target.heard(now).is_empty(), "{name}");
        // What is right is taken all the same.
        let right = of(|head| head.number = 2).seal(&own());
        assert_eq!(target.receive(&right, at(2), now), (None, None), "{name}");
        assert_eq!(target.heard(now).len(), 2, "{name}");
    }
}

#[test]
fn nothing_is_taken_twice_nor_of_an_earlier_life() {
    let (mut target, now) = (node(1, life(1), 3), Instant::now());
    let mut forger = Forger::new("secret", CLUSTER);
    let own = [Forger::entry(2)];
    let first = forger.seal(&own);
    assert_eq!(target.receive(&first, at(2), now), (None, None));
    assert_eq!(target.receive(&first, at(2), now), (None, Some(Refusal::Replayed)));
    forger.head.life -= 1;
    forger.head.number = 7;
    let (answer, refusal) = target.receive(&forger.seal(&own), at(2), now);
    assert_eq!(refusal, Some(Refusal::Stale));
    let head = Head::read(&answer.unwrap()).unwrap();
    assert_eq!((head.to, head.for_life), (NodeId(2), life(2)));
}

#[test]
fn who_is_no_member_is_not_told_of() {
    let (mut target, now) = (node(1, life(1), 3), Instant::now());
    let entries: Vec<Entry> = (2..90).map(Forger::entry).collect();
    let frame = Forger::new("secret", CLUSTER).seal(&entries);
    assert_eq!(target.receive(&frame, at(2), now), (None, None));
    let heard: Vec<u64> = target.heard(now).into_keys().map(|node| node.0).collect();
    assert_eq!(heard, [2, 3]);
    // Nor one that is a member no more.
    target.know(members(2));
    assert_eq!(target.heard(now).len(), 1);
}

#[test]
fn a_node_that_knows_no_member_listens_and_is_silent() {
    let (mut target, now) =
        (Detector::new(NodeId(1), life(1), &secrets(), CLUSTER), Instant::now());
    assert!(target.introduction(now).is_none());
    let mut forger = Forger::new("secret", CLUSTER);
    // Whoever was here before had another name.
    forger.head.to = NodeId(7);
    for from in 2..200 {
        (forger.head.from, forger.head.life) = (NodeId(from), life(from));
        let (answer, _) = target.receive(&forger.seal(&[Forger::entry(from)]), at(from), now);
        assert_eq!(answer, None);
    }
    assert_eq!(target.heard(now).len(), limits::HEARD_BEFORE);
    assert!(target.round(now).is_empty());
}

#[test]
fn of_many_members_each_is_told_in_turn() {
    let count = limits::MEMBERS as u64;
    let mut target = node(1, life(1), count);
    let now = Instant::now();
    for from in 2..=count {
        let mut forger = Forger::new("secret", CLUSTER);
        (forger.head.from, forger.head.life) = (NodeId(from), life(from));
        target.receive(&forger.seal(&[Forger::entry(from)]), at(from), now);
    }
    assert_eq!(target.heard(now).len() as u64, count - 1);
    let (mut other, mut turn) = (node(2, life(2), count), now);
    let mut forger = Forger::new("secret", CLUSTER);
    (forger.head.from, forger.head.to, forger.head.for_life) = (NodeId(1), NodeId(2), life(2));
    forger.head.life = life(1);
    for round in 0..count {
        turn += limits::GOSSIP / 1_000;
        target.round(turn);
        let frame = target.introduction(turn).unwrap();
        assert!(frame.len() <= limits::DATAGRAM_BYTES, "{} bytes", frame.len());
        // The same body, for a node that is known.
        let body = forger.keys.verify(&frame).unwrap();
        forger.head.number = round + 1;
        let sealed = forger.keys.seal(forger.head, body);
        assert_eq!(other.receive(&sealed, at(1), turn), (None, None));
        if other.heard(turn).len() as u64 == count - 1 {
            return;
        }
    }
    panic!("only {} are told of", other.heard(turn).len());
}
