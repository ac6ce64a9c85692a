//! What is known of the other members when an object was not found: see `absence`.

use mapring_ring::{Partition, PreferenceEntry};

use crate::request::absence::{self, Around};
use crate::request::quorum::write::spread;
use crate::request::requests::Requests;

impl Requests {
    /// What is known of the members beside the answers of some primaries.
    pub(crate) fn around(&self, primaries: &[PreferenceEntry]) -> Around {
        let view = self.node.view();
        let of_these = |vnode: &Partition| primaries.iter().any(|entry| entry.vnode == *vnode);
        let mut holding = self.staleness.statuses.holders(of_these);
        if self.node.vnodes.held().vnodes().iter().any(of_these) {
            holding.insert(self.node.me);
        }
        let quiet = holding.is_empty() && self.staleness.all_told(&view);
        // What a primary holds for another it has itself.
        holding.retain(|node| !primaries.iter().any(|entry| entry.node == *node));
        let up = |node| view.is_up(node);
        let owners = self.peers.reports.owners(&view);
        let cut_off = 2 * owners.iter().filter(|node| up(**node)).count() <= owners.len();
        let (up, down) = absence::others(view.plan(), owners.len(), primaries, &holding, up);
        Around { spread: spread(&view, primaries), quiet, up, down, cut_off, holding }
    }
}
