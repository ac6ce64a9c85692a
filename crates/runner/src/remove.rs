//! Ending jobs, and removing what is left of them.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use mapring_background::{Context, Next, Worker};
use mapring_cluster::{Change, JobRecord};
use mapring_types::{ErrorKind, Release, Result};
use tokio::time::{Instant, sleep, timeout};

use crate::error::JobsError;
use crate::runner::Runner;
use crate::service::{self, GiveUpTelling};
use crate::store::{ListQuery, Listed, Shelf, Store, newest_first};
use crate::{document, limits, pieces, record, rendezvous};

/// Has a job ended.
///
/// # Errors
/// `NotFound`; `Conflict` for one that has ended.
pub(crate) async fn abort(runner: &Arc<Runner>, id: &str, message: &str) -> Result<(), JobsError> {
    let Some(job) = runner.job(id) else { return Err(not_active(runner, id).await?) };
    // Of one whose end is decided there is this left to end.
    if job.is_decided() && give_up_telling(runner, id, &job).await {
        return Ok(());
    }
    let message = cut_message(message);
    match runner.decide(Change::AbortJob { id: id.to_owned(), message }).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Invalid => match runner.job(id) {
            Some(_) => Err(JobsError::Conflict(error.message().to_owned())),
            None => Err(not_active(runner, id).await?),
        },
        Err(error) => Err(error.into()),
    }
}

/// The words with which something is ended, as far as the metadata keep them.
pub(crate) fn cut_message(message: &str) -> String {
    let most = mapring_cluster::limits::ABORT_BYTES;
    let end = (0..=most.min(message.len())).rev().find(|at| message.is_char_boundary(*at));
    message.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// Why there is nothing to end.
async fn not_active(runner: &Runner, id: &str) -> Result<JobsError, JobsError> {
    let record = record::get(&*runner.store, id).await?;
    Ok(match record.filter(|record| record.end.is_some()) {
        Some(_) => JobsError::Conflict(format!("the job \"{id}\" has ended already")),
        None => JobsError::no_job(id),
    })
}

/// Removes a job that has ended, and all that was kept of it; one that has not is ended first where that
/// is asked for.
///
/// # Errors
/// `NotFound`; `Conflict` for one that has not ended.
pub(crate) async fn remove(runner: &Arc<Runner>, id: &str, aborts: bool) -> Result<(), JobsError> {
    if let Some(job) = runner.job(id) {
        // Of one whose end is decided only a moment is left.
        if !aborts && !job.is_decided() {
            let message = format!("the job \"{id}\" is active: abort it first");
            return Err(JobsError::Conflict(message));
        }
        if !job.is_decided() {
            match abort(runner, id, "the job was removed").await {
                Ok(()) | Err(JobsError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let job = || runner.job(id);
        if timeout(limits::ABORT_PATIENCE, forgotten(runner, id, job)).await.is_err() {
            let message = format!("the job \"{id}\" has not ended yet: ask again");
            return Err(JobsError::Conflict(message));
        }
    }
    let record = record::get(&*runner.store, id).await?;
    if record.is_none_or(|record| record.end.is_none()) {
        return Err(JobsError::no_job(id));
    }
    Ok(purge(&*runner.store, id).await?)
}

/// Returns when a job or pipeline is there no more. Who hears of its end is waited for a little, and not
/// for as long as a receiver may be silent.
pub(crate) async fn forgotten(
    runner: &Runner,
    id: &str,
    unfinished: impl Fn() -> Option<JobRecord>,
) {
    let began = Instant::now();
    while let Some(job) = unfinished() {
        if job.is_decided() && began.elapsed() >= limits::TELL_PATIENCE {
            give_up_telling(runner, id, &job).await;
        }
        sleep(limits::RETRY).await;
    }
}

/// Has the node that works on a job or a pipeline wait no longer for those who are being told of its end.
/// Returns whether it did.
pub(crate) async fn give_up_telling(runner: &Runner, id: &str, job: &JobRecord) -> bool {
    if job.owner == runner.me() {
        return service::give_up_telling(runner, id);
    }
    let asked = GiveUpTelling(id.to_owned());
    let told = runner.peers.ask(job.owner, &asked, limits::SHOW_PATIENCE).await;
    told.unwrap_or_else(|error| {
        tracing::debug!(%error, job = id, "a node goes on to tell of an end");
        false
    })
}

/// Removes all that is kept of a job that has ended. The record goes last, so that it can be done again.
async fn purge(store: &dyn Store, id: &str) -> Result<()> {
    pieces::remove(store, id, &[]).await?;
    for shelf in [Shelf::Errors, Shelf::Checkpoints, Shelf::Records] {
        store.remove(shelf, id).await?;
    }
    Ok(())
}

/// A round of a worker that one node does for all, called by a name: `clean` removes what is to go, and tells what
/// that was.
pub(crate) async fn round(
    runner: &Runner,
    context: &Context,
    name: &str,
    clean: impl Future<Output = Result<String>>,
) -> Result<Next> {
    let view = runner.view();
    let is_member = view.state.members.contains_key(&view.me);
    if !is_member || view.state.release() < Release::JOBS {
        context.say("there are no jobs yet");
        return Ok(Next::Wait);
    }
    if rendezvous::first(name, &view.up) != Some(view.me) {
        context.say("another node does it");
        return Ok(Next::Wait);
    }
    match clean.await {
        Ok(removed) => context.say(format!("{removed} removed in the last round")),
        // Right after a start, or while nodes are away, it is later.
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            context.say(format!("it is done later: {error}"));
        }
        Err(error) => return Err(error),
    }
    Ok(Next::Wait)
}

/// Removes jobs that were kept for as long as they asked for, and documents whose jobs never came into
/// being.
pub(crate) struct CleanUp {
    runner: Arc<Runner>,
    /// The document up to which orphans were looked for: those of jobs that have not ended lie among them, so
    /// that the first ones may be none for long.
    seen: Option<(String, String)>,
}

impl CleanUp {
    pub(crate) fn new(runner: Arc<Runner>) -> Self {
        Self { runner, seen: None }
    }
}

#[async_trait]
impl Worker for CleanUp {
    fn name(&self) -> &'static str {
        "clean-up-jobs"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let (runner, seen): (&Runner, _) = (&self.runner, &mut self.seen);
        let cleaned = async {
            let jobs = clean_up(runner).await?;
            let (documents, last) = drop_orphans(runner, seen.take()).await?;
            *seen = last;
            Ok(format!("{jobs} jobs and {documents} documents"))
        };
        round(runner, context, "clean-up", cleaned).await
    }

    async fn wait(&mut self) {
        sleep(limits::CLEAN_UP).await;
    }
}

/// Removes jobs that were kept long enough; returns how many.
async fn clean_up(runner: &Runner) -> Result<usize> {
    let query = ListQuery {
        shelf: Shelf::Records,
        field: Some(record::UNTIL),
        from: record::until(0),
        to: record::until(runner.now_ms()),
        after: None,
        most: limits::CLEANED_AT_ONCE,
        brief: true,
    };
    let found = runner.store.list(&query).await?;
    // What is still unfinished is its owner's.
    let over = found.into_iter().filter(|listed| runner.job(&listed.key).is_none());
    remove_each(over, |listed| async move { purge(&*runner.store, &listed.key).await }).await
}

/// Removes documents that have lain without a job for long, of some after one; returns how many, and the last
/// of those that it has looked at, unless there are no more.
async fn drop_orphans(
    runner: &Runner,
    after: Option<(String, String)>,
) -> Result<(usize, Option<(String, String)>)> {
    let orphan = u64::try_from(limits::ORPHAN.as_millis()).unwrap_or(u64::MAX);
    let query = ListQuery {
        shelf: Shelf::Documents,
        field: Some(document::AT),
        from: newest_first(runner.now_ms().saturating_sub(orphan)),
        to: newest_first(0),
        after,
        most: limits::CLEANED_AT_ONCE,
        brief: true,
    };
    let found = runner.store.list(&query).await?;
    let last = found.last().filter(|_| found.len() >= query.most);
    let last = last.map(|last| (last.term.clone(), last.key.clone()));
    let orphans = found.into_iter().filter(|listed| {
        let of = document::of_key(&listed.key);
        of.is_none_or(|(id, digest)| runner.job(id).is_none_or(|job| job.digest != digest))
    });
    let removed = |listed: Listed| async move {
        runner.store.remove(Shelf::Documents, &listed.key).await.map(drop)
    };
    Ok((remove_each(orphans, removed).await?, last))
}

async fn remove_each<W: Future<Output = Result<()>>>(
    things: impl Iterator<Item = Listed>,
    remove: impl Fn(Listed) -> W,
) -> Result<usize> {
    let removed = stream::iter(things).map(remove).buffer_unordered(limits::REMOVED_AT_ONCE);
    removed.try_fold(0, |count, ()| async move { Ok(count + 1) }).await
}

#[cfg(test)]
impl CleanUp {
    /// Looks once for documents without a job; returns how many it has removed.
    pub(crate) async fn drop_orphans(&mut self) -> usize {
        let (removed, last) = drop_orphans(&self.runner, self.seen.take()).await.unwrap();
        self.seen = last;
        removed
    }
}
