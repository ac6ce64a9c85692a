//! A stage under way, whatever it does.

use super::check::Check;
use super::gather::GatherStage;
use super::groups::GroupStage;
use super::lanes::LaneStage;
use super::reduce::ReduceStage;

/// See the module.
pub(super) struct Stage {
    pub(super) over: bool,
    pub(super) check: Check,
    pub(super) kind: StageKind,
}

pub(super) enum StageKind {
    /// Work is done where the objects are.
    Lanes(Box<LaneStage>),
    /// A function runs in this node's workers.
    Reduce(Box<ReduceStage>),
    /// Pairs are brought to the owners of their partitions.
    Gather(GatherStage),
    /// A function runs where the partitions of pairs are.
    Groups(Box<GroupStage>),
    /// The client gets the query's inputs as they are.
    Echo,
    /// Its work was dropped, since the client has all that it wants.
    Dropped,
}

impl Stage {
    pub(super) fn new(kind: StageKind) -> Self {
        Self { over: false, check: Check::Open, kind }
    }

    /// Drops what it still does.
    pub(super) fn abandon(&mut self) {
        *self = Self { over: true, check: Check::Over, kind: StageKind::Dropped };
    }

    /// Whether the stages before this one may go on.
    pub(super) fn has_room(&self) -> bool {
        match &self.kind {
            StageKind::Lanes(lanes) => lanes.has_room(),
            StageKind::Reduce(reduce) => reduce.has_room(),
            StageKind::Gather(gather) => gather.has_room(),
            StageKind::Groups(_) | StageKind::Echo | StageKind::Dropped => true,
        }
    }
}
