#!/usr/bin/env bash
# boa: setting the length of an array works the first time that a place of a program is run. From the
# second time on the number is stored and nothing else happens: items that should be gone are still
# there.
#
# A small program runs the same few functions three times each. Needs cargo (1.91 or later) and access
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
name = "length"
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
//! Prints what functions that set a length leave of `[1, 2, 3]`.

use boa_engine::{Context, Source};

const SCRIPT: &str = r#"
function thrice(name, f) {
    return name + ': ' + [f([1, 2, 3]), f([1, 2, 3]), f([1, 2, 3])].join(' ');
}
[
    thrice('by name', function (list) { list.length = 1; return Object.keys(list).length; }),
    thrice('computed', function (list) { list['length'] = 1; return Object.keys(list).length; })
].join('\n')
"#;

fn main() {
    let mut context = Context::default();
    let value = context.eval(Source::from_bytes(SCRIPT)).expect("the script runs");
    println!("{}", value.as_string().expect("it gives a string").to_std_string_lossy());
}
END

found=$(cd "$folder" && cargo run --quiet)

# Seen with boa_engine 0.22.0. Node 20.20.2 says 1 in all places.
expected='by name: 1 3 3
computed: 1 1 1'

# Why: an access by name remembers the object's shape and where the property lies, and then stores
# there directly. `length` of an array is such a property, but setting it is more than a store.
#
# Why it matters: `buffer.length = 0` before filling a list anew is common, and tests that run a function
# once do not see it. Sums and lists then hold what was there before. By a computed name it is right:
# mapring puts `["length"]` in the place of `.length` where it is set.
printf '%s\n' "boa_engine $BOA:" "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
