//! Results of a job that become objects, as they are put aside where another node finds them: what lies in
//! the files of this node is gone with it.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::ready;
use futures::stream::BoxStream;
use mapring_types::ErrorKind;

use crate::failure::Failure;
use crate::handle::QueryHandle;
use crate::job::Checkpoints;
use crate::results::PhaseResults;
use crate::saved::wrong;

/// See the module.
pub(crate) struct Aside {
    checkpoints: Arc<dyn Checkpoints>,
    handle: Arc<QueryHandle>,
    /// How many were put aside before the job goes on.
    before: u64,
}

impl Aside {
    /// Of a job that goes on with so many.
    pub(crate) fn new(
        checkpoints: Arc<dyn Checkpoints>,
        handle: Arc<QueryHandle>,
        before: u64,
    ) -> Self {
        Self { checkpoints, handle, before }
    }

    /// Those that the job goes on with. They end with an error where there are fewer.
    pub(super) fn take_back(&self) -> BoxStream<'static, Result<PhaseResults, Failure>> {
        if self.before == 0 {
            return futures::stream::empty().boxed();
        }
        let found = self.checkpoints.take_back().map(Some);
        // What lies behind them was put aside later, and is made again.
        let end = futures::stream::once(ready(None));
        let counted = found.chain(end).scan(self.before, |left, next| {
            let next = match next {
                _ if *left == 0 => None,
                None => Some(Err(wrong("counts results that are gone").into())),
                Some(Err(failure)) => Some(Err(failure)),
                Some(Ok(mut results)) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    results.values.truncate(most);
                    results.places.truncate(most);
                    *left -= results.values.len() as u64;
                    Some(Ok(results))
                }
            };
            ready(next)
        });
        counted.boxed()
    }

    /// Puts results aside, unless there are too many of them already.
    ///
    /// # Errors
    /// When they cannot be kept now.
    pub(super) async fn put(&self, results: &PhaseResults) -> Result<(), Failure> {
        // Where the job cannot go on from a checkpoint nobody would ask for them.
        if !self.handle.is_resumable() {
            return Ok(());
        }
        match self.checkpoints.put_aside(results.clone()).await {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                let job = self.handle.job_id();
                tracing::debug!(job, %error, "a job goes on without further checkpoints");
                self.handle.set_resumable(false);
                Ok(())
            }
            put => put.map_err(Failure::from),
        }
    }
}
