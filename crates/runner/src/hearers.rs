//! Who hears of a job: its hooks, when it has started, when a shard is done and when it is done itself; and
//! its callback, when it has ended in any way.
//!
//! What tells of the end is waited for, and done again by whoever takes the job over before all is told;
//! the rest is told in passing. Of which shards hooks have heard is stored with the job, right after: a node
//! that takes it over tells of the others. So each is told of at least once, and of those in between, for a
//! second at most, once more. It cannot be exactly once: a receiver may have heard what its sender did not
//! live to note. What is told has an id by which the receiver knows it again.

use std::sync::Arc;

use mapring_cluster::JobResult;
use mapring_jobs::{Document, Hearers, Hook};
use serde_json::{Value, json};

use crate::callbacks::Notice;
use crate::life::again;
use crate::live::Live;
use crate::report::result_word;
use crate::runner::Runner;
use crate::{document, functions, limits};

/// Something of a job that hooks are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Its query is about to run for the first time.
    Started,
    /// So many of its shards are done.
    ShardDone(u64),
}

impl Moment {
    /// Nobody need be told of it any more.
    fn settle(self, job: &Live) {
        if let Self::ShardDone(shard) = self {
            job.settle(shard);
        }
    }
}

/// Tells hooks of something under way, without waiting for them.
pub(crate) fn tell(runner: &Arc<Runner>, job: &Arc<Live>, document: &Document, moment: Moment) {
    let Hearers { started, shard_done, .. } = &document.hearers;
    let (hook, word) = match moment {
        Moment::Started => (started, "started"),
        Moment::ShardDone(_) => (shard_done, "shard_done"),
    };
    let Some(hook) = hook.clone() else { return };
    let Some(place) = runner.callbacks.place() else {
        tracing::warn!(job = job.id, hook = word, "a hook is left out: too many wait");
        return moment.settle(job);
    };
    let delivery = match moment {
        Moment::Started => delivery(job, word),
        Moment::ShardDone(done) => format!("{}/{done}", delivery(job, word)),
    };
    let name = document.name();
    let mut said = json!({ "id": job.id, "name": name, "hook": word, "delivery": delivery });
    if let Moment::ShardDone(done) = moment {
        said["shards_done"] = done.into();
    }
    let (runner, job) = (runner.clone(), job.clone());
    mapring_net::task::spawn(async move {
        run(&runner, &job, &hook, &said, Patience::Passing).await;
        moment.settle(&job);
        drop(place);
    });
}

/// The id of something that is told of a job, or a pipeline: the same whoever tells it, and however often.
/// Another job of the same id has others.
pub(crate) fn delivery(job: &Live, what: &str) -> String {
    format!("{}/{}/{what}", job.id, job.record.since_ms)
}

/// Tells hooks of the shards that are done since they were told last; all are, of a job that has `ended`
/// well.
pub(crate) fn tell_shards(runner: &Arc<Runner>, job: &Arc<Live>, document: &Document, ended: bool) {
    if document.hearers.shard_done.is_some() {
        for number in job.newly_done(ended) {
            tell(runner, job, document, Moment::ShardDone(number));
        }
    }
}

/// Tells of the end of a job, until somebody wants that given up.
pub(crate) async fn tell_end(runner: &Arc<Runner>, job: &Arc<Live>, result: JobResult) {
    if job.may_be_heard() && job.tell(tell_all(runner, job, result)).await.is_none() {
        let error = "it is given up: the job is removed, or was aborted once more";
        tracing::warn!(job = job.id, error, "who hears of a job is not told of its end");
        job.events.note(runner.now_ms(), "hook", json!({ "hook": "done", "error": error }));
    }
}

async fn tell_all(runner: &Arc<Runner>, job: &Arc<Live>, result: JobResult) {
    let stored = again(|| document::get(&runner.store, &job.id, &job.record)).await;
    // One that has never been one had nobody to tell.
    let Some(Ok(document)) = stored.map(|stored| Document::of(&stored.document)) else { return };
    let detail = job.detail(&runner.peers.name(runner.me()), runner.now_ms());
    // Those of a short job are not seen before.
    tell_shards(runner, job, &document, result == JobResult::Success);
    let mut said = json!({
        "id": job.id,
        "name": document.name(),
        "result_status": result_word(result),
        "counters": detail.counters,
    });
    let Hearers { done, callback, .. } = &document.hearers;
    if let Some(callback) = callback {
        said["delivery"] = delivery(job, "callback").into();
        // A receiver that is gone does not keep a job.
        let sent = runner.callbacks.deliver(callback, &Notice::new(&job.id, &said)).await;
        if let Err(error) = sent {
            let told = json!({ "hook": "callback", "error": error });
            job.events.note(runner.now_ms(), "hook", told);
        }
    }
    if let Some(hook) = done {
        said["hook"] = "done".into();
        said["delivery"] = delivery(job, "done").into();
        run(runner, job, hook, &said, Patience::Waits).await;
    }
}

/// Whether a job waits for a hook.
#[derive(Debug, Clone, Copy)]
enum Patience {
    Waits,
    Passing,
}

async fn run(runner: &Runner, job: &Live, hook: &Hook, said: &Value, patience: Patience) {
    let failure = match hook {
        Hook::Request(callback) => {
            let notice = Notice::new(&job.id, said);
            let sent = match patience {
                Patience::Waits => runner.callbacks.deliver(callback, &notice).await,
                Patience::Passing => runner.callbacks.deliver_in_passing(callback, &notice).await,
            };
            sent.err()
        }
        Hook::Function(code) => {
            let arg = code.get("arg").cloned().unwrap_or_default();
            let args = [said.clone(), arg];
            let node = (&runner.kv, &runner.mapred);
            let called = functions::call(node, code, &args, limits::HOOK_TIME).await;
            called.err().map(|failure| failure.to_string())
        }
    };
    if let Some(error) = failure {
        tracing::warn!(job = job.id, error, hook = %said["hook"], "a hook has failed");
        let told = json!({ "hook": said["hook"], "error": error });
        job.events.note(runner.now_ms(), "hook", told);
    }
}
