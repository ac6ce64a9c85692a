//! Where the clients keep their objects.

use mapring_types::{BucketId, ObjectId};

/// Keys with one writer each.
pub(crate) const NUMBERS: &str = "numbers";

/// Objects that point to others and never change.
pub(crate) const POINTERS: &str = "pointers";

/// Keys that several write.
pub(crate) const SHARED: &str = "shared";

/// Data types that several update.
pub(crate) const DATATYPES: &str = "datatypes";

/// The object of a key with one writer.
pub(crate) fn number(key: &str) -> ObjectId {
    ObjectId::new(BucketId::untyped(NUMBERS), key.to_owned())
}

/// The object of a shared key.
pub(crate) fn shared(key: &str) -> ObjectId {
    ObjectId::new(BucketId::untyped(SHARED), key.to_owned())
}

/// The object of a data type.
pub(crate) fn datatype(key: &str) -> ObjectId {
    ObjectId::new(BucketId::untyped(DATATYPES), key.to_owned())
}

/// Whether a key with one writer is written with `pw=quorum` and read with `pr=quorum`, so that reads
/// of it can be checked by I1.
pub(crate) fn strict(key: &str) -> bool {
    key.bytes().last().is_some_and(|digit| digit % 2 == 0)
}
