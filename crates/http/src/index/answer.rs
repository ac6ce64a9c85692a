//! What the hits of an index look like: one document, or a document a part (facts R311, R313, R314).

use std::convert::Infallible;

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::StatusCode;
use mapring_api::meaning;
use mapring_kv::Hit;
use mapring_types::Result;

use super::continuation;
use super::request::Shape;
use crate::listing::json_string;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};
use crate::{limits, multipart};

type Hits = BoxStream<'static, Result<Vec<Hit>>>;

/// How far an answer has come.
struct Written {
    shape: Shape,
    count: u64,
    /// The place of the last hit.
    last: Option<String>,
}

impl Written {
    fn new(shape: Shape) -> Self {
        Self { shape, count: 0, last: None }
    }

    fn field(&self) -> &'static str {
        if self.shape.terms { "results" } else { "keys" }
    }

    /// Writes a page of hits, separated by commas.
    fn append(&mut self, text: &mut String, page: &[Hit], mut first: bool) {
        for hit in page {
            if !first {
                text.push(',');
            }
            first = false;
            let key = json_string(&hit.key);
            match hit.term.as_ref().filter(|_| self.shape.terms) {
                Some(term) => {
                    text.push_str(&format!("{{{}:{key}}}", json_string(term.as_bytes())));
                }
                None => text.push_str(&key),
            }
        }
        self.count += page.len() as u64;
        if let (Some(hit), Some(_)) = (page.last(), self.shape.most) {
            let term = hit.term.as_ref().filter(|_| self.shape.range);
            self.last = Some(continuation::write(term, &hit.key));
        }
    }

    /// Where the next page begins, after as many hits as were asked for.
    fn continuation(&self) -> Option<&str> {
        self.last.as_deref().filter(|_| self.shape.most == Some(self.count))
    }

    /// What stands behind the hits of a whole document.
    fn end(&self) -> String {
        match self.continuation() {
            Some(token) => format!("],\"continuation\":\"{token}\"}}"),
            None => "]}".into(),
        }
    }
}

/// One document. What is too long to be kept back is sent as it comes; an error in it then breaks the
/// connection, so that no client takes a part for the whole.
///
/// # Errors
/// The answer for an error of the index.
pub(super) async fn whole(mut hits: Hits, shape: Shape) -> Result<Reply, Stop> {
    let mut written = Written::new(shape);
    let mut text = format!("{{\"{}\":[", written.field());
    while let Some(page) = hits.next().await {
        let first = written.count == 0;
        written.append(&mut text, &page?, first);
        if text.len() > limits::LISTING_BYTES {
            return Ok(long(text, written, hits));
        }
    }
    text.push_str(&written.end());
    Ok(Reply::json(StatusCode::OK, text).vary(VARY_ENCODING))
}

fn long(start: String, written: Written, hits: Hits) -> Reply {
    let rest = stream::unfold(Some((written, hits)), |state| async move {
        let (mut written, mut hits) = state?;
        match hits.next().await {
            None => Some((Ok(Bytes::from(written.end())), None)),
            Some(Err(error)) => Some((Err(error), None)),
            Some(Ok(page)) => {
                let mut text = String::new();
                written.append(&mut text, &page, false);
                Some((Ok(Bytes::from(text)), Some((written, hits))))
            }
        }
    });
    let start = stream::iter([Ok(Bytes::from(start))]);
    Reply::new(StatusCode::OK, media::JSON, Body::from_stream(start.chain(rest)))
        .vary(VARY_ENCODING)
}

/// A document a page, and one for the continuation; an error is told in a part, after which nothing comes.
pub(super) fn stream(hits: Hits, shape: Shape, boundary: &str) -> Reply {
    // As in the streams of /mapred there is no space here.
    let content_type = format!("{};boundary={boundary}", media::MULTIPART);
    let state = Some((Written::new(shape), hits, boundary.to_owned()));
    let parts = stream::unfold(state, |state| async move {
        let (mut written, mut hits, boundary) = state?;
        let mut out = BytesMut::new();
        match hits.next().await {
            Some(Ok(page)) => {
                let mut text = format!("{{\"{}\":[", written.field());
                written.append(&mut text, &page, true);
                text.push_str("]}");
                multipart::open_part(&mut out, &boundary);
                out.put_slice(text.as_bytes());
                return Some((out.freeze(), Some((written, hits, boundary))));
            }
            Some(Err(error)) => {
                let word = json_string(meaning::listing_words(&error).as_bytes());
                multipart::open_part(&mut out, &boundary);
                out.put_slice(format!("{{\"error\":{word}}}").as_bytes());
            }
            None => {
                if let Some(token) = written.continuation() {
                    multipart::open_part(&mut out, &boundary);
                    out.put_slice(format!("{{\"continuation\":\"{token}\"}}").as_bytes());
                }
            }
        }
        multipart::close(&mut out, &boundary);
        Some((out.freeze(), None))
    });
    let body = Body::from_stream(parts.map(Ok::<_, Infallible>));
    Reply::new(StatusCode::OK, &content_type, body).vary(VARY_ENCODING)
}
