//! Paths: how they are split and decoded, and which resource each names (facts R1 to R6).

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

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/`.
    Root,
    /// `/ping`.
    Ping,
    /// `/stats`.
    Stats,
    /// `/metrics`.
    Metrics,
    /// `/admin/cluster`.
    AdminCluster,
    /// `/admin/cluster/choose/NODE`.
    AdminChoose(Bytes),
    /// `/admin/ready`.
    AdminReady,
    /// `/admin/live`.
    AdminLive,
    /// `/admin/members/NODE`.
    AdminMember(Bytes),
    /// `/admin/repair/NODE`.
    AdminRepair(Bytes),
    /// `/admin/bucket-types`.
    AdminBucketTypes,
    /// `/admin/bucket-types/T`.
    AdminBucketType(Bytes),
    /// `/admin/queries`.
    AdminQueries,
    /// `/admin/queries/ID`.
    AdminQuery(Bytes),
    /// `/mapred`.
    Mapred,
    /// `/types/T/props`.
    TypeProps(Bytes),
    /// `/buckets`, `/riak`, `/types/T/buckets`, with the bucket type.
    Buckets(Bytes),
    /// `/riak/B`: keys, properties or a new object, by method and parameters.
    OldBucket(BucketId),
    /// `…/buckets/B/props`.
    Props(BucketId),
    /// `…/buckets/B/keys`.
    Keys(BucketId, Style),
    /// An object.
    Object(ObjectId, Style),
    /// `…/keys/K/preflist`.
    PreferenceList(ObjectId),
    /// An object and the steps of a walk along its links.
    LinkWalk(Vec<Bytes>),
    /// Nothing known.
    Unknown,
}

/// Names the resource of a path as it stands in the request line. Empty segments do not count, so
/// doubled and trailing slashes do not matter.
pub fn route(path: &str) -> Route {
    let raw = path.split('/').filter(|segment| !segment.is_empty());
    if let Some(object) = plain_object(raw.clone()) {
        return object;
    }
    let segments: Vec<Bytes> = raw.map(decode_segment).collect();
    let words: Vec<&[u8]> = segments.iter().map(AsRef::as_ref).collect();
    let take = |at: usize| segments.get(at).cloned().unwrap_or_default();
    match words.as_slice() {
        [] => Route::Root,
        [b"ping"] => Route::Ping,
        [b"stats"] => Route::Stats,
        [b"metrics"] => Route::Metrics,
        [b"mapred"] => Route::Mapred,
        [b"admin", b"cluster"] => Route::AdminCluster,
        [b"admin", b"cluster", b"choose", _] => Route::AdminChoose(take(3)),
        [b"admin", b"ready"] => Route::AdminReady,
        [b"admin", b"live"] => Route::AdminLive,
        [b"admin", b"members", _] => Route::AdminMember(take(2)),
        [b"admin", b"repair", _] => Route::AdminRepair(take(2)),
        [b"admin", b"bucket-types"] => Route::AdminBucketTypes,
        [b"admin", b"bucket-types", _] => Route::AdminBucketType(take(2)),
        [b"admin", b"queries"] => Route::AdminQueries,
        [b"admin", b"queries", _] => Route::AdminQuery(take(2)),
        [b"riak"] => Route::Buckets(default_type()),
        [b"riak", _] => Route::OldBucket(BucketId::untyped(take(1))),
        [b"riak", _, _, ..] => {
            let id = ObjectId::new(BucketId::untyped(take(1)), take(2));
            below_key(id, Style::Old, segments.get(3..).unwrap_or_default())
        }
        [b"buckets", rest @ ..] => {
            below_buckets(default_type(), Style::New, rest.len(), segments.get(1..))
        }
        [b"types", _, b"props"] => Route::TypeProps(take(1)),
        [b"types", _, b"buckets", rest @ ..] => {
            below_buckets(take(1), Style::Typed, rest.len(), segments.get(3..))
        }
        _ => Route::Unknown,
    }
}

/// An object, if its path is written as most clients write it.
fn plain_object<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Route> {
    let style = match segments.next()? {
        "buckets" => Style::New,
        "riak" => Style::Old,
        _ => return None,
    };
    let bucket = segments.next()?;
    if style == Style::New && segments.next()? != "keys" {
        return None;
    }
    let key = segments.next()?;
    if segments.next().is_some() {
        return None;
    }
    let bucket = BucketId::untyped(decode_segment(bucket));
    Some(Route::Object(ObjectId::new(bucket, decode_segment(key)), style))
}

fn default_type() -> Bytes {
    Bytes::from_static(mapring_types::name::DEFAULT_TYPE)
}

/// What follows `/buckets` or `/types/T/buckets`.
fn below_buckets(
    bucket_type: Bytes,
    style: Style,
    length: usize,
    segments: Option<&[Bytes]>,
) -> Route {
    let segments = segments.unwrap_or_default();
    if length == 0 {
        return Route::Buckets(bucket_type);
    }
    let Some((name, rest)) = segments.split_first() else { return Route::Unknown };
    let bucket = BucketId::typed(bucket_type, name.clone());
    let Some((word, rest)) = rest.split_first() else { return Route::Unknown };
    match (word.as_ref(), rest.split_first()) {
        (b"props", None) => Route::Props(bucket),
        (b"keys", None) => Route::Keys(bucket, style),
        (b"keys", Some((key, rest))) => below_key(ObjectId::new(bucket, key.clone()), style, rest),
        _ => Route::Unknown,
    }
}

fn below_key(id: ObjectId, style: Style, rest: &[Bytes]) -> Route {
    match rest {
        [] => Route::Object(id, style),
        [word] if word.as_ref() == b"preflist" && style != Style::Old => Route::PreferenceList(id),
        steps => Route::LinkWalk(steps.to_vec()),
    }
}

/// Decodes a name in a URL: `%xx` and `+`. What looks like an escape and is none stays as it is:
/// clients write names like `100%` without care.
pub fn decode_segment(raw: &str) -> Bytes {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
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

/// Whether a step of a link walk is well formed: three comma-separated words, none empty.
pub fn is_link_step(step: &[u8]) -> bool {
    step.split(|&byte| byte == b',').filter(|word| !word.is_empty()).count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untyped(bucket: &'static str, key: &'static str) -> ObjectId {
        ObjectId::new(BucketId::untyped(bucket), key)
    }

    #[track_caller]
    fn check(path: &str, expect: &Route) {
        assert_eq!(route(path), *expect, "{path}");
    }

    #[test]
    fn paths_name_resources() {
        check("/", &Route::Root);
        check("//", &Route::Root);
        check("/ping/", &Route::Ping);
        check("/mapred/", &Route::Mapred);
        check("/admin/cluster/choose/n1", &Route::AdminChoose("n1".into()));
        check("/admin/queries/", &Route::AdminQueries);
        check("/admin/queries/1-2", &Route::AdminQuery("1-2".into()));
        check("/riak", &Route::Buckets(default_type()));
        check("/buckets//", &Route::Buckets(default_type()));
        check("/types/t/buckets", &Route::Buckets("t".into()));
        check("/types/t/props", &Route::TypeProps("t".into()));
        check("/types/t", &Route::Unknown);
        check("/buckets/b", &Route::Unknown);
        check("/riak/b", &Route::OldBucket(BucketId::untyped("b")));
        check("/riak/b/k", &Route::Object(untyped("b", "k"), Style::Old));
        check("/buckets/b/props", &Route::Props(BucketId::untyped("b")));
        check("/buckets/b/keys/", &Route::Keys(BucketId::untyped("b"), Style::New));
        check("/buckets/b/keys/k/", &Route::Object(untyped("b", "k"), Style::New));
        let typed = ObjectId::new(BucketId::typed("t", "b"), "k");
        check("/types/t/buckets/b/keys/k", &Route::Object(typed, Style::Typed));
        check("/types/default/buckets/b/keys/k", &Route::Object(untyped("b", "k"), Style::Typed));
        check("/buckets/b/keys/k/preflist", &Route::PreferenceList(untyped("b", "k")));
        check("/riak/b/k/_,_,1", &Route::LinkWalk(vec!["_,_,1".into()]));
        check("/buckets/b/index/f/v", &Route::Unknown);
        check("/buckets/b/keys/100%", &Route::Object(untyped("b", "100%"), Style::New));
    }

    #[test]
    fn names_are_decoded_as_bytes() {
        check("/buckets/a+b/keys/c%2Fd%20e", &Route::Object(untyped("a b", "c/d e"), Style::New));
        let raw = ObjectId::new(BucketId::untyped("b"), &b"\xff%"[..]);
        check("/riak/b/%ff%25", &Route::Object(raw, Style::Old));
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

    #[test]
    fn steps_have_three_words() {
        for (step, expect) in [("_,_,1", true), ("b,t,_", true), ("b", false), ("b,,1", false)] {
            assert_eq!(is_link_step(step.as_bytes()), expect, "{step}");
        }
    }
}
