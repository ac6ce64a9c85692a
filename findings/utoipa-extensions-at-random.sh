#!/usr/bin/env bash
# utoipa: the text of an OpenAPI document with members of its own (`x-...`) is another in every run, and
# for two equal documents of one run, also with the features preserve_order and preserve_path_order.
#
# A small program makes one document twice and prints both; it is run several times, with and without the
# features. Needs cargo (1.88 or later) and access to the crates. Takes a minute, nearly all of it for the
# build.
#
# Ends with 0 while utoipa behaves so, and with another status when that changes.
set -euo pipefail

UTOIPA=6.0.0

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<END
[package]
name = "members"
version = "0.0.0"
edition = "2024"
publish = false

[features]
order = ["utoipa/preserve_order", "utoipa/preserve_path_order"]

[dependencies]
serde_json = "=1.0.154"
utoipa = { version = "=$UTOIPA", default-features = false, features = ["macros"] }
utoipa-gen = "=6.0.1"

[profile.dev]
debug = false

[workspace]
END

cat >"$folder/src/main.rs" <<'END'
//! Prints the order of members and of properties in two documents that are made alike, and whether the
//! documents are equal.

use serde_json::{Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder};

const NAMES: [&str; 8] = ["h", "b", "g", "a", "f", "c", "e", "d"];

fn document() -> OpenApi {
    let mut members = ExtensionsBuilder::new();
    let mut object = ObjectBuilder::new();
    for name in NAMES {
        members = members.add(format!("x-{name}"), true);
        object = object.property(format!("property-{name}"), ObjectBuilder::new());
    }
    let components = ComponentsBuilder::new().schema("all", object);
    let info = InfoBuilder::new().title("members").version("1");
    let mut document =
        OpenApiBuilder::new().info(info).components(Some(components.build())).build();
    document.extensions = Some(members.build());
    document
}

/// The names in a text, in its order, that begin with `start`, without it.
fn order(text: &str, start: &str) -> String {
    let start = format!("\"{start}");
    let parts = text.split(&start).skip(1);
    parts.filter_map(|part| part.split('"').next()).collect()
}

fn main() {
    let (first, second) = (document(), document());
    println!("equal: {}", first == second);
    for document in [&first, &second] {
        let text = document.to_json().expect("a text");
        println!("properties: {}", order(&text, "property-"));
        println!("members: {}", order(&text, "x-"));
        let value: Value = json!(document);
        println!("members of the value: {}", order(&value.to_string(), "x-"));
    }
}
END

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$folder/target}
runs=6
# What the documents of all runs are like; $@: what cargo is told.
all() {
  (cd "$folder" && cargo build --quiet "$@") || return
  for ((run = 0; run < runs; run++)); do
    "$CARGO_TARGET_DIR/debug/members" || return
  done
}

# Each line with how often it was there, but for the members: how many orders these had.
told() {
  grep -v '^members: ' <<<"$1" | sort | uniq -c | sed 's/^ *//'
  local orders
  orders=$(grep '^members: ' <<<"$1" | sort -u | wc -l)
  ((orders > 1)) && echo "members: in several orders" || echo "members: in one order"
}

plain=$(all)
ordered=$(all --features order)
found="without features:
$(told "$plain")
with preserve_order and preserve_path_order:
$(told "$ordered")"

# Seen with utoipa 6.0.0: two documents in each of six runs.
expected='without features:
6 equal: true
12 members of the value: abcdefgh
12 properties: abcdefgh
members: in several orders
with preserve_order and preserve_path_order:
6 equal: true
12 members of the value: abcdefgh
12 properties: hbgafced
members: in several orders'

# Why: extensions are a HashMap of the standard library, seeded by chance, and written as it gives them.
# Properties, as paths, are a BTreeMap, or with the features an IndexMap.
#
# Why it matters: a document that is kept in a repository, or a client made from it, differs at each build
# that writes it, and an ETag made of the text differs from node to node, and on one after each restart.
# mapring's /openapi.json has such an ETag, and is the same everywhere only as no part of it has more than
# one such member. Who needs more can write the document as a serde_json::Value, which puts the names in order
# unless something turns serde_json's preserve_order on.
printf '%s\n' "utoipa $UTOIPA:" "$found" "" "orders of the members with the features:"
sed -n 's/^members: /  /p' <<<"$ordered"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
