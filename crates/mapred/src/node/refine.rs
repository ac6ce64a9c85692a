//! What a scan leaves of the objects that it reads: those that meet the query's conditions, without
//! tombstones, and no more of each than is wanted. It is found out where the storage works, so that
//! what is left out costs nothing after it.
//!
//! Whether an object meets a condition on a body that lies in blocks cannot be found out there. It is
//! given as it was read, and told apart by whoever works on it: see [`Refining::unread`].

use std::sync::Arc;

use bytes::Bytes;
use mapring_engine::ScanDepth;
use mapring_filters::PropertyTest;
use mapring_kv::{Refine, Selection};
use mapring_types::{Error, IndexValue, Object, ObjectId, Record, Result};

use super::living::{living, readable};
use crate::unit::{LaneRequest, Units, Work};

/// See the module.
#[derive(Clone)]
pub(super) struct Refining(Arc<Rules>);

struct Rules {
    test: PropertyTest,
    /// The index that is read, in whose range an object may lie several times.
    index: Option<String>,
    tombstones: bool,
    /// Whether bodies are read, …
    whole: bool,
    /// … and given.
    bodies: bool,
    /// Whether values are given.
    values: bool,
}

/// What becomes of an object.
enum Kept {
    Yes,
    No,
    /// It depends on bytes that lie in blocks.
    Unread,
}

impl Refining {
    /// What a lane wants of the objects that its scan reads; `None` when it wants them all, whole.
    ///
    /// # Errors
    /// `Invalid` when its conditions cannot be tested.
    pub(super) fn of(request: &LaneRequest) -> Result<Option<Self>> {
        let Units::Partitions { scan, .. } = &request.units else { return Ok(None) };
        if scan.narrowing.is_none() {
            return Ok(None);
        }
        let test = scan.narrowing.conditions.compile().map_err(Error::invalid)?;
        let index = match &scan.selection {
            Selection::Terms { field, .. } => Some(field.clone()),
            Selection::All | Selection::Keys { .. } | Selection::KeysFrom { .. } => None,
        };
        // Links and names need none of the bytes.
        let maps = matches!(request.work, Work::Map(_));
        let bodies = maps && !scan.narrowing.keys_only;
        let rules = Rules {
            whole: bodies || test.tests_bodies(),
            test,
            index,
            tombstones: request.options.tombstones,
            bodies,
            values: bodies || !maps,
        };
        Ok(Some(Self(Arc::new(rules))))
    }

    /// How much of each object it needs.
    pub(super) fn depth(&self) -> ScanDepth {
        if self.0.whole { ScanDepth::Records } else { ScanDepth::Heads }
    }

    /// Whether what it reads are objects, and not only their names.
    pub(super) fn reads_bodies(&self) -> bool {
        self.0.whole || self.0.values
    }

    /// The bytes of a body of an object that a scan gave, where the query's conditions are about what it
    /// holds and it lies in blocks: whether the object is to be worked on is not known.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn unread(&self, id: &ObjectId, record: &Record) -> Result<Option<u64>> {
        let rules = &self.0;
        if !record.may_have_blocks() || !rules.test.tests_bodies() {
            return Ok(None);
        }
        let bytes = Record::len_by_head(&record.head).map_err(|error| named(id, error))?;
        if bytes > record.len() as u64 {
            // It meets the conditions, and its bytes were left out.
            return Ok(None);
        }
        let object = record.decode().map_err(|error| named(id, error))?;
        Ok(rules.test.unread(&object))
    }

    /// For a fold.
    pub(super) fn refine(&self) -> Refine {
        let rules = Arc::clone(&self.0);
        Arc::new(move |id, term, record| rules.refine(id, term, record))
    }
}

impl Rules {
    fn refine(
        &self,
        id: &ObjectId,
        term: Option<&IndexValue>,
        record: Record,
    ) -> Result<Option<Record>> {
        let record = readable(id, record)?;
        let record = match self.tombstones {
            true => Some(record),
            false => living(id, record, self.whole)?,
        };
        let Some(record) = record else { return Ok(None) };
        match self.keeps(term, &record).map_err(|error| named(id, error))? {
            Kept::No => return Ok(None),
            Kept::Unread => return Ok(Some(record)),
            Kept::Yes => {}
        }
        if self.values {
            let body = if self.bodies { record.body } else { Bytes::new() };
            return Ok(Some(Record { head: record.head, body }));
        }
        let object = Record::decode_without_bodies(&record.head);
        let clock = object.map_err(|error| named(id, error))?.clock;
        Ok(Some(Record::encode(&Object { clock, siblings: Vec::new() })))
    }

    fn keeps(&self, term: Option<&IndexValue>, record: &Record) -> Result<Kept> {
        let terms = self.index.as_deref().zip(term);
        if terms.is_none() {
            if !self.test.tests_objects() {
                return Ok(Kept::Yes);
            }
            // Most objects have one value, and most conditions are about what it holds.
            if self.whole
                && !record.may_have_blocks()
                && Record::sibling_count(&record.head)? == 1
                && let Some(kept) = self.test.keeps_body(&record.body)
            {
                return Ok(if kept { Kept::Yes } else { Kept::No });
            }
        }
        let object = match self.whole {
            true => record.decode()?,
            false => Record::decode_without_bodies(&record.head)?,
        };
        if terms.is_some_and(|(index, term)| !self.test.is_first_term(&object, index, term)) {
            return Ok(Kept::No);
        }
        Ok(match self.test.unread(&object) {
            Some(_) => Kept::Unread,
            None if self.test.keeps(&object) => Kept::Yes,
            None => Kept::No,
        })
    }
}

fn named(id: &ObjectId, error: Error) -> Error {
    error.context(format!("the object {id}"))
}
