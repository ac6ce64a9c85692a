//! The frames of unary connections: `length u32 | version u8 | header (postcard) | body`. The
//! length, little-endian, counts what follows it.

use bytes::{Buf, Bytes, BytesMut};
use mapring_types::error::WireError;
use mapring_types::{Error, Result, Versioned, versioned};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::limits;

const LENGTH_BYTES: usize = 4;

/// What a frame says about its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Header {
    /// A call; the body is the request's.
    Request { id: u64, service: u8, operation: u8, timeout_ms: u64 },
    /// The caller does not wait any more.
    Cancel { id: u64 },
    /// The body is the answer's.
    Answer { id: u64 },
    /// The call failed.
    Failure { id: u64, error: WireError },
    /// The answer is too large for a frame: it is kept to be fetched over HTTP/2.
    Oversize { id: u64, token: u64 },
    /// Asks for a [`Header::Pong`].
    Ping,
    /// A sign of life.
    Pong,
}

mapring_types::first_version!(Header, 1, "a frame");

/// A frame on its way out: its encoded head, and its body untouched.
#[derive(Debug)]
pub(super) struct Frame {
    head: Vec<u8>,
    body: Bytes,
}

impl Frame {
    /// Encodes a header with its body, which is at most `UNARY_BYTES` long.
    pub(super) fn new(header: &Header, body: Bytes) -> Result<Self> {
        let mut head = Vec::with_capacity(32);
        head.extend([0; LENGTH_BYTES]);
        head.push(Header::VERSION);
        let mut head = postcard::to_extend(header, head)
            .map_err(|error| Error::internal("cannot encode a frame").with_source(error))?;
        let length = head.len() - LENGTH_BYTES + body.len();
        let length = u32::try_from(length)
            .ok()
            .filter(|&length| length as usize <= limits::FRAME_BYTES)
            .ok_or_else(|| Error::internal(format!("a frame of {length} bytes")))?;
        if let Some(place) = head.first_chunk_mut::<LENGTH_BYTES>() {
            *place = length.to_le_bytes();
        }
        Ok(Self { head, body })
    }

    /// A frame that says that a call failed.
    pub(super) fn failure(id: u64, error: &Error) -> Result<Self> {
        Self::new(&Header::Failure { id, error: wire_error(error) }, Bytes::new())
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// The error as it is sent: its text cut to a bound.
pub(super) fn wire_error(error: &Error) -> WireError {
    let mut wire = error.to_wire();
    if wire.message.len() > limits::ERROR_BYTES {
        wire.message = format!("{} …", cut(&wire.message, limits::ERROR_BYTES - 8));
    }
    wire
}

/// The longest beginning of `text` of at most `most` bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Gathers frames into large writes.
pub(super) struct FrameWriter<W> {
    socket: W,
    gathered: BytesMut,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) fn new(socket: W) -> Self {
        Self { socket, gathered: BytesMut::with_capacity(limits::BUFFER_BYTES) }
    }

    /// Takes a frame; writes when enough has come together.
    pub(super) async fn write(&mut self, frame: Frame) -> Result<()> {
        self.gathered.extend_from_slice(&frame.head);
        if frame.body.len() < limits::BUFFER_BYTES {
            self.gathered.extend_from_slice(&frame.body);
        } else {
            self.flush().await?;
            send_all(&mut self.socket, &frame.body).await?;
        }
        if self.gathered.len() >= limits::BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes what has come together.
    pub(super) async fn flush(&mut self) -> Result<()> {
        send_all(&mut self.socket, &self.gathered).await?;
        self.gathered.clear();
        Ok(())
    }
}

async fn send_all<W: AsyncWrite + Unpin>(socket: &mut W, bytes: &[u8]) -> Result<()> {
    timeout(limits::WRITE_TIMEOUT, socket.write_all(bytes))
        .await
        .map_err(|_| Error::unavailable("the peer does not read"))?
        .map_err(|error| Error::unavailable("cannot write").with_source(error))
}

/// Takes frames from a socket. Allocates no more than has arrived.
pub(super) struct FrameReader<R> {
    socket: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(socket: R) -> Self {
        Self { socket, buffer: BytesMut::with_capacity(limits::BUFFER_BYTES) }
    }

    /// Reads some more; gives how many bytes. Safe to drop and call again.
    pub(super) async fn fill(&mut self) -> Result<usize> {
        self.buffer.reserve(limits::BUFFER_BYTES / 4);
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Error::unavailable("the peer closed the connection")),
            Ok(read) => Ok(read),
            Err(error) => Err(Error::unavailable("cannot read").with_source(error)),
        }
    }

    /// The next frame, if it has arrived whole.
    pub(super) fn take(&mut self) -> Result<Option<(Header, Bytes)>> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || length > limits::FRAME_BYTES {
            return Err(Error::corrupt(format!("a frame of {length} bytes")));
        }
        let end = LENGTH_BYTES + length;
        let Some(frame) = self.buffer.get(LENGTH_BYTES..end) else { return Ok(None) };
        let decoded = decode(frame)?;
        self.buffer.advance(end);
        Ok(Some(decoded))
    }
}

fn decode(frame: &[u8]) -> Result<(Header, Bytes)> {
    let (_, rest) = Header::split(frame)?;
    let (header, body) = postcard::take_from_bytes(rest).map_err(versioned::damaged::<Header>)?;
    // A copy: a small body that is kept must not keep a whole buffer alive.
    Ok((header, Bytes::copy_from_slice(body)))
}

#[cfg(test)]
mod tests {
    use mapring_types::limits::UNARY_BYTES;
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn frames_arrive_as_they_were_sent() {
        let error = Error::timeout("n7 is slow").to_wire();
        let sent = [
            (Header::Ping, 0),
            (Header::Request { id: 1, service: 2, operation: 3, timeout_ms: u64::MAX }, 64),
            (Header::Answer { id: u64::MAX }, UNARY_BYTES),
            (Header::Failure { id: 4, error }, 0),
            (Header::Answer { id: 5 }, limits::BUFFER_BYTES),
            (Header::Oversize { id: 6, token: 7 }, 0),
        ];
        let (near, far) = tokio::io::duplex(1000);
        let writing = async {
            let mut writer = FrameWriter::new(near);
            for (number, (header, length)) in sent.iter().enumerate() {
                let body = Bytes::from(vec![number as u8; *length]);
                writer.write(Frame::new(header, body).unwrap()).await.unwrap();
            }
            writer.flush().await.unwrap();
        };
        let reading = async {
            let mut reader = FrameReader::new(far);
            let mut received = Vec::new();
            while received.len() < sent.len() {
                match reader.take().unwrap() {
                    Some(frame) => received.push(frame),
                    None => drop(reader.fill().await.unwrap()),
                }
            }
            received
        };
        let ((), received) = tokio::join!(writing, reading);
        for (number, (header, body)) in received.into_iter().enumerate() {
            assert_eq!(header, sent[number].0);
            assert_eq!(body, vec![number as u8; sent[number].1]);
        }
    }

    /// What former releases have sent is read, byte for byte as they made it.
    #[test]
    fn frames_of_former_releases_are_read() {
        let error = Error::new(mapring_types::ErrorKind::TooLarge, "n7 has no room").to_wire();
        let expected = [
            (Header::Request { id: 300, service: 2, operation: 35, timeout_ms: 60_000 }, "asked"),
            (Header::Cancel { id: 1 }, ""),
            (Header::Answer { id: u64::MAX }, "told"),
            (Header::Failure { id: 4, error }, ""),
            (Header::Oversize { id: 6, token: 7 }, ""),
            (Header::Ping, ""),
            (Header::Pong, ""),
        ];
        let kept =
            std::fs::read(format!("{}/fixtures/frames-1", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut reader = FrameReader::new(tokio::io::empty());
        reader.buffer.extend_from_slice(&kept);
        let mut written = Vec::new();
        for (header, body) in expected {
            let frame = Frame::new(&header, body.into()).unwrap();
            written.extend([&frame.head[..], &frame.body].concat());
            assert_eq!(reader.take().unwrap(), Some((header, body.into())));
        }
        assert_eq!(reader.take().unwrap(), None);
        assert_eq!(written, kept);
    }

    #[test]
    fn a_frame_of_a_later_version_is_refused_with_both_versions() {
        let error = decode(&[2, 5]).unwrap_err();
        assert!(error.message().contains("a frame has version 2, and version 1 is"), "{error}");
    }

    #[test]
    fn an_endless_error_text_is_cut_at_a_character() {
        let long = wire_error(&Error::internal("ä".repeat(limits::ERROR_BYTES)));
        assert!(long.message.len() <= limits::ERROR_BYTES, "{}", long.message.len());
        assert!(long.message.ends_with('…'));
        Frame::failure(1, &Error::internal("x".repeat(1 << 20))).unwrap();
    }

    proptest! {
        /// I9: whatever comes, nothing panics, and nothing is kept beyond a frame.
        #[test]
        fn garbage_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let mut reader = FrameReader::new(tokio::io::empty());
            reader.buffer.extend_from_slice(&bytes);
            while let Ok(Some(_)) = reader.take() {}
            let _ = decode(&bytes);
        }
    }
}
