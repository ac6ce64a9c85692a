//! A result as a record: the name of the object that it goes into, and its bytes there.

use std::borrow::Cow;

use bytes::Bytes;
use mapring_script::Row;
use mapring_types::{IndexValue, limits as common, quote};

use crate::failure::Failure;
use crate::grammar::{Format, IndexTerm, Layout, ObjectsSpec};
use crate::pair::{self, Pair};
use crate::spool::Spool;

/// Bytes of a place that are the number of the shard.
pub(super) const SHARD_BYTES: usize = size_of::<u32>();

/// See the module.
pub(super) struct Recorder<'s> {
    pub(super) spec: &'s ObjectsSpec,
}

impl Recorder<'_> {
    /// Puts a result aside, of a shard the one that has this place; says why where it does not fit.
    ///
    /// # Errors
    /// When there is no room.
    pub(super) fn put(
        &self,
        row: &Row,
        place: &[u8],
        spool: &mut Spool,
    ) -> Result<Result<(), String>, Failure> {
        match self.spec.layout {
            Layout::PerKey => {
                let Some(Pair { key, value }) = Pair::of(row) else {
                    let why = "a result is no [key, value], and the layout \"per_key\" needs a key";
                    return Ok(Err(why.to_owned()));
                };
                let name = match self.name(key) {
                    Ok(name) => name,
                    Err(why) => return Ok(Err(why)),
                };
                self.push(name.as_bytes(), value, spool)
            }
            Layout::Single(_) => self.push(b"", row.text(), spool),
            Layout::PerShard(_) => {
                assert!(place.len() >= SHARD_BYTES, "a result of no shard");
                self.push(place, row.text(), spool)
            }
        }
    }

    /// Puts text of an object aside, both as JSON strings; says why where it is none.
    ///
    /// # Errors
    /// When there is no room.
    pub(super) fn put_text(
        &self,
        name: &str,
        text: &str,
        spool: &mut Spool,
    ) -> Result<Result<(), String>, Failure> {
        match self.name(name) {
            Ok(name) => self.push(name.as_bytes(), text, spool),
            Err(why) => Ok(Err(why)),
        }
    }

    /// The name that a key stands for, or why it is none.
    fn name<'k>(&self, key: &'k str) -> Result<Cow<'k, str>, String> {
        let name = pair::text(key).map_err(|half| {
            format!("the key {} {half}, and the names of objects are UTF-8", quote(key))
        })?;
        self.check_name(&name)?;
        Ok(name)
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

    /// Puts JSON aside in the form that is wanted; says why where it has none.
    fn push(
        &self,
        key: &[u8],
        json: &str,
        spool: &mut Spool,
    ) -> Result<Result<(), String>, Failure> {
        let end: &[u8] = match self.spec.format {
            Format::Text => b"",
            Format::Lines => b"\n",
            Format::NdJson => {
                // What of JSON is an end of line stands between its parts, not in them.
                let line = match json.contains(['\n', '\r']) {
                    true => Cow::Owned(json.replace(['\n', '\r'], "")),
                    false => Cow::Borrowed(json),
                };
                return spool.push(key, &[line.as_bytes(), b"\n"]).map(Ok);
            }
            Format::Json => return spool.push(key, &[json.as_bytes()]).map(Ok),
        };
        match pair::text(json) {
            Ok(text) => spool.push(key, &[text.as_bytes(), end]).map(Ok),
            Err(half) => {
                let shown = quote(json);
                let keeps = "the formats \"json\" and \"ndjson\" keep it as it is";
                Ok(Err(format!("the text {shown} {half}: {keeps}")))
            }
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
