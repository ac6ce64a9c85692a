//! Combiners, the order of values, partitions: what may not change an answer.

use crate::case::{Case, Topic};
use crate::phases::map_js;

use super::groups::{LIST, grouped_with, pairs};

/// Adds numbers.
pub(super) const ADD: &str = "function(k, vs){ return vs.reduce(function(a,b){return a+b;},0); }";

/// Twice the numbers below 200, as App Engine's test of combiners has them.
pub(super) const TWICE: &str =
    r#"{"concat":[{"range":{"start":0,"end":200}},{"range":{"start":0,"end":200}}]}"#;

pub(super) const BY_FOUR: &str =
    "function(v){ var n = Number(v.values[0].data); emit(String(n % 4), n); }";

const SUMS: &str = r#"[["0",9800],["1",9900],["2",10000],["3",10100]]"#;

/// A combiner of what is fresh and what it gave before.
pub(super) const COMBINE: &str = "function(key, fresh, old){ \
    return [fresh.concat(old).reduce(function(a,b){return a+b;},0)]; }";

pub(super) const ARTICLE: &str = r#"{"items":[[1,"d"],[1,"h"],[1,"d"],[1,"v"],[8,"z"],[8,"m"],[8,"v"],[8,"b"],[8,"i"],[8,"z"]]}"#;

pub(super) const LINE: &str =
    "function(key, vals){ return vals.map(function(x){ return key + ' - ' + x + '\\n'; }); }";

pub(super) const DEDUPE: &str = "function*(key, fresh, old){ var seen = new Set(old); yield* old; \
    for (const x of fresh) if (!seen.has(x)) { seen.add(x); yield x; } }";

/// The combiner as the article prints it: what it yields is added to what there is.
const DEDUPE_FRESH: &str = "function*(key, fresh, old){ \
    for (const x of fresh) if (old.indexOf(x) < 0) yield x; }";

pub(super) const ARTICLE_LINES: &str = "1 - d\n1 - h\n1 - v\n8 - z\n8 - m\n8 - v\n8 - b\n8 - i\n";

/// A `combine` member.
pub(super) fn combine(source: &str, members: &str) -> String {
    let source = serde_json::json!(source);
    format!(r#""combine":{{"language":"javascript","source":{source}{members}}}"#)
}

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("shuffles");
    combiners(&mut t);
    orders(&mut t);
    partitions(&mut t);
    large_groups(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

fn combiners(t: &mut Topic) {
    let map = map_js(BY_FOUR);
    let with = |combine: &str| [map.clone(), grouped_with(ADD, combine)];
    t.query("App Engine's test", TWICE, &with(&combine(COMBINE, ""))).body(SUMS);
    t.query("without a combiner", TWICE, &with(r#""sort_values":"asc""#)).body(SUMS);
    for batch in [1, 2, 7, 100_000] {
        let combine = combine(COMBINE, &format!(r#","batch":{batch}"#));
        t.query(&format!("batches of {batch}"), TWICE, &with(&combine)).body(SUMS);
    }
    let named = r#""combine":{"language":"javascript","name":"Job.sum"}"#;
    t.query("a combiner that is ready-made", TWICE, &with(named)).body(SUMS);
    let lines = [pairs(), grouped_with(LINE, &combine(DEDUPE, ""))];
    let expect = serde_json::json!(ARTICLE_LINES.split_inclusive('\n').collect::<Vec<_>>());
    t.query("a combiner that removes what is double", ARTICLE, &lines).gives(&expect.to_string());
    let append = combine(DEDUPE_FRESH, r#","mode":"append","batch":1"#);
    t.query("as the article tells it", ARTICLE, &[pairs(), grouped_with(LINE, &append)])
        .gives(&expect.to_string());
    for (what, source) in [
        ("a number", "function(){ return 5; }"),
        ("a text", "function(){ return 'x'; }"),
        ("an object", "function(){ return {a: 1}; }"),
    ] {
        t.query(&format!("a combiner that gives {what}"), TWICE, &with(&combine(source, "")))
            .fails(1, &["combine", "list"]);
    }
    t.query(
        "a combiner that throws",
        TWICE,
        &with(&combine("function(){ throw new Error('no'); }", "")),
    )
    .fails(1, &["no"]);
    t.query(
        "a combiner that counts",
        TWICE,
        &with(&combine("function(key, fresh, old){ count('c'); return fresh.concat(old); }", "")),
    )
    .body(SUMS);
}

fn orders(t: &mut Topic) {
    let items = r#"{"items":[["k",3],["k",1],["k",2]]}"#;
    for (order, expect) in [("desc", "[3,2,1]"), ("asc", "[1,2,3]")] {
        let member = format!(r#""sort_values":"{order}""#);
        t.query(&format!("values sorted, {order}"), items, &[pairs(), grouped_with(LIST, &member)])
            .body(&format!(r#"[["k",{expect}]]"#));
    }
    for shards in [1, 2, 3] {
        t.query(
            &format!("values in the order of the inputs, shards: {shards}"),
            items,
            &[pairs(), grouped_with(LIST, r#""partitions":2"#)],
        )
        .with(&format!(r#""shards":{shards}"#))
        .body(r#"[["k",[3,1,2]]]"#);
    }
    let many = r#"{"range":{"start":0,"end":3000}}"#;
    let map = map_js("function(v){ var n = Number(v.values[0].data); emit(n % 7, n); }");
    let first = "function(k, vs){ for (var i = 1; i < vs.length; i++) if (vs[i] !== vs[i - 1] + 7) \
                 throw new Error('after ' + vs[i - 1] + ' comes ' + vs[i]); return vs.length; }";
    let expect = (0..7).map(|k| format!("[{k},{}]", if k < 4 { 429 } else { 428 }));
    let expect = format!("[{}]", expect.collect::<Vec<_>>().join(","));
    for partitions in [1, 3, 16] {
        let member = format!(r#""partitions":{partitions}"#);
        t.query(
            &format!("many values in order, partitions: {partitions}"),
            many,
            &[map.clone(), grouped_with(first, &member)],
        )
        .body(&expect);
    }
}

/// Partitions that the query's own function chooses.
fn partitions(t: &mut Topic) {
    let inputs = r#"{"range":{"start":0,"end":3000}}"#;
    let map = map_js("function(v){ var n = Number(v.values[0].data); emit(n % 7, 1); }");
    let by = |source: &str| {
        let source = serde_json::json!(source);
        format!(r#""partitions":4,"partition_by":{{"source":{source}}}"#)
    };
    let query = |source: &str| [map.clone(), grouped_with(ADD, &by(source))];
    let expect = "[[0,429],[1,429],[2,429],[3,429],[4,428],[5,428],[6,428]]";
    for (what, source) in [
        ("by the key", "function(key, n){ return key % n; }"),
        ("the last", "function(key, n){ return n - 1; }"),
        ("ranges", "(key, n) => Math.floor(key * n / 7)"),
    ] {
        t.query(&format!("partitions chosen: {what}"), inputs, &query(source)).body(expect);
    }
    t.query(
        "objects of chosen partitions",
        inputs,
        &query("function(key, n){ return key % 2 ? 3 : 1; }"),
    )
    .with(
        r#""output":{"bucket":"out","layout":"per_shard","name":"chosen-$num","format":"ndjson"}"#,
    )
    .gives(r#"[["out","chosen-0"],["out","chosen-1"],["out","chosen-2"],["out","chosen-3"]]"#)
    .then_read("/buckets/out/keys/chosen-0", "application/x-ndjson", "")
    .then_read(
        "/buckets/out/keys/chosen-1",
        "application/x-ndjson",
        "[0,429]\n[2,429]\n[4,428]\n[6,428]\n",
    )
    .then_read(
        "/buckets/out/keys/chosen-3",
        "application/x-ndjson",
        "[1,429]\n[3,429]\n[5,428]\n",
    );
    for (what, source, says) in [
        ("too large", "function(key, n){ return n; }", "partition_by gives 4 for the key"),
        ("below 0", "function(key, n){ return -1; }", "partition_by gives -1 for the key"),
        (
            "no whole number",
            "function(key, n){ return key / 2; }",
            "and not a whole number from 0 to 3",
        ),
        ("nothing", "function(key, n){ }", "partition_by gives undefined for the key"),
        (
            "another each time",
            "(function(){ var c = 0; return function(key, n){ return c++ % n; }; })()",
            "and then",
        ),
        ("an error", "function(key, n){ throw new Error('no idea'); }", "no idea"),
        ("no function", "({a: 1})", "not a function of a key and a number of partitions"),
    ] {
        t.query(&format!("a partition that is {what}"), inputs, &query(source)).fails(1, &[says]);
    }
    let wrong = [map.clone(), grouped_with(ADD, r#""partition_by":7"#)];
    t.query("partitions by a number", inputs, &wrong).refused(&["query[1].reduce.partition_by"]);
}

/// Groups that are read as they come.
fn large_groups(t: &mut Topic) {
    let stream = r#""values":"stream""#;
    let map = map_js("function(v){ emit('all', Number(v.values[0].data)); }");
    let sum = "function*(k, vs){ var t = 0; for (const n of vs) t += n; yield t; }";
    t.query(
        "values as a stream",
        r#"{"range":{"start":0,"end":20000}}"#,
        &[map.clone(), grouped_with(sum, stream)],
    )
    .body("[199990000]");
    let first = "function*(k, vs){ for (const n of vs) { yield n; break; } }";
    t.query(
        "a stream that is left early",
        r#"{"range":{"start":5,"end":20000}}"#,
        &[map, grouped_with(first, stream)],
    )
    .body("[5]");
}
