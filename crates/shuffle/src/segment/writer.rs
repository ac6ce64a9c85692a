//! Writing segments.

use mapring_types::{Error, ErrorKind, Result};

use super::format::{BlockHead, Head, Summary, checksum};
use super::source::Sink;
use crate::limits::{BLOCK_BYTES, KEY_BYTES, ORDER_BYTES, VALUE_BYTES};
use crate::varint;

/// Writes a segment, a block at a time.
#[derive(Debug)]
pub struct Writer<S> {
    sink: S,
    summary: Summary,
    /// The records of the block, and how many they are.
    raw: Vec<u8>,
    records: u32,
    /// The first key of the block.
    first: Vec<u8>,
    /// The key and the order of the last record.
    key: Vec<u8>,
    order: Vec<u8>,
    compressed: Vec<u8>,
}

impl<S: Sink> Writer<S> {
    /// Begins a segment all of whose orders begin with `prefix`.
    ///
    /// # Errors
    /// Those of the sink; `TooLarge` for a prefix that is longer than [`ORDER_BYTES`].
    pub fn new(mut sink: S, prefix: &[u8]) -> Result<Self> {
        within("the prefix of a segment", prefix.len(), ORDER_BYTES)?;
        sink.write(&Head { prefix: prefix.to_vec() }.encode())?;
        Ok(Self {
            sink,
            summary: Summary::default(),
            raw: Vec::new(),
            records: 0,
            first: Vec::new(),
            key: Vec::new(),
            order: Vec::new(),
            compressed: Vec::new(),
        })
    }

    /// Adds a record: its order is what follows the prefix.
    ///
    /// # Errors
    /// Those of the sink; `TooLarge` for what is longer than its limit; `Internal` when the record
    /// belongs before the last one.
    pub fn push(&mut self, key: &[u8], order: &[u8], value: &[u8]) -> Result<()> {
        within("a key", key.len(), KEY_BYTES)?;
        within("the order of a record", order.len(), ORDER_BYTES)?;
        within("a value", value.len(), VALUE_BYTES)?;
        let mut shared = shared(&self.key, key);
        let ascends = match (self.key.get(shared), key.get(shared)) {
            (None, None) => *order >= *self.order,
            (last, next) => last < next,
        };
        if !ascends {
            return Err(Error::internal("the records of a segment do not ascend"));
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(&key[shared..]);
        self.order.clear();
        self.order.extend_from_slice(order);
        if self.records == 0 {
            // The head of the block has it.
            self.first.clone_from(&self.key);
            shared = key.len();
        }
        self.records += 1;
        varint::write((shared as u64) << 1 | u64::from(!order.is_empty()), &mut self.raw);
        varint::write_bytes(&key[shared..], &mut self.raw);
        if !order.is_empty() {
            varint::write_bytes(order, &mut self.raw);
        }
        varint::write_bytes(value, &mut self.raw);
        if self.raw.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Ends the segment.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(mut self) -> Result<(S, Summary)> {
        if self.records > 0 {
            self.flush()?;
        }
        self.sink.write(&self.summary.encode())?;
        Ok((self.sink, self.summary))
    }

    fn flush(&mut self) -> Result<()> {
        let most = lz4_flex::block::get_maximum_output_size(self.raw.len());
        self.compressed.resize(most, 0);
        let length = lz4_flex::block::compress_into(&self.raw, &mut self.compressed)
            .map_err(|error| Error::internal("a block has no room").with_source(error))?;
        // Reading what is hardly shorter costs more than its bytes.
        let worth = length < self.raw.len() - self.raw.len() / 8;
        let stored = if worth { &self.compressed[..length] } else { &self.raw[..] };

        let number = self.summary.blocks;
        let head = BlockHead {
            stored: stored.len() as u32,
            raw: self.raw.len() as u32,
            records: self.records,
            key: self.first.len() as u32,
            sum: checksum(number, &[stored]),
        };
        self.sink.write(&head.encode(number, &self.first))?;
        self.sink.write(&self.first)?;
        self.sink.write(stored)?;

        let blocks = number.checked_add(1);
        self.summary.blocks = blocks.ok_or_else(|| too_large("a segment", u32::MAX as usize))?;
        self.summary.records += u64::from(self.records);
        self.summary.raw_bytes += u64::from(head.raw);
        self.summary.largest_block = self.summary.largest_block.max(head.raw);
        self.records = 0;
        self.raw.clear();
        Ok(())
    }
}

/// How many bytes two keys begin with in common.
fn shared(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn within(what: &str, length: usize, most: usize) -> Result<()> {
    if length <= most { Ok(()) } else { Err(too_large(what, most)) }
}

fn too_large(what: &str, most: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{what} is longer than {most}"))
}
