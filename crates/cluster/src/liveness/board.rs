//! What follows from gossip and from calls: which members count as up. Pure: time is passed in.

use std::collections::{BTreeMap, BTreeSet};

use mapring_types::NodeId;
use tokio::time::Instant;

use super::{Heard, Rumours};
use crate::limits;

/// The judgement of one node about all others.
pub(crate) struct Board {
    me: NodeId,
    rumours: Rumours,
    /// Whether gossip has ever heard anybody: else it may not work at all.
    works: bool,
    /// Since when a member is known here.
    known: BTreeMap<NodeId, Instant>,
    /// Nodes that refused a connection, and when.
    refusals: BTreeMap<NodeId, Refusal>,
}

/// A call found a node out of reach.
struct Refusal {
    until: Instant,
    /// The newest heartbeat (of which life) at the end of the hold; a newer one proves life.
    mark: Option<(u64, u64)>,
}

impl Board {
    pub(crate) fn new(me: NodeId) -> Self {
        let (known, refusals) = Default::default();
        Self { me, rumours: Rumours::default(), works: false, known, refusals }
    }

    /// Takes what gossip has heard.
    pub(crate) fn hear(&mut self, rumours: Rumours) {
        self.works |= rumours.values().any(|heard| heard.alive);
        self.rumours = rumours;
    }

    /// Takes what a call found. Returns whether that may change who is up.
    pub(crate) fn report(&mut self, node: NodeId, reachable: bool, now: Instant) -> bool {
        if reachable {
            return self.refusals.remove(&node).is_some();
        }
        let refusal = Refusal { until: now + limits::REPORT_HOLD, mark: None };
        self.refusals.insert(node, refusal);
        true
    }

    /// The members that count as up now.
    pub(crate) fn up<'a>(
        &mut self,
        members: impl Iterator<Item = &'a NodeId>,
        now: Instant,
    ) -> BTreeSet<NodeId> {
        let members: BTreeSet<NodeId> = members.copied().collect();
        self.known.retain(|node, _| members.contains(node));
        self.refusals.retain(|node, _| members.contains(node));
        let up = members.into_iter().filter(|node| self.is_up(*node, now));
        up.collect::<Vec<_>>().into_iter().chain([self.me]).collect()
    }

    /// The members of which gossip tells nothing: it has never heard of them, or never heard anybody
    /// speak.
    pub(crate) fn unheard<'a>(&self, members: impl Iterator<Item = &'a NodeId>) -> Vec<NodeId> {
        let unheard = |node: &NodeId| !self.works || !self.rumours.contains_key(node);
        members.filter(|node| **node != self.me && unheard(node)).copied().collect()
    }

    fn is_up(&mut self, node: NodeId, now: Instant) -> bool {
        if node == self.me {
            return true;
        }
        let since = *self.known.entry(node).or_insert(now);
        let heard = self.rumours.get(&node);
        if heard.is_some_and(|heard| heard.facts.leaving) {
            return false;
        }
        if let Some(refusal) = self.refusals.get_mut(&node) {
            if refusal.holds(heard, now) {
                return false;
            }
            self.refusals.remove(&node);
        }
        match heard {
            Some(heard) if heard.alive => true,
            // Where nobody was ever heard, gossip itself may not work: only calls can tell. Members
            // that are not heard are asked for that reason, see `Board::unheard`.
            _ => now < since + limits::UNPROVEN || !self.works,
        }
    }
}

impl Refusal {
    /// Whether the node still counts as down. Heartbeats within the hold prove nothing: others may
    /// pass on what the node sent before its end.
    fn holds(&mut self, heard: Option<&Heard>, now: Instant) -> bool {
        if now < self.until {
            return true;
        }
        // Of a node that gossip has not heard, only an answer tells more.
        let Some(heard) = heard else { return true };
        let newest = (heard.started, heard.heartbeat);
        newest <= *self.mark.get_or_insert(newest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::liveness::Facts;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);
    const THIRD: NodeId = NodeId(3);

    /// What happens, at which millisecond.
    enum Step {
        Hear(&'static [(NodeId, bool, u64)]),
        Report(bool),
        Leave,
        /// Whether the other node counts as up.
        Up(bool),
    }
    use Step::{Hear, Leave, Report, Up};

    #[track_caller]
    fn check(steps: &[(u64, Step)]) {
        let start = Instant::now();
        let mut board = Board::new(ME);
        for (position, (after, step)) in steps.iter().enumerate() {
            let now = start + Duration::from_millis(*after);
            match step {
                Hear(nodes) => board.hear(rumours(nodes, false)),
                Leave => board.hear(rumours(&[(OTHER, true, 9)], true)),
                Report(reachable) => drop(board.report(OTHER, *reachable, now)),
                Up(expected) => {
                    let up = board.up([ME, OTHER, THIRD].iter(), now);
                    assert!(up.contains(&ME));
                    assert_eq!(up.contains(&OTHER), *expected, "step {position}");
                }
            }
        }
    }

    fn rumours(nodes: &[(NodeId, bool, u64)], leaving: bool) -> Rumours {
        let heard = nodes.iter().map(|&(node, alive, heartbeat)| {
            let facts = Facts { leaving, ..Facts::default() };
            (node, Heard { alive, heartbeat, started: 1, facts })
        });
        Arc::new(heard.collect())
    }

    #[test]
    fn gossip_decides_once_it_works() {
        check(&[
            (0, Up(true)),
            (4_000, Hear(&[(THIRD, true, 5)])),
            (4_900, Up(true)),
            (5_100, Up(false)),
            (5_200, Hear(&[(OTHER, true, 2), (THIRD, true, 6)])),
            (5_200, Up(true)),
            (9_000, Hear(&[(OTHER, false, 3), (THIRD, true, 7)])),
            (9_000, Up(false)),
            (9_500, Hear(&[(OTHER, false, 3), (THIRD, false, 7)])),
            (9_500, Up(false)),
        ]);
    }

    #[test]
    fn without_any_gossip_only_calls_tell() {
        check(&[
            (0, Up(true)),
            (60_000, Up(true)),
            (60_000, Report(false)),
            (60_900, Up(false)),
            (61_100, Up(false)),
            (90_000, Report(true)),
            (90_000, Up(true)),
        ]);
    }

    #[test]
    fn a_node_that_was_never_heard_and_refuses_is_down() {
        check(&[
            (0, Hear(&[(THIRD, true, 5)])),
            (0, Up(true)),
            (100, Report(false)),
            (1_500, Up(false)),
            (4_000, Hear(&[(OTHER, true, 1)])),
            (4_000, Up(false)),
            (4_200, Hear(&[(OTHER, true, 2)])),
            (4_200, Up(true)),
        ]);
    }

    #[test]
    fn a_refusal_holds_until_a_heartbeat_after_the_hold() {
        check(&[
            (0, Hear(&[(OTHER, true, 10)])),
            (0, Up(true)),
            (100, Report(false)),
            (100, Up(false)),
            (400, Hear(&[(OTHER, true, 12)])),
            (400, Up(false)),
            (1_200, Up(false)),
            (2_500, Up(false)),
            (2_600, Hear(&[(OTHER, true, 13)])),
            (2_600, Up(true)),
        ]);
    }

    #[test]
    fn an_answer_clears_a_refusal() {
        check(&[
            (0, Hear(&[(OTHER, true, 10)])),
            (100, Report(false)),
            (100, Up(false)),
            (200, Report(true)),
            (200, Up(true)),
        ]);
    }

    #[test]
    fn a_node_that_leaves_is_down_at_once() {
        check(&[(0, Hear(&[(OTHER, true, 10)])), (0, Up(true)), (10, Leave), (10, Up(false))]);
    }
}
