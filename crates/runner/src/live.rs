//! A job that this node owns: where it stands, in memory, from when it is taken up until all that its end
//! brings about is done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mapring_cluster::{JobRecord, JobResult};
use mapring_mapred::QueryHandle;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::errors::Errors;
use crate::events::Events;
use crate::limits;
use crate::progress;
use crate::report::{JobDetail, JobErrors, Stall, elapsed, result_word};

/// The state of a job that waits for its time, or its turn.
pub(crate) const WAITING: &str = "waiting";
/// … that runs.
pub(crate) const RUNNING: &str = "running";
/// … that runs, and of which nothing has been accepted for long.
pub(crate) const STALLED: &str = "stalled";
/// … that is to be ended.
pub(crate) const ABORTING: &str = "aborting";
/// … whose end is decided, and brings things about.
pub(crate) const FINALIZING: &str = "finalizing";
/// … that has ended.
pub(crate) const DONE: &str = "done";

/// The states of jobs, as users read them.
pub const STATES: [&str; 6] = [WAITING, RUNNING, STALLED, ABORTING, FINALIZING, DONE];

/// Why a job is to stop on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody ends it, with these words.
    Abort(String),
    /// Another node owns it now, or this one may not work on it.
    Fenced,
}

/// Whether others are being told of a job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// Not yet, or not any more.
    No,
    /// They are, and it waits for them.
    Waits,
    /// Somebody wants it to wait no longer.
    GivenUp,
}

/// See the module.
pub(crate) struct Live {
    pub(crate) id: String,
    /// The metadata as they were when it was taken up.
    pub(crate) record: JobRecord,
    pub(crate) events: Events,
    state: Mutex<State>,
    stop: watch::Sender<Option<Stop>>,
    telling: watch::Sender<Telling>,
    /// Whether its outputs are being written, so that nobody ends it; changed while `stop` is held.
    writes_outputs: AtomicBool,
    /// Whether it has put results aside.
    has_aside: AtomicBool,
}

struct State {
    word: &'static str,
    name: Option<String>,
    handle: Option<Arc<QueryHandle>>,
    /// How often its query was begun.
    runs: u64,
    /// What was shown of it before this node took it up.
    before: Option<JobDetail>,
    errors: Errors,
    stall: Option<Stall>,
    outputs: Vec<Value>,
    outputs_left_out: u64,
    /// Shards of which it was told that they are done.
    shards_done: u64,
    /// Whether somebody may have to hear of it.
    may_be_heard: bool,
    /// Of how many hooks are told, or have been, …
    shards_told: u64,
    /// … and of how many of these, from the first one on, that is settled: they have heard of it, or will not.
    shards_settled: u64,
    /// Those that are settled behind one that is not: as many as hooks may be under way.
    settled_ahead: BTreeSet<u64>,
    error: Option<Value>,
    result: Option<JobResult>,
    /// When it ended.
    ended_ms: Option<u64>,
}

impl Live {
    pub(crate) fn new(id: &str, record: JobRecord) -> Arc<Self> {
        let events = Events::new(record.epoch);
        let state = State {
            word: WAITING,
            name: None,
            handle: None,
            runs: 0,
            before: None,
            errors: Errors::default(),
            stall: None,
            outputs: Vec::new(),
            outputs_left_out: 0,
            shards_done: 0,
            may_be_heard: true,
            shards_told: 0,
            shards_settled: 0,
            settled_ahead: BTreeSet::new(),
            error: None,
            result: None,
            ended_ms: None,
        };
        let stop = watch::Sender::new(None);
        Arc::new(Self {
            id: id.to_owned(),
            record,
            events,
            state: Mutex::new(state),
            stop,
            telling: watch::Sender::new(Telling::No),
            writes_outputs: AtomicBool::new(false),
            has_aside: AtomicBool::new(false),
        })
    }

    /// What it is to do is known now.
    pub(crate) fn know(&self, name: Option<&str>, before: Option<JobDetail>) {
        let mut state = self.state.lock();
        state.name = name.map(str::to_owned);
        state.before = before;
    }

    /// Whether anybody is to hear of it, as its document says.
    pub(crate) fn know_hearers(&self, any: bool) {
        self.state.lock().may_be_heard = any;
    }

    /// Of how many of its shards an earlier owner has told.
    pub(crate) fn know_told(&self, shards: u64) {
        let mut state = self.state.lock();
        (state.shards_told, state.shards_settled) = (shards, shards);
    }

    /// Hooks have been told of a shard, or will not be.
    pub(crate) fn settle(&self, shard: u64) {
        let mut state = self.state.lock();
        state.settled_ahead.insert(shard);
        let mut settled = state.shards_settled;
        while state.settled_ahead.remove(&(settled + 1)) {
            settled += 1;
        }
        state.shards_settled = settled;
    }

    /// Of how many of its shards, from the first one on, nobody need be told any more.
    pub(crate) fn shards_settled(&self) -> u64 {
        self.state.lock().shards_settled
    }

    /// Whether anybody may have to hear of it.
    pub(crate) fn may_be_heard(&self) -> bool {
        self.state.lock().may_be_heard
    }

    /// Goes on with the errors that it had.
    pub(crate) fn know_errors(&self, errors: JobErrors) {
        self.state.lock().errors = Errors::of(errors);
    }

    /// It is in another state now.
    pub(crate) fn enter(&self, word: &'static str, now_ms: u64) {
        let mut state = self.state.lock();
        if state.word == word {
            return;
        }
        state.word = word;
        if word != STALLED {
            state.stall = None;
        }
        let told = json!({ "state": word });
        self.events.note(now_ms, "state", told);
    }

    /// Its query runs: it `resumes` from a checkpoint, or begins anew.
    pub(crate) fn run(&self, handle: Arc<QueryHandle>, resumes: bool, now_ms: u64) {
        {
            let mut state = self.state.lock();
            state.handle = Some(handle);
            state.runs += 1;
            (state.outputs, state.outputs_left_out) = (Vec::new(), 0);
            state.shards_done = 0;
            match resumes {
                true => state.errors.go_on(),
                false => state.errors.begin_anew(),
            }
        }
        self.enter(RUNNING, now_ms);
    }

    /// The end that it is to have.
    pub(crate) fn end(&self, result: JobResult, error: Option<Value>, now_ms: u64) {
        let mut state = self.state.lock();
        state.result = Some(result);
        state.error = error;
        state.ended_ms = Some(now_ms);
        let told = json!({ "result_status": result_word(result), "error": state.error });
        self.events.note(now_ms, "end", told);
    }

    /// How often its query was begun here.
    pub(crate) fn runs(&self) -> u64 {
        self.state.lock().runs
    }

    /// Results of it are put aside: they lie about when it has ended.
    pub(crate) fn put_aside(&self) {
        self.has_aside.store(true, Ordering::Relaxed);
    }

    /// Whether some were.
    pub(crate) fn has_aside(&self) -> bool {
        self.has_aside.load(Ordering::Relaxed)
    }

    /// Something failed that is tried again.
    pub(crate) fn retry(&self, why: &str, now_ms: u64) {
        self.events.note(now_ms, "retry", json!({ "error": why }));
    }

    /// Objects are outputs of it. The first of them are shown.
    pub(crate) fn add_outputs(&self, outputs: impl IntoIterator<Item = Value>) {
        let mut state = self.state.lock();
        for output in outputs {
            if state.outputs.len() < limits::OUTPUTS {
                state.outputs.push(output);
            } else {
                state.outputs_left_out += 1;
            }
        }
    }

    /// Takes what its query has to tell of inputs that were left out.
    pub(crate) fn look(&self, now_ms: u64) {
        let mut state = self.state.lock();
        let Some(handle) = state.handle.clone() else { return };
        let skipped = handle.take_skipped();
        if skipped.is_empty() {
            return;
        }
        let told = handle.detail();
        for failure in skipped {
            state.errors.add(crate::failure::entry(&failure, &told, now_ms));
        }
    }

    /// Notes a failure that is not of an input that was left out.
    pub(crate) fn fail(&self, failure: &mapring_mapred::Failure, now_ms: u64) {
        let mut state = self.state.lock();
        let told = state.handle.as_ref().map(|handle| handle.detail()).unwrap_or_default();
        state.errors.add(crate::failure::entry(failure, &told, now_ms));
    }

    /// Tells of shards that are done, and looks whether it stalls: whether nothing was accepted for so long.
    pub(crate) fn watch(&self, patience: std::time::Duration, now_ms: u64) {
        let stalled = {
            let mut state = self.state.lock();
            let Some(handle) = state.handle.clone() else { return };
            let told = handle.detail();
            let done = told.shards_known.saturating_sub(told.shards_active);
            if done > state.shards_done {
                state.shards_done = done;
                self.events.note(now_ms, "shard", json!({ "done": done, "of": told.shards_known }));
            }
            let still = told.idle_ms >= millis(patience);
            match (state.word, still) {
                (RUNNING | STALLED, true) => {
                    let is_new = state.word == RUNNING;
                    let stall = Stall {
                        for_ms: told.idle_ms,
                        node: told.last_node,
                        last_work_item: told.last_input,
                    };
                    if is_new {
                        self.events.note(now_ms, "stall", json!(stall));
                    }
                    state.stall = Some(stall);
                    STALLED
                }
                (STALLED, false) => RUNNING,
                _ => return,
            }
        };
        self.enter(stalled, now_ms);
    }

    /// How many shards are done, all where it has `ended` well, from those on that nobody was told of yet.
    pub(crate) fn newly_done(&self, ended: bool) -> std::ops::RangeInclusive<u64> {
        let mut state = self.state.lock();
        let done = match (&state.handle, &state.before) {
            (Some(handle), _) => {
                let told = handle.detail();
                let active = if ended { 0 } else { told.shards_active };
                told.shards_known.saturating_sub(active)
            }
            // Another node has run it to its end.
            (None, Some(before)) if ended => before.shard_count as u64,
            (None, _) => 0,
        };
        let first = state.shards_told + 1;
        state.shards_told = state.shards_told.max(done);
        first..=done
    }

    /// Its outputs are about to be written: unless it is to stop already, nobody ends it from now on.
    /// Returns whether they may be.
    pub(crate) fn begin_outputs(&self) -> bool {
        let mut begins = false;
        self.stop.send_if_modified(|stop| {
            begins = stop.is_none();
            self.writes_outputs.fetch_or(begins, Ordering::Relaxed);
            false
        });
        begins
    }

    /// They could not be written: until that is tried again it may be ended.
    pub(crate) fn give_up_outputs(&self) {
        self.writes_outputs.store(false, Ordering::Relaxed);
    }

    /// Tells its work here to stop. The first reason counts, but that another owns it counts always, and
    /// that somebody ends it does not while its outputs are written.
    pub(crate) fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let changes = match (&*stop, &why) {
                (None, Stop::Abort(_)) => !self.writes_outputs.load(Ordering::Relaxed),
                (None, Stop::Fenced) => true,
                (Some(Stop::Abort(_)), Stop::Fenced) => true,
                (Some(_), _) => false,
            };
            if changes {
                *stop = Some(why.clone());
            }
            changes
        });
    }

    /// Why it is to stop, if it is.
    pub(crate) fn stopping(&self) -> Option<Stop> {
        self.stop.borrow().clone()
    }

    /// Returns when it is to stop.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        loop {
            if let Some(why) = stop.borrow_and_update().clone() {
                return why;
            }
            // The sender lives as long as this.
            if stop.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Tells others of its end, until somebody wants that given up: `None` then.
    pub(crate) async fn tell<T>(&self, telling: impl Future<Output = T>) -> Option<T> {
        let mut state = self.telling.subscribe();
        self.telling.send_replace(Telling::Waits);
        // The sender lives as long as this.
        let given_up = async { drop(state.wait_for(|telling| *telling == Telling::GivenUp).await) };
        let told = tokio::select! {
            biased;
            () = given_up => None,
            told = telling => Some(told),
        };
        self.telling.send_replace(Telling::No);
        told
    }

    /// Whoever is being told of its end is not waited for any longer. Returns whether anybody was.
    pub(crate) fn give_up_telling(&self) -> bool {
        self.telling.send_if_modified(|telling| {
            let waits = *telling == Telling::Waits;
            if waits {
                *telling = Telling::GivenUp;
            }
            waits
        })
    }

    /// Returns when it is not to be worked on here any more.
    pub(crate) async fn fenced(&self) {
        let mut stop = self.stop.subscribe();
        let is_gone = stop.wait_for(|stop| *stop == Some(Stop::Fenced)).await.is_err();
        if is_gone {
            std::future::pending::<()>().await;
        }
    }

    /// The errors that it had, the newest first, and how often that changed.
    pub(crate) fn errors(&self) -> (JobErrors, u64) {
        let state = self.state.lock();
        (state.errors.shown(), state.errors.changes)
    }

    /// All that is shown of it but its document, which is stored.
    pub(crate) fn detail(&self, node: &str, now_ms: u64) -> JobDetail {
        let state = self.state.lock();
        let since = self.record.since_ms;
        let updated = state.ended_ms.unwrap_or(now_ms).max(since);
        let word = state.word;
        let mut detail = JobDetail {
            id: self.id.clone(),
            name: state.name.clone(),
            active: true,
            state: word.to_owned(),
            result_status: state.result.map(|result| result_word(result).to_owned()),
            start_timestamp_ms: since,
            updated_timestamp_ms: updated,
            elapsed: elapsed(updated - since),
            node: Some(node.to_owned()),
            epoch: self.record.epoch,
            outputs: state.outputs.clone(),
            outputs_left_out: state.outputs_left_out,
            error: state.error.clone(),
            stalled: state.stall.clone(),
            ..JobDetail::default()
        };
        match (&state.handle, &state.before) {
            (Some(handle), _) => {
                progress::fill(&mut detail, &handle.detail(), state.result, now_ms);
            }
            (None, Some(before)) => progress::keep(&mut detail, before),
            (None, None) => {}
        }
        detail
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use mapring_cluster::{JobKind, JobState};
    use mapring_types::NodeId;

    use super::*;

    #[test]
    fn shards_are_settled_from_the_first_one_on() {
        let record = JobRecord {
            kind: JobKind::Job,
            owner: NodeId(1),
            epoch: 1,
            state: JobState::Active,
            digest: 1,
            since_ms: 5,
        };
        let job = Live::new("j", record);
        job.know_told(2);
        for (shard, settled) in [(4, 2), (5, 2), (3, 5), (6, 6)] {
            job.settle(shard);
            assert_eq!(job.shards_settled(), settled, "{shard}");
        }
        // Its end was stored by another, which had told of some.
        let before = JobDetail { shard_count: 8, ..JobDetail::default() };
        job.know(None, Some(before));
        job.know_told(6);
        assert!(job.newly_done(false).is_empty());
        assert_eq!(job.newly_done(true), 7..=8);
        assert!(job.newly_done(true).is_empty());
    }
}
