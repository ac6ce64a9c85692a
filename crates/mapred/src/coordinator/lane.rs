//! The coordinator's end of one lane.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use mapring_net::{Call, Class, FrameStream, Peer, Transport};
use mapring_types::{Error, Release, Result, limits as common};

use crate::limits;
use crate::unit::{Frame, JobLane, LaneRequest, LaneTerms};
use crate::wire;

/// What a lane gave.
pub(super) enum Step {
    /// A frame, and where to wait for the next one.
    Frame(Frame, FrameStream),
    /// The node cannot be asked.
    Unreachable(Error),
    /// The node's release has no words for what is asked: no further try is of use.
    Refused(Error),
    /// The lane ended before its work did.
    Lost(Error),
}

/// Opens a lane, perhaps one of a job, to a node that knows a release of the formats, and waits for its first frame.
pub(super) fn open(
    transport: Arc<dyn Transport>,
    peer: Option<Peer>,
    release: Release,
    request: LaneRequest,
    terms: Option<LaneTerms>,
) -> BoxFuture<'static, Step> {
    let version = wire::version_at(release);
    let (method, body) = match terms {
        Some(terms) => {
            (JobLane::method(), wire::encode(version, &JobLane { terms, lane: request }))
        }
        None => (LaneRequest::method(), wire::encode(version, &request)),
    };
    Box::pin(async move {
        let Some(peer) = peer else {
            return Step::Unreachable(Error::unavailable("the node is no member"));
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => return Step::Refused(error),
        };
        match transport.open(&peer, Class::Foreground, method, body, common::LEASE).await {
            Ok(frames) => step(frames).await,
            Err(error) => Step::Unreachable(error),
        }
    })
}

/// Waits for the next frame that says something.
pub(super) fn next(frames: FrameStream) -> BoxFuture<'static, Step> {
    Box::pin(step(frames))
}

/// Waits within the lease: a node that works says so every second, whatever its user code does.
/// The lease is counted in slices of the time in which this is polled, so that a lane that was held
/// back for long is not given up in the moment when it may go on.
async fn step(mut frames: FrameStream) -> Step {
    let mut silent = 0;
    while silent < limits::LEASE_SLICES {
        match tokio::time::timeout(common::LEASE / limits::LEASE_SLICES, frames.next()).await {
            Err(_) => silent += 1,
            Ok(None) => return Step::Lost(Error::unavailable("the node ended the stream early")),
            Ok(Some(frame)) => match frame.and_then(|bytes| decode(&bytes)) {
                Ok(Frame::Renew) => silent = 0,
                Ok(frame) => return Step::Frame(frame, frames),
                Err(error) => return Step::Lost(error),
            },
        }
    }
    Step::Lost(Error::timeout("the node has fallen silent"))
}

fn decode(bytes: &Bytes) -> Result<Frame> {
    wire::decode(bytes)
}
