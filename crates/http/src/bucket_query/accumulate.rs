//! What becomes of the hits of a query, by its accumulation option (facts R320, R321).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapring_filters::SetExpression;

use super::document::AccumulationOption;
use crate::limits;
use crate::listing::json_string;

/// The hits of a single query.
pub(super) struct Accumulated {
    option: AccumulationOption,
    hits: u64,
    found: Found,
}

enum Found {
    Keys(BTreeSet<Bytes>),
    RawKeys(Vec<Bytes>),
    Terms(BTreeSet<(Bytes, Bytes)>),
    RawTerms(Vec<(Bytes, Bytes)>),
    RawCount,
    TermCounts(BTreeMap<Bytes, BTreeSet<Bytes>>),
    TermRawCounts(BTreeMap<Bytes, u64>),
}

impl Accumulated {
    pub(super) fn new(option: AccumulationOption) -> Self {
        let found = match option {
            AccumulationOption::Keys | AccumulationOption::Count => Found::Keys(BTreeSet::new()),
            AccumulationOption::RawKeys => Found::RawKeys(Vec::new()),
            AccumulationOption::Terms => Found::Terms(BTreeSet::new()),
            AccumulationOption::RawTerms => Found::RawTerms(Vec::new()),
            AccumulationOption::RawCount => Found::RawCount,
            AccumulationOption::TermWithCount => Found::TermCounts(BTreeMap::new()),
            AccumulationOption::TermWithRawCount => Found::TermRawCounts(BTreeMap::new()),
        };
        Self { option, hits: 0, found }
    }

    /// How many hits there were.
    pub(super) fn hits(&self) -> u64 {
        self.hits
    }

    /// Adds a hit; returns how many bytes are kept for it. One without the attribute that the query asks
    /// for does not count where terms are asked for.
    pub(super) fn add(&mut self, term: Option<Bytes>, key: Bytes) -> usize {
        self.hits += 1;
        let bytes = limits::ENTRY_BYTES + term.as_ref().map_or(0, Bytes::len) + key.len();
        let is_new = match (&mut self.found, term) {
            (Found::RawCount, _) => false,
            (Found::Keys(keys), _) => keys.insert(key),
            (Found::RawKeys(keys), _) => {
                keys.push(key);
                true
            }
            (_, None) => false,
            (Found::Terms(terms), Some(term)) => terms.insert((term, key)),
            (Found::RawTerms(terms), Some(term)) => {
                terms.push((term, key));
                true
            }
            (Found::TermCounts(terms), Some(term)) => terms.entry(term).or_default().insert(key),
            (Found::TermRawCounts(terms), Some(term)) => {
                let is_new = !terms.contains_key(&term);
                *terms.entry(term).or_default() += 1;
                is_new
            }
        };
        if is_new { bytes } else { 0 }
    }

    /// The document of the answer.
    pub(super) fn to_json(&self) -> String {
        let field = self.option.word();
        let pair = |(term, key): &(Bytes, Bytes)| {
            format!("{{{}:{}}}", json_string(term), json_string(key))
        };
        let count = |term: &Bytes, count: u64| format!("{}:{count}", json_string(term));
        match &self.found {
            Found::Keys(keys) if self.option == AccumulationOption::Count => {
                format!("{{\"{field}\":{}}}", keys.len())
            }
            Found::Keys(keys) => list(field, keys.iter().map(|key| json_string(key))),
            Found::RawKeys(keys) => list(field, keys.iter().map(|key| json_string(key))),
            Found::Terms(terms) => list(field, terms.iter().map(pair)),
            Found::RawTerms(terms) => list(field, terms.iter().map(pair)),
            Found::RawCount => format!("{{\"{field}\":{}}}", self.hits),
            Found::TermCounts(terms) => {
                let counts = terms.iter().map(|(term, keys)| count(term, keys.len() as u64));
                map(field, counts)
            }
            Found::TermRawCounts(terms) => {
                map(field, terms.iter().map(|(term, times)| count(term, *times)))
            }
        }
    }
}

fn list(field: &str, items: impl Iterator<Item = String>) -> String {
    format!("{{\"{field}\":[{}]}}", joined(items))
}

fn map(field: &str, items: impl Iterator<Item = String>) -> String {
    format!("{{\"{field}\":{{{}}}}}", joined(items))
}

fn joined(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&item);
    }
    text
}

/// The keys of several queries, by their tags.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<u32, BTreeSet<Bytes>>);

impl Keys {
    /// Adds a hit; returns how many bytes are kept for it, with those of what is made of the sets.
    pub(super) fn add(&mut self, tag: u32, key: Bytes) -> usize {
        let bytes = 2 * (limits::ENTRY_BYTES + key.len());
        if self.0.entry(tag).or_default().insert(key) { bytes } else { 0 }
    }

    /// What comes of the sets.
    pub(super) fn combined(&self, sets: &SetExpression) -> BTreeSet<Bytes> {
        sets.of(&self.0)
    }
}

/// The document of the answer to several queries.
pub(super) fn keys_to_json(option: AccumulationOption, keys: &BTreeSet<Bytes>) -> String {
    let field = option.word();
    match option {
        AccumulationOption::Count | AccumulationOption::RawCount => {
            format!("{{\"{field}\":{}}}", keys.len())
        }
        _ => list(field, keys.iter().map(|key| json_string(key))),
    }
}
