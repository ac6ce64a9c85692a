//! Objects as functions get them: without what was deleted of them, and data types by their values.

use mapring_datatypes::object as datatypes;
use mapring_types::{Error, ObjectId, Record, Result};

/// What a phase gets of an object where the query does not want tombstones: the object without those
/// of its values that mark a deletion; `None` when there are no others. Of an object that was read
/// without its bytes (not `whole`) all values are left: deletions carry neither links nor entries.
pub(super) fn living(id: &ObjectId, record: Record, whole: bool) -> Result<Option<Record>> {
    let named = |error: Error| error.context(format!("the object {id}"));
    if !record.body.is_empty()
        && (!whole || Record::sibling_count(&record.head).map_err(named)? < 2)
    {
        return Ok(Some(record));
    }
    let object = match whole {
        true => record.decode(),
        false => Record::decode_without_bodies(&record.head),
    };
    let mut object = object.map_err(named)?;
    if object.is_tombstone() {
        return Ok(None);
    }
    if !whole || !object.siblings.iter().any(|sibling| sibling.deleted) {
        return Ok(Some(record));
    }
    object.siblings.retain(|sibling| !sibling.deleted);
    Ok(Some(Record::encode(&object)))
}

/// A data type as functions get it: its value as JSON (fact R214). Anything else stays as it is, and so
/// does what was read without its bytes.
pub(super) fn readable(id: &ObjectId, record: Record) -> Result<Record> {
    if record.body.is_empty() || !datatypes::may_be_in(&record.head) {
        return Ok(record);
    }
    let mut object = record.decode().map_err(|error| error.context(format!("the object {id}")))?;
    Ok(if datatypes::show(&mut object) { Record::encode(&object) } else { record })
}
