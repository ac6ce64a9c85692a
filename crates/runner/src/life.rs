//! The life of a job on the node that owns it: it waits for its time and its turn, runs, is decided, and
//! what its end brings about is done.
//!
//! Everything here can be done again by another node, from any place on: what is stored last before the
//! end is decided is the record with that end, which whoever owns the job then goes by.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapring_cluster::{Change, JobResult, JobState};
use mapring_jobs::{Begin, Document, Hearers, limits as documents};
use mapring_types::{Error, ErrorKind, Result};
use tokio::time::sleep;

use crate::error::is_final;
use crate::formats::{End, Pieces, StoredErrors, StoredRecord};
use crate::hearers::Moment;
use crate::live::{ABORTING, DONE, FINALIZING, Live, Stop, WAITING};
use crate::report::result_word;
use crate::runner::Runner;
use crate::slots::Turn;
use crate::store::{self, Entry, Shelf};
use crate::work::{self, Done};
use crate::{document, failure, hearers, keeping, limits, pieces, record};

/// Lives the life of a job until it is forgotten, or until another node has it.
pub(crate) async fn live(runner: Arc<Runner>, job: Arc<Live>) {
    tokio::select! {
        biased;
        () = job.fenced() => {
            tracing::info!(job = job.id, "a job is not worked on here any more");
        }
        () = to_the_end(&runner, &job) => {}
    }
}

async fn to_the_end(runner: &Arc<Runner>, job: &Arc<Live>) {
    let known = again(|| record::get(&*runner.store, &job.id)).await;
    let known = known.filter(|known| is_of(known, job));
    let (result, keep) = match known {
        // Its end is stored, and decided or about to be.
        Some(known) if known.end.is_some() => {
            let result = known.end.map_or(JobResult::Failed, |end| end.result);
            job.know(known.detail.name.as_deref(), Some(known.detail.clone()));
            job.know_told(known.shards_told);
            (result, known.pieces)
        }
        known => match lived(runner, job, known).await {
            Some(end) => end,
            // Decided in a way that this node did not store: there is nothing to be had of it.
            None => return forget(runner, job, &[]).await,
        },
    };
    job.enter(FINALIZING, runner.now_ms());
    decide(runner, job, result).await;
    metrics::counter!("mapring_jobs_ended_total", "result" => result_word(result)).increment(1);
    tracing::info!(job = job.id, result = result_word(result), "a job has ended");
    hearers::tell_end(runner, job, result).await;
    forget(runner, job, &keep).await;
}

/// Brings a job to its end and stores that. `None` where its end was decided before it was stored.
async fn lived(
    runner: &Arc<Runner>,
    job: &Arc<Live>,
    before: Option<StoredRecord>,
) -> Option<(JobResult, Vec<Pieces>)> {
    if let JobState::Decided { result } = job.record.state {
        tracing::warn!(job = job.id, result = result_word(result), "the record of a job is gone");
        return None;
    }
    let (keep, done) = match read(runner, job).await {
        Err(done) => (documents::KEEP, done),
        Ok(document) => {
            let is_new = before.is_none();
            job.know_told(before.as_ref().map_or(0, |before| before.shards_told));
            let before = before.map(|before| before.detail);
            job.know(document.name(), before);
            job.know_hearers(document.hearers != Hearers::default());
            let errors = again(|| store::read(&*runner.store, Shelf::Errors, &job.id)).await;
            if let Some(StoredErrors { errors }) = errors {
                job.know_errors(errors);
            }
            (document.keep, until_it_ends(runner, job, document, is_new).await)
        }
    };
    let Done { result, error, pieces } = done;
    job.end(result, error, runner.now_ms());
    Some(again(|| store_end(runner, job, result, keep, &pieces)).await)
}

/// Whether a stored record is that of a job, and not of another one of its id.
fn is_of(known: &StoredRecord, job: &Live) -> bool {
    record::is_same(known, job.record.digest, job.record.since_ms)
}

/// The document of a job; without one it has failed.
async fn read(runner: &Runner, job: &Live) -> Result<Document, Done> {
    let stored = again(|| document::get(&runner.store, &job.id, &job.record)).await;
    let read = match stored {
        None => Err("the document of the job is gone".to_owned()),
        Some(stored) => Document::of(&stored.document).map_err(|invalid| invalid.to_string()),
    };
    let failed = |why| {
        let error = Some(failure::said("document", why));
        Done { result: JobResult::Failed, error, pieces: Vec::new() }
    };
    read.map_err(failed)
}

/// Waits, runs, or is aborted. One that `is_new` has not run anywhere yet.
async fn until_it_ends(
    runner: &Arc<Runner>,
    job: &Arc<Live>,
    document: Document,
    is_new: bool,
) -> Done {
    if let JobState::Aborting { message } = &job.record.state {
        job.stop(Stop::Abort(message.clone()));
    }
    tokio::select! {
        biased;
        why = job.stopped() => {
            job.enter(ABORTING, runner.now_ms());
            let message = match why {
                Stop::Abort(message) => message,
                // It is dropped at once.
                Stop::Fenced => String::new(),
            };
            let message = if message.is_empty() { "the job was aborted".to_owned() } else { message };
            job.look(runner.now_ms());
            let error = Some(failure::said("aborted", message));
            Done { result: JobResult::Aborted, error, pieces: Vec::new() }
        }
        done = in_turn(runner, job, document, is_new) => done,
    }
}

/// Waits for the job's time and its turn, and runs it.
async fn in_turn(runner: &Arc<Runner>, job: &Arc<Live>, document: Document, is_new: bool) -> Done {
    job.enter(WAITING, runner.now_ms());
    let turn = Turn::new(document.execution.queue, job.record.since_ms, &job.id);
    let begins_ms = match document.begin {
        Begin::Now => 0,
        Begin::After(delay) => job.record.since_ms.saturating_add(millis(delay)),
        Begin::At(ms) => ms,
    };
    // Very many may wait: a large document is read once more then.
    let is_small = document.value().to_string().len() <= limits::HELD_DOCUMENT_BYTES;
    let held = is_small.then_some(document);
    // The clock may be set meanwhile.
    while let Some(left) = begins_ms.checked_sub(runner.now_ms()).filter(|left| *left > 0) {
        sleep(Duration::from_millis(left).min(limits::LONGEST_RETRY)).await;
    }
    let _slot = tokio::select! {
        biased;
        slot = runner.slots.turn(turn) => slot,
        // Of one that was taken over.
        never = keeping::keep_pairs(runner, job), if !is_new || job.record.epoch > 1 => match never {},
    };
    let document = match held {
        Some(document) => document,
        None => match read(runner, job).await {
            Ok(document) => document,
            Err(done) => return done,
        },
    };
    if is_new && document.hearers.started.is_some() {
        // By its record others see that this has been told.
        if let Err(error) = store_progress(runner, job, &mut 0).await {
            tracing::debug!(%error, job = job.id, "the start of a job is not stored");
        }
        hearers::tell(runner, job, &document, Moment::Started);
    }
    let watching = watch(runner, job, &document);
    tokio::select! {
        biased;
        done = again(|| work::run(runner, job, &document)) => done,
        never = watching => match never {},
    }
}

/// Keeps what is shown of a job that runs, and looks whether it stalls. Never ends.
async fn watch(runner: &Arc<Runner>, job: &Arc<Live>, document: &Document) -> Infallible {
    let slice = document.execution.slice;
    let patience = slice * limits::STALL_TENTHS / 10;
    let mut stored = tokio::time::Instant::now();
    let (mut changes, mut told) = (0, job.shards_settled());
    loop {
        sleep(limits::PROGRESS.min(slice)).await;
        let now = runner.now_ms();
        job.look(now);
        job.watch(patience, now);
        hearers::tell_shards(runner, job, document, false);
        // What others are told again, should they take the job over now, is little.
        let is_due = stored.elapsed() >= slice || job.shards_settled() != told;
        if !is_due || !runner.lease.is_held() {
            continue;
        }
        (stored, told) = (tokio::time::Instant::now(), job.shards_settled());
        if let Err(error) = store_progress(runner, job, &mut changes).await {
            tracing::debug!(%error, job = job.id, "the progress of a job is not stored");
        }
    }
}

/// Stores what is shown of a job that has not ended.
async fn store_progress(runner: &Runner, job: &Live, changes: &mut u64) -> Result<()> {
    let now = runner.now_ms();
    // Its document lies beside.
    let detail = job.detail(&runner.peers.name(runner.me()), now);
    let record = StoredRecord {
        digest: job.record.digest,
        epoch: job.record.epoch,
        stored_ms: now,
        end: None,
        pieces: Vec::new(),
        events: Vec::new(),
        shards_told: job.shards_settled(),
        detail,
    };
    record::put(&*runner.store, &record, || runner.may_go_on(job)).await?;
    store_errors(runner, job, changes).await
}

/// Stores the errors of a job where there are new ones.
async fn store_errors(runner: &Runner, job: &Live, changes: &mut u64) -> Result<()> {
    let (errors, now) = job.errors();
    if now == *changes {
        return Ok(());
    }
    let bytes = store::to_json(&StoredErrors { errors })?;
    let may = |_: Option<&Bytes>| runner.may_go_on(job);
    runner.store.replace(Shelf::Errors, &job.id, bytes, Entry::default(), &may).await?;
    *changes = now;
    Ok(())
}

/// Stores the end of a job, before it is decided. Returns what is stored then: an end that was stored
/// before stays.
async fn store_end(
    runner: &Runner,
    job: &Live,
    result: JobResult,
    keep: Duration,
    pieces: &[Pieces],
) -> Result<(JobResult, Vec<Pieces>)> {
    runner.may_go_on(job)?;
    // This may be the second try of a write that was made without an answer.
    let known = record::get(&*runner.store, &job.id).await?.filter(|known| is_of(known, job));
    if let Some(StoredRecord { end: Some(end), pieces, .. }) = known {
        return Ok((end.result, pieces));
    }
    store_errors(runner, job, &mut 0).await?;
    let now = runner.now_ms();
    let mut detail = job.detail(&runner.peers.name(runner.me()), now);
    if let Some(stored) = document::get(&runner.store, &job.id, &job.record).await? {
        detail.spec = stored.document;
    }
    (detail.active, detail.state) = (false, DONE.to_owned());
    let record = StoredRecord {
        digest: job.record.digest,
        epoch: job.record.epoch,
        stored_ms: now,
        end: Some(End { result, keep_until_ms: now.saturating_add(millis(keep)) }),
        pieces: if result == JobResult::Success { pieces.to_vec() } else { Vec::new() },
        events: job.events.last(),
        shards_told: job.shards_settled(),
        detail,
    };
    record::put(&*runner.store, &record, || runner.may_go_on(job)).await?;
    Ok((result, pieces.to_vec()))
}

/// Has the end of a job decided. Where it was decided otherwise, another node has the job, which this one
/// will see.
async fn decide(runner: &Runner, job: &Live, result: JobResult) {
    let change = || Change::DecideJob { id: job.id.clone(), epoch: job.record.epoch, result };
    again(|| async {
        runner.may_go_on(job)?;
        refused_is_final(job, runner.decide(change()).await).await
    })
    .await;
}

/// Removes what a job needs no more, and has the metadata forget it.
async fn forget(runner: &Runner, job: &Live, keep: &[Pieces]) {
    let store = &*runner.store;
    // Without this its results would lie about beside those that count.
    let once = job.record.epoch == 1 && job.runs() == 1;
    if !once || keep.is_empty() || job.has_aside() {
        again(|| pieces::remove(store, &job.id, keep)).await;
    }
    again(|| document::remove(store, &job.id, job.record.digest)).await;
    if !mapring_types::failpoint!(CheckpointLeft) {
        again(|| keeping::drop_checkpoint(runner, job)).await;
    }
    let change = || Change::ForgetJob { id: job.id.clone(), epoch: job.record.epoch };
    again(|| async { refused_is_final(job, runner.decide(change()).await).await }).await;
}

/// What is refused now will be refused again: it waits until this node sees that another has the job.
pub(crate) async fn refused_is_final(job: &Live, decided: Result<()>) -> Result<()> {
    match decided {
        Err(error) if error.kind() == ErrorKind::Invalid => {
            tracing::info!(job = job.id, %error, "a decision about a job is refused");
            job.fenced().await;
            std::future::pending().await
        }
        decided => decided,
    }
}

/// Tries something until it succeeds, with pauses that grow.
pub(crate) async fn again<T, W: Future<Output = Result<T, Error>>>(
    mut work: impl FnMut() -> W,
) -> T {
    let mut pause = limits::RETRY;
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => {
                tracing::debug!(%error, "a step of a job is tried again");
                sleep(pause).await;
                pause = (pause * 2).min(limits::LONGEST_RETRY);
            }
        }
    }
}

/// As [`again`], unless the error is the same however often it is asked.
///
/// # Errors
/// Such an error.
pub(crate) async fn again_unless_final<T, W: Future<Output = Result<T, Error>>>(
    mut work: impl FnMut() -> W,
) -> Result<T, Error> {
    again(|| {
        let work = work();
        async move {
            match work.await {
                Err(error) if is_final(error.kind()) => Ok(Err(error)),
                done => done.map(Ok),
            }
        }
    })
    .await
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
