//! From an object's name to its home partition.

use std::fmt;

use mapring_types::{BucketId, limits};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// A partition by its ordinal number, 0 to ring size − 1; also the name of the vnode that owns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How many partitions the ring has: a power of two, fixed when the cluster is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct RingSize(u16);

impl RingSize {
    /// A ring of `partitions`; `None` unless it is a power of two within [`limits::RING_SIZE`].
    pub fn new(partitions: u16) -> Option<Self> {
        let good = limits::RING_SIZE.contains(&partitions) && partitions.is_power_of_two();
        good.then_some(Self(partitions))
    }

    /// The number of partitions.
    pub fn get(self) -> u16 {
        self.0
    }

    /// All partitions in ring order.
    pub fn partitions(self) -> impl DoubleEndedIterator<Item = Partition> + ExactSizeIterator {
        (0..self.0).map(Partition)
    }

    /// The partition `steps` after `from`, around the ring.
    pub fn after(self, from: Partition, steps: u16) -> Partition {
        Partition((from.0 + steps % self.0) % self.0)
    }

    /// The partition `steps` before `from`, around the ring.
    pub fn before(self, from: Partition, steps: u16) -> Partition {
        self.after(from, self.0 - steps % self.0)
    }
}

impl TryFrom<u16> for RingSize {
    type Error = String;

    fn try_from(partitions: u16) -> Result<Self, String> {
        Self::new(partitions)
            .ok_or_else(|| format!("ring size {partitions} is not a power of two from 8 to 1024"))
    }
}

impl From<RingSize> for u16 {
    fn from(size: RingSize) -> Self {
        size.0
    }
}

/// SHA-1 of the Erlang external term `{Bucket, Key}`, or `{{Type, Bucket}, Key}` for typed buckets
/// (riak_core_util:chash_std_keyfun).
pub fn ring_hash(bucket: &BucketId, key: &[u8]) -> [u8; 20] {
    let mut hash = Sha1::new();
    hash.update([131, 104, 2]);
    if bucket.is_untyped() {
        binary(&mut hash, &bucket.name);
    } else {
        hash.update([104, 2]);
        binary(&mut hash, &bucket.bucket_type);
        binary(&mut hash, &bucket.name);
    }
    binary(&mut hash, key);
    hash.finalize().into()
}

fn binary(hash: &mut Sha1, bytes: &[u8]) {
    // Names are bounded far below 4 GiB by `limits::KEY_BYTES`.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash.update([109]);
    hash.update(length.to_be_bytes());
    hash.update(bytes);
}

/// The home partition of an object: the first of its preference list, which is the partition after
/// the one that contains the hash.
pub fn home(size: RingSize, bucket: &BucketId, key: &[u8]) -> Partition {
    let hash = ring_hash(bucket, key);
    let top = u16::from_be_bytes([hash[0], hash[1]]);
    let containing = top >> (16 - size.get().trailing_zeros());
    size.after(Partition(containing), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bucket: BucketId, key: &'static str, sha1: &str, partition: u16) {
        let hash = ring_hash(&bucket, key.as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, sha1);
        let size = RingSize::new(64).unwrap();
        assert_eq!(home(size, &bucket, key.as_bytes()), Partition(partition));
    }

    #[test]
    fn placement_equals_riaks() {
        check(BucketId::untyped("b"), "k", "6c38d93a9b70c325a8294365c4150ff68fe1a214", 28);
        check(BucketId::untyped("test"), "doc", "08be5fe9aabee3542ace4725f114b8022ba77caf", 3);
        let typed = BucketId::typed("maps", "customers");
        check(typed, "ahmed_info", "db707586acc6b5699d8a51ca01b370a9be9eb41e", 55);
    }

    #[test]
    fn steps_go_around() {
        let size = RingSize::new(8).unwrap();
        assert_eq!(size.after(Partition(6), 3), Partition(1));
        assert_eq!(size.before(Partition(1), 3), Partition(6));
        assert_eq!(size.before(Partition(1), 0), Partition(1));
        assert!(RingSize::new(12).is_none());
    }
}
