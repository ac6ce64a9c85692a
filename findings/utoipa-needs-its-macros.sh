#!/usr/bin/env bash
# utoipa: its feature "macros" is on by default, as one that can be turned off, but without it the crate
# does not compile: not even for who wants no more than the types that make up a document.
#
# A small program builds a document by hand, with no macro; it is run with the feature and without. Needs
# cargo (1.88 or later) and access to the crates. Takes a minute.
#
# Ends with 0 while utoipa behaves so, and with another status when that changes.
set -euo pipefail

# The crate and that of its macros.
VERSIONS=('5.4.0 5.4.0' '6.0.0 6.0.1')

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/src/main.rs" <<'END'
//! Prints a document without paths.

use utoipa::openapi::{InfoBuilder, OpenApiBuilder};

fn main() {
    let info = InfoBuilder::new().title("keys").version("1").build();
    println!("{}", OpenApiBuilder::new().info(info).build().to_json().expect("it is JSON"));
}
END

# Runs the program with what is given to cargo; says what came of it.
try() {
  local out
  if out=$(cd "$folder" && cargo run --quiet "$@" 2>"$folder/errors"); then
    printf '%s\n' "$out"
  elif grep -q '^error: could not compile `utoipa` (lib)' "$folder/errors"; then
    echo "does not compile: $(grep -o '^error\[E[0-9]*\]' "$folder/errors" | sort -u | xargs)"
  else
    cat "$folder/errors" >&2
    echo 'fails in another way'
  fi
}

found=$(
  for version in "${VERSIONS[@]}"; do
    read -r utoipa macros <<<"$version"
    rm -f "$folder/Cargo.lock"
    cat >"$folder/Cargo.toml" <<END
[package]
name = "document"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
utoipa = { version = "=$utoipa", default-features = false }
utoipa-gen = { version = "=$macros", optional = true }

[features]
macros = ["utoipa/macros", "dep:utoipa-gen"]

[profile.dev]
debug = false

[workspace]
END
    echo "utoipa $utoipa"
    echo "  without: $(try)"
    echo "  macros:  $(try --features macros)"
  done
)

# Seen with rustc 1.95.0.
expected='utoipa 5.4.0
  without: does not compile: error[E0277] error[E0433]
  macros:  {"openapi":"3.1.0","info":{"title":"keys","version":"1"},"paths":{}}
utoipa 6.0.0
  without: does not compile: error[E0277] error[E0433]
  macros:  {"openapi":"3.1.0","info":{"title":"keys","version":"1"},"paths":{}}'

# Why: what implements PartialSchema for numbers and texts uses a macro of the other crate, and is left out
# with it; what implements ToSchema for them, which asks for PartialSchema, stays. Other places name
# types by a path that is only there with the feature.
#
# Why it matters: the feature was added so that crates that only need the types build faster. To turn
# default features off and choose by hand is a common rule, and here it ends in errors within somebody
# else's crate. In a workspace nothing of it shows while any other member has the feature on, as
# cargo joins features, until the crate is built alone. mapring, which has that rule, names the
# feature.
printf '%s\n' "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
