//! The side of MapReduce that holds the data: lanes, run beside the objects that they read.

mod lane;
mod page;
mod permits;
mod prereduce;
mod work;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use mapring_cluster::Cluster;
use mapring_net::FrameStream;
use mapring_workers::Workers;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::limits;
use crate::metered::Counted;
use crate::objects::Objects;
use crate::unit::{self, Frame, LaneRequest};
pub(crate) use permits::NodePermits;

/// What lanes are run with.
pub(crate) struct Node {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) workers: Arc<dyn Workers>,
    /// Units of one lane that run at once.
    pub(crate) units_at_once: usize,
    /// What all lanes may hold.
    pub(crate) permits: NodePermits,
    /// Inputs after which a page ends.
    pub(crate) page_inputs: u64,
    /// Units that run here now.
    pub(crate) units: Arc<AtomicU64>,
    /// Lanes that are served now.
    pub(crate) lanes: Arc<AtomicU64>,
}

/// Starts a lane. The work goes on beside the stream, as far as [`limits::FRAMES_AHEAD`] allows,
/// and ends at once when the stream is dropped.
pub(crate) fn serve(node: Arc<Node>, request: LaneRequest) -> FrameStream {
    let counted = Counted::new(&node.lanes, "mapring_mapred_lanes");
    let (sender, receiver) = mpsc::channel(limits::FRAMES_AHEAD);
    let time_left = Duration::from_millis(request.time_left_ms);
    let task = mapring_net::task::spawn(async move {
        // Until its units are gone, too: dropping the stream only has them ended soon.
        let _counted = counted;
        // The coordinator has its own clock for this and tells the client.
        let _ = tokio::time::timeout(time_left, lane::run(node, request, sender)).await;
    });
    let state = (receiver, EndOnDrop(task));
    let frames = stream::unfold(state, |(mut receiver, task)| async move {
        // Renewed here and not by the work: while user code runs, this still says so.
        let frame: Bytes = match tokio::time::timeout(limits::RENEW, receiver.recv()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return None,
            Err(_) => unit::encode(&Frame::Renew),
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
