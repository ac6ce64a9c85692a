//! Entries of secondary indexes: what they say, and their keys in sled.
//!
//! A key is the space, the home partition, type, bucket and field as in [`crate::key`], the term and
//! the object's key. Terms are written so that their bytes have the terms' order: of a number the
//! sign, how many digits it has, and the digits, all complemented for a negative one; of other terms
//! the escaped bytes.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use mapring_types::{BucketId, IndexValue, Object};

use crate::StoreKey;
use crate::key::{self, between, past, push};

/// The field and the term of an entry.
pub type IndexEntry = (String, IndexValue);

/// What a write changes in the secondary indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexChange {
    /// Entries that the object gets.
    pub add: Vec<IndexEntry>,
    /// Entries that it loses.
    pub remove: Vec<IndexEntry>,
}

impl IndexChange {
    /// No change.
    pub const NONE: Self = Self { add: Vec::new(), remove: Vec::new() };

    /// What changes when `after` takes the place of `before`. Every value that does not mark a
    /// deletion has its entries, also one that readers do not see because its bucket keeps no
    /// siblings: the bucket may keep them from tomorrow on.
    pub fn between(before: Option<&Object>, after: Option<&Object>) -> Self {
        let entries = |object: Option<&Object>| object.map(Object::index_entries);
        Self::of(&entries(before).unwrap_or_default(), &entries(after).unwrap_or_default())
    }

    /// What changes when an object has the entries `after` in place of `before`.
    pub fn of(before: &BTreeSet<IndexEntry>, after: &BTreeSet<IndexEntry>) -> Self {
        Self {
            add: after.difference(before).cloned().collect(),
            remove: before.difference(after).cloned().collect(),
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Bytes of what is added.
    pub(crate) fn added_bytes(&self) -> usize {
        self.add.iter().map(|(field, term)| field.len() + term.as_bytes().len()).sum()
    }
}

/// What a scan of an index covers, both ends included. Ordered by (term, key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermRange {
    /// The home partition to scan.
    pub home: u16,
    /// The bucket.
    pub bucket: BucketId,
    /// The index.
    pub field: String,
    /// The first term.
    pub from: IndexValue,
    /// The last term.
    pub to: IndexValue,
    /// Start strictly after this place; `None` from the beginning.
    pub after: Option<TermPlace>,
}

/// A place in an index: a term and the key of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermPlace {
    /// The term.
    pub term: IndexValue,
    /// The object's key.
    pub key: Bytes,
}

impl TermPlace {
    /// Bytes that have the order of the places.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.term.as_bytes().len() + self.key.len() + 8);
        push_term(&mut out, &self.term);
        push(&mut out, &self.key);
        out.into()
    }

    /// Reads what [`TermPlace::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (term, rest) = term(bytes)?;
        Some(Self { term, key: key::last_part(rest)? })
    }
}

/// The key of an entry.
pub(crate) fn entry(place: &StoreKey, (field, term): &IndexEntry) -> Vec<u8> {
    let mut out = index(place.home, &place.id.bucket, field);
    push_term(&mut out, term);
    push(&mut out, &place.id.key);
    out
}

/// The keys of the entries of a range: from, to.
pub(crate) fn bounds(range: &TermRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let prefix = index(range.home, &range.bucket, &range.field);
    let at = |term: &IndexValue| {
        let mut out = prefix.clone();
        push_term(&mut out, term);
        out
    };
    let after = range.after.as_ref().map(|after| {
        let mut out = at(&after.term);
        push(&mut out, &after.key);
        out
    });
    between(at(&range.from), after, past(at(&range.to)))
}

/// How many bytes of the keys of a range are the same in all of them.
pub(crate) fn common_bytes(range: &TermRange) -> usize {
    index(range.home, &range.bucket, &range.field).len()
}

/// The beginning of the keys of all entries of an index.
fn index(home: u16, bucket: &BucketId, field: &str) -> Vec<u8> {
    let names = [&bucket.bucket_type[..], &bucket.name, field.as_bytes()];
    let mut out = Vec::with_capacity(64 + names.iter().map(|name| name.len()).sum::<usize>());
    out.push(key::TERMS);
    out.extend_from_slice(&home.to_be_bytes());
    names.into_iter().for_each(|name| push(&mut out, name));
    out
}

/// Kinds of terms, in their order.
const NEGATIVE: u8 = 1;
const POSITIVE: u8 = 2;
const BYTES: u8 = 3;

fn push_term(out: &mut Vec<u8>, term: &IndexValue) {
    let text = match term {
        IndexValue::Bin(bytes) => {
            out.push(BYTES);
            return push(out, bytes);
        }
        IndexValue::Int(text) => text,
    };
    // Four bytes are enough for what fits into memory as a part of a message.
    let length = |digits: &str| u32::try_from(digits.len()).unwrap_or(u32::MAX);
    match text.strip_prefix('-') {
        None => {
            out.push(POSITIVE);
            out.extend_from_slice(&length(text).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Some(digits) => {
            out.push(NEGATIVE);
            out.extend_from_slice(&(!length(digits)).to_be_bytes());
            out.extend(digits.bytes().map(|byte| !byte));
        }
    }
}

/// The term at the beginning of `bytes`, and what follows it.
fn term(bytes: &[u8]) -> Option<(IndexValue, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    if kind == BYTES {
        let (term, rest) = key::part(rest)?;
        return Some((IndexValue::Bin(term), rest));
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    let (length, complemented) = match kind {
        POSITIVE => (length, false),
        NEGATIVE => (!length, true),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let mut text = Vec::with_capacity(digits.len() + 1);
    if complemented {
        text.push(b'-');
        text.extend(digits.iter().map(|byte| !byte));
    } else if digits.first() == Some(&b'-') {
        // That is not how it is written.
        return None;
    } else {
        text.extend_from_slice(digits);
    }
    Some((IndexValue::Int(String::from_utf8(text).ok()?), rest))
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use mapring_types::{ActorId, Dot, Metadata, ObjectId, Sibling};
    use proptest::prelude::*;

    use super::*;

    fn digits() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<i8>().prop_map(|number| number.to_string()),
            any::<i128>().prop_map(|number| number.to_string()),
            ("-?[1-9]", prop::sample::select(&[0, 1, 2, 254, 255, 256, 700][..]), "[0-9]{3}")
                .prop_map(|(first, more, last)| format!("{first}{}{last}", "7".repeat(more))),
        ]
    }

    fn some_term() -> impl Strategy<Value = IndexValue> {
        let bytes = prop::collection::vec(prop_oneof![0..4_u8, Just(254), Just(255)], 0..5);
        prop_oneof![
            digits().prop_map(IndexValue::Int),
            bytes.prop_map(|bytes| IndexValue::Bin(bytes.into())),
        ]
    }

    fn some_place() -> impl Strategy<Value = TermPlace> {
        let key = prop::collection::vec(prop_oneof![0..3_u8, Just(255)], 0..3);
        (some_term(), key).prop_map(|(term, key)| TermPlace { term, key: key.into() })
    }

    /// Numbers compared digit by digit from the end, as one does by hand.
    fn by_hand(left: &str, right: &str) -> std::cmp::Ordering {
        let parts = |text: &str| {
            let digits =
                text.trim_start_matches('-').bytes().map(|b| i8::try_from(b - b'0').unwrap());
            let sign = if text.starts_with('-') { -1 } else { 1 };
            digits.rev().map(|digit| digit * sign).collect::<Vec<i8>>()
        };
        let (left, right) = (parts(left), parts(right));
        let at = |digits: &[i8], at: usize| digits.get(at).copied().unwrap_or(0);
        let places = (0..left.len().max(right.len())).rev();
        // The difference of two numbers has the sign of its first place, carrying down from it.
        let mut difference = 0_i64;
        for place in places {
            difference = difference * 10 + i64::from(at(&left, place) - at(&right, place));
            if difference.abs() > 100 {
                return difference.cmp(&0);
            }
        }
        difference.cmp(&0)
    }

    proptest! {
        #[test]
        fn numbers_lie_in_their_order(left in digits(), right in digits()) {
            let key = |text: &str| {
                let term = IndexValue::Int(text.to_owned());
                TermPlace { term, key: Bytes::new() }.to_bytes()
            };
            prop_assert_eq!(key(&left).cmp(&key(&right)), by_hand(&left, &right));
        }

        #[test]
        fn places_keep_order_and_come_back(left in some_place(), right in some_place()) {
            prop_assert_eq!(left.to_bytes().cmp(&right.to_bytes()), left.cmp(&right));
            prop_assert_eq!(TermPlace::from_bytes(&left.to_bytes()), Some(left));
        }

        #[test]
        fn bounds_hold_exactly_the_range(
            at in some_place(),
            ends in (some_term(), some_term()),
            after in prop::option::of(some_place()),
            elsewhere in 0..8_u8,
        ) {
            let range = TermRange {
                home: 255,
                bucket: BucketId::untyped("b"),
                field: "f".into(),
                from: ends.0,
                to: ends.1,
                after,
            };
            let home = if elsewhere == 1 { 256 } else { 255 };
            let bucket = if elsewhere == 2 { "b\0" } else { "b" };
            let field = if elsewhere == 3 { "f\u{1}" } else { "f" };
            let object = ObjectId::new(BucketId::untyped(bucket), at.key.clone());
            let key = entry(&StoreKey { home, id: object }, &(field.to_owned(), at.term.clone()));
            let expect = !(1..4).contains(&elsewhere)
                && range.from <= at.term
                && at.term <= range.to
                && range.after.as_ref().is_none_or(|after| *after < at);
            let (from, to) = bounds(&range);
            prop_assert_eq!((from, to).contains(&key), expect);
            if expect {
                prop_assert_eq!(TermPlace::from_bytes(&key[common_bytes(&range)..]), Some(at));
            }
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(0..4_u8, 0..24)) {
            if let Some(place) = TermPlace::from_bytes(&bytes) {
                prop_assert_eq!(&place.to_bytes()[..], &bytes[..]);
            }
        }
    }

    fn object(values: &[(&[&str], bool)]) -> Object {
        let siblings = (1..).zip(values).map(|(counter, (terms, deleted))| Sibling {
            dot: Dot { actor: ActorId(1), counter },
            last_modified: counter,
            deleted: *deleted,
            metadata: Metadata {
                indexes: terms
                    .iter()
                    .map(|term| ("f".into(), IndexValue::Int((*term).into())))
                    .collect(),
                ..Metadata::default()
            },
            body: Bytes::new(),
        });
        Object { siblings: siblings.collect(), ..Object::default() }
    }

    #[test]
    fn a_change_is_the_difference_of_the_live_values() {
        let terms = |entries: &[IndexEntry]| {
            let texts = entries.iter().map(|(_, term)| String::from_utf8_lossy(term.as_bytes()));
            texts.collect::<Vec<_>>().join(" ")
        };
        let check = |before: Option<&Object>, after: Option<&Object>, add: &str, remove: &str| {
            let change = IndexChange::between(before, after);
            assert_eq!(
                (terms(&change.add).as_str(), terms(&change.remove).as_str()),
                (add, remove)
            );
            assert_eq!(change.is_empty(), add.is_empty() && remove.is_empty());
        };
        let one = object(&[(&["1", "2"], false)]);
        let two = object(&[(&["2", "10"], false), (&["3"], false)]);
        let dead = object(&[(&["1", "2"], true)]);
        check(None, Some(&one), "1 2", "");
        check(Some(&one), Some(&two), "3 10", "1");
        check(Some(&one), Some(&one), "", "");
        check(Some(&one), Some(&dead), "", "1 2");
        check(Some(&two), None, "", "2 3 10");
        check(Some(&dead), None, "", "");
        check(None, None, "", "");
    }
}
