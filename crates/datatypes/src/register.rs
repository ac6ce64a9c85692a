//! Registers: the last value that was assigned, by time and then by dot.

use bytes::Bytes;
use mapring_types::{Dot, VersionVector};

use crate::dotted::{DotStore, Dotted};

/// A value and when it was assigned, in microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) at: u64,
    pub(crate) value: Bytes,
}

/// See the module. Values that were assigned at the same time stay beside each other, so that one of them
/// can be removed without the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Register(pub(crate) Dotted<Assigned>);

impl Register {
    /// A value is never older than what its writer has seen, whatever the clocks of the nodes say.
    pub(crate) fn assign(&mut self, dot: Dot, now: u64, value: Bytes) {
        let last = self.0.values().map(|assigned| assigned.at.saturating_add(1)).max();
        let at = now.max(last.unwrap_or(0));
        self.0.replace(dot, Assigned { at, value });
    }

    pub(crate) fn value(&self) -> &[u8] {
        let last = self.0.iter().max_by_key(|(dot, assigned)| (assigned.at, *dot));
        last.map_or(&[], |(_, assigned)| &assigned.value)
    }
}

impl DotStore for Register {
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
