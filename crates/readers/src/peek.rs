//! A document whose first bytes can be looked at before they are read.

use crate::documents::{Documents, gather};
use crate::error::Pull;

/// See the module.
pub(crate) struct Peek {
    inner: Box<dyn Documents>,
    /// What has been looked at, the first bytes of the document, …
    head: Vec<u8>,
    /// … and how much of it has been read since.
    read: usize,
}

impl Peek {
    pub(crate) fn new(inner: Box<dyn Documents>) -> Self {
        Self { inner, head: Vec::new(), read: 0 }
    }

    /// The first so many bytes of a document of which nothing has been read; fewer where it ends.
    pub(crate) fn look(&mut self, count: usize) -> Pull<&[u8]> {
        gather(self.inner.as_mut(), &mut self.head, count)?;
        Ok(&self.head)
    }

    fn rest(&self) -> &[u8] {
        &self.head[self.read..]
    }
}

impl Documents for Peek {
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

    fn next(&mut self) -> Pull<bool> {
        (self.head, self.read) = (Vec::new(), 0);
        self.inner.next()
    }

    fn fill(&mut self) -> Pull<bool> {
        if self.rest().is_empty() { self.inner.fill() } else { Ok(true) }
    }

    fn bytes(&self) -> &[u8] {
        if self.rest().is_empty() { self.inner.bytes() } else { self.rest() }
    }

    fn consume(&mut self, count: usize) {
        if self.rest().is_empty() { self.inner.consume(count) } else { self.read += count }
    }

    fn at(&self) -> u64 {
        if self.rest().is_empty() { self.inner.at() } else { self.read as u64 }
    }

    fn seek(&mut self, to: u64) -> Pull<()> {
        let head = self.head.len() as u64;
        if self.length().is_none() && to < head {
            // What lies behind is not read before it.
            self.read = usize::try_from(to).unwrap_or(usize::MAX).max(self.read);
            return Ok(());
        }
        self.read = self.head.len();
        self.inner.seek(to)
    }

    fn length(&self) -> Option<u64> {
        self.inner.length()
    }
}
