//! What is kept of a job while it runs, beside what is of every query: its shards, how fast it counts, and
//! the lines of its log.

mod save;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mapring_script::LogLine;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::detail::{CounterDetail, QueryDetail, ShardDetail};
use crate::graph::{StageGraph, StageId};
use crate::limits;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    shards: Mutex<Shards>,
    rates: Mutex<Rates>,
    log: Mutex<VecDeque<LogLine>>,
}

/// The shards of a job.
#[derive(Debug, Default)]
struct Shards {
    known: BTreeMap<ShardKey, Shard>,
    /// Those that are done, and some that a checkpoint tells of, the first one first.
    done: VecDeque<ShardKey>,
    /// How many there were, kept or not, …
    all: u64,
    /// … and how many of them are not done.
    active: u64,
    /// When a page was accepted, of which node, up to which input.
    last: Option<(Instant, Option<String>, Option<String>)>,
    /// Until when nothing but its pace kept it from going on, the last time that it did.
    paced_until: Option<Instant>,
}

#[derive(Debug)]
struct Shard {
    kind: ShardKind,
    description: String,
    node: Option<String>,
    state: &'static str,
    attempt: u32,
    slice: u32,
    inputs: u64,
    results: u64,
    last_input: Option<String>,
    last_error: Option<String>,
    moved: Instant,
}

/// What becomes of a shard that is under way when its job goes on elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardKind {
    /// It goes on.
    Lasting,
    /// It ends: what it has not done goes to others.
    Batch,
}

/// What was counted when.
#[derive(Debug, Default)]
struct Rates(VecDeque<(Instant, BTreeMap<String, i64>)>);

/// Names a shard: its stage, and its number in that.
pub(crate) type ShardKey = (StageId, u32);

/// What a page of a shard has done.
pub(crate) struct Done {
    pub(crate) inputs: u64,
    pub(crate) results: u64,
    pub(crate) last_input: Option<String>,
    /// Whether the shard has ended with it.
    pub(crate) ended: bool,
}

const WAITING: &str = "waiting";
const RUNNING: &str = "running";
const DONE: &str = "done";
const FAILED: &str = "failed";

impl Watched {
    /// There is a shard, which waits.
    pub(crate) fn planned(&self, shard: ShardKey, kind: ShardKind, description: String) {
        self.shards.lock().plan(shard, kind, description);
    }

    /// A node works on it.
    pub(crate) fn given(&self, shard: ShardKey, node: String, attempt: u32) {
        self.shards.lock().change(shard, |shard| {
            (shard.node, shard.attempt, shard.state) = (Some(node), attempt, RUNNING);
        });
    }

    /// A page of it was accepted.
    pub(crate) fn accepted(&self, shard: ShardKey, done: Done) {
        self.shards.lock().accept(shard, done);
    }

    /// It waits to be begun again, or will not be.
    pub(crate) fn failed(&self, shard: ShardKey, why: String, is_final: bool) {
        let state = if is_final { FAILED } else { WAITING };
        self.shards.lock().change(shard, |shard| {
            (shard.last_error, shard.state) = (Some(why), state);
        });
    }

    /// Nothing is worked on, and nothing may be given out until then: that is no stall.
    pub(crate) fn paced(&self, until: Instant) {
        self.shards.lock().paced_until = Some(until);
    }

    /// It is over: nothing more is wanted of it, or its inputs went to others.
    pub(crate) fn ended(&self, shard: ShardKey) {
        self.shards.lock().end(shard);
    }
}

impl Shards {
    fn plan(&mut self, key: ShardKey, kind: ShardKind, description: String) {
        self.all += 1;
        self.active += 1;
        // One that a checkpoint tells of goes on with what it had done by then.
        if let Some(shard) = self.known.get_mut(&key) {
            (shard.kind, shard.description, shard.state) = (kind, description, WAITING);
            self.done.retain(|done| *done != key);
            return;
        }
        // Of very many those that are done are forgotten first.
        while self.known.len() >= limits::SHARDS_WATCHED
            && let Some(oldest) = self.done.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.known.len() >= limits::SHARDS_WATCHED {
            return;
        }
        let shard = Shard {
            kind,
            description,
            node: None,
            state: WAITING,
            attempt: 1,
            slice: 0,
            inputs: 0,
            results: 0,
            last_input: None,
            last_error: None,
            moved: Instant::now(),
        };
        self.known.insert(key, shard);
    }

    fn change(&mut self, key: ShardKey, change: impl FnOnce(&mut Shard)) {
        if let Some(shard) = self.known.get_mut(&key) {
            change(shard);
            shard.moved = Instant::now();
        }
    }

    fn accept(&mut self, key: ShardKey, done: Done) {
        let Done { inputs, results, last_input, ended } = done;
        let mut node = None;
        self.change(key, |shard| {
            shard.slice = shard.slice.saturating_add(1);
            shard.inputs += inputs;
            shard.results += results;
            if last_input.is_some() {
                shard.last_input.clone_from(&last_input);
            }
            node.clone_from(&shard.node);
        });
        let before = self.last.take().and_then(|(.., input)| input);
        self.last = Some((Instant::now(), node, last_input.or(before)));
        if ended {
            self.end(key);
        }
    }

    fn end(&mut self, key: ShardKey) {
        self.active = self.active.saturating_sub(1);
        let mut known = false;
        self.change(key, |shard| (shard.state, known) = (DONE, true));
        if known {
            self.done.push_back(key);
        }
    }

    /// Those that are under way, and the first others, in order.
    fn shown(&self, graph: &StageGraph) -> Vec<ShardDetail> {
        let most = limits::SHARDS_SHOWN;
        let running = self.known.iter().filter(|(_, shard)| shard.state == RUNNING).take(most);
        let room = most - running.clone().count();
        let others = self.known.iter().filter(|(_, shard)| shard.state != RUNNING).take(room);
        let mut shown: Vec<_> = running.chain(others).collect();
        shown.sort_unstable_by_key(|(key, _)| **key);
        let detail = |((stage, number), shard): (&ShardKey, &Shard)| ShardDetail {
            phase: graph.get(*stage).phase,
            number: *number,
            description: shard.description.clone(),
            node: shard.node.clone(),
            state: shard.state.to_owned(),
            attempt: shard.attempt,
            slice: shard.slice,
            inputs: shard.inputs,
            results: shard.results,
            last_input: shard.last_input.clone(),
            last_error: shard.last_error.clone(),
            idle_ms: millis(shard.moved.elapsed()),
        };
        shown.into_iter().map(detail).collect()
    }
}

impl Rates {
    /// Takes note of what is counted now, at most once a second.
    fn sample(&mut self, now: Instant, counters: impl FnOnce() -> BTreeMap<String, i64>) {
        let due = |(last, _): &(Instant, _)| now.duration_since(*last) >= limits::RATE_SAMPLE;
        if self.0.back().is_none_or(due) {
            self.0.push_back((now, counters()));
        }
        // One that is older than the window is what the others are compared with.
        while let Some((second, _)) = self.0.get(1)
            && now.duration_since(*second) >= limits::RATE_WINDOW
        {
            self.0.pop_front();
        }
    }

    /// How fast a counter has gone lately.
    fn now(&self, now: Instant, name: &str, count: i64) -> f64 {
        let Some((since, before)) = self.0.front() else { return 0.0 };
        let before = before.get(name).copied().unwrap_or(0);
        per_second(count.saturating_sub(before), now.duration_since(*since))
    }
}

impl Watched {
    /// Takes note of what is counted now.
    pub(crate) fn sample(&self, counters: impl FnOnce() -> BTreeMap<String, i64>) {
        self.rates.lock().sample(Instant::now(), counters);
    }

    /// Keeps lines of functions until they are taken; of very many the last.
    pub(crate) fn log(&self, lines: &[LogLine]) {
        let mut log = self.log.lock();
        log.extend(lines.iter().cloned());
        let over = log.len().saturating_sub(limits::LOG_LINES_KEPT);
        log.drain(..over);
    }

    /// The lines that came since the last call.
    pub(crate) fn take_log(&self) -> Vec<LogLine> {
        std::mem::take(&mut *self.log.lock()).into()
    }

    /// All but the phases of what a job shows, which has run for so long, and for so long `here`.
    pub(crate) fn detail(
        &self,
        graph: &StageGraph,
        counters: BTreeMap<String, i64>,
        running: Duration,
        here: Duration,
    ) -> QueryDetail {
        let now = Instant::now();
        let mut rates = self.rates.lock();
        rates.sample(now, || counters.clone());
        let counter = |(name, count): (String, i64)| {
            let now_per_sec = rates.now(now, &name, count);
            let avg_per_sec = per_second(count, running);
            (name, CounterDetail { count, avg_per_sec, now_per_sec })
        };
        let counters = counters.into_iter().map(counter).collect();
        let shards = self.shards.lock();
        let (idle, last_node, last_input) = match &shards.last {
            Some((when, node, input)) => (when.elapsed(), node.clone(), input.clone()),
            None => (here, None, None),
        };
        let paced = shards.paced_until.map(|until| now.saturating_duration_since(until));
        let idle = paced.map_or(idle, |paced| idle.min(paced));
        QueryDetail {
            phases: Vec::new(),
            counters,
            shards: shards.shown(graph),
            shards_known: shards.all,
            shards_active: shards.active,
            running_ms: millis(running),
            idle_ms: millis(idle),
            last_node,
            last_input,
        }
    }
}

fn per_second(count: i64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    // Exact for all that is counted in earnest.
    #[expect(clippy::cast_precision_loss)]
    let count = count as f64;
    count / time.as_secs_f64()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::QueryHandle;
    use crate::stage_watch::StageWatch;

    fn count(calls: i64) -> BTreeMap<String, i64> {
        BTreeMap::from([("calls".to_owned(), calls)])
    }

    #[tokio::test(start_paused = true)]
    async fn rates_are_those_of_the_last_seconds() {
        let mut rates = Rates::default();
        let mut calls = 0;
        for _ in 0..100 {
            rates.sample(Instant::now(), || count(calls));
            calls += 30;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!((rates.now(Instant::now(), "calls", calls) - 30.0).abs() < 0.01);
        assert!(rates.0.len() <= 12, "{}", rates.0.len());
        for _ in 0..20 {
            rates.sample(Instant::now(), || count(calls));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(rates.now(Instant::now(), "calls", calls).abs() < 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_its_pace_is_not_idle() {
        let handle = QueryHandle::idle_job(1, r#"{"inputs":"b","query":[]}"#, "j1");
        let idle = |seconds| {
            let handle = handle.clone();
            async move {
                tokio::time::advance(Duration::from_secs(seconds)).await;
                handle.detail().idle_ms
            }
        };
        assert_eq!(idle(5).await, 5_000);
        handle.watched().unwrap().paced(Instant::now() + Duration::from_secs(100));
        assert_eq!([idle(0).await, idle(99).await], [0, 0]);
        // What does not go on then stands still.
        assert_eq!(idle(31).await, 30_000);
    }

    #[tokio::test(start_paused = true)]
    async fn shards_are_shown_and_bounded() {
        let body = r#"{"inputs":"b","query":[{"map":{"language":"javascript","name":"f"}}]}"#;
        let handle = QueryHandle::idle_job(1, body, "j1");
        let stage = handle.graph().entry();
        let watch = StageWatch::of(&handle, stage).unwrap();
        let many = u32::try_from(limits::SHARDS_WATCHED).unwrap() + 5;
        for unit in 0..many {
            watch.planned(unit, format!("b partition {unit}"));
            watch.given(unit, "n2".into(), 1);
            if unit < 10 {
                let last_input = Some(format!("k{unit}"));
                watch.accepted(unit, Done { inputs: 3, results: 2, last_input, ended: unit > 0 });
            }
        }
        watch.failed(20, "TypeError: no".into(), false);
        let detail = handle.detail();
        assert_eq!((detail.shards_known, detail.shards_active), (many.into(), (many - 9).into()));
        assert_eq!(detail.shards.len(), limits::SHARDS_SHOWN);
        assert_eq!(
            (detail.last_node.as_deref(), detail.last_input.as_deref()),
            (Some("n2"), Some("k9"))
        );
        let first = &detail.shards[0];
        assert_eq!((first.inputs, first.results, first.slice, first.attempt), (3, 2, 1, 1));
        assert_eq!(
            (first.state.as_str(), first.description.as_str()),
            ("running", "b partition 0")
        );
        let again = QueryHandle::idle_job(2, body, "j1");
        let saved = handle.watched().unwrap().save();
        // The first that were done have been forgotten; one is under way.
        assert_eq!((saved.ended, saved.told.len()), (9, 5));
        again.watched().unwrap().restore(saved, again.graph());
        let watch = StageWatch::of(&again, stage).unwrap();
        watch.planned(0, "b partition 0".into());
        let detail = again.detail();
        assert_eq!((detail.shards_known, detail.shards_active), (10, 1));
        let shown = |at: usize| (detail.shards[at].state.as_str(), detail.shards[at].inputs);
        assert_eq!((detail.shards.len(), shown(0), shown(4)), (5, ("waiting", 3), ("done", 3)));
        let shards = handle.watched().unwrap().shards.lock();
        assert_eq!(shards.known.len(), limits::SHARDS_WATCHED);
        let failed = &shards.known[&(stage, 20)];
        assert_eq!(
            (failed.state, failed.last_error.as_deref()),
            ("waiting", Some("TypeError: no"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn shards_go_on_with_what_they_had_done() {
        let body = r#"{"inputs":"b","query":[{"map":{"language":"javascript","name":"f"}}]}"#;
        let handle = QueryHandle::idle_job(1, body, "j1");
        let stage = handle.graph().entry();
        let watch = StageWatch::of(&handle, stage).unwrap();
        let done = |inputs, ended| Done { inputs, results: inputs, last_input: None, ended };
        watch.planned(0, "b partition 0".into());
        watch.planned(1, "b partition 1".into());
        watch.planned_batch(2, "4 named inputs".into());
        watch.planned_batch(3, "3 named inputs".into());
        for unit in 0..4 {
            watch.given(unit, "n2".into(), 1);
        }
        watch.accepted(0, done(5, false));
        watch.accepted(1, done(7, true));
        watch.accepted(2, done(1, false));
        let (again, saved) =
            (QueryHandle::idle_job(2, body, "j1"), handle.watched().unwrap().save());
        again.watched().unwrap().restore(saved, again.graph());
        let watch = StageWatch::of(&again, stage).unwrap();
        watch.planned(0, "b partition 0".into());
        // What the batches have not done.
        watch.planned_batch(4, "6 named inputs".into());
        for unit in [0, 4] {
            watch.given(unit, "n3".into(), 2);
            watch.accepted(unit, done(6, true));
        }
        let detail = again.detail();
        assert_eq!((detail.shards_known, detail.shards_active), (4, 0));
        let shown = detail.shards.iter().map(|shard| (shard.number, shard.inputs, shard.slice));
        assert_eq!(shown.collect::<Vec<_>>(), [(0, 11, 2), (1, 7, 1), (2, 1, 1), (4, 6, 1)]);
    }
}
