use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn yaml(text: &str, expect: &Value) {
    match Tree::read(text, Syntax::Yaml) {
        Ok(tree) => assert_eq!(&tree.value, expect, "{text}"),
        Err(mistakes) => panic!("{text}\n{mistakes}"),
    }
}

#[track_caller]
fn wrong(text: &str, syntax: Syntax, line: usize, column: usize, said: &str) {
    let mistakes = Tree::read(text, syntax).expect_err(text);
    let first = &mistakes.all()[0];
    assert_eq!((first.place.line, first.place.column), (line, column), "{text}\n{mistakes}");
    assert!(first.message.contains(said), "{mistakes}");
}

#[test]
fn scalars_mean_what_the_core_schema_says() {
    yaml("[~, null, \"\", '']", &json!([null, null, "", ""]));
    yaml("[true, False, yes, no, on, 'true']", &json!([true, false, "yes", "no", "on", "true"]));
    yaml("[0, -1, +1, 007, 0o17, 0xff]", &json!([0, -1, 1, 7, 15, 255]));
    yaml("[18446744073709551615, 1_000, 0b1]", &json!([u64::MAX, "1_000", "0b1"]));
    yaml("[1.5, -.5, 1., 1e3, 1e, e3, .]", &json!([1.5, -0.5, 1.0, 1000.0, "1e", "e3", "."]));
    yaml(
        "[+-5, 0x-1, 1:30, 2024-01-05, inf, nan]",
        &json!(["+-5", "0x-1", "1:30", "2024-01-05", "inf", "nan"]),
    );
    yaml("[!!str 1, !!int 1, !!float 1]", &json!(["1", 1, 1]));
    yaml("'1': !!seq [a]\n1.5: x\ntrue: y\n", &json!({"1": ["a"], "1.5": "x", "true": "y"}));
    yaml("a: |\n  x\n   y\n\nb: >-\n  x\n  y\n", &json!({"a": "x\n y\n", "b": "x y"}));
    yaml("a: &x [1]\nb: *x\nc: {d: *x}\n", &json!({"a": [1], "b": [1], "c": {"d": [1]}}));
    yaml("\t[a,\n\tb]\n", &json!(["a", "b"]));
    yaml("\u{feff}--- # comment\na: 'it''s'\n...\n", &json!({"a": "it's"}));
}

#[test]
fn broken_yaml_is_told_with_its_place() {
    let yaml = Syntax::Yaml;
    wrong("", yaml, 1, 1, "empty");
    wrong("# nothing\n", yaml, 1, 1, "empty");
    wrong("a: 1\n---\nb: 2\n", yaml, 2, 1, "second document");
    wrong("a: 1\nb: 2\na: 3\n", yaml, 3, 1, "twice");
    wrong("a: [1, .nan]\n", yaml, 1, 8, "no number");
    wrong("a: !ruby x\n", yaml, 1, 4, "tag");
    wrong("a: !!binary aGk=\n", yaml, 1, 4, "tag");
    wrong("? [a]\n: 1\n", yaml, 1, 3, "text");
    wrong("a: {<<: 1}\n", yaml, 1, 5, "merge");
    wrong("\ta: 1\n", yaml, 1, 2, "a tab stands before it");
    wrong("# x\n---\n \t- a\n", yaml, 3, 3, "a tab stands before it");
    wrong("a:\n\tb: 1\n", yaml, 2, 2, "tabs disallowed");
    assert!(Tree::read("a: [1\nb: 2\n", yaml).is_err());
    assert!(Tree::read("a: *x\n", yaml).is_err());
    assert!(Tree::read("a: &x [*x]\n", yaml).is_err());
}

#[test]
fn aliases_count_as_often_as_they_are_used() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..10 {
        let before = format!("*a{}", n - 1);
        let list = vec![before; 9].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    let mistakes = Tree::read(&text, Syntax::Yaml).unwrap_err();
    assert!(mistakes.to_string().contains("more than 200000 values"), "{mistakes}");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 20].join(", "));
    let mistakes = Tree::read(&long, Syntax::Yaml).unwrap_err();
    assert!(mistakes.to_string().contains("bytes"), "{mistakes}");
    let deep = format!("{}{}", "[".repeat(102), "]".repeat(102));
    let mistakes = Tree::read(&deep, Syntax::Yaml).unwrap_err();
    assert!(mistakes.to_string().contains("deeper"), "{mistakes}");
}

#[test]
fn toml_is_the_same_tree() {
    let text = "a = 1\nb = [1.5, true, 'x']\nd = 2024-01-05T00:00:00Z\n[[jobs]]\nname = \"é\"\n\
        h = 0xff\n[jobs.job]\ninputs = {bucket = \"b\"}\n";
    let tree = Tree::read(text, Syntax::Toml).unwrap();
    let expect = json!({
        "a": 1, "b": [1.5, true, "x"], "d": "2024-01-05T00:00:00Z",
        "jobs": [{"name": "é", "h": 255, "job": {"inputs": {"bucket": "b"}}}]
    });
    assert_eq!(tree.value, expect);
    assert_eq!(tree.place("jobs[0].job.inputs.bucket"), Place { line: 8, column: 11 });
    assert_eq!(tree.place("jobs[0].job.query"), Place { line: 7, column: 7 });
    wrong("a = 1\na = 2\n", Syntax::Toml, 2, 1, "TOML");
    wrong("a = nan\n", Syntax::Toml, 1, 5, "no number");
    wrong("a = 1\nb = =\n", Syntax::Toml, 2, 5, "TOML");
}

#[test]
fn members_are_found_in_the_file() {
    let text = "jobs:\n  - name: x\n    job:\n      inputs: {bucket: b}\n  - name: y\n";
    let tree = Tree::read(text, Syntax::Yaml).unwrap();
    for (field, line, column) in [
        ("jobs", 1, 1),
        ("jobs[0]", 2, 5),
        ("jobs[0].name", 2, 5),
        ("jobs[0].job.inputs.bucket", 4, 16),
        ("jobs[0].job.query[1].map", 3, 5),
        ("jobs[1].job", 5, 5),
        ("elsewhere", 1, 1),
    ] {
        assert_eq!(tree.place(field), Place { line, column }, "{field}");
    }
}

/// Documents that are written oddly, on which another parser of YAML agrees.
const ODD: [&str; 27] = [
    "a: b: c",
    "\ta: 1\n",
    "---\n \t- a\n",
    "a:\n\tb: 1\n",
    "- - - x\n  - y\n",
    "{a: 1, b: {c: [1, 2, {d: e}]}}",
    "{\"a\":1,\"b\":[true,null]}",
    "{a: \"x\\\n  y\"}",
    "a:\n- 1\n- 2\nb:\n  - 3\n",
    "? a\n: b\n? c\n",
    "a: # comment\n  b\n",
    "a: x#y\nb: 'x # y'\n",
    "a: |2\n    x\n   y\n",
    "a: |+\n  x\n\n\nb: |-\n  y\n\n",
    "a: >\n  x\n  y\n\n  z\n   w\n",
    "a: \"\\u00e9\\n\\t\\x41\"\n",
    "a: 'x\n\n  y'\n",
    "a: x\n  y\n  z\n",
    "[a, b, ]",
    "[{a: 1}, b: 2]",
    "a: -\n",
    "a: &x b\nc: *x\n",
    "%YAML 1.2\n---\na: 1\n",
    "a: [\n  1,\n  2\n]\n",
    "- {name: min_age, type: integer, default: 0}\n- {name: f, default: [[\"a\", \"=\", true]]}\n",
    "a: \"${x}\"\nb: ${y}\nc: function(v){ return [1]; }\n",
    "a:\n  source: |\n    function(v) {\n      emit(v.key, `- ${v.key}: x`);\n    }\nb: 1\n",
];

const ORACLE: &str = "import sys, json\nimport yaml\n\
    try:\n print(json.dumps(yaml.safe_load(sys.stdin.buffer.read().decode())))\n\
    except yaml.YAMLError: print('refused')\n";

#[test]
fn odd_yaml_is_read_as_elsewhere() {
    let python = |text: &str| {
        let mut child = Command::new("python3")
            .args(["-c", ORACLE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        child.stdin.take()?.write_all(text.as_bytes()).ok()?;
        let output = child.wait_with_output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    for text in ODD {
        let Some(said) = python(text) else {
            eprintln!("skipped: python3 has no yaml");
            return;
        };
        let ours = Tree::read(text, Syntax::Yaml);
        match (said.trim(), ours) {
            ("refused", ours) => assert!(ours.is_err(), "{text}: {ours:?}"),
            (json, Ok(tree)) => {
                assert_eq!(tree.value, serde_json::from_str::<Value>(json).unwrap(), "{text}");
            }
            (json, Err(mistakes)) => panic!("{text}: {json}, but {mistakes}"),
        }
    }
}
