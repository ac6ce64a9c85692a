//! Completes answers: who answers, how long it is, no body where there must be none. Counts them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::header::{CONTENT_LENGTH, HeaderValue, SERVER};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tower::Service;

use super::spelling;
use super::then::Then;

const SOFTWARE: &str = concat!("mapring/", env!("CARGO_PKG_VERSION"));

/// The classes of status codes, from 1xx on.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counts answers by status class.
pub(crate) struct Counters([metrics::Counter; CLASSES.len()]);

impl Default for Counters {
    /// Looks the counters up, once: requests are too many to look them up each time.
    fn default() -> Self {
        Self(
            CLASSES
                .map(|class| metrics::counter!("mapring_http_requests_total", "status" => class)),
        )
    }
}

impl Counters {
    fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len());
        self.0[class - 1].increment(1);
    }
}

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Answer<S> {
    inner: S,
    counters: Arc<Counters>,
}

impl<S> Answer<S> {
    pub(crate) fn new(inner: S, counters: Arc<Counters>) -> Self {
        Self { inner, counters }
    }
}

impl<S> Service<Request<Body>> for Answer<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Then<S::Future, (bool, Arc<Counters>)>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let kept = (request.method() == Method::HEAD, self.counters.clone());
        Then::new(self.inner.call(request), kept, |(is_head, counters), response| {
            counters.count(response.status());
            complete(*is_head, response)
        })
    }
}

fn complete(is_head: bool, mut response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static(SOFTWARE));
    if bodiless || (is_head && is_met(status)) {
        headers.remove(CONTENT_LENGTH);
    } else if let Some(length) = length
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if bodiless || is_head {
        *response.body_mut() = Body::empty();
    }
    spelling::apply(&mut response);
    response
}

/// What a client meets that does all as it should. It is told nothing of the body that a GET would have
/// had: there are clients that read one where a length is told (fact R340).
fn is_met(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;
    use http_body_util::BodyExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// The length that is told, and what is sent.
    async fn answered(method: Method, status: u16, body: fn() -> Body) -> (Option<String>, Bytes) {
        let inner = service_fn(move |_| async move {
            Ok(Response::builder().status(status).body(body()).unwrap())
        });
        let request = Request::builder().method(method).body(Body::empty()).unwrap();
        let service = Answer::new(inner, Arc::default());
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.headers()[SERVER], SOFTWARE);
        let told = response.headers().get(CONTENT_LENGTH).cloned();
        let told = told.map(|length| length.to_str().unwrap().to_owned());
        (told, response.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn answers_are_completed() {
        let whole = || Body::from("four");
        let parts = || Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from("four"))]));
        let four = Some("4".to_owned());
        let (get, head) = (Method::GET, Method::HEAD);
        assert_eq!(answered(get.clone(), 200, whole).await, (four.clone(), "four".into()));
        assert_eq!(answered(head.clone(), 200, whole).await, (four, "".into()));
        // Nobody knows how long it will be, so nothing is told.
        assert_eq!(answered(get.clone(), 200, parts).await, (None, "four".into()));
        assert_eq!(answered(head.clone(), 200, parts).await, (None, "".into()));
        for status in [404, 503] {
            assert_eq!(answered(head.clone(), status, whole).await, (None, "".into()));
        }
        for status in [204, 304] {
            assert_eq!(answered(get.clone(), status, whole).await, (None, "".into()));
        }
    }
}
