//! What a URL asks of an index, checked in Riak's order (facts R305 to R310, R315, R316).

use std::time::Duration;

use bytes::Bytes;
use mapring_filters::{EntryError, EntryTest};
use mapring_kv::{Cursor, Selection};
use mapring_types::{IndexValue, limits as shared};

use super::continuation::{self, Continuation};
use crate::app::Request;
use crate::params::Params;
use crate::path::decode_segment;
use crate::reply::{Reply, Stop};

/// The index of keys, …
const KEY: &str = "$key";
/// … and the one of all keys.
const BUCKET: &str = "$bucket";

/// What is asked.
pub(super) struct IndexRequest {
    /// Which entries; `None` for a range that has its end before its start.
    pub(super) selection: Option<Selection>,
    pub(super) after: Option<Cursor>,
    pub(super) test: Option<EntryTest>,
    pub(super) most: Option<u64>,
    /// `None` for as long as it takes.
    pub(super) timeout: Option<Duration>,
    pub(super) shape: Shape,
}

/// What the answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether each hit comes with its term.
    pub(super) terms: bool,
    pub(super) streams: bool,
    /// After so many hits there is a continuation.
    pub(super) most: Option<u64>,
    /// Whether a continuation names the term too.
    pub(super) range: bool,
}

/// What the path names.
enum Query {
    Bucket,
    Keys { from: Bytes, to: Bytes },
    Terms { field: String, from: IndexValue, to: IndexValue },
}

impl IndexRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 with Riak's words.
    pub(super) fn read(request: &Request) -> Result<Self, Stop> {
        let (params, names) = (&request.params, &request.names);
        flag(params, "pagination_sort")?;
        let wants_terms = flag(params, "return_terms")?;
        let terms: Vec<Bytes> = names.steps.iter().map(|raw| decoded(raw)).collect();
        let field = String::from_utf8_lossy(&names.name).to_lowercase();
        let query = query(field, &terms);
        let is_numbers = matches!(&query, Ok(Query::Terms { from: IndexValue::Int(_), .. }));
        let test = test(params.get("term_regex"), is_numbers)?;
        let query = query?;
        let range = terms.len() == 2 && matches!(query, Query::Terms { .. });
        let after = match params.get("continuation") {
            Some(token) => Some(after(token, &query)?),
            None => None,
        };
        let most = most(params.get("max_results"))?;
        let timeout = timeout(params.get("timeout"))?;
        let streams = params.get("stream") == Some("true");
        let shape = Shape { terms: wants_terms && range, streams, most, range };
        Ok(Self { selection: query.selection(), after, test, most, timeout, shape })
    }
}

fn decoded(raw: &[u8]) -> Bytes {
    decode_segment(&String::from_utf8_lossy(raw))
}

impl Query {
    fn selection(self) -> Option<Selection> {
        match self {
            Self::Bucket => Some(Selection::All),
            Self::Keys { from, to } => (from <= to).then_some(Selection::Keys { from, to }),
            Self::Terms { field, from, to } => {
                (from <= to).then_some(Selection::Terms { field, from, to })
            }
        }
    }
}

fn query(field: String, terms: &[Bytes]) -> Result<Query, Stop> {
    if field == BUCKET {
        return Ok(Query::Bucket);
    }
    let (from, to) = match terms {
        [one] => (one, one),
        [from, to] => (from, to),
        _ => {
            let text = "Invalid query: a field has one value, or a start and an end\n";
            return Err(Reply::bad_request(text).into());
        }
    };
    if field == KEY {
        return Ok(Query::Keys { from: from.clone(), to: to.clone() });
    }
    let term = |text: &Bytes| match field.strip_suffix("_int") {
        Some(name) if !name.is_empty() => {
            let number = std::str::from_utf8(text).ok().and_then(IndexValue::int);
            number.ok_or_else(|| {
                let (field, text) = (binary(field.as_bytes()), binary(text));
                invalid(&format!("{{field_parsing_failed,{{{field},{text}}}}}"))
            })
        }
        _ => match field.strip_suffix("_bin") {
            Some(name) if !name.is_empty() => Ok(IndexValue::Bin(text.clone())),
            _ => Err(invalid(&format!("{{unknown_field_type,{}}}", binary(field.as_bytes())))),
        },
    };
    let (from, to) = (term(from)?, term(to)?);
    let longest = from.as_bytes().len().max(to.as_bytes().len());
    if longest > shared::KEY_BYTES {
        return Err(invalid(&format!("a term of {longest} bytes is too long")));
    }
    Ok(Query::Terms { field, from, to })
}

fn invalid(why: &str) -> Stop {
    Reply::bad_request(format!("Invalid query: {why}\n")).into()
}

/// The place to go on from.
fn after(token: &str, query: &Query) -> Result<Cursor, Stop> {
    let wrong = || invalid("the continuation is not one of this query");
    match (continuation::read(token).ok_or_else(wrong)?, query) {
        (Continuation { term: None, key }, Query::Bucket | Query::Keys { .. }) => {
            Ok(Cursor::new(key))
        }
        // Of an equality the term is known.
        (Continuation { term: None, key }, Query::Terms { from, .. }) => {
            Ok(Cursor::at_term(from.clone(), key))
        }
        (Continuation { term: Some(term), key }, Query::Terms { from, .. }) => {
            let term = match from {
                IndexValue::Int(_) => {
                    let text = std::str::from_utf8(&term).map_err(|_| wrong())?;
                    IndexValue::int(text).ok_or_else(wrong)?
                }
                IndexValue::Bin(_) => IndexValue::Bin(term),
            };
            Ok(Cursor::at_term(term, key))
        }
        _ => Err(wrong()),
    }
}

fn flag(params: &Params, name: &str) -> Result<bool, Stop> {
    match params.get(name) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(text) => {
            let text = format!("Invalid \"{name}\". {} is not a boolean", quoted(text));
            Err(Reply::bad_request(text).into())
        }
    }
}

fn test(expression: Option<&str>, is_numbers: bool) -> Result<Option<EntryTest>, Stop> {
    let Some(expression) = expression else { return Ok(None) };
    let test = EntryTest::Matches(Bytes::copy_from_slice(expression.as_bytes()));
    if is_numbers {
        let text = "Can not use term regular expressions on integer queries";
        return Err(Reply::bad_request(text).into());
    }
    match test.compile() {
        Ok(_) => Ok(Some(test)),
        Err(error) => {
            let why = match error {
                EntryError::Pattern(why) => why,
                other => other.to_string(),
            };
            let (shown, why) = (quoted(expression), reason(expression, &why));
            let text = format!("Invalid term regular expression {shown} : {why}");
            Err(Reply::bad_request(text).into())
        }
    }
}

/// Why an expression is none, in the words that Riak has for what is forgotten most often.
fn reason(expression: &str, why: &str) -> String {
    let why = match why {
        "a group does not end" => "missing )",
        "a set does not end" => "missing terminating ] for character class",
        "a backslash at the end" => "\\ at end of pattern",
        "unmatched closing parenthesis" => "unmatched parentheses",
        other => other,
    };
    format!("{{{},{}}}", quoted(why), expression.len())
}

fn most(text: Option<&str>) -> Result<Option<u64>, Stop> {
    let Some(text) = text else { return Ok(None) };
    let shown = match text.parse::<i128>() {
        Ok(number) if number > 0 => return Ok(Some(u64::try_from(number).unwrap_or(u64::MAX))),
        Ok(number) => number.to_string(),
        Err(_) => quoted(text),
    };
    let text = format!("Invalid \"max_results\". {shown} is not a positive integer");
    Err(Reply::bad_request(text).into())
}

/// In milliseconds; zero stands for as long as it takes.
fn timeout(text: Option<&str>) -> Result<Option<Duration>, Stop> {
    let Some(text) = text else { return Ok(None) };
    let shown = match text.parse::<i128>() {
        Ok(0) => return Ok(None),
        Ok(millis) if millis > 0 => {
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            return Ok(Some(Duration::from_millis(millis).min(shared::MAX_TIMEOUT)));
        }
        Ok(number) => number.to_string(),
        Err(_) => quoted(text),
    };
    let text = format!("Bad timeout value {shown}. Must be a non-negative integer\n");
    Err(Reply::bad_request(text).into())
}

/// A text as Erlang prints it.
fn quoted(text: &str) -> String {
    if text.is_empty() { "[]".into() } else { format!("{text:?}") }
}

/// Bytes as Erlang prints them.
fn binary(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "<<>>".into(),
        Ok(text) if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
            format!("<<{text:?}>>")
        }
        _ => {
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            format!("<<{}>>", numbers.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(terms: &[&'static str]) -> Vec<Bytes> {
        terms.iter().map(|term| Bytes::from(*term)).collect()
    }

    #[track_caller]
    fn selects(field: &str, given: &[&'static str], expect: Option<Selection>) {
        let found = query(field.to_owned(), &terms(given)).ok().unwrap().selection();
        assert_eq!(found, expect, "{field} {given:?}");
    }

    #[test]
    fn paths_name_entries() {
        let int = |text: &str| IndexValue::int(text).unwrap();
        let of = |field: &str, from, to| Some(Selection::Terms { field: field.into(), from, to });
        selects("$bucket", &["_"], Some(Selection::All));
        selects("$bucket", &[], Some(Selection::All));
        let keys = Selection::Keys { from: "a".into(), to: "b".into() };
        selects("$key", &["a", "b"], Some(keys));
        selects("$key", &["b", "a"], None);
        selects("f_int", &["5"], of("f_int", int("5"), int("5")));
        selects("f_int", &["10", "9"], None);
        let (from, to) = (IndexValue::Bin("9".into()), IndexValue::Bin("a".into()));
        selects("f_bin", &["9", "a"], of("f_bin", from, to));
    }

    #[track_caller]
    fn refused(result: Result<impl Sized, Stop>, text: &str) {
        let stop = result.err().unwrap();
        assert_eq!((stop.status(), stop.text().as_str()), (400, text));
    }

    #[test]
    fn refusals_have_riaks_words() {
        let of = |field: &str, term| query(field.into(), &terms(&[term]));
        refused(of("x", "1"), "Invalid query: {unknown_field_type,<<\"x\">>}\n");
        refused(of("_int", "1"), "Invalid query: {unknown_field_type,<<\"_int\">>}\n");
        refused(
            of("f_int", "x"),
            "Invalid query: {field_parsing_failed,{<<\"f_int\">>,<<\"x\">>}}\n",
        );
        refused(
            of("f_int", "\u{e9}"),
            "Invalid query: {field_parsing_failed,{<<\"f_int\">>,<<195,169>>}}\n",
        );
        let params = |text| Params::parse(Some(text));
        refused(
            flag(&params("return_terms=x"), "return_terms"),
            "Invalid \"return_terms\". \"x\" is not a boolean",
        );
        assert!(flag(&params("return_terms=TRUE"), "return_terms").ok().unwrap());
        refused(most(Some("x")), "Invalid \"max_results\". \"x\" is not a positive integer");
        refused(most(Some("0")), "Invalid \"max_results\". 0 is not a positive integer");
        refused(most(Some("")), "Invalid \"max_results\". [] is not a positive integer");
        refused(timeout(Some("x")), "Bad timeout value \"x\". Must be a non-negative integer\n");
        refused(timeout(Some("-1")), "Bad timeout value -1. Must be a non-negative integer\n");
        refused(
            test(Some("("), false),
            "Invalid term regular expression \"(\" : {\"missing )\",1}",
        );
        let numbers = "Can not use term regular expressions on integer queries";
        refused(test(Some("."), true), numbers);
        refused(test(Some("("), true), numbers);
        assert_eq!(timeout(Some("0")).ok().unwrap(), None);
        assert_eq!(timeout(Some("50")).ok().unwrap(), Some(Duration::from_millis(50)));
    }
}
