//! Inputs that are no objects as they are: lines, members, records, generated items.
//!
//! Every form is an object whose one member names it, and most take other inputs in it: so they nest.
//! All of these are errors in Riak.

use std::sync::Arc;

use mapring_readers::{Format, FormatError, Generator, LineFormat};
use mapring_script::JsonText;
use serde_json::value::RawValue;

use super::inputs;
use super::parts;
use super::query::{Inputs, Values};
use super::source::{ReaderSpec, Roots, Source};
use super::text::{Fields, Kind, compact, each, fields, kind, string};
use crate::limits;
use crate::rejection::Rejection;

/// The forms, and what may stand beside the member that names each.
const FORMS: [(&str, &[&str]); 16] = [
    ("lines", &["encoding", "separator", "keep_cr", "on_missing"]),
    ("gzip", &["on_missing"]),
    ("zip", &["on_missing"]),
    ("base64", &["on_missing"]),
    ("csv", &["header", "separator", "on_missing"]),
    ("records", &["on_missing"]),
    ("fields", &["on_missing"]),
    ("sample", &["limit", "fraction", "seed"]),
    ("concat", &[]),
    ("reader", &["params", "on_missing"]),
    ("random", &[]),
    ("range", &[]),
    ("items", &[]),
    ("job", &[]),
    ("buckets", &[]),
    ("bucket_types", &[]),
];

/// Reads one of the forms; `None` for another object.
pub(super) fn parse(value: &RawValue) -> Option<Result<Inputs, Rejection>> {
    let names: Vec<&'static str> = FORMS.iter().map(|(name, _)| *name).collect();
    let named = fields(value, &names)?;
    let mut given = FORMS.iter().filter(|(name, _)| named.get(name).is_some());
    let (form, options) = given.next()?;
    if let Some((other, _)) = given.next() {
        let what = format!("Inputs are \"{form}\" or \"{other}\", not both");
        return Some(Err(Rejection::malformed("", what).given(value)));
    }
    Some(read(value, form, options).map(Inputs::Source))
}

/// Reads the form of a name.
fn read(
    value: &RawValue,
    form: &'static str,
    options: &'static [&'static str],
) -> Result<Source, Rejection> {
    let wanted: Vec<&'static str> = options.iter().copied().chain([form]).collect();
    let none = || Rejection::malformed("", "Inputs are an object, not").given(value);
    let fields = fields(value, &wanted).ok_or_else(none)?;
    if let Some(unknown) = &fields.unknown {
        let beside = match options {
            [] => "nothing".to_owned(),
            options => {
                options.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            }
        };
        let what = format!("Beside \"{form}\" there may be {beside}, and here is");
        let place = format!(".{}", mapring_types::quote(unknown));
        return Err(Rejection::malformed(place, what).given(value));
    }
    let given = fields.get(form).ok_or_else(none)?;
    let source = match form {
        "random" => random(given).map(generated),
        "range" => range(given).map(generated),
        "items" => items(given).map(generated),
        "job" => job(given),
        "concat" => concat(given),
        "reader" => reader(given, fields.given("params")),
        "buckets" => buckets(given),
        "bucket_types" => bucket_types(given),
        _ => inner(given),
    };
    let source = source.map_err(|refused| refused.below(&format!(".{form}")))?;
    match form {
        "random" | "range" | "items" | "job" | "concat" | "buckets" | "bucket_types" => Ok(source),
        "reader" => miss(source, &fields),
        "sample" => sample(source, value, &fields),
        _ => wrap(source, form, value, &fields),
    }
}

/// The inputs within a form.
fn inner(value: &RawValue) -> Result<Source, Rejection> {
    Ok(match inputs::parse(value)? {
        Inputs::Scan(scan) => Source::of(Roots::Scan(scan)),
        Inputs::Keys(keys) => Source::of(Roots::Keys(Arc::new(keys))),
        Inputs::Values(Values::List(values)) => {
            let items = values.into_iter().map(|value| value.0).collect();
            generated(Generator::Items(items))
        }
        Inputs::Values(Values::Sequence(from, to)) => {
            generated(Generator::Range { start: from, end: to.saturating_add(1), step: 1 })
        }
        Inputs::Source(source) => source,
    })
}

fn generated(generator: Generator) -> Source {
    Source::of(Roots::Generated(generator))
}

/// Lays a format over all parts.
fn wrap(
    mut source: Source,
    form: &'static str,
    value: &RawValue,
    fields: &Fields<'_>,
) -> Result<Source, Rejection> {
    let format = format(form, fields)?;
    format.check().map_err(|error| refused(&error, fields, value))?;
    let fails = fails_on_missing(fields)?;
    for part in &mut source.parts {
        if part.most.is_some() {
            let what = "A sample with a \"limit\" is not taken apart further: put it around";
            return Err(Rejection::malformed("", what).given(value));
        }
        if let Roots::Scan(scan) = &part.roots
            && scan.narrowing.keys_only
        {
            let what = format!("\"{form}\" reads objects, and \"keys_only\" asks for none");
            return Err(Rejection::malformed("", what).given(value));
        }
        part.formats.push(format.clone());
        part.fails_on_missing = fails.unwrap_or(part.fails_on_missing);
        deep_enough(&part.formats)?;
    }
    Ok(source)
}

/// `{"source":"…"}`, and what its `split` gets.
fn reader(value: &RawValue, params: Option<&RawValue>) -> Result<Source, Rejection> {
    let code = parts::parse(value, "a reader")?;
    let params = params.map(|params| JsonText(params.get().to_owned()));
    Ok(Source::of(Roots::Reader(Arc::new(ReaderSpec { code, params }))))
}

/// What becomes of objects that a reader names and that are not there.
fn miss(mut source: Source, fields: &Fields<'_>) -> Result<Source, Rejection> {
    let fails = fails_on_missing(fields)?.unwrap_or(false);
    source.parts.iter_mut().for_each(|part| part.fails_on_missing = fails);
    Ok(source)
}

fn fails_on_missing(fields: &Fields<'_>) -> Result<Option<bool>, Rejection> {
    match fields.given("on_missing").map(|given| (string(given), given)) {
        None => Ok(None),
        Some((Some(word), _)) if word == "skip" => Ok(Some(false)),
        Some((Some(word), _)) if word == "fail" => Ok(Some(true)),
        Some((_, given)) => {
            let what = "\"on_missing\" is \"skip\" or \"fail\", not";
            Err(Rejection::malformed(".on_missing", what).given(given))
        }
    }
}

fn deep_enough(formats: &[Format]) -> Result<(), Rejection> {
    let deepest = mapring_readers::limits::LAYERS;
    if formats.len() <= deepest {
        return Ok(());
    }
    Err(Rejection::malformed("", format!("Inputs are nested deeper than {deepest} forms")))
}

fn format(form: &'static str, fields: &Fields<'_>) -> Result<Format, Rejection> {
    Ok(match form {
        "lines" => Format::Lines(LineFormat {
            encoding: text("encoding", fields)?,
            separator: text("separator", fields)?,
            keep_cr: flag("keep_cr", fields)?,
        }),
        "csv" => {
            Format::Csv { header: flag("header", fields)?, separator: text("separator", fields)? }
        }
        "gzip" => Format::Gzip,
        "zip" => Format::Zip,
        "base64" => Format::Base64,
        "records" => Format::Records,
        _ => Format::Fields,
    })
}

fn refused(error: &FormatError, fields: &Fields<'_>, value: &RawValue) -> Rejection {
    let place = format!(".{}", error.field);
    let what = format!("\"{}\" cannot be this: {}", error.field, error.message);
    Rejection::malformed(place, what).given(fields.get(error.field).unwrap_or(value))
}

fn text(name: &'static str, fields: &Fields<'_>) -> Result<Option<String>, Rejection> {
    let Some(given) = fields.given(name) else { return Ok(None) };
    match string(given) {
        Some(text) => Ok(Some(text)),
        None => Err(wrong(name, "a text", given)),
    }
}

fn flag(name: &'static str, fields: &Fields<'_>) -> Result<bool, Rejection> {
    match fields.given(name).map(|given| (given, given.get())) {
        None | Some((_, "false")) => Ok(false),
        Some((_, "true")) => Ok(true),
        Some((given, _)) => Err(wrong(name, "true or false", given)),
    }
}

/// What a member has to be.
fn wrong(name: &str, forms: &str, given: &RawValue) -> Rejection {
    Rejection::malformed(format!(".{name}"), format!("\"{name}\" is {forms}, not")).given(given)
}

/// A whole number within bounds; `None` where it is not given.
fn number<T>(name: &'static str, forms: &str, fields: &Fields<'_>) -> Result<Option<T>, Rejection>
where
    T: std::str::FromStr,
{
    let Some(given) = fields.get(name) else { return Ok(None) };
    let number = given.get().parse::<T>().ok().filter(|_| kind(given) == Kind::Number);
    number.map(Some).ok_or_else(|| wrong(name, forms, given))
}

fn required<T>(
    name: &'static str,
    forms: &str,
    found: Option<T>,
    value: &RawValue,
) -> Result<T, Rejection> {
    let missing = || {
        let what = format!("\"{name}\" is missing: it is {forms}");
        Rejection::malformed(format!(".{name}"), what).given(value)
    };
    found.ok_or_else(missing)
}

const ABOVE_ZERO: &str = "a whole number above 0";
const WHOLE: &str = "a whole number";

fn object<'a>(value: &'a RawValue, wanted: &[&'static str]) -> Result<Fields<'a>, Rejection> {
    let forms = || Rejection::malformed("", "Here is an object, not").given(value);
    let fields = fields(value, wanted).ok_or_else(forms)?;
    match &fields.unknown {
        None => Ok(fields),
        Some(unknown) => {
            let known = wanted.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
            let what = format!("There may be {} here, and there is", known.join(", "));
            let place = format!(".{}", mapring_types::quote(unknown));
            Err(Rejection::malformed(place, what).given(value))
        }
    }
}

fn above_zero(name: &'static str, fields: &Fields<'_>) -> Result<Option<u64>, Rejection> {
    let found: Option<u64> = number(name, ABOVE_ZERO, fields)?;
    match (found, fields.get(name)) {
        (Some(0), Some(given)) => Err(wrong(name, ABOVE_ZERO, given)),
        (found, _) => Ok(found),
    }
}

/// `{"count":500,"string_length":1,"seed":7}`, or `{"count":9,"min":0,"max":99,"seed":1}`.
fn random(value: &RawValue) -> Result<Generator, Rejection> {
    let fields = object(value, &["count", "string_length", "seed", "min", "max"])?;
    let count = required("count", ABOVE_ZERO, above_zero("count", &fields)?, value)?;
    // Where none is given, the query's own counts.
    let seed = number("seed", "a whole number from 0 on", &fields)?;
    let (min, max) = (number("min", WHOLE, &fields)?, number("max", WHOLE, &fields)?);
    let length: Option<u64> = above_zero("string_length", &fields)?;
    let generator = match (length, min, max) {
        (None, None, Some(max)) => numbers(count, 0, max, seed),
        (None, Some(min), max) => numbers(count, min, required("max", WHOLE, max, value)?, seed),
        (Some(_), min, max) if min.is_some() || max.is_some() => {
            let what = "Random inputs are texts (\"string_length\") or numbers (\"min\", \"max\")";
            return Err(Rejection::malformed("", what).given(value));
        }
        (length, ..) => {
            let length = length.unwrap_or(limits::RANDOM_LENGTH);
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            Generator::Texts { count, length, seed }
        }
    };
    generator.check().map_err(|error| refused(&error, &fields, value))?;
    Ok(generator)
}

fn numbers(count: u64, min: i64, max: i64, seed: Option<u64>) -> Generator {
    Generator::Numbers { count, min, max, seed }
}

/// `{"start":0,"end":10,"step":1}`.
fn range(value: &RawValue) -> Result<Generator, Rejection> {
    let fields = object(value, &["start", "end", "step"])?;
    let end = required("end", WHOLE, number("end", WHOLE, &fields)?, value)?;
    let start = number("start", WHOLE, &fields)?.unwrap_or(0);
    let step = number("step", "a whole number other than 0", &fields)?.unwrap_or(1);
    let generator = Generator::Range { start, end, step };
    generator.check().map_err(|error| refused(&error, &fields, value))?;
    Ok(generator)
}

/// `{"type":"default","prefix":"ns_"}`.
fn buckets(value: &RawValue) -> Result<Source, Rejection> {
    let fields = object(value, &["type", "prefix"])?;
    let bucket_type = text("type", &fields)?.unwrap_or_else(|| "default".to_owned());
    let prefix = text("prefix", &fields)?.unwrap_or_default();
    Ok(Source::of(Roots::Buckets { bucket_type, prefix }))
}

/// `{"prefix":"tenant_"}`.
fn bucket_types(value: &RawValue) -> Result<Source, Rejection> {
    let fields = object(value, &["prefix"])?;
    let prefix = text("prefix", &fields)?.unwrap_or_default();
    Ok(Source::of(Roots::BucketTypes { prefix }))
}

/// Any JSON values.
fn items(value: &RawValue) -> Result<Generator, Rejection> {
    let mut items = Vec::new();
    let is_list = each(value, |item| {
        items.push(compact(item));
        true
    });
    if is_list {
        Ok(Generator::Items(items))
    } else {
        Err(Rejection::malformed("", "\"items\" is a list, not").given(value))
    }
}

/// The id of a job.
fn job(value: &RawValue) -> Result<Source, Rejection> {
    let most = limits::QUERY_NAME_BYTES;
    let id = string(value).filter(|id| (1..=most).contains(&id.len()));
    let wrong = || Rejection::malformed("", "\"job\" is the id of a job, not").given(value);
    Ok(Source::of(Roots::Job(id.ok_or_else(wrong)?)))
}

/// A list of inputs of any form.
fn concat(value: &RawValue) -> Result<Source, Rejection> {
    let (mut parts, mut refusal, mut at) = (Vec::new(), None, 0u64);
    let is_list = each(value, |element| {
        match inner(element) {
            Ok(source) => parts.extend(source.parts),
            Err(refused) => refusal = Some(refused.below(&format!("[{at}]"))),
        }
        at += 1;
        refusal.is_none() && parts.len() <= limits::SOURCE_PARTS
    });
    match refusal {
        Some(refused) => Err(refused),
        None if !is_list => {
            Err(Rejection::malformed("", "\"concat\" is a list of inputs, not").given(value))
        }
        None if parts.len() > limits::SOURCE_PARTS => {
            let what = format!("There are more than {} inputs", limits::SOURCE_PARTS);
            Err(Rejection::malformed("", what))
        }
        // No inputs: a source has a part, and this one gives nothing.
        None if parts.is_empty() => Ok(generated(Generator::Items(Vec::new()))),
        None => Ok(Source { parts }),
    }
}

/// `{"sample":I,"limit":100}` or `{"sample":I,"fraction":0.01,"seed":1}`.
fn sample(mut source: Source, value: &RawValue, fields: &Fields<'_>) -> Result<Source, Rejection> {
    let limit = above_zero("limit", fields)?;
    let seed: Option<u64> = number("seed", "a whole number from 0 on", fields)?;
    let fraction = fields.given("fraction");
    if limit.is_none() && fraction.is_none() {
        let what = "A sample has a \"limit\" or a \"fraction\"";
        return Err(Rejection::malformed("", what).given(value));
    }
    if let Some(given) = fraction {
        let share = share(given).ok_or_else(|| wrong("fraction", "a number from 0 to 1", given))?;
        for part in &mut source.parts {
            part.formats.push(Format::Sample { share, seed });
            deep_enough(&part.formats)?;
        }
    }
    if let Some(most) = limit {
        let whole = source.parts.len() == 1;
        if !whole {
            let what = "A sample with a \"limit\" is one of a single input, not of a \"concat\"";
            return Err(Rejection::malformed(".limit", what).given(value));
        }
        for part in &mut source.parts {
            part.most = Some(part.most.map_or(most, |inner| inner.min(most)));
        }
    }
    Ok(source)
}

/// How many of 2^64 a fraction is.
fn share(given: &RawValue) -> Option<u64> {
    let fraction = given.get().parse::<f64>().ok().filter(|_| kind(given) == Kind::Number)?;
    // Rounded: whoever samples does not count so exactly.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let share = (fraction * 18_446_744_073_709_551_616.0) as u64;
    (0.0..=1.0).contains(&fraction).then_some(share)
}
