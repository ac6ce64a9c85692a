//! Connections to one node, kept for the next request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::error::{Error, Result};
use crate::limits;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, names resolved.
    pub connect: Duration,
    /// For the head of an answer, and then for each next piece of its body. Longer than the
    /// server's own deadline, so that it is the server that says what took long.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: mapring_types::limits::REQUEST_TIMEOUT + Duration::from_secs(10),
        }
    }
}

/// A client of one node. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    /// `host:port`.
    address: String,
    timeouts: Timeouts,
    /// Open connections, the one used last at the back.
    idle: Mutex<VecDeque<(Instant, SendRequest<Full<Bytes>>)>>,
}

/// An answer whose body has not been read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// A body under way. Its connection goes back when it has been read to its end.
pub(crate) struct Body {
    client: Client,
    incoming: Incoming,
    /// `None` once the end is reached.
    connection: Option<SendRequest<Full<Bytes>>>,
    patience: Duration,
}

impl Client {
    /// A client of the node at `url`, such as `http://127.0.0.1:8098`. Connects when it must.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn new(url: &str) -> Result<Self> {
        Self::with_timeouts(url, Timeouts::default())
    }

    /// As [`Client::new`], waiting for other times.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn with_timeouts(url: &str, timeouts: Timeouts) -> Result<Self> {
        let address = parse_url(url).ok_or_else(|| Error::Url { url: url.to_owned() })?;
        let inner = Inner { address, timeouts, idle: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// `host:port` of the node.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer> {
        self.send_with_patience(method, path, headers, body, Duration::ZERO).await
    }

    /// As [`Client::send`], waiting longer than configured when `patience` is longer.
    pub(crate) async fn send_with_patience(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer> {
        let patience = self.inner.timeouts.answer.max(patience);
        let deadline = Instant::now() + patience;
        loop {
            let (mut connection, reused) = match self.take_idle() {
                Some(connection) => (connection, true),
                None => (self.connect().await?, false),
            };
            let request = self.request(&method, path, &headers, &body)?;
            let answer = tokio::time::timeout_at(deadline, connection.try_send_request(request));
            match answer.await {
                Err(_) => return Err(self.timed_out(patience)),
                Ok(Ok(answer)) => return Ok(self.answer(answer, connection, patience)),
                // The server closed a kept connection at the same moment: another will do. A
                // request that may have reached it is not repeated here.
                Ok(Err(mut failed)) => {
                    if !reused || failed.take_message().is_none() {
                        return Err(self.broken(failed.into_error()));
                    }
                }
            }
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.inner.address)
            .header(header::USER_AGENT, concat!("mapring-client/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body.clone()))
            .map_err(Error::form)?;
        request.headers_mut().extend(headers.clone());
        Ok(request)
    }

    fn answer(
        &self,
        answer: Response<Incoming>,
        connection: SendRequest<Full<Bytes>>,
        patience: Duration,
    ) -> Answer {
        let (head, incoming) = answer.into_parts();
        let connection = Some(connection);
        let body = Body { client: self.clone(), incoming, connection, patience };
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let address = &self.inner.address;
        let refused = |reason: String| Error::Connect { address: address.clone(), reason };
        let after = self.inner.timeouts.connect;
        // Resolves the name each time, so that a node may move.
        let stream = timeout(after, TcpStream::connect(address))
            .await
            .map_err(|_| refused(format!("no answer within {after:?}")))?
            .map_err(|error| refused(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| refused(error.to_string()))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| refused(error.to_string()))?;
        // Ends when the sender is dropped and the last body has been read or dropped.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, connection)) = idle.pop_back() {
            if since.elapsed() < limits::IDLE && connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn give_back(&self, connection: SendRequest<Full<Bytes>>) {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= limits::IDLE_CONNECTIONS {
            idle.pop_front();
        }
        idle.push_back((Instant::now(), connection));
    }

    fn timed_out(&self, after: Duration) -> Error {
        Error::Timeout { address: self.inner.address.clone(), after }
    }

    fn broken(&self, error: hyper::Error) -> Error {
        // hyper's own words seldom say why; the innermost cause does.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Error::Broken { address: self.inner.address.clone(), reason: cause.to_string() }
    }
}

impl Answer {
    /// This answer if it has one of `good` statuses; else the error that it tells of.
    pub(crate) async fn expect(self, good: &[StatusCode]) -> Result<Self> {
        if good.contains(&self.status) {
            return Ok(self);
        }
        let status = self.status.as_u16();
        let text = self.body.collect_text(limits::ERROR_BYTES).await?;
        Err(Error::Status { status, text: text.trim().to_owned() })
    }

    /// A header as text; `None` when it is absent or not ASCII.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Body {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.connection.is_none() {
                return Ok(None);
            }
            let frame = timeout(self.patience, self.incoming.frame())
                .await
                .map_err(|_| self.client.timed_out(self.patience))?;
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(self.client.broken(error)),
                None => {
                    if let Some(mut connection) = self.connection.take() {
                        // The connection's task sees the end a moment after this one.
                        if timeout(self.client.inner.timeouts.connect, connection.ready())
                            .await
                            .is_ok_and(|ready| ready.is_ok())
                        {
                            self.client.give_back(connection);
                        }
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > limit {
                return Err(Error::TooLarge { limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The body as text, cut off at `limit`.
    async fn collect_text(mut self, limit: usize) -> Result<String> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            let room = limit.saturating_sub(whole.len());
            whole.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            if room < piece.len() {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&whole).into_owned())
    }
}

/// `host:port` of `http://host[:port][/]`.
fn parse_url(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let parsed: http::uri::Authority = authority.parse().ok()?;
    let plain = !parsed.host().is_empty() && !authority.contains('@');
    plain.then(|| format!("{}:{}", parsed.host(), parsed.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Place;

    /// A server that sends `answer` to each request, closes a connection after so many, and counts
    /// connections.
    async fn server(answer: &'static str, requests: usize) -> (Client, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    for _ in 0..requests {
                        let mut request = Vec::new();
                        while !request.ends_with(b"\r\n\r\n") {
                            request.push(stream.read_u8().await?);
                        }
                        stream.write_all(answer.as_bytes()).await?;
                    }
                    std::io::Result::Ok(())
                });
            }
        });
        let times = Timeouts { connect: Duration::from_secs(5), answer: Duration::from_secs(1) };
        (Client::with_timeouts(&url, times).unwrap(), connections)
    }

    const FOUND: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";

    #[tokio::test]
    async fn connections_are_used_again() {
        let (client, connections) = server(FOUND, 100).await;
        for _ in 0..5 {
            assert_eq!(client.get(&Place::new("b", "k")).await.unwrap().body, "hi");
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn connections_that_the_server_closed_are_replaced() {
        let (client, connections) = server(FOUND, 1).await;
        for _ in 0..5 {
            assert_eq!(client.get(&Place::new("b", "k")).await.unwrap().body, "hi");
        }
        assert_eq!(connections.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        let get = |answer| async move {
            let (client, _) = server(answer, 1).await;
            client.get(&Place::new("b", "k")).await.unwrap_err()
        };
        let error = get("HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nnot found\n").await;
        assert!(matches!(error, Error::NotFound), "{error}");
        let error = get("HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\nbusy\n").await;
        assert!(error.is_transient(), "{error}");
        assert_eq!(error.to_string(), "503: busy");
        let error = get("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        assert!(matches!(error, Error::Broken { .. }), "{error}");
        let (client, _) = server("", 2).await;
        let error = client.get(&Place::new("b", "k")).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        let error = Client::new("http://127.0.0.1:1").unwrap().is_ready().await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }

    #[test]
    fn urls() {
        for (url, expect) in [
            ("http://127.0.0.1:8098", Some("127.0.0.1:8098")),
            ("http://localhost:8098/", Some("localhost:8098")),
            ("http://n1", Some("n1:80")),
            ("http://[::1]:8098", Some("[::1]:8098")),
            ("https://n1", None),
            ("http://", None),
            ("http://n1/riak", None),
            ("http://me@n1", None),
            ("n1:8098", None),
        ] {
            assert_eq!(parse_url(url).as_deref(), expect, "{url}");
        }
    }
}
