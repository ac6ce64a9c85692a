//! The field `query`: the phases (reference §6.4).

use bytes::Bytes;
use mapring_script::{Function, JsonText};
use mapring_types::{BucketId, ObjectId};
use serde_json::value::RawValue;

use super::complaint;
use super::query::{Callee, Code, LinkSpec, Phase, PhaseKind};
use super::text::{Fields, Kind, each, fields, kind, string};
use crate::failure::quote;
use crate::limits;

pub(super) fn parse(value: &RawValue) -> Result<Vec<Phase>, String> {
    let mut steps = Vec::new();
    let is_list = each(value, |step| {
        steps.push(step);
        steps.len() <= limits::PHASES
    });
    if !is_list {
        return Err(complaint("The value of the \"query\" field was not a list:", value));
    }
    if steps.len() > limits::PHASES {
        return Err(format!("A query has at most {} phases.\n", limits::PHASES));
    }
    let last = steps.len().saturating_sub(1);
    steps.into_iter().enumerate().map(|(number, step)| phase(step, number == last)).collect()
}

/// An object with exactly one of `map`, `reduce` and `link`.
fn phase(step: &RawValue, last: bool) -> Result<Phase, String> {
    let unrecognized = || complaint("Unrecognized format of query phase:", step);
    let outer = fields(step, &["map", "reduce", "link"]).ok_or_else(unrecognized)?;
    let name = outer.first.as_deref().filter(|_| outer.count == 1).ok_or_else(unrecognized)?;
    let spec = outer.get(name).ok_or_else(unrecognized)?;
    let fields = fields(spec, &FIELDS).ok_or_else(unrecognized)?;
    let keep = match fields.get("keep").map(RawValue::get) {
        None => last,
        Some("true") => true,
        Some("false") => false,
        Some(_) => {
            return Err(complaint("The \"keep\" field was not a boolean value in:", step));
        }
    };
    let kind = match name {
        "map" => PhaseKind::Map(code(spec, &fields)?),
        "reduce" => PhaseKind::Reduce(code(spec, &fields)?),
        _ => PhaseKind::Link(link(spec, &fields)?),
    };
    Ok(Phase { kind, keep })
}

const FIELDS: [&str; 10] =
    ["language", "source", "name", "bucket", "key", "module", "function", "arg", "keep", "tag"];

fn code(spec: &RawValue, fields: &Fields<'_>) -> Result<Code, String> {
    let Some(language) = fields.get("language") else {
        return Err(complaint("No \"language\" was specified for the phase:", spec));
    };
    let callee = match string(language).as_deref() {
        Some("javascript") => javascript(spec, fields)?,
        Some("erlang") => erlang(spec, fields)?,
        _ => {
            let language = quote(language.get());
            return Err(complaint(&format!("Unknown language {language} in phase:"), spec));
        }
    };
    let arg = fields.get("arg").map(|arg| JsonText(arg.get().to_owned()));
    Ok(Code { callee, arg })
}

/// `source`, then `name`, then `bucket` with `key`.
fn javascript(spec: &RawValue, fields: &Fields<'_>) -> Result<Callee, String> {
    let none = || complaint("No function specified in Javascript phase:", spec);
    let text = |value: &RawValue| string(value).ok_or_else(none);
    if let Some(source) = fields.given("source") {
        return Ok(Callee::Given(Function::Source(text(source)?)));
    }
    if let Some(name) = fields.given("name") {
        return Ok(Callee::Given(Function::Named(text(name)?)));
    }
    let bucket = fields.given("bucket").ok_or_else(none)?;
    let Some(key) = fields.given("key") else {
        return Err(complaint(
            "Javascript phase was missing a \"key\" field to match the \"bucket\" field, \
             or a \"source\" or \"name\" field:",
            spec,
        ));
    };
    let id = ObjectId::new(BucketId::untyped(text(bucket)?), text(key)?);
    Ok(Callee::Stored(id))
}

/// `module` with `function`; functions as Erlang text, in the query or stored, cannot be run.
fn erlang(spec: &RawValue, fields: &Fields<'_>) -> Result<Callee, String> {
    let text = |name: &str| fields.given(name).and_then(string);
    let stored = fields.given("bucket").is_some() && fields.given("key").is_some();
    match (text("module"), text("function")) {
        (Some(module), Some(function)) => Ok(Callee::Given(Function::Erlang { module, function })),
        _ if fields.given("source").is_some() || stored => Ok(Callee::ErlangSource),
        _ => Err(complaint("No function specified in Erlang phase:", spec)),
    }
}

/// `bucket` and `tag`: a name, or `_` for any, which is also what is meant when one is not given.
fn link(spec: &RawValue, fields: &Fields<'_>) -> Result<LinkSpec, String> {
    let wanted = |name: &str| match fields.get(name) {
        None => Some(None),
        Some(value) if kind(value) == Kind::String => {
            string(value).map(|name| (name != "_").then(|| Bytes::from(name)))
        }
        Some(_) => None,
    };
    match (wanted("bucket"), wanted("tag")) {
        (Some(bucket), Some(tag)) => Ok(LinkSpec { bucket, tag }),
        _ => Err(format!(
            "Invalid link step specification:\n   {}\n\n \"bucket\" and \"tag\" fields must have \
             string values.\n",
            quote(spec.get())
        )),
    }
}
