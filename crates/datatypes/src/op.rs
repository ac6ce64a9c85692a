//! What clients ask for.

use bytes::Bytes;
use mapring_types::VersionVector;

use crate::kind::Kind;
use crate::map::FieldName;

/// An operation, and what its client had seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What is to be done.
    pub op: Op,
    /// What removals may remove. Without it they remove what is known where they are made, and fail where
    /// there is nothing.
    pub context: Option<VersionVector>,
}

/// An operation on a data type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Adds to a counter.
    Counter(i64),
    /// Changes a set, in this order.
    Set(Vec<SetOp>),
    /// Changes a map, in this order.
    Map(Vec<MapOp>),
    /// Adds to a set of which nothing is removed.
    GSet(Vec<Bytes>),
    /// Adds to a HyperLogLog.
    Hll {
        /// What the bucket says. One that is lower than what is there holds from then on.
        precision: u8,
        /// The texts.
        elements: Vec<Bytes>,
    },
}

/// A change of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetOp {
    /// Adds an element.
    Add(Bytes),
    /// Removes one.
    Remove(Bytes),
}

/// A change of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapOp {
    /// Changes a field, which is made where it is not there.
    Update(FieldName, FieldOp),
    /// Removes a field with all that is in it.
    Remove(FieldName),
}

/// A change of a field of the map: of the kind that its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldOp {
    /// Adds to a counter.
    Counter(i64),
    /// Says yes or no.
    Flag(bool),
    /// Changes a map.
    Map(Vec<MapOp>),
    /// Assigns a text.
    Register(Bytes),
    /// Changes a set.
    Set(Vec<SetOp>),
}

impl Update {
    /// One that needs no context.
    pub fn new(op: Op) -> Self {
        Self { op, context: None }
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        match self.op {
            Op::Counter(_) => Kind::Counter,
            Op::Set(_) => Kind::Set,
            Op::Map(_) => Kind::Map,
            Op::GSet(_) => Kind::GSet,
            Op::Hll { .. } => Kind::Hll,
        }
    }
}

impl FieldOp {
    /// Whether it does nothing but remove, so that it does not make a field.
    pub(crate) fn only_removes(&self) -> bool {
        match self {
            Self::Counter(_) | Self::Flag(_) | Self::Register(_) => false,
            Self::Set(ops) => {
                !ops.is_empty() && ops.iter().all(|op| matches!(op, SetOp::Remove(_)))
            }
            Self::Map(ops) => {
                let removes = |op: &MapOp| match op {
                    MapOp::Remove(_) => true,
                    MapOp::Update(_, op) => op.only_removes(),
                };
                !ops.is_empty() && ops.iter().all(removes)
            }
        }
    }
}
