//! How large the calls to the workers are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mapring_script::PhaseFunction;

use crate::limits;

/// How many inputs the next call to the workers gets: fewer while calls are slow, so that a page
/// can end in time. All units of a lane learn from each other.
pub(super) struct CallSize {
    inputs: AtomicUsize,
    /// How long a call may take that is not too large.
    time: Duration,
}

impl CallSize {
    /// For a phase's function. Of the native ones it is known that they are fast.
    pub(super) fn of(function: Option<&PhaseFunction>, time: Duration) -> Self {
        let scripted = |function: &PhaseFunction| {
            !matches!(function.function, mapring_script::Function::Erlang { .. })
        };
        let first = match function.is_some_and(scripted) {
            true => limits::FIRST_CALL_INPUTS,
            false => limits::CALL_INPUTS,
        };
        Self { time, ..Self::starting(first) }
    }

    /// With so many inputs in the first call.
    pub(super) fn starting(first: usize) -> Self {
        Self { inputs: AtomicUsize::new(first), time: limits::CALL_TIME }
    }

    pub(super) fn next(&self) -> usize {
        self.inputs.load(Ordering::Relaxed)
    }

    /// A call was broken off after so many inputs.
    pub(super) fn fits(&self, inputs: usize) {
        self.inputs.fetch_min(inputs.max(1), Ordering::Relaxed);
    }

    /// A call with so many inputs took so long.
    pub(super) fn took(&self, inputs: usize, time: Duration) {
        if time > self.time {
            self.inputs.fetch_min((inputs / 2).max(1), Ordering::Relaxed);
        } else if time < self.time / 4 {
            self.inputs.fetch_max((inputs * 2).min(limits::CALL_INPUTS), Ordering::Relaxed);
        }
    }
}
