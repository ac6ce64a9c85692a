//! Sets without tombstones: each element with the dots of the writes that added it (Bieniusa et al., "An
//! optimized conflict-free replicated set", 2012).

use std::collections::BTreeMap;

use bytes::Bytes;
use mapring_types::{Dot, VersionVector};

use crate::dotted::{DotStore, Dotted, join_keyed};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set(pub(crate) BTreeMap<Bytes, Dotted<()>>);

impl Set {
    pub(crate) fn add(&mut self, dot: Dot, element: &Bytes) {
        self.0.entry(element.clone()).or_default().replace(dot, ());
    }

    /// Removes an element altogether; returns whether it was there.
    pub(crate) fn remove(&mut self, element: &Bytes) -> bool {
        self.0.remove(element).is_some()
    }

    /// Removes what a clock covers of an element.
    pub(crate) fn remove_seen(&mut self, element: &Bytes, seen: &VersionVector) {
        if let Some(dots) = self.0.get_mut(element) {
            dots.forget(seen);
            if dots.is_empty() {
                self.0.remove(element);
            }
        }
    }
}

impl DotStore for Set {
    fn join(&mut self, own: &VersionVector, other: &Self, theirs: &VersionVector) {
        join_keyed(&mut self.0, own, &other.0, theirs);
    }

    fn forget(&mut self, seen: &VersionVector) {
        self.0.values_mut().for_each(|dots| dots.forget(seen));
        self.0.retain(|_, dots| !dots.is_empty());
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&self) -> usize {
        self.0.values().map(|dots| 1 + dots.count()).sum()
    }
}
