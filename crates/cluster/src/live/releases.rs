//! Which releases of the formats the members know: told when a node joins and when it starts, and
//! kept in the metadata.
//!
//! A program that does not know of this would apply the entries that tell it as if they said nothing,
//! and its chain of hashes would differ. So nothing is told before every member is of a program that
//! does: the leader hears it in the handshakes.

use mapring_types::{NodeId, Release, Releases};

use crate::ClusterState;
use crate::wire::{JoinRequest, Verdict};

/// What the metadata may say of a node that asks: what it tells, where every member understands that;
/// else what it says already. `said` is what nodes have said of themselves to this one.
pub(super) fn tellable(
    request: &JoinRequest,
    state: &ClusterState,
    said: impl Fn(NodeId) -> Option<Releases>,
) -> Option<Releases> {
    let known = state.members.get(&request.id).and_then(|member| member.releases);
    // One that does not tell is of an older program than it was, if it ever told.
    let told = request.releases.filter(|told| told.writes >= Release::MEMBERS_TELL)?;
    let tells = |node: &NodeId| {
        let said = said(*node).map(|said| said.writes);
        let said = said.or_else(|| state.members.get(node).map(|member| member.release()));
        said.is_some_and(|release| release >= Release::MEMBERS_TELL)
    };
    let all = state.members.keys().filter(|node| **node != request.id).all(tells);
    if all { Some(told) } else { known }
}

/// The refusal of a node that would not read what the others have written by now.
pub(super) fn too_old(request: &JoinRequest, state: &ClusterState) -> Option<Verdict> {
    let others = state.members.iter().filter(|(node, _)| **node != request.id);
    let written = others.map(|(_, member)| member.release()).min()?;
    let known = request.releases.unwrap_or(Releases::BEFORE);
    (known.writes < written).then(|| {
        Verdict::Refused(format!(
            "node {} knows the releases {known} of the formats, and the cluster writes {written} \
             by now: start it with a later release of mapring",
            request.id
        ))
    })
}
