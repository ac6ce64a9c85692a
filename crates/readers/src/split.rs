//! Pieces of roots.

use serde::{Deserialize, Serialize};

use crate::zip::Member;

/// What one reader reads of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// All of it.
    Whole,
    /// What begins in the bytes `(start, end]`; of the first piece, byte 0 too.
    Bytes {
        /// The byte behind which it begins.
        start: u64,
        /// The last byte at which something may begin.
        end: u64,
    },
    /// Members of an archive.
    Members {
        /// The number of the first.
        first: u64,
        /// The byte of its entry in the directory.
        entry: u64,
        /// The number behind the last; `None` for all.
        until: Option<u64>,
    },
}

/// A root of `length` bytes in `pieces` pieces of bytes, or in fewer where there would be empty ones.
pub fn split(length: u64, pieces: u64) -> Vec<Piece> {
    let count = pieces.clamp(1, length.max(1));
    let cut = |number: u64| {
        let place = u128::from(length) * u128::from(number) / u128::from(count);
        // A part of a length is no longer than it.
        u64::try_from(place).unwrap_or(length)
    };
    (0..count).map(|number| Piece::Bytes { start: cut(number), end: cut(number + 1) }).collect()
}

/// Gathers members to pieces of at least so many bytes.
pub struct MemberPieces {
    least: u64,
    open: Option<(Member, u64)>,
}

impl MemberPieces {
    /// Each piece but the last has `least` unpacked bytes or more.
    pub fn new(least: u64) -> Self {
        Self { least, open: None }
    }

    /// Takes the next member; gives a piece that has ended with it.
    pub fn push(&mut self, member: Member) -> Option<Piece> {
        let (index, size) = (member.index, member.size);
        let (first, bytes) = self.open.take().unwrap_or((member, 0));
        let bytes = bytes.saturating_add(size);
        if bytes >= self.least {
            let (first, entry) = (first.index, first.entry);
            return Some(Piece::Members { first, entry, until: Some(index + 1) });
        }
        self.open = Some((first, bytes));
        None
    }

    /// The last piece, if it has any members.
    pub fn end(self) -> Option<Piece> {
        let (first, _) = self.open?;
        Some(Piece::Members { first: first.index, entry: first.entry, until: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(length: u64, pieces: u64, expect: &[(u64, u64)]) {
        let expect: Vec<Piece> =
            expect.iter().map(|&(start, end)| Piece::Bytes { start, end }).collect();
        assert_eq!(split(length, pieces), expect);
    }

    #[test]
    fn pieces_are_even_and_never_empty() {
        check(14, 3, &[(0, 4), (4, 9), (9, 14)]);
        check(22, 2, &[(0, 11), (11, 22)]);
        check(2, 8, &[(0, 1), (1, 2)]);
        check(0, 8, &[(0, 0)]);
        check(u64::MAX, 2, &[(0, u64::MAX / 2), (u64::MAX / 2, u64::MAX)]);
    }

    #[test]
    fn members_are_gathered() {
        let mut pieces = MemberPieces::new(10);
        let member = |index, size| Member { index, size, entry: 100 + index };
        assert_eq!(pieces.push(member(0, 4)), None);
        let expect = Piece::Members { first: 0, entry: 100, until: Some(2) };
        assert_eq!(pieces.push(member(1, 6)), Some(expect));
        assert_eq!(pieces.push(member(2, 3)), None);
        let last = Piece::Members { first: 2, entry: 102, until: None };
        assert_eq!(pieces.end(), Some(last));
    }
}
