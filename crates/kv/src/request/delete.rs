//! Deletes: a tombstone is written in place of what was read, or of what the caller has seen; once
//! all primaries hold it, it is reaped.

use std::sync::Arc;

use mapring_types::{BucketProps, ErrorKind, ObjectId, Quorum, Result, VersionVector};

use crate::request::options::{DeleteOptions, GetOptions, ObjectPart, PutOptions};
use crate::request::quorum::WriteNeed;
use crate::request::requests::Requests;
use crate::request::{get, put};
use crate::view;
use crate::write::NewValue;

/// Deletes an object: see [`crate::Kv::delete`].
pub(crate) async fn delete(
    requests: &Arc<Requests>,
    id: &ObjectId,
    context: Option<VersionVector>,
    options: &DeleteOptions,
) -> Result<bool> {
    let view = requests.node.view();
    let props = view::props(&view, &id.bucket)?;
    let read = GetOptions {
        r: either(options.r, options, &props),
        pr: options.pr,
        node_confirms: options.node_confirms,
        timeout: options.timeout,
        ..GetOptions::default()
    };
    let write = PutOptions {
        w: either(options.w, options, &props),
        dw: options.dw,
        pw: options.pw,
        node_confirms: options.node_confirms,
        sync_on_write: options.sync_on_write,
        timeout: options.timeout,
        unchanged: options.unchanged.clone(),
    };
    // A write that cannot be had is refused before the read, as Riak does.
    WriteNeed::new(&props, write.quorums(), write.node_confirms)?;
    let found = match get::get(requests, id, &read).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            // What is deleted need not be read whole.
            get::get_part(requests, id, &read, ObjectPart::Heads).await?
        }
        found => found?,
    };
    let Some(object) = found.filter(|object| !object.is_tombstone()) else { return Ok(false) };
    let context = context.unwrap_or(object.clock);
    let tombstone = NewValue { deleted: true, ..NewValue::default() };
    let object = put::put(requests, id, Some(context), tombstone, &write).await?;
    if object.is_tombstone() {
        requests.reaper.schedule(id, requests.node.parts.config.reap_after);
    }
    Ok(true)
}

/// `rw` fills what the request leaves open.
fn either(own: Quorum, options: &DeleteOptions, props: &BucketProps) -> Quorum {
    match (own, options.rw) {
        (Quorum::Default, Quorum::Default) => props.rw,
        (Quorum::Default, both) => both,
        (own, _) => own,
    }
}
