//! Maps: fields by name and kind. A field that is updated while it is removed elsewhere stays, with what
//! was not seen by the removal.

use std::collections::BTreeMap;

use bytes::Bytes;
use mapring_types::{Dot, VersionVector};

use crate::counter::Counter;
use crate::dotted::{DotStore, Dotted, join_keyed};
use crate::kind::FieldKind;
use crate::register::Register;
use crate::set::Set;

/// What a field goes by: fields of one name and several kinds are several fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName {
    /// Its name, without the word of its kind.
    pub name: Bytes,
    /// Its kind.
    pub kind: FieldKind,
}

/// What is in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Counter(Counter),
    /// The writes that said yes and that nobody has said no to.
    Flag(Dotted<()>),
    Map(Map),
    Register(Register),
    Set(Set),
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The last updates of it: it is there while one of them is, even if nothing is in it.
    pub(crate) there: Dotted<()>,
    pub(crate) content: Content,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map(pub(crate) BTreeMap<FieldName, Field>);

impl Content {
    pub(crate) fn new(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Counter => Self::Counter(Counter::default()),
            FieldKind::Flag => Self::Flag(Dotted::default()),
            FieldKind::Map => Self::Map(Map::default()),
            FieldKind::Register => Self::Register(Register::default()),
            FieldKind::Set => Self::Set(Set::default()),
        }
    }
}

impl Field {
    pub(crate) fn new(kind: FieldKind) -> Self {
        Self { there: Dotted::default(), content: Content::new(kind) }
    }
}

impl Map {
    /// A field that is updated: it is there from now on.
    pub(crate) fn updated(&mut self, name: &FieldName, dot: Dot) -> &mut Content {
        let field = self.0.entry(name.clone()).or_insert_with(|| Field::new(name.kind));
        field.there.replace(dot, ());
        &mut field.content
    }

    /// Removes what a clock covers of a field.
    pub(crate) fn remove_seen(&mut self, name: &FieldName, seen: &VersionVector) {
        if let Some(field) = self.0.get_mut(name) {
            field.forget(seen);
            if field.is_empty() {
                self.0.remove(name);
            }
        }
    }
}

impl DotStore for Content {
    fn join(&mut self, own: &VersionVector, other: &Self, theirs: &VersionVector) {
        match (self, other) {
            (Self::Counter(mine), Self::Counter(there)) => mine.join(own, there, theirs),
            (Self::Flag(mine), Self::Flag(there)) => mine.join(own, there, theirs),
            (Self::Map(mine), Self::Map(there)) => mine.join(own, there, theirs),
            (Self::Register(mine), Self::Register(there)) => mine.join(own, there, theirs),
            (Self::Set(mine), Self::Set(there)) => mine.join(own, there, theirs),
            // What is read is checked: the kind is part of a field's name.
            (mine, there) => unreachable!("{mine:?} and {there:?} under one name"),
        }
    }

    fn forget(&mut self, seen: &VersionVector) {
        match self {
            Self::Counter(counter) => counter.forget(seen),
            Self::Flag(dots) => dots.forget(seen),
            Self::Map(map) => map.forget(seen),
            Self::Register(register) => register.forget(seen),
            Self::Set(set) => set.forget(seen),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Counter(counter) => counter.is_empty(),
            Self::Flag(dots) => dots.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Register(register) => register.is_empty(),
            Self::Set(set) => set.is_empty(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Counter(counter) => counter.count(),
            Self::Flag(dots) => dots.count(),
            Self::Map(map) => map.count(),
            Self::Register(register) => register.count(),
            Self::Set(set) => set.count(),
        }
    }
}

impl DotStore for Field {
    fn join(&mut self, own: &VersionVector, other: &Self, theirs: &VersionVector) {
        self.there.join(own, &other.there, theirs);
        self.content.join(own, &other.content, theirs);
    }

    fn forget(&mut self, seen: &VersionVector) {
        self.there.forget(seen);
        self.content.forget(seen);
    }

    fn is_empty(&self) -> bool {
        self.there.is_empty() && self.content.is_empty()
    }

    fn count(&self) -> usize {
        self.there.count() + self.content.count()
    }
}

impl DotStore for Map {
    fn join(&mut self, own: &VersionVector, other: &Self, theirs: &VersionVector) {
        join_keyed(&mut self.0, own, &other.0, theirs);
    }

    fn forget(&mut self, seen: &VersionVector) {
        self.0.values_mut().for_each(|field| field.forget(seen));
        self.0.retain(|_, field| !field.is_empty());
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&self) -> usize {
        self.0.values().map(|field| 1 + field.count()).sum()
    }
}
