//! Inputs that Riak does not have: filters on properties, lines, archives, records, made items.

use crate::case::{Case, Topic};
use crate::phases::{map_js, map_named, reduce_erl, reduce_named};

use super::groups::{LENGTH, LIST, grouped};

const KEY: &str = "function(v){ return [v.key]; }";

const DATA: &str = "function(v){ return [v.values[0].data]; }";

/// Where a line begins, and the line.
const PLACED: &str = "function(v, kd){ return [[kd.offset, v.values[0].data]]; }";

const MEMBERS: &str = "function(v, kd){ return [[kd.member, kd.offset, v.values[0].data]]; }";

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("sources");
    filters(&mut t);
    scans(&mut t);
    lines(&mut t);
    archives(&mut t);
    made(&mut t);
    records(&mut t);
    readers(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

fn sorted(map: &str) -> [String; 2] {
    [map_js(map), reduce_named("Riak.reduceSort")]
}

/// Inputs that the query's own code reads.
fn reader(source: &str, params: &str) -> String {
    let source = serde_json::json!(source);
    let code = format!(r#"{{"language":"javascript","source":{source}}}"#);
    format!(r#"{{"reader":{code},"params":{params}}}"#)
}

/// Numbers, in as many shards as are wanted.
const SPLIT: &str = "split: function(p, n){ var all = []; for (var i = 0; i < n; i++) \
    all.push({at: Math.floor(p.to * i / n), to: Math.floor(p.to * (i + 1) / n)}); return all; }";

fn readers(t: &mut Topic) {
    let sum = [
        map_js("function(v){ return [Number(v.values[0].data)]; }"),
        reduce_named("Riak.reduceSum"),
    ];
    for (what, read) in [
        ("changes its state before", "*read(s){ while (s.at < s.to) yield s.at++; }"),
        ("changes its state after", "*read(s){ for (; s.at < s.to; s.at++) yield s.at; }"),
        ("keeps its state", "*read(s){ for (var i = s.at; i < s.to; i++) yield i; }"),
        (
            "gives lists",
            "read(s){ var all = []; for (var i = s.at; i < s.to; i++) all.push(i); return all; }",
        ),
    ] {
        for shards in [1, 3, 64] {
            let inputs = reader(&format!("({{ {SPLIT}, {read} }})"), r#"{"to":3000}"#);
            t.query(&format!("a reader that {what}, shards: {shards}"), &inputs, &sum)
                .with(&format!(r#""shards":{shards}"#))
                .body("[4498500]");
        }
    }
    let read = |read: &str, states: &str| {
        reader(
            &format!(
                "({{ split: function(){{ return {states}; }}, read: function(s){{ {read} }} }})"
            ),
            "{}",
        )
    };
    t.query(
        "items of a reader",
        &read("return ['x', {a:1}, [1,2], null];", "[0]"),
        &[map_js(DATA)],
    )
    .body(r#"["x","{\"a\":1}","[1,2]","null"]"#);
    t.query("a reader as the answer", &read("return ['x', {a:1}, [1,2]];", "[0]"), &[])
        .body(r#"["x",{"a":1},[1,2]]"#);
    t.query("no states", &read("return [1];", "[]"), &[map_js(DATA)]).body("[]");
    let placed = "function(v, kd){ return [[v.key, kd.shard, kd.index, v.values[0].data]]; }";
    t.query(
        "items with keys",
        &read("return [{key:'k' + s, value:s}];", "[7,8]"),
        &[map_js(placed)],
    )
    .any_order(r#"[["k7",0,0,"7"],["k8",1,0,"8"]]"#);
    let objects = "return s.map(function(k){ return {object: k}; });";
    let kinds = r#"[[["topics","t1"],["videos","v1"]],[["people","p1"],["people","none"]]]"#;
    t.query(
        "a reader of several kinds",
        &read(objects, kinds),
        &[map_js("function(v){ emit(v.bucket, v.key); }"), grouped(LIST)],
    )
    .body(r#"[["people",["p1"]],["topics",["t1"]],["videos",["v1"]]]"#);
    t.query(
        "an object of a reader that is missing",
        &{
            let inputs = read(objects, kinds);
            format!("{},\"on_missing\":\"fail\"}}", &inputs[..inputs.len() - 1])
        },
        &[map_js(DATA)],
    )
    .fails(0, &["people/none"]);
    let lines = format!(r#"{{"lines":{}}}"#, read(objects, r#"[[["files","abc"]]]"#));
    t.query("lines of a reader's objects", &lines, &[map_js(PLACED)])
        .any_order(r#"[[0,"a"],[2,"bb"],[5,""],[6,"ccc"],[10,"dddd"]]"#);
    let endless = reader(
        "({ split: function(){ return [{n:0}]; }, read: function*(s){ while (true) yield s.n++; } })",
        "{}",
    );
    t.query(
        "a sample of a reader without an end",
        &format!(r#"{{"sample":{endless},"limit":700}}"#),
        &sum,
    )
    .body("[244650]");
    for (what, source, says) in [
        ("no reader", "({read: function(){}})", "not a reader, an object with split and read"),
        (
            "split gives no list",
            "({split: function(){ return 5; }, read: function(){}})",
            "the reader's split",
        ),
        (
            "a state is no JSON",
            "({split: function(){ return [function(){}]; }, read: function(){}})",
            "state 0 of split is no JSON",
        ),
        (
            "a state is large",
            "({split: function(){ return ['x'.repeat(20000)]; }, read: function(){}})",
            "larger than 16384",
        ),
        (
            "read gives no list",
            "({split: function(){ return [1]; }, read: function(){}})",
            "the reader, shard 0",
        ),
        (
            "read throws",
            "({split: function(){ return [1,2]; }, read: function(s){ if (s === 2) throw new Error('boom'); return []; }})",
            "the reader, shard 1: Error: boom",
        ),
        (
            "read counts",
            "({split: function(){ return [1]; }, read: function(){ count('c'); return []; }})",
            "functions of phases",
        ),
        (
            "read emits",
            "({split: function(){ return [1]; }, read: function(){ emit(1, 2); return []; }})",
            "emit: only",
        ),
    ] {
        t.query(&format!("a reader whose {what}"), &reader(source, "{}"), &[map_js(DATA)])
            .fails(0, &[says]);
    }
    t.query("a reader by no code", r#"{"reader":{"language":"javascript"}}"#, &[map_js(DATA)])
        .refused(&["inputs.reader", "\"source\""]);
    t.query(
        "a stored reader that is missing",
        r#"{"reader":{"bucket":"code","key":"none"}}"#,
        &[map_js(DATA)],
    )
    .fails(0, &["code/none does not exist"]);
}

/// By what objects hold.
fn filters(t: &mut Topic) {
    for (filters, expect) in [
        (r#"[["age","=",30]]"#, r#"["p1","p3"]"#),
        (r#"[["age","=",30.0]]"#, r#"["p1","p3"]"#),
        (r#"[["age","=","30"]]"#, "[]"),
        (r#"[["active","=",false],["city","=","Oslo"]]"#, r#"["p4"]"#),
        (r#"[["age",">",21],["city","!=","Oslo"]]"#, r#"["p3"]"#),
        (r#"[["age",">=",21],["age","<",45]]"#, r#"["p1","p2","p3"]"#),
        (r#"[["age","<=",30],["age",">",21]]"#, r#"["p1","p3"]"#),
        (r#"[["city","in",["Rome","Bern"]]]"#, r#"["p2","p3"]"#),
        (r#"[["name","prefix","C"]]"#, r#"["p3"]"#),
        (r#"[["address","exists",true]]"#, r#"["p3"]"#),
        (r#"[["address.zip","=","0150"]]"#, r#"["p3"]"#),
        (r#"[["joined",">=","2024-03-15T00:00:00Z"]]"#, r#"["p3","p4"]"#),
        (r#"[["@key",">","p3"]]"#, r#"["p4","p5"]"#),
        (r#"[["@content_type","=","text/plain"]]"#, r#"["p5"]"#),
        ("[]", r#"["p1","p2","p3","p4","p5"]"#),
    ] {
        let inputs = format!(r#"{{"bucket":"people","filters":{filters}}}"#);
        t.query(&format!("filters {filters}"), &inputs, &sorted(KEY)).body(expect);
    }
    for filters in [r#"[["age","~",1]]"#, r#"[["age","="]]"#, r#""age=30""#, "7", r#"[[1,"=",1]]"#]
    {
        let inputs = format!(r#"{{"bucket":"people","filters":{filters}}}"#);
        t.query(&format!("refused filters {filters}"), &inputs, &sorted(KEY)).refused(&["filters"]);
    }
    t.query(
        "filters and groups",
        r#"{"bucket":"people","filters":[["age",">",0]]}"#,
        &[
            map_js("function(v){ var p = JSON.parse(v.values[0].data); emit(p.city, p.age); }"),
            grouped("function(k, vs){ return Math.max.apply(null, vs); }"),
        ],
    )
    .body(r#"[["Oslo",45],["Rome",30]]"#);
}

/// Parts of buckets.
fn scans(t: &mut Topic) {
    t.query(
        "keys only",
        r#"{"bucket":"people","keys_only":true}"#,
        &sorted("function(v){ return [[v.key, v.values.length]]; }"),
    )
    .gives(r#"[["p1",0],["p2",0],["p3",0],["p4",0],["p5",0]]"#);
    for (what, members, expect) in [
        ("a prefix of keys", r#""prefix":"p""#, r#"["p1","p2","p3","p4","p5"]"#),
        ("a longer prefix", r#""prefix":"p3""#, r#"["p3"]"#),
        ("no such prefix", r#""prefix":"q""#, "[]"),
        ("a range of keys", r#""key_range":{"start":"p2","end":"p4"}"#, r#"["p2","p3","p4"]"#),
        (
            "all modified by now",
            r#""modified":{"from":"2001-01-01T00:00:00Z"}"#,
            r#"["p1","p2","p3","p4","p5"]"#,
        ),
        ("nothing modified long ago", r#""modified":{"to":"2001-01-01T00:00:00Z"}"#, "[]"),
        ("few at once", r#""batch_size":2"#, r#"["p1","p2","p3","p4","p5"]"#),
        ("from a majority", r#""consistency":"quorum""#, r#"["p1","p2","p3","p4","p5"]"#),
    ] {
        t.query(what, &format!(r#"{{"bucket":"people",{members}}}"#), &sorted(KEY)).body(expect);
    }
    for (name, expect) in [("tenant1", 1), ("tenant2", 2), ("*", 3), ("default", 0)] {
        t.query(
            &format!("the bucket type {name}"),
            &format!(r#"{{"bucket":["{name}","tenants"]}}"#),
            &[reduce_erl("reduce_count_inputs")],
        )
        .body(&format!("[{expect}]"));
    }
    let several = r#"{"concat":["topics","videos",[["people","p1"]]]}"#;
    t.query(
        "several kinds",
        several,
        &[map_js("function(v){ emit(v.bucket, 1); }"), grouped(LENGTH)],
    )
    .body(r#"[["people",1],["topics",2],["videos",1]]"#);
}

fn lines(t: &mut Topic) {
    let map = [map_js(PLACED)];
    t.query("lines", r#"{"lines":[["files","q"]]}"#, &map)
        .any_order(r#"[[0,"20-questions"],[14,"20q"],[19,"a"]]"#);
    t.query("lines with their ends", r#"{"lines":[["files","q"]],"keep_cr":true}"#, &map)
        .any_order(r#"[[0,"20-questions\r"],[14,"20q\r"],[19,"a\r"]]"#);
    let abc = r#"[[0,"a"],[2,"bb"],[5,""],[6,"ccc"],[10,"dddd"]]"#;
    t.query("an empty line, and no end of the last", r#"{"lines":[["files","abc"]]}"#, &map)
        .any_order(abc);
    for shards in [1, 3, 20] {
        t.query(&format!("lines, shards: {shards}"), r#"{"lines":[["files","abc"]]}"#, &map)
            .with(&format!(r#""shards":{shards}"#))
            .any_order(abc);
    }
    t.query(
        "lines of two files",
        r#"{"lines":[["files","abc"],["files","q"]]}"#,
        &[map_js("function(v){ emit(v.bucket, 1); }"), grouped(LENGTH)],
    )
    .body(r#"[["files",8]]"#);
    t.query(
        "lines by a separator",
        r#"{"lines":[["files","q"]],"separator":"-"}"#,
        &[map_js(PLACED)],
    )
    .any_order(r#"[[0,"20"],[3,"questions\r\n20q\r\na\r\n"]]"#);
    let missing = r#"{"lines":[["files","abc"],["files","none"]]}"#;
    t.query("a file that is missing is left out", missing, &map).any_order(abc);
    t.query(
        "a file that is missing, where that is an error",
        r#"{"lines":[["files","abc"],["files","none"]],"on_missing":"fail"}"#,
        &map,
    )
    .fails(0, &["files", "none"]);
    t.query(
        "Riak's own functions take lines",
        r#"{"lines":[["files","abc"]]}"#,
        &[map_named("Riak.mapValues")],
    )
    .any_order(r#"["a","bb","","ccc","dddd"]"#);
}

fn archives(t: &mut Topic) {
    let lengths = [
        map_js("function(v){ return [v.values[0].data.length]; }"),
        reduce_named("Riak.reduceSum"),
    ];
    t.query("lines of gzip", r#"{"lines":{"gzip":[["files","abc.gz"]]}}"#, &lengths).body("[10]");
    t.query(
        "members of a zip",
        r#"{"zip":[["files","ten.zip"]]}"#,
        &[
            map_js("function(v, kd){ return [[kd.member, kd.index, v.values[0].data]]; }"),
            reduce_named("Riak.reduceSort"),
        ],
    )
    .gives(&members());
    t.query("members that are compressed", r#"{"zip":[["files","docs.zip"]]}"#, &sorted(DATA))
        .gives(r#"["A dog sat","The cat sat. The cat ran!"]"#);
    t.query("lines of members", r#"{"lines":{"zip":[["files","three.zip"]]}}"#, &[map_js(MEMBERS)])
        .any_order(
            r#"[["0.txt",0,"archive 0 file 0 line 0"],["1.txt",0,"archive 0 file 1 line 0"],
                ["1.txt",24,"archive 0 file 1 line 1"],["2.txt",0,"archive 0 file 2 line 0"],
                ["2.txt",24,"archive 0 file 2 line 1"],["2.txt",48,"archive 0 file 2 line 2"]]"#,
        );
    let words = "function(v){ v.values[0].data.toLowerCase().match(/\\w+/g).forEach(function(w){ \
                 emit(w, 1); }); }";
    t.query(
        "words of members",
        r#"{"zip":[["files","docs.zip"]]}"#,
        &[map_js(words), grouped(LENGTH)],
    )
    .body(r#"[["a",1],["cat",2],["dog",1],["ran",1],["sat",2],["the",2]]"#);
    t.query("what is no gzip", r#"{"lines":{"gzip":[["files","abc"]]}}"#, &lengths)
        .fails(0, &["files", "abc"]);
    t.query("what is no zip", r#"{"zip":[["files","q"]]}"#, &lengths).fails(0, &["files"]);
}

/// The members of `ten.zip`, as JSON.
fn members() -> String {
    let one = |n: usize| format!(r#"["{n}.txt",{n},"{n}: {}"]"#, "*".repeat(n));
    format!("[{}]", (0..10).map(one).collect::<Vec<_>>().join(","))
}

/// Inputs that are stored nowhere.
fn made(t: &mut Topic) {
    let random = r#"{"random":{"count":5,"string_length":3,"seed":1}}"#;
    t.query("random texts of a seed", random, &[map_js(DATA)])
        .any_order(r#"["tto","dfc","rly","she","yyi"]"#);
    t.query(
        "random texts and their numbers",
        random,
        &[map_js("function(v, kd){ return [[kd.index, v.values[0].data]]; }")],
    )
    .any_order(r#"[[0,"tto"],[1,"dfc"],[2,"rly"],[3,"she"],[4,"yyi"]]"#);
    let count = [reduce_erl("reduce_count_inputs")];
    t.query(
        "five hundred in shards",
        r#"{"random":{"count":500,"string_length":1,"seed":7}}"#,
        &[map_js("function(v){ return [1]; }"), reduce_named("Riak.reduceSum")],
    )
    .with(r#""shards":16"#)
    .body("[500]");
    for (what, member, field) in [
        ("a text for a count", r#""count":"1000""#, "count"),
        ("a count below none", r#""count":-1"#, "count"),
        ("a count of none", r#""count":0"#, "count"),
        ("no count", r#""string_length":3"#, "count"),
        ("half a letter", r#""count":5,"string_length":1.5"#, "string_length"),
        ("no letter", r#""count":5,"string_length":0"#, "string_length"),
    ] {
        t.query(&format!("refused: {what}"), &format!(r#"{{"random":{{{member}}}}}"#), &count)
            .refused(&[field]);
    }
    t.query("refused: shards below none", random, &[map_js(DATA)])
        .with(r#""shards":-1"#)
        .refused(&["shards"]);
    t.query("items", r#"{"items":["x",{"a":1},[1,2]]}"#, &[map_js(DATA)])
        .any_order(r#"["x","{\"a\":1}","[1,2]"]"#);
    t.query("no items", r#"{"items":[]}"#, &[map_js(DATA)]).body("[]");
    t.query("a range", r#"{"range":{"start":0,"end":10,"step":3}}"#, &[map_js(DATA)])
        .any_order(r#"["0","3","6","9"]"#);
}

fn records(t: &mut Topic) {
    t.query(
        "records",
        r#"{"records":[["nd","r"]]}"#,
        &[map_js("function(v){ emit(v.key, JSON.parse(v.values[0].data)); }"), grouped(LIST)],
    )
    .body(r#"[["a",[1,3]],["b",[2]]]"#);
}
