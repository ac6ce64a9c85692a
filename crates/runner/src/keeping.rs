//! What is kept of a job while its query runs: its results, its checkpoints, and what it puts aside until
//! it becomes objects.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use mapring_mapred::{Checkpoint, Checkpoints, Failure, FailureKind, PhaseResults, Query, Results};
use mapring_types::versioned::to_postcard;
use mapring_types::{Error, ErrorKind};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::formats::{Given, StoredCheckpoint};
use crate::limits;
use crate::live::Live;
use crate::pieces::{self, PieceWriter};
use crate::runner::Runner;
use crate::store::{self, Entry, Shelf, Store, aside_id};

/// What the query of a job wants to be kept.
pub(crate) enum Asked {
    Save(Saving),
    PutAside(PhaseResults, oneshot::Sender<Result<(), Error>>),
}

/// A checkpoint that is to be kept, and who waits for that.
pub(crate) struct Saving {
    checkpoint: Checkpoint,
    kept: oneshot::Sender<Result<(), Error>>,
}

/// Where a job goes on.
pub(crate) struct Begun {
    /// Its checkpoint, if it has one.
    pub(crate) resume: Option<Bytes>,
    /// What it had put aside.
    aside: Given,
    query: Query,
    store: Arc<dyn Store>,
}

/// What a job gives and puts aside.
pub(crate) struct Kept {
    /// Its results.
    pub(crate) results: PieceWriter,
    /// What becomes objects, of a job with such an output.
    pub(crate) aside: Option<PieceWriter>,
    /// A checkpoint whose rows have not all come.
    waits: Option<Saving>,
}

/// Where a job begins: behind its checkpoint, if it has one.
///
/// # Errors
/// What keeps it from going on now, and may pass.
pub(crate) async fn begin(
    runner: &Runner,
    live: &Live,
    query: &Query,
) -> Result<(Kept, Begun), Error> {
    let (store, id, epoch) = (&runner.store, live.id.as_str(), live.record.epoch);
    let read = store::read::<StoredCheckpoint>(&**store, Shelf::Checkpoints, id).await;
    let checkpoint = match read {
        Ok(checkpoint) => checkpoint,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::error!(%error, job = id, "a job begins anew: its checkpoint is damaged");
            None
        }
        Err(error) => return Err(error),
    };
    let results = PieceWriter::new(store.clone(), id, epoch);
    let aside = query.stores_results().then(|| PieceWriter::aside(store.clone(), id, epoch));
    let mut kept = Kept { results, aside, waits: None };
    let (query, store) = (query.clone(), store.clone());
    let mut begun = Begun { resume: None, aside: Given::default(), query, store };
    let Some(StoredCheckpoint { epoch: of, given, query }) = checkpoint else {
        return Ok((kept, begun));
    };
    if of > epoch {
        // What is written now would lie among the pieces that it names.
        return Err(Error::unavailable("a later owner of the job has written its checkpoint"));
    }
    let fresh = kept.counted().fresh();
    match fresh.resume(&given).await {
        Ok(writer) => {
            tracing::info!(job = id, rows = given.rows, "a job goes on from its checkpoint");
            *kept.counted() = writer;
            let anew = mapring_types::failpoint!(ResumedAnew);
            (begun.resume, begun.aside) = (Some(query).filter(|_| !anew), given);
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::error!(%error, job = id, "a job begins anew: its first results are gone");
        }
        Err(error) => return Err(error),
    }
    Ok((kept, begun))
}

impl Kept {
    /// Those whose rows checkpoints count.
    fn counted(&mut self) -> &mut PieceWriter {
        self.aside.as_mut().unwrap_or(&mut self.results)
    }

    /// Does what the query asks for, or takes note of it.
    ///
    /// # Errors
    /// When the job may not go on.
    pub(crate) async fn answer(
        &mut self,
        runner: &Runner,
        live: &Live,
        asked: Asked,
    ) -> Result<(), Error> {
        match asked {
            Asked::Save(saving) => self.waits = Some(saving),
            Asked::PutAside(results, done) => {
                live.put_aside();
                let put = match self.put_aside(runner, live, results).await {
                    Err(error) if error.kind() == ErrorKind::TooLarge => {
                        // Rows that a checkpoint waits for will not come.
                        self.waits = None;
                        Err(error)
                    }
                    put => Ok(put?),
                };
                // Who does not wait for it any more has ended.
                let _ = done.send(put);
            }
        }
        Ok(())
    }

    /// Puts results aside; while that cannot be done the job waits.
    async fn put_aside(
        &mut self,
        runner: &Runner,
        live: &Live,
        results: PhaseResults,
    ) -> Result<(), Error> {
        let aside = self.counted();
        let (mut put, mut pause) = (aside.add(results).await, limits::RETRY);
        while let Err(error) = &put
            && error.kind() != ErrorKind::TooLarge
        {
            runner.may_go_on(live)?;
            tracing::debug!(%error, job = live.id, "results cannot be put aside now");
            sleep(pause).await;
            pause = (pause * 2).min(limits::LONGEST_RETRY);
            put = aside.flush().await;
        }
        put
    }

    /// Keeps the checkpoint that waits, if all of its rows have come.
    pub(crate) async fn save_if_due(&mut self, runner: &Runner, live: &Live) {
        let rows = self.counted().rows();
        let is_due = |saving: &mut Saving| saving.checkpoint.rows <= rows;
        if let Some(Saving { checkpoint, kept }) = self.waits.take_if(is_due) {
            let saved = save(runner, live, self.counted(), checkpoint).await;
            // As above.
            let _ = kept.send(saved);
        }
    }
}

/// Keeps a checkpoint, behind the rows that belong to it.
async fn save(
    runner: &Runner,
    live: &Live,
    writer: &mut PieceWriter,
    checkpoint: Checkpoint,
) -> Result<(), Error> {
    writer.flush().await?;
    runner.may_go_on(live)?;
    let Checkpoint { rows, bytes } = checkpoint;
    let (epoch, given) = (live.record.epoch, writer.given(rows));
    let stored = to_postcard(&StoredCheckpoint { epoch, given, query: bytes })?;
    let id = live.id.as_str();
    let may = |known: Option<&Bytes>| {
        let known = known
            .map(|known| store::decode::<StoredCheckpoint>(Shelf::Checkpoints, id, known))
            .transpose();
        match known {
            Ok(Some(StoredCheckpoint { epoch: of, .. })) if of > epoch => {
                let message = format!("{id}: its checkpoint is of epoch {of}, and stays");
                Err(Error::unavailable(message))
            }
            _ => runner.may_go_on(live),
        }
    };
    runner.store.replace(Shelf::Checkpoints, id, stored.into(), Entry::default(), &may).await?;
    live.events.note(runner.now_ms(), "checkpoint", json!({ "rows": rows }));
    Ok(())
}

/// Removes the checkpoint of a job, and what only that names.
///
/// # Errors
/// Those of the store.
pub(crate) async fn drop_checkpoint(runner: &Runner, live: &Live) -> Result<(), Error> {
    let read = store::read::<StoredCheckpoint>(&*runner.store, Shelf::Checkpoints, &live.id).await;
    match read {
        Ok(Some(checkpoint)) => runner.mapred.forget_pairs(&checkpoint.query).await,
        Ok(None) => return Ok(()),
        Err(error) => tracing::debug!(%error, job = live.id, "its pairs are forgotten by and by"),
    }
    runner.store.remove(Shelf::Checkpoints, &live.id).await.map(drop)
}

/// Has what a job goes on with kept while it waits for its turn. Never ends.
pub(crate) async fn keep_pairs(runner: &Runner, live: &Live) -> Infallible {
    let read = store::read::<StoredCheckpoint>(&*runner.store, Shelf::Checkpoints, &live.id).await;
    match read {
        Ok(Some(checkpoint)) => runner.mapred.keep_pairs(checkpoint.query).await,
        Ok(None) => std::future::pending().await,
        Err(error) => {
            tracing::debug!(%error, job = live.id, "its pairs may be forgotten while it waits");
            std::future::pending().await
        }
    }
}

/// Where the query of a job asks for what is to be kept: of who takes its results, and knows which of them
/// are kept.
pub(crate) struct Keeper {
    asks: mpsc::Sender<Asked>,
    begun: Begun,
    live: Arc<Live>,
    /// Whether something that was put aside is gone.
    lost: Arc<AtomicBool>,
}

impl Keeper {
    /// Of a job that goes on there, with what it will ask for.
    pub(crate) fn new(begun: Begun, live: Arc<Live>) -> (Arc<Self>, mpsc::Receiver<Asked>) {
        let (asks, asked) = mpsc::channel(1);
        (Arc::new(Self { asks, begun, live, lost: Arc::default() }), asked)
    }

    /// Whether what the job was to go on with is gone.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    async fn ask(
        &self,
        asked: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Asked,
    ) -> Result<(), Error> {
        let gone = || Error::unavailable("the job does not run any more");
        let (done, answer) = oneshot::channel();
        self.asks.send(asked(done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl Checkpoints for Keeper {
    async fn save(&self, checkpoint: Checkpoint) -> Result<(), Error> {
        self.ask(|kept| Asked::Save(Saving { checkpoint, kept })).await
    }

    async fn put_aside(&self, results: PhaseResults) -> Result<(), Error> {
        self.ask(|done| Asked::PutAside(results, done)).await
    }

    fn take_back(&self) -> Results {
        let Begun { aside, query, store, .. } = &self.begun;
        let (query, lost) = (query.clone(), self.lost.clone());
        let id = aside_id(&self.live.id);
        let read = pieces::read(store.clone(), &id, &aside.pieces, move |at| query.keeps(at));
        let note = move |failure: Failure| {
            if failure.kind == FailureKind::Node(ErrorKind::Corrupt) {
                lost.store(true, Ordering::Release);
            }
            failure
        };
        read.map_err(note).boxed()
    }
}
