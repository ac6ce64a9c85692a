//! Reading request bodies: bounded in size, in memory over all connections, and in time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, EXPECT};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::gzip::Inflated;
use crate::limits;
use crate::reply::{Reply, Stop};

/// What all bodies may take together, in steps of [`limits::BODY_STEP_BYTES`].
#[derive(Clone)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    /// How many steps there are in all.
    steps: usize,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        let steps = usize::try_from(bytes).unwrap_or(usize::MAX) / limits::BODY_STEP_BYTES;
        let steps = steps.clamp(1, Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(steps)), steps }
    }

    /// How much of it is taken, in bytes.
    pub(crate) fn taken_bytes(&self) -> u64 {
        let taken = self.steps.saturating_sub(self.room.available_permits());
        taken.saturating_mul(limits::BODY_STEP_BYTES) as u64
    }

    /// Takes a part for what goes through the node as a stream.
    ///
    /// # Errors
    /// 503 (too many bodies at once).
    pub(crate) fn take(&self, bytes: usize) -> Result<Share, Stop> {
        let mut share = None;
        grow(&mut share, bytes, self)?;
        Ok(Share(share))
    }
}

/// How much of a body has come by the time that it is known where it goes.
pub(crate) enum Begun {
    /// All of it.
    Whole(Held),
    /// What has come of one that is not to be held: so much and then so much. The rest is still to be
    /// read.
    Part(Held, Bytes),
}

/// A body in memory. Its share of the budget is given back when it is dropped.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    share: Share,
}

/// A part of the budget, until it is dropped.
pub(crate) struct Share(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

/// A part of the budget that grows with what is held under it.
pub(crate) struct Growing {
    budget: Budget,
    bytes: usize,
    share: Option<OwnedSemaphorePermit>,
}

impl Growing {
    pub(crate) fn new(budget: &Budget) -> Self {
        Self { budget: budget.clone(), bytes: 0, share: None }
    }

    /// So many bytes more are held.
    ///
    /// # Errors
    /// 503 (too much is held at once); 500 for more than [`limits::HELD_BYTES`].
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes += bytes;
        if self.bytes > limits::HELD_BYTES {
            let text = format!("the answer holds more than {} bytes", limits::HELD_BYTES);
            return Err(mapring_types::Error::new(mapring_types::ErrorKind::TooLarge, text).into());
        }
        grow(&mut self.share, self.bytes, &self.budget)
    }

    pub(crate) fn into_share(self) -> Share {
        Share(self.share)
    }
}

impl Held {
    fn new(buffer: BytesMut, share: Option<OwnedSemaphorePermit>, limit: usize) -> Self {
        let steps = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        // I6: what is held is within its bound, and all of it is accounted for.
        assert!(buffer.len() <= limit, "a body of {} bytes is above {limit}", buffer.len());
        assert!(buffer.len() <= steps * limits::BODY_STEP_BYTES, "a body has too small a share");
        Self { bytes: buffer.freeze(), share: Share(share) }
    }

    /// The bytes, and the share that they are held under.
    pub(crate) fn into_parts(self) -> (Bytes, Share) {
        (self.bytes, self.share)
    }

    /// Lets the bytes go and keeps their share, for what was made of them.
    pub(crate) fn into_share(self) -> Share {
        self.share
    }
}

/// Begins to read a body of at most `most` bytes, and reads one of at most `whole` bytes to its end.
///
/// # Errors
/// As [`read`].
pub(crate) async fn begin(
    body: &mut Body,
    whole: usize,
    most: u64,
    budget: &Budget,
) -> Result<Begun, Stop> {
    begin_within(body, whole, most, budget, limits::BODY_IDLE).await
}

/// The next bytes of a body; `None` at its end.
///
/// # Errors
/// 408, 400 (the client broke off).
pub(crate) async fn next(body: &mut Body) -> Result<Option<Bytes>, Stop> {
    next_within(body, limits::BODY_IDLE).await
}

/// Reads a body of at most `limit` bytes. When that fails, what is left stays in `body`.
///
/// # Errors
/// 413, 408, 503 (too many bodies at once), 400 (the client broke off).
pub(crate) async fn read(body: &mut Body, limit: usize, budget: &Budget) -> Result<Held, Stop> {
    read_within(body, limit, budget, limits::BODY_IDLE).await
}

async fn read_within(
    body: &mut Body,
    limit: usize,
    budget: &Budget,
    idle: Duration,
) -> Result<Held, Stop> {
    match begin_within(body, limit, limit as u64, budget, idle).await? {
        Begun::Whole(held) => Ok(held),
        Begun::Part(..) => Err(too_large(limit as u64)),
    }
}

async fn begin_within(
    body: &mut Body,
    whole: usize,
    most: u64,
    budget: &Budget,
    idle: Duration,
) -> Result<Begun, Stop> {
    let told = body.size_hint().lower();
    if told > most {
        return Err(too_large(most));
    }
    let mut buffer = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    if told > whole as u64 {
        return Ok(Begun::Part(Held::new(buffer, share, whole), Bytes::new()));
    }
    while let Some(data) = next_within(body, idle).await? {
        let bytes = buffer.len() + data.len();
        if bytes as u64 > most {
            return Err(too_large(most));
        }
        if bytes > whole {
            return Ok(Begun::Part(Held::new(buffer, share, whole), data));
        }
        grow(&mut share, bytes, budget)?;
        if buffer.is_empty() {
            // At most a step ahead of what has really come.
            let expected = usize::try_from(body.size_hint().lower()).unwrap_or(whole);
            buffer.reserve(data.len() + expected.min(limits::BODY_STEP_BYTES));
        }
        buffer.extend_from_slice(&data);
    }
    *body = Body::empty();
    Ok(Begun::Whole(Held::new(buffer, share, whole)))
}

async fn next_within(body: &mut Body, idle: Duration) -> Result<Option<Bytes>, Stop> {
    loop {
        match timeout(idle, body.frame()).await {
            Err(_) => {
                let reply = Reply::text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive\n");
                return Err(reply.header(CONNECTION, "close").into());
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(Reply::bad_request(format!("the body broke off: {error}\n")).into());
            }
            // There are trailers, too.
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_) => continue,
            },
        }
    }
}

/// Reads a body that is a document, of at most `limit` bytes, also one that comes gzipped: then of so
/// many bytes as it was.
///
/// # Errors
/// As [`read`]; 415 for another encoding, 400 for what is not what it says.
pub(crate) async fn read_document(
    body: &mut Body,
    headers: &HeaderMap,
    limit: usize,
    budget: &Budget,
) -> Result<Held, Stop> {
    let encoding = headers.get(CONTENT_ENCODING).map(|given| given.as_bytes().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some(b"" | b"identity") => read(body, limit, budget).await,
        Some(b"gzip" | b"x-gzip") => {
            let held = read(body, limit, budget).await?;
            inflate(&held.bytes, limit, budget).await
        }
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            let text = format!("Content-Encoding: {other} is not taken here, only gzip\n");
            Err(Reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into())
        }
    }
}

async fn inflate(bytes: &[u8], limit: usize, budget: &Budget) -> Result<Held, Stop> {
    let mut inflated = Inflated::new(bytes);
    let mut buffer = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    let mut piece = vec![0; limits::BODY_STEP_BYTES];
    loop {
        let count = inflated.next(&mut piece).map_err(|error| {
            Reply::bad_request(format!(
                "the body is not gzip as its Content-Encoding says: {error}\n"
            ))
        })?;
        let Some(data) = piece.get(..count).filter(|data| !data.is_empty()) else { break };
        if buffer.len() + data.len() > limit {
            return Err(too_large(limit as u64));
        }
        grow(&mut share, buffer.len() + data.len(), budget)?;
        buffer.extend_from_slice(data);
        // Others on this thread come first.
        tokio::task::yield_now().await;
    }
    Ok(Held::new(buffer, share, limit))
}

/// Takes of the budget what `bytes` need beyond what is held.
fn grow(
    share: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
    budget: &Budget,
) -> Result<(), Stop> {
    let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let needed = bytes.div_ceil(limits::BODY_STEP_BYTES);
    if needed > held {
        let more = u32::try_from(needed - held).unwrap_or(u32::MAX);
        let more = budget.room.clone().try_acquire_many_owned(more).map_err(|_| overloaded())?;
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
    }
    Ok(())
}

pub(crate) fn too_large(limit: u64) -> Stop {
    let text = format!("the body is larger than {limit} bytes\n");
    Reply::text(StatusCode::PAYLOAD_TOO_LARGE, text).into()
}

fn overloaded() -> Stop {
    let text = "the node holds as many request bodies as it may\n";
    Reply::text(StatusCode::SERVICE_UNAVAILABLE, text).into()
}

/// Throws away, beside the answer, what a refused request still sends: a connection that is closed
/// while its client sends loses the answer. A client that waits for permission to send is not
/// given it.
pub(crate) fn discard(body: Body, headers: &HeaderMap) {
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(timeout(limits::DRAIN_TIME, async move {
        let mut body = pin!(body);
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > limits::DRAIN_BYTES {
                break;
            }
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn chunks(count: usize, bytes: usize) -> Body {
        let chunk = Bytes::from(vec![b'x'; bytes]);
        Body::from_stream(futures::stream::iter(
            (0..count).map(move |_| Ok::<_, Infallible>(chunk.clone())),
        ))
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        let budget = Budget::new(1 << 20);
        let held = read(&mut chunks(10, 10), 100, &budget).await.ok().unwrap();
        assert_eq!(held.bytes.len(), 100);
        let stop = read(&mut chunks(11, 10), 100, &budget).await.err().unwrap();
        assert_eq!(stop.status(), 413);
        let stop = read(&mut Body::from(vec![0; 101]), 100, &budget).await.err().unwrap();
        assert_eq!(stop.status(), 413);
    }

    #[tokio::test]
    async fn of_larger_bodies_no_more_is_held_than_of_others() {
        let budget = Budget::new(1 << 20);
        let begun = |body: Body| {
            let budget = budget.clone();
            async move {
                let mut body = body;
                let begun = begin(&mut body, 50, 200, &budget).await;
                let mut rest = 0;
                while let Some(data) = next(&mut body).await.ok().flatten() {
                    rest += data.len();
                }
                match begun {
                    Ok(Begun::Whole(held)) => Ok((held.bytes.len(), None)),
                    Ok(Begun::Part(held, data)) => Ok((held.bytes.len(), Some(data.len() + rest))),
                    Err(stop) => Err(stop.status()),
                }
            }
        };
        assert_eq!(begun(chunks(5, 10)).await, Ok((50, None)));
        assert_eq!(begun(chunks(20, 10)).await, Ok((50, Some(150))));
        assert_eq!(begun(chunks(1, 201)).await, Err(413));
        // What it says of its length is enough to know.
        assert_eq!(begun(Body::from(vec![0; 200])).await, Ok((0, Some(200))));
        assert_eq!(begun(Body::from(vec![0; 201])).await, Err(413));
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded() {
        let budget = Budget::new(4 * limits::BODY_STEP_BYTES as u64);
        let size = 3 * limits::BODY_STEP_BYTES;
        let first = read(&mut chunks(3, limits::BODY_STEP_BYTES), size, &budget).await.ok();
        let stop = read(&mut chunks(3, limits::BODY_STEP_BYTES), size, &budget).await.err();
        assert_eq!(stop.unwrap().status(), 503);
        let share = first.map(Held::into_share);
        let stop = read(&mut chunks(3, limits::BODY_STEP_BYTES), size, &budget).await.err();
        assert_eq!(stop.unwrap().status(), 503);
        drop(share);
        assert!(read(&mut chunks(3, limits::BODY_STEP_BYTES), size, &budget).await.is_ok());
    }

    fn gzip(bytes: &[u8]) -> Bytes {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[tokio::test]
    async fn gzipped_documents_are_inflated_within_the_limit() {
        let budget = Budget::new(1 << 20);
        let document = |encoding: &'static str, bytes: Bytes, limit: usize| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static(encoding));
            let budget = budget.clone();
            async move {
                let read = read_document(&mut Body::from(bytes), &headers, limit, &budget).await;
                read.map(|held| held.bytes).map_err(|stop| (stop.status(), stop.text()))
            }
        };
        let text = Bytes::from("{}".repeat(1_000));
        for encoding in ["gzip", "X-GZIP"] {
            assert_eq!(document(encoding, gzip(&text), 2_000).await.unwrap(), text);
        }
        assert_eq!(document("identity", text.clone(), 2_000).await.unwrap(), text);
        assert_eq!(document("gzip", gzip(&text), 1_999).await.unwrap_err().0, 413);
        // A bomb costs no more than its limit, and all bodies together are bounded.
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(document("gzip", bomb.clone(), 100_000).await.unwrap_err().0, 413);
        assert_eq!(document("gzip", bomb, 64 << 20).await.unwrap_err().0, 503);
        let short = gzip(&text).slice(..20);
        for wrong in [text.clone(), short, Bytes::new()] {
            let (status, why) = document("gzip", wrong, 2_000).await.unwrap_err();
            assert!(status == 400 && why.contains("is not gzip"), "{status} {why}");
        }
        let (status, why) = document("br", text, 2_000).await.unwrap_err();
        assert!(status == 415 && why.contains("br") && why.contains("only gzip"), "{why}");
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        let mut body = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
        let (budget, idle) = (Budget::new(1 << 20), Duration::from_millis(5));
        let stop = read_within(&mut body, 100, &budget, idle).await.err().unwrap();
        assert_eq!(stop.status(), 408);
    }
}
