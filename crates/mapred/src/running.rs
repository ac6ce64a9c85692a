//! Queries that run: what each has done so far, so that they can be watched, and ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mapring_types::{NodeId, quote};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::grammar::{Callee, Inputs, Phase, PhaseKind, Query};
use crate::limits;
use crate::metered::count;
use crate::unit::Spent;
use mapring_script::Function;

/// Names a query among all of a cluster: the node that coordinates it, and a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryId {
    pub(crate) node: NodeId,
    pub(crate) number: u64,
}

impl std::fmt::Display for QueryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{:016x}", self.node.0, self.number)
    }
}

impl std::str::FromStr for QueryId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (node, number) = text.split_once('-').ok_or(())?;
        let hex = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
            if digits { u64::from_str_radix(text, 16).map_err(|_| ()) } else { Err(()) }
        };
        Ok(Self { node: NodeId(hex(node)?), number: hex(number)? })
    }
}

/// What a query has done so far. Its members are those of `GET /admin/queries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryReport {
    /// The query's id.
    pub id: String,
    /// The node that coordinates it.
    pub node: String,
    /// `waiting` for its turn, or `running`.
    pub state: String,
    /// Milliseconds since it was asked.
    pub age_ms: u64,
    /// Milliseconds that it may take.
    pub timeout_ms: u64,
    /// Inputs that its map and link phases have done.
    pub inputs_done: u64,
    /// Its phases in order.
    pub phases: Vec<PhaseReport>,
    /// The beginning of its text.
    pub query: String,
}

/// The queries that a cluster's members coordinate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueryList {
    /// The oldest of each member, the oldest first.
    pub queries: Vec<QueryReport>,
    /// How many more there are.
    pub left_out: u64,
    /// Members that did not tell theirs.
    pub unreachable: Vec<String>,
}

/// What a phase has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its number, from 0.
    pub phase: usize,
    /// `map`, `reduce`, `link`, or `keys` for the listing before the first reduce.
    pub kind: String,
    /// What it calls, in short.
    pub function: String,
    /// Inputs that it has taken.
    pub inputs: u64,
    /// Results that it has made.
    pub results: u64,
    /// Bytes of these results.
    pub result_bytes: u64,
    /// Inputs that were left out because its function failed.
    pub skipped: u64,
    /// Partitions that it has worked through …
    pub partitions_done: u64,
    /// … of so many; 0 where it works on named inputs.
    pub partitions: u64,
}

/// A query under way, or just ended. Cheap to share.
#[derive(Debug)]
pub struct Running {
    pub(crate) id: QueryId,
    node: String,
    query: Query,
    asked: Instant,
    admitted: AtomicBool,
    phases: Vec<Counters>,
    /// Of the listing of keys for a reduce that has no map before it.
    listing: Option<Counters>,
    skipped: Mutex<Skipped>,
    skipped_count: AtomicU64,
    /// By phase, its kind, and node.
    spent: Mutex<BTreeMap<(usize, &'static str, String), Cost>>,
    end: watch::Sender<Option<Ending>>,
}

/// Why a query is ended before it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody who watches it wants it.
    Operator,
    /// The node that coordinates it stops.
    Stop,
}

/// Reports of inputs that were left out, as far as the client has not taken them.
#[derive(Debug, Default)]
struct Skipped {
    reports: Vec<Box<RawValue>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Counters {
    inputs: AtomicU64,
    results: AtomicU64,
    result_bytes: AtomicU64,
    skipped: AtomicU64,
    partitions_done: AtomicU64,
    partitions: AtomicU64,
}

/// What a phase cost on a node.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    pages: u64,
    inputs: u64,
    results: u64,
    result_bytes: u64,
    spent: Spent,
}

/// What a page, or a step of a reduce, has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Done {
    pub(crate) inputs: u64,
    pub(crate) results: u64,
    pub(crate) result_bytes: u64,
    pub(crate) skipped: u64,
    pub(crate) partitions: u64,
    pub(crate) spent: Spent,
}

impl Running {
    pub(crate) fn new(id: QueryId, node: String, query: Query) -> Self {
        let phases = query.spec().phases.len().max(1);
        let reduces_first = query
            .spec()
            .phases
            .first()
            .is_some_and(|phase| matches!(phase.kind, PhaseKind::Reduce(_)));
        let lists = reduces_first && matches!(query.spec().inputs, Inputs::Slice(_));
        Self {
            id,
            node,
            query,
            asked: Instant::now(),
            admitted: AtomicBool::new(false),
            phases: (0..phases).map(|_| Counters::default()).collect(),
            listing: lists.then(Counters::default),
            skipped: Mutex::default(),
            skipped_count: AtomicU64::new(0),
            spent: Mutex::default(),
            end: watch::Sender::new(None),
        }
    }

    /// The query's id, as in the header `X-Query-Id`.
    pub fn id(&self) -> QueryId {
        self.id
    }

    /// Whether the client asked what the query costs.
    pub fn wants_profile(&self) -> bool {
        self.query.spec().options.profile
    }

    /// What the query has done so far.
    pub fn report(&self) -> QueryReport {
        let kinds = &self.query.spec().phases;
        let listing = self.listing.iter().map(|counters| shown_phase(0, None, counters));
        let phases = self.phases.iter().enumerate();
        let phases = phases.map(|(at, counters)| shown_phase(at, kinds.get(at), counters));
        let phases: Vec<PhaseReport> = listing.chain(phases).collect();
        let state = if self.admitted.load(Ordering::Relaxed) { "running" } else { "waiting" };
        QueryReport {
            id: self.id.to_string(),
            node: self.node.clone(),
            state: state.to_owned(),
            age_ms: millis(self.asked.elapsed()),
            timeout_ms: millis(self.query.timeout()),
            inputs_done: phases
                .iter()
                .filter(|phase| phase.kind != "reduce")
                .map(|phase| phase.inputs)
                .sum(),
            phases,
            query: self.query.spec().text.clone(),
        }
    }

    /// How many inputs were left out.
    pub fn skipped_count(&self) -> u64 {
        self.skipped_count.load(Ordering::Relaxed)
    }

    /// The inputs that were left out since the last call, as JSON objects such as failures have; of
    /// very many the first.
    pub fn take_skipped(&self) -> Vec<Box<RawValue>> {
        std::mem::take(&mut *self.skipped.lock()).reports
    }

    /// What each phase cost on each node, as JSON.
    pub fn profile(&self) -> String {
        let entries: Vec<serde_json::Value> = self
            .spent
            .lock()
            .iter()
            .map(|((phase, kind, node), cost)| {
                let Cost { pages, inputs, results, result_bytes, spent } = cost;
                serde_json::json!({
                    "phase": phase,
                    "kind": kind,
                    "node": node,
                    "pages": pages,
                    "inputs": inputs,
                    "looked_at": spent.looked_at,
                    "read_bytes": spent.read_bytes,
                    "results": results,
                    "result_bytes": result_bytes,
                    "read_ms": shown(spent.read_us),
                    "work_ms": shown(spent.work_us),
                    "function_ms": shown(spent.function_us),
                    "prereduce_ms": shown(spent.prereduce_us),
                    "held_back_ms": shown(spent.held_back_us),
                })
            })
            .collect();
        let whole = serde_json::json!({
            "query": self.id.to_string(),
            "elapsed_ms": shown(crate::unit::micros(self.asked.elapsed())),
            "phases": entries,
        });
        whole.to_string()
    }

    /// Ends the query. The first reason counts.
    pub(crate) fn end(&self, why: Ending) {
        self.end.send_if_modified(|end| end.replace(end.unwrap_or(why)).is_none());
    }

    /// Waits until the query is to be ended, and gives what its client is told.
    pub(crate) async fn ended(&self) -> Failure {
        let mut end = self.end.subscribe();
        // The sender lives as long as this.
        let why = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        match why {
            Some(Ending::Stop) => Failure::stopping(&self.node),
            Some(Ending::Operator) | None => {
                count("mapring_queries_ended_total", 1);
                Failure::query("the query was ended by an operator")
            }
        }
    }

    pub(crate) fn admit(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    /// The first phase, or the listing before it, is to work through so many partitions.
    pub(crate) fn covers(&self, partitions: u64) {
        if let Some(counters) = self.listing.as_ref().or(self.phases.first()) {
            counters.partitions.store(partitions, Ordering::Relaxed);
        }
    }

    /// Keys have been listed on a node for the first reduce.
    pub(crate) fn listed(&self, node: &str, done: &Done) {
        match &self.listing {
            Some(counters) => self.add(counters, (0, "keys", node), done),
            None => self.did(0, node, done),
        }
    }

    /// A phase has done something on a node.
    pub(crate) fn did(&self, phase: usize, node: &str, done: &Done) {
        if let Some(counters) = self.phases.get(phase) {
            let kind = self.query.spec().phases.get(phase);
            let kind = kind.map_or("keys", |phase| word(&phase.kind));
            self.add(counters, (phase, kind, node), done);
        }
    }

    fn add(
        &self,
        counters: &Counters,
        (phase, kind, node): (usize, &'static str, &str),
        done: &Done,
    ) {
        for (counter, more) in [
            (&counters.inputs, done.inputs),
            (&counters.results, done.results),
            (&counters.result_bytes, done.result_bytes),
            (&counters.skipped, done.skipped),
            (&counters.partitions_done, done.partitions),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
        if self.wants_profile() {
            let mut spent = self.spent.lock();
            let cost = spent.entry((phase, kind, node.to_owned())).or_default();
            cost.pages += 1;
            cost.inputs += done.inputs;
            cost.results += done.results;
            cost.result_bytes += done.result_bytes;
            cost.spent.add(&done.spent);
        }
    }

    /// Inputs are left out. Gives how many there are now.
    pub(crate) fn skip(&self, inputs: impl Iterator<Item = Failure>) -> u64 {
        let mut kept = self.skipped.lock();
        for failure in inputs {
            self.skipped_count.fetch_add(1, Ordering::Relaxed);
            let room = kept.reports.len() < limits::SKIPPED_KEPT
                && kept.bytes < limits::SKIPPED_KEPT_BYTES;
            if room && let Ok(report) = RawValue::from_string(failure.body) {
                kept.bytes += report.get().len();
                kept.reports.push(report);
            }
        }
        self.skipped_count()
    }
}

fn shown_phase(number: usize, phase: Option<&Phase>, counters: &Counters) -> PhaseReport {
    let kind = phase.map_or("keys", |phase| word(&phase.kind));
    let function = phase.map(|phase| function(&phase.kind)).unwrap_or_default();
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    PhaseReport {
        phase: number,
        kind: kind.to_owned(),
        function,
        inputs: of(&counters.inputs),
        results: of(&counters.results),
        result_bytes: of(&counters.result_bytes),
        skipped: of(&counters.skipped),
        partitions_done: of(&counters.partitions_done),
        partitions: of(&counters.partitions),
    }
}

/// What a phase is.
pub(crate) fn word(kind: &PhaseKind) -> &'static str {
    match kind {
        PhaseKind::Map(_) => "map",
        PhaseKind::Reduce(_) => "reduce",
        PhaseKind::Link(_) => "link",
    }
}

/// What a phase calls, in short.
pub(crate) fn function(kind: &PhaseKind) -> String {
    let (PhaseKind::Map(code) | PhaseKind::Reduce(code)) = kind else { return String::new() };
    match &code.callee {
        Callee::Given(Function::Source(_) | Function::Stored { .. }) => "javascript".to_owned(),
        Callee::Given(Function::Named(name)) => quote(name),
        Callee::Given(Function::Erlang { module, function }) => {
            quote(&format!("{module}:{function}"))
        }
        Callee::Stored(id) => quote(&format!("javascript in {id}")),
        Callee::ErlangSource => "erlang".to_owned(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds with three decimals.
fn shown(micros: u64) -> f64 {
    // Exact for every time that a query can take.
    #[expect(clippy::cast_precision_loss)]
    let millis = micros as f64 / 1_000.0;
    millis
}

/// The queries that a node coordinates, or that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    queries: BTreeMap<u64, Arc<Running>>,
    stage: Stage,
}

/// How far a node has got with its stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Stage {
    /// It does not stop.
    #[default]
    Open,
    /// Queries that run go on, others do not begin any more.
    Finishing,
    /// No query goes on.
    Over,
}

impl Registry {
    /// Lists a query until what is returned is dropped. While the node stops the query is ended at
    /// once.
    pub(crate) fn enter(self: &Arc<Self>, running: Arc<Running>) -> Entry {
        let number = running.id.number;
        let mut listed = self.0.lock();
        if listed.stage > Stage::Open {
            running.end(Ending::Stop);
        }
        listed.queries.insert(number, running);
        Entry { registry: self.clone(), number }
    }

    /// How far the node has got with its stop.
    pub(crate) fn stage(&self) -> Stage {
        self.0.lock().stage
    }

    /// Goes on to a stage of the node's stop: ends the queries that have no place in it. Gives how
    /// many.
    pub(crate) fn stop(&self, stage: Stage) -> usize {
        let mut listed = self.0.lock();
        listed.stage = listed.stage.max(stage);
        let over = listed.stage == Stage::Over;
        let ends = |running: &&Arc<Running>| over || !running.admitted.load(Ordering::Relaxed);
        let ended = listed.queries.values().filter(ends);
        ended.inspect(|running| running.end(Ending::Stop)).count()
    }

    /// Ends a query; returns whether it was under way.
    pub(crate) fn end(&self, number: u64) -> bool {
        let running = self.0.lock().queries.get(&number).cloned();
        running.inspect(|running| running.end(Ending::Operator)).is_some()
    }

    /// The report of one query.
    pub(crate) fn report(&self, number: u64) -> Option<QueryReport> {
        let running = self.0.lock().queries.get(&number).cloned();
        running.map(|running| running.report())
    }

    /// The reports of the oldest, [`limits::TOLD_QUERIES`] at most, and how many others there are.
    pub(crate) fn reports(&self) -> (Vec<QueryReport>, u64) {
        let mut running: Vec<Arc<Running>> = self.0.lock().queries.values().cloned().collect();
        running.sort_by_key(|query| query.asked);
        let others = running.len().saturating_sub(limits::TOLD_QUERIES) as u64;
        let oldest = running.iter().take(limits::TOLD_QUERIES);
        (oldest.map(|query| query.report()).collect(), others)
    }

    /// How long the oldest has been under way.
    pub(crate) fn oldest(&self) -> Duration {
        let age = self.0.lock().queries.values().map(|running| running.asked.elapsed()).max();
        age.unwrap_or_default()
    }
}

/// A query's place in the [`Registry`].
pub(crate) struct Entry {
    registry: Arc<Registry>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.0.lock().queries.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::grammar;

    fn running(number: u64, body: &str) -> Arc<Running> {
        let query = grammar::parse(body.as_bytes()).unwrap();
        let id = QueryId { node: NodeId(11), number };
        Arc::new(Running::new(id, "n1".into(), query))
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = QueryId { node: NodeId(11), number: 0xfeed };
        assert_eq!(id.to_string(), "b-000000000000feed");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "-", "b", "b-", "-1", "x-1", "b-1-2", "b-+1", "b-11112222333344445"] {
            assert!(text.parse::<QueryId>().is_err(), "{text}");
        }
    }

    #[test]
    fn reports_add_up() {
        let query = running(
            1,
            r#"{"inputs":"b","query":[{"link":{}},{"map":{"language":"javascript","name":"f"}}],"profile":true}"#,
        );
        query.covers(64);
        let done = Done { inputs: 3, results: 2, partitions: 1, ..Done::default() };
        query.did(0, "n1", &done);
        query.did(0, "n2", &done);
        query.did(1, "n1", &Done { inputs: 1, skipped: 1, ..Done::default() });
        // A phase that is not there is no reason to fail.
        query.did(9, "n1", &done);
        let report = query.report();
        assert_eq!((report.state.as_str(), report.inputs_done), ("waiting", 7));
        let [first, second] = report.phases.as_slice() else { panic!("{report:?}") };
        assert_eq!((first.kind.as_str(), first.partitions_done, first.partitions), ("link", 2, 64));
        assert_eq!((second.function.as_str(), second.skipped), ("f", 1));
        let profile: serde_json::Value = serde_json::from_str(&query.profile()).unwrap();
        assert_eq!(profile["phases"][0]["inputs"], 3);
        assert_eq!(profile["phases"][1]["node"], "n2");
    }

    #[test]
    fn a_registry_forgets_what_has_ended() {
        let registry = Arc::new(Registry::default());
        let entry = registry.enter(running(1, r#"{"inputs":"b","query":[]}"#));
        let other = registry.enter(running(2, r#"{"inputs":"b","query":[]}"#));
        assert_eq!(registry.reports().0.len(), 2);
        assert!(registry.report(1).is_some() && registry.report(3).is_none());
        drop(entry);
        assert!(!registry.end(1) && registry.end(2));
        drop(other);
        assert_eq!(registry.oldest(), Duration::ZERO);
    }

    #[tokio::test]
    async fn an_ended_query_is_told_whenever_it_asks() {
        let query = running(1, r#"{"inputs":"b","query":[]}"#);
        query.end(Ending::Operator);
        query.end(Ending::Stop);
        for _ in 0..2 {
            let failure = query.ended().await;
            assert!(failure.body.contains("operator") && !failure.stopping, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn a_stop_ends_what_has_not_begun_then_the_rest() {
        let registry = Arc::new(Registry::default());
        let query = |number| running(number, r#"{"inputs":"b","query":[]}"#);
        let (begun, waiting, late) = (query(1), query(2), query(3));
        begun.admit();
        let _entries = [registry.enter(begun.clone()), registry.enter(waiting.clone())];
        assert_eq!(registry.stop(Stage::Finishing), 1);
        let _late = registry.enter(late.clone());
        for refused in [waiting, late] {
            assert_eq!(refused.ended().await, Failure::stopping("n1"));
        }
        assert!(begun.ended().now_or_never().is_none());
        registry.stop(Stage::Over);
        // Nothing leads back.
        registry.stop(Stage::Finishing);
        assert_eq!((registry.stage(), begun.ended().await.stopping), (Stage::Over, true));
    }

    #[test]
    fn so_many_skipped_inputs_are_kept() {
        let query = running(1, r#"{"inputs":"b","query":[]}"#);
        let failures = || (0..limits::SKIPPED_KEPT).map(|at| Failure::phase(0, at));
        assert_eq!(query.skip(failures()), limits::SKIPPED_KEPT as u64);
        assert_eq!(query.skip(failures()), 2 * limits::SKIPPED_KEPT as u64);
        assert_eq!(query.take_skipped().len(), limits::SKIPPED_KEPT);
        assert!(query.take_skipped().is_empty());
    }
}
