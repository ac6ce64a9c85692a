//! Whether a phase's function is one: a source that does not parse, or a name that is not defined, is
//! told while the phases before it still work, and also where no input ever comes.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use mapring_script::{FailureCause, PhaseFunction, ScriptError};

use super::shared::Shared;

/// Has a phase's function made, without calling it.
pub(super) enum Check {
    /// Not yet.
    Open,
    Busy(BoxFuture<'static, Result<(), ScriptError>>),
    Over,
}

impl Check {
    /// Begins, unless it has begun.
    pub(super) fn begin(&mut self, shared: &Shared, phase: usize, function: &Arc<PhaseFunction>) {
        self.begin_both(shared, phase, function, None);
    }

    /// As [`Check::begin`], for a function and its combiner.
    pub(super) fn begin_both(
        &mut self,
        shared: &Shared,
        phase: usize,
        function: &Arc<PhaseFunction>,
        combiner: Option<Arc<PhaseFunction>>,
    ) {
        if matches!(self, Self::Open) {
            let (workers, query) = (shared.workers.clone(), shared.query);
            let function = Arc::clone(function);
            let check = async move {
                workers.check(query, phase, &function).await?;
                match combiner {
                    Some(combiner) => workers.check(query, phase, &combiner).await,
                    None => Ok(()),
                }
            };
            *self = Self::Busy(Box::pin(check));
        }
    }

    /// The function has been called: there is nothing left to find out.
    pub(super) fn spare(&mut self) {
        if matches!(self, Self::Open) {
            *self = Self::Over;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Waits for what is found out. A worker that could not be had or was lost says nothing about the
    /// function: whoever calls it will see.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ScriptError>> {
        let Self::Busy(check) = self else { return Poll::Pending };
        let found = std::task::ready!(check.as_mut().poll(context));
        *self = Self::Over;
        Poll::Ready(match found {
            Err(error) if error.cause == FailureCause::Worker => Ok(()),
            found => found,
        })
    }
}
