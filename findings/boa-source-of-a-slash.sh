#!/usr/bin/env bash
# boa: the source of a regular expression that has an escaped slash is the source of another one, which
# matches other texts. new RegExp(r.source) is not r, and no error says so.
#
# A small program evaluates a few expressions and their sources. Needs cargo (1.91 or later) and access
# to the crates. Takes a minute or two, nearly all of it for the build.
#
# Ends with 0 while boa behaves so, and with another status when that changes.
set -euo pipefail

BOA=0.22.0

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<END
[package]
name = "source"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
boa_engine = { version = "=$BOA", default-features = false }

[profile.dev]
debug = false

[workspace]
END

cat >"$folder/src/main.rs" <<'END'
//! Prints sources of expressions, and whether what is made of them matches what these match.

use boa_engine::{Context, Source};

const SCRIPT: &str = r#"
[[/a\/b/, 'a/b'], [/[/]/, '/'], [new RegExp('a/b'), 'a/b'], [/^https?:\/\//, 'http://x']]
    .map(function (row) {
        var again = new RegExp(row[0].source);
        return row[0].source + ' ' + row[0].test(row[1]) + ' ' + again.test(row[1]);
    })
    .join('\n')
"#;

fn main() {
    let mut context = Context::default();
    let value = context.eval(Source::from_bytes(SCRIPT)).expect("the script runs");
    println!("{}", value.as_string().expect("it gives a string").to_std_string_lossy());
}
END

found=$(cd "$folder" && cargo run --quiet)

# Seen with boa_engine 0.22.0: source, whether the expression matches, whether its source does.
expected='a\\/b true false
[\/] true true
a\/b true true
^https?:\\/\\/ true false'

# ECMAScript (EscapeRegExpPattern) escapes a slash that would end a literal, and V8 leaves one that is
# escaped already as it is: Node 20.20.2 says true in all places.
#
# Why it matters: libraries put expressions together from the sources of others (routers, tokenisers,
# polyfills of flags, wrappers that add `g`). Under boa what they build never matches where there is a slash,
# as in every address of the web. mapring's own matcher, which starts from the source, undoes it, and
# gives functions the right one.
printf '%s\n' "boa_engine $BOA:" "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
