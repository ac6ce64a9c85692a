//! One lane: what its units share.

use std::sync::Arc;

use bytes::Bytes;
use mapring_kv::KeyTest;
use mapring_ring::Partition;
use mapring_script::PhaseFunction;
use mapring_types::{Error, ErrorKind, Result, quote};
use tokio::sync::mpsc;

use super::call_size::CallSize;
use super::outcome::UnitEnd;
use super::permits::LanePermits;
use super::prereduce::Prereduce;
use super::resources::Node;
use crate::grammar::Scan;
use crate::metered::{Counted, count};
use crate::unit::{Frame, LaneRequest, Units, Work};
use crate::wire;

/// What all units of a lane share.
pub(super) struct Lane {
    pub(super) node: Arc<Node>,
    /// In which its coordinator has asked, and is answered.
    pub(super) version: u8,
    pub(super) request: LaneRequest,
    /// The phase's function, when it is a map.
    pub(super) function: Option<Arc<PhaseFunction>>,
    /// The reduce that follows, when it may run here.
    pub(super) prereduce: Option<Prereduce>,
    /// Which keys are wanted, when the query filters them.
    pub(super) keep: Option<KeyTest>,
    pub(super) permits: LanePermits,
    pub(super) size: CallSize,
    pub(super) frames: mpsc::Sender<Bytes>,
}

impl Lane {
    /// A lane, and why none of its units can be run, if so.
    pub(super) fn new(
        node: Arc<Node>,
        version: u8,
        request: LaneRequest,
        frames: mpsc::Sender<Bytes>,
    ) -> (Self, Option<Error>) {
        let function = match &request.work {
            Work::Map(function) => Some(Arc::new(function.clone())),
            Work::Link(_) | Work::Keys { .. } => None,
        };
        let (keep, refusal) = match key_test(&request.units) {
            Ok(keep) => (keep, None),
            Err(error) => (None, Some(error)),
        };
        let permits = LanePermits::new(&node.permits);
        let size = CallSize::of(function.as_deref());
        let prereduce = request.prereduce.as_ref().map(Prereduce::new);
        (Self { node, version, request, function, prereduce, keep, permits, size, frames }, refusal)
    }

    /// Tells the coordinator how a unit ended, unless its last page has done so.
    pub(super) async fn finish(&self, unit: u32, attempt: u32, end: Result<(), UnitEnd>) {
        let frame = match end {
            Ok(()) | Err(UnitEnd::Gone) => return,
            Err(UnitEnd::Broken(broken)) => Frame::Failed(*broken),
            Err(UnitEnd::Unable(error)) => {
                tracing::warn!(%error, unit, "a unit of a query cannot be run here");
                Frame::Unable { unit, attempt, error: error.to_wire() }
            }
        };
        match wire::encode(self.version, &frame) {
            // An error means that the coordinator has gone.
            Ok(frame) => drop(self.frames.send(frame).await),
            Err(error) => tracing::error!(%error, unit, "the end of a unit cannot be told"),
        }
    }

    /// A partition whose vnode is not this node's would look like an empty one: the query would answer
    /// too little without knowing.
    pub(super) fn check_owner(&self, vnode: Partition) -> Result<()> {
        let view = self.node.cluster.view();
        let (version, wanted) = (view.plan().version(), self.request.plan_version);
        if view.plan().owner(vnode) == Some(view.me) && version >= wanted {
            return Ok(());
        }
        let message = format!(
            "vnode {vnode} is not node {}'s by plan {version} (asked by plan {wanted})",
            view.me
        );
        Err(Error::new(ErrorKind::WrongPlan, message))
    }

    /// Counts a unit while it runs.
    pub(super) fn begin(&self) -> Counted {
        count("mapring_mapred_units_total", 1);
        Counted::new(&self.node.units, "mapring_mapred_units_in_flight")
    }
}

/// The test of a query's key filters.
fn key_test(units: &Units) -> Result<Option<KeyTest>> {
    let Units::Partitions { scan: Scan { filters: Some(filters), .. }, .. } = units else {
        return Ok(None);
    };
    let compiled = filters.compile().map_err(|error| Error::invalid(error.to_string()))?;
    let keep = move |key: &[u8]| {
        let shown = || quote(&String::from_utf8_lossy(key));
        compiled.keeps(key).map_err(|why| Error::invalid(format!("key {}: {why}", shown())))
    };
    Ok(Some(Arc::new(keep)))
}
