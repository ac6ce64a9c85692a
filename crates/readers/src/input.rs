//! The lowest layer: the bytes of the root, one document.

use bytes::Bytes;

use crate::cursor::Places;
use crate::documents::Documents;
use crate::error::{Pull, Stop};

/// The root: of an object one chunk is held.
pub(crate) struct Input {
    length: u64,
    given: bool,
    at: u64,
    chunk: Bytes,
    chunk_at: u64,
}

impl Input {
    /// An object of so many bytes.
    pub(crate) fn new(length: u64) -> Self {
        Self { length, given: false, at: 0, chunk: Bytes::new(), chunk_at: 0 }
    }

    fn ready(&self) -> usize {
        let passed = self.at.checked_sub(self.chunk_at);
        let passed = passed.and_then(|passed| usize::try_from(passed).ok());
        passed.map_or(0, |passed| self.chunk.len().saturating_sub(passed))
    }
}

impl Documents for Input {
    fn below(&self) -> Option<&dyn Documents> {
        None
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        None
    }

    fn next(&mut self) -> Pull<bool> {
        Ok(!std::mem::replace(&mut self.given, true))
    }

    fn fill(&mut self) -> Pull<bool> {
        if self.at >= self.length {
            return Ok(false);
        }
        if self.ready() == 0 { Err(Stop::Need(self.at)) } else { Ok(true) }
    }

    fn bytes(&self) -> &[u8] {
        &self.chunk[self.chunk.len() - self.ready()..]
    }

    fn consume(&mut self, count: usize) {
        self.at += count as u64;
    }

    fn at(&self) -> u64 {
        self.at
    }

    fn seek(&mut self, to: u64) -> Pull<()> {
        self.at = to.min(self.length);
        Ok(())
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn feed(&mut self, at: u64, bytes: Bytes) {
        let rest = self.length.saturating_sub(at);
        let most = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes.len());
        (self.chunk_at, self.chunk) = (at, bytes.slice(..most));
    }

    fn place(&self, places: &mut Vec<u64>) {
        places.push(0);
    }

    fn place_after(&self, places: &mut Vec<u64>) {
        places.push(u64::from(self.given));
    }

    fn resume(&mut self, places: &mut Places) {
        self.given = places.take() == Some(1);
    }
}
