//! A part of a vnode: the objects of one home partition, and pages of it.

use std::ops::ControlFlow;

use mapring_engine::{ScanDepth, ScanRange};
use mapring_ring::Partition;
use mapring_types::limits::{PAGE_BYTES, PAGE_INPUTS};
use mapring_types::{BucketId, ObjectId, Record, Result};
use serde::{Deserialize, Serialize};

use crate::storage::objects::Core;

/// A slice of a vnode and where in it to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) vnode: Partition,
    pub(crate) home: Partition,
    pub(crate) after: Option<ObjectId>,
}

/// Whole objects in order, and where to go on; `None` at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    pub(crate) items: Vec<(ObjectId, Record)>,
    pub(crate) next: Option<ObjectId>,
}

/// A page of records, tombstones included.
pub(crate) fn records(
    core: &Core,
    slice: Slice,
    bucket: Option<BucketId>,
    depth: ScanDepth,
    most: usize,
) -> Result<Records> {
    let range = ScanRange { bucket, ..ScanRange::home(slice.home.0).after(slice.after) };
    let most = most.clamp(1, PAGE_INPUTS);
    let mut page = Records::default();
    let mut bytes = 0;
    let mut full = false;
    core.engine.scan(slice.vnode.0, &range, depth, &mut |place, record| {
        bytes += record.len();
        page.items.push((place.id, record));
        full = page.items.len() >= most || bytes >= PAGE_BYTES;
        if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    page.next = page.items.last().filter(|_| full).map(|(id, _)| id.clone());
    Ok(page)
}
