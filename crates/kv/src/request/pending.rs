//! Answers that are waited for. Where none is, as with one replica that is at hand, it costs nothing.

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

/// See the module.
pub(crate) struct Pending<T>(Option<FuturesUnordered<BoxFuture<'static, T>>>);

impl<T> Pending<T> {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    pub(crate) fn push(&mut self, answer: impl Future<Output = T> + Send + 'static) {
        self.0.get_or_insert_default().push(Box::pin(answer));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(FuturesUnordered::is_empty)
    }

    /// The next answer; `None` when there is none to wait for.
    pub(crate) async fn next(&mut self) -> Option<T> {
        self.0.as_mut()?.next().await
    }
}
