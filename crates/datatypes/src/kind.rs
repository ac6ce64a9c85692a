//! The kinds of data types, by Riak's words (facts R200, R201).

use mapring_types::BucketProps;

/// What a data type is, as a bucket type's property `datatype` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A number that is counted up and down.
    Counter,
    /// Texts that are added and removed.
    Set,
    /// Fields by name, each a data type of its own.
    Map,
    /// Texts that are added and never removed.
    GSet,
    /// How many distinct texts were added, nearly.
    Hll,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Counter, Self::Set, Self::Map, Self::GSet, Self::Hll];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Set => "set",
            Self::Map => "map",
            Self::GSet => "gset",
            Self::Hll => "hll",
        }
    }

    /// The kind of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The kind of the objects of a bucket.
    pub fn of(props: &BucketProps) -> Option<Self> {
        props.datatype().and_then(Self::from_word)
    }

    /// The media type of an object's value that is one.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Counter => "application/riak_counter",
            Self::Set => "application/riak_set",
            Self::Map => "application/riak_map",
            Self::GSet => "application/riak_gset",
            Self::Hll => "application/riak_hll",
        }
    }

    /// Whether something can be removed of it, so that clients need its context.
    pub fn has_context(self) -> bool {
        matches!(self, Self::Set | Self::Map)
    }
}

/// What a field of a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldKind {
    /// See [`Kind::Counter`].
    Counter,
    /// Yes or no; who says yes wins against who says no at the same time.
    Flag,
    /// See [`Kind::Map`].
    Map,
    /// A text; the last one wins.
    Register,
    /// See [`Kind::Set`].
    Set,
}

impl FieldKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Counter, Self::Flag, Self::Map, Self::Register, Self::Set];

    /// Its word, which ends the name of such a field.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Flag => "flag",
            Self::Map => "map",
            Self::Register => "register",
            Self::Set => "set",
        }
    }

    /// The kind of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What Riak calls the module of such a field, which its errors name.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::Counter => "riak_dt_emcntr",
            Self::Flag => "riak_dt_od_flag",
            Self::Map => "riak_dt_map",
            Self::Register => "riak_dt_lwwreg",
            Self::Set => "riak_dt_orswot",
        }
    }
}
