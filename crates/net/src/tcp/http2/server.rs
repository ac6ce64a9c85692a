//! The answering side of an HTTP/2 connection.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mapring_types::limits::{LEASE, MESSAGE_BYTES};
use mapring_types::{Error, NodeId, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::shared::{Shared, kilobytes, stopped, too_slow};
use super::{OVERSIZE, TIMEOUT_HEADER};
use crate::{FrameStream, Method, ServiceId, limits};

/// Lets hyper start its tasks among those of the transport.
#[derive(Clone)]
pub(super) struct Spawner(pub(super) Arc<Shared>);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.tasks.spawn(work);
    }
}

type AnswerBody = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// Answers the requests of one connection until it breaks.
pub(in super::super) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    from: NodeId,
) -> Result<()> {
    shared.serving().await?;
    let spawner = Spawner(shared.clone());
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(shared, from, request).await) }
    });
    Builder::new(spawner)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_frame_size(limits::CHUNK_BYTES as u32)
        .max_header_list_size(limits::HEADER_BYTES)
        .max_send_buf_size(limits::STREAM_WINDOW as usize)
        // Peers cancel streams as a matter of course: that is no attack.
        .max_pending_accept_reset_streams(limits::STREAMS as usize)
        .keep_alive_interval(LEASE)
        .keep_alive_timeout(LEASE)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(|error| Error::unavailable("the connection broke").with_source(error))
}

async fn respond(
    shared: Arc<Shared>,
    from: NodeId,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let sent = shared.metrics.sent.clone();
    let (status, frames) = match answer(shared, from, request).await {
        Ok(frames) => (StatusCode::OK, frames),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, stream::once(async { Err(error) }).boxed())
        }
    };
    let chunks = super::chunks(frames).map(move |chunk| {
        sent.increment(chunk.len() as u64);
        Ok(Frame::data(chunk))
    });
    let mut response = Response::new(StreamBody::new(chunks.boxed()));
    *response.status_mut() = status;
    response
}

/// What a request asks for.
enum Asked {
    Call(Method),
    Open(Method),
    Oversize(u64),
}

async fn answer(
    shared: Arc<Shared>,
    from: NodeId,
    request: Request<Incoming>,
) -> Result<FrameStream> {
    let asked = asked(request.uri().path())?;
    let within = request
        .headers()
        .get(TIMEOUT_HEADER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_millis)
        .ok_or_else(|| Error::invalid("a request without its timeout"))?;
    if let Asked::Oversize(token) = asked {
        let body = shared.oversize.take(from, token);
        let body = body.ok_or_else(|| Error::unavailable("the reply is not kept any more"))?;
        return Ok(one(body));
    }
    let me = shared.identity.me;
    let receiving = receive(&shared, request.into_body());
    let received = timeout(within, receiving).await;
    let (body, _memory) = received.map_err(|_| too_slow(me, within))??;
    match asked {
        Asked::Open(method) => shared.produce(from, method, body, within).await,
        Asked::Call(method) => Ok(one(shared.answer(from, method, body, within).await?)),
        Asked::Oversize(_) => Err(Error::internal("a reply has been asked for twice")),
    }
}

/// Reads a whole request. Its memory is taken from a common store before the first byte is read.
async fn receive(
    shared: &Arc<Shared>,
    body: Incoming,
) -> Result<(Bytes, tokio::sync::OwnedSemaphorePermit)> {
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or_else(|| Error::invalid("a request without its length"))?;
    if length > MESSAGE_BYTES {
        return Err(super::super::call_server::too_large(length));
    }
    let memory = shared.large.clone().acquire_many_owned(kilobytes(length)).await;
    let memory = memory.map_err(|_| stopped(shared.identity.me))?;
    let body = body.collect().await;
    let body = body.map_err(|error| Error::unavailable("the request broke").with_source(error))?;
    shared.metrics.received.increment(length as u64);
    Ok((body.to_bytes(), memory))
}

fn one(body: Bytes) -> FrameStream {
    async { Ok(body) }.into_stream().boxed()
}

fn asked(path: &str) -> Result<Asked> {
    let unknown = || Error::invalid("a request for something unknown here");
    let mut parts = path.split('/').skip(1);
    if parts.next() != Some("1") {
        return Err(Error::invalid("a request of another version"));
    }
    let what = parts.next().ok_or_else(unknown)?;
    let first: u64 = parts.next().and_then(|part| part.parse().ok()).ok_or_else(unknown)?;
    let second: Option<u8> = parts.next().and_then(|part| part.parse().ok());
    if what == OVERSIZE {
        return Ok(Asked::Oversize(first));
    }
    let service = u8::try_from(first).map_err(|_| unknown())?;
    let service = ServiceId::new(service);
    let method = Method { service, operation: second.ok_or_else(unknown)? };
    match what {
        "call" => Ok(Asked::Call(method)),
        "open" => Ok(Asked::Open(method)),
        _ => Err(unknown()),
    }
}
