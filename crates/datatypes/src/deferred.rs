//! Removals of what is not known yet: a client may have read it at a replica that was ahead.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapring_types::{Dot, VersionVector};

use crate::dotted::DotStore as _;
use crate::map::{Content, FieldName, Map};
use crate::set::Set;

/// What is removed, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Removal {
    /// The maps that it lies in, from the outermost on; of a set or a flag in a map its own field last.
    pub(crate) within: Vec<FieldName>,
    pub(crate) what: Removed,
}

/// See [`Removal`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Removed {
    /// The yes of a flag.
    Flag,
    Element(Bytes),
    Field(FieldName),
}

/// Removals by the clocks that they cover, which are ahead of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deferred(pub(crate) BTreeMap<Vec<Dot>, BTreeSet<Removal>>);

/// Where a removal begins.
pub(crate) enum Root<'a> {
    Set(&'a mut Set),
    Map(&'a mut Map),
    Flag(&'a mut crate::dotted::Dotted<()>),
    /// Nothing can be removed here.
    Other,
}

impl Deferred {
    pub(crate) fn add(&mut self, seen: &VersionVector, removal: Removal) {
        self.0.entry(seen.entries().collect()).or_default().insert(removal);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (seen, removals) in &other.0 {
            self.0.entry(seen.clone()).or_default().extend(removals.iter().cloned());
        }
    }

    /// Makes all removals in a state with this clock. Those are done with whose own clock it covers:
    /// whatever they meant was there or has gone.
    pub(crate) fn make(&mut self, clock: &VersionVector, mut root: Root<'_>) {
        self.0.retain(|seen, removals| {
            let seen = to_clock(seen);
            removals.iter().for_each(|removal| removal.make(&seen, root.again()));
            !clock.dominates(&seen)
        });
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|(seen, removals)| seen.len() + removals.len()).sum()
    }
}

pub(crate) fn to_clock(dots: &[Dot]) -> VersionVector {
    let mut clock = VersionVector::new();
    dots.iter().for_each(|dot| clock.add(*dot));
    clock
}

impl Root<'_> {
    fn again(&mut self) -> Root<'_> {
        match self {
            Self::Set(set) => Root::Set(set),
            Self::Map(map) => Root::Map(map),
            Self::Flag(dots) => Root::Flag(dots),
            Self::Other => Root::Other,
        }
    }
}

impl<'a> Root<'a> {
    pub(crate) fn of(content: &'a mut Content) -> Self {
        match content {
            Content::Set(set) => Self::Set(set),
            Content::Map(map) => Self::Map(map),
            Content::Flag(dots) => Self::Flag(dots),
            Content::Counter(_) | Content::Register(_) => Self::Other,
        }
    }
}

impl Removal {
    /// Removes of it what a clock covers.
    fn make(&self, seen: &VersionVector, mut root: Root<'_>) {
        for name in &self.within {
            let Root::Map(map) = root else { return };
            let Some(field) = map.0.get_mut(name) else { return };
            root = Root::of(&mut field.content);
        }
        match (root, &self.what) {
            (Root::Set(set), Removed::Element(element)) => set.remove_seen(element, seen),
            (Root::Map(map), Removed::Field(name)) => map.remove_seen(name, seen),
            (Root::Flag(dots), Removed::Flag) => dots.forget(seen),
            _ => {}
        }
    }
}
