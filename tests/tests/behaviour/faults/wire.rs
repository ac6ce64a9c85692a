//! HTTP by hand: what the client library hides. One connection a request.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// 0 when not even a status came.
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Whether the body ended as HTTP says that it must: all of its `Content-Length`, or the last,
    /// empty chunk.
    pub(super) whole: bool,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How long an answer may take: more than any request's own time.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) async fn get(address: &str, path: &str) -> std::io::Result<Answer> {
    request(address, "GET", path, &[], b"").await
}

/// Sends a request and reads what comes until the connection ends.
pub(super) async fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    timeout(PATIENCE, exchange(address, method, path, headers, body)).await.map_err(late)?
}

async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut received = Vec::new();
    // A reset ends an answer like any other end.
    while matches!(stream.read_buf(&mut received).await, Ok(1..)) {}
    Ok(parse(&received))
}

fn parse(received: &[u8]) -> Answer {
    let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Answer::default();
    };
    let head = String::from_utf8_lossy(&received[..at]).to_ascii_lowercase();
    let rest = &received[at + 4..];
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    if header("transfer-encoding:").as_deref() == Some("chunked") {
        let (body, whole) = unchunk(rest);
        return Answer { status, body, whole };
    }
    let length = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    Answer { status, body: rest.to_vec(), whole: rest.len() == length }
}

/// The bytes in the chunks, and whether the last one came.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..line]).into_owned();
        let Ok(size) = usize::from_str_radix(&size, 16) else { break };
        rest = &rest[line + 2..];
        if size == 0 {
            return (body, rest == b"\r\n");
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            break;
        }
        rest = &rest[size + 2..];
    }
    (body, false)
}

/// The value of a metric of a node; 0 while it has none, or while the node does not answer.
pub(super) async fn metric(address: &str, name: &str) -> f64 {
    let answer = get(address, "/metrics").await.unwrap_or_default();
    let text = answer.text();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    samples.filter_map(|value| value.trim().parse::<f64>().ok()).sum()
}

#[test]
fn cut_answers_are_not_whole() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (rest, body, whole) in [
        ("3\r\nabc\r\n0\r\n\r\n", "abc", true),
        ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", true),
        ("3\r\nabc\r\n0\r\n", "abc", false),
        ("3\r\nabc\r\n", "abc", false),
        ("3\r\na", "a", false),
        ("", "", false),
    ] {
        let answer = parse(format!("{head}{rest}").as_bytes());
        assert_eq!((answer.text().as_str(), answer.whole), (body, whole), "{rest:?}");
    }
    let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
    assert_eq!((answer.status, answer.whole), (200, false));
    assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").whole);
}
