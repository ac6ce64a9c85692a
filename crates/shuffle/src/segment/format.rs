//! The parts of a segment around its records.

use crc32fast::Hasher;
use mapring_types::versioned::{Nothing, Versioned};
use mapring_types::{Error, Result};

use crate::limits::{BLOCK_BYTES, KEY_BYTES, ORDER_BYTES, VALUE_BYTES};

/// Bytes of the head before the prefix.
pub(super) const HEAD_BYTES: usize = 3;
/// Bytes of a checksum.
pub(super) const SUM_BYTES: usize = 4;
/// Bytes of a block before its first key.
pub(super) const BLOCK_HEAD_BYTES: usize = 25;
/// Bytes of the tail.
pub(super) const TAIL_BYTES: usize = 29;

/// The first byte of a block.
const BLOCK: u8 = 1;
/// The first byte of the tail.
const TAIL: u8 = 2;

/// A block is full with [`BLOCK_BYTES`], and its last record may be of the largest.
const LARGEST_BLOCK: usize = BLOCK_BYTES + KEY_BYTES + ORDER_BYTES + VALUE_BYTES + 32;

/// What a segment has in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many blocks.
    pub blocks: u32,
    /// How many records.
    pub records: u64,
    /// Bytes of the blocks when they are read.
    pub raw_bytes: u64,
    /// Bytes of the largest block when it is read: what a reader needs for itself.
    pub largest_block: u32,
}

impl Summary {
    pub(super) fn encode(&self) -> [u8; TAIL_BYTES] {
        let mut bytes = [0; TAIL_BYTES];
        bytes[0] = TAIL;
        bytes[1..5].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[5..13].copy_from_slice(&self.records.to_le_bytes());
        bytes[13..21].copy_from_slice(&self.raw_bytes.to_le_bytes());
        bytes[21..25].copy_from_slice(&self.largest_block.to_le_bytes());
        let sum = checksum(self.blocks, &[&bytes[..25]]);
        bytes[25..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; TAIL_BYTES]) -> Option<Self> {
        let summary = Self {
            blocks: u32_at(bytes, 1),
            records: u64_at(bytes, 5),
            raw_bytes: u64_at(bytes, 13),
            largest_block: u32_at(bytes, 21),
        };
        // All of it is under the checksum, and comes out the same.
        (summary.encode() == *bytes).then_some(summary)
    }
}

/// The head: the prefix of all orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) prefix: Vec<u8>,
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        bytes.extend((self.prefix.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.prefix);
        let sum = checksum(0, &[&bytes]);
        bytes.extend(sum.to_le_bytes());
        bytes
    }
}

impl Versioned for Head {
    const WHAT: &'static str = "the head of a segment";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        let prefix = body.get(HEAD_BYTES - 1..body.len().saturating_sub(SUM_BYTES));
        let head = Self { prefix: prefix.unwrap_or_default().to_vec() };
        // All of it is under the checksum, and comes out the same.
        let same = head.encode()[1..] == *body;
        same.then_some(head).ok_or_else(|| Error::corrupt("the head of a segment is damaged"))
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

/// What stands before a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockHead {
    /// Bytes as they are stored.
    pub(super) stored: u32,
    /// Bytes as they are read. As many, when they are not compressed.
    pub(super) raw: u32,
    pub(super) records: u32,
    /// Length of the first key.
    pub(super) key: u32,
    /// The checksum of what is stored.
    pub(super) sum: u32,
}

impl BlockHead {
    pub(super) fn encode(&self, number: u32, key: &[u8]) -> [u8; BLOCK_HEAD_BYTES] {
        let mut bytes = [0; BLOCK_HEAD_BYTES];
        bytes[0] = BLOCK;
        for (at, number) in
            [self.stored, self.raw, self.records, self.key, self.sum].into_iter().enumerate()
        {
            bytes[1 + 4 * at..][..4].copy_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(number, &[&bytes[..BLOCK_HEAD_BYTES - SUM_BYTES], key]);
        bytes[BLOCK_HEAD_BYTES - SUM_BYTES..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// What the bytes say, if it can be; whether it is so, [`BlockHead::encode`] tells.
    pub(super) fn decode(bytes: &[u8; BLOCK_HEAD_BYTES]) -> Option<Self> {
        let head = Self {
            stored: u32_at(bytes, 1),
            raw: u32_at(bytes, 5),
            records: u32_at(bytes, 9),
            key: u32_at(bytes, 13),
            sum: u32_at(bytes, 17),
        };
        let possible = bytes[0] == BLOCK
            && head.stored <= head.raw
            && head.raw as usize <= LARGEST_BLOCK
            && head.key as usize <= KEY_BYTES
            && head.records > 0;
        possible.then_some(head)
    }

    /// Bytes of the block with this head.
    pub(super) fn length(&self) -> u64 {
        BLOCK_HEAD_BYTES as u64 + u64::from(self.key) + u64::from(self.stored)
    }
}

/// The checksum of parts of a block of this number.
pub(super) fn checksum(number: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&number.to_le_bytes());
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
