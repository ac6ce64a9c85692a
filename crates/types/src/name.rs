//! Names: buckets, objects, nodes.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The bucket type that untyped URLs and queries mean.
pub const DEFAULT_TYPE: &[u8] = b"default";

/// The permanent identity of a node: a random number made when its data directory is first used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A bucket within its bucket type. Names are raw bytes, not necessarily UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketId {
    /// The bucket type; `default` for untyped buckets.
    pub bucket_type: Bytes,
    /// The bucket's name.
    pub name: Bytes,
}

impl BucketId {
    /// A bucket of the default type.
    pub fn untyped(name: impl Into<Bytes>) -> Self {
        Self { bucket_type: Bytes::from_static(DEFAULT_TYPE), name: name.into() }
    }

    /// A bucket of the given type; `default` gives the untyped bucket.
    pub fn typed(bucket_type: impl Into<Bytes>, name: impl Into<Bytes>) -> Self {
        Self { bucket_type: bucket_type.into(), name: name.into() }
    }

    /// Whether the bucket belongs to the type `default`.
    pub fn is_untyped(&self) -> bool {
        self.bucket_type.as_ref() == DEFAULT_TYPE
    }
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_untyped() {
            write!(f, "{}/", String::from_utf8_lossy(&self.bucket_type))?;
        }
        write!(f, "{}", String::from_utf8_lossy(&self.name))
    }
}

impl fmt::Debug for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An object's full name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// The bucket that holds the object.
    pub bucket: BucketId,
    /// The key within the bucket: 1 to [`crate::limits::KEY_BYTES`] bytes.
    pub key: Bytes,
}

impl ObjectId {
    /// Names an object.
    pub fn new(bucket: BucketId, key: impl Into<Bytes>) -> Self {
        Self { bucket, key: key.into() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, String::from_utf8_lossy(&self.key))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
