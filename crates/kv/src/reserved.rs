//! Objects that the program keeps for itself: what other parts of a node store of jobs.
//!
//! They lie under a bucket type that no client can name, as blocks of large bodies do
//! ([`crate::blocks`]), and so are placed, replicated, handed over and repaired like any others, and
//! neither listed nor read by anyone else.

use mapring_types::{BucketId, BucketProps, Error, ErrorKind, Result};

use crate::blocks;

/// The bucket type of what is known of jobs. No UTF-8, which the names of bucket types are.
pub(crate) const JOBS_TYPE: &[u8] = b"\xffjobs";

/// Refuses what a client asks of a bucket that only this program uses.
///
/// # Errors
/// `NotFound`, as for any unknown bucket type.
pub(crate) fn refuse(bucket: &BucketId) -> Result<()> {
    if props(bucket).is_some() || blocks::is_reserved(bucket) {
        return Err(Error::new(ErrorKind::NotFound, "unknown bucket type"));
    }
    Ok(())
}

/// The properties of a bucket that only this program uses; `None` of any other.
pub(crate) fn props(bucket: &BucketId) -> Option<BucketProps> {
    if bucket.bucket_type == JOBS_TYPE {
        return Some(BucketProps::default());
    }
    blocks::props(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_programs_own_is_nobody_elses() {
        let bucket = BucketId::typed(JOBS_TYPE, "records");
        let block = BucketId::typed(&b"\xffblocks"[..], "3");
        assert!(refuse(&bucket).is_err() && refuse(&block).is_err());
        assert!(refuse(&BucketId::typed("jobs", "records")).is_ok());
        assert!(props(&bucket).is_some() && props(&block).is_some());
        assert!(props(&BucketId::untyped("records")).is_none());
    }
}
