//! How names of headers, and what stands behind the status, are spelled: as Riak does (facts R343,
//! R360).
//!
//! HTTP has no case there, but clients show their callers what came. hyper begins each word of a name
//! with a capital, but for names that an extension of the answer spells. Only hyper can make that
//! extension: of names that it reads. So it is given a request that has them, in memory.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::ready;
use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt as _;
use http::header::ETAG;
use http::{Extensions, HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{join, sink};

use crate::headers::indexes;

/// The one name that does not depend on the object.
const TAG: &str = "ETag";

/// Has an answer leave in Riak's spelling.
pub(super) fn apply(response: &mut Response<Body>) {
    if response.status() == StatusCode::NOT_FOUND {
        let reason = ReasonPhrase::from_static(b"Object Not Found");
        response.extensions_mut().insert(reason);
    }
    if let Some(spelling) = spelling(response.headers()) {
        response.extensions_mut().extend(spelling);
    }
}

/// The extension for these headers, if one of them is to be spelled otherwise than hyper would.
fn spelling(headers: &HeaderMap) -> Option<Extensions> {
    static TAG_ALONE: LazyLock<Option<Extensions>> = LazyLock::new(|| read(&[TAG]));
    // Here all names are in lower case.
    let names = headers.keys().map(HeaderName::as_str);
    let mut names = names.filter(|name| name.starts_with(indexes::PREFIX)).collect::<Vec<_>>();
    if !names.is_empty() {
        names.push(TAG);
        read(&names)
    } else if headers.contains_key(ETAG) {
        TAG_ALONE.clone()
    } else {
        None
    }
}

/// What hyper makes of a request with these names. There is nothing to wait for, so it is polled once.
/// `None`, as for more bytes than it reads as a head, leaves all names to hyper.
fn read(names: &[&str]) -> Option<Extensions> {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    for name in names {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b":\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let taken = Cell::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        taken.set(Some(request.into_parts().0.extensions));
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let connection = http1::Builder::new()
        .preserve_header_case(true)
        .header_read_timeout(None::<Duration>)
        .max_headers(names.len())
        .serve_connection(TokioIo::new(join(head.as_slice(), sink())), service);
    // How it ends does not matter: what was wanted is there, or it is not.
    let _ = connection.now_or_never();
    taken.take()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(names: &[&'static str], expect: bool) {
        let header =
            |&name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("x"));
        let headers = names.iter().map(header).collect::<HeaderMap>();
        // Extensions without anything in them would say nothing to hyper.
        let told = spelling(&headers).is_some_and(|spelling| !spelling.is_empty());
        assert_eq!(told, expect, "{names:?}");
    }

    /// What then leaves is looked at where the server is tested.
    #[test]
    fn hyper_is_told_what_it_would_spell_otherwise() {
        check(&[], false);
        check(&["x-riak-vclock", "content-type"], false);
        check(&["etag", "vary"], true);
        check(&["x-riak-index-f_bin"], true);
        check(&["etag", "x-riak-index-f_bin", "x-riak-index-n_int"], true);
    }
}
