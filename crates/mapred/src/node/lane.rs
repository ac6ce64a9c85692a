//! One lane: what its units share.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use mapring_filters::{Filters, PropertyTest};
use mapring_kv::KeyTest;
use mapring_ring::Partition;
use mapring_script::{CallContext, Grouping, PhaseFunction, native};
use mapring_types::{Error, ErrorKind, NodeId, Result, quote};
use mapring_workers::{CallTerms, Terms};
use tokio::sync::mpsc;

use super::budget::Budget;
use super::call_size::CallSize;
use super::handler::Handler;
use super::outcome::UnitEnd;
use super::permits::LanePermits;
use super::prereduce::Prereduce;
use super::refine::Refining;
use super::resources::Node;
use crate::metered::{Counted, count};
use crate::unit::{Frame, LaneRequest, LaneTerms, Units, Work};
use crate::{limits, wire};

/// What all units of a lane share.
pub(super) struct Lane {
    pub(super) node: Arc<Node>,
    /// In which its coordinator has asked, and is answered.
    pub(super) version: u8,
    pub(super) request: LaneRequest,
    /// What it is held to, when it is one of a job.
    pub(super) terms: Option<LaneTerms>,
    /// How many inputs its units may take.
    pub(super) budget: Budget,
    /// The workers hold its calls to that.
    _held: Option<Terms>,
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
    /// Whether the function is told of shards and slices.
    pub(super) handler: Handler,
    pub(super) permits: LanePermits,
    pub(super) size: CallSize,
    pub(super) frames: mpsc::Sender<Bytes>,
    /// A node that was to keep pairs of this lane and could not: each unit would wait for it in vain.
    lost_holder: OnceLock<NodeId>,
}

impl Lane {
    /// A lane, and why none of its units can be run, if so.
    pub(super) fn new(
        node: Arc<Node>,
        version: u8,
        mut request: LaneRequest,
        terms: Option<LaneTerms>,
        frames: mpsc::Sender<Bytes>,
    ) -> (Self, Option<Error>) {
        // Where others have inputs between those of this lane, values are combined when all have come
        // and stand in their order; only what cannot tell an order is combined before.
        let scattered = matches!(request.units, Units::Batch(_) | Units::Groups(_));
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
        let permits = LanePermits::new(&node.permits, terms.is_some());
        let time = if terms.is_some() { limits::JOB_CALL_TIME } else { limits::CALL_TIME };
        let size = CallSize::of(function.as_deref(), time);
        let held = terms.map(|LaneTerms { bounds, priority, .. }| {
            node.workers.hold(request.query, CallTerms { bounds, priority })
        });
        let budget = Budget::new(terms.and_then(|terms| terms.inputs));
        let handler = Handler::of(function.as_deref());
        let prereduce = request.prereduce.as_ref().map(Prereduce::new);
        let grouping = request.shuffle.as_ref().map(|shuffle| Arc::new(shuffle.grouping.clone()));
        let lane = Self {
            node,
            version,
            request,
            terms,
            budget,
            _held: held,
            function,
            prereduce,
            grouping,
            keep,
            refining,
            handler,
            permits,
            size,
            frames,
            lost_holder: OnceLock::new(),
        };
        (lane, refusal)
    }

    /// Tells the coordinator how a unit ended, unless its last page has done so.
    pub(super) async fn finish(&self, unit: u32, attempt: u32, end: Result<(), UnitEnd>) {
        let frame = match end {
            Ok(()) | Err(UnitEnd::Gone) => return,
            Err(UnitEnd::Broken(broken) | UnitEnd::Again(broken)) if self.terms.is_some() => {
                Frame::Again { unit, attempt, broken }
            }
            Err(UnitEnd::Broken(broken)) => Frame::Failed(*broken),
            Err(UnitEnd::Spent) => return self.budget.note_spent(),
            Err(UnitEnd::Again(asked)) => {
                tracing::debug!(unit, error = %asked.error, "a function asks for another attempt");
                // What nodes of a former release understand.
                let error = Error::unavailable(asked.error.message.as_str()).to_wire();
                Frame::Unable { unit, attempt, error, asked: Some(asked) }
            }
            Err(UnitEnd::HolderLost(holder, error)) => {
                if self.lost_holder.set(holder).is_ok() {
                    tracing::warn!(%error, unit, %holder, "pairs of a query cannot be kept there");
                }
                Frame::HolderLost { unit, attempt, holder, error: error.to_wire() }
            }
            Err(UnitEnd::Unable(error)) => {
                tracing::warn!(%error, unit, "a unit of a query cannot be run here");
                Frame::Unable { unit, attempt, error: error.to_wire(), asked: None }
            }
        };
        self.tell(&frame).await;
    }

    async fn tell(&self, frame: &Frame) {
        match wire::encode(self.version, frame) {
            // An error means that the coordinator has gone.
            Ok(frame) => drop(self.frames.send(frame).await),
            Err(error) => tracing::error!(%error, "the end of a unit cannot be told"),
        }
    }

    /// Tells the coordinator, when all units have ended, whether some did for want of inputs that they may
    /// take.
    pub(super) async fn tell_spent(&self) {
        if self.budget.is_spent() {
            self.tell(&Frame::Spent).await;
        }
    }

    /// The largest group that a function gets whole, in bytes.
    pub(super) fn whole_group_bytes(&self) -> usize {
        let most = limits::WHOLE_GROUP_BYTES;
        self.terms.map_or(most, |terms| {
            usize::try_from(terms.group_bytes).unwrap_or(usize::MAX).min(most)
        })
    }

    /// Gives a unit back that has not begun, where its pairs could not be kept: the coordinator has it
    /// run with other holders.
    ///
    /// # Errors
    /// So ends the unit.
    pub(super) fn check_holders(&self) -> Result<(), UnitEnd> {
        let Some(holder) = self.lost_holder.get() else { return Ok(()) };
        let error = Error::unavailable("pairs of another unit could not be kept there");
        Err(UnitEnd::HolderLost(*holder, error))
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
    let samples = scan.narrowing.samples.clone();
    if conditions.is_none() && filters.is_none() && samples.is_empty() {
        return Ok(None);
    }
    let keep = move |key: &[u8]| {
        if !samples.iter().all(|sample| sample.keeps(key)) {
            return Ok(false);
        }
        if conditions.as_ref().is_some_and(|conditions| !conditions.keeps_key(key)) {
            return Ok(false);
        }
        let shown = || quote(&String::from_utf8_lossy(key));
        let kept = filters.as_ref().map_or(Ok(true), |filters| filters.keeps(key));
        kept.map_err(|why| Error::invalid(format!("key {}: {why}", shown())))
    };
    Ok(Some(Arc::new(keep)))
}
