//! Queries that take too long.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{map_erl, map_js};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("timeouts");
    t.fact(71);
    // Long enough to be late, short enough not to keep a worker for long.
    let slow = map_js(
        "function(v) { var end = new Date().getTime() + 2000;
            while (new Date().getTime() < end) {} return [1]; }",
    );
    let one = r#"[["mrc_n","n1"]]"#;
    t.query("a query that is too slow", one, &[slow.clone()])
        .with(r#""timeout":200"#)
        .status(500)
        .check(Check::Header("Content-Type", "application/json".into()))
        .check(Check::Body(r#"{"error":"timeout"}"#.into()));
    t.fact(70);
    t.chunked("a query in parts that is too slow", one, &[slow])
        .with(r#""timeout":200"#)
        .breaks(0, None, &["timeout"])
        .check(Check::Body(r#"{"error":"timeout"}"#.into()));
    t.fact(38);
    for timeout in ["0", "-5", "\"1\"", "true", "[]"] {
        t.query(&format!("a timeout of {timeout} in Riak"), one, &[map_erl("map_object_value")])
            .with(&format!(r#""timeout":{timeout}"#))
            .riak_only("a timeout that is none is told of, not left out")
            .body(r#"["1"]"#);
        t.query(&format!("a timeout of {timeout}"), one, &[map_erl("map_object_value")])
            .with(&format!(r#""timeout":{timeout}"#))
            .own()
            .refused(&["\"timeout\" is a number of milliseconds above zero", timeout]);
    }
    for timeout in ["null", "60000", "30000.5"] {
        t.query(&format!("a timeout of {timeout}"), one, &[map_erl("map_object_value")])
            .with(&format!(r#""timeout":{timeout}"#))
            .body(r#"["1"]"#);
    }
    t.cases
}
