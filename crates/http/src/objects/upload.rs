//! Writing a value that is too large to be held: it goes to the store as it comes.

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONNECTION;
use mapring_kv::PutOptions;
use mapring_types::{ErrorKind, Metadata, Object, ObjectId, VersionVector};
use tokio::time::Instant;

use crate::app::{App, Request};
use crate::body::{self, Held};
use crate::limits;
use crate::reply::{Reply, Stop};

/// What is written beside the bytes, and where.
pub(super) struct Target<'a> {
    pub(super) id: &'a ObjectId,
    pub(super) context: Option<VersionVector>,
    pub(super) metadata: Metadata,
    pub(super) options: &'a PutOptions,
}

/// Writes what has come and what is still to come; gives what the store says of the whole.
///
/// # Errors
/// 413, 408, 503 (too many bodies at once), 400 (the client broke off), and what the store says of a
/// part: then nothing is written.
pub(super) async fn write(
    app: &App,
    request: &mut Request,
    target: Target<'_>,
    (held, more): (Held, Bytes),
) -> Result<mapring_types::Result<Object>, Stop> {
    let sizes = app.objects.body_sizes();
    let block = usize::try_from(sizes.block_bytes).unwrap_or(usize::MAX);
    let _share = app.bodies.take(block.saturating_mul(limits::STREAM_BLOCKS))?;
    let began = Instant::now();
    let failed = |error: mapring_types::Error| match error.kind() {
        ErrorKind::TooLarge => {
            Reply::text(StatusCode::PAYLOAD_TOO_LARGE, format!("{}\n", error.message())).into()
        }
        ErrorKind::Timeout if began.elapsed() >= sizes.time => {
            let text = format!("{}\n", error.message());
            Reply::text(StatusCode::REQUEST_TIMEOUT, text).header(CONNECTION, "close").into()
        }
        _ => Stop::from(error),
    };
    let mut upload = app.objects.upload(target.id, target.options).await.map_err(failed)?;
    // What was held goes block by block, and gives its share back when all of it is on its way.
    upload.write(held.bytes.clone()).await.map_err(failed)?;
    drop(held);
    upload.write(more).await.map_err(failed)?;
    let body = request.body.get_mut();
    while let Some(data) = body::next(body).await? {
        upload.write(data).await.map_err(failed)?;
    }
    *body = Body::empty();
    Ok(upload.finish(target.context, target.metadata).await)
}
