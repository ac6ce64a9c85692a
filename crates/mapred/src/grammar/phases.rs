//! The field `query`: the phases (facts R52 to R54).

use bytes::Bytes;
use mapring_script::{Function, JsonText};
use mapring_types::{BucketId, ObjectId, quote};
use serde_json::value::RawValue;

use super::groups;
use super::phase::{BATCH_SIZE, Callee, Code, LinkSpec, ONLY_ONE, PREREDUCE, Phase, PhaseKind};
use super::text::{Fields, Kind, each, fields, kind, string};
use crate::limits;
use crate::rejection::{Rejection, RejectionKind};

pub(super) fn parse(value: &RawValue) -> Result<Vec<Phase>, Rejection> {
    let mut steps = Vec::new();
    let is_list = each(value, |step| {
        steps.push(step);
        steps.len() <= limits::PHASES
    });
    if !is_list {
        let what = "The value of the \"query\" field was not a list";
        return Err(Rejection::malformed("", what).given(value));
    }
    if steps.len() > limits::PHASES {
        let what = format!("A query has at most {} phases.", limits::PHASES);
        return Err(Rejection::malformed("", what));
    }
    let last = steps.len().saturating_sub(1);
    let phase = |(number, step)| {
        phase(step, number == last).map_err(|refused| refused.below(&format!("[{number}]")))
    };
    steps.into_iter().enumerate().map(phase).collect()
}

/// An object with exactly one of `map`, `reduce` and `link`.
fn phase(step: &RawValue, last: bool) -> Result<Phase, Rejection> {
    let unrecognized =
        |at: &str| Rejection::malformed(at, "Unrecognized format of query phase").given(step);
    let outer = fields(step, &["map", "reduce", "link"]).ok_or_else(|| unrecognized(""))?;
    let name = outer.first.as_deref().filter(|_| outer.count == 1);
    let name = name.ok_or_else(|| unrecognized(""))?;
    let spec = outer.get(name).ok_or_else(|| unrecognized(""))?;
    let fields = fields(spec, &FIELDS.concat()).ok_or_else(|| unrecognized(&format!(".{name}")))?;
    let kind = match name {
        "map" => code(spec, &fields).map(PhaseKind::Map),
        "reduce" => reduce(spec, &fields),
        _ => link(spec, &fields).map(PhaseKind::Link),
    };
    let kind = kind.map_err(|refused| refused.below(&format!(".{name}")))?;
    let keep = match fields.get("keep").map(RawValue::get) {
        None => last,
        Some("true") => true,
        Some("false") => false,
        Some(_) => {
            let what = "The \"keep\" field was not a boolean value in";
            return Err(Rejection::malformed(format!(".{name}.keep"), what).given(step));
        }
    };
    Ok(Phase { kind, keep })
}

const FIELDS: [&[&str]; 2] = [
    &[
        "language", "source", "name", "bucket", "key", "module", "function", "arg", "keep", "tag",
        PREREDUCE, ONLY_ONE, BATCH_SIZE,
    ],
    &groups::FIELDS,
];

/// The members that are read of a phase of a kind, by whether it is a grouped reduce.
pub(super) fn members_of(kind: &str, grouped: bool) -> Vec<&'static str> {
    if kind == "link" {
        return vec!["bucket", "tag", "keep"];
    }
    let [code, groups] = FIELDS;
    let own = code.iter().filter(|name| **name != "tag");
    own.chain(if grouped { groups } else { &["group"] }.iter().filter(|_| kind == "reduce"))
        .copied()
        .collect()
}

fn reduce(spec: &RawValue, fields: &Fields<'_>) -> Result<PhaseKind, Rejection> {
    let code = code(spec, fields)?;
    Ok(match groups::is_grouped(fields)? {
        true => PhaseKind::Group(Box::new(groups::parse(code, fields)?)),
        false => PhaseKind::Reduce(code),
    })
}

pub(super) fn code(spec: &RawValue, fields: &Fields<'_>) -> Result<Code, Rejection> {
    let Some(language) = fields.get("language") else {
        let what = "No \"language\" was specified for the phase";
        return Err(Rejection::malformed("", what).given(spec));
    };
    let callee = match string(language).as_deref() {
        Some("javascript") => javascript(spec, fields)?,
        Some("erlang") => erlang(spec, fields)?,
        _ => {
            let language = quote(language.get());
            let what = format!("Unknown language {language} in phase");
            return Err(Rejection::malformed(".language", what).given(spec));
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
fn javascript(spec: &RawValue, fields: &Fields<'_>) -> Result<Callee, Rejection> {
    let what = "No function specified in Javascript phase";
    let none = |at: &str| Rejection::malformed(at, what).given(spec);
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
                    or a \"source\" or \"name\" field";
        return Err(Rejection::malformed("", what).given(spec));
    };
    let id = ObjectId::new(BucketId::untyped(text(".bucket", bucket)?), text(".key", key)?);
    Ok(Callee::Stored(id))
}

/// `module` with `function`; functions as Erlang text, in the query or stored, cannot be run.
fn erlang(spec: &RawValue, fields: &Fields<'_>) -> Result<Callee, Rejection> {
    let text = |name: &str| fields.given(name).and_then(string);
    let stored = fields.given("bucket").is_some() && fields.given("key").is_some();
    match (text("module"), text("function")) {
        (Some(module), Some(function)) => Ok(Callee::Given(Function::Erlang { module, function })),
        _ if fields.given("source").is_some() || stored => Ok(Callee::ErlangSource),
        _ => {
            let what = "No function specified in Erlang phase";
            Err(Rejection::malformed("", what).given(spec))
        }
    }
}

/// `bucket` and `tag`: a name, or `_` for any, which is also what is meant when one is not given.
fn link(spec: &RawValue, fields: &Fields<'_>) -> Result<LinkSpec, Rejection> {
    let wanted = |name: &str| match fields.get(name) {
        None => Some(None),
        Some(value) if kind(value) == Kind::String => {
            string(value).map(|name| (name != "_").then(|| Bytes::from(name)))
        }
        Some(_) => None,
    };
    match (wanted("bucket"), wanted("tag")) {
        (Some(bucket), Some(tag)) => Ok(LinkSpec { bucket, tag }),
        (bucket, _) => {
            let at = if bucket.is_none() { ".bucket" } else { ".tag" };
            Err(Rejection::new(RejectionKind::LinkSpec).at(at).given(spec))
        }
    }
}
