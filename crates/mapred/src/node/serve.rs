//! Serving a lane: the work goes on in a task, its frames leave in a stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use mapring_net::FrameStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::resources::Node;
use super::units;
use crate::limits;
use crate::metered::Counted;
use crate::unit::{Frame, LaneRequest, LaneTerms};
use crate::wire;

/// Starts a lane, perhaps one of a job, whose frames are of a version. The work goes on beside the stream, as far as [`limits::FRAMES_AHEAD`] allows,
/// and ends at once when the stream is dropped.
pub(crate) fn serve(
    node: Arc<Node>,
    version: u8,
    request: LaneRequest,
    terms: Option<LaneTerms>,
) -> FrameStream {
    let counted = Counted::new(&node.lanes, "mapring_mapred_lanes");
    let (sender, receiver) = mpsc::channel(limits::FRAMES_AHEAD);
    let time_left = Duration::from_millis(request.time_left_ms);
    let task = mapring_net::task::spawn(async move {
        // Until its units are gone, too: dropping the stream only has them ended soon.
        let _counted = counted;
        // The coordinator has its own clock for this and tells the client.
        let _ = tokio::time::timeout(time_left, units::run(node, version, request, terms, sender))
            .await;
    });
    let state = (receiver, EndOnDrop(task));
    let frames = stream::unfold(state, move |(mut receiver, task)| async move {
        // Renewed here and not by the work: while user code runs, this still says so.
        let frame: Bytes = match tokio::time::timeout(limits::RENEW, receiver.recv()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return None,
            Err(_) => match wire::encode(version, &Frame::Renew) {
                Ok(frame) => frame,
                Err(error) => return Some((Err(error), (receiver, task))),
            },
        };
        Some((Ok(frame), (receiver, task)))
    });
    frames.boxed()
}

/// Ends a task when nobody waits for it any longer.
pub(crate) struct EndOnDrop(pub(crate) JoinHandle<()>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
