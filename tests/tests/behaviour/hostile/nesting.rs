//! What is nested too deeply: sources, texts that are evaluated, JSON, values, results.

use super::rig::Rig;
use super::row::{MEMORY, Outcome, Row, STACK, row, whole};

/// A stack may do, or the language's own refusal.
const REFUSED: Outcome = Outcome::Error("syntax", "SyntaxError");
const THROWN: Outcome = Outcome::Thrown("SyntaxError", 1);
const DEEP: Outcome = Outcome::Error("bad_json", "nested more than 1000 levels");

/// A function whose source nests something so often.
fn source(before: &str, open: &str, middle: &str, close: &str, after: &str) -> String {
    let times = 100_000;
    [before, &open.repeat(times), middle, &close.repeat(times), after].concat()
}

fn sources() -> Vec<Row> {
    let outcomes = &[STACK, REFUSED];
    vec![
        whole(
            "a source of brackets",
            source("function(v) { return ", "[", "1", "]", " }"),
            outcomes,
        ),
        whole(
            "a source of parentheses",
            source("function(v) { return ", "(", "1", ")", " }"),
            outcomes,
        ),
        whole(
            "a source of objects",
            source("function(v) { return [", "{a:", "1", "}", "] }"),
            outcomes,
        ),
        whole(
            "a source of functions",
            source("function(v) {", "function f() {", "", "}", "}"),
            outcomes,
        ),
        whole(
            "a source of blocks",
            source("function(v) {", "{", "", "}", " return [] }"),
            outcomes,
        ),
        whole("a source of signs", source("function(v) { return [", "!", "1", "", "] }"), outcomes),
        whole(
            "a source of conditions",
            source("function(v) { return [", "1?", "1", ":1", "] }"),
            outcomes,
        ),
        whole(
            "a source of calls",
            source("function(v) { return [v", "()", "", "", "] }"),
            &[STACK, REFUSED, Outcome::Error("exception", "TypeError")],
        ),
        whole(
            "a source of sums",
            source("function(v) { return [1", "+1", "", "", "] }"),
            &[STACK, REFUSED, Outcome::Answer("[100001]")],
        ),
        whole(
            "a source of brackets that do not close",
            source("function(v) { return ", "[", "", "", ""),
            outcomes,
        ),
    ]
}

fn texts() -> Vec<Row> {
    let outcomes = &[STACK, THROWN];
    vec![
        row(
            "eval of brackets",
            "return [eval('['.repeat(1e5) + ']'.repeat(1e5)).length]",
            outcomes,
        ),
        row(
            "eval of parentheses",
            "return [eval('('.repeat(1e5) + '1' + ')'.repeat(1e5))]",
            outcomes,
        ),
        row("eval of blocks", "eval('{'.repeat(1e5) + '}'.repeat(1e5)); return []", outcomes),
        row("new Function", "return [new Function('return ' + '!'.repeat(2e5) + '1')()]", outcomes),
        row(
            "JSON.parse",
            "return [JSON.parse('['.repeat(2e5) + ']'.repeat(2e5)).length]",
            outcomes,
        ),
        row(
            "JSON.parse of objects",
            "return [JSON.parse('{\"a\":'.repeat(2e5) + '1' + '}'.repeat(2e5))]",
            outcomes,
        ),
        row(
            "JSON.parse with a reviver",
            "return [JSON.parse('['.repeat(1e5) + ']'.repeat(1e5), function(k, v) { return v }).length]",
            outcomes,
        ),
        row(
            "a regular expression",
            "return [new RegExp('('.repeat(50000) + ')'.repeat(50000)).test('a')]",
            outcomes,
        ),
    ]
}

fn values() -> Vec<Row> {
    let text = &[STACK, Outcome::Thrown("", 2)];
    vec![
        row(
            "a result",
            "var a = []; for (var i = 0; i < 200000; i++) a = [a]; return a",
            &[STACK, DEEP],
        ),
        row(
            "a result of objects",
            "var o = {}; for (var i = 0; i < 200000; i++) o = { o: o }; return [o]",
            &[STACK, DEEP],
        ),
        row(
            "a result just too deep",
            "var a = []; for (var i = 0; i < 1001; i++) a = [a]; return [a]",
            &[DEEP],
        ),
        row(
            "JSON.stringify",
            "var a = []; for (var i = 0; i < 200000; i++) a = [a];\nreturn [JSON.stringify(a).length]",
            text,
        ),
        row(
            "toString",
            "var a = []; for (var i = 0; i < 200000; i++) a = [a];\nreturn [String(a).length]",
            text,
        ),
        row(
            "flat",
            "var a = []; for (var i = 0; i < 200000; i++) a = [a];\nreturn a.flat(Infinity)",
            &[STACK, Outcome::Thrown("", 2), Outcome::Answer("[]")],
        ),
        row(
            "what is thrown",
            "var a = []; for (var i = 0; i < 200000; i++) a = [a];\nthrow a",
            &[STACK, Outcome::Thrown("", 2)],
        ),
        row(
            // The engine writes it out whole, with deeper and deeper indentation.
            "what is thrown, of objects",
            "var o = {}; for (var i = 0; i < 200000; i++) o = { o: o };\nthrow o",
            &[STACK, MEMORY, Outcome::Error("exception", "")],
        ),
        row(
            "causes of an error",
            "var e = new Error('x'); for (var i = 0; i < 200000; i++) e = new Error('x', { cause: e });\nthrow e",
            &[STACK, Outcome::Thrown("x", 1)],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_without_end() {
    let rows = [sources(), texts(), values()].concat();
    Rig::start(4, &[]).await.run(rows).await;
}
