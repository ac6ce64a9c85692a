//! Which nodes were at fault when: to know whether an operation that took long had a reason.

use std::collections::BTreeSet;

use mapring_types::NodeId;

use crate::history::Moment;
use crate::limits;

/// All faults so far.
#[derive(Default)]
pub(crate) struct FaultWindows(Vec<FaultWindow>);

struct FaultWindow {
    /// The nodes that are crashed, paused or cut off; all of them when anybody may be concerned.
    nodes: BTreeSet<NodeId>,
    /// When it was over, if it is.
    to: Option<Moment>,
}

impl FaultWindows {
    /// Some nodes are at fault from now on.
    pub(crate) fn begin(&mut self, nodes: BTreeSet<NodeId>) {
        self.0.push(FaultWindow { nodes, to: None });
    }

    /// The fault that began last with these nodes is over.
    pub(crate) fn end(&mut self, nodes: &BTreeSet<NodeId>, now: Moment) {
        let open = self.0.iter_mut().rev().find(|t| t.to.is_none() && t.nodes == *nodes);
        if let Some(window) = open {
            window.to = Some(now);
        }
    }

    /// Whether since then, and for a time before, nobody but `node` was at fault.
    pub(crate) fn alone(&self, node: NodeId, now: Moment) -> bool {
        let from = now.saturating_sub(limits::AFTERMATH_MICROS);
        let mut recent = self.0.iter().filter(|window| window.to.is_none_or(|to| to > from));
        recent.all(|window| window.nodes.len() == 1 && window.nodes.contains(&node))
    }

    /// Whether anything was wrong since then.
    pub(crate) fn any_since(&self, from: Moment) -> bool {
        self.0.iter().any(|window| window.to.is_none_or(|to| to > from))
    }

    /// Whether since then, and for a time before, at most one fault was there that concerned at most
    /// one node, and that another than `asked`.
    pub(crate) fn others_alone(&self, asked: NodeId, from: Moment) -> bool {
        let from = from.saturating_sub(limits::AFTERMATH_MICROS);
        let mut recent = self.0.iter().filter(|window| window.to.is_none_or(|to| to > from));
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
        let mut fault_windows = FaultWindows::default();
        assert!(fault_windows.others_alone(one, 5) && !fault_windows.any_since(0));
        fault_windows.begin([two].into());
        assert!(fault_windows.others_alone(one, 5) && !fault_windows.others_alone(two, 5));
        fault_windows.end(&[two].into(), 20);
        assert!(fault_windows.any_since(19) && !fault_windows.any_since(20));
        assert!(!fault_windows.others_alone(two, 20 + limits::AFTERMATH_MICROS - 1));
        assert!(fault_windows.others_alone(two, 20 + limits::AFTERMATH_MICROS));
        fault_windows.begin([one].into());
        assert!(!fault_windows.others_alone(NodeId(3), 40));
        assert!(!fault_windows.others_alone(NodeId(3), 40));
    }
}
