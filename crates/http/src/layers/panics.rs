//! Answers 500 where a handler panics, so that its client learns of it and its connection lives on,
//! unless the request has a body that was not read. What such an answer has begun to send still breaks
//! off.
//!
//! tower-http has such a layer too, but it puts every body of every answer into one more box.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use futures::FutureExt as _;
use futures::future::CatchUnwind;
use http::{Request, Response};
use mapring_types::Error;
use pin_project_lite::pin_project;
use tower::Service;

use crate::reply::Reply;

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct CatchPanic<S> {
    inner: S,
}

impl<S> CatchPanic<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for CatchPanic<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Caught<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // What a panic leaves half done is the request's own: what requests share is behind locks
        // and messages, and was as safe from a panic when it ended the connection's task.
        let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        let inner = inner.map(|future| AssertUnwindSafe(future).catch_unwind());
        match inner {
            Ok(running) => Caught { running: Some(running), panic: None },
            Err(panic) => Caught { running: None, panic: Some(panic) },
        }
    }
}

pin_project! {
    /// The answer of the inner service, or 500.
    pub(crate) struct Caught<F> {
        #[pin]
        running: Option<CatchUnwind<AssertUnwindSafe<F>>>,
        panic: Option<Box<dyn Any + Send>>,
    }
}

impl<F> Future for Caught<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let panic = match this.running.as_pin_mut() {
            Some(running) => match ready!(running.poll(cx)) {
                Ok(answered) => return Poll::Ready(answered),
                Err(panic) => Some(panic),
            },
            None => this.panic.take(),
        };
        Poll::Ready(Ok(failed(panic)))
    }
}

fn failed(panic: Option<Box<dyn Any + Send>>) -> Response<Body> {
    let said = panic.as_ref().and_then(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied())
    });
    tracing::error!(panic = said.unwrap_or("of unknown words"), "a request met a defect");
    let error = Error::internal("the request met a defect of this node, whose log tells more");
    Reply::from_error(&error).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// Panics where the request's path says.
    async fn answered(path: &'static str) -> (u16, String) {
        let inner = service_fn(|request: Request<Body>| {
            let path = request.uri().path().to_owned();
            assert_ne!(path, "/at-once");
            async move {
                tokio::task::yield_now().await;
                assert_ne!(path, "/later", "words of {path}");
                Ok(Response::new(Body::from("good")))
            }
        });
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = CatchPanic::new(inner).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_answered() {
        assert_eq!(answered("/").await, (200, "good".into()));
        for path in ["/at-once", "/later"] {
            let (status, text) = answered(path).await;
            assert_eq!(status, 500);
            assert!(text.contains("defect of this node") && !text.contains("words"), "{text}");
        }
    }
}
