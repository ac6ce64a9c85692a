use std::hint::black_box;
use std::time::Instant;

use super::*;

/// Prints what typical pipelines take for a key. To be run by itself, with optimisation:
/// `cargo test --release -p mapring-mapred filters::tests::speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn nanoseconds_a_key() {
    const KEYS: usize = 100_000;
    let key = |i| format!("sensor-{:03}-20{:02}-{:02}-reading{i:06}", i % 500, i % 30, i % 12 + 1);
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    for filters in [
        r#"[["starts_with","sensor-12"]]"#,
        r#"[["eq","sensor-001-2001-02-reading000001"]]"#,
        r#"[["tokenize","-",3],["string_to_int"],["between",2009,2012]]"#,
        r#"[["matches","^sensor-\\d+-2009-.*[02468]$"]]"#,
        r#"[["matches","^sensor-(?!000)\\d+-2009"]]"#,
        r#"[["or",[["starts_with","a"]],[["ends_with","b"]],[["starts_with","sensor-4"]]]]"#,
        r#"[["to_lower"],["matches","reading"]]"#,
        r#"[["tokenize","-",2],["set_member","001","020","300"]]"#,
        r#"[["similar_to","sensor-001-2001-02-reading000001",3]]"#,
    ] {
        let compiled = parsed(filters).compile().unwrap();
        let turn = || {
            let start = Instant::now();
            let kept = keys.iter().filter(|key| compiled.keeps(key.as_bytes()).unwrap()).count();
            black_box(kept);
            start.elapsed().as_nanos() / u128::try_from(KEYS).unwrap()
        };
        let best = (0..9).map(|_| turn()).min().unwrap_or_default();
        println!("{best:6} ns  {filters}");
    }
}
