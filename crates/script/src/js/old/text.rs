//! A text with changes, and where its places were before them.

use std::cmp::Reverse;

/// A change of a text. None holds or takes away a line's end.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    /// Where, in bytes.
    at: usize,
    /// Bytes that go.
    removed: usize,
    put: String,
    /// For what closes something: where that was opened. Of several at one place the inmost is first,
    /// and before what is opened there.
    closes: Option<usize>,
}

impl Edit {
    pub(super) fn replace(at: usize, removed: usize, put: impl Into<String>) -> Self {
        Self { at, removed, put: put.into(), closes: None }
    }

    pub(super) fn insert(at: usize, put: impl Into<String>) -> Self {
        Self::replace(at, 0, put)
    }

    pub(super) fn close(at: usize, opened: usize, put: impl Into<String>) -> Self {
        Self { closes: Some(opened), ..Self::insert(at, put) }
    }
}

/// A text after changes.
#[derive(Debug, Clone)]
pub(in crate::js) struct Mended {
    text: String,
    edits: Vec<Edit>,
}

impl Mended {
    /// The text with these changes, which do not overlap; nothing when there are none.
    pub(super) fn new(source: &str, mut edits: Vec<Edit>) -> Option<Self> {
        if edits.is_empty() {
            return None;
        }
        edits.sort_by_key(|edit| (edit.at, edit.closes.is_none(), Reverse(edit.closes)));
        let mut text = String::with_capacity(source.len() + 16 * edits.len());
        let mut rest = 0;
        for edit in &edits {
            text.push_str(source.get(rest..edit.at)?);
            text.push_str(&edit.put);
            rest = edit.at + edit.removed;
        }
        text.push_str(source.get(rest..)?);
        Some(Self { text, edits })
    }

    /// The text.
    pub(in crate::js) fn text(&self) -> &str {
        &self.text
    }

    /// Where a byte of the text was in the source.
    pub(in crate::js) fn original(&self, byte: usize) -> usize {
        let (mut here, mut there) = (0, 0);
        for edit in &self.edits {
            let next = here + (edit.at - there);
            if byte < next {
                break;
            }
            here = next + edit.put.len();
            there = edit.at + edit.removed;
            if byte < here {
                return edit.at;
            }
        }
        there + (byte - here)
    }

    /// Where a place (line and column, from 1) was in the source.
    pub(in crate::js) fn place(
        &self,
        source: &str,
        (line, column): (usize, usize),
    ) -> Option<(usize, usize)> {
        use crate::js::position::{offset, place};
        Some(place(source, self.original(offset(&self.text, line, column)?)))
    }
}
