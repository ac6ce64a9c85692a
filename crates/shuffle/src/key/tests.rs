use std::cmp::Ordering;
use std::num::NonZeroU32;

use mapring_types::ErrorKind;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::limits::{KEY_BYTES, KEY_NESTING};

fn key(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode(json, &mut out).unwrap();
    check(&out).unwrap();
    out
}

#[track_caller]
fn becomes(json: &str, canonical: &str) {
    let key = key(json);
    assert_eq!(decode(&key).unwrap(), canonical, "{key:?}");
    let mut again = Vec::new();
    encode(canonical, &mut again).unwrap();
    assert_eq!(again, key, "the canonical text is the same key");
}

#[test]
fn the_same_value_is_the_same_key_however_it_is_written() {
    for (json, canonical) in [
        (" null ", "null"),
        ("true", "true"),
        ("false", "false"),
        ("0", "0"),
        ("-0", "0"),
        ("0.0e99999999999999999999", "0"),
        ("1.0", "1"),
        ("1e0", "1"),
        ("10e-1", "1"),
        ("0.1e1", "1"),
        ("-1.50", "-1.5"),
        ("100", "100"),
        ("123456789012345678901", "123456789012345678901"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("123e-8", "0.00000123"),
        ("0.00000012", "1.2e-7"),
        ("9007199254740993", "9007199254740993"),
        ("-0.1234567890123456789012345", "-0.1234567890123456789012345"),
        ("1234567890123456789012345678901.5", "1234567890123456789012345678901.5"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
        ("1e400", "1e+400"),
        ("-1e-1000000", "-1e-1000000"),
        (r#""""#, r#""""#),
        (r#""a\u0062\/\"\\""#, r#""ab/\"\\""#),
        (
            r#""\b\f\n\r\t\u0000\u0001\u001f\u007f""#,
            "\"\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\u{7f}\"",
        ),
        (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
        (r#""\uD83D""#, r#""\ud83d""#),
        (r#""\ude00\ud83d""#, r#""\ude00\ud83d""#),
        (r#""\ud83d\ud83d\ude00""#, "\"\\ud83d\u{1f600}\""),
        (r#""\ud83dx\ude00""#, r#""\ud83dx\ude00""#),
        (r#""é\u00e9""#, r#""éé""#),
        (" [ 1 , \"a\" , [ ] , { } ] ", r#"[1,"a",[],{}]"#),
        (r#"{"b":1,"a":{"d":[1.0],"c":null}}"#, r#"{"a":{"c":null,"d":[1]},"b":1}"#),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        (r#"{"a":1,"":2,"aa":3}"#, r#"{"":2,"a":1,"aa":3}"#),
    ] {
        becomes(json, canonical);
    }
}

#[test]
fn keys_are_in_the_order_of_their_values() {
    let ascending = [
        "null",
        "false",
        "true",
        "-1e1000",
        "-1e308",
        "-9007199254740993",
        "-9007199254740992",
        "-101",
        "-100",
        "-12",
        "-2",
        "-1.5",
        "-1",
        "-0.5",
        "-1e-300",
        "0",
        "5e-324",
        "1e-300",
        "1e-101",
        "1e-100",
        "0.001",
        "0.1",
        "0.123",
        "0.1230000000000000000001",
        "1",
        "1.5",
        "2",
        "12",
        "100",
        "9007199254740992",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "1e100",
        "1e101",
        "1e300",
        "1e100000",
        r#""""#,
        r#""\u0000""#,
        r#""\u0000\u0000""#,
        r#""\u0000a""#,
        r#""\u0001""#,
        r#""\u0002""#,
        r#"" ""#,
        r#""0""#,
        r#""A""#,
        r#""a""#,
        r#""a\u0000""#,
        r#""aa""#,
        r#""b""#,
        r#""é""#,
        r#""\ud7ff""#,
        r#""\ud800""#,
        r#""\udfff""#,
        r#""\ue000""#,
        r#""\uffff""#,
        r#""\ud83d\ude00""#,
        "[]",
        "[null]",
        "[null,null]",
        "[1]",
        "[1,1]",
        r#"["a"]"#,
        "[[]]",
        "[{}]",
        "{}",
        r#"{"":9}"#,
        r#"{"a":1}"#,
        r#"{"a":1,"b":0}"#,
        r#"{"a":2}"#,
        r#"{"aa":0}"#,
        r#"{"b":0}"#,
    ];
    for pair in ascending.windows(2) {
        assert!(key(pair[0]) < key(pair[1]), "{} < {}", pair[0], pair[1]);
    }
}

#[track_caller]
fn refused(json: &str, words: &str) {
    let mut out = vec![7];
    let error = encode(json, &mut out).unwrap_err();
    assert_eq!(out, [7], "what is at fault leaves nothing");
    assert_eq!(error.to_string(), words);
}

#[test]
fn what_is_no_json_is_refused_with_its_byte() {
    for (json, at) in [
        ("", 0),
        ("nul", 0),
        ("01", 0),
        ("1.", 0),
        ("-", 0),
        ("1 2", 2),
        ("[1,]", 3),
        ("[1", 2),
        (r#"{"a"}"#, 4),
        (r#"{"a":1,}"#, 7),
        ("{1:2}", 1),
        (r#""a"#, 2),
        ("\"a\nb\"", 2),
        (r#""\x""#, 2),
        (r#""\u12g4""#, 2),
        (r#""\u+123""#, 2),
        ("NaN", 0),
    ] {
        refused(json, &format!("a key is no JSON: wrong at byte {at}"));
    }
}

#[test]
fn keys_have_bounds() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    becomes(&nested(KEY_NESTING), &nested(KEY_NESTING));
    refused(&nested(KEY_NESTING + 1), "a key is nested deeper than 128");
    refused(&"[".repeat(1_000_000), "a key is nested deeper than 128");
    let string = |length| format!("\"{}\"", "a".repeat(length));
    becomes(&string(KEY_BYTES - 2), &string(KEY_BYTES - 2));
    refused(&string(KEY_BYTES - 1), "a key is longer than 65536 bytes");
    refused(&format!("[{}]", ["1"; 30_000].join(",")), "a key is longer than 65536 bytes");
    refused(&"1".repeat(200_000), "a key is longer than 65536 bytes");
    refused("1e1000000001", "a number of a key has an exponent beyond 1000000000");
    let mut out = Vec::new();
    let error = encode(&string(KEY_BYTES), &mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn a_writer_writes_what_the_text_would_be() {
    let mut out = vec![1, 2];
    let mut writer = Writer::new(&mut out);
    writer.begin_object().unwrap();
    writer.name(Text::Latin1(b"z\xe9")).unwrap();
    writer.number(2f64.powi(64)).unwrap();
    writer.name("a").unwrap();
    writer.begin_array().unwrap();
    writer.number(f64::NAN).unwrap();
    writer.number(-0.0).unwrap();
    writer.number(0.1).unwrap();
    writer.bool(true).unwrap();
    writer.string(Text::Utf16(&[0xd83d, 0xde00, 0xd83d, 0x61])).unwrap();
    writer.end_array();
    writer.name("a").unwrap();
    writer.null().unwrap();
    writer.name("b").unwrap();
    writer.string(Text::Utf16(&[0xde00, 0xd83d])).unwrap();
    writer.end_object();
    writer.finish().unwrap();
    assert_eq!(out[..2], [1, 2]);
    let text = r#"{"a":null,"b":"\ude00\ud83d","zé":18446744073709552000}"#;
    assert_eq!(decode(&out[2..]).unwrap(), text);
    assert_eq!(out[2..], key(text));

    let mut writer = Writer::new(&mut out);
    writer.begin_array().unwrap();
    writer.string("left").unwrap();
    drop(writer);
    assert_eq!(decode(&out[2..]).unwrap(), text, "what is not finished leaves nothing");
}

#[test]
fn what_is_no_key_is_refused() {
    let cases: [&[u8]; 18] = [
        &[],
        &[0],
        &[11],
        &[2, 2],
        &[7],
        &[7, 0x81],
        // No digits; a first digit 0; two last ones; more than two digits in a byte.
        &[7, 0x81, 0],
        &[7, 0x81, 2, 0],
        &[7, 0x81, 11, 1, 0],
        &[7, 0x81, 101, 0],
        // An exponent in more bytes than it needs.
        &[7, 0x81 + 100, 50, 11, 0],
        &[8, b'a'],
        &[8, 1, 3, 0],
        &[8, 0xff, 0],
        // Two surrogates that are a character.
        &[8, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80, 0],
        &[9, 2],
        // Members that are not in order; a member without a value.
        &[10, 8, b'b', 0, 2, 8, b'a', 0, 2, 0],
        &[10, 8, b'b', 0, 0],
    ];
    for bytes in cases {
        assert_eq!(check(bytes).unwrap_err().kind(), ErrorKind::Corrupt, "{bytes:?}");
        assert!(decode(bytes).is_err());
    }
    assert!(check(&[9; 100_000]).is_err());
    assert!(check(&[9; 1_000]).is_err());
}

#[test]
fn partitions_stay_the_same() {
    let of = |json: &str, partitions| partition(&key(json), NonZeroU32::new(partitions).unwrap());
    let all: Vec<_> = ["null", "1", "\"a\"", "\"apple\"", "\"a longer text than a word\"", "[1,2]"]
        .map(|json| (of(json, 64), of(json, 1_000_003)))
        .to_vec();
    assert_eq!(all, FIXED);
    let mut counts = [0u32; 64];
    for number in 0..64_000 {
        counts[of(&format!("\"user-{number}\""), 64) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    let mut counts = [0u32; 7];
    for number in 0..7_000 {
        counts[of(&number.to_string(), 7) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
}

/// What no change may move: pairs that were stored would be looked for elsewhere.
const FIXED: [(u32, u32); 6] =
    [(58, 246_096), (9, 74_987), (19, 569_748), (26, 687_104), (44, 244_389), (13, 626_907)];

/// The order of values, told without keys.
fn compare(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    };
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap(),
        },
        (Value::String(one), Value::String(other)) => one.as_bytes().cmp(other.as_bytes()),
        (Value::Array(one), Value::Array(other)) => {
            let differs = one.iter().zip(other).map(|(one, other)| compare(one, other));
            differs.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
        }
        (Value::Object(one), Value::Object(other)) => {
            let sorted = |map: &Map<String, Value>| {
                let mut members: Vec<_> = map.clone().into_iter().collect();
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                members
            };
            let (one, other) = (sorted(one), sorted(other));
            let differs = one.iter().zip(&other).map(|((name, value), (other_name, other))| {
                name.cmp(other_name).then_with(|| compare(value, other))
            });
            differs.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
        }
        _ => rank(one).cmp(&rank(other)),
    }
}

/// The canonical text, written without keys.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            // JavaScript has a zero below zero, and writes it as the other.
            let number = if number == 0.0 { 0.0 } else { number };
            ryu_js::Buffer::new().format(number).to_owned()
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Object(map) => {
            let mut names: Vec<_> = map.keys().collect();
            names.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
            let member = |name| format!("{}:{}", Value::from(name), canonical(&map[name]));
            let members = names.into_iter().map(|name| member(name.as_str()));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        simple => simple.to_string(),
    }
}

fn values() -> impl Strategy<Value = Value> {
    // Whole numbers are exact as f64, so that the comparison above is.
    let whole = prop_oneof![-20i64..20, -(1i64 << 53)..(1 << 53)];
    let float = prop_oneof![
        (-100i32..100).prop_map(|n| f64::from(n) / 8.0),
        any::<f64>().prop_filter("finite", |float| float.is_finite()),
    ];
    let string = prop_oneof!["[ab\u{0}\u{1}\u{2}]{0,3}", "\\PC{0,5}", any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        whole.prop_map(Value::from),
        float.prop_map(Value::from),
        string.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let members = proptest::collection::vec(("[ab]{0,2}", inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A decimal number's digits before and after the point, filled up with zeros: a way to compare that
/// knows no exponents.
fn aligned(text: &str) -> (bool, String) {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut exponent: i32 = exponent.parse().unwrap();
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    while exponent > 0 {
        whole.push(if fraction.is_empty() { '0' } else { fraction.remove(0) });
        exponent -= 1;
    }
    while exponent < 0 {
        fraction.insert(0, whole.pop().unwrap_or('0'));
        exponent += 1;
    }
    (negative, format!("{whole:0>200}.{fraction:0<200}"))
}

fn compare_decimals(one: &str, other: &str) -> Ordering {
    let ((one_negative, one), (other_negative, other)) = (aligned(one), aligned(other));
    let zero = |text: &str| text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    match (one_negative && !zero(&one), other_negative && !zero(&other)) {
        (false, false) => one.cmp(&other),
        (true, true) => other.cmp(&one),
        (one, other) => other.cmp(&one),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn keys_compare_as_their_values(one in values(), other in values()) {
        let (first, second) = (key(&one.to_string()), key(&other.to_string()));
        prop_assert_eq!(first.cmp(&second), compare(&one, &other));
        prop_assert!(first == second || !second.starts_with(&first), "prefix-free");
        prop_assert_eq!(decode(&first).unwrap(), canonical(&one));
    }

    #[test]
    fn decimals_compare_with_all_their_digits(
        one in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,25})?(e-?[0-9]{1,2})?",
        other in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,25})?(e-?[0-9]{1,2})?",
        zeros in 0usize..3,
    ) {
        let more = if one.contains('.') && !one.contains('e') { "0".repeat(zeros) } else { String::new() };
        prop_assert_eq!(key(&one), key(&format!("{one}{more}")));
        prop_assert_eq!(key(&one).cmp(&key(&other)), compare_decimals(&one, &other));
        let text = decode(&key(&one)).unwrap();
        prop_assert_eq!(key(&text), key(&one));
    }

    #[test]
    fn numbers_of_javascript_are_their_text(bits in any::<u64>(), small in any::<i32>()) {
        for number in [f64::from_bits(bits), f64::from(small), f64::from(small) / 1000.0] {
            prop_assume!(number.is_finite());
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out);
            writer.number(number).unwrap();
            writer.finish().unwrap();
            let text = ryu_js::Buffer::new().format(number).to_owned();
            prop_assert_eq!(&out, &key(&text));
            let text = if number == 0.0 { "0".to_owned() } else { text };
            prop_assert_eq!(decode(&out).unwrap(), text);
        }
    }

    #[test]
    fn no_bytes_are_read_as_a_key_that_would_not_be_written(
        bytes in proptest::collection::vec(prop_oneof![0u8..16, any::<u8>()], 0..12),
    ) {
        if let Ok(text) = decode(&bytes) {
            prop_assert_eq!(key(&text), bytes);
        }
    }
}
