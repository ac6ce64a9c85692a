//! Keys as sled stores them: bytes whose order is the order of (home, type, bucket, key).
//!
//! A key is a space, the home partition in big-endian order, and the three parts of the object's
//! name. Each part is escaped and ends in a zero byte: 0 becomes `1 1` and 1 becomes `1 2`, so that
//! no part contains the end, and a part sorts before its continuations. Entries of secondary
//! indexes have a space of their own: see [`crate::term`].

use std::ops::Bound;

use bytes::Bytes;
use mapring_types::{BucketId, ObjectId};

use crate::{ScanRange, StoreKey};

/// Head records: one an object.
pub(crate) const HEADS: u8 = 1;
/// Chunks: the name, the generation and the chunk's number.
const CHUNKS: u8 = 2;
/// Notes about objects whose chunks are being changed.
pub(crate) const NOTES: u8 = 3;
/// Entries of secondary indexes.
pub(crate) const TERMS: u8 = 4;
/// Which files belong to an object: the name and the file's number.
const FILES: u8 = 5;

const END: u8 = 0;
const ESCAPE: u8 = 1;

/// The key of an object's head record.
pub(crate) fn head(key: &StoreKey) -> Vec<u8> {
    let names = [&key.id.bucket.bucket_type, &key.id.bucket.name, &key.id.key];
    let mut out = Vec::with_capacity(6 + names.iter().map(|name| name.len()).sum::<usize>());
    out.push(HEADS);
    out.extend_from_slice(&key.home.to_be_bytes());
    names.into_iter().for_each(|name| push(&mut out, name));
    out
}

/// The key of the note about the object whose head record has the key `head`.
pub(crate) fn note(head: &[u8]) -> Vec<u8> {
    in_space(NOTES, head)
}

/// The head record's key of the object that a note is about.
pub(crate) fn head_of_note(note: &[u8]) -> Vec<u8> {
    in_space(HEADS, note)
}

/// The beginning of the keys of all chunks of an object.
pub(crate) fn chunks(head: &[u8]) -> Vec<u8> {
    in_space(CHUNKS, head)
}

/// The key of a chunk.
pub(crate) fn chunk(head: &[u8], generation: u64, number: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 12);
    out.push(CHUNKS);
    out.extend_from_slice(head.get(1..).unwrap_or_default());
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out
}

/// The generation that a chunk's key names.
pub(crate) fn generation_of_chunk(chunk: &[u8]) -> Option<u64> {
    let at = chunk.len().checked_sub(12)?;
    Some(u64::from_be_bytes(chunk.get(at..at + 8)?.try_into().ok()?))
}

/// The beginning of the keys of all files of an object.
pub(crate) fn files(head: &[u8]) -> Vec<u8> {
    in_space(FILES, head)
}

/// The key of the entry of a file.
pub(crate) fn file(head: &[u8], number: u64) -> Vec<u8> {
    let mut out = files(head);
    out.extend_from_slice(&number.to_be_bytes());
    out
}

/// The object's head record's key, and the number of the file, that the key of a file's entry names.
pub(crate) fn of_file(file: &[u8]) -> Option<(Vec<u8>, u64)> {
    let (name, number) = file.split_last_chunk::<8>()?;
    Some((in_space(HEADS, name), u64::from_be_bytes(*number)))
}

/// All keys of entries of files.
pub(crate) fn all_files() -> [u8; 1] {
    [FILES]
}

/// All keys of chunks.
pub(crate) fn all_chunks() -> [u8; 1] {
    [CHUNKS]
}

/// The keys of the head records of a range: from, to.
pub(crate) fn bounds(range: &ScanRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut prefix = vec![HEADS];
    prefix.extend_from_slice(&range.home.to_be_bytes());
    let mut from = prefix.clone();
    let mut end = past(prefix.clone());
    if let Some(bucket) = &range.bucket {
        push(&mut prefix, &bucket.bucket_type);
        push(&mut prefix, &bucket.name);
        let key = |key: &[u8]| {
            let mut out = prefix.clone();
            push(&mut out, key);
            out
        };
        from = range.from.as_ref().map_or_else(|| prefix.clone(), |first| key(first));
        // No key lies between a name and what is past it.
        end = past(range.to.as_ref().map_or_else(|| prefix.clone(), |last| key(last)));
    }
    let after = range.after.as_ref().map(|id| head(&StoreKey { home: range.home, id: id.clone() }));
    between(from, after, end)
}

/// The keys from `from` on, and behind `after`, up to before `end`.
pub(crate) fn between(
    from: Vec<u8>,
    after: Option<Vec<u8>>,
    end: Vec<u8>,
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let begin = match after {
        Some(after) if after >= from => Bound::Excluded(after),
        _ => Bound::Included(from),
    };
    // An empty range in words that every map takes.
    let end = match &begin {
        Bound::Included(begin) | Bound::Excluded(begin) if *begin > end => begin.clone(),
        _ => end,
    };
    (begin, Bound::Excluded(end))
}

/// The first bytes that are behind all that begin with `prefix`, of the same length or shorter: the
/// space and the home partition carry over.
pub(crate) fn past(prefix: Vec<u8>) -> Vec<u8> {
    let mut end = prefix;
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// Reads keys of head records one after another, sharing the bucket between neighbours.
#[derive(Default)]
pub(crate) struct Reader {
    /// The last bucket, with the bytes that it was read from.
    last: Option<(Vec<u8>, BucketId)>,
}

impl Reader {
    /// The key's meaning; `None` when the bytes are no such key.
    pub(crate) fn read(&mut self, key: &[u8]) -> Option<StoreKey> {
        let (home, names) = key.strip_prefix(&[HEADS])?.split_first_chunk::<2>()?;
        let home = u16::from_be_bytes(*home);
        if let Some((bytes, bucket)) = &self.last
            && let Some(rest) = names.strip_prefix(bytes.as_slice())
        {
            let id = ObjectId::new(bucket.clone(), last_part(rest)?);
            return Some(StoreKey { home, id });
        }
        let (bucket_type, rest) = part(names)?;
        let (name, rest) = part(rest)?;
        let bucket = BucketId { bucket_type, name };
        let id = ObjectId::new(bucket.clone(), last_part(rest)?);
        self.last = Some((names.get(..names.len() - rest.len())?.to_vec(), bucket));
        Some(StoreKey { home, id })
    }
}

fn in_space(space: u8, key: &[u8]) -> Vec<u8> {
    let mut out = key.to_vec();
    if let Some(first) = out.first_mut() {
        *first = space;
    }
    out
}

/// Adds a part: escaped, with its end.
pub(crate) fn push(out: &mut Vec<u8>, part: &[u8]) {
    for &byte in part {
        if byte <= ESCAPE {
            out.push(ESCAPE);
            out.push(byte + 1);
        } else {
            out.push(byte);
        }
    }
    out.push(END);
}

/// The first part of `bytes`, and what follows it.
pub(crate) fn part(bytes: &[u8]) -> Option<(Bytes, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == END)?;
    let (part, rest) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    if !part.contains(&ESCAPE) {
        return Some((Bytes::copy_from_slice(part), rest));
    }
    let mut out = Vec::with_capacity(part.len());
    let mut escaped = part.iter();
    while let Some(&byte) = escaped.next() {
        out.push(match byte {
            ESCAPE => escaped.next()?.checked_sub(1).filter(|&byte| byte <= ESCAPE)?,
            other => other,
        });
    }
    Some((out.into(), rest))
}

/// The part that `bytes` are, all of them.
pub(crate) fn last_part(bytes: &[u8]) -> Option<Bytes> {
    part(bytes).filter(|(_, rest)| rest.is_empty()).map(|(part, _)| part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = Bytes> {
        let byte = prop_oneof![0..4_u8, Just(254_u8), Just(255_u8)];
        prop::collection::vec(byte, 0..5).prop_map(Bytes::from)
    }

    fn store_key() -> impl Strategy<Value = StoreKey> {
        let home = prop_oneof![0..3_u16, 254..258_u16, Just(u16::MAX)];
        (home, name(), name(), name()).prop_map(|(home, bucket_type, name, key)| StoreKey {
            home,
            id: ObjectId::new(BucketId { bucket_type, name }, key),
        })
    }

    fn contains(bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>), key: &[u8]) -> bool {
        use std::ops::RangeBounds;
        let borrow = |bound: &Bound<Vec<u8>>| bound.clone();
        (borrow(&bounds.0), borrow(&bounds.1)).contains(&key.to_vec())
    }

    proptest! {
        #[test]
        fn keys_keep_order_and_come_back(left in store_key(), right in store_key()) {
            let mut reader = Reader::default();
            prop_assert_eq!(head(&left).cmp(&head(&right)), left.cmp(&right));
            prop_assert_eq!(reader.read(&head(&left)), Some(left));
            prop_assert_eq!(reader.read(&head(&right)), Some(right));
        }

        #[test]
        fn bounds_hold_exactly_the_range(
            key in store_key(),
            range in (store_key(), any::<bool>(), prop::option::of(store_key())),
            keys in (prop::option::of(name()), prop::option::of(name())),
        ) {
            let (place, whole_home, after) = range;
            let range = ScanRange {
                home: place.home,
                bucket: (!whole_home).then_some(place.id.bucket),
                after: after.map(|key| key.id),
                from: keys.0,
                to: keys.1,
            };
            let inside = |range: &ScanRange, key: &StoreKey| match &range.bucket {
                None => true,
                Some(bucket) => {
                    *bucket == key.id.bucket
                        && range.from.as_ref().is_none_or(|from| *from <= key.id.key)
                        && range.to.as_ref().is_none_or(|to| key.id.key <= *to)
                }
            };
            let expect = key.home == range.home
                && inside(&range, &key)
                && range.after.as_ref().is_none_or(|after| *after < key.id);
            prop_assert_eq!(contains(&bounds(&range), &head(&key)), expect);
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(0..4_u8, 0..24)) {
            if let Some(key) = Reader::default().read(&bytes) {
                prop_assert_eq!(head(&key), bytes);
            }
        }
    }

    #[test]
    fn an_objects_records_lie_in_their_spaces() {
        let key = StoreKey { home: 5, id: ObjectId::new(BucketId::untyped("b"), "k") };
        let head = head(&key);
        assert_eq!(head, b"\x01\0\x05default\0b\0k\0");
        assert_eq!(head_of_note(&note(&head)), head);
        let chunk = chunk(&head, 7, 1);
        assert!(chunk.starts_with(&chunks(&head)) && chunk.starts_with(&all_chunks()));
        assert_eq!(generation_of_chunk(&chunk), Some(7));
        assert_eq!(generation_of_chunk(b"short"), None);
        let file = file(&head, 9);
        assert!(file.starts_with(&files(&head)) && file.starts_with(&all_files()));
        assert_eq!(of_file(&file), Some((head, 9)));
        assert_eq!(of_file(b"short"), None);
    }
}
