//! Compresses answers for clients that accept it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use tower::Service;

use super::then::Then;
use crate::gzip::{Compressors, is_accepted};

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Compress<S> {
    inner: S,
    compressors: Compressors,
}

impl<S> Compress<S> {
    pub(crate) fn new(inner: S, compressors: Compressors) -> Self {
        Self { inner, compressors }
    }
}

impl<S> Service<Request<Body>> for Compress<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Then<S::Future, Option<Compressors>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wanted = is_accepted(request.headers()).then(|| self.compressors.clone());
        Then::new(self.inner.call(request), wanted, |wanted, response| match wanted {
            Some(compressors) => compressors.encode(response),
            None => response,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::limits;

    async fn is_compressed(accept: Option<&str>, compressors: usize) -> bool {
        let inner = service_fn(|_| async {
            let text = "x".repeat(2 * limits::GZIP_BYTES as usize);
            let response = Response::builder().header(CONTENT_TYPE, "text/plain");
            Ok(response.body(Body::from(text)).unwrap())
        });
        let mut request = Request::builder();
        if let Some(accept) = accept {
            request = request.header(ACCEPT_ENCODING, accept);
        }
        let request = request.body(Body::empty()).unwrap();
        let service = Compress::new(inner, Compressors::new(compressors));
        let response = service.oneshot(request).await.unwrap();
        response.headers().contains_key(CONTENT_ENCODING)
    }

    #[tokio::test]
    async fn only_those_who_accept_it_get_it() {
        assert!(is_compressed(Some("gzip"), 1).await);
        assert!(!is_compressed(Some("br"), 1).await);
        assert!(!is_compressed(None, 1).await);
        assert!(!is_compressed(Some("gzip"), 0).await, "switched off");
    }
}
