//! One HTTP request over a connection of its own, by hand: what a client does with an answer would be
//! measured, too.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::outcome::Outcome;

/// Bytes that are written or read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Bytes of an answer that are kept.
const KEPT_BYTES: usize = 1 << 20;

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of head and body as they were sent.
    pub(crate) bytes: u64,
    /// The first [`KEPT_BYTES`] of them.
    pub(crate) kept: Vec<u8>,
}

/// Reads what `path` names, which ends with the connection.
pub(crate) async fn get(host: &str, path: &str) -> Outcome<Answer> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    exchange(host, &head, 0).await
}

/// Stores so many bytes, all the same.
pub(crate) async fn put(host: &str, path: &str, bytes: u64) -> Outcome<Answer> {
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\r\n"
    );
    exchange(host, &head, bytes).await
}

async fn exchange(host: &str, head: &str, body_bytes: u64) -> Outcome<Answer> {
    let mut stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    stream.write_all(head.as_bytes()).await?;
    let piece = vec![b'x'; PIECE_BYTES];
    let mut left = body_bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        stream.write_all(piece.get(..most).unwrap_or_default()).await?;
        left -= most as u64;
    }
    let mut stream = BufReader::with_capacity(PIECE_BYTES, stream);
    let (mut answer, mut piece) = (Answer { status: 0, bytes: 0, kept: Vec::new() }, piece);
    loop {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        answer.bytes += read as u64;
        let room = KEPT_BYTES.saturating_sub(answer.kept.len()).min(read);
        answer.kept.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    let code = answer.kept.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    answer.status = code.ok_or("an answer that is not HTTP/1.1")?;
    if matches!(answer.status, 200 | 204) {
        return Ok(answer);
    }
    let words: String = String::from_utf8_lossy(&answer.kept).chars().take(300).collect();
    Err(format!("{} was answered: {words}", head.lines().next().unwrap_or_default()).into())
}
