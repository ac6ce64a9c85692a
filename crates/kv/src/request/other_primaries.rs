//! An object that a replica lacks, looked for on the other primaries.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::REQUEST_TIMEOUT;
use mapring_types::{NodeId, ObjectId, Record, Result};
use tokio::time::timeout;

use crate::request::absence::Absence;
use crate::request::quorum::ReadNeed;
use crate::request::quorum::read::ReadCore;
use crate::{Shared, limits};

/// See [`crate::Kv::read_other_primaries`].
pub(crate) async fn read(
    shared: &Arc<Shared>,
    vnode: Partition,
    id: &ObjectId,
) -> Result<Option<Record>> {
    let view = shared.parts.cluster.view();
    let n_val = shared.props(&view, &id.bucket)?.n_val;
    let list = view.preference_list(&id.bucket, &id.key, n_val).primaries;
    // One who has it is enough.
    let need = ReadNeed { n: n_val, r: 1, pr: 0, basic_quorum: false, notfound_ok: true };
    let resolution = shared.resolution(&id.bucket);
    let mut core = ReadCore::new(need, resolution);
    for entry in &list {
        if let Some(index) = core.add(*entry)
            && entry.vnode == vnode
        {
            if !shared.is_sure(vnode) {
                core.unsure(index);
            }
            core.apply(index, None);
        }
    }
    core.set_primaries(list.clone());
    let others = list.iter().copied().enumerate().filter(|(_, entry)| entry.vnode != vnode);
    let suspects = shared.suspicion.suspects();
    let (up, down): (Vec<(usize, PreferenceEntry)>, Vec<_>) =
        others.partition(|(_, entry)| view.is_up(entry.node) && !suspects.contains(&entry.node));
    let read = |(index, entry): (usize, PreferenceEntry)| {
        let (id, patience) = (id.clone(), limits::REPLICA_PATIENCE);
        let read = shared.had_at(entry, id, Class::Foreground, patience);
        async move { (index, entry.node, read.await) }
    };
    let mut failure = None;
    for nodes in [up, down] {
        let mut unanswered: BTreeSet<NodeId> = nodes.iter().map(|(_, entry)| entry.node).collect();
        let mut answers: FuturesUnordered<_> = nodes.into_iter().map(read).collect();
        loop {
            let known = core.absence(&shared.around(&list)) == Absence::Known;
            let patience = if known { limits::HEDGE } else { REQUEST_TIMEOUT };
            let Ok(next) = timeout(patience, answers.next()).await else {
                shared.suspicion.suspect(&unanswered);
                break;
            };
            let Some((index, node, answer)) = next else { break };
            unanswered.remove(&node);
            if answer.as_ref().is_ok_and(|had| !had.sure) {
                core.unsure(index);
            }
            match answer.map(|had| had.record) {
                Ok(Some(record)) => {
                    return resolution.resolve_record(record, ScanDepth::Records).map(Some);
                }
                Ok(None) => core.apply(index, None),
                Err(error) => {
                    core.fail(index);
                    failure = Some(error);
                }
            }
        }
        match core.absence(&shared.around(&list)) {
            Absence::Known => return Ok(None),
            Absence::Unknown(nodes) => failure = failure.or(Some(core.unknown(&nodes))),
            // Who stands in for a primary may have it.
            Absence::Search(nodes) => {
                let nodes = nodes.into_iter().collect();
                failure = failure.or(Some(core.unknown(&nodes)));
            }
            Absence::Wait | Absence::Again => {}
        }
    }
    let unknown = || core.unknown(&BTreeSet::new());
    Err(failure.unwrap_or_else(unknown).context(id))
}
