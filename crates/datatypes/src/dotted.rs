//! Values by the dots of the writes that made them, and what is the same of all that is built of these.

use std::collections::BTreeMap;

use mapring_types::{Dot, VersionVector};

/// A part of a state whose entries are named by dots of one clock.
pub(crate) trait DotStore {
    /// Joins what `other` has under its clock `theirs`; `own` is the clock of this one, before.
    fn join(&mut self, own: &VersionVector, other: &Self, theirs: &VersionVector);

    /// Removes what a clock covers.
    fn forget(&mut self, seen: &VersionVector);

    /// Whether nothing is in it.
    fn is_empty(&self) -> bool;

    /// How many entries it has, of any kind.
    fn count(&self) -> usize;
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dotted<V>(BTreeMap<Dot, V>);

impl<V> Default for Dotted<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Dotted<V> {
    /// A value in place of all that is known.
    pub(crate) fn replace(&mut self, dot: Dot, value: V) {
        self.0.clear();
        self.0.insert(dot, value);
    }

    pub(crate) fn insert(&mut self, dot: Dot, value: V) {
        self.0.insert(dot, value);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Dot, &V)> {
        self.0.iter().map(|(dot, value)| (*dot, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }

    pub(crate) fn retain(&mut self, kept: impl Fn(Dot) -> bool) {
        self.0.retain(|dot, _| kept(*dot));
    }
}

impl<V: Clone> DotStore for Dotted<V> {
    fn join(&mut self, own: &VersionVector, other: &Self, theirs: &VersionVector) {
        // What the other has seen and has not is removed.
        self.0.retain(|dot, _| other.0.contains_key(dot) || !theirs.covers(*dot));
        let new = other.0.iter().filter(|(dot, _)| !own.covers(**dot));
        self.0.extend(new.map(|(dot, value)| (*dot, value.clone())));
    }

    fn forget(&mut self, seen: &VersionVector) {
        self.0.retain(|dot, _| !seen.covers(*dot));
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// As [`DotStore::join`], of stores by key: one of which nothing is left goes.
pub(crate) fn join_keyed<K: Ord + Clone, S: DotStore + Clone>(
    mine: &mut BTreeMap<K, S>,
    own: &VersionVector,
    other: &BTreeMap<K, S>,
    theirs: &VersionVector,
) {
    for (key, store) in mine.iter_mut() {
        match other.get(key) {
            Some(there) => store.join(own, there, theirs),
            None => store.forget(theirs),
        }
    }
    for (key, there) in other {
        if !mine.contains_key(key) {
            let mut new = there.clone();
            new.forget(own);
            mine.insert(key.clone(), new);
        }
    }
    mine.retain(|_, store| !store.is_empty());
}
