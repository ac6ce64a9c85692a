//! On what terms a write is made: whether it may be at all, and what the properties of its bucket
//! make of it. They are agreed on once a request; a node that a write was forwarded to, where the
//! properties may be others, agrees on its own.

use mapring_cluster::{Change, Outcome};
use mapring_types::limits::{KEY_BYTES, OBJECT_BYTES};
use mapring_types::{Error, ErrorKind, ObjectId, Result, SyncOnWrite};

use crate::request::quorum::WriteNeed;
use crate::request::requests::Requests;
use crate::resolution::Resolution;
use crate::view;
use crate::write::{NewValue, Write};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) need: WriteNeed,
    pub(crate) resolution: Resolution,
    pub(crate) sync: SyncOnWrite,
}

impl Terms {
    /// The terms of a write. Has the cluster know, before anything is stored, that data has arrived.
    ///
    /// # Errors
    /// `Invalid`, `TooLarge`, `NotFound` (unknown bucket type): as [`crate::Kv::put`]; `Unavailable`
    /// where the metadata can take no data yet.
    pub(crate) async fn of(requests: &Requests, write: &Write) -> Result<Self> {
        let terms = Self::check(requests, write)?;
        seal(requests).await?;
        Ok(terms)
    }

    fn check(requests: &Requests, write: &Write) -> Result<Self> {
        check_size(&write.id, &write.value)?;
        let props = view::props(&requests.node.view(), &write.id.bucket)?;
        let need = WriteNeed::new(&props, write.quorums, write.asked.node_confirms)?;
        let sync = write.asked.sync_on_write.unwrap_or(props.sync_on_write);
        let resolution = Resolution::of(&props);
        if write.updates && !resolution.keeps_all() {
            let message = format!("{}: data types need a bucket with allow_mult=true", write.id);
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        Ok(Self { need, resolution, sync })
    }
}

/// Refuses names that nothing can be stored under.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check_names(id: &ObjectId) -> Result<()> {
    let named = |bytes: &[u8]| (1..=KEY_BYTES).contains(&bytes.len());
    if ![&id.key, &id.bucket.name, &id.bucket.bucket_type].into_iter().all(|name| named(name)) {
        return Err(Error::invalid(format!(
            "bucket type, bucket and key have 1 to {KEY_BYTES} bytes each"
        )));
    }
    Ok(())
}

fn check_size(id: &ObjectId, value: &NewValue) -> Result<()> {
    check_names(id)?;
    let bytes = value.body.len();
    if bytes > OBJECT_BYTES {
        let message = format!("{id}: a value of {bytes} bytes is larger than {OBJECT_BYTES}");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

async fn seal(requests: &Requests) -> Result<()> {
    if requests.node.view().state.sealed {
        return Ok(());
    }
    match requests.node.parts.cluster.propose(Change::Seal).await? {
        Outcome::Applied => Ok(()),
        Outcome::Refused(why) => Err(Error::unavailable(format!("cannot take data yet: {why}"))),
    }
}
