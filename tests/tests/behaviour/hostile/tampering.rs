//! Functions that change the language under those who come after: which is only themselves.
//!
//! That nothing reaches the next query, the honest client of the rig finds out; here also that the
//! same query goes on with what it did.

use super::rig::Rig;
use super::row::{Outcome, Row, TIME, row};

const ONE: &[Outcome] = &[Outcome::Answer("[1]")];

fn rows() -> Vec<Row> {
    vec![
        row(
            "the list's functions",
            "Array.prototype.push = Array.prototype.map = Array.prototype.concat = function() { throw 1 };
             Array.prototype.forEach = Array.prototype.reduce = null; return [1]",
            ONE,
        ),
        row(
            "the string's functions",
            "String.prototype.split = String.prototype.slice = null;
             String.prototype.toString = function() { return 'no' }; return [1]",
            ONE,
        ),
        row("JSON", "JSON.parse = JSON.stringify = function() { return 'no' }; return [1]", ONE),
        row("JSON itself", "JSON = null; Number = function() { return 0 }; return [1]", ONE),
        row("the library", "Riak.mapValuesJson = Riak.reduceSum = function() { return [] }; return [1]", ONE),
        row("the library itself", "Riak = {}; ejsLog = null; return [1]", ONE),
        row("everything frozen", "Object.freeze(Object.prototype); Object.freeze(Array.prototype); return [1]", ONE),
        row(
            "every global",
            "Object.getOwnPropertyNames(globalThis).forEach(function(name) {
                 try { delete globalThis[name] } catch (e) {}
             });
             return [1]",
            ONE,
        ),
        row(
            "members of every object",
            "Object.prototype.n = 7; Object.prototype.values = [];
             Object.defineProperty(Object.prototype, '0', { get: function() { return 7 }, set: function() {} });
             return [1]",
            ONE,
        ),
        row("the iterator", "Array.prototype[Symbol.iterator] = function() { for (;;) {} }; return [1]", ONE),
        row("toJSON of every object", "Object.prototype.toJSON = function() { return [1] }; return [2]", ONE),
        row("toJSON that never ends", "Object.prototype.toJSON = function() { for (;;) {} }; return [{}]", &[TIME]),
        row(
            "a setter for every index",
            "Object.defineProperty(Array.prototype, '0', { set: function() { throw 1 }, configurable: true });
             return (function() { return arguments.length })() === 0 && JSON.parse('[1]')",
            ONE,
        ),
        row("the function's prototype", "Function.prototype.call = Function.prototype.apply = null; return [1]", ONE),
        row("the prototype of all", "Object.setPrototypeOf(Array.prototype, null); return [1]", ONE),
        row(
            "a proxy as prototype",
            "Object.setPrototypeOf(Array.prototype, new Proxy({}, { get: function() { throw 1 } })); return [1]",
            &[Outcome::Answer("[1]"), Outcome::Error("exception", "1")],
        ),
        row("the constructor", "[].constructor.constructor('return this')().Array = null; return [1]", ONE),
        row("names of the factory", "bucket = 'x'; key = 'y'; data = 'z'; f = null; return [1]", ONE),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampering_reaches_nobody_else() {
    Rig::start(2, &[]).await.run(rows()).await;
}
