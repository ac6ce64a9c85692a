//! Dates as V8 has them with UTC as local time. The tables hold what Node 20 gave (`TZ=UTC`).
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::{Runtime as _, ScriptLimits};
use proptest::prelude::*;

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() })
}

/// What the function, called with the list as key data, returns for each element.
fn each(function: &str, list: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let function = format!("function (v, list) {{ return list.map({function}); }}");
    let list = json(&serde_json::Value::from(list).to_string());
    let input = mapring_script::MapInput { keydata: Some(list), ..input("") };
    let results = runtime().map(1, &source(&function, None), vec![input]).unwrap().remove(0);
    results.iter().map(|result| serde_json::from_str(result.text()).unwrap()).collect()
}

/// What a program gives, as text.
#[track_caller]
fn gives(program: &str, expected: &str) {
    let function = format!("function () {{ {program} }}");
    let results = runtime().map(1, &source(&function, None), vec![input("")]).unwrap().remove(0);
    let result: serde_json::Value = serde_json::from_str(results[0].text()).unwrap();
    assert_eq!(result, serde_json::Value::from(expected), "{program}");
}

/// The rows of a table: JSON of what goes in, and what comes out.
fn rows(table: &str) -> (Vec<serde_json::Value>, Vec<&str>) {
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| row.split_once('\t').unwrap())
        .map(|(input, output)| (serde_json::from_str(input).unwrap(), output))
        .unzip()
}

#[track_caller]
fn agrees(function: &str, table: &str) {
    let (inputs, expected) = rows(table);
    assert!(inputs.len() > 100);
    let given = each(function, &inputs);
    let wrong: Vec<String> = (inputs.iter().zip(given).zip(expected))
        .filter(|((_, given), expected)| given != expected)
        .map(|((input, given), expected)| format!("{input}: {given}, not {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn texts_are_read_as_v8_reads_them() {
    let table = include_str!("dates/parse.tsv");
    agrees("function (text) { return String(Date.parse(text)); }", table);
    agrees("function (text) { return String(new Date(text).getTime()); }", table);
    agrees("function (text) { return String(+new Date(new String(text))); }", table);
}

#[test]
fn dates_are_written_as_in_node() {
    agrees(
        "function (row) { try { return new Date(row[1])[row[0]]('en-US', row[2]); } \
         catch (error) { return error.name; } }",
        include_str!("dates/formats.tsv"),
    );
}

#[test]
fn numbers_are_written_as_in_node() {
    agrees(
        "function (row) { try { return Number(row[0]).toLocaleString('en-US', row[1]); } \
         catch (error) { return error.name; } }",
        include_str!("dates/numbers.tsv"),
    );
}

#[test]
fn methods_give_what_they_give_in_node() {
    on_large_stack(|| {
        let function = source(include_str!("dates/methods.js"), None);
        let mut runtime = JsRuntime::new(ScriptLimits::default());
        let results = runtime.map(1, &function, vec![input("")]).unwrap().remove(0);
        let given =
            results.iter().map(|result| serde_json::from_str::<String>(result.text()).unwrap());
        let expected = include_str!("dates/methods.txt").lines();
        let wrong: Vec<_> = given.clone().zip(expected.clone()).filter(|(a, b)| a != b).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(given.count(), expected.count());
    });
}

#[test]
fn other_places_are_refused() {
    let refused = "function (how) { try { return how[0] + new Date(0).toLocaleString(how[1], how[2]); } \
        catch (error) { return error.name + ': ' + error.message; } }";
    let ask = |locales: serde_json::Value, options: serde_json::Value| {
        each(refused, &[serde_json::json!(["", locales, options])]).remove(0)
    };
    let none = serde_json::json!({});
    for known in [
        serde_json::json!("en"),
        serde_json::json!("EN-us"),
        serde_json::json!([]),
        serde_json::json!(["en-US", "de"]),
        serde_json::json!(5),
    ] {
        assert_eq!(ask(known, none.clone()), "1/1/1970, 12:00:00 AM");
    }
    for other in ["de", "en-GB", "en_US", "", "en-US-u-hc-h23", "xx"] {
        let words = format!("RangeError: locale '{other}' is not known here: only en-US is");
        assert_eq!(ask(other.into(), none.clone()), words);
        assert_eq!(ask(serde_json::json!([other, "en"]), none.clone()), words);
    }
    assert!(ask(serde_json::json!([5]), none).as_str().unwrap().starts_with("TypeError: a locale"));
    let english = serde_json::json!("en-US");
    for (options, words) in [
        (
            r#"{"timeZone":"Europe/Berlin"}"#,
            "time zone 'Europe/Berlin' is not known here: only UTC is",
        ),
        (r#"{"calendar":"buddhist"}"#, "option calendar takes one of gregory here, not 'buddhist'"),
        (
            r#"{"weekday":"tiny"}"#,
            "option weekday takes one of narrow, short, long here, not 'tiny'",
        ),
        (
            r#"{"year":"numeric","day":"numeric"}"#,
            "these fields of a date have no format of their own in en-US: ask for more, or for each alone",
        ),
    ] {
        let options = serde_json::from_str(options).unwrap();
        assert_eq!(ask(english.clone(), options), format!("RangeError: {words}"));
    }
    gives(
        "try { (5).toLocaleString('fr') } catch (error) { return [error.message]; }",
        "locale 'fr' is not known here: only en-US is",
    );
    for (option, words) in [
        ("notation: 'compact'", "option notation takes one of standard here, not 'compact'"),
        ("style: 'unit'", "option style takes one of decimal, percent, currency here, not 'unit'"),
    ] {
        let program = format!(
            "try {{ (5).toLocaleString('en', {{{option}}}) }} catch (error) {{ return [error.message]; }}"
        );
        gives(&program, words);
    }
}

#[test]
fn without_a_locale_it_is_english() {
    gives(
        "return [[1234.5.toLocaleString(), new Date(0).toLocaleDateString(), \
         new Date(NaN).toLocaleTimeString('de'), \
         new Number(1e6).toLocaleString(undefined, undefined), \
         Date.parse(new Date(1305849600000).toLocaleString())].join(' | ')]",
        "1,234.5 | 1/1/1970 | Invalid Date | 1,000,000 | 1305849600000",
    );
    gives(
        "return [[Date.prototype, Number.prototype].map(function (object) { \
         return ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString'].map(function (name) { \
         var f = object[name]; return f && [f.name, f.length].join(':'); }).join(); }).join(';')]",
        "toLocaleString:0,toLocaleDateString:0,toLocaleTimeString:0;toLocaleString:0,,",
    );
}

#[test]
fn the_constructor_is_the_languages() {
    gives(
        "return [[typeof Date(2011), typeof new Date, Date.length, Date.name, Date.parse.length, \
         Date.prototype.constructor === Date, Object.getOwnPropertyNames(Date).sort().join(' '), \
         Object.prototype.toString.call(new Date), new Date instanceof Date, \
         Object.keys(Date).length, delete Date.prototype].join()]",
        "string,object,7,Date,1,true,UTC length name now parse prototype,[object Date],true,0,false",
    );
    gives(
        "class Day extends Date { double() { return 2 * this; } } \
         var day = new Day('1970/01/01 00:00:01'); \
         return [[day.double(), day instanceof Day, day instanceof Date, day.getSeconds()].join()]",
        "2000,true,true,1",
    );
    gives(
        "function F() {} var made = Reflect.construct(Date, ['May 20, 2011'], F); \
         return [[made instanceof F, Date.prototype.getTime.call(made)].join()]",
        "true,1305849600000",
    );
    // A date is copied, whatever its text is; other objects are asked once.
    gives(
        "var date = new Date(5); date.toString = date[Symbol.toPrimitive] = null; var asked = ''; \
         var object = {[Symbol.toPrimitive]: function (hint) { asked += hint; return '1970'; }}; \
         return [[+new Date(date), +new Date(object), asked].join()]",
        "5,0,default",
    );
    gives(
        "var out = [undefined, null, true, '', 12, [2011, 5], {}].map(function (value) { \
           return +new Date(value); }); \
         out.push(+new Date(2011, 4), +new Date(99, 0, 1, 0, 0, 0, 1), +new Date('2011', '4')); \
         try { new Date(Symbol()) } catch (error) { out.push(error.name); } \
         try { new Date(1n) } catch (error) { out.push(error.name); } \
         return [out.join()]",
        "NaN,0,1,NaN,12,1304208000000,NaN,1304208000000,915148800001,1304208000000,TypeError,TypeError",
    );
}

proptest! {
    #[test]
    fn any_text_is_a_date_or_none(text in "[0-9:+\\-./, TZa-z()\u{0}\u{a0}é]{0,60}|\\PC{0,40}") {
        let given = each("function (text) { return Date.parse(text); }", &[text.into()]);
        prop_assert!(given[0].is_null() || given[0].is_i64());
    }
}

#[test]
fn long_texts_take_one_pass() {
    for part in ["1", "1 ", "(", ")", "x", "+", "2011-05-20 ", "é", ":", "12:00 ", "GMT"] {
        let function = "function (part) { \
            var text = part; while (text.length < 4e6) { text += text; } \
            return String(Date.parse(text)) + Date.parse('2011 (' + text); }";
        let given = each(function, &[part.into()]);
        assert!(given[0].is_string(), "{part}");
    }
}
