//! The member `output`: the form of an answer, or the objects that the results become.
//!
//! It is no member of Riak's, so what it does not know is refused rather than ignored.

use bytes::Bytes;
use mapring_types::{BucketId, IndexValue, Quorum, limits as common, quote};
use serde_json::value::RawValue;

use super::naming::Naming;
use super::parts;
use super::phase::{Code, Phase, PhaseKind};
use super::text::{Fields, Kind, elements, fields, kind, string};
use crate::limits;
use crate::rejection::Rejection;

/// What becomes of a query's results.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Output {
    /// Whether the values of pairs become texts.
    pub(crate) text_values: bool,
    pub(crate) target: Target,
}

impl Output {
    /// Whether it matters of which shard a result is.
    pub(crate) fn tells_shards(&self) -> bool {
        match &self.target {
            Target::Answer(_) => false,
            Target::Objects(spec) => matches!(spec.layout, Layout::PerShard(_)),
        }
    }
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Into the answer.
    Answer(AnswerForm),
    /// Into objects; the answer is the list of their names.
    Objects(Box<ObjectsSpec>),
}

impl Default for Target {
    fn default() -> Self {
        Self::Answer(AnswerForm::List)
    }
}

/// The form of a plain answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AnswerForm {
    /// Riak's.
    #[default]
    List,
    /// An object whose members are the pairs.
    Object,
    /// A result a line.
    Lines,
}

/// The objects that results become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectsSpec {
    pub(crate) bucket: BucketId,
    pub(crate) layout: Layout,
    pub(crate) format: Format,
    pub(crate) content_type: String,
    pub(crate) charset: Option<String>,
    /// User metadata by its header's name.
    pub(crate) meta: Vec<(String, Bytes)>,
    pub(crate) indexes: Vec<(String, IndexTerm)>,
    /// Whether an object that is there already fails the query, or is replaced.
    pub(crate) only_new: bool,
    /// Objects of one name are cut into pieces of so many bytes.
    pub(crate) max_bytes: Option<u64>,
    pub(crate) w: Quorum,
    /// What makes of the results what goes into the objects, and says into which.
    pub(crate) writer: Option<Code>,
}

/// Which results go into which object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Those of each key into one of that name.
    PerKey,
    /// All into one.
    Single(Naming),
    /// Those of each shard into one: of a partition of the last grouped reduce, or of the inputs.
    PerShard(Naming),
}

/// How results are written into an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Texts one behind the other.
    Text,
    /// Texts, each with an end of line.
    Lines,
    /// JSON, a result a line.
    NdJson,
    /// A JSON list; of a key its value.
    Json,
}

/// A term of an index of each object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexTerm {
    /// The object's own key.
    Key,
    Fixed(IndexValue),
}

const MEMBERS: [&str; 15] = [
    "as",
    "values",
    "bucket",
    "bucket_type",
    "layout",
    "name",
    "format",
    "content_type",
    "if_exists",
    "max_bytes",
    "w",
    "meta",
    "indexes",
    "commit",
    "writer",
];

/// Reads the member `output` of a query with these phases, whose inputs are one shard or more.
///
/// # Errors
/// Names the member and what it may be.
pub(super) fn parse(
    value: &RawValue,
    phases: &[Phase],
    is_one_shard: bool,
) -> Result<Output, Rejection> {
    let fields = fields(value, &MEMBERS)
        .ok_or_else(|| Rejection::malformed("", "\"output\" is an object, not").given(value))?;
    if let Some(unknown) = &fields.unknown {
        let what = format!("\"output\" has no member \"{}\"", quote(unknown));
        return Err(Rejection::malformed("", what).given(value).hint(HINT));
    }
    check_kept(phases)?;
    let text_values = choice(&fields, "values", &["json", "string"])? == Some(1);
    let form = choice(&fields, "as", &["list", "object", "ndjson"])?;
    let Some(bucket) = fields.given("bucket") else {
        let others = MEMBERS.iter().filter(|name| !["as", "values"].contains(name));
        if let Some(other) = others.copied().find(|name| fields.given(name).is_some()) {
            let what = format!("\"{other}\" is said of objects in a \"bucket\", which is missing");
            return Err(Rejection::malformed("", what).given(value));
        }
        let form = match form {
            Some(1) => AnswerForm::Object,
            Some(2) => AnswerForm::Lines,
            _ => AnswerForm::List,
        };
        return Ok(Output { text_values, target: Target::Answer(form) });
    };
    if let Some(given) = fields.given("as") {
        let what = "\"as\" is the form of results in the answer, and with a \"bucket\" there are \
                    none in it; not";
        return Err(Rejection::malformed(".as", what).given(given));
    }
    let is_one_shard = is_one_result(phases, is_one_shard);
    let target = Target::Objects(Box::new(objects(bucket, &fields, is_one_shard)?));
    Ok(Output { text_values, target })
}

const HINT: &str = "Members of an output are as, values, bucket, bucket_type, layout, name, format, \
                    content_type, if_exists, max_bytes, w, meta, indexes, commit and writer.";

/// Only the results of the last phase can be put out.
fn check_kept(phases: &[Phase]) -> Result<(), Rejection> {
    let Some((last, before)) = phases.split_last() else { return Ok(()) };
    if let Some(at) = before.iter().position(|phase| phase.keep) {
        let what = format!(
            "The \"output\" of a query is what its last phase gives: phase {at} cannot be kept."
        );
        return Err(Rejection::malformed("", what));
    }
    if !last.keep {
        let what = "The \"output\" of a query is what its last phase gives: that has to be kept.";
        return Err(Rejection::malformed("", what));
    }
    Ok(())
}

fn objects(
    bucket: &RawValue,
    fields: &Fields<'_>,
    is_one_shard: bool,
) -> Result<ObjectsSpec, Rejection> {
    if let Some(given) = fields.given("commit").filter(|given| given.get() != "\"job\"") {
        let why =
            "is \"job\": objects are there when the query has succeeded, and none before; not";
        return Err(refused("commit", why, given));
    }
    let writer = fields.given("writer").map(|given| writer(given, fields)).transpose()?;
    let layout = layout(fields, is_one_shard)?;
    let per_key = layout == Layout::PerKey;
    let format = match choice(fields, "format", &["text", "lines", "ndjson", "json"])? {
        Some(0) => Format::Text,
        Some(1) => Format::Lines,
        Some(2) => Format::NdJson,
        // What a writer gives is text.
        _ if writer.is_some() => Format::Text,
        _ => Format::Json,
    };
    let (content_type, charset) = content_type(fields, format)?;
    let max_bytes = fields.given("max_bytes").map(|given| size(given, per_key)).transpose()?;
    Ok(ObjectsSpec {
        bucket: self::bucket(bucket, fields.given("bucket_type"))?,
        layout,
        format,
        content_type,
        charset,
        meta: fields.given("meta").map_or(Ok(Vec::new()), meta)?,
        indexes: fields.given("indexes").map_or(Ok(Vec::new()), |given| indexes(given, per_key))?,
        only_new: choice(fields, "if_exists", &["replace", "fail"])? == Some(1),
        max_bytes,
        w: fields.given("w").map_or(Ok(Quorum::Default), quorum)?,
        writer,
    })
}

/// The code that writes. What it decides by itself nothing else may say.
fn writer(given: &RawValue, fields: &Fields<'_>) -> Result<Code, Rejection> {
    let others = ["layout", "name", "format", "max_bytes", "values"];
    if let Some((name, other)) =
        others.into_iter().find_map(|name| Some((name, fields.given(name)?)))
    {
        let why = "is not said beside a \"writer\", which names the objects and gives their text;";
        return Err(refused(name, &format!("{why} here is"), other));
    }
    parts::parse(given, "a writer").map_err(|refused| refused.below(".writer"))
}

fn bucket(given: &RawValue, bucket_type: Option<&RawValue>) -> Result<BucketId, Rejection> {
    let wrong = || refused("bucket", "is \"bucket\" or [\"type\",\"bucket\"], not", given);
    let bucket = match (string(given), elements(given, 2)) {
        (Some(name), _) => {
            let word = |given| {
                string(given).ok_or_else(|| {
                    refused("bucket_type", "is the name of a bucket type, not", given)
                })
            };
            match bucket_type.map(word).transpose()? {
                Some(bucket_type) => BucketId::typed(bucket_type, name),
                None => BucketId::untyped(name),
            }
        }
        (None, Some(parts)) => {
            let names: Option<Vec<String>> = parts.into_iter().map(string).collect();
            let [bucket_type, name] = names.unwrap_or_default().try_into().map_err(|_| wrong())?;
            BucketId::typed(bucket_type, name)
        }
        (None, None) => return Err(wrong()),
    };
    let fits = |part: &Bytes| (1..=common::KEY_BYTES).contains(&part.len());
    if fits(&bucket.bucket_type) && fits(&bucket.name) { Ok(bucket) } else { Err(wrong()) }
}

fn layout(fields: &Fields<'_>, is_one_shard: bool) -> Result<Layout, Rejection> {
    let chosen = choice(fields, "layout", &["per_key", "single", "per_shard"])?.unwrap_or(0);
    let Some(given) = fields.given("name") else {
        let usual = |text| Naming::parse(text).map_err(|_| Rejection::malformed(".name", text));
        return Ok(match chosen {
            0 => Layout::PerKey,
            1 => Layout::Single(usual("$name/$id/output")?),
            _ => Layout::PerShard(usual("$name/$id/output-$num")?),
        });
    };
    let text = string(given).filter(|text| (1..=common::KEY_BYTES).contains(&text.len()));
    let text = text.ok_or_else(|| refused("name", "is the name of an object, not", given))?;
    let naming = Naming::parse(&text).map_err(|place| {
        let why = format!(
            "has \"{}\", and only $name, $id and $num are filled in ($$ is a $):",
            quote(&place)
        );
        refused("name", &why, given)
    })?;
    match chosen {
        0 => {
            let why = "is of a \"single\" or \"per_shard\" layout: of the layout \"per_key\" the \
                       results' own keys are the names; not";
            Err(refused("name", why, given))
        }
        1 => Ok(Layout::Single(naming)),
        _ if naming.tells_shards() || is_one_shard => Ok(Layout::PerShard(naming)),
        _ => {
            let why = "needs $num where there are several shards, so that each gets a name of its \
                       own, not";
            Err(refused("name", why, given))
        }
    }
}

/// Whether the results of these phases are of one shard, where the inputs are so or not.
fn is_one_result(phases: &[Phase], are_inputs: bool) -> bool {
    for phase in phases.iter().rev() {
        match &phase.kind {
            PhaseKind::Group(group) => return group.partitions == Some(1),
            PhaseKind::Reduce(_) => return true,
            PhaseKind::Map(_) | PhaseKind::Link(_) => {}
        }
    }
    are_inputs
}

fn content_type(
    fields: &Fields<'_>,
    format: Format,
) -> Result<(String, Option<String>), Rejection> {
    let Some(given) = fields.given("content_type") else {
        let usual = match format {
            Format::Text | Format::Lines => "text/plain",
            Format::NdJson => "application/x-ndjson",
            Format::Json => "application/json",
        };
        return Ok((usual.to_owned(), None));
    };
    let wrong = || refused("content_type", "is a media type such as text/plain, not", given);
    let text = string(given).ok_or_else(wrong)?;
    if text.len() > limits::CONTENT_TYPE_BYTES
        || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    {
        return Err(wrong());
    }
    let mut parts = text.split(';').map(str::trim);
    let mut name = parts.next().unwrap_or_default().to_owned();
    if name.split('/').filter(|word| !word.is_empty()).count() != 2 || name.contains(' ') {
        return Err(wrong());
    }
    // The charset is kept apart, as of objects that come over HTTP.
    let mut charset = None;
    for parameter in parts.filter(|part| !part.is_empty()) {
        match parameter.split_once('=') {
            Some((key, value)) if key.trim().eq_ignore_ascii_case("charset") => {
                charset = Some(value.trim().trim_matches('"').to_owned());
            }
            _ => {
                name.push_str("; ");
                name.push_str(parameter);
            }
        }
    }
    Ok((name, charset))
}

fn size(given: &RawValue, per_key: bool) -> Result<u64, Rejection> {
    if per_key {
        let why = "is of a \"single\" or \"per_shard\" layout; not";
        return Err(refused("max_bytes", why, given));
    }
    let least = limits::SEGMENT_BYTES;
    let number = given.get().parse::<u64>().ok().filter(|_| kind(given) == Kind::Number);
    let why = format!("is a whole number of bytes from {least} up, not");
    number.filter(|&number| number >= least).ok_or_else(|| refused("max_bytes", &why, given))
}

fn quorum(given: &RawValue) -> Result<Quorum, Rejection> {
    let why = "is a number of replicas, \"one\", \"quorum\", \"all\" or \"default\"; not";
    serde_json::from_str(given.get())
        .ok()
        .and_then(|value| Quorum::from_json(&value))
        .ok_or_else(|| refused("w", why, given))
}

/// `{"colour":"blue"}`, stored as clients of HTTP would.
fn meta(given: &RawValue) -> Result<Vec<(String, Bytes)>, Rejection> {
    let wrong = || {
        let why = "is an object of names and texts that headers can have, not";
        refused("meta", why, given)
    };
    members(given, wrong)?
        .into_iter()
        .map(|(name, value)| {
            let serde_json::Value::String(value) = value else { return Err(wrong()) };
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let named = !name.is_empty() && name.bytes().all(token);
            if !named || value.bytes().any(|byte| byte.is_ascii_control()) {
                return Err(wrong());
            }
            Ok((format!("X-Riak-Meta-{}", capitalized(&name)), Bytes::from(value)))
        })
        .collect()
}

/// The first letter of each word upper case, the others lower case.
fn capitalized(name: &str) -> String {
    let mut start = true;
    let letter = |letter: char| {
        let written = if start { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        start = letter == '-';
        written
    };
    name.chars().map(letter).collect()
}

/// `{"age_int":"$key"}`, or a term that all objects get.
fn indexes(given: &RawValue, per_key: bool) -> Result<Vec<(String, IndexTerm)>, Rejection> {
    let wrong = || {
        let why =
            "is an object of fields that end in _int or _bin, each with \"$key\" or a term; not";
        refused("indexes", why, given)
    };
    let mut found = Vec::new();
    for (field, value) in members(given, wrong)? {
        let field = field.to_lowercase();
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(wrong()),
        };
        let is_int = field.ends_with("_int");
        if (!is_int && !field.ends_with("_bin")) || text.len() > common::KEY_BYTES {
            return Err(wrong());
        }
        let term = match text.as_str() {
            "$key" if per_key => IndexTerm::Key,
            "$key" => {
                let why = "has \"$key\", which only objects of the layout \"per_key\" have:";
                return Err(refused("indexes", why, given));
            }
            other if other.starts_with('$') => return Err(wrong()),
            other if is_int => IndexTerm::Fixed(IndexValue::int(other).ok_or_else(wrong)?),
            _ => IndexTerm::Fixed(IndexValue::Bin(text.into())),
        };
        found.push((field, term));
    }
    Ok(found)
}

fn members(
    given: &RawValue,
    wrong: impl Fn() -> Rejection,
) -> Result<serde_json::Map<String, serde_json::Value>, Rejection> {
    let members: serde_json::Map<_, _> = serde_json::from_str(given.get()).map_err(|_| wrong())?;
    if members.len() <= limits::OUTPUT_TERMS { Ok(members) } else { Err(wrong()) }
}

/// Which of some words a member is.
fn choice(
    fields: &Fields<'_>,
    name: &'static str,
    words: &[&'static str],
) -> Result<Option<usize>, Rejection> {
    let Some(given) = fields.given(name) else { return Ok(None) };
    let text = string(given);
    let known = words.iter().position(|word| text.as_deref() == Some(word));
    let forms = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
    known.map(Some).ok_or_else(|| refused(name, &format!("is {forms}, not"), given))
}

fn refused(name: &str, why: &str, given: &RawValue) -> Rejection {
    let message = format!("\"{name}\" {}", why.trim_end_matches(':'));
    Rejection::malformed(format!(".{name}"), message).given(given)
}

#[cfg(test)]
mod tests {
    use mapring_script::Function;

    use super::*;
    use crate::grammar::{self, Callee};

    const REDUCE: &str = r#"{"reduce":{"language":"javascript","name":"f"}}"#;

    fn read_of(query: &str, output: &str) -> Result<Output, Rejection> {
        let body = format!(r#"{{"inputs":"b","query":[{query}],"output":{output}}}"#);
        let query = grammar::parse(body.as_bytes())?;
        Ok(query.spec().output.clone())
    }

    fn read(output: &str) -> Result<Output, Rejection> {
        read_of(REDUCE, output)
    }

    fn spec(members: &str) -> ObjectsSpec {
        match read(&format!(r#"{{"bucket":"out"{members}}}"#)).unwrap().target {
            Target::Objects(spec) => *spec,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_have_forms() {
        let check = |output: &str, form, text_values| {
            let target = Target::Answer(form);
            assert_eq!(read(output), Ok(Output { text_values, target }), "{output}");
        };
        check("null", AnswerForm::List, false);
        check("{}", AnswerForm::List, false);
        check(r#"{"as":"list","values":"json"}"#, AnswerForm::List, false);
        check(r#"{"as":"object","values":"string"}"#, AnswerForm::Object, true);
        check(r#"{"as":"ndjson"}"#, AnswerForm::Lines, false);
    }

    #[test]
    fn objects_are_described() {
        let usual = spec("");
        assert_eq!(usual.bucket, BucketId::untyped("out"));
        assert_eq!((&usual.layout, usual.format), (&Layout::PerKey, Format::Json));
        assert_eq!(
            (usual.content_type.as_str(), usual.charset.as_deref()),
            ("application/json", None)
        );
        assert_eq!((usual.only_new, usual.max_bytes, usual.w), (false, None, Quorum::Default));
        let single = spec(r#","layout":"single","format":"text","max_bytes":4096"#);
        assert_eq!(single.layout, Layout::Single(Naming::parse("$name/$id/output").unwrap()));
        assert_eq!((single.content_type.as_str(), single.max_bytes), ("text/plain", Some(4_096)));
        let shards = spec(r#","layout":"per_shard","format":"ndjson","name":"x-$num""#);
        assert_eq!(shards.layout, Layout::PerShard(Naming::parse("x-$num").unwrap()));
        assert_eq!(shards.content_type, "application/x-ndjson");
        let rest = spec(concat!(
            r#","bucket_type":"t","if_exists":"fail","w":"all","commit":"job","#,
            r#""content_type":"text/html; x=y; Charset=utf-8","meta":{"fooBar":"é"},"#,
            r#""indexes":{"Age_int":"$key","by_bin":"me"}"#
        ));
        assert_eq!((rest.bucket, rest.only_new), (BucketId::typed("t", "out"), true));
        assert_eq!(
            (rest.content_type.as_str(), rest.charset.as_deref()),
            ("text/html; x=y", Some("utf-8"))
        );
        assert_eq!(
            (rest.meta, rest.w),
            (vec![("X-Riak-Meta-Foobar".into(), "é".into())], Quorum::All)
        );
        let by = IndexTerm::Fixed(IndexValue::Bin("me".into()));
        assert_eq!(rest.indexes, [("age_int".into(), IndexTerm::Key), ("by_bin".into(), by)]);
        let typed = read(r#"{"bucket":["t","out"]}"#).unwrap().target;
        let Target::Objects(typed) = typed else { panic!("{typed:?}") };
        assert_eq!(typed.bucket, BucketId::typed("t", "out"));
    }

    #[track_caller]
    fn wrong(output: &str, place: &str, says: &str) {
        let refused = read(output).unwrap_err();
        assert_eq!(refused.place, format!("output{place}"), "{output}: {refused}");
        assert!(refused.message.contains(says), "{output}: {refused}");
    }

    #[track_caller]
    fn wrong_member(members: &str, place: &str, says: &str) {
        wrong(&format!(r#"{{"bucket":"out",{members}}}"#), place, says);
    }

    #[test]
    fn a_writer_says_the_rest() {
        let own = spec(r#","writer":{"source":"({})"},"w":"all""#);
        let code = own.writer.unwrap();
        assert_eq!(code.callee, Callee::Given(Function::Source("({})".into())));
        assert_eq!((own.layout, own.format), (Layout::PerKey, Format::Text));
        assert_eq!(own.content_type, "text/plain");
        wrong_member(r#""writer":"f""#, ".writer", "The code of a writer is an object");
        wrong_member(r#""writer":{"source":1}"#, ".writer.source", "is a text");
        wrong_member(r#""writer":{"name":"f","arg":1}"#, ".writer.arg", "and here is");
        for (name, value) in [
            ("layout", r#""single""#),
            ("name", r#""x""#),
            ("format", r#""text""#),
            ("max_bytes", "5000"),
            ("values", r#""string""#),
        ] {
            let members = format!(r#""writer":{{"source":"f"}},"{name}":{value}"#);
            wrong_member(&members, &format!(".{name}"), "beside a \"writer\"");
        }
        wrong(r#"{"writer":{"source":"f"}}"#, "", "\"writer\" is said of objects");
    }

    #[test]
    fn names_tell_shards_where_there_are_several() {
        let map = r#"{"map":{"language":"javascript","name":"f"}}"#;
        let group = |more: &str| {
            REDUCE.replace(r#""name":"f""#, &format!(r#""name":"f","group":true{more}"#))
        };
        let check = |inputs: &str, query: &str, more: &str, is_one: bool| {
            let output = r#"{"bucket":"out","layout":"per_shard","name":"x"}"#;
            let body =
                format!(r#"{{"inputs":{inputs},"query":[{query}],"output":{output}{more}}}"#);
            let read = grammar::parse(body.as_bytes());
            assert_eq!(read.is_ok(), is_one, "{body}: {read:?}");
            if let Err(refused) = read {
                assert_eq!(refused.place, "output.name");
                assert!(refused.message.contains("needs $num"), "{refused}");
            }
        };
        let one = r#","shards":1"#;
        for query in ["", map] {
            check("\"b\"", query, "", false);
            check("\"b\"", query, one, true);
            check(r#"[["b","k"]]"#, query, r#","shards":2"#, false);
            check(r#"{"concat":["b","c"]}"#, query, one, false);
        }
        check("\"b\"", REDUCE, "", true);
        check("\"b\"", &format!("{REDUCE},{map}"), "", true);
        check("\"b\"", &group(""), one, false);
        check("\"b\"", &format!("{},{map}", group(r#","partitions":1"#)), "", true);
    }

    #[test]
    fn what_is_wrong_is_named() {
        wrong("7", "", "is an object");
        wrong(r#"{"buckett":"b"}"#, "", "no member \"buckett\"");
        wrong(r#"{"as":"csv"}"#, ".as", "\"list\" or \"object\" or \"ndjson\"");
        wrong(r#"{"values":1}"#, ".values", "\"json\" or \"string\"");
        wrong(r#"{"layout":"single"}"#, "", "\"layout\" is said of objects");
        for bucket in ["7", "[]", r#"["t"]"#, r#"["t",1]"#, r#"["a","b","c"]"#, r#""""#] {
            wrong(&format!(r#"{{"bucket":{bucket}}}"#), ".bucket", "[\"type\",\"bucket\"]");
        }
        wrong_member(r#""as":"object""#, ".as", "with a \"bucket\"");
        wrong_member(r#""bucket_type":1"#, ".bucket_type", "bucket type");
        wrong_member(r#""layout":"per_value""#, ".layout", "per_key");
        wrong_member(r#""name":"x""#, ".name", "own keys");
        wrong_member(r#""layout":"single","name":"x-$foo""#, ".name", "\"$foo\"");
        wrong_member(r#""layout":"single","name":"""#, ".name", "name of an object");
        wrong_member(r#""format":"csv""#, ".format", "ndjson");
        wrong_member(r#""content_type":"text""#, ".content_type", "media type");
        wrong_member(r#""content_type":"a/b\r\nx: y""#, ".content_type", "media type");
        wrong_member(r#""if_exists":true"#, ".if_exists", "replace");
        wrong_member(r#""layout":"single","max_bytes":0"#, ".max_bytes", "whole number");
        wrong_member(r#""max_bytes":4096"#, ".max_bytes", "per_shard");
        wrong_member(r#""w":"many""#, ".w", "quorum");
        wrong_member(r#""meta":{"a b":"x"}"#, ".meta", "headers");
        wrong_member(r#""meta":{"a":"x\ny"}"#, ".meta", "headers");
        wrong_member(r#""meta":{"a":1}"#, ".meta", "texts");
        wrong_member(r#""indexes":{"age":"$key"}"#, ".indexes", "_int");
        wrong_member(r#""indexes":{"age_int":"x"}"#, ".indexes", "_int");
        wrong_member(r#""indexes":{"age_int":"$value"}"#, ".indexes", "_int");
        let single = r#""layout":"single","indexes":{"age_int":"$key"}"#;
        wrong_member(single, ".indexes", "only objects of the layout");
        wrong_member(r#""commit":"shard""#, ".commit", "is \"job\"");
    }

    #[test]
    fn only_the_last_phase_is_put_out() {
        let kept = r#"{"map":{"language":"javascript","name":"f","keep":true}}"#;
        let refused = read_of(&format!("{kept},{REDUCE}"), "{}").unwrap_err();
        assert_eq!(refused.place, "output");
        assert!(refused.message.contains("phase 0 cannot be kept"), "{refused}");
        let dropped = r#"{"map":{"language":"javascript","name":"f","keep":false}}"#;
        let refused = read_of(dropped, "{}").unwrap_err();
        assert!(refused.message.contains("has to be kept"), "{refused}");
        assert!(read_of("", "{}").is_ok());
    }
}
