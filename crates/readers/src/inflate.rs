//! Decompressing, and what comes of it with its checksum.

use flate2::{Decompress, FlushDecompress, Status};

use crate::limits;

/// A deflated stream on its way, and what has come of it that nobody has taken.
pub(crate) struct Inflate {
    stream: Decompress,
    buffer: Vec<u8>,
    taken: usize,
    checksum: crc32fast::Hasher,
    made: u64,
}

impl Inflate {
    pub(crate) fn new() -> Self {
        Self {
            stream: Decompress::new(false),
            buffer: Vec::new(),
            taken: 0,
            checksum: crc32fast::Hasher::new(),
            made: 0,
        }
    }

    /// Begins another stream.
    pub(crate) fn reset(&mut self) {
        self.stream.reset(false);
        (self.taken, self.made) = (0, 0);
        self.buffer.clear();
        self.checksum.reset();
    }

    /// What is ready.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.taken += count;
    }

    /// How many bytes have come of the stream, and their checksum.
    pub(crate) fn made(&self) -> (u64, u32) {
        (self.made, self.checksum.clone().finalize())
    }

    /// Decompresses more, when nothing is ready; says how much of the input it took, and whether the
    /// stream has ended.
    ///
    /// # Errors
    /// How much it took before it found what cannot be. What came of what is before that is ready.
    pub(crate) fn more(&mut self, input: &[u8]) -> Result<(usize, bool), usize> {
        self.buffer.clear();
        self.taken = 0;
        self.buffer.reserve_exact(limits::BUFFER_BYTES);
        let before = self.stream.total_in();
        let done = self.stream.decompress_vec(input, &mut self.buffer, FlushDecompress::None);
        let took = usize::try_from(self.stream.total_in() - before).unwrap_or(usize::MAX);
        self.note();
        match done.map_err(|_| took)? {
            Status::StreamEnd => Ok((took, true)),
            // No way on with bytes to take and room to write to.
            Status::BufError if took == 0 && self.buffer.is_empty() && !input.is_empty() => {
                Err(took)
            }
            Status::Ok | Status::BufError => Ok((took, false)),
        }
    }

    /// Takes bytes that are not compressed.
    pub(crate) fn copy(&mut self, input: &[u8]) {
        self.buffer.clear();
        self.taken = 0;
        self.buffer.extend_from_slice(input);
        self.note();
    }

    /// Takes back what has come of the stream beyond so many bytes.
    pub(crate) fn cut(&mut self, made: u64) {
        let over = usize::try_from(self.made.saturating_sub(made)).unwrap_or(usize::MAX);
        self.buffer.truncate(self.buffer.len().saturating_sub(over));
        self.made = self.made.min(made);
    }

    fn note(&mut self) {
        self.made += self.buffer.len() as u64;
        self.checksum.update(&self.buffer);
    }
}
