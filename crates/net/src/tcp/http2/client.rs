//! The calling side of an HTTP/2 connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use mapring_types::limits::LEASE;
use mapring_types::{Error, Result};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::metrics::Level;
use super::super::shared::Shared;
use super::{Decoder, OVERSIZE, Piece, TIMEOUT_HEADER};
use crate::{FrameStream, Method, limits};

/// A connection for streams and large calls.
pub(in super::super) struct StreamConnection {
    shared: Arc<Shared>,
    /// For error messages.
    peer: Arc<str>,
    requests: SendRequest<Full<Bytes>>,
    permits: Arc<Semaphore>,
}

impl StreamConnection {
    /// Takes a connection that has passed the handshake.
    pub(in super::super) async fn start(
        shared: &Arc<Shared>,
        stream: TcpStream,
        peer: String,
    ) -> Result<Arc<Self>> {
        let (requests, connection) = Builder::new(super::server::Spawner(shared.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(limits::STREAM_WINDOW)
            .initial_connection_window_size(limits::CONNECTION_WINDOW)
            .max_frame_size(limits::CHUNK_BYTES as u32)
            .max_header_list_size(limits::HEADER_BYTES)
            .max_send_buf_size(limits::STREAM_WINDOW as usize)
            .keep_alive_interval(limits::PING_AFTER)
            .keep_alive_timeout(LEASE - limits::PING_AFTER)
            // A peer that was cut off for a while has closed its end, unheard.
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&peer, error))?;
        let name = peer.clone();
        shared.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::info!(peer = name, %error, "connection for streams broke");
            }
        });
        let permits = Arc::new(Semaphore::new(limits::STREAMS as usize));
        Ok(Arc::new(Self { shared: shared.clone(), peer: peer.into(), requests, permits }))
    }

    /// Whether requests can still be made.
    pub(in super::super) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Makes a call.
    pub(in super::super) async fn call(
        &self,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        self.whole(target("call", method), body, timeout).await
    }

    /// Fetches a reply that waits at the peer.
    pub(in super::super) async fn fetch(&self, token: u64, timeout: Duration) -> Result<Bytes> {
        self.whole(format!("/1/{OVERSIZE}/{token}"), Bytes::new(), timeout).await
    }

    /// Opens a stream.
    pub(in super::super) async fn open(
        &self,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<FrameStream> {
        let mut answer = self.request(target("open", method), body, timeout).await?;
        if !answer.opened {
            return match answer.next().await {
                Ok(_) => Err(Error::corrupt(format!("{} sent data with a refusal", self.peer))),
                Err(error) => Err(error),
            };
        }
        let frames = stream::unfold(Some(answer), |answer| async {
            let mut answer = answer?;
            match answer.next().await {
                Ok(Some(frame)) => Some((Ok(frame), Some(answer))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(frames.boxed())
    }

    /// A request whose answer is one piece.
    async fn whole(&self, path: String, body: Bytes, timeout: Duration) -> Result<Bytes> {
        let mut answer = self.request(path, body, timeout).await?;
        let nothing = || Error::corrupt(format!("{} sent no answer", self.peer));
        let body = answer.next().await?.ok_or_else(nothing)?;
        match answer.next().await? {
            None => Ok(body),
            Some(_) => Err(Error::corrupt(format!("{} sent two answers", self.peer))),
        }
    }

    async fn request(&self, path: String, body: Bytes, timeout: Duration) -> Result<Reply> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::internal("the semaphore of streams is closed"))?;
        self.shared.metrics.sent.increment(body.len() as u64);
        let request = http::Request::post(format!("http://mapring{path}"))
            .header(TIMEOUT_HEADER, timeout.as_millis().max(1).to_string())
            .body(Full::new(body))
            .map_err(|error| Error::internal("cannot form a request").with_source(error))?;
        let response = self.requests.clone().send_request(request).await;
        let response = response.map_err(|error| broken(&self.peer, error))?;
        Ok(Reply {
            peer: self.peer.clone(),
            opened: response.status().is_success(),
            body: response.into_body(),
            decoder: Decoder::default(),
            received: self.shared.metrics.received.clone(),
            _permit: permit,
            _level: Level::raise(&self.shared.metrics.streams),
        })
    }
}

fn target(what: &str, method: Method) -> String {
    format!("/1/{what}/{}/{}", method.service.number(), method.operation)
}

fn broken(peer: &str, error: hyper::Error) -> Error {
    Error::unavailable(format!("the connection to {peer} broke")).with_source(error)
}

/// An answer that is arriving. Dropping it cancels the request.
struct Reply {
    peer: Arc<str>,
    opened: bool,
    body: Incoming,
    decoder: Decoder,
    received: metrics::Counter,
    _permit: OwnedSemaphorePermit,
    _level: Level,
}

impl Reply {
    /// The next data; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.decoder.take()? {
                Some(Piece::Data(body)) => return Ok(Some(body)),
                Some(Piece::Error(error)) => return Err(error),
                Some(Piece::End) => return Ok(None),
                None => {}
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    // Trailers are not used, and of no harm.
                    let Ok(data) = frame.into_data() else { continue };
                    self.received.increment(data.remaining() as u64);
                    self.decoder.push(&data);
                }
                Some(Err(error)) => return Err(broken(&self.peer, error)),
                None => {
                    let peer = &self.peer;
                    return Err(Error::unavailable(format!("{peer} cut an answer off")));
                }
            }
        }
    }
}
