//! The field `inputs` (facts R41 to R46).

use bytes::Bytes;
use mapring_filters::{FilterError, Filters};
use mapring_script::JsonText;
use mapring_types::{BucketId, limits as common, quote};
use serde_json::value::RawValue;

use super::query::{Inputs, PackedKeys, Scan, Values};
use super::text::{Fields, Kind, each, elements, fields, kind, string};
use super::{index, scan, sources};
use crate::rejection::{Rejection, RejectionKind, UNRECOGNIZED};

pub(super) fn parse(value: &RawValue) -> Result<Inputs, Rejection> {
    match kind(value) {
        Kind::String => bucket(value).map(whole),
        Kind::Array => list(value),
        Kind::Object => object(value),
        Kind::Number | Kind::Word => Err(unrecognized("", value)),
    }
}

/// What inputs can be, for those that give something else.
const FORMS: &str = "Inputs are \"bucket\", [\"type\",\"bucket\"], a list of keys such as \
    [[\"bucket\",\"key\"]], or an object with \"bucket\" and perhaps \"index\", \"key_filters\" \
    or \"filters\", or with \"lines\", \"gzip\", \"zip\", \"base64\", \"csv\", \"records\", \
    \"fields\", \"random\", \"range\", \"items\", \"concat\", \"sample\", \"reader\", \
    \"job\", \"buckets\" or \"bucket_types\".";

/// What a key in a list can be.
const KEY_FORMS: &str = "Keys in a list are [\"bucket\",\"key\"], [\"bucket\",\"key\",keydata] or \
    [\"bucket\",\"key\",keydata,\"type\"], where keydata may be null.";

fn unrecognized(at: impl Into<String>, value: &RawValue) -> Rejection {
    Rejection::malformed(at, UNRECOGNIZED).given(value).hint(FORMS)
}

fn whole(bucket: BucketId) -> Inputs {
    Inputs::Scan(Scan::whole(bucket))
}

fn bucket(value: &RawValue) -> Result<BucketId, Rejection> {
    let name = string(value).ok_or_else(|| unrecognized("", value))?;
    checked(BucketId::untyped(name), "")
}

/// A bucket of a bucket type; `None` for everything but a pair of strings.
fn typed_bucket(value: &RawValue) -> Option<Result<BucketId, Rejection>> {
    let parts = elements(value, 2)?;
    let [bucket_type, name] = parts.as_slice() else { return None };
    let (bucket_type, name) = (string(bucket_type)?, string(name)?);
    Some(checked(BucketId::typed(bucket_type, name), ""))
}

/// A pair of strings is a bucket of a bucket type; every other list is one of keys.
fn list(value: &RawValue) -> Result<Inputs, Rejection> {
    if let Some(bucket) = typed_bucket(value) {
        return bucket.map(whole);
    }
    let mut keys = PackedKeys::default();
    let mut refusal = None;
    let mut at = 0u64;
    each(value, |element| {
        refusal = key(element, &mut keys).err().map(|refused| refused.below(&format!("[{at}]")));
        at += 1;
        refusal.is_none()
    });
    match refusal {
        Some(why) => Err(why),
        None if keys.len() == 0 => Err(Rejection::malformed("", "No inputs were given.")),
        None => Ok(Inputs::Keys(keys)),
    }
}

/// `[b,k]`, `[b,k,keydata]` or `[b,k,keydata,type]`.
fn key(value: &RawValue, keys: &mut PackedKeys) -> Result<(), Rejection> {
    let unrecognized = || Rejection::malformed("", UNRECOGNIZED).given(value).hint(KEY_FORMS);
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

fn checked(bucket: BucketId, key: &str) -> Result<BucketId, Rejection> {
    let too_long = |part: &Bytes| part.len() > common::KEY_BYTES;
    if too_long(&bucket.bucket_type) || too_long(&bucket.name) || key.len() > common::KEY_BYTES {
        let most = common::KEY_BYTES;
        let what = format!("A bucket type, bucket or key is longer than {most} bytes.");
        return Err(Rejection::malformed("", what));
    }
    Ok(bucket)
}

/// The object forms: of several that are mixed the first counts, in Riak's order. What is none of
/// Riak's is this store's own.
fn object(value: &RawValue) -> Result<Inputs, Rejection> {
    let wanted = [
        "module",
        "function",
        "arg",
        "query",
        "index",
        "key",
        "start",
        "end",
        "key_filters",
        "bucket",
    ];

    let fields = fields(value, &wanted).ok_or_else(|| unrecognized("", value))?;
    if fields.get("module").is_some() && fields.get("function").is_some() {
        return generator(value, &fields).map(Inputs::Values);
    }
    if fields.get("query").is_some() {
        let what = "Inputs from a search (\"query\") are not offered";
        return Err(Rejection::malformed(".query", what).given(value));
    }
    let bucket = match fields.get("bucket") {
        None => {
            return sources::parse(value).unwrap_or_else(|| Err(unrecognized("", value)));
        }
        Some(given) => typed_bucket(given).unwrap_or_else(|| bucket(given)),
    };
    let bucket = bucket.map_err(|refused| refused.below(".bucket"))?;
    if fields.get("index").is_some() {
        let selection = index::selection(value, &fields)?;
        return Ok(Inputs::Scan(Scan { selection, ..Scan::whole(bucket) }));
    }
    let Some(given) = fields.get("key_filters") else {
        return scan::parse(value, bucket).map(Inputs::Scan);
    };
    if kind(given) != Kind::Array || elements(given, 0).is_some() {
        return Err(unrecognized(".key_filters", value));
    }
    let filters = Some(filters(given)?);
    Ok(Inputs::Scan(Scan { filters, ..Scan::whole(bucket) }))
}

/// Key filters, all of which can be run.
fn filters(given: &RawValue) -> Result<Filters, Rejection> {
    let ready = |filters: Filters| filters.compile().map(|_| filters);
    Filters::parse(given).and_then(ready).map_err(|error| {
        let said = error.to_string();
        match error {
            FilterError::Unknown { place, name } => {
                Rejection::new(RejectionKind::UnknownFilter { name }).at(format!(".{place}"))
            }
            FilterError::Unusable { place, .. } => {
                Rejection::new(RejectionKind::UnusableFilter).at(format!(".{place}")).saying(said)
            }
            FilterError::Malformed { .. } => {
                Rejection::malformed(".key_filters", said).given(given)
            }
        }
    })
}

/// The module of the generators that this store offers.
const GENERATORS: &str = "mapring";

/// `module`, `function`, `arg`: values that no bucket holds.
fn generator(value: &RawValue, fields: &Fields<'_>) -> Result<Values, Rejection> {
    let name = |field: &'static str| {
        let text = fields.get(field).and_then(string);
        text.ok_or_else(|| unrecognized(format!(".{field}"), value))
    };
    let (module, function) = (name("module")?, name("function")?);
    let arg = fields.get("arg");
    let wrong = |forms: &str| {
        let what = format!("The \"arg\" of {module}:{function} is {forms}, not");
        Rejection::malformed(".arg", what).given(arg.unwrap_or(value))
    };
    match (module.as_str(), function.as_str()) {
        (GENERATORS, "list") => {
            let mut values = Vec::new();
            let list = arg.is_some_and(|arg| {
                each(arg, |element| {
                    values.push(JsonText(element.get().to_owned()));
                    true
                })
            });
            if list { Ok(Values::List(values)) } else { Err(wrong("a list")) }
        }
        (GENERATORS, "sequence") => {
            let parts = arg.and_then(|arg| elements(arg, 2)).unwrap_or_default();
            let number = |text: &&RawValue| text.get().parse::<i64>().ok();
            match parts.iter().map(number).collect::<Option<Vec<_>>>().as_deref() {
                Some(&[from, to]) => Ok(Values::Sequence(from, to)),
                _ => Err(wrong("[first, last], two whole numbers")),
            }
        }
        _ => Err(Rejection::malformed(
            "",
            format!(
                "There is no generator of inputs {}:{}; there are {GENERATORS}:list and \
                 {GENERATORS}:sequence.",
                quote(&module),
                quote(&function)
            ),
        )),
    }
}
