#!/usr/bin/env bash
# The shortest text of a floating point number: Rust's standard library and ECMAScript disagree in the
# last digit where two texts of the same length are equally near. serde_json (by the crate zmij) sides
# with ECMAScript. All read back as the same number, so that no test that goes there
# and back shows it.
#
# A small program prints a number by each. Needs cargo (1.85 or later) and access to the crates; takes some
# seconds.
#
# Ends with 0 while they behave so, and with another status when that changes.
set -euo pipefail

SERDE_JSON=1.0.154
RYU_JS=1.0.3
ZMIJ=1.0.23

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<END
[package]
name = "digits"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
serde_json = "=$SERDE_JSON"
ryu-js = "=$RYU_JS"
zmij = "=$ZMIJ"

[profile.dev]
debug = false

[workspace]
END

cat >"$folder/src/main.rs" <<'END'
//! Prints numbers that lie half way between two texts of 17 digits.

fn main() {
    for number in [1454103498253971.25f64, 1454103498253971.75] {
        let std = number.to_string();
        let json = serde_json::to_string(&number).expect("a number");
        let js = ryu_js::Buffer::new().format(number).to_owned();
        assert!([&std, &json, &js].iter().all(|text| text.parse::<f64>() == Ok(number)));
        println!("std {std}, serde_json {json}, ryu-js {js}");
    }
}
END

found=$(cd "$folder" && cargo run --quiet)

# Seen with rustc 1.95.0, serde_json 1.0.154 (zmij 1.0.23), ryu-js 1.0.3. Node 20.20.2 prints what ryu-js does.
expected='std 1454103498253971.3, serde_json 1454103498253971.2, ryu-js 1454103498253971.2
std 1454103498253971.8, serde_json 1454103498253971.8, ryu-js 1454103498253971.8'

# Why: ECMAScript (Number::toString) leaves open which of two equally near texts it is but advises the
# even one, and engines take it. The standard library takes the upper one.
#
# Why it matters: JSON that is compared, hashed or signed as text. RFC 8785 (canonical JSON) wants the
# digits of ECMAScript, and has such a number among its examples: a program that writes numbers by `{}`
# passes every test of numbers that come back, and now and then a signature does not verify. mapring
# writes what JavaScript functions give by ryu-js.
printf '%s\n' "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
