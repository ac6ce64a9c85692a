//! From a pipeline to steps that are ready to run: texts and sets made once, expressions compiled.

use std::collections::HashSet;

use super::distance;
use super::number::Integer;
use super::pattern::{self, Pattern};
use super::term::{Atom, Term};
use super::text::Constant;
use crate::filter::{Comparison, Filter, FilterError, ROOT, Transform};
use crate::limits;

/// A filter that is ready to run.
#[derive(Debug)]
pub(super) struct Placed {
    /// Where it stands in the query.
    pub(super) place: String,
    pub(super) step: Step,
}

pub(super) type Steps = Vec<Placed>;

#[derive(Debug)]
pub(super) enum Step {
    Transform(Transform),
    Tokenize { separators: Box<[bool; 256]>, number: usize },
    Compare(Comparison, Term),
    Between { low: Term, high: Term, inclusive: bool },
    Matches(Box<Pattern>),
    Equal { to: Term, wanted: bool },
    Member(Members),
    Similar { text: Similar, most: Option<usize> },
    StartsWith(Constant),
    EndsWith(Constant),
    And(Vec<Steps>),
    Or(Vec<Steps>),
    Not(Steps),
}

/// What a text is to be similar to.
#[derive(Debug)]
pub(super) enum Similar {
    Flat(distance::Pattern),
    Word(Atom),
}

/// The members of a set, the usual kinds by themselves.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) binaries: HashSet<Vec<u8>>,
    pub(super) small: HashSet<i64>,
    pub(super) others: HashSet<Term>,
}

pub(super) fn compile(filters: &[Filter]) -> Result<Steps, FilterError> {
    let mut compiler = Compiler { room: limits::EXPRESSIONS_CHARS };
    compiler.pipeline(filters, ROOT)
}

struct Compiler {
    /// For how many more characters expressions may stand.
    room: usize,
}

impl Compiler {
    fn pipeline(&mut self, filters: &[Filter], place: &str) -> Result<Steps, FilterError> {
        let filters = filters.iter().enumerate();
        filters
            .map(|(at, filter)| {
                let place = format!("{place}[{at}]");
                let step = self.step(filter, &place)?;
                Ok(Placed { place, step })
            })
            .collect()
    }

    fn step(&mut self, filter: &Filter, place: &str) -> Result<Step, FilterError> {
        let wrong = |why: &str| FilterError::Unusable { place: place.into(), why: why.into() };
        Ok(match filter {
            Filter::Transform(transform) => Step::Transform(*transform),
            Filter::Tokenize { separators, number } => Step::Tokenize {
                separators: separated_by(separators)
                    .ok_or_else(|| wrong("\"tokenize\": the separators are no text"))?,
                number: token_number(number)
                    .ok_or_else(|| wrong("\"tokenize\": tokens have numbers from 1"))?,
            },
            Filter::Compare(comparison, with) => Step::Compare(*comparison, with.clone()),
            Filter::Between { low, high, inclusive } => {
                Step::Between { low: low.clone(), high: high.clone(), inclusive: *inclusive }
            }
            Filter::Matches(Term::Binary(text) | Term::Chars(text)) => {
                let compiled = pattern::compile(text, &mut self.room);
                let pattern = compiled.map_err(|why| wrong(&format!("\"matches\": {why}")))?;
                Step::Matches(Box::new(pattern))
            }
            Filter::Matches(_) => return Err(wrong("\"matches\": the expression is no text")),
            Filter::Equal { to, wanted } => Step::Equal { to: to.clone(), wanted: *wanted },
            Filter::SetMember(members) => Step::Member(Members::new(members)),
            Filter::SimilarTo { text, distance } => Step::Similar {
                text: similar(text).map_err(|why| wrong(&format!("\"similar_to\": {why}")))?,
                most: most(distance),
            },
            Filter::StartsWith(text) => Step::StartsWith(Constant::new(text)),
            Filter::EndsWith(text) => Step::EndsWith(Constant::new(text)),
            // Riak knows the name, but has no such filter.
            Filter::SoundsLike => return Err(wrong("\"sounds_like\" is not defined, as in Riak")),
            Filter::And(branches) => Step::And(self.branches(branches, place)?),
            Filter::Or(branches) => Step::Or(self.branches(branches, place)?),
            Filter::Not(branch) => Step::Not(self.pipeline(branch, &format!("{place}[1]"))?),
        })
    }

    fn branches(
        &mut self,
        branches: &[Vec<Filter>],
        place: &str,
    ) -> Result<Vec<Steps>, FilterError> {
        let branches = branches.iter().enumerate();
        branches
            .map(|(at, branch)| self.pipeline(branch, &format!("{place}[{}]", at + 1)))
            .collect()
    }
}

fn separated_by(separators: &Term) -> Option<Box<[bool; 256]>> {
    let Constant::Flat(text) = Constant::new(separators) else { return None };
    let mut set = Box::new([false; 256]);
    text.iter().for_each(|byte| set[usize::from(*byte)] = true);
    Some(set)
}

fn token_number(number: &Term) -> Option<usize> {
    match number {
        Term::Integer(Integer::Small(number)) => {
            usize::try_from(*number).ok().filter(|number| *number > 0)
        }
        _ => None,
    }
}

fn similar(text: &Term) -> Result<Similar, String> {
    match Constant::new(text) {
        Constant::Flat(text) if text.len() > limits::SIMILAR_BYTES => {
            Err(format!("the text is longer than {} bytes", limits::SIMILAR_BYTES))
        }
        Constant::Flat(text) => Ok(Similar::Flat(distance::Pattern::new(&text))),
        Constant::Word(atom) => Ok(Similar::Word(atom)),
        Constant::Other => Err("what to compare with is no text".to_owned()),
    }
}

/// The largest distance that is at most this term; `None` when there is none. What is no number is
/// greater than all numbers.
fn most(distance: &Term) -> Option<usize> {
    let zero = Term::Integer(Integer::Small(0));
    if distance.order(&zero).is_lt() {
        return None;
    }
    Some(match distance {
        Term::Integer(Integer::Small(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Rounding down is meant.
        Term::Float(most) => *most as usize,
        _ => usize::MAX,
    })
}

impl Members {
    fn new(members: &[Term]) -> Self {
        let mut set = Self::default();
        for member in members {
            match member {
                Term::Binary(bytes) => set.binaries.insert(bytes.clone()),
                Term::Integer(Integer::Small(value)) => set.small.insert(*value),
                other => set.others.insert(other.clone()),
            };
        }
        set
    }
}
