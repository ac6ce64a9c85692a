//! Grouping by key: who has used RapMedusa finds what was there.

use crate::case::{Case, Topic, query};
use crate::check::Check;
use crate::phases::{
    map_js, map_js_with, map_named_with, reduce_js_with, reduce_named, reduce_named_with,
};
use crate::wire::Request;

/// Reads an age; RapMedusa's example, written for JSON.
pub(super) const AGE: &str = "function(v){ emit(String(JSON.parse(v.values[0].data).age), '1'); }";

/// Adds texts of numbers.
pub(super) const TEXT_SUM: &str = "function(key, vals){ var t = 0; vals.forEach(function(x){ t += parseInt(x, 10); }); return t; }";

pub(super) const LENGTH: &str = "function(k, vs){ return vs.length; }";

pub(super) const LIST: &str = "function(k, vs){ return [[k, vs]]; }";

const AGES: &str = r#"[["21",1],["43",1],["54",2]]"#;

/// A grouped reduce.
pub(super) fn grouped(source: &str) -> String {
    reduce_js_with(source, r#""group":true"#)
}

/// A grouped reduce with more members.
pub(super) fn grouped_with(source: &str, members: &str) -> String {
    reduce_js_with(source, &format!(r#""group":true,{members}"#))
}

/// A map by an object that counts its inputs, and gives their number when a shard ends.
const COUNTER: &str = "({ begin_shard(){ this.state = {n: 0}; }, \
    map(v, kd, arg){ this.state.n++; return []; }, end_shard(){ return [this.state.n]; } })";

/// The same for pairs.
const COUNTER_EMITS: &str = "({ begin_shard(){ this.state = 0; count('shards'); }, \
    map(v){ this.state++; }, end_shard(){ emit('n', this.state); } })";

/// A query that counts ages.
pub(super) fn ages() -> Vec<String> {
    vec![map_js(AGE), grouped(TEXT_SUM)]
}

/// A map of items that are pairs as JSON.
pub(super) fn pairs() -> String {
    map_js("function(v){ var p = JSON.parse(v.values[0].data); emit(p[0], p[1]); }")
}

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("groups");
    rapmedusa(&mut t);
    keys(&mut t);
    results(&mut t);
    chains(&mut t);
    ready_made(&mut t);
    calls(&mut t);
    handlers(&mut t);
    mistakes(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

/// Functions that are objects with methods for shards.
fn handlers(t: &mut Topic) {
    let listed = r#"[["myInput","1"],["myInput","2"],["myInput","4"]]"#;
    for (what, inputs, expect) in [("of a bucket", r#""myInput""#, 4), ("of keys", listed, 3)] {
        let sum = reduce_named("Riak.reduceSum");
        t.query(&format!("a state {what}"), inputs, &[map_js(COUNTER), sum])
            .body(&format!("[{expect}]"));
        let sum = reduce_named_with("Job.sum", r#""group":true"#);
        t.query(&format!("a state {what}, emitted"), inputs, &[map_js(COUNTER_EMITS), sum])
            .body(&format!(r#"[["n",{expect}]]"#));
    }
}

fn rapmedusa(t: &mut Topic) {
    let inputs = r#""myInput""#;
    let texts = r#""output":{"as":"object","values":"string"}"#;
    t.query("ages as texts", inputs, &ages())
        .with(texts)
        .gives(r#"{"54":"2","21":"1","43":"1"}"#)
        .check(Check::Body(r#"{"21":"1","43":"1","54":"2"}"#.into()));
    t.query("ages", inputs, &ages()).body(AGES);
    t.query("ages as an object", inputs, &ages())
        .with(r#""output":{"as":"object"}"#)
        .gives(r#"{"21":1,"43":1,"54":2}"#);
    t.query("ages, an object a key", inputs, &ages())
        .with(r#""output":{"bucket":"ages","layout":"per_key"}"#)
        .gives(r#"[["ages","21"],["ages","43"],["ages","54"]]"#)
        .then_read("/buckets/ages/keys/54", "application/json", "2")
        .then_read("/buckets/ages/keys/21", "application/json", "1")
        .then_read("/buckets/ages/keys/43", "application/json", "1");
    let other = map_js("function(v){ emit(v.values[0].data, 1); }");
    t.query("nothing of an earlier query is in an answer", inputs, &ages())
        .with(texts)
        .ok()
        .then_query(query(r#""in2""#, &[other, grouped(LENGTH)]).replacen(
            '{',
            r#"{"output":{"as":"object"},"#,
            1,
        ))
        .gives(r#"{"x":1}"#);
    let throwing = map_js(
        "function(v){ emit(v.key, '1'); emit('54', '1'); if (v.key === '4') throw new Error('no'); }",
    );
    t.query("again", inputs, &ages()).body(AGES).then_query(query(inputs, &ages())).body(AGES);
    t.query("a failure leaves nothing", inputs, &[throwing, grouped(TEXT_SUM)])
        .fails(0, &["no"])
        .then_query(query(inputs, &ages()))
        .body(AGES);
    t.query("nothing as an object", r#""nothing_here""#, &ages())
        .with(r#""output":{"as":"object"}"#)
        .gives("{}");
    t.query("nothing", r#""nothing_here""#, &ages()).body("[]");
    t.query("a key of colons", r#"{"items":["a:b","x:b","a:b"]}"#, &[item_keys(), grouped(LENGTH)])
        .body(r#"[["a:b",2],["x:b",1]]"#);
}

/// A map whose keys are the texts of items.
fn item_keys() -> String {
    map_js("function(v){ emit(v.values[0].data, 1); }")
}

/// Keys by their JSON: which are the same, and their order.
fn keys(t: &mut Topic) {
    let parsed = map_js("function(v){ emit(JSON.parse(v.values[0].data), 1); }");
    let items = |texts: &str| format!(r#"{{"items":{texts}}}"#);
    for (what, texts, expect) in [
        (
            "the order of kinds",
            r#"["[]","{}","\"a\"","2","true","false","null"]"#,
            r#"[[null,1],[false,1],[true,1],[2,1],["a",1],[[],1],[{},1]]"#,
        ),
        (
            "numbers by value",
            r#"["10","9","-1","1e1","0.5","-0"]"#,
            r#"[[-1,1],[0,1],[0.5,1],[9,1],[10,2]]"#,
        ),
        ("a number and its text", r#"["1","\"1\"","1.0","\"1\""]"#, r#"[[1,2],["1",2]]"#),
        (
            "texts by their bytes",
            r#"["\"b\"","\"B\"","\"é\"","\"z\"","\"\"","\"😀\"","\"～\""]"#,
            r#"[["",1],["B",1],["b",1],["z",1],["é",1],["～",1],["😀",1]]"#,
        ),
        (
            "arrays by their elements",
            r#"["[2]","[1,2]","[1]","[1.0]"]"#,
            r#"[[[1],2],[[1,2],1],[[2],1]]"#,
        ),
        (
            "objects by their members, not their order",
            r#"["{\"b\":1,\"a\":2}","{\"a\":2,\"b\":1}"]"#,
            r#"[[{"a":2,"b":1},2]]"#,
        ),
    ] {
        t.query(what, &items(texts), &[parsed.clone(), grouped(LENGTH)]).gives(expect);
    }
    t.query(
        "keys as texts",
        &items(r#"["1","\"1\"","[1, 2]","null"]"#),
        &[parsed, grouped_with(LENGTH, r#""keys":"string""#)],
    )
    .gives(r#"[["1",2],["[1,2]",1],["null",1]]"#);
    t.query(
        "keys of other text than ASCII are written as Riak does",
        &items(r#"["é"]"#),
        &[item_keys(), grouped(LENGTH)],
    )
    .body(r#"[["\u00e9",1]]"#);
}

/// What a grouped reduce gives.
fn results(t: &mut Topic) {
    let two = r#"{"items":[["a",1],["b",2],["a",3]]}"#;
    for (what, source, expect) in [
        ("a value", "function(k, vs){ return vs[0]; }", r#"[["a",1],["b",2]]"#),
        (
            "an object",
            "function(k, vs){ return {n: vs.length}; }",
            r#"[["a",{"n":2}],["b",{"n":1}]]"#,
        ),
        ("a list", "function(k, vs){ return vs; }", "[1,3,2]"),
        ("an empty list", "function(k, vs){ return []; }", "[]"),
        ("nothing", "function(k, vs){ if (k === 'b') return 0; }", r#"[["b",0]]"#),
        ("null", "function(k, vs){ return k === 'b' ? null : 0; }", r#"[["a",0]]"#),
        ("a wrapped null", "function(k, vs){ return [null]; }", "[null,null]"),
        ("emit", "function(k, vs){ emit(vs.length, k); }", r#"[[2,"a"],[1,"b"]]"#),
        ("a generator", "function*(k, vs){ yield k; yield* vs; }", r#"["a",1,3,"b",2]"#),
    ] {
        t.query(&format!("a reduce gives {what}"), two, &[pairs(), grouped(source)]).gives(expect);
    }
    t.query(
        "the argument",
        two,
        &[pairs(), grouped_with("function(k, vs, arg){ return arg; }", r#""arg":{"x":1}"#)],
    )
    .gives(r#"[["a",{"x":1}],["b",{"x":1}]]"#);
    t.query(
        "the results of a map are pairs as well as what it emits",
        r#"{"items":["x"]}"#,
        &[
            map_js("function(v){ emit('b', 1); return [['a', 2], ['b', 3]]; }"),
            grouped("function(k, vs){ return vs.sort(); }"),
        ],
    )
    .gives("[2,1,3]");
    t.query(
        "a map that yields",
        r#"{"items":["x"]}"#,
        &[map_js("function*(v){ yield ['b', 1]; yield ['a', 2]; }"), grouped(LENGTH)],
    )
    .gives(r#"[["a",1],["b",1]]"#);
}

/// What comes before and after.
fn chains(t: &mut Topic) {
    let inputs = r#""myInput""#;
    let mut chain = ages();
    chain.push(reduce_js_with(
        "function(list){ return [list.length]; }",
        r#""reduce_phase_only_1":true"#,
    ));
    t.query("a plain reduce after it", inputs, &chain).body("[3]");
    let mut chain = ages();
    chain.push(reduce_named("Riak.reduceSort"));
    t.query("Riak's sort after it", inputs, &chain).gives(AGES);
    let by_age = map_js("function(v){ emit(JSON.parse(v.values[0].data).age, v.key); }");
    let youngest = grouped("function(age, keys){ if (age < 50) emit('myInput', keys[0]); }");
    let look = map_js("function(v){ return [JSON.parse(v.values[0].data).name]; }");
    t.query("a map after it", inputs, &[by_age, youngest, look]).any_order(r#"["Chad","Ron"]"#);
    let swapped = grouped("function(k, vs){ emit(vs.length, k); }");
    t.query("a grouping of a grouping", inputs, &[map_js(AGE), swapped, grouped(LIST)])
        .body(r#"[[1,["21","43"]],[2,["54"]]]"#);
    let kept = map_js_with(AGE, r#""keep":true"#);
    t.query("kept pairs", inputs, &[kept, grouped(TEXT_SUM)]).each_any_order(
        r#"[[["43","1"],["21","1"],["54","1"],["54","1"]],[["21",1],["43",1],["54",2]]]"#,
    );
    t.query(
        "Riak's sum of items",
        r#"{"items":[3,1,2]}"#,
        &[
            map_js("function(v){ return [Number(v.values[0].data)]; }"),
            reduce_named("Riak.reduceSum"),
        ],
    )
    .body("[6]");
    let odd = map_js_with(AGE, r#""foo":1"#);
    t.query("members that nobody knows", inputs, &[odd, grouped(TEXT_SUM)])
        .with(r#""foo":1"#)
        .body(AGES);
    let lines = Request::new("POST", "/mapred").body("application/json", query(inputs, &ages()));
    t.ask("a pair a line", lines.header("Accept", Some("application/x-ndjson")))
        .status(200)
        .check(Check::HeaderStarts("Content-Type", "application/x-ndjson".into()))
        .check(Check::Text(r#"["21",1]"#.into()))
        .check(Check::Text(r#"["54",2]"#.into()));
    t.chunked("in parts", inputs, &ages()).parts(&[(1, AGES)]);
}

/// Functions that need not be written.
fn ready_made(t: &mut Topic) {
    let items = r#"{"items":[["a",4],["b",2],["a",1],["a",1]]}"#;
    for (name, expect) in [
        ("Job.sum", r#"[["a",6],["b",2]]"#),
        ("Job.count", r#"[["a",3],["b",1]]"#),
        ("Job.min", r#"[["a",1],["b",2]]"#),
        ("Job.max", r#"[["a",4],["b",2]]"#),
        ("Job.mean", r#"[["a",2],["b",2]]"#),
    ] {
        let reduce = reduce_named_with(name, r#""group":true"#);
        t.query(name, items, &[pairs(), reduce]).gives(expect);
    }
    let combined = r#""group":true,"combine":{"language":"javascript","name":"Job.sum"}"#;
    t.query("Job.sum, combined", items, &[pairs(), reduce_named_with("Job.sum", combined)])
        .gives(r#"[["a",6],["b",2]]"#);
    let by_city = r#""arg":{"key":"city","value":"age"}"#;
    let max = reduce_named_with("Job.max", r#""group":true"#);
    let people = r#"{"bucket":"people","filters":[["age",">",0]]}"#;
    t.query("Job.identity of parts", people, &[map_named_with("Job.identity", by_city), max])
        .gives(r#"[["Oslo",45],["Rome",30]]"#);
    let list = r#"{"items":[1,2,3]}"#;
    let count = reduce_named_with("Job.count", r#""group":true"#);
    let same = map_js("function(v){ emit('all', Number(v.values[0].data)); }");
    t.query("Job.count of all", list, &[same, count]).gives(r#"[["all",3]]"#);
}

/// What functions may call besides `emit`.
fn calls(t: &mut Topic) {
    let one = r#"{"items":["x"]}"#;
    t.query(
        "nothing is fine where something was counted",
        one,
        &[map_js("function(v){ count('c'); }")],
    )
    .body("[]");
    t.query("fail", one, &[map_js("function(v){ fail('bad data'); }"), grouped(LENGTH)])
        .fails(0, &["bad data"]);
    t.query(
        "fail within a group",
        one,
        &[item_keys(), grouped("function(k, vs){ fail('bad group ' + k); }")],
    )
    .fails(1, &["bad group x"]);
    t.query("log", one, &[map_js("function(v){ log('info', 'seen'); return [1]; }")]).body("[1]");
    let phase = map_js("function(v){ return [ctx.phase]; }");
    t.query("ctx.phase", one, &[phase]).body("[0]");
    let given = map_js("function(v){ return [ctx.params.least]; }");
    t.query("ctx.params", one, &[given]).with(r#""params":{"least":21}"#).body("[21]");
    let class = "({begin_shard(){ this.state = {n: 0}; }, map(v){ this.state.n += 1; return []; }, \
                 end_shard(){ emit('seen', this.state.n); }})";
    t.query(
        "a handler with state",
        r#"{"items":[1,2,3]}"#,
        &[map_js(class), reduce_named_with("Job.sum", r#""group":true"#)],
    )
    .gives(r#"[["seen",3]]"#);
}

/// What is refused, and what fails.
fn mistakes(t: &mut Topic) {
    let inputs = r#""myInput""#;
    for (member, word) in [
        (r#""group":1"#, "group"),
        (r#""group":true,"partitions":0"#, "partitions"),
        (r#""group":true,"partitions":"many""#, "partitions"),
        (r#""group":true,"sort_values":"up""#, "sort_values"),
        (r#""group":true,"keys":"numbers""#, "keys"),
        (r#""group":true,"combine":7"#, "combine"),
    ] {
        t.query(
            &format!("refused: {member}"),
            inputs,
            &[map_js(AGE), reduce_js_with(LENGTH, member)],
        )
        .refused(&[word]);
    }
    t.query(
        "results that are no pairs",
        inputs,
        &[map_js("function(v){ return [7]; }"), grouped(LENGTH)],
    )
    .fails(0, &["[key, value]"]);
    t.query(
        "an error in a group",
        inputs,
        &[map_js(AGE), grouped("function(k){ throw new Error('no ' + k); }")],
    )
    .fails(1, &["no "]);
}
