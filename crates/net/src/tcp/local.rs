//! Calls of a node to itself: no socket, the same behaviour.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use mapring_types::{Error, Result};
use tokio::sync::mpsc;

use super::shared::Shared;
use super::tasks::AbortOnDrop;
use crate::{FrameStream, Method, limits};

/// Answers in a task of its own, which ends when the caller does not wait any more.
pub(super) async fn call(
    shared: &Arc<Shared>,
    method: Method,
    body: Bytes,
    timeout: Duration,
) -> Result<Bytes> {
    let me = shared.identity.me;
    let worker = shared.clone();
    let work = async move { worker.answer(me, method, body, timeout).await };
    in_a_task(shared, work).await
}

/// Produces in a task of its own, a frame ahead of the reader.
pub(super) async fn open(
    shared: &Arc<Shared>,
    method: Method,
    body: Bytes,
    timeout: Duration,
) -> Result<FrameStream> {
    let me = shared.identity.me;
    let worker = shared.clone();
    let work = async move { worker.produce(me, method, body, timeout).await };
    let mut frames = in_a_task(shared, work).await?;
    let (sender, receiver) = mpsc::channel(limits::LOCAL_FRAMES);
    let pump = shared.tasks.spawn(async move {
        while let Some(frame) = frames.next().await {
            let last = frame.is_err();
            if sender.send(Some(frame)).await.is_err() || last {
                return;
            }
        }
        let _ = sender.send(None).await;
    });
    let state = Some((receiver, AbortOnDrop(pump.abort_handle())));
    let frames = stream::unfold(state, move |state| async move {
        let (mut receiver, pump) = state?;
        match receiver.recv().await {
            Some(Some(Ok(frame))) => Some((Ok(frame), Some((receiver, pump)))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            // The pump was ended before the stream was: that is no end.
            None => Some((Err(super::shared::stopped(me)), None)),
        }
    });
    Ok(frames.boxed())
}

async fn in_a_task<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let task = shared.tasks.spawn(work);
    let _abort = AbortOnDrop(task.abort_handle());
    match task.await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(super::shared::stopped(shared.identity.me)),
        Err(error) => Err(Error::internal("a call ended without an answer").with_source(error)),
    }
}
