//! A document in memory, so that any byte of it can be gone to.

use bytes::Bytes;

use crate::cursor::Places;
use crate::documents::{Documents, Position, stop};
use crate::error::Pull;
use crate::limits;

/// Holds each document of the layer below, up to [`limits::HELD_BYTES`].
pub(crate) struct Held {
    inner: Box<dyn Documents>,
    bytes: Vec<u8>,
    at: usize,
    /// Whether the present document is all here.
    whole: bool,
}

impl Held {
    pub(crate) fn new(inner: Box<dyn Documents>) -> Self {
        Self { inner, bytes: Vec::new(), at: 0, whole: true }
    }

    fn hold(&mut self) -> Pull<()> {
        while self.inner.fill()? {
            let ready = self.inner.bytes();
            let count = ready.len();
            if self.bytes.len() + count > limits::HELD_BYTES {
                let message = format!(
                    "there is more than {} bytes that would have to be held at once",
                    limits::HELD_BYTES
                );
                return stop(self.inner.as_ref(), self.inner.at(), message);
            }
            self.bytes.extend_from_slice(ready);
            self.inner.consume(count);
        }
        Ok(())
    }
}

impl Documents for Held {
    fn next(&mut self) -> Pull<bool> {
        if self.whole {
            (self.bytes, self.at) = (Vec::new(), 0);
            if !self.inner.next()? {
                return Ok(false);
            }
            self.whole = false;
        }
        let held = self.hold();
        self.whole = !matches!(held, Err(crate::error::Stop::Need(_)));
        held.map(|()| true)
    }

    fn fill(&mut self) -> Pull<bool> {
        Ok(self.at < self.bytes.len())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }

    fn at(&self) -> u64 {
        self.at as u64
    }

    fn seek(&mut self, to: u64) -> Pull<()> {
        self.at = usize::try_from(to).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(())
    }

    fn length(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    fn feed(&mut self, at: u64, bytes: Bytes) {
        self.inner.feed(at, bytes);
    }

    fn names(&self, within: &mut Vec<String>) {
        self.inner.names(within);
    }

    fn position(&self, position: &mut Position) {
        self.inner.position(position);
    }

    fn key(&self) -> Option<&str> {
        self.inner.key()
    }

    fn place(&self, places: &mut Vec<u64>) {
        self.inner.place(places);
    }

    fn place_after(&self, places: &mut Vec<u64>) {
        self.inner.place_after(places);
    }

    fn resume(&mut self, places: &mut Places) {
        self.inner.resume(places);
    }
}
