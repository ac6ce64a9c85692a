//! The language as people wrote it for Riak, whose engine was SpiderMonkey 1.8: the same functions give
//! the same here, or are refused in words that say what to write.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::library::{Library, SourceFile};
use mapring_script::{FailureCause, Function, PhaseFunction, ScriptLimits};

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() })
}

/// What the body of a function gives for the input `{"a":1,"b":[1,2,3]}`, as JSON.
#[track_caller]
fn is(body: &str, expected: &str) {
    let function = source(&format!("function(v) {{ {body} }}"), None);
    let results = map(&mut runtime(), &function, input(r#"{"a":1,"b":[1,2,3]}"#));
    let results = results.map(|results| format!("[{}]", results.join(",")));
    assert_eq!(results.as_deref(), Ok(expected), "{body}");
}

/// The message of a function, and the first frame of its stack.
#[track_caller]
fn says(function: &str, cause: FailureCause, message: &str, place: &str) {
    let error = map(&mut runtime(), &source(function, None), input("{\"a\":1}")).unwrap_err();
    let first = error.stack.as_deref().and_then(|stack| stack.lines().next()).unwrap_or_default();
    let found = (error.cause, error.message.as_str(), first);
    assert_eq!(found, (cause, message, place), "{function}");
}

#[test]
fn for_each_goes_through_values() {
    is("var o = []; for each (var x in {a: 1, b: 2}) o.push(x); return o;", "[1,2]");
    is("var s = ''; for each (let c in 'abc'.split('')) { s += c; } return [s];", "[\"abc\"]");
    is(
        "var e = []; for each(var[k, x]in[['a', 1], ['b', 2]])e.push(k + x);return e",
        r#"["a1","b2"]"#,
    );
    is("var o = []; for each (o[o.length] in [5, 6]); return o;", "[5,6]");
    is("for each (var x in null) return [1]; return [2];", "[2]");
    is("for each (x in [1, 2, 3]) { if (x == 1) continue; break; } return [x];", "[2]");
    // Values are read one by one, and what is deleted meanwhile does not come.
    is(
        "var o = {a: 1, b: 2, c: 3}, s = []; for each (var x in o) { s.push(x); delete o.b; } return s;",
        "[1,3]",
    );
    is(
        "var o = Object.create({y: 2}); o.x = 1; var s = []; for each (x in o) s.push(x); return s;",
        "[1,2]",
    );
    // Not in texts and expressions, nor where it is a name.
    is(
        "var each = 1; return ['for each (x in y)', /for each (x in y)/.source, each];",
        r#"["for each (x in y)","for each (x in y)",1]"#,
    );
}

#[test]
fn functions_that_are_an_expression() {
    is("return [1, 2].map(function(x) x * 2);", "[2,4]");
    is(
        "var f = function(x) x * 2\n var g = function(y) { return y }\n return [f(2), g(3)];",
        "[4,3]",
    );
    is("function f(a) a ? function(b) b + 1 : 2\n return [f(1)(2), f(0)];", "[3,2]");
    is("return [{f: function(a) [a, {b: a}], g: 1}.f(2)];", r#"[[2,{"b":2}]]"#);
    is(
        "return [1, 2, 3].filter(function(x) x > 1).map(function(x) ({n: x}));",
        r#"[{"n":2},{"n":3}]"#,
    );
    is("return [`a${[1].map(function(x) x + `q${2}`)}b`, 6 /2/ 1];", r#"["a1q2b",3]"#);
    is("return [3, 1, 2].sort(function(a, b) a - b);", "[1,2,3]");
    let whole = source("function(v) v.values.map(function(x) x.data.length)", None);
    assert_eq!(map(&mut runtime(), &whole, input("abc")).unwrap(), ["3"]);
}

#[test]
fn conditions_in_catch_and_let_blocks() {
    let tries = |what: &str| {
        format!(
            "try {{ {what} }} catch (e if e instanceof TypeError) {{ return [1]; }} \
             catch (f if f == 'two') {{ return [f]; }} catch (e) {{ return [3, e]; }} finally {{ v = 0; }}"
        )
    };
    is(&tries("null.x"), "[1]");
    is(&tries("throw 'two'"), "[\"two\"]");
    is(&tries("throw 'else'"), "[3,\"else\"]");
    is(
        "try { try { throw 5; } catch (e if e == 4) { return [4]; } } catch (e) { return [e]; }",
        "[5]",
    );
    is("try { throw 4; } catch(e if(e == 4)) { return [e]; }", "[4]");
    is("var x = 0; let (x = 1, y = [2]) { x += 1; var z = [x, y]; } return [x, z];", "[0,[2,[2]]]");
    is(
        "var x = '4', f = Math.max; let (y = f(parseInt(x), 1), z = {y: x, x: v.y}, w) { return [y, z.y, w === undefined]; }",
        r#"[4,"4",true]"#,
    );
    is("var x = [1, 2]; let ([a, b] = x, {c: d} = {c: 3}) { return [a, b, d]; }", "[1,2,3]");
}

#[test]
fn escapes_that_are_none_stand_for_their_characters() {
    is(r#"return ["\u80x", "\xZ", '\u', "\u{zz}"];"#, r#"["u80x","xZ","u","u{zz}"]"#);
    // What is one stays what it is.
    is(
        r#"return ["\u0041\u80x", "\\u80x", "\x41\xg", "\u{42}\u1"];"#,
        r#"["Au80x","\\u80x","Axg","Bu1"]"#,
    );
    is(
        r#"return [/\u80x/.test('u80x'), "\08\101\8", 010, 09, "a\
b"];"#,
        r#"[true,"\u00008A8",8,9,"ab"]"#,
    );
}

#[test]
fn texts_that_are_evaluated() {
    is("return eval('function(a) { return [a.key]; }')(v);", "[\"k\"]");
    is("return [eval('function(a) a.key')(v)];", "[\"k\"]");
    is(
        "var n = 3; return [eval('[1].map(function(x) x + n)')[0], eval('var q = 1; q + n')];",
        "[4,4]",
    );
    is(
        "var s = 0; eval('for each (var x in [1, 2]) s += x'); return [s, typeof x];",
        r#"[3,"number"]"#,
    );
    is(
        "return [eval('(' + v.values[0].data + ')').b[1], eval(7), typeof eval(), eval('\"\\\\u8\"')];",
        r#"[2,7,"undefined","u8"]"#,
    );
    is("return [{eval: function(x) { return x + 1; }}.eval(1)];", "[2]");
    is("return Riak.reduceSort([3, 10, 2], 'function(a, b) b - a');", "[10,3,2]");
    is("return [new Function('a', 'b', 'return a + b')(1, 2), Function('return 5')()];", "[3,5]");
    let cause = FailureCause::Thrown;
    says(
        "function(v) {\n  return [new Function('x', 'return [x].map(function(a) a)')(1)];\n}",
        cause,
        "SyntaxError: expected token '{', got 'a' in function expression: syntax of old is run in a \
         query's own text and in that of a direct call of eval, but not in that of Function or of \
         eval by another name",
        "at <anonymous> (source:2:11)",
    );
    says(
        "function(v) { return eval('[a for each (a in v)]'); }",
        cause,
        "SyntaxError: an array comprehension ([… for (…)]) is no longer part of the language: write \
         list.map(function (x) { … }), with list.filter(…) for its condition, or a loop that pushes \
         to a list at line 1, col 4",
        "at <anonymous> (source:1:26)",
    );
}

#[test]
fn stored_functions_and_files_are_mended_too() {
    let stored = PhaseFunction {
        function: Function::Stored {
            object: "f/k".to_owned(),
            source: "function(v) {\n  for each (var x in v.values) return [x.data, nowhere];\n}"
                .to_owned(),
        },
        ..named("", None)
    };
    let error = map(&mut runtime(), &stored, input("x")).unwrap_err();
    assert_eq!(error.stack.unwrap(), "at <anonymous> (source of f/k:2:48)");
    let mut runtime = runtime();
    let text = "var shop = {};\nshop.total = function(v) v.values.map(function(x) x.data.length)\n\
                shop.fails = function(v) [v].map(function(x) x.values.sum(1))\n";
    let file = SourceFile { name: "shop.js".to_owned(), text: text.to_owned() };
    let library = Library { files: vec![file], complaints: Vec::new() };
    assert_eq!(runtime.set_library(library).unwrap(), [""; 0]);
    assert_eq!(map(&mut runtime, &named("shop.total", None), input("abc")).unwrap(), ["3"]);
    let error = map(&mut runtime, &named("shop.fails", None), input("abc")).unwrap_err();
    assert_eq!(error.message, "TypeError: x.values.sum is not a function");
    assert!(error.stack.unwrap().starts_with("at <anonymous> (shop.js:3:58)\n"));
}

#[test]
fn what_is_refused_says_what_to_write() {
    for (function, words, place) in [
        (
            "function(v) {\n  return [x for (x in v)];\n}",
            "write list.map(function (x) { … })",
            "at line 2, col 13",
        ),
        (
            "function(v) { return [x * 2 for each (x in v) if (x)]; }",
            "an array comprehension",
            "col 29",
        ),
        ("function(v) { return f(x for (x in v)); }", "a generator expression", "col 26"),
        (
            "function(v) {\n  yield 1;\n}",
            "write function* in the place of function",
            "at line 2, col 9",
        ),
        (
            "function(v) { var x = <a>{v.key}</a>; return [x]; }",
            "write the XML as a string",
            "col 23",
        ),
        ("function(v) { return [v..key]; }", "XML in the text of a program (E4X)", "col 26"),
        ("function(v) { var x = #1=[#1#]; return x; }", "a sharp variable (#1=)", "col 23"),
        ("function(v) { let (v = v) { return [v]; } }", "a let block", "col 27"),
        (
            "function(v) { var x = '4'; let (x = parseInt(x)) { return [x]; } }",
            "a let block",
            "col 50",
        ),
        (
            "function(v) { var x = '4'; let (y = 1, x = f(y, x, 1)) { return [x]; } }",
            "whose values use its own names",
            "col 56",
        ),
        ("function(v) { let ([k] = [v, [k]]) { return [k]; } }", "a let block", "col 36"),
        ("function(v) { let (k = `${k}`) { return [k]; } }", "a let block", "col 32"),
        ("function(v) { let (k = eval('k')) { return [k]; } }", "a let block", "col 35"),
        (
            "function(v) { return [let (x = 1) x + 1]; }",
            "declare the names before it, with let",
            "col 35",
        ),
        // What is mended before it moves nothing.
        ("function(v) { for each (k in v); var f = function(a) a, x = <b/>; }", "E4X", "col 61"),
    ] {
        let error = map(&mut runtime(), &source(function, None), input("x")).unwrap_err();
        assert_eq!(error.cause, FailureCause::Syntax, "{function}: {error:?}");
        assert!(error.message.contains(words), "{function}: {error:?}");
        assert!(error.message.ends_with(place), "{function}: {error:?}");
    }
    // What is wrong today as it was then keeps the parser's own words, and its place.
    says(
        "function(v) {\n  for each (var x in v) {}\n  return [;\n}",
        FailureCause::Syntax,
        "SyntaxError: unexpected token ';', primary expression at line 3, col 11",
        "",
    );
    says(
        "function(v) {\n  for each (x in v.values { return [x]; }\n}",
        FailureCause::Syntax,
        "SyntaxError: expected token ')', got '{' in for in/of statement at line 2, col 27",
        "",
    );
    for (function, message) in [
        (
            "v => [v.toSource()]",
            "TypeError: v.toSource is not a function, which was SpiderMonkey's own: write JSON.stringify(…)",
        ),
        (
            "v => [uneval(v)]",
            "ReferenceError: uneval is not defined: it was SpiderMonkey's own: write JSON.stringify",
        ),
        (
            "v => { for (var [k, x] in Iterator(v)) {} }",
            "TypeError: Iterator constructor requires 'new': the Iterator of old is no longer part of the language: write for (var [key, value] of Object.entries(object))",
        ),
    ] {
        let error = map(&mut runtime(), &source(function, None), input("x")).unwrap_err();
        assert_eq!(error.message, message, "{function}");
    }
}

#[test]
fn flags_beside_a_text() {
    is(
        "return ['a-b-c'.replace('-', ' ', 'g'), 'a.b.c'.replace('.', '[$&]', 'g')];",
        r#"["a b c","a[.]b[.]c"]"#,
    );
    is(
        "return ['aXbx'.replace('x', '', 'gi'), 'x/x'.replace('/', '\\\\', 'g')];",
        r#"["ab","x\\x"]"#,
    );
    is("return ['aba'.replace('a', function(m, at) { return m + at; }, 'g')];", r#"["a0ba2"]"#);
    is(r"return 'ab cd'.match('\\w+', 'g');", r#"["ab","cd"]"#);
    is(r"return 'ab cd'.match('\\w*', 'g');", r#"["ab","","cd",""]"#);
    is("return ['aB'.search('b', 'i'), 'aB'.search('b'), 'ab'.match('b').index];", "[1,-1,1]");
    is(
        r"return ['a/b/c'.replace(/\//g, '-'), 'a/b'.split(/\//), 'a/b'.match(/[/]\//g)];",
        r#"["a-b-c",["a","b"],null]"#,
    );
    is(
        r"return [/\/[/]/.source, RegExp('/[\/]').source, String(/\//), 'a//'.replace(RegExp(/\//.source, 'g'), '')];",
        r#"["\\/[/]","\\/[/]","/\\//","a"]"#,
    );
    // Without flags, and with an expression, everything is as ever.
    is(
        "return ['a.a'.replace('a', 'b'), 'a.a'.replace(/a/g, 'b', 'i'), 'aa'.replace('a', 'b', '')];",
        r#"["b.a","b.b","ba"]"#,
    );
    is(
        "return ['a'.replace({[Symbol.replace]: function(s, by) { return s + by + arguments.length; }}, 'b', 'g')];",
        r#"["ab2"]"#,
    );
    is(
        "return ['a1'.replace(1, 2, 'g'), 'null'.search(null, 'i'), [1, 2].reduce('ab'.replace.bind('ab', 'a'))];",
        r#"["a2",0,"1b"]"#,
    );
    // What cannot be flags is not looked at.
    is(
        "return ['xx'.replace('x', 'y', 'z'), 'aa'.replace('a', 'b', 'gg'), 'aa'.match('a', 'all').length, 'A'.search('a', 'gu')];",
        r#"["yx","ba",1,-1]"#,
    );
}

#[test]
fn the_last_match() {
    is(
        "return /(\\w)(\\w+)/.test('- abc;') ? [RegExp.$1, RegExp.$2, RegExp.$3] : [];",
        r#"["a","bc",""]"#,
    );
    is(
        "'- abc;'.match(/b/); return [RegExp.lastMatch, RegExp.leftContext, RegExp.rightContext, RegExp.input];",
        r#"["b","- a","c;","- abc;"]"#,
    );
    is(
        "'xyz'.replace(/(y)(z)?/g, ''); return [RegExp.$1, RegExp['$2'], RegExp['$&'], RegExp['$`'], RegExp.lastParen];",
        r#"["y","z","yz","x","z"]"#,
    );
    is("/(a)/.exec('a'); /(b)/.exec('a'); return [RegExp.$1];", r#"["a"]"#);
    is(
        "var m = /(a)(b)/.exec('ab'); m.shift(); RegExp.$1 = 'q'; return [RegExp.$1, RegExp.$_];",
        r#"["a","ab"]"#,
    );
    is(
        "'a,b'.split(/(,)/); 'c'.search(/(c)/); return [RegExp.$1, RegExp.multiline];",
        r#"["c",false]"#,
    );
    is("return [RegExp.$1, RegExp.lastMatch];", r#"["",""]"#);
    // A long text, through which searches go another way.
    is(
        "var t = 'a b '.repeat(1000) + 'key: v', r = /(k.y): (v)/g; r.test(t); return [RegExp.$1, RegExp.$2, r.lastIndex, RegExp.rightContext];",
        r#"["key","v",4006,""]"#,
    );
    // Nothing is there where no text asks for it.
    is("var R = RegExp; /(a)/.test('a'); return [R.$1];", "[null]");
}

#[test]
fn methods_as_functions() {
    is(
        "return [Array.map([1, 2], function(x) { return x + 1; }), Array.filter('abc', function(c) c > 'a')];",
        r#"[[2,3],["b","c"]]"#,
    );
    is("return Array.slice(arguments, 1);", r#"["undefined","none"]"#);
    is(
        "var a = [3, 1]; Array.push(a, 2); Array.sort(a); return [a, Array.join(a, '-'), Array.indexOf(a, 2)];",
        r#"[[1,2,3],"1-2-3",1]"#,
    );
    is(
        "return [Array.reduce([1, 2], function(a, b) { return a + b; }), Array.every([1], isFinite), Array.concat([1], 2)];",
        "[3,true,[1,2]]",
    );
    is(
        "return ['a b'].map(String.toUpperCase).concat(String.trim(' x '), String.split('a,b', ','), String.substr(12345, 1, 2));",
        r#"["A B","x","a","b","23"]"#,
    );
    is(
        "return [String.replace('a-a', '-', '+', 'g'), typeof Array.from, Array.map.length];",
        r#"["a+a","function",2]"#,
    );
    says(
        "v => Array.map(undefined, String)",
        FailureCause::Thrown,
        "TypeError: Array.map: the first argument is undefined",
        "at <anonymous> (source:1:15)",
    );
}

#[test]
fn too_much_recursion_is_caught() {
    is(
        "function g() { g(); } try { g(); } catch (e) { return [e.message, [1].map(function(x) { return x + 1; })]; }",
        r#"["too much recursion",[2]]"#,
    );
    is(
        "function f() { return g(); } function g() { return f(); } try { f(); } catch (e) { return ['' + e]; }",
        r#"["RangeError: too much recursion"]"#,
    );
    is(
        "var o = {walk: function(x) { 'use strict'\n return [x].map(o.walk); }}; try { o.walk(1); } catch (e) { return [1]; }",
        "[1]",
    );
    is("const g = x => { return g(x); }; try { g(); } catch (e) { return [1]; }", "[1]");
    is("try { (function() { arguments.callee(); })(); } catch (e) { return [1]; }", "[1]");
    is(
        "function f(n) { return n < 2 ? 1 : n * f(n - 1); } try { return [f(10)]; } catch (e) {}",
        "[3628800]",
    );
    is(
        "var t = function() { return u(); }, u = () => { return w.x(); }, w = {x() { t(); }}; try { t(); } catch (e) { return [1]; }",
        "[1]",
    );
    for (function, place) in [
        ("function f(v) { return f(v); }", "at f (source:1:25)"),
        ("function f(v) { try { return f(v); } finally { v = 0; } }", "at f (source:1:31)"),
        (
            "function f(v) { try { JSON.parse(1); } catch (e) {}\n  return f(v); }",
            "at f (source:1:16)",
        ),
    ] {
        says(
            function,
            FailureCause::Stack,
            "too much recursion: the calls nested too deeply",
            place,
        );
    }
}

#[test]
fn errors_name_what_they_are_about() {
    for (body, message) in [
        ("return v.values.foo(1);", "v.values.foo is not a function"),
        ("var a; a(v.key, [1].concat(2));", "a is not a function"),
        (
            "return [v.values[0].foo.map(1).x()];",
            "v.values[0].foo or v.values[0].foo.map(1) is null or undefined",
        ),
        (
            "return [JSON.parse(v.values[0].data).b.c];",
            "JSON.parse(v.values[0].data).b is null or undefined: it has no property c",
        ),
        (
            "return v.values[0]\n  .foo // of old\n  .bar;",
            "v.values[0].foo is null or undefined: it has no property bar",
        ),
        ("return [v['x']['y']];", "v['x'] is null or undefined: it has no property ['y']"),
        (
            "var i = 3; return [v.values[i].data];",
            "v.values[i] is null or undefined: it has no property data",
        ),
        ("v.x.y = 1;", "v.x is null or undefined: it has no property y"),
        ("v.x.y++;", "v.x is null or undefined: it has no property y"),
        ("delete v.x.y;", "v.x is null or undefined: it has no property y"),
        ("return [null.x];", "null has no property x"),
        ("(function() {})()(2);", "(function() {})() is not a function"),
        ("new v.Thing(1);", "v.Thing is not a constructor"),
        ("v.a.b(); v.c.d();", "v.a or v.c is null or undefined"),
        ("v.q.r = v.a.b();", "v.q or v.a is null or undefined"),
        ("JSON.stringify(v.x.y());", "v.x is null or undefined: it has no property y"),
        (
            "if (v.x.indexOf('a') >= 0) return [1];",
            "v.x is null or undefined: it has no property indexOf",
        ),
        // Where it cannot be told nothing is named.
        ("v.a?.b; for (var x of v.b) ; v.c.d();", "cannot convert 'null' or 'undefined' to object"),
        ("v.foo`x`;", "not a callable function"),
        ("Object.keys(v.x);", "cannot convert 'null' or 'undefined' to object"),
    ] {
        let function = source(&format!("function(v) {{\n{body}\n}}"), None);
        let error = map(&mut runtime(), &function, input("{}")).unwrap_err();
        assert_eq!(error.message, format!("TypeError: {message}"), "{body}");
    }
}

#[test]
fn each_of_several_failures_names_its_own() {
    let mut runtime = runtime();
    let both =
        source("function(v, k, a) { return v.values[0].data == 'x' ? v.foo(1) : v.bar(1); }", None);
    let other = source("function(v) { return v.other(1); }", None);
    for (function, body, name) in
        [(&both, "x", "foo"), (&both, "y", "bar"), (&other, "x", "other"), (&both, "x", "foo")]
    {
        let error = map(&mut runtime, function, input(body)).unwrap_err();
        assert_eq!(error.message, format!("TypeError: v.{name} is not a function"));
    }
}

#[test]
fn parts_of_matches_that_would_fill_the_memory() {
    says(
        "function(v) {\n  return ['ab '.repeat(20000).replace(/b/g, '$`$`')];\n}",
        FailureCause::Thrown,
        "RangeError: replace: the text would have more than 67108864 characters",
        "at <anonymous> (source:2:38)",
    );
}

/// Functions in the manner of those that people wrote for Riak.
#[test]
fn functions_of_old() {
    for (body, expected) in [
        (
            "var m = 'The rat, the Cat'.toLowerCase().match('\\\\w*', 'g'); var c = []; for (var i in m) if (m[i] != '') { var o = {}; o[m[i]] = 1; c.push(o); } return c;",
            r#"[{"the":1},{"rat":1},{"the":1},{"cat":1}]"#,
        ),
        (
            "return v.values.map(function(x) { return x.data.length; }).filter(function(x) x > 0);",
            "[19]",
        ),
        ("with (JSON.parse(v.values[0].data)) { return [a, b.length]; }", "[1,3]"),
        ("<!-- hidden\nreturn [1];\n--> end\n", "[1]"),
        (
            "var int = 1, char = 2, goto = 3, native = 4; return [int, char, goto, native];",
            "[1,2,3,4]",
        ),
        (
            "var o = {}; o.__defineGetter__('x', function() 5); return [o.x, o.__lookupGetter__('x') != null];",
            "[5,true]",
        ),
        (
            "var o = {get a() { return 3; }, set a(x) {}, class: 1, if: 2}; return [o.a, o.class, o.if];",
            "[3,1,2]",
        ),
        (
            "return [escape('ü b'), unescape('%u00fc%20'), ' x '.trimLeft(), arguments.callee.length];",
            "[\"%FC%20b\",\"ü \",\"x \",1]",
        ),
        (
            "for (var i = 0 in {a: 1}) ; if (true) function f() { return 1; } return [i, f()];",
            r#"["a",1]"#,
        ),
        (
            "var [a, b] = [1, 2]; [a, b] = [b, a]; var {key, bucket: n} = v; return [a, b, key, n];",
            r#"[2,1,"k","b"]"#,
        ),
        (
            "return [/{/.test('{'), /a{,3}/.test('a{,3}'), /]/.test(']'), /[\\w-x]/.test('-'), /\\c/.test('\\\\c')];",
            "[true,true,true,true,true]",
        ),
        (
            "return [parseInt('08'), parseInt('010'), JSON.stringify(new Date(0))];",
            r#"[8,10,"\"1970-01-01T00:00:00.000Z\""]"#,
        ),
    ] {
        is(body, expected);
    }
}
