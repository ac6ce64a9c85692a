//! An object that a replica lacks, looked for on the other primaries.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::limits::REQUEST_TIMEOUT;
use mapring_types::{Error, NodeId, ObjectId, Record, Result};
use tokio::time::timeout;

use crate::limits;
use crate::request::absence::Absence;
use crate::request::quorum::ReadNeed;
use crate::request::quorum::read::ReadCore;
use crate::request::requests::Requests;
use crate::view;

/// See [`crate::Kv::read_other_primaries`].
pub(crate) async fn read(
    requests: &Arc<Requests>,
    vnode: Partition,
    id: &ObjectId,
) -> Result<Option<Record>> {
    let view = requests.node.view();
    let n_val = view::props(&view, &id.bucket)?.n_val;
    let list = view.preference_list(&id.bucket, &id.key, n_val).primaries;
    // One who has it is enough.
    let need =
        ReadNeed { n: n_val, r: 1, pr: 0, confirms: 0, basic_quorum: false, notfound_ok: true };
    let resolution = requests.node.resolution(&id.bucket);
    let mut core = ReadCore::new(need, resolution);
    for entry in &list {
        if let Some(index) = core.add(*entry)
            && entry.vnode == vnode
        {
            if !requests.staleness.is_sure(vnode) {
                core.unsure(index);
            }
            core.apply(index, None);
        }
    }
    core.set_primaries(list.clone());
    let others = list.iter().copied().enumerate().filter(|(_, entry)| entry.vnode != vnode);
    let suspects = requests.peers.suspicion.suspects();
    let (up, down): (Vec<(usize, PreferenceEntry)>, Vec<_>) =
        others.partition(|(_, entry)| view.is_up(entry.node) && !suspects.contains(&entry.node));
    let mut search = Search { requests, id, list: &list, core, failure: None };
    for entries in [up, down] {
        if let Some(record) = search.ask(entries).await {
            return resolution.resolve_record(record, ScanDepth::Records).map(Some);
        }
        match search.absence() {
            Absence::Known => return Ok(None),
            Absence::Unknown(nodes) => search.fail(&nodes),
            // Who stands in for a primary may have it.
            Absence::Search(nodes) => search.fail(&nodes.into_iter().collect()),
            Absence::Wait | Absence::Again => {}
        }
    }
    let Search { core, failure, .. } = search;
    Err(failure.unwrap_or_else(|| core.unknown(&BTreeSet::new())).context(id))
}

/// A search under way.
struct Search<'a> {
    requests: &'a Arc<Requests>,
    id: &'a ObjectId,
    /// All primaries.
    list: &'a [PreferenceEntry],
    core: ReadCore,
    /// Why it is not known whether the object exists.
    failure: Option<Error>,
}

impl Search<'_> {
    /// Asks some primaries, by their places in the list, until one has the object: gives it. None is
    /// waited for long once it is known that there is no object.
    async fn ask(&mut self, entries: Vec<(usize, PreferenceEntry)>) -> Option<Record> {
        let requests = self.requests;
        let read = |(index, entry): (usize, PreferenceEntry)| {
            let (id, patience) = (self.id.clone(), limits::REPLICA_PATIENCE);
            let read = requests.had_at(entry, id, Class::Foreground, patience);
            async move { (index, entry.node, read.await) }
        };
        let mut unanswered: BTreeSet<NodeId> =
            entries.iter().map(|(_, entry)| entry.node).collect();
        let mut answers: FuturesUnordered<_> = entries.into_iter().map(read).collect();
        loop {
            let known = self.absence() == Absence::Known;
            let patience = if known { limits::HEDGE } else { REQUEST_TIMEOUT };
            let Ok(next) = timeout(patience, answers.next()).await else {
                requests.peers.suspicion.suspect(&unanswered);
                return None;
            };
            let (index, node, answer) = next?;
            unanswered.remove(&node);
            if answer.as_ref().is_ok_and(|had| !had.sure) {
                self.core.unsure(index);
            }
            match answer.map(|had| had.record) {
                Ok(Some(record)) => return Some(record),
                Ok(None) => self.core.apply(index, None),
                Err(error) => {
                    self.core.fail(index);
                    self.failure = Some(error);
                }
            }
        }
    }

    fn absence(&self) -> Absence {
        self.core.absence(&self.requests.around(self.list))
    }

    /// Notes that these nodes may have the object, unless something is known to have failed.
    fn fail(&mut self, nodes: &BTreeSet<NodeId>) {
        self.failure = self.failure.take().or_else(|| Some(self.core.unknown(nodes)));
    }
}
