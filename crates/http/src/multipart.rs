//! Multipart framing, byte for byte (facts R21, R69).

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use mapring_types::object::base62;
use mapring_types::{BucketId, Entropy, Sibling};

use crate::headers::{indexes, links, media};
use crate::path::Style;

/// 160 random bits as Riak writes them: 27 characters as a rule. Boundaries and generated keys.
pub fn random_name(entropy: &dyn Entropy) -> String {
    let mut bytes = Vec::with_capacity(24);
    for _ in 0..3 {
        bytes.extend_from_slice(&entropy.next_u64().to_be_bytes());
    }
    bytes.truncate(20);
    base62(&bytes)
}

/// The siblings of an object, each a part with its own headers.
pub fn siblings(siblings: &[Sibling], bucket: &BucketId, style: Style, boundary: &str) -> Bytes {
    let mut out = BytesMut::new();
    for sibling in siblings {
        sibling_head(&mut out, sibling, bucket, style, boundary);
        out.put_slice(&sibling.body);
    }
    close(&mut out, boundary);
    out.freeze()
}

/// As [`siblings`], without the bytes of the values: what stands before each of them, and what stands
/// at the end.
pub fn sibling_parts(
    siblings: &[Sibling],
    bucket: &BucketId,
    style: Style,
    boundary: &str,
) -> (Vec<Bytes>, Bytes) {
    let heads = siblings.iter().map(|sibling| {
        let mut head = BytesMut::new();
        sibling_head(&mut head, sibling, bucket, style, boundary);
        head.freeze()
    });
    let mut end = BytesMut::new();
    close(&mut end, boundary);
    (heads.collect(), end.freeze())
}

fn sibling_head(
    out: &mut BytesMut,
    sibling: &Sibling,
    bucket: &BucketId,
    style: Style,
    boundary: &str,
) {
    out.put_slice(format!("\r\n--{boundary}\r\n").as_bytes());
    sibling_headers(out, sibling, bucket, style);
}

/// The headers of a value as a part, and the empty line after them. What cannot be a header is left out.
pub fn sibling_headers(out: &mut BytesMut, sibling: &Sibling, bucket: &BucketId, style: Style) {
    let metadata = &sibling.metadata;
    let mut line = |name: &str, value: &[u8]| {
        // As in a reply: an index term may be any bytes, ends of lines too.
        let name_fits = HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !name_fits || HeaderValue::from_bytes(value).is_err() {
            return;
        }
        out.put_slice(name.as_bytes());
        out.put_slice(b": ");
        out.put_slice(value);
        out.put_slice(b"\r\n");
    };
    let content_type = media::format(&metadata.content_type, metadata.charset.as_deref());
    line("Content-Type", content_type.as_bytes());
    if let Some(encoding) = &metadata.content_encoding {
        line("Content-Encoding", encoding.as_bytes());
    }
    line("Link", links::format(&metadata.links, bucket, style).as_bytes());
    line("Etag", sibling.vtag().as_bytes());
    line("Last-Modified", http_date(sibling.last_modified).as_bytes());
    if sibling.deleted {
        line("X-Riak-Deleted", b"true");
    }
    for (name, value) in &metadata.user {
        line(name, value);
    }
    for (field, terms) in indexes::by_field(&metadata.indexes) {
        for term in terms {
            line(&format!("{}{field}", indexes::PREFIX), term);
        }
    }
    out.put_slice(b"\r\n");
}

/// A time in microseconds since the Unix epoch as HTTP writes it.
pub fn http_date(micros: u64) -> String {
    let time = std::time::UNIX_EPOCH
        .checked_add(std::time::Duration::from_micros(micros))
        // httpdate cannot write years beyond 9999.
        .filter(|_| micros < 253_402_300_800_000_000)
        .unwrap_or(std::time::UNIX_EPOCH);
    httpdate::fmt_http_date(time)
}

/// Opens a JSON part of a stream.
pub fn open_part(out: &mut BytesMut, boundary: &str) {
    out.put_slice(b"\r\n--");
    out.put_slice(boundary.as_bytes());
    out.put_slice(b"\r\nContent-Type: application/json\r\n\r\n");
}

/// Ends a stream of parts.
pub fn close(out: &mut BytesMut, boundary: &str) {
    out.put_slice(b"\r\n--");
    out.put_slice(boundary.as_bytes());
    out.put_slice(b"--\r\n");
}

#[cfg(test)]
mod tests {
    use mapring_types::{ActorId, Dot, IndexValue, Link, Metadata, env::SystemEntropy};

    use super::*;

    #[test]
    fn random_names_look_like_keys() {
        let name = random_name(&SystemEntropy);
        assert!((20..=27).contains(&name.len()), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
        assert_ne!(name, random_name(&SystemEntropy));
    }

    fn sibling(counter: u64, metadata: Metadata, body: &'static str, deleted: bool) -> Sibling {
        let dot = Dot { actor: ActorId(1), counter };
        let last_modified = 1_795_322_911_419_535;
        Sibling { dot, last_modified, deleted, metadata, body: body.into() }
    }

    #[test]
    fn siblings_are_framed() {
        let first = Metadata {
            content_type: "text/html".into(),
            charset: Some("utf-8".into()),
            content_encoding: Some("gzip".into()),
            links: vec![Link { bucket: "sib".into(), key: "z".into(), tag: "t".into() }],
            user: vec![("X-Riak-Meta-A".into(), "one".into())],
            indexes: vec![
                ("f_bin".into(), IndexValue::Bin("x".into())),
                ("f_bin".into(), IndexValue::Bin("y".into())),
            ],
            blocks: None,
        };
        let parts =
            [sibling(1, first, "<b>c</b>", false), sibling(2, Metadata::default(), "", true)];
        let body = siblings(&parts, &BucketId::untyped("sib"), Style::New, "B");
        let expect = format!(
            "\r\n--B\r\n\
             Content-Type: text/html; charset=utf-8\r\n\
             Content-Encoding: gzip\r\n\
             Link: </buckets/sib/keys/z>; riaktag=\"t\", </buckets/sib>; rel=\"up\"\r\n\
             Etag: {}\r\n\
             Last-Modified: Sun, 22 Nov 2026 04:48:31 GMT\r\n\
             X-Riak-Meta-A: one\r\n\
             x-riak-index-f_bin: x\r\n\
             x-riak-index-f_bin: y\r\n\
             \r\n\
             <b>c</b>\
             \r\n--B\r\n\
             Content-Type: application/octet-stream\r\n\
             Link: </buckets/sib>; rel=\"up\"\r\n\
             Etag: {}\r\n\
             Last-Modified: Sun, 22 Nov 2026 04:48:31 GMT\r\n\
             X-Riak-Deleted: true\r\n\
             \r\n\
             \r\n--B--\r\n",
            parts[0].vtag(),
            parts[1].vtag(),
        );
        assert_eq!(String::from_utf8_lossy(&body), expect);
    }

    #[test]
    fn what_cannot_be_a_header_is_no_line_of_a_part() {
        let metadata = Metadata {
            content_type: "text/plain".into(),
            user: vec![
                ("X-Riak-Meta-A B".into(), "one".into()),
                ("X-Riak-Meta-C".into(), "x\r\ny: z".into()),
            ],
            indexes: vec![("f_bin".into(), IndexValue::Bin("a\r\nb: c".into()))],
            ..Metadata::default()
        };
        let (mut out, bucket) = (BytesMut::new(), BucketId::untyped("b"));
        sibling_headers(&mut out, &sibling(1, metadata, "", false), &bucket, Style::New);
        let lines = String::from_utf8_lossy(&out).into_owned();
        let names: Vec<&str> =
            lines.split("\r\n").filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        assert_eq!(names, ["Content-Type", "Link", "Etag", "Last-Modified"]);
    }

    #[test]
    fn json_parts_are_framed() {
        let mut out = BytesMut::new();
        open_part(&mut out, "X");
        out.put_slice(b"{}");
        close(&mut out, "X");
        assert_eq!(&out[..], b"\r\n--X\r\nContent-Type: application/json\r\n\r\n{}\r\n--X--\r\n");
    }

    #[test]
    fn dates_never_fail() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(u64::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
