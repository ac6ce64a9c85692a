//! Tells of each request in the log, at level `debug`: what was asked, the status, how long it took
//! until the answer began.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Method, Request, Response};
use tokio::time::Instant;
use tower::Service;
use tracing::Level;

use super::then::Then;

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Trace<S> {
    inner: S,
}

/// What is told of a request.
pub(crate) struct Asked {
    method: Method,
    path: String,
    begun: Instant,
}

impl<S> Trace<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Then<S::Future, Option<Asked>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Nothing is kept where nobody looks, as is usual. A span would cost at every poll.
        let asked = tracing::enabled!(Level::DEBUG).then(|| Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            begun: Instant::now(),
        });
        Then::new(self.inner.call(request), asked, tell)
    }
}

fn tell(asked: &mut Option<Asked>, response: Response<Body>) -> Response<Body> {
    if let Some(Asked { method, path, begun }) = asked {
        let (status, elapsed) = (response.status().as_u16(), begun.elapsed());
        tracing::debug!(%method, path, status, ?elapsed, "answered");
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn logged(level: Level) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let inner = service_fn(|_| async {
            Ok(Response::builder().status(404).body(Body::empty()).unwrap())
        });
        let request = Request::delete("/riak/b/a%2Fb?r=1").body(Body::empty()).unwrap();
        Trace::new(inner).oneshot(request).await.unwrap();
        let text = log.0.lock().clone();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn requests_are_told_of_to_those_who_look() {
        let text = logged(Level::DEBUG).await;
        let expect = "answered method=DELETE path=\"/riak/b/a%2Fb\" status=404 elapsed=";
        assert!(text.contains(expect), "{text}");
        assert_eq!(logged(Level::INFO).await, "");
    }
}
