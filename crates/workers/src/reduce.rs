//! Reduces over worker processes, and over built-ins in this process.

use std::sync::Arc;

use async_trait::async_trait;
use mapring_script::native::{NativeRuntime, is_only_here};
use mapring_script::protocol::{Request, Response};
use mapring_script::{
    CallContext, Effects, FailureCause, PhaseFunction, QueryTag, ReduceState, ReduceTiming,
    Reduced, Row, Runtime, SavedReduce, ScriptError,
};
use tokio::sync::Mutex;

use crate::failure::{CallFailure, unexpected};
use crate::limits;
use crate::native::Natives;
use crate::parts::parts;
use crate::pool::{Lease, Parked, Pool};
use crate::workers::Reduce;

/// What a reduce is made of.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) pool: Arc<Pool>,
    pub(crate) natives: Arc<Natives>,
    pub(crate) query: QueryTag,
    pub(crate) phase: usize,
    pub(crate) function: Arc<PhaseFunction>,
    pub(crate) context: Arc<CallContext>,
    pub(crate) timing: ReduceTiming,
}

impl Start {
    /// Begins in a worker.
    pub(crate) async fn process(self, state: ReduceState) -> Result<ProcessReduce, ScriptError> {
        let slot = Arc::new(Mutex::new(Held::Aside(state)));
        let effects = Effects::default();
        let mut reduce = ProcessReduce { start: self, slot, parked: None, effects };
        // Compiles the function, so that its faults show before there is input.
        reduce.with_worker(async |_| Ok(())).await?;
        Ok(reduce)
    }

    /// Begins in this process.
    pub(crate) async fn native(self) -> Result<NativeReduce, ScriptError> {
        let (function, query, timing) = (Arc::clone(&self.function), self.query, self.timing);
        let runtime = self.natives.run(move || {
            let mut runtime = NativeRuntime::new();
            let opened = runtime.reduce_open(query, &function, timing, ReduceState::default());
            opened.map(|()| runtime)
        });
        Ok(NativeReduce { runtime: Some(runtime.await??), start: self, process: None })
    }
}

/// Where a reduce is between calls. Shared with the pool, which may put it aside.
type Slot = Arc<Mutex<Held>>;

/// See [`Slot`].
enum Held {
    /// In a worker.
    Worker(Lease),
    /// In no worker.
    Aside(ReduceState),
    /// It failed.
    Over(ScriptError),
}

#[async_trait]
impl Parked for Mutex<Held> {
    async fn put_aside(&self) {
        let mut held = self.lock().await;
        let Held::Worker(lease) = &mut *held else { return };
        metrics::counter!("mapring_script_reduces_suspended_total").increment(1);
        let next = match lease.call(&Request::ReduceSuspend).await {
            Ok(Response::Suspended(state)) => Held::Aside(state),
            Ok(_) => Held::Over(unexpected()),
            Err(failure) => Held::Over(failure.into_error()),
        };
        *held = next;
    }

    async fn end(&self, error: ScriptError) {
        *self.lock().await = Held::Over(error);
    }
}

/// A reduce of JavaScript.
pub(crate) struct ProcessReduce {
    start: Start,
    slot: Slot,
    /// Its number among those that can be put aside, while it is.
    parked: Option<u64>,
    /// What its calls have asked for.
    effects: Effects,
}

impl ProcessReduce {
    /// Runs calls in the worker that holds the reduce, in another if it was put aside.
    async fn with_worker<T>(
        &mut self,
        calls: impl AsyncFnOnce(&mut Lease) -> Result<T, ScriptError>,
    ) -> Result<T, ScriptError> {
        self.unpark();
        let slot = Arc::clone(&self.slot);
        let mut held = slot.lock().await;
        if let Held::Aside(state) = &mut *held {
            let mut lease = self.start.pool.acquire(self.start.query, self.start.phase).await?;
            let request = Request::ReduceOpen {
                query: self.start.query,
                function: PhaseFunction::clone(&self.start.function),
                context: CallContext::clone(&self.start.context),
                timing: self.start.timing,
                state: std::mem::take(state),
            };
            *held = match done(lease.call(&request).await) {
                Ok(_) => Held::Worker(lease),
                Err(error) => Held::Over(error),
            };
        }
        let result = match &mut *held {
            Held::Worker(lease) => calls(lease).await,
            Held::Over(error) => Err(error.clone()),
            Held::Aside(_) => Err(unexpected()),
        };
        match &result {
            Ok(_) => self.parked = Some(self.start.pool.park(slot.clone())),
            Err(error) => *held = Held::Over(error.clone()),
        }
        result
    }

    fn unpark(&mut self) {
        if let Some(number) = self.parked.take() {
            self.start.pool.unpark(number);
        }
    }

    async fn feed(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError> {
        let inputs = parts(inputs, Row::bytes);
        let effects = self.with_worker(async |lease| {
            let mut effects = Effects::default();
            for part in inputs {
                effects.merge(done(lease.call(&Request::ReducePush(part)).await)?);
            }
            Ok(effects)
        });
        let effects = effects.await?;
        self.keep(effects)
    }

    /// Keeps what calls have asked for, within bounds, until the results come.
    fn keep(&mut self, effects: Effects) -> Result<(), ScriptError> {
        if effects.is_empty() {
            return Ok(());
        }
        self.effects.merge(effects);
        if self.effects.bytes() > limits::REDUCE_EFFECT_BYTES {
            let most = limits::REDUCE_EFFECT_BYTES;
            let message = format!("the calls of the reduce write and count more than {most} bytes");
            return Err(ScriptError::new(FailureCause::ResultSize, message));
        }
        Ok(())
    }

    /// What it has come to, if that is not more; it goes on where it is.
    async fn look(&mut self, most: u64) -> Result<Option<SavedReduce>, ScriptError> {
        let state =
            self.with_worker(async |lease| match lease.call(&Request::ReduceSave(most)).await {
                Ok(Response::Saved(state)) => Ok(state),
                Ok(_) => Err(unexpected()),
                Err(failure) => Err(failure.into_error()),
            });
        let state = state.await?;
        Ok(state.map(|state| SavedReduce { state, effects: self.effects.clone() }))
    }

    /// Goes on with what another has come to.
    async fn turn_to(&mut self, saved: SavedReduce) -> Result<(), ScriptError> {
        self.unpark();
        // What the worker has is nothing yet.
        self.slot.put_aside().await;
        match &mut *self.slot.lock().await {
            Held::Aside(state) => *state = saved.state,
            Held::Over(error) => return Err(error.clone()),
            Held::Worker(_) => return Err(unexpected()),
        }
        self.keep(saved.effects)
    }

    async fn end(&mut self) -> Result<Reduced, ScriptError> {
        let Reduced { results, effects } = self
            .with_worker(async |lease| match lease.call(&Request::ReduceFinish).await {
                Ok(Response::Reduced(reduced)) => Ok(reduced),
                Ok(_) => Err(unexpected()),
                Err(failure) => Err(failure.into_error()),
            })
            .await?;
        self.unpark();
        self.keep(effects)?;
        Ok(Reduced { results, effects: std::mem::take(&mut self.effects) })
    }
}

impl Drop for ProcessReduce {
    fn drop(&mut self) {
        self.unpark();
    }
}

#[async_trait]
impl Reduce for ProcessReduce {
    async fn push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError> {
        self.feed(inputs).await
    }

    async fn save(&mut self, most: u64) -> Result<Option<SavedReduce>, ScriptError> {
        self.look(most).await
    }

    async fn restore(&mut self, saved: SavedReduce) -> Result<(), ScriptError> {
        self.turn_to(saved).await
    }

    async fn finish(mut self: Box<Self>) -> Result<Reduced, ScriptError> {
        self.end().await
    }
}

/// What the calls of a request asked for.
fn done(answer: Result<Response, CallFailure>) -> Result<Effects, ScriptError> {
    match answer {
        Ok(Response::Done(effects)) => Ok(effects),
        Ok(_) => Err(unexpected()),
        Err(failure) => Err(failure.into_error()),
    }
}

/// A reduce of a built-in. A named JavaScript function moves to a worker where the built-in cannot
/// tell what JavaScript would do.
pub(crate) struct NativeReduce {
    start: Start,
    /// `None` while it runs, and when it has moved.
    runtime: Option<NativeRuntime>,
    process: Option<ProcessReduce>,
}

impl NativeReduce {
    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut NativeRuntime) -> Result<T, ScriptError> + Send + 'static,
    ) -> Result<T, ScriptError> {
        let over = || ScriptError::new(FailureCause::Worker, "the reduce is over");
        let mut runtime = self.runtime.take().ok_or_else(over)?;
        let run = move || {
            let result = work(&mut runtime);
            (result, runtime)
        };
        let (result, runtime) = self.start.natives.run(run).await?;
        self.runtime = Some(runtime);
        result
    }

    /// Goes on in a worker, unless the error is the function's own.
    async fn move_on(&mut self, error: ScriptError) -> Result<&mut ProcessReduce, ScriptError> {
        if is_only_here(&self.start.function) || self.runtime.is_none() {
            return Err(error);
        }
        let state = self.run(Runtime::reduce_suspend).await?;
        self.runtime = None;
        Ok(self.process.insert(self.start.clone().process(state).await?))
    }
}

#[async_trait]
impl Reduce for NativeReduce {
    async fn push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError> {
        if let Some(process) = &mut self.process {
            return process.feed(inputs).await;
        }
        match self.run(move |runtime| runtime.reduce_push(inputs)).await {
            Ok(()) => Ok(()),
            // An empty push makes the calls that the inputs put aside complete.
            Err(error) => self.move_on(error).await?.feed(Vec::new()).await,
        }
    }

    async fn save(&mut self, most: u64) -> Result<Option<SavedReduce>, ScriptError> {
        if let Some(process) = &mut self.process {
            return process.look(most).await;
        }
        let state = self.run(move |runtime| runtime.reduce_save(most)).await?;
        Ok(state.map(|state| SavedReduce { state, ..SavedReduce::default() }))
    }

    async fn restore(&mut self, saved: SavedReduce) -> Result<(), ScriptError> {
        let Start { function, query, timing, .. } = &self.start;
        let (function, query, timing) = (Arc::clone(function), *query, *timing);
        let state = saved.state.clone();
        // Whatever moved the other one to a worker does so with this one.
        if saved.effects.is_empty() || is_only_here(&function) {
            let opened =
                self.run(move |runtime| runtime.reduce_open(query, &function, timing, state)).await;
            match opened {
                Err(error) if is_only_here(&self.start.function) => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
        self.runtime = None;
        let mut process = self.start.clone().process(saved.state).await?;
        process.keep(saved.effects)?;
        self.process = Some(process);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Reduced, ScriptError> {
        if let Some(process) = &mut self.process {
            return process.end().await;
        }
        match self.run(Runtime::reduce_finish).await {
            Ok(results) => Ok(Reduced { results, ..Reduced::default() }),
            Err(error) => self.move_on(error).await?.end().await,
        }
    }
}
