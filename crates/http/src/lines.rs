//! Answers of `/mapred` that are a result a line and nothing else (`"as": "ndjson"`), which are sent as
//! results are made.
//!
//! A query that fails before its first result is answered as any other. Later there is no place for
//! an error among results: it stands on the last line, and the answer is broken off, so that it is not
//! taken for a whole one.

use std::io;

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::Fuse;
use futures::{FutureExt as _, StreamExt as _, stream};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use mapring_api::mapred as said;
use mapring_mapred::{Failure, PhaseResults, Results};

use crate::body::Share;
use crate::limits;
use crate::reply::{Reply, media};

/// The answer to a query, which begins with its first result.
///
/// # Errors
/// What the query failed with before that.
pub(crate) async fn answer(results: Results, share: Share) -> Result<Reply, Failure> {
    let mut results = results.fuse();
    let first = results.next().await.transpose()?;
    let lines = Lines { results, first, failed: false, _share: share };
    let pieces = stream::try_unfold(lines, |mut lines| async move {
        Ok::<_, io::Error>(lines.next_piece().await?.map(|piece| (piece, lines)))
    });
    let reply = Reply::new(StatusCode::OK, media::LINES, Body::from_stream(pieces));
    Ok(reply.header(CACHE_CONTROL, "no-store"))
}

/// Results on their way.
struct Lines {
    results: Fuse<Results>,
    /// What came before the answer began.
    first: Option<PhaseResults>,
    /// The last line tells that the query failed.
    failed: bool,
    _share: Share,
}

impl Lines {
    /// Waits for a result and takes along what is ready besides; `None` at the end.
    async fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        if self.failed {
            // What was written leaves while this waits for its turn, and would be lost with the
            // connection.
            tokio::task::yield_now().await;
            return Err(io::Error::other("the query failed"));
        }
        let mut out = BytesMut::new();
        let mut next = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.results.next().await,
        };
        while let Some(event) = next {
            match event {
                Ok(results) => add(&mut out, &results),
                Err(failure) => {
                    out.put_slice(said::failure(&failure).as_bytes());
                    out.put_u8(b'\n');
                    self.failed = true;
                    break;
                }
            }
            if out.len() >= limits::FLUSH_BYTES {
                break;
            }
            next = match self.results.next().now_or_never() {
                Some(ready) => ready,
                None if out.is_empty() => self.results.next().await,
                None => break,
            };
        }
        Ok((!out.is_empty()).then(|| out.freeze()))
    }
}

/// JSON written without white space has no line ends: it fits into a line as it is.
fn add(out: &mut BytesMut, results: &PhaseResults) {
    out.reserve(results.values.iter().map(|row| row.bytes() + 1).sum());
    for row in &results.values {
        out.put_slice(row.text().as_bytes());
        out.put_u8(b'\n');
    }
}
