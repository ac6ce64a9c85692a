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

const LOWER: &str = "function(v){ var o = JSON.parse(v.values[0].data); \
    o.text = o.text.toLowerCase(); put(v.bucket, v.key, o); count('lowered'); return []; }";

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("outputs");
    article(&mut t);
    forms(&mut t);
    written(&mut t);
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
    t.query("refused: parts of one name", inputs, &two)
        .with(r#""output":{"bucket":"out","layout":"per_shard","name":"part"}"#)
        .refused(&["output", "$num"]);
}
