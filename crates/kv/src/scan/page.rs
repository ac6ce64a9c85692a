//! Pages of objects from this node's vnodes.

use std::sync::Arc;

use mapring_engine::ScanDepth;
use mapring_ring::Partition;
use mapring_types::{ObjectId, Record, Result};

use crate::request::requests::Requests;
use crate::scan::fold::{FoldRequest, Page, Selection};
use crate::scan::merge;
use crate::scan::select::{self, Bounds};
use crate::storage::node::stopped;
use crate::storage::objects::Core;

/// The folds of a node.
pub(crate) struct Folds {
    requests: Arc<Requests>,
}

impl Folds {
    pub(crate) fn new(requests: Arc<Requests>) -> Self {
        Self { requests }
    }

    /// See [`crate::Kv::fold_page`].
    pub(crate) async fn page(&self, request: FoldRequest) -> Result<Page> {
        let requests = &self.requests;
        requests.staleness.integrity.admit(request.vnode, request.home)?;
        let range = !matches!(request.selection, Selection::All);
        if range && request.after.is_none() {
            requests.node.stats.index_reads.add(1);
        }
        let tests = request.keep.is_some() || request.refine.is_some();
        let _permit = match tests {
            true => Some(requests.tests.acquire().await.map_err(|_| stopped())?),
            false => None,
        };
        if request.replicas > 1 {
            return merge::page(requests, request).await;
        }
        let (vnodes, resolution) =
            (&requests.node.vnodes, requests.node.resolution(&request.bucket));
        // Most ranges hold little in a partition, or nothing. A test may take long for a key.
        if range && request.after.is_none() && !tests {
            let short = |core: &Core| select::page(core, &request, resolution, Bounds::SHORT);
            let bytes = |page: &Page| page.items.iter().map(|item| item.record.len()).sum();
            if let Some(page) = vnodes.run_at_once(short, bytes) {
                return page;
            }
        }
        vnodes.run(move |core| select::page(core, &request, resolution, Bounds::PAGE)).await
    }

    /// See [`crate::Kv::read_local`].
    pub(crate) async fn read_local(
        &self,
        places: Vec<(Partition, ObjectId)>,
        most_bytes: usize,
    ) -> Result<Vec<Option<Record>>> {
        let (staleness, node) = (&self.requests.staleness, self.requests.node.clone());
        places.iter().try_for_each(|(vnode, id)| staleness.admit_slice(*vnode, id))?;
        let work = move |core: &Core| {
            let (mut records, mut bytes) = (Vec::with_capacity(places.len()), 0);
            for (vnode, id) in places {
                let resolution = node.resolution(&id.bucket);
                let record = core.engine.get(vnode.0, &core.place(id))?;
                let resolve = |record| resolution.resolve_record(record, ScanDepth::Records);
                let record = record.map(resolve).transpose()?;
                bytes += record.as_ref().map_or(0, Record::len);
                records.push(record);
                if bytes >= most_bytes {
                    break;
                }
            }
            Ok(records)
        };
        self.requests.node.vnodes.run(work).await
    }
}
