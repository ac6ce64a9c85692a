//! The field `query`: the phases (facts R52 to R54).

use bytes::Bytes;
use mapring_script::{Function, JsonText};
use mapring_types::{BucketId, ObjectId, quote};
use serde_json::value::RawValue;

use super::query::{BATCH_SIZE, Callee, Code, LinkSpec, ONLY_ONE, PREREDUCE, Phase, PhaseKind};
use super::refused::{Refused, complaint};
use super::text::{Fields, Kind, each, fields, kind, string};
use crate::limits;

pub(super) fn parse(value: &RawValue) -> Result<Vec<Phase>, Refused> {
    let mut steps = Vec::new();
    let is_list = each(value, |step| {
        steps.push(step);
        steps.len() <= limits::PHASES
    });
    if !is_list {
        let what = complaint("The value of the \"query\" field was not a list:", value);
        return Err(Refused::part("", what));
    }
    if steps.len() > limits::PHASES {
        let what = format!("A query has at most {} phases.\n", limits::PHASES);
        return Err(Refused::part("", what));
    }
    let last = steps.len().saturating_sub(1);
    let phase = |(number, step)| {
        phase(step, number == last).map_err(|refused| refused.below(&format!("[{number}]")))
    };
    steps.into_iter().enumerate().map(phase).collect()
}

/// An object with exactly one of `map`, `reduce` and `link`.
fn phase(step: &RawValue, last: bool) -> Result<Phase, Refused> {
    let unrecognized =
        |at: &str| Refused::part(at, complaint("Unrecognized format of query phase:", step));
    let outer = fields(step, &["map", "reduce", "link"]).ok_or_else(|| unrecognized(""))?;
    let name = outer.first.as_deref().filter(|_| outer.count == 1);
    let name = name.ok_or_else(|| unrecognized(""))?;
    let spec = outer.get(name).ok_or_else(|| unrecognized(""))?;
    let fields = fields(spec, &FIELDS).ok_or_else(|| unrecognized(&format!(".{name}")))?;
    let kind = match name {
        "map" => code(spec, &fields).map(PhaseKind::Map),
        "reduce" => code(spec, &fields).map(PhaseKind::Reduce),
        _ => link(spec, &fields).map(PhaseKind::Link),
    };
    let kind = kind.map_err(|refused| refused.below(&format!(".{name}")))?;
    let keep = match fields.get("keep").map(RawValue::get) {
        None => last,
        Some("true") => true,
        Some("false") => false,
        Some(_) => {
            let what = complaint("The \"keep\" field was not a boolean value in:", step);
            return Err(Refused::part(format!(".{name}.keep"), what));
        }
    };
    Ok(Phase { kind, keep })
}

const FIELDS: [&str; 13] = [
    "language", "source", "name", "bucket", "key", "module", "function", "arg", "keep", "tag",
    PREREDUCE, ONLY_ONE, BATCH_SIZE,
];

fn code(spec: &RawValue, fields: &Fields<'_>) -> Result<Code, Refused> {
    let Some(language) = fields.get("language") else {
        let what = complaint("No \"language\" was specified for the phase:", spec);
        return Err(Refused::part("", what));
    };
    let callee = match string(language).as_deref() {
        Some("javascript") => javascript(spec, fields)?,
        Some("erlang") => erlang(spec, fields)?,
        _ => {
            let language = quote(language.get());
            let what = complaint(&format!("Unknown language {language} in phase:"), spec);
            return Err(Refused::part(".language", what));
        }
    };
    let arg = fields.get("arg").map(|arg| JsonText(arg.get().to_owned()));
    let beside = [PREREDUCE, ONLY_ONE, BATCH_SIZE].into_iter();
    let beside = beside.filter_map(|name| {
        let value = fields.get(name)?;
        Some((name, serde_json::from_str(value.get()).ok()?))
    });
    Ok(Code { callee, arg, beside: beside.collect() })
}

/// `source`, then `name`, then `bucket` with `key`.
fn javascript(spec: &RawValue, fields: &Fields<'_>) -> Result<Callee, Refused> {
    let none =
        |at: &str| Refused::part(at, complaint("No function specified in Javascript phase:", spec));
    let text = |at: &str, value: &RawValue| string(value).ok_or_else(|| none(at));
    if let Some(source) = fields.given("source") {
        return Ok(Callee::Given(Function::Source(text(".source", source)?)));
    }
    if let Some(name) = fields.given("name") {
        return Ok(Callee::Given(Function::Named(text(".name", name)?)));
    }
    let bucket = fields.given("bucket").ok_or_else(|| none(""))?;
    let Some(key) = fields.given("key") else {
        let what = "Javascript phase was missing a \"key\" field to match the \"bucket\" field, \
                    or a \"source\" or \"name\" field:";
        return Err(Refused::part("", complaint(what, spec)));
    };
    let id = ObjectId::new(BucketId::untyped(text(".bucket", bucket)?), text(".key", key)?);
    Ok(Callee::Stored(id))
}

/// `module` with `function`; functions as Erlang text, in the query or stored, cannot be run.
fn erlang(spec: &RawValue, fields: &Fields<'_>) -> Result<Callee, Refused> {
    let text = |name: &str| fields.given(name).and_then(string);
    let stored = fields.given("bucket").is_some() && fields.given("key").is_some();
    match (text("module"), text("function")) {
        (Some(module), Some(function)) => Ok(Callee::Given(Function::Erlang { module, function })),
        _ if fields.given("source").is_some() || stored => Ok(Callee::ErlangSource),
        _ => Err(Refused::part("", complaint("No function specified in Erlang phase:", spec))),
    }
}

/// `bucket` and `tag`: a name, or `_` for any, which is also what is meant when one is not given.
fn link(spec: &RawValue, fields: &Fields<'_>) -> Result<LinkSpec, Refused> {
    let wanted = |name: &str| match fields.get(name) {
        None => Some(None),
        Some(value) if kind(value) == Kind::String => {
            string(value).map(|name| (name != "_").then(|| Bytes::from(name)))
        }
        Some(_) => None,
    };
    match (wanted("bucket"), wanted("tag")) {
        (Some(bucket), Some(tag)) => Ok(LinkSpec { bucket, tag }),
        (bucket, _) => Err(Refused::part(
            if bucket.is_none() { ".bucket" } else { ".tag" },
            format!(
                "Invalid link step specification:\n   {}\n\n \"bucket\" and \"tag\" fields must \
                 have string values.\n",
                quote(spec.get())
            ),
        )),
    }
}
