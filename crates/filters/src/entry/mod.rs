//! Tests of the entries of an index, by what their terms hold: an expression that the term matches, or
//! what OpenRiak's query interface has instead (facts R323 to R327): an *evaluation* takes attributes out of the
//! term, step by step, and a *condition* on these says whether the entry is taken.
//!
//! [`token`] reads words, [`evaluation`] and [`condition`] make steps and conditions of them, [`value`] is
//! what attributes are; [`sets`] combines the keys of several queries.

mod condition;
mod evaluation;
pub(crate) mod sets;
mod token;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::pattern::{self, Pattern};

use condition::Condition;
use evaluation::Evaluation;
use value::{Attributes, Value};

pub use value::Substitution;

/// What an index entry is held against: what travels to the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryTest {
    /// The term, or the key where the index is one of keys, matches an expression.
    Matches(Bytes),
    /// The condition holds for the attributes that the evaluation gives.
    Attributes(EntryQuery),
    /// Every entry is taken, and this attribute given with it, or nothing where there is no such.
    Give(String),
}

/// An evaluation and a condition, as a query has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryQuery {
    /// The steps.
    pub evaluation: String,
    /// The condition.
    pub condition: String,
    /// What stands in both for a name after a colon.
    pub substitutions: BTreeMap<String, Substitution>,
    /// The attribute that is given with each entry, without its `$`.
    pub give: Option<String>,
}

/// Which part of a test cannot be run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryError {
    /// The expression.
    Pattern(String),
    /// The evaluation.
    Evaluation(String),
    /// The condition.
    Condition(String),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(why) => write!(f, "the regular expression: {why}"),
            Self::Evaluation(why) => write!(f, "the evaluation: {why}"),
            Self::Condition(why) => write!(f, "the condition: {why}"),
        }
    }
}

/// A test that can be run.
#[derive(Debug)]
pub struct CompiledEntryTest(Compiled);

#[derive(Debug)]
enum Compiled {
    Matches(Box<Pattern>),
    Attributes { evaluation: Evaluation, condition: Condition, give: Option<String> },
    Give(String),
}

impl EntryTest {
    /// Makes it ready to run.
    ///
    /// # Errors
    /// Which part cannot be run and why.
    pub fn compile(&self) -> Result<CompiledEntryTest, EntryError> {
        let mut room = limits::EXPRESSIONS_CHARS;
        let compiled = match self {
            Self::Matches(text) => {
                let pattern = pattern::compile(text, &mut room).map_err(EntryError::Pattern)?;
                Compiled::Matches(Box::new(pattern))
            }
            Self::Attributes(query) => {
                let EntryQuery { evaluation, condition, substitutions, give } = query;
                let evaluation = Evaluation::read(evaluation, substitutions, &mut room);
                let condition = Condition::read(condition, substitutions);
                Compiled::Attributes {
                    evaluation: evaluation.map_err(EntryError::Evaluation)?,
                    condition: condition.map_err(EntryError::Condition)?,
                    give: give.clone(),
                }
            }
            Self::Give(name) => Compiled::Give(name.clone()),
        };
        Ok(CompiledEntryTest(compiled))
    }
}

impl CompiledEntryTest {
    /// Whether an entry is taken; inside, what is given with it.
    ///
    /// # Errors
    /// An expression took too many steps.
    pub fn run(&self, term: &[u8], key: &[u8]) -> Result<Option<Option<Bytes>>, String> {
        match &self.0 {
            Compiled::Matches(pattern) => Ok(pattern.is_match(term)?.then_some(None)),
            Compiled::Attributes { evaluation, condition, give } => {
                let attributes = evaluation.run(Attributes::of(term, key))?;
                let holds = condition.holds(&attributes);
                Ok(holds.then(|| give.as_ref().and_then(|name| given(&attributes, name))))
            }
            Compiled::Give(name) => Ok(Some(given(&Attributes::of(term, key), name))),
        }
    }
}

/// The value of an attribute as it is given: text.
fn given(attributes: &Attributes, name: &str) -> Option<Bytes> {
    match attributes.get(name)? {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::List(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: &str = "SMITH|19861216||Willow#Mia|LS1 4BT#LS8 1ZZ";
    const SPLIT: &str = r##"delim($term, "|", ($fn, $dob, $dod, $gns, $pcs))"##;

    fn run(query: &EntryQuery, term: &str) -> Option<Option<Bytes>> {
        let test = EntryTest::Attributes(query.clone()).compile().unwrap();
        test.run(term.as_bytes(), b"9000000001").unwrap()
    }

    fn query(evaluation: &str, condition: &str) -> EntryQuery {
        let substitutions = [
            ("low".to_owned(), Substitution::Text("1980".into())),
            ("high".to_owned(), Substitution::Text("1990".into())),
            ("hash".to_owned(), Substitution::Text("#".into())),
            ("year".to_owned(), Substitution::Number(2024)),
        ];
        let substitutions = substitutions.into_iter().collect();
        EntryQuery {
            evaluation: evaluation.to_owned(),
            condition: condition.to_owned(),
            substitutions,
            give: None,
        }
    }

    #[track_caller]
    fn holds(steps: &str, condition: &str, expect: bool) {
        let evaluation = format!("{SPLIT}{steps}");
        assert_eq!(run(&query(&evaluation, condition), TERM).is_some(), expect, "{condition}");
    }

    #[track_caller]
    fn gives(steps: &str, name: &str, expect: Option<&str>) {
        let query = EntryQuery {
            give: Some(name.into()),
            ..query(&format!("{SPLIT}{steps}"), "attribute_exists($term)")
        };
        let given = run(&query, TERM).unwrap();
        assert_eq!(given.as_deref(), expect.map(str::as_bytes), "{steps} {name}");
    }

    #[test]
    fn steps_take_attributes_out_of_terms() {
        gives("", "fn", Some("SMITH"));
        gives("", "dod", Some(""));
        gives("", "nope", None);
        gives("", "key", Some("9000000001"));
        gives(r#" | delim($gns, :hash, ($gn1, $gn2, $gn3))"#, "gn2", Some("Mia"));
        gives(r#" | delim($gns, :hash, ($gn1, $gn2, $gn3))"#, "gn3", None);
        gives(r#" | join(($dob, $fn), "|", $dobfn)"#, "dobfn", Some("19861216|SMITH"));
        gives(" | index($dob, 0, 4, $yob)", "yob", Some("1986"));
        gives(" | index($dob, 6, 4, $yob)", "yob", None);
        let years = " | index($dob, 0, 4, $yob) | to_integer($yob, $yob)";
        gives(&format!("{years} | subtract(:year, $yob, $age)"), "age", Some("38"));
        gives(
            &format!("{years} | add($yob, 4, $age) | to_string($age, $age)"),
            "age",
            Some("1990"),
        );
        gives(" | subtract(:year, $fn, $age)", "age", None);
        let born = r#"(("1946", "Silent"), ("1966", "Boomer"), ("1980", "X"), ("1997", "Y"))"#;
        gives(&format!(r#" | map($dob, <, {born}, "Z", $g)"#), "g", Some("Y"));
        gives(r#" | map($dob, >=, (("2000", 1)), 2, $g) | to_string($g, $g)"#, "g", Some("2"));
        gives(r##" | kvsplit($pcs, "#", " ")"##, "LS1", Some("4BT"));
        gives(r#" | regex($fn, "(?<first>S.)(?P<rest>.*)", ($first, $rest))"#, "rest", Some("ITH"));
        gives(r#" | regex($fn, "(?<first>X)", ($first))"#, "first", None);
        gives(r#" | to_integer($fn, $n)"#, "n", None);
    }

    #[test]
    fn conditions_are_held_against_attributes() {
        holds("", r#"$fn = "SMITH""#, true);
        holds("", r#"$fn <> "SMITH""#, false);
        holds("", r#"$fn = 5"#, false);
        holds("", "$dob BETWEEN :low AND :high", true);
        holds("", "$dob BETWEEN :high AND :low", true);
        holds("", r#"$nope BETWEEN "a" AND "b""#, false);
        holds("", r#""1985" BETWEEN :low AND $dob"#, true);
        holds("", r##"$dob >= :low AND $dob <= :high AND contains($gns, "#Mia")"##, true);
        holds("", r#"$fn = "X" AND $fn = "Y" OR $fn = "SMITH""#, true);
        holds("", r#"$fn = "SMITH" OR $fn = "X" AND $fn = "Y""#, true);
        holds("", r#"($fn = "SMITH" OR $fn = "X") AND $fn = "Y""#, false);
        holds("", r#"NOT contains($gns, "MA") AND NOT $dob IN ("1", "2")"#, true);
        holds("", r#"NOT ($fn = "SMITH")"#, false);
        holds("", r#"begins_with($fn, "SM") AND ends_with($fn, "TH")"#, true);
        holds(
            "",
            "attribute_exists($fn) AND attribute_not_exists($x) AND attribute_empty($dod)",
            true,
        );
        holds(r##" | split($gns, "#", $gns)"##, r#""Mia" IN $gns"#, true);
        holds(r##" | split($gns, "#", $gns)"##, r#""Mi" IN $gns"#, false);
        holds(" | slice($dob, 2, $parts)", r#""86" IN $parts"#, true);
        holds(" | slice($dob, 3, $parts)", r#""16" IN $parts"#, false);
        holds(" | to_integer($dob, $n)", "$n IN (19861216, \"x\")", true);
        holds(" | to_integer($dob, $n)", "$n > 19861215", true);
        holds("", "$fn IN $fn", false);
    }

    #[track_caller]
    fn refused(evaluation: &str, condition: &str, words: &str) {
        let error = EntryTest::Attributes(query(evaluation, condition)).compile().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let good = r#"$fn = "SMITH""#;
        refused("delm($term)", good, "the evaluation: there is no step \"delm\"");
        refused(r#"delim($term, :delim, ($a))"#, good, "nothing stands for :delim");
        refused(r#"delim($term, "|", ($a)"#, good, "it ends too soon");
        refused(r#"delim($term, "|, ($a))"#, good, "a text does not end");
        refused(r#"slice($term, 0, $a)"#, good, "above zero");
        refused(r#"regex($term, "(", ($a))"#, good, "a group does not end");
        refused(r#"regex($term, "(?<b>x)", ($a))"#, good, "no group with the name \"a\"");
        refused(SPLIT, "($dob BETWEEN :low NAND :high)", "the condition: NAND");
        refused(SPLIT, "$a = ", "it ends too soon");
        refused(SPLIT, "$a = 5 5", "stands behind the end");
        refused(SPLIT, "contains($a, 5)", "a text is needed");
        refused(SPLIT, &"(".repeat(1_000), "nested deeper");
        let long = vec!["NOT"; 1_000].join(" ");
        refused(SPLIT, &long, "nested deeper");
        let test = EntryTest::Matches("(".into()).compile().unwrap_err();
        assert_eq!(test.to_string(), "the regular expression: a group does not end");
    }

    #[test]
    fn entries_match_expressions() {
        let test = EntryTest::Matches("^SM.*Mia".into()).compile().unwrap();
        assert_eq!(test.run(TERM.as_bytes(), b"k"), Ok(Some(None)));
        assert_eq!(test.run(b"SMITH", b"k"), Ok(None));
        let test = EntryTest::Give("term".into()).compile().unwrap();
        assert_eq!(test.run(b"t", b"k"), Ok(Some(Some("t".into()))));
    }
}
