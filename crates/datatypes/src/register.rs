//! Registers: the last value that was assigned, by time and then by dot.

use bytes::Bytes;
use mapring_types::Dot;

use crate::dotted::Dotted;

/// A value and when it was assigned, in microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) at: u64,
    pub(crate) value: Bytes,
}

/// See the module. Values that were assigned at the same time stay beside each other, so that one of them
/// can be removed without the others.
pub(crate) type Register = Dotted<Assigned>;

impl Register {
    /// A value is never older than what its writer has seen, whatever the clocks of the nodes say.
    pub(crate) fn assign(&mut self, dot: Dot, now: u64, value: Bytes) {
        let last = self.values().map(|assigned| assigned.at.saturating_add(1)).max();
        let at = now.max(last.unwrap_or(0));
        self.replace(dot, Assigned { at, value });
    }

    pub(crate) fn value(&self) -> &[u8] {
        let last = self.iter().max_by_key(|(dot, assigned)| (assigned.at, *dot));
        last.map_or(&[], |(_, assigned)| &assigned.value)
    }
}
