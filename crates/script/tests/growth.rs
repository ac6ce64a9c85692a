//! What a function does with a large list or text takes time that grows with its length, not with
//! the square of it, but for what is named here.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::{Runtime as _, ScriptLimits};

/// Loops over `n` pieces, and an `n` with which a square of it takes long past [`FLOOR`].
const LOOPS: &[(&str, usize, &str)] = &[
    ("split(' ')", 100_000, "'word '.repeat(n).split(' ').length"),
    ("split(' ') of a wide text", 100_000, "'w\\u65e5rd '.repeat(n).split(' ').length"),
    ("split('\\n') of lines", 20_000, "'a line of some words\\n'.repeat(n).split('\\n').length"),
    (
        "indexOf from where the last was",
        20_000,
        "(function (t, at, n) { while ((at = t.indexOf('word', at + 1)) >= 0) { n++; } return n; })
           ('a word of it '.repeat(n), -1, 0)",
    ),
    (
        "indexOf in a wide text",
        20_000,
        "(function (t, at, n) { while ((at = t.indexOf('word', at + 1)) >= 0) { n++; } return n; })
           ('\\u65e5 word of it '.repeat(n), -1, 0)",
    ),
    (
        "lastIndexOf",
        20_000,
        "(function (t, at, n) { while ((at = t.lastIndexOf('word', at - 1)) > 0) { n++; } return n; })
           (' word of it '.repeat(n), Infinity, 0)",
    ),
    ("split(' ') with a limit", 100_000, "'word '.repeat(n).split(' ', n - 1).length"),
    ("split(/ /) with a limit", 200_000, "'word '.repeat(n).split(/ /, n - 1).length"),
    ("replace with a part of the match", 40_000, "'a b '.repeat(n).replace(/(a) b/g, '<$1>').length"),
    (
        "exec in a loop",
        60_000,
        "(function (r, t, n, m) { while ((m = r.exec(t))) { n += m.index ? 1 : 0; } return n; })
           (/w(o)rd/g, ' word of'.repeat(n), 0)",
    ),
    (
        "test in a loop over a text that is not ASCII",
        60_000,
        "(function (r, t, n) { while (r.test(t)) { n++; } return n; })
           (/\\w+/g, '\\u00fc word '.repeat(n), 0)",
    ),
    (
        "shift",
        50_000,
        "(function (a, n) { while (a.length) { n += a.shift() ? 1 : 0; } return n; })(list(), 0)",
    ),
    (
        "push and pop",
        50_000,
        "(function (a, n) { while (a.length) { n += a.pop() ? 1 : 0; } return n; })(list(), 0)",
    ),
    ("join", 50_000, "list().join(' ').length"),
    ("reverse", 50_000, "list().reverse().length"),
    ("sort", 20_000, "list().sort().length"),
    ("sort by a comparator", 20_000, "list().sort(function (x, y) { return x > y; }).length"),
    (
        "sort of what is in order by true",
        20_000,
        "list().sort(function () { return true; }).length",
    ),
    (
        "for in and o[k]",
        20_000,
        "(function (o, n) { list().forEach(function (k) { o['k' + k] = k; });
           for (var k in o) { n += k in o ? 1 : 0; o[k] += 1; } return n; })({}, 0)",
    ),
];

/// Less time than this says nothing, whatever the machine does beside.
const FLOOR: Duration = Duration::from_millis(300);

#[test]
fn loops_do_not_grow_with_the_square() {
    on_large_stack(|| {
        let mut runtime = JsRuntime::new(ScriptLimits::default());
        for (name, n, body) in LOOPS {
            let mut time = |n: usize| {
                let function = format!(
                    "function () {{ var n = {n}, list = function () {{ var a = [];
                       for (var i = 0; i < n; i++) {{ a.push(i * 7919 % n); }} return a; }};
                     return [{body}]; }}"
                );
                let began = Instant::now();
                runtime.map(1, &source(&function, None), vec![input("")]).unwrap();
                began.elapsed()
            };
            // Four times as much takes sixteen times as long when it goes by the square. The machine
            // may have been busy with something else, but not each time.
            let mut tries = (0..5).map(|_| (time(n / 4), time(*n)));
            let grows = |(small, large): (Duration, Duration)| large >= (small * 10).max(FLOOR);
            assert!(!tries.all(grows), "{name}: {n} took too long each time");
        }
    });
}

/// Loops that do go by the square: a text that grows is copied with each piece, a list is moved with
/// each item that comes before it, and an object's table of names with each one that is deleted. What
/// they take at most for as many as people have.
const SQUARES: &[(&str, Duration, &str)] = &[
    (
        "+= of 80,000 pieces",
        Duration::from_secs(30),
        "(function (t) { for (var i = 0; i < 80000; i++) { t += 'a word '; } return t.length; })('')",
    ),
    (
        "unshift of 5,000 items",
        Duration::from_secs(30),
        "(function (a) { for (var i = 0; i < 5000; i++) { a.unshift(i); } return a.length; })([])",
    ),
    (
        "delete of 2,000 names of an object read as JSON",
        Duration::from_secs(30),
        "(function (o, n) { for (var k in o) { delete o[k]; n++; } return n; })
           (JSON.parse('{' + new Array(2000).fill(0).map(function (_, i) {
             return '\"k' + i + '\":' + i; }).join() + '}'), 0)",
    ),
];

#[test]
fn loops_that_grow_with_the_square_end() {
    on_large_stack(|| {
        let mut runtime = JsRuntime::new(ScriptLimits::default());
        for (name, most, body) in SQUARES {
            let function = format!("function () {{ return [{body}]; }}");
            let began = Instant::now();
            runtime.map(1, &source(&function, None), vec![input("")]).unwrap();
            let took = began.elapsed();
            assert!(took < *most, "{name}: {took:?}");
        }
    });
}

#[test]
fn lists_that_arrays_had_before_do_not_fill_the_memory() {
    on_large_stack(|| {
        let mut runtime = JsRuntime::new(ScriptLimits::default());
        // A gigabyte of lists, were they all kept.
        let function = "function () { var a = new Array(100000).fill(0);
            for (var i = 0; i < 600; i++) { a.unshift(a.splice(99999, 1)[0]); } return [a.length]; }";
        let results = runtime.map(1, &source(function, None), vec![input("")]).unwrap();
        assert_eq!(results[0][0].text(), "100000");
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 500_000, "{peak} kB");
    });
}
