//! The bytes of a value, read piece by piece.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use mapring_types::{Blocks, Error, Object, Result, Sibling, VersionVector};
use parking_lot::Mutex;

/// An object whose values' bytes are read as they are needed.
#[derive(Debug, Clone)]
pub struct OpenObject {
    /// All writes that it takes into account.
    pub clock: VersionVector,
    /// Its values, in the order of their dots; tombstones are among them.
    pub values: Vec<OpenValue>,
}

/// A value and how its bytes are read.
#[derive(Debug, Clone)]
pub struct OpenValue {
    /// Everything but the bytes: these are empty here.
    pub sibling: Sibling,
    /// The bytes.
    pub body: Body,
}

/// The bytes of a value. Cheap to clone. They are those of one write: what is written to the object
/// later does not change them. A value that was replaced can be read for a while yet
/// ([`crate::BodySizes::time`]).
#[derive(Clone)]
pub struct Body(Bytes, Option<Arc<InBlocks>>);

/// Where blocks are read.
#[async_trait]
pub trait BlockSource: Send + Sync + 'static {
    /// Reads a block, whole.
    ///
    /// # Errors
    /// Those of [`crate::Kv::get`]; `Corrupt` where no replica has it.
    async fn block(&self, blocks: &Blocks, number: u64) -> Result<Bytes>;
}

/// Where there are no blocks.
struct Nowhere;

#[async_trait]
impl BlockSource for Nowhere {
    async fn block(&self, _: &Blocks, number: u64) -> Result<Bytes> {
        Err(Error::corrupt(format!("block {number} of a body is nowhere")))
    }
}

struct InBlocks {
    blocks: Blocks,
    source: Arc<dyn BlockSource>,
    /// The block that was read last: who reads in small steps reads each block once.
    last: Mutex<Option<(u64, Bytes)>>,
}

impl OpenObject {
    /// Opens the values of an object that has no blocks.
    pub fn new(object: Object) -> Self {
        Self::with(object, &(Arc::new(Nowhere) as Arc<dyn BlockSource>))
    }

    /// Opens the values of an object, whose blocks lie in `source`.
    pub fn with(object: Object, source: &Arc<dyn BlockSource>) -> Self {
        let values = object.siblings.into_iter().map(|sibling| OpenValue::new(sibling, source));
        Self { clock: object.clock, values: values.collect() }
    }

    /// The newest value, by time and then by dot.
    pub fn newest(&self) -> Option<&OpenValue> {
        self.values.iter().max_by_key(|value| (value.sibling.last_modified, value.sibling.dot))
    }
}

impl OpenValue {
    fn new(mut sibling: Sibling, source: &Arc<dyn BlockSource>) -> Self {
        let body = Body::new(&sibling, source);
        sibling.body.clear();
        Self { sibling, body }
    }
}

impl Body {
    /// Bytes that are in memory.
    pub fn whole(bytes: Bytes) -> Self {
        Self(bytes, None)
    }

    /// The bytes of a value, whose blocks, if it has any, lie in `source`.
    pub fn new(sibling: &Sibling, source: &Arc<dyn BlockSource>) -> Self {
        let in_blocks = sibling.metadata.blocks.as_ref().map(|blocks| {
            Arc::new(InBlocks { blocks: **blocks, source: source.clone(), last: Mutex::default() })
        });
        Self(sibling.body.clone(), in_blocks)
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.1.as_ref().map_or(self.0.len() as u64, |inner| inner.blocks.bytes)
    }

    /// Whether they lie in blocks, which are read one by one.
    pub fn is_in_blocks(&self) -> bool {
        self.1.is_some()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads `most` bytes from `offset` on; fewer only where the body ends. Nothing beyond its end.
    /// What is read is held in memory, and of blocks beside it two at most.
    ///
    /// # Errors
    /// Those of [`crate::Kv::get`]; `Corrupt` where a part of the body is on no replica.
    pub async fn read_at(&self, offset: u64, most: usize) -> Result<Bytes> {
        let Some(inner) = &self.1 else {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
            let to = from.saturating_add(most).min(self.0.len());
            return Ok(self.0.slice(from..to));
        };
        let left = inner.blocks.bytes.saturating_sub(offset);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        if most == 0 {
            return Ok(Bytes::new());
        }
        let first = inner.read(offset, most).await?;
        if first.len() == most {
            return Ok(first);
        }
        let mut read = BytesMut::with_capacity(most);
        read.extend_from_slice(&first);
        while read.len() < most {
            let next = inner.read(offset + read.len() as u64, most - read.len()).await?;
            read.extend_from_slice(&next);
        }
        Ok(read.freeze())
    }

    /// How many bytes lie from `offset` on in one block: what is best read at once; 0 at the end.
    pub fn step(&self, offset: u64) -> usize {
        let step = match &self.1 {
            None => self.len().saturating_sub(offset),
            Some(inner) => {
                let (number, within) = inner.blocks.place(offset);
                inner.blocks.bytes_of(number).saturating_sub(within)
            }
        };
        usize::try_from(step).unwrap_or(usize::MAX)
    }
}

impl InBlocks {
    /// Reads from one block, at least one byte: `offset` lies within the body.
    async fn read(&self, offset: u64, most: usize) -> Result<Bytes> {
        let (number, within) = self.blocks.place(offset);
        let known = self.last.lock().as_ref().filter(|last| last.0 == number).cloned();
        let bytes = match known {
            Some((_, bytes)) => bytes,
            None => {
                let bytes = self.source.block(&self.blocks, number).await?;
                if bytes.len() as u64 != self.blocks.bytes_of(number) {
                    let found = bytes.len();
                    return Err(Error::corrupt(format!("block {number} has {found} bytes")));
                }
                *self.last.lock() = Some((number, bytes.clone()));
                bytes
            }
        };
        // Both are below the length of the block, which is in memory.
        let from = usize::try_from(within).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(most).min(bytes.len());
        Ok(bytes.slice(from..to))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a body of {} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use mapring_types::{ActorId, Dot, Metadata, UploadId};

    use super::*;

    const TEXT: &str = "0123456789";

    /// Blocks of [`TEXT`], and how many were read.
    #[derive(Default)]
    struct Source(AtomicU64);

    #[async_trait]
    impl BlockSource for Source {
        async fn block(&self, blocks: &Blocks, number: u64) -> Result<Bytes> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let from = usize::try_from(number * u64::from(blocks.block_bytes)).unwrap();
            let to = from + usize::try_from(blocks.bytes_of(number)).unwrap();
            Ok(Bytes::from_static(&TEXT.as_bytes()[from..to]))
        }
    }

    fn sibling(counter: u64, last_modified: u64, body: &'static str) -> Sibling {
        let dot = Dot { actor: ActorId(1), counter };
        let metadata = Metadata::default();
        Sibling { dot, last_modified, deleted: false, metadata, body: body.into() }
    }

    fn in_blocks(block_bytes: u32) -> Sibling {
        let blocks = Blocks { upload: UploadId(1), bytes: 10, block_bytes, n_val: 3 };
        let metadata = Metadata { blocks: Some(Box::new(blocks)), ..Metadata::default() };
        Sibling { metadata, ..sibling(1, 1, "") }
    }

    async fn check(body: &Body) {
        assert_eq!(body.len(), 10);
        for (offset, most, expect) in [
            (0, 10, TEXT),
            (0, 4, "0123"),
            (4, 4, "4567"),
            (8, 4, "89"),
            (10, 4, ""),
            (u64::MAX, 1, ""),
            (9, usize::MAX, "9"),
            (3, 0, ""),
        ] {
            assert_eq!(body.read_at(offset, most).await.unwrap(), expect, "{offset} {most}");
        }
        let (mut read, mut offset) = (Vec::new(), 0_u64);
        while body.step(offset) > 0 {
            let next = body.read_at(offset, body.step(offset)).await.unwrap();
            offset += next.len() as u64;
            read.extend_from_slice(&next);
        }
        assert_eq!(read, TEXT.as_bytes());
    }

    #[tokio::test]
    async fn ranges_end_with_the_body() {
        let source: Arc<dyn BlockSource> = Arc::new(Source::default());
        let mut object = Object::default();
        object.update(&VersionVector::new(), sibling(1, 5, TEXT));
        object.update(&VersionVector::new(), sibling(2, 4, ""));
        let open = OpenObject::new(object);
        assert!(open.values.iter().all(|value| value.sibling.body.is_empty()));
        let newest = open.newest().unwrap();
        assert_eq!(newest.sibling.dot.counter, 1);
        check(&newest.body).await;
        assert!(open.values[1].body.is_empty());
        for block_bytes in 1..12 {
            check(&Body::new(&in_blocks(block_bytes), &source)).await;
        }
    }

    #[tokio::test]
    async fn small_steps_read_each_block_once() {
        let source = Arc::new(Source::default());
        let body = Body::new(&in_blocks(4), &(source.clone() as Arc<dyn BlockSource>));
        for offset in 0..10 {
            body.read_at(offset, 1).await.unwrap();
        }
        assert_eq!(source.0.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_block_of_another_length_is_damage() {
        struct Short;
        #[async_trait]
        impl BlockSource for Short {
            async fn block(&self, _: &Blocks, _: u64) -> Result<Bytes> {
                Ok(Bytes::from_static(b"012"))
            }
        }
        let body = Body::new(&in_blocks(4), &(Arc::new(Short) as Arc<dyn BlockSource>));
        let error = body.read_at(5, 1).await.unwrap_err();
        assert_eq!(error.kind(), mapring_types::ErrorKind::Corrupt);
        assert_eq!(error.message(), "block 1 has 3 bytes");
    }
}
