//! What keys pass, by facts R47 to R51 and, where these are silent, by what Erlang does.

mod expressions;
mod pipelines;
mod refusals;

use serde_json::value::RawValue;

use super::{FilterError, Filters};

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn parsed(filters: &str) -> Filters {
    Filters::parse(raw(filters)).unwrap_or_else(|error| panic!("{filters}: {error:?}"))
}

/// `true`, `false`, or what is wrong.
fn outcome(filters: &str, key: &[u8]) -> String {
    let outcome = parsed(filters)
        .compile()
        .map_err(|error| error.to_string())
        .and_then(|compiled| compiled.keeps(key));
    outcome.map_or_else(|error| error, |kept| kept.to_string())
}

/// A row of a table: filters, a key, and `true`, `false`, or a part of the error.
type Row<'a> = (&'a str, &'a str, &'a str);

#[track_caller]
fn check_all(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (filters, key, expect) in rows {
        let outcome = outcome(filters, key.as_bytes());
        let exact = matches!(*expect, "true" | "false");
        if outcome != *expect && (exact || !outcome.contains(expect)) {
            wrong.push(format!("{filters} for {key:?} gives {outcome}, not {expect}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
