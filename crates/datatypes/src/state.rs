//! A data type as a replica knows it.

use std::collections::BTreeSet;

use bytes::Bytes;
use mapring_types::VersionVector;

use crate::counter::Counter;
use crate::deferred::{Deferred, Root};
use crate::dotted::DotStore as _;
use crate::hll::Hll;
use crate::kind::Kind;
use crate::map::Map;
use crate::set::Set;

/// The state of a data type at one replica.
///
/// Invariant: the clock covers every dot in it, and none of the deferred removals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datatype {
    /// The writes that this state takes into account; of what only grows it is empty.
    pub(crate) clock: VersionVector,
    pub(crate) value: Value,
    pub(crate) deferred: Deferred,
}

/// What a data type holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Counter(Counter),
    Set(Set),
    Map(Map),
    GSet(BTreeSet<Bytes>),
    /// `None` until something was added, which brings the precision.
    Hll(Option<Hll>),
}

impl Datatype {
    /// One that nothing was done to.
    pub fn new(kind: Kind) -> Self {
        let value = match kind {
            Kind::Counter => Value::Counter(Counter::default()),
            Kind::Set => Value::Set(Set::default()),
            Kind::Map => Value::Map(Map::default()),
            Kind::GSet => Value::GSet(BTreeSet::new()),
            Kind::Hll => Value::Hll(None),
        };
        Self { clock: VersionVector::new(), value, deferred: Deferred::default() }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self.value {
            Value::Counter(_) => Kind::Counter,
            Value::Set(_) => Kind::Set,
            Value::Map(_) => Kind::Map,
            Value::GSet(_) => Kind::GSet,
            Value::Hll(_) => Kind::Hll,
        }
    }

    /// What a client gives back to remove what it has seen.
    pub fn context(&self) -> &VersionVector {
        &self.clock
    }

    /// The number of a counter, and about how many texts were added to a HyperLogLog; `None` of the
    /// others.
    pub fn number(&self) -> Option<i128> {
        match &self.value {
            Value::Counter(counter) => Some(counter.value()),
            Value::Hll(hll) => Some(hll.as_ref().map_or(0, Hll::estimate).into()),
            Value::Set(_) | Value::Map(_) | Value::GSet(_) => None,
        }
    }

    /// Joins the states of two replicas: the join of a semilattice, so commutative, associative and
    /// idempotent.
    ///
    /// # Panics
    /// When they are of two kinds: a defect of the caller.
    pub fn merge(&mut self, other: &Self) {
        let (own, theirs) = (&self.clock, &other.clock);
        match (&mut self.value, &other.value) {
            (Value::Counter(mine), Value::Counter(there)) => mine.join(own, there, theirs),
            (Value::Set(mine), Value::Set(there)) => mine.join(own, there, theirs),
            (Value::Map(mine), Value::Map(there)) => mine.join(own, there, theirs),
            (Value::GSet(mine), Value::GSet(there)) => mine.extend(there.iter().cloned()),
            (Value::Hll(mine), Value::Hll(there)) => match (mine.as_mut(), there) {
                (Some(mine), Some(there)) => mine.merge(there),
                (None, there) => mine.clone_from(there),
                (Some(_), None) => {}
            },
            _ => unreachable!("a {} and a {} are merged", self.kind().word(), other.kind().word()),
        }
        self.clock.merge(&other.clock);
        self.deferred.merge(&other.deferred);
        self.make_deferred();
    }

    /// Takes writes into account of which nothing is left here, because they were replaced or deleted. What
    /// comes of them later is removed.
    pub(crate) fn see(&mut self, clock: &VersionVector) {
        if !matches!(self.value, Value::GSet(_) | Value::Hll(_)) {
            self.clock.merge(clock);
            self.make_deferred();
        }
    }

    fn make_deferred(&mut self) {
        let root = match &mut self.value {
            Value::Set(set) => Root::Set(set),
            Value::Map(map) => Root::Map(map),
            Value::Counter(_) | Value::GSet(_) | Value::Hll(_) => Root::Other,
        };
        self.deferred.make(&self.clock, root);
    }

    /// How many actors have changed it, as far as it has to remember them: of a counter those with a part in
    /// it, of what only grows none.
    pub fn actors(&self) -> usize {
        match &self.value {
            Value::Counter(counter) => counter.count(),
            Value::Set(_) | Value::Map(_) => self.clock.len(),
            Value::GSet(_) | Value::Hll(_) => 0,
        }
    }

    /// How many entries it has: what [`crate::limits::ENTRIES`] bounds.
    pub fn count(&self) -> usize {
        let value = match &self.value {
            Value::Counter(counter) => counter.count(),
            Value::Set(set) => set.count(),
            Value::Map(map) => map.count(),
            Value::GSet(elements) => elements.len(),
            Value::Hll(_) => 1,
        };
        value + self.deferred.count()
    }
}
