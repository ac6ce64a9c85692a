//! A part of the documents, chosen by where they are: the same however the root is split.

use bytes::Bytes;

use crate::cursor::Places;
use crate::documents::{Documents, Position};
use crate::error::Pull;
use crate::generate::splitmix;

/// Whether something at a place is chosen, when so many of 2^64 are.
pub(crate) fn chosen(share: u64, seed: u64, places: &[u64]) -> bool {
    places.iter().fold(seed, |hash, place| splitmix(hash, *place)) < share
}

/// The layer.
pub(crate) struct Sample {
    inner: Box<dyn Documents>,
    share: u64,
    seed: u64,
}

impl Sample {
    pub(crate) fn new(inner: Box<dyn Documents>, share: u64, seed: u64) -> Self {
        Self { inner, share, seed }
    }
}

impl Documents for Sample {
    fn next(&mut self) -> Pull<bool> {
        while self.inner.next()? {
            let mut places = Vec::new();
            self.inner.place(&mut places);
            if chosen(self.share, self.seed, &places) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fill(&mut self) -> Pull<bool> {
        self.inner.fill()
    }

    fn bytes(&self) -> &[u8] {
        self.inner.bytes()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }

    fn at(&self) -> u64 {
        self.inner.at()
    }

    fn seek(&mut self, to: u64) -> Pull<()> {
        self.inner.seek(to)
    }

    fn length(&self) -> Option<u64> {
        self.inner.length()
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
