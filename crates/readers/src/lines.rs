//! Each line of a document as a document.

use crate::cursor::Places;
use crate::documents::{Documents, Position};
use crate::error::Pull;
use crate::splitter::Splitter;

/// The layer.
pub(crate) struct Lines {
    inner: Box<dyn Documents>,
    splitter: Splitter,
    /// Whether the layer below has a document that is being split.
    open: bool,
    /// Where to begin in the next document: at its start, unless the reader goes on.
    from: u64,
    taken: usize,
}

impl Lines {
    pub(crate) fn new(inner: Box<dyn Documents>, splitter: Splitter) -> Self {
        Self { inner, splitter, open: false, from: 0, taken: 0 }
    }
}

impl Documents for Lines {
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

    fn next(&mut self) -> Pull<bool> {
        loop {
            if !self.open {
                if !self.inner.next()? {
                    return Ok(false);
                }
                self.open = true;
                self.splitter.begin(std::mem::take(&mut self.from));
            }
            if self.splitter.next(self.inner.as_mut())? {
                self.taken = 0;
                return Ok(true);
            }
            self.open = false;
        }
    }

    fn fill(&mut self) -> Pull<bool> {
        Ok(!self.bytes().is_empty())
    }

    fn bytes(&self) -> &[u8] {
        &self.splitter.text()[self.taken..]
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }

    fn at(&self) -> u64 {
        self.taken as u64
    }

    fn names(&self, within: &mut Vec<String>) {
        self.inner.names(within);
        within.push(format!("the line at byte {}", self.splitter.at()));
    }

    fn position(&self, position: &mut Position) {
        self.inner.position(position);
        position.number("offset", self.splitter.at());
    }

    fn place(&self, places: &mut Vec<u64>) {
        self.inner.place(places);
        places.push(self.splitter.place());
    }

    fn place_after(&self, places: &mut Vec<u64>) {
        if self.open {
            self.inner.place(places);
            places.push(self.splitter.place_after());
        } else {
            self.inner.place_after(places);
            places.push(self.from);
        }
    }

    fn resume(&mut self, places: &mut Places) {
        self.inner.resume(places);
        self.from = places.take().unwrap_or(0);
    }
}
