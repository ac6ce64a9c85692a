//! The query language: from the body of a `POST /mapred` to a [`Query`] (facts R38 to R54).
//!
//! Values that functions get (`arg`, key data) stay JSON text. The words of refusals are Riak's
//! where clients look for them; its Erlang dumps are replaced by the JSON in question.

mod groups;
mod ignored;
mod index;
mod inputs;
mod lenient;
mod naming;
mod options;
mod output;
mod parts;
mod phase;
mod phases;
mod query;
mod scan;
mod source;
mod sources;
mod text;

pub(crate) use options::{Consistency, OnError, Options, WriteBatch};
pub(crate) use output::{AnswerForm, Format, IndexTerm, Layout, ObjectsSpec, Output, Target};
pub(crate) use phase::{Callee, Code, CombineSpec, GroupSpec, LinkSpec, Phase, PhaseKind};
pub use query::Query;
pub(crate) use query::{Inputs, KeyInput, Narrowing, PackedKeys, Scan, Spec};
pub(crate) use source::{Part, ReaderSpec, Roots};

use std::time::Duration;

use mapring_script::JsonText;
use mapring_types::{limits as common, quote};
use serde_json::value::RawValue;

use crate::limits;
use crate::rejection::{Rejection, RejectionKind};
use text::{fields, kind};

impl Query {
    /// Reads the body of a `POST /mapred`.
    ///
    /// # Errors
    /// What is wrong with it, and where (fact R39).
    pub fn parse(body: &[u8]) -> Result<Self, Rejection> {
        parse(body)
    }
}

/// See [`Query::parse`].
pub(crate) fn parse(body: &[u8]) -> Result<Query, Rejection> {
    let body = json_text(body)?;
    let body = &*body;
    let fields =
        fields(body, &QUERY_MEMBERS).ok_or_else(|| Rejection::new(RejectionKind::NotAnObject))?;
    let (Some(inputs), Some(query)) = (fields.get("inputs"), fields.get("query")) else {
        return Err(Rejection::new(RejectionKind::Incomplete));
    };
    // Key filters come last: whatever else is wrong with the query is told first, as by Riak.
    let inputs = inputs::parse(inputs).map_err(|rejection| rejection.below("inputs"));
    let inputs = match inputs {
        Err(rejection) if !rejection.is_late() => return Err(rejection),
        inputs => inputs,
    };
    let phases = phases::parse(query).map_err(|rejection| rejection.below("query"))?;
    let options = options::parse(&fields)?;
    let timeout = match fields.given("timeout") {
        None => limits::QUERY_TIMEOUT,
        Some(given) => timeout(given).map_err(|rejection| rejection.below("timeout"))?,
    };
    let output = match fields.given("output") {
        None => Output::default(),
        Some(given) => {
            let divided = inputs.as_ref().is_ok_and(|inputs| matches!(inputs, Inputs::Source(_)));
            let is_one_shard = options.shards == Some(1) && !divided;
            output(given, &phases, options, is_one_shard)
                .map_err(|refused| refused.below("output"))?
        }
    };
    let name = fields.given("name").map(name).transpose()?;
    let params = fields.given("params").map(|params| JsonText(params.get().to_owned()));
    let inputs = inputs?;
    let text = quote(body.get());
    // Whoever reads the plan wants to know.
    let ignored = if options.explain { ignored::of(body, &QUERY_MEMBERS) } else { Vec::new() };
    let spec = Spec { inputs, phases, options, output, name, params, timeout, text, ignored };
    Ok(Query::new(spec))
}

/// Reads what becomes of the results of these phases.
fn output(
    given: &RawValue,
    phases: &[Phase],
    options: Options,
    is_one_shard: bool,
) -> Result<Output, Rejection> {
    let output = output::parse(given, phases, is_one_shard)?;
    if options.profile && output.target == Target::Answer(AnswerForm::Lines) {
        let what = "Lines have no place for a \"profile\": ask without \"as\", or for lines by the \
                    header Accept.";
        return Err(Rejection::malformed(".as", what));
    }
    Ok(output)
}

/// What a query is called.
fn name(given: &RawValue) -> Result<String, Rejection> {
    let most = limits::QUERY_NAME_BYTES;
    text::string(given).filter(|name| (1..=most).contains(&name.len())).ok_or_else(|| {
        let what = format!("is a text of 1 to {most} bytes");
        Rejection::new(RejectionKind::Option("name")).at("name").saying(what).given(given)
    })
}

/// What is read of a query: Riak's three members, and this store's own, which Riak's grammar ignores.
pub const QUERY_MEMBERS: [&str; 15] = [
    "inputs",
    "query",
    "timeout",
    "on_error",
    "limit",
    "consistency",
    "tombstones",
    "binary",
    "explain",
    "profile",
    "name",
    "params",
    "output",
    "write_batch",
    "shards",
];

/// The places of members of a query and of its phases that nobody reads, such as
/// `query[1].reduce.partitons`; none of what is no query.
pub fn unread_members(body: &[u8]) -> Vec<String> {
    json_text(body).map(|body| ignored::of(&body, &QUERY_MEMBERS)).unwrap_or_default()
}

/// The JSON of a body as people write it: with what Riak's parser takes beside what the standard
/// allows, such as raw line ends within texts and trailing commas.
///
/// # Errors
/// Why it is no JSON, or that it is nested deeper than is read.
pub fn json_text(body: &[u8]) -> Result<Box<RawValue>, Rejection> {
    let text = lenient::strict(text_of(body)?);
    whole_json(&text).or_else(|refusal| {
        // What is wrong with the text as it came is what its writer wants to know.
        let mended =
            mapring_script::without_trailing_commas(&text).ok_or_else(|| refusal.clone())?;
        whole_json(&mended).map_err(|_| refusal)
    })
}

fn text_of(body: &[u8]) -> Result<&str, Rejection> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Rejection::new(RejectionKind::Empty));
    }
    std::str::from_utf8(body).map_err(|error| no_json(&error))
}

fn whole_json(text: &str) -> Result<Box<RawValue>, Rejection> {
    if text::nesting(text) > limits::NESTING {
        return Err(no_json(&format_args!(
            "arrays and objects are nested deeper than {}",
            limits::NESTING
        )));
    }
    serde_json::from_str(text).map_err(|error| no_json(&error))
}

fn no_json(error: &dyn std::fmt::Display) -> Rejection {
    Rejection::new(RejectionKind::NotJson).saying(error.to_string())
}

/// A number above zero, in milliseconds. Riak ignores anything else, and then the query runs for as
/// long as nobody meant it to.
fn timeout(value: &RawValue) -> Result<Duration, Rejection> {
    match value.get().parse::<f64>() {
        Ok(millis) if kind(value) == text::Kind::Number && millis > 0.0 => {
            let longest = common::MAX_TIMEOUT;
            Ok(Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or(longest).min(longest))
        }
        _ => {
            let what = "\"timeout\" is a number of milliseconds above zero, not";
            Err(Rejection::malformed("", what).given(value))
        }
    }
}

#[cfg(test)]
mod tests;
