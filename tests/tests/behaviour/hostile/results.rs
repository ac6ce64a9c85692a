//! Results that are no list, are cyclic, or far too large; functions that contradict themselves.

use super::rig::Rig;
use super::row::{MEMORY, NO_LIST, Outcome, Row, SIZE, TIME, row};

const CYCLE: Outcome = Outcome::Error("bad_json", "cyclic");
const PROMISE: Outcome = Outcome::Error("non_list_result", "a promise");

fn shapes() -> Vec<Row> {
    vec![
        row("a cyclic list", "var a = []; a.push(a); return a", &[CYCLE]),
        row("a cyclic object", "var o = {}; o.o = o; return [o]", &[CYCLE]),
        row("a long cycle", "var o = {}; o.a = { b: [{ c: o }] }; return [o]", &[CYCLE]),
        row(
            "a cycle through toJSON",
            "var o = { toJSON: function() { return { o: o } } }; return [o]",
            &[CYCLE, Outcome::Error("bad_json", "nested more than")],
        ),
        row(
            "a cycle of proxies",
            "var o = {}; o.o = new Proxy(o, {}); return [o]",
            &[CYCLE, Outcome::Error("bad_json", "nested more than")],
        ),
        row(
            "a cycle in JSON.stringify",
            "var o = {}; o.o = o; return [JSON.stringify(o)]",
            &[Outcome::Thrown("cyclic", 1)],
        ),
        row("a promise", "return Promise.resolve([1])", &[PROMISE]),
        row("a promise for ever", "return new Promise(function() {})", &[PROMISE]),
        row("an async function's", "return (async function() { return [1] })()", &[PROMISE]),
        row("promises in a list", "return [Promise.resolve(1)]", &[Outcome::Answer("[{}]")]),
        row(
            "a function",
            "return function() {}",
            &[Outcome::Error("non_list_result", "a function")],
        ),
        row(
            "functions in a list",
            "return [function() {}, Math.max]",
            &[Outcome::Answer("[null,null]")],
        ),
        row("a number", "return 5", &[Outcome::Error("non_list_result", "a number")]),
        row("a string", "return 'text'", &[Outcome::Error("non_list_result", "a string")]),
        row("true", "return true", &[Outcome::Error("non_list_result", "a boolean")]),
        row("null", "return null", &[Outcome::Error("non_list_result", "null")]),
        row("nothing", "", &[Outcome::Error("non_list_result", "undefined")]),
        row("a map", "return new Map([[1, 2]])", &[NO_LIST]),
        row("a typed array", "return new Uint8Array(3)", &[NO_LIST]),
        row(
            "a list by its prototype",
            "var a = { length: 1e9 }; a.__proto__ = Array.prototype; return a",
            &[NO_LIST, Outcome::Answer("{\"length\":1000000000}")],
        ),
        row(
            "a proxy that lies",
            "return new Proxy([], { get: function(t, k) { return k === 'length' ? 1e15 : 1 } })",
            &[NO_LIST, SIZE],
        ),
        row(
            "a proxy that lies, in a list",
            "return [new Proxy([], { get: function(t, k) { return k === 'length' ? 1e15 : 1 } })]",
            &[TIME, MEMORY, SIZE, Outcome::Error("exception", ""), Outcome::Error("bad_json", "")],
        ),
        row("symbols", "return [Symbol('x')]", &[Outcome::Answer("[null]")]),
        row("large integers", "return [1n]", &[Outcome::Error("bad_json", "BigInt")]),
        row("no numbers", "return [NaN, Infinity, -0]", &[Outcome::Answer("[null,null,0]")]),
        row("far dates", "return [new Date(8.64e15 + 1)]", &[Outcome::Answer("[null]")]),
        row("half a character", "return ['\\ud800']", &[Outcome::Answer("[\"\\ud800\"]")]),
        row(
            "a getter that throws",
            "return [{ get x() {\nthrow new Error('not me') } }]",
            &[Outcome::Thrown("not me", 2)],
        ),
        row(
            "a list that changes",
            "var a = [{ get x() { a.length = 0; return 1 } }, 2, 3]; return a",
            &[Outcome::Answer("[{\"x\":1},null,null]"), Outcome::Answer("[{\"x\":1}]")],
        ),
        row(
            "a list that grows",
            "var a = [{ get x() { a.push(this); return 1 } }]; return a",
            &[Outcome::Answer("[{\"x\":1}]")],
        ),
    ]
}

fn sizes() -> Vec<Row> {
    vec![
        row(
            "100 MB in two strings",
            "var s = 'x'; while (s.length < 5e7) s += s; return [s, s]",
            &[SIZE],
        ),
        row(
            "100 MB in strings",
            "var s = 'x'.repeat(1e6), a = []; for (var i = 0; i < 100; i++) a.push(s); return a",
            &[SIZE],
        ),
        row(
            "100 MB in an object",
            "var s = 'x'.repeat(1e6), o = {}; for (var i = 0; i < 100; i++) o['k' + i] = s; return [o]",
            &[SIZE],
        ),
        row(
            "100 MB by toJSON",
            "var s = 'x'.repeat(1e6); s += s; s += s; s += s; s += s; s += s; s += s; s += s;
             return [{ toJSON: function() { return s } }]",
            &[SIZE, MEMORY],
        ),
        row(
            "a million results, many times",
            "var a = []; a[1e7] = 1; return [a, a, a, a, a, a]",
            &[SIZE, MEMORY],
        ),
        row("a list with a last place", "var a = []; a[4294967294] = 1; return a", &[SIZE]),
        row(
            "characters that grow when written",
            "var s = '\\u0001'; while (s.length < 4e6) s += s; return [s]",
            &[SIZE],
        ),
        row(
            "a name of 100 MB",
            "var s = 'x'; while (s.length < 1e8) s += s; var o = {}; o[s] = 1; return [o]",
            &[SIZE, MEMORY],
        ),
    ]
}

fn contradictions() -> Vec<Row> {
    vec![
        row(
            "a comparator at random",
            "var a = []; for (var i = 0; i < 1000; i++) a.push(i);
             a.sort(function() { return Math.random() - 0.5 }); return [a.length]",
            &[Outcome::Answer("[1000]")],
        ),
        row(
            "a comparator that contradicts itself",
            "var n = 0, a = []; for (var i = 0; i < 1000; i++) a.push(i);
             a.sort(function() { return (n = n * 7 + 3 & 1023) % 3 - 1 }); return [a.length]",
            &[Outcome::Answer("[1000]")],
        ),
        row("a comparator of NaN", "return [[3, 1, 2].sort(function() { return NaN }).length]", &[
            Outcome::Answer("[3]"),
        ]),
        row(
            "a comparator that changes the list",
            "var a = []; for (var i = 0; i < 1000; i++) a.push(i);
             a.sort(function(x, y) { a.length = 0; return y - x }); return [a.length >= 0]",
            &[Outcome::Answer("[true]")],
        ),
        row(
            "a callback that changes the list",
            "var a = [1, 2, 3]; a.forEach(function(x) { a.length = 0; a.push(x, x) }); return [a.length]",
            &[Outcome::Answer("[2]")],
        ),
        row(
            "a species that lies",
            "var a = [1, 2]; a.constructor = { [Symbol.species]: function() { return Object.freeze([]) } };
             return a.map(function(x) { return x })",
            &[Outcome::Thrown("TypeError", 2)],
        ),
        row("waiting", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); return []", &[
            TIME,
            Outcome::Thrown("TypeError", 1),
        ]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_are_none() {
    let rows = [shapes(), sizes(), contradictions()].concat();
    Rig::start(4, &[]).await.run(rows).await;
}
