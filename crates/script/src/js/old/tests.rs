//! What a text is made, and where its places were.

use proptest::prelude::*;
use proptest::sample::select;

use super::tokens::{Kind, Tokens};
use super::{Place, mend, prepared, refusal};

#[track_caller]
fn mended(text: &str, expected: &str) {
    let mended = mend(text, Place::Statement);
    assert_eq!(mended.as_ref().map_or(text, |mended| mended.text()), expected, "{text}");
}

#[test]
fn texts_are_mended() {
    mended("for each (var x in o) y", "for      (var x of  __mapring_values(o)) y");
    mended(
        "for each(x in f(function(a) a in b)){}",
        "for     (x of  __mapring_values(f(function(a) {return a in b}))){}",
    );
    mended("a = function(x) x // x\n + 1\nb", "a = function(x) {return x // x\n + 1}\nb");
    mended("a ? function(x) x ? 1 : 2 : 3", "a ? function(x) {return x ? 1 : 2} : 3");
    mended("function(a) a", "(function(a) {return a})");
    mended("function(a) {}", "(function(a) {})");
    mended(r#"'\x4' + "\u{110000}\u{41}" + '\\x4'"#, r#"'x4' + "u{110000}\u{41}" + '\\x4'"#);
    mended(
        "try {} catch (e if a) {b} catch (f if c) {d} finally {}",
        "try {} catch (e ) {if ( a) {b} else {let f  = e; if ( c) {d} else throw e;}} finally {}",
    );
    mended("let (a = 1) { b }", "{let  a = 1; { b }}");
    // What has the looks of it only.
    for text in [
        "'for each (x in o)'; /function(x) x/; `function(x) x`; // function(x) x",
        "a.for; o = {each: 1, catch: 2, let: 3}; let(1); x.function(1) + 2",
        "for (each in o) {} for (x of o) {} each(x)",
        "try {} catch {} catch (e) {}; function f() {} let {a} = o; let [b] = o;",
        r#""\u0041\x41\q\0\u{1F600}" / 2 / '\\' "#,
    ] {
        mended(text, text);
    }
}

#[test]
fn texts_that_parse_are_prepared_only_where_they_need_it() {
    let text = |text: &str| prepared(text).map(|mended| mended.text().to_owned());
    assert_eq!(text("function f(v) { return f(v); }"), None);
    assert_eq!(text("function f(v) { try { g(v); } catch (e) {} }"), None);
    assert_eq!(text("a.eval(1); function eval(x) {} 'eval(x)'"), None);
    assert_eq!(text("eval(a, (b))").unwrap(), "eval(__mapring_evaluated(a, (b)))");
    assert_eq!(
        text("function f() { 'use strict'\n try { f(); } catch (e) {} }").unwrap(),
        "function f() { 'use strict';__mapring_deep();\n try { f(); } catch (e) {} }"
    );
}

#[test]
fn strings_expressions_and_brackets_are_told_apart() {
    let kinds = |text: &str| -> Vec<(Kind, String)> {
        let tokens = Tokens::of(text);
        assert_eq!(tokens.stopped, None, "{text}");
        let all = 0..tokens.list.len();
        all.map(|at| (tokens.list[at].kind, tokens.word(at).to_owned())).collect()
    };
    let regexes = |text: &str, expected: &[&str]| {
        let found = kinds(text).into_iter().filter(|(kind, _)| *kind == Kind::Regex);
        assert_eq!(found.map(|(_, text)| text).collect::<Vec<_>>(), expected, "{text}");
    };
    regexes("a / b / c; x++ / 2; (a) / 3; [1] / 4; {}.b / 5", &[]);
    regexes(
        "return /a/g; if (x) /b[/]'/i.test(y); {} /c/; a = b\n/ d / e",
        &["/a/g", "/b[/]'/i", "/c/"],
    );
    regexes("`${/x}/}` + '/y/' // /z/\n* /* /w/ */ /v\\//", &["/x}/", "/v\\//"]);
    regexes("a = {} / 1; b = function() {} ; typeof /q/", &["/q/"]);
    regexes("each(x) / y / z; o.each(x) / y / z; for each (x in y) /w/.test(x)", &["/w/"]);
    for name in [r"\u{61}b", r"a\u{0061}", r"\u0061\u{62}$"] {
        let found = kinds(&format!("{name};"));
        assert_eq!(found[0], (Kind::Word, name.to_owned()));
    }
    for (text, at) in
        [("x = <a/>", 4), ("a = 'b", 4), ("#1=", 0), ("(]", 1), ("a(", 2), ("a → b", 2)]
    {
        assert_eq!(Tokens::of(text).stopped, Some(at), "{text}");
    }
}

#[test]
fn long_texts_are_looked_through_in_one_pass() {
    let began = std::time::Instant::now();
    let (nested, names) = (300, "f;".repeat(50_000));
    let (open, close) = ("function f() {".repeat(nested), "}".repeat(nested));
    let text = format!("try {{}} catch (e) {{}} {open}{names}{close}");
    let watched = prepared(&text).unwrap();
    assert_eq!(watched.text().matches("__mapring_deep").count(), nested);
    let escapes = format!("'{}'", r"\u{".repeat(300_000));
    let mended = mend(&escapes, Place::Expression).unwrap();
    assert_eq!(mended.text(), format!("'{}'", "u{".repeat(300_000)));
    // Far more than it takes, and far less than with each beginning looked on from to the end.
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

/// Parts of programs, and of what is none.
fn program() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "for each (",
            "var x in o",
            ")",
            "{",
            "}",
            "(",
            "[",
            "]",
            "function(a)",
            "function f(a) {",
            "x * 2",
            "\n",
            "'\\u80x'",
            "'",
            "\"",
            "`a${",
            "`",
            "/",
            "/a/",
            "catch (e if e)",
            "try {}",
            "let (a = 1)",
            "eval(",
            "=>",
            "?",
            ":",
            ",",
            ";",
            "…",
            "é",
            "#1=",
            "#",
            "\\",
            "\\u0061",
            "<a>",
            "<!--",
            "-->",
            "?.",
            "..",
            "::",
            "@",
            ".5",
            "5.",
            "\r\n",
            "\u{2028}",
            "//",
            "/*",
            "*/",
            "f(",
            "yield 1",
            "\u{1F600}",
            "callee",
            "catch",
            "'use strict'",
            "return",
            "++",
            "${",
        ][..],
    );
    prop::collection::vec((piece, select(&["", " "][..])), 0..24)
        .prop_map(|pieces| pieces.into_iter().map(|(a, b)| format!("{a}{b}")).collect())
}

proptest! {
    /// Whatever the text is, lines stay, and every place is in the text as it was.
    #[test]
    fn any_text_keeps_its_lines(text in program(), line in 1..4usize, column in 1..40usize) {
        let mended = [mend(&text, Place::Statement), mend(&text, Place::Expression), prepared(&text)];
        for mended in mended.into_iter().flatten() {
            prop_assert_eq!(mended.text().matches('\n').count(), text.matches('\n').count());
            let mut before = 0;
            for byte in 0..=mended.text().len() {
                let original = mended.original(byte);
                prop_assert!(original >= before && original <= text.len());
                before = original;
            }
            if let Some((found, _)) = mended.place(&text, (line, column)) {
                prop_assert!(found >= 1);
            }
        }
        let message = format!("SyntaxError: x at line {line}, col {column}");
        let _ = refusal(&message, &text);
        for known in [
            "TypeError: not a callable function",
            "TypeError: not a constructor",
            "TypeError: cannot convert 'null' or 'undefined' to object",
        ] {
            for at in 0..text.len() {
                let _ = crate::js::blame::named(known, &text, at);
            }
        }
    }
}
