//! Functions in Rust, called by name, that tests can hold up and look into.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mapring_script::{
    CallContext, CombinedGroups, Combiner, Effects, FailureCause, Function, Group, Handled,
    JsonText, MapInput, Mapped, PhaseFunction, QueryTag, ReduceState, ReduceTiming, Reduced, Row,
    SavedReduce, ScriptError, ScriptLimits, Span, Stage, Values, WriteOp, native,
};
use mapring_shuffle::key;
use mapring_types::{BucketId, Metadata, ObjectId, Quorum};
use mapring_workers::{Reduce, Workers};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::parts;

/// Called before each map call with the number of inputs that all nodes have mapped so far.
pub(super) type Hook = Box<dyn Fn(u64) + Send + Sync>;

/// What the workers of all nodes have in common.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) mapped: AtomicU64,
    /// Calls that hang now.
    pub(super) hanging: AtomicU64,
    pub(super) hook: Mutex<Option<Hook>>,
    /// How often a grouped reduce was called, and what is done before each time.
    pub(super) reduced: AtomicU64,
    pub(super) reduce_hook: Mutex<Option<Hook>>,
    /// Reduce calls: how many values each got.
    pub(super) reduces: Mutex<Vec<usize>>,
    /// How often a part was called.
    pub(super) asked: AtomicU64,
    /// How often functions fail that do so at first.
    pub(super) flaky: AtomicU64,
}

/// The workers of one node.
pub(super) struct TestWorkers(pub(super) Arc<Watch>);

#[async_trait]
impl Workers for TestWorkers {
    async fn map(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        let watch = &self.0;
        if let Function::Part(part, code) = &function.function {
            let asked = inputs.iter().filter_map(|input| input.keydata.as_ref());
            let asked = asked.map(|asked| parts::answer(*part, &name(code), &asked.0, watch));
            return Ok(Mapped { results: asked.collect::<Result<_, _>>()?, ..Mapped::default() });
        }
        if let Some(hook) = watch.hook.lock().as_ref() {
            hook(watch.mapped.load(Ordering::Relaxed));
        }
        let name = name(&function.function);
        match name.as_str() {
            "hang" => {
                let _hangs = Hangs::new(watch);
                std::future::pending::<()>().await;
            }
            "slow" => tokio::time::sleep(Duration::from_millis(1_500)).await,
            _ => {}
        }
        watch.mapped.fetch_add(inputs.len() as u64, Ordering::Relaxed);
        if let "counter" | "hoarder" = name.as_str() {
            return Ok(counted(&name, &context.stage, &inputs));
        }
        if let Some(failed) = failing(&name, &inputs, watch) {
            return Err(failed);
        }
        if let "context" | "copy" = name.as_str() {
            return Ok(told(&name, context, &inputs));
        }
        let results: Result<_, _> = inputs
            .iter()
            .enumerate()
            .map(|(at, input)| {
                let retries = name == "again";
                map(&name, input).map_err(|message| ScriptError {
                    cause: if retries { FailureCause::Retry } else { FailureCause::Thrown },
                    message,
                    stack: Some("at f (1:1)".into()),
                    input: u32::try_from(at).ok(),
                })
            })
            .collect();
        Ok(Mapped { results: results?, ..Mapped::default() })
    }

    async fn combine_groups(
        &self,
        _query: QueryTag,
        _phase: usize,
        combiner: &Arc<Combiner>,
        _context: &Arc<CallContext>,
        groups: Vec<Group>,
    ) -> Result<CombinedGroups, ScriptError> {
        if native::is_job(&combiner.function) {
            return native::combine_groups(combiner, &groups);
        }
        // Fewer than asked for, as the real ones may give.
        let some = groups.iter().take(3);
        let name = name(&combiner.function.function);
        if name == "throw" {
            let at = groups.len() - 1;
            return Err(ScriptError::new(FailureCause::Thrown, "TypeError: no").at(at));
        }
        let values = some.map(|group| {
            let values = [&group.old[..], &group.values[..]].concat();
            if name == "sum" { vec![sum(&values)] } else { values }
        });
        let values: Vec<_> = values.collect();
        Ok(CombinedGroups { combined: values.len() as u64, values, effects: Effects::default() })
    }

    async fn reduce_groups(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        _values: Values,
        _context: &Arc<CallContext>,
        groups: Vec<Group>,
    ) -> Result<Mapped, ScriptError> {
        let watch = &self.0;
        let reduced = watch.reduced.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = watch.reduce_hook.lock().as_ref() {
            hook(reduced);
        }
        if native::is_job(function) {
            return native::reduce_groups(function, &groups);
        }
        let name = name(&function.function);
        let left = |left: u64| left.checked_sub(1);
        let fails = name == "flaky"
            && watch.flaky.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        match name.as_str() {
            _ if fails => return Err(ScriptError::new(FailureCause::Thrown, "not yet").at(0)),
            "again" => return Err(ScriptError::new(FailureCause::Retry, "not yet").at(0)),
            "hoard" => return Err(ScriptError::new(FailureCause::Memory, "there is no memory")),
            _ => {}
        }
        let result = |group: &Group| {
            let key = key::decode(&group.key).unwrap();
            if name == "swapped" {
                return vec![Row::value(format!("[{},{key}]", group.values[0].0))];
            }
            let value = match name.as_str() {
                "sum" => sum(&group.values).0,
                _ => {
                    let values: Vec<&str> = group.values.iter().map(|text| &text.0[..]).collect();
                    format!("[{}]", values.join(","))
                }
            };
            vec![Row::value(format!("[{key},{value}]"))]
        };
        let results = groups.iter().take(5).map(result).collect();
        let mut effects = Effects::default();
        effects.count("reduced".into(), groups.len().min(5) as i64);
        Ok(Mapped { results, effects, handled: None })
    }

    async fn check(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
    ) -> Result<(), ScriptError> {
        match name(&function.function).as_str() {
            "Job.foo" => Err(ScriptError::new(FailureCause::Undefined, "Job.foo is not defined")),
            _ => Ok(()),
        }
    }

    async fn reduce(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        _context: &Arc<CallContext>,
        timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        let (name, watch) = (name(&function.function), self.0.clone());
        let (accumulator, pending) = (Vec::new(), Vec::new());
        Ok(Box::new(TestReduce { name, timing, accumulator, pending, called: false, watch }))
    }

    fn limits(&self) -> ScriptLimits {
        ScriptLimits::default()
    }
}

/// An object that counts its inputs, and gives their number when a shard ends.
fn counted(name: &str, stage: &Stage, inputs: &[MapInput]) -> Mapped {
    let mut effects = Effects::default();
    let mut told = |what: &str, span: Option<Span>| {
        if span == Some(Span::Shard) {
            effects.count(format!("shards {what}"), 1);
        }
        effects.count(format!("slices {what}"), span.is_some().into());
    };
    told("begun", stage.begins);
    told("ended", stage.ends);
    let state = stage.state.as_ref().map_or(0, |state| state.0.parse::<usize>().unwrap());
    let known = state + inputs.len();
    let rest = match stage.ends {
        Some(Span::Shard) => vec![Row::value(format!("[\"n\",{known}]"))],
        _ => Vec::new(),
    };
    let text = match name {
        "hoarder" => format!("\"{}\"", "x".repeat(300_000)),
        _ => known.to_string(),
    };
    let (state, ended) = (JsonText(text), stage.ends.is_some());
    let handled = Some(Handled { state, ended, begun: Vec::new(), rest });
    Mapped { results: vec![Vec::new(); inputs.len()], effects, handled }
}

/// The failure of a function that fails for `k7`, as often as the test says.
fn failing(name: &str, inputs: &[MapInput], watch: &Watch) -> Option<ScriptError> {
    let cause = match name {
        "flaky" => FailureCause::Thrown,
        "asks" => FailureCause::Retry,
        "fatal" => FailureCause::Failed,
        _ => return None,
    };
    let at = inputs.iter().position(|input| input.id.key == "k7")?;
    let left = |left: u64| left.checked_sub(1);
    let fails = watch.flaky.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
    (fails || name == "fatal").then(|| ScriptError::new(cause, "not yet").at(at))
}

/// What functions are told, or copies of the inputs in another bucket.
fn told(name: &str, context: &CallContext, inputs: &[MapInput]) -> Mapped {
    let CallContext { job, shard, attempt, slice, .. } = context;
    let told = vec![row(&json!([job, shard, attempt, slice]))];
    let mut effects = Effects::default();
    if name == "copy" {
        let copy = |input: &MapInput| WriteOp::Put {
            id: ObjectId::new(BucketId::untyped("copies"), input.id.key.clone()),
            metadata: Metadata::default(),
            body: input.id.key.clone(),
            w: Quorum::Default,
        };
        effects.writes.extend(inputs.iter().map(copy));
        effects.count("copied".into(), i64::try_from(inputs.len()).unwrap());
    }
    Mapped { results: vec![told; inputs.len()], effects, handled: None }
}

struct Hangs(Arc<Watch>);

impl Hangs {
    fn new(watch: &Arc<Watch>) -> Self {
        watch.hanging.fetch_add(1, Ordering::Relaxed);
        Self(watch.clone())
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        self.0.hanging.fetch_sub(1, Ordering::Relaxed);
    }
}

fn name(function: &Function) -> String {
    match function {
        Function::Source(name) | Function::Stored { source: name, .. } | Function::Named(name) => {
            name.clone()
        }
        Function::Erlang { function, .. } => function.clone(),
        Function::Part(_, code) => name(code),
    }
}

fn sum(values: &[JsonText]) -> JsonText {
    let numbers = values.iter().map(|value| value.0.parse::<i64>().unwrap());
    JsonText(numbers.sum::<i64>().to_string())
}

fn row(value: &Value) -> Row {
    Row::value(value.to_string())
}

fn map(name: &str, input: &MapInput) -> Result<Vec<Row>, String> {
    let id = &input.id;
    let bucket = String::from_utf8_lossy(&id.bucket.name).into_owned();
    let key = String::from_utf8_lossy(&id.key).into_owned();
    let Some(record) = &input.record else {
        return Ok(vec![row(&json!({"not_found": {"bucket": bucket, "key": key}}))]);
    };
    let object = record.decode().map_err(|error| error.to_string())?;
    let body = object.siblings.first().map_or_else(Default::default, |value| value.body.clone());
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(match name {
        "json" | "slow" => vec![Row::value(body)],
        "values" => vec![row(&json!(object.siblings.len()))],
        "key" => vec![row(&json!([bucket, key]))],
        "swapped" => vec![row(&json!([key, bucket]))],
        "keydata" => {
            vec![input.keydata.clone().map_or_else(|| Row::value("\"undefined\""), Row::Value)]
        }
        "elements" => {
            let list: Vec<Value> =
                serde_json::from_str(&body).map_err(|error| error.to_string())?;
            list.iter().map(row).collect()
        }
        // Every number under its remainder.
        "remainder" => {
            let number: u64 = body.parse().unwrap();
            vec![row(&json!([number % 10, number]))]
        }
        "large" => vec![Row::value(format!("\"{}\"", "x".repeat(100_000)))],
        "again" if key == "k7" => return Err("not yet".into()),
        "throw" if key == "k7" => return Err("TypeError: no".into()),
        _ => vec![Row::value("1")],
    })
}

struct TestReduce {
    name: String,
    timing: ReduceTiming,
    accumulator: Vec<Row>,
    pending: Vec<Row>,
    called: bool,
    watch: Arc<Watch>,
}

impl TestReduce {
    fn call(&mut self) -> Result<(), ScriptError> {
        let mut values = std::mem::take(&mut self.accumulator);
        values.append(&mut self.pending);
        self.called = true;
        self.watch.reduces.lock().push(values.len());
        self.accumulator = match self.name.as_str() {
            "sum" => {
                let numbers = values.iter().map(|value| value.text().parse::<i64>());
                let sum: Result<i64, _> = numbers.sum();
                let sum = sum.map_err(|error| ScriptError {
                    cause: FailureCause::Thrown,
                    message: format!("no number: {error}"),
                    stack: None,
                    input: None,
                })?;
                vec![Row::value(sum.to_string())]
            }
            "sort" => {
                values.sort_by(|a, b| a.text().cmp(b.text()));
                values
            }
            _ => values,
        };
        Ok(())
    }
}

#[async_trait]
impl Reduce for TestReduce {
    async fn push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError> {
        for input in inputs {
            self.pending.push(input);
            let batch = match self.timing {
                ReduceTiming::Every(batch) => batch,
                ReduceTiming::Adaptive | ReduceTiming::IfSmaller => 20,
                ReduceTiming::AtEnd => continue,
            };
            if self.pending.len() >= batch as usize {
                self.call()?;
            }
        }
        Ok(())
    }

    async fn save(&mut self, most: u64) -> Result<Option<SavedReduce>, ScriptError> {
        let bytes = self.accumulator.iter().chain(&self.pending).map(Row::bytes).sum::<usize>();
        let (accumulator, pending) = (self.accumulator.clone(), self.pending.clone());
        let state = ReduceState { accumulator, pending, started: self.called };
        let saved = SavedReduce { state, ..SavedReduce::default() };
        Ok(Some(saved).filter(|_| bytes as u64 <= most))
    }

    async fn restore(&mut self, saved: SavedReduce) -> Result<(), ScriptError> {
        let ReduceState { accumulator, pending, started } = saved.state;
        (self.accumulator, self.pending, self.called) = (accumulator, pending, started);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Reduced, ScriptError> {
        if !self.pending.is_empty() || !self.called {
            self.call()?;
        }
        Ok(Reduced { results: self.accumulator, ..Reduced::default() })
    }
}
