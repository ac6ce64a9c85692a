//! Functions that take all the memory there is, and more.

use super::rig::Rig;
use super::row::{MEMORY, Outcome, Row, SIZE, row};

/// What the language itself says to sizes beyond its own bounds.
const RANGE: Outcome = Outcome::Thrown("RangeError", 1);

fn rows() -> Vec<Row> {
    vec![
        row("repeat", "return ['x'.repeat(2**30).length]", &[MEMORY, RANGE]),
        row("padStart", "return ['x'.padStart(2**30).length]", &[MEMORY, RANGE]),
        row("doubled strings", "var s = 'x'; for (;;) s += s", &[MEMORY, RANGE]),
        row("concat of strings", "var s = 'xy'; for (;;) s = s.concat(s, s)", &[MEMORY, RANGE]),
        row("replace", "var s = 'xx'; for (;;) s = s.replace(/x/g, 'xx')", &[MEMORY, RANGE]),
        row("push", "var a = []; for (;;) a.push(a, a, a, a, a, a, a, a)", &[MEMORY]),
        row("push of strings", "var a = []; for (;;) a.push('x' + a.length)", &[MEMORY]),
        row("push of arrays", "var a = []; for (;;) a.push([a.length])", &[MEMORY]),
        row("nested arrays", "var a = []; for (;;) a = [a]", &[MEMORY]),
        row("concat of arrays", "var a = [1]; for (;;) a = a.concat(a)", &[MEMORY]),
        row("properties", "var o = {}; for (var i = 0;; i++) o['k' + i] = { a: [i] }", &[MEMORY]),
        row("maps", "var m = new Map(); for (var i = 0;; i++) m.set(i, [i])", &[MEMORY]),
        row("sets", "var m = new Set(); for (var i = 0;; i++) m.add('s' + i)", &[MEMORY]),
        row("symbols", "var a = []; for (var i = 0;; i++) a.push(Symbol('s' + i))", &[MEMORY]),
        row(
            "closures",
            "var f = null; for (;;) (function(g) { f = function() { return g } })(f)",
            &[MEMORY],
        ),
        row("globals", "for (var i = 0;; i++) globalThis['g' + i] = [i]", &[MEMORY]),
        row("typed arrays", "var a = []; for (;;) a.push(new Uint8Array(1e6))", &[MEMORY, RANGE]),
        row("a typed array", "return [new Uint8Array(4e9).length]", &[MEMORY, RANGE]),
        row("a buffer", "return [new ArrayBuffer(1e12).byteLength]", &[MEMORY, RANGE]),
        row("fill", "return [new Array(5e8).fill(values).length]", &[MEMORY]),
        row("Array.from", "return [Array.from({ length: 5e8 }).length]", &[MEMORY]),
        row("join of nothing", "return [new Array(4294967295).join('').length]", &[MEMORY]),
        row(
            "join of much",
            "var s = 'x'.repeat(1e6), a = []; for (var i = 0; i < 2000; i++) a.push(s);
             return [a.join(s).length]",
            &[MEMORY, Outcome::Thrown("RangeError", 2)],
        ),
        row(
            "join of arrays",
            "var a = ['xxxxxxxxxxxxxxxx']; for (;;) a = [a.join('') + a.join('')]",
            &[MEMORY, RANGE],
        ),
        row("integers", "var x = 2n; for (;;) x = x * x", &[MEMORY, RANGE]),
        row("a shifted integer", "return [String(1n << 100000000000n).length]", &[MEMORY, RANGE]),
        row("an integer's text", "return [String(1n << 100000000n).length]", &[MEMORY, RANGE]),
        row(
            "a generator's",
            "function* g() { for (;;) yield new Array(100).fill(g) } return [...g()]",
            &[MEMORY],
        ),
        row(
            "a regular expression",
            "return [new RegExp('(a{1,1000}){1,1000}'.repeat(1e5)).test('a')]",
            &[MEMORY, Outcome::Thrown("SyntaxError", 1)],
        ),
        row("stringify", "var a = []; for (;;) { a.push(JSON.stringify(a)) }", &[MEMORY, RANGE]),
        row("errors", "var a = []; for (;;) try { null.x } catch (e) { a.push(e) }", &[MEMORY]),
        row("promises", "var a = []; for (;;) a.push(new Promise(function() {}))", &[MEMORY]),
        row("large results", "return [new Array(1e9)]", &[MEMORY, SIZE]),
    ]
}

/// Little memory …
const LITTLE: [(&str, &str); 2] =
    [("MAPRING__SCRIPT__MEMORY", "64 MB"), ("MAPRING__SCRIPT__STACK", "16 MB")];

/// … and much time: the cause must be the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_without_end() {
    Rig::start(20, &LITTLE).await.run(rows()).await;
}
