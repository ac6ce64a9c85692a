//! Where the blocks of large bodies lie: each is an ordinary small object of its own, under a name that
//! no client can give, so that it is placed, replicated, handed over and repaired like any other.
//!
//! The bucket type is no UTF-8, which the names of bucket types are; the bucket says how many replicas
//! the blocks have; the key is the upload with the number of the block. A block is written once and
//! never again, so there is nothing to resolve. With each lies whose body it is part of.

use bytes::Bytes;
use mapring_types::{Blocks, BucketId, BucketProps, Metadata, ObjectId, UploadId};

/// The bucket type of blocks, and of nothing else.
pub(crate) const BLOCK_TYPE: &[u8] = b"\xffblocks";

/// What of the owner's name lies with a block, in this order.
const OWNER: [&str; 3] = ["bucket-type", "bucket", "key"];

/// The name of a block.
pub(crate) fn id(blocks: &Blocks, number: u64) -> ObjectId {
    let Blocks { upload: UploadId(upload), n_val, .. } = blocks;
    let bucket = BucketId::typed(BLOCK_TYPE, n_val.to_string());
    // In the order of their numbers, for those who look at the keys.
    let key = [&upload.to_be_bytes()[..], &number.to_be_bytes()].concat();
    ObjectId::new(bucket, key)
}

/// Whether an object is a block.
pub(crate) fn is_block(id: &ObjectId) -> bool {
    is_reserved(&id.bucket)
}

/// Whether a bucket is one of blocks.
pub(crate) fn is_reserved(bucket: &BucketId) -> bool {
    bucket.bucket_type == BLOCK_TYPE
}

/// The properties of a bucket of blocks; `None` of any other.
pub(crate) fn props(bucket: &BucketId) -> Option<BucketProps> {
    if !is_reserved(bucket) {
        return None;
    }
    let n_val = std::str::from_utf8(&bucket.name).ok()?.parse().ok()?;
    mapring_types::limits::N_VAL
        .contains(&n_val)
        .then(|| BucketProps { n_val, ..BucketProps::default() })
}

/// What lies with each block of a body: whose it is.
pub(crate) fn metadata(owner: &ObjectId) -> Metadata {
    let names = [&owner.bucket.bucket_type, &owner.bucket.name, &owner.key];
    let user = OWNER.into_iter().zip(names).map(|(name, value)| (name.to_owned(), value.clone()));
    Metadata { user: user.collect(), ..Metadata::default() }
}

/// The upload that a block belongs to, and the object that this was made for; `None` of what is no
/// block.
pub(crate) fn owner(id: &ObjectId, metadata: &Metadata) -> Option<(UploadId, ObjectId)> {
    let upload = id.key.first_chunk().map(|bytes| UploadId(u128::from_be_bytes(*bytes)))?;
    let value = |name: &str| -> Option<Bytes> {
        let mut user = metadata.user.iter();
        user.find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let [bucket_type, bucket, key] = OWNER.map(value);
    let owner = ObjectId::new(BucketId::typed(bucket_type?, bucket?), key?);
    is_block(id).then_some((upload, owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_whose_it_is() {
        let owner_id = ObjectId::new(BucketId::typed("t", &b"b\xff"[..]), &b"k\0"[..]);
        let upload = UploadId(u128::MAX - 7);
        let blocks = Blocks { upload, bytes: 10, block_bytes: 4, n_val: 5 };
        let name = id(&blocks, 2);
        assert_eq!(owner(&name, &metadata(&owner_id)), Some((upload, owner_id.clone())));
        assert_eq!(props(&name.bucket).unwrap().n_val, 5);
        assert!(id(&blocks, 1) < name && is_block(&name) && is_reserved(&name.bucket));
        assert_eq!(owner(&owner_id, &metadata(&owner_id)), None);
        assert_eq!(owner(&name, &Metadata::default()), None);
        assert!(!is_block(&owner_id) && !is_reserved(&owner_id.bucket));
    }

    #[test]
    fn only_buckets_of_blocks_have_their_properties() {
        assert!(props(&BucketId::untyped("3")).is_none());
        for name in ["", "0", "x", "65", "-1"] {
            assert!(props(&BucketId::typed(BLOCK_TYPE, name)).is_none(), "{name}");
        }
    }
}
