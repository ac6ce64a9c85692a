//! What all layers are: a stream of documents, each a stream of bytes.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::cursor::Places;
use crate::error::{Pull, ReadError, Stop};

/// A layer. Whatever is stopped for want of bytes of the root is called again with the same arguments
/// and goes on where it stood.
///
/// After [`Stop::Broken`] the layer goes on behind the damage: [`Documents::next`] gives the next
/// document of which something can be known.
pub(crate) trait Documents: Send {
    /// The layer below, to which goes what this one does not answer itself; `None` of the lowest.
    fn below(&self) -> Option<&dyn Documents>;

    /// As [`Documents::below`].
    fn below_mut(&mut self) -> Option<&mut dyn Documents>;

    /// Goes to the next document, whatever is left of the present one; `false` when there is none.
    fn next(&mut self) -> Pull<bool>;

    /// Has bytes of the present document ready; `false` at its end.
    fn fill(&mut self) -> Pull<bool>;

    /// What is ready: not empty after [`Documents::fill`] has returned `true`.
    fn bytes(&self) -> &[u8];

    /// Goes over the first so many bytes of what is ready.
    fn consume(&mut self, count: usize);

    /// The place of the first byte that is not consumed, in the present document.
    fn at(&self) -> u64;

    /// Goes to a byte of the present document; behind its end, to the end. Only where the length is
    /// known can it lie before the present one.
    fn seek(&mut self, to: u64) -> Pull<()> {
        while self.at() < to && self.fill()? {
            let wanted = usize::try_from(to - self.at()).unwrap_or(usize::MAX);
            let ready = self.bytes().len();
            self.consume(wanted.min(ready));
        }
        Ok(())
    }

    /// The length of the present document, where any byte of it can be gone to.
    fn length(&self) -> Option<u64> {
        None
    }

    /// Takes bytes of the root.
    fn feed(&mut self, at: u64, bytes: Bytes) {
        if let Some(below) = self.below_mut() {
            below.feed(at, bytes);
        }
    }

    /// Puts down what the present document is called.
    fn names(&self, within: &mut Vec<String>) {
        if let Some(below) = self.below() {
            below.names(within);
        }
    }

    /// Puts down where the present document is, for functions.
    fn position(&self, position: &mut Position) {
        if let Some(below) = self.below() {
            below.position(position);
        }
    }

    /// The key of the present document, where it has one of its own.
    fn key(&self) -> Option<&str> {
        self.below()?.key()
    }

    /// Puts down the place at which the present document is met again.
    fn place(&self, places: &mut Vec<u64>) {
        if let Some(below) = self.below() {
            below.place(places);
        }
    }

    /// Puts down the place behind the present document.
    fn place_after(&self, places: &mut Vec<u64>) {
        if let Some(below) = self.below() {
            below.place_after(places);
        }
    }

    /// Goes on from a place: before anything else is called.
    fn resume(&mut self, places: &mut Places) {
        if let Some(below) = self.below_mut() {
            below.resume(places);
        }
    }
}

/// An error at a byte of the present document of a layer.
pub(crate) fn broken(
    documents: &(impl Documents + ?Sized),
    byte: u64,
    message: impl Into<String>,
) -> ReadError {
    let mut within = Vec::new();
    documents.names(&mut within);
    ReadError { within, byte, about: None, message: message.into() }
}

/// As [`broken`], as a reason to stop.
pub(crate) fn stop<T>(
    documents: &(impl Documents + ?Sized),
    byte: u64,
    message: impl Into<String>,
) -> Pull<T> {
    Err(Stop::Broken(broken(documents, byte, message)))
}

/// Takes bytes of the present document until there are so many in `gathered`; `false` when it ends
/// before.
pub(crate) fn gather(
    documents: &mut (impl Documents + ?Sized),
    gathered: &mut Vec<u8>,
    count: usize,
) -> Pull<bool> {
    while gathered.len() < count {
        if !documents.fill()? {
            return Ok(false);
        }
        let ready = documents.bytes();
        let taken = ready.len().min(count - gathered.len());
        gathered.extend_from_slice(&ready[..taken]);
        documents.consume(taken);
    }
    Ok(true)
}

/// Where a document is: the members of a JSON object.
#[derive(Default)]
pub(crate) struct Position(String);

impl Position {
    pub(crate) fn number(&mut self, name: &str, number: u64) {
        self.begin(name);
        // Writing to memory cannot fail.
        let _ = write!(self.0, "{number}");
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.begin(name);
        self.0.push_str(&quoted(text));
    }

    fn begin(&mut self, name: &str) {
        self.0.push_str(if self.0.is_empty() { "{\"" } else { ",\"" });
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    /// As JSON; `None` when there is nothing to say.
    pub(crate) fn into_json(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0)
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    // A text can always be written.
    serde_json::to_string(text).unwrap_or_default()
}
