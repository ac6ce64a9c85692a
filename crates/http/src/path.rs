//! Paths: how they are split and decoded, and the names in them (facts R1 to R6).

use bytes::Bytes;
use mapring_types::{BucketId, ObjectId};

/// How a URL names a bucket. Answers that contain URLs use the same style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `/riak/B/K`.
    Old,
    /// `/buckets/B/keys/K`.
    New,
    /// `/types/T/buckets/B/keys/K`.
    Typed,
}

/// The names in a path, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) style: Style,
    /// `{type}`, or else the default type, and `{bucket}`.
    pub(crate) bucket: BucketId,
    /// `{key}`.
    pub(crate) key: Bytes,
    /// `{name}`: of a node, or the id of a query or a job; `{field}`: of an index; `{count}`:
    /// a number.
    pub(crate) name: Bytes,
    /// `{step}`: of a pipeline.
    pub(crate) step: Bytes,
    /// `{*steps}`: the steps of a walk along links, or the terms of an index, with their escapes: a comma
    /// within a name has one.
    pub(crate) steps: Vec<Bytes>,
}

/// Ends a pattern for paths of any length.
const STEPS: &str = "{*steps}";

/// Whether a path, as it stands in the request line, is as `pattern` says: words, names in braces,
/// and at the end perhaps `{*steps}` for one segment or more. Empty segments do not count, so
/// doubled and trailing slashes do not matter; a word may be written with escapes.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let mut given = segments(path);
    for wanted in segments(pattern) {
        let Some(raw) = given.next() else { return false };
        if wanted == STEPS {
            return true;
        }
        if !wanted.starts_with('{') && !is_word(raw, wanted) {
            return false;
        }
    }
    given.next().is_none()
}

/// Whether the first segment of a path is one of some words.
pub(crate) fn begins(path: &str, words: &[&str]) -> bool {
    let first = segments(path).next();
    first.is_some_and(|first| words.iter().any(|word| is_word(first, word)))
}

/// The names in a path that is as `pattern` says.
pub(crate) fn names(pattern: &str, path: &str) -> Names {
    debug_assert!(matches(pattern, path), "{path} is not {pattern}");
    let (mut bucket_type, mut bucket) = (None, Bytes::new());
    let (mut key, mut name, mut step) = (Bytes::new(), Bytes::new(), Bytes::new());
    let mut steps = Vec::new();
    let mut given = segments(path);
    for wanted in segments(pattern) {
        let raw = given.next().unwrap_or_default();
        match wanted {
            "{type}" => bucket_type = Some(decode_segment(raw)),
            "{bucket}" => bucket = decode_segment(raw),
            "{key}" => key = decode_segment(raw),
            "{name}" | "{field}" | "{count}" => name = decode_segment(raw),
            "{step}" => step = decode_segment(raw),
            STEPS => {
                let rest = std::iter::once(raw).chain(&mut given);
                steps = rest.map(|raw| Bytes::copy_from_slice(raw.as_bytes())).collect();
            }
            _ => {}
        }
    }
    let style = match segments(pattern).next() {
        Some("riak") => Style::Old,
        Some("types") => Style::Typed,
        _ => Style::New,
    };
    let bucket = match bucket_type {
        Some(bucket_type) => BucketId::typed(bucket_type, bucket),
        None => BucketId::untyped(bucket),
    };
    Names { style, bucket, key, name, step, steps }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_word(raw: &str, word: &str) -> bool {
    raw == word || (has_escapes(raw) && decode_segment(raw) == word.as_bytes())
}

fn has_escapes(raw: &str) -> bool {
    raw.bytes().any(|byte| matches!(byte, b'%' | b'+'))
}

/// Decodes a name in a URL: `%xx` and `+`. What looks like an escape and is none stays as it is:
/// clients write names like `100%` without care.
pub fn decode_segment(raw: &str) -> Bytes {
    if !has_escapes(raw) {
        return Bytes::copy_from_slice(raw.as_bytes());
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, left @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push((high << 4) | low);
                    rest = left;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    out.into()
}

/// Decodes a name or value of a query string.
pub fn decode_text(raw: &str) -> String {
    String::from_utf8_lossy(&decode_segment(raw)).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Encodes a name for a URL: letters, digits and `-_.~` as they are, a space as `+`.
pub fn encode_segment(name: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => {
                out.push('%');
                out.push(char::from(HEX[usize::from(other >> 4)]));
                out.push(char::from(HEX[usize::from(other & 15)]));
            }
        }
    }
    out
}

/// The path of an object, as in `Location`.
pub fn object_path(id: &ObjectId, style: Style) -> String {
    let bucket = encode_segment(&id.bucket.name);
    let key = encode_segment(&id.key);
    match style {
        Style::Old => format!("/riak/{bucket}/{key}"),
        Style::New => format!("/buckets/{bucket}/keys/{key}"),
        Style::Typed => {
            let bucket_type = encode_segment(&id.bucket.bucket_type);
            format!("/types/{bucket_type}/buckets/{bucket}/keys/{key}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untyped(bucket: &'static str, key: &'static str) -> ObjectId {
        ObjectId::new(BucketId::untyped(bucket), key)
    }

    #[track_caller]
    fn check(pattern: &str, path: &str, expect: bool) {
        assert_eq!(matches(pattern, path), expect, "{path} and {pattern}");
    }

    #[test]
    fn words_are_matched_and_slashes_do_not_count() {
        check("/", "/", true);
        check("/", "//", true);
        check("/", "", true);
        check("/", "/x", false);
        check("/ping", "/ping/", true);
        check("/ping", "//ping", true);
        check("/ping", "/p%69ng", true);
        check("/ping", "/Ping", false);
        check("/ping", "/ping/x", false);
        check("/ping", "/", false);
        check("/ping", "/pin", false);
        check("/ping", "/%70%69%6e%67%2f", false);
    }

    #[test]
    fn names_stand_for_one_segment_and_steps_for_more() {
        check("/riak/{bucket}", "/riak/b", true);
        check("/riak/{bucket}", "/riak//b//", true);
        check("/riak/{bucket}", "/riak", false);
        check("/riak/{bucket}", "/riak/b/k", false);
        check("/riak/{bucket}/{key}/{*steps}", "/riak/b/k", false);
        check("/riak/{bucket}/{key}/{*steps}", "/riak/b/k/_,_,1", true);
        check("/riak/{bucket}/{key}/{*steps}", "/riak/b/k/x/y/z", true);
        let walk = names("/riak/{bucket}/{key}/{*steps}", "/riak/b/k/a%2Fb//c");
        assert_eq!(walk.steps, ["a%2Fb", "c"]);
    }

    #[track_caller]
    fn object(pattern: &str, path: &str, expect: (ObjectId, Style)) {
        let names = names(pattern, path);
        assert_eq!((ObjectId::new(names.bucket, names.key), names.style), expect, "{path}");
    }

    #[test]
    fn names_are_decoded_as_bytes() {
        let new = "/buckets/{bucket}/keys/{key}";
        object(new, "/buckets/a+b/keys/c%2Fd%20e", (untyped("a b", "c/d e"), Style::New));
        object(new, "/buckets/b/keys/100%", (untyped("b", "100%"), Style::New));
        let raw = ObjectId::new(BucketId::untyped("b"), &b"\xff%"[..]);
        object("/riak/{bucket}/{key}", "/riak/b/%ff%25", (raw, Style::Old));
        let typed = "/types/{type}/buckets/{bucket}/keys/{key}";
        let expect = ObjectId::new(BucketId::typed("t/u", "b"), "k");
        object(typed, "/types/t%2fu/buckets/b/keys/k", (expect, Style::Typed));
        object(typed, "/types/default/buckets/b/keys/k", (untyped("b", "k"), Style::Typed));
        assert_eq!(names("/admin/members/{name}", "/admin/members/n%201").name, "n 1");
        assert_eq!(decode_text("a%2Bb+c%zz"), "a+b c%zz");
    }

    #[test]
    fn names_come_back_as_they_went() {
        for name in [&b"plain-1_2.3~"[..], b"a b/c?d", b"\xc3\xa9\xff\x00", b"100%+"] {
            let encoded = encode_segment(name);
            assert_eq!(decode_segment(&encoded), name, "{encoded}");
        }
        assert_eq!(encode_segment(b"cr ud/x"), "cr+ud%2Fx");
        assert_eq!(object_path(&untyped("b c", "k"), Style::Old), "/riak/b+c/k");
    }
}
