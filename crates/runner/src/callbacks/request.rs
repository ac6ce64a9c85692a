//! One request of a callback: to whom it is sent, and what it says.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mapring_jobs::callback::{
    self, Allowed, Callback, Host, ID_HEADER, SIGNATURE_HEADER, Target, signature,
};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Notice;
use crate::limits;

/// The request of a callback, signed with a secret at a time in seconds since 1970.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn build(
    callback: &Callback,
    notice: &Notice,
    signed: Option<(&[u8], u64)>,
) -> Result<Request<Full<Bytes>>, String> {
    let (method, body) = match callback.method {
        callback::Method::Post => (Method::POST, notice.body.clone()),
        callback::Method::Put => (Method::PUT, notice.body.clone()),
        callback::Method::Get => (Method::GET, Bytes::new()),
    };
    let uri: Uri = callback.target.url().parse().map_err(|error| format!("is no URL: {error}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, concat!("mapring/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .header(ID_HEADER, id(&notice.id));
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some((secret, seconds)) = signed {
        request = request.header(SIGNATURE_HEADER, signature(secret, seconds, &body));
    }
    request.body(Full::new(body)).map_err(|error| format!("cannot be asked for: {error}"))
}

/// An id as a header has it: what stands for no letter there is left out of it.
fn id(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or_else(|_| {
        let plain: String =
            id.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
        HeaderValue::from_str(&plain).unwrap_or_else(|_| HeaderValue::from_static("_"))
    })
}

/// Sends a request and gives the status of the answer; the rest of it is not read.
///
/// # Errors
/// Why there is no answer, in words.
pub(super) async fn send(
    target: &Target,
    allowed: &Allowed,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, String> {
    let stream = connect(target, allowed).await?;
    let broken = |error: hyper::Error| format!("is broken off: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with this function.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    Ok(answer.status())
}

/// Connects to an address that the name stands for at this moment and that is allowed, and to no other.
async fn connect(target: &Target, allowed: &Allowed) -> Result<TcpStream, String> {
    let addresses: Vec<_> = match target.host() {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), target.port())).await;
            let found = found.map_err(|error| format!("names no host that is known: {error}"))?;
            found.map(|address| address.ip()).take(limits::CALLBACK_ADDRESSES).collect()
        }
    };
    let mut failure = "names a host without an address".to_owned();
    for address in addresses {
        let address: SocketAddr = match allowed.address(target, address) {
            Ok(address) => address,
            Err(refusal) => {
                failure = refusal.to_string();
                continue;
            }
        };
        match timeout(limits::CALLBACK_CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = format!("cannot be reached at {address}: {error}"),
            Err(_) => failure = format!("cannot be reached at {address} in time"),
        }
    }
    Err(failure)
}
