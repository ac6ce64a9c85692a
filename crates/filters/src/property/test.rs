//! Conditions that are ready to be held against objects.
//!
//! An object meets them when one of its values meets them all; the key, which all values share, is
//! told by itself, since it is known before anything is read. What a value may have several of (terms
//! of an index, headers of one name) meets a condition when one does; conditions on the terms of one
//! index are about one term. `!=` and `exists` with `false` are the opposite of `=` and `exists`: no
//! term may be so.

use std::collections::{BTreeMap, BTreeSet};

use mapring_types::{IndexValue, Object, Sibling};

use super::condition::{Comparison, Condition, Operand, PropertyFilters, Relation, Subject};
use super::constant::{Constant, Constants};
use super::document::Paths;

/// See the module.
#[derive(Debug, Default)]
pub struct PropertyTest {
    keys: Vec<TextTest>,
    heads: Vec<HeadTest>,
    /// By the name of the index.
    terms: BTreeMap<String, TermTests>,
    paths: Paths,
    parts: Vec<PartTest>,
}

#[derive(Debug)]
enum HeadTest {
    LastModified(TimeTest),
    ContentType(TextTest),
    /// The name of the header, in lower case.
    Meta(String, TextTest),
}

#[derive(Debug)]
enum TextTest {
    Compare(Comparison, String),
    In(BTreeSet<String>),
    Prefix(String),
    Exists(bool),
}

#[derive(Debug)]
enum TimeTest {
    Compare(Comparison, i64),
    In(BTreeSet<i64>),
    Exists(bool),
}

#[derive(Debug, Default)]
struct TermTests {
    /// Of these one term must meet all.
    one: Vec<TermTest>,
    /// Of these every term must meet each.
    every: Vec<TermTest>,
}

#[derive(Debug)]
enum TermTest {
    Compare(Comparison, IndexValue),
    In(BTreeSet<IndexValue>),
    Prefix(String),
    Exists(bool),
}

#[derive(Debug)]
enum PartTest {
    Compare(Comparison, Constant),
    In(Constants),
    Prefix(String),
    Exists(bool),
}

impl PropertyFilters {
    /// Makes them ready.
    ///
    /// # Errors
    /// What is wrong with them, of what has come from elsewhere.
    pub fn compile(&self) -> Result<PropertyTest, String> {
        let mut all = PropertyTest::default();
        for (at, condition) in self.0.iter().enumerate() {
            all.add(condition).ok_or_else(|| format!("filters[{at}] cannot be compared"))?;
        }
        Ok(all)
    }
}

impl PropertyTest {
    fn add(&mut self, Condition { subject, relation }: &Condition) -> Option<()> {
        match subject {
            Subject::Key => self.keys.push(TextTest::new(relation)?),
            Subject::LastModified => {
                self.heads.push(HeadTest::LastModified(TimeTest::new(relation)?));
            }
            Subject::ContentType => {
                self.heads.push(HeadTest::ContentType(TextTest::new(relation)?));
            }
            Subject::Meta(name) => {
                let header = format!("x-riak-meta-{name}");
                self.heads.push(HeadTest::Meta(header, TextTest::new(relation)?));
            }
            Subject::Index(name) => {
                let tests = self.terms.entry(name.clone()).or_default();
                let of = if relation.holds_without() { &mut tests.every } else { &mut tests.one };
                of.push(TermTest::new(relation)?);
            }
            Subject::Path(names) => {
                self.paths.add(names, self.parts.len());
                self.parts.push(PartTest::new(relation)?);
            }
        }
        Some(())
    }

    /// Whether any condition is about the key.
    pub fn tests_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether any condition is about more than the key.
    pub fn tests_objects(&self) -> bool {
        !self.heads.is_empty() || !self.terms.is_empty() || self.tests_bodies()
    }

    /// Whether any condition is about what values hold: else no bytes of them are needed.
    pub fn tests_bodies(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether the conditions on the key are met.
    pub fn keeps_key(&self, key: &[u8]) -> bool {
        self.keys.iter().all(|test| test.holds(key))
    }

    /// Whether a value of the object meets all conditions but those on the key. What a value in blocks
    /// holds is not known here: see [`PropertyTest::unread`].
    pub fn keeps(&self, object: &Object) -> bool {
        let is_read = |value: &Sibling| value.metadata.blocks.is_none() || !self.tests_bodies();
        let keeps = |value: &Sibling| self.keeps_head(value) && self.keeps_parts(&value.body);
        object.siblings.iter().any(|value| is_read(value) && keeps(value))
    }

    /// The bytes of a value, in blocks, that meets all conditions but those on what it holds, where it
    /// depends on that alone whether the object is kept.
    pub fn unread(&self, object: &Object) -> Option<u64> {
        if !self.tests_bodies() || self.keeps(object) {
            return None;
        }
        let met = object.siblings.iter().filter(|value| self.keeps_head(value));
        met.filter_map(|value| value.metadata.blocks.as_ref()).map(|blocks| blocks.bytes).next()
    }

    /// As [`PropertyTest::keeps`], of an object whose only value has these bytes; `None` where that
    /// is not all that conditions are about.
    pub fn keeps_body(&self, body: &[u8]) -> Option<bool> {
        (self.heads.is_empty() && self.terms.is_empty()).then(|| self.keeps_parts(body))
    }

    /// Whether a term is the first of an object's in an index that meets the conditions on its terms:
    /// of several under which a range of the index has the object, one counts.
    pub fn is_first_term(&self, object: &Object, index: &str, term: &IndexValue) -> bool {
        let Some(tests) = self.terms.get(index) else { return true };
        let live = object.siblings.iter().filter(|value| !value.deleted);
        let terms = live.flat_map(|value| terms(value, index));
        terms.filter(|term| tests.meets_one(term)).min() == Some(term)
    }

    fn keeps_head(&self, value: &Sibling) -> bool {
        let head = |test: &HeadTest| match test {
            HeadTest::LastModified(test) => test.holds(value.last_modified),
            HeadTest::ContentType(test) => {
                let content_type = value.metadata.content_type.as_str();
                let given = (!content_type.is_empty()).then_some(content_type.as_bytes());
                test.holds_among(given.into_iter())
            }
            HeadTest::Meta(header, test) => {
                let user = value.metadata.user.iter();
                let named = user.filter(|(name, _)| name.eq_ignore_ascii_case(header));
                test.holds_among(named.map(|(_, bytes)| bytes.as_ref()))
            }
        };
        self.heads.iter().all(head)
            && self.terms.iter().all(|(index, tests)| tests.hold(|| terms(value, index)))
    }

    fn keeps_parts(&self, body: &[u8]) -> bool {
        if self.parts.is_empty() {
            return true;
        }
        let mut held: Vec<bool> = self.parts.iter().map(PartTest::holds_without).collect();
        // What is no text is no JSON.
        if let Ok(json) = std::str::from_utf8(body) {
            self.paths.walk(json, &mut |at, part| {
                if let (Some(held), Some(test)) = (held.get_mut(at), self.parts.get(at)) {
                    *held = test.holds(part);
                }
            });
        }
        held.into_iter().all(|held| held)
    }
}

/// The terms of a value in an index. One that is no text meets nothing: no query can name it.
fn terms<'v>(value: &'v Sibling, index: &str) -> impl Iterator<Item = &'v IndexValue> {
    let of_index = value.metadata.indexes.iter().filter(move |(name, _)| name == index);
    of_index.map(|(_, term)| term).filter(|term| std::str::from_utf8(term.as_bytes()).is_ok())
}

impl TermTests {
    fn hold<'v, I: Iterator<Item = &'v IndexValue>>(&self, terms: impl Fn() -> I) -> bool {
        (self.one.is_empty() || terms().any(|term| self.meets_one(term)))
            && self.every.iter().all(|test| terms().all(|term| test.holds(term)))
    }

    fn meets_one(&self, term: &IndexValue) -> bool {
        self.one.iter().all(|test| test.holds(term))
    }
}

impl TextTest {
    fn new(relation: &Relation) -> Option<Self> {
        let text = |operand: &Operand| match operand {
            Operand::Text(text) => Some(text.clone()),
            _ => None,
        };
        Some(match relation {
            Relation::Compare(comparison, operand) => Self::Compare(*comparison, text(operand)?),
            Relation::In(operands) => Self::In(operands.iter().map(text).collect::<Option<_>>()?),
            Relation::Prefix(prefix) => Self::Prefix(prefix.clone()),
            Relation::Exists(wanted) => Self::Exists(*wanted),
        })
    }

    fn holds(&self, text: &[u8]) -> bool {
        match self {
            Self::Compare(comparison, with) => comparison.holds(Some(text.cmp(with.as_bytes()))),
            Self::In(texts) => std::str::from_utf8(text).is_ok_and(|text| texts.contains(text)),
            Self::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Self::Exists(wanted) => *wanted,
        }
    }

    /// Of a part that may be there several times, or not at all.
    fn holds_among<'t>(&self, mut texts: impl Iterator<Item = &'t [u8]>) -> bool {
        match self {
            Self::Compare(Comparison::Differs, _) | Self::Exists(false) => {
                texts.all(|text| self.holds(text))
            }
            _ => texts.any(|text| self.holds(text)),
        }
    }
}

impl TimeTest {
    fn new(relation: &Relation) -> Option<Self> {
        let time = |operand: &Operand| match operand {
            Operand::Time(time) => Some(*time),
            _ => None,
        };
        Some(match relation {
            Relation::Compare(comparison, operand) => Self::Compare(*comparison, time(operand)?),
            Relation::In(operands) => Self::In(operands.iter().map(time).collect::<Option<_>>()?),
            Relation::Prefix(_) => return None,
            Relation::Exists(wanted) => Self::Exists(*wanted),
        })
    }

    fn holds(&self, micros: u64) -> bool {
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        match self {
            Self::Compare(comparison, with) => comparison.holds(Some(micros.cmp(with))),
            Self::In(times) => times.contains(&micros),
            Self::Exists(wanted) => *wanted,
        }
    }
}

impl TermTest {
    fn new(relation: &Relation) -> Option<Self> {
        let term = |operand: &Operand| match operand {
            Operand::Term(term) => Some(term.clone()),
            _ => None,
        };
        Some(match relation {
            Relation::Compare(comparison, operand) => Self::Compare(*comparison, term(operand)?),
            Relation::In(operands) => Self::In(operands.iter().map(term).collect::<Option<_>>()?),
            Relation::Prefix(prefix) => Self::Prefix(prefix.clone()),
            Relation::Exists(wanted) => Self::Exists(*wanted),
        })
    }

    fn holds(&self, term: &IndexValue) -> bool {
        match self {
            Self::Compare(comparison, with) => comparison.holds(Some(term.cmp(with))),
            Self::In(terms) => terms.contains(term),
            Self::Prefix(prefix) => term.as_bytes().starts_with(prefix.as_bytes()),
            Self::Exists(wanted) => *wanted,
        }
    }
}

impl PartTest {
    fn new(relation: &Relation) -> Option<Self> {
        let constant = |operand: &Operand| match operand {
            Operand::Json(json) => Constant::new(json),
            _ => None,
        };
        Some(match relation {
            Relation::Compare(comparison, operand) => {
                Self::Compare(*comparison, constant(operand)?)
            }
            Relation::In(operands) => {
                Self::In(operands.iter().map(constant).collect::<Option<_>>()?)
            }
            Relation::Prefix(prefix) => Self::Prefix(prefix.clone()),
            Relation::Exists(wanted) => Self::Exists(*wanted),
        })
    }

    fn holds_without(&self) -> bool {
        matches!(self, Self::Compare(Comparison::Differs, _) | Self::Exists(false))
    }

    fn holds(&self, json: &str) -> bool {
        match self {
            Self::Compare(comparison, with) => comparison.holds(with.order(json)),
            Self::In(constants) => constants.contain(json),
            Self::Prefix(prefix) => {
                super::constant::text(json).is_some_and(|text| text.starts_with(prefix.as_bytes()))
            }
            Self::Exists(wanted) => *wanted,
        }
    }
}
