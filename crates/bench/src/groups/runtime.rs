//! The JavaScript runtime of the workers in this process, a thread a core.

use std::time::Instant;

use mapring_script::js::JsRuntime;
use mapring_script::native::{self, NativeRuntime};
use mapring_script::{
    MapInput, PhaseFunction, ReduceState, ReduceTiming, Row, Runtime, ScriptError, ScriptLimits,
};

use crate::machine;
use crate::outcome::Outcome;

/// What a map and a reduce took.
pub(super) struct Took {
    /// Processor time, in seconds.
    pub(super) cpu: f64,
    /// By the clock, in seconds.
    pub(super) clock: f64,
    /// The answer.
    pub(super) results: Vec<Row>,
}

/// A query of one map and one reduce.
pub(super) struct Phases {
    pub(super) map: PhaseFunction,
    pub(super) reduce: PhaseFunction,
    pub(super) timing: ReduceTiming,
    /// Whether each thread reduces its own results first.
    pub(super) prereduce: bool,
}

/// Identifies the query to the runtimes.
const QUERY: u64 = 1;

/// Runs a query over inputs that lie in memory, for each thread its own.
pub(super) fn run(phases: &Phases, shares: Vec<Vec<Vec<MapInput>>>) -> Outcome<Took> {
    let (began, cpu) = (Instant::now(), machine::own_cpu_seconds());
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| on_large_stack(scope, move || map(phases, share)))
            .collect::<Result<_, _>>()?;
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a map broke")??);
        }
        let reduce = on_large_stack(scope, move || reduce(phases, all))?;
        Ok::<_, crate::outcome::Failure>(reduce.join().map_err(|_| "a reduce broke")??)
    })?;
    let (clock, cpu) = (began.elapsed().as_secs_f64(), machine::own_cpu_seconds() - cpu);
    Ok(Took { cpu, clock, results })
}

/// As in a worker process.
fn on_large_stack<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> std::io::Result<std::thread::ScopedJoinHandle<'scope, T>> {
    let stack = usize::try_from(ScriptLimits::default().stack_bytes).unwrap_or(usize::MAX);
    std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, work)
}

fn map(phases: &Phases, share: Vec<Vec<MapInput>>) -> Result<Vec<Row>, ScriptError> {
    let mut runtime = JsRuntime::new(ScriptLimits::default());
    let mut results = Vec::new();
    for mut batch in share {
        // A batch ends early when its results have become large.
        while !batch.is_empty() {
            let mapped = runtime.map(QUERY, &phases.map, batch.clone())?;
            batch.drain(..mapped.len());
            results.extend(mapped.into_iter().flatten());
        }
    }
    if phases.prereduce { reduce(phases, results) } else { Ok(results) }
}

/// Natively where a node does so.
fn reduce(phases: &Phases, inputs: Vec<Row>) -> Result<Vec<Row>, ScriptError> {
    let mut runtime: Box<dyn Runtime> = if native::runs(&phases.reduce) {
        Box::new(NativeRuntime::new())
    } else {
        Box::new(JsRuntime::new(ScriptLimits::default()))
    };
    runtime.reduce_open(QUERY, &phases.reduce, phases.timing, ReduceState::default())?;
    runtime.reduce_push(inputs)?;
    runtime.reduce_finish()
}
