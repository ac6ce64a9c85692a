//! What functions throw, errors or not: in words, with the line of the user's source.

use super::rig::Rig;
use super::row::{Outcome, Row, row, whole};

fn rows() -> Vec<Row> {
    use Outcome::Thrown;
    vec![
        row(
            "an error",
            "\nthrow new TypeError('no such thing')",
            &[Thrown("TypeError: no such thing", 2)],
        ),
        row(
            "an error from within",
            "function f() {\nthrow new Error('deep') }\nreturn [1].map(f)",
            &[Thrown("Error: deep", 2)],
        ),
        row("a string", "throw 'plain words'", &[Thrown("plain words", 1)]),
        row("a number", "throw 7", &[Thrown("7", 1)]),
        row("null", "throw null", &[Thrown("null", 1)]),
        row("undefined", "throw undefined", &[Thrown("undefined", 1)]),
        row("an object", "throw { code: 1 }", &[Thrown("{\"code\":1}", 1)]),
        row("an object with a message", "throw { message: 'mine' }", &[Thrown("mine", 1)]),
        row("a list", "throw [1, 2]", &[Thrown("[1,2]", 1)]),
        row("a function", "throw function() {}", &[Thrown("Function", 1)]),
        row("a symbol", "throw Symbol('s')", &[Thrown("Symbol(s)", 1)]),
        row("a promise", "throw Promise.resolve(1)", &[Thrown("", 1)]),
        row("a proxy", "throw new Proxy({}, { get: function() { throw 1 } })", &[Thrown("", 1)]),
        row("a cyclic object", "var o = {}; o.o = o; throw o", &[Thrown("o:", 1)]),
        row("half a character", "throw '\\ud800'", &[Thrown("", 1)]),
        row(
            "an error that throws",
            "var e = new Error('x'); e.toString = function() { throw e }; throw e",
            &[Thrown("x", 1)],
        ),
        row(
            "an error without a prototype",
            "var e = new Error('x'); e.__proto__ = null; throw e",
            &[Thrown("x", 1)],
        ),
        row(
            "a long message",
            "var s = 'long'; while (s.length < 3e7) s += s;\nthrow new Error(s)",
            &[Thrown("Error: longlong", 2)],
        ),
        row(
            "a long string",
            "var s = 'long'; while (s.length < 3e7) s += s;\nthrow s",
            &[Thrown("longlong", 2)],
        ),
        row("a long list", "\nthrow new Array(1e6).fill('x')", &[Thrown("", 2)]),
        row(
            "a name that is not there",
            "\n\nreturn [nothing.here]",
            &[Thrown("nothing is not defined", 3)],
        ),
        row("a member of nothing", "return [values.nothing.here]", &[Thrown("TypeError", 1)]),
        row("a call of what is no function", "var x = 1;\nreturn x()", &[Thrown("TypeError", 2)]),
        row("a number out of range", "return [(1e21).toFixed(101)]", &[Thrown("RangeError", 1)]),
        row("a constant", "const c = 1;\nc = 2; return [c]", &[Thrown("TypeError", 2)]),
        row(
            "before its declaration",
            "x;\nlet x = 1; return [x]",
            &[Outcome::Error("exception", "ReferenceError")],
        ),
        row("in eval", "\nreturn [eval('throw new Error(1)')]", &[Thrown("Error: 1", 2)]),
        row("no syntax in eval", "\nreturn [eval('[')]", &[Thrown("SyntaxError", 2)]),
        row("no JSON", "\nreturn [JSON.parse('{')]", &[Thrown("SyntaxError", 2)]),
        row("no regular expression", "\nreturn [new RegExp('(')]", &[Thrown("SyntaxError", 2)]),
        row("no syntax", "return [", &[Outcome::Error("syntax", "line 3")]),
        whole(
            "no function",
            "5".to_owned(),
            &[Outcome::Error("syntax", "not a function but a number")],
        ),
        whole("nothing", String::new(), &[Outcome::Error("syntax", "")]),
        whole(
            "what ends early",
            "function(v) { return [1] }}".to_owned(),
            &[Outcome::Error("syntax", "")],
        ),
        whole(
            "what is thrown at once",
            "(function() { throw new Error('early') })()".to_owned(),
            &[Outcome::Error("exception", "early")],
        ),
        whole(
            "binary",
            "\u{0}\u{1}\u{fffd}".to_owned(),
            &[Outcome::Error("syntax", "SyntaxError")],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thrown_values() {
    Rig::start(4, &[]).await.run(rows()).await;
}
