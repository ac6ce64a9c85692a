//! The document of a query: read and checked in OpenRiak's order (facts R318 to R324).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use mapring_filters::{EntryError, EntryQuery, EntryTest, SetExpression, Substitution};
use mapring_types::limits as shared;
use serde_json::{Map, Value};

use crate::index::continuation::{self, Continuation};
use crate::limits;

/// What is said of queues of results.
pub(super) const NO_QUEUES: &str = "results are not queued here: ask for raw_keys or terms with max_results, and go on \
                         with the X-Riak-Continuation of each page";

/// What may stand in a document, …
pub(crate) const MEMBERS: [&str; 9] = [
    "aggregation_expression",
    "accumulation_option",
    "accumulation_term",
    "substitutions",
    "timeout",
    "inactivity_timeout",
    "query_list",
    "max_results",
    "continuation",
];

/// … and in each of its queries.
pub(crate) const QUERY_MEMBERS: [&str; 7] = [
    "aggregation_tag",
    "index_name",
    "start_term",
    "end_term",
    "regular_expression",
    "evaluation_expression",
    "filter_expression",
];

/// A query.
#[derive(Debug, PartialEq)]
pub(super) struct BucketQuery {
    pub(super) combination: Combination,
    pub(super) option: AccumulationOption,
    /// The attribute that counts as the term, without its `$`.
    pub(super) term: String,
    pub(super) most: Option<u64>,
    /// The term and the key behind which it goes on.
    pub(super) after: Option<(Bytes, Bytes)>,
    pub(super) timeout: Duration,
}

/// The queries of the list.
#[derive(Debug, PartialEq)]
pub(super) enum Combination {
    /// One.
    Single(Part),
    /// Several, and what becomes of their keys.
    Sets(SetExpression, Vec<Part>),
}

/// One query of the list.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) tag: u32,
    pub(super) field: String,
    pub(super) from: Bytes,
    pub(super) to: Bytes,
    pub(super) test: Option<EntryTest>,
}

/// What the answer holds of the hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccumulationOption {
    Keys,
    RawKeys,
    Terms,
    RawTerms,
    Count,
    RawCount,
    TermWithCount,
    TermWithRawCount,
}

impl AccumulationOption {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Keys,
        Self::RawKeys,
        Self::Terms,
        Self::RawTerms,
        Self::Count,
        Self::RawCount,
        Self::TermWithCount,
        Self::TermWithRawCount,
    ];

    /// Its name, which is also that of the member in the answer.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::RawKeys => "raw_keys",
            Self::Terms => "terms",
            Self::RawTerms => "raw_terms",
            Self::Count => "count",
            Self::RawCount => "raw_count",
            Self::TermWithCount => "term_with_count",
            Self::TermWithRawCount => "term_with_rawcount",
        }
    }

    fn gives_terms(self) -> bool {
        matches!(self, Self::Terms | Self::RawTerms | Self::TermWithCount | Self::TermWithRawCount)
    }
}

/// Why a document is none.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

fn refuse(text: impl Into<String>) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, text: text.into() }
}

fn invalid(stage: &str, why: impl AsRef<str>) -> Refusal {
    refuse(format!("Validation failure at stage {stage} due to {}", why.as_ref()))
}

impl BucketQuery {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// With which status and words it is answered.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let given: Value = serde_json::from_slice(body)
            .map_err(|error| refuse(format!("Malformed json request - {error}")))?;
        let given = members(given, &MEMBERS, &["query_list"])?;
        let list = match given.get("query_list") {
            Some(Value::Array(list)) if !list.is_empty() => list,
            _ => return Err(refuse("No valid query provided")),
        };
        if list.len() > limits::QUERY_PARTS {
            return Err(refuse(format!("there are more than {} queries", limits::QUERY_PARTS)));
        }
        let required = ["index_name", "start_term", "end_term"];
        let list: Result<Vec<_>, _> =
            list.iter().map(|query| members(query.clone(), &QUERY_MEMBERS, &required)).collect();
        let list = list?;
        let is_single = list.len() == 1;
        let timeout = timeout(&given)?;
        let option = option(&given, is_single)?;
        let term = term(&given, option)?;
        let most = most(&given, option, is_single)?;
        let sets = sets(&given, is_single)?;
        let substitutions = substitutions(&given)?;
        let give = (option.gives_terms() && term != "term").then(|| term.clone());
        let combination = match sets {
            None => {
                let query = list.into_iter().next().unwrap_or_default();
                Combination::Single(part(&query, 0, &substitutions, give)?)
            }
            Some(sets) => Combination::Sets(sets, tagged(&list, &substitutions)?),
        };
        let after = after(&given, is_single)?;
        Ok(Self { combination, option, term, most, after, timeout })
    }
}

/// The members of an object by their names; a client writes them as `indexName` too. `null` is absent.
fn members(given: Value, known: &[&str], required: &[&str]) -> Result<Map<String, Value>, Refusal> {
    let Value::Object(given) = given else {
        return Err(refuse("Malformed json request - an object is needed"));
    };
    let given = given.into_iter().filter(|(_, value)| !value.is_null());
    let given: Map<String, Value> = given.map(|(name, value)| (snake(&name), value)).collect();
    let list = |names: Vec<&str>| {
        let names: Vec<String> = names.iter().map(|name| format!("<<{name:?}>>")).collect();
        format!("[{}]", names.join(","))
    };
    let missing: Vec<&str> =
        required.iter().filter(|name| !given.contains_key(**name)).copied().collect();
    if !missing.is_empty() {
        return Err(refuse(format!("Missing required keys in request {}", list(missing))));
    }
    let extra = given.keys().map(String::as_str).filter(|name| !known.contains(name));
    let extra: Vec<&str> = extra.collect();
    if !extra.is_empty() {
        return Err(refuse(format!("Unexpected keys in request {}", list(extra))));
    }
    Ok(given)
}

fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// In seconds.
fn timeout(given: &Map<String, Value>) -> Result<Duration, Refusal> {
    let seconds = |name: &str, default: Duration, why: &str| match given.get(name) {
        None => Ok(default),
        Some(value) => match value.as_u64().filter(|seconds| *seconds > 0) {
            Some(seconds) => Ok(Duration::from_secs(seconds).min(shared::MAX_TIMEOUT)),
            None => Err(invalid("init", why)),
        },
    };
    let timeout = seconds("timeout", shared::REQUEST_TIMEOUT, "Bad timeout")?;
    seconds("inactivity_timeout", timeout, "Bad inactivity timeout")?;
    Ok(timeout)
}

fn option(given: &Map<String, Value>, is_single: bool) -> Result<AccumulationOption, Refusal> {
    let Some(value) = given.get("accumulation_option") else {
        return Ok(AccumulationOption::Keys);
    };
    let word = value.as_str().unwrap_or_default();
    if ["queue_raw_keys", "queue_raw_terms"].contains(&word) {
        return Err(Refusal { status: StatusCode::NOT_IMPLEMENTED, text: NO_QUEUES.into() });
    }
    let known = AccumulationOption::ALL.into_iter().find(|option| option.word() == word);
    let option = known.ok_or_else(|| {
        invalid("accumulation_option", format!("Unrecognised option <<{word:?}>>"))
    })?;
    if !is_single && option.gives_terms() {
        let why = "Unsupported option in combination query";
        return Err(invalid("accumulation_option", why));
    }
    Ok(option)
}

/// The attribute that counts as the term.
fn term(given: &Map<String, Value>, option: AccumulationOption) -> Result<String, Refusal> {
    match given.get("accumulation_term") {
        None => Ok("term".into()),
        Some(Value::String(name)) if option.gives_terms() => {
            Ok(name.strip_prefix('$').unwrap_or(name).to_owned())
        }
        Some(other) => {
            let shown = match other {
                Value::String(name) => format!("<<{name:?}>>"),
                other => other.to_string(),
            };
            let why = format!("Bad term {shown} with option {}", option.word());
            Err(invalid("accumulation_term", why))
        }
    }
}

fn most(
    given: &Map<String, Value>,
    option: AccumulationOption,
    is_single: bool,
) -> Result<Option<u64>, Refusal> {
    let Some(value) = given.get("max_results") else { return Ok(None) };
    let Some(most) = value.as_u64().filter(|most| *most > 0) else {
        return Err(invalid("max_results", format!("Invalid max_results {value}")));
    };
    if is_single && matches!(option, AccumulationOption::RawKeys | AccumulationOption::Terms) {
        return Ok(Some(most));
    }
    let kind = if is_single { "single_query" } else { "combo_query" };
    let option = option.word();
    let why = format!(
        "Invalid combination max_results {most} query_type {kind} accumulation_option {option}"
    );
    Err(invalid("max_results", why))
}

fn sets(given: &Map<String, Value>, is_single: bool) -> Result<Option<SetExpression>, Refusal> {
    let stage = "aggregation_expression";
    match (given.get(stage), is_single) {
        (None, true) => Ok(None),
        (Some(Value::String(text)), false) => match SetExpression::parse(text) {
            Ok(sets) => Ok(Some(sets)),
            Err(why) => Err(invalid(stage, format!("Invalid function: {why}"))),
        },
        (Some(_), true) => Err(invalid(stage, "Attempt to aggregate single query")),
        (_, false) => Err(invalid(stage, "Multiple queries passed without aggregation expression")),
    }
}

/// An object of names and values, or a list of such.
fn substitutions(given: &Map<String, Value>) -> Result<BTreeMap<String, Substitution>, Refusal> {
    let wrong = || invalid("query_evaluation", "Invalid type in substitution");
    let objects: Vec<&Value> = match given.get("substitutions") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    let mut out = BTreeMap::new();
    for object in objects {
        for (name, value) in object.as_object().ok_or_else(wrong)? {
            let value = match (value, value.as_i64()) {
                (Value::String(text), _) => Substitution::Text(text.clone()),
                (_, Some(number)) => Substitution::Number(number),
                _ => return Err(wrong()),
            };
            out.insert(name.clone(), value);
        }
    }
    Ok(out)
}

fn tagged(
    list: &[Map<String, Value>],
    substitutions: &BTreeMap<String, Substitution>,
) -> Result<Vec<Part>, Refusal> {
    let mut tags = BTreeSet::new();
    let mut parts = Vec::with_capacity(list.len());
    for query in list {
        // A client that knows texts alone sends the number as one.
        let tag = match query.get("aggregation_tag") {
            Some(Value::String(text)) => text.trim_start_matches('$').parse().ok(),
            Some(value) => value.as_u64().and_then(|tag| u32::try_from(tag).ok()),
            None => None,
        };
        let tag = tag
            .ok_or_else(|| invalid("query_evaluation", "Untagged query in combination request"))?;
        if !tags.insert(tag) {
            return Err(invalid("query_evaluation", "Incorrect tagging of queries"));
        }
        parts.push(part(query, tag, substitutions, None)?);
    }
    Ok(parts)
}

fn part(
    query: &Map<String, Value>,
    tag: u32,
    substitutions: &BTreeMap<String, Substitution>,
    give: Option<String>,
) -> Result<Part, Refusal> {
    let wrong = |why: String| invalid("query_evaluation", why);
    let text = |name: &str| query.get(name).and_then(Value::as_str);
    let field = text("index_name").unwrap_or_default().to_lowercase();
    if field.strip_suffix("_bin").is_none_or(str::is_empty) {
        return Err(wrong("Invalid index name".into()));
    }
    let (from, to) = match (text("start_term"), text("end_term")) {
        (Some(from), Some(to)) if from <= to && to.len() <= shared::KEY_BYTES => (from, to),
        _ => return Err(wrong("Invalid query range".into())),
    };
    let asked = ["regular_expression", "evaluation_expression", "filter_expression"];
    let test = match asked.map(text) {
        [None, None, None] => give.map(EntryTest::Give),
        [Some(expression), None, None] => {
            Some(EntryTest::Matches(Bytes::copy_from_slice(expression.as_bytes())))
        }
        [None, Some(evaluation), Some(condition)] => Some(EntryTest::Attributes(EntryQuery {
            evaluation: evaluation.to_owned(),
            condition: condition.to_owned(),
            substitutions: substitutions.clone(),
            give,
        })),
        _ => return Err(wrong("Invalid combination of regex/eval/filter".into())),
    };
    if let Some(Err(error)) = test.as_ref().map(EntryTest::compile) {
        return Err(wrong(match error {
            EntryError::Pattern(why) => format!("Invalid regex: {why}"),
            EntryError::Evaluation(why) => format!("Invalid eval function: {why}"),
            EntryError::Condition(why) => format!("Invalid filter function: {why}"),
        }));
    }
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Ok(Part { tag, field, from: bytes(from), to: bytes(to), test })
}

fn after(given: &Map<String, Value>, is_single: bool) -> Result<Option<(Bytes, Bytes)>, Refusal> {
    let Some(token) = given.get("continuation") else { return Ok(None) };
    match token.as_str().filter(|_| is_single).and_then(continuation::read) {
        Some(Continuation { term: Some(term), key }) => Ok(Some((term, key))),
        _ => Err(invalid("apply_continuation", "Invalid continuation")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(body: &str, status: u16, words: &str) {
        let refusal = BucketQuery::read(body.as_bytes()).unwrap_err();
        assert_eq!(refusal.status.as_u16(), status, "{body}");
        assert!(refusal.text.contains(words), "{body}: {}", refusal.text);
    }

    #[test]
    fn fuzz_bucket_queries() {
        mapring_fuzz::Corpus::of("bucket_queries").run(|bytes| match BucketQuery::read(bytes) {
            Ok(query) => {
                assert_eq!(BucketQuery::read(bytes).ok().as_ref(), Some(&query));
                let parts = match &query.combination {
                    Combination::Single(part) => std::slice::from_ref(part),
                    Combination::Sets(_, parts) => parts.as_slice(),
                };
                assert!((1..=limits::QUERY_PARTS).contains(&parts.len()));
                assert!(parts.iter().all(|part| part.from <= part.to), "{parts:?}");
            }
            Err(refusal) => {
                assert!([400, 501].contains(&refusal.status.as_u16()), "{refusal:?}");
                assert!(!refusal.text.is_empty());
            }
        });
    }

    const RANGE: &str = r#""index_name":"f_bin","start_term":"a","end_term":"b""#;

    fn one(members: &str, of_query: &str) -> String {
        format!("{{{members}\"query_list\":[{{{RANGE}{of_query}}}]}}")
    }

    #[test]
    fn mistakes_are_told_in_order() {
        refused("{", 400, "Malformed json request - ");
        refused("[]", 400, "Malformed json request - ");
        refused("{}", 400, "Missing required keys in request [<<\"query_list\">>]");
        refused(r#"{"query_list":[]}"#, 400, "No valid query provided");
        refused(&one("\"x\":1,", ""), 400, "Unexpected keys in request [<<\"x\">>]");
        refused(
            r#"{"query_list":[{"index_name":"f_bin"}]}"#,
            400,
            "Missing required keys in request [<<\"start_term\">>,<<\"end_term\">>]",
        );
        let at = "Validation failure at stage";
        refused(&one("\"timeout\":0,", ""), 400, &format!("{at} init due to Bad timeout"));
        let words = format!("{at} accumulation_option due to Unrecognised option <<\"trms\">>");
        refused(&one("\"accumulation_option\":\"trms\",", ""), 400, &words);
        let words = format!("{at} accumulation_term due to Bad term <<\"$x\">> with option keys");
        refused(&one("\"accumulation_term\":\"$x\",", ""), 400, &words);
        let words = format!(
            "{at} max_results due to Invalid combination max_results 5 query_type single_query \
             accumulation_option keys"
        );
        refused(&one("\"max_results\":5,", ""), 400, &words);
        let words = format!("{at} aggregation_expression due to Attempt to aggregate single query");
        refused(&one("\"aggregation_expression\":\"$1\",", ""), 400, &words);
        let at = format!("{at} query_evaluation due to Invalid");
        refused(&one("", r#","regular_expression":"(""#), 400, &format!("{at} regex"));
        refused(
            &one("", r#","filter_expression":"$a = 1""#),
            400,
            &format!("{at} combination of regex/eval/filter"),
        );
        let both = r#","evaluation_expression":"x()","filter_expression":"$a = 1""#;
        refused(&one("", both), 400, &format!("{at} eval function"));
        let both = r#","evaluation_expression":"to_string($a, $a)","filter_expression":"$a"#;
        refused(&one("", &format!("{both}\"")), 400, &format!("{at} filter function"));
        refused(&one("\"substitutions\":{\"a\":[]},", ""), 400, &format!("{at} type"));
        let field = r#"{"query_list":[{"index_name":"f_int","start_term":"1","end_term":"2"}]}"#;
        refused(field, 400, &format!("{at} index name"));
        let range = r#"{"query_list":[{"index_name":"f_bin","start_term":"b","end_term":"a"}]}"#;
        refused(range, 400, &format!("{at} query range"));
        refused(&one("\"continuation\":\"x\",", ""), 400, "apply_continuation");
        refused(&one("\"accumulation_option\":\"queue_raw_keys\",", ""), 501, "not queued here");
    }

    #[test]
    fn several_queries_have_tags() {
        let two = |tags: [&str; 2], more: &str| {
            let queries = tags.map(|tag| format!("{{{RANGE}{tag}}}")).join(",");
            format!("{{{more}\"query_list\":[{queries}]}}")
        };
        let sets = "\"aggregation_expression\":\"$1 UNION $2\",";
        let tags = [",\"aggregation_tag\":1", ",\"aggregationTag\":\"2\""];
        let query = BucketQuery::read(two(tags, sets).as_bytes()).unwrap();
        let Combination::Sets(_, parts) = query.combination else { panic!("one query") };
        assert_eq!(parts.iter().map(|part| part.tag).collect::<Vec<_>>(), [1, 2]);
        refused(&two(tags, ""), 400, "without aggregation expression");
        refused(&two(["", ""], sets), 400, "Untagged query in combination request");
        refused(&two([tags[0], tags[0]], sets), 400, "Incorrect tagging of queries");
        let terms = format!("{sets}\"accumulation_option\":\"terms\",");
        refused(&two(tags, &terms), 400, "Unsupported option in combination query");
        let wrong = "\"aggregation_expression\":\"$1 XOR $2\",";
        refused(&two(tags, wrong), 400, "Invalid function");
    }

    #[test]
    fn names_are_read_in_both_spellings() {
        let body = br#"{"queryList":[{"indexName":"F_bin","startTerm":"a","endTerm":"b",
            "regularExpression":null}],"accumulationOption":"terms","maxResults":7,"timeout":5}"#;
        let query = BucketQuery::read(body).unwrap();
        let Combination::Single(part) = query.combination else { panic!("several queries") };
        assert_eq!((part.field.as_str(), part.from, part.test), ("f_bin", "a".into(), None));
        assert_eq!((query.option, query.most), (AccumulationOption::Terms, Some(7)));
        assert_eq!((query.timeout, query.term.as_str()), (Duration::from_secs(5), "term"));
    }
}
