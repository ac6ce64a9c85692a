//! Where results go, and what functions write.

use crate::case::{Case, Topic, query};
use crate::check::Check;
use crate::phases::{map_js, reduce_erl};
use crate::wire::Request;

use super::groups::{ages, grouped, grouped_with, pairs};
use super::shuffles::{ARTICLE, ARTICLE_LINES, DEDUPE, LINE, combine};

const TEXT: &str = "text/plain";

/// Takes the lines apart and swaps their halves.
const SWAP: &str = "function(v){ var e = v.values[0].data.split(' - '); emit(e[1], e[0]); }";

const INDEX: &str = "function(key, vals){ return [key + ' - ' + vals.join(',') + '\\n']; }";

pub(super) const LOWER: &str = "function(v){ var o = JSON.parse(v.values[0].data); \
    o.text = o.text.toLowerCase(); put(v.bucket, v.key, o); count('lowered'); return []; }";

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("outputs");
    article(&mut t);
    forms(&mut t);
    written(&mut t);
    writers(&mut t);
    mistakes(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

/// The member of a query that stores its results as one text.
fn single(name: &str) -> String {
    format!(
        r#""output":{{"bucket":"out","layout":"single","name":"{name}","format":"text","content_type":"{TEXT}"}}"#
    )
}

fn article(t: &mut Topic) {
    let dedupe = [pairs(), grouped_with(LINE, &combine(DEDUPE, ""))];
    t.query("the article's first output", ARTICLE, &dedupe)
        .with(&single("deduped"))
        .gives(r#"[["out","deduped"]]"#)
        .then_read("/buckets/out/keys/deduped", TEXT, ARTICLE_LINES);
    let index = query(r#"{"lines":[["out","first"]]}"#, &[map_js(SWAP), grouped(INDEX)]);
    t.query("the article's second output", ARTICLE, &dedupe)
        .with(&single("first"))
        .gives(r#"[["out","first"]]"#)
        .then_query(index.replacen('{', &format!("{{{},", single("second")), 1))
        .gives(r#"[["out","second"]]"#)
        .then_read(
            "/buckets/out/keys/second",
            TEXT,
            "b - 8\nd - 1\nh - 1\ni - 8\nm - 8\nv - 1,8\nz - 8\n",
        );
}

fn forms(t: &mut Topic) {
    let inputs = r#""myInput""#;
    for (format, name, text) in [
        ("ndjson", "ages.ndjson", "[\"21\",1]\n[\"43\",1]\n[\"54\",2]\n"),
        ("json", "ages.json", r#"[["21",1],["43",1],["54",2]]"#),
    ] {
        let output = format!(
            r#""output":{{"bucket":"out","layout":"single","name":"{name}","format":"{format}"}}"#
        );
        t.query(&format!("stored as {format}"), inputs, &ages())
            .with(&output)
            .gives(&format!(r#"[["out","{name}"]]"#))
            .then(Request::new("GET", &format!("/buckets/out/keys/{name}")))
            .status(200)
            .check(Check::Body(text.into()));
    }
    let output = r#""output":{"bucket":"out","layout":"single","name":"again","format":"ndjson"}"#;
    let back = map_js("function(v){ return [[v.key, JSON.parse(v.values[0].data)]]; }");
    t.query("what was stored is read back", inputs, &ages())
        .with(output)
        .ok()
        .then_query(query(r#"{"records":[["out","again"]]}"#, &[back]))
        .any_order(r#"[["21",1],["43",1],["54",2]]"#);
    let lines =
        [map_js("function(v){ emit(v.key, v.key); }"), grouped("function(k, vs){ return vs; }")];
    t.query("stored as lines", inputs, &lines)
        .with(r#""output":{"bucket":"out","layout":"single","name":"keys","format":"lines"}"#)
        .gives(r#"[["out","keys"]]"#)
        .then(Request::new("GET", "/buckets/out/keys/keys"))
        .status(200)
        .check(Check::Body("1\n2\n3\n4\n".into()));
    let numbers = "function(v){ return [JSON.parse(v.values[0].data)]; }";
    t.query("stored objects are inputs", inputs, &ages())
        .with(r#""output":{"bucket":"agesin","layout":"per_key"}"#)
        .ok()
        .then_query(query(
            r#"[["agesin","21"],["agesin","43"],["agesin","54"]]"#,
            &[map_js(numbers)],
        ))
        .any_order("[1,1,2]");
    t.query(
        "a part a partition",
        inputs,
        &[
            map_js("function(v){ for (var i = 0; i < 20; i++) emit(v.key + i, 1); }"),
            grouped_with("function(k, vs){ return [k]; }", r#""partitions":2"#),
        ],
    )
    .with(r#""output":{"bucket":"parts","layout":"per_shard","name":"part-$num","format":"lines"}"#)
    .ok()
    .check(Check::Length(2));
    let numbers = map_js("function(v){ return [Number(v.values[0].data)]; }");
    let output = r#""shards":3,"output":{"bucket":"parts","layout":"per_shard","name":"of-$num","format":"lines"}"#;
    t.query("a part a shard", r#"{"range":{"start":0,"end":10}}"#, std::slice::from_ref(&numbers))
        .with(output)
        .gives(r#"[["parts","of-0"],["parts","of-1"],["parts","of-2"]]"#)
        .then_read("/buckets/parts/keys/of-0", "text/plain", "0\n1\n2\n3\n")
        .then_read("/buckets/parts/keys/of-2", "text/plain", "7\n8\n9\n");
    t.query("a part a shard of a bucket", r#""myInput""#, &[numbers])
        .with(r#""output":{"bucket":"parts","layout":"per_shard"}"#)
        .ok()
        .check(Check::Length(8));
}

fn written(t: &mut Topic) {
    let put = |path: &str, body: &str| {
        Request::new("PUT", path).body("application/json", body.as_bytes())
    };
    t.ask("objects that are changed", put("/buckets/post/keys/1", r#"{"text":"HELLO"}"#))
        .status(204)
        .then(put("/buckets/post/keys/2", r#"{"text":"World"}"#))
        .status(204)
        .then_query(query(r#""post""#, &[map_js(LOWER)]))
        .body("[]")
        .then_read("/buckets/post/keys/1", "application/json", r#"{"text":"hello"}"#)
        .then_read("/buckets/post/keys/2", "application/json", r#"{"text":"world"}"#);
    let copy = map_js("function(v){ put('copy', v.key, v.values[0].data); return []; }");
    let remove = map_js("function(v){ del(v.bucket, v.key); return []; }");
    let count = query(r#""copy""#, &[reduce_erl("reduce_count_inputs")]);
    t.query(
        "a thousand writes, and as many deletions",
        r#"{"range":{"start":0,"end":1000}}"#,
        &[copy],
    )
    .with(r#""shards":4"#)
    .body("[]")
    .then_query(count.clone())
    .body("[1000]")
    .then_query(query(r#""copy""#, &[remove]))
    .body("[]")
    .then_query(count)
    .body("[0]")
    .then(Request::new("GET", "/buckets/copy/keys?keys=true"))
    .ok()
    .check(Check::Json(crate::case::value(r#"{"keys":[]}"#)));
    let throws = map_js(
        "function(v){ put('halves', v.key, 'x'); if (v.values[0].data === '7') throw new Error('no'); \
         return []; }",
    );
    t.query("a page that fails writes nothing", r#"{"range":{"start":7,"end":8}}"#, &[throws])
        .fails(0, &["no"])
        .then_query(query(r#""halves""#, &[reduce_erl("reduce_count_inputs")]))
        .body("[0]");
}

/// The member of a query whose results its own code writes.
fn writer(source: &str, members: &str) -> String {
    let source = serde_json::json!(source);
    let code = format!(r#"{{"language":"javascript","source":{source}}}"#);
    format!(r#""output":{{"bucket":"out","writer":{code}{members}}}"#)
}

fn writers(t: &mut Topic) {
    let numbers = r#"{"range":{"start":1,"end":1001}}"#;
    let map = map_js("function(v){ var n = Number(v.values[0].data); emit(n, n); }");
    let grouped = [map, grouped("function(k, vs){ return [k]; }")];
    let lines = |rest: u32| -> String {
        (1..=1_000u32).filter(|n| n % 2 == rest).map(|n| format!("{n}\n")).collect()
    };
    let parity =
        "({ write: function(n){ emit((n % 2 ? 'odd' : 'even') + ' numbers', n + '\\n'); } })";
    t.query("even numbers to one file, odd to another", numbers, &grouped)
        .with(&writer(parity, ""))
        .gives(r#"[["out","even numbers"],["out","odd numbers"]]"#)
        .then_read("/buckets/out/keys/even%20numbers", TEXT, &lines(0))
        .then_read("/buckets/out/keys/odd%20numbers", TEXT, &lines(1));
    let around = "({ open: function(name){ return '<' + name + '>'; }, \
        write: function*(n){ this.state = (this.state || 0) + 1; if (n > 998) yield ['w', [n]]; }, \
        close: function(name){ return '</' + name + ' ' + this.state + '>'; } })";
    t.query("a header and a footer", numbers, &grouped)
        .with(&writer(around, r#","content_type":"text/x-own""#))
        .gives(r#"[["out","w"]]"#)
        .then_read("/buckets/out/keys/w", "text/x-own", "<w>[999][1000]</w 1000>");
    t.query("a writer that writes nothing", numbers, &grouped)
        .with(&writer("({ write: function(n){} })", ""))
        .body("[]");
    for (what, source, says) in [
        (
            "throws",
            "({ write: function(n){ if (n === 900) throw new Error('boom'); emit('thrown', n); } })",
            "the writer: Error: boom",
        ),
        ("is none", "function(n){ emit('none', n); }", "not a writer, an object with write"),
        ("gives no pairs", "({ write: function(n){ return [n]; } })", "list of [name, text]"),
        (
            "names too many",
            "({ write: function(n){ emit('many ' + n, n); emit('more ' + n, n); } })",
            "more than 1000 objects",
        ),
        ("names nothing", "({ write: function(n){ emit('', n); } })", "no name of an object"),
        ("counts", "({ write: function(n){ count('c'); } })", "functions of phases"),
    ] {
        t.query(&format!("a writer that {what}"), numbers, &grouped)
            .with(&writer(source, ""))
            .fails(1, &[says]);
    }
    for (what, output) in [
        ("a writer that is a text", r#"{"bucket":"out","writer":"f"}"#),
        ("a writer and a format", r#"{"bucket":"out","writer":{"source":"({})"},"format":"text"}"#),
        (
            "a writer and a layout",
            r#"{"bucket":"out","writer":{"source":"({})"},"layout":"single"}"#,
        ),
        ("a writer without a bucket", r#"{"writer":{"source":"({})"}}"#),
    ] {
        t.query(&format!("refused: {what}"), numbers, &grouped)
            .with(&format!(r#""output":{output}"#))
            .refused(&["output", "writer"]);
    }
}

fn mistakes(t: &mut Topic) {
    let inputs = r#""myInput""#;
    for (what, output) in [
        ("a name with an unknown part", r#"{"bucket":"out","layout":"single","name":"x-$foo"}"#),
        ("a layout that there is not", r#"{"bucket":"out","layout":"heap"}"#),
        (
            "a format that there is not",
            r#"{"bucket":"out","layout":"single","name":"n","format":"doc"}"#,
        ),
        ("no bucket", r#"{"layout":"per_key"}"#),
        ("a number", "7"),
    ] {
        t.query(&format!("refused: {what}"), inputs, &ages())
            .with(&format!(r#""output":{output}"#))
            .refused(&["output"]);
    }
    let two = [
        map_js("function(v){ emit(v.key, 1); }"),
        grouped_with("function(k, vs){ return [k]; }", r#""partitions":2"#),
    ];
    let half = [map_js("function(v){ return [['\\ud800', v.key]]; }")];
    for (what, output, says) in [
        ("a name", r#"{"bucket":"out"}"#, "the key \"\\ud800\" holds half of a surrogate pair"),
        (
            "a text",
            r#"{"bucket":"out","writer":{"source":"({ write(r) { emit('o', r[0]); } })"}}"#,
            "the text \"\\ud800\" holds half of a surrogate pair",
        ),
        (
            "a writer's name",
            r#"{"bucket":"out","writer":{"source":"({ write(r) { emit(r[0], 'x'); } })"}}"#,
            "the key \"\\ud800\" holds half of a surrogate pair",
        ),
    ] {
        t.query(&format!("half of a surrogate pair as {what}"), r#""myInput""#, &half)
            .with(&format!(r#""output":{output}"#))
            .fails(0, &[says]);
    }
    t.query("refused: parts of one name", inputs, &two)
        .with(r#""output":{"bucket":"out","layout":"per_shard","name":"part"}"#)
        .refused(&["output", "$num"]);
}
