//! Counters: what each actor has counted, under the dot of its last change.

use mapring_types::{Dot, VersionVector};

use crate::dotted::{DotStore, Dotted};

/// See the module. An actor counts on from what it has counted itself, so that its last entry takes the
/// place of those before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counter(pub(crate) Dotted<i128>);

impl Counter {
    pub(crate) fn add(&mut self, dot: Dot, by: i64) {
        let own = self.0.iter().filter(|(before, _)| before.actor == dot.actor);
        let before = own.fold(0, |sum: i128, (_, part)| sum.saturating_add(*part));
        self.0.retain(|before| before.actor != dot.actor);
        self.0.insert(dot, before.saturating_add(by.into()));
    }

    pub(crate) fn value(&self) -> i128 {
        self.0.values().fold(0, |sum, part| sum.saturating_add(*part))
    }
}

impl DotStore for Counter {
    fn join(&mut self, own: &VersionVector, other: &Self, theirs: &VersionVector) {
        self.0.join(own, &other.0, theirs);
    }

    fn forget(&mut self, seen: &VersionVector) {
        self.0.forget(seen);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&self) -> usize {
        self.0.count()
    }
}
