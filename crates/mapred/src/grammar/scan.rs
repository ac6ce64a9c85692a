//! This store's own form of inputs from a bucket: an object with `bucket` that is none of Riak's.

use mapring_filters::{Access, PropertyError, PropertyFilters};
use mapring_kv::Selection;
use mapring_types::BucketId;
use serde_json::value::RawValue;

use super::options::Consistency;
use super::query::{Narrowing, Scan};
use super::text::{Kind, elements, fields, kind, string};
use crate::rejection::{Rejection, UNRECOGNIZED};

const MEMBERS: [&str; 8] = [
    "bucket",
    "filters",
    "keys_only",
    "prefix",
    "key_range",
    "modified",
    "batch_size",
    "consistency",
];

/// What it can have, for those who give it something else.
const FORMS: &str = "Beside \"bucket\" there may be \"filters\", \"keys_only\", \"prefix\", \
    \"key_range\", \"modified\", \"batch_size\" and \"consistency\".";

/// Stands for all bucket types in the name of a bucket.
const EVERY_TYPE: &str = "*";

/// Reads it; `bucket` is what its member of that name says.
pub(super) fn parse(value: &RawValue, bucket: BucketId) -> Result<Scan, Rejection> {
    let unrecognized = || Rejection::malformed("", UNRECOGNIZED).given(value).hint(FORMS);
    let given = fields(value, &MEMBERS).ok_or_else(unrecognized)?;
    if let Some(unknown) = &given.unknown {
        return Err(unrecognized().at(format!(".{}", mapring_types::quote(unknown))));
    }
    let filters = given.get("filters").map(PropertyFilters::parse);
    let prefix = given.get("prefix").map(PropertyFilters::key_prefix);
    let mut conditions = PropertyFilters::default();
    for more in [filters, prefix].into_iter().flatten() {
        conditions = conditions.and(more.map_err(refused)?);
    }
    if let Some([start, end]) = bounds(given.get("key_range"), "key_range", ["start", "end"])? {
        let range = PropertyFilters::key_range(start, end).map_err(refused)?;
        conditions = conditions.and(range);
    }
    if let Some([from, to]) = bounds(given.get("modified"), "modified", ["from", "to"])? {
        conditions = conditions.and(PropertyFilters::modified(from, to).map_err(refused)?);
    }
    let every_type = given.get("bucket").and_then(bucket_type);
    let every_type = every_type.is_some_and(|name| name == EVERY_TYPE);
    Ok(Scan {
        selection: selection(&conditions),
        narrowing: Narrowing {
            conditions,
            keys_only: given.get("keys_only").map_or(Ok(false), flag)?,
            batch: given.get("batch_size").map(batch).transpose()?,
            samples: Vec::new(),
        },
        every_type,
        consistency: given.get("consistency").map(consistency).transpose()?,
        ..Scan::whole(bucket)
    })
}

/// The part of a bucket in which everything lies that meets the conditions.
fn selection(conditions: &PropertyFilters) -> Selection {
    match conditions.access() {
        Access::All => Selection::All,
        Access::Keys { from, to: Some(to) } => Selection::Keys { from, to },
        Access::Keys { from, to: None } => Selection::KeysFrom { from },
        Access::Terms { field, from, to } => Selection::Terms { field, from, to },
    }
}

fn refused(PropertyError { place, why }: PropertyError) -> Rejection {
    Rejection::malformed(format!(".{place}"), why)
}

/// Two ends, at least one of them.
fn bounds<'v>(
    given: Option<&'v RawValue>,
    member: &'static str,
    names: [&'static str; 2],
) -> Result<Option<[Option<&'v RawValue>; 2]>, Rejection> {
    let Some(given) = given else { return Ok(None) };
    let ends = fields(given, &names).filter(|ends| ends.unknown.is_none());
    let ends = ends.map(|ends| names.map(|name| ends.get(name)));
    match ends {
        Some(ends) if ends.iter().any(Option::is_some) => Ok(Some(ends)),
        _ => {
            let [from, to] = names;
            let what = format!("\"{member}\" is an object with \"{from}\", \"{to}\" or both, not");
            Err(Rejection::malformed(format!(".{member}"), what).given(given))
        }
    }
}

fn flag(given: &RawValue) -> Result<bool, Rejection> {
    match given.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            let what = "\"keys_only\" is true or false, not";
            Err(Rejection::malformed(".keys_only", what).given(given))
        }
    }
}

fn batch(given: &RawValue) -> Result<u32, Rejection> {
    let size = given.get().parse().ok().filter(|size| *size > 0 && kind(given) == Kind::Number);
    size.ok_or_else(|| {
        let what = "\"batch_size\" is a whole number above 0, not";
        Rejection::malformed(".batch_size", what).given(given)
    })
}

fn consistency(given: &RawValue) -> Result<Consistency, Rejection> {
    string(given).and_then(|word| Consistency::of(&word)).ok_or_else(|| {
        let what = "\"consistency\" is \"one\", \"quorum\" or \"all\", not";
        Rejection::malformed(".consistency", what).given(given)
    })
}

/// The bucket type that the name of a bucket has, if any.
fn bucket_type(given: &RawValue) -> Option<String> {
    match elements(given, 2)?.as_slice() {
        [bucket_type, _] => string(bucket_type),
        _ => None,
    }
}
