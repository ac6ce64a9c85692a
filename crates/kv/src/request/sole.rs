//! Who decides about an object near a limit (see [`crate::sizes`]).
//!
//! While an object is far from its limits, every primary may add to it without asking the others: a
//! share of the limit each, so that all together cannot overstep it. Beyond that one adds, the first
//! primary that is up: it has the others leave the object to it for a while, and learns what they have
//! added before. Then its own lock makes the limit exact. While nodes are down or cut off from each
//! other there may be two that take themselves for the first; merges then make the object larger than
//! its limit.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{Error, ErrorKind, ObjectId, Result};

use crate::limits;
use crate::peer::call::replica;
use crate::peer::wire::{self, Slim};
use crate::request::requests::Requests;

/// Who is the only one to coordinate: the first primary, for everybody the same. Those that lack
/// writes come after the others.
pub(crate) fn coordinator(
    entries: &[PreferenceEntry],
    stale: &BTreeSet<Partition>,
) -> Option<PreferenceEntry> {
    let rank =
        |entry: &&PreferenceEntry| (!entry.primary, entry.primary && stale.contains(&entry.vnode));
    entries.iter().min_by_key(rank).copied()
}

pub(crate) fn turned_away(id: &ObjectId) -> Error {
    let message = format!("{id}: the object is near a limit, and another node decides about it");
    Error::new(ErrorKind::OtherCoordinator, message)
}

/// Has the other replicas leave an object to `own`, a vnode of this node, and learns what they know
/// of it. Those that cannot be asked are left out: they are down, or will be taken for it.
pub(crate) async fn take(
    requests: Arc<Requests>,
    id: ObjectId,
    own: PreferenceEntry,
    entries: Vec<PreferenceEntry>,
) {
    let others: Vec<_> =
        entries.into_iter().filter(|entry| entry.node != requests.node.me).collect();
    let taken = others.iter().map(|other| take_from(&requests, &id, own, *other));
    for (other, taken) in others.iter().zip(join_all(taken).await) {
        if let Err(error) = taken {
            tracing::debug!(%id, node = %other.node, %error, "a node does not leave an object");
        }
    }
}

async fn take_from(
    requests: &Arc<Requests>,
    id: &ObjectId,
    own: PreferenceEntry,
    other: PreferenceEntry,
) -> Result<()> {
    let (class, patience) = (Class::Foreground, limits::SOLE_PATIENCE);
    let request = wire::Leave { replica: replica(other), id: id.clone() };
    let there: Option<Slim> =
        requests.peers.ask(other.node, class, &request, patience).await.flat()?;
    let Some(there) = there else { return Ok(()) };
    let here = requests.read_slim_here(replica(own), id.clone(), None).await?;
    if let Some(here) = here
        && here.clock()?.dominates(&there.clock()?)
    {
        return Ok(());
    }
    let bytes = usize::try_from(there.bytes).unwrap_or(usize::MAX);
    let patience = limits::REPLICA_PATIENCE + limits::transfer(bytes);
    let Some(record) = requests.read_record_at(other, id.clone(), class, patience).await? else {
        return Ok(());
    };
    requests.node.vnodes.merge(own.vnode, id.clone(), record, None).await
}

impl Requests {
    /// Leaves an object to another node for [`limits::LEFT_FOR`]; gives what is here of it.
    ///
    /// # Errors
    /// As [`Requests::read_here`].
    pub(crate) async fn leave_here(&self, request: wire::Leave) -> Result<Option<Slim>> {
        let wire::Leave { replica, id } = request;
        self.node.vnodes.leave(replica.vnode, id.clone()).await?;
        self.read_slim_here(replica, id, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_primary_that_lacks_nothing_is_the_one() {
        let entry = |vnode, primary| PreferenceEntry {
            vnode: Partition(vnode),
            node: mapring_types::NodeId(vnode.into()),
            primary,
        };
        let chosen = |entries: &[PreferenceEntry], stale: &[u16]| {
            let stale = stale.iter().copied().map(Partition).collect();
            coordinator(entries, &stale).map(|entry| entry.vnode.0)
        };
        let all = [entry(1, false), entry(2, true), entry(3, true)];
        assert_eq!(chosen(&all, &[]), Some(2));
        assert_eq!(chosen(&all, &[2]), Some(3));
        assert_eq!(chosen(&all, &[2, 3]), Some(2));
        assert_eq!(chosen(&all[..1], &[]), Some(1));
        assert_eq!(chosen(&[], &[]), None);
    }
}
