//! What of a file is in use: places are given out, and given out again when they come back.

use std::collections::BTreeMap;

/// The places of a file.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// The file has so many bytes.
    end: u64,
    /// Those that nobody uses: where they begin, and how many they are. No two touch.
    free: BTreeMap<u64, u64>,
    /// Those that are not used any more, and which the index on disk still names: they stay as they
    /// are until it does not.
    named: Vec<(u64, u64)>,
}

impl Space {
    /// Of a file in which these parts are used, which are in their order and do not overlap.
    pub(super) fn of(parts: &[(u64, u64)]) -> Self {
        let mut space = Self::default();
        for (at, length) in parts {
            if *at > space.end {
                space.free.insert(space.end, at - space.end);
            }
            space.end = at + length;
        }
        space
    }

    /// Where so many bytes are free without the file becoming longer. They are taken.
    pub(super) fn reuse(&mut self, length: u64) -> Option<u64> {
        let fits = self.free.iter().find(|(_, free)| **free >= length);
        let (at, free) = fits.map(|(at, free)| (*at, *free))?;
        self.free.remove(&at);
        if free > length {
            self.free.insert(at + length, free - length);
        }
        Some(at)
    }

    /// Takes so many bytes behind all others.
    pub(super) fn extend(&mut self, length: u64) -> u64 {
        let at = self.end;
        self.end += length;
        at
    }

    /// Gives bytes back.
    pub(super) fn give_back(&mut self, at: u64, length: u64) {
        let (mut at, mut length) = (at, length);
        if let Some((&before, &free)) = self.free.range(..at).next_back()
            && before + free == at
        {
            self.free.remove(&before);
            (at, length) = (before, free + length);
        }
        if let Some(free) = self.free.remove(&(at + length)) {
            length += free;
        }
        self.free.insert(at, length);
    }

    /// Gives bytes back that the index on disk names.
    pub(super) fn give_back_named(&mut self, at: u64, length: u64) {
        self.named.push((at, length));
    }

    /// What was given back so until now: to be given back when there is another index.
    pub(super) fn take_named(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.named)
    }

    /// How many bytes the file has, those that nobody uses among them.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_back_is_given_out_again_as_one() {
        let mut space = Space::default();
        assert_eq!(space.reuse(1), None);
        assert_eq!([space.extend(10), space.extend(20), space.extend(30)], [0, 10, 30]);
        space.give_back(0, 10);
        assert_eq!(space.reuse(11), None);
        space.give_back(30, 30);
        space.give_back(10, 20);
        assert_eq!(space.reuse(60), Some(0));
        assert_eq!((space.reuse(1), space.end()), (None, 60));
    }

    #[test]
    fn what_an_index_names_is_not_given_out() {
        let mut space = Space::of(&[(10, 10), (20, 5), (40, 10)]);
        assert_eq!((space.end(), space.reuse(11), space.reuse(10)), (50, Some(25), Some(0)));
        space.give_back_named(20, 5);
        assert_eq!(space.reuse(5), None);
        let named = space.take_named();
        assert_eq!((named.as_slice(), space.take_named()), (&[(20, 5)][..], Vec::new()));
        space.give_back(20, 5);
        assert_eq!(space.reuse(5), Some(20));
    }

    proptest! {
        #[test]
        fn no_byte_is_given_out_twice(steps in proptest::collection::vec((any::<bool>(), 1u64..50), 1..200)) {
            let mut space = Space::default();
            let mut held: Vec<(u64, u64)> = Vec::new();
            for (take, number) in steps {
                if take || held.is_empty() {
                    let at = space.reuse(number).unwrap_or_else(|| space.extend(number));
                    prop_assert!(at + number <= space.end());
                    for (other, length) in &held {
                        prop_assert!(at + number <= *other || other + length <= at);
                    }
                    held.push((at, number));
                } else {
                    let (at, length) = held.swap_remove(number as usize % held.len());
                    space.give_back(at, length);
                }
            }
            for (at, length) in held {
                space.give_back(at, length);
            }
            let end = space.end();
            prop_assert_eq!(space.reuse(end), Some(0));
        }
    }
}
