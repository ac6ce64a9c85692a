//! Functions that take their time, so that queries last and faults meet them: native ones, and those of
//! jobs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mapring_script::{
    CallContext, CombineError, Grouping, MapInput, Mapped, MappedPairs, PhaseFunction, QueryTag,
    ReduceTiming, ScriptError, ScriptLimits,
};
use mapring_workers::{Reduce, Workers};

use crate::inline::InlineWorkers;
use crate::job_functions::{self, JobFunctions};
use crate::random::Random;

pub(crate) struct SlowWorkers {
    pub(crate) workers: InlineWorkers,
    pub(crate) random: Random,
    /// Most time that an input takes, in milliseconds.
    pub(crate) slowest_ms: u64,
}

impl SlowWorkers {
    async fn take_time(&self, inputs: usize) {
        let each = self.random.within(0..self.slowest_ms + 1);
        tokio::time::sleep(Duration::from_millis(each * inputs as u64)).await;
    }
}

#[async_trait]
impl Workers for SlowWorkers {
    async fn map(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        self.take_time(inputs.len()).await;
        if job_functions::has(function) {
            return JobFunctions.map(query, phase, function, context, inputs).await;
        }
        self.workers.map(query, phase, function, context, inputs).await
    }

    async fn map_pairs(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        grouping: &Arc<Grouping>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> (Result<MappedPairs, CombineError>, Duration) {
        self.take_time(inputs.len()).await;
        if job_functions::has(function) {
            let functions = JobFunctions;
            return functions.map_pairs(query, phase, function, grouping, context, inputs).await;
        }
        self.workers.map_pairs(query, phase, function, grouping, context, inputs).await
    }

    async fn reduce(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        self.workers.reduce(query, phase, function, context, timing).await
    }

    fn limits(&self) -> ScriptLimits {
        self.workers.limits()
    }
}
