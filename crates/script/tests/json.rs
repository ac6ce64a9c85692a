//! `JSON.parse` over what is nearly JSON: raw tabs and trailing commas, which Riak's JavaScript took.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::{MapInput, Runtime as _, ScriptLimits};

/// What each text reads as, without and with a reviver that changes nothing: its JSON, or the error.
fn read(texts: &[&str]) -> Vec<[String; 2]> {
    let function = "function (v, texts) {
        function read(text, reviver) {
            try { return JSON.stringify(JSON.parse(text, reviver)); }
            catch (error) { return error.name + ': ' + error.message; }
        }
        return texts.map(function (text) {
            return [read(text), read(text, function (key, value) { return value; })];
        });
    }";
    let keydata = Some(json(&serde_json::Value::from(texts.to_vec()).to_string()));
    let input = MapInput { keydata, ..input("") };
    let mut runtime =
        JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() });
    let results = runtime.map(1, &source(function, None), vec![input]).unwrap().remove(0);
    results.iter().map(|result| serde_json::from_str(result.text()).unwrap()).collect()
}

#[test]
fn nearly_json_is_read() {
    let rows = [
        ("[1,]", "[1]"),
        ("[1,\n]", "[1]"),
        ("[[1,],[2,],]", "[[1],[2]]"),
        (r#"{"a":1,}"#, r#"{"a":1}"#),
        (r#"{"a":[{"b":null,},], }"#, r#"{"a":[{"b":null}]}"#),
        (r#"{"a":"x,]",}"#, r#"{"a":"x,]"}"#),
        (r#"["\",]",]"#, r#"["\",]"]"#),
        (r#"[{},]"#, "[{}]"),
        ("\"a\tb\"", r#""a\tb""#),
        ("{\"a\tb\":\"\u{1}\u{0}\u{1f}\"}", r#"{"a\tb":"\u0001\u0000\u001f"}"#),
        ("[\"a\t\",]", r#"["a\t"]"#),
        ("[\"\\\"\t\",\t]", r#"["\"\t"]"#),
    ];
    let texts: Vec<&str> = rows.iter().map(|(text, _)| *text).collect();
    for ((text, expected), given) in rows.iter().zip(read(&texts)) {
        assert_eq!(given, [*expected, *expected], "{text:?}");
    }
}

#[test]
fn what_is_no_json_stays_an_error_where_it_is() {
    let rows = [
        ("[,]", "unexpected character at byte 1"),
        ("{,}", "expected a property name at byte 1"),
        ("[1,,2]", "unexpected character at byte 3"),
        ("[1,,]", "unexpected character at byte 3"),
        (r#"{"a":,}"#, "unexpected character at byte 5"),
        (r#"{"a",}"#, "unexpected character at byte 4"),
        (",", "unexpected character at byte 0"),
        ("1,", "unexpected text after the value at byte 1"),
        ("[1,", "unexpected end at byte 3"),
        ("[1,}", "unexpected character at byte 3"),
        // The first that is wrong is told, though it alone would be borne.
        ("[1,] x", "unexpected character at byte 3"),
        ("[\"a\tb\", x]", "control character in a string at byte 3"),
        ("[\"a\nb\"]", "control character in a string at byte 3"),
        ("[\"a\r\nb\",]", "control character in a string at byte 3"),
        (r#"["\x41",]"#, "bad escape in a string at byte 3"),
        ("", "unexpected end at byte 0"),
    ];
    let texts: Vec<&str> = rows.iter().map(|(text, _)| *text).collect();
    for ((text, expected), [given, revived]) in rows.iter().zip(read(&texts)) {
        assert_eq!(given, format!("SyntaxError: JSON: {expected}"), "{text:?}");
        assert!(revived.starts_with("SyntaxError: "), "{text:?}: {revived}");
    }
}

#[test]
fn values_of_objects_are_read_so() {
    let body = "{\"title\":\t\"a\tb\",\n \"tags\": [\"x\",],}";
    let results = map(
        &mut JsRuntime::new(ScriptLimits::default()),
        &named("Riak.mapValuesJson", None),
        input(body),
    );
    assert_eq!(results.unwrap(), [r#"{"title":"a\tb","tags":["x"]}"#]);
}

#[test]
fn a_text_is_asked_for_once() {
    let function = "function () {
        var asked = 0, text = {toString: function () { asked++; return '[1,]'; }};
        var out = JSON.parse(text).concat(JSON.parse(text, function (key, value) { return value; }));
        return out.concat(asked, JSON.parse.length);
    }";
    let results =
        map(&mut JsRuntime::new(ScriptLimits::default()), &source(function, None), input(""));
    assert_eq!(results.unwrap(), ["1", "1", "2", "2"]);
}
