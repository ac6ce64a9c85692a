//! What of a file is in use: places are given out, and given out again when they come back.

use std::collections::BTreeMap;

/// The places of a file.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// The file has so many bytes.
    end: u64,
    /// Those that nobody uses: where they begin, and how many they are. No two touch.
    free: BTreeMap<u64, u64>,
}

impl Space {
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
