//! Counters: what each actor has counted, under the dot of its last change.

use mapring_types::Dot;

use crate::dotted::Dotted;

/// See the module. An actor counts on from what it has counted itself, so that its last entry takes the
/// place of those before.
pub(crate) type Counter = Dotted<i128>;

impl Counter {
    pub(crate) fn add(&mut self, dot: Dot, by: i64) {
        let own = self.iter().filter(|(before, _)| before.actor == dot.actor);
        let before = own.fold(0, |sum: i128, (_, part)| sum.saturating_add(*part));
        self.retain(|before| before.actor != dot.actor);
        self.insert(dot, before.saturating_add(by.into()));
    }

    pub(crate) fn value(&self) -> i128 {
        self.values().fold(0, |sum, part| sum.saturating_add(*part))
    }
}
