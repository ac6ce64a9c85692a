//! Objects that are sent in pieces, because they are too large for one message.
//!
//! A piece carries some of an object's values, with a clock that covers no value that is still to
//! come. So it says of every write that its clock covers whether its value lives, and joins like a
//! whole object: whoever has taken in any number of an object's pieces, in their order, has lost
//! nothing and learned nothing false; with the last piece it has all. Pieces may come again, late, or
//! between other changes.

use std::collections::BTreeSet;

use crate::clock::{Dot, VersionVector};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Object, Sibling};

/// One piece of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Values, in the order of their dots, and the writes of which this piece and those before it
    /// say what became of them.
    pub part: Object,
    /// The writes of the object's values that were sent before, in order.
    pub before: Vec<Dot>,
    /// How many values are still to come.
    pub left: usize,
}

impl Object {
    /// The next piece for whom the values of the writes in `sent` are known: at least one value, and
    /// more of them while they have at most `most` bytes together.
    ///
    /// Only the last piece has the whole clock: what the values replaced is let go of when all of
    /// them are there, except where writes of one actor replaced each other.
    pub fn piece(&self, sent: &BTreeSet<Dot>, most: usize) -> Piece {
        let (before, mut left): (Vec<&Sibling>, Vec<_>) =
            self.siblings.iter().partition(|sibling| sent.contains(&sibling.dot));
        let before: Vec<Dot> = before.iter().map(|sibling| sibling.dot).collect();
        let mut bytes = 0_usize;
        let carried = left.iter().take_while(|sibling| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(sibling.bytes().max(1));
            first || bytes <= most
        });
        let rest = left.split_off(carried.count());
        let siblings: Vec<Sibling> = left.into_iter().cloned().collect();
        let clock = if rest.is_empty() {
            self.clock.clone()
        } else {
            let known = siblings.iter().map(|sibling| sibling.dot).chain(before.iter().copied());
            let first = |dot: &Dot| rest.iter().find(|sibling| sibling.dot.actor == dot.actor);
            let mut clock = VersionVector::new();
            known
                .filter(|dot| first(dot).is_none_or(|rest| dot.counter < rest.dot.counter))
                .for_each(|dot| clock.add(dot));
            clock
        };
        Piece { part: Object { clock, siblings }, before, left: rest.len() }
    }

    /// What this object says of the writes that its clock covers, without any value: of those that
    /// another replica has, only this object's own live on. It is a last piece, for whom these are
    /// known.
    pub fn verdict(&self) -> Piece {
        let before = self.siblings.iter().map(|sibling| sibling.dot).collect();
        let part = Object { clock: self.clock.clone(), siblings: Vec::new() };
        Piece { part, before, left: 0 }
    }

    /// Joins a piece of another replica's object.
    ///
    /// # Errors
    /// `Precondition` when a value that was sent before never came here: then nothing is changed, and
    /// the pieces have to be sent from the first on.
    pub fn join_piece(&mut self, piece: Piece) -> Result<()> {
        let Piece { part, before, .. } = piece;
        if !before.iter().all(|dot| self.clock.covers(*dot)) {
            let message = "a piece of an object has come without those before it";
            return Err(Error::new(ErrorKind::Precondition, message));
        }
        let lives = |dot: Dot| before.contains(&dot) || part.siblings.iter().any(|s| s.dot == dot);
        self.siblings.retain(|old| !part.clock.covers(old.dot) || lives(old.dot));
        // What is covered here is there already, or was replaced.
        let new = part.siblings.into_iter().filter(|sibling| !self.clock.covers(sibling.dot));
        self.siblings.extend(new.collect::<Vec<_>>());
        self.siblings.sort_unstable_by_key(|sibling| sibling.dot);
        self.clock.merge(&part.clock);
        self.assert_sound();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::ActorId;
    use crate::object::Metadata;

    fn sibling(actor: u64, counter: u64, bytes: usize) -> Sibling {
        Sibling {
            dot: Dot { actor: ActorId(actor), counter },
            last_modified: counter,
            deleted: false,
            metadata: Metadata::default(),
            body: Bytes::from(vec![b'x'; bytes]),
        }
    }

    /// Three replicas that wrote and merged at random, with whose counters.
    fn replay(steps: &[(u8, u8, bool)]) -> (Vec<Object>, [u64; 3]) {
        let mut replicas = vec![Object::default(); 3];
        let mut counters = [0; 3];
        for &(at, with, write) in steps {
            let (at, with) = (usize::from(at % 3), usize::from(with));
            if write {
                counters[at] += 1;
                // Some have seen nothing, some what a replica knows.
                let seen = replicas.get(with % 4).map(|seen| seen.clock.clone());
                let new = sibling(at as u64, counters[at], with % 7);
                replicas[at].update(&seen.unwrap_or_default(), new);
            } else {
                let other = replicas[with % 3].clone();
                replicas[at].merge(&other);
            }
        }
        (replicas, counters)
    }

    fn check(object: &Object) {
        assert!(object.siblings.iter().all(|s| object.clock.covers(s.dot)), "{object:?}");
        assert!(object.siblings.windows(2).all(|pair| pair[0].dot < pair[1].dot), "{object:?}");
    }

    fn dots(object: &Object) -> impl Iterator<Item = Dot> + '_ {
        object.siblings.iter().map(|sibling| sibling.dot)
    }

    fn steps() -> impl Strategy<Value = Vec<(u8, u8, bool)>> {
        proptest::collection::vec(any::<(u8, u8, bool)>(), 0..40)
    }

    proptest! {
        /// Whatever comes between the pieces, how large they are, and however often they come: at
        /// every step nothing false is known, and the end is the merge of the whole.
        #[test]
        fn pieces_together_are_a_merge(
            steps in steps(),
            sizes in proptest::collection::vec(0..12usize, 1..8),
            between in proptest::collection::vec(0..6u8, 0..20),
        ) {
            let (replicas, mut counters) = replay(&steps);
            let [from, at, third] = &replicas[..] else { unreachable!() };
            let (mut there, mut expected) = (at.clone(), at.clone());
            expected.merge(from);
            let (mut sent, mut earlier) = (BTreeSet::new(), Vec::new());
            let mut between = between.into_iter();
            for size in sizes.iter().cycle() {
                let piece = from.piece(&sent, *size);
                prop_assert!(piece.part.siblings.len() + piece.before.len() + piece.left
                    == from.siblings.len());
                earlier.push(piece.clone());
                sent.extend(dots(&piece.part));
                let last = piece.left == 0;
                there.join_piece(piece).unwrap();
                match between.next() {
                    Some(0) => {
                        there.merge(third);
                        expected.merge(third);
                    }
                    Some(1) => {
                        counters[1] += 1;
                        let new = sibling(1, counters[1], 3);
                        there.update(&at.clock, new.clone());
                        expected.update(&at.clock, new);
                    }
                    Some(2) => earlier.iter().for_each(|piece| {
                        there.join_piece(piece.clone()).unwrap();
                    }),
                    Some(3) => {
                        // All over again, from the first.
                        sent.clear();
                        check(&there);
                        continue;
                    }
                    _ => {}
                }
                check(&there);
                // A prefix loses nothing: whatever else it learns, the whole can still be merged in.
                let mut whole = there.clone();
                whole.merge(from);
                prop_assert_eq!(&whole, &expected);
                if last {
                    break;
                }
            }
            prop_assert_eq!(there, expected);
        }

        /// It is as good as the whole object where its values are known, and changes nothing where one
        /// of them is not.
        #[test]
        fn a_verdict_is_a_merge_where_the_values_are_known(steps in steps()) {
            let (replicas, _) = replay(&steps);
            let [from, at, _] = &replicas[..] else { unreachable!() };
            let (mut there, mut expected) = (at.clone(), at.clone());
            if dots(from).all(|dot| at.clock.covers(dot)) {
                there.join_piece(from.verdict()).unwrap();
                expected.merge(from);
            } else {
                there.join_piece(from.verdict()).unwrap_err();
            }
            check(&there);
            prop_assert_eq!(there, expected);
        }

        /// A reader that asks for what it has not got has the whole in the end, though the object
        /// changes meanwhile.
        #[test]
        fn an_object_that_changes_is_read_in_pieces(steps in steps(), size in 0..12usize) {
            let (mut replicas, _) = replay(&steps);
            let others = replicas.split_off(1);
            let mut there = replicas.remove(0);
            let mut changes = others.into_iter();
            let (mut read, mut have) = (Object::default(), BTreeSet::new());
            loop {
                let piece = there.piece(&have, size);
                let last = piece.left == 0;
                have.extend(dots(&piece.part));
                read.join_piece(piece).unwrap();
                check(&read);
                if last {
                    break;
                }
                if let Some(change) = changes.next() {
                    there.merge(&change);
                }
            }
            prop_assert_eq!(read, there);
        }

        /// A piece never comes into effect without those that it follows.
        #[test]
        fn a_gap_is_noticed(steps in steps(), size in 0..12usize) {
            let (replicas, _) = replay(&steps);
            let from = &replicas[0];
            let (mut sent, mut first) = (BTreeSet::new(), true);
            loop {
                let piece = from.piece(&sent, size);
                sent.extend(dots(&piece.part));
                let left = piece.left;
                let mut there = Object::default();
                let joined = there.join_piece(piece);
                prop_assert_eq!(joined.is_ok(), first);
                if !first {
                    prop_assert_eq!(there, Object::default());
                }
                if left == 0 {
                    break;
                }
                first = false;
            }
        }
    }

    #[test]
    fn a_piece_has_a_value_at_least_and_no_more_than_fit() {
        let mut object = Object::default();
        for (counter, bytes) in [(1, 50), (2, 10), (3, 10), (4, 90)] {
            object.update(&VersionVector::new(), sibling(counter, 1, bytes));
        }
        let (mut sent, mut sizes) = (BTreeSet::new(), Vec::new());
        loop {
            let piece = object.piece(&sent, 45);
            sent.extend(dots(&piece.part));
            sizes.push(piece.part.body_bytes());
            if piece.left == 0 {
                break;
            }
        }
        assert_eq!(sizes, [50, 20, 90]);
    }

    #[test]
    fn what_was_replaced_goes_with_the_last_piece() {
        let mut old = Object::default();
        old.update(&VersionVector::new(), sibling(1, 1, 1));
        let mut new = old.clone();
        new.update(&old.clock, sibling(2, 1, 10));
        new.update(&VersionVector::new(), sibling(3, 1, 10));
        let first = new.piece(&BTreeSet::new(), 1);
        let second = new.piece(&dots(&first.part).collect(), 1);
        let count = |object: &Object| object.siblings.len();
        old.join_piece(first).unwrap();
        assert_eq!(count(&old), 2, "the old value stays beside the new one");
        old.join_piece(second).unwrap();
        assert_eq!(old, new);
    }
}
