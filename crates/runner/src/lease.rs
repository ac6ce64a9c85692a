//! Who may work on its jobs: a node that a majority has heard of within moments.
//!
//! A node that owns jobs tells all members every second that it is there ([`Here`]); each notes when it
//! heard that ([`Heard`]). While a majority has noted what was said no longer ago than
//! [`limits::LEASE`], by the owner's own clock and counted from when it was said, it works; else it
//! stops before it does anything more. Another node takes a job over only when a majority of the
//! members has heard nothing of the owner for [`limits::SILENCE`], which is longer. Any two majorities
//! have a member in common: so two never work on one job at once, whatever wall clocks say, as long as
//! seconds are about as long everywhere.
//!
//! Who says that it has heard nothing promises to note nothing of the owner for as long again: one that
//! has just come back, and may not know yet what was decided meanwhile, holds no lease before it does. Nor is
//! one noted that knows of fewer take-overs than who is asked, and who is no member: its jobs are others'.
//! Who is asked may itself not know yet what was decided by its promise, for however long: before it notes
//! the owner again it has that decided ([`Change::TrustOwners`]), by which it knows all that was decided before, and
//! by which whoever asked it before, and stood still since, takes nothing over any more. So does a node
//! that was started anew: it does not know what it has promised.
//!
//! [`Change::TrustOwners`]: mapring_cluster::Change::TrustOwners

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_net::calls;
use mapring_types::NodeId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::limits;
use crate::wire::SERVICE;

calls!(SERVICE;
    Here = 2 => (),
    /// Whether nothing was heard for long enough.
    SilenceOf = 3 => bool,
);

/// A node that owns jobs says that it is there, and of how many take-overs it knows: one that has come
/// back and does not know all of them would work on what is another's.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Here(pub(crate) u64);

/// Asks whether nothing was heard of a node for [`limits::SILENCE`], so that its jobs may be taken over.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SilenceOf(pub(crate) NodeId);

/// The right of this node to work on its jobs.
#[derive(Debug, Default)]
pub(crate) struct Lease(Mutex<Option<Instant>>);

/// When this node last heard of others.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Before it nothing could be heard, …
    since: Instant,
    /// … and since then this was.
    last: Mutex<BTreeMap<NodeId, Instant>>,
    /// When it was last said of others that nothing was heard of them.
    given_up: Mutex<BTreeMap<NodeId, Instant>>,
    /// Whether what was said of others before the start counts no more.
    is_settled: AtomicBool,
}

/// Whether a node may go by having said that it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It may.
    Yes,
    /// Not while its jobs are about to be taken over.
    No,
    /// They may have been, without this node having heard of it.
    Unsure,
}

impl Lease {
    /// Whether this node may go on. Asked before anything is changed: by a clock that goes on while
    /// the process stands still.
    pub(crate) fn is_held(&self) -> bool {
        let ignored = mapring_types::failpoint!(LeaseIgnored);
        self.0.lock().is_some_and(|said| ignored || said.elapsed() < limits::LEASE)
    }

    /// A majority has noted what was said at a time.
    pub(crate) fn renew(&self, said: Instant) {
        let mut last = self.0.lock();
        *last = Some(last.map_or(said, |last| last.max(said)));
    }
}

impl Heard {
    pub(crate) fn new() -> Self {
        let (last, given_up, is_settled) = Default::default();
        Self { since: Instant::now(), last, given_up, is_settled }
    }

    /// A node has said that it is there. Returns whether it may go by that.
    pub(crate) fn note(&self, node: NodeId) -> Noted {
        self.last.lock().insert(node, Instant::now());
        match self.given_up.lock().get(&node) {
            None if self.is_settled.load(Ordering::Acquire) => Noted::Yes,
            None => Noted::Unsure,
            Some(given_up) if given_up.elapsed() < limits::SILENCE => Noted::No,
            Some(_) => Noted::Unsure,
        }
    }

    /// It is decided that this node trusts owners again, and so it knows all that was decided while a node was
    /// given up: from now on that may go by what it says, unless it was given up again.
    pub(crate) fn trust(&self, node: NodeId) {
        self.is_settled.store(true, Ordering::Release);
        let is_promised = |at: &Instant| at.elapsed() < limits::SILENCE;
        self.given_up.lock().retain(|known, at| *known != node || is_promised(at));
    }

    /// Whether nothing was heard of a node for long enough; if so, nothing it says counts for as long
    /// again.
    pub(crate) fn give_up(&self, node: NodeId) -> bool {
        let is_silent = self.silence(node) >= limits::SILENCE;
        if is_silent {
            self.given_up.lock().insert(node, Instant::now());
        }
        is_silent
    }

    /// For how long nothing was heard of a node, as far as this one could hear.
    pub(crate) fn silence(&self, node: NodeId) -> std::time::Duration {
        self.last.lock().get(&node).copied().unwrap_or(self.since).max(self.since).elapsed()
    }

    /// Forgets who is no member any more. What one has said who was just removed still counts: it may work
    /// by that.
    pub(crate) fn keep(&self, is_member: impl Fn(NodeId) -> bool) {
        let counts =
            |node: &NodeId, at: &mut Instant| is_member(*node) || at.elapsed() < limits::SILENCE;
        self.last.lock().retain(counts);
        self.given_up.lock().retain(counts);
    }
}

/// How many of so many members are a majority.
pub(crate) fn majority(members: usize) -> usize {
    members / 2 + 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_by_itself() {
        let lease = Lease::default();
        assert!(!lease.is_held());
        let said = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        lease.renew(said);
        assert!(lease.is_held());
        // What was said before does not make it shorter.
        lease.renew(said - Duration::from_secs(9));
        tokio::time::advance(limits::LEASE - Duration::from_millis(1_001)).await;
        assert!(lease.is_held());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!lease.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_has_just_started_has_heard_nothing_for_no_time() {
        let heard = Heard::new();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(heard.silence(NodeId(1)), Duration::from_secs(2));
        heard.note(NodeId(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(heard.silence(NodeId(1)), Duration::from_secs(1));
        // Who was removed may work for as long as others may have to wait for that.
        heard.keep(|_| false);
        assert_eq!(heard.silence(NodeId(1)), Duration::from_secs(1));
        tokio::time::advance(limits::SILENCE).await;
        heard.keep(|_| false);
        assert_eq!(heard.silence(NodeId(1)), Duration::from_secs(3) + limits::SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_node_says_that_was_given_up_does_not_count_for_a_while() {
        let heard = Heard::new();
        assert_eq!(heard.note(NodeId(1)), Noted::Unsure, "who knows what was promised before");
        heard.trust(NodeId(1));
        assert!(heard.note(NodeId(1)) == Noted::Yes && !heard.give_up(NodeId(1)));
        tokio::time::advance(limits::SILENCE).await;
        assert!(heard.give_up(NodeId(1)));
        assert_eq!(heard.note(NodeId(1)), Noted::No, "its jobs may be another's by now");
        assert!(!heard.give_up(NodeId(1)), "it is back");
        tokio::time::advance(limits::SILENCE - Duration::from_millis(1)).await;
        heard.trust(NodeId(1));
        assert_eq!(heard.note(NodeId(1)), Noted::No);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(heard.note(NodeId(1)), Noted::Unsure, "who knows what was decided");
        heard.trust(NodeId(1));
        assert_eq!(heard.note(NodeId(1)), Noted::Yes);
    }

    #[test]
    fn majorities() {
        for (members, most) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            assert_eq!(majority(members), most);
            assert!(2 * most > members);
        }
    }
}
