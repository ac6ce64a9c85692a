//! Functions that call themselves without end, by every way that leads back.

use super::rig::Rig;
use super::row::{Outcome, Row, STACK, row};

fn rows() -> Vec<Row> {
    vec![
        row("plain", "function f() { return f() + 1 } return [f()]", &[STACK]),
        row(
            "of two",
            "function f() { return g() } function g() { return f() } return [f()]",
            &[STACK],
        ),
        row(
            "that catches",
            "function f() { try { return f() } catch (e) { return f() } finally { f() } } return [f()]",
            &[STACK],
        ),
        row("through map", "function f() { return [1].map(f) } return [f()]", &[STACK]),
        row("through sort", "function f() { [2, 1].sort(f); return 1 } return [f()]", &[STACK]),
        row(
            "through replace",
            "function f() { return 'a'.replace(/a/, f) } return [f()]",
            &[STACK],
        ),
        row("through apply", "function f() { return f.apply(null, []) } return [f()]", &[STACK]),
        row("through call", "function f() { return f.call(null) } return [f()]", &[STACK]),
        row(
            "through Reflect",
            "function f() { return Reflect.apply(f, null, []) } return [f()]",
            &[STACK],
        ),
        row("through new", "function F() { new F() } new F(); return []", &[STACK]),
        row("through a getter", "var o = { get x() { return this.x } }; return [o.x]", &[STACK]),
        row(
            "through a setter",
            "var o = { set x(v) { this.x = v } }; o.x = 1; return []",
            &[STACK],
        ),
        row(
            "through toString",
            "var o = { toString: function() { return '' + o + { toString: o.toString } } };
             return ['' + o]",
            &[STACK],
        ),
        row(
            // As in other engines, an object whose own conversion asks for it is taken for nothing.
            "through toString of one object",
            "var o = { toString: function() { return '' + o } }; return ['' + o]",
            &[STACK, Outcome::Answer("[\"0\"]"), Outcome::Answer("[\"\"]")],
        ),
        row(
            "through toJSON",
            "var o = { toJSON: function() { return JSON.stringify(o) } }; return [o]",
            &[STACK],
        ),
        row(
            "through toJSON of ever new objects",
            "function O() { this.toJSON = function() { return [new O()] } } return [new O()]",
            &[STACK, Outcome::Error("bad_json", "nested more than")],
        ),
        row(
            "through a reviver",
            "function f() { return JSON.parse('[1]', f) } return [f()]",
            &[STACK],
        ),
        row(
            "through a handler of a proxy",
            "var p = new Proxy({}, { get: function(t, k, p) { return p[k] } }); return [p.x]",
            &[STACK],
        ),
        row(
            "through many proxies",
            "var p = {}; for (var i = 0; i < 100000; i++) p = new Proxy(p, {}); return [p.x]",
            &[STACK, Outcome::Answer("[null]")],
        ),
        row(
            "through functions bound to functions",
            "var f = function() { return 1 };
             for (var i = 0; i < 100000; i++) {
                 Object.defineProperty(f, 'name', { value: '' });
                 f = f.bind(null);
             }
             return [f()]",
            &[STACK, Outcome::Answer("[1]")],
        ),
        row(
            "through a bound function",
            "var f; f = (function() { return f() }).bind(null); return [f()]",
            &[STACK],
        ),
        row(
            "through generators",
            "function* g() { yield* g() } for (var x of g()) {} return []",
            &[STACK],
        ),
        row(
            "through spread generators",
            "function* g() { yield [...g()] } return [...g()]",
            &[STACK],
        ),
        row(
            "through async",
            "async function f() { await f() } f(); return []",
            &[STACK, Outcome::Answer("[]")],
        ),
        row("through eval", "function f() { return eval('f()') } return [f()]", &[STACK]),
        row(
            "through new Function",
            "globalThis.f = function() { return new Function('return f()')() }; return [f()]",
            &[STACK],
        ),
        row(
            "through classes",
            "var C = class {}; for (var i = 0; i < 20000; i++) C = class extends C {}; return [new C()]",
            &[STACK, Outcome::Answer("[{}]")],
        ),
        row(
            "through prototypes",
            "var o = {}; for (var i = 0; i < 100000; i++) o = Object.create(o); return [o.x === undefined]",
            &[STACK, Outcome::Answer("[true]")],
        ),
        row(
            "through Symbol.toPrimitive",
            "var o = { [Symbol.toPrimitive]() { return +o } }; return [+o]",
            &[STACK],
        ),
        row("through a default", "function f(x = f()) { return x } return [f()]", &[STACK]),
        row("through a template", "function f() { return f`a` } return [f()]", &[STACK]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_recursion() {
    Rig::start(2, &[]).await.run(rows()).await;
}
