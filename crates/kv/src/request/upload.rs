//! Writing large bodies: their blocks first, each as soon as it is full, and then, as one write like any
//! other, the value that names them. So the body is there as a whole or not at all, and its node never
//! holds more than a few blocks of it.
//!
//! An upload that ends before its value is written removes its blocks. What is left of one whose node has
//! ended is removed by `collect`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use mapring_types::limits::REQUEST_TIMEOUT;
use mapring_types::{
    Blocks, BucketProps, Error, ErrorKind, Metadata, Object, ObjectId, Quorum, Release, Result,
    SyncOnWrite, UploadId, VersionVector,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::blocks;
use crate::limits;
use crate::request::options::PutOptions;
use crate::request::quorum::WriteNeed;
use crate::request::requests::Requests;
use crate::request::{put, terms};
use crate::view;
use crate::write::NewValue;

/// A block that was written, with its clock.
type Written = (ObjectId, VersionVector);

/// Blocks on their way, in tasks of their own: they go on while their client is waited for.
type Pending = FuturesUnordered<JoinHandle<Result<Written>>>;

/// A large body on its way into the store: see [`crate::Kv::upload`]. Dropped before it is finished it
/// removes what it has written.
pub struct Upload {
    requests: Arc<Requests>,
    id: ObjectId,
    options: PutOptions,
    of_blocks: PutOptions,
    blocks: Blocks,
    began: Instant,
    /// What has come of the next block.
    begun: BytesMut,
    /// The number of the next block.
    next: u64,
    pending: Pending,
    written: Vec<Written>,
    /// Whether a value may name the blocks.
    is_named: bool,
}

impl Upload {
    /// Begins; nothing is written yet.
    ///
    /// # Errors
    /// As [`crate::Kv::upload`].
    pub(crate) async fn begin(
        requests: &Arc<Requests>,
        id: &ObjectId,
        options: &PutOptions,
    ) -> Result<Self> {
        terms::check_names(id)?;
        if !requests.node.vnodes.all_read(Release::GROUPS).await? {
            let most = requests.node.parts.config.bodies.whole_bytes;
            let message = format!(
                "{id}: a member runs an earlier release of mapring, which takes bodies of at most \
                 {most} bytes"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let props = view::props(&requests.node.view(), &id.bucket)?;
        WriteNeed::new(&props, options.quorums(), options.node_confirms)?;
        let entropy = &requests.node.parts.entropy;
        let number = || u128::from(entropy.next_u64());
        let blocks = Blocks {
            upload: UploadId(number() << 64 | number()),
            bytes: 0,
            block_bytes: requests.node.parts.config.bodies.block_bytes.max(1),
            n_val: props.n_val,
        };
        Ok(Self {
            requests: requests.clone(),
            id: id.clone(),
            options: options.clone(),
            of_blocks: of_blocks(options, &props),
            blocks,
            began: Instant::now(),
            begun: BytesMut::new(),
            next: 0,
            pending: FuturesUnordered::new(),
            written: Vec::new(),
            is_named: false,
        })
    }

    /// Takes the next bytes. Returns when so much of what came before is stored that little waits in
    /// memory: [`limits::BLOCKS_AT_ONCE`] blocks and one that is not full yet.
    ///
    /// # Errors
    /// `TooLarge` beyond [`crate::BodySizes::max_bytes`], `Timeout` after [`crate::BodySizes::time`],
    /// and as [`crate::Kv::put`]: then there is nothing to be done with the upload any more.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.blocks.bytes = self.blocks.bytes.saturating_add(bytes.len() as u64);
        let most = self.requests.node.parts.config.bodies.max_bytes;
        if self.blocks.bytes > most {
            let message = format!("{}: the body is larger than {most} bytes", self.id);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let block = usize::try_from(self.blocks.block_bytes).unwrap_or(usize::MAX);
        while self.begun.len() + bytes.len() >= block {
            let missing = block - self.begun.len();
            let rest = bytes.split_off(missing);
            let full = if self.begun.is_empty() {
                bytes
            } else {
                self.begun.extend_from_slice(&bytes);
                std::mem::take(&mut self.begun).freeze()
            };
            self.store(full).await?;
            bytes = rest;
        }
        if self.begun.is_empty() && !bytes.is_empty() {
            self.begun.reserve(block);
        }
        self.begun.extend_from_slice(&bytes);
        Ok(())
    }

    /// Writes the value, once all of its blocks are stored: see [`crate::Kv::put`]. With
    /// [`PutOptions::unchanged`] it is made only if that still holds then.
    ///
    /// # Errors
    /// As [`Upload::write`].
    pub async fn finish(
        mut self,
        context: Option<VersionVector>,
        metadata: Metadata,
    ) -> Result<Object> {
        if !self.begun.is_empty() {
            let last = std::mem::take(&mut self.begun).freeze();
            self.store(last).await?;
        }
        while !self.pending.is_empty() {
            self.settle().await?;
        }
        self.check_time()?;
        assert_eq!(self.next, self.blocks.count(), "{}: blocks are missing", self.id);
        // However long its client waits: blocks are kept for so long as the value may still come to
        // name them.
        let most = self.requests.node.parts.config.bodies.time / 2;
        let timeout = self.options.timeout.unwrap_or(REQUEST_TIMEOUT).min(most);
        let options = PutOptions { timeout: Some(timeout), ..self.options.clone() };
        let metadata = Metadata { blocks: Some(Box::new(self.blocks)), ..metadata };
        let value = NewValue { metadata, body: Bytes::new(), deleted: false };
        // Whatever is answered, from here on it may have been made.
        self.is_named = true;
        let written = put::put(&self.requests, &self.id, context, value, &options).await;
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::Precondition) {
            // But not where it was refused for what is stored.
            self.is_named = false;
        }
        written
    }

    /// Begins to store a block, once there is room.
    async fn store(&mut self, body: Bytes) -> Result<()> {
        while self.pending.len() >= limits::BLOCKS_AT_ONCE {
            self.settle().await?;
        }
        self.check_time()?;
        let (requests, number) = (self.requests.clone(), self.next);
        let id = blocks::id(&self.blocks, number);
        let value = NewValue { metadata: blocks::metadata(&self.id), body, deleted: false };
        let options = self.of_blocks.clone();
        self.next += 1;
        self.pending.push(mapring_net::task::spawn(async move {
            let stored = put::put(&requests, &id, None, value, &options).await?;
            Ok((id, stored.clock))
        }));
        Ok(())
    }

    /// Waits for one of the blocks that are on their way.
    async fn settle(&mut self) -> Result<()> {
        if let Some(written) = self.pending.next().await {
            let lost = |_| Err(Error::internal("a block's write has ended without a result"));
            let named = |error: Error| error.context(format!("{}: a block of the body", self.id));
            self.written.push(written.unwrap_or_else(lost).map_err(named)?);
        }
        Ok(())
    }

    fn check_time(&self) -> Result<()> {
        let most = self.requests.node.parts.config.bodies.time;
        if self.began.elapsed() > most {
            let seconds = most.as_secs();
            return Err(Error::timeout(format!(
                "{}: the body did not arrive within {seconds} s",
                self.id
            )));
        }
        Ok(())
    }
}

/// How the blocks of a body are written. They lie in a bucket of their own: what that of the body asks for
/// beside its quorums, where the client does not say, is asked for here.
fn of_blocks(options: &PutOptions, props: &BucketProps) -> PutOptions {
    let mut options = PutOptions { unchanged: None, ..options.clone() };
    if options.sync_on_write.is_none() && props.sync_on_write != SyncOnWrite::Backend {
        options.sync_on_write = Some(props.sync_on_write);
    }
    if options.node_confirms == Quorum::Default && props.node_confirms != Quorum::Count(0) {
        options.node_confirms = props.node_confirms;
    }
    options
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (written, pending) =
            (std::mem::take(&mut self.written), std::mem::take(&mut self.pending));
        // Without a runtime the node is gone, and while it stops nobody waits for this.
        let idle = written.is_empty() && pending.is_empty();
        if self.is_named || idle || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        mapring_net::task::spawn(discard(self.requests.clone(), self.blocks, written, pending));
    }
}

/// Removes the blocks of an upload that nothing can name, as far as their replicas answer.
async fn discard(
    requests: Arc<Requests>,
    blocks: Blocks,
    mut written: Vec<Written>,
    pending: Pending,
) {
    let late = pending.filter_map(|written| async { written.ok()?.ok() });
    written.extend(late.collect::<Vec<_>>().await);
    for (id, clock) in written {
        let patience = limits::REPLICA_PATIENCE;
        let view = requests.node.view();
        let list = view::list(&view, view::home(&view, &id), blocks.n_val, &[].into());
        let removals = list.entries.into_iter().map(|entry| {
            let (id, clock) = (id.clone(), clock.clone());
            requests.peers.remove_at(entry, id, clock, patience)
        });
        for removed in join_all(removals).await {
            if let Err(error) = removed {
                tracing::debug!(%id, %error, "a block of a broken upload is left for later");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_written_as_the_bucket_of_their_body_asks() {
        let props = BucketProps {
            sync_on_write: SyncOnWrite::All,
            node_confirms: Quorum::Count(2),
            ..BucketProps::default()
        };
        let options = PutOptions { unchanged: Some(VersionVector::new()), ..PutOptions::default() };
        let filled = of_blocks(&options, &props);
        assert_eq!(filled.unchanged, None);
        assert_eq!(filled.sync_on_write, Some(SyncOnWrite::All));
        assert_eq!(filled.node_confirms, Quorum::Count(2));
        let asked = PutOptions {
            sync_on_write: Some(SyncOnWrite::Backend),
            node_confirms: Quorum::One,
            ..PutOptions::default()
        };
        assert_eq!(of_blocks(&asked, &props).asked(), asked.asked());
        // Nothing is said that goes without saying: members of earlier releases do not know the words.
        let plain = of_blocks(&PutOptions::default(), &BucketProps::default());
        assert_eq!(plain.asked(), PutOptions::default().asked());
    }
}
