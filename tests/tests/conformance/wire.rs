//! HTTP/1.1 by hand: what was really sent, byte for byte.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether it is asked again until its checks hold.
    pub(crate) patient: bool,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: &str) -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { method, path: path.to_owned(), headers, body, patient: false }
    }

    /// The same, asked again until its checks hold.
    pub(crate) fn patiently(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Adds a header, or replaces the one of that name; without a value it goes.
    pub(crate) fn header(mut self, name: &str, value: Option<&str>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", Some(content_type))
    }
}

pub(crate) fn get(path: &str) -> Request {
    Request::new("GET", path)
}

pub(crate) fn head(path: &str) -> Request {
    Request::new("HEAD", path)
}

pub(crate) fn put(path: &str, content_type: &str, value: &str) -> Request {
    Request::new("PUT", path).body(content_type, value)
}

pub(crate) fn post(path: &str, content_type: &str, value: &str) -> Request {
    Request::new("POST", path).body(content_type, value)
}

pub(crate) fn delete(path: &str) -> Request {
    Request::new("DELETE", path)
}

/// What came back. Chunks of the transfer are joined; nothing else is done to the body.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.header("Content-Type").unwrap_or("no content type");
        write!(f, "{} {kind}\n{}", self.status, self.text())
    }
}

/// Sends a request over a connection of its own.
///
/// # Errors
/// A connection that breaks, or an answer that is not HTTP/1.1 or not whole.
pub(crate) async fn send(authority: &str, request: &Request) -> Result<Response, String> {
    let exchange = exchange(authority, request);
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(bytes)) => read(&bytes, request.method),
        Ok(Err(error)) => Err(format!("the connection broke: {error}")),
        Err(_) => Err(format!("no whole answer within {PATIENCE:?}")),
    }
}

async fn exchange(authority: &str, request: &Request) -> std::io::Result<Vec<u8>> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n",
        request.method, request.path
    );
    // Bodies in chunks are written as such into the rows.
    if !request.headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {}\r\n", value.replace("AUTHORITY", authority)));
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&request.body).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn read(bytes: &[u8], method: &str) -> Result<Response, String> {
    // Whoever sent Expect is told so first.
    let bytes = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(bytes);
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let end = find(bytes, b"\r\n\r\n").ok_or_else(|| format!("no HTTP: {:?}", text()))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let body = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|line| line.split(' ').next()?.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {head:?}"))?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(field).collect();
    let mut response = Response { status, headers, body: Vec::new() };
    let chunked = response.header("Transfer-Encoding").is_some_and(|coding| coding == "chunked");
    let length = response.header("Content-Length").and_then(|length| length.parse().ok());
    response.body = match (chunked, length) {
        _ if method == "HEAD" || status == 204 || status == 304 => Vec::new(),
        (true, _) => joined(body).ok_or_else(|| format!("broken chunks: {:?}", text()))?,
        (false, Some(length)) if body.len() < length => {
            return Err(format!("{} of {length} bytes came", body.len()));
        }
        (false, _) => body.to_vec(),
    };
    Ok(response)
}

/// Joins the chunks of a transfer; `None` when it does not end as it must.
fn joined(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = find(bytes, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return bytes.ends_with(b"\r\n").then_some(whole);
        }
        whole.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
