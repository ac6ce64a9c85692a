//! Figures of data types, one of each kind that Riak's statistics tell of (fact R350).

use mapring_datatypes::Kind;

/// Of grow-only sets Riak's statistics have nothing.
const KINDS: [Kind; 4] = [Kind::Counter, Kind::Set, Kind::Map, Kind::Hll];

/// One of each of these kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByKind<T>([T; KINDS.len()]);

impl<T> ByKind<T> {
    /// That of a kind, unless nothing is told of it.
    pub fn of(&self, kind: Kind) -> Option<&T> {
        KINDS.iter().zip(&self.0).find(|(known, _)| **known == kind).map(|(_, one)| one)
    }

    /// What is made of each.
    pub fn map<U>(&self, make: impl FnMut(&T) -> U) -> ByKind<U> {
        ByKind(self.0.each_ref().map(make))
    }

    /// Each with its kind.
    pub fn each(&self) -> impl Iterator<Item = (Kind, &T)> {
        KINDS.into_iter().zip(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own() {
        let mut next = 0;
        let numbers = ByKind::<()>::default().map(|()| {
            next += 1;
            next
        });
        for (kind, number) in numbers.each() {
            assert_eq!(numbers.of(kind), Some(number));
        }
        assert_eq!(numbers.of(Kind::Counter), Some(&1));
        assert_eq!(numbers.of(Kind::Hll), Some(&4));
        assert_eq!(numbers.of(Kind::GSet), None);
    }
}
