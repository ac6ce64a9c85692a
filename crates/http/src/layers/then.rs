//! A future of a layer that changes an answer when it is there.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// Waits for `inner` and gives its answer to `change`, with what the layer kept of the request.
    pub(crate) struct Then<F, K> {
        #[pin]
        inner: F,
        kept: K,
        change: fn(&mut K, Response<Body>) -> Response<Body>,
    }
}

impl<F, K> Then<F, K> {
    pub(crate) fn new(
        inner: F,
        kept: K,
        change: fn(&mut K, Response<Body>) -> Response<Body>,
    ) -> Self {
        Self { inner, kept, change }
    }
}

impl<F, K> Future for Then<F, K>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok((this.change)(this.kept, response)))
    }
}
