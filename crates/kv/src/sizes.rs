//! How large objects may become, and how much of them is sent or held at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_types::{Error, ErrorKind, Object, ObjectId, Result};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits;

/// The bounds on objects with all their values. Those of writes hold for what clients write, never
/// for what replicas tell each other: that is never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectSizes {
    /// A write that makes an object of more bytes, encoded, is logged and counted.
    pub warn_bytes: usize,
    /// A write that would make one of more bytes, and more than before, is refused with `TooLarge`.
    pub max_bytes: usize,
    /// A write that leaves more siblings is logged and counted.
    pub warn_siblings: usize,
    /// A write that would leave more siblings, and more than before, is refused with `TooLarge`.
    pub max_siblings: usize,
    /// Larger objects go between nodes in pieces of about so many bytes. A setting of tests.
    pub piece_bytes: usize,
    /// Larger objects are not read whole. A setting of tests.
    pub read_bytes: usize,
}

impl Default for ObjectSizes {
    fn default() -> Self {
        Self {
            warn_bytes: limits::WARN_OBJECT_BYTES,
            max_bytes: limits::MAX_OBJECT_BYTES,
            warn_siblings: limits::WARN_SIBLINGS,
            max_siblings: limits::MAX_SIBLINGS,
            piece_bytes: limits::PIECE_BYTES,
            read_bytes: limits::READ_BYTES,
        }
    }
}

/// The bounds on bodies that lie in blocks beside their objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodySizes {
    /// A larger body, in bytes, is stored in blocks; at most [`mapring_types::limits::OBJECT_BYTES`].
    pub whole_bytes: usize,
    /// A larger body, in bytes, is refused with `TooLarge`.
    pub max_bytes: u64,
    /// Bytes of a block; at least 1. A setting of tests.
    pub block_bytes: u32,
    /// For how long at most a body may be written, and be read after it was replaced. What no object
    /// names is kept for twice as long before it counts as left behind.
    pub time: Duration,
}

impl Default for BodySizes {
    fn default() -> Self {
        Self {
            whole_bytes: limits::WHOLE_BODY_BYTES,
            max_bytes: limits::MAX_BODY_BYTES,
            block_bytes: limits::BLOCK_BYTES,
            time: limits::BODY_TIME,
        }
    }
}

/// How large an object is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) siblings: usize,
    /// Encoded.
    pub(crate) bytes: usize,
}

impl ObjectSizes {
    /// Refuses a write that makes an object larger than it may be. One that makes it no larger than
    /// it is goes through, so that what merges have made too large can be mended step by step.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn check(&self, id: &ObjectId, before: Size, after: Size) -> Result<()> {
        let Self { max_siblings, max_bytes, .. } = self;
        let refuse = |what: String| Err(Error::new(ErrorKind::TooLarge, format!("{id}: {what}")));
        if after.siblings > *max_siblings && after.siblings > before.siblings {
            return refuse(format!("the write would make more than {max_siblings} siblings"));
        }
        if after.bytes > *max_bytes && after.bytes > before.bytes {
            let Size { siblings, bytes } = after;
            return refuse(format!(
                "the object would have {bytes} bytes in {siblings} siblings; at most {max_bytes} \
                 are allowed"
            ));
        }
        Ok(())
    }

    /// Whether an object is so near a limit that one of `n` nodes decides alone: no more than this
    /// share of the limit can be written through each of the others without its knowledge.
    pub(crate) fn is_near(&self, size: Size, n: usize) -> bool {
        let n = n.max(1);
        size.siblings > self.max_siblings / n || size.bytes > self.max_bytes / n
    }

    /// Refuses to read an object whole that is too large for it.
    ///
    /// # Errors
    /// `TooLarge`, with what can be done.
    pub(crate) fn admit_read(&self, id: &ObjectId, size: Size) -> Result<()> {
        let (Size { siblings, bytes }, most) = (size, self.read_bytes);
        if bytes <= most {
            return Ok(());
        }
        let message = format!(
            "{id}: the object has {bytes} bytes in {siblings} siblings; at most {most} are read at \
             once: read its values one by one with ?vtag=, and replace or delete them with the \
             X-Riak-Vclock that HEAD gives"
        );
        Err(Error::new(ErrorKind::TooLarge, message))
    }
}

impl Size {
    pub(crate) fn new(object: &Object, bytes: usize) -> Self {
        Self { siblings: object.siblings.len(), bytes }
    }

    /// Whether there is more of the object than there was, of any kind.
    pub(crate) fn outgrows(self, before: Self) -> bool {
        self.siblings > before.siblings || self.bytes > before.bytes
    }
}

/// Tells of objects above the warning levels: each is counted, and the log has a line in
/// [`limits::WARN_LOG`] at most.
#[derive(Default)]
pub(crate) struct Warner {
    last: Mutex<Option<Instant>>,
    untold: AtomicU64,
}

impl Warner {
    pub(crate) fn look(&self, sizes: &ObjectSizes, id: &ObjectId, size: Size) {
        let Size { siblings, bytes } = size;
        let (large, many) = (bytes > sizes.warn_bytes, siblings > sizes.warn_siblings);
        if !large && !many {
            return;
        }
        for (_, what) in [(large, "bytes"), (many, "siblings")].into_iter().filter(|it| it.0) {
            metrics::counter!("mapring_kv_large_objects_total", "over" => what).increment(1);
        }
        if self.is_due(limits::WARN_LOG) {
            let others = self.untold.swap(0, Ordering::Relaxed);
            tracing::warn!(
                bucket = %String::from_utf8_lossy(&id.bucket.name),
                key = %String::from_utf8_lossy(&id.key),
                bytes, siblings, others, "a write has left an object above its warning level"
            );
        } else {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_due(&self, every: Duration) -> bool {
        let (mut last, now) = (self.last.lock(), Instant::now());
        let due = last.is_none_or(|last| now.duration_since(last) >= every);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::BucketId;

    use super::*;

    fn size(siblings: usize, bytes: usize) -> Size {
        Size { siblings, bytes }
    }

    #[test]
    fn what_grows_beyond_a_limit_is_refused() {
        let sizes = ObjectSizes { max_bytes: 100, max_siblings: 5, ..ObjectSizes::default() };
        let id = ObjectId::new(BucketId::untyped("b"), "k");
        for (before, after, good) in [
            ((0, 0), (1, 100), true),
            ((0, 0), (1, 101), false),
            ((4, 50), (5, 60), true),
            ((5, 50), (6, 60), false),
            // Merges have made it too large: it may become smaller, or stay.
            ((9, 50), (8, 60), true),
            ((9, 50), (9, 60), true),
            ((9, 50), (10, 60), false),
            ((2, 300), (2, 200), true),
            ((2, 300), (2, 300), true),
            ((2, 300), (3, 301), false),
        ] {
            let checked = sizes.check(&id, size(before.0, before.1), size(after.0, after.1));
            assert_eq!(checked.is_ok(), good, "{before:?} {after:?}");
        }
    }

    #[test]
    fn together_all_nodes_write_no_more_than_the_limit_by_themselves() {
        let sizes = ObjectSizes { max_bytes: 100, max_siblings: 10, ..ObjectSizes::default() };
        for n in [1, 2, 3, 5, 10, 12, 64] {
            let count = (0..20).rfind(|&count| !sizes.is_near(size(count, 0), n)).unwrap();
            assert!(count * n <= 10, "{count} siblings through each of {n}");
            let bytes = (0..200).rfind(|&bytes| !sizes.is_near(size(0, bytes), n)).unwrap();
            assert!(bytes * n <= 100, "{bytes} bytes through each of {n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_is_not_flooded() {
        let warner = Warner::default();
        assert!(warner.is_due(limits::WARN_LOG) && !warner.is_due(limits::WARN_LOG));
        tokio::time::advance(limits::WARN_LOG).await;
        assert!(warner.is_due(limits::WARN_LOG));
    }
}
