use proptest::prelude::*;

use super::*;
use crate::limits;
use crate::number::{self, Integer};
use crate::term::Term;

#[track_caller]
fn check_malformed(filters: &str, expect: &str) {
    match Filters::parse(raw(filters)) {
        Err(error @ FilterError::Malformed { .. }) => {
            assert!(error.to_string().contains(expect), "{filters}: {error}");
        }
        other => panic!("{filters}: {other:?}"),
    }
}

#[track_caller]
fn check_unknown(filters: &str, place: &str, name: &str) {
    let refused = Filters::parse(raw(filters));
    let expect = FilterError::Unknown { place: place.to_owned(), name: name.to_owned() };
    assert_eq!(refused, Err(expect), "{filters}");
}

#[test]
fn names() {
    check_unknown(r#"[["bogus"]]"#, "key_filters[0]", "bogus");
    check_unknown(r#"[["eq","a"],["EQ","a"]]"#, "key_filters[1]", "EQ");
    check_unknown(r#"[["",1]]"#, "key_filters[0]", "");
    check_unknown(r#"[["and",[["nope"]]]]"#, "key_filters[0][1][0]", "nope");
    check_all(&[(r#"[["sounds_like","a"]]"#, "a", "\"sounds_like\" is not defined")]);
}

#[test]
fn shapes() {
    check_malformed(r#""eq""#, "key_filters: no list of filters");
    check_malformed(r#"{}"#, "key_filters: no list of filters");
    check_malformed(r#"["eq","a"]"#, "key_filters[0]: a filter is a list");
    check_malformed(r#"[[]]"#, "key_filters[0]: a filter is a list");
    check_malformed(r#"[["eq","a"],[7]]"#, "key_filters[1]: a filter is a list");
    check_malformed(r#"[["eq"]]"#, "key_filters[0]: \"eq\" needs 1 argument and has 0");
    check_malformed(r#"[["between",1]]"#, "\"between\" needs 2 arguments and has 1");
    check_malformed(r#"[["tokenize","-"]]"#, "\"tokenize\" needs 2 arguments");
    check_malformed(r#"[["similar_to","-"]]"#, "\"similar_to\" needs 2 arguments");
    check_malformed(r#"[["matches"]]"#, "\"matches\" needs 1 argument");
    check_malformed(r#"[["not"]]"#, "\"not\" needs 1 argument");
    check_malformed(r#"[["and",["eq","a"]]]"#, "key_filters[0][1][0]: a filter is a list");
    check_malformed(r#"[["or",[["eq","a"]],[["eq"]]]]"#, "key_filters[0][2][0]: \"eq\" needs 1");
    check_malformed(r#"[["not","x"]]"#, "key_filters[0][1]: no list of filters");
    check_malformed(r#"[["eq",1e999]]"#, "key_filters[0]: argument 1: a number is too large");
    check_malformed(r#"[["eq","\ud800"]]"#, "argument 1: a string is no text");
    check_all(&[
        (r#"[["tokenize",null,1]]"#, "a", "the separators are no text"),
        (r#"[["similar_to",{},1]]"#, "a", "what to compare with is no text"),
    ]);
}

#[test]
fn bounds() {
    let nested = |depth: usize| {
        format!("{}[[\"eq\",\"a\"]]{}", "[[\"not\",".repeat(depth), "]]".repeat(depth))
    };
    assert_eq!(outcome(&nested(limits::FILTER_NESTING), b"a"), "true");
    check_malformed(&nested(limits::FILTER_NESTING + 1), "nested deeper than 32");
    let many = |count: usize| format!("[{}]", vec![r#"["eq","a"]"#; count].join(","));
    assert!(Filters::parse(raw(&many(limits::FILTERS))).is_ok());
    check_malformed(&many(limits::FILTERS + 1), "more than 1000 filters");
    let large = format!(r#"[["eq","{}"]]"#, "a".repeat(limits::FILTERS_BYTES));
    check_malformed(&large, "longer than 131072 bytes");
    let large = format!(r#"[["similar_to","{}",3]]"#, "a".repeat(limits::SIMILAR_BYTES + 1));
    check_all(&[(&large, "a", "longer than 4096 bytes")]);
}

#[test]
fn filters_travel() {
    let text = r#"[["tokenize","-",2],["string_to_int"],["or",[["between",1,2.5,false]],
        [["set_member",1,99999999999999999999,null,[1,"a"],{}]],[["not",[["matches","x"]]]]]]"#;
    let filters = parsed(text);
    let sent = postcard::to_stdvec(&filters).unwrap();
    assert_eq!(postcard::from_bytes::<Filters>(&sent).unwrap(), filters);
}

#[test]
fn messages_are_short() {
    let key = "x".repeat(60_000);
    assert!(outcome(r#"[["string_to_int"]]"#, key.as_bytes()).len() < 1_000);
    let digits = "9".repeat(60_000);
    let message = outcome(r#"[["string_to_int"],["float_to_string"]]"#, digits.as_bytes());
    assert!(message.len() < 1_000 && message.contains("it is no float"), "{message}");
}

#[test]
fn similar_text_of_the_largest_keys() {
    let (text, key) = ("ab".repeat(limits::SIMILAR_BYTES / 2), "ba".repeat(32_768));
    let filters = format!(r#"[["similar_to","{text}",61440]]"#);
    assert_eq!(outcome(&filters, key.as_bytes()), "true");
}

fn terms() -> impl Strategy<Value = String> {
    let integers = prop_oneof![
        (-3i128..3).prop_map(|value| value.to_string()),
        any::<i128>().prop_map(|value| value.to_string()),
        (-2i128..2).prop_map(|near| ((1i128 << 53) + near).to_string()),
        (-2i128..2).prop_map(|near| (i128::from(i64::MAX) + near).to_string()),
        (-2i128..2).prop_map(|near| (i128::from(i64::MIN) + near).to_string()),
    ];
    let floats = prop_oneof![
        (-6i32..6).prop_map(|halves| format!("{:?}", f64::from(halves) / 2.0)),
        any::<i64>().prop_map(|value| format!("{:?}", value as f64)),
        any::<i128>().prop_map(|value| format!("{:?}", value as f64)),
        (50i32..66).prop_map(|power| format!("{:?}", 2f64.powi(power))),
    ];
    let words = prop_oneof![Just("true"), Just("false"), Just("null"), Just("{}"), Just("[]")];
    let texts = "[ab]{0,3}".prop_map(|text| format!("\"{text}\""));
    let leaves = prop_oneof![integers, floats, words.prop_map(str::to_owned), texts];
    leaves.prop_recursive(2, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(",")))
    })
}

proptest! {
    #[test]
    fn terms_are_ordered(a in terms(), b in terms(), c in terms()) {
        let [a, b, c] = [&a, &b, &c].map(|text| Term::parse(raw(text)).unwrap());
        prop_assert_eq!(a.order(&b), b.order(&a).reverse());
        prop_assert!(a.order(&a).is_eq());
        if a.order(&b).is_le() && b.order(&c).is_le() {
            prop_assert!(a.order(&c).is_le());
        }
        if a.order(&b).is_eq() {
            prop_assert_eq!(a.order(&c), b.order(&c));
        }
        if a == b {
            prop_assert!(a.order(&b).is_eq());
        }
    }

    #[test]
    fn integers_are_ordered_by_size(a in any::<i128>(), b in any::<i128>()) {
        let [x, y] = [a, b].map(|value| Integer::parse(value.to_string().as_bytes()).unwrap());
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(x.to_string(), a.to_string());
    }

    #[test]
    fn integers_and_floats_are_ordered_by_size(a in any::<i128>(), b in -1e30f64..1e30) {
        let integer = Integer::parse(a.to_string().as_bytes()).unwrap();
        // The float is a whole number and a rest; of equal whole numbers the rest decides.
        let whole = b.trunc() as i128;
        let expect = a.cmp(&whole).then(0.0f64.total_cmp(&(b.fract() + 0.0)));
        prop_assert_eq!(number::integer_with_float(&integer, b), expect);
        let near = Integer::parse(whole.to_string().as_bytes()).unwrap();
        let expect = 0.0f64.total_cmp(&(b.fract() + 0.0));
        prop_assert_eq!(number::integer_with_float(&near, b), expect);
    }

    #[test]
    fn floats_as_text_are_read_back(float in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
        let text = number::float_text(float);
        prop_assert_eq!(number::parse_float(text.as_bytes()), Some(float));
    }

    #[test]
    fn no_expression_is_a_panic(
        regex in r"([a-c.*+?(){}\[\]|^$\\]|[0-9,:=!<>'#iPQE-]|\(\?|\\[a-zA-Z0-9]|[^a-z]){0,16}",
        key in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let filters = format!(r#"[["matches",{}]]"#, serde_json::to_string(&regex).unwrap());
        let _ = outcome(&filters, &key);
    }

    #[test]
    fn no_text_is_a_panic(
        name in "[a-z_]{0,12}",
        argument in terms(),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let known = ["to_upper", "urldecode", "string_to_int", "string_to_float", "between"];
        for name in known.iter().copied().chain([name.as_str()]) {
            let text = format!(r#"[["to_lower"],["{name}",{argument},{argument}]]"#);
            if let Ok(filters) = Filters::parse(raw(&text)) {
                let _ = filters.compile().map(|compiled| compiled.keeps(&key));
            }
        }
    }
}
