//! The edit distance of two texts (Levenshtein).
//!
//! Many cells of the usual table at once: a column is kept as the bits of its differences, 64 rows
//! a word (G. Myers, *A fast bit-vector algorithm for approximate string matching*, 1999; in the form
//! of H. Hyyrö, 2003). Keys can have 64 KB, and a table of that is too much for one key.

/// A text that others are compared with.
#[derive(Debug)]
pub(super) struct Pattern {
    length: usize,
    /// For each block of 64 characters: where in it each character stands.
    blocks: Vec<[u64; 256]>,
}

/// A column of one block: where it rises and where it falls from row to row.
#[derive(Clone, Copy)]
struct Column {
    rises: u64,
    falls: u64,
}

const START: Column = Column { rises: u64::MAX, falls: 0 };

impl Pattern {
    pub(super) fn new(text: &[u8]) -> Self {
        let block = |chunk: &[u8]| {
            let mut places = [0; 256];
            for (at, char) in chunk.iter().enumerate() {
                places[usize::from(*char)] |= 1 << at;
            }
            places
        };
        Self { length: text.len(), blocks: text.chunks(64).map(block).collect() }
    }

    /// Whether at most `most` characters must be put in, taken out or changed.
    pub(super) fn within(&self, text: &[u8], most: usize) -> bool {
        // So much the lengths alone say.
        if text.len().abs_diff(self.length) > most {
            return false;
        }
        text.len().max(self.length) <= most || self.distance(text) <= most
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn distance(&self, text: &[u8]) -> usize {
        let Some((last, before)) = self.blocks.split_last() else { return text.len() };
        let bottom = 1 << ((self.length - 1) % 64);
        let mut columns = vec![START; before.len()];
        let mut last_column = START;
        let mut distance = self.length;
        for char in text {
            // Along the top the distance grows by one with each character.
            let mut step = 1;
            for (places, column) in before.iter().zip(&mut columns) {
                step = advance(column, places[usize::from(*char)], step, 1 << 63);
            }
            match advance(&mut last_column, last[usize::from(*char)], step, bottom) {
                1 => distance += 1,
                -1 => distance -= 1,
                _ => {}
            }
        }
        distance
    }
}

/// Goes on by a character, which stands at `places` of the block. `step` is how the distance
/// changes above the block; the result is how it changes at the row `bottom`.
fn advance(column: &mut Column, places: u64, step: i8, bottom: u64) -> i8 {
    let Column { rises, falls } = *column;
    let vertical = places | falls;
    let places = if step < 0 { places | 1 } else { places };
    let horizontal = ((places & rises).wrapping_add(rises) ^ rises) | places;
    let mut grows = falls | !(horizontal | rises);
    let mut shrinks = rises & horizontal;
    let change = i8::from(grows & bottom != 0) - i8::from(shrinks & bottom != 0);
    grows = (grows << 1) | u64::from(step > 0);
    shrinks = (shrinks << 1) | u64::from(step < 0);
    *column = Column { rises: shrinks | !(vertical | grows), falls: grows & vertical };
    change
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The table, as a textbook has it.
    fn textbook(a: &[u8], b: &[u8]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, y) in b.iter().enumerate() {
                let changed = diagonal + usize::from(x != y);
                diagonal = row[j + 1];
                row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
            }
        }
        row[b.len()]
    }

    #[track_caller]
    fn check(a: &str, b: &str, expect: usize) {
        assert_eq!(Pattern::new(a.as_bytes()).distance(b.as_bytes()), expect);
        assert_eq!(Pattern::new(b.as_bytes()).distance(a.as_bytes()), expect);
    }

    #[test]
    fn distances() {
        check("", "", 0);
        check("", "abc", 3);
        check("basho", "basho", 0);
        check("basho", "baysho", 1);
        check("kitten", "sitting", 3);
        check("flaw", "lawn", 2);
        check("abc", "xyz", 3);
        check(&"a".repeat(64), &"a".repeat(65), 1);
        check(&"ab".repeat(100), &"ba".repeat(100), 2);
        check(&"a".repeat(200), "", 200);
    }

    proptest! {
        #[test]
        fn is_what_the_table_gives(a in "[abc]{0,200}", b in "[abc]{0,200}", most in 0usize..220) {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let expect = textbook(a, b);
            prop_assert_eq!(Pattern::new(a).distance(b), expect);
            prop_assert_eq!(Pattern::new(a).within(b, most), expect <= most);
        }
    }
}
