//! A document in memory, so that any byte of it can be gone to.

use crate::documents::{Documents, stop};
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
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

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
}
