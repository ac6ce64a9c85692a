#!/usr/bin/env bash
# saphyr-parser: a tab before the first key, or the first dash, of a document is taken for indentation. YAML
# 1.2 has none but spaces there (rule 63, s-indent), and other parsers refuse such a document.
#
# A small program prints what it makes of documents. Needs cargo and access to the crates. Takes
# some seconds.
#
# Ends with 0 while saphyr-parser behaves so, and with another status when that changes.
set -euo pipefail

SAPHYR_PARSER=0.3.4

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<END
[package]
name = "tabs"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
saphyr-parser = { version = "=$SAPHYR_PARSER", default-features = false }

[workspace]
END

cat >"$folder/src/main.rs" <<'END'
//! Prints what documents hold, or what is wrong with them.

use saphyr_parser::{Event, Parser};

fn main() {
    for text in ["\ta: 1\n", " \ta: 1\n", "---\n\ta: 1\n", "\t- a\n", "\ta: 1\nb: 2\n", "a:\n\tb: 1\n"] {
        let mut found = Vec::new();
        for event in Parser::new_from_str(text) {
            match event {
                Ok((Event::Scalar(value, ..), _)) => found.push(value.into_owned()),
                Ok((Event::MappingStart(..), _)) => found.push("{".to_owned()),
                Ok((Event::MappingEnd, _)) => found.push("}".to_owned()),
                Ok((Event::SequenceStart(..), _)) => found.push("[".to_owned()),
                Ok((Event::SequenceEnd, _)) => found.push("]".to_owned()),
                Ok(_) => {}
                Err(error) => {
                    found.push(format!("error: {}", error.info()));
                    break;
                }
            }
        }
        println!("{text:?}: {}", found.join(" "));
    }
}
END

found=$(cd "$folder" && cargo run --quiet)

# Seen with saphyr-parser 0.3.4. PyYAML 6.0.3, by its own scanner and by libyaml, and yaml 2.9.1 and js-yaml
# 4.3.2 of npm refuse all of these.
expected='"\ta: 1\n": { a 1 }
" \ta: 1\n": { a 1 }
"---\n\ta: 1\n": { a 1 }
"\t- a\n": [ a ]
"\ta: 1\nb: 2\n": { a 1 } error: did not find expected <document start>
"a:\n\tb: 1\n": { a error: tabs disallowed within this context (block indentation)'

# Why: tabs are looked for where a block is within another, as in the last document, and the outermost is
# within none. The tab counts as one column, so that a key in the first column, as in the last but one, ends the mapping.
#
# Why it matters: a file that one program takes and all others refuse. A document of one key, as many
# configurations are, shows nothing of it. mapring looks at what stands before the outermost block itself.
printf '%s\n' "saphyr-parser $SAPHYR_PARSER:" "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
