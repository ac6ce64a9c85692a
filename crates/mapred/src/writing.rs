//! Writing objects with patience: what fails for a reason that passes is tried again.

use mapring_types::{Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::limits;
use crate::objects::{ObjectWrite, Objects};

/// Makes a write, with up to [`limits::WRITE_RETRIES`] further tries that are given more and more time.
///
/// # Errors
/// The last one; `Timeout` when it is `until`.
pub(crate) async fn persistently(
    objects: &dyn Objects,
    write: &ObjectWrite,
    until: Instant,
) -> Result<()> {
    let (mut patience, mut pause) = (limits::WRITE_PATIENCE, limits::WRITE_PAUSE);
    let mut tries = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::timeout(format!("{}: the write was not made in time", write.id)));
        }
        let error = match objects.write(write, patience.min(left)).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // Nobody knows what became of a write that failed so.
        let unclear = error.kind() == ErrorKind::Precondition && tries > 0;
        if unclear && is_there(objects, write).await? {
            return Ok(());
        }
        if tries == limits::WRITE_RETRIES || !may_be_tried_again(error.kind()) {
            return Err(error);
        }
        tracing::debug!(id = %write.id, %error, "a write is tried again");
        tries += 1;
        tokio::time::sleep_until(until.min(Instant::now() + pause)).await;
        (patience, pause) = (patience * 2, pause * 2);
    }
}

/// Whether an object is what it was to become.
async fn is_there(objects: &dyn Objects, write: &ObjectWrite) -> Result<bool> {
    let object = objects.read_quorum(&write.id).await?;
    let (newest, value) = (object.as_ref().and_then(|object| object.newest()), &write.value);
    let same = newest
        .zip(value.as_ref())
        .is_some_and(|(found, value)| found.body == value.body && found.metadata == value.metadata);
    Ok(same)
}

/// Whether the same write may do better, a few times: also where a disk could not be read, which may be
/// that of one node.
pub(crate) fn may_be_tried_again(kind: ErrorKind) -> bool {
    may_pass(kind) || kind == ErrorKind::Storage
}

/// Whether a reason may have gone a moment later.
pub(crate) fn may_pass(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Timeout
        | ErrorKind::Quorum { .. }
        | ErrorKind::Unavailable
        | ErrorKind::Overloaded
        | ErrorKind::WrongPlan
        | ErrorKind::OtherCoordinator
        | ErrorKind::Cancelled => true,
        ErrorKind::Invalid
        | ErrorKind::NotFound
        | ErrorKind::Forbidden
        | ErrorKind::Precondition
        | ErrorKind::TooLarge
        | ErrorKind::Corrupt
        | ErrorKind::Storage
        | ErrorKind::Internal => false,
    }
}
