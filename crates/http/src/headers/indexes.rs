//! `X-Riak-Index-…`: secondary-index entries (fact R27).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::HeaderMap;
use mapring_types::{IndexValue, limits as shared};

use crate::limits;

/// Begins the name of every header of index entries, which alone leaves in small letters (fact R343).
pub const PREFIX: &str = "x-riak-index-";

/// Reads the index entries of a request: sorted, without duplicates.
///
/// # Errors
/// The text of the 400 answer: a line for each entry that is wrong.
pub fn parse(headers: &HeaderMap) -> Result<Vec<(String, IndexValue)>, String> {
    let (mut entries, mut wrong) = (BTreeSet::new(), String::new());
    for (name, value) in headers {
        let Some(field) = name.as_str().strip_prefix(PREFIX) else { continue };
        for term in terms(value.as_bytes()) {
            if term.len() > shared::KEY_BYTES {
                let most = shared::KEY_BYTES;
                return Err(format!("A term of field '{field}' is longer than {most} bytes.\n"));
            }
            match term_of(field, term) {
                Ok(term) => {
                    entries.insert((field.to_owned(), term));
                }
                Err(line) if wrong.len() < limits::WRONG_TERMS_BYTES => wrong.push_str(&line),
                Err(_) => {}
            }
            if entries.len() > limits::INDEX_TERMS {
                let most = limits::INDEX_TERMS;
                return Err(format!("An object has at most {most} index terms.\n"));
            }
        }
    }
    if wrong.is_empty() { Ok(entries.into_iter().collect()) } else { Err(wrong) }
}

/// The terms of one header: a comma separates them only where white space follows.
fn terms(value: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut start = 0;
    for (at, pair) in value.windows(2).enumerate() {
        if at >= start && pair[0] == b',' && pair[1].is_ascii_whitespace() {
            out.push(value.get(start..at).unwrap_or_default());
            start = at + 2;
        }
    }
    out.push(value.get(start..).unwrap_or_default());
    out.into_iter().map(<[u8]>::trim_ascii).collect()
}

fn term_of(field: &str, term: &[u8]) -> Result<IndexValue, String> {
    if field.ends_with("_bin") {
        return Ok(IndexValue::Bin(Bytes::copy_from_slice(term)));
    }
    if !field.ends_with("_int") {
        return Err(format!("Unknown field type for field: '{field}'.\n"));
    }
    let shown = String::from_utf8_lossy(term);
    IndexValue::int(&shown)
        .ok_or_else(|| format!("Could not parse field '{field}', value '{shown}'.\n"))
}

/// The terms of each field, as text, in order: numbers by value, others bytewise.
pub fn by_field(entries: &[(String, IndexValue)]) -> BTreeMap<&str, Vec<&[u8]>> {
    let mut fields: BTreeMap<&str, Vec<&IndexValue>> = BTreeMap::new();
    for (field, value) in entries {
        fields.entry(field).or_default().push(value);
    }
    fields
        .into_iter()
        .map(|(field, mut values)| {
            values.sort();
            (field, values.into_iter().map(IndexValue::as_bytes).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Vec<(String, IndexValue)>, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        parse(&headers)
    }

    #[track_caller]
    fn check(values: &[(&str, &str)], expect: &str) {
        let entries = read(values).unwrap();
        let shown: Vec<String> = by_field(&entries)
            .into_iter()
            .map(|(field, terms)| {
                let terms: Vec<_> =
                    terms.into_iter().map(|term| String::from_utf8_lossy(term)).collect();
                format!("{field}: {}", terms.join(", "))
            })
            .collect();
        assert_eq!(shown.join("; "), expect);
    }

    #[test]
    fn entries_are_read_and_written() {
        check(&[], "");
        check(
            &[("X-Riak-Index-n_bin", "a, b,c"), ("x-riak-index-N_int", "1, 2")],
            "n_bin: a, b,c; n_int: 1, 2",
        );
        check(&[("x-riak-index-f_bin", "v2"), ("x-riak-index-f_bin", "v1")], "f_bin: v1, v2");
        check(&[("x-riak-index-f_bin", "a, a,  b")], "f_bin: a, b");
        check(&[("x-riak-index-f_int", "10, 9, -2, -10, +007, -0")], "f_int: -10, -2, 0, 7, 9, 10");
        check(
            &[("x-riak-index-f_int", "123456789012345678901234567890")],
            "f_int: 123456789012345678901234567890",
        );
        assert_eq!(read(&[("x-riak-index-n_bin", "a, b,c")]).unwrap().len(), 2);
    }

    #[test]
    fn wrong_entries_are_named() {
        for (name, value, text) in [
            ("x-riak-index-n_int", "abc", "Could not parse field 'n_int', value 'abc'.\n"),
            ("x-riak-index-n_int", "1,2", "Could not parse field 'n_int', value '1,2'.\n"),
            ("x-riak-index-n_int", "1.5", "Could not parse field 'n_int', value '1.5'.\n"),
            ("x-riak-index-n_int", "", "Could not parse field 'n_int', value ''.\n"),
            ("X-Riak-Index-n", "abc", "Unknown field type for field: 'n'.\n"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err(), text);
        }
        let both = read(&[("x-riak-index-n_int", "a, 1, b"), ("x-riak-index-m", "x")]);
        assert_eq!(
            both.unwrap_err(),
            "Could not parse field 'n_int', value 'a'.\n\
             Could not parse field 'n_int', value 'b'.\n\
             Unknown field type for field: 'm'.\n"
        );
    }
}
