//! An object that a replica lacks, looked for on the other primaries.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::REQUEST_TIMEOUT;
use mapring_types::{NodeId, ObjectId, Record, Result};
use tokio::time::timeout;

use crate::{Shared, limits, resolved};

/// See [`crate::Kv::read_elsewhere`].
pub(crate) async fn read(
    shared: &Arc<Shared>,
    vnode: Partition,
    id: &ObjectId,
) -> Result<Option<Record>> {
    let view = shared.parts.cluster.view();
    let n_val = shared.props(&view, &id.bucket)?.n_val;
    let list = view.preference_list(&id.bucket, &id.key, n_val);
    let others = list.primaries.iter().filter(|entry| entry.vnode != vnode);
    let doubted = shared.silence.doubted();
    let (up, down): (Vec<PreferenceEntry>, Vec<_>) =
        others.partition(|entry| view.is_up(entry.node) && !doubted.contains(&entry.node));
    let read = |entry: PreferenceEntry| {
        let (id, patience) = (id.clone(), limits::REPLICA_PATIENCE);
        let read = shared.read_record_at(entry, id, Class::Foreground, patience);
        async move { (entry.node, read.await) }
    };
    let majority = list.primaries.len() / 2 + 1;
    let (mut missing, mut failure) = (1, None);
    for nodes in [up, down] {
        let mut silent: BTreeSet<NodeId> = nodes.iter().map(|entry| entry.node).collect();
        let mut answers: FuturesUnordered<_> = nodes.into_iter().map(read).collect();
        loop {
            let patience = if missing < majority { REQUEST_TIMEOUT } else { limits::HEDGE };
            let Ok(next) = timeout(patience, answers.next()).await else {
                shared.silence.doubt(&silent);
                break;
            };
            let Some((node, answer)) = next else { break };
            silent.remove(&node);
            match answer {
                Ok(Some(record)) => {
                    return resolved(record, shared.siblings(&id.bucket)).map(Some);
                }
                Ok(None) => missing += 1,
                Err(error) => failure = Some(error),
            }
        }
        if missing >= majority {
            return Ok(None);
        }
    }
    failure.map_or(Ok(None), |error| Err(error.context(id)))
}
