//! The same questions asked of others.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::keeps;

const OPERATORS: [&str; 9] = ["=", "!=", "<", "<=", ">", ">=", "in", "prefix", "exists"];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..4_i64).prop_map(Value::from),
        (-3..4_i32).prop_map(|half| json!(f64::from(half) / 2.0)),
        prop::sample::select(vec!["", "a", "b", "ab", "é", "\"\\\n", "2024-01"])
            .prop_map(Value::from),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 20, 4, |inner| {
        let name = prop::sample::select(vec!["a", "b", "0", "1", "é"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()),
        ]
    })
}

/// A filter that can be read.
fn filter() -> impl Strategy<Value = Value> {
    let names = prop::collection::vec(prop::sample::select(vec!["a", "b", "0", "1", "é"]), 1..4);
    let operand = (prop::sample::select(OPERATORS.to_vec()), leaf(), document()).prop_map(
        |(operator, leaf, any)| match operator {
            "=" | "!=" => (operator, any),
            "in" => (operator, json!([leaf, any])),
            "prefix" => (operator, Value::from(leaf.as_str().unwrap_or("a"))),
            "exists" => (operator, Value::from(leaf == Value::Null)),
            _ if leaf.is_null() => (operator, json!(1)),
            _ => (operator, leaf),
        },
    );
    (names, operand).prop_map(|(names, (operator, operand))| json!([names, operator, operand]))
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            let member = |(name, value)| right.get(name).is_some_and(|other| same(value, other));
            left.len() == right.len() && left.iter().all(member)
        }
        _ => left == right,
    }
}

/// What a filter says of a document, by the tree of it.
fn by_tree(document: &Value, filter: &Value) -> bool {
    let mut part = Some(document);
    for name in filter[0].as_array().unwrap() {
        let name = name.as_str().unwrap();
        part = part.and_then(|part| match part {
            Value::Array(list) => list.get(name.parse::<usize>().ok()?),
            other => other.get(name),
        });
    }
    let (operator, operand) = (filter[1].as_str().unwrap(), &filter[2]);
    let Some(part) = part else {
        return operator == "!=" || (operator == "exists" && operand == &json!(false));
    };
    let order = match (part, operand) {
        (Value::Number(l), Value::Number(r)) => l.as_f64().partial_cmp(&r.as_f64()),
        (Value::String(l), Value::String(r)) => Some(l.cmp(r)),
        (Value::Bool(l), Value::Bool(r)) => Some(l.cmp(r)),
        _ => None,
    };
    match operator {
        "=" => same(part, operand),
        "!=" => !same(part, operand),
        "<" => order.is_some_and(std::cmp::Ordering::is_lt),
        "<=" => order.is_some_and(std::cmp::Ordering::is_le),
        ">" => order.is_some_and(std::cmp::Ordering::is_gt),
        ">=" => order.is_some_and(std::cmp::Ordering::is_ge),
        "in" => operand.as_array().unwrap().iter().any(|one| same(part, one)),
        "prefix" => part.as_str().is_some_and(|text| text.starts_with(operand.as_str().unwrap())),
        _ => operand == &json!(true),
    }
}

proptest! {
    #![proptest_config(Config::with_cases(4_000))]
    #[test]
    fn as_the_tree_of_a_document_says(
        document in document(),
        filters in prop::collection::vec(filter(), 1..4),
        pretty: bool,
    ) {
        let expect = filters.iter().all(|filter| by_tree(&document, filter));
        let written = match pretty {
            true => serde_json::to_string_pretty(&document).unwrap(),
            false => document.to_string(),
        };
        prop_assert_eq!(keeps(&Value::from(filters).to_string(), written.as_bytes()), expect);
    }
}

/// Reads lines of a filter and the hex of a document; answers 1 or 0 for each.
const PYTHON: &str = r#"
import json, sys
from decimal import Decimal
def constant(word): raise ValueError(word)
def read(text):
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=constant)
def kind(x):
    return bool if isinstance(x, bool) else type(x)
def same(x, y):
    if kind(x) != kind(y): return False
    if isinstance(x, list): return len(x) == len(y) and all(map(same, x, y))
    if isinstance(x, dict): return x.keys() == y.keys() and all(same(x[k], y[k]) for k in x)
    return x == y
def utf8(x): return x.encode('utf-8', 'surrogatepass') if isinstance(x, str) else x
def meets(document, path, operator, operand):
    missing = object()
    part = missing
    try:
        part = read(bytes.fromhex(document).decode('utf-8'))
        for name in path:
            if isinstance(part, dict): part = part.get(name, missing)
            elif isinstance(part, list) and str(int(name)) == name: part = part[int(name)]
            else: part = missing
            if part is missing: break
    except (ValueError, IndexError):
        part = missing
    if part is missing: return operator == '!=' or (operator == 'exists' and operand is False)
    if operator == '=': return same(part, operand)
    if operator == '!=': return not same(part, operand)
    if operator == 'in': return any(same(part, one) for one in operand)
    if operator == 'prefix': return isinstance(part, str) and part.startswith(operand)
    if operator == 'exists': return operand is True
    if kind(part) != kind(operand) or kind(part) not in (bool, Decimal, str): return False
    l, r = utf8(part), utf8(operand)
    return {'<': l < r, '<=': l <= r, '>': l > r, '>=': l >= r}[operator]
for line in sys.stdin:
    document, filter = line.split(' ', 1)
    print(int(meets(document, *read(filter))))
"#;

/// Texts that are nearly JSON, and JSON as nobody would write it.
fn odd_text() -> impl Strategy<Value = Vec<u8>> {
    let number = prop::sample::select(vec![
        "1",
        "1.0",
        "-0",
        "0",
        "10e-1",
        "9007199254740993",
        "9007199254740992.0",
        "1E400",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "-",
        "1e",
        "0.1000000000000000055511151231257827",
    ]);
    let text = prop::sample::select(vec![
        "\"a\"",
        "\"\\u0061\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"a",
        "\"\\/\"",
        "\"\t\"",
        "\"😀\"",
        "\"b\\n\"",
        "true",
        "null",
        "nul",
        "True",
    ]);
    let leaf = prop_oneof![number, text].prop_map(str::to_owned);
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        let name = prop::sample::select(vec![
            "\"a\"",
            "\"\\u0061\"",
            "\"b\"",
            "\"0\"",
            "a",
            "\"\\ud800\"",
        ]);
        let member = (name, inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
        let comma = prop::sample::select(vec![",", " , ", ",", ",", ",", ",,"]);
        prop_oneof![
            (prop::collection::vec(inner, 0..3), comma.clone())
                .prop_map(|(list, comma)| format!("[{}]", list.join(comma))),
            (prop::collection::vec(member, 0..4), comma)
                .prop_map(|(list, comma)| format!("{{{}}}", list.join(comma))),
        ]
    });
    let end = prop::sample::select(vec!["", "", "", " \n", "x", "\u{b}", "\u{a0}"]);
    (value, end, prop::bool::weighted(0.05)).prop_map(|(value, end, broken)| {
        let mut bytes = format!("{value}{end}").into_bytes();
        if broken {
            bytes.push(0xff);
        }
        bytes
    })
}

#[test]
fn as_python_says() {
    let seed = std::env::var("MAPRING_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let now = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as u64);
    let seed = seed.unwrap_or_else(now);
    println!("MAPRING_SEED={seed}");
    let bytes = [seed.to_le_bytes(); 4].concat();
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = (odd_text(), filter());
    let mut cases = Vec::new();
    for _ in 0..3_000 {
        cases.push(strategy.new_tree(&mut runner).unwrap().current());
    }
    let mut python = Command::new("python3");
    let python = python.args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let spawned = python.spawn();
    let Ok(mut python) = spawned else {
        eprintln!("skipped: there is no python3");
        return;
    };
    let mut stdin = python.stdin.take().unwrap();
    let lines: String = cases
        .iter()
        .map(|(document, filter)| {
            let hex: String = document.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex} {filter}\n")
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let answers = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(answers.status.success());
    let answers = String::from_utf8(answers.stdout).unwrap();
    let mut met = 0;
    assert_eq!(answers.lines().count(), cases.len());
    for ((document, filter), answer) in cases.iter().zip(answers.lines()) {
        let found = keeps(&format!("[{filter}]"), document);
        let shown = String::from_utf8_lossy(document);
        assert_eq!(found, answer == "1", "{filter} of {shown}");
        met += usize::from(found);
    }
    assert!(met > 300 && met < 2_700, "{met} of 3000 are met");
}
