//! Key filters, and what they mean, said anew.

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::model::Model;

/// Filters, and whether they keep a key.
pub(super) type Filtered = (Value, Box<dyn Fn(&str) -> bool>);

/// Filters of each kind over keys of the form `city-year-number`.
pub(super) fn all(random: &mut StdRng, model: &Model) -> Vec<Filtered> {
    let (one, other) = (random.random_range(1994..2016i64), random.random_range(1994..2016i64));
    let digit = random.random_range(0..10);
    let bound = random.random_range(0..2_400);
    let key = model.some_key(random);
    let mut filtered = of_parts(one, other, digit, bound);
    filtered.extend(of_keys(&key));
    filtered.extend(of_logic(one, digit));
    filtered
}

fn token(key: &str, number: usize) -> &str {
    key.split('-').filter(|token| !token.is_empty()).nth(number - 1).unwrap()
}

fn year(key: &str) -> i64 {
    token(key, 2).parse().unwrap()
}

fn number(key: &str) -> i64 {
    token(key, 3).parse().unwrap()
}

fn filtered(filters: Value, keeps: impl Fn(&str) -> bool + 'static) -> Filtered {
    (filters, Box::new(keeps))
}

fn of_parts(one: i64, other: i64, digit: i64, bound: i64) -> Vec<Filtered> {
    let year_of = |filter: Value| json!([["tokenize", "-", 2], ["string_to_int"], filter]);
    #[allow(clippy::cast_precision_loss)] // Small numbers.
    let float = bound as f64 / 10.0;
    vec![
        filtered(year_of(json!(["between", one, other])), move |key| {
            (one..=other).contains(&year(key))
        }),
        filtered(year_of(json!(["between", one, other, false])), move |key| {
            one < year(key) && year(key) < other
        }),
        filtered(year_of(json!(["greater_than", one])), move |key| year(key) > one),
        filtered(year_of(json!(["less_than_eq", one])), move |key| year(key) <= one),
        filtered(year_of(json!(["eq", one])), move |key| year(key) == one),
        filtered(year_of(json!(["neq", one])), move |key| year(key) != one),
        filtered(year_of(json!(["set_member", one, other])), move |key| {
            [one, other].contains(&year(key))
        }),
        // Any number is less than any string.
        filtered(year_of(json!(["less_than", "0"])), |_| true),
        filtered(json!([["tokenize", "-", 3], ["string_to_int"], ["less_than", float]]), {
            move |key| 10 * number(key) < bound
        }),
        filtered(json!([["ends_with", digit.to_string()]]), move |key| number(key) % 10 == digit),
        filtered(json!([["tokenize", "-", 1], ["set_member", "oslo", "rome"]]), |key| {
            ["oslo", "rome"].contains(&token(key, 1))
        }),
    ]
}

fn of_keys(key: &str) -> Vec<Filtered> {
    let owned = || key.to_owned();
    let (a, b, c, d) = (owned(), owned(), owned(), owned());
    let prefix: String = key.chars().take(3).collect();
    vec![
        filtered(json!([["starts_with", prefix]]), move |key| key.starts_with(&prefix)),
        filtered(json!([["eq", key]]), move |key| key == a),
        filtered(json!([["neq", key]]), move |key| key != b),
        filtered(json!([["greater_than_eq", key]]), move |key| *key >= *c),
        filtered(json!([["similar_to", key, 3]]), move |key| {
            distance(key.as_bytes(), d.as_bytes()) <= 3
        }),
        // A list of characters equals no string, but has the same beginnings.
        filtered(json!([["to_lower"], ["eq", key]]), |_| false),
        filtered(json!([["to_lower"], ["starts_with", "oslo"]]), |key| {
            key.to_lowercase().starts_with("oslo")
        }),
        filtered(json!([["urldecode"], ["matches", "^rom[ae]-20"]]), |key| {
            key.starts_with("roma-20") || key.starts_with("rome-20")
        }),
        filtered(json!([["matches", "(\\d)\\1\\d*$"]]), |key| {
            token(key, 3).as_bytes().windows(2).any(|pair| pair[0] == pair[1])
        }),
        filtered(json!([["matches", "^(?!oslo|Oslo)\\w+-19"]]), |key| {
            // ö is two bytes, and the second is no letter of Latin-1.
            ["paris", "rome", "roma"].contains(&token(key, 1)) && year(key) < 2000
        }),
        // Transforms alone keep nothing.
        filtered(json!([["to_upper"]]), |_| false),
    ]
}

fn of_logic(one: i64, digit: i64) -> Vec<Filtered> {
    let later = json!([["tokenize", "-", 2], ["string_to_int"], ["greater_than", one]]);
    let ends = json!([["ends_with", digit.to_string()]]);
    vec![
        filtered(json!([["and", later, ends]]), move |key| {
            year(key) > one && number(key) % 10 == digit
        }),
        filtered(json!([["or", later, ends]]), move |key| {
            year(key) > one || number(key) % 10 == digit
        }),
        filtered(json!([["not", [["or", later, [["not", ends]]]]]]), move |key| {
            year(key) <= one && number(key) % 10 == digit
        }),
        // A predicate after a predicate sees its truth, not the key.
        filtered(json!([["starts_with", "p"], ["eq", false]]), |key| !key.starts_with('p')),
        filtered(json!([["starts_with", "p"], ["starts_with", "p"]]), |_| false),
    ]
}

fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let changed = row[j] + usize::from(x != y);
            next.push(changed.min(row[j + 1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row[b.len()]
}
