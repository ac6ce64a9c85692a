//! Functions that never end.

use super::rig::Rig;
use super::row::{Outcome, Row, TIME, row, whole};

fn rows() -> Vec<Row> {
    vec![
        row("plain", "while (true) {}", &[TIME]),
        row("with labels", "a: for (;;) { for (;;) { continue a; } }", &[TIME]),
        row("in a callback", "[1].forEach(function() { for (;;) {} }); return []", &[TIME]),
        row("in a comparator", "return [[3, 2, 1].sort(function() { for (;;) {} })]", &[TIME]),
        row(
            "in the callback of a replacement",
            "return ['a'.replace(/a/, function() { for (;;) {} })]",
            &[TIME],
        ),
        row("in a reviver", "return JSON.parse('[1]', function() { for (;;) {} })", &[TIME]),
        row("in a getter", "var o = { get x() { for (;;) {} } }; return [o.x]", &[TIME]),
        row("in a getter of the result", "return [{ get x() { for (;;) {} } }]", &[TIME]),
        row("in toString", "return ['' + { toString: function() { for (;;) {} } }]", &[TIME]),
        row("in valueOf", "return [1 + { valueOf: function() { for (;;) {} } }]", &[TIME]),
        row("in toJSON of the result", "return [{ toJSON: function() { for (;;) {} } }]", &[TIME]),
        row("in toJSON", "var r = []; r.toJSON = function() { for (;;) {} }; return r", &[TIME]),
        row("in a proxy", "return [new Proxy({}, { get: function() { for (;;) {} } }).x]", &[TIME]),
        row("in catch", "try { throw 1 } catch (e) { for (;;) {} }", &[TIME]),
        row("of catches", "for (;;) { try { null.x } catch (e) {} }", &[TIME]),
        row("in finally", "try { return [] } finally { for (;;) {} }", &[TIME]),
        row("in the message of what is thrown", "throw { get message() { for (;;) {} } }", &[TIME]),
        row(
            "in toString of what is thrown",
            "var e = new Error('x'); e.toString = function() { for (;;) {} }; throw e",
            &[TIME, Outcome::Thrown("x", 1)],
        ),
        row(
            "of a generator",
            "function* g() { for (;;) yield 1 } for (var x of g()) {} return []",
            &[TIME],
        ),
        row(
            "of an iterator",
            "var i = { [Symbol.iterator]() { return { next() { return { done: false } } } } };
             for (var x of i) {} return []",
            &[TIME],
        ),
        row(
            "nested by recursion",
            "function f(n) { for (var i = 0; i < 10; i++) if (n > 0) f(n - 1); } f(60); return []",
            &[TIME],
        ),
        row(
            "a regular expression with two stars",
            "return [/^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')]",
            &[TIME],
        ),
        row(
            "a regular expression that splits",
            "return 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.split(/(a*)*b/)",
            &[TIME],
        ),
        row(
            "a regular expression that looks back",
            "return ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.replace(/(?:(a|a)+)+\\1b/g, 'x')]",
            &[TIME],
        ),
        row("in new Function", "return [new Function('for (;;) {}')()]", &[TIME]),
        row("in eval", "return [eval('for (;;) {}')]", &[TIME]),
        row(
            "of log lines",
            "for (;;) ejsLog('file', 'a line that is long enough to be one')",
            &[TIME],
        ),
        whole("while the function is made", "(function() { for (;;) {} })()".to_owned(), &[TIME]),
        row(
            "of promises",
            "function f() { return Promise.resolve().then(f) } f(); return []",
            &[TIME, Outcome::Answer("[]")],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_loops() {
    Rig::start(1, &[]).await.run(rows()).await;
}
