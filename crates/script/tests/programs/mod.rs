//! Programs at random, and their parts: texts, expressions, JSON, values, calls of a list's methods.

use proptest::prelude::*;
use proptest::sample::select;

/// A JavaScript literal of a text given by code units.
pub(crate) fn literal(units: &[u16]) -> String {
    let codes: Vec<String> = units.iter().map(u16::to_string).collect();
    format!("String.fromCharCode({})", codes.join(","))
}

pub(crate) fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Pieces of text: words, white space, signs of expressions, characters of each width, halves of
/// surrogate pairs.
pub(crate) fn subject() -> impl Strategy<Value = Vec<u16>> {
    let piece = prop_oneof![
        6 => select(&["a", "b", "ab", "aB", "word", "Zoë", "0", "12", "_", "x-y", "k", "s"][..])
            .prop_map(units),
        4 => select(&[" ", "  ", "\n", "\t", "\r\n", "\u{a0}", "\u{2028}", ",", ".", "\u{feff}"][..])
            .prop_map(units),
        2 => select(&["é", "ß", "ÿ", "ſ", "\u{212a}", "İ", "日本", "😀", "𝔸"][..]).prop_map(units),
        1 => select(&[0xd83d_u16, 0xde00, 0xdfff]).prop_map(|unit| vec![unit]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Expressions, some of them wrong.
pub(crate) fn pattern() -> impl Strategy<Value = String> {
    let atom = select(
        &[
            "a",
            "b",
            "word",
            "\\w",
            "\\W",
            "\\s",
            "\\S",
            "\\d",
            "\\b",
            "\\B",
            ".",
            "^",
            "$",
            "[a-z]",
            "[^a]",
            "[\\s,.]",
            "(a|b)",
            "(?:ab|a)",
            "(\\w)(\\d)?",
            "(?=b)",
            "(?!b)",
            "(?<=a)",
            "()",
            "a|",
            "é",
            "[é-ÿ]",
            "\\u00e9",
            "😀",
            "(?<n>a)",
            "\\1",
            "k",
            "\\u212a",
            "[\\u017fa]",
            "\\x6b",
            "\\xe9*",
            "[^\\x00-\\x7f]",
            "\\377",
            "\\cJ",
            "s",
            "/",
            "\\n",
            "[^]",
            "x*",
            "(",
            "[",
            "\\u{61}",
            "(a)|(b)",
            "(z)?",
        ][..],
    );
    let times = select(&["", "", "", "*", "+", "?", "{1,2}", "*?", "+?", "{2}"][..]);
    prop::collection::vec((atom, times), 0..5)
        .prop_map(|parts| parts.into_iter().map(|(atom, times)| format!("{atom}{times}")).collect())
}

/// Flags, some of them wrong. Not `v`: with it the engine itself panics on some expressions.
pub(crate) fn flags() -> impl Strategy<Value = &'static str> {
    select(&["g", "g", "g", "gi", "gim", "gs", "", "i", "m", "y", "gy", "u", "gu", "gd", "q"][..])
}

/// A JSON text, perhaps not a right one.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(
            &[
                "null",
                "true",
                "false",
                "0",
                "-0",
                "1",
                "-1",
                "1.5",
                "1e3",
                "1E-7",
                "1e308",
                "123456789012345678901234567890",
                "9007199254740993",
                "0.1",
                "5e-324",
                "01",
                "1.",
                "+1",
                ".5",
                "NaN",
                "\"\"",
                "\"a\"",
                "\"\\u0000\"",
                "\"\\ud83d\\ude00\"",
                "\"\u{2028}\u{2029}\"",
                "\"é日😀\"",
                "\"\\x\"",
                "\"\\\"\\\\\\/\\b\"",
                "\"\u{1}\"",
                "\"\\u00e9\"",
                "'a'",
                "undefined",
                "",
                "[",
                "{",
                "\"",
            ][..]
        )
        .prop_map(str::to_owned),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    let key = select(
        &[
            "a",
            "b",
            "a",
            "__proto__",
            "constructor",
            "1",
            "0",
            "-1",
            "01",
            "4294967295",
            "",
            "toJSON",
            "é",
            "\\u0061",
        ][..],
    );
    let space = select(&["", "", "", " ", "\n\t", "\r", "\u{a0}", "\u{feff}"][..]);
    let value = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec((space.clone(), inner.clone()), 0..5).prop_map(|items| {
                let items: Vec<String> = items
                    .into_iter()
                    .map(|(space, item)| format!("{space}{item}{space}"))
                    .collect();
                format!("[{}]", items.join(","))
            }),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    (value, 0usize..40, select(&["", "", "", ",", "]", " ", "x"][..])).prop_map(
        |(mut text, cut, more)| {
            // Now and then one that ends too early.
            if cut < 3 {
                while cut < text.len() && !text.is_char_boundary(text.len() - cut) {
                    text.pop();
                }
                text.truncate(text.len().saturating_sub(cut));
            }
            text + more
        },
    )
}

/// An expression for a value that `JSON.stringify` has something to say about.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = select(
        &[
            "null",
            "undefined",
            "true",
            "0",
            "-0",
            "1.5",
            "1e21",
            "1e-7",
            "NaN",
            "Infinity",
            "'a'",
            "'\\u2028\\ud83d'",
            "'\\ude00\\u0007\"\\\\'",
            "function () {}",
            "Symbol('s')",
            "1n",
            "new Number(3)",
            "new String('s')",
            "new Boolean(false)",
            "new Date(0)",
            "new Date(NaN)",
            "/x/g",
            "new Map([[1, 2]])",
            "new Set([1])",
            "new Error('e')",
            "new Uint8Array([1, 2])",
            "Object.create({inherited: 1})",
            "Object.create(null)",
            "[,1]",
            "new Array(3)",
            "{toJSON: function (key) { return 'key ' + key; }}",
            "{toJSON: 1, a: 2}",
            "{get a() { return 1; }, b: 2}",
            "{get a() { throw new RangeError('r'); }}",
            "Object.defineProperty({a: 1}, 'hidden', {value: 2})",
            "{[Symbol('s')]: 1, a: 1}",
            "new Proxy({a: 1}, {})",
            "new Proxy([1, 2], {})",
            "Object.assign([1], {extra: 2})",
            "class {}",
            "Object(1n)",
            "Object(Symbol('s'))",
            "(function () { return arguments; })(1)",
        ][..],
    )
    .prop_map(str::to_owned);
    let key = select(&["a", "b", "'2'", "1", "'__proto__x'", "'é'", "toJSON"][..]);
    leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("({{{}}})", fields.join(","))
            }),
        ]
    })
    .prop_map(|value| if value.starts_with('{') { format!("({value})") } else { value })
}

/// A step of a program that changes or reads the list `a`; its value goes to `out`.
pub(crate) fn step() -> impl Strategy<Value = String> {
    let value = || {
        select(
            &[
                "0",
                "1",
                "-1",
                "2.5",
                "NaN",
                "-0",
                "'x'",
                "'\\u65e5'",
                "null",
                "undefined",
                "true",
                "[1, 'y']",
                "{length: 2}",
                "a",
                "[, 1]",
                "3",
                "'1'",
                "1e10",
                "-1e10",
                "Infinity",
                "{valueOf: function () { a[0] = 'v'; return 1; }}",
                "{toString: function () { return 's'; }}",
                "new Proxy([1, 2], {})",
                "(function () { return arguments; })(1)",
            ][..],
        )
    };
    let call = select(
        &[
            "push",
            "push",
            "unshift",
            "unshift",
            "splice",
            "splice",
            "splice",
            "slice",
            "concat",
            "reverse",
            "join",
            "indexOf",
            "lastIndexOf",
            "includes",
            "pop",
            "shift",
        ][..],
    );
    let other = select(
        &[
            "a.length",
            "a.length = 3",
            "a.length = 9",
            "delete a[1]",
            "a[2] = 'set'",
            "a[7] = 7",
            "a.name = 'n'",
            "a = Object.freeze(a)",
            "Object.preventExtensions(a)",
            "a = [1, 2, 3]",
            "Object.defineProperty(a, 1, {get: function () { return 'g'; }, configurable: true})",
            "Object.defineProperty(a, 'length', {writable: false})",
            "a.sort()",
            "a.sort(function (x, y) { return String(x) < String(y) ? -1 : 1 * (String(x) > String(y)); })",
            "a = a.map(function (x, i) { return i; })",
            "a = a.concat(a).slice(0, 200)",
            "Array.prototype[1] = 'p'",
            "delete Array.prototype[1]",
            "Object.prototype[3] = 'q'",
            "a.constructor = {}",
            "Array.prototype[Symbol.isConcatSpreadable] = false",
            "a = Array.from(a)",
            "Object.setPrototypeOf(a, null)",
            "a = new Array(70).fill('f')",
            "a[Symbol.isConcatSpreadable] = false",
            "Array.prototype.constructor = undefined",
            "a = (new (class L extends Array {})()).concat(a)",
        ][..],
    );
    let call = (call, prop::collection::vec(value(), 0..4)).prop_map(|(name, values)| {
        format!(
            "Array.prototype.{name}.call(a{}{})",
            if values.is_empty() { "" } else { ", " },
            values.join(", ")
        )
    });
    prop_oneof![5 => call, 2 => other.prop_map(str::to_owned)]
}

/// The beginning of such a list.
pub(crate) fn list() -> impl Strategy<Value = String> {
    let item =
        select(&["0", "1", "7", "-3", "2.5", "'a'", "'1'", "null", "undefined", "[]", "{}"][..]);
    prop_oneof![
        (0usize..150).prop_map(|count| format!(
            "Array.from({{length: {count}}}, function (_, i) {{ return i * 37 % 11; }})"
        )),
        (0usize..100).prop_map(|count| format!(
            "Array.from({{length: {count}}}, function (_, i) {{ return 'w' + i % 7; }})"
        )),
        prop::collection::vec(item, 0..12).prop_map(|items| format!("[{}]", items.join(","))),
    ]
}
