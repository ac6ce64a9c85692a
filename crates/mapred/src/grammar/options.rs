//! What a query may say beside Riak's members: how inputs are read, what becomes of failures, when to
//! stop. Riak's grammar ignores such members, so a query that has them runs there too.

use mapring_script::Binary;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::text::{Fields, Kind, fields, kind, string};
use crate::limits;
use crate::rejection::{Rejection, RejectionKind};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) on_error: OnError,
    /// The query ends as soon as its last phase has given so many results.
    pub(crate) limit: Option<u64>,
    /// How many replicas are read and merged.
    pub(crate) consistency: Consistency,
    /// Whether functions get tombstones, as in Riak, or never see them.
    pub(crate) tombstones: bool,
    /// What becomes of values that are not UTF-8.
    pub(crate) binary: Binary,
    /// Answer with the plan; run nothing.
    pub(crate) explain: bool,
    /// Tell what the query cost.
    pub(crate) profile: bool,
    /// How the writes of functions are put together.
    pub(crate) write_batch: WriteBatch,
    /// Into how many shards inputs are divided that lie within objects, or are made; `None` for what
    /// suits them.
    pub(crate) shards: Option<u64>,
}

/// A batch of writes ends when either bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteBatch {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

impl Default for WriteBatch {
    fn default() -> Self {
        Self { count: limits::WRITE_BATCH.0, bytes: limits::WRITE_BATCH.1 }
    }
}

/// How many replicas of what is read are merged. It is sent, and was once a truth value: `One` is
/// written as `false` was, `Quorum` as `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Consistency {
    /// One that is known to be complete.
    #[default]
    One,
    /// A majority.
    Quorum,
    /// All.
    All,
}

impl Consistency {
    /// What a query calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Quorum => "quorum",
            Self::All => "all",
        }
    }

    /// What a word of a query means.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::One, Self::Quorum, Self::All].into_iter().find(|known| known.word() == word)
    }

    /// Whether more than one replica is read.
    pub(crate) fn merges(self) -> bool {
        self != Self::One
    }
}

/// What becomes of a query when the function of a map phase fails for an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnError {
    /// It fails, as in Riak.
    #[default]
    Fail,
    /// It goes on without that input, up to so many inputs.
    Skip(u64),
}

/// A number from 0 on.
fn whole(name: &'static str, value: &RawValue) -> Result<u64, Rejection> {
    let number = value.get().parse().ok().filter(|_: &u64| kind(value) == Kind::Number);
    number.ok_or_else(|| refused(name, "is a whole number from 0 on", value))
}

/// A number of shards.
fn shards(value: &RawValue) -> Result<u64, Rejection> {
    let most = limits::SHARDS;
    above_zero("shards", value)
        .ok()
        .filter(|count| *count <= most)
        .ok_or_else(|| refused("shards", &format!("is a whole number from 1 to {most}"), value))
}

/// Reads the options among the members of a query.
///
/// # Errors
/// Names the member and what it may be.
pub(super) fn parse(fields: &Fields<'_>) -> Result<Options, Rejection> {
    let word = |name: &'static str, words: [(&str, bool); 2]| match fields.get(name) {
        None => Ok(false),
        Some(value) => {
            let given = string(value);
            let known = words.iter().find(|(word, _)| given.as_deref() == Some(word));
            let [one, two] = words.map(|(word, _)| word);
            known
                .map(|(_, means)| *means)
                .ok_or_else(|| refused(name, &format!("is \"{one}\" or \"{two}\""), value))
        }
    };
    let flag = |name: &'static str| match fields.get(name).map(|value| (value, value.get())) {
        None | Some((_, "false")) => Ok(false),
        Some((_, "true")) => Ok(true),
        Some((value, _)) => Err(refused(name, "is true or false", value)),
    };
    let binary = word("binary", [("error", false), ("base64", true)])?;
    Ok(Options {
        on_error: fields.get("on_error").map_or(Ok(OnError::Fail), on_error)?,
        limit: fields.get("limit").map(|value| above_zero("limit", value)).transpose()?,
        consistency: fields.get("consistency").map_or(Ok(Consistency::One), consistency)?,
        tombstones: word("tombstones", [("skip", false), ("pass", true)])?,
        binary: if binary { Binary::Base64 } else { Binary::Refuse },
        explain: flag("explain")?,
        profile: flag("profile")?,
        write_batch: fields.get("write_batch").map_or(Ok(WriteBatch::default()), write_batch)?,
        shards: fields.get("shards").map(shards).transpose()?,
    })
}

/// `{"mode":"skip","max":N}` or `{"mode":"fail"}`.
fn on_error(value: &RawValue) -> Result<OnError, Rejection> {
    let forms = "is {\"mode\":\"skip\",\"max\":N} or {\"mode\":\"fail\"}";
    let wrong = || refused("on_error", forms, value);
    let fields = fields(value, &["mode", "max"]).ok_or_else(wrong)?;
    if fields.unknown.is_some() {
        return Err(wrong());
    }
    match fields.get("mode").and_then(string).as_deref() {
        Some("skip") => {
            let most = fields.get("max").map(|most| whole("on_error.max", most)).transpose()?;
            Ok(OnError::Skip(most.unwrap_or(limits::SKIPPED)))
        }
        Some("fail") => Ok(OnError::Fail),
        _ => Err(wrong()),
    }
}

/// `{"count":N,"bytes":N}`.
fn write_batch(value: &RawValue) -> Result<WriteBatch, Rejection> {
    let forms = "is {\"count\":N,\"bytes\":N}";
    let fields =
        fields(value, &["count", "bytes"]).ok_or_else(|| refused("write_batch", forms, value))?;
    if fields.unknown.is_some() {
        return Err(refused("write_batch", forms, value));
    }
    let bound = |name, member: &str, usual: usize, most: usize| match fields.given(member) {
        None => Ok(usual),
        Some(given) => {
            let number = usize::try_from(above_zero(name, given)?).unwrap_or(usize::MAX);
            let forms = format!("is at most {most}");
            if number <= most { Ok(number) } else { Err(refused(name, &forms, given)) }
        }
    };
    let (usual, most) = (limits::WRITE_BATCH, limits::LARGEST_WRITE_BATCH);
    Ok(WriteBatch {
        count: bound("write_batch.count", "count", usual.0, most.0)?,
        bytes: bound("write_batch.bytes", "bytes", usual.1, most.1)?,
    })
}

fn consistency(value: &RawValue) -> Result<Consistency, Rejection> {
    string(value)
        .and_then(|word| Consistency::of(&word))
        .ok_or_else(|| refused("consistency", "is \"one\", \"quorum\" or \"all\"", value))
}

fn above_zero(name: &'static str, value: &RawValue) -> Result<u64, Rejection> {
    let number = value.get().parse::<u64>().ok().filter(|_| kind(value) == Kind::Number);
    number
        .filter(|&number| number > 0)
        .ok_or_else(|| refused(name, "is a whole number above 0", value))
}

fn refused(name: &'static str, forms: &str, value: &RawValue) -> Rejection {
    Rejection::new(RejectionKind::Option(name)).at(name).saying(forms).given(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar;

    fn read(members: &str) -> Result<Options, Rejection> {
        let body = format!(r#"{{"inputs":"b","query":[],{members}}}"#);
        let query = grammar::parse(body.as_bytes())?;
        Ok(query.spec().options)
    }

    #[test]
    fn options_are_read() {
        let none = Options::default();
        assert_eq!(read(r#""unknown":1"#), Ok(none));
        let skip = |most| Ok(Options { on_error: OnError::Skip(most), ..none });
        assert_eq!(read(r#""on_error":{"mode":"skip","max":7}"#), skip(7));
        assert_eq!(read(r#""on_error":{"mode":"skip","max":0}"#), skip(0));
        assert_eq!(read(r#""on_error":{"mode":"skip"}"#), skip(limits::SKIPPED));
        assert_eq!(read(r#""shards":16"#), Ok(Options { shards: Some(16), ..none }));
        assert_eq!(read(r#""on_error":{"mode":"fail"}"#), Ok(none));
        assert_eq!(read(r#""limit":3"#), Ok(Options { limit: Some(3), ..none }));
        for consistency in [Consistency::One, Consistency::Quorum, Consistency::All] {
            let member = format!(r#""consistency":"{}""#, consistency.word());
            assert_eq!(read(&member), Ok(Options { consistency, ..none }));
        }
        assert_eq!(read(r#""consistency":"one","tombstones":"skip","binary":"error""#), Ok(none));
        assert_eq!(read(r#""tombstones":"pass""#), Ok(Options { tombstones: true, ..none }));
        let base64 = Options { binary: Binary::Base64, ..none };
        assert_eq!(read(r#""binary":"base64""#), Ok(base64));
        let write_batch = WriteBatch { count: 7, bytes: 1 << 20 };
        assert_eq!(read(r#""write_batch":{"count":7}"#), Ok(Options { write_batch, ..none }));
        let both = Options { explain: true, profile: true, ..none };
        assert_eq!(read(r#""explain":true,"profile":true"#), Ok(both));
        assert_eq!(read(r#""explain":false,"profile":false"#), Ok(none));
    }

    #[test]
    fn wrong_options_are_named() {
        for (members, name) in [
            (r#""on_error":"skip""#, "on_error"),
            (r#""on_error":{"mode":"ignore"}"#, "on_error"),
            (r#""on_error":{"mode":"skip","max":-1}"#, "on_error.max"),
            (r#""on_error":{"mode":"skip","most":1}"#, "on_error"),
            (r#""shards":0"#, "shards"),
            (r#""shards":-1"#, "shards"),
            (r#""shards":1.5"#, "shards"),
            (r#""shards":4097"#, "shards"),
            (r#""limit":0"#, "limit"),
            (r#""limit":-1"#, "limit"),
            (r#""limit":1.5"#, "limit"),
            (r#""limit":"3""#, "limit"),
            (r#""consistency":2"#, "consistency"),
            (r#""consistency":"most""#, "consistency"),
            (r#""tombstones":true"#, "tombstones"),
            (r#""binary":"hex""#, "binary"),
            (r#""explain":1"#, "explain"),
            (r#""profile":"yes""#, "profile"),
            (r#""write_batch":100"#, "write_batch"),
            (r#""write_batch":{"foo":1}"#, "write_batch"),
            (r#""write_batch":{"count":7,"Bytes":1}"#, "write_batch"),
            (r#""write_batch":{"count":0}"#, "write_batch.count"),
            (r#""write_batch":{"bytes":1000000000}"#, "write_batch.bytes"),
            (r#""name":7"#, "name"),
            (r#""name":"""#, "name"),
        ] {
            let refused = read(members).unwrap_err();
            assert_eq!(refused.kind, RejectionKind::Option(name), "{members}");
            assert!(refused.message.starts_with("is "), "{members}: {refused}");
        }
    }
}
