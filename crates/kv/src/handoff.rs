//! Hinted hand-off: what this node holds for vnodes of others is joined into their owners as soon
//! as these are reachable, and removed here. And the reverse: after its start a node asks every
//! member whether it holds something for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use futures::StreamExt;
use futures::future::join_all;
use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::LEASE;
use mapring_types::{NodeId, ObjectId, Record, Result, VersionVector};
use tokio::time::sleep;

use crate::fold::{self, Slice};
use crate::{Page, Shared, limits};

/// The background task.
pub(crate) async fn run(shared: Weak<Shared>) {
    let Some((mut changes, kick)) =
        shared.upgrade().map(|shared| (shared.parts.cluster.changes(), shared.kick.clone()))
    else {
        return;
    };
    loop {
        let tick = {
            let Some(shared) = shared.upgrade() else { return };
            if shared.stopping() {
                return;
            }
            let stopped = round(&shared).await;
            let again = stopped || shared.catching_up();
            if again { limits::CATCH_UP_TICK } else { limits::HANDOFF_TICK }
        };
        // A change of the view, such as a node that is back, brings the next round forward.
        let changed = async {
            if changes.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            () = kick.notified() => {}
            () = changed => {}
            () = sleep(tick) => {}
        }
    }
}

/// One look at everything; gives whether a node that seems to be up did not take what it lacks. A
/// node that does not answer holds nobody else up.
async fn round(shared: &Arc<Shared>) -> bool {
    let view = shared.parts.cluster.view();
    let mut owners: BTreeMap<NodeId, Vec<Partition>> = BTreeMap::new();
    for vnode in shared.vnodes.hinted().vnodes() {
        if let Some(owner) = view.plan().owner(vnode) {
            owners.entry(owner).or_default().push(vnode);
        }
    }
    let owners = owners.into_iter().filter(|(owner, _)| view.is_up(*owner));
    let hand_overs = join_all(owners.map(|(owner, vnodes)| hand_all_over(shared, owner, vnodes)));
    let ((), handed_over) = tokio::join!(catch_up(shared), hand_overs);
    handed_over.contains(&false)
}

/// Hands the vnodes of one owner over, one after another, until one fails; gives whether none did.
async fn hand_all_over(shared: &Arc<Shared>, owner: NodeId, vnodes: Vec<Partition>) -> bool {
    for vnode in vnodes {
        let mark = shared.vnodes.hinted().mark(vnode);
        if owner == shared.me {
            shared.vnodes.hinted().clear(vnode, mark);
            continue;
        }
        match hand_over(shared, vnode, owner).await {
            Ok(0) => shared.vnodes.hinted().clear(vnode, mark),
            Ok(moved) => {
                tracing::info!(%vnode, node = %owner, moved, "handed objects over");
                shared.kick.notify_one();
            }
            Err(error) => {
                tracing::debug!(%vnode, node = %owner, %error, "hand-off stopped");
                return false;
            }
        }
    }
    true
}

/// Asks the members that have not said yet whether they hold anything for this node.
async fn catch_up(shared: &Arc<Shared>) {
    let view = shared.parts.cluster.view();
    let unheard = shared.unheard();
    if !unheard.iter().any(|&node| view.is_up(node)) {
        return;
    }
    // All that are up: the writes of a coordinator that is not asked would be taken for those of
    // one that has ended, and their witnesses would keep hints of them, for this node as well.
    let up: Vec<NodeId> = view.up.iter().copied().collect();
    let own = |vnode: &Partition| view.plan().owner(*vnode) == Some(shared.me);
    for (node, behind) in shared.knowledge(&up, Class::Background).await.heard {
        if unheard.contains(&node) && !behind.standing.hinted.iter().any(own) {
            shared.heard.lock().insert(node);
        }
    }
}

/// Joins all that lies here for `vnode` into its owner; gives how many objects were found.
async fn hand_over(shared: &Arc<Shared>, vnode: Partition, owner: NodeId) -> Result<usize> {
    let ring = shared.parts.cluster.view().plan().ring_size();
    let mut moved = 0;
    for home in ring.partitions() {
        let mut after = None;
        loop {
            let slice = Slice { vnode, home, after };
            let page = shared
                .vnodes
                .run(move |core| {
                    let depth = ScanDepth::Records;
                    fold::records(core, slice, None, depth, limits::HANDOFF_OBJECTS)
                })
                .await?;
            let Page { items, next } = page;
            moved += items.len();
            hand_over_page(shared, vnode, owner, items).await?;
            match next {
                Some(last) => after = Some(last),
                None => break,
            }
        }
    }
    Ok(moved)
}

async fn hand_over_page(
    shared: &Arc<Shared>,
    vnode: Partition,
    owner: NodeId,
    items: Vec<(ObjectId, Record)>,
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let entry = PreferenceEntry { vnode, node: owner, primary: true };
    let sends = items.into_iter().map(|(id, record)| async move {
        let clock = Record::decode_without_bodies(&record.head)?.clock;
        let patience = LEASE + limits::transfer(record.len());
        shared.merge_at(entry, id.clone(), record, None, Class::Background, patience).await?;
        Ok((id, clock))
    });
    let sent: Vec<Result<(ObjectId, VersionVector)>> =
        futures::stream::iter(sends).buffered(limits::SLICES_AT_ONCE).collect().await;
    let sent = sent.into_iter().collect::<Result<Vec<_>>>()?;
    // The actor that stamped some of these objects must not stamp them again once they are gone
    // from here: its next dot would claim to have seen the earlier ones.
    shared.vnodes.retire(vnode).await?;
    for (id, clock) in sent {
        shared.vnodes.remove(vnode, id, clock).await?;
        shared.stats.count_handed_over();
    }
    Ok(())
}

impl Shared {
    /// The other members that have not said since this node's start that they hold nothing for it.
    pub(crate) fn unheard(&self) -> Vec<NodeId> {
        let view = self.parts.cluster.view();
        let heard = self.heard.lock();
        let others = view.state.members.keys().copied().filter(|&node| node != self.me);
        others.filter(|node| !heard.contains(node)).collect()
    }

    /// Whether this node's own vnodes may lack writes that others hold for it.
    pub(crate) fn catching_up(&self) -> bool {
        !self.unheard().is_empty()
    }
}
