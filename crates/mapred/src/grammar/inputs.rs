//! The field `inputs` (reference §6.2).

use bytes::Bytes;
use mapring_types::{BucketId, limits as common};
use serde_json::value::RawValue;

use super::complaint;
use super::query::{Inputs, PackedKeys};
use super::text::{Kind, each, elements, fields, kind, string};

const UNRECOGNIZED: &str = "Unrecognized format of \"inputs\" field:";

pub(super) fn parse(value: &RawValue) -> Result<Inputs, String> {
    match kind(value) {
        Kind::String => bucket(value).map(Inputs::Bucket),
        Kind::Array => list(value),
        Kind::Object => Err(object(value)),
        Kind::Number | Kind::Word => Err(complaint(UNRECOGNIZED, value)),
    }
}

fn bucket(value: &RawValue) -> Result<BucketId, String> {
    let name = string(value).ok_or_else(|| complaint(UNRECOGNIZED, value))?;
    checked(BucketId::untyped(name), "")
}

/// A pair of strings is a bucket of a bucket type; every other list is one of keys.
fn list(value: &RawValue) -> Result<Inputs, String> {
    if let Some([bucket_type, name]) = elements(value, 2).as_deref()
        && let (Some(bucket_type), Some(name)) = (string(bucket_type), string(name))
    {
        return checked(BucketId::typed(bucket_type, name), "").map(Inputs::Bucket);
    }
    let mut keys = PackedKeys::default();
    let mut refusal = None;
    each(value, |element| match key(element, &mut keys) {
        Ok(()) => true,
        Err(why) => {
            refusal = Some(why);
            false
        }
    });
    match refusal {
        Some(why) => Err(why),
        None if keys.len() == 0 => Err("No inputs were given.\n".to_owned()),
        None => Ok(Inputs::Keys(keys)),
    }
}

/// `[b,k]`, `[b,k,keydata]` or `[b,k,keydata,type]`.
fn key(value: &RawValue, keys: &mut PackedKeys) -> Result<(), String> {
    let unrecognized = || complaint(UNRECOGNIZED, value);
    let parts = elements(value, 4).ok_or_else(unrecognized)?;
    let (bucket, key, keydata, bucket_type) = match *parts.as_slice() {
        [bucket, key] => (bucket, key, None, None),
        [bucket, key, keydata] => (bucket, key, Some(keydata), None),
        [bucket, key, keydata, bucket_type] => (bucket, key, Some(keydata), Some(bucket_type)),
        _ => return Err(unrecognized()),
    };
    let name = string(bucket).ok_or_else(unrecognized)?;
    let key = string(key).ok_or_else(unrecognized)?;
    let bucket = match bucket_type {
        None => BucketId::untyped(name),
        Some(given) => BucketId::typed(string(given).ok_or_else(unrecognized)?, name),
    };
    keys.push(checked(bucket, &key)?, &key, keydata.map(RawValue::get));
    Ok(())
}

fn checked(bucket: BucketId, key: &str) -> Result<BucketId, String> {
    let too_long = |part: &Bytes| part.len() > common::KEY_BYTES;
    if too_long(&bucket.bucket_type) || too_long(&bucket.name) || key.len() > common::KEY_BYTES {
        return Err(format!(
            "A bucket type, bucket or key is longer than {} bytes.\n",
            common::KEY_BYTES
        ));
    }
    Ok(bucket)
}

/// The object forms select keys by filters, indexes, search or a function.
fn object(value: &RawValue) -> String {
    const FORMS: [(&str, &str); 4] = [
        ("module", "Inputs from a function (\"module\", \"function\")"),
        ("query", "Inputs from a search (\"query\")"),
        ("index", "Inputs from a secondary index (\"index\")"),
        ("key_filters", "Key filters (\"key_filters\")"),
    ];
    let names = FORMS.map(|(name, _)| name);
    let form = fields(value, &names).and_then(|fields| {
        FORMS.iter().find(|(name, _)| fields.get(name).is_some()).map(|(_, words)| *words)
    });
    match form {
        Some(words) => complaint(&format!("{words} are not offered yet:"), value),
        None => complaint(UNRECOGNIZED, value),
    }
}
