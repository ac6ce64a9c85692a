//! `sort` and `toSorted`: the order that Riak's engine gave, for comparators of all kinds.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::{Runtime as _, ScriptLimits};
use proptest::prelude::*;
use proptest::sample::select;

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits::default())
}

/// What the body of a function gives, as JSON.
fn run(runtime: &mut JsRuntime, body: &str) -> String {
    let function = source(&format!("function () {{ {body} }}"), None);
    let results = runtime.map(1, &function, vec![input("")]).unwrap().remove(0);
    format!("[{}]", strings(results).join(","))
}

#[track_caller]
fn gives(body: &str, expected: &str) {
    assert_eq!(run(&mut runtime(), body), expected, "{body}");
}

/// Comparators, the number of records, which of them lacks the compared field, and the order of
/// their numbers after. The values are those of another program that was written from the
/// description of the sort.
const COMPARATORS: &[(&str, usize, i32, &str)] = &[
    ("function (a, b) { return a.n < b.n; }", 5, -1, "1,0,4,3,2"),
    ("function (a, b) { return a.n < b.n; }", 13, 3, "1,12,0,11,10,9,8,2,3,7,6,5,4"),
    (
        "function (a, b) { return a.n < b.n; }",
        23,
        10,
        "13,7,1,18,12,6,0,17,5,22,16,4,21,15,9,3,20,14,8,2,10,11,19",
    ),
    ("function (a, b) { return a.n > b.n; }", 5, -1, "2,3,4,0,1"),
    ("function (a, b) { return a.n > b.n; }", 13, 3, "2,8,9,10,11,0,12,1,3,4,5,6,7"),
    (
        "function (a, b) { return a.n > b.n; }",
        23,
        10,
        "2,19,8,14,3,20,9,4,21,16,5,22,0,17,6,1,18,7,10,15,11,12,13",
    ),
    ("function (a, b) { return a.n - b.n; }", 5, -1, "2,3,4,0,1"),
    ("function (a, b) { return a.n - b.n; }", 13, 3, "2,8,9,10,11,0,12,1,3,4,5,6,7"),
    (
        "function (a, b) { return a.n - b.n; }",
        23,
        10,
        "2,19,8,14,3,20,9,4,21,16,5,22,0,17,6,1,18,7,10,15,11,12,13",
    ),
    ("function (a, b) { return a.n > b.n ? 1 : 0; }", 5, -1, "2,3,4,0,1"),
    ("function (a, b) { return a.n > b.n ? 1 : 0; }", 13, 3, "2,8,9,10,11,0,12,1,3,4,5,6,7"),
    (
        "function (a, b) { return a.n > b.n ? 1 : 0; }",
        23,
        10,
        "2,19,8,14,3,20,9,4,21,16,5,22,0,17,6,1,18,7,10,15,11,12,13",
    ),
    ("function (a, b) { return a.n < b.n ? -1 : 0; }", 5, -1, "0,1,2,3,4"),
    ("function (a, b) { return a.n < b.n ? -1 : 0; }", 13, 3, "0,1,2,3,4,5,6,7,8,9,10,11,12"),
    (
        "function (a, b) { return a.n < b.n ? -1 : 0; }",
        23,
        10,
        "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22",
    ),
    ("function (a, b) { return a.n == b.n ? 0 : a.n < b.n ? -1 : 1; }", 5, -1, "2,3,4,0,1"),
    (
        "function (a, b) { return a.n == b.n ? 0 : a.n < b.n ? -1 : 1; }",
        13,
        3,
        "8,9,4,10,5,11,6,12,7,3,2,0,1",
    ),
    (
        "function (a, b) { return a.n == b.n ? 0 : a.n < b.n ? -1 : 1; }",
        23,
        10,
        "2,19,14,3,20,15,4,21,16,5,22,0,17,6,12,1,18,7,13,10,8,9,11",
    ),
    ("function (a, b) { return '' + (b.n - a.n); }", 5, -1, "1,0,4,3,2"),
    ("function (a, b) { return '' + (b.n - a.n); }", 13, 3, "1,12,0,11,10,9,8,2,3,7,6,5,4"),
    (
        "function (a, b) { return '' + (b.n - a.n); }",
        23,
        10,
        "13,7,1,18,12,6,0,17,5,22,16,4,21,15,9,3,20,14,8,2,10,11,19",
    ),
    ("function (a, b) { return true; }", 5, -1, "4,3,2,1,0"),
    ("function (a, b) { return true; }", 13, 3, "12,11,10,9,8,7,6,5,4,3,2,1,0"),
    (
        "function (a, b) { return true; }",
        23,
        10,
        "22,21,20,19,18,17,16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1,0",
    ),
    ("function (a, b) { return -1; }", 5, -1, "0,1,2,3,4"),
    ("function (a, b) { return -1; }", 13, 3, "0,1,2,3,4,5,6,7,8,9,10,11,12"),
    (
        "function (a, b) { return -1; }",
        23,
        10,
        "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22",
    ),
    ("function (a, b) { return 1; }", 5, -1, "4,3,2,1,0"),
    ("function (a, b) { return 1; }", 13, 3, "12,11,10,9,8,7,6,5,4,3,2,1,0"),
    (
        "function (a, b) { return 1; }",
        23,
        10,
        "22,21,20,19,18,17,16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1,0",
    ),
    ("function (a, b) { return NaN; }", 5, -1, "0,1,2,3,4"),
    ("function (a, b) { return NaN; }", 13, 3, "0,1,2,3,4,5,6,7,8,9,10,11,12"),
    (
        "function (a, b) { return NaN; }",
        23,
        10,
        "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22",
    ),
    ("function (a, b) { }", 5, -1, "0,1,2,3,4"),
    ("function (a, b) { }", 13, 3, "0,1,2,3,4,5,6,7,8,9,10,11,12"),
    ("function (a, b) { }", 23, 10, "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22"),
    ("function (a, b) { return (a.n * 7 + b.n * 3) % 5 - 2; }", 5, -1, "1,0,4,3,2"),
    (
        "function (a, b) { return (a.n * 7 + b.n * 3) % 5 - 2; }",
        13,
        3,
        "1,0,12,2,3,6,10,5,9,4,8,7,11",
    ),
    (
        "function (a, b) { return (a.n * 7 + b.n * 3) % 5 - 2; }",
        23,
        10,
        "1,0,3,2,6,5,4,7,9,8,10,13,12,11,15,14,18,17,16,19,22,21,20",
    ),
    ("function (a, b) { return a.n < b.n ? 1 : -1; }", 5, -1, "1,0,4,3,2"),
    ("function (a, b) { return a.n < b.n ? 1 : -1; }", 13, 3, "1,12,0,11,10,9,8,2,3,7,6,5,4"),
    (
        "function (a, b) { return a.n < b.n ? 1 : -1; }",
        23,
        10,
        "13,7,1,18,12,6,0,17,5,22,16,4,21,15,9,3,20,14,8,2,10,11,19",
    ),
];

#[test]
fn comparators() {
    on_large_stack(|| {
        let mut runtime = runtime();
        for (comparator, count, lacks, expected) in COMPARATORS {
            for call in ["list.sort(f)", "list.toSorted(f)"] {
                let body = format!(
                    "var list = []; for (var i = 0; i < {count}; i++) {{ list.push({{id: i}});
                       if (i !== {lacks}) {{ list[i].n = (i * 37 + 11) % 17; }} }}
                     var f = {comparator};
                     return [{call}.map(function (record) {{ return record.id; }}).join()];"
                );
                let expected = format!("[\"{expected}\"]");
                assert_eq!(run(&mut runtime, &body), expected, "{comparator}, {count}");
            }
        }
    });
}

#[test]
fn order_without_a_comparator() {
    on_large_stack(|| {
        gives(
            "return [10, 9, 1, undefined, null, 'b', -1].sort();",
            r#"[-1,1,10,9,"b",null,null]"#,
        );
        gives("return [,3,,undefined,1].sort().map(String);", r#"["1","3","undefined",null,null]"#);
        gives(
            "var a = [,3,,undefined,1].sort(); return [3 in a, 4 in a, 2 in a, a.length];",
            "[false,false,true,5]",
        );
        gives(
            "var a = [,3,,undefined,1].toSorted(); return [3 in a, 4 in a, a[4] === undefined];",
            "[true,true,true]",
        );
        // By code unit, not by character: the half of a pair comes before U+FF5E.
        gives(
            r"return ['\uff5e', '\ud83d\ude00', 'z', '\u00e9', 'Z'].sort();",
            "[\"Z\",\"z\",\"é\",\"😀\",\"～\"]",
        );
        gives(
            "return [[2], [10], {toString: function () { return '1'; }, a: 1}].sort();",
            r#"[{"a":1},[10],[2]]"#,
        );
        gives(
            "try { [Symbol('s'), 1].sort(); } catch (e) { return [e.name]; }",
            r#"["TypeError"]"#,
        );
        gives("return [[].sort().length, [Symbol('s')].sort().length];", "[0,1]");
        gives("return [new Int8Array([3, -1, 2]).sort().join()];", r#"["-1,2,3"]"#);
    });
}

#[test]
fn what_is_no_plain_array() {
    on_large_stack(|| {
        gives(
            "var o = {length: 3, 0: 'c', 2: 'a', x: 1}; Array.prototype.sort.call(o);
               return [o[0], o[1], 2 in o, o.length, o.x];",
            r#"["a","c",false,3,1]"#,
        );
        gives(
            "var a = [3, 1]; Object.defineProperty(a, 0, {get: function () { return 7; }});
               try { a.sort(); } catch (e) { return [e.name, a[0], a[1]]; }",
            r#"["TypeError",7,1]"#,
        );
        gives(
            "var a = Object.freeze([2, 1]); try { a.sort(); } catch (e) { return [e.name, a[0]]; }",
            r#"["TypeError",2]"#,
        );
        gives("var a = Object.freeze([2, 1]); return a.toSorted();", "[1,2]");
        gives("var a = Object.preventExtensions([2, 1]); return a.sort();", "[1,2]");
        gives("var a = [2, 1]; a.x = 'kept'; a.sort(); return [a[0], a.x];", r#"[1,"kept"]"#);
        gives(
            "class L extends Array {} var l = L.from([2, 1]); return [l.sort() instanceof L, l[0]];",
            "[true,1]",
        );
        gives("Array.prototype[1] = 'p'; try { var a = [3, , 2]; a.sort(); return [a[0], a[1], a[2]]; }
               finally { delete Array.prototype[1]; }", r#"[2,3,"p"]"#);
        gives(
            "var log = []; var p = new Proxy([2, 1], {set: function (t, k, v) {
                 log.push(k); t[k] = v; return true; }}); p.sort(); return log;",
            r#"["0","1"]"#,
        );
        gives("return [(function () { return [].sort.call(arguments)[0]; })(2, 1)];", "[1]");
        for wrong in ["null", "{}", "'f'", "1"] {
            gives(
                &format!("try {{ [].sort({wrong}); }} catch (e) {{ return [e.name]; }}"),
                r#"["TypeError"]"#,
            );
        }
        gives("try { [].sort.call(null); } catch (e) { return [e.name]; }", r#"["TypeError"]"#);
        gives(
            "return [[].sort.length, [].sort.name, [].toSorted.name];",
            r#"[1,"sort","toSorted"]"#,
        );
    });
}

#[test]
fn comparators_that_throw_or_change_the_array() {
    on_large_stack(|| {
        gives("var a = [3, 2, 1], n = 0; try { a.sort(function () { if (++n === 2) { throw new RangeError('r'); }
                 return 1; }); } catch (e) { return [e.message, n].concat(a); }", r#"["r",2,3,2,1]"#);
        gives(
            "var a = [3, 2, 1]; a.sort(function (x, y) { a.length = 0; return x - y; }); return a;",
            "[1,2,3]",
        );
        gives(
            "var a = [3, 2, 1]; a.sort(function (x, y) { a.push(9); return x - y; }); return a;",
            "[1,2,3,9,9,9]",
        );
        gives(
            "var a = [3, , 1]; a.sort(function (x, y) { a[2] = 'x'; return x - y; });
               return [a[0], a[1], 2 in a, a.length];",
            "[1,3,false,3]",
        );
        gives(
            "var a = [2, 1]; try { a.sort(function () { Object.freeze(a); return 1; }); }
               catch (e) { return [e.name].concat(a); }",
            r#"["TypeError",2,1]"#,
        );
        gives(
            "var n = 0; [undefined, 1, undefined, , 2].sort(function (x, y) {
                 n += x === undefined || y === undefined ? 1 : 0; return 0; }); return [n];",
            "[0]",
        );
        gives(
            "try { [1, 2].sort(function () { return 1n; }); } catch (e) { return [e.name]; }",
            r#"["TypeError"]"#,
        );
        gives(
            "return [3, 1, 2].sort(function (x, y) { return {valueOf: function () { return x - y; }}; });",
            "[1,2,3]",
        );
        gives(
            "var inner = 0; return [3, 1, 2].sort(function (x, y) {
                 return [x, y].sort(function (p, q) { return p - q; })[0] === x ? -1 : 1; });",
            "[1,2,3]",
        );
    });
}

#[test]
fn a_length_far_beyond_the_items() {
    on_large_stack(|| {
        gives(
            "var a = []; a[4294967294] = 1; a[70000] = 3; a[5] = 2; a.sort();
               return [a[0], a[1], a[2], 3 in a, 70000 in a, a.length];",
            "[1,2,3,false,false,4294967295]",
        );
        gives(
            "var o = {length: 9007199254740991, 7: 'b', 9: 'a'}; [].sort.call(o);
               return Object.keys(o).concat(o[0], o[1]);",
            r#"["0","1","length","a","b"]"#,
        );
        gives(
            "var a = []; a.length = 4294967295; try { a.toSorted(); } catch (e) { return [e.name]; }",
            r#"["RangeError"]"#,
        );
        gives("var a = []; a.length = 20000000; return [a.sort().length];", "[20000000]");
        gives(
            "var p = new Proxy({}, {get: function (t, k) { return k === 'length' ? 1e9 : 1; }});
               try { [].toSorted.call(p); } catch (e) { return [e.name]; }",
            r#"["RangeError"]"#,
        );
    });
}

#[test]
fn typed_arrays() {
    on_large_stack(|| {
        let f = "function (x, y) { return x < y; }";
        gives(&format!("return [new Int16Array([1, 3, 2]).sort({f}).join()];"), r#"["3,2,1"]"#);
        gives(
            &format!(
                "var a = new Float64Array([1, 3, 2]), b = a.toSorted({f});
            return [a.join(), b.join(), b instanceof Float64Array];"
            ),
            r#"["1,3,2","3,2,1",true]"#,
        );
        let odd = "function (x, y) { return (x * 7 + y * 3) % 5 - 2; }";
        gives(
            &format!(
                "var a = []; for (var i = 0; i < 500; i++) {{ a.push(i * 37 % 101); }}
            return [new Uint8Array(a).sort({odd}).join() === a.sort({odd}).join()];"
            ),
            "[true]",
        );
        gives(
            "try { Uint8Array.prototype.sort.call([2, 1], function () {}); } catch (e) { return [e.name]; }",
            r#"["TypeError"]"#,
        );
        gives(
            "try { new Uint8Array(2).sort(1); } catch (e) { return [e.name]; }",
            r#"["TypeError"]"#,
        );
    });
}

/// The sort as it is described, written another way.
const DESCRIBED: &str = r"function described(list, compare) {
  function after(a, b) { return Number(compare(a, b)) > 0; }
  var rest = list.filter(function (item) { return item !== undefined; }), runs = [];
  for (var i = 0; i < rest.length; i += 4) {
    var run = [];
    for (var j = i; j < Math.min(i + 4, rest.length); j++) {
      var at = run.length;
      while (at > 0 && after(run[at - 1], rest[j])) { at--; }
      run.splice(at, 0, rest[j]);
    }
    runs.push(run);
  }
  while (runs.length > 1) {
    var next = [];
    while (runs.length > 1) {
      var left = runs.shift(), right = runs.shift(), out = [];
      if (after(left[left.length - 1], right[0])) {
        while (left.length && right.length) {
          out.push(after(left[0], right[0]) ? right.shift() : left.shift());
        }
      }
      next.push(out.concat(left, right));
    }
    runs = next.concat(runs);
  }
  return (runs[0] || []).concat(list.filter(function (item) { return item === undefined; }));
}";

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each pair of items has an answer of its own.
    fn check_answers(
        items in prop::collection::vec(0usize..9, 0..90),
        answers in prop::collection::vec(select(&["-1", "0", "1", "2.5", "true", "false", "NaN",
            "undefined", "null", "'1'", "''", "'x'", "-Infinity", "[3]"][..]), 64),
    ) {
        // The last of them stands for `undefined`.
        let names: Vec<String> = items.iter()
            .map(|&item| if item == 8 { "undefined".to_owned() } else { item.to_string() }).collect();
        let body = format!(
            "{DESCRIBED} var answers = [{}], list = [{}];
             function compare(a, b) {{ return answers[a * 8 + b]; }}
             var expected = described(list, compare).join();
             return [list.toSorted(compare).join() === expected, list.sort(compare).join() === expected];",
            answers.join(","), names.join(","));
        prop_assert_eq!(run(&mut runtime(), &body), "[true,true]", "{}", body);
    }

    /// A consistent order is stable.
    fn check_orders(items in prop::collection::vec(-500i32..500, 0..300), digits in 1i32..100) {
        let mut expected = items.clone();
        expected.sort_by_key(|item| item.div_euclid(digits));
        let body = format!(
            "return {items:?}.sort(function (a, b) {{
               return Math.floor(a / {digits}) - Math.floor(b / {digits}); }});");
        let expected = format!("{expected:?}").replace(' ', "");
        prop_assert_eq!(run(&mut runtime(), &body), expected, "{}", body);
    }
}

#[test]
fn random_answers() {
    on_large_stack(check_answers);
}

#[test]
fn random_orders() {
    on_large_stack(check_orders);
}
