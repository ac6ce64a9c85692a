//! What functions ask for beside their results, once a page with it is accepted: counts, lines of the
//! log, and writes, which are made in batches.
//!
//! Writes to one object are made in the order in which they were accepted: of those in one batch only
//! the last is made, and a batch waits for one before it that has an object in common.

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use mapring_kv::NewValue;
use mapring_script::{Counter, Effects, WriteOp};
use mapring_types::{ErrorKind, ObjectId, Quorum};
use tokio::time::Instant;

use crate::failure::{FailedInput, Failure, FailureKind};
use crate::grammar::WriteBatch;
use crate::handle::QueryHandle;
use crate::limits;
use crate::metered::count;
use crate::objects::{ObjectWrite, Objects};
use crate::unit;
use crate::writing::persistently;

/// See the module.
pub(super) struct Writes {
    batch: WriteBatch,
    objects: Arc<dyn Objects>,
    handle: Arc<QueryHandle>,
    deadline: Instant,
    /// With the phases whose functions want them.
    waiting: VecDeque<(usize, WriteOp)>,
    waiting_bytes: usize,
    running: FuturesUnordered<BoxFuture<'static, Result<Written, Failure>>>,
    /// The objects that batches under way write.
    under_way: HashSet<ObjectId>,
}

/// A batch that was made.
#[derive(Debug)]
struct Written {
    ids: Vec<ObjectId>,
    /// Writes that it stands for.
    writes: u64,
    bytes: u64,
    took: Duration,
}

impl Writes {
    pub(super) fn new(
        batch: WriteBatch,
        objects: Arc<dyn Objects>,
        handle: Arc<QueryHandle>,
        deadline: Instant,
    ) -> Self {
        Self {
            batch,
            objects,
            handle,
            deadline,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            running: FuturesUnordered::new(),
            under_way: HashSet::new(),
        }
    }

    /// Takes what the functions of an accepted page of a phase ask for.
    ///
    /// # Errors
    /// When they count more things than a query may.
    pub(super) fn push(&mut self, phase: usize, effects: Effects) -> Result<(), Failure> {
        let Effects { counts, writes, logs, logs_dropped } = effects;
        if !counts.is_empty() {
            self.handle.count(counts).map_err(|failure| failure.in_phase(phase))?;
        }
        self.handle.log(logs, logs_dropped);
        self.waiting_bytes += writes.iter().map(WriteOp::bytes).sum::<usize>();
        self.waiting.extend(writes.into_iter().map(|write| (phase, write)));
        Ok(())
    }

    /// Whether further pages may be accepted.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < limits::WRITES_AHEAD && self.waiting_bytes < limits::WRITES_AHEAD_BYTES
    }

    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Begins the batches that are full; when nothing more comes, also one that is not.
    pub(super) fn advance(&mut self, ended: bool) {
        while self.running.len() < limits::WRITE_BATCHES
            && let Some(length) = self.next_batch(ended)
        {
            let writes: Vec<(usize, WriteOp)> = self.waiting.drain(..length).collect();
            self.waiting_bytes -= writes.iter().map(|(_, write)| write.bytes()).sum::<usize>();
            self.begin(writes);
        }
        assert!(!self.waiting.is_empty() || self.waiting_bytes == 0, "bytes of no writes");
    }

    /// How many of the waiting writes can be begun as a batch.
    fn next_batch(&self, ended: bool) -> Option<usize> {
        let (mut length, mut bytes) = (0, 0);
        for (_, write) in &self.waiting {
            if self.under_way.contains(id_of(write)) {
                return None;
            }
            length += 1;
            bytes += write.bytes();
            if length >= self.batch.count || bytes >= self.batch.bytes {
                return Some(length);
            }
        }
        (ended && length > 0).then_some(length)
    }

    fn begin(&mut self, writes: Vec<(usize, WriteOp)>) {
        let all = writes.len() as u64;
        let mut ids = HashSet::new();
        let mut last: Vec<(usize, ObjectWrite)> = Vec::new();
        for (phase, write) in writes.into_iter().rev() {
            if ids.insert(id_of(&write).clone()) {
                last.push((phase, object_write(write)));
            }
        }
        self.under_way.extend(ids.iter().cloned());
        let (objects, deadline) = (self.objects.clone(), self.deadline);
        let batch = async move {
            let began = Instant::now();
            let made = last.into_iter().rev();
            let made = made.map(|(phase, write)| make(objects.clone(), phase, write, deadline));
            let bytes = stream::iter(made).buffer_unordered(limits::WRITES_AT_ONCE);
            let bytes = bytes.try_fold(0, async |sum, bytes| Ok(sum + bytes)).await?;
            let (ids, took) = (ids.into_iter().collect(), began.elapsed());
            Ok(Written { ids, writes: all, bytes, took })
        };
        self.running.push(batch.boxed());
    }

    /// Waits until a batch has been made.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Poll::Ready(Some(batch)) = self.running.poll_next_unpin(context) else {
            return Poll::Pending;
        };
        Poll::Ready(batch.map(|Written { ids, writes, bytes, took }| {
            for id in &ids {
                assert!(self.under_way.remove(id), "{id} was not under way");
            }
            count("mapring_mapred_writes_total", writes);
            self.handle.add(Counter::Writes, writes);
            self.handle.add(Counter::WriteBatches, 1);
            self.handle.add(Counter::IoWriteBytes, bytes);
            self.handle.add(Counter::IoWrite, unit::micros(took));
        }))
    }
}

fn id_of(write: &WriteOp) -> &ObjectId {
    let (WriteOp::Put { id, .. } | WriteOp::Delete { id }) = write;
    id
}

fn object_write(write: WriteOp) -> ObjectWrite {
    match write {
        WriteOp::Put { id, metadata, body, w } => {
            let value = Some(NewValue { metadata, body, deleted: false });
            ObjectWrite { id, value, w, only_new: false }
        }
        WriteOp::Delete { id } => {
            ObjectWrite { id, value: None, w: Quorum::Default, only_new: false }
        }
    }
}

/// Makes a write that functions of a phase want; returns its bytes.
async fn make(
    objects: Arc<dyn Objects>,
    phase: usize,
    write: ObjectWrite,
    deadline: Instant,
) -> Result<u64, Failure> {
    match persistently(&*objects, &write, deadline).await {
        Ok(()) => Ok(write.value.as_ref().map_or(0, |value| value.body.len() as u64)),
        Err(error) if error.kind() == ErrorKind::Timeout && Instant::now() >= deadline => {
            Err(Failure::timeout())
        }
        Err(error) => {
            let what = if write.value.is_some() { "put" } else { "del" };
            let kind = FailureKind::Write(error.kind());
            let failure = Failure::new(kind, format!("a {what} of a function failed: {error}"));
            let id = write.id;
            Err(failure.in_phase(phase).of(FailedInput::Object { id, keydata: None }))
        }
    }
}
