//! Lists of names, whole or as a stream of JSON objects (facts R33, R34).
//!
//! Clients split streams at `}` or at `}{`: nothing stands between the objects, and nothing is
//! pretty-printed. What goes wrong once names are looked for is told within the stream (fact R344).

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::StatusCode;
use mapring_api::meaning;
use mapring_types::Result;

use crate::limits;
use crate::params::Params;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

/// A page of names at a time.
pub(crate) type Listed = BoxStream<'static, Result<Vec<Bytes>>>;

/// What a request asks of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Absent,
    /// One document.
    Whole,
    /// A document a page.
    Stream,
}

impl Mode {
    pub(crate) fn of(params: &Params, name: &str) -> Self {
        match params.get(name) {
            Some("true") => Self::Whole,
            Some("stream") => Self::Stream,
            _ => Self::Absent,
        }
    }
}

/// JSON text in ASCII, as Riak writes it. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn json_string(name: &[u8]) -> String {
    let quoted = serde_json::Value::from(String::from_utf8_lossy(name)).to_string();
    ascii(&quoted)
}

/// Escapes everything outside ASCII in a JSON document.
pub(crate) fn ascii(json: &str) -> String {
    if json.is_ascii() {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + json.len() / 2);
    for letter in json.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// The stream: `first` if there is one, an object a page, an empty one at the end. An error is
/// told in the stream, which then ends.
pub(crate) fn stream(first: Option<String>, field: &'static str, names: Listed) -> Reply {
    let first = stream::iter(first.map(Bytes::from));
    let pages = stream::unfold(Some(names), move |names| async move {
        let mut names = names?;
        loop {
            match names.next().await {
                None => return Some((format!("{{\"{field}\":[]}}").into(), None)),
                Some(Ok(page)) if page.is_empty() => {}
                Some(Ok(page)) => {
                    let mut text = format!("{{\"{field}\":[");
                    append(&mut text, &page, true);
                    text.push_str("]}");
                    return Some((Bytes::from(text), Some(names)));
                }
                Some(Err(error)) => {
                    let word = json_string(meaning::listing_words(&error).as_bytes());
                    return Some((format!("{{\"error\":{word}}}").into(), None));
                }
            }
        }
    });
    let body = Body::from_stream(first.chain(pages).map(Ok::<_, Infallible>));
    Reply::new(StatusCode::OK, media::JSON, body).vary(VARY_ENCODING)
}

fn append(text: &mut String, page: &[Bytes], mut first: bool) {
    for name in page {
        if !first {
            text.push(',');
        }
        first = false;
        text.push_str(&json_string(name));
    }
}

/// One document: `{`, `before` (members that stand first, each followed by a comma), the names,
/// `}`. A list that is too long to be kept back is sent as it comes; an error in it then breaks
/// the connection, so that no client takes a part for the whole.
///
/// # Errors
/// The answer for an error of the listing.
pub(crate) async fn whole(
    before: &str,
    field: &'static str,
    mut names: Listed,
) -> Result<Reply, Stop> {
    let mut text = format!("{{{before}\"{field}\":[");
    let mut first = true;
    while let Some(page) = names.next().await {
        let page = page?;
        append(&mut text, &page, first);
        first &= page.is_empty();
        if text.len() > limits::LISTING_BYTES {
            return Ok(long(text, names));
        }
    }
    text.push_str("]}");
    Ok(Reply::json(StatusCode::OK, text).vary(VARY_ENCODING))
}

fn long(start: String, names: Listed) -> Reply {
    let rest = names.map(|page| {
        page.map(|page| {
            let mut text = String::new();
            append(&mut text, &page, false);
            Bytes::from(text)
        })
    });
    let start = stream::iter([Ok(Bytes::from(start))]);
    let end = stream::iter([Ok(Bytes::from_static(b"]}"))]);
    let body = Body::from_stream(start.chain(rest).chain(end));
    Reply::new(StatusCode::OK, media::JSON, body).vary(VARY_ENCODING)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use mapring_types::Error;

    use super::*;

    fn names(pages: Vec<Result<Vec<&'static str>>>) -> Listed {
        let pages = pages.into_iter().map(|page| {
            page.map(|names| names.into_iter().map(|name| name.as_bytes().into()).collect())
        });
        stream::iter(pages.collect::<Vec<_>>()).boxed()
    }

    async fn body(reply: Reply) -> Result<String, axum::Error> {
        let bytes = reply.into_response().into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn names_are_ascii_json() {
        for (name, expect) in [
            (&b"a/b\"\\\n"[..], r#""a/b\"\\\n""#),
            ("é€𝄞".as_bytes(), r#""\u00e9\u20ac\ud834\udd1e""#),
            (b"\xff", r#""\ufffd""#),
        ] {
            assert_eq!(json_string(name), expect);
        }
    }

    #[tokio::test]
    async fn streams_end_with_an_empty_list_or_an_error() {
        let pages = || names(vec![Ok(vec!["a", "b"]), Ok(vec![]), Ok(vec!["c"])]);
        let text = body(stream(None, "keys", pages())).await.unwrap();
        assert_eq!(text, r#"{"keys":["a","b"]}{"keys":["c"]}{"keys":[]}"#);
        let text = body(stream(Some("{}".into()), "buckets", names(vec![]))).await.unwrap();
        assert_eq!(text, r#"{}{"buckets":[]}"#);
        for (error, word) in [
            (Error::timeout("x"), "timeout"),
            (Error::unavailable("x"), "insufficient_vnodes_available"),
            (Error::internal("é"), "\\u00e9"),
        ] {
            let text = body(stream(None, "keys", names(vec![Ok(vec!["a"]), Err(error)]))).await;
            assert_eq!(text.unwrap(), format!(r#"{{"keys":["a"]}}{{"error":"{word}"}}"#));
        }
    }

    #[tokio::test]
    async fn whole_lists_are_whole_or_an_error() {
        let pages = names(vec![Ok(vec![]), Ok(vec!["a"]), Ok(vec!["b"])]);
        let text = body(whole("\"props\":{},", "keys", pages).await.unwrap()).await.unwrap();
        assert_eq!(text, r#"{"props":{},"keys":["a","b"]}"#);
        let pages = names(vec![Ok(vec!["a"]), Err(Error::timeout("x"))]);
        let stop = whole("", "keys", pages).await.unwrap_err();
        assert_eq!((stop.status(), stop.text()), (503, "request timed out\n".into()));
    }

    #[tokio::test]
    async fn long_lists_are_sent_as_they_come() {
        let long: &'static str = "x".repeat(limits::LISTING_BYTES).leak();
        let pages = names(vec![Ok(vec![long]), Ok(vec!["a"])]);
        let text = body(whole("", "keys", pages).await.unwrap()).await.unwrap();
        assert!(text.starts_with("{\"keys\":[\"xx") && text.ends_with("x\",\"a\"]}"));
        let pages = names(vec![Ok(vec![long]), Err(Error::timeout("x"))]);
        assert!(body(whole("", "keys", pages).await.unwrap()).await.is_err());
    }
}
