//! The reduce that follows a phase, run beside the data over what the phase gives.
//!
//! One that the query asks for runs over each page. Else it runs as long as it makes what is sent
//! much smaller: a sum of many numbers is one number, a sorted list is as long as before. Where map and
//! reduce are both JavaScript they run in one call of a worker, and the results of the map never
//! become text.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use mapring_script::{
    CallContext, FailureCause, PhaseFunction, QueryTag, ReduceTiming, Reduced, Row, ScriptError,
};
use mapring_types::Result;
use mapring_workers::Workers;

use super::outcome::{UnitEnd, worker_lost};
use crate::limits;
use crate::unit::{self, Broken};

/// What all units of a lane share of it.
pub(super) struct Prereduce {
    phase: u32,
    pub(super) function: Arc<PhaseFunction>,
    timing: ReduceTiming,
    /// Whether it cannot run in one call with the map.
    apart: AtomicBool,
    worth: Worth,
}

/// Whether it has been worth it.
struct Worth {
    /// How often more it is not even tried.
    passes: AtomicU32,
    /// How often it will not be tried when it is not worth it again.
    next: AtomicU32,
}

impl Worth {
    fn is_tried(&self) -> bool {
        let less = |passes: u32| passes.checked_sub(1);
        self.passes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }

    /// So many bytes became so many.
    fn learn(&self, before: u64, after: u64) {
        if after.saturating_mul(2) <= before {
            self.next.store(1, Ordering::Relaxed);
        } else {
            let next = self.next.load(Ordering::Relaxed);
            self.passes.store(next, Ordering::Relaxed);
            self.next
                .store(next.saturating_mul(2).min(limits::PREREDUCE_PASSES), Ordering::Relaxed);
        }
    }
}

impl Prereduce {
    pub(super) fn new(request: &unit::Prereduce) -> Self {
        let unit::Prereduce { phase, function, timing } = request;
        let worth = Worth { passes: AtomicU32::new(0), next: AtomicU32::new(1) };
        let (function, apart) = (Arc::new(function.clone()), AtomicBool::new(false));
        Self { phase: *phase, function, timing: *timing, apart, worth }
    }

    /// Whether the query says that it wants it.
    fn is_asked_for(&self) -> bool {
        self.timing != ReduceTiming::IfSmaller
    }

    /// Whether the next call of the map should include it. What asks for batches of its own gets them
    /// over whole pages.
    pub(super) fn combines(&self) -> bool {
        let adaptive = match self.timing {
            ReduceTiming::Adaptive => true,
            ReduceTiming::IfSmaller => self.worth.is_tried(),
            ReduceTiming::Every(_) | ReduceTiming::AtEnd => false,
        };
        adaptive && !self.apart.load(Ordering::Relaxed)
    }

    /// It cannot run in one call with the map.
    pub(super) fn keep_apart(&self) {
        self.apart.store(true, Ordering::Relaxed);
    }

    /// So many values, of so many bytes, became others.
    pub(super) fn gave(&self, made: u64, made_bytes: u64, values: &[Row]) {
        if made > limits::FEW_VALUES as u64 {
            self.worth.learn(made_bytes, bytes(values));
        }
    }

    /// The end of a unit whose pre-reduce failed.
    pub(super) fn failed(&self, error: ScriptError) -> UnitEnd {
        if error.cause == FailureCause::Worker {
            return UnitEnd::Unable(worker_lost(&error));
        }
        UnitEnd::Broken(Box::new(Broken { phase: self.phase, error, input: None }))
    }

    /// Runs it over the values of a page. Its state ends here: a page that has been accepted must
    /// need nothing of the node any more. Where nobody asks for it, values of which some are results
    /// of it already are passed on as they are, and so are few.
    pub(super) async fn run(
        &self,
        query: QueryTag,
        workers: &dyn Workers,
        context: &Arc<CallContext>,
        values: Vec<Row>,
        combined: bool,
    ) -> Result<Reduced, UnitEnd> {
        let wanted = match self.is_asked_for() {
            true => !values.is_empty(),
            false => !combined && values.len() > limits::FEW_VALUES && self.worth.is_tried(),
        };
        if !wanted {
            return Ok(Reduced { results: values, ..Reduced::default() });
        }
        let phase = usize::try_from(self.phase).unwrap_or(usize::MAX);
        let before = bytes(&values);
        let reduced = async {
            let function = &self.function;
            let mut reducing = workers.reduce(query, phase, function, context, self.timing).await?;
            reducing.push(values).await?;
            reducing.finish().await
        };
        let reduced = reduced.await.map_err(|error| self.failed(error))?;
        self.worth.learn(before, bytes(&reduced.results));
        Ok(reduced)
    }
}

/// What values weigh in a frame, about.
fn bytes(values: &[Row]) -> u64 {
    values.iter().map(|value| value.bytes() as u64 + 8).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many tries are made when each gives the same.
    fn tries(of: usize, before: u64, after: u64) -> usize {
        let worth = Worth { passes: AtomicU32::new(0), next: AtomicU32::new(1) };
        let tried = (0..of).filter(|_| {
            let tried = worth.is_tried();
            if tried {
                worth.learn(before, after);
            }
            tried
        });
        tried.count()
    }

    #[test]
    fn what_is_not_worth_it_is_tried_ever_less() {
        assert_eq!(tries(1_000, 100, 50), 1_000);
        assert_eq!(tries(1_000, 100, 51), 10);
        let for_ever = tries(100_000, 1, 1);
        assert!((100..150).contains(&for_ever), "{for_ever}");
    }
}
