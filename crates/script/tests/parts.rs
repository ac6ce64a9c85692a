//! Readers of inputs, functions that choose partitions, writers of outputs.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{input, json, strings};
use mapring_script::js::JsRuntime;
use mapring_script::{
    Binary, FailureCause, Function, Part, PhaseFunction, Runtime, ScriptError, ScriptLimits,
};
use serde_json::{Value, json};

fn ask(
    runtime: &mut JsRuntime,
    part: Part,
    source: &str,
    asked: &Value,
) -> Result<Vec<Value>, ScriptError> {
    let code = Box::new(Function::Source(source.to_owned()));
    let function =
        PhaseFunction { function: Function::Part(part, code), arg: None, binary: Binary::Refuse };
    let mut input = input("");
    input.keydata = Some(json(&asked.to_string()));
    let results = runtime.map(1, &function, vec![input])?;
    let read = |text: String| serde_json::from_str(&text).unwrap();
    Ok(strings(results.into_iter().next().unwrap()).into_iter().map(read).collect())
}

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits::default())
}

fn reading(state: &str, skip: u64, items: u64) -> Value {
    json!({"split": false, "shard": 0, "state": state, "skip": skip, "items": items, "size": 1 << 20,
           "ms": 5_000, "kept": 4, "state_most": 1_000})
}

/// All items of a state, so many a call, in one runtime or each call in a new one; and the places that
/// were gone on from.
fn read(source: &str, state: &str, items: u64, fresh: bool) -> (Vec<Value>, Vec<(Value, u64)>) {
    let mut own = runtime();
    let (mut all, mut places) = (Vec::new(), Vec::new());
    let (mut state, mut skip) = (state.to_owned(), 0);
    loop {
        if fresh {
            own = runtime();
        }
        let mut some = ask(&mut own, Part::Reader, source, &reading(&state, skip, items)).unwrap();
        let head = some.remove(0);
        assert!(some.len() as u64 <= items);
        all.extend(some);
        if head["done"] == json!(true) {
            return (all, places);
        }
        (state, skip) = (head["state"].to_string(), head["skip"].as_u64().unwrap());
        places.push((head["state"].clone(), skip));
    }
}

const SPLIT: &str = "split(params, n) { return []; }";

#[test]
fn readers_go_on_wherever_they_change_their_state() {
    // Before an item is given, after it, for several items before or after, never; the same item again.
    let readers = [
        "*read(s) { while (s.at < 10) yield s.at++; }",
        "*read(s) { for (; s.at < 10; s.at++) yield s.at; }",
        "*read(s) { while (s.at < 10) { var from = s.at; s.at = Math.min(10, from + 4);
           for (var i = from; i < s.at; i++) yield i; } }",
        "*read(s) { while (s.at < 10) { var until = Math.min(10, s.at + 4);
           for (var i = s.at; i < until; i++) yield i; s.at = until; } }",
        "*read(s) { for (var i = s.at; i < 10; i++) yield i; }",
        "read(s) { return [0,1,2,3,4,5,6,7,8,9].slice(s.at); }",
    ];
    let expect: Vec<Value> = (0..10).map(|number| json!(number)).collect();
    for reader in readers {
        let source = format!("({{ {SPLIT}, {reader} }})");
        for items in [1, 2, 3, 4, 9, 10, 50] {
            for fresh in [true, false] {
                let (found, _) = read(&source, r#"{"at":0}"#, items, fresh);
                assert_eq!(found, expect, "{reader}, {items} at once, fresh {fresh}");
            }
        }
    }
    for reader in [
        "*read(s) { while (s.at < 10) { s.at++; yield 'x'; } }",
        "*read(s) { for (; s.at < 10; s.at++) yield 'x'; }",
        "*read(s) { while (s.at < 10) { var from = s.at; s.at += 5; for (; from < s.at; from++) yield 'x'; } }",
    ] {
        let source = format!("({{ {SPLIT}, {reader} }})");
        for items in [1, 2, 3, 5, 7] {
            let (found, _) = read(&source, r#"{"at":0}"#, items, true);
            assert_eq!(found, vec![json!("x"); 10], "{reader}, {items} at once");
        }
    }
}

#[test]
fn a_state_that_leads_on_is_the_place() {
    let places =
        |reader: &str| read(&format!("({{ {SPLIT}, {reader} }})"), r#"{"at":0}"#, 3, true).1;
    let from = |at: [u64; 3]| at.map(|at| (json!({"at": at}), 0)).to_vec();
    assert_eq!(places("*read(s) { while (s.at < 10) yield s.at++; }"), from([3, 6, 9]));
    assert_eq!(places("*read(s) { for (; s.at < 10; s.at++) yield s.at; }"), from([3, 6, 9]));
    let skipped = |skip| (json!({"at": 0}), skip);
    let unchanged = places("*read(s) { for (var i = s.at; i < 10; i++) yield i; }");
    assert_eq!(unchanged, [skipped(3), skipped(6), skipped(9)]);
}

#[test]
fn items_are_any_json() {
    let source =
        format!("({{ {SPLIT}, read(s) {{ return [1, [2, 3], null, 'x', {{a: [4]}}, []]; }} }})");
    let (found, _) = read(&source, "null", 50, true);
    assert_eq!(
        found,
        [json!(1), json!([2, 3]), json!(null), json!("x"), json!({"a": [4]}), json!([])]
    );
}

#[test]
fn states_of_a_split() {
    let asked =
        json!({"split": true, "params": {"to": 7}, "shards": 3, "most": 5, "state_most": 20});
    let mut runtime = runtime();
    let mut split = |text: &str| {
        let source = format!("({{ read(s) {{ return []; }}, {text} }})");
        ask(&mut runtime, Part::Reader, &source, &asked)
    };
    let found = split("split(p, n) { return [p.to, [n], {a: null}]; }").unwrap();
    assert_eq!(found, [json!(7), json!([3]), json!({"a": null})]);
    assert!(split("split() { return []; }").unwrap().is_empty());
    assert_eq!(split("*split(p, n) { for (var i = 0; i < n; i++) yield i; }").unwrap().len(), 3);
    for (text, cause, says) in [
        (
            "split() { return 5; }",
            FailureCause::Thrown,
            "split gives a list or a generator, not number",
        ),
        (
            "split() { return [1, function() {}]; }",
            FailureCause::Thrown,
            "state 1 of split is no JSON",
        ),
        ("split() { return ['0123456789012345678901']; }", FailureCause::Thrown, "larger than 20"),
        ("*split() { while (true) yield 1; }", FailureCause::Thrown, "more than 5 states"),
        (
            "split() { return [1]; }, read: 5",
            FailureCause::Syntax,
            "with split and read but an object",
        ),
        ("split() {\n  throw new Error('none') }", FailureCause::Thrown, "none"),
        ("split() { emit(1, 2); return []; }", FailureCause::Thrown, "emit: only"),
    ] {
        let error = split(text).unwrap_err();
        assert_eq!(error.cause, cause, "{text}: {error}");
        assert!(error.message.contains(says), "{text}: {error}");
        if says == "none" {
            let stack = error.stack.unwrap();
            assert!(stack.starts_with("at split (source:2:"), "{stack}");
            assert_eq!(stack.lines().count(), 1, "{stack}");
        }
    }
}

#[test]
fn what_a_reader_must_not_do() {
    let mut own = runtime();
    let asked = reading("{\"at\":0}", 0, 2);
    for (text, says) in [
        ("read(s) { return 5; }", "read gives a list or a generator, not number"),
        (
            "*read(s) { yield 1; yield undefined; }",
            "an item of read is no JSON value but undefined",
        ),
        ("*read(s) { s.big = 'x'.repeat(2000); yield 1; yield 2; yield 3; }", "larger than 1000"),
        ("*read(s) { yield 1; throw new Error('lost'); }", "lost"),
    ] {
        let source = format!("({{ {SPLIT}, {text} }})");
        let error = ask(&mut own, Part::Reader, &source, &asked).unwrap_err();
        assert!(error.message.contains(says), "{text}: {error}");
    }
    let source = format!("({{ {SPLIT}, read(s) {{ return [1]; }} }})");
    let error = ask(&mut own, Part::Reader, &source, &reading("0", 5, 2)).unwrap_err();
    assert!(error.message.contains("fewer items than before: 1 of 5"), "{error}");
    for source in ["function() {}", "({read() {}})", "5", "null"] {
        let error = ask(&mut own, Part::Reader, source, &asked).unwrap_err();
        assert_eq!(error.cause, FailureCause::Syntax, "{source}");
        assert!(error.message.contains("is not a reader, an object with"), "{error}");
    }
}

#[test]
fn partitions_of_keys() {
    let mut own = runtime();
    let asked = json!({"partitions": 4, "keys": ["a", 5, null, [1]]});
    let mut choose = |source: &str| ask(&mut own, Part::Partition, source, &asked);
    let found = choose("function(key, n) { return key === 5 ? n - 1 : 0; }").unwrap();
    assert_eq!(found, [json!(0), json!(3), json!(0), json!(0)]);
    for (source, says) in [
        ("function(key, n) { return n; }", "partition_by gives 4 for the key \"a\""),
        ("function(key, n) { return -1; }", "partition_by gives -1 for the key \"a\""),
        (
            "function(key, n) { return key === 5 ? 0.5 : 0; }",
            "partition_by gives 0.5 for the key 5",
        ),
        ("function(key, n) { return NaN; }", "partition_by gives NaN"),
        ("function(key, n) { return '1'; }", "partition_by gives \"1\""),
        ("function(key, n) { }", "partition_by gives undefined"),
        ("var c = 0; (function(key, n) { return c++ % n; })", "partition_by gives 0 and then 1"),
        ("({a: 1})", "the source is not a function of a key and a number of partitions but"),
    ] {
        let error = choose(source).unwrap_err();
        assert!(error.message.contains(says), "{source}: {error}");
    }
}

#[test]
fn parts_of_named_objects() {
    let mut own = runtime();
    let writer = "({
      open(name) { return name + ':\\n'; },
      write(n) { this.state = (this.state || 0) + 1;
        emit(n % 2 ? 'odd' : 'even', n + '\\n'); return n === 3 ? [['odd', {three: 3}]] : undefined; },
      close(name) { return 'end of ' + name + ', ' + this.state + '\\n'; }
    })";
    let mut write = |asked: Value| ask(&mut own, Part::Writer, writer, &asked).unwrap();
    let found = write(json!({"state": null, "names": [], "most": 9, "records": [1, 2, 3]}));
    assert_eq!(
        found,
        [
            json!({"state": 3, "names": ["odd", "even"]}),
            json!(["odd", "odd:\n"]),
            json!(["odd", "1\n"]),
            json!(["even", "even:\n"]),
            json!(["even", "2\n"]),
            json!(["odd", "3\n"]),
            json!(["odd", "{\"three\":3}"]),
        ]
    );
    let found = write(json!({"state": 3, "names": ["odd", "even"], "most": 9, "records": [4]}));
    assert_eq!(found, [json!({"state": 4, "names": ["odd", "even"]}), json!(["even", "4\n"])]);
    let found = write(json!({"state": 4, "names": ["odd", "even"], "most": 9}));
    assert_eq!(
        found[1..],
        [json!(["odd", "end of odd, 4\n"]), json!(["even", "end of even, 4\n"])]
    );
    let asked = json!({"state": null, "names": ["a"], "most": 2, "records": ["b", "c"]});
    for (text, says) in [
        ("write(x) { emit(x, 1); }", "more than 2 objects"),
        ("write(x) { emit(5, 1); }", "a part for 5, which is no name"),
        ("write(x) { return 5; }", "a list of [name, text], not 5"),
        ("write(x) { return [x]; }", "in it is \"b\""),
        ("write: 5", "the source is not a writer, an object with write but an object"),
    ] {
        let error = ask(&mut own, Part::Writer, &format!("({{ {text} }})"), &asked).unwrap_err();
        assert!(error.message.contains(says), "{text}: {error}");
    }
    let found = ask(&mut own, Part::Writer, "({*write(x) { yield ['a', x]; }})", &asked).unwrap();
    assert_eq!(found[1..], [json!(["a", "b"]), json!(["a", "c"])]);
}
