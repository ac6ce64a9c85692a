//! Figures of data types, one of each kind that Riak's statistics tell of (fact R350).

use mapring_datatypes::Kind;
use mapring_datatypes::object::Made;
use tokio::time::Instant;

use crate::window::{Counted, Minute, Summary, Tally, Timed, Values};

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

/// What vnodes have done with data types of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindFigures {
    /// Updates that they were asked to apply as coordinators.
    pub updates: Counted,
    /// How long that took, in microseconds.
    pub update_time: Summary,
    /// Objects with such values, joined with what lay in a vnode already.
    pub merges: Counted,
    /// How long the joining took, in microseconds.
    pub merge_time: Summary,
    /// Actors in the states that updates made; of a HyperLogLog it is how many bytes it has.
    pub sizes: Summary,
    /// All bytes of the states that updates made.
    pub bytes: Counted,
}

/// Keeps that of a kind that is in use: minutes of measurements take some memory.
#[derive(Debug, Default)]
pub(crate) struct OfKind {
    pub(crate) updates: Timed,
    pub(crate) merges: Timed,
    sizes: Minute<Values>,
    bytes: Tally,
}

impl OfKind {
    /// An update has just made a state.
    pub(crate) fn note(&self, kind: Kind, made: Made) {
        let size = if kind == Kind::Hll { made.bytes } else { made.actors };
        self.sizes.record(Instant::now(), |slot| slot.note(size as u64));
        self.bytes.add(made.bytes as u64);
    }

    pub(crate) fn told(&self) -> KindFigures {
        let ((updates, update_time), (merges, merge_time)) =
            (self.updates.told(), self.merges.told());
        KindFigures {
            updates,
            update_time,
            merges,
            merge_time,
            sizes: self.sizes.sum(Instant::now()).summary(),
            bytes: self.bytes.counted(),
        }
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

    #[tokio::test(start_paused = true)]
    async fn sizes_are_actors_or_bytes() {
        let made = Made { actors: 3, bytes: 500 };
        for (kind, size) in [(Kind::Counter, 3), (Kind::Map, 3), (Kind::Hll, 500)] {
            let kept = OfKind::default();
            kept.note(kind, made);
            kept.note(kind, made);
            let told = kept.told();
            assert_eq!((told.sizes.mean, told.sizes.highest), (size, size), "{kind:?}");
            assert_eq!((told.bytes.total, told.bytes.minute), (1_000, 1_000), "{kind:?}");
        }
    }
}
