//! A result as a record: the name of the object that it goes into, and its bytes there.

use bytes::Bytes;
use mapring_script::Row;
use mapring_types::{IndexValue, limits as common, quote};

use crate::failure::Failure;
use crate::grammar::{Format, IndexTerm, Layout, ObjectsSpec};
use crate::pair::{self, Pair};
use crate::spool::Spool;

/// See the module.
pub(super) struct Recorder<'s> {
    pub(super) spec: &'s ObjectsSpec,
}

impl Recorder<'_> {
    /// Puts a result of a partition aside; says why where it does not fit.
    ///
    /// # Errors
    /// When there is no room.
    pub(super) fn put(
        &self,
        row: &Row,
        partition: u32,
        spool: &mut Spool,
    ) -> Result<Result<(), String>, Failure> {
        match self.spec.layout {
            Layout::PerKey => {
                let Some(Pair { key, value }) = Pair::of(row) else {
                    let why = "a result is no [key, value], and the layout \"per_key\" needs a key";
                    return Ok(Err(why.to_owned()));
                };
                let name = pair::text(key);
                if let Err(why) = self.check_name(&name) {
                    return Ok(Err(why));
                }
                self.push(name.as_bytes(), value, spool)?;
            }
            Layout::Single(_) => self.push(b"", row.text(), spool)?,
            Layout::PerShard(_) => self.push(&partition.to_be_bytes(), row.text(), spool)?,
        }
        Ok(Ok(()))
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        let most = common::KEY_BYTES;
        if !(1..=most).contains(&name.len()) {
            return Err(format!("a key is the name of an object, which has 1 to {most} bytes"));
        }
        for (field, _) in self.spec.indexes.iter().filter(|(_, term)| *term == IndexTerm::Key) {
            if term(field, name).is_none() {
                let name = quote(name);
                return Err(format!(
                    "the index {field} takes whole numbers, not the key \"{name}\""
                ));
            }
        }
        Ok(())
    }

    fn push(&self, key: &[u8], json: &str, spool: &mut Spool) -> Result<(), Failure> {
        match self.spec.format {
            Format::Text => spool.push(key, &[pair::text(json).as_bytes()]),
            Format::Lines => spool.push(key, &[pair::text(json).as_bytes(), b"\n"]),
            // What of JSON is an end of line stands between its parts, not in them.
            Format::NdJson if json.contains(['\n', '\r']) => {
                spool.push(key, &[json.replace(['\n', '\r'], "").as_bytes(), b"\n"])
            }
            Format::NdJson => spool.push(key, &[json.as_bytes(), b"\n"]),
            Format::Json => spool.push(key, &[json.as_bytes()]),
        }
    }
}

/// The term of an index that a key is; `None` for one that it cannot hold.
pub(super) fn term(field: &str, key: &str) -> Option<IndexValue> {
    if field.ends_with("_int") {
        IndexValue::int(key)
    } else {
        Some(IndexValue::Bin(Bytes::copy_from_slice(key.as_bytes())))
    }
}
