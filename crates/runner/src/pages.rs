//! Pages of lists whose entries are whole documents: bounded by their number and by their bytes. A list goes on
//! behind the name of its last entry.

use serde_json::Value;

use crate::error::JobsError;
use crate::{limits, list};

/// A page that is being filled.
#[derive(Debug)]
pub(crate) struct Page {
    entries: Vec<Value>,
    bytes: usize,
    /// Most entries.
    most: usize,
    /// The name of the last one.
    last: Option<String>,
    goes_on: bool,
}

impl Page {
    /// Of so many entries at most.
    ///
    /// # Errors
    /// `Invalid` where that is none, or too many.
    pub(crate) fn of(count: Option<usize>) -> Result<Self, JobsError> {
        let most = list::page(count.or(Some(limits::MOST_LISTED)))?;
        Ok(Self { entries: Vec::new(), bytes: 0, most, last: None, goes_on: false })
    }

    /// Adds an entry, unless the page is full. Returns whether it was added; the first one always is.
    pub(crate) fn add(&mut self, name: &str, entry: Value) -> bool {
        let bytes = entry.to_string().len();
        let fits = self.entries.len() < self.most
            && self.bytes.saturating_add(bytes) <= limits::PAGE_BYTES;
        if !fits && !self.entries.is_empty() {
            self.goes_on = true;
            return false;
        }
        self.bytes += bytes;
        self.entries.push(entry);
        self.last = Some(name.to_owned());
        true
    }

    /// The entries, and where the list goes on, if it does.
    pub(crate) fn end(self) -> (Vec<Value>, Option<String>) {
        let Self { entries, last, goes_on, .. } = self;
        (entries, last.filter(|_| goes_on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a page with entries of so many bytes; returns how many are on it, and where the list goes on.
    fn filled(count: Option<usize>, entries: usize, bytes: usize) -> (usize, Option<String>) {
        let mut page = Page::of(count).unwrap();
        for number in 0..entries {
            if !page.add(&number.to_string(), "x".repeat(bytes).into()) {
                break;
            }
        }
        let (entries, cursor) = page.end();
        (entries.len(), cursor)
    }

    #[test]
    fn a_page_is_bounded_by_its_entries_and_their_bytes() {
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(filled(None, 7, 10), (7, None));
        assert_eq!(filled(Some(7), 7, 10), (7, None));
        assert_eq!(filled(Some(3), 7, 10), (3, some("2")));
        assert_eq!(filled(None, 7, limits::PAGE_BYTES / 3), (2, some("1")));
        // What is larger than a page is one by itself.
        assert_eq!(filled(None, 7, 2 * limits::PAGE_BYTES), (1, some("0")));
        for count in [0, limits::MOST_LISTED + 1] {
            assert!(Page::of(Some(count)).is_err(), "{count}");
        }
    }
}
