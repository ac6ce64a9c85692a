//! What jobs have left behind that there are no more: results and what was put aside, checkpoints, errors.
//!
//! A job that is removed takes all of it along. What a write that had failed left on a node that was away
//! can come to light after that. It is removed, but not on doubt: only when it has lain for a day, the
//! group that decides about jobs says that it has none of that id, and after that the record is absent for
//! a majority of the nodes that are to have it. A record is stored before the group forgets a job, and goes
//! last of all; so what has neither is nobody's, and what a later job of the id writes is young.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use mapring_background::{Context, Next, Worker};
use mapring_cluster::Change;
use mapring_types::{ErrorKind, Result};
use tokio::time::sleep;

use crate::runner::Runner;
use crate::store::{ListQuery, Listed, Shelf};
use crate::{limits, remove};

/// An epoch that no job has: what is asked of a job in it is refused wherever there is one.
const NO_EPOCH: u64 = 0;

/// See the module.
pub(crate) struct Sweep {
    runner: Arc<Runner>,
    /// How long something must have lain.
    age: Duration,
    /// The shelf that it is at, …
    shelf: Shelf,
    /// … and the key behind which it goes on there.
    after: Option<String>,
}

impl Sweep {
    pub(crate) fn new(runner: Arc<Runner>) -> Self {
        Self { runner, age: limits::ORPHAN, shelf: Shelf::Results, after: None }
    }

    /// Looks at the next jobs, of one shelf; returns how many things it has removed.
    ///
    /// # Errors
    /// Those of the store, and of the group. The next time it goes on behind the job that it was at.
    pub(crate) async fn step(&mut self) -> Result<u64> {
        let (mut jobs, mut removed) = (0, 0);
        for _ in 0..limits::SWEEP_PAGES {
            let found =
                self.list(self.shelf, "", &char::MAX.to_string(), self.after.clone()).await?;
            let goes_on = found.len() >= limits::CLEANED_AT_ONCE;
            let mut last: Option<String> = None;
            for Listed { key, .. } in found {
                let id = id_of(&key);
                if last.as_deref() == Some(id) {
                    continue;
                }
                last = Some(id.to_owned());
                jobs += 1;
                self.after = Some(last_key(self.shelf, id));
                removed += self.look(id, &key).await?;
            }
            if !goes_on {
                (self.shelf, self.after) = (next_shelf(self.shelf), None);
                break;
            }
            if jobs >= limits::CLEANED_AT_ONCE {
                break;
            }
        }
        Ok(removed)
    }

    /// Removes what a job has on the shelf, if there is no such job; `key` is the first of it.
    async fn look(&self, id: &str, key: &str) -> Result<u64> {
        let (runner, shelf) = (&self.runner, self.shelf);
        // Of most jobs there is a record, and no more need be asked.
        if runner.view().state.jobs.contains_key(id) || self.has_record(id).await? {
            return Ok(0);
        }
        let age_ms = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX);
        let before_ms = runner.now_ms().saturating_sub(age_ms);
        let is_old = runner.store.written_ms(shelf, key).await?.is_some_and(|ms| ms < before_ms);
        if !is_old || !self.is_gone(id).await? || self.has_record(id).await? {
            return Ok(0);
        }
        let removed = match shelf {
            Shelf::Results => self.remove_pieces(id, before_ms).await?,
            _ => u64::from(runner.store.remove_older(shelf, key, before_ms).await?),
        };
        let kind = shelf.name();
        metrics::counter!("mapring_jobs_orphans_removed_total", "kind" => kind).increment(removed);
        tracing::info!(job = id, kind, removed, "what a job has left behind is removed");
        Ok(removed)
    }

    async fn has_record(&self, id: &str) -> Result<bool> {
        Ok(self.runner.store.written_ms(Shelf::Records, id).await?.is_some())
    }

    /// Whether the group has no job of an id that has not ended. What this node knows may be old; this is
    /// decided, and changes nothing.
    async fn is_gone(&self, id: &str) -> Result<bool> {
        let change = Change::ForgetJob { id: id.to_owned(), epoch: NO_EPOCH };
        match self.runner.decide(change).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the pieces of a job, those that it has put aside too, that were written before a time.
    async fn remove_pieces(&self, id: &str, before_ms: u64) -> Result<u64> {
        let store = &self.runner.store;
        // The last is what comes after all that begin as the first.
        let (from, to) = (format!("{id}/"), format!("{id}0"));
        let (mut after, mut removed) = (None, 0);
        loop {
            let found = self.list(Shelf::Results, &from, &to, after).await?;
            let ended = found.len() < limits::CLEANED_AT_ONCE;
            after = found.last().map(|last| last.key.clone());
            let own = found.into_iter().filter(|listed| listed.key.starts_with(&from));
            let gone = stream::iter(own).map(|listed| async move {
                store.remove_older(Shelf::Results, &listed.key, before_ms).await
            });
            let gone = gone.buffer_unordered(limits::REMOVED_AT_ONCE);
            removed += gone.try_fold(0, |all, one| async move { Ok(all + u64::from(one)) }).await?;
            if ended {
                return Ok(removed);
            }
        }
    }

    async fn list(
        &self,
        shelf: Shelf,
        from: &str,
        to: &str,
        after: Option<String>,
    ) -> Result<Vec<Listed>> {
        let query = ListQuery {
            shelf,
            field: None,
            from: from.to_owned(),
            to: to.to_owned(),
            after: after.map(|key| (key.clone(), key)),
            most: limits::CLEANED_AT_ONCE,
            brief: true,
        };
        self.runner.store.list(&query).await
    }
}

/// The job whose a thing is.
fn id_of(key: &str) -> &str {
    key.split_once('/').map_or(key, |(id, _)| id)
}

/// A key behind all that a job has on a shelf, and before what others have behind it.
fn last_key(shelf: Shelf, id: &str) -> String {
    match shelf {
        Shelf::Results => format!("{id}/{}", char::MAX),
        _ => id.to_owned(),
    }
}

/// The shelves on which jobs have something that only their records lead to, in turn.
fn next_shelf(shelf: Shelf) -> Shelf {
    match shelf {
        Shelf::Results => Shelf::Checkpoints,
        Shelf::Checkpoints => Shelf::Errors,
        _ => Shelf::Results,
    }
}

#[async_trait]
impl Worker for Sweep {
    fn name(&self) -> &'static str {
        "sweep-jobs"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let runner = self.runner.clone();
        let swept = async { Ok(format!("{} things of jobs that are gone", self.step().await?)) };
        remove::round(&runner, context, "sweep-jobs", swept).await
    }

    async fn wait(&mut self) {
        sleep(limits::SWEEP).await;
    }
}

#[cfg(test)]
impl Sweep {
    /// One that removes what has lain for so long.
    pub(crate) fn of_age(runner: Arc<Runner>, age: Duration) -> Self {
        Self { age, ..Self::new(runner) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{aside_id, piece_key};

    #[test]
    fn no_job_is_left_out() {
        // In the order of their bytes.
        let ids = ["a", "a-b", "a.b", "a0", "aa", "a~"];
        let mut keys: Vec<String> = ids
            .iter()
            .flat_map(|id| [piece_key(id, 1, 0), piece_key(&aside_id(id), 1, 0)])
            .collect();
        keys.sort();
        for (shelf, keys) in
            [(Shelf::Results, keys), (Shelf::Errors, ids.map(str::to_owned).into())]
        {
            let (mut after, mut met) = (String::new(), Vec::new());
            while let Some(key) = keys.iter().find(|key| **key > after) {
                met.push(id_of(key).to_owned());
                after = last_key(shelf, id_of(key));
            }
            met.sort();
            assert_eq!(met, ids, "{shelf:?}");
        }
    }
}
