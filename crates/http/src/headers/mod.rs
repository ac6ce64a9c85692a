//! Headers that belong to objects: media types, links, index entries, user metadata (facts R14,
//! R22, R26, R27).

pub mod indexes;
pub mod links;
pub mod media;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

/// The causal context of an object.
pub const VCLOCK: HeaderName = HeaderName::from_static("x-riak-vclock");

/// The causal context that an object must still have for a write to be made (Riak 3.0.13).
pub const IF_NOT_MODIFIED: HeaderName = HeaderName::from_static("x-riak-if-not-modified");

/// Where the next page of a query of a bucket begins (OpenRiak 3.4).
pub const CONTINUATION: HeaderName = HeaderName::from_static("x-riak-continuation");

/// Marks a tombstone.
pub const DELETED: HeaderName = HeaderName::from_static("x-riak-deleted");

/// Begins the name of every header of user metadata.
pub const META_PREFIX: &str = "x-riak-meta-";

/// The value of a header as text, if there is one and it is text.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Writes a header name as Riak stores it: the first letter of each word upper case, the others
/// lower case.
pub fn canonical(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|letter| {
            let written =
                if start { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
            start = letter == '-';
            written
        })
        .collect()
}

/// The user metadata of a request, in the order given; values of a repeated name are joined by
/// `, `.
pub fn user_metadata(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    let names = headers.keys().filter(|name| name.as_str().starts_with(META_PREFIX));
    names
        .map(|name| {
            let values: Vec<&[u8]> =
                headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
            (canonical(name.as_str()), values.join(&b", "[..]).into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_capitalised() {
        for (name, expect) in [
            ("x-riak-meta-foobar", "X-Riak-Meta-Foobar"),
            ("X-RIAK-META-FOO-BAR", "X-Riak-Meta-Foo-Bar"),
            ("x-riak-meta-2nd_word", "X-Riak-Meta-2nd_word"),
            ("x--a-", "X--A-"),
        ] {
            assert_eq!(canonical(name), expect);
        }
    }

    #[test]
    fn metadata_is_kept_in_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-riak-meta-two", &b"2"[..]),
            ("content-type", b"text/plain"),
            ("x-riak-meta-foo", b"Bar Baz"),
            ("x-riak-meta-two", b"\xc3\xa9"),
        ] {
            headers.append(name, http::HeaderValue::from_bytes(value).unwrap());
        }
        let expect = vec![
            ("X-Riak-Meta-Two".to_owned(), Bytes::from_static(b"2, \xc3\xa9")),
            ("X-Riak-Meta-Foo".to_owned(), Bytes::from_static(b"Bar Baz")),
        ];
        assert_eq!(user_metadata(&headers), expect);
    }
}
