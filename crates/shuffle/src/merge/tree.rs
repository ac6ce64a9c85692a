//! A tree of losers: which of several cursors comes first, with one comparison a level when the first
//! has moved on.

use std::cmp::Ordering;

use mapring_types::Result;

use crate::key;
use crate::segment::Reader;

/// Cursors over segments, as one over all their records: by key, then by order, then by the place of
/// the segment in the list.
pub(super) struct Tree {
    cursors: Vec<Cursor>,
    /// At each inner node, from 1 on, the cursor that lost there; at 0 the one that won over all.
    nodes: Vec<usize>,
}

struct Cursor {
    /// Gone when its last record has been passed, and so is what it read from.
    reader: Option<Reader>,
    head: u128,
}

impl Cursor {
    fn next(&mut self) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        if reader.advance()? {
            self.head = key::head(reader.key());
        } else {
            self.reader = None;
        }
        Ok(())
    }
}

impl Tree {
    /// Places all cursors at their first records, or the first after a key.
    ///
    /// # Errors
    /// Those of the readers.
    pub(super) fn new(readers: Vec<Reader>, after: Option<&[u8]>) -> Result<Self> {
        let mut cursors = Vec::with_capacity(readers.len());
        for mut reader in readers {
            let found = match after {
                Some(key) => reader.seek_after(key)?,
                None => reader.advance()?,
            };
            let head = key::head(reader.key());
            cursors.push(Cursor { reader: found.then_some(reader), head });
        }
        let mut tree = Self { nodes: vec![0; cursors.len()], cursors };
        let count = tree.cursors.len();
        // Who has won at each node; the cursors stand behind the inner nodes.
        let mut won: Vec<usize> = (0..2 * count).map(|node| node.saturating_sub(count)).collect();
        for node in (1..count).rev() {
            let (one, other) = (won[2 * node], won[2 * node + 1]);
            let one_first = tree.compare(one, other).is_lt();
            (won[node], tree.nodes[node]) = if one_first { (one, other) } else { (other, one) };
        }
        if count > 0 {
            tree.nodes[0] = won[1];
        }
        Ok(tree)
    }

    /// The reader at the first of all records.
    pub(super) fn first(&self) -> Option<&Reader> {
        self.cursors.get(*self.nodes.first()?)?.reader.as_ref()
    }

    /// The [`key::head`] of the first of all records.
    pub(super) fn head(&self) -> Option<u128> {
        self.first().map(|_| self.cursors[self.nodes[0]].head)
    }

    /// Goes to the next record; whether it is known to have the same key.
    ///
    /// # Errors
    /// Those of the reader.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let Some(&moved) = self.nodes.first() else { return Ok(false) };
        self.cursors[moved].next()?;
        if self.first().is_some_and(Reader::is_repeated) {
            // It was before all others, and still is.
            return Ok(true);
        }
        let mut first = moved;
        let mut node = (self.cursors.len() + moved) / 2;
        while node > 0 {
            if self.compare(self.nodes[node], first).is_lt() {
                std::mem::swap(&mut self.nodes[node], &mut first);
            }
            node /= 2;
        }
        self.nodes[0] = first;
        Ok(false)
    }

    fn compare(&self, one: usize, other: usize) -> Ordering {
        let (first, second) = (&self.cursors[one], &self.cursors[other]);
        let (a, b) = match (&first.reader, &second.reader) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => return b.is_some().cmp(&a.is_some()),
        };
        first
            .head
            .cmp(&second.head)
            .then_with(|| rest(a.key(), b.key()))
            .then_with(|| a.order().cmp(b.order()))
            .then(one.cmp(&other))
    }
}

/// Compares keys with the same head.
pub(super) fn rest(one: &[u8], other: &[u8]) -> Ordering {
    if key::is_in_head(one.len().min(other.len())) { Ordering::Equal } else { one.cmp(other) }
}
