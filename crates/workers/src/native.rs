//! Built-ins in this process: on blocking threads, as many at once as there are workers.

use std::sync::Arc;

use mapring_script::native::NativeRuntime;
use mapring_script::{
    FailureCause, MapInput, Mapped, PhaseFunction, QueryTag, Runtime, ScriptError,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Bounds the threads that run built-ins.
pub(crate) struct Natives {
    threads: Semaphore,
}

impl Natives {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads: Semaphore::new(threads.max(1)) }
    }

    /// Runs blocking work when a thread is free. Work whose caller has gone before does not start.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ScriptError> {
        let ended = |_| ScriptError::new(FailureCause::Worker, "a built-in ended without a result");
        metrics::counter!("mapring_script_calls_total", "where" => "native").increment(1);
        let began = Instant::now();
        let _permit = self.threads.acquire().await.map_err(|_| {
            ScriptError::new(FailureCause::Worker, "built-ins no longer run on this node")
        })?;
        let wait = metrics::histogram!("mapring_script_wait_seconds", "where" => "native");
        wait.record(began.elapsed());
        tokio::task::spawn_blocking(work).await.map_err(ended)
    }

    pub(crate) async fn map(
        &self,
        query: QueryTag,
        function: &Arc<PhaseFunction>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        let function = Arc::clone(function);
        let results =
            self.run(move || NativeRuntime::new().map(query, &function, inputs)).await??;
        Ok(Mapped { results, ..Mapped::default() })
    }
}
