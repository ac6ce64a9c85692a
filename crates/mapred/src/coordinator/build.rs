//! From a query to a coordinator: functions are looked up, phases become stages.

use mapring_script::{Binary, Function, PhaseFunction, ReduceTiming};
use mapring_types::ObjectId;
use tokio::sync::mpsc;

use super::check::Check;
use super::reduce::{ReduceStage, takes_terms};
use super::router::Router;
use super::stage::{LaneStage, Task};
use super::{Coordinator, Shared, Stage, StageKind};
use crate::PhaseResults;
use crate::failure::{Failure, Report};
use crate::grammar::{Callee, Code, Inputs, LinkSpec, OnError, Options, PhaseKind, Query};
use crate::objects::Objects;
use crate::unit::{Prereduce, UnitOptions, Work};

/// A phase whose function is at hand.
pub(crate) struct Resolved {
    kind: ResolvedKind,
    keep: bool,
}

enum ResolvedKind {
    Map { function: PhaseFunction, wants_prereduce: Option<bool> },
    Reduce { function: PhaseFunction, timing: ReduceTiming },
    Link(LinkSpec),
}

/// Fetches the functions that the phases name: stored ones are read once, here.
///
/// # Errors
/// A failure whose text contains `worker_startup_failed`, which clients look for.
pub(crate) async fn resolve(
    query: &Query,
    objects: &dyn Objects,
) -> Result<Vec<Resolved>, Failure> {
    let mut resolved = Vec::new();
    let binary = query.spec().options.binary;
    for (number, phase) in query.spec().phases.iter().enumerate() {
        let kind = match &phase.kind {
            PhaseKind::Link(spec) => ResolvedKind::Link(spec.clone()),
            PhaseKind::Map(code) => ResolvedKind::Map {
                function: function(number, code, binary, objects).await?,
                wants_prereduce: code.wants_prereduce(),
            },
            PhaseKind::Reduce(code) => ResolvedKind::Reduce {
                function: function(number, code, binary, objects).await?,
                timing: code.timing(),
            },
        };
        resolved.push(Resolved { kind, keep: phase.keep });
    }
    Ok(resolved)
}

async fn function(
    phase: usize,
    code: &Code,
    binary: Binary,
    objects: &dyn Objects,
) -> Result<PhaseFunction, Failure> {
    let function = match &code.callee {
        Callee::Given(function) => function.clone(),
        Callee::Stored(id) => stored(phase, id, objects).await?,
        Callee::ErlangSource => {
            let words = "worker_startup_failed: functions as Erlang text cannot be run";
            return Err(Failure::phase(phase, words));
        }
    };
    Ok(PhaseFunction { function, arg: code.arg.clone(), binary })
}

async fn stored(phase: usize, id: &ObjectId, objects: &dyn Objects) -> Result<Function, Failure> {
    let failed = |why: &str| {
        let text = format!("worker_startup_failed: the stored function {id} {why}");
        let key = String::from_utf8_lossy(&id.key);
        Report::new(text).phase(phase).object(&id.bucket.to_string(), &key)
    };
    let object = objects
        .read_quorum(id)
        .await
        .map_err(|error| failed(&format!("cannot be read: {error}")))?;
    let live = object.iter().flat_map(|object| &object.siblings).filter(|value| !value.deleted);
    let Some(newest) = live.max_by_key(|value| (value.last_modified, value.dot)) else {
        return Err(failed("does not exist").into());
    };
    match std::str::from_utf8(&newest.body) {
        Ok(source) => {
            let (object, source) = (id.to_string(), source.to_owned());
            Ok(Function::Stored { object, source })
        }
        Err(_) => Err(failed("is not UTF-8").into()),
    }
}

impl Coordinator {
    /// Plans a query.
    pub(crate) fn new(
        shared: Shared,
        query: Query,
        phases: Vec<Resolved>,
        results: mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<Self, Failure> {
        let changes = shared.cluster.changes();
        let mut router = Router::new(shared.cluster.view());
        let options = query.spec().options;
        let first = phases.first().map(|phase| &phase.kind);
        let listing = match (&query.spec().inputs, first) {
            (Inputs::Scan(_), None | Some(ResolvedKind::Reduce { .. })) => {
                Some(listing(first, options))
            }
            _ => None,
        };
        let mut stages: Vec<Stage> = listing.into_iter().chain(stages(phases, options)).collect();
        if let Inputs::Scan(scan) = &query.spec().inputs
            && let Some(Stage { kind: StageKind::Lanes(first), .. }) = stages.first_mut()
        {
            shared.handle.set_partitions(first.cover(scan, &mut router)?);
        }
        let next_input_at = match &query.spec().inputs {
            Inputs::Scan(_) | Inputs::BadFilter(_) => None,
            Inputs::Keys(_) | Inputs::Values(_) => Some(0),
        };
        let left = options.limit;
        let out = std::collections::VecDeque::new();
        let (planning, wake) = (None, None);
        let me = router.name(shared.cluster.view().me);
        Ok(Self {
            shared,
            me,
            query,
            router,
            stages,
            next_input_at,
            out,
            out_bytes: 0,
            left,
            results,
            changes,
            planning,
            wake,
        })
    }
}

/// What the options come to on the nodes.
fn unit_options(options: Options, last: bool) -> UnitOptions {
    UnitOptions {
        tombstones: options.tombstones,
        quorum: options.quorum,
        skip: matches!(options.on_error, OnError::Skip(_)),
        most_results: options.limit.filter(|_| last),
    }
}

fn stages(phases: Vec<Resolved>, options: Options) -> Vec<Stage> {
    let mut stages = Vec::with_capacity(phases.len());
    let mut phases = phases.into_iter().enumerate().peekable();
    while let Some((phase, Resolved { kind, keep })) = phases.next() {
        let following = phases.peek().map(|(_, next)| &next.kind);
        let forward = following.is_some();
        let unit_options = unit_options(options, !forward);
        let kind = match kind {
            ResolvedKind::Map { function, wants_prereduce } => {
                let limited = unit_options.most_results.is_some();
                let wanted = match wants_prereduce {
                    Some(true) => Wanted::Asked,
                    Some(false) => Wanted::Not,
                    None => Wanted::of(keep),
                };
                let prereduce = following.and_then(|next| prereduce(phase + 1, next, wanted));
                let results = keep || limited || (forward && prereduce.is_none());
                let work = Work::Map(function);
                let task = Task { phase, work, prereduce, results, options: unit_options };
                StageKind::Lanes(Box::new(LaneStage::new(task)))
            }
            ResolvedKind::Link(spec) => {
                let work = Work::Link(spec);
                let limited = unit_options.most_results.is_some();
                let prereduce =
                    following.and_then(|next| prereduce(phase + 1, next, Wanted::of(keep)));
                let results = keep || limited || (forward && prereduce.is_none());
                let task = Task { phase, work, prereduce, results, options: unit_options };
                StageKind::Lanes(Box::new(LaneStage::new(task)))
            }
            ResolvedKind::Reduce { function, timing } => {
                StageKind::Reduce(ReduceStage::new(phase, function, timing))
            }
        };
        stages.push(Stage { phase, keep, forward, over: false, check: Check::Open, kind });
    }
    stages
}

/// Whether a copy of a reduce runs beside the data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The query says so.
    Asked,
    /// Where it makes much little.
    IfSmaller,
    Not,
}

impl Wanted {
    /// Before a phase whose results the client gets too nothing would be spared.
    fn of(keep: bool) -> Self {
        if keep { Self::Not } else { Self::IfSmaller }
    }
}

/// The copy of the reduce that follows a phase, if one does. One that asks for batches of its own gets
/// exactly these, and so no copy unless it is asked for.
fn prereduce(phase: usize, next: &ResolvedKind, wanted: Wanted) -> Option<Prereduce> {
    let ResolvedKind::Reduce { function, timing } = next else { return None };
    let timing = match (wanted, *timing) {
        (Wanted::Asked, timing) => timing,
        (Wanted::IfSmaller, ReduceTiming::Adaptive) => ReduceTiming::IfSmaller,
        (Wanted::IfSmaller | Wanted::Not, _) => return None,
    };
    let phase = u32::try_from(phase).unwrap_or(u32::MAX);
    Some(Prereduce { phase, function: function.clone(), timing })
}

/// The stage before a reduce of a whole bucket, or instead of any phase: it lists the keys.
fn listing(next: Option<&ResolvedKind>, options: Options) -> Stage {
    let alone = next.is_none();
    let unit_options = unit_options(options, alone);
    let pairs =
        matches!(next, Some(ResolvedKind::Reduce { function, .. }) if takes_terms(function));
    let work = Work::Keys { pairs };
    let prereduce = next.and_then(|next| prereduce(0, next, Wanted::IfSmaller));
    let results = prereduce.is_none();
    let task = Task { phase: 0, work, prereduce, results, options: unit_options };
    let kind = StageKind::Lanes(Box::new(LaneStage::new(task)));
    Stage { phase: 0, keep: alone, forward: !alone, over: false, check: Check::Open, kind }
}
