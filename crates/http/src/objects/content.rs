//! The bytes of an answer: of a value, of a part of it, or of several values. Those that lie in blocks
//! go out as they are read, a few blocks at a time.

use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, Method, StatusCode};
use mapring_types::{Result, Sibling};

use crate::app::{App, Request};
use crate::body::Share;
use crate::decision::{self, Present};
use crate::limits;
use crate::reply::{Reply, Stop};

/// See the module.
pub(super) struct Content {
    body: Body,
    /// Where it is told: of what is in memory it is seen.
    length: Option<u64>,
    /// The part and the whole, where it is a part.
    range: Option<(Range<u64>, u64)>,
    /// Whether it is told that parts can be asked for.
    in_parts: bool,
}

impl Content {
    fn held(bytes: Bytes) -> Self {
        Self { body: bytes.into(), length: None, range: None, in_parts: false }
    }

    /// An answer with it.
    pub(super) fn into_reply(self, content_type: &str) -> Reply {
        let status = match self.range {
            None => StatusCode::OK,
            Some(_) => StatusCode::PARTIAL_CONTENT,
        };
        let mut reply = Reply::new(status, content_type, self.body);
        if let Some((part, whole)) = self.range {
            let (first, last) = (part.start, part.end.saturating_sub(1));
            reply = reply.header(CONTENT_RANGE, format!("bytes {first}-{last}/{whole}"));
        }
        if let Some(length) = self.length {
            reply = reply.header(CONTENT_LENGTH, length.to_string());
        }
        if self.in_parts { reply.header(ACCEPT_RANGES, "bytes") } else { reply }
    }
}

/// What a request for a value gets of its bytes: all, or the range that it asks for.
///
/// # Errors
/// 416; of what lies in blocks as a read, before anything is sent.
pub(super) async fn of(
    app: &App,
    request: &Request,
    sibling: &Sibling,
    present: &Present,
) -> Result<Content, Stop> {
    let (is_head, whole) = (request.method == Method::HEAD, sibling.body_len());
    let asked = if is_head { None } else { range(&request.headers, whole) };
    let Some(asked) = asked.filter(|_| decision::range_applies(&request.headers, present)) else {
        return all(app, sibling, is_head).await;
    };
    let Some(part) = asked else {
        let reply = Reply::page(StatusCode::RANGE_NOT_SATISFIABLE);
        return Err(reply.header(CONTENT_RANGE, format!("bytes */{whole}")).into());
    };
    let content = some(app, sibling, part.clone()).await?;
    Ok(Content { range: Some((part, whole)), in_parts: true, ..content })
}

/// All bytes of a value.
///
/// # Errors
/// As [`of`].
pub(super) async fn all(app: &App, sibling: &Sibling, is_head: bool) -> Result<Content, Stop> {
    if sibling.metadata.blocks.is_none() {
        return Ok(Content::held(sibling.body.clone()));
    }
    let whole = sibling.body_len();
    let content = match is_head {
        true => Content { length: Some(whole), ..Content::held(Bytes::new()) },
        false => some(app, sibling, 0..whole).await?,
    };
    Ok(Content { in_parts: true, ..content })
}

/// Several values, each after what stands before it, and then the end.
///
/// # Errors
/// 503 (too many bodies at once).
pub(super) fn in_parts(
    app: &App,
    siblings: &[Sibling],
    parts: (Vec<Bytes>, Bytes),
) -> Result<Content, Stop> {
    framed(app, siblings, parts, Vec::new())
}

/// As [`in_parts`], of values for which there are shares already as far as they are in memory.
///
/// # Errors
/// As [`in_parts`].
pub(super) fn framed(
    app: &App,
    siblings: &[Sibling],
    (heads, end): (Vec<Bytes>, Bytes),
    mut shares: Vec<Share>,
) -> Result<Content, Stop> {
    if siblings.iter().any(|sibling| sibling.metadata.blocks.is_some()) {
        shares.push(share(app)?);
    }
    let framed = heads.iter().chain([&end]).map(|bytes| bytes.len() as u64).sum::<u64>();
    let length = framed + siblings.iter().map(Sibling::body_len).sum::<u64>();
    let bodies: Vec<_> = siblings.iter().map(|sibling| app.objects.body(sibling)).collect();
    let parts = heads.into_iter().zip(bodies).map(|(head, body)| {
        let whole = 0..body.len();
        stream::iter([Ok(head)]).chain(blocks(body, whole))
    });
    let bytes = stream::iter(parts).flatten().chain(stream::iter([Ok(end)]));
    let body = streamed(bytes, shares);
    Ok(Content { body, length: Some(length), range: None, in_parts: false })
}

/// A part of the bytes of a value. The first of those in blocks are read before there is an answer: so
/// what is missing is told with a status.
async fn some(app: &App, sibling: &Sibling, part: Range<u64>) -> Result<Content, Stop> {
    let body = app.objects.body(sibling);
    let length = Some(part.end - part.start);
    if sibling.metadata.blocks.is_none() {
        let most = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
        let bytes = body.read_at(part.start, most).await?;
        return Ok(Content { length, ..Content::held(bytes) });
    }
    let share = share(app)?;
    let mut bytes = Box::pin(blocks(body, part));
    let first = bytes.try_next().await?;
    let body = streamed(stream::iter(first.map(Ok)).chain(bytes), vec![share]);
    Ok(Content { body, length, range: None, in_parts: false })
}

fn share(app: &App) -> Result<Share, Stop> {
    let block = usize::try_from(app.objects.body_sizes().block_bytes).unwrap_or(usize::MAX);
    app.bodies.take(block.saturating_mul(limits::STREAM_BLOCKS))
}

/// The bytes of a part of a body, block by block.
fn blocks(
    body: mapring_kv::Body,
    part: Range<u64>,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let steps = {
        let (body, mut offset) = (body.clone(), part.start);
        std::iter::from_fn(move || {
            let left = usize::try_from(part.end - offset).unwrap_or(usize::MAX);
            let step = body.step(offset).min(left);
            let at = offset;
            offset += step as u64;
            (step > 0).then_some((at, step))
        })
    };
    let read = move |(at, step)| {
        let body = body.clone();
        async move { body.read_at(at, step).await }
    };
    stream::iter(steps).map(read).buffered(limits::BLOCKS_AHEAD)
}

/// The body of an answer, which keeps its shares until it is sent. What cannot be read ends the
/// connection: its client sees that something is missing.
fn streamed(bytes: impl Stream<Item = Result<Bytes>> + Send + 'static, shares: Vec<Share>) -> Body {
    Body::from_stream(bytes.inspect_err(move |error| {
        let _held = &shares;
        tracing::warn!(%error, "an answer broke off: a part of the body cannot be read");
    }))
}

/// The range that a request asks for of so many bytes; inside, `None` for one that lies beyond them.
/// Several ranges, and what cannot be read, count as none, as they may.
fn range(headers: &HeaderMap, whole: u64) -> Option<Option<Range<u64>>> {
    let given = headers.get(RANGE)?.to_str().ok()?;
    let (first, last) = given.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse());
    let (first, last) = (first.trim(), last.trim());
    let (from, to) = match (first, last) {
        ("", last) => {
            let most: u64 = number(last)?.ok()?;
            (whole.saturating_sub(most), whole)
        }
        (first, "") => (number(first)?.ok()?, whole),
        (first, last) => {
            let (from, last): (u64, u64) = (number(first)?.ok()?, number(last)?.ok()?);
            if last < from {
                return None;
            }
            (from, last.saturating_add(1).min(whole))
        }
    };
    Some((from < to).then_some(from..to))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(given: &str, whole: u64, expect: Option<Option<Range<u64>>>) {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(given).unwrap());
        assert_eq!(range(&headers, whole), expect, "{given} of {whole}");
    }

    #[test]
    fn ranges_are_read() {
        check("bytes=0-0", 10, Some(Some(0..1)));
        check("bytes=2-5", 10, Some(Some(2..6)));
        check("bytes=2-", 10, Some(Some(2..10)));
        check("bytes=-3", 10, Some(Some(7..10)));
        check("bytes=-30", 10, Some(Some(0..10)));
        check("bytes=5-99999999999", 10, Some(Some(5..10)));
        check("bytes= 5 - 6 ", 10, Some(Some(5..7)));
        check("bytes=10-", 10, Some(None));
        check("bytes=-0", 10, Some(None));
        check("bytes=0-", 0, Some(None));
        for odd in [
            "bytes=5-2",
            "bytes=1-2,4-5",
            "lines=1-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1",
            "bytes=1-99999999999999999999999",
        ] {
            check(odd, 10, None);
        }
        assert_eq!(range(&HeaderMap::new(), 10), None);
    }
}
