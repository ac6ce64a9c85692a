//! gzip: answers for clients that accept it, and bodies of requests that come so.
//!
//! An answer is compressed as it comes, and what has come leaves whenever nothing else is ready: the
//! parts of a query's answer arrive when they would without. Compressing takes the thread of the
//! connection, a little at a time.

use std::io::{Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::headers::media as media_header;
use crate::limits;
use crate::reply::VARY_ENCODING;

/// Media types that gain by it, beside all of `text/`.
const TYPES: [&str; 7] = [
    "application/json",
    "application/x-ndjson",
    "application/javascript",
    "application/xml",
    "multipart/mixed",
    "image/svg+xml",
    "application/x-www-form-urlencoded",
];

/// Compresses answers, so many at once as there are permits.
#[derive(Clone)]
pub(crate) struct Compressors(Arc<Semaphore>);

impl Compressors {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// The answer as a client gets it that accepts gzip: compressed, or as it is. To HEAD the same
    /// headers are said as to GET.
    pub(crate) fn encode(&self, response: Response<Body>) -> Response<Body> {
        if !gains(&response) {
            return response;
        }
        // Each takes memory: beyond so many, answers are larger instead.
        let Ok(permit) = self.0.clone().try_acquire_owned() else { return response };
        let (mut head, body) = response.into_parts();
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        head.headers.remove(CONTENT_LENGTH);
        vary(&mut head.headers);
        weaken(&mut head.headers);
        Response::from_parts(head, Body::new(Compressed::new(body, permit)))
    }
}

/// Whether the client takes gzip at least as gladly as what is not compressed.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for item in lists.flat_map(|list| list.split(',')) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.split(';').find_map(|one| {
            let (name, value) = one.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())?
        });
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *place = Some(weight.unwrap_or(1.0));
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// Whether an answer is worth it, and may be changed.
fn gains(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let bodiless = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
    );
    if bodiless || headers.contains_key(CONTENT_ENCODING) || headers.contains_key(CONTENT_RANGE) {
        return false;
    }
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if told.or(response.body().size_hint().exact()).is_some_and(|bytes| bytes < limits::GZIP_BYTES)
    {
        return false;
    }
    let given = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let media = media_header::bare(given).to_ascii_lowercase();
    let structured = media.ends_with("+json") || media.ends_with("+xml");
    media.starts_with("text/") || structured || TYPES.contains(&media.as_str())
}

fn vary(headers: &mut HeaderMap) {
    let told = headers.get(VARY).and_then(|vary| vary.to_str().ok());
    let has = |vary: &str| vary.to_ascii_lowercase().contains("accept-encoding");
    if !told.is_some_and(has) {
        headers.append(VARY, HeaderValue::from_static(VARY_ENCODING));
    }
}

/// The bytes are others than those without gzip, and mean the same: the tag says so.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak);
    }
}

/// A body that is compressed as it comes.
struct Compressed {
    body: Body,
    encoder: GzEncoder<Vec<u8>>,
    /// What has come and is not yet compressed.
    pending: Bytes,
    /// Whether something was compressed that has not left.
    held: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Compressed {
    fn new(body: Body, permit: OwnedSemaphorePermit) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::new(limits::GZIP_LEVEL));
        let pending = Bytes::new();
        Self { body, encoder, pending, held: false, ended: false, _permit: permit }
    }

    fn take(&mut self) -> Option<Frame<Bytes>> {
        let ready = std::mem::take(self.encoder.get_mut());
        (!ready.is_empty()).then(|| Frame::data(ready.into()))
    }
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let mut taken = 0;
        while !this.ended {
            if taken >= limits::GZIP_STEP_BYTES {
                // Others on this thread come first.
                let ready = this.take();
                if ready.is_none() {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return Poll::Ready(ready.map(Ok));
            }
            if !this.pending.is_empty() {
                let most = limits::GZIP_STEP_BYTES.min(this.pending.len());
                let next = this.pending.split_to(most);
                taken += next.len();
                this.held = true;
                this.encoder.write_all(&next).map_err(axum::Error::new)?;
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // There are no trailers.
                    this.pending = frame.into_data().unwrap_or_default();
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    this.ended = true;
                    this.encoder.try_finish().map_err(axum::Error::new)?;
                }
                Poll::Pending => {
                    if std::mem::take(&mut this.held) {
                        this.encoder.flush().map_err(axum::Error::new)?;
                    }
                    return match this.take() {
                        Some(ready) => Poll::Ready(Some(Ok(ready))),
                        None => Poll::Pending,
                    };
                }
            }
        }
        Poll::Ready(this.take().map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A gzipped text as it was, a piece at a time.
pub(crate) struct Inflated<'a>(MultiGzDecoder<&'a [u8]>);

impl<'a> Inflated<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(MultiGzDecoder::new(bytes))
    }

    /// The next piece into `piece`: gives how many bytes it has, none at the end.
    ///
    /// # Errors
    /// When the bytes are no gzip, or end too soon.
    pub(crate) fn next(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(piece)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, StreamExt as _};
    use http_body_util::BodyExt as _;

    use super::*;

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // Also of what has not ended.
        let _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut out);
        out
    }

    #[test]
    fn what_clients_accept() {
        for (accept, expect) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("x-gzip", true),
            ("GZIP ; Q=1.0", true),
            ("*", true),
            ("identity;q=0.5, *;q=0.5", true),
            ("br, deflate", false),
            ("gzip;q=0", false),
            ("*, gzip;q=0", false),
            ("identity, gzip;q=0.5", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(is_accepted(&headers), expect, "{accept}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    fn answer(content_type: &'static str, bytes: usize) -> Response<Body> {
        let mut response = Response::new(Body::from("x".repeat(bytes)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    #[test]
    fn what_gains() {
        for (content_type, bytes, expect) in [
            ("application/json", 2_000, true),
            ("application/json", 100, false),
            ("text/plain; charset=utf-8", 2_000, true),
            ("multipart/mixed; boundary=x", 2_000, true),
            ("application/vnd.x+json", 2_000, true),
            ("application/octet-stream", 2_000, false),
            ("image/png", 2_000, false),
            ("application/zip", 2_000, false),
        ] {
            assert_eq!(gains(&answer(content_type, bytes)), expect, "{content_type} {bytes}");
        }
        for (name, value) in [(CONTENT_ENCODING, "gzip"), (CONTENT_RANGE, "bytes 0-9/100")] {
            let mut encoded = answer("text/plain", 2_000);
            encoded.headers_mut().insert(name, HeaderValue::from_static(value));
            assert!(!gains(&encoded));
        }
        let mut told = answer("text/plain", 2_000);
        told.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("100"));
        assert!(!gains(&told));
    }

    #[tokio::test]
    async fn answers_say_that_they_are_compressed() {
        let plain = |vary: Option<&'static str>| {
            let mut response = answer("text/plain", 200_000);
            response.headers_mut().insert(ETAG, HeaderValue::from_static("\"tag\""));
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("200000"));
            vary.map(|vary| response.headers_mut().insert(VARY, HeaderValue::from_static(vary)));
            response
        };
        let compressors = Compressors::new(1);
        for (vary, expect) in
            [(None, VARY_ENCODING), (Some("Accept, Accept-Encoding"), "Accept, Accept-Encoding")]
        {
            let response = compressors.encode(plain(vary));
            let headers = response.headers().clone();
            assert_eq!(headers[CONTENT_ENCODING], "gzip");
            assert_eq!(
                (&headers[ETAG], headers.get(CONTENT_LENGTH)),
                (&"W/\"tag\"".parse().unwrap(), None)
            );
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), [expect]);
            // There is one permit.
            let other = compressors.encode(plain(None));
            assert!(!other.headers().contains_key(CONTENT_ENCODING));
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            assert!(bytes.len() < 2_000, "{}", bytes.len());
            assert_eq!(inflate(&bytes), "x".repeat(200_000).as_bytes());
        }
    }

    fn compressed(body: Body) -> Body {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Body::new(Compressed::new(body, permit))
    }

    #[tokio::test]
    async fn what_is_there_leaves_when_nothing_else_is_ready() {
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, axum::Error>>();
        let mut body = compressed(Body::from_stream(receiver));
        let mut all = Vec::new();
        for part in ["one", "two", "three"] {
            sender.unbounded_send(Ok(part.into())).unwrap();
            let before = inflate(&all).len();
            while inflate(&all).len() == before {
                all.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert!(inflate(&all).ends_with(part.as_bytes()), "{part}");
        }
        drop(sender);
        all.extend(body.collect().await.unwrap().to_bytes());
        let mut whole = String::new();
        flate2::read::GzDecoder::new(&all[..]).read_to_string(&mut whole).unwrap();
        assert_eq!(whole, "onetwothree");
    }

    #[tokio::test]
    async fn an_error_ends_the_answer() {
        let pieces = [Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("broken"))];
        let body = compressed(Body::from_stream(stream::iter(pieces)));
        assert!(body.collect().await.is_err());
        let pieces =
            stream::iter((0..100).map(|_| Ok::<_, axum::Error>(vec![b'x'; 100_000].into())));
        let body = compressed(Body::from_stream(pieces.map(|piece: Result<Bytes, _>| piece)));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(inflate(&bytes).len(), 10_000_000);
    }
}
