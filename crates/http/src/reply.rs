//! Answers: their parts, error pages, and the status codes of errors.

use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use mapring_api::meaning::{self, Class};
use mapring_types::Error;

/// Media types that the interface itself produces.
pub mod media {
    /// Plain text.
    pub const TEXT: &str = "text/plain";
    /// HTML pages.
    pub const HTML: &str = "text/html";
    /// JSON documents.
    pub const JSON: &str = "application/json";
    /// Several documents in one.
    pub const MULTIPART: &str = "multipart/mixed";
    /// JSON documents, one a line.
    pub const LINES: &str = "application/x-ndjson";
    /// Server-sent events, which browsers follow.
    pub const EVENTS: &str = "text/event-stream";
}

/// The `Vary` of resources with one representation (fact R11).
pub const VARY_ENCODING: &str = "Accept-Encoding";

/// The `Vary` of resources with several representations.
pub const VARY_BOTH: &str = "Accept, Accept-Encoding";

/// What is said to those whose requests are broken off because the node stops.
pub(crate) const STOPPING: &str = "this node is stopping: ask another node";

/// Room for the headers of most answers, the server's own among them.
const USUAL_HEADERS: usize = 12;

/// An answer under construction.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    text: Option<String>,
}

/// An answer that ends the handling of a request before its usual end.
#[derive(Debug)]
pub struct Stop(Box<Reply>);

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self(Box::new(reply))
    }
}

impl From<Stop> for Reply {
    fn from(stop: Stop) -> Self {
        *stop.0
    }
}

impl Stop {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    /// The body, when it is text.
    pub fn text(&self) -> String {
        self.0.text.clone().unwrap_or_default()
    }

    /// See [`Reply::vary`].
    #[must_use]
    pub fn vary(self, value: &'static str) -> Self {
        Reply::from(self).vary(value).into()
    }

    /// The same words on a page, as Riak answers where its resource says nothing itself (fact R12).
    #[must_use]
    pub(crate) fn on_a_page(self) -> Self {
        let reply = Reply::from(self);
        let text = reply.text.clone().unwrap_or_default();
        Reply::page_saying(reply.status, &text).into()
    }
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        let headers = HeaderMap::with_capacity(USUAL_HEADERS);
        Self { status, headers, body: Body::empty(), text: None }
    }

    /// An answer with a body of the given type.
    pub fn new(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Self {
        let reply = Self { body: body.into(), ..Self::empty(status) };
        reply.header(CONTENT_TYPE, content_type)
    }

    /// Plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into();
        let reply = Self::new(status, media::TEXT, text.clone());
        Self { text: Some(text), ..reply }
    }

    /// A JSON document.
    pub fn json(status: StatusCode, document: impl Into<Bytes>) -> Self {
        Self::new(status, media::JSON, Body::from(document.into()))
    }

    /// 400 with an explanation.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::text(StatusCode::BAD_REQUEST, text)
    }

    /// A short page for an error of which the resource says nothing itself (fact R12).
    pub fn page(status: StatusCode) -> Self {
        Self::page_saying(status, "")
    }

    /// As [`Reply::page`], with a line of text.
    pub fn page_saying(status: StatusCode, text: &str) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        let code = status.as_u16();
        let text = match text.trim() {
            "" => String::new(),
            text => {
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                format!("<p>{text}</p>")
            }
        };
        let page = format!(
            "<html><head><title>{code} {reason}</title></head><body><h1>{reason}</h1>{text}</body>\
             </html>"
        );
        Self::new(status, media::HTML, page)
    }

    /// 405 with the methods that there are.
    pub fn not_allowed(methods: &'static str) -> Self {
        Self::page(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, methods)
    }

    /// 404 for a bucket type that does not exist.
    pub fn unknown_type(bucket_type: &[u8]) -> Self {
        let name = String::from_utf8_lossy(bucket_type);
        Self::text(StatusCode::NOT_FOUND, format!("Unknown bucket type: {name}"))
    }

    /// 404 for what is in a bucket type that does not exist, where Riak's resource says nothing of it
    /// (fact R268).
    pub fn missing_type(bucket_type: &[u8]) -> Self {
        let name = String::from_utf8_lossy(bucket_type);
        let text = format!("Unknown bucket type: {name}");
        Self::page_saying(StatusCode::NOT_FOUND, &text).vary(VARY_ENCODING)
    }

    /// 404 for an object that does not exist.
    pub fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "not found\n")
    }

    /// 503 for a request that is broken off because the node stops.
    pub fn stopping() -> Self {
        Self::from_error(&Error::unavailable(STOPPING))
    }

    /// The answer for an error of the store (fact R28).
    pub fn from_error(error: &Error) -> Self {
        let class = meaning::class(error.kind());
        let mut before = "";
        if class == Class::Failed {
            tracing::warn!(%error, "request failed");
            before = "Error:\n";
        }
        Self::text(status_of(class), format!("{before}{}\n", meaning::words(error)))
    }

    /// Sets a header. A value that cannot stand in a header is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sets a header whose name is made at run time. What cannot be a header is left out.
    #[must_use]
    pub fn named(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => self.header(name, value),
            Err(_) => self,
        }
    }

    /// Says what the choice of representation depends on.
    #[must_use]
    pub fn vary(self, value: &'static str) -> Self {
        self.header(VARY, value)
    }

    /// The status code, …
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// … the media type, …
    pub(crate) fn media_type(&self) -> &[u8] {
        self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default()
    }

    /// … the methods that there are, where it says so, …
    pub(crate) fn allowed(&self) -> Option<&str> {
        self.headers.get(ALLOW)?.to_str().ok()
    }

    /// … and the body, where it is plain text.
    pub(crate) fn words(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Says the same as a JSON document, keeping status and headers.
    #[must_use]
    pub(crate) fn saying(self, document: impl Into<Bytes>) -> Self {
        let reply = Self { body: Body::from(document.into()), text: None, ..self };
        reply.header(CONTENT_TYPE, media::JSON)
    }

    /// Changes the status, keeping headers and body.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The response.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// The status code of a class of errors.
pub(crate) fn status_of(class: Class) -> StatusCode {
    match class {
        Class::Invalid => StatusCode::BAD_REQUEST,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::Precondition => StatusCode::PRECONDITION_FAILED,
        Class::Conflict => StatusCode::CONFLICT,
        Class::Full => StatusCode::TOO_MANY_REQUESTS,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Reply::from_error(&error).into()
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::ErrorKind;
    use mapring_types::error::QuorumKind;

    use super::*;

    #[track_caller]
    fn check(kind: ErrorKind, status: u16, text: &str) {
        let stop = Stop::from(Error::new(kind, "why"));
        assert_eq!((stop.status(), stop.text()), (status, text.to_owned()));
    }

    #[test]
    fn kinds_have_status_codes() {
        check(ErrorKind::Invalid, 400, "why\n");
        check(ErrorKind::NotFound, 404, "why\n");
        check(ErrorKind::Forbidden, 403, "why\n");
        check(ErrorKind::Timeout, 503, "request timed out\n");
        let quorum = ErrorKind::Quorum { what: QuorumKind::Pr, got: 2, want: 3 };
        check(quorum, 503, "PR-value unsatisfied: 2/3\n");
        check(ErrorKind::Unavailable, 503, "why\n");
        check(ErrorKind::Overloaded, 503, "why\n");
        check(ErrorKind::Precondition, 412, "why\n");
        check(ErrorKind::TooLarge, 500, "Error:\nwhy\n");
        check(ErrorKind::Internal, 500, "Error:\nwhy\n");
    }
}
