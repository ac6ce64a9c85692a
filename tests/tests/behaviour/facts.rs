//! Facts of Riak's interface: what the code cites is there, and what is there is cited.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mapring_tests::harness::root;

/// The document that states the facts, each in a line that begins as [`STATED`] does.
const DOCUMENT: &str = "docs/compatibility.md";

/// How a fact begins.
const STATED: &str = "* **R";

/// Files that cite facts, by their ends.
const ENDS: [&str; 2] = ["rs", "js"];

/// A section sign: of documents that are not here, as a rule.
const SECTION: char = '\u{a7}';

/// The numbers of all facts, in the order of the document.
fn stated() -> Vec<u32> {
    let text = fs::read_to_string(root().join(DOCUMENT)).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(STATED));
    lines.map(|line| line.split_once("** ").unwrap().0.parse().unwrap()).collect()
}

/// All sources of the crates and their tests.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|end| ENDS.iter().any(|known| end == *known)) {
                let text = fs::read_to_string(&path).unwrap();
                into.push((path, text));
            }
        }
    }
    let mut files = Vec::new();
    collect(&root().join("crates"), &mut files);
    collect(&root().join("tests"), &mut files);
    files
}

/// The number of a fact, if the word is one's name.
fn number(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('R')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// What a source cites: facts alone or from one to another, and those of rows of the conformance
/// suite. Only words count, so that the ends of lines within a comment do not matter.
fn cited(text: &str) -> BTreeSet<u32> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut cited: BTreeSet<u32> = words.iter().filter_map(|word| number(word)).collect();
    for three in words.windows(3) {
        match (number(three[0]), three[1], number(three[2])) {
            (Some(first), "to", Some(last)) => cited.extend(first..=last),
            _ if three[..2] == ["t", "fact"] => cited.extend(three[2].parse::<u32>().ok()),
            _ => {}
        }
    }
    cited
}

#[test]
fn citations_are_read() {
    let check = |text: &str, expect: &[u32]| {
        assert_eq!(cited(text).into_iter().collect::<Vec<_>>(), expect, "{text}");
    };
    check("//! Paths (facts R1, R3 to\n//! R5): R, Rx, R2x, xR9", &[1, 3, 4, 5]);
    check("t.fact(7); t.fact(number); fact(9);", &[7]);
}

#[test]
fn facts_have_numbers_of_their_own() {
    let facts = stated();
    assert!(!facts.is_empty());
    let distinct: BTreeSet<u32> = facts.iter().copied().collect();
    assert_eq!(distinct.len(), facts.len(), "{facts:?}");
}

#[test]
fn cited_facts_are_stated_and_stated_facts_are_cited() {
    let stated: BTreeSet<u32> = stated().into_iter().collect();
    let mut all = BTreeSet::new();
    for (path, text) in sources() {
        // What is made up here is no citation.
        if path.file_name().is_some_and(|name| name == "facts.rs") {
            continue;
        }
        let cited = cited(&text);
        let unknown: Vec<_> = cited.difference(&stated).collect();
        assert!(unknown.is_empty(), "{}: {DOCUMENT} has no {unknown:?}", path.display());
        all.extend(cited);
    }
    let unused: Vec<_> = stated.difference(&all).collect();
    assert!(unused.is_empty(), "nothing cites {unused:?} of {DOCUMENT}");
}

#[test]
fn no_comment_cites_a_document_that_is_not_here() {
    for (path, text) in sources() {
        let line = text.lines().position(|line| line.contains(SECTION));
        assert_eq!(line, None, "{}: a section of what?", path.display());
    }
}
