//! Objects: a version vector and the siblings that it does not order.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::blocks::Blocks;
use crate::clock::{Dot, VersionVector};
use crate::index::IndexValue;

/// One link of an object. Links always point into the default bucket type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link {
    /// The bucket pointed to.
    pub bucket: Bytes,
    /// The key pointed to.
    pub key: Bytes,
    /// The relation (`riaktag`).
    pub tag: Bytes,
}

/// What an object carries beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metadata {
    /// The media type with its parameters other than `charset`.
    pub content_type: String,
    /// The `charset` parameter of the media type.
    pub charset: Option<String>,
    /// The `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// Links, in the order given.
    pub links: Vec<Link>,
    /// User metadata: full canonical header name (`X-Riak-Meta-Foo`) and value bytes, in the order
    /// given.
    pub user: Vec<(String, Bytes)>,
    /// Secondary-index entries: lower-case field name and value, sorted, without duplicates.
    pub indexes: Vec<(String, IndexValue)>,
    /// Where the bytes lie, if not in the value itself, whose body is empty then. It is in the formats
    /// that know of it, beside the rest. Boxed: few values have it, and all are moved about.
    #[serde(skip)]
    pub blocks: Option<Box<Blocks>>,
}

/// One value of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sibling {
    /// The write that made the value.
    pub dot: Dot,
    /// When it was written: microseconds since the Unix epoch, never earlier than any value that
    /// its writer had seen.
    pub last_modified: u64,
    /// Whether the value marks a deletion.
    pub deleted: bool,
    /// What it carries beside its bytes.
    pub metadata: Metadata,
    /// The bytes; empty in a deleted value.
    pub body: Bytes,
}

impl Sibling {
    /// The value's tag, as in `ETag` and `?vtag=`: base-62 text made from the dot, so that every
    /// replica gives the same.
    pub fn vtag(&self) -> String {
        let mut hash = Sha1::new();
        hash.update(self.dot.actor.0.to_be_bytes());
        hash.update(self.dot.counter.to_be_bytes());
        base62(&hash.finalize()[..16])
    }

    /// How many bytes its body has, wherever they lie.
    pub fn body_len(&self) -> u64 {
        self.metadata.blocks.as_ref().map_or(self.body.len() as u64, |blocks| blocks.bytes)
    }

    /// About how many bytes the value takes with all that it carries; those in blocks not counted.
    pub fn bytes(&self) -> usize {
        let Metadata { content_type, charset, content_encoding, links, user, indexes, .. } =
            &self.metadata;
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let links: usize =
            links.iter().map(|link| link.bucket.len() + link.key.len() + link.tag.len()).sum();
        let user: usize = user.iter().map(|(name, value)| name.len() + value.len()).sum();
        let term = |value: &IndexValue| match value {
            IndexValue::Int(text) => text.len(),
            IndexValue::Bin(bytes) => bytes.len(),
        };
        let indexes: usize = indexes.iter().map(|(name, value)| name.len() + term(value)).sum();
        let named = content_type.len() + text(charset) + text(content_encoding);
        self.body.len() + named + links + user + indexes
    }
}

/// An object as a replica knows it.
///
/// Invariant: each sibling's dot is covered by the clock, no two siblings share a dot, and siblings
/// are sorted by dot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Object {
    /// All writes that this state takes into account.
    pub clock: VersionVector,
    /// The values that no known write has replaced. Never empty in a stored object.
    pub siblings: Vec<Sibling>,
}

impl Object {
    /// Joins the states of two replicas: a value stays if both have it, or if the other has not
    /// seen its write. Commutative, associative, idempotent.
    pub fn merge(&mut self, other: &Object) {
        let kept = |sibling: &Sibling, there: &Object| {
            !there.clock.covers(sibling.dot) || there.siblings.iter().any(|s| s.dot == sibling.dot)
        };
        let mut siblings: Vec<Sibling> =
            self.siblings.iter().filter(|s| kept(s, other)).cloned().collect();
        for sibling in &other.siblings {
            if kept(sibling, self) && !siblings.iter().any(|s| s.dot == sibling.dot) {
                siblings.push(sibling.clone());
            }
        }
        siblings.sort_unstable_by_key(|sibling| sibling.dot);
        self.siblings = siblings;
        self.clock.merge(&other.clock);
        self.assert_sound();
    }

    /// As [`Object::merge`], without copying where one of the two has nothing to add.
    pub fn join(&mut self, other: Object) {
        if self.clock.is_empty() && self.siblings.is_empty() {
            *self = other;
        } else if self.clock != other.clock || !self.same_values(&other) {
            self.merge(&other);
        }
    }

    /// Whether both have values of the same writes.
    fn same_values(&self, other: &Object) -> bool {
        self.siblings.len() == other.siblings.len()
            && self.siblings.iter().zip(&other.siblings).all(|(one, two)| one.dot == two.dot)
    }

    /// Replaces every value that `context` covers by `sibling`, whose dot must be new.
    pub fn update(&mut self, context: &VersionVector, sibling: Sibling) {
        let new = !self.clock.covers(sibling.dot) && !context.covers(sibling.dot);
        assert!(new || crate::failpoint!(ReusedDot), "the dot {:?} was given before", sibling.dot);
        self.siblings.retain(|old| !context.covers(old.dot));
        self.clock.merge(context);
        self.clock.add(sibling.dot);
        self.siblings.push(sibling);
        self.siblings.sort_unstable_by_key(|sibling| sibling.dot);
        self.assert_sound();
    }

    /// The invariant of the type. What is read is checked before it becomes an object, so that
    /// whoever breaks it is this program: then it must not be stored or sent on.
    ///
    /// # Panics
    /// When it does not hold.
    pub(crate) fn assert_sound(&self) {
        let dots = self.siblings.iter().map(|sibling| sibling.dot);
        let Self { clock, siblings } = self;
        let named = || siblings.iter().map(|sibling| sibling.dot).collect::<Vec<_>>();
        assert!(are_sound(clock, dots), "values {:?} under the clock {clock:?}", named());
    }

    /// Keeps only the newest value, by time and then by dot: what buckets without `allow_mult` do
    /// with siblings.
    pub fn resolve_to_newest(&mut self) {
        if let Some(newest) = self.newest().map(|sibling| sibling.dot) {
            self.siblings.retain(|sibling| sibling.dot == newest);
        }
    }

    /// The newest value, by time and then by dot.
    pub fn newest(&self) -> Option<&Sibling> {
        self.siblings.iter().max_by_key(|sibling| (sibling.last_modified, sibling.dot))
    }

    /// Whether every value marks a deletion.
    pub fn is_tombstone(&self) -> bool {
        self.siblings.iter().all(|sibling| sibling.deleted)
    }

    /// When the newest value was written, in microseconds since the Unix epoch; 0 without values.
    pub fn last_modified(&self) -> u64 {
        self.newest().map_or(0, |sibling| sibling.last_modified)
    }

    /// The entity tag of the whole object: of its only value, or of the clock when there are
    /// several.
    pub fn etag(&self) -> String {
        match self.siblings.as_slice() {
            [only] => only.vtag(),
            _ => base62(&Sha1::digest(self.clock.to_header())[..16]),
        }
    }

    /// The index entries, field and term, of all values that do not mark a deletion.
    pub fn index_entries(&self) -> BTreeSet<(String, IndexValue)> {
        let live = self.siblings.iter().filter(|sibling| !sibling.deleted);
        live.flat_map(|sibling| &sibling.metadata.indexes).cloned().collect()
    }

    /// Whether a value that does not mark a deletion has the term in the index `field`.
    pub fn has_term(&self, field: &str, term: &IndexValue) -> bool {
        let has = |(other, value): &(String, IndexValue)| other == field && value == term;
        self.siblings.iter().any(|s| !s.deleted && s.metadata.indexes.iter().any(has))
    }

    /// Sum of the sizes of all bodies, in bytes, but for those in blocks.
    pub fn body_bytes(&self) -> usize {
        self.siblings.iter().map(|sibling| sibling.body.len()).sum()
    }
}

/// Whether these can be the dots of an object's values: none twice, in order, all covered.
pub(crate) fn are_sound(clock: &VersionVector, dots: impl Iterator<Item = Dot> + Clone) -> bool {
    (dots.clone().is_sorted_by(|one, next| one < next)
        && dots.into_iter().all(|dot| clock.covers(dot)))
        || crate::failpoint!(ReusedDot)
}

const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Big-endian bytes as a number in base 62 (digits, upper case, lower case), as Riak writes vtags
/// and generated keys.
pub fn base62(bytes: &[u8]) -> String {
    /// 62 to the fifth: what is left of a division by it has five digits.
    const FIVE: u64 = 62 * 62 * 62 * 62 * 62;
    let limb = |chunk: &[u8]| chunk.iter().fold(0, |limb, &byte| limb << 8 | u64::from(byte));
    let mut limbs: Vec<u64> = bytes.rchunks(4).rev().map(limb).collect();
    let mut text = Vec::with_capacity(bytes.len() * 3 / 2 + 5);
    while limbs.iter().any(|&limb| limb != 0) {
        let mut rest = 0;
        for limb in &mut limbs {
            let value = rest << 32 | *limb;
            (*limb, rest) = (value / FIVE, value % FIVE);
        }
        for _ in 0..5 {
            text.push(BASE_62[usize::try_from(rest % 62).unwrap_or(0)]);
            rest /= 62;
        }
    }
    while text.last() == Some(&b'0') {
        text.pop();
    }
    if text.is_empty() {
        text.push(b'0');
    }
    text.reverse();
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::ActorId;

    fn sibling(actor: u64, counter: u64) -> Sibling {
        Sibling {
            dot: Dot { actor: ActorId(actor), counter },
            last_modified: counter,
            deleted: false,
            metadata: Metadata::default(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn base62_text() {
        assert_eq!(base62(&[0]), "0");
        assert_eq!(base62(&[61]), "z");
        assert_eq!(base62(&[1, 0]), "48");
        assert_eq!(base62(&[0, 0, 0, 0, 0]), "0");
        assert_eq!(base62(&[1, 0, 0, 0, 0]), "4gfFC4");
        assert_eq!(base62(&[]), "0");
        assert_eq!(base62(&(62u128.pow(10)).to_be_bytes()), "10000000000");
        assert_eq!(base62(&(62u128.pow(20) - 1).to_be_bytes()), "z".repeat(20));
        assert_eq!(base62(&[0xff; 16]), "7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(base62(&[0; 20]), "0");
    }

    #[test]
    fn concurrent_writes_stay_and_seen_ones_go() {
        let mut left = Object::default();
        left.update(&VersionVector::new(), sibling(1, 1));
        let mut right = left.clone();
        let context = left.clock.clone();
        left.update(&context, sibling(1, 2));
        right.update(&context, sibling(2, 1));
        left.merge(&right);
        assert_eq!(left.siblings, vec![sibling(1, 2), sibling(2, 1)]);
        let context = left.clock.clone();
        left.update(&context, sibling(2, 2));
        left.merge(&right);
        assert_eq!(left.siblings, vec![sibling(2, 2)]);
    }

    /// Replays steps over three replicas: each writes with the context of a (perhaps stale)
    /// replica, or takes another replica's state.
    fn replay(steps: &[(u8, u8, bool)]) -> Vec<Object> {
        let mut replicas = vec![Object::default(); 3];
        let mut counters = [0u64; 3];
        for &(at, with, write) in steps {
            let (at, with) = (usize::from(at % 3), usize::from(with % 3));
            if write {
                counters[at] += 1;
                let context = replicas[with].clock.clone();
                replicas[at].update(&context, sibling(at as u64, counters[at]));
            } else {
                let other = replicas[with].clone();
                replicas[at].merge(&other);
            }
        }
        replicas
    }

    proptest! {
        #[test]
        fn short_numbers_are_written_like_long_ones(bytes: [u8; 16], from in 0..16usize) {
            let long = [&[0; 8], &bytes[from..]].concat();
            prop_assert_eq!(base62(&bytes[from..]), base62(&[&[0; 16], &long[..]].concat()));
        }

        #[test]
        fn merge_is_a_join(steps in proptest::collection::vec(any::<(u8, u8, bool)>(), 0..40)) {
            let replicas = replay(&steps);
            let join = |left: &Object, right: &Object| {
                let mut out = left.clone();
                out.merge(right);
                out
            };
            let [a, b, c] = &replicas[..] else { unreachable!() };
            prop_assert_eq!(join(a, b), join(b, a));
            prop_assert_eq!(join(&join(a, b), c), join(a, &join(b, c)));
            prop_assert_eq!(&join(a, a), a);
            for object in &replicas {
                prop_assert!(object.siblings.iter().all(|s| object.clock.covers(s.dot)));
            }
        }
    }
}
