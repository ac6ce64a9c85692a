//! Reading segments.

use std::ops::Range;
use std::sync::Arc;

use mapring_types::versioned::Versioned;
use mapring_types::{Error, Result};

use super::format::{
    BLOCK_HEAD_BYTES, BlockHead, HEAD_BYTES, Head, SUM_BYTES, Summary, TAIL_BYTES, checksum,
};
use super::source::Source;
use crate::limits::ORDER_BYTES;
use crate::varint;

/// Reads a segment, a block at a time: a cursor over its records, which stands before the first of
/// them at first. Whatever is damaged is an error that names the block.
pub struct Reader {
    blocks: Blocks,
    prefix: usize,
    raw: Vec<u8>,
    /// Where the next record of the block is.
    at: usize,
    /// How many records of the block are left.
    left: u32,
    key: Vec<u8>,
    order: Vec<u8>,
    value: Range<usize>,
    repeated: bool,
}

impl Reader {
    /// Opens a segment.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` when head or tail are damaged or cut off.
    pub fn open(source: Arc<dyn Source>) -> Result<Self> {
        let (blocks, prefix) = Blocks::open(source)?;
        Ok(Self {
            blocks,
            prefix: prefix.len(),
            raw: Vec::new(),
            at: 0,
            left: 0,
            key: Vec::new(),
            order: prefix,
            value: 0..0,
            repeated: false,
        })
    }

    /// What the segment has in all.
    pub fn summary(&self) -> Summary {
        self.blocks.summary
    }

    /// The key of the record where the cursor stands.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its whole order.
    pub fn order(&self) -> &[u8] {
        &self.order
    }

    /// Its value.
    pub fn value(&self) -> &[u8] {
        &self.raw[self.value.clone()]
    }

    /// Whether key and order are those of the record before.
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Goes to the next record; `false` when there is none.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` with the block that is damaged.
    pub fn advance(&mut self) -> Result<bool> {
        let starts = self.left == 0;
        if starts && !self.next_block()? {
            return Ok(false);
        }
        if self.record(starts).is_none() {
            return Err(self.blocks.damaged("its records"));
        }
        self.left -= 1;
        if self.left == 0 && self.at < self.raw.len() {
            return Err(self.blocks.damaged("its records are more than it says"));
        }
        Ok(true)
    }

    /// Goes to the first record, from here on, whose key comes after `key`; `false` when there is none.
    /// Blocks that need not be looked at are passed over.
    ///
    /// # Errors
    /// As [`Reader::advance`].
    pub fn seek_after(&mut self, key: &[u8]) -> Result<bool> {
        if self.left == 0 {
            self.blocks.skip_to(key)?;
        }
        while self.advance()? {
            if *self.key > *key {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next_block(&mut self) -> Result<bool> {
        let Some((head, key)) = self.blocks.next(&mut self.raw)? else { return Ok(false) };
        // Keys of blocks ascend, as all do.
        self.repeated = self.key == key;
        if self.key > key {
            return Err(self.blocks.damaged("its first key"));
        }
        self.key = key;
        self.at = 0;
        self.left = head.records;
        Ok(true)
    }

    /// Reads the record at `at`; `None` when it is not as it must be.
    fn record(&mut self, starts: bool) -> Option<()> {
        let rest = self.raw.get(self.at..)?;
        let (head, rest) = varint::read(rest)?;
        let shared = usize::try_from(head >> 1).ok()?;
        let (more, rest) = varint::read_bytes(rest)?;
        let (order, rest) = if head & 1 == 0 { (&[][..], rest) } else { varint::read_bytes(rest)? };
        let (value, rest) = varint::read_bytes(rest)?;

        let end = self.raw.len() - rest.len();
        self.value = end - value.len()..end;
        self.at = end;
        let same = shared == self.key.len() && more.is_empty();
        if !same {
            // What is shared is all that is, and what follows is greater.
            let greater = shared <= self.key.len() && self.key.get(shared) < more.first();
            if starts || !greater {
                return None;
            }
            self.key.truncate(shared);
            self.key.extend_from_slice(more);
        }
        // The first record of a block repeats a key when the head of the block says so.
        let same = same && (!starts || self.repeated);
        let last = &self.order[self.prefix..];
        if order.len() > ORDER_BYTES || (same && order < last) {
            return None;
        }
        self.repeated = same && order == last;
        if !self.repeated {
            self.order.truncate(self.prefix);
            self.order.extend_from_slice(order);
        }
        Some(())
    }
}

/// Reads a segment to its end, without its records, and tells what it has.
///
/// # Errors
/// As [`Reader::advance`].
pub fn verify(source: Arc<dyn Source>) -> Result<Summary> {
    let (mut blocks, _) = Blocks::open(source)?;
    while let Some((head, _)) = blocks.next_head()? {
        blocks.read_stored(&head)?;
    }
    Ok(blocks.summary)
}

/// The blocks of a segment.
struct Blocks {
    source: Arc<dyn Source>,
    summary: Summary,
    /// Where the next block is, and the tail.
    at: u64,
    tail: u64,
    /// Where the block is that was passed last.
    last: u64,
    /// How many blocks, records and bytes have been read or passed over.
    passed: Summary,
    stored: Vec<u8>,
}

impl Blocks {
    fn open(source: Arc<dyn Source>) -> Result<(Self, Vec<u8>)> {
        let named = |error: Error| error.context(source.name());
        let short = || named(Error::corrupt("is cut off"));
        let length = source.length();
        let tail = length.checked_sub(TAIL_BYTES as u64).ok_or_else(short)?;
        let mut start = [0; HEAD_BYTES];
        source.read_at(0, &mut start)?;
        Head::check(start[0]).map_err(named)?;
        let prefix = usize::from(u16::from_le_bytes([start[1], start[2]]));
        let mut head = vec![0; HEAD_BYTES + prefix + SUM_BYTES];
        let at = head.len() as u64;
        if at > tail {
            return Err(short());
        }
        source.read_at(0, &mut head)?;
        let head = Head::decode(&head).map_err(named)?;
        let mut bytes = [0; TAIL_BYTES];
        source.read_at(tail, &mut bytes)?;
        let summary = Summary::decode(&bytes)
            .ok_or_else(|| named(Error::corrupt("the tail is damaged or cut off")))?;
        let passed = Summary::default();
        let stored = Vec::new();
        Ok((Self { source, summary, at, tail, last: at, passed, stored }, head.prefix))
    }

    /// Reads the next block, with the key that it begins with.
    fn next(&mut self, raw: &mut Vec<u8>) -> Result<Option<(BlockHead, Vec<u8>)>> {
        let Some((head, key)) = self.next_head()? else { return Ok(None) };
        self.read_stored(&head)?;
        if head.stored == head.raw {
            std::mem::swap(raw, &mut self.stored);
            return Ok(Some((head, key)));
        }
        raw.resize(head.raw as usize, 0);
        let length = lz4_flex::block::decompress_into(&self.stored, raw)
            .map_err(|error| self.damaged("what is compressed").with_source(error))?;
        if length != raw.len() {
            return Err(self.damaged("what is compressed"));
        }
        Ok(Some((head, key)))
    }

    /// Passes over blocks after which others begin with a key that is not beyond `key`.
    fn skip_to(&mut self, key: &[u8]) -> Result<()> {
        while self.at < self.tail {
            let (head, _) = self.head_at(self.at, self.passed.blocks)?;
            let next = self.at + head.length();
            if next >= self.tail || *self.head_at(next, self.passed.blocks + 1)?.1 > *key {
                break;
            }
            self.pass(&head);
        }
        Ok(())
    }

    /// The next block, whose stored bytes are to be read. `None` at the end, when all was there.
    fn next_head(&mut self) -> Result<Option<(BlockHead, Vec<u8>)>> {
        if self.at == self.tail {
            if self.passed == self.summary {
                return Ok(None);
            }
            return Err(self.damaged("there are fewer than the tail says"));
        }
        let (head, key) = self.head_at(self.at, self.passed.blocks)?;
        self.pass(&head);
        Ok(Some((head, key)))
    }

    fn pass(&mut self, head: &BlockHead) {
        self.last = self.at;
        self.at += head.length();
        self.passed.blocks += 1;
        self.passed.records += u64::from(head.records);
        self.passed.raw_bytes += u64::from(head.raw);
        self.passed.largest_block = self.passed.largest_block.max(head.raw);
    }

    fn head_at(&self, at: u64, number: u32) -> Result<(BlockHead, Vec<u8>)> {
        let damaged = |what| damaged(&*self.source, number, at, what);
        let room = |length: u64| at.checked_add(length).is_some_and(|end| end <= self.tail);
        let mut bytes = [0; BLOCK_HEAD_BYTES];
        if !room(BLOCK_HEAD_BYTES as u64) {
            return Err(damaged("its head is cut off"));
        }
        self.source.read_at(at, &mut bytes)?;
        let head = BlockHead::decode(&bytes).ok_or_else(|| damaged("its head"))?;
        if !room(head.length()) {
            return Err(damaged("it is cut off"));
        }
        let mut key = vec![0; head.key as usize];
        self.source.read_at(at + BLOCK_HEAD_BYTES as u64, &mut key)?;
        if head.encode(number, &key) != bytes {
            return Err(damaged("its head"));
        }
        Ok((head, key))
    }

    /// Reads what is stored of the block that was passed last.
    fn read_stored(&mut self, head: &BlockHead) -> Result<()> {
        self.stored.resize(head.stored as usize, 0);
        self.source.read_at(self.at - u64::from(head.stored), &mut self.stored)?;
        if checksum(self.passed.blocks - 1, &[&self.stored]) != head.sum {
            return Err(self.damaged("its checksum differs"));
        }
        Ok(())
    }

    /// The block that was passed last, or where there is none.
    fn damaged(&self, what: &str) -> Error {
        damaged(&*self.source, self.passed.blocks.saturating_sub(1), self.last, what)
    }
}

fn damaged(source: &dyn Source, number: u32, at: u64, what: &str) -> Error {
    Error::corrupt(format!("block {number}, at byte {at} of {}, is damaged: {what}", source.name()))
}
