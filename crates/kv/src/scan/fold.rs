//! What is read of a slice, and what a page of it holds.

use std::sync::Arc;

use bytes::Bytes;
use mapring_engine::{ScanDepth, TermPlace};
use mapring_ring::Partition;
use mapring_types::{BucketId, Error, IndexValue, ObjectId, Record, Result};
use serde::{Deserialize, Serialize};

/// Which objects of a bucket a fold gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// All of them.
    All,
    /// Those whose keys lie within bounds, inclusive, bytewise: Riak's index `$key`.
    Keys {
        /// The first key.
        from: Bytes,
        /// The last key.
        to: Bytes,
    },
    /// Those with a term of a secondary index within bounds, inclusive: an object once for each such
    /// term, in the order of terms and then keys.
    Terms {
        /// The field, with its suffix.
        field: String,
        /// The first term.
        from: IndexValue,
        /// The last term: of the same kind, or one that is behind all of that kind.
        to: IndexValue,
    },
    /// Those whose keys are this one or come after it, bytewise.
    KeysFrom {
        /// The first key.
        from: Bytes,
    },
}

impl Selection {
    /// The key, and the term of an index, at a place.
    ///
    /// # Errors
    /// `Invalid` for a place of another kind of selection.
    pub(crate) fn at(&self, cursor: &Cursor) -> Result<(Bytes, Option<IndexValue>)> {
        Ok(match self {
            Self::All | Self::Keys { .. } | Self::KeysFrom { .. } => (cursor.place().clone(), None),
            Self::Terms { .. } => {
                let place = cursor.term_place()?;
                (place.key, Some(place.term))
            }
        })
    }
}

/// Where a fold goes on: opaque, and ordered as the fold goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cursor(Bytes);

impl Cursor {
    /// A place, as the fold of its selection reads it: the key, where the selection is by keys.
    pub fn new(place: impl Into<Bytes>) -> Self {
        Self(place.into())
    }

    /// The place of an entry of an index.
    pub fn at_term(term: IndexValue, key: impl Into<Bytes>) -> Self {
        Self(TermPlace { term, key: key.into() }.to_bytes())
    }

    /// The place.
    pub fn place(&self) -> &Bytes {
        &self.0
    }

    /// The term and the key of a place in an index.
    ///
    /// # Errors
    /// `Invalid` for another place.
    pub(crate) fn term_place(&self) -> Result<TermPlace> {
        TermPlace::from_bytes(&self.0)
            .ok_or_else(|| Error::invalid("the place to go on from is not one of an index"))
    }
}

/// Whether the object with a key is wanted. An error ends the fold.
pub type KeyTest = Arc<dyn Fn(&[u8]) -> Result<bool> + Send + Sync>;

/// What is given of an object that a fold has read: of the object as readers of its bucket see it,
/// and of an index the term under which it was met. `None` leaves it out; an error ends the fold.
pub type Refine =
    Arc<dyn Fn(&ObjectId, Option<&IndexValue>, Record) -> Result<Option<Record>> + Send + Sync>;

/// A page to be read of a slice of a bucket.
#[derive(Clone)]
pub struct FoldRequest {
    /// A vnode of this node.
    pub vnode: Partition,
    /// The home partition.
    pub home: Partition,
    /// The bucket.
    pub bucket: BucketId,
    /// Which of its objects.
    pub selection: Selection,
    /// Start strictly after this place.
    pub after: Option<Cursor>,
    /// How much of each object.
    pub depth: ScanDepth,
    /// Most objects; at least one is given where there is one.
    pub most: usize,
    /// Objects whose keys it refuses are not read.
    pub keep: Option<KeyTest>,
    /// What becomes of those that are read, where the storage works: not everything that is read
    /// then comes out of it.
    pub refine: Option<Refine>,
    /// How many replicas are read and merged: 1 reads this vnode alone.
    pub replicas: u32,
    /// Whether the vnode is known to have every acknowledged write, as a coverage plan says of those
    /// that it names. Then a merge needs no more nodes than there are: see [`crate::Kv::fold_page`].
    pub complete: bool,
}

/// An object that a fold met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where to go on after it.
    pub cursor: Cursor,
    /// Its name.
    pub id: ObjectId,
    /// The object. With [`ScanDepth::Heads`] its body is empty.
    pub record: Record,
}

/// A page of a fold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects in the order of the selection.
    pub items: Vec<Item>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
    /// How many entries were looked at, wanted or not.
    pub looked_at: u64,
    /// Bytes of the records that were read, given or not.
    pub read_bytes: u64,
}
