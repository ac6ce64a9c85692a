//! A query under way: what it has done so far, and how it is ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mapring_script::{Counter, LogLevel, LogLine};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::counters::Counted;
use crate::detail::{PhaseDetail, QueryDetail};
use crate::failure::{Failure, FailureKind};
use crate::grammar::Query;
use crate::graph::{ByStage, Role, StageGraph, StageId, StageSpec};
use crate::limits;
use crate::metered::count;
use crate::report::{PhaseReport, QueryId, QueryReport};
use crate::saved::{SavedProgress, hash, wrong};
use crate::unit::{Cost, Tally};
use crate::watched::Watched;

/// A query under way, or just ended. Cheap to share.
#[derive(Debug)]
pub struct QueryHandle {
    pub(crate) id: QueryId,
    node: String,
    query: Query,
    /// The job's id, when it is one, …
    job: Option<String>,
    /// … and what is kept of it.
    watched: Option<Watched>,
    asked: Instant,
    admitted: AtomicBool,
    graph: Arc<StageGraph>,
    stages: ByStage<Counters>,
    skipped: Mutex<Skipped>,
    skipped_count: AtomicU64,
    /// What functions have counted, by name, …
    counters: Mutex<BTreeMap<String, i64>>,
    /// … and what the store has.
    own: Counted,
    /// Lines of the log that its functions have written.
    logged: AtomicU64,
    /// Milliseconds that a job had run before it was gone on with here.
    ran_ms: AtomicU64,
    /// Whether a job can go on from a checkpoint.
    resumable: AtomicBool,
    /// Whether a job is not to go on from its checkpoint.
    begins_anew: AtomicBool,
    /// By stage and node.
    profile: Mutex<BTreeMap<(StageId, String), ProfileEntry>>,
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
    failures: Vec<Failure>,
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
    /// Whether the stage is over.
    over: AtomicBool,
}

impl Counters {
    /// The counts, in the order in which they are kept.
    fn all(&self) -> [&AtomicU64; 6] {
        let Self { inputs, results, result_bytes, skipped, partitions_done, partitions, over: _ } =
            self;
        [inputs, results, result_bytes, skipped, partitions_done, partitions]
    }
}

/// What a phase cost on a node.
#[derive(Debug, Clone, Copy, Default)]
struct ProfileEntry {
    pages: u64,
    inputs: u64,
    results: u64,
    result_bytes: u64,
    cost: Cost,
}

/// What a page, or a step of a reduce, has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PageStats {
    pub(crate) inputs: u64,
    pub(crate) results: u64,
    pub(crate) result_bytes: u64,
    pub(crate) skipped: u64,
    pub(crate) partitions: u64,
    pub(crate) cost: Cost,
    pub(crate) tally: Tally,
}

impl QueryHandle {
    /// Of a query whose stages are those of `graph`.
    pub(crate) fn new(id: QueryId, node: String, query: Query, graph: StageGraph) -> Self {
        let stages = ByStage::new(&graph, |_, _| Counters::default());
        Self {
            id,
            node,
            query,
            job: None,
            watched: None,
            asked: Instant::now(),
            admitted: AtomicBool::new(false),
            graph: Arc::new(graph),
            stages,
            skipped: Mutex::default(),
            skipped_count: AtomicU64::new(0),
            counters: Mutex::default(),
            own: Counted::default(),
            logged: AtomicU64::new(0),
            ran_ms: AtomicU64::new(0),
            resumable: AtomicBool::new(false),
            begins_anew: AtomicBool::new(false),
            profile: Mutex::default(),
            end: watch::Sender::new(None),
        }
    }

    /// As that of a job.
    pub(crate) fn of_job(self, id: String) -> Self {
        Self { job: Some(id), watched: Some(Watched::default()), ..self }
    }

    /// What functions and names of objects have as the id: a job's own, or the query's.
    pub(crate) fn job_id(&self) -> String {
        self.job.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// What is kept of a job; `None` for other queries.
    pub(crate) fn watched(&self) -> Option<&Watched> {
        self.watched.as_ref()
    }

    /// What a job has done so far, in detail. Of a query that is none there is only what is of its phases.
    pub fn detail(&self) -> QueryDetail {
        let phase = |(id, spec)| detailed_stage(spec, self.stages.get(id));
        let phases = self.graph.stages().map(phase).collect();
        let (counters, running) = (self.counters(), self.running());
        let detail = |own: &Watched| own.detail(&self.graph, counters, running, self.age());
        let detail = self.watched.as_ref().map(detail);
        QueryDetail { phases, ..detail.unwrap_or_default() }
    }

    /// How long it has run, here and before.
    fn running(&self) -> Duration {
        self.asked.elapsed() + Duration::from_millis(self.ran_ms.load(Ordering::Relaxed))
    }

    /// Whether a job that runs makes checkpoints, whenever what it has before it is not too much; else it is
    /// begun again from the last one that it made, or from its beginning. All do but one that gives inputs
    /// that it lists itself, and one whose results become objects and are too many to be put aside.
    pub fn is_resumable(&self) -> bool {
        self.resumable.load(Ordering::Relaxed)
    }

    /// Whether a job that has failed is not to go on from its checkpoint: pairs that this names are gone.
    pub fn begins_anew(&self) -> bool {
        self.begins_anew.load(Ordering::Relaxed)
    }

    /// They are.
    pub(crate) fn set_begins_anew(&self) {
        self.begins_anew.store(true, Ordering::Relaxed);
    }

    /// Says whether it makes checkpoints.
    pub(crate) fn set_resumable(&self, resumable: bool) {
        self.resumable.store(resumable, Ordering::Relaxed);
    }

    /// What is shown of the job, to be kept with a checkpoint.
    pub(crate) fn save(&self) -> SavedProgress {
        let stage = |(id, _)| self.stages.get(id).all().map(|count| count.load(Ordering::Relaxed));
        SavedProgress {
            stages: self.graph.stages().map(stage).collect(),
            counters: self.counters.lock().clone(),
            own: self.own.save(),
            skipped: self.skipped_count(),
            logged: self.logged.load(Ordering::Relaxed),
            running_ms: millis(self.running()),
        }
    }

    /// Goes on from what was kept.
    ///
    /// # Errors
    /// When it makes no sense.
    pub(crate) fn restore(&self, saved: SavedProgress) -> mapring_types::Result<()> {
        let SavedProgress { stages, counters, own, skipped, logged, running_ms } = saved;
        if stages.len() != self.graph.stages().count() || counters.len() > limits::COUNTERS {
            return Err(wrong("counts other things"));
        }
        for ((id, _), counts) in self.graph.stages().zip(stages) {
            let [.., partitions_done, partitions] = counts;
            if partitions_done > partitions {
                return Err(wrong("has done more than there was to do"));
            }
            for (count, saved) in self.stages.get(id).all().into_iter().zip(counts) {
                count.store(saved, Ordering::Relaxed);
            }
        }
        if !mapring_types::failpoint!(CountsForgotten) {
            *self.counters.lock() = counters;
        }
        self.own.restore(&own);
        self.skipped_count.store(skipped, Ordering::Relaxed);
        self.logged.store(logged, Ordering::Relaxed);
        self.ran_ms.store(running_ms, Ordering::Relaxed);
        Ok(())
    }

    /// The lines that functions of a job have logged since the last call, of very many the last. Those of
    /// other queries only go to the node's log.
    pub fn take_log(&self) -> Vec<LogLine> {
        self.watched.as_ref().map(Watched::take_log).unwrap_or_default()
    }

    /// A stage is over.
    pub(crate) fn set_over(&self, stage: StageId) {
        self.stages.get(stage).over.store(true, Ordering::Relaxed);
    }

    /// The query's id, as in the header `X-Query-Id`.
    pub fn id(&self) -> QueryId {
        self.id
    }

    /// What chance in the query follows, where the query does not say. It has 53 bits, so that every
    /// reader of JSON gets it whole.
    pub(crate) fn seed(&self) -> u64 {
        self.job.as_deref().map_or(self.id.number, hash) >> 11
    }

    /// Whether the client asked what the query costs.
    pub fn wants_profile(&self) -> bool {
        self.query.spec().options.profile
    }

    /// What the query has done so far.
    pub fn report(&self) -> QueryReport {
        let shown = |(id, spec)| shown_stage(spec, self.stages.get(id));
        let phases: Vec<PhaseReport> = self.graph.stages().map(shown).collect();
        let state = if self.is_admitted() { "running" } else { "waiting" };
        QueryReport {
            id: self.id.to_string(),
            node: self.node.clone(),
            state: state.to_owned(),
            age_ms: millis(self.age()),
            timeout_ms: millis(self.query.timeout()),
            inputs_done: phases
                .iter()
                .filter(|phase| phase.kind != "reduce")
                .map(|phase| phase.inputs)
                .sum(),
            phases,
            counters: self.counters(),
            query: self.query.spec().text.clone(),
        }
    }

    /// How many inputs were left out.
    pub fn skipped_count(&self) -> u64 {
        self.skipped_count.load(Ordering::Relaxed)
    }

    /// Why inputs were left out since the last call, each with the input; of very many the first.
    pub fn take_skipped(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.skipped.lock()).failures
    }

    /// The failure with what the phase calls, where its function failed.
    pub(crate) fn named(&self, failure: Failure) -> Failure {
        let phase = failure.phase.filter(|_| matches!(failure.kind, FailureKind::Function(_)));
        match phase.and_then(|phase| self.graph.of_phase(phase)) {
            Some(stage) => failure.calling(&stage.function),
            None => failure,
        }
    }

    /// What each phase cost on each node, as JSON.
    pub fn profile(&self) -> String {
        let entries: Vec<serde_json::Value> = self
            .profile
            .lock()
            .iter()
            .map(|((stage, node), entry)| {
                let ProfileEntry { pages, inputs, results, result_bytes, cost } = entry;
                let spec = self.graph.get(*stage);
                serde_json::json!({
                    "phase": spec.phase,
                    "kind": spec.role.word(),
                    "node": node,
                    "pages": pages,
                    "inputs": inputs,
                    "looked_at": cost.looked_at,
                    "read_bytes": cost.read_bytes,
                    "results": results,
                    "result_bytes": result_bytes,
                    "read_ms": shown(cost.read_us),
                    "work_ms": shown(cost.work_us),
                    "function_ms": shown(cost.function_us),
                    "prereduce_ms": shown(cost.prereduce_us),
                    "held_back_ms": shown(cost.held_back_us),
                })
            })
            .collect();
        let whole = serde_json::json!({
            "query": self.id.to_string(),
            "seed": self.seed(),
            "elapsed_ms": shown(crate::unit::micros(self.asked.elapsed())),
            "phases": entries,
            "counters": self.counters(),
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
                count("mapring_mapred_queries_cancelled_total", 1);
                Failure::new(FailureKind::Ended, "the query was ended by an operator")
            }
        }
    }

    /// How long it has been under way.
    pub(crate) fn age(&self) -> Duration {
        self.asked.elapsed()
    }

    /// Whether it has begun, and no longer waits for its turn.
    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    pub(crate) fn admit(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    /// The query's stages.
    pub(crate) fn graph(&self) -> &Arc<StageGraph> {
        &self.graph
    }

    /// A stage is to work through so many partitions.
    pub(crate) fn set_partitions(&self, stage: StageId, partitions: u64) {
        self.stages.get(stage).partitions.store(partitions, Ordering::Relaxed);
    }

    /// A stage has done something on a node.
    pub(crate) fn record(&self, stage: StageId, node: &str, stats: &PageStats) {
        let counters = self.stages.get(stage);
        for (counter, more) in [
            (&counters.inputs, stats.inputs),
            (&counters.results, stats.results),
            (&counters.result_bytes, stats.result_bytes),
            (&counters.skipped, stats.skipped),
            (&counters.partitions_done, stats.partitions),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
        let done = counters.partitions_done.load(Ordering::Relaxed);
        let all = counters.partitions.load(Ordering::Relaxed);
        assert!(done <= all, "{done} of {all} partitions are done");
        self.own.count(self.graph.get(stage).role, stats);
        if let Some(watched) = &self.watched {
            watched.sample(|| self.counters());
        }
        if self.wants_profile() {
            let mut profile = self.profile.lock();
            let entry = profile.entry((stage, node.to_owned())).or_default();
            entry.pages += 1;
            entry.inputs += stats.inputs;
            entry.results += stats.results;
            entry.result_bytes += stats.result_bytes;
            entry.cost.add(&stats.cost);
        }
    }

    /// Adds to a counter of the store's own; times in microseconds.
    pub(crate) fn add(&self, counter: Counter, by: u64) {
        self.own.add(counter, by);
    }

    /// What was counted so far, by name.
    fn counters(&self) -> BTreeMap<String, i64> {
        let mut counters = self.counters.lock().clone();
        counters.extend(self.own.shown());
        counters
    }

    /// Adds what functions have counted.
    ///
    /// # Errors
    /// When they count more things than a query may, or what the store counts itself.
    pub(crate) fn count(&self, counts: BTreeMap<String, i64>) -> Result<(), Failure> {
        let mut counters = self.counters.lock();
        for (name, by) in counts {
            if let Some(counter) = Counter::find(&name) {
                let message =
                    format!("a function counts \"{counter}\", which the store does itself");
                return Err(Failure::new(FailureKind::BadInput, message));
            }
            let count = counters.entry(name).or_default();
            *count = count.saturating_add(by);
        }
        if counters.len() <= limits::COUNTERS {
            return Ok(());
        }
        let most = limits::COUNTERS;
        let message = format!("the functions of the query count more than {most} different names");
        Err(Failure::new(FailureKind::BadInput, message))
    }

    /// Writes lines of functions to the node's log, as long as there are few.
    pub(crate) fn log(&self, lines: Vec<LogLine>, dropped: u64) {
        if let Some(watched) = &self.watched {
            watched.log(&lines);
        }
        let id = self.job_id();
        let all = lines.len() as u64 + dropped;
        let before = self.logged.fetch_add(all, Ordering::Relaxed);
        let room = limits::QUERY_LOG_LINES.saturating_sub(before);
        for LogLine { level, message } in lines.into_iter().take(usize::try_from(room).unwrap_or(0))
        {
            match level {
                LogLevel::Debug => tracing::debug!(query = %id, "function: {message}"),
                LogLevel::Info => tracing::info!(query = %id, "function: {message}"),
                LogLevel::Warn => tracing::warn!(query = %id, "function: {message}"),
                LogLevel::Error => tracing::error!(query = %id, "function: {message}"),
            }
        }
        if before < limits::QUERY_LOG_LINES && before + all > limits::QUERY_LOG_LINES {
            tracing::warn!(query = %id, "its functions log too much: no more of it is written");
        }
    }

    /// Inputs are left out. Returns how many there are now.
    pub(crate) fn skip(&self, inputs: impl Iterator<Item = Failure>) -> u64 {
        let mut kept = self.skipped.lock();
        for failure in inputs {
            self.skipped_count.fetch_add(1, Ordering::Relaxed);
            let room = kept.failures.len() < limits::SKIPPED_KEPT
                && kept.bytes < limits::SKIPPED_KEPT_BYTES;
            if room {
                let failure = self.named(failure);
                kept.bytes += failure.bytes();
                kept.failures.push(failure);
            }
        }
        self.skipped_count()
    }
}

fn shown_stage(spec: &StageSpec, counters: &Counters) -> PhaseReport {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    PhaseReport {
        phase: spec.phase,
        kind: spec.role.word().to_owned(),
        function: spec.function.clone(),
        inputs: of(&counters.inputs),
        results: of(&counters.results),
        result_bytes: of(&counters.result_bytes),
        skipped: of(&counters.skipped),
        partitions_done: of(&counters.partitions_done),
        partitions: of(&counters.partitions),
    }
}

fn detailed_stage(spec: &StageSpec, counters: &Counters) -> PhaseDetail {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (inputs, partitions) = (of(&counters.inputs), of(&counters.partitions));
    let state = match counters.over.load(Ordering::Relaxed) {
        true => "done",
        false if inputs > 0 || of(&counters.partitions_done) > 0 => "running",
        false => "waiting",
    };
    PhaseDetail {
        phase: spec.phase,
        kind: spec.role.word().to_owned(),
        group: spec.role == Role::Groups,
        state: state.to_owned(),
        inputs,
        results: of(&counters.results),
        skipped: of(&counters.skipped),
        partitions_done: of(&counters.partitions_done),
        partitions,
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

#[cfg(test)]
impl QueryHandle {
    /// Of a query that nobody runs.
    pub(crate) fn idle(number: u64, body: &str) -> Arc<Self> {
        let query = crate::grammar::parse(body.as_bytes()).unwrap();
        let id = QueryId { node: mapring_types::NodeId(11), number };
        let graph = StageGraph::of(query.spec());
        Arc::new(Self::new(id, "n1".into(), query, graph))
    }

    /// The same, of a job.
    pub(crate) fn idle_job(number: u64, body: &str, job: &str) -> Arc<Self> {
        let handle = Arc::into_inner(Self::idle(number, body)).unwrap();
        Arc::new(handle.of_job(job.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_add_up() {
        let query = QueryHandle::idle(
            1,
            r#"{"inputs":"b","query":[{"link":{}},{"map":{"language":"javascript","name":"f"}}],"profile":true}"#,
        );
        query.set_partitions(query.graph().entry(), 64);
        let stats = PageStats { inputs: 3, results: 2, partitions: 1, ..PageStats::default() };
        let stages: Vec<StageId> = query.graph().stages().map(|(id, _)| id).collect();
        query.record(stages[0], "n1", &stats);
        query.record(stages[0], "n2", &stats);
        query.record(stages[1], "n1", &PageStats { inputs: 1, skipped: 1, ..PageStats::default() });
        let report = query.report();
        assert_eq!((report.state.as_str(), report.inputs_done), ("waiting", 7));
        let [first, second] = report.phases.as_slice() else { panic!("{report:?}") };
        assert_eq!((first.kind.as_str(), first.partitions_done, first.partitions), ("link", 2, 64));
        assert_eq!((second.function.as_str(), second.skipped), ("f", 1));
        let profile: serde_json::Value = serde_json::from_str(&query.profile()).unwrap();
        assert_eq!(profile["phases"][0]["inputs"], 3);
        assert_eq!(profile["phases"][1]["node"], "n2");
    }

    #[tokio::test]
    async fn an_ended_query_is_told_whenever_it_asks() {
        let query = QueryHandle::idle(1, r#"{"inputs":"b","query":[]}"#);
        query.end(Ending::Operator);
        query.end(Ending::Stop);
        for _ in 0..2 {
            let failure = query.ended().await;
            assert_eq!(failure.kind, FailureKind::Ended);
        }
    }

    #[test]
    fn counts_add_up_and_are_bounded() {
        let query = QueryHandle::idle(1, r#"{"inputs":"b","query":[]}"#);
        let counts = |by| BTreeMap::from([("a".to_owned(), by), ("b".to_owned(), 1)]);
        query.count(counts(2)).unwrap();
        query.count(counts(-5)).unwrap();
        query.add(Counter::Writes, 7);
        query.add(Counter::IoWrite, 2_999);
        let counters = query.report().counters;
        let expect = [("a", -3), ("b", 2), ("writes", 7), ("io-write-msec", 2), ("groups", 0)];
        for (name, count) in expect {
            assert_eq!(counters[name], count, "{name}");
        }
        let own = BTreeMap::from([("groups".to_owned(), 1)]);
        assert_eq!(query.count(own).unwrap_err().kind, FailureKind::BadInput);
        assert_eq!(query.report().counters["groups"], 0);
        let profile: serde_json::Value = serde_json::from_str(&query.profile()).unwrap();
        assert_eq!(profile["counters"]["a"], -3);
        let many = (0..limits::COUNTERS).map(|number| (number.to_string(), 1)).collect();
        assert_eq!(query.count(many).unwrap_err().kind, FailureKind::BadInput);
    }

    #[test]
    fn so_many_skipped_inputs_are_kept() {
        let query = QueryHandle::idle(1, r#"{"inputs":"b","query":[]}"#);
        let failures =
            || (0..limits::SKIPPED_KEPT).map(|at| Failure::new(FailureKind::BadInput, at));
        assert_eq!(query.skip(failures()), limits::SKIPPED_KEPT as u64);
        assert_eq!(query.skip(failures()), 2 * limits::SKIPPED_KEPT as u64);
        assert_eq!(query.take_skipped().len(), limits::SKIPPED_KEPT);
        assert!(query.take_skipped().is_empty());
    }
}
