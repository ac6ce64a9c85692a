//! Copies of disks that are put back: since when what was written may be nowhere any more.
//!
//! What one node has forgotten the others know, and it must be seen as if nothing had happened. Where
//! another node is at fault at the same time, or before the first has been filled again, a write that
//! these two alone had acknowledged may be gone, for a while or for good: then nobody is held to what was
//! acknowledged since the copy.

use std::collections::BTreeMap;

use mapring_cluster::ClusterState;
use mapring_types::NodeId;

use crate::history::Moment;

/// See the module.
#[derive(Default)]
pub(crate) struct Copies {
    made: BTreeMap<NodeId, Moment>,
    back: Vec<Back>,
    /// When one was put back last.
    last: Option<Moment>,
}

/// A node that has gone back.
struct Back {
    node: NodeId,
    /// When the copy was made.
    since: Moment,
    /// The last run of it that the metadata knew then to have gone back; `None` for a node that has taken
    /// the place of another, and begins with nothing.
    known: Option<u64>,
}

impl Copies {
    pub(crate) fn make(&mut self, node: NodeId, now: Moment) {
        self.made.insert(node, now);
    }

    /// The copy of a node is put back. Returns when it was made.
    pub(crate) fn put_back(&mut self, node: NodeId, state: &ClusterState, now: Moment) -> Moment {
        self.last = Some(now);
        let since = self.made.remove(&node).unwrap_or_default();
        let known = state.went_back.get(&node).copied().unwrap_or_default();
        self.back.push(Back { node, since, known: Some(known) });
        since
    }

    /// A node begins with nothing, in the place of one that is gone for good.
    pub(crate) fn replace(&mut self, node: NodeId, now: Moment) {
        self.last = Some(now);
        self.back.push(Back { node, since: 0, known: None });
    }

    /// Whether one was put back since then. Its node answers for nothing before it has been filled, and
    /// with two replicas nobody else can say what does not exist: that takes longer than a fault alone.
    pub(crate) fn any_since(&self, from: Moment) -> bool {
        self.last.is_some_and(|last| last >= from)
    }

    /// Since when what was written may be lacking at nodes that have not been filled again.
    pub(crate) fn unfilled(&mut self, state: &ClusterState) -> Option<Moment> {
        let is_filled = |back: &Back| {
            let told = back.known.is_none_or(|known| {
                state.went_back.get(&back.node).is_some_and(|run| *run > known)
            });
            told && state.members.get(&back.node).is_some_and(|member| !member.incomplete)
        };
        self.back.retain(|back| !is_filled(back));
        self.back.iter().map(|back| back.since).min()
    }
}
