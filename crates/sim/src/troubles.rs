//! Which nodes were in trouble when: to know whether an operation that took long had a reason.

use std::collections::BTreeSet;

use mapring_types::NodeId;

use crate::history::Moment;
use crate::limits;

/// All faults so far.
#[derive(Default)]
pub(crate) struct Troubles(Vec<Trouble>);

struct Trouble {
    /// The nodes that are crashed, paused or cut off; all of them when anybody may be concerned.
    nodes: BTreeSet<NodeId>,
    /// When it was over, if it is.
    to: Option<Moment>,
}

impl Troubles {
    /// Some nodes are in trouble from now on.
    pub(crate) fn begin(&mut self, nodes: BTreeSet<NodeId>) {
        self.0.push(Trouble { nodes, to: None });
    }

    /// The trouble that began last with these nodes is over.
    pub(crate) fn end(&mut self, nodes: &BTreeSet<NodeId>, now: Moment) {
        let open = self.0.iter_mut().rev().find(|t| t.to.is_none() && t.nodes == *nodes);
        if let Some(trouble) = open {
            trouble.to = Some(now);
        }
    }

    /// Whether since then, and for a time before, nobody but `node` was in trouble.
    pub(crate) fn alone(&self, node: NodeId, now: Moment) -> bool {
        let from = now.saturating_sub(limits::AFTERMATH_MICROS);
        let mut recent = self.0.iter().filter(|trouble| trouble.to.is_none_or(|to| to > from));
        recent.all(|trouble| trouble.nodes.len() == 1 && trouble.nodes.contains(&node))
    }

    /// Whether anything was wrong since then.
    pub(crate) fn any_since(&self, from: Moment) -> bool {
        self.0.iter().any(|trouble| trouble.to.is_none_or(|to| to > from))
    }

    /// Whether since then, and for a time before, at most one fault was there that concerned at most
    /// one node, and that another than `asked`.
    pub(crate) fn others_alone(&self, asked: NodeId, from: Moment) -> bool {
        let from = from.saturating_sub(limits::AFTERMATH_MICROS);
        let mut recent = self.0.iter().filter(|trouble| trouble.to.is_none_or(|to| to > from));
        match (recent.next(), recent.next()) {
            (None, _) => true,
            (Some(only), None) => only.nodes.len() == 1 && !only.nodes.contains(&asked),
            (Some(_), Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_node_in_trouble_is_no_excuse() {
        let (one, two) = (NodeId(1), NodeId(2));
        let mut troubles = Troubles::default();
        assert!(troubles.others_alone(one, 5) && !troubles.any_since(0));
        troubles.begin([two].into());
        assert!(troubles.others_alone(one, 5) && !troubles.others_alone(two, 5));
        troubles.end(&[two].into(), 20);
        assert!(troubles.any_since(19) && !troubles.any_since(20));
        assert!(!troubles.others_alone(two, 20 + limits::AFTERMATH_MICROS - 1));
        assert!(troubles.others_alone(two, 20 + limits::AFTERMATH_MICROS));
        troubles.begin([one].into());
        assert!(!troubles.others_alone(NodeId(3), 40));
        assert!(!troubles.others_alone(NodeId(3), 40));
    }
}
