//! One lane: what its units share.

use std::sync::Arc;

use bytes::Bytes;
use mapring_filters::{Filters, PropertyTest};
use mapring_kv::KeyTest;
use mapring_ring::Partition;
use mapring_script::{CallContext, Grouping, PhaseFunction, native};
use mapring_types::{Error, ErrorKind, Result, quote};
use tokio::sync::mpsc;

use super::call_size::CallSize;
use super::outcome::UnitEnd;
use super::permits::LanePermits;
use super::prereduce::Prereduce;
use super::refine::Refining;
use super::resources::Node;
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
    /// How the results are grouped, if they are.
    pub(super) grouping: Option<Arc<Grouping>>,
    /// Which keys are wanted, when the query filters them.
    pub(super) keep: Option<KeyTest>,
    /// What becomes of objects that a scan reads, when it gives less than all of them.
    pub(super) refining: Option<Refining>,
    pub(super) permits: LanePermits,
    pub(super) size: CallSize,
    pub(super) frames: mpsc::Sender<Bytes>,
}

impl Lane {
    /// A lane, and why none of its units can be run, if so.
    pub(super) fn new(
        node: Arc<Node>,
        version: u8,
        mut request: LaneRequest,
        frames: mpsc::Sender<Bytes>,
    ) -> (Self, Option<Error>) {
        // Where others have inputs between those of this lane, values are combined when all have come
        // and stand in their order; only what cannot tell an order is combined before.
        let scattered = !matches!(request.units, Units::Partitions { .. });
        if let Some(shuffle) = request.shuffle.as_mut().filter(|_| scattered) {
            let combine = &mut shuffle.grouping.combine;
            *combine = combine.take().filter(|combiner| native::is_job(&combiner.function));
        }
        let function = match &request.work {
            Work::Map(function) => Some(Arc::new(function.clone())),
            Work::Link(_) | Work::Keys { .. } | Work::Groups(_) => None,
        };
        let tests = key_test(&request.units).and_then(|keep| Ok((keep, Refining::of(&request)?)));
        let ((keep, refining), refusal) = match tests {
            Ok(tests) => (tests, None),
            Err(error) => ((None, None), Some(error)),
        };
        let permits = LanePermits::new(&node.permits);
        let size = CallSize::of(function.as_deref());
        let prereduce = request.prereduce.as_ref().map(Prereduce::new);
        let grouping = request.shuffle.as_ref().map(|shuffle| Arc::new(shuffle.grouping.clone()));
        let lane = Self {
            node,
            version,
            request,
            function,
            prereduce,
            grouping,
            keep,
            refining,
            permits,
            size,
            frames,
        };
        (lane, refusal)
    }

    /// Tells the coordinator how a unit ended, unless its last page has done so.
    pub(super) async fn finish(&self, unit: u32, attempt: u32, end: Result<(), UnitEnd>) {
        let frame = match end {
            Ok(()) | Err(UnitEnd::Gone) => return,
            Err(UnitEnd::Broken(broken)) => Frame::Failed(*broken),
            Err(UnitEnd::HolderLost(holder, error)) => {
                tracing::warn!(%error, unit, %holder, "pairs of a query cannot be kept there");
                Frame::HolderLost { unit, attempt, holder, error: error.to_wire() }
            }
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

    /// What functions are told in the calls of a page.
    pub(super) fn context(&self, unit: u32, attempt: u32, page: u32) -> Arc<CallContext> {
        let whole = self.request.context.clone();
        let phase = self.request.phase;
        Arc::new(CallContext { phase, shard: unit, attempt, slice: page, ..whole })
    }

    /// Counts a unit while it runs.
    pub(super) fn begin(&self) -> Counted {
        count("mapring_mapred_units_total", 1);
        Counted::new(&self.node.units, "mapring_mapred_units_in_flight")
    }
}

/// The test of a query's key filters, and of its conditions on keys.
fn key_test(units: &Units) -> Result<Option<KeyTest>> {
    let Units::Partitions { scan, .. } = units else { return Ok(None) };
    let conditions = &scan.narrowing.conditions;
    let conditions = conditions.compile().map_err(Error::invalid)?;
    let conditions = Some(conditions).filter(PropertyTest::tests_keys);
    let filters = scan.filters.as_ref().map(Filters::compile).transpose();
    let filters = filters.map_err(|error| Error::invalid(error.to_string()))?;
    if conditions.is_none() && filters.is_none() {
        return Ok(None);
    }
    let keep = move |key: &[u8]| {
        if conditions.as_ref().is_some_and(|conditions| !conditions.keeps_key(key)) {
            return Ok(false);
        }
        let shown = || quote(&String::from_utf8_lossy(key));
        let kept = filters.as_ref().map_or(Ok(true), |filters| filters.keeps(key));
        kept.map_err(|why| Error::invalid(format!("key {}: {why}", shown())))
    };
    Ok(Some(Arc::new(keep)))
}
