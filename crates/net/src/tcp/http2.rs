//! Streams and large calls: HTTP/2, whose flow control holds the producer back.
//!
//! ```text
//! POST /1/open/<service>/<operation>     mapring-timeout-ms: n     body: the request
//! POST /1/call/<service>/<operation>     the same, for a request too large for a frame
//! POST /1/parcel/<token>                 fetches a reply too large for a frame
//! ```
//!
//! The answer's body is a sequence of pieces, `kind u8 | length u32 | bytes`: data, and at last
//! either an error or the end. A body that stops without one of these was cut off.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use mapring_types::error::WireError;
use mapring_types::limits::MESSAGE_BYTES;
use mapring_types::{Error, Result};

use super::wire::wire_error;
use crate::{FrameStream, limits};

pub(super) mod client;
pub(super) mod server;

/// What an oversize reply is called in paths. The word is sent, and so stays.
const OVERSIZE: &str = "parcel";
const TIMEOUT_HEADER: &str = "mapring-timeout-ms";

const DATA: u8 = 0;
const ERROR: u8 = 1;
const END: u8 = 2;
const HEAD_BYTES: usize = 5;

/// One piece of an answer.
#[derive(Debug)]
enum Piece {
    Data(Bytes),
    Error(Error),
    End,
}

fn head(kind: u8, length: usize) -> [u8; HEAD_BYTES] {
    let [l0, l1, l2, l3] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind, l0, l1, l2, l3]
}

/// Appends an encoded piece as chunks of bounded size.
fn encode(piece: Piece, chunks: &mut VecDeque<Bytes>) {
    let (kind, mut body) = match piece {
        Piece::Data(body) if body.len() <= MESSAGE_BYTES => (DATA, body),
        Piece::Data(body) => {
            return encode(Piece::Error(super::call_server::too_large(body.len())), chunks);
        }
        Piece::Error(error) => {
            let encoded = postcard::to_allocvec(&wire_error(&error)).unwrap_or_default();
            (ERROR, encoded.into())
        }
        Piece::End => (END, Bytes::new()),
    };
    // The head travels with the first bytes: small pieces are one chunk.
    let mut first = BytesMut::with_capacity(HEAD_BYTES + body.len().min(1024));
    first.put_slice(&head(kind, body.len()));
    first.put(body.split_to(body.len().min(1024)));
    chunks.push_back(first.freeze());
    while !body.is_empty() {
        chunks.push_back(body.split_to(body.len().min(limits::CHUNK_BYTES)));
    }
}

/// Encodes a stream as it is asked for: the next frame is only taken when all before it is on its
/// way.
fn chunks(frames: FrameStream) -> BoxStream<'static, Bytes> {
    let state = (Some(frames), VecDeque::new());
    stream::unfold(state, |(mut frames, mut chunks)| async move {
        loop {
            if let Some(chunk) = chunks.pop_front() {
                return Some((chunk, (frames, chunks)));
            }
            let piece = match frames.as_mut()?.next().await {
                Some(Ok(body)) => Piece::Data(body),
                Some(Err(error)) => Piece::Error(error),
                None => Piece::End,
            };
            if !matches!(piece, Piece::Data(_)) {
                frames = None;
            }
            encode(piece, &mut chunks);
        }
    })
    .boxed()
}

/// Puts pieces together again. Holds no more than has arrived.
#[derive(Default)]
struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece, if it has arrived whole.
    fn take(&mut self) -> Result<Option<Piece>> {
        let Some(&[kind, l0, l1, l2, l3]) = self.buffer.first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MESSAGE_BYTES {
            return Err(Error::corrupt(format!("a piece of {length} bytes in a stream")));
        }
        if self.buffer.len() < HEAD_BYTES + length {
            // Room for all of it at once: growing step by step takes twice the memory.
            let missing = HEAD_BYTES + length - self.buffer.len();
            self.buffer.reserve(missing.min(limits::EXPECTED_BYTES));
            return Ok(None);
        }
        self.buffer.advance(HEAD_BYTES);
        let body = self.buffer.split_to(length);
        // A small piece that is kept must not keep a whole buffer alive.
        let body = match length {
            0..limits::CHUNK_BYTES => Bytes::copy_from_slice(&body),
            _ => body.freeze(),
        };
        match kind {
            DATA => Ok(Some(Piece::Data(body))),
            END => Ok(Some(Piece::End)),
            ERROR => {
                let wire: WireError = postcard::from_bytes(&body)
                    .map_err(|_| Error::corrupt("a damaged error in a stream"))?;
                Ok(Some(Piece::Error(wire.into())))
            }
            _ => Err(Error::corrupt(format!("a piece of kind {kind} in a stream"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(items: Vec<Result<Bytes>>) -> FrameStream {
        stream::iter(items).boxed()
    }

    async fn pieces(chunks: BoxStream<'static, Bytes>, cut: usize) -> Vec<Piece> {
        let bytes = chunks.map(|chunk| chunk.to_vec()).concat().await;
        let mut decoder = Decoder::default();
        let mut pieces = Vec::new();
        for part in bytes.chunks(cut) {
            decoder.push(part);
            while let Some(piece) = decoder.take().unwrap() {
                pieces.push(piece);
            }
        }
        pieces
    }

    #[tokio::test]
    async fn frames_of_any_length_come_through_any_cut() {
        let lengths = [0, 1, 1019, 1024, 1025, limits::CHUNK_BYTES, 300_000];
        for cut in [1, 7, 4096, usize::MAX] {
            let sent = lengths.map(|length| Ok(Bytes::from(vec![7; length]))).into();
            let received = pieces(chunks(frames(sent)), cut).await;
            let received: Vec<_> = received
                .iter()
                .map(|piece| match piece {
                    Piece::Data(body) => Some(body.len()),
                    Piece::End => None,
                    Piece::Error(error) => panic!("{error}"),
                })
                .collect();
            let expected: Vec<_> = lengths.into_iter().map(Some).chain([None]).collect();
            assert_eq!(received, expected);
        }
    }

    #[tokio::test]
    async fn an_error_ends_the_stream() {
        let sent =
            vec![Ok(Bytes::from_static(b"a")), Err(Error::timeout("late")), Ok(Bytes::new())];
        let received = pieces(chunks(frames(sent)), 3).await;
        let [Piece::Data(_), Piece::Error(error)] = &received[..] else { panic!("{received:?}") };
        assert_eq!(error.to_string(), "late");
    }

    #[tokio::test]
    async fn no_chunk_is_larger_than_its_bound() {
        let sent = vec![Ok(Bytes::from(vec![0; 1 << 20]))];
        let lengths: Vec<_> = chunks(frames(sent)).map(|chunk| chunk.len()).collect().await;
        assert!(lengths.iter().all(|&length| length <= limits::CHUNK_BYTES), "{lengths:?}");
    }

    proptest! {
        /// I9: whatever comes, nothing panics.
        #[test]
        fn garbage_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.take() {}
        }
    }
}
