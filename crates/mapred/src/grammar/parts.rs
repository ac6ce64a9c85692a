//! Code beside the functions of phases: readers of inputs, functions that choose partitions, writers of
//! outputs. All of it is JavaScript.

use mapring_script::Function;
use mapring_types::{BucketId, ObjectId};
use serde_json::value::RawValue;

use super::phase::{Callee, Code};
use super::text::{fields, string};
use crate::rejection::Rejection;

const MEMBERS: [&str; 5] = ["language", "source", "name", "bucket", "key"];

/// Reads where the code is.
pub(super) fn parse(value: &RawValue, what: &str) -> Result<Code, Rejection> {
    let forms = format!(
        "The code of {what} is an object with \"source\", \"name\", or \"bucket\" and \"key\","
    );
    let wrong = |place: &str, what: String| Rejection::malformed(place, what).given(value);
    let Some(fields) = fields(value, &MEMBERS) else {
        return Err(wrong("", format!("{forms} not")));
    };
    if let Some(unknown) = &fields.unknown {
        let place = format!(".{}", mapring_types::quote(unknown));
        return Err(wrong(&place, format!("{forms} and perhaps \"language\", and here is")));
    }
    if let Some(given) = fields.given("language")
        && string(given).as_deref() != Some("javascript")
    {
        let what = format!("The \"language\" of {what} is \"javascript\", not");
        return Err(Rejection::malformed(".language", what).given(given));
    }
    let text = |name: &str| {
        let read = |given| {
            let wrong = || {
                let what = format!("\"{name}\" is a text, not");
                Rejection::malformed(format!(".{name}"), what).given(given)
            };
            string(given).ok_or_else(wrong)
        };
        fields.given(name).map(read).transpose()
    };
    let callee = match (text("source")?, text("name")?, text("bucket")?, text("key")?) {
        (Some(source), ..) => Callee::Given(Function::Source(source)),
        (None, Some(name), ..) => Callee::Given(Function::Named(name)),
        (None, None, Some(bucket), Some(key)) => {
            Callee::Stored(ObjectId::new(BucketId::untyped(bucket), key))
        }
        _ => return Err(wrong("", format!("{forms} not"))),
    };
    Ok(Code { callee, arg: None, beside: Default::default() })
}
