//! Preference lists: the vnodes that hold an object, with fallbacks for the unreachable.

use mapring_types::NodeId;

use crate::hash::Partition;
use crate::plan::OwnershipPlan;

/// One replica's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreferenceEntry {
    /// The vnode, by its partition.
    pub vnode: Partition,
    /// The node that is to serve it.
    pub node: NodeId,
    /// Whether that node owns the vnode (else it stands in for the owner).
    pub primary: bool,
}

/// The places of all replicas of one home partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferenceList {
    /// Up primaries in ring order, then fallbacks; at most `n_val` entries.
    pub entries: Vec<PreferenceEntry>,
    /// Primaries, reachable or not, in ring order.
    pub primaries: Vec<PreferenceEntry>,
}

impl PreferenceList {
    /// The list of `home` for `n_val` replicas under `plan`. Each vnode whose owner is not `up` is
    /// taken by the next up node further round the ring that does not serve another entry yet;
    /// where there is none, the vnode is left out.
    pub fn new(
        plan: &OwnershipPlan,
        home: Partition,
        n_val: u32,
        up: impl Fn(NodeId) -> bool,
    ) -> Self {
        let _ = (plan, home, n_val, up);
        todo!()
    }
}
